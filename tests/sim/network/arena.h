// SPDX-License-Identifier: BSD-3-Clause
// Cells with buffers of their own, of which every one must come back.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "ssn/protocol/cell.h"

namespace ssn::sim {

class Arena {
 public:
  /// `room`: payload bytes behind the overhead. No more than `capacity` cells are ever out.
  Arena(std::size_t capacity, std::size_t room);
  ~Arena();
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;

  /// For a packet that is to be made; null: all are out.
  protocol::Cell* take();
  /// For a packet that came; null: all are out, or it is longer than any buffer.
  protocol::Cell* receive(std::span<const std::uint8_t> packet);
  /// `target` for a frame.
  protocol::Cell* take_for_frame();
  /// False: it was not out, or is not of this arena.
  bool give(protocol::Cell* cell);

  std::size_t out() const noexcept { return out_; }

 private:
  struct Place;
  Place* next();

  std::size_t capacity_;
  std::size_t room_;
  std::size_t out_ = 0;
  std::vector<std::unique_ptr<Place>> places_;
  std::vector<Place*> free_;
};

}  // namespace ssn::sim
