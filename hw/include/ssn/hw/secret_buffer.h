// SPDX-License-Identifier: BSD-3-Clause
// Memory of this process alone for secrets: data, random blocks, shares, keys. Between two guard pages, never
// in a core dump, not inherited by a child, erased before it is given back, not copyable, not printable. A
// write behind its end is found when it is released, and stops the process. Memory that a device shares:
// ring_memory.h.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "ssn/device.h"
#include "ssn/hw/result.h"

namespace ssn::hw {

/// Moves, never copies. Any thread, one at a time.
class SecretBuffer {
 public:
  enum class Locking {
    best_effort,  ///< goes on where the limit of locked memory (ulimit -l) is too low: a restore must not
                  ///< fail
    required,     ///< an error then: pads and their keys live in locked memory only
  };

  SecretBuffer() noexcept = default;
  SecretBuffer(SecretBuffer&& other) noexcept;
  SecretBuffer& operator=(SecretBuffer&& other) noexcept;
  SecretBuffer(const SecretBuffer&) = delete;
  SecretBuffer& operator=(const SecretBuffer&) = delete;
  ~SecretBuffer() { release(); }

  /// Page-aligned and zeroed. `bytes` may be 0.
  static Result<SecretBuffer> make(std::size_t bytes, Locking locking = Locking::best_effort);

  std::uint8_t* data() noexcept { return data_; }
  const std::uint8_t* data() const noexcept { return data_; }
  std::size_t size() const noexcept { return size_; }
  bool locked() const noexcept { return locked_; }
  std::span<std::uint8_t> span() noexcept { return {data_, size_}; }
  void erase() noexcept;
  /// As the driver interfaces want it: whole pages. Nothing where there are no bytes.
  ssn_memory describe() const noexcept;

 private:
  void release() noexcept;

  std::uint8_t* data_ = nullptr;
  std::size_t size_ = 0;
  std::size_t accessible_ = 0;  // from data_, whole pages; a guard page lies before and behind
  bool locked_ = false;
};

/// For the whole process: no core dumps, no reading by debuggers of the same user.
void disable_core_dumps() noexcept;

}  // namespace ssn::hw
