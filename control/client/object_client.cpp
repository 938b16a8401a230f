// SPDX-License-Identifier: BSD-3-Clause
#include "object_client.h"

#include <fmt/core.h>
#include <poll.h>
#include <sys/random.h>

#include <algorithm>
#include <cerrno>

#include "session_client.h"
#include "ticket_check.h"
#include "transfer.h"
#include "transfer_errors.h"

namespace ssn::client {
namespace {

using controller::Object;
using std::chrono::milliseconds;
using std::chrono::nanoseconds;

constexpr const char* what_put = "cannot write the object";
constexpr const char* what_get = "cannot read the object";
constexpr milliseconds finish_wait{500};  // how long an interrupt may wait
constexpr milliseconds first_pause{250};  // doubled with each try
// More than this one end has no use for, whatever the SSA offers.
constexpr std::uint32_t window_max = 4096;

template <typename T>
Outcome fill_random(T& out) {
  auto* at = reinterpret_cast<std::uint8_t*>(&out);
  for (std::size_t got = 0; got < sizeof out;) {
    const ssize_t more = ::getrandom(at + got, sizeof out - got, 0);
    if (more < 0 && errno != EINTR) {
      return system_error(errno, "cannot draw a random number", "getrandom");
    }
    got += more > 0 ? static_cast<std::size_t>(more) : 0;
  }
  return done;
}

// Nobody answered, or not in time, or asks to try later: nothing else is worth another try.
bool may_pass(const Error& error) { return error.code == Exit::temporary; }

// False where it was stopped meanwhile.
bool pause(milliseconds time, const Watch& watch) {
  pollfd stop{watch.stop_fd, POLLIN, 0};
  return ::poll(&stop, 1, static_cast<int>(time.count())) <= 0;
}

// A session that is open at an SSA, and the data side of it. Closes it in the end.
class OpenSession {
 public:
  OpenSession() = default;
  OpenSession(OpenSession&&) noexcept = default;
  OpenSession& operator=(OpenSession&&) = delete;
  ~OpenSession() {
    if (client != nullptr && session.session != 0) {
      static_cast<void>(client->close(session.session));  // it ends by itself, too
    }
  }

  std::unique_ptr<SessionClient> client;
  agent::Session session;
  std::unique_ptr<SessionLink> link;
};

Error not_as_agreed(const char* what, const char* why, const std::string& where) {
  return {Exit::integrity, what, why, where, "use programs of the same version; else report it as a bug"};
}

// Of which it is known whether they have the object.
std::size_t decided_holders(const agent::WriteStatus& status) {
  return static_cast<std::size_t>(std::count_if(
      status.holders.begin(), status.holders.end(),
      [](const agent::HolderStatus& holder) { return holder.state != agent::HolderStatus::State::writing; }));
}

class Client final : public ObjectClient {
 public:
  Client(const ControllerPlace& place, const ObjectClientOptions& options,
         std::unique_ptr<ControllerClient> controller)
      : place_(place), options_(options), controller_(std::move(controller)) {
    limits_.patience_ns = static_cast<std::uint64_t>(nanoseconds(options.patience).count());
    limits_.ask_again_ns =
        std::min(static_cast<std::uint64_t>(nanoseconds(options.ask_again).count()), limits_.patience_ns / 4);
  }

  Result<PutReport> put(DataSource& source, const std::string& name, const PutOptions& options,
                        Watch& watch) override;
  Result<GetReport> get(const std::string& name, DataSink& sink, Watch& watch,
                        const std::function<Outcome(const Object&)>& opened) override;
  ControllerClient& controller() override { return *controller_; }

 private:
  using Open = Result<agent::Session> (SessionClient::*)(const agent::SessionRequest&);

  Result<OpenSession> open(const Object& object, const controller::NodeAddress& ssa, Open method,
                           const char* what);
  Outcome check(const agent::Session& session, const Object& object, const char* what) const;
  Result<controller::WriteTicket> begin(const controller::WriteRequest& request, const Watch& watch);
  Result<std::pair<controller::WriteTicket, OpenSession>> begin_session(controller::WriteRequest request,
                                                                        const Watch& watch);
  Result<PutReport> write(DataSource& source, const controller::WriteTicket& ticket, OpenSession& open,
                          const PutOptions& options, Watch& watch, bool& unknown);
  Result<agent::WriteStatus> finish(OpenSession& open, const BlockSender::Sent& sent, const Watch& watch);
  Result<PutReport> commit(const Object& object, const agent::WriteStatus& status, bool degraded,
                           const Watch& watch, bool& unknown);
  Error give_up(const Object& object, Error error);

