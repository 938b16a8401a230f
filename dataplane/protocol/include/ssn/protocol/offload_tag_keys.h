// SPDX-License-Identifier: BSD-3-Clause
// The hash keys of one direction of one connection, as an offload device wants them.
#pragma once

#include <array>
#include <cstdint>

#include "ssn/hw/offload_device.h"
#include "ssn/hw/result.h"

namespace ssn::protocol {

/// Two keys of the device, given the hash keys of successive blocks of an A stream in turn.
class OffloadTagKeys {
 public:
  /// `device` outlives this object.
  static Result<OffloadTagKeys> make(hw::OffloadDevice& device);
  OffloadTagKeys() noexcept = default;
  OffloadTagKeys(OffloadTagKeys&&) noexcept = default;
  OffloadTagKeys& operator=(OffloadTagKeys&&) noexcept = default;

  bool is_open() const noexcept { return places_[0].key.is_open(); }
  /// The key of an A stream's block, whose hash key is `r` (16 bytes): given to the device if it has it not
  /// yet. Null while jobs in flight still name the key whose place it would take: then the CPU does the job.
  const ssn_offload_tag_key* get(hw::OffloadQueue& queue, std::uint64_t block,
                                 const std::uint8_t* r) noexcept {
    Place& place = places_[block & 1];
    return place.block == block ? place.key.get() : load(place, queue, block, r);
  }
  /// A job names the key of that block, or does not any more.
  void hold(std::uint64_t block) noexcept { ++places_[block & 1].jobs; }
  void release(std::uint64_t block) noexcept { --places_[block & 1].jobs; }

 private:
  struct Place {
    hw::OffloadTagKey key;
    std::uint64_t block = UINT64_MAX;
    std::uint32_t jobs = 0;
  };
  const ssn_offload_tag_key* load(Place& place, hw::OffloadQueue& queue, std::uint64_t block,
                                  const std::uint8_t* r) noexcept;

  std::array<Place, 2> places_;
};

}  // namespace ssn::protocol
