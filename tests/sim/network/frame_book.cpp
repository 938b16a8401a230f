// SPDX-License-Identifier: BSD-3-Clause
#include "frame_book.h"

#include <algorithm>

namespace ssn::sim {

using test::Bytes;
using test::TestRandom;

namespace {

constexpr std::size_t number_bytes = 8;

}  // namespace

// Frames of eight bytes and more begin with their number; shorter ones with as much of it as there is room.
Bytes FrameBook::content(std::uint64_t number, std::size_t length) const {
  Bytes out(length);
  for (std::size_t i = 0; i < std::min(length, number_bytes); ++i) {
    out[i] = static_cast<std::uint8_t>(number >> (8 * i));
  }
  if (length > number_bytes) {
    TestRandom(seed_ ^ number * 0x9e3779b97f4a7c15U).fill(out.data() + number_bytes, length - number_bytes);
  }
  return out;
}

void FrameBook::put(std::size_t length, bool expected) {
  frames_.push_back({static_cast<std::uint32_t>(length), expected});
  out_.push_back(false);
  went_in_ += expected ? 1 : 0;
}

std::string FrameBook::out(std::span<const std::uint8_t> frame) {
  std::uint64_t number = last_;
  if (frame.size() >= number_bytes) {
    number = 0;
    for (std::size_t i = 0; i < number_bytes; ++i) number |= std::uint64_t{frame[i]} << (8 * i);
  } else {
    // The first one that it can be.
    for (; number < frames_.size(); ++number) {
      const Frame& each = frames_[number];
      if (!each.expected || each.length != frame.size()) continue;
      const Bytes wanted = content(number, frame.size());
      if (std::equal(frame.begin(), frame.end(), wanted.begin())) break;
    }
  }
  const std::string what = "a frame of " + std::to_string(frame.size()) + " bytes came out ";
  if (number >= frames_.size()) return what + "that never went in";
  const Frame& in = frames_[number];
  if (!in.expected || in.length != frame.size()) return what + "with another length than it went in with";
  const Bytes wanted = content(number, frame.size());
  if (!std::equal(frame.begin(), frame.end(), wanted.begin())) return what + "with wrong bytes";
  if (out_[number]) return what + "twice";
  if (number < last_) return what + "out of order";
  out_[number] = true;
  last_ = number + 1;
  ++came_out_;
  return {};
}

std::uint64_t FrameBook::first_missing() const noexcept {
  std::uint64_t at = complete_from_;
  while (at < frames_.size() && (!frames_[at].expected || out_[at])) ++at;
  return at;
}

std::uint64_t FrameBook::missing_after(std::uint64_t from) const noexcept {
  std::uint64_t count = 0;
  for (std::uint64_t i = from; i < frames_.size(); ++i) count += frames_[i].expected && !out_[i] ? 1 : 0;
  return count;
}

}  // namespace ssn::sim
