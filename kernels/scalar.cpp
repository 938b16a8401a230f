// SPDX-License-Identifier: BSD-3-Clause
// The reference: every operation in portable C++, eight bytes at a time, without tables over secret bytes. It
// is written independently of the vector implementations, which are tested against it.
#include <algorithm>
#include <array>
#include <cstring>

#include "implementation.h"
#include "registry.h"
#include "scalar_aes.h"
#include "ssn/kernels/erase.h"

namespace ssn::kernels {
namespace {

constexpr std::size_t tile_bytes = 64;
constexpr std::size_t tile_words = tile_bytes / 8;
using Tile = std::array<std::uint64_t, tile_words>;

Tile load(const std::uint8_t* from, std::size_t bytes) {
  Tile tile{};
  std::memcpy(tile.data(), from, bytes);
  return tile;
}

void store(const Tile& tile, std::uint8_t* to, std::size_t bytes) { std::memcpy(to, tile.data(), bytes); }

void add(Tile& sum, const Tile& other) {
  for (std::size_t w = 0; w < tile_words; ++w) {
    sum[w] ^= other[w];
  }
}

// Every byte times x, modulo 0x11D.
void times_x(Tile& tile) {
  for (std::uint64_t& word : tile) {
    const std::uint64_t high = (word >> 7) & 0x0101010101010101ULL;
    word = ((word << 1) & 0xFEFEFEFEFEFEFEFEULL) ^ (high * 0x1D);
  }
}

// Adds column * coefficient to the sum of every row. Branches on public coefficients only.
void accumulate(const Combination& c, unsigned column, Tile power, Tile* sums) {
  const std::uint8_t* coefficients = c.coefficients + column;
  for (unsigned bit = 0; bit < 8; ++bit) {
    for (unsigned row = 0; row < c.row_count; ++row) {
      if (((coefficients[std::size_t{row} * c.column_count] >> bit) & 1U) != 0) {
        add(sums[row], power);
      }
    }
    times_x(power);
  }
}

Tile column_tile(const Combination& c, unsigned column, std::size_t offset, std::size_t bytes) {
  if (column < c.generated) {
    const std::uint64_t blocks_per_column = (std::uint64_t{c.length} + 15) / 16;
    std::array<std::uint8_t, tile_bytes> keystream;
    scalar_random(c.round_keys, c.counter + column * blocks_per_column + offset / 16, keystream.data(),
                  bytes);
    const Tile tile = load(keystream.data(), bytes);
    erase(keystream.data(), keystream.size());
    return tile;
  }
  Tile tile = load(c.input[column] + offset, bytes);
  if (c.input_pad != nullptr) {
    add(tile, load(c.input_pad[column] + offset, bytes));
  }
  return tile;
}

void put(std::uint8_t* to, const std::uint8_t* pad, std::size_t offset, std::size_t bytes, Tile tile) {
  if (pad != nullptr) {
    add(tile, load(pad + offset, bytes));
  }
  store(tile, to + offset, bytes);
}

void tag(const TagTask& task, std::size_t length) noexcept;

void combine(const Combination& c) noexcept {
  for (unsigned i = 0; i < c.tag_before_count; ++i) {
    tag(c.tag_before[i], c.length);
  }
  std::array<Tile, Transform::max_rows> sums;
  for (std::size_t offset = 0; offset < c.length; offset += tile_bytes) {
    const std::size_t bytes = std::min(tile_bytes, c.length - offset);
    std::fill_n(sums.begin(), c.row_count, Tile{});
    for (unsigned column = 0; column < c.column_count; ++column) {
      const Tile tile = column_tile(c, column, offset, bytes);
      accumulate(c, column, tile, sums.data());
      if (column < c.copies) {
        put(c.copy[column], c.copy_pad == nullptr ? nullptr : c.copy_pad[column], offset, bytes, tile);
      }
    }
    for (unsigned row = 0; row < c.row_count; ++row) {
      put(c.output[row], c.output_pad == nullptr ? nullptr : c.output_pad[row], offset, bytes, sums[row]);
    }
  }
  erase(sums.data(), sizeof(Tile) * c.row_count);
  for (unsigned i = 0; i < c.tag_after_count; ++i) {
    tag(c.tag_after[i], c.length);
  }
}

void pad(const std::uint8_t* in, const std::uint8_t* pad, std::uint8_t* out, std::size_t length) noexcept {
  std::size_t offset = 0;
  for (; offset + tile_bytes <= length; offset += tile_bytes) {
    Tile tile = load(in + offset, tile_bytes);
    add(tile, load(pad + offset, tile_bytes));
    store(tile, out + offset, tile_bytes);
  }
  if (offset < length) {
    const std::size_t bytes = length - offset;
    Tile tile = load(in + offset, bytes);
    add(tile, load(pad + offset, bytes));
    store(tile, out + offset, bytes);
  }
}

// An element of GF(2^128) in GCM's order: the first bit of the block is the coefficient of x^0, and it is the
// top bit of `high`.
struct Element {
  std::uint64_t high = 0;
  std::uint64_t low = 0;
};

std::uint64_t load_big_endian(const std::uint8_t* from) {
  std::uint64_t value = 0;
  for (unsigned i = 0; i < 8; ++i) {
    value = (value << 8) | from[i];
  }
  return value;
}

void store_big_endian(std::uint64_t value, std::uint8_t* to) {
  for (unsigned i = 0; i < 8; ++i) {
    to[i] = static_cast<std::uint8_t>(value >> (56 - 8 * i));
  }
}

// NIST SP 800-38D, 6.3, with masks where the text has "if".
Element multiply(const Element& x, Element v) {
  Element product;
  for (unsigned i = 0; i < 128; ++i) {
    const std::uint64_t word = i < 64 ? x.high : x.low;
    const std::uint64_t take = std::uint64_t{0} - ((word >> (63 - i % 64)) & 1);
    product.high ^= v.high & take;
    product.low ^= v.low & take;
    const std::uint64_t reduce = std::uint64_t{0} - (v.low & 1);
    v.low = (v.low >> 1) | (v.high << 63);
    v.high = (v.high >> 1) ^ (0xE100000000000000ULL & reduce);
  }
  return product;
}

void absorb(Element& hash, const Element& r, const std::uint8_t* data, std::size_t length) {
  for (std::size_t offset = 0; offset < length; offset += 16) {
    std::array<std::uint8_t, 16> block{};
    std::memcpy(block.data(), data + offset, std::min<std::size_t>(16, length - offset));
    hash.high ^= load_big_endian(block.data());
    hash.low ^= load_big_endian(block.data() + 8);
    hash = multiply(hash, r);
  }
}

void expand_tag_key(const std::uint8_t* r, std::uint8_t* table) noexcept { std::memcpy(table, r, 16); }

void tag(const TagTask& task, std::size_t length) noexcept {
  const Element r{load_big_endian(task.table), load_big_endian(task.table + 8)};
  Element hash;
  absorb(hash, r, task.header, task.header_length);
  absorb(hash, r, task.data, length);
  hash.high ^= std::uint64_t{task.header_length} * 8;
  hash.low ^= std::uint64_t{length} * 8;
  hash = multiply(hash, r);
  std::array<std::uint8_t, 16> bytes;
  store_big_endian(hash.high, bytes.data());
  store_big_endian(hash.low, bytes.data() + 8);
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    task.tag[i] = bytes[i] ^ task.mask[i];
  }
}

bool always() noexcept { return true; }

}  // namespace

constinit const Implementation scalar{
    .name = "scalar",
    .description = "portable C++, 64 bits at a time",
    .supported = always,
    .combine = combine,
    .pad = pad,
    .random = scalar_random,
    .expand_tag_key = expand_tag_key,
    .tag = tag,
    .seal = nullptr,
    .open = nullptr,
    .open_in_place = nullptr,
    .cipher = nullptr,
    .gcm_seal = nullptr,
    .gcm_open = nullptr,
};

}  // namespace ssn::kernels
