// SPDX-License-Identifier: BSD-3-Clause
// AES-256-GCM (NIST SP 800-38D) of packets, with nonces of 12 bytes: what travels where there is no key for
// one-time pads. Needs an implementation with instructions for AES; for the others a general library is
// faster.
//
// Thread-safety as in kernels.h: keys are read only by everything but expand().
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "ssn/kernels/kernels.h"

namespace ssn::kernels {

inline constexpr std::size_t gcm_nonce_bytes = 12;

/// A prepared key. To be used with the implementation that expand() was called with only (asserted). Secret;
/// erased on destruction.
class GcmKey {
 public:
  static constexpr std::size_t key_bytes = 32;

  GcmKey() noexcept = default;
  GcmKey(const GcmKey&) = delete;
  GcmKey& operator=(const GcmKey&) = delete;
  ~GcmKey() noexcept;

  /// unsupported_implementation: it has no instructions for AES. The caller erases its own copy of the key.
  Status expand(const Implementation& implementation, std::span<const std::uint8_t, key_bytes> key) noexcept;
  void erase() noexcept;

  // For operations.
  const std::uint8_t* round_keys() const noexcept { return round_keys_.data(); }
  const TagKey& hash_key() const noexcept { return hash_key_; }

 private:
  alignas(64) std::array<std::uint8_t, 15 * 16> round_keys_{};
  TagKey hash_key_;
};

/// What a packet's tag covers besides itself, and its nonce, which must never serve two packets of a key.
struct GcmPacket {
  const GcmKey* key = nullptr;
  const std::uint8_t* nonce = nullptr;  ///< gcm_nonce_bytes
  const std::uint8_t* header = nullptr;
  std::size_t header_length = 0;
};

/// Whether there is AES-256-GCM in this implementation.
bool has_gcm(const Implementation& implementation) noexcept;

/// Encrypts into `out`, which may be `in`, and writes tag_bytes bytes to `tag`. length_too_large: more than
/// 2^32 - 2 blocks.
Status gcm_seal(const Implementation& implementation, const GcmPacket& packet, const std::uint8_t* in,
                std::uint8_t* out, std::size_t length, std::uint8_t* tag) noexcept;

/// Checks the tag of what is encrypted in `in`, in constant time. ok or tag_mismatch.
Status gcm_verify(const Implementation& implementation, const GcmPacket& packet, const std::uint8_t* in,
                  std::size_t length, const std::uint8_t* expected) noexcept;

/// The same, and decrypts into `out`, which may be `in`. tag_mismatch: `out` is as it was. In place it is
/// decrypted before the tag is known, and encrypted again where that is wrong: nobody else may read
/// meanwhile.
Status gcm_open(const Implementation& implementation, const GcmPacket& packet, const std::uint8_t* in,
                std::uint8_t* out, std::size_t length, const std::uint8_t* expected) noexcept;

}  // namespace ssn::kernels
