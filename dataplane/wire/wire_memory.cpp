// SPDX-License-Identifier: BSD-3-Clause
#include "wire_memory.h"

#include <utility>

namespace ssn::dataplane {

Result<SharedMemory> MemoryRegistry::add(const ssn_memory& memory) {
  if (!is_needed() || memory.bytes == 0) return SharedMemory();
  const std::lock_guard lock(mutex_);
  std::erase_if(known_, [](const auto& each) { return each.second.expired(); });
  if (const auto found = known_.find(memory.base); found != known_.end()) {
    if (SharedMemory same = found->second.lock(); same != nullptr) return same;
  }
  Result<hw::OffloadMemory> made = device_->register_memory(memory);
  if (!made.ok()) return made.error();
  SharedMemory shared = std::make_shared<hw::OffloadMemory>(std::move(made.value()));
  known_[memory.base] = shared;
  return shared;
}

}  // namespace ssn::dataplane
