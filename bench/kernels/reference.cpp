// SPDX-License-Identifier: BSD-3-Clause
#include "reference.h"

#include <openssl/evp.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <stdexcept>
#include <tuple>
#include <utility>

namespace ssn::bench {

std::uint8_t gf_multiply(std::uint8_t a, std::uint8_t b) noexcept {
  unsigned product = 0;
  for (unsigned bit = 0; bit < 8; ++bit) {
    if ((b >> bit & 1U) != 0) product ^= static_cast<unsigned>(a) << bit;
  }
  for (unsigned bit = 14; bit >= 8; --bit) {
    if ((product >> bit & 1U) != 0) product ^= 0x11DU << (bit - 8);
  }
  return static_cast<std::uint8_t>(product);
}

Matrix generator_of(const kernels::Code& code) {
  Matrix generator(code.n(), code.k());
  for (unsigned share = 1; share <= code.n(); ++share) {
    code.generator_row(share, &generator.at(share - 1, 0));
  }
  return generator;
}

Matrix textbook_generator(unsigned n, unsigned random_blocks, unsigned data_blocks) {
  Matrix generator(n, random_blocks + data_blocks);
  for (unsigned share = 1; share <= n; ++share) {
    std::uint8_t power = 1;
    for (unsigned i = 0; i < generator.columns; ++i) {
      const unsigned column =
          (i + random_blocks) % generator.columns;  // the data are the lowest coefficients
      generator.at(share - 1, column) = power;
      power = gf_multiply(power, static_cast<std::uint8_t>(share));
    }
  }
  return generator;
}

void combine(const std::uint8_t* row, const std::vector<std::uint8_t*>& columns, std::size_t length,
             std::uint8_t* out) {
  std::fill_n(out, length, std::uint8_t{0});
  for (std::size_t column = 0; column < columns.size(); ++column) {
    std::array<std::uint8_t, 256> products;
    for (unsigned value = 0; value < 256; ++value) {
      products[value] = gf_multiply(row[column], static_cast<std::uint8_t>(value));
    }
    const std::uint8_t* const in = columns[column];
    for (std::size_t i = 0; i < length; ++i) out[i] = static_cast<std::uint8_t>(out[i] ^ products[in[i]]);
  }
}

namespace {

/// GHASH of NIST SP 800-38D, bit by bit.
class Ghash {
 public:
  explicit Ghash(const std::uint8_t* hash_key) { std::tie(key_high_, key_low_) = load(hash_key); }

  /// Absorbs `length` bytes and zeros up to a whole block.
  void absorb(const std::uint8_t* in, std::size_t length) {
    for (std::size_t done = 0; done < length; done += 16) {
      std::array<std::uint8_t, 16> block{};
      std::copy_n(in + done, std::min<std::size_t>(16, length - done), block.begin());
      absorb_block(block.data());
    }
  }
  void absorb_block(const std::uint8_t* block) {
    const auto [high, low] = load(block);
    high_ ^= high;
    low_ ^= low;
    multiply();
  }
  std::array<std::uint8_t, 16> value() const {
    std::array<std::uint8_t, 16> bytes;
    for (unsigned i = 0; i < 8; ++i) {
      bytes[i] = static_cast<std::uint8_t>(high_ >> (56 - 8 * i));
      bytes[8 + i] = static_cast<std::uint8_t>(low_ >> (56 - 8 * i));
    }
    return bytes;
  }

