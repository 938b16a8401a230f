// SPDX-License-Identifier: BSD-3-Clause
#include "reshare_service.h"

#include <fmt/core.h>
#include <grpcpp/grpcpp.h>

#include <map>

#include "call_error.h"
#include "operation.grpc.pb.h"
#include "reshare_messages.h"
#include "stream_watch.h"

namespace ssn::agent {
namespace {

using Clock = std::chrono::steady_clock;
using pki::to_status;
using std::chrono::milliseconds;

constexpr const char* what = "cannot order re-sharing";
constexpr milliseconds patience{10'000};     // with callers that do not read
constexpr milliseconds cancel_interval{50};  // how often a sleeping stream looks whether its caller left
constexpr unsigned interval_least_ms = 100;
constexpr unsigned interval_most_ms = 3'600'000;
constexpr unsigned interval_ms = 1000;

// Counts a call in while there is room.
class Place {
 public:
  Place(std::atomic<unsigned>& taken, unsigned most)
      : taken_(taken), has_(taken_.fetch_add(1, std::memory_order_relaxed) < most) {}
  ~Place() { taken_.fetch_sub(1, std::memory_order_relaxed); }
  Place(const Place&) = delete;
  Place& operator=(const Place&) = delete;
  bool has() const noexcept { return has_; }

 private:
  std::atomic<unsigned>& taken_;
  const bool has_;
};

class Server final : public ReshareServer, private api::Resharing::Service {
 public:
  Server(ReshareGate& gate, Setup setup, const std::shared_ptr<pki::LiveIdentity>& live,
         AgentCounters& counters)
      : gate_(gate),
        setup_(std::move(setup)),
        live_(live),
        counters_(counters),
        watch_(patience, counters.stalled) {}

  grpc::Service& service() override { return *this; }

 private:
  using Context = grpc::ServerContext;

  bool may(const Caller& caller) const {
    return is_operator(caller, setup_.operators) ||
           (caller.kind == Caller::Kind::certified && !setup_.controller.empty() &&
            caller.name == setup_.controller && caller.roles.has(pki::Role::controller));
  }

  // Everything begins here: nobody gets further who may not.
  Outcome admit(const Context& context) {
    counters_.calls.fetch_add(1, std::memory_order_relaxed);
    const Caller caller = caller_of(*context.auth_context(), live_.get());
    const bool permitted = may(caller);
    if (permitted && setup_.serves) return done;
    counters_.refused.fetch_add(1, std::memory_order_relaxed);
    if (permitted) {
      return Error{Exit::refused, what, "this data plane makes no shares anew", "",
                   "ask a shareholder whose peers are shareholders, too"};
    }
    return Error{Exit::refused, what,
                 caller.name.empty()
                     ? caller.why
                     : fmt::format("{} is neither an operator nor the controller", caller.name),
                 "", "[controller] name says whose certificate may, with the OU controller"};
  }

  static Error starting() {
    return {Exit::temporary, what, "the data plane is starting or ending", "", "try again soon"};
  }

  Error busy() {
    counters_.busy.fetch_add(1, std::memory_order_relaxed);
    return {Exit::temporary, what, "too many such calls run already", "", "try again soon"};
  }

  // `call` gets the host, and says what came of it.
  template <typename Call>
  grpc::Status answer(const Context& context, Call call) {
    if (const Outcome admitted = admit(context); !admitted.ok()) return to_status(admitted.error());
    if (const Outcome logged = may_go_on(setup_.audit); !logged.ok()) return to_status(logged.error());
    const Place place(calls_, reshare_calls_max);
    if (!place.has()) return to_status(busy());
    const ReshareGate::Pass host = gate_.enter();
    if (!host) return to_status(starting());
    const Outcome outcome = call(*host.get());
    return outcome.ok() ? grpc::Status::OK : to_status(outcome.error());
  }

  grpc::Status OrderReshare(Context* context, const api::ReshareOrder* request,
                            api::ReshareAnswer* reply) override {
    return answer(*context, [&](ReshareHost& host) -> Outcome {
      const Result<OrderReply> ordered = host.order_reshare(request->term(), read(*request));
      if (!ordered.ok()) return ordered.error();
      write(ordered.value(), *reply);
      return done;
    });
  }

  grpc::Status CancelReshare(Context* context, const api::CancelReshareRequest* request,
                             api::CancelReshareAnswer* reply) override {
    return answer(*context, [&](ReshareHost& host) -> Outcome {
      const Result<CancelReply> cancelled = host.cancel_reshare(request->term(), request->job());
      if (!cancelled.ok()) return cancelled.error();
      reply->set_known(cancelled.value().known);
      reply->set_term(cancelled.value().term.term);
      return done;
    });
  }

  grpc::Status Erase(Context* context, const api::EraseRequest* request, api::EraseAnswer* reply) override {
    return answer(*context, [&](ReshareHost& host) -> Outcome {
      if (request->generation() == 0 || request->generation() > UINT32_MAX) {
        return Error{Exit::usage, "cannot erase a generation", "there is none of that number", "",
                     "generations are 1 to 2^32 - 1"};
      }
      const Result<TermState> erased =
          host.erase(request->term(), request->object(), static_cast<std::uint32_t>(request->generation()));
      if (!erased.ok()) return erased.error();
      reply->set_erased(!erased.value().is_old);
      reply->set_term(erased.value().term);
      return done;
    });
  }

  grpc::Status ListReshares(Context* context, const api::ListResharesRequest* request,
                            grpc::ServerWriter<api::ReshareList>* writer) override {
    if (const Outcome admitted = admit(*context); !admitted.ok()) return to_status(admitted.error());
    const unsigned interval = request->interval_ms() == 0 ? interval_ms : request->interval_ms();
    if (interval < interval_least_ms || interval > interval_most_ms) {
      return to_status({Exit::usage, "cannot list re-sharing", "the interval is out of its limits", "",
                        fmt::format("ask every {} ms to {} ms", interval_least_ms, interval_most_ms)});
    }
    const Place place(streams_, reshare_streams_max);
    if (!place.has()) return to_status(busy());
    return stream(*context, milliseconds(interval), request->lists(), *writer);
  }

  grpc::Status stream(Context& context, milliseconds interval, std::uint32_t lists,
                      grpc::ServerWriter<api::ReshareList>& writer) {
    std::map<std::uint64_t, std::string> told;  // by job, as it was sent
    Clock::time_point next = Clock::now();
    const CallerProof proof(*context.auth_context(), live_.get());
    for (std::uint64_t list = 0; lists == 0 || list < lists; ++list) {
      if (list != 0 && !sleep(context, proof, next += interval)) {
        return context.IsCancelled() ? grpc::Status::CANCELLED
                                     : to_status(proof.holds() ? starting() : not_any_more(what));
      }
      api::ReshareList message;
      if (const Outcome outcome = fill(message, told); !outcome.ok()) return to_status(outcome.error());
      message.set_complete(list == 0);
      const StreamWatch::Write watched(watch_, [&context] { context.TryCancel(); });
      if (!writer.Write(message)) return grpc::Status::CANCELLED;
      next = std::max(next, Clock::now() - interval);  // a machine that slept does not make up for it
    }
    return grpc::Status::OK;
  }

  // What is not as it was told before.
  Outcome fill(api::ReshareList& message, std::map<std::uint64_t, std::string>& told) {
    const ReshareGate::Pass host = gate_.enter();
    if (!host) return starting();
    const Result<std::vector<ReshareReport>> reports = host->reshares();
    if (!reports.ok()) return reports.error();
    std::map<std::uint64_t, std::string> now;
    for (const ReshareReport& report : reports.value()) {
      api::ReshareStatus status;
      write(report, status);
      std::string& text = now[status.job()] = status.SerializeAsString();
      const auto before = told.find(status.job());
      if (before == told.end() || before->second != text) *message.add_jobs() = std::move(status);
    }
    told = std::move(now);
    return done;
  }

  // Sleeps while the caller is there, and still is who it was, and the host too.
  bool sleep(const Context& context, const CallerProof& proof, Clock::time_point until) {
    for (;;) {
      const Clock::time_point now = Clock::now();
      if (context.IsCancelled() || !proof.holds()) return false;
      if (now >= until) return true;
      if (!gate_.sleep_until(std::min(until, now + cancel_interval))) return false;
    }
  }

  ReshareGate& gate_;
  const Setup setup_;
  const std::shared_ptr<pki::LiveIdentity>& live_;
  AgentCounters& counters_;
  StreamWatch watch_;
  std::atomic<unsigned> calls_{0};
  std::atomic<unsigned> streams_{0};
};

}  // namespace

std::unique_ptr<ReshareServer> ReshareServer::make(ReshareGate& gate, Setup setup,
                                                   const std::shared_ptr<pki::LiveIdentity>& live,
                                                   AgentCounters& counters) {
  return std::make_unique<Server>(gate, std::move(setup), live, counters);
}

}  // namespace ssn::agent
