// SPDX-License-Identifier: BSD-3-Clause
#include <fmt/core.h>

#include <algorithm>

#include "checks.h"

namespace ssn::hw::preflight {

void check_kernels(const Context& context, Report& report) {
  constexpr const char* id = "cpu.kernels";
  const SystemView::Kernels kernels = context.system.kernels();
  if (kernels.name.empty()) {
    report.error(
        id, "no kernels may be used: " + kernels.reason,
        "nothing can be split, padded or tagged without them",
        kernels.forced
            ? "unset SSN_KERNELS"
            : "run `ssn version`; if a self-test failed, the CPU or the program is broken: replace it");
    return;
  }
  if (!kernels.passed_over.empty()) {
    report.error(
        id, fmt::format("the self-test of {} failed", kernels.passed_over),
        "the CPU computes wrongly, or the program was built wrongly; do not trust this machine with data",
        "reinstall the program, then test the CPU and memory of this machine");
    return;
  }
  if (kernels.forced) {
    report.note(id, fmt::format("kernels {}, forced by SSN_KERNELS; self-test passed", kernels.name),
                "a faster implementation may be there", "unset SSN_KERNELS");
  } else if (kernels.name == "scalar" || kernels.name == "isal") {
    report.warning(
        id, fmt::format("kernels {}; self-test passed", kernels.name),
        "this CPU, or the hypervisor's model of it, lacks AVX2 with AES and carry-less multiplication: "
        "everything is several times slower",
        is_virtual_machine(context.system) ? "give the virtual machine the host's CPU model (qemu: -cpu host)"
                                           : "use a CPU with AVX2, AES-NI and PCLMULQDQ");
  } else {
    report.ok(id, fmt::format("kernels {}; self-test passed", kernels.name));
  }
}

void check_cores(const Context& context, Report& report) {
  constexpr const char* id = "cpu.cores";
  if (!context.plan.ok()) {
    const Error& error = context.plan.error();
    report.error(id, error.what + ": " + error.why, "workers have nowhere to run", error.fix);
    return;
  }
  const Plan& plan = context.plan.value();
  const std::string workers = format_cpu_list(plan.workers);
  const std::string control = format_cpu_list(plan.control);
  const bool shared = std::any_of(plan.control.begin(), plan.control.end(), [&](unsigned cpu) {
    return std::find(plan.workers.begin(), plan.workers.end(), cpu) != plan.workers.end();
  });
  if (shared) {
    report.warning(id, fmt::format("CPU {} must do everything", workers),
                   "a polling worker leaves no time for anything else on its CPU",
                   "give the machine a second core, or start the data plane without --poll");
    return;
  }
  report.ok(id, fmt::format("workers on CPU {}, everything else on CPU {} (`ssn topology` says why)", workers,
                            control));
  const auto& cpus = context.machine.value().cpus;
  const bool isolated = std::all_of(plan.workers.begin(), plan.workers.end(), [&](unsigned worker) {
    return std::any_of(cpus.begin(), cpus.end(),
                       [&](const Cpu& cpu) { return cpu.id == worker && cpu.isolated; });
  });
  if (isolated) {
    report.ok("cpu.isolation", fmt::format("CPU {} isolated", workers));
  } else {
    report.warning(
        "cpu.isolation", fmt::format("CPU {} is not isolated", workers),
        "the scheduler puts other programs and interrupts on workers: packets are lost when they run",
        fmt::format("sed -i 's/^GRUB_CMDLINE_LINUX=\"/&isolcpus=managed_irq,domain,{0} nohz_full={0} "
                    "rcu_nocbs={0} /' /etc/default/grub && update-grub && reboot",
                    workers));
  }
  for (const std::string& warning : plan.warnings) {
    if (warning.find("on node") != std::string::npos) {
      report.warning("cpu.node", warning, "every packet would cross the link between the sockets",
                     "ssn topology");
    }
  }
}

void check_cpu_limit(const Context& context, Report& report) {
  constexpr const char* id = "cpu.limit";
  const auto limited = [&](const std::string& file, const std::string& unlimit, const std::string& what) {
    report.warning(id, "the cgroup of this process may use only " + what,
                   "a polling worker uses all of its CPU: the kernel stops it for the rest of each period",
                   fmt::format("echo {} > {}", unlimit, quoted(file)));
  };
  for (const std::string& folder : cgroup_folders(context.system, "cpu")) {
    const std::vector<std::string> quota = words(text_in(context.system, folder + "/cpu.max"));
    if (quota.size() == 2 && quota[0] != "max") {
      limited(folder + "/cpu.max", "max", fmt::format("{} us of CPU in each {} us", quota[0], quota[1]));
      return;
    }
    const std::optional<std::uint64_t> old = number_in(context.system, folder + "/cpu.cfs_quota_us");
    if (old) {
      limited(folder + "/cpu.cfs_quota_us", "-1",
              fmt::format("{} us of CPU in each {} us", *old,
                          text_in(context.system, folder + "/cpu.cfs_period_us")));
      return;
    }
  }
  report.ok(id, "no limit of CPU time");
}

}  // namespace ssn::hw::preflight
