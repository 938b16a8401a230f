// SPDX-License-Identifier: BSD-3-Clause
#include "fake_agent_source.h"

#include <unistd.h>

#include <algorithm>
#include <thread>

namespace ssn::test {
namespace {

using agent::Counter;
using agent::TraceHop;

struct Edge {
  const char* node;
  const char* next;
};
constexpr Edge path[] = {{"port_rx", "wire_classify"}, {"wire_classify", "wire_pack"}, {"wire_pack", ""}};
constexpr const char* port = "client";

class FakeTrace final : public agent::TraceSession {
 public:
  FakeTrace(const agent::TraceRequest& request, bool endless, std::atomic<unsigned>& running)
      : left_(request.packets), endless_(endless), running_(running) {
    ++running_;
  }
  ~FakeTrace() override { --running_; }
  FakeTrace(const FakeTrace&) = delete;
  FakeTrace& operator=(const FakeTrace&) = delete;

  bool read(std::vector<TraceHop>& out, std::chrono::milliseconds wait) override {
    if (endless_) {
      std::this_thread::sleep_for(wait);
    }
    for (unsigned burst = 0; burst < 100 && left_ != 0; ++burst) {
      ++packet_;
      for (const Edge& edge : path) {
        const std::string detail = edge.node == std::string("wire_pack") ? "stream 1, block 7" : "";
        out.push_back({packet_, 1, packet_ * 1000 + out.size(), edge.node, edge.next, 1514, detail});
      }
      left_ -= endless_ ? 0 : 1;
    }
    return left_ != 0;
  }
  std::uint64_t lost() const override { return 0; }

 private:
  std::uint32_t left_;
  std::uint64_t packet_ = 0;
  bool endless_;
  std::atomic<unsigned>& running_;
};

}  // namespace

agent::Status FakeAgentSource::status() {
  agent::Status status;
  status.node = "sae-a";
  status.version = "0.0";
  status.role = "wire";
  status.configuration = "sae-a.toml";
  status.generation = generation_;
  status.process_id = static_cast<std::uint64_t>(::getpid());
  status.uptime = std::chrono::milliseconds(1500);
  status.fallbacks = {"no huge pages: memory is mapped in pages of 4 KiB"};
  status.items = {
      {"worker", "1", true, "running", {{"idle", "event"}}},
      {"port", port, true, "up", {{"device", "net_null0"}, {"mtu", "1500"}}},
      {"stream", "1", false, "waiting for keys", {{"scheme", "systematic (3,5)"}}},
  };
  return status;
}

void FakeAgentSource::counters(const std::string& prefix, std::vector<Counter>& out) {
  const std::uint64_t n = ++asked_;
  std::vector<Counter> all = {
      {"drop.bad_tag", 3, Counter::Kind::counter},
      {"keys.sae-b.stock", 1'000'000 - n % 2 * 1000, Counter::Kind::gauge},
      {"node.wire_pack.calls", n * 10, Counter::Kind::counter},
      {"node.wire_pack.cycles", n * 64'000, Counter::Kind::counter},
      {"node.wire_pack.packets", n * 320, Counter::Kind::counter},
      {"stream.1.bytes_in", n * 480'000, Counter::Kind::counter},
      {"stream.1.frames_in", n * 320, Counter::Kind::counter},
  };
  for (unsigned i = 0; i < more_counters; ++i) {
    all.push_back(
        {"test." + std::to_string(i) + ".a_counter_with_a_name_of_some_length", n, Counter::Kind::counter});
  }
  std::sort(all.begin(), all.end(), [](const Counter& a, const Counter& b) { return a.name < b.name; });
  std::copy_if(all.begin(), all.end(), std::back_inserter(out),
               [&](const Counter& counter) { return counter.name.starts_with(prefix); });
}

Result<std::unique_ptr<agent::TraceSession>> FakeAgentSource::start_trace(
    const agent::TraceRequest& request) {
  const bool known =
      request.node.empty() || std::any_of(std::begin(path), std::end(path),
                                          [&](const Edge& edge) { return request.node == edge.node; });
  if (!known || (!request.port.empty() && request.port != port)) {
    return Error{Exit::usage, "cannot trace packets", "there is no such node or port",
                 known ? request.port : request.node, "see `ssn dataplane graph`"};
  }
  return std::unique_ptr<agent::TraceSession>(std::make_unique<FakeTrace>(request, endless_traces, traces));
}

Result<std::vector<agent::Graph>> FakeAgentSource::graphs() {
  agent::Graph graph{1, {}};
  for (const Edge& edge : path) {
    agent::GraphNode node{edge.node, {"drop-bad_header"}, 10, 320, 64'000};
    if (*edge.next != '\0') {
      node.next.insert(node.next.begin(), edge.next);
    }
    graph.nodes.push_back(std::move(node));
  }
  graph.nodes.push_back({"drop-bad_header", {}, 1, 2, 300});
  return std::vector<agent::Graph>{graph};
}

agent::SwapResult FakeAgentSource::swap(agent::SwapMode mode, const std::string& toml,
                                        const std::string& file) {
  ++swaps;
  const std::lock_guard lock(swapping);
  agent::SwapResult result{false, generation_, {}, {}};
  if (toml.find("[node]") == std::string::npos) {
    result.errors.push_back(
        {Exit::usage, "cannot use the configuration", "[node] is missing", file + ":1:1", "add it"});
    result.errors.push_back(
        {Exit::usage, "cannot use the configuration", "there is nothing in it", file + ":1:1", "write it"});
    return result;
  }
  if (mode == agent::SwapMode::check) {
    return result;
  }
  if (toml.find("sae-a") == std::string::npos) {
    result.errors.push_back({Exit::refused, "cannot change the configuration",
                             "the node's name changes only with a restart", file + ":2:1", "restart it"});
    return result;
  }
  result.changes = {"stream 1: latency 0 us -> 50 us"};
  if (mode == agent::SwapMode::apply) {
    result.applied = true;
    result.generation = ++generation_;
  }
  return result;
}

Result<std::string> FakeAgentSource::readmit(const std::string& peer) {
  constexpr const char* what = "cannot end the quarantine";
  if (peer != "sae-b")
    return Error{Exit::not_found, what, "no such peer is configured", peer, "name another"};
  if (!quarantined_.exchange(false)) {
    return Error{Exit::refused, what, "it is in no quarantine", peer, "nothing"};
  }
  return std::string("it was cloned");
}

}  // namespace ssn::test
