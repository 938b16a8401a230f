// SPDX-License-Identifier: BSD-3-Clause
// XAES-256-GCM (C2SP, https://c2sp.org/XAES-256-GCM): AES-256-GCM (NIST SP 800-38D) under a key that is
// derived from a generation's key and the first half of a 24-byte nonce (SP 800-108 with CMAC).
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>

#include "ssn/hw/result.h"
#include "ssn/hw/secret_buffer.h"
#include "ssn/store/key_value_store.h"

namespace ssn::store {

inline constexpr std::size_t nonce_bytes = 24;
inline constexpr std::size_t tag_bytes = 16;

/// One generation's key, expanded, in OpenSSL's memory: overwritten at its end. One thread at a time.
class RecordCipher {
 public:
  RecordCipher() noexcept = default;
  RecordCipher(RecordCipher&&) noexcept = default;
  RecordCipher& operator=(RecordCipher&&) noexcept = default;

  /// `key`: 32 bytes. Exit::failed: OpenSSL has no memory or no such cipher.
  static Result<RecordCipher> make(const hw::SecretBuffer& key);
  bool ready() const noexcept { return block_ != nullptr; }

  /// Encrypts the pieces one behind the other to `to`; then the tag.
  bool seal(const std::uint8_t* nonce, Bytes associated, std::span<const Bytes> pieces,
            std::uint8_t* to) noexcept;
  /// Decrypts `from`, whose last 16 bytes are the tag, into the pieces; all of it, so they are as long.
  /// False: it is not what was sealed; then the pieces are erased.
  bool open(const std::uint8_t* nonce, Bytes associated, Bytes from,
            std::span<const std::span<std::uint8_t>> pieces) noexcept;

 private:
  struct Free {
    void operator()(void* context) const noexcept;
  };
  bool derive(const std::uint8_t* nonce, bool seals) noexcept;
  std::unique_ptr<void, Free> block_;   // AES-256 under the generation's key
  std::unique_ptr<void, Free> stream_;  // AES-256-GCM under a record's key
  hw::SecretBuffer subkey_;             // CMAC's K1
};

}  // namespace ssn::store
