// SPDX-License-Identifier: BSD-3-Clause
// What could carry pads, keys and data out of memory, and where randomness comes from.
#include <fmt/core.h>

#include <algorithm>

#include "checks.h"

namespace ssn::hw::preflight {

void check_core_dumps(const Context& context, Report& report) {
  constexpr const char* id = "secrets.core-dumps";
  const std::string pattern = text_in(context.system, "/proc/sys/kernel/core_pattern");
  if (pattern.starts_with('|')) {
    // The limit does not hold for programs that take dumps.
    const std::vector<std::string> program = words(pattern.substr(1));
    report.note(
        id, program.empty() ? "core dumps go to a program" : "core dumps go to " + program[0],
        "our programs forbid dumps of themselves, but what talks to them may be dumped with data in it",
        "sysctl -w kernel.core_pattern=core && systemctl mask systemd-coredump.socket");
  } else if (context.system.core_file_limit() > 0) {
    report.warning(
        id, "core dumps are allowed",
        "our programs forbid dumps of themselves, but what talks to them may write data to disk with one",
        "echo '* - core 0' > /etc/security/limits.d/ssn-core.conf, then log in anew; "
        "in a systemd unit: LimitCORE=0");
  } else {
    report.ok(id, "no core dumps");
  }
}

void check_crash_dump(const Context& context, Report& report) {
  constexpr const char* id = "secrets.crash-dump";
  if (number_in(context.system, "/sys/kernel/kexec_crash_loaded").value_or(0) == 0) {
    report.ok(id, "the kernel writes no memory to disk when it crashes");
    return;
  }
  report.warning(id, "a crash kernel is loaded (kdump)",
                 "when the kernel crashes, all of its memory goes to disk, pads and keys included",
                 "systemctl disable --now kdump-tools");
}

void check_ptrace(const Context& context, Report& report) {
  constexpr const char* id = "secrets.ptrace";
  const std::optional<std::uint64_t> scope = number_in(context.system, "/proc/sys/kernel/yama/ptrace_scope");
  if (!scope) {
    report.note(id, "this kernel does not restrict debuggers (no Yama)",
                "our programs forbid it for themselves; programs of the same user around them may be read",
                "use a kernel with CONFIG_SECURITY_YAMA, and a user of its own for the data plane");
  } else if (*scope == 0) {
    report.warning(id, "any program may read the memory of others of the same user",
                   "our programs forbid it for themselves, but what talks to them has the data as well",
                   "sysctl -w kernel.yama.ptrace_scope=1");
  } else {
    report.ok(id, "debuggers are restricted");
  }
}

void check_entropy(const Context& context, Report& report) {
  constexpr const char* id = "secrets.entropy";
  if (!context.system.random_ready()) {
    report.error(id, "the kernel's random generator is not ready",
                 "random blocks would be predictable; our programs wait for it instead",
                 "apt-get install rng-tools5 && systemctl start rngd");
    return;
  }
  const std::vector<std::string> flags =
      words(field(context.system.read("/proc/cpuinfo").value_or(""), "flags").value_or(""));
  const bool cpu = std::find(flags.begin(), flags.end(), "rdrand") != flags.end();
  const std::string device = text_in(context.system, "/sys/class/misc/hw_random/rng_current");
  if (cpu || (!device.empty() && device != "none")) {
    report.ok(id, fmt::format("the kernel's generator is ready; hardware source: {}",
                              cpu ? "CPU (rdrand)" : device));
  } else if (is_virtual_machine(context.system)) {
    report.warning(id, "the kernel's generator is ready, but has no hardware source",
                   "virtual machines that start from one image may begin alike",
                   "give the virtual machine a virtio-rng device (qemu: -device virtio-rng-pci)");
  } else {
    report.note(id, "the kernel's generator is ready, but has no hardware source",
                "interrupt timing alone feeds it", "use --random-device, or a CPU with rdrand");
  }
}

void check_virtual_machine(const Context& context, Report& report) {
  constexpr const char* id = "secrets.virtual-machine";
  if (!is_virtual_machine(context.system)) {
    report.ok(id, "no virtual machine");
    return;
  }
  report.note(
      id, "this is a virtual machine",
      "a snapshot holds pads; going back to one would use pads twice, which lays messages open. Snapshots, "
      "clones and live migration of a running node are unsupported: peers refuse a node that went back. The "
      "host sees everything in it",
      "switch snapshots and live migration of this machine off at its host");
}

}  // namespace ssn::hw::preflight
