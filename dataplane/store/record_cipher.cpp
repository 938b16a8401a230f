// SPDX-License-Identifier: BSD-3-Clause
#include "record_cipher.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include <cassert>
#include <cstring>

#include "planted_faults.h"

namespace ssn::store {
namespace {

constexpr std::size_t block_bytes = 16;
constexpr int record_key_bytes = 32;

template <typename Free>
EVP_CIPHER_CTX* context(const std::unique_ptr<void, Free>& pointer) {
  return static_cast<EVP_CIPHER_CTX*>(pointer.get());
}

bool encrypt_blocks(EVP_CIPHER_CTX* cipher, const std::uint8_t* from, std::size_t bytes, std::uint8_t* to) {
  int written = 0;
  return EVP_EncryptUpdate(cipher, to, &written, from, static_cast<int>(bytes)) == 1 &&
         static_cast<std::size_t>(written) == bytes;
}

Error no_cipher() {
  return {Exit::failed, "cannot prepare the encryption of records", "OpenSSL has no memory or no such cipher",
          "libcrypto", "check the OpenSSL installation"};
}

}  // namespace

void RecordCipher::Free::operator()(void* context) const noexcept {
  EVP_CIPHER_CTX_free(static_cast<EVP_CIPHER_CTX*>(context));  // overwrites the key schedule
}

Result<RecordCipher> RecordCipher::make(const hw::SecretBuffer& key) {
  assert(key.size() == record_key_bytes);
  RecordCipher made;
  made.block_.reset(EVP_CIPHER_CTX_new());
  made.stream_.reset(EVP_CIPHER_CTX_new());
  Result<hw::SecretBuffer> subkey = hw::SecretBuffer::make(block_bytes);
  if (!subkey.ok()) return subkey.error();
  made.subkey_ = std::move(subkey.value());
  EVP_CIPHER_CTX* const block = context(made.block_);
  if (block == nullptr || made.stream_ == nullptr ||
      EVP_EncryptInit_ex(block, EVP_aes_256_ecb(), nullptr, key.data(), nullptr) != 1 ||
      EVP_CIPHER_CTX_set_padding(block, 0) != 1) {
    return no_cipher();
  }
  // CMAC's first subkey: AES(0) doubled in GF(2^128), without a branch on it.
  std::uint8_t* const k1 = made.subkey_.data();
  std::uint8_t zeros[block_bytes] = {};
  if (!encrypt_blocks(block, zeros, sizeof zeros, k1)) return no_cipher();
  const auto carry = static_cast<std::uint8_t>(k1[0] >> 7);
  for (std::size_t i = 0; i < block_bytes; ++i) {
    const std::uint8_t next =
        i + 1 < block_bytes ? static_cast<std::uint8_t>(k1[i + 1] >> 7) : std::uint8_t{0};
    k1[i] = static_cast<std::uint8_t>(k1[i] << 1 | next);
  }
  k1[block_bytes - 1] = static_cast<std::uint8_t>(k1[block_bytes - 1] ^ (0x87 & -carry));
  return made;
}

// The record's key: CMAC over counter, 'X' and the nonce's first half, once for each half of the key.
bool RecordCipher::derive(const std::uint8_t* nonce, bool seals) noexcept {
  std::uint8_t blocks[2 * block_bytes] = {};
  for (std::size_t half = 0; half < 2; ++half) {
    std::uint8_t* const block = blocks + half * block_bytes;
    block[1] = static_cast<std::uint8_t>(half + 1);
    block[2] = 'X';
    std::memcpy(block + 4, nonce, 12);
    for (std::size_t i = 0; i < block_bytes; ++i) {
      block[i] = static_cast<std::uint8_t>(block[i] ^ subkey_.data()[i]);
    }
  }
  std::uint8_t key[record_key_bytes];
  const bool ok =
      encrypt_blocks(context(block_), blocks, sizeof blocks, key) &&
      EVP_CipherInit_ex(context(stream_), EVP_aes_256_gcm(), nullptr, key, nonce + 12, seals ? 1 : 0) == 1;
  OPENSSL_cleanse(key, sizeof key);
  OPENSSL_cleanse(blocks, sizeof blocks);
  return ok;
}

bool RecordCipher::seal(const std::uint8_t* nonce, Bytes associated, std::span<const Bytes> pieces,
                        std::uint8_t* to) noexcept {
  EVP_CIPHER_CTX* const stream = context(stream_);
  int written = 0;
  if (!derive(nonce, true) || EVP_EncryptUpdate(stream, nullptr, &written, associated.data(),
                                                static_cast<int>(associated.size())) != 1) {
    return false;
  }
  for (const Bytes piece : pieces) {
    if (EVP_EncryptUpdate(stream, to, &written, piece.data(), static_cast<int>(piece.size())) != 1)
      return false;
    to += piece.size();
  }
  return EVP_EncryptFinal_ex(stream, to, &written) == 1 &&
         EVP_CIPHER_CTX_ctrl(stream, EVP_CTRL_AEAD_GET_TAG, tag_bytes, to) == 1;
}

bool RecordCipher::open(const std::uint8_t* nonce, Bytes associated, Bytes from,
                        std::span<const std::span<std::uint8_t>> pieces) noexcept {
  assert(from.size() >= tag_bytes);
  EVP_CIPHER_CTX* const stream = context(stream_);
  int written = 0;
  bool ok = derive(nonce, false) && EVP_DecryptUpdate(stream, nullptr, &written, associated.data(),
                                                      static_cast<int>(associated.size())) == 1;
  const std::uint8_t* at = from.data();
  for (const std::span<std::uint8_t> piece : pieces) {
    assert(piece.size() + tag_bytes <= static_cast<std::size_t>(from.data() + from.size() - at));
    ok = ok && EVP_DecryptUpdate(stream, piece.data(), &written, at, static_cast<int>(piece.size())) == 1;
    at += piece.size();
  }
  assert(at + tag_bytes == from.data() + from.size());
  std::uint8_t tag[tag_bytes];
  std::uint8_t rest[block_bytes];
  std::memcpy(tag, at, sizeof tag);
  ok = ok && EVP_CIPHER_CTX_ctrl(stream, EVP_CTRL_AEAD_SET_TAG, tag_bytes, tag) == 1 &&
       (EVP_DecryptFinal_ex(stream, rest, &written) == 1 ||
        protocol::planted(protocol::PlantedFault::unchecked_record));
  if (!ok) {
    for (const std::span<std::uint8_t> piece : pieces) OPENSSL_cleanse(piece.data(), piece.size());
  }
  return ok;
}

}  // namespace ssn::store
