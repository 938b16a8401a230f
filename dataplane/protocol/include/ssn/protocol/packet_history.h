// SPDX-License-Identifier: BSD-3-Clause
// What a receiver remembers of the packets that it accepted, so that it can tell a duplicate from a second
// message under the same packet number or the same pad range: the sign of a cloned or rolled back sender.
#pragma once

#include <cstdint>
#include <vector>

#include "ssn/hw/secret_buffer.h"
#include "ssn/protocol/wire.h"

namespace ssn::protocol {

/// The last packets by number. Holds their masks, in locked memory, because a second packet with a number can
/// be judged with its mask only: an unauthenticated one must not end an epoch.
class PacketHistory {
 public:
  struct alignas(64) Record {
    std::uint64_t number = UINT64_MAX;
    std::uint64_t d_offset = 0;
    std::uint32_t range_length = 0;  ///< 0: has no pad range
    std::uint8_t tag[16] = {};
    std::uint8_t mask[16] = {};
  };

  /// `packets`: a power of two. `d_ring_bytes`: of the D stream's ring; ranges are found again as far back as
  /// the ring is long. `memory`: memory_bytes(packets), locked (asserted), outlives this object.
  PacketHistory(std::uint32_t packets, std::uint64_t d_ring_bytes, hw::SecretBuffer& memory);
  PacketHistory(const PacketHistory&) = delete;
  PacketHistory& operator=(const PacketHistory&) = delete;
  ~PacketHistory() { erase(); }

  static constexpr std::size_t memory_bytes(std::uint32_t packets) noexcept {
    return std::size_t{packets} * sizeof(Record);
  }

  /// The packet was accepted. Forgets the one that is as many numbers behind as there are records.
  void add(std::uint64_t number, std::uint64_t d_offset, std::uint32_t range_length, const std::uint8_t* tag,
           const std::uint8_t* mask) noexcept;
  /// Null where it is not remembered.
  const Record* by_number(std::uint64_t number) const noexcept {
    const Record& record = records_[number & mask_];
    return record.number == number ? &record : nullptr;
  }
  /// The packet that opened the range that begins there.
  const Record* by_range(std::uint64_t d_offset) const noexcept;
  void prefetch(std::uint64_t number) const noexcept { __builtin_prefetch(&records_[number & mask_], 1); }
  void erase() noexcept;

 private:
  std::uint32_t& place_of(std::uint64_t d_offset) noexcept {
    return by_granule_[d_offset / pad_alignment & (by_granule_.size() - 1)];
  }

  std::uint32_t mask_;
  Record* records_;
  /// For the granule where a range begins: the record of the packet that opened it. Never cleaned: the record
  /// says whether it still is that one's.
  std::vector<std::uint32_t> by_granule_;
};

}  // namespace ssn::protocol
