// SPDX-License-Identifier: BSD-3-Clause
#include <fcntl.h>
#include <linux/magic.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>

#include "bus.h"

namespace ssn::kmnic {
namespace {

// PCI Local Bus 3.0, 6.2.2: the command register.
constexpr off_t command_register = 0x04;
constexpr std::uint16_t memory_space = 1U << 1;
constexpr std::uint16_t bus_master = 1U << 2;
// Documentation/admin-guide/mm/pagemap.rst
constexpr std::uint64_t page_present = std::uint64_t{1} << 63;
constexpr std::uint64_t page_frame_mask = (std::uint64_t{1} << 55) - 1;

class PciBus final : public Bus {
 public:
  PciBus() = default;
  ~PciBus() override {
    if (config_ >= 0) {
      PciBus::cut_off();
      ::close(config_);
    }
  }

  Outcome open(const std::string& path);
  Result<BusMemory> map(const ssn_memory& memory) override;
  // Nothing was set up that could be taken down: only the device's word counts.
  bool unmap(const BusMemory&, bool done_with) noexcept override { return done_with; }
  bool may_remember() const noexcept override { return true; }
  Outcome admit() override { return set_command(bus_master, 0) ? Outcome(done) : cannot_write(); }
  // Once: afterwards the function may be somebody else's.
  void cut_off() noexcept override {
    if (!gone()) {
      (void)set_command(0, bus_master);
      set_gone();
      (void)::flock(config_, LOCK_UN);
    }
  }

 private:
  bool set_command(std::uint16_t set, std::uint16_t clear) const noexcept;
  Error cannot_write() const {
    return {Exit::refused, "cannot let the key device reach memory",
            "its configuration space cannot be written", where(), "run with the right to do so"};
  }

  int config_ = -1;
};

bool PciBus::set_command(std::uint16_t set, std::uint16_t clear) const noexcept {
  std::uint16_t value = 0;
  if (config_ < 0 || ::pread(config_, &value, sizeof value, command_register) != sizeof value) {
    return false;
  }
  value = static_cast<std::uint16_t>((value | set) & ~clear);
  return ::pwrite(config_, &value, sizeof value, command_register) == sizeof value;
}

Outcome PciBus::open(const std::string& path) {
  set_where(path);
  const int fd = ::open(path.c_str(), O_RDWR | O_CLOEXEC);
  if (fd < 0) {
    return system_error(errno, "cannot open the registers of the key device", path);
  }
  struct stat status{};
  struct statfs file_system{};
  const bool known = ::fstat(fd, &status) == 0 && ::fstatfs(fd, &file_system) == 0;
  const int seals = ::fcntl(fd, F_GET_SEALS);
  const bool steady =
      known && (file_system.f_type == SYSFS_MAGIC || (seals >= 0 && (seals & F_SEAL_SHRINK) != 0));
  Outcome mapped = done;
  if (steady) {
    mapped = map_registers(fd, static_cast<std::uint64_t>(status.st_size));
  } else {
    mapped = Error{Exit::usage, "cannot use the registers of the key device",
                   "it is neither a resource of a PCI function nor memory sealed against shrinking", path,
                   "give the resource file of the function, such as resource0 in its folder in sysfs"};
  }
  ::close(fd);
  if (!mapped.ok()) {
    return mapped;
  }
  const std::string config = std::filesystem::path(path).parent_path() / "config";
  config_ = ::open(config.c_str(), O_RDWR | O_CLOEXEC);
  // Its streams are numbered by one driver, and a reset ends them all.
  if (config_ >= 0 && ::flock(config_, LOCK_EX | LOCK_NB) != 0) {
    return Error{Exit::temporary, "cannot use the key device", "another process or device object uses it",
                 config, "close that first: a function serves one at a time"};
  }
  // Not yet bus master: addresses that it was given by a process that crashed are others' memory by now.
  if (!set_command(memory_space, bus_master)) {
    return cannot_write();
  }
  return done;
}

Result<BusMemory> PciBus::map(const ssn_memory& memory) {
  if (memory.iova == nullptr) {
    return physical_pages(memory);
  }
  BusMemory result;
  result.page_bytes = memory.page_bytes;
  result.pages.assign(memory.iova, memory.iova + memory.bytes / memory.page_bytes);
  return result;
}

}  // namespace

Result<BusMemory> physical_pages(const ssn_memory& memory) {
  const auto refuse = [](std::string why) {
    return Error{Exit::refused, "cannot find the bus addresses of memory for the key device", std::move(why),
                 "/proc/self/pagemap", "run with CAP_SYS_ADMIN, or set up an IOMMU mapping"};
  };
  const int fd = ::open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
  if (fd < 0) {
    return refuse("the kernel does not show the page map");
  }
  const auto small = static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
  BusMemory result;
  result.page_bytes = memory.page_bytes;
  bool found = true;
  for (std::uint64_t at = 0; found && at < memory.bytes; at += memory.page_bytes) {
    const std::uint64_t address = reinterpret_cast<std::uintptr_t>(memory.base) + at;
    std::uint64_t entry = 0;
    const auto place = static_cast<off_t>(address / small * sizeof entry);
    found = ::pread(fd, &entry, sizeof entry, place) == sizeof entry && (entry & page_present) != 0 &&
            (entry & page_frame_mask) != 0;
    result.pages.push_back((entry & page_frame_mask) * small);
  }
  ::close(fd);
  if (!found) {
    return refuse("a page is not in memory, or its place is hidden from this process");
  }
  return result;
}

Result<std::shared_ptr<Bus>> open_pci_bus(const std::string& path) {
  auto bus = std::make_shared<PciBus>();
  if (Outcome opened = bus->open(path); !opened.ok()) {
    return opened.error();
  }
  return std::shared_ptr<Bus>(std::move(bus));
}

}  // namespace ssn::kmnic
