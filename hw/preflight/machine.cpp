// SPDX-License-Identifier: BSD-3-Clause
// Capabilities, ports, clocks.
#include <fmt/core.h>

#include <algorithm>

#include "checks.h"

namespace ssn::hw::preflight {
namespace {

std::string last_part(const std::string& path) { return path.substr(path.rfind('/') + 1); }

// The driver of a device's folder in /sys; empty where there is none.
std::string driver_of(const SystemView& system, const std::string& device) {
  return last_part(system.link(device + "/driver").value_or(""));
}

// Drivers that a user-space driver takes devices from, or shares them with.
bool suits_dpdk(const std::string& driver) {
  constexpr std::string_view suitable[] = {"vfio-pci", "mlx5_core", "mlx4_core", "igb_uio",
                                           "uio_pci_generic"};
  return std::find(std::begin(suitable), std::end(suitable), driver) != std::end(suitable);
}

bool is_pci_address(const std::string& name) {
  return name.find(':') != std::string::npos && name.find('.') != std::string::npos;
}

void check_port(const Context& context, const std::string& name, Report& report) {
  constexpr const char* id = "ports.device";
  const SystemView& system = context.system;
  const std::string interface = "/sys/class/net/" + name;
  const std::string pci = "/sys/bus/pci/devices/" + name;
  const std::string device = is_pci_address(name) ? pci : interface + "/device";
  if (!system.status(is_pci_address(name) ? pci : interface)) {
    report.error(id, fmt::format("there is no port {}", name),
                 "the data plane is to use it and would not start", "ls /sys/class/net /sys/bus/pci/devices");
    return;
  }
  const std::string driver = driver_of(system, device);
  const std::string address =
      is_pci_address(name) ? name : last_part(system.link(interface + "/device").value_or(""));
  if (is_pci_address(name) && driver.empty()) {
    report.warning(id, fmt::format("{} has no driver", name), "nothing can use it",
                   "driverctl set-override " + name + " vfio-pci");
  } else if (is_pci_address(address) && !suits_dpdk(driver)) {
    report.note(id, fmt::format("{} has the kernel's driver {}", name, driver.empty() ? "(none)" : driver),
                "packets go through the kernel (af_packet), which is many times slower than a driver of DPDK",
                fmt::format("driverctl set-override {} vfio-pci", address));
  } else {
    report.ok(id, fmt::format("{} is there{}", name, driver.empty() ? "" : ", with the driver " + driver));
  }
}

}  // namespace

void check_capabilities(const Context& context, Report& report) {
  constexpr const char* id = "machine.capabilities";
  struct Wanted {
    Capability capability;
    const char* name;
    const char* what_for;
  };
  constexpr Wanted all[] = {
      {Capability::net_admin, "CAP_NET_ADMIN", "to set up ports"},
      {Capability::net_raw, "CAP_NET_RAW", "to send and receive on network interfaces (af_packet)"},
      {Capability::ipc_lock, "CAP_IPC_LOCK", "to lock memory beyond the limit"},
      {Capability::sys_nice, "CAP_SYS_NICE", "to bind memory and give workers priority"},
  };
  std::string missing;
  std::string why;
  bool network = true;
  for (const Wanted& wanted : all) {
    if (!has(context.system, wanted.capability)) {
      missing += fmt::format("{}{}", missing.empty() ? "" : " ", wanted.name);
      why += fmt::format("{}{} {}", why.empty() ? "" : "; ", wanted.name, wanted.what_for);
      network =
          network && wanted.capability != Capability::net_admin && wanted.capability != Capability::net_raw;
    }
  }
  if (missing.empty()) {
    report.ok(id, "all capabilities that are needed");
    return;
  }
  const std::string fix = fmt::format(
      "systemd-run --pty --uid={} -p AmbientCapabilities='CAP_NET_ADMIN CAP_NET_RAW CAP_IPC_LOCK "
      "CAP_SYS_NICE' "
      "-p LimitMEMLOCK=infinity ssn doctor",
      context.system.user());
  if (network) {
    report.note(id, "this user lacks " + missing, why, fix);
  } else {
    report.warning(id, "this user lacks " + missing, why, fix);
  }
}

void check_key_devices(const Context& context, Report& report) {
  constexpr const char* id = "keys.socket";
  constexpr std::uint32_t kind_mask = 0170000;
  constexpr std::uint32_t socket_kind = 0140000;
  for (const std::string& path : context.wish.sockets) {
    const std::optional<SystemView::FileStatus> status = context.system.status(path);
    if (status && (status->mode & kind_mask) == socket_kind) {
      report.ok(id, path + " is there");
    } else {
      report.error(id, fmt::format("{} {}", path, status ? "is no socket" : "is not there"),
                   "the key device cannot be reached, and without keys nothing is sent",
                   "start the key manager that offers it, then: ls -l " + quoted(path));
    }
  }
}

void check_ports(const Context& context, Report& report) {
  constexpr const char* id = "ports.device";
  for (const std::string& name : context.wish.plan.devices) {
    check_port(context, name, report);
  }
  if (!context.wish.plan.devices.empty()) {
    return;
  }
  std::vector<std::string> found;
  for (const std::string& name : context.system.list("/sys/class/net")) {
    if (context.system.link("/sys/class/net/" + name + "/device")) {
      const std::string driver = driver_of(context.system, "/sys/class/net/" + name + "/device");
      found.push_back(driver.empty() ? name : fmt::format("{} ({})", name, driver));
    }
  }
  for (const std::string& name : context.system.list("/sys/bus/pci/drivers/vfio-pci")) {
    if (is_pci_address(name)) {
      found.push_back(name + " (vfio-pci)");
    }
  }
  if (found.empty()) {
    report.warning(id, "no network port but virtual ones", "shares cannot leave this machine",
                   "add a network device; for a trial on one machine none is needed");
    return;
  }
  std::string text;
  for (const std::string& port : found) {
    text += text.empty() ? "" : ", ";
    text += port;
  }
  report.ok(id, "ports: " + text);
}

void check_iommu(const Context& context, Report& report) {
  constexpr const char* id = "ports.iommu";
  const std::size_t groups = context.system.list("/sys/kernel/iommu_groups").size();
  const bool vfio = context.system.status("/dev/vfio/vfio").has_value();
  if (groups > 0 && vfio) {
    report.ok(id, fmt::format("IOMMU with {} groups, and vfio", groups));
  } else if (groups > 0) {
    report.note(id, fmt::format("IOMMU with {} groups, but vfio is not loaded", groups),
                "drivers of DPDK and PCI key devices need it", "modprobe vfio-pci");
  } else {
    report.note(
        id, "no IOMMU",
        "without it a device can reach all memory, pads included, and vfio refuses it; ports of the kernel "
        "(af_packet) work",
        is_virtual_machine(context.system)
            ? "give the virtual machine an IOMMU (qemu: -device intel-iommu), if devices are passed to it"
            : "sed -i 's/^GRUB_CMDLINE_LINUX=\"/&intel_iommu=on iommu=pt /' /etc/default/grub && update-grub "
              "&& reboot");
  }
}

void check_clock_source(const Context& context, Report& report) {
  constexpr const char* id = "clock.source";
  const std::string folder = "/sys/devices/system/clocksource/clocksource0/";
  const std::string current = text_in(context.system, folder + "current_clocksource");
  const std::vector<std::string> available = words(text_in(context.system, folder + "available_clocksource"));
  if (current == "tsc" || current == "kvm-clock" || current == "hyperv_clocksource_tsc_page" ||
      current == "arch_sys_counter") {
    report.ok(id, "clock source " + current);
    return;
  }
  const bool tsc = std::find(available.begin(), available.end(), "tsc") != available.end();
  report.warning(id, fmt::format("clock source {}", current.empty() ? "unknown" : current),
                 "reading the time is a system call or worse there, and workers read it once a burst",
                 tsc ? "echo tsc > " + folder + "current_clocksource"
                     : "dmesg | grep -i -e tsc -e clocksource: says why the kernel does not trust the TSC");
}

void check_clock_synchronised(const Context& context, Report& report) {
  constexpr const char* id = "clock.synchronised";
  const std::optional<bool> synchronised = context.system.clock_synchronised();
  if (!synchronised) {
    report.note(id, "the kernel does not say whether the clock is synchronised",
                "certificates and time stamps depend on it", "chronyc tracking");
    return;
  }
  if (*synchronised) {
    report.ok(id, "the clock is synchronised");
    return;
  }
  const bool chrony = context.system.status("/run/chrony/chronyd.pid").has_value();
  const bool timesync = context.system.status("/run/systemd/timesync").has_value();
  const char* const fix = chrony     ? "chronyc -a makestep && chronyc tracking"
                          : timesync ? "timedatectl set-ntp true && timedatectl timesync-status"
                                     : "apt-get install chrony && systemctl enable --now chrony";
  report.warning(
      id, "the clock is not synchronised",
      "certificates seem expired or not yet valid, and records of different nodes do not fit together", fix);
}

}  // namespace ssn::hw::preflight
