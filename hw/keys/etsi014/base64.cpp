// SPDX-License-Identifier: BSD-3-Clause
#include "base64.h"

#include <algorithm>
#include <cassert>
#include <cstring>

namespace ssn::hw::etsi014 {
namespace {

constexpr std::size_t block_characters = 64;
constexpr std::uint8_t invalid = 0x80;

// All ones where low <= c <= high: a comparison that becomes a mask, not a branch.
inline std::uint8_t within(std::uint8_t c, char low, char high) noexcept {
  const bool is = static_cast<std::uint8_t>(c - low) <= static_cast<std::uint8_t>(high - low);
  return static_cast<std::uint8_t>(0U - static_cast<unsigned>(is));
}

// The value of a character, or `invalid`.
inline std::uint8_t value_of(std::uint8_t c) noexcept {
  const std::uint8_t upper = within(c, 'A', 'Z');
  const std::uint8_t lower = within(c, 'a', 'z');
  const std::uint8_t digit = within(c, '0', '9');
  const std::uint8_t plus = within(c, '+', '+');
  const std::uint8_t slash = within(c, '/', '/');
  const unsigned known = upper | lower | digit | plus | slash;
  const unsigned value =
      (upper & static_cast<unsigned>(c - 'A')) | (lower & static_cast<unsigned>(c - 'a' + 26)) |
      (digit & static_cast<unsigned>(c - '0' + 52)) | (plus & 62U) | (slash & 63U) | (~known & invalid);
  return static_cast<std::uint8_t>(value);
}

// Values of a whole block; returns their disjunction, whose bit `invalid` tells whether all are good.
std::uint8_t values_of_block(const std::uint8_t* text, std::uint8_t* values) noexcept {
  std::uint8_t all = 0;
  for (std::size_t i = 0; i < block_characters; ++i) {
    values[i] = value_of(text[i]);
    all |= values[i];
  }
  return all;
}

inline std::uint32_t group_of(const std::uint8_t* values) noexcept {
  return static_cast<std::uint32_t>(values[0]) << 18 | static_cast<std::uint32_t>(values[1]) << 12 |
         static_cast<std::uint32_t>(values[2]) << 6 | values[3];
}

// `characters` is a multiple of 4.
void pack(const std::uint8_t* values, std::size_t characters, std::uint8_t* out) noexcept {
  for (std::size_t i = 0; i < characters / 4; ++i) {
    const std::uint32_t group = group_of(values + 4 * i);
    out[3 * i] = static_cast<std::uint8_t>(group >> 16);
    out[3 * i + 1] = static_cast<std::uint8_t>(group >> 8);
    out[3 * i + 2] = static_cast<std::uint8_t>(group);
  }
}

// Goes over the text; writes where `out` is given.
bool process(const std::uint8_t* text, std::size_t length, std::uint8_t* out) noexcept {
  const std::size_t bytes = base64_decoded_bytes(text, length);
  if (bytes == 0) {
    return false;
  }
  const std::size_t padding = length / 4 * 3 - bytes;
  alignas(64) std::uint8_t values[block_characters];
  std::uint8_t all = 0;
  std::size_t at = 0;
  for (; at + block_characters < length; at += block_characters) {
    all |= values_of_block(text + at, values);
    if (out != nullptr) {
      pack(values, block_characters, out);
      out += block_characters / 4 * 3;
    }
  }
  // The rest, at least one group and at most a block, with zeros for the padding.
  const std::size_t rest = length - at;
  assert(rest >= 4 && rest <= block_characters);
  std::uint8_t tail[block_characters];
  std::memset(tail, 'A', sizeof tail);
  std::memcpy(tail, text + at, rest - padding);
  all |= values_of_block(tail, values);
  std::uint8_t packed[block_characters / 4 * 3];
  pack(values, rest, packed);
  const std::size_t rest_bytes = rest / 4 * 3;
  for (std::size_t i = rest_bytes - padding; i < rest_bytes; ++i) {
    all |= static_cast<std::uint8_t>(0U - static_cast<unsigned>(packed[i] != 0)) & invalid;
  }
  if (out != nullptr) {
    std::memcpy(out, packed, rest_bytes - padding);
  }
  ::explicit_bzero(values, sizeof values);
  ::explicit_bzero(tail, sizeof tail);
  ::explicit_bzero(packed, sizeof packed);
  return (all & invalid) == 0;
}

}  // namespace

std::size_t base64_decoded_bytes(const std::uint8_t* text, std::size_t length) noexcept {
  if (length == 0 || length % 4 != 0) {
    return 0;
  }
  const std::size_t padding = text[length - 1] != '=' ? 0 : text[length - 2] != '=' ? 1 : 2;
  return length / 4 * 3 - padding;
}

bool base64_valid(const std::uint8_t* text, std::size_t length) noexcept {
  return process(text, length, nullptr);
}

bool base64_decode(const std::uint8_t* text, std::size_t length, std::uint8_t* out) noexcept {
  assert(out != nullptr);
  return process(text, length, out);
}

bool has_backslash(const std::uint8_t* text, std::size_t length) noexcept {
  std::uint8_t any = 0;
  for (std::size_t i = 0; i < length; ++i) {
    any |= within(text[i], '\\', '\\');
  }
  return any != 0;
}

}  // namespace ssn::hw::etsi014
