// SPDX-License-Identifier: BSD-3-Clause
// Chooses. Everything on one memory node, that of the devices; one worker a core; cores that the kernel keeps
// free first; one core left for everything else.
#include <fmt/core.h>

#include <algorithm>
#include <map>
#include <set>

#include "ssn/hw/topology.h"

namespace ssn::hw {
namespace {

constexpr const char* cannot = "cannot plan the cores";
using Role = PlannedCpu::Role;

std::string join(const std::vector<std::string>& words) {
  std::string out;
  for (const std::string& word : words) {
    out += out.empty() ? "" : ", ";
    out += word;
  }
  return out;
}

class Planner {
 public:
  Planner(const Machine& machine, const PlanWish& wish) : machine_(machine), wish_(wish) {}
  Result<Plan> run();

 private:
  Outcome find_devices();
  Outcome choose_node();
  Outcome node_of_devices();
  void node_with_most_cores();
  void reject_cpus();
  void choose_workers();
  void choose_control();
  void explain_devices();
  void warn();

  bool is_node(int node) const {
    return std::any_of(machine_.nodes.begin(), machine_.nodes.end(),
                       [&](const MemoryNode& known) { return known.id == node; });
  }
  // Cores with an allowed CPU; those that are isolated weigh more.
  std::map<int, std::size_t> cores_by_node() const;
  PlannedCpu& planned(unsigned id) {
    return *std::find_if(plan_.cpus.begin(), plan_.cpus.end(),
                         [&](const PlannedCpu& cpu) { return cpu.id == id; });
  }
  bool rejected(const Cpu& cpu) { return !planned(cpu.id).why.empty(); }
  void reject(const Cpu& cpu, std::string why) { planned(cpu.id).why = std::move(why); }

