// SPDX-License-Identifier: BSD-3-Clause
// Which cores, memory node and devices the data plane uses, and why. First a plain description of the
// machine, which hwloc gives (or a file, or a made-up machine), then a plan, which follows from nothing but
// that description and what was asked for.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "ssn/hw/result.h"

namespace ssn::hw {

inline constexpr int no_node = -1;

/// What the kernel calls a CPU: one hardware thread.
struct Cpu {
  unsigned id = 0;           ///< the kernel's number
  unsigned core = 0;         ///< CPUs of one core have one number; from 0
  unsigned package = 0;      ///< socket
  unsigned cache = 0;        ///< CPUs that share their last cache have one number
  unsigned performance = 0;  ///< rank of its kind where a machine has several; higher is faster
  int node = no_node;        ///< its memory node
  bool allowed = true;       ///< the cgroup of this process permits it
  bool isolated = false;     ///< kept free of other work by the kernel (isolcpus)
};

struct MemoryNode {
  int id = 0;
  std::uint64_t bytes = 0;
};

struct Device {
  enum class Kind { network, crypto, storage, other };
  std::string name;  ///< the kernel's, such as "ens1f0"; the PCI address where it has none
  std::string pci;   ///< "0000:3b:00.0"; empty for devices that are none
  Kind kind = Kind::other;
  int node = no_node;  ///< no_node: unknown, or equally far from all
  std::string model;
};
std::string_view name(Device::Kind kind) noexcept;

struct Machine {
  std::string origin;  ///< "this machine", or where the description comes from
  std::vector<Cpu> cpus;
  std::vector<MemoryNode> nodes;
  std::vector<Device> devices;
};

/// This machine. `root` stands before /sys where files of the kernel are read (tests), else "".
Result<Machine> read_machine(const std::string& root = "");
/// From an XML file of hwloc (`lstopo machine.xml`), or of a made-up machine when it begins with
/// "synthetic:": "synthetic:pack:2 [numa] core:8 pu:2". Neither says what is isolated: `isolated` does, as a
/// list.
Result<Machine> read_machine_from(const std::string& source, const std::string& isolated);

/// "0-3,8" and the like, as the kernel writes lists of CPUs. At most cpu_list_max numbers.
Result<std::vector<unsigned>> parse_cpu_list(std::string_view text);
std::string format_cpu_list(std::vector<unsigned> cpus);
inline constexpr std::size_t cpu_list_max = 8192;

struct PlanWish {
  unsigned workers = 0;                ///< 0: every suitable core
  int node = no_node;                  ///< no_node: chosen
  std::vector<std::string> devices{};  ///< by name or PCI address; empty: network devices count
};

struct PlannedCpu {
  enum class Role { worker, control, none };
  unsigned id = 0;
  Role role = Role::none;
  std::string why;
};
std::string_view name(PlannedCpu::Role role) noexcept;

struct PlannedDevice {
  Device device;
  bool used = false;
  std::string why;
};

struct Plan {
  int node = 0;
  std::string node_why;
  std::vector<unsigned> workers;  ///< in the order to be used
  std::vector<unsigned> control;  ///< for gRPC, the store's threads and everything else
  std::vector<PlannedCpu> cpus;   ///< every CPU of the machine
  std::vector<PlannedDevice> devices;
  std::vector<std::string> warnings;
};

/// Fails where what was asked for cannot be had.
Result<Plan> make_plan(const Machine& machine, const PlanWish& wish);

}  // namespace ssn::hw
