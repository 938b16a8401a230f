// SPDX-License-Identifier: BSD-3-Clause
#include "exchange_link.h"

#include <fmt/core.h>
#include <grpcpp/grpcpp.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <ctime>
#include <mutex>
#include <thread>

#include "call_audit.h"
#include "call_error.h"
#include "caller.h"
#include "credentials.h"
#include "exchange.grpc.pb.h"
#include "messages_domains.h"

namespace ssn::controller {
namespace {

using std::chrono::milliseconds;

constexpr const char* what_start = "cannot speak to other domains";
constexpr const char* what_ask = "cannot ask the controller of the other domain";
constexpr milliseconds patience{3000};  // for one call
constexpr milliseconds look{250};       // whether a domain is to be asked
constexpr milliseconds ending{500};
constexpr int threads_max = 8;
constexpr std::size_t memory_max = std::size_t{64} << 20;
constexpr int statement_bytes_max = 4 << 20;
constexpr int streams_per_connection = 4;

void tell(const std::string& line) { fmt::print(stderr, "ssn-controller: exchange: {}\n", line); }

// For people, in an event.
std::string lent_text(const DomainStatement& statement) {
  std::string names;
  for (const LentNode& node : statement.nodes) names.append(names.empty() ? "" : ", ").append(node.name);
  return statement.nodes.empty() ? "it lends nothing"
                                 : fmt::format("it lends {} bytes at {}", statement.lends_bytes, names);
}

class Link final : public ExchangeLink, v1::Exchange::Service {
 public:
  Link(Catalogue& catalogue, DomainBook& book, const Bytes16& instance, std::function<Now()> clock)
      : catalogue_(catalogue), book_(book), instance_(instance), clock_(std::move(clock)) {}
  ~Link() override {
    {
      const std::lock_guard lock(mutex_);
      ending_ = true;
    }
    changed_.notify_all();
    for (const std::unique_ptr<Peer>& peer : peers_) {
      if (peer->thread.joinable()) peer->thread.join();
    }
    if (server_ != nullptr) {
      server_->Shutdown(std::chrono::system_clock::now() + ending);
      server_->Wait();
    }
  }

  Outcome start(const ServerSettings& own, const ExchangeSettings& settings, audit::AuditLog* audit);
  const std::string& listening() const override { return listening_; }

 private:
  struct Peer {  // a domain
    std::string domain;
    std::shared_ptr<pki::LiveIdentity> live;  // believes its authority, and no other one
    std::thread thread;
    // Of the thread.
    std::string address;
    std::string identity;
    std::uint64_t generation = 0;
    std::unique_ptr<v1::Exchange::Stub> stub;
    std::mutex mutex;   // of what follows
    std::string noted;  // what the last event said that it lends
  };

  grpc::Status Tell(grpc::ServerContext* context, const v1::DomainStatement* request,
                    v1::DomainStatement* out) override;
  Result<Peer*> admit(const grpc::ServerContext& context);
  Outcome take(Peer& peer, DomainStatement statement, Heard how);
  Result<DomainStatement> statement_for(const std::string& domain);
  Outcome ask(Peer& peer, const DomainAgreement& agreement);
  v1::Exchange::Stub& stub_for(Peer& peer, const DomainAgreement& agreement);
  milliseconds step(Peer& peer);
  void work(Peer& peer);