 private:
  static std::pair<std::uint64_t, std::uint64_t> load(const std::uint8_t* block) {
    std::uint64_t high = 0;
    std::uint64_t low = 0;
    for (unsigned i = 0; i < 8; ++i) {
      high = high << 8 | block[i];
      low = low << 8 | block[8 + i];
    }
    return {high, low};
  }
  void multiply() {
    std::uint64_t sum_high = 0;
    std::uint64_t sum_low = 0;
    std::uint64_t v_high = key_high_;
    std::uint64_t v_low = key_low_;
    for (unsigned bit = 0; bit < 128; ++bit) {
      const std::uint64_t word = bit < 64 ? high_ : low_;
      const std::uint64_t chosen = 0 - (word >> (63 - bit % 64) & 1U);
      sum_high ^= v_high & chosen;
      sum_low ^= v_low & chosen;
      const std::uint64_t reduce = 0 - (v_low & 1U);
      v_low = v_low >> 1 | v_high << 63;
      v_high = v_high >> 1 ^ (reduce & 0xE100000000000000U);
    }
    high_ = sum_high;
    low_ = sum_low;
  }

  std::uint64_t key_high_ = 0;
  std::uint64_t key_low_ = 0;
  std::uint64_t high_ = 0;
  std::uint64_t low_ = 0;
};

/// AES-256 on single blocks, without chaining.
class Aes {
 public:
  explicit Aes(const std::uint8_t* key) : context_(EVP_CIPHER_CTX_new(), EVP_CIPHER_CTX_free) {
    if (context_ == nullptr ||
        EVP_EncryptInit_ex(context_.get(), EVP_aes_256_ecb(), nullptr, key, nullptr) != 1) {
      throw std::runtime_error(
          "OpenSSL cannot set up AES-256-ECB for the reference; check its configuration");
    }
  }
  void encrypt(const std::uint8_t* in, std::uint8_t* out) {
    int written = 0;
    if (EVP_EncryptUpdate(context_.get(), out, &written, in, 16) != 1 || written != 16) {
      throw std::runtime_error("OpenSSL cannot encrypt one AES-256 block for the reference");
    }
  }

 private:
  std::unique_ptr<EVP_CIPHER_CTX, decltype(&EVP_CIPHER_CTX_free)> context_;
};

}  // namespace

std::array<std::uint8_t, 16> tag(TagForm form, const std::uint8_t* hash_key, const std::uint8_t* mask,
                                 const std::uint8_t* header, std::size_t header_length,
                                 const std::uint8_t* data, std::size_t length) {
  Ghash ghash(hash_key);
  std::uint64_t additional_bits = header_length * 8;
  std::uint64_t cipher_bits = length * 8;
  if (form == TagForm::gmac) {  // one run of bytes
    std::vector<std::uint8_t> all(header, header + header_length);
    all.insert(all.end(), data, data + length);
    ghash.absorb(all.data(), all.size());
    additional_bits += cipher_bits;
    cipher_bits = 0;
  } else {
    ghash.absorb(header, header_length);
    ghash.absorb(data, length);
  }
  std::array<std::uint8_t, 16> lengths;
  for (unsigned i = 0; i < 8; ++i) {
    lengths[i] = static_cast<std::uint8_t>(additional_bits >> (56 - 8 * i));
    lengths[8 + i] = static_cast<std::uint8_t>(cipher_bits >> (56 - 8 * i));
  }
  ghash.absorb_block(lengths.data());
  std::array<std::uint8_t, 16> result = ghash.value();
  for (unsigned i = 0; i < 16; ++i) result[i] = static_cast<std::uint8_t>(result[i] ^ mask[i]);
  return result;
}

void aes_block(const std::uint8_t* key, const std::uint8_t* in, std::uint8_t* out) {
  Aes(key).encrypt(in, out);
}

std::vector<std::uint8_t> keystream(const std::uint8_t* key, std::uint64_t counter, std::size_t length) {
  Aes aes(key);
  std::vector<std::uint8_t> stream(length);
  for (std::size_t done = 0; done + 16 <= length; done += 16, ++counter) {
    std::array<std::uint8_t, 16> block{};
    for (unsigned i = 0; i < 8; ++i) block[15 - i] = static_cast<std::uint8_t>(counter >> (8 * i));
    aes.encrypt(block.data(), stream.data() + done);
  }
  return stream;
}

}  // namespace ssn::bench
