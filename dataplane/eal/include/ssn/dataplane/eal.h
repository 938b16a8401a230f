// SPDX-License-Identifier: BSD-3-Clause
// DPDK's environment (EAL): what is asked of it, a look at the machine before, starting and ending it. Two
// steps, so that the first can be tested and shown without starting anything:
//
//   Result<EalPlan> plan = make_eal_plan(configuration, machine_state());
//   Result<std::unique_ptr<Eal>> eal = Eal::start(plan.value(), log);
//
// No header of DPDK.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ssn/dataplane/configuration.h"
#include "ssn/device.h"
#include "ssn/hw/result.h"

struct rte_mempool;

namespace ssn::dataplane {

/// What the plan depends on. Tests make their own.
struct MachineState {
  std::vector<unsigned> allowed_cpus;  ///< of this process
  std::vector<unsigned> worker_cpus;   ///< that the topology plan gives to workers
  std::vector<unsigned> control_cpus;
  struct HugePages {
    std::uint64_t page_bytes = 0;
    std::uint64_t free_pages = 0;
  };
  std::vector<HugePages> huge_pages;
  std::uint64_t memory_available = 0;    ///< bytes of normal memory
  std::string runtime_folder;            ///< where DPDK keeps run-time files: "/var/run/dpdk"
  bool runtime_folder_is_given = false;  ///< by the service manager: this process alone has it
  std::uint64_t capabilities = 0;        ///< effective ones of this process
  std::vector<std::string> interfaces;   ///< of the kernel, in this network namespace
  unsigned kernel_major = 0, kernel_minor = 0;
  /// Driver that a PCI device is bound to; empty: none; nothing: there is no such device.
  std::function<std::optional<std::string>(const std::string& address)> pci_driver;
};
Result<MachineState> machine_state();

struct EalPlan {
  std::vector<std::string> arguments;  ///< the first is the program's name
  bool huge_pages = false;
  unsigned main_cpu = 0;
  std::vector<unsigned> worker_cpus;
  std::string runtime_folder;  ///< of this process; its files are removed at the end
  std::string file_prefix;
  std::uint32_t packet_bytes = 0;      ///< room of a packet, headroom included
  std::uint32_t packets = 0;           ///< in the pool
  std::vector<std::string> fallbacks;  ///< what the machine lacks and what is done instead
};

/// An error says what the machine lacks, and the command that mends it.
Result<EalPlan> make_eal_plan(const Configuration& configuration, const MachineState& machine);

/// The device's name in DPDK and its arguments: those of the configuration, and what follows from MTU and
/// queues where they leave it open.
struct DeviceArguments {
  std::string name;       ///< "net_af_packet0", or a PCI address with its domain
  std::string driver;     ///< "net_af_packet"; empty for PCI
  std::string arguments;  ///< "iface=va,framesz=..."
  /// Of an argument as "iface"; empty where it is not given.
  std::string_view value(std::string_view key) const noexcept;
};
DeviceArguments device_arguments(const PortConfiguration& port);
/// Bytes that the device writes into a packet behind the headroom at most.
std::uint32_t frame_room(const PortConfiguration& port);

/// The environment while it runs. One in a process, and once.
class Eal {
 public:
  using Log = std::function<void(std::string_view line)>;

  /// The thread that calls it becomes DPDK's main thread and is bound to main_cpu. What DPDK says as a
  /// warning or error goes to `log`, and is in errors.
  static Result<std::unique_ptr<Eal>> start(const EalPlan& plan, Log log);
  /// Ends everything and removes the run-time files. No worker runs any more, all ports are closed.
  ~Eal();
  Eal(const Eal&) = delete;
  Eal& operator=(const Eal&) = delete;

  rte_mempool& packets() noexcept { return *packets_; }
  /// The memory that packets lie in, for devices: pieces of whole pages, locked, by rising address. They stay
  /// as they are while the environment runs. Refused where they cannot be locked.
  Result<std::vector<ssn_memory>> packet_memory() const;
  /// Gives each packet the handle of its piece, as Cell::memory, which nobody changes; before workers run.
  /// Without handles: SSN_OFFLOAD_UNREGISTERED, as from the start.
  void mark_packets(const std::vector<ssn_memory>& pieces, const std::vector<std::uint32_t>& handles);
  /// Runs `run(argument)` on the thread of worker `index`, which DPDK made.
  Outcome launch(unsigned index, int (*run)(void*), void* argument);
  /// Waits for it to return.
  void join(unsigned index);

 private:
  class RuntimeFolder;
  explicit Eal(std::unique_ptr<RuntimeFolder> folder);
  std::unique_ptr<RuntimeFolder> folder_;
  rte_mempool* packets_ = nullptr;
  bool started_ = false;
};

/// What DPDK logged since `mark`, warnings and errors only, joined with "; ". For messages.
std::size_t eal_log_mark();
std::string eal_log_since(std::size_t mark);

}  // namespace ssn::dataplane