  const ControllerPlace place_;
  const ObjectClientOptions options_;
  TransferLimits limits_;
  std::unique_ptr<ControllerClient> controller_;
};

// The first data address that can be reached from here says which of our addresses the SSA is told.
Result<OpenSession> Client::open(const Object& object, const controller::NodeAddress& ssa, Open method,
                                 const char* what) {
  Error last{Exit::temporary, what, fmt::format("the SSA {} has not said where its data ports are", ssa.node),
             "", "see that the SSA runs, then try again"};
  std::optional<UdpSocket> socket;
  for (const std::string& text : ssa.data_addresses) {
    const auto address = dataplane::parse_ip_endpoint(text);
    if (!address) {
      continue;
    }
    Result<UdpSocket> made = UdpSocket::make(*address);
    if (made.ok()) {
      socket = std::move(made.value());
      break;
    }
    last = made.error();
  }
  if (!socket) {
    return last;
  }
  OpenSession out;
  Result<std::unique_ptr<SessionClient>> client =
      SessionClient::make({ssa.agent, ssa.node, place_.certificate, place_.key, place_.ca, place_.crl});
  if (!client.ok()) {
    return client.error();
  }
  out.client = std::move(client.value());
  agent::SessionRequest request;
  request.key = {object.id, object.generation};
  request.data_address = format(socket->local());
  if (Outcome drawn = fill_random(request.connection_id); !drawn.ok()) {
    return drawn.error();
  }
  request.connection_id = std::max(request.connection_id, 1U);
  Result<agent::Session> session = ((*out.client).*method)(request);
  if (!session.ok()) {
    return session.error();
  }
  out.session = std::move(session.value());
  out.session.window_blocks = std::min(out.session.window_blocks, window_max);
  Outcome ready = check(out.session, object, what);
  ready = ready.ok() ? socket->connect(*dataplane::parse_ip_endpoint(out.session.data_address)) : ready;
  if (!ready.ok()) {
    return ready.error();
  }
  Result<std::unique_ptr<SessionLink>> link = SessionLink::make(
      out.session, std::move(*socket), {request.connection_id, out.session.window_blocks}, clock_ns());
  if (!link.ok()) {
    return link.error();
  }
  out.link = std::move(link.value());
  out.session.key_to_ssa.erase();
  out.session.key_to_owner.erase();
  return out;
}

// What the SSA says must agree with what the controller said.
Outcome Client::check(const agent::Session& session, const Object& object, const char* what) const {
  if (session.block_bytes != object.cell_bytes || session.secret_blocks != object.layout.secret_blocks) {
    return not_as_agreed(what, "SSA and controller do not agree on the size of cells", object.name);
  }
  const bool reads = object.state == controller::ObjectState::committed;
  const std::uint64_t blocks = object.size / session.block_bytes + (object.size % session.block_bytes != 0);
  if (reads && (session.size != object.size || session.blocks != blocks || blocks > UINT32_MAX)) {
    return not_as_agreed(what, "SSA and controller do not agree on the size of the object", object.name);
  }
  return done;
}

// With one token: answers that were lost are asked for again.
Result<controller::WriteTicket> Client::begin(const controller::WriteRequest& request, const Watch& watch) {
  for (unsigned left = options_.tries;; --left) {
    Result<controller::WriteTicket> ticket = controller_->begin_write(request);
    if (ticket.ok() || !may_pass(ticket.error()) || left <= 1) {
      return ticket;
    }
    if (!pause(first_pause * (1U << (options_.tries - left)), watch)) {
      return stopped(what_put);
    }
  }
}

// No data has moved yet: a write whose session cannot be opened now is given up, and another one begun.
Result<std::pair<controller::WriteTicket, OpenSession>> Client::begin_session(
    controller::WriteRequest request, const Watch& watch) {
  for (unsigned left = options_.tries;; --left) {
    if (Outcome drawn = fill_random(request.token); !drawn.ok()) {
      return drawn.error();
    }
    Result<controller::WriteTicket> ticket = begin(request, watch);
    if (!ticket.ok()) {
      return ticket.error();
    }
    if (Outcome agreed = check_ticket(ticket.value(), request); !agreed.ok()) {
      return give_up(ticket.value().object, agreed.error());
    }
    Result<OpenSession> opened =
        open(ticket.value().object, ticket.value().ssa, &SessionClient::open_write, what_put);
    if (opened.ok()) {
      return std::pair(std::move(ticket.value()), std::move(opened.value()));
    }
    Error error = give_up(ticket.value().object, opened.error());
    if (!may_pass(error) || left <= 1) {
      return error;
    }
    if (!pause(first_pause * (1U << (options_.tries - left)), watch)) {
      return stopped(what_put);
    }
  }
}

void tell_limit(const agent::Session& session, const Watch& watch) {
  if (session.bytes_per_second != 0 && watch.limited) {
    watch.limited(session.bytes_per_second, session.rate_of);
  }
}

// Says so where even that cannot be told; the lease ends the write then.
Error Client::give_up(const Object& object, Error error) {
  const Outcome aborted = controller_->abort(object.key());
  if (!aborted.ok() && aborted.error().code != Exit::not_found) {
    error.fix += fmt::format("; the controller could not be told ({}), and gives the write up by itself",
                             aborted.error().why);
  }
  return error;
}

Result<agent::WriteStatus> Client::finish(OpenSession& open, const BlockSender::Sent& sent,
                                          const Watch& watch) {
  auto end = std::chrono::steady_clock::now() + options_.patience;
  std::array<protocol::Cell*, SessionLink::max_burst> delivered;
  unsigned left = options_.tries;
  std::size_t decided = 0;
  for (;;) {
    const Result<agent::WriteStatus> status =
        open.client->finish(open.session.session, sent.bytes, sent.blocks, finish_wait);
    if (status.ok() ? status.value().state != agent::WriteState::sealing
                    : !may_pass(status.error()) || --left == 0) {
      return status;
    }
    // It goes on: a holder has sealed, or was given up.
    if (const std::size_t now = status.ok() ? decided_holders(status.value()) : 0; now > decided) {
      decided = now;
      end = std::chrono::steady_clock::now() + options_.patience;
    }
    // The SSA's transport may still ask something of ours.
    const Result<std::size_t> came = open.link->turn(clock_ns(), delivered);
    if (!came.ok()) {
      return came.error();
    }
    open.link->arena().give_back({delivered.data(), came.value()});
    if (watch.stopped()) {
      return stopped(what_put);
    }
    if (std::chrono::steady_clock::now() > end) {
      return Error{Exit::temporary, what_put, "the holders have not sealed it in time", "",
                   "see which holders are slow, then try again"};
    }
  }
}

Result<PutReport> Client::commit(const Object& object, const agent::WriteStatus& status, bool degraded,
                                 const Watch& watch, bool& unknown) {
  for (unsigned left = options_.tries;; --left) {
    const Result<controller::CommitAnswer> answer = controller_->commit(object.key(), degraded);
    if (answer.ok()) {
      PutReport report;
      report.object = answer.value().object;
      report.degraded = answer.value().degraded;
      report.replaced = answer.value().replaced;
      report.sealed = status.sealed;
      for (const agent::HolderStatus& holder : status.holders) {
        if (holder.state != agent::HolderStatus::State::sealed) {
          report.troubles.push_back({holder.share, holder.node, holder.trouble});
        }
      }
      return report;
    }
    const Error& error = answer.error();
    unknown = may_pass(error);
    if (!unknown) {
      return error;
    }
    if (left <= 1 || !pause(first_pause * (1U << (options_.tries - left)), watch)) {
      return Error{Exit::failed, what_put,
                   fmt::format("whether it was committed is not known: {}", error.why), error.where,
                   fmt::format("`ssn stat` shows which object has the name: this write's has the id {:016x}",
                               object.id)};
    }
  }
}

Result<PutReport> Client::write(DataSource& source, const controller::WriteTicket& ticket, OpenSession& open,
                                const PutOptions& options, Watch& watch, bool& unknown) {
  const Object& object = ticket.object;
  tell_limit(open.session, watch);
  const auto begin = std::chrono::steady_clock::now();
  Result<std::unique_ptr<BlockSender>> sender = BlockSender::make(
      *open.link, {object.id, static_cast<std::uint32_t>(object.generation)}, open.session, source, limits_);
  if (!sender.ok()) {
    return sender.error();
  }
  const Result<BlockSender::Sent> sent = sender.value()->run(watch);
  if (!sent.ok()) {
    return sent.error();
  }
  const Result<agent::WriteStatus> status = finish(open, sent.value(), watch);
  if (!status.ok()) {
    return status.error();
  }
  const agent::WriteStatus& sealed = status.value();
  if (sealed.state == agent::WriteState::failed ||
      (sealed.state == agent::WriteState::degraded && !options.accept_degraded)) {
    return Error{Exit::temporary, what_put,
                 fmt::format("{} of {} holders have it, {} must{}{}", sealed.sealed, sealed.holders.size(),
                             options.accept_degraded ? sealed.minimum : sealed.quorum,
                             sealed.why.empty() ? "" : ": ", sealed.why),
                 "", "see that enough holders are up, then try again"};
  }
  if (watch.stopped()) {
    return stopped(what_put);
  }
  Result<PutReport> report = commit(object, sealed, options.accept_degraded, watch, unknown);
  if (report.ok()) {
    report.value().took = std::chrono::steady_clock::now() - begin;
  }
  return report;
}

Result<PutReport> Client::put(DataSource& source, const std::string& name, const PutOptions& options,
                              Watch& watch) {
  controller::WriteRequest request = options.request;
  request.name = name;
  request.size = source.size();
  Result<std::pair<controller::WriteTicket, OpenSession>> begun = begin_session(std::move(request), watch);
  if (!begun.ok()) {
    return begun.error();
  }
  auto& [ticket, session] = begun.value();
  bool unknown = false;  // whether it was committed
  Result<PutReport> report = write(source, ticket, session, options, watch, unknown);
  return report.ok() || unknown ? std::move(report) : give_up(ticket.object, report.error());
}

Result<GetReport> Client::get(const std::string& name, DataSink& sink, Watch& watch,
                              const std::function<Outcome(const Object&)>& opened) {
  std::optional<OpenSession> session;
  Object object;
  for (unsigned left = options_.tries; !session; --left) {
    const Result<controller::ReadTicket> ticket = controller_->open_read(name);
    Error error;
    if (ticket.ok()) {
      object = ticket.value().object;
      Result<OpenSession> tried = open(object, ticket.value().ssa, &SessionClient::open_read, what_get);
      if (tried.ok()) {
        session.emplace(std::move(tried.value()));
        break;
      }
      error = tried.error();
    } else {
      error = ticket.error();
    }
    if (!may_pass(error) || left <= 1) {
      return error;
    }
    if (!pause(first_pause * (1U << (options_.tries - left)), watch)) {
      return stopped(what_get);
    }
  }
  if (Outcome heard = opened ? opened(object) : done; !heard.ok()) {
    return heard.error();
  }
  tell_limit(session->session, watch);
  const auto begin = std::chrono::steady_clock::now();
  Result<std::unique_ptr<BlockReceiver>> receiver =
      BlockReceiver::make(*session->link, {object.id, static_cast<std::uint32_t>(object.generation)},
                          session->session, sink, limits_);
  if (!receiver.ok()) {
    return receiver.error();
  }
  if (Outcome read = receiver.value()->run(watch); !read.ok()) {
    return read.error();
  }
  return GetReport{object, std::chrono::steady_clock::now() - begin};
}

}  // namespace

bool Watch::stopped() const noexcept {
  pollfd stop{stop_fd, POLLIN, 0};
  return stop_fd >= 0 && ::poll(&stop, 1, 0) > 0;
}

Result<std::unique_ptr<ObjectClient>> ObjectClient::make(const ControllerPlace& place,
                                                         const ObjectClientOptions& options) {
  Result<std::unique_ptr<ControllerClient>> controller = ControllerClient::make(place);
  if (!controller.ok()) {
    return controller.error();
  }
  return std::unique_ptr<ObjectClient>(
      std::make_unique<Client>(place, options, std::move(controller.value())));
}

}  // namespace ssn::client
