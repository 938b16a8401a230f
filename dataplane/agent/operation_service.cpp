// SPDX-License-Identifier: BSD-3-Clause
#include "operation_service.h"

#include <fmt/core.h>
#include <grpcpp/grpcpp.h>

#include <algorithm>
#include <ctime>

#include "identity_status.h"
#include "messages.h"
#include "operation.grpc.pb.h"
#include "stream_watch.h"

namespace ssn::agent {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr milliseconds patience{10'000};     // with callers that do not read
constexpr milliseconds cancel_interval{50};  // how often a sleeping stream looks whether its caller left
constexpr unsigned interval_least_ms = 100;
constexpr unsigned interval_most_ms = 3'600'000;
constexpr unsigned interval_ms = 1000;
constexpr std::size_t prefix_max = 256;

Error busy(const char* what, unsigned most) {
  return {Exit::temporary, what, fmt::format("{} such streams run already", most), "",
          "end one of them first"};
}

// Counts a stream in while there is room.
class Place {
 public:
  Place(std::atomic<std::uint64_t>& taken, unsigned most) : taken_(taken) {
    has_ = taken_.fetch_add(1, std::memory_order_relaxed) < most;
  }
  ~Place() { taken_.fetch_sub(1, std::memory_order_relaxed); }
  Place(const Place&) = delete;
  Place& operator=(const Place&) = delete;
  bool has() const noexcept { return has_; }

 private:
  std::atomic<std::uint64_t>& taken_;
  bool has_;
};

// Of `now`, those that are new or different since `before`; both are sorted by name.
std::vector<Counter> changes(const std::vector<Counter>& before, const std::vector<Counter>& now) {
  std::vector<Counter> changed;
  auto old = before.begin();
  for (const Counter& counter : now) {
    while (old != before.end() && old->name < counter.name) {
      ++old;
    }
    if (old == before.end() || old->name != counter.name || old->value != counter.value) {
      changed.push_back(counter);
    }
  }
  return changed;
}

class Server final : public OperationServer, private api::Operation::Service {
 public:
  Server(SourceGate& gate, const std::vector<std::string>& operators,
         const std::shared_ptr<pki::LiveIdentity>& live, AgentCounters& counters,
         const audit::AuditLog* audit)
      : gate_(gate),
        operators_(operators),
        live_(live),
        counters_(counters),
        audit_(audit),
        watch_(patience, counters.stalled) {}

  grpc::Service& service() override { return *this; }

 private:
  // Everything begins here: nobody gets further who may not.
  Outcome admit(const grpc::ServerContext& context) {
    counters_.calls.fetch_add(1, std::memory_order_relaxed);
    const Caller caller = caller_of(*context.auth_context(), live_.get());
    if (is_operator(caller, operators_)) {
      return done;
    }
    counters_.refused.fetch_add(1, std::memory_order_relaxed);
    return Error{Exit::refused, "cannot answer",
                 caller.name.empty() ? caller.why : fmt::format("{} is no operator", caller.name), "",
                 "list the common name of the certificate in [agent] operators, or use the local socket"};
  }

  // The same for what changes something.
  Outcome admit_change(const grpc::ServerContext& context) {
    const Outcome admitted = admit(context);
    return admitted.ok() ? may_go_on(audit_) : admitted;
  }

  static Error starting() {
    return {Exit::temporary, "cannot answer", "the data plane is starting or ending", "", "try again soon"};
  }

  // Whether the reader took it. Waits no longer than our patience.
  template <typename Message>
  bool write(grpc::ServerContext& context, grpc::ServerWriter<Message>& writer, const Message& message) {
    const StreamWatch::Write watched(watch_, [&context] { context.TryCancel(); });
    return writer.Write(message);
  }

  // Sleeps while the caller is there, and still is who it was, and the source too.
  bool sleep(const grpc::ServerContext& context, const CallerProof& proof, Clock::time_point until) {
    for (;;) {
      const Clock::time_point now = Clock::now();
      if (context.IsCancelled() || !proof.holds()) {
        return false;
      }
      if (now >= until) {
        return true;
      }
      if (!gate_.sleep_until(std::min(until, now + cancel_interval))) {
        return false;
      }
    }
  }

