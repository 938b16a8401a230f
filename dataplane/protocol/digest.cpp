// SPDX-License-Identifier: BSD-3-Clause
#include "digest.h"

#include <openssl/sha.h>

namespace ssn::protocol {

std::array<std::uint8_t, 32> sha256(std::span<const std::uint8_t> data) noexcept {
  std::array<std::uint8_t, 32> out;
  SHA256(data.data(), data.size(), out.data());
  return out;
}

}  // namespace ssn::protocol
