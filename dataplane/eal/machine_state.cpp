// SPDX-License-Identifier: BSD-3-Clause
// The machine as it is.
#include <net/if.h>
#include <sched.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "ssn/dataplane/eal.h"
#include "ssn/hw/topology.h"

namespace ssn::dataplane {
namespace {

namespace fs = std::filesystem;

std::string read_word(const fs::path& path) {
  std::ifstream file(path);
  std::string word;
  file >> word;
  return word;
}

// "Name:  value" of a file of /proc; empty where it is not there.
std::string read_field(const char* path, std::string_view name) {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    if (line.compare(0, name.size(), name) == 0) {
      const std::size_t begin = line.find_first_not_of(" \t:", name.size());
      return begin == std::string::npos ? "" : line.substr(begin);
    }
  }
  return {};
}

std::vector<unsigned> allowed_cpus() {
  cpu_set_t set;
  CPU_ZERO(&set);
  std::vector<unsigned> cpus;
  if (::sched_getaffinity(0, sizeof set, &set) == 0) {
    for (unsigned cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
      if (CPU_ISSET(cpu, &set)) {
        cpus.push_back(cpu);
      }
    }
  }
  return cpus;
}

std::vector<MachineState::HugePages> huge_pages() {
  std::vector<MachineState::HugePages> all;
  std::error_code error;
  for (const fs::directory_entry& entry : fs::directory_iterator("/sys/kernel/mm/hugepages", error)) {
    const std::string name = entry.path().filename();  // hugepages-2048kB
    const std::uint64_t kilobytes = std::strtoull(name.c_str() + name.find('-') + 1, nullptr, 10);
    const std::uint64_t free = std::strtoull(read_word(entry.path() / "free_hugepages").c_str(), nullptr, 10);
    all.push_back({kilobytes << 10U, free});
  }
  return all;
}

// As EAL chooses it.
void find_runtime_folder(MachineState& state) {
  const char* const given = std::getenv("RUNTIME_DIRECTORY");
  const char* const session = std::getenv("XDG_RUNTIME_DIR");
  if (given != nullptr) {
    state.runtime_folder = given;
    state.runtime_folder_is_given = true;
  } else if (::getuid() == 0) {
    state.runtime_folder = "/var/run/dpdk";
  } else {
    state.runtime_folder = std::string(session != nullptr ? session : "/tmp") + "/dpdk";
  }
}

std::vector<std::string> interfaces() {
  std::vector<std::string> names;
  struct if_nameindex* const all = ::if_nameindex();
  for (const struct if_nameindex* one = all; one != nullptr && one->if_index != 0; ++one) {
    names.emplace_back(one->if_name);
  }
  ::if_freenameindex(all);
  return names;
}

std::optional<std::string> pci_driver(const std::string& address) {
  const fs::path device = fs::path("/sys/bus/pci/devices") / address;
  std::error_code error;
  if (!fs::exists(device, error)) {
    return std::nullopt;
  }
  const fs::path driver = fs::read_symlink(device / "driver", error);
  return error ? std::string() : driver.filename().string();
}

}  // namespace

Result<MachineState> machine_state() {
  MachineState state;
  state.allowed_cpus = allowed_cpus();
  if (state.allowed_cpus.empty()) {
    return system_error(errno, "cannot ask which CPUs this process may use", "sched_getaffinity");
  }
  const Result<hw::Machine> machine = hw::read_machine();
  if (!machine.ok()) {
    return machine.error();
  }
  const Result<hw::Plan> plan = hw::make_plan(machine.value(), {});
  if (!plan.ok()) {
    return plan.error();
  }
  state.worker_cpus = plan.value().workers;
  state.control_cpus = plan.value().control;
  state.huge_pages = huge_pages();
  state.memory_available = std::strtoull(read_field("/proc/meminfo", "MemAvailable").c_str(), nullptr, 10)
                           << 10U;
  find_runtime_folder(state);
  state.capabilities = std::strtoull(read_field("/proc/self/status", "CapEff").c_str(), nullptr, 16);
  state.interfaces = interfaces();
  utsname kernel{};
  if (::uname(&kernel) == 0) {
    std::sscanf(kernel.release, "%u.%u", &state.kernel_major, &state.kernel_minor);
  }
  state.pci_driver = pci_driver;
  return state;
}

}  // namespace ssn::dataplane