  grpc::Status GetStatus(grpc::ServerContext* context, const api::StatusRequest*,
                         api::Status* answer) override {
    if (const Outcome admitted = admit(*context); !admitted.ok()) {
      return to_status(admitted.error());
    }
    const SourceGate::Pass source = gate_.enter();
    if (!source) {
      return to_status(starting());
    }
    Status status = source->status();
    if (live_ != nullptr) {
      status.items.push_back(status_item(live_->state(::time(nullptr)), ::time(nullptr)));
    }
    agent::write(status, *answer);
    return grpc::Status::OK;
  }

  grpc::Status GetGraph(grpc::ServerContext* context, const api::GraphRequest*,
                        api::Graphs* answer) override {
    if (const Outcome admitted = admit(*context); !admitted.ok()) {
      return to_status(admitted.error());
    }
    const SourceGate::Pass source = gate_.enter();
    if (!source) {
      return to_status(starting());
    }
    const Result<std::vector<Graph>> graphs = source->graphs();
    if (!graphs.ok()) {
      return to_status(graphs.error());
    }
    agent::write(graphs.value(), *answer);
    return grpc::Status::OK;
  }

  grpc::Status WatchCounters(grpc::ServerContext* context, const api::CountersRequest* request,
                             grpc::ServerWriter<api::CounterSnapshot>* writer) override {
    const char* const what = "cannot show counters";
    if (const Outcome admitted = admit(*context); !admitted.ok()) {
      return to_status(admitted.error());
    }
    const unsigned interval = request->interval_ms() == 0 ? interval_ms : request->interval_ms();
    if (interval < interval_least_ms || interval > interval_most_ms ||
        request->prefix().size() > prefix_max) {
      return to_status({Exit::usage, what, "the interval or the prefix is out of its limits", "",
                        fmt::format("ask every {} ms to {} ms, for a prefix of up to {} bytes",
                                    interval_least_ms, interval_most_ms, prefix_max)});
    }
    const Place place(counters_.counter_streams, counter_streams_max);
    if (!place.has()) {
      counters_.busy.fetch_add(1, std::memory_order_relaxed);
      return to_status(busy(what, counter_streams_max));
    }
    return stream_counters(*context, *request, milliseconds(interval), *writer);
  }

  grpc::Status stream_counters(grpc::ServerContext& context, const api::CountersRequest& request,
                               milliseconds interval, grpc::ServerWriter<api::CounterSnapshot>& writer) {
    std::vector<Counter> before;
    std::vector<Counter> now;
    Clock::time_point next = Clock::now();
    const CallerProof proof(*context.auth_context(), live_.get());
    for (std::uint64_t snapshot = 0; request.snapshots() == 0 || snapshot < request.snapshots(); ++snapshot) {
      if (snapshot != 0 && !sleep(context, proof, next += interval)) {
        return context.IsCancelled() ? grpc::Status::CANCELLED
                                     : to_status(proof.holds() ? starting() : not_any_more("cannot go on"));
      }
      now.clear();
      const Clock::time_point taken = Clock::now();
      {
        const SourceGate::Pass source = gate_.enter();
        if (!source) {
          return to_status(starting());
        }
        source->counters(request.prefix(), now);
      }
      api::CounterSnapshot message;
      message.set_time_ns(
          static_cast<std::uint64_t>(std::chrono::nanoseconds(taken.time_since_epoch()).count()));
      message.set_complete(snapshot == 0);
      agent::write(snapshot == 0 ? now : changes(before, now), message);
      if (!write(context, writer, message)) {
        return grpc::Status::CANCELLED;
      }
      before.swap(now);
      next = std::max(next, taken - interval);  // a machine that slept does not make up for it
    }
    return grpc::Status::OK;
  }

  grpc::Status Trace(grpc::ServerContext* context, const api::TraceRequest* request,
                     grpc::ServerWriter<api::TraceHops>* writer) override {
    const char* const what = "cannot trace packets";
    if (const Outcome admitted = admit(*context); !admitted.ok()) {
      return to_status(admitted.error());
    }
    if (request->packets() == 0 || request->packets() > trace_packets_max ||
        request->node().size() > prefix_max || request->port().size() > prefix_max) {
      return to_status({Exit::usage, what, "the number of packets or a filter is out of its limits", "",
                        fmt::format("ask for 1 to {} packets", trace_packets_max)});
    }
    const Place place(counters_.trace_streams, trace_streams_max);
    if (!place.has()) {
      counters_.busy.fetch_add(1, std::memory_order_relaxed);
      return to_status(busy(what, trace_streams_max));
    }
    return stream_trace(*context, {request->packets(), request->node(), request->port()}, *writer);
  }

