// SPDX-License-Identifier: BSD-3-Clause
// The buffers that answers are received into, all made (and locked) when the device is opened.
#pragma once

#include <cassert>
#include <utility>
#include <vector>

#include "ssn/hw/result.h"
#include "types.h"

namespace ssn::hw::etsi014 {

class BodyPool {
 public:
  static Result<BodyPool> make(std::size_t count, std::size_t bytes) {
    BodyPool pool;
    pool.free_.reserve(count);
    for (std::size_t i = 0; i < count; ++i) {
      Result<SecretBuffer> memory = SecretBuffer::make(bytes, SecretBuffer::Locking::required);
      if (!memory.ok()) {
        return std::move(memory.error());
      }
      pool.free_.push_back(Body{std::move(memory.value())});
    }
    pool.count_ = count;
    return pool;
  }

  bool empty() const noexcept { return free_.empty(); }
  bool all_there() const noexcept { return free_.size() == count_; }
  Body take() {
    assert(!empty());
    Body body = std::move(free_.back());
    free_.pop_back();
    return body;
  }
  /// Erases what was received.
  void give_back(Body body) {
    assert(free_.size() < count_);
    body.erase();
    free_.push_back(std::move(body));
  }

 private:
  std::vector<Body> free_;
  std::size_t count_ = 0;
};

}  // namespace ssn::hw::etsi014