  const Machine& machine_;
  const PlanWish& wish_;
  Plan plan_;
  std::vector<const Device*> wanted_;    // named by the wish
  std::vector<const Device*> deciding_;  // those, or the network devices
  std::vector<const Cpu*> candidates_;   // for workers, best first
};

Outcome Planner::find_devices() {
  for (const std::string& name : wish_.devices) {
    const auto found =
        std::find_if(machine_.devices.begin(), machine_.devices.end(),
                     [&](const Device& device) { return device.name == name || device.pci == name; });
    if (found == machine_.devices.end()) {
      std::vector<std::string> names;
      for (const Device& device : machine_.devices) {
        names.push_back(device.name);
      }
      return Error{Exit::not_found, cannot, fmt::format("there is no device {}", name), machine_.origin,
                   names.empty() ? "it has none that hwloc knows" : "choose from: " + join(names)};
    }
    wanted_.push_back(&*found);
  }
  deciding_ = wanted_;
  for (const Device& device : machine_.devices) {
    if (wish_.devices.empty() && device.kind == Device::Kind::network && device.node != no_node) {
      deciding_.push_back(&device);
    }
  }
  return done;
}

std::map<int, std::size_t> Planner::cores_by_node() const {
  std::map<int, std::set<unsigned>> cores;
  for (const Cpu& cpu : machine_.cpus) {
    if (cpu.allowed) {
      cores[cpu.node].insert(cpu.core);
    }
  }
  std::map<int, std::size_t> counts;
  for (const auto& [node, numbers] : cores) {
    counts[node] = numbers.size();
  }
  return counts;
}

void Planner::node_with_most_cores() {
  std::size_t most = 0;
  for (const auto& [node, cores] : cores_by_node()) {
    if (cores > most) {
      most = cores;
      plan_.node = node;
    }
  }
  plan_.node_why = machine_.nodes.size() == 1
                       ? "it is the only one"
                       : fmt::format("no device decides, and most usable cores are on it ({})", most);
}

Outcome Planner::node_of_devices() {
  std::map<int, std::vector<std::string>> by_node;
  for (const Device* const device : deciding_) {
    if (device->node != no_node) {
      by_node[device->node].push_back(device->name);
    }
  }
  const std::map<int, std::size_t> cores = cores_by_node();
  std::size_t most = 0;
  bool without_cores = false;
  for (const auto& [node, names] : by_node) {
    if (!cores.contains(node)) {
      without_cores = true;
    } else if (names.size() > most) {
      most = names.size();
      plan_.node = node;
      plan_.node_why = fmt::format("{} {} on it", join(names), names.size() == 1 ? "is" : "are");
    }
  }
  if (most == 0) {
    node_with_most_cores();
    if (without_cores) {
      plan_.node_why =
          "the node of the devices has no core that may be used; most usable cores are on this one";
    }
  } else if (machine_.nodes.size() == 1) {
    plan_.node_why = "it is the only one";
  }
  return done;
}

Outcome Planner::choose_node() {
  if (wish_.node == no_node) {
    return node_of_devices();
  }
  if (!is_node(wish_.node)) {
    return Error{Exit::not_found, cannot, fmt::format("there is no memory node {}", wish_.node),
                 machine_.origin, fmt::format("it has {}, see `ssn topology`", machine_.nodes.size())};
  }
  plan_.node = wish_.node;
  plan_.node_why = "it was asked for";
  return done;
}

// Everything that can be no worker, most telling reason first.
void Planner::reject_cpus() {
  unsigned fastest = 0;
  bool isolated = false;
  for (const Cpu& cpu : machine_.cpus) {
    plan_.cpus.push_back({cpu.id, Role::none, ""});
    if (cpu.allowed && cpu.node == plan_.node) {
      fastest = std::max(fastest, cpu.performance);
      isolated = isolated || cpu.isolated;
    }
  }
  std::map<unsigned, unsigned> first_of_core;
  for (const Cpu& cpu : machine_.cpus) {
    if (!cpu.allowed) {
      reject(cpu, "the cgroup of this process does not permit it");
    } else if (cpu.node != plan_.node) {
      reject(cpu,
             fmt::format("on memory node {}: its accesses would cross to node {}", cpu.node, plan_.node));
    } else if (isolated && !cpu.isolated) {
      reject(cpu, "not isolated, while others are: the kernel runs other work here");
    } else if (cpu.performance < fastest) {
      reject(cpu, "a slower kind of core than others here");
    } else if (const auto [first, fresh] = first_of_core.try_emplace(cpu.core, cpu.id); !fresh) {
      reject(cpu, fmt::format("shares a core with CPU {}", first->second));
    } else {
      candidates_.push_back(&cpu);
    }
  }
}

void Planner::choose_workers() {
  // Few workers stay under one cache: caches with most candidates first.
  std::map<unsigned, std::size_t> in_cache;
  for (const Cpu* const cpu : candidates_) {
    ++in_cache[cpu->cache];
  }
  // Without isolation the kernel does its own work on the first CPU, mostly: it is for control then.
  const Cpu* spare = nullptr;
  const bool enough = candidates_.size() > std::max(1U, wish_.workers);
  if (enough && !candidates_.front()->isolated) {
    spare = *std::min_element(candidates_.begin(), candidates_.end(),
                              [](const Cpu* a, const Cpu* b) { return a->id < b->id; });
    std::erase(candidates_, spare);
    --in_cache[spare->cache];
  }
  std::sort(candidates_.begin(), candidates_.end(), [&](const Cpu* a, const Cpu* b) {
    const std::size_t of_a = in_cache[a->cache];
    const std::size_t of_b = in_cache[b->cache];
    return of_a != of_b ? of_a > of_b : std::pair(a->cache, a->id) < std::pair(b->cache, b->id);
  });
  for (const Cpu* const cpu : candidates_) {
    if (wish_.workers != 0 && plan_.workers.size() == wish_.workers) {
      reject(*cpu, "suitable, but more workers were not asked for");
      continue;
    }
    plan_.workers.push_back(cpu->id);
    planned(cpu->id) = {cpu->id, Role::worker,
                        cpu->isolated
                            ? "isolated, on the node, alone on its core"
                            : "on the node, alone on its core; not isolated, so the kernel may interrupt it"};
  }
  if (spare != nullptr) {
    planned(spare->id) = {spare->id, Role::control, "left for the kernel, gRPC and the store's threads"};
    plan_.control.push_back(spare->id);
  }
}

// Whatever else runs must not run on workers. Best on the same node, and with isolation there is no spare
// yet.
void Planner::choose_control() {
  const auto add = [&](const auto& suits, const char* why) {
    for (const Cpu& cpu : machine_.cpus) {
      if (plan_.control.empty() && cpu.allowed && planned(cpu.id).role == Role::none && suits(cpu)) {
        planned(cpu.id) = {cpu.id, Role::control, why};
        plan_.control.push_back(cpu.id);
      }
    }
  };
  const std::set<unsigned> workers(plan_.workers.begin(), plan_.workers.end());
  std::set<unsigned> worker_cores;
  for (const Cpu& cpu : machine_.cpus) {
    if (workers.contains(cpu.id)) {
      worker_cores.insert(cpu.core);
    }
  }
  const auto free_core = [&](const Cpu& cpu) { return !worker_cores.contains(cpu.core) && !cpu.isolated; };
  add([&](const Cpu& cpu) { return cpu.node == plan_.node && free_core(cpu); },
      "on the node and not isolated: for gRPC and the store's threads");
  add(free_core, "on another node, but not isolated: for gRPC and the store's threads");
  add([&](const Cpu& cpu) { return !worker_cores.contains(cpu.core); },
      "the only kind that is left for gRPC and the store's threads");
  add([](const Cpu&) { return true; },
      "shares a core with a worker, but no other CPU is left for gRPC and the store");
  if (plan_.control.empty() && !plan_.workers.empty()) {
    plan_.control.push_back(plan_.workers.front());
    planned(plan_.workers.front()).why += "; also for gRPC and the store's threads: there is no other";
    plan_.warnings.push_back(
        "one CPU does everything: start the data plane without --poll, or it will starve itself");
  }
}

void Planner::explain_devices() {
  for (const Device& device : machine_.devices) {
    const bool named = std::find(wanted_.begin(), wanted_.end(), &device) != wanted_.end();
    const bool possible = wish_.devices.empty() && device.kind == Device::Kind::network;
    PlannedDevice entry{device, named || possible, ""};
    if (device.node == no_node) {
      entry.why = "its memory node is unknown, or equally far from all";
    } else if (device.node == plan_.node) {
      entry.why = "on the node of the workers";
    } else {
      entry.why = fmt::format("on node {}: each access crosses to node {}", device.node, plan_.node);
      if (named) {
        plan_.warnings.push_back(
            fmt::format("{} is on node {}, the workers on node {}: move it to another slot, or "
                        "run a data plane on each node",
                        device.name, device.node, plan_.node));
      }
      entry.used = named;
    }
    if (!named && !possible) {
      entry.why = wish_.devices.empty() ? "not used: no network device" : "not used: not asked for";
    }
    plan_.devices.push_back(std::move(entry));
  }
}

void Planner::warn() {
  const bool isolated = std::any_of(machine_.cpus.begin(), machine_.cpus.end(), [&](const Cpu& cpu) {
    return cpu.isolated && planned(cpu.id).role == Role::worker;
  });
  if (!isolated) {
    plan_.warnings.push_back(
        "no worker is isolated: other programs may take its time; see docs/operating.md, cores");
  }
}

Result<Plan> Planner::run() {
  if (machine_.cpus.empty() || machine_.nodes.empty()) {
    return Error{Exit::failed, cannot, "the description names no CPU or no memory node", machine_.origin,
                 "give another description"};
  }
  if (Outcome outcome = find_devices(); !outcome.ok()) {
    return outcome.error();
  }
  if (Outcome outcome = choose_node(); !outcome.ok()) {
    return outcome.error();
  }
  reject_cpus();
  choose_workers();
  if (plan_.workers.empty()) {
    return Error{Exit::refused, cannot, fmt::format("no CPU of memory node {} may be used", plan_.node),
                 machine_.origin, "choose another node, or permit its CPUs in the cgroup (cpuset.cpus)"};
  }
  if (plan_.workers.size() < wish_.workers) {
    return Error{Exit::refused, cannot,
                 fmt::format("{} workers were asked for, and only {} suitable cores are on memory node {}",
                             wish_.workers, plan_.workers.size(), plan_.node),
                 machine_.origin, "ask for fewer; `ssn topology` says why the others are not suitable"};
  }
  choose_control();
  explain_devices();
  warn();
  return std::move(plan_);
}

}  // namespace

std::string_view name(PlannedCpu::Role role) noexcept {
  switch (role) {
    case Role::worker:
      return "worker";
    case Role::control:
      return "control";
    case Role::none:
      break;
  }
  return "none";
}

Result<Plan> make_plan(const Machine& machine, const PlanWish& wish) { return Planner(machine, wish).run(); }

}  // namespace ssn::hw
