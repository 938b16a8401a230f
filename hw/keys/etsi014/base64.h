// SPDX-License-Identifier: BSD-3-Clause
// Base64 (RFC 4648, 4) of keys, in constant time: time and addresses depend on the length only, never on the
// characters. OpenSSL's decoder looks characters up in a table.
#pragma once

#include <cstddef>
#include <cstdint>

namespace ssn::hw::etsi014 {

/// Bytes that `length` characters stand for; 0 where this cannot be base64: empty, or no multiple of 4. Reads
/// the padding, the last two characters.
std::size_t base64_decoded_bytes(const std::uint8_t* text, std::size_t length) noexcept;

/// Whether it is canonical base64 throughout.
bool base64_valid(const std::uint8_t* text, std::size_t length) noexcept;

/// Writes base64_decoded_bytes() bytes. False where the text is not valid: what was written means nothing
/// then.
bool base64_decode(const std::uint8_t* text, std::size_t length, std::uint8_t* out) noexcept;

/// Whether any character is a backslash.
bool has_backslash(const std::uint8_t* text, std::size_t length) noexcept;

}  // namespace ssn::hw::etsi014
