// SPDX-License-Identifier: BSD-3-Clause
#include "agent_source.h"

#include <fmt/core.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <map>

#include "process.h"
#include "trace_session.h"

namespace ssn::dataplane {
namespace {

using agent::Status;
using agent::StatusItem;

std::string rate(std::uint64_t bits_per_second) {
  return bits_per_second == 0 ? "unknown" : fmt::format("{} Mbit/s", bits_per_second / 1'000'000U);
}

const char* role_of(const Configuration& configuration) {
  if (configuration.ssa.present) return "ssa";
  if (configuration.shareholder.present) return "shareholder";
  return configuration.streams.empty() ? "bridge" : "wire";
}

class Source final : public agent::AgentSource {
 public:
  explicit Source(Process& process) : process_(process), started_(std::chrono::steady_clock::now()) {}

  Status status() override {
    const Process::Snapshot now = process_.snapshot();
    Status status;
    status.node = now.configuration->name;
    status.version = SSN_VERSION;
    status.role = role_of(*now.configuration);
    status.configuration = now.configuration->file;
    status.generation = now.generation;
    status.process_id = static_cast<std::uint64_t>(::getpid());
    status.uptime = std::chrono::steady_clock::now() - started_;
    status.fallbacks = process_.fallbacks();
    for (const std::unique_ptr<Worker>& worker : process_.workers()) {
      status.items.push_back({"worker",
                              std::to_string(worker->index()),
                              true,
                              "running",
                              {{"cpu", std::to_string(worker->cpu())},
                               {"idle", std::string(name(now.configuration->workers.idle))}}});
    }
    add_ports(now, status);
    now.running->add_status(status);
    return status;
  }

  void counters(const std::string& prefix, std::vector<agent::Counter>& out) override {
    std::map<std::string, agent::Counter> all;
    for (Counters::Value& value : process_.counters().read(prefix)) {
      const auto kind =
          value.kind == CounterKind::gauge ? agent::Counter::Kind::gauge : agent::Counter::Kind::counter;
      all[value.name] = {value.name, value.value, kind};
    }
    const auto add = [&](const std::string& name, std::uint64_t value) {
      if (name.compare(0, prefix.size(), prefix) == 0) {
        all[name] = {name, value, agent::Counter::Kind::counter};
      }
    };
    for (const NodeStatistics& node : process_.pipeline().totals()) {
      const std::string name = "node." + node.name + ".";
      add(name + "calls", node.calls);
      add(name + "packets", node.packets);
      add(name + "cycles", node.cycles);
      add(name + "reallocations", node.reallocations);
    }
    std::vector<agent::Counter> others;
    process_.snapshot().running->add_counters(others);
    if (process_.agent() != nullptr) {
      process_.agent()->counters(others);
    }
    for (const agent::Counter& each : others) {
      if (each.name.compare(0, prefix.size(), prefix) == 0) {
        all[each.name] = each;
      }
    }
    for (auto& [name, counter] : all) {
      out.push_back(std::move(counter));
    }
  }

  Result<std::unique_ptr<agent::TraceSession>> start_trace(const agent::TraceRequest& request) override {
    return start_trace_session(process_, request, tracing_);
  }

  Result<std::vector<agent::Graph>> graphs() override {
    std::vector<agent::Graph> graphs;
    for (const GraphStatistics& of_worker : process_.pipeline().statistics()) {
      agent::Graph& graph = graphs.emplace_back();
      graph.worker = of_worker.worker;
      for (const NodeStatistics& node : of_worker.nodes) {
        graph.nodes.push_back({node.name, node.next, node.calls, node.packets, node.cycles});
      }
    }
    return graphs;
  }

  agent::SwapResult swap(agent::SwapMode mode, const std::string& toml, const std::string& file) override {
    agent::SwapResult result;
    const Process::Snapshot now = process_.snapshot();
    result.generation = now.generation;
    Result<Configuration> next = Configuration::parse(toml, file);
    if (!next.ok()) {
      result.errors.push_back(next.error());
      return result;
    }
    if (mode == agent::SwapMode::check) {
      return result;
    }
    result.changes = now.configuration->changes(next.value());
    Outcome outcome = now.configuration->check_swap(next.value());
    if (outcome.ok() && mode == agent::SwapMode::apply) {
      const bool ran = process_.loop().call([&] { outcome = process_.swap(std::move(next.value())); });
      if (!ran) {
        outcome = Error{Exit::temporary, "cannot change the configuration", "the process is busy or ends",
                        file, "try again"};
      }
      result.applied = outcome.ok();
      result.generation = process_.snapshot().generation;
    }
    if (!outcome.ok()) {
      result.errors.push_back(outcome.error());
    }
    return result;
  }

  Result<std::string> readmit(const std::string& peer) override {
    return process_.snapshot().running->readmit(peer);
  }

 private:
  void add_ports(const Process::Snapshot& now, Status& status) const {
    for (std::size_t i = 0; i < now.ports.size(); ++i) {
      const Port& port = *process_.ports().all()[i];
      const bool up = now.ports[i].link.up;
      StatusItem item{"port", port.name, up, up ? "link up" : "link down", {}};
      item.properties = {
          {"device", port.device},
          {"driver", port.driver},
          {"mac", format(port.mac)},
          {"mtu", std::to_string(port.mtu)},
          {"rate", rate(now.ports[i].link.bits_per_second)},
          {"queues", fmt::format("{} receive, {} send", port.receive_queues, port.send_queues)}};
      for (const IpPrefix& address : now.configuration->ports[i].addresses) {
        item.properties.emplace_back("address", format(address));
      }
      status.items.push_back(std::move(item));
    }
  }

  Process& process_;
  const std::chrono::steady_clock::time_point started_;
  std::atomic<bool> tracing_{false};
};

}  // namespace

std::unique_ptr<agent::AgentSource> make_agent_source(Process& process) {
  return std::make_unique<Source>(process);
}

}  // namespace ssn::dataplane
