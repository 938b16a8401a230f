// SPDX-License-Identifier: BSD-3-Clause
#include "trace_session.h"

#include <fmt/core.h>

#include <algorithm>
#include <thread>
#include <utility>
#include <vector>

#include "process.h"
#include "ssn/dataplane/trace.h"

namespace ssn::dataplane {
namespace {

using std::chrono::milliseconds;
using Clock = std::chrono::steady_clock;

constexpr std::size_t hops_at_once = 1000;
// Marked packets that did nothing for so long are gone.
constexpr milliseconds quiet{500};
constexpr milliseconds patience{5000};

class Session final : public agent::TraceSession {
 public:
  Session(Process& process, std::atomic<bool>& busy) : process_(process), busy_(busy) {}
  ~Session() override {
    if (set_) {
      set(false);
    }
    busy_.store(false);
  }

  Outcome start(const agent::TraceRequest& request) {
    wish_.left = request.packets;
    if (!request.port.empty()) {
      const Port* const port = process_.ports().find(request.port);
      if (port == nullptr) {
        return Error{Exit::usage, "cannot trace", "there is no port " + request.port, "port",
                     "`ssn dataplane status` names the ports"};
      }
      wish_.port = port->id;
    }
    bool found = request.node.empty();
    for (const std::unique_ptr<Worker>& worker : process_.workers()) {
      std::uint32_t node = any_node;
      if (!request.node.empty()) {
        node = process_.pipeline().node_number(worker->index(), request.node);
        found = found || node != any_node;
        node = node == any_node ? no_node_at_all : node;
      }
      buffers_.push_back(std::make_unique<TraceBuffer>(wish_, node));
    }
    if (!found) {
      return Error{Exit::usage, "cannot trace", "there is no node " + request.node, "node",
                   "`ssn dataplane graph` names the nodes"};
    }
    last_ = Clock::now();
    set(true);
    return done;
  }

  bool read(std::vector<agent::TraceHop>& out, milliseconds wait) override {
    const auto end = Clock::now() + wait;
    for (;;) {
      const std::size_t before = out.size();
      take(out);
      if (out.size() != before) {
        last_ = Clock::now();
        return true;
      }
      if (wish_.left.load() == 0 && Clock::now() - last_ > quiet) {
        return false;
      }
      if (Clock::now() >= end) {
        return true;
      }
      std::this_thread::sleep_for(milliseconds(5));
    }
  }

  std::uint64_t lost() const override {
    std::uint64_t sum = 0;
    for (const std::unique_ptr<TraceBuffer>& buffer : buffers_) {
      sum += buffer->lost();
    }
    return sum;
  }

 private:
  static constexpr std::uint32_t no_node_at_all = any_node - 1;

  struct Change {
    Worker* worker;
    TraceBuffer* buffer;
    Ticket ticket = 0;
  };

  // Afterwards all workers write into the buffers, or none does.
  void set(bool on) {
    std::vector<Change> changes;
    for (const std::unique_ptr<Worker>& worker : process_.workers()) {
      changes.push_back({worker.get(), on ? buffers_[worker->index()].get() : nullptr});
    }
    const auto run = [](void* argument) {
      const Change& change = *static_cast<Change*>(argument);
      change.worker->set_trace(change.buffer);
    };
    set_ = set_ || on;
    for (Change& change : changes) {
      while (!change.worker->post({run, &change}, &change.ticket)) {
        std::this_thread::sleep_for(milliseconds(1));  // its inbox drains with the next walk
      }
    }
    for (const Change& change : changes) {
      while (!change.worker->wait(change.ticket, patience)) {
      }
    }
  }

  void take(std::vector<agent::TraceHop>& out) {
    for (std::size_t worker = 0; worker < buffers_.size(); ++worker) {
      records_.clear();
      buffers_[worker]->read(records_, hops_at_once / buffers_.size());
      for (const TraceRecord& record : records_) {
        out.push_back(hop(static_cast<std::uint32_t>(worker), record));
      }
    }
    // A worker reads its clock once a walk: what has one time stays in its order.
    std::vector<std::pair<std::uint64_t, std::size_t>> order;
    for (std::size_t i = 0; i < out.size(); ++i) {
      order.emplace_back(out[i].time_ns, i);
    }
    std::sort(order.begin(), order.end());
    std::vector<agent::TraceHop> sorted;
    sorted.reserve(out.size());
    for (const auto& [time_ns, at] : order) {
      sorted.push_back(std::move(out[at]));
    }
    out = std::move(sorted);
  }

  static agent::TraceHop hop(std::uint32_t worker, const TraceRecord& record) {
    agent::TraceHop hop;
    hop.packet = record.packet;
    hop.worker = worker;
    hop.time_ns = record.time_ns;
    hop.node = node_name(record.node);
    hop.next = record.next != any_node ? node_name(record.next) : "";
    hop.bytes = record.bytes;
    if (record.detail != nullptr) {
      hop.detail = fmt::format(fmt::runtime(record.detail), record.numbers[0], record.numbers[1]);
    }
    return hop;
  }

  Process& process_;
  std::atomic<bool>& busy_;
  TraceWish wish_;
  std::vector<std::unique_ptr<TraceBuffer>> buffers_;  // of each worker
  std::vector<TraceRecord> records_;
  Clock::time_point last_;
  bool set_ = false;
};

}  // namespace

Result<std::unique_ptr<agent::TraceSession>> start_trace_session(Process& process,
                                                                 const agent::TraceRequest& request,
                                                                 std::atomic<bool>& busy) {
  if (busy.exchange(true)) {
    return Error{Exit::temporary, "cannot trace", "another trace runs", "", "wait for its end"};
  }
  auto session = std::make_unique<Session>(process, busy);
  if (Outcome outcome = session->start(request); !outcome.ok()) {
    return outcome.error();
  }
  return std::unique_ptr<agent::TraceSession>(std::move(session));
}

}  // namespace ssn::dataplane