  // Holds the source all the time: the session belongs to it. Looks often whether it must let go.
  grpc::Status stream_trace(grpc::ServerContext& context, const TraceRequest& request,
                            grpc::ServerWriter<api::TraceHops>& writer) {
    const SourceGate::Pass source = gate_.enter();
    if (!source) {
      return to_status(starting());
    }
    const Result<std::unique_ptr<TraceSession>> session = source->start_trace(request);
    if (!session.ok()) {
      return to_status(session.error());
    }
    if (!write(context, writer, api::TraceHops())) {
      return grpc::Status::CANCELLED;
    }
    const CallerProof proof(*context.auth_context(), live_.get());
    std::vector<TraceHop> hops;
    std::uint64_t lost = 0;
    for (bool more = true; more;) {
      hops.clear();
      more = session.value()->read(hops, cancel_interval);
      if (!hops.empty() || session.value()->lost() != lost) {
        lost = session.value()->lost();
        api::TraceHops message;
        agent::write(hops, message);
        message.set_lost(lost);
        if (!write(context, writer, message)) {
          return grpc::Status::CANCELLED;
        }
      }
      if (context.IsCancelled()) {
        return grpc::Status::CANCELLED;
      }
      if (!proof.holds()) {
        return to_status(not_any_more("cannot go on"));
      }
      if (more && !gate_.sleep_until(Clock::now())) {
        return to_status(starting());
      }
    }
    return grpc::Status::OK;
  }

  grpc::Status Swap(grpc::ServerContext* context, const api::SwapRequest* request,
                    api::SwapResult* answer) override {
    const char* const what = "cannot change the configuration";
    if (const Outcome admitted = admit_change(*context); !admitted.ok()) {
      return to_status(admitted.error());
    }
    if (request->toml().size() > swap_text_max || !api::SwapMode_IsValid(request->mode())) {
      return to_status({Exit::usage, what, "the text is too long, or the mode unknown", "",
                        fmt::format("send up to {} MiB of TOML", swap_text_max >> 20)});
    }
    const std::unique_lock one_at_a_time(swap_, std::try_to_lock);
    if (!one_at_a_time) {
      counters_.busy.fetch_add(1, std::memory_order_relaxed);
      return to_status(
          {Exit::temporary, what, "another change is under way", "", "try again when it is done"});
    }
    const SourceGate::Pass source = gate_.enter();
    if (!source) {
      return to_status(starting());
    }
    const SwapMode mode = request->mode() == api::SWAP_MODE_CHECK     ? SwapMode::check
                          : request->mode() == api::SWAP_MODE_DRY_RUN ? SwapMode::dry_run
                                                                      : SwapMode::apply;
    const std::string file = request->file().empty() ? "configuration" : clean_text(request->file(), 1024);
    agent::write(source->swap(mode, request->toml(), file), *answer);
    return grpc::Status::OK;
  }

  grpc::Status Readmit(grpc::ServerContext* context, const api::ReadmitRequest* request,
                       api::ReadmitAnswer* answer) override {
    if (const Outcome admitted = admit_change(*context); !admitted.ok()) {
      return to_status(admitted.error());
    }
    if (request->peer().size() > prefix_max) {
      return to_status({Exit::usage, "cannot readmit the peer", "its name is too long", "peer",
                        "name one of the [[peer]] tables"});
    }
    const SourceGate::Pass source = gate_.enter();
    if (!source) {
      return to_status(starting());
    }
    const Result<std::string> ended = source->readmit(request->peer());
    if (!ended.ok()) {
      return to_status(ended.error());
    }
    answer->set_quarantine(clean_text(ended.value(), prefix_max));
    return grpc::Status::OK;
  }

  SourceGate& gate_;
  const std::vector<std::string>& operators_;
  const std::shared_ptr<pki::LiveIdentity>& live_;
  AgentCounters& counters_;
  const audit::AuditLog* const audit_;
  StreamWatch watch_;
  std::mutex swap_;
};

}  // namespace

std::unique_ptr<OperationServer> OperationServer::make(SourceGate& gate,
                                                       const std::vector<std::string>& operators,
                                                       const std::shared_ptr<pki::LiveIdentity>& live,
                                                       AgentCounters& counters,
                                                       const audit::AuditLog* audit) {
  return std::make_unique<Server>(gate, operators, live, counters, audit);
}

}  // namespace ssn::agent
