// SPDX-License-Identifier: BSD-3-Clause
// One stream of a key-manager NIC on the host: takes in blocks in order, checks each, gives credit back, asks
// again for what is wrong, and notices a device that stopped.
#pragma once

#include <cstdint>
#include <memory>

#include "bus.h"
#include "descriptor.h"
#include "registers.h"
#include "ssn/hw/ring_memory.h"
#include "ssn/key_device.h"

namespace ssn::kmnic {

struct Timing {
  std::uint64_t stall_ms = 1000;      ///< without an answer: stalled
  std::uint64_t give_up_ms = 30'000;  ///< without an answer: failed
};

/// What the host shares with the device beside the ring: status block, descriptor ring and page lists.
class ControlMemory {
 public:
  static Result<ControlMemory> make(std::uint32_t entries, std::size_t ring_pages, int numa_node);

  ssn_memory describe() const noexcept { return memory_.describe(); }
  StatusBlock* status() noexcept { return reinterpret_cast<StatusBlock*>(memory_.data()); }
  Descriptor* descriptors() noexcept {
    return reinterpret_cast<Descriptor*>(memory_.data() + descriptors_at_);
  }
  /// Writes both page lists; `self` is where the device sees this memory.
  void write_lists(const BusMemory& ring, const BusMemory& self) noexcept;
  std::uint64_t status_address(const BusMemory& self) const noexcept { return self.pages[0]; }
  std::uint64_t ring_list(const BusMemory& self) const noexcept { return address(self, ring_list_at_); }
  std::uint64_t descriptor_list(const BusMemory& self) const noexcept {
    return address(self, descriptor_list_at_);
  }

 private:
  static std::uint64_t address(const BusMemory& self, std::size_t at) noexcept {
    return self.pages[at / self.page_bytes] + at % self.page_bytes;
  }
  void write_list(std::size_t at, const BusMemory& self, const std::uint64_t* addresses,
                  std::size_t count) noexcept;

  hw::RingMemory memory_;
  std::size_t descriptors_at_ = 0;
  std::size_t descriptor_pages_ = 0;
  std::size_t descriptor_list_at_ = 0;
  std::size_t ring_list_at_ = 0;
};

/// One thread at a time. `head` is what the host sees, and comes first.
struct Stream {
  ssn_key_stream head{};

  // For every block.
  Descriptor* slots = nullptr;
  const StatusBlock* status = nullptr;
  Registers registers;  // of the stream
  Expected expected;    // of the next block
  std::uint64_t key_credit = 0;
  std::uint64_t credit_batch = 0;

  // While nothing comes.
  std::uint64_t quiet_since = 0;  // milliseconds; 0: not quiet
  std::uint64_t looked_at = 0;    // when registers were read
  std::uint64_t pinged_at = 0;    // 0: no ping is unanswered
  std::uint32_t ping = 0;
  bool ending = false;  // the device has ended the stream; what it delivered before is taken in first
  Timing timing;
  Registers function;

  ssn_key_stream_statistics counted{};

  // For the control path.
  ssn_key_device* device = nullptr;
  std::shared_ptr<Bus> bus;
  ControlMemory control;
  BusMemory ring_memory;
  BusMemory control_memory;
  std::uint32_t index = 0;
};

ssn_status poll(Stream& stream) noexcept;
void release(Stream& stream, std::uint64_t offset) noexcept;
void read_statistics(const Stream& stream, ssn_key_stream_statistics& statistics) noexcept;

}  // namespace ssn::kmnic
