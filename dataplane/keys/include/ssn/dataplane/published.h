// SPDX-License-Identifier: BSD-3-Clause
// A value that one thread publishes and others read whole, without a lock: a sequence lock after Boehm, "Can
// seqlocks get along with programming language memory models?" (MSPC 2012), with atomic words.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <cstring>
#include <optional>
#include <type_traits>

namespace ssn::dataplane {

/// T: plain numbers, a multiple of 8 bytes. Publishing never waits; reading gives up when the writer was
/// there at every try.
template <typename T>
class Published {
  static_assert(std::is_trivially_copyable_v<T> && sizeof(T) % 8 == 0);

 public:
  /// The one writer.
  void publish(const T& value) noexcept {
    std::array<std::uint64_t, words> plain;
    std::memcpy(plain.data(), &value, sizeof value);
    const std::uint64_t sequence = sequence_.load(std::memory_order_relaxed);
    sequence_.store(sequence + 1, std::memory_order_relaxed);
    // Release: whoever sees one of these words sees that the sequence is odd.
    for (std::size_t i = 0; i < words; ++i) words_[i].store(plain[i], std::memory_order_release);
    sequence_.store(sequence + 2, std::memory_order_release);
  }

  /// Any thread. Nothing before the first value, or when the writer was always at work.
  std::optional<T> read() const noexcept {
    constexpr int tries = 64;
    for (int i = 0; i < tries; ++i) {
      const std::uint64_t before = sequence_.load(std::memory_order_acquire);
      if (before == 0) return std::nullopt;
      if (before % 2 != 0) continue;
      std::array<std::uint64_t, words> plain;
      for (std::size_t word = 0; word < words; ++word) {
        plain[word] = words_[word].load(std::memory_order_acquire);
      }
      if (sequence_.load(std::memory_order_relaxed) != before) continue;
      T value;
      std::memcpy(static_cast<void*>(&value), plain.data(), sizeof value);
      return value;
    }
    return std::nullopt;
  }

  /// How often something was published.
  std::uint64_t count() const noexcept { return sequence_.load(std::memory_order_relaxed) / 2; }

 private:
  static constexpr std::size_t words = sizeof(T) / 8;
  alignas(64) std::atomic<std::uint64_t> sequence_{0};
  std::array<std::atomic<std::uint64_t>, words> words_{};
};

}  // namespace ssn::dataplane
