// SPDX-License-Identifier: BSD-3-Clause
// The arguments of EAL, after a look at the machine: whatever EAL would fail for is found here, with its
// mend.
#include <fmt/core.h>

#include <algorithm>
#include <utility>

#include "ssn/dataplane/eal.h"
#include "ssn/hw/topology.h"

namespace ssn::dataplane {
namespace {

constexpr std::uint64_t mebibyte = std::uint64_t{1} << 20;
constexpr unsigned capability_net_admin = 12;
constexpr unsigned capability_net_raw = 13;

// mbuf, private area, and what a pool keeps in front of each object.
constexpr std::uint32_t packet_overhead = 128 + 192 + 64;
constexpr std::uint32_t headroom = 128;
constexpr std::uint32_t tailroom = 64;
// Of the memory, for packets; the rest is for rings, graphs and what drivers take.
constexpr std::uint64_t packets_part = 3;
constexpr std::uint64_t packets_parts = 4;
constexpr std::uint32_t packets_max = 262143;
// What a port and a worker hold at least: descriptors, buffers, caches.
constexpr std::uint32_t packets_per_queue = 1024;
constexpr std::uint32_t packets_per_worker = 1536;

Error refusal(std::string why, std::string where, std::string fix) {
  return {Exit::refused, "ssn-dataplane refuses to run", std::move(why), std::move(where), std::move(fix)};
}

bool contains(const std::vector<unsigned>& cpus, unsigned cpu) {
  return std::find(cpus.begin(), cpus.end(), cpu) != cpus.end();
}

Outcome choose_cpus(const Configuration& configuration, const MachineState& machine, EalPlan& plan) {
  plan.worker_cpus = configuration.workers.cores;
  if (plan.worker_cpus.empty()) {
    plan.worker_cpus = machine.worker_cpus;
    plan.worker_cpus.resize(std::min(plan.worker_cpus.size(), Configuration::workers_max));
  }
  for (const unsigned cpu : plan.worker_cpus) {
    if (!contains(machine.allowed_cpus, cpu)) {
      return refusal(fmt::format("CPU {} is not among those that this process may use: {}", cpu,
                                 hw::format_cpu_list(machine.allowed_cpus)),
                     configuration.file + ": [workers] cores", "name others, or widen its cpuset");
    }
  }
  if (plan.worker_cpus.empty()) {
    return refusal("there is no CPU for a worker", "[workers] cores", "name one");
  }
  if (configuration.eal.main_core) {
    plan.main_cpu = *configuration.eal.main_core;
    if (!contains(machine.allowed_cpus, plan.main_cpu)) {
      return refusal(fmt::format("CPU {} is not among those that this process may use: {}", plan.main_cpu,
                                 hw::format_cpu_list(machine.allowed_cpus)),
                     configuration.file + ": [eal] main_core", "name another");
    }
    return done;
  }
  // Whatever is no worker's; else the last worker's, which has most likely the least to do.
  plan.main_cpu = plan.worker_cpus.back();
  for (const std::vector<unsigned>* cpus : {&machine.allowed_cpus, &machine.control_cpus}) {
    for (const unsigned cpu : *cpus) {
      if (!contains(plan.worker_cpus, cpu) && contains(machine.allowed_cpus, cpu)) {
        plan.main_cpu = cpu;
        break;
      }
    }
  }
  if (contains(plan.worker_cpus, plan.main_cpu)) {
    plan.fallbacks.push_back(
        fmt::format("control shares CPU {} with a worker: there is no other", plan.main_cpu));
  }
  return done;
}

Outcome choose_memory(const Configuration& configuration, const MachineState& machine, EalPlan& plan) {
  using HugePages = EalConfiguration::HugePages;
  const EalConfiguration& eal = configuration.eal;
  std::string lacking = "it is switched off";
  if (eal.huge_pages != HugePages::off) {
    std::uint64_t free = 0;
    std::uint64_t page = 2 * mebibyte;
    for (const MachineState::HugePages& pages : machine.huge_pages) {
      free += pages.page_bytes * pages.free_pages;
      page = pages.free_pages != 0 ? pages.page_bytes : page;
    }
    plan.huge_pages = free >= eal.memory;
    const std::string mend = fmt::format("sysctl -w vm.nr_hugepages={} (more where others use them too)",
                                         (eal.memory + 2 * mebibyte - 1) / (2 * mebibyte));
    lacking = fmt::format("{} MiB of huge pages are free, {} MiB are wanted", free / mebibyte,
                          eal.memory / mebibyte);
    if (!plan.huge_pages && eal.huge_pages == HugePages::require) {
      return refusal(lacking, configuration.file + ": [eal] huge_pages", mend);
    }
    if (!plan.huge_pages) {
      plan.fallbacks.push_back(
          fmt::format("normal pages instead of huge ones, which is slower: {}. {}", lacking, mend));
    }
  }
  if (!plan.huge_pages && machine.memory_available < eal.memory) {
    return refusal(fmt::format("{} MiB of memory are available, {} MiB are wanted",
                               machine.memory_available / mebibyte, eal.memory / mebibyte),
                   configuration.file + ": [eal] memory", "free memory, or lower [eal] memory");
  }
  return done;
}

Outcome choose_packets(const Configuration& configuration, EalPlan& plan) {
  std::uint32_t room = 0;
  std::uint32_t least = packets_per_worker * static_cast<std::uint32_t>(plan.worker_cpus.size());
  for (const PortConfiguration& port : configuration.ports) {
    room = std::max(room, frame_room(port));
    least += packets_per_queue * (port.queues + static_cast<std::uint32_t>(plan.worker_cpus.size()));
  }
  plan.packet_bytes = (headroom + room + tailroom + 63) / 64 * 64;
  const std::uint64_t each = plan.packet_bytes + packet_overhead;
  const std::uint64_t fit = configuration.eal.memory * packets_part / packets_parts / each;
  plan.packets = static_cast<std::uint32_t>(std::min<std::uint64_t>(fit, packets_max));
  if (plan.packets < least) {
    return refusal(fmt::format("[eal] memory holds {} packets of {} bytes, but ports and workers need {}",
                               plan.packets, each, least),
                   configuration.file + ": [eal] memory",
                   fmt::format("make it \"{} MiB\" or more, or lower MTUs or queues",
                               (least * each * packets_parts / packets_part + mebibyte - 1) / mebibyte));
  }
  return done;
}

Outcome check_interface(const MachineState& machine, const PortConfiguration& port,
                        const DeviceArguments& device) {
  const std::string name(device.value("iface"));
  if (name.empty()) {
    return refusal(fmt::format("{} needs an interface of the kernel", device.driver), port.where,
                   fmt::format("write device = \"{},iface=NAME\"", device.name));
  }
  if (std::find(machine.interfaces.begin(), machine.interfaces.end(), name) == machine.interfaces.end()) {
    std::string names;
    for (const std::string& other : machine.interfaces) {
      names += (names.empty() ? "" : ", ") + other;
    }
    return refusal(
        fmt::format("there is no interface {} in this network namespace; there are: {}", name, names),
        port.where, "make it (ip link add ...), name another, or start inside its namespace (ip netns exec)");
  }
  for (const auto& [bit, capability, use] :
       {std::tuple{capability_net_raw, "CAP_NET_RAW", "to receive and send frames"},
        std::tuple{capability_net_admin, "CAP_NET_ADMIN", "to set MTU and promiscuous mode"}}) {
    if ((machine.capabilities >> bit & 1) == 0) {
      return refusal(fmt::format("{} is missing, which {} needs {}", capability, device.driver, use),
                     port.where,
                     "run it as root, or with AmbientCapabilities=CAP_NET_RAW CAP_NET_ADMIN in its unit");
    }
  }
  return done;
}

// VIRTIO_NET_HDR_GSO_UDP_L4 in PACKET_VNET_HDR.
bool knows_runs(const MachineState& machine) {
  return std::pair(machine.kernel_major, machine.kernel_minor) >= std::pair(6U, 2U);
}

Outcome check_packet_socket(const MachineState& machine, const PortConfiguration& port,
                            const DeviceArguments& device, EalPlan& plan) {
  for (std::string_view rest = device.arguments; !rest.empty();) {
    const std::string_view one = rest.substr(0, rest.find(','));
    rest.remove_prefix(std::min(rest.size(), one.size() + 1));
    if (one.substr(0, one.find('=')) != "iface" && one != "segmentation=on" && one != "segmentation=off") {
      return refusal(fmt::format("packet_socket has no argument {}", one), port.where,
                     "it has iface=NAME, and segmentation=on or off");
    }
  }
  if (device.value("segmentation").empty() && !knows_runs(machine)) {
    plan.fallbacks.push_back(
        fmt::format("single datagrams at port {}, which is slower: Linux {}.{} has no UDP segmentation for "
                    "packet sockets, "
                    "6.2 has",
                    port.name, machine.kernel_major, machine.kernel_minor));
  }
  return check_interface(machine, port, device);
}

Outcome check_pci(const MachineState& machine, const PortConfiguration& port, const DeviceArguments& device) {
  const std::optional<std::string> driver = machine.pci_driver(device.name);
  if (!driver) {
    return refusal(fmt::format("there is no PCI device {}", device.name), port.where,
                   "see `lspci -D | grep -i ethernet`");
  }
  // The first three give a device to programs; the others share theirs with the kernel.
  for (const char* fit : {"vfio-pci", "uio_pci_generic", "igb_uio", "mlx5_core", "mlx4_core"}) {
    if (*driver == fit) {
      return done;
    }
  }
  return refusal(driver->empty() ? "no driver is bound to " + device.name
                                 : fmt::format("the kernel's driver {} holds {}", *driver, device.name),
                 port.where,
                 fmt::format("modprobe vfio-pci && dpdk-devbind.py --bind=vfio-pci {}", device.name));
}

Outcome check_devices(const Configuration& configuration, const MachineState& machine, EalPlan& plan) {
  for (const PortConfiguration& port : configuration.ports) {
    const DeviceArguments device = device_arguments(port);
    Outcome outcome = done;
    if (port.is_pci()) {
      outcome = check_pci(machine, port, device);
    } else if (device.driver == "packet_socket") {
      outcome = check_packet_socket(machine, port, device, plan);
    } else if (device.driver == "net_af_packet" || device.driver == "net_af_xdp") {
      outcome = check_interface(machine, port, device);
    } else if (device.driver == "net_tap" && (machine.capabilities >> capability_net_admin & 1) == 0) {
      outcome = refusal("CAP_NET_ADMIN is missing, which net_tap needs", port.where, "run it as root");
    }
    if (!outcome.ok()) {
      return outcome;
    }
  }
  return done;
}

void write_arguments(const Configuration& configuration, EalPlan& plan) {
  std::string lcores = fmt::format("0@{}", plan.main_cpu);
  for (std::size_t i = 0; i < plan.worker_cpus.size(); ++i) {
    lcores += fmt::format(",{}@{}", i + 1, plan.worker_cpus[i]);
  }
  std::vector<std::string>& arguments = plan.arguments;
  arguments = {"ssn-dataplane",
               "--lcores",
               lcores,
               "--main-lcore",
               "0",
               "--proc-type=primary",
               "--file-prefix=" + configuration.eal.file_prefix,
               "-m",
               std::to_string(configuration.eal.memory / mebibyte)};
  if (plan.huge_pages) {
    // Pages that no file names; one file each, which vhost and memif pass to their peers.
    arguments.insert(arguments.end(), {"--in-memory", "--single-file-segments"});
  } else {
    arguments.push_back("--no-huge");
  }
  bool pci = false;
  for (const PortConfiguration& port : configuration.ports) {
    if (port.is_pci()) {
      const DeviceArguments device = device_arguments(port);
      arguments.insert(arguments.end(),
                       {"-a", device.name + (device.arguments.empty() ? "" : "," + device.arguments)});
      pci = true;
    }
  }
  if (!pci) {
    arguments.insert(arguments.end(), {"--no-pci", "--iova-mode=va"});
  }
}

}  // namespace

Result<EalPlan> make_eal_plan(const Configuration& configuration, const MachineState& machine) {
  EalPlan plan;
  plan.file_prefix = configuration.eal.file_prefix;
  plan.runtime_folder = machine.runtime_folder;
  if (!machine.runtime_folder_is_given) {
    plan.runtime_folder += "/" + plan.file_prefix;
  }
  if (Outcome outcome = choose_cpus(configuration, machine, plan); !outcome.ok()) {
    return outcome.error();
  }
  if (Outcome outcome = choose_memory(configuration, machine, plan); !outcome.ok()) {
    return outcome.error();
  }
  if (Outcome outcome = choose_packets(configuration, plan); !outcome.ok()) {
    return outcome.error();
  }
  if (Outcome outcome = check_devices(configuration, machine, plan); !outcome.ok()) {
    return outcome.error();
  }
  write_arguments(configuration, plan);
  return plan;
}

}  // namespace ssn::dataplane
