// SPDX-License-Identifier: BSD-3-Clause
// Buffers between two inaccessible pages, so that one byte too far is a fault, and with known bytes around
// what was handed out where a buffer does not touch a page.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

namespace ssn::test {

/// Where in its pages a buffer lies.
struct Placement {
  /// The last byte directly before the inaccessible page; otherwise `offset` bytes after the first one.
  bool at_end = false;
  unsigned offset = 0;
};

/// Hands out guarded buffers of up to `capacity` bytes. Mappings are kept and reused after reset().
class BufferPool {
 public:
  explicit BufferPool(std::size_t capacity);
  BufferPool(const BufferPool&) = delete;
  BufferPool& operator=(const BufferPool&) = delete;
  ~BufferPool();

  static constexpr unsigned max_offset = 63;

  /// length >= 1, at most the capacity. The contents are 0xEE, so that a byte never written shows.
  std::uint8_t* take(std::size_t length, Placement placement);
  /// Takes all buffers back.
  void reset() { used_ = 0; }
  /// Whether no byte around the buffers handed out since reset() has changed.
  bool intact() const;

 private:
  struct Mapping {
    std::uint8_t* first = nullptr;  // first accessible byte
    std::uint8_t* begin = nullptr;  // of the buffer handed out
    std::uint8_t* end = nullptr;
  };
  void fill_margin(const Mapping& mapping) const;
  bool margin_intact(const Mapping& mapping) const;

  std::size_t page_;
  std::size_t accessible_;
  std::size_t used_ = 0;
  std::vector<Mapping> mappings_;
};

}  // namespace ssn::test
