// SPDX-License-Identifier: BSD-3-Clause
#include "ssn/dataplane/agent.h"

#include <fmt/core.h>
#include <grpcpp/grpcpp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <set>

#include "access.h"
#include "call_audit.h"
#include "credentials.h"
#include "identity_status.h"
#include "messages.h"
#include "operation_service.h"
#include "peer_hub.h"
#include "peer_streams.h"
#include "reshare_service.h"
#include "session_service.h"
#include "source_gate.h"

namespace ssn::agent {
namespace {

constexpr const char* const what = "cannot start the agent";
constexpr int streams_per_connection = 32;
constexpr std::size_t memory_max = std::size_t{64} << 20;
constexpr int owner_threads_max = session_calls_max;
constexpr int reshare_threads_max = reshare_calls_max + reshare_streams_max;
constexpr std::chrono::milliseconds ending{500};  // calls that take longer are cancelled

Error usage(std::string why, std::string where, std::string fix) {
  return {Exit::usage, what, std::move(why), std::move(where), std::move(fix)};
}

// Removes the socket of a process that is gone. One that answers is an error, and so is what is no socket.
Outcome clear_socket(const std::string& path) {
  sockaddr_un address{};
  if (path.size() >= sizeof address.sun_path) {
    return usage(fmt::format("the path of the socket is longer than {} bytes", sizeof address.sun_path - 1),
                 path, "choose a shorter one");
  }
  struct stat status{};
  if (::lstat(path.c_str(), &status) != 0) {
    return errno == ENOENT ? Outcome(done) : Outcome(system_error(errno, what, path));
  }
  if (!S_ISSOCK(status.st_mode)) {
    return Error{Exit::refused, what, "where its socket should be is something else", path,
                 "remove that, or choose another path"};
  }
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) {
    return system_error(errno, what, path);
  }
  const bool answers = ::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
  ::close(fd);
  if (answers) {
    return Error{Exit::refused, what, "another process answers on its socket", path,
                 "end that process, or choose another path"};
  }
  return ::unlink(path.c_str()) == 0 || errno == ENOENT ? Outcome(done)
                                                        : Outcome(system_error(errno, what, path));
}

// Files of this scope are made for this user only.
class PrivateFiles {
 public:
  PrivateFiles() : before_(::umask(0177)) {}
  ~PrivateFiles() { ::umask(before_); }
  PrivateFiles(const PrivateFiles&) = delete;
  PrivateFiles& operator=(const PrivateFiles&) = delete;

 private:
  mode_t before_;
};

void tell(const std::string& line) { fmt::print(stderr, "agent: {}\n", line); }

class Running final : public Agent {
 public:
  explicit Running(const AgentSettings& settings)
      : settings_(settings),
        streams_(PeerStreams::make(settings_, live_, counters_)),
        hub_(settings.name, [this](const PeerAddress& peer) { return streams_->call(peer); }),
        operation_(OperationServer::make(gate_, settings_.operators, live_, counters_, settings_.audit)),
        sessions_(SessionServer::make(host_gate_, settings_.owners, live_, counters_, settings_.audit)),
        resharing_(ReshareServer::make(
            reshare_gate_, {settings_.reshares, settings_.controller, settings_.operators, settings_.audit},
            live_, counters_)) {
    streams_->connect(hub_);
  }
  ~Running() override;

  Outcome start();

  void serve(AgentSource& source) override { gate_.open(source); }
  void stop_serving() override { gate_.close(); }
  void serve_owners(SessionHost& host) override { host_gate_.open(host); }
  void stop_serving_owners() override { host_gate_.close(); }
  void serve_resharing(ReshareHost& host) override { reshare_gate_.open(host); }
  void stop_serving_resharing() override { reshare_gate_.close(); }
  dataplane::PeerChannel* peer_channel() override { return settings_.listen.empty() ? nullptr : &hub_; }
  Outcome set_peers(const std::vector<PeerAddress>& peers) override;
  std::vector<PeerState> peers() const override { return hub_.peers(); }
  const std::string& listening() const override { return listening_; }
  void counters(std::vector<Counter>& out) const override;
  std::string certificate_trouble() const override;

