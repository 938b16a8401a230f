// SPDX-License-Identifier: BSD-3-Clause
#include "ssn/dataplane/order_memory.h"

#include <string.h>

#include <algorithm>
#include <cassert>

namespace ssn::dataplane {

Result<OrderMemory> OrderMemory::make(std::size_t pieces, std::uint32_t bytes) {
  assert(pieces != 0 && bytes != 0 && bytes % 64 == 0);
  Result<hw::SecretBuffer> memory =
      hw::SecretBuffer::make(pieces * bytes, hw::SecretBuffer::Locking::required);
  if (!memory.ok()) return memory.error();
  OrderMemory made;
  made.memory_ = std::move(memory.value());
  made.bytes_ = bytes;
  made.free_.reserve(pieces);
  for (std::size_t i = 0; i < pieces; ++i) made.free_.push_back(made.memory_.data() + i * bytes);
  return made;
}

std::uint8_t* OrderMemory::take() noexcept {
  if (free_.empty()) return nullptr;
  std::uint8_t* const piece = free_.back();
  free_.pop_back();
  return piece;
}

void OrderMemory::give_back(std::uint8_t* piece, std::uint32_t used) noexcept {
  assert(owns(piece) && free_.size() < free_.capacity());
  ::explicit_bzero(piece, std::min(used, bytes_));
  free_.push_back(piece);
}

}  // namespace ssn::dataplane
