// SPDX-License-Identifier: BSD-3-Clause
// Access to registers: a PCI BAR, or memory that is shared with a device model. Every access is one load or
// store of the register's own width, naturally aligned, in program order.
#pragma once

#include <cassert>
#include <cstddef>
#include <cstdint>

namespace ssn::kmnic {

/// What host memory was written before becomes visible to the device before registers are written after.
inline void barrier_before_doorbell() noexcept {
#if defined(__aarch64__)
  __asm__ volatile("dmb osh" ::: "memory");
#else
  __atomic_thread_fence(__ATOMIC_RELEASE);  // x86 keeps stores in order, those to uncached memory included
#endif
}

/// A window of registers. Copies refer to the same registers.
class Registers {
 public:
  Registers() noexcept = default;
  Registers(void* base, std::size_t bytes) noexcept
      : base_(static_cast<volatile std::uint8_t*>(base)), bytes_(bytes) {}

  std::uint32_t read32(std::size_t offset) const noexcept {
    return __atomic_load_n(at<std::uint32_t>(offset), __ATOMIC_ACQUIRE);
  }
  std::uint64_t read64(std::size_t offset) const noexcept {
    return __atomic_load_n(at<std::uint64_t>(offset), __ATOMIC_ACQUIRE);
  }
  void write32(std::size_t offset, std::uint32_t value) const noexcept {
    barrier_before_doorbell();
    __atomic_store_n(at<std::uint32_t>(offset), value, __ATOMIC_RELEASE);
  }
  void write64(std::size_t offset, std::uint64_t value) const noexcept {
    barrier_before_doorbell();
    __atomic_store_n(at<std::uint64_t>(offset), value, __ATOMIC_RELEASE);
  }
  /// `length` bytes from or to registers that hold text; in words of 4 bytes.
  void read_bytes(std::size_t offset, std::uint8_t* out, std::size_t length) const noexcept {
    for (std::size_t i = 0; i < length; ++i) {
      out[i] = static_cast<std::uint8_t>(read32(offset + i / 4 * 4) >> (i % 4 * 8));
    }
  }
  void write_bytes(std::size_t offset, const std::uint8_t* bytes, std::size_t length) const noexcept {
    for (std::size_t i = 0; i < length; i += 4) {
      std::uint32_t word = 0;
      for (std::size_t j = 0; j < 4 && i + j < length; ++j) {
        word |= static_cast<std::uint32_t>(bytes[i + j]) << (j * 8);
      }
      write32(offset + i, word);
    }
  }

  Registers window(std::size_t offset, std::size_t bytes) const noexcept {
    assert(offset <= bytes_ && bytes <= bytes_ - offset);
    Registers part;
    part.base_ = base_ + offset;
    part.bytes_ = bytes;
    return part;
  }
  std::size_t bytes() const noexcept { return bytes_; }

 private:
  template <typename Word>
  volatile Word* at(std::size_t offset) const noexcept {
    assert(offset % sizeof(Word) == 0 && offset < bytes_ && sizeof(Word) <= bytes_ - offset);
    return reinterpret_cast<volatile Word*>(base_ + offset);
  }

  volatile std::uint8_t* base_ = nullptr;
  std::size_t bytes_ = 0;
};

}  // namespace ssn::kmnic
