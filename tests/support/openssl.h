// SPDX-License-Identifier: BSD-3-Clause
// What OpenSSL says about AES. A failing OpenSSL call ends the process: it is no result of the test.
#pragma once

#include <cstdint>
#include <span>

#include "reference.h"
#include "test_random.h"

namespace ssn::test::openssl {

/// Encrypts one block with AES-128 or AES-256, by the length of the key.
reference::Block aes_block(std::span<const std::uint8_t> key, const reference::Block& in);

/// AES-256-CTR over zeros; the IV is the number `first_block`.
Bytes aes256_keystream(std::span<const std::uint8_t> key, std::uint64_t first_block, std::size_t length);

struct Sealed {
  Bytes ciphertext;
  reference::Block tag;
};

/// AES-GCM with a key of 16 or 32 bytes.
Sealed gcm(std::span<const std::uint8_t> key, const Bytes& iv, const Bytes& header, const Bytes& plaintext);

}  // namespace ssn::test::openssl
