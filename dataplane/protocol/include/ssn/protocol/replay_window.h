// SPDX-License-Identifier: BSD-3-Clause
// Which packet numbers were seen, after RFC 6479: a ring of words that moves up by whole words and is never
// shifted. For AES-256-GCM; pads have the window of their A stream.
#pragma once

#include <bit>
#include <cassert>
#include <cstdint>
#include <vector>

namespace ssn::protocol {

class ReplayWindow {
 public:
  enum class State : std::uint8_t { fresh, seen, too_old };

  /// Accepts numbers up to `numbers` - 64 behind the highest one, and some before that. A power of two >=
  /// 128.
  explicit ReplayWindow(std::uint64_t numbers) : words_(numbers / 64) {
    assert(std::has_single_bit(numbers) && numbers >= 128);
  }

  /// Changes nothing.
  State find(std::uint64_t number) const noexcept {
    const std::uint64_t word = number / 64;
    if (word > last_) return State::fresh;
    if (last_ - word >= words_.size()) return State::too_old;
    return (words_[word & mask()] >> (number % 64) & 1U) != 0 ? State::seen : State::fresh;
  }

  /// The number was fresh and its packet is authentic.
  void mark(std::uint64_t number) noexcept {
    assert(find(number) == State::fresh);
    const std::uint64_t word = number / 64;
    if (word > last_) {
      // A leap over the whole ring clears each word once.
      const std::uint64_t leap = word - last_ < words_.size() ? word - last_ : words_.size();
      for (std::uint64_t i = 0; i < leap; ++i) words_[(word - i) & mask()] = 0;
      last_ = word;
    }
    words_[word & mask()] |= std::uint64_t{1} << (number % 64);
  }

 private:
  std::uint64_t mask() const noexcept { return words_.size() - 1; }

  std::vector<std::uint64_t> words_;
  std::uint64_t last_ = 0;  // the word of the highest number
};

}  // namespace ssn::protocol
