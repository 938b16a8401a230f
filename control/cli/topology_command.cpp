// SPDX-License-Identifier: BSD-3-Clause
#include "ssn/hw/topology.h"

#include <fmt/core.h>

#include <limits>
#include <map>

#include "command.h"
#include "shown_text.h"

namespace ssn::cli {
namespace {

constexpr unsigned unset = std::numeric_limits<unsigned>::max();

class TopologyCommand final : public Command {
 public:
  const char* name() const noexcept override { return "topology"; }
  const char* summary() const noexcept override {
    return "Show which cores, memory node and devices would be used, and why";
  }
  const char* examples() const noexcept override {
    return "  ssn topology                                 this machine\n"
           "  ssn topology --workers 4 --devices ens1f0    as many workers, near that port\n"
           "  ssn topology --topology other.xml            a machine that `lstopo other.xml` described\n"
           "  ssn topology --topology 'synthetic:pack:2 [numa] core:8 pu:2' --isolated 2-7\n";
  }
  void declare(OptionTable& table) override;
  Exit run(const OutputOptions& output) override;

 private:
  Result<hw::Machine> machine() const;
  void print(const hw::Machine& machine, const hw::Plan& plan) const;
  void print_json(const hw::Machine& machine, const hw::Plan& plan) const;

  std::string source_;
  std::string isolated_;
  std::string devices_;
  unsigned workers_ = 0;
  unsigned node_ = unset;
};

void TopologyCommand::declare(OptionTable& table) {
  using Need = OptionTable::Need;
  table.number("--workers", workers_, 1, 1024, Need::optional,
               "So many workers (default: all suitable cores)");
  table.number("--node", node_, 0, 1023, Need::optional,
               "On this memory node (default: that of the devices)");
  table.text("--devices", devices_, "LIST", Need::optional,
             "Ports and key devices that will be used: names or PCI addresses, with commas");
  table.text("--topology", source_, "FILE", Need::optional,
             "Another machine: an XML file of hwloc, or synthetic:DESCRIPTION");
  table.text("--isolated", isolated_, "LIST", Need::optional,
             "Isolated CPUs of that other machine, such as 2-7,10");
}

Result<hw::Machine> TopologyCommand::machine() const {
  if (!source_.empty()) {
    return hw::read_machine_from(source_, isolated_);
  }
  if (!isolated_.empty()) {
    return Error{Exit::usage, "cannot take --isolated", "this machine's kernel says what is isolated",
                 "--isolated", "use it together with --topology"};
  }
  return hw::read_machine();
}

std::string node_text(int node) {
  return node == hw::no_node ? "node unknown" : fmt::format("node {}", node);
}

void TopologyCommand::print(const hw::Machine& machine, const hw::Plan& plan) const {
  std::string text = fmt::format("{}: CPUs {}, memory nodes {}, devices {}\n", machine.origin,
                                 machine.cpus.size(), machine.nodes.size(), machine.devices.size());
  text += fmt::format("memory   node {}: {}\n", plan.node, plan.node_why);
  text += fmt::format("workers  CPU {}\ncontrol  CPU {}\n\n", hw::format_cpu_list(plan.workers),
                      hw::format_cpu_list(plan.control));
  // CPUs with the same reason stand in one line.
  std::map<std::pair<hw::PlannedCpu::Role, std::string>, std::vector<unsigned>> alike;
  for (const hw::PlannedCpu& cpu : plan.cpus) {
    alike[{cpu.role, cpu.why}].push_back(cpu.id);
  }
  for (const auto& [reason, cpus] : alike) {
    text += fmt::format("CPU {:<12} {:<8} {}\n", hw::format_cpu_list(cpus), hw::name(reason.first),
                        reason.second);
  }
  for (const hw::PlannedDevice& entry : plan.devices) {
    text += fmt::format("{:<16} {:<8} {}: {} ({})\n", entry.device.name, entry.used ? "used" : "none",
                        node_text(entry.device.node), entry.why, hw::name(entry.device.kind));
  }
  print_text(text);
}

void write_cpus(JsonWriter& json, const std::vector<unsigned>& cpus) {
  json.begin_array();
  for (const unsigned cpu : cpus) {
    json.value(cpu);
  }
  json.end_array();
}

void write_node(JsonWriter& json, int node) {
  json.key("node");
  if (node == hw::no_node) {
    json.null();
  } else {
    json.value(static_cast<unsigned>(node));
  }
}

void TopologyCommand::print_json(const hw::Machine& machine, const hw::Plan& plan) const {
  JsonWriter json;
  begin_document(json, "ssn.topology/1", nullptr);
  json.member("machine", machine.origin);
  write_node(json, plan.node);
  json.member("node_why", plan.node_why).key("workers");
  write_cpus(json, plan.workers);
  json.key("control");
  write_cpus(json, plan.control);
  json.key("cpus").begin_array();
  for (const hw::PlannedCpu& cpu : plan.cpus) {
    json.begin_object()
        .member("id", cpu.id)
        .member("role", hw::name(cpu.role))
        .member("why", cpu.why)
        .end_object();
  }
  json.end_array().key("devices").begin_array();
  for (const hw::PlannedDevice& entry : plan.devices) {
    json.begin_object().member("name", entry.device.name).member("pci", entry.device.pci);
    json.member("kind", hw::name(entry.device.kind)).member("model", entry.device.model);
    write_node(json, entry.device.node);
    json.member("used", entry.used).member("why", entry.why).end_object();
  }
  json.end_array().key("warnings").begin_array();
  for (const std::string& warning : plan.warnings) {
    json.value(warning);
  }
  json.end_array().end_object();
  print_text(json.text());
}

Exit TopologyCommand::run(const OutputOptions& output) {
  hw::PlanWish wish;
  wish.workers = workers_;
  wish.node = node_ == unset ? hw::no_node : static_cast<int>(node_);
  wish.devices = split_list(devices_);
  const Result<hw::Machine> machine = this->machine();
  const Result<hw::Plan> plan =
      machine.ok() ? hw::make_plan(machine.value(), wish) : Result<hw::Plan>(machine.error());
  if (!plan.ok()) {
    print_error(plan.error());
    if (output.json) {
      print_error_document("ssn.topology/1", plan.error());
    }
    return plan.error().code;
  }
  if (output.json) {
    print_json(machine.value(), plan.value());
  } else if (!output.quiet) {
    print(machine.value(), plan.value());
  }
  for (const std::string& warning : plan.value().warnings) {
    print_warning(warning);
  }
  return Exit::ok;
}

}  // namespace

std::unique_ptr<Command> make_topology_command() { return std::make_unique<TopologyCommand>(); }

}  // namespace ssn::cli
