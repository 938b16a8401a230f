// SPDX-License-Identifier: BSD-3-Clause
// Big-endian numbers and short strings in messages and ledger records. A reader that was asked for more than
// there is gives zeros from then on and is not ok().
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace ssn::protocol {

class ByteWriter {
 public:
  explicit ByteWriter(std::vector<std::uint8_t>& out) : out_(&out) {}
  void number(std::uint64_t value, unsigned bytes) {
    for (unsigned i = bytes; i-- > 0;) out_->push_back(static_cast<std::uint8_t>(value >> (8 * i)));
  }
  void bytes(std::span<const std::uint8_t> data) { out_->insert(out_->end(), data.begin(), data.end()); }
  /// At most 255 bytes.
  void text(std::string_view value) {
    number(value.size(), 1);
    for (const char c : value) out_->push_back(static_cast<std::uint8_t>(c));
  }

 private:
  std::vector<std::uint8_t>* out_;
};

class ByteReader {
 public:
  explicit ByteReader(std::span<const std::uint8_t> data) : rest_(data) {}
  bool ok() const { return ok_; }
  std::size_t left() const { return rest_.size(); }
  std::uint64_t number(unsigned bytes) {
    std::uint64_t value = 0;
    for (const std::uint8_t byte : take(bytes)) value = value << 8 | byte;
    return value;
  }
  template <std::size_t N>
  std::array<std::uint8_t, N> bytes() {
    std::array<std::uint8_t, N> out{};
    const auto data = take(N);
    std::copy(data.begin(), data.end(), out.begin());
    return out;
  }
  std::string text() {
    const auto data = take(static_cast<std::size_t>(number(1)));
    return std::string(data.begin(), data.end());
  }
  std::span<const std::uint8_t> take(std::size_t count) {
    if (!ok_ || count > rest_.size()) {
      ok_ = false;
      return {};
    }
    const auto out = rest_.first(count);
    rest_ = rest_.subspan(count);
    return out;
  }

 private:
  std::span<const std::uint8_t> rest_;
  bool ok_ = true;
};

}  // namespace ssn::protocol
