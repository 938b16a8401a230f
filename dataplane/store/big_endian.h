// SPDX-License-Identifier: BSD-3-Clause
// Numbers as they lie in records and in the key file.
#pragma once

#include <cstddef>
#include <cstdint>

namespace ssn::store {

template <std::size_t bytes>
inline void put_big(std::uint8_t* to, std::uint64_t value) noexcept {
  for (std::size_t i = 0; i < bytes; ++i) to[i] = static_cast<std::uint8_t>(value >> (8 * (bytes - 1 - i)));
}
template <std::size_t bytes>
inline std::uint64_t get_big(const std::uint8_t* from) noexcept {
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < bytes; ++i) value = value << 8 | from[i];
  return value;
}
inline std::uint16_t get_big16(const std::uint8_t* from) noexcept {
  return static_cast<std::uint16_t>(get_big<2>(from));
}
inline std::uint32_t get_big32(const std::uint8_t* from) noexcept {
  return static_cast<std::uint32_t>(get_big<4>(from));
}
inline std::uint64_t get_big64(const std::uint8_t* from) noexcept { return get_big<8>(from); }

}  // namespace ssn::store
