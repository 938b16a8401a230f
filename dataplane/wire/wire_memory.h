// SPDX-License-Identifier: BSD-3-Clause
// Memory that an offload device may touch: registered with it while anybody uses it. With a device that does
// not ask for that, nothing is registered, and every handle is SSN_OFFLOAD_UNREGISTERED.
#pragma once

#include <map>
#include <memory>
#include <mutex>

#include "ssn/hw/offload_device.h"
#include "ssn/hw/result.h"

namespace ssn::dataplane {

/// Ends the registration when its last user goes, which is before the memory goes. Null: not registered.
using SharedMemory = std::shared_ptr<hw::OffloadMemory>;

inline std::uint32_t handle_of(const SharedMemory& memory) noexcept {
  return memory != nullptr ? memory->get() : SSN_OFFLOAD_UNREGISTERED;
}

/// Control threads.
class MemoryRegistry {
 public:
  /// `device`: null, or outlives what was registered.
  explicit MemoryRegistry(hw::OffloadDevice* device) noexcept : device_(device) {}

  bool is_needed() const noexcept { return device_ != nullptr && device_->info().memory_registration; }
  /// Where another user has registered it already, the same registration. Errors are the device's.
  Result<SharedMemory> add(const ssn_memory& memory);

 private:
  hw::OffloadDevice* device_;
  std::mutex mutex_;
  std::map<const void*, std::weak_ptr<hw::OffloadMemory>> known_;
};

}  // namespace ssn::dataplane
