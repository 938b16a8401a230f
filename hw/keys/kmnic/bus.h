// SPDX-License-Identifier: BSD-3-Clause
// How the driver reaches a device: where its registers are, and how the device reaches host memory.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "registers.h"
#include "ssn/device.h"
#include "ssn/hw/result.h"

namespace ssn::kmnic {

/// Memory as the device sees it.
struct BusMemory {
  std::uint64_t page_bytes = 0;
  std::vector<std::uint64_t> pages;  ///< bus address of each
};

/// One caller at a time, except gone() and registers().
class Bus {
 public:
  Bus() = default;
  Bus(const Bus&) = delete;
  Bus& operator=(const Bus&) = delete;
  virtual ~Bus();

  const Registers& registers() const noexcept { return registers_; }
  const std::string& where() const noexcept { return where_; }
  /// Whether the device is known to have left. Costs one load.
  bool gone() const noexcept { return gone_.load(std::memory_order_acquire); }

  /// Whether the device may remember streams, and addresses of memory, of somebody who used it before: then
  /// it is reset before it is admitted.
  virtual bool may_remember() const noexcept { return false; }
  /// Lets the device reach host memory at all. Before map().
  virtual Outcome admit() { return done; }

  /// Lets the device reach `memory`.
  virtual Result<BusMemory> map(const ssn_memory& memory) = 0;
  /// Takes that back. `done_with`: the device has said that it uses it no more. False: it may still reach it.
  virtual bool unmap(const BusMemory& memory, bool done_with) noexcept = 0;
  /// Makes a device that sleeps look at its registers.
  virtual void kick() noexcept {}
  /// Keeps a device that does not answer away from host memory for good. Idempotent.
  virtual void cut_off() noexcept = 0;

 protected:
  Outcome map_registers(int fd, std::uint64_t bytes);
  void set_gone() noexcept { gone_.store(true, std::memory_order_release); }
  void set_where(std::string where) { where_ = std::move(where); }

 private:
  Registers registers_;
  void* base_ = nullptr;
  std::string where_;
  std::atomic<bool> gone_{false};
};

/// The device model: registers and host memory are handed over a UNIX socket.
Result<std::shared_ptr<Bus>> connect_socket_bus(const std::string& path, std::uint64_t timeout_ms);

/// A PCI function: `path` is its resource file in sysfs (.../resource0), or a memfd that is sealed against
/// shrinking. Needs bus addresses: those that the host has set up (ssn_memory.iova), or physical ones, which
/// the kernel shows to root.
Result<std::shared_ptr<Bus>> open_pci_bus(const std::string& path);

/// Physical address of each page, for devices without an IOMMU. Locked memory only.
Result<BusMemory> physical_pages(const ssn_memory& memory);

}  // namespace ssn::kmnic
