// SPDX-License-Identifier: BSD-3-Clause
// AES-256-GCM: counter mode, and a tag whose mask is the first block of the keystream.
#include "ssn/kernels/gcm.h"

#include <cassert>

#include "equal.h"
#include "implementation.h"
#include "scalar_aes.h"
#include "ssn/kernels/erase.h"

namespace ssn::kernels {
namespace {

static_assert(aes_key_schedule_bytes == 15 * 16);

// Block numbers of a packet have 32 bits.
constexpr std::size_t longest = ((std::uint64_t{1} << 32) - 2) * 16;

constexpr std::array<std::uint8_t, 16> zeros{};

Status check(const Implementation& implementation, const GcmPacket& packet, const std::uint8_t* in,
             std::size_t length) noexcept {
  if (implementation.cipher == nullptr) {
    return Status::unsupported_implementation;
  }
  if (packet.key == nullptr || packet.nonce == nullptr || in == nullptr ||
      (packet.header == nullptr && packet.header_length != 0)) {
    return Status::missing_buffer;
  }
  if (length == 0) {
    return Status::length_is_zero;
  }
  assert(packet.key->hash_key().owner() == &implementation &&
         "a key belongs to the implementation that expanded it");
  return length > longest ? Status::length_too_large : Status::ok;
}

TagTask task_of(const GcmPacket& packet, std::uint8_t* tag) noexcept {
  return {packet.key->hash_key().table(), packet.header, packet.header_length, nullptr, nullptr, tag};
}

// The mask serves one tag, and is erased with it.
class Mask {
 public:
  Mask(const Implementation& implementation, const GcmPacket& packet) noexcept {
    implementation.cipher(packet.key->round_keys(), packet.nonce, gcm_mask_block, zeros.data(), block_.data(),
                          block_.size());
    tagging_ = {&packet.key->hash_key(), packet.header, packet.header_length, block_.data()};
  }
  Mask(const Mask&) = delete;
  Mask& operator=(const Mask&) = delete;
  ~Mask() noexcept { erase_block(block_.data()); }
  const Tagging& tagging() const noexcept { return tagging_; }

 private:
  std::array<std::uint8_t, tag_bytes> block_;
  Tagging tagging_;
};

}  // namespace

GcmKey::~GcmKey() noexcept { kernels::erase(round_keys_.data(), round_keys_.size()); }

Status GcmKey::expand(const Implementation& implementation,
                      std::span<const std::uint8_t, key_bytes> key) noexcept {
  if (implementation.cipher == nullptr) {
    return Status::unsupported_implementation;
  }
  aes_expand_key(key.data(), round_keys_.data());
  std::array<std::uint8_t, 16> hash_key;
  implementation.cipher(round_keys_.data(), zeros.data(), 0, zeros.data(), hash_key.data(), hash_key.size());
  hash_key_.expand(implementation, hash_key);
  erase_block(hash_key.data());
  return Status::ok;
}

void GcmKey::erase() noexcept {
  kernels::erase(round_keys_.data(), round_keys_.size());
  hash_key_.erase();
}

bool has_gcm(const Implementation& implementation) noexcept { return implementation.cipher != nullptr; }

Status gcm_seal(const Implementation& implementation, const GcmPacket& packet, const std::uint8_t* in,
                std::uint8_t* out, std::size_t length, std::uint8_t* tag) noexcept {
  if (const Status status = check(implementation, packet, in, length); status != Status::ok) {
    return status;
  }
  if (out == nullptr || tag == nullptr) {
    return Status::missing_buffer;
  }
  implementation.gcm_seal(task_of(packet, tag), packet.key->round_keys(), packet.nonce, in, out, length);
  return Status::ok;
}

Status gcm_verify(const Implementation& implementation, const GcmPacket& packet, const std::uint8_t* in,
                  std::size_t length, const std::uint8_t* expected) noexcept {
  if (const Status status = check(implementation, packet, in, length); status != Status::ok) {
    return status;
  }
  const Mask mask(implementation, packet);
  return verify(implementation, mask.tagging(), in, length, expected);
}

Status gcm_open(const Implementation& implementation, const GcmPacket& packet, const std::uint8_t* in,
                std::uint8_t* out, std::size_t length, const std::uint8_t* expected) noexcept {
  if (out == nullptr || expected == nullptr) {
    return Status::missing_buffer;
  }
  if (in != out) {
    const Status status = gcm_verify(implementation, packet, in, length, expected);
    if (status == Status::ok) {
      implementation.cipher(packet.key->round_keys(), packet.nonce, gcm_text_block, in, out, length);
    }
    return status;
  }
  if (const Status status = check(implementation, packet, in, length); status != Status::ok) {
    return status;
  }
  std::array<std::uint8_t, tag_bytes> computed;
  implementation.gcm_open(task_of(packet, computed.data()), packet.key->round_keys(), packet.nonce, out, out,
                          length);
  const bool matches = equal(computed.data(), expected);
  erase_block(computed.data());
  if (!matches) {  // as it was
    implementation.cipher(packet.key->round_keys(), packet.nonce, gcm_text_block, out, out, length);
  }
  return matches ? Status::ok : Status::tag_mismatch;
}

}  // namespace ssn::kernels
