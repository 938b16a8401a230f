// SPDX-License-Identifier: BSD-3-Clause
// Memory for pad that keep orders turn into share bytes, or mask orders into masks: locked, out of dumps,
// erased when it is given back. Pieces of one length. One worker's.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "ssn/hw/result.h"
#include "ssn/hw/secret_buffer.h"

namespace ssn::dataplane {

class OrderMemory {
 public:
  /// None: every order is dropped, and comes again.
  OrderMemory() = default;
  /// `bytes` of each piece, a multiple of 64. Fails where so much memory cannot be locked.
  static Result<OrderMemory> make(std::size_t pieces, std::uint32_t bytes);

  /// Null: all are in use.
  std::uint8_t* take() noexcept;
  bool owns(const std::uint8_t* memory) const noexcept {
    return memory != nullptr && memory >= memory_.data() && memory < memory_.data() + memory_.size();
  }
  /// `used`: bytes from its beginning on that something was written to.
  void give_back(std::uint8_t* piece, std::uint32_t used) noexcept;

  std::uint32_t bytes() const noexcept { return bytes_; }
  std::size_t free() const noexcept { return free_.size(); }

 private:
  hw::SecretBuffer memory_;
  std::uint32_t bytes_ = 0;
  std::vector<std::uint8_t*> free_;  // never grows beyond what was reserved
};

}  // namespace ssn::dataplane
