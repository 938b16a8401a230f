// SPDX-License-Identifier: BSD-3-Clause
// Where the buffers lie. Placement decides results: when all streams start at the same offset in their page
// they fall into the same cache sets, and loads are taken for dependent on stores 4 KiB away. So the bases
// are spread over the page by golden-ratio steps, and all contenders use the same buffers at the same
// addresses.
#pragma once

#include <cstddef>
#include <cstdint>

namespace ssn::bench {

class Arena {
 public:
  Arena() = default;
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;
  ~Arena();

  /// Forgets all buffers and makes room for `bytes`, in huge pages where the system gives them. Keeps the
  /// memory it has when that is enough, so that contenders run on the same physical pages. Throws
  /// std::runtime_error with the reason when there is no memory.
  void reset(std::size_t bytes);

  /// The next buffer, aligned to 64 bytes, at the next colour.
  std::uint8_t* buffer(std::size_t length);
  /// Starts the colours again: the next set of buffers gets the same ones.
  void restart_colours() noexcept { colour_ = 0; }

  /// Most that buffer(length) can take.
  static std::size_t worst_case(std::size_t length) noexcept { return length + page; }

 private:
  static constexpr std::size_t page = 4096;
  static constexpr std::size_t line = 64;

  std::uint8_t* base_ = nullptr;
  std::size_t capacity_ = 0;
  std::size_t used_ = 0;
  std::size_t colour_ = 0;
};

}  // namespace ssn::bench