  Catalogue& catalogue_;
  DomainBook& book_;
  const Bytes16 instance_;
  const std::function<Now()> clock_;
  std::vector<std::unique_ptr<Peer>> peers_;
  std::mutex speaking_;
  std::uint64_t number_ = 0;  // of the latest statement
  std::mutex mutex_;
  std::condition_variable changed_;
  bool ending_ = false;
  std::string listening_;
  std::shared_ptr<grpc::ServerCredentials> credentials_;  // which the server asks while it lives
  std::unique_ptr<grpc::Server> server_;
  std::unique_ptr<pki::IdentityWatch> watch_;
};

Outcome Link::start(const ServerSettings& own, const ExchangeSettings& settings, audit::AuditLog* audit) {
  if (pki::target_of(settings.listen).empty()) {
    return Error{Exit::usage, what_start, "this is no address with a port", settings.listen,
                 "write it like 192.0.2.10:7101 or [2001:db8::10]:7101"};
  }
  std::vector<std::shared_ptr<pki::LiveIdentity>> lives;
  for (const ExchangeSettings::With& with : settings.with) {
    Result<std::shared_ptr<pki::LiveIdentity>> live =
        pki::LiveIdentity::open({own.certificate, own.key, own.ca, with.crl, with.ca},
                                pki::CertificateUse::node, tell, ::time(nullptr));
    if (!live.ok()) return live.error();
    auto peer = std::make_unique<Peer>();
    peer->domain = with.domain;
    peer->live = live.value();
    lives.push_back(live.value());
    peers_.push_back(std::move(peer));
  }
  grpc::ServerBuilder builder;
  builder.RegisterService(this);
  pki::set_limits(builder,
                  {"ssn-exchange", threads_max, memory_max, statement_bytes_max, streams_per_connection});
  audit::note_calls(builder, audit);
  int port = 0;
  credentials_ = pki::server_credentials({lives.begin(), lives.end()});
  builder.AddListeningPort(settings.listen, credentials_, &port);
  server_ = builder.BuildAndStart();
  if (server_ == nullptr || port == 0) {
    return Error{Exit::temporary, what_start, "it cannot listen there", settings.listen,
                 "see that the address belongs to this machine and no other process has the port"};
  }
  listening_ = fmt::format("{}:{}", settings.listen.substr(0, settings.listen.rfind(':')), port);
  watch_ = std::make_unique<pki::IdentityWatch>(std::move(lives));
  for (const std::unique_ptr<Peer>& peer : peers_) {
    peer->thread = std::thread([this, &each = *peer] { work(each); });
  }
  return done;
}

// The name alone is not enough: another domain's authority could give it, too. So each is judged by that of
// the domain for which its name stands.
Result<Link::Peer*> Link::admit(const grpc::ServerContext& context) {
  std::string who;
  for (const std::unique_ptr<Peer>& peer : peers_) {
    const pki::Caller caller = pki::caller_of(*context.auth_context(), peer->live.get());
    if (caller.kind != pki::Caller::Kind::certified) continue;
    who = caller.name;
    const Result<DomainAgreement> agreement = book_.agreement(peer->domain);
    if (agreement.ok() && agreement.value().identity == caller.name &&
        caller.roles.has(pki::Role::controller)) {
      return peer.get();
    }
    book_.refuse(peer->domain);
    static_cast<void>(
        catalogue_.note_domain(clock_(), "domain_refused", peer->domain,
                               fmt::format("{} called, who does not speak for it", caller.name)));
  }
  return Error{Exit::refused, "cannot answer Exchange.Tell",
               who.empty()
                   ? "no authority of a domain that is spoken to certifies the caller"
                   : fmt::format("{} is not the controller of a domain that something is agreed with", who),
               who, "have both sides' operators agree: docs/exchange.md"};
}

// Numbers are in the order in which it was seen what they tell.
Result<DomainStatement> Link::statement_for(const std::string& domain) {
  const std::lock_guard lock(speaking_);
  Result<DomainStatement> statement = catalogue_.statement_for(clock_(), domain);
  if (!statement.ok()) return statement;
  statement.value().from = book_.own();
  statement.value().to = domain;
  statement.value().program = SSN_VERSION;
  statement.value().instance = instance_;
  statement.value().number = ++number_;
  return statement;
}

Outcome Link::take(Peer& peer, DomainStatement statement, Heard how) {
  const Now now = clock_();
  const std::string text = lent_text(statement);
  if (Outcome heard = book_.hear(peer.domain, std::move(statement), how, now.monotonic_ms); !heard.ok()) {
    return heard;
  }
  const std::lock_guard lock(peer.mutex);
  if (text != peer.noted) {
    const Result<bool> noted = catalogue_.note_domain(now, "domain_lends", peer.domain, text);
    if (noted.ok() && noted.value()) peer.noted = text;
  }
  return done;
}

grpc::Status Link::Tell(grpc::ServerContext* context, const v1::DomainStatement* request,
                        v1::DomainStatement* out) {
  const Result<Peer*> peer = admit(*context);
  if (!peer.ok()) return pki::to_status(peer.error());
  if (Outcome taken = take(*peer.value(), read(*request), Heard::calling); !taken.ok()) {
    return pki::to_status(taken.error());
  }
  const Result<DomainStatement> ours = statement_for(peer.value()->domain);
  if (!ours.ok()) return pki::to_status(ours.error());
  write(ours.value(), *out);
  return grpc::Status::OK;
}

// Another connection after a change of certificates, lists or the agreement: whoever was believed before is
// judged again before anything is sent there.
v1::Exchange::Stub& Link::stub_for(Peer& peer, const DomainAgreement& agreement) {
  const std::uint64_t generation = peer.live->generation();
  if (peer.stub == nullptr || peer.address != agreement.controller || peer.identity != agreement.identity ||
      peer.generation != generation) {
    peer.address = agreement.controller;
    peer.identity = agreement.identity;
    peer.generation = generation;
    peer.stub =
        v1::Exchange::NewStub(pki::connect_to(peer.live, peer.address, peer.identity, statement_bytes_max));
  }
  return *peer.stub;
}

Outcome Link::ask(Peer& peer, const DomainAgreement& agreement) {
  const Result<DomainStatement> ours = statement_for(peer.domain);
  if (!ours.ok()) return ours.error();
  v1::DomainStatement request;
  v1::DomainStatement answer;
  write(ours.value(), request);
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + patience);
  const grpc::Status status = stub_for(peer, agreement).Tell(&context, request, &answer);
  if (!status.ok()) {
    return pki::from_status(
        status, {what_ask, "ssn-controller", "the controller of an agreed domain", agreement.controller});
  }
  // It was judged when the connection began, and no file has changed since; but certificates and lists end.
  const auto auth = context.auth_context();
  const pki::Caller server =
      auth == nullptr ? pki::Caller{} : pki::caller_of(*auth, peer.live.get(), pki::Purpose::server);
  if (server.kind != pki::Caller::Kind::certified || server.name != agreement.identity ||
      !server.roles.has(pki::Role::controller)) {
    return Error{Exit::refused, what_ask,
                 fmt::format("the certificate there is not that of a controller {}", agreement.identity),
                 agreement.controller, "see that address and identity are those of the other controller"};
  }
  return take(peer, read(answer), Heard::answering);
}

// How long until the next look.
milliseconds Link::step(Peer& peer) {
  const Result<DomainAgreement> agreement = book_.agreement(peer.domain);
  if (!agreement.ok()) return look;
  const std::uint64_t wait_ms = book_.wait_ms(peer.domain, clock_().monotonic_ms);
  if (wait_ms != 0) return std::min(look, milliseconds(wait_ms));
  const Outcome asked = ask(peer, agreement.value());
  if (!asked.ok()) book_.fail(peer.domain, asked.error().why, clock_().monotonic_ms);
  return look;
}

void Link::work(Peer& peer) {
  std::unique_lock lock(mutex_);
  while (!ending_) {
    lock.unlock();
    const milliseconds wait = step(peer);
    lock.lock();
    changed_.wait_for(lock, wait, [this] { return ending_; });
  }
}

}  // namespace

Result<std::unique_ptr<ExchangeLink>> ExchangeLink::start(const ServerSettings& own,
                                                          const ExchangeSettings& settings,
                                                          Catalogue& catalogue, DomainBook& book,
                                                          const Bytes16& instance, std::function<Now()> clock,
                                                          audit::AuditLog* audit) {
  pki::prepare_grpc(pki::GrpcLog::limited, "ssn-controller");
  auto link = std::make_unique<Link>(catalogue, book, instance, std::move(clock));
  if (Outcome started = link->start(own, settings, audit); !started.ok()) return started.error();
  return std::unique_ptr<ExchangeLink>(std::move(link));
}

void step_domains(Catalogue& catalogue, DomainBook& book, Now now) {
  book.follow(catalogue.agreements(), catalogue.node_names(), now.monotonic_ms);
  catalogue.tell_domains(now, book.troubles(now.monotonic_ms));
}

}  // namespace ssn::controller
