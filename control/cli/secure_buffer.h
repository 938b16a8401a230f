// SPDX-License-Identifier: BSD-3-Clause
// Memory for data, random blocks and shares: never in a core dump, erased before it is given back, not
// copyable. Locked against swapping as far as the limit of locked memory (ulimit -l) allows.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "result.h"

namespace ssn::cli {

class SecureBuffer {
 public:
  SecureBuffer() noexcept = default;
  SecureBuffer(SecureBuffer&& other) noexcept;
  SecureBuffer& operator=(SecureBuffer&& other) noexcept;
  SecureBuffer(const SecureBuffer&) = delete;
  SecureBuffer& operator=(const SecureBuffer&) = delete;
  ~SecureBuffer() { release(); }

  /// Page-aligned and zeroed. `bytes` may be 0.
  static Result<SecureBuffer> make(std::size_t bytes);

  std::uint8_t* data() noexcept { return data_; }
  const std::uint8_t* data() const noexcept { return data_; }
  std::size_t size() const noexcept { return size_; }
  bool locked() const noexcept { return locked_; }
  std::span<std::uint8_t> span() noexcept { return {data_, size_}; }
  void erase() noexcept;

 private:
  void release() noexcept;

  std::uint8_t* data_ = nullptr;
  std::size_t size_ = 0;
  std::size_t mapped_ = 0;
  bool locked_ = false;
};

/// For the whole process: no core dumps, no reading by debuggers of the same user.
void disable_core_dumps() noexcept;

}  // namespace ssn::cli
