// SPDX-License-Identifier: BSD-3-Clause
#include "openssl.h"

#include <openssl/err.h>
#include <openssl/evp.h>

#include <cstdio>
#include <cstdlib>
#include <memory>

namespace ssn::test::openssl {
namespace {

using Context = std::unique_ptr<EVP_CIPHER_CTX, decltype(&EVP_CIPHER_CTX_free)>;

void require(bool ok, const char* what) {
  if (ok) return;
  std::fprintf(stderr, "tests/support/openssl.cpp: %s failed:\n", what);
  ERR_print_errors_fp(stderr);
  std::abort();
}

Context new_context() {
  Context context(EVP_CIPHER_CTX_new(), EVP_CIPHER_CTX_free);
  require(context != nullptr, "EVP_CIPHER_CTX_new");
  return context;
}

}  // namespace

reference::Block aes_block(std::span<const std::uint8_t> key, const reference::Block& in) {
  const Context context = new_context();
  const EVP_CIPHER* cipher = key.size() == 16 ? EVP_aes_128_ecb() : EVP_aes_256_ecb();
  require(key.size() == 16 || key.size() == 32, "choosing AES-128 or AES-256");
  require(EVP_EncryptInit_ex(context.get(), cipher, nullptr, key.data(), nullptr) == 1, "EVP_EncryptInit_ex");
  EVP_CIPHER_CTX_set_padding(context.get(), 0);
  reference::Block out{};
  int written = 0;
  require(EVP_EncryptUpdate(context.get(), out.data(), &written, in.data(), 16) == 1 && written == 16,
          "EVP_EncryptUpdate");
  return out;
}

Bytes aes256_keystream(std::span<const std::uint8_t> key, std::uint64_t first_block, std::size_t length) {
  const Context context = new_context();
  reference::Block iv{};
  for (unsigned i = 0; i < 8; ++i) iv[15 - i] = static_cast<std::uint8_t>(first_block >> (8 * i));
  require(key.size() == 32, "choosing AES-256");
  require(EVP_EncryptInit_ex(context.get(), EVP_aes_256_ctr(), nullptr, key.data(), iv.data()) == 1,
          "EVP_EncryptInit_ex");
  const Bytes zeros(length);
  Bytes out(length);
  int written = 0;
  require(EVP_EncryptUpdate(context.get(), out.data(), &written, zeros.data(), static_cast<int>(length)) == 1,
          "EVP_EncryptUpdate");
  return out;
}

Sealed gcm(std::span<const std::uint8_t> key, const Bytes& iv, const Bytes& header, const Bytes& plaintext) {
  const Context context = new_context();
  const EVP_CIPHER* cipher = key.size() == 16 ? EVP_aes_128_gcm() : EVP_aes_256_gcm();
  require(key.size() == 16 || key.size() == 32, "choosing AES-128 or AES-256");
  EVP_CIPHER_CTX* c = context.get();
  require(EVP_EncryptInit_ex(c, cipher, nullptr, nullptr, nullptr) == 1, "EVP_EncryptInit_ex");
  require(EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_GCM_SET_IVLEN, static_cast<int>(iv.size()), nullptr) == 1,
          "IV length");
  require(EVP_EncryptInit_ex(c, nullptr, nullptr, key.data(), iv.data()) == 1, "EVP_EncryptInit_ex");
  int written = 0;
  if (!header.empty()) {
    require(EVP_EncryptUpdate(c, nullptr, &written, header.data(), static_cast<int>(header.size())) == 1,
            "header");
  }
  Sealed sealed{Bytes(plaintext.size()), {}};
  require(EVP_EncryptUpdate(c, sealed.ciphertext.data(), &written, plaintext.data(),
                            static_cast<int>(plaintext.size())) == 1,
          "EVP_EncryptUpdate");
  reference::Block last{};
  require(EVP_EncryptFinal_ex(c, last.data(), &written) == 1, "EVP_EncryptFinal_ex");
  require(EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_GCM_GET_TAG, 16, sealed.tag.data()) == 1, "reading the tag");
  return sealed;
}

}  // namespace ssn::test::openssl
