// SPDX-License-Identifier: BSD-3-Clause
#include "ssn/protocol/gcm_channel.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include <algorithm>
#include <cassert>
#include <cstring>
#include <new>
#include <utility>

#include "planted_faults.h"

namespace ssn::protocol {
namespace {

void write_nonce(std::uint64_t number, std::uint8_t* nonce) {
  std::memset(nonce, 0, kernels::gcm_nonce_bytes - 8);
  store_big(nonce + kernels::gcm_nonce_bytes - 8, number);
}

Error no_cipher() {
  return {Exit::failed, "cannot prepare AES-256-GCM", "OpenSSL has no memory or no such cipher", "libcrypto",
          "check the OpenSSL installation, or set the shortage policy to refuse or wait"};
}

kernels::GcmPacket packet_of(const kernels::GcmKey& key, const std::uint8_t* nonce,
                             const std::uint8_t* header) {
  return {&key, nonce, header, header_bytes};
}

}  // namespace

GcmKey::~GcmKey() { EVP_CIPHER_CTX_free(context_); }

bool GcmKey::allocate(bool seals) noexcept {
  assert(context_ == nullptr);
  seals_ = seals;
  expanded_.reset(new (std::nothrow) kernels::GcmKey);
  context_ = EVP_CIPHER_CTX_new();
  if (context_ == nullptr || expanded_ == nullptr) {
    return false;
  }
  return EVP_CipherInit_ex(context_, EVP_aes_256_gcm(), nullptr, nullptr, nullptr, seals_ ? 1 : 0) == 1;
}

void GcmKey::set(const kernels::Implementation& implementation, const std::uint8_t* key, std::uint64_t phase,
                 std::uint64_t d_offset) noexcept {
  implementation_ = kernels::has_gcm(implementation) ? &implementation : nullptr;
  if (implementation_ != nullptr) {
    ready_ = expanded_->expand(implementation, std::span<const std::uint8_t, gcm_key_bytes>(
                                                   key, gcm_key_bytes)) == kernels::Status::ok;
  } else {
    ready_ = EVP_CipherInit_ex(context_, nullptr, nullptr, key, nullptr, seals_ ? 1 : 0) == 1;
  }
  phase_ = phase;
  d_offset_ = d_offset;
}

void GcmKey::clear() noexcept {
  if (!ready_) {
    return;
  }
  if (implementation_ != nullptr) {
    expanded_->erase();
  } else {  // OpenSSL overwrites the old key schedule when it is given another key
    static constexpr std::uint8_t nothing[gcm_key_bytes] = {};
    static_cast<void>(EVP_CipherInit_ex(context_, nullptr, nullptr, nothing, nullptr, seals_ ? 1 : 0));
  }
  phase_ = d_offset_ = 0;
  ready_ = false;
}

void GcmKey::swap(GcmKey& other) noexcept {
  std::swap(implementation_, other.implementation_);
  std::swap(expanded_, other.expanded_);
  std::swap(context_, other.context_);
  std::swap(phase_, other.phase_);
  std::swap(d_offset_, other.d_offset_);
  std::swap(ready_, other.ready_);
  assert(seals_ == other.seals_);
}

bool GcmKey::seal(std::uint64_t number, const std::uint8_t* header, const std::uint8_t* from,
                  std::size_t length, std::uint8_t* to, std::uint8_t* tag) noexcept {
  assert(ready_ && seals_);
  std::uint8_t nonce[kernels::gcm_nonce_bytes];
  write_nonce(number, nonce);
  if (implementation_ != nullptr) {
    return kernels::gcm_seal(*implementation_, packet_of(*expanded_, nonce, header), from, to, length, tag) ==
           kernels::Status::ok;
  }
  int written = 0;
  return EVP_EncryptInit_ex(context_, nullptr, nullptr, nullptr, nonce) == 1 &&
         EVP_EncryptUpdate(context_, nullptr, &written, header, static_cast<int>(header_bytes)) == 1 &&
         EVP_EncryptUpdate(context_, to, &written, from, static_cast<int>(length)) == 1 &&
         EVP_EncryptFinal_ex(context_, to + written, &written) == 1 &&
         EVP_CIPHER_CTX_ctrl(context_, EVP_CTRL_AEAD_GET_TAG, static_cast<int>(wire_tag_bytes), tag) == 1;
}

bool GcmKey::open(std::uint64_t number, const std::uint8_t* header, const std::uint8_t* from,
                  std::size_t length, std::uint8_t* to, const std::uint8_t* tag) noexcept {
  assert(ready_ && !seals_);
  std::uint8_t nonce[kernels::gcm_nonce_bytes];
  write_nonce(number, nonce);
  if (implementation_ != nullptr) {
    return kernels::gcm_open(*implementation_, packet_of(*expanded_, nonce, header), from, to, length, tag) ==
           kernels::Status::ok;
  }
  std::uint8_t expected[wire_tag_bytes];
  std::memcpy(expected, tag, sizeof expected);
  int written = 0;
  return EVP_DecryptInit_ex(context_, nullptr, nullptr, nullptr, nonce) == 1 &&
         EVP_DecryptUpdate(context_, nullptr, &written, header, static_cast<int>(header_bytes)) == 1 &&
         EVP_DecryptUpdate(context_, to, &written, from, static_cast<int>(length)) == 1 &&
         EVP_CIPHER_CTX_ctrl(context_, EVP_CTRL_AEAD_SET_TAG, static_cast<int>(wire_tag_bytes), expected) ==
             1 &&
         EVP_DecryptFinal_ex(context_, to + written, &written) == 1;
}

bool GcmKey::verify(std::uint64_t number, const std::uint8_t* header, const std::uint8_t* from,
                    std::size_t length, const std::uint8_t* tag) const noexcept {
  assert(ready_ && implementation_ != nullptr);
  std::uint8_t nonce[kernels::gcm_nonce_bytes];
  write_nonce(number, nonce);
  return kernels::gcm_verify(*implementation_, packet_of(*expanded_, nonce, header), from, length, tag) ==
         kernels::Status::ok;
}

Result<std::unique_ptr<GcmSender>> GcmSender::make(std::uint64_t first_number) {
  std::unique_ptr<GcmSender> made(new GcmSender(first_number));
  for (GcmKey& key : made->keys_) {
    if (!key.allocate(true)) {
      return no_cipher();
    }
  }
  return made;
}

Take GcmSender::fetch(const kernels::Implementation& implementation, PadSender& pads,
                      std::uint64_t phase) noexcept {
  GcmKey& key = keys_[phase & 1];
  if (key.holds(phase)) {
    return Take::ok;
  }
  PadRange range;
  if (const Take why = pads.reserve(gcm_key_bytes, range); why != Take::ok) {
    return why;
  }
  key.set(implementation, range.pad, phase, range.offset);
  pads.use(range);
  return key.ready() ? Take::ok : Take::ended;
}

void GcmSender::prepare(const kernels::Implementation& implementation, PadSender& pads) noexcept {
  const std::uint64_t phase = next_ >> gcm_phase_log2;
  (void)fetch(implementation, pads, phase);
  if ((next_ >> (gcm_phase_log2 - 1) & 1U) != 0) {
    (void)fetch(implementation, pads, phase + 1);
  }
}

std::uint64_t GcmSender::unused_key_offset() const noexcept {
  std::uint64_t lowest = UINT64_MAX;
  for (const GcmKey& key : keys_) {
    if (key.ready() && next_ <= key.phase() << gcm_phase_log2) lowest = std::min(lowest, key.d_offset());
  }
  return lowest;
}

Take GcmSender::ready(const kernels::Implementation& implementation, PadSender& pads) noexcept {
  return next_ >= gcm_number_end ? Take::ended : fetch(implementation, pads, next_ >> gcm_phase_log2);
}

bool GcmSender::seal(PacketHeader& header, std::uint8_t* packet, const std::uint8_t* source,
                     std::size_t length) noexcept {
  GcmKey& key = keys_[next_ >> gcm_phase_log2 & 1];
  assert(key.holds(next_ >> gcm_phase_log2));
  header.flags = static_cast<std::uint8_t>(header.flags | flag_computational);
  header.number = next_++;
  header.d_offset = key.d_offset();
  write_header(header, packet);
  return key.seal(header.number, packet, source, length, packet + overhead_bytes, packet + header_bytes);
}

void GcmSender::end() noexcept {
  for (GcmKey& key : keys_) key.clear();
  next_ = gcm_number_end;
}

Result<std::unique_ptr<GcmReceiver>> GcmReceiver::make(std::uint32_t window) {
  std::unique_ptr<GcmReceiver> made(new GcmReceiver(window));
  if (!made->keys_[0].allocate(false) || !made->keys_[1].allocate(false) ||
      !made->candidate_.allocate(false)) {
    return no_cipher();
  }
  Result<hw::SecretBuffer> plaintext =
      hw::SecretBuffer::make(max_payload, hw::SecretBuffer::Locking::required);
  if (!plaintext.ok()) {
    return plaintext.error();
  }
  made->plaintext_ = std::move(plaintext.value());
  return made;
}

// The key that the packet names: one that was proven, or else one that it may prove.
GcmKey* GcmReceiver::find_key(const kernels::Implementation& implementation, PadReceiver& pads,
                              const PacketHeader& header, Opened& why) noexcept {
  const std::uint64_t phase = header.number >> gcm_phase_log2;
  GcmKey& held = keys_[phase & 1];
  why = Opened::bad_tag;
  if (held.holds(phase)) {
    return held.d_offset() == header.d_offset ? &held : nullptr;
  }
  if (held.ready() && held.phase() > phase) {
    why = Opened::too_old;
    return nullptr;
  }
  std::uint8_t* pad = nullptr;
  const Found found = pads.find(header.d_offset, gcm_key_bytes, pad);
  if (found != Found::ready) {
    why = found == Found::not_yet ? Opened::key_not_delivered : Opened::bad_tag;
    return nullptr;
  }
  candidate_.set(implementation, pad, phase, header.d_offset);
  return candidate_.ready() ? &candidate_ : nullptr;
}

// What is in `to` afterwards, where it is not null, is authentic, or as it was.
bool GcmReceiver::decrypt(GcmKey& key, const PacketHeader& header, const std::uint8_t* packet,
                          std::size_t length, std::uint8_t* to) noexcept {
  const std::uint8_t* const from = packet + overhead_bytes;
  const std::uint8_t* const tag = packet + header_bytes;
  if (key.implementation() != nullptr) {
    return to != nullptr ? key.open(header.number, packet, from, length, to, tag)
                         : key.verify(header.number, packet, from, length, tag);
  }
  const bool authentic = key.open(header.number, packet, from, length, plaintext_.data(), tag);
  if (authentic && to != nullptr) {
    std::memcpy(to, plaintext_.data(), length);
  }
  OPENSSL_cleanse(plaintext_.data(), length);
  return authentic;
}

GcmReceiver::Opened GcmReceiver::open(const kernels::Implementation& implementation, PadReceiver& pads,
                                      const PacketHeader& header, const std::uint8_t* packet,
                                      std::size_t length, std::uint8_t* to) noexcept {
  assert(length <= plaintext_.size());
  const ReplayWindow::State state = window_.find(header.number);
  if (state == ReplayWindow::State::too_old || header.number >= gcm_number_end) {
    return Opened::too_old;
  }
  Tag& tag = tags_[header.number % tags_.size()];
  if (state == ReplayWindow::State::seen && std::memcmp(tag.data(), packet + header_bytes, tag.size()) == 0) {
    return Opened::replayed;  // tags are public
  }
  Opened why = Opened::bad_tag;
  GcmKey* const key = find_key(implementation, pads, header, why);
  if (key == nullptr) {
    return why;
  }
  const bool fresh = state == ReplayWindow::State::fresh;
  const bool authentic = decrypt(*key, header, packet, length, fresh ? to : nullptr);
  if (authentic && fresh) {
    std::memcpy(tag.data(), packet + header_bytes, tag.size());
    window_.mark(header.number);
    if (key == &candidate_) {
      pads.open(header.d_offset, gcm_key_bytes);
      candidate_.swap(keys_[candidate_.phase() & 1]);
    }
  }
  candidate_.clear();
  return !authentic ? Opened::bad_tag : fresh ? Opened::ok : Opened::number_reused;
}

void GcmReceiver::end() noexcept {
  for (GcmKey& key : keys_) key.clear();
  candidate_.clear();
}

}  // namespace ssn::protocol
