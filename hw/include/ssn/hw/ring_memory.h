// SPDX-License-Identifier: BSD-3-Clause
// Ring memory that a key device fills: a sealed memfd, on huge pages where there are any, locked, kept out of
// core dumps and children, mapped twice in succession so that every range up to its size is contiguous, and
// erased before it is given back. Its descriptor can be handed to the device. Nothing of it has a name in a
// file system.
#pragma once

#include <cstddef>
#include <cstdint>

#include "ssn/device.h"
#include "ssn/hw/result.h"

namespace ssn::hw {

/// Moves, never copies. Any thread, one at a time. A child that fork() made does not have the memory: it must
/// not end the object.
class RingMemory {
 public:
  enum class Pages {
    huge_if_available,  ///< 2 MiB pages where the system has enough free ones, otherwise normal ones
    normal,
  };
  static constexpr std::size_t max_bytes = std::size_t{1} << 40;

  RingMemory() noexcept = default;
  RingMemory(RingMemory&& other) noexcept;
  RingMemory& operator=(RingMemory&& other) noexcept;
  RingMemory(const RingMemory&) = delete;
  RingMemory& operator=(const RingMemory&) = delete;
  ~RingMemory() { release(); }

  /// `bytes` is a power of two, at least a page and at most max_bytes. Zeroed. `numa_node` >= 0 asks for
  /// memory there; fails with what to do when it cannot be had or locked.
  static Result<RingMemory> make(std::size_t bytes, Pages pages = Pages::huge_if_available,
                                 int numa_node = -1);

  std::uint8_t* data() noexcept { return data_; }
  const std::uint8_t* data() const noexcept { return data_; }
  /// Of the ring; twice as many bytes are mapped from data().
  std::size_t size() const noexcept { return size_; }
  bool huge_pages() const noexcept { return page_bytes_ > 4096; }
  /// As the driver interfaces want it. The descriptor stays this object's.
  ssn_memory describe() const noexcept;
  void erase() noexcept;

 private:
  static Result<RingMemory> make_with(std::size_t bytes, std::size_t page_bytes, int numa_node);
  void release() noexcept;

  std::uint8_t* data_ = nullptr;
  std::size_t size_ = 0;
  std::size_t page_bytes_ = 0;
  int fd_ = -1;
  int numa_node_ = -1;
  bool complete_ = false;  // mapped twice and locked: may hold keys
};

}  // namespace ssn::hw
