// SPDX-License-Identifier: BSD-3-Clause
#include "ssn/protocol/packet_history.h"

#include <algorithm>
#include <bit>
#include <cassert>
#include <cstring>
#include <memory>

namespace ssn::protocol {

PacketHistory::PacketHistory(std::uint32_t packets, hw::SecretBuffer& memory)
    : mask_(packets - 1),
      shift_(63U - static_cast<unsigned>(std::countr_zero(packets))),
      records_(reinterpret_cast<Record*>(memory.data())),
      chains_(std::size_t{packets} * 2, none) {
  assert(std::has_single_bit(packets) && packets >= 64);
  assert(memory.locked() && memory.size() >= memory_bytes(packets));
  std::uninitialized_default_construct_n(records_, packets);
}

void PacketHistory::unlink(std::uint32_t at) noexcept {
  const Record& record = records_[at];
  if (record.range_length == 0) {
    return;
  }
  std::uint32_t* link = &chains_[chain_of(record.d_offset)];
  while (*link != at) {
    assert(*link != none);
    link = &records_[*link].next;
  }
  *link = record.next;
}

void PacketHistory::add(std::uint64_t number, std::uint64_t d_offset, std::uint32_t range_length,
                        const std::uint8_t* tag, const std::uint8_t* mask) noexcept {
  const auto at = static_cast<std::uint32_t>(number & mask_);
  unlink(at);
  Record& record = records_[at];
  record.number = number;
  record.d_offset = d_offset;
  record.range_length = range_length;
  std::memcpy(record.tag, tag, sizeof record.tag);
  std::memcpy(record.mask, mask, sizeof record.mask);
  if (range_length != 0) {
    std::uint32_t& head = chains_[chain_of(d_offset)];
    record.next = head;
    head = at;
  }
}

const PacketHistory::Record* PacketHistory::by_range(std::uint64_t d_offset) const noexcept {
  for (std::uint32_t at = chains_[chain_of(d_offset)]; at != none; at = records_[at].next) {
    if (records_[at].d_offset == d_offset) {
      return &records_[at];
    }
  }
  return nullptr;
}

void PacketHistory::erase() noexcept {
  ::explicit_bzero(records_, memory_bytes(mask_ + 1));
  std::uninitialized_default_construct_n(records_, std::size_t{mask_} + 1);
  std::fill(chains_.begin(), chains_.end(), none);
}

}  // namespace ssn::protocol
