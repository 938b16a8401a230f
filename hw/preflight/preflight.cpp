// SPDX-License-Identifier: BSD-3-Clause
// The list of all checks.
#include "ssn/hw/preflight.h"

#include <algorithm>

#include "checks.h"

namespace ssn::hw {
namespace {

using namespace preflight;

// In the order of the report.
constexpr Check checks[] = {
    check_kernels,
    check_cores,
    check_cpu_limit,
    check_huge_pages,
    check_left_huge_files,
    check_locked_memory,
    check_memory_limit,
    check_swap,
    check_numa_balancing,
    check_transparent_huge_pages,
    check_core_dumps,
    check_crash_dump,
    check_ptrace,
    check_entropy,
    check_virtual_machine,
    check_capabilities,
    check_key_devices,
    check_ports,
    check_iommu,
    check_clock_source,
    check_clock_synchronised,
    check_certificates,
    check_ledger,
};

}  // namespace

std::string_view name(Level level) noexcept {
  switch (level) {
    case Level::ok:
      return "ok";
    case Level::note:
      return "note";
    case Level::warning:
      return "warning";
    case Level::error:
      break;
  }
  return "error";
}

std::vector<Finding> run_preflight(const SystemView& system, const PreflightWish& wish) {
  Result<Machine> machine = system.machine();
  // A port that is not there is a finding of its own; the plan is then made without it.
  PlanWish known = wish.plan;
  if (machine.ok()) {
    std::erase_if(known.devices, [&](const std::string& device) {
      return std::none_of(machine.value().devices.begin(), machine.value().devices.end(),
                          [&](const Device& other) { return other.name == device || other.pci == device; });
    });
  }
  Result<Plan> plan = machine.ok() ? make_plan(machine.value(), known) : Result<Plan>(machine.error());
  const Context context{system, wish, std::move(machine), std::move(plan)};
  Report report;
  for (const Check check : checks) {
    check(context, report);
  }
  return std::move(report.findings);
}

Level worst(const std::vector<Finding>& findings) noexcept {
  Level level = Level::ok;
  for (const Finding& finding : findings) {
    level = std::max(level, finding.level);
  }
  return level;
}

}  // namespace ssn::hw
