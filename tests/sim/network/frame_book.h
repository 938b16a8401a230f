// SPDX-License-Identifier: BSD-3-Clause
// Knows every frame that went in, and holds what comes out against it: no wrong byte, nothing twice, in
// order.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "test_random.h"

namespace ssn::sim {

/// One direction of one stream, in all lives of its nodes.
class FrameBook {
 public:
  explicit FrameBook(std::uint64_t seed) : seed_(seed) {}

  /// The frame with this number, which is the next one unless others were put in meanwhile.
  test::Bytes content(std::uint64_t number, std::size_t length) const;
  std::uint64_t next() const noexcept { return frames_.size(); }
  /// The packer took it. `expected`: false where it was refused as too long.
  void put(std::size_t length, bool expected);
  /// A frame came out. Empty, or what is wrong with it.
  std::string out(std::span<const std::uint8_t> frame);

  std::uint64_t came_out() const noexcept { return came_out_; }
  std::uint64_t went_in() const noexcept { return went_in_; }
  /// From now on every frame that goes in must come out.
  void begin_complete() noexcept { complete_from_ = next(); }
  bool any_since() const noexcept { return next() > complete_from_; }
  /// Of those, the ones that have not come out.
  std::uint64_t first_missing() const noexcept;
  std::uint64_t missing() const noexcept { return missing_after(complete_from_); }

 private:
  struct Frame {
    std::uint32_t length;
    bool expected;
  };
  std::uint64_t missing_after(std::uint64_t from) const noexcept;

  std::uint64_t seed_;
  std::vector<Frame> frames_;
  std::vector<bool> out_;
  std::uint64_t last_ = 0;  // the next number that may come out
  std::uint64_t went_in_ = 0;
  std::uint64_t came_out_ = 0;
  std::uint64_t complete_from_ = UINT64_MAX;
};

}  // namespace ssn::sim
