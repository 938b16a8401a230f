// SPDX-License-Identifier: BSD-3-Clause
#include "scalar_aes.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cassert>
#include <cstring>

#include "ssn/kernels/erase.h"

namespace ssn::kernels {
namespace {

// Four blocks at once: bit i of plane b is bit b of byte i of 64 bytes.
constexpr std::size_t slice_bytes = 64;
using Planes = std::array<std::uint64_t, 8>;

// Transposes an 8x8 bit matrix held as eight bytes, by exchanging ever larger blocks.
std::uint64_t transpose_8x8(std::uint64_t x) {
  std::uint64_t t = (x ^ (x >> 7)) & 0x00AA00AA00AA00AAULL;
  x ^= t ^ (t << 7);
  t = (x ^ (x >> 14)) & 0x0000CCCC0000CCCCULL;
  x ^= t ^ (t << 14);
  t = (x ^ (x >> 28)) & 0x00000000F0F0F0F0ULL;
  return x ^ t ^ (t << 28);
}

std::uint64_t load_word(const std::uint8_t* from) {
  std::uint64_t word = 0;
  for (unsigned i = 0; i < 8; ++i) {
    word |= std::uint64_t{from[i]} << (8 * i);
  }
  return word;
}

void store_word(std::uint64_t word, std::uint8_t* to) {
  for (unsigned i = 0; i < 8; ++i) {
    to[i] = static_cast<std::uint8_t>(word >> (8 * i));
  }
}

Planes to_planes(const std::uint8_t* bytes) {
  Planes planes{};
  for (unsigned w = 0; w < 8; ++w) {
    const std::uint64_t bits = transpose_8x8(load_word(bytes + 8 * w));
    for (unsigned b = 0; b < 8; ++b) {
      planes[b] |= ((bits >> (8 * b)) & 0xFF) << (8 * w);
    }
  }
  return planes;
}

void from_planes(const Planes& planes, std::uint8_t* bytes) {
  for (unsigned w = 0; w < 8; ++w) {
    std::uint64_t bits = 0;
    for (unsigned b = 0; b < 8; ++b) {
      bits |= ((planes[b] >> (8 * w)) & 0xFF) << (8 * b);
    }
    store_word(transpose_8x8(bits), bytes + 8 * w);
  }
}

Planes add(const Planes& a, const Planes& b) {
  Planes sum;
  for (unsigned i = 0; i < 8; ++i) {
    sum[i] = a[i] ^ b[i];
  }
  return sum;
}

// Times x modulo x^8 + x^4 + x^3 + x + 1, the polynomial of AES.
Planes times_x(const Planes& a) {
  return {a[7], a[0] ^ a[7], a[1], a[2] ^ a[7], a[3] ^ a[7], a[4], a[5], a[6]};
}

Planes multiply(const Planes& a, const Planes& b) {
  Planes power = a;
  Planes product{};
  for (unsigned j = 0; j < 8; ++j) {
    for (unsigned i = 0; i < 8; ++i) {
      product[i] ^= power[i] & b[j];
    }
    power = times_x(power);
  }
  return product;
}

Planes square(const Planes& a) {
  return {a[0] ^ a[4] ^ a[6], a[4] ^ a[6] ^ a[7], a[1] ^ a[5], a[4] ^ a[5] ^ a[6] ^ a[7],
          a[2] ^ a[4] ^ a[7], a[5] ^ a[6],        a[3] ^ a[5], a[6] ^ a[7]};
}

// FIPS 197, 5.1.1: the inverse, which is the 254th power, then the affine map.
Planes sub_bytes(const Planes& x) {
  const Planes x2 = square(x);
  const Planes x3 = multiply(x, x2);
  const Planes x12 = square(square(x3));
  const Planes x15 = multiply(x3, x12);
  const Planes x240 = square(square(square(square(x15))));
  const Planes inverse = multiply(multiply(x240, x12), x2);
  Planes out;
  for (unsigned i = 0; i < 8; ++i) {
    const std::uint64_t constant = ((0x63U >> i) & 1U) != 0 ? ~std::uint64_t{0} : 0;
    out[i] = inverse[i] ^ inverse[(i + 4) % 8] ^ inverse[(i + 5) % 8] ^ inverse[(i + 6) % 8] ^
             inverse[(i + 7) % 8] ^ constant;
  }
  return out;
}

constexpr std::uint64_t in_every_block(unsigned bits16) { return bits16 * 0x0001000100010001ULL; }

// Byte (row r, column c) of a block is bit r + 4c of 16. Row r moves r columns to the left.
std::uint64_t shift_rows(std::uint64_t plane) {
  std::uint64_t out = plane & in_every_block(0x1111);
  for (unsigned row = 1; row < 4; ++row) {
    const unsigned row_bits = 0x1111U << row;
    const unsigned stays = 0xFFFFU >> (4 * row);
    out |= (plane >> (4 * row)) & in_every_block(row_bits & stays);
    out |= (plane << (16 - 4 * row)) & in_every_block(row_bits & ~stays & 0xFFFFU);
  }
  return out;
}

// The byte r+1 below takes the place of byte r of each column of four.
std::uint64_t next_in_column(std::uint64_t plane) {
  return ((plane >> 1) & in_every_block(0x7777)) | ((plane << 3) & in_every_block(0x8888));
}

Planes mix_columns(const Planes& a) {
  Planes next;
  Planes pair;
  for (unsigned i = 0; i < 8; ++i) {
    next[i] = next_in_column(a[i]);
    pair[i] = a[i] ^ next[i];
  }
  Planes out = add(times_x(pair), next);
  for (unsigned i = 0; i < 8; ++i) {
    out[i] ^= next_in_column(next_in_column(pair[i]));
  }
  return out;
}

using KeyPlanes = std::array<Planes, aes_rounds + 1>;

void spread_key(const std::uint8_t* round_keys, KeyPlanes& keys) {
  std::array<std::uint8_t, slice_bytes> same;
  for (std::size_t round = 0; round <= aes_rounds; ++round) {
    for (std::size_t block = 0; block < 4; ++block) {
      std::memcpy(same.data() + 16 * block, round_keys + 16 * round, 16);
    }
    keys[round] = to_planes(same.data());
  }
  erase(same.data(), same.size());
}

void encrypt_slice(const KeyPlanes& keys, const std::uint8_t* in, std::uint8_t* out) {
  Planes state = add(to_planes(in), keys[0]);
  for (std::size_t round = 1; round <= aes_rounds; ++round) {
    state = sub_bytes(state);
    for (std::uint64_t& plane : state) {
      plane = shift_rows(plane);
    }
    if (round < aes_rounds) {
      state = mix_columns(state);
    }
    state = add(state, keys[round]);
  }
  from_planes(state, out);
}

void substitute_word(std::uint8_t* word) {
  std::array<std::uint8_t, slice_bytes> slice{};
  std::memcpy(slice.data(), word, 4);
  from_planes(sub_bytes(to_planes(slice.data())), slice.data());
  std::memcpy(word, slice.data(), 4);
  erase(slice.data(), slice.size());
}

}  // namespace

void aes_expand_key(const std::uint8_t* key, std::uint8_t* round_keys) noexcept {
  constexpr std::size_t key_bytes = 32;
  assert(key != nullptr && round_keys != nullptr);
  std::memcpy(round_keys, key, key_bytes);
  std::uint8_t round_constant = 1;
  for (std::size_t at = key_bytes; at < aes_key_schedule_bytes; at += 4) {
    std::array<std::uint8_t, 4> word;
    std::memcpy(word.data(), round_keys + at - 4, 4);
    if (at % key_bytes == 0) {
      std::rotate(word.begin(), word.begin() + 1, word.end());
      substitute_word(word.data());
      word[0] ^= round_constant;
      round_constant = static_cast<std::uint8_t>(round_constant << 1);
    } else if (at % key_bytes == 16) {
      substitute_word(word.data());
    }
    for (std::size_t i = 0; i < 4; ++i) {
      round_keys[at + i] = round_keys[at - key_bytes + i] ^ word[i];
    }
  }
}

void scalar_random(const std::uint8_t* round_keys, std::uint64_t counter, std::uint8_t* out,
                   std::size_t length) noexcept {
  KeyPlanes keys;
  spread_key(round_keys, keys);
  std::array<std::uint8_t, slice_bytes> slice{};
  for (std::size_t offset = 0; offset < length; offset += slice_bytes, counter += 4) {
    slice.fill(0);
    for (std::size_t block = 0; block < 4; ++block) {
      const std::uint64_t number = counter + block;
      for (unsigned i = 0; i < 8; ++i) {
        slice[16 * block + 15 - i] = static_cast<std::uint8_t>(number >> (8 * i));
      }
    }
    encrypt_slice(keys, slice.data(), slice.data());
    std::memcpy(out + offset, slice.data(), std::min(slice_bytes, length - offset));
  }
  erase(slice.data(), slice.size());
  erase(keys.data(), sizeof keys);
}

}  // namespace ssn::kernels
