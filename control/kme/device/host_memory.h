// SPDX-License-Identifier: BSD-3-Clause
// Host memory as the device model reaches it: what drivers handed over, at the bus addresses that they chose.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace ssn::kme {

/// One piece of host memory. Moves, never copies.
class HostMapping {
 public:
  HostMapping() noexcept = default;
  HostMapping(HostMapping&& other) noexcept;
  HostMapping& operator=(HostMapping&& other) noexcept;
  HostMapping(const HostMapping&) = delete;
  HostMapping& operator=(const HostMapping&) = delete;
  ~HostMapping();

  /// Maps `bytes` of `fd`, which stays the caller's. 0, or an errno value: the file must be sealed against
  /// shrinking, or its owner could end this process by truncating it.
  static int make(int fd, std::uint64_t fd_offset, std::uint64_t bytes, std::uint64_t page_bytes,
                  std::uint64_t address, HostMapping& mapping) noexcept;

  std::uint64_t address() const noexcept { return address_; }
  std::uint64_t bytes() const noexcept { return bytes_; }
  /// Where the device finds `length` bytes at a bus address; null when they are not all in here.
  std::uint8_t* at(std::uint64_t address, std::uint64_t length) const noexcept;
  bool holds(const std::uint8_t* pointer) const noexcept {
    return pointer >= base_ && pointer < base_ + bytes_;
  }

 private:
  std::uint8_t* base_ = nullptr;
  std::uint64_t bytes_ = 0;
  std::uint64_t address_ = 0;
};

/// All memory of one connection.
class HostMemory {
 public:
  HostMemory(std::size_t pieces_max, std::uint64_t bytes_max)
      : pieces_max_(pieces_max), bytes_max_(bytes_max) {}

  /// 0, or an errno value.
  int add(int fd, std::uint64_t fd_offset, std::uint64_t bytes, std::uint64_t page_bytes,
          std::uint64_t address);
  /// The piece that begins there; null when there is none.
  const HostMapping* find(std::uint64_t address) const noexcept;
  void remove(std::uint64_t address) noexcept;
  std::uint8_t* at(std::uint64_t address, std::uint64_t length) const noexcept;

 private:
  std::vector<HostMapping> pieces_;
  std::size_t pieces_max_;
  std::uint64_t bytes_max_;
  std::uint64_t bytes_ = 0;
};

/// A buffer in host memory that consists of pages, as a page list names them.
class HostBuffer {
 public:
  /// Follows the page list that begins at `list`. False when any address is not the host's to give.
  bool resolve(const HostMemory& memory, std::uint64_t list, std::uint64_t bytes, std::uint64_t page_bytes);

  void write(std::uint64_t at, const std::uint8_t* from, std::size_t length) const noexcept;
  /// `length` bytes that lie within one page.
  std::uint8_t* pointer(std::uint64_t at) const noexcept {
    return pages_[at / page_bytes_] + at % page_bytes_;
  }
  bool uses(const HostMapping& mapping) const noexcept;

 private:
  std::vector<std::uint8_t*> pages_;
  std::uint64_t page_bytes_ = 1;
};

}  // namespace ssn::kme
