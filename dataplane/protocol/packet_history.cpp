// SPDX-License-Identifier: BSD-3-Clause
#include "ssn/protocol/packet_history.h"

#include <algorithm>
#include <bit>
#include <cassert>
#include <cstring>
#include <memory>

namespace ssn::protocol {

PacketHistory::PacketHistory(std::uint32_t packets, std::uint64_t d_ring_bytes, hw::SecretBuffer& memory)
    : mask_(packets - 1),
      records_(reinterpret_cast<Record*>(memory.data())),
      by_granule_(d_ring_bytes / pad_alignment, 0) {
  assert(std::has_single_bit(packets) && packets >= 64);
  assert(std::has_single_bit(d_ring_bytes) && d_ring_bytes >= pad_alignment);
  assert(memory.locked() && memory.size() >= memory_bytes(packets));
  std::uninitialized_default_construct_n(records_, packets);
}

void PacketHistory::add(std::uint64_t number, std::uint64_t d_offset, std::uint32_t range_length,
                        const std::uint8_t* tag, const std::uint8_t* mask) noexcept {
  const auto at = static_cast<std::uint32_t>(number & mask_);
  Record& record = records_[at];
  record.number = number;
  record.d_offset = d_offset;
  record.range_length = range_length;
  std::memcpy(record.tag, tag, sizeof record.tag);
  std::memcpy(record.mask, mask, sizeof record.mask);
  if (range_length != 0) {
    place_of(d_offset) = at;
  }
}

const PacketHistory::Record* PacketHistory::by_range(std::uint64_t d_offset) const noexcept {
  const Record& record = records_[by_granule_[d_offset / pad_alignment & (by_granule_.size() - 1)]];
  return record.range_length != 0 && record.d_offset == d_offset ? &record : nullptr;
}

void PacketHistory::erase() noexcept {
  ::explicit_bzero(records_, memory_bytes(mask_ + 1));
  std::uninitialized_default_construct_n(records_, std::size_t{mask_} + 1);
}

}  // namespace ssn::protocol