 private:
  Outcome listen();

  const AgentSettings settings_;
  std::shared_ptr<pki::LiveIdentity> live_;  // null without TLS
  AgentCounters counters_;
  SourceGate gate_;
  HostGate host_gate_;
  ReshareGate reshare_gate_;
  std::unique_ptr<PeerStreams> streams_;
  PeerHub hub_;
  std::unique_ptr<OperationServer> operation_;
  std::unique_ptr<SessionServer> sessions_;
  std::unique_ptr<ReshareServer> resharing_;
  std::shared_ptr<grpc::ServerCredentials> credentials_;  // which the server asks while it lives
  std::unique_ptr<grpc::Server> server_;
  std::string listening_;
  std::unique_ptr<pki::IdentityWatch> watch_;
};

Outcome check(const AgentSettings& settings) {
  if (settings.listen.empty() && settings.socket.empty()) {
    return usage("it has neither an address nor a socket to listen on", "[agent]", "give one of them");
  }
  if (settings.listen.empty() && !settings.peers.empty()) {
    return usage("peers need an address to listen on", "[agent] listen", "give one");
  }
  if (!settings.listen.empty() && pki::target_of(settings.listen).empty()) {
    return usage("this is no address with a port", settings.listen,
                 "write it like 127.0.0.1:7000 or [::1]:7000");
  }
  for (const PeerAddress& peer : settings.peers) {
    if (!peer.address.empty() && pki::target_of(peer.address).empty()) {
      return usage(fmt::format("the agent of {} has no address with a port", peer.name), peer.address,
                   "write it like 192.0.2.1:7000 or [2001:db8::1]:7000");
    }
  }
  if (settings.owners && settings.listen.empty()) {
    return usage("data owners need an address to ask at", "[agent] listen", "give one");
  }
  const std::set<std::string> operators(settings.operators.begin(), settings.operators.end());
  if (operators.size() > operators_max || operators.contains("")) {
    return usage(fmt::format("operators are up to {} names, none of them empty", operators_max),
                 "[agent] operators", "correct the list");
  }
  return done;
}

Outcome Running::set_peers(const std::vector<PeerAddress>& peers) {
  AgentSettings changed = settings_;
  changed.peers = peers;
  if (Outcome checked = check(changed); !checked.ok()) {
    return checked;
  }
  return hub_.set_peers(peers);
}

Outcome Running::start() {
  if (Outcome checked = check(settings_); !checked.ok()) {
    return checked;
  }
  if (!settings_.listen.empty()) {
    Result<std::shared_ptr<pki::LiveIdentity>> live =
        pki::LiveIdentity::open({settings_.certificate, settings_.key, settings_.ca, settings_.crl},
                                pki::CertificateUse::node, tell, ::time(nullptr));
    if (!live.ok()) {
      return live.error();
    }
    if (const std::string name = live.value()->identity()->name; name != settings_.name) {
      return Error{Exit::refused, what,
                   fmt::format("its certificate is that of {}, but this node is {}", name, settings_.name),
                   settings_.certificate,
                   "give the node's own certificate, or the node the certificate's name"};
    }
    live_ = std::move(live.value());
  }
  if (!settings_.socket.empty()) {
    if (Outcome cleared = clear_socket(settings_.socket); !cleared.ok()) {
      return cleared;
    }
  }
  if (Outcome set = hub_.set_peers(settings_.peers); !set.ok()) {  // before they can call
    return set;
  }
  return listen();
}

Outcome Running::listen() {
  grpc::ServerBuilder builder;
  builder.RegisterService(&operation_->service());
  builder.RegisterService(&resharing_->service());
  const int threads = operator_threads_max + (settings_.owners ? owner_threads_max : 0) +
                      (settings_.reshares ? reshare_threads_max : 0);
  pki::set_limits(builder, {"ssn-agent", threads, memory_max, request_max, streams_per_connection});
  audit::note_calls(builder, settings_.audit);
  int port = 0;
  int local = 0;
  if (!settings_.listen.empty()) {
    builder.RegisterService(&streams_->service());
    builder.RegisterService(&sessions_->service());
    credentials_ = pki::server_credentials(live_);
    builder.AddListeningPort(settings_.listen, credentials_, &port);
  }
  if (!settings_.socket.empty()) {
    builder.AddListeningPort("unix:" + settings_.socket, pki::local_credentials(), &local);
  }
  {
    const PrivateFiles only_ours;
    server_ = builder.BuildAndStart();
  }
  if (server_ == nullptr) {
    const bool address = !settings_.listen.empty() && port == 0;
    return Error{Exit::temporary, what, "it cannot listen there",
                 address ? settings_.listen : settings_.socket,
                 address ? "see that the address belongs to this machine and no other process has the port"
                         : "see that the folder is there and this user may write to it"};
  }
  if (!settings_.listen.empty()) {
    listening_ = fmt::format("{}:{}", settings_.listen.substr(0, settings_.listen.rfind(':')), port);
    watch_ = std::make_unique<pki::IdentityWatch>(std::vector{live_}, [this] { hub_.close_unproven(); });
  }
  return done;
}

Running::~Running() {
  watch_.reset();
  gate_.close();
  host_gate_.close();
  reshare_gate_.close();
  hub_.stop();
  if (server_ != nullptr) {
    server_->Shutdown(std::chrono::system_clock::now() + ending);
    server_->Wait();
  }
  streams_->wait_for_end();
  if (server_ != nullptr && !settings_.socket.empty()) {
    ::unlink(settings_.socket.c_str());
  }
}

void Running::counters(std::vector<Counter>& out) const {
  const std::size_t first = out.size();
  const auto add = [&](const char* name, const std::atomic<std::uint64_t>& value,
                       Counter::Kind kind = Counter::Kind::counter) {
    out.push_back({name, value.load(std::memory_order_relaxed), kind});
  };
  add("agent.busy", counters_.busy);
  add("agent.calls", counters_.calls);
  add("agent.counter_streams", counters_.counter_streams, Counter::Kind::gauge);
  add("agent.peer_streams", counters_.peer_streams);
  add("agent.peer_streams_bad", counters_.peer_streams_bad);
  add("agent.refused", counters_.refused);
  add("agent.session_calls", counters_.session_calls);
  add("agent.stalled", counters_.stalled);
  add("agent.trace_streams", counters_.trace_streams, Counter::Kind::gauge);
  if (settings_.audit != nullptr) {
    const audit::AuditLog::Counts log = settings_.audit->counts();
    out.push_back({"agent.audit_counted", log.counted, Counter::Kind::counter});
    out.push_back({"agent.audit_failures", log.failures, Counter::Kind::counter});
    out.push_back({"agent.audit_lost", log.lost, Counter::Kind::counter});
    out.push_back({"agent.audit_written", log.written, Counter::Kind::counter});
  }
  if (live_ != nullptr) {
    add_counters(live_->state(::time(nullptr)), ::time(nullptr), out);
  }
  std::sort(out.begin() + static_cast<std::ptrdiff_t>(first), out.end(),
            [](const Counter& one, const Counter& other) { return one.name < other.name; });
}

std::string Running::certificate_trouble() const {
  if (live_ == nullptr) return "";
  const pki::LiveIdentity::State state = live_->state(::time(nullptr));
  return state.healthy ? "" : state.condition;
}

}  // namespace

Result<std::unique_ptr<Agent>> Agent::start(const AgentSettings& settings) {
  pki::prepare_grpc(pki::GrpcLog::limited, "agent");
  auto agent = std::make_unique<Running>(settings);
  if (Outcome started = agent->start(); !started.ok()) {
    return started.error();
  }
  return std::unique_ptr<Agent>(std::move(agent));
}

}  // namespace ssn::agent
