// SPDX-License-Identifier: BSD-3-Clause
// Share arithmetic through ISA-L's public functions; pad, tag and random as in scalar. What this wrapper
// owns:
// - Vectors shorter than one register fall to ISA-L's portable code, which is 50-140 times slower and indexes
// tables
//   with secret bytes: short tails are padded to minimum_length here.
// - Its last step may overlap the one before, so an output must not be an input: outputs that could be go
// through
//   scratch memory.
// - xor_gen wants 32-byte alignment on some CPUs and uses non-temporal stores: never used.
// - Tables differ between hosts and releases: made where they are used, never kept elsewhere.
#include "isal.h"

#include <isa-l/erasure_code.h>

#include <algorithm>
#include <array>
#include <cassert>
#include <cstring>

#include "cpu.h"
#include "registry.h"
#include "scalar_aes.h"
#include "ssn/kernels/erase.h"

namespace ssn::kernels {
namespace {

constexpr std::size_t minimum_length = 64;
constexpr std::size_t scratch_bytes = std::size_t{64} * 1024;
constexpr std::size_t maximum_tile = 4096;
constexpr std::size_t table_bytes_per_coefficient = 32;
constexpr std::size_t local_table_bytes = std::size_t{32} * 1024;

// One pass over some dense rows: their tables, and scratch for the columns and rows of one tile.
struct Pass {
  const Combination& c;
  unsigned first_row;
  unsigned row_count;
  const std::uint8_t* tables;
  std::uint8_t* scratch;
  std::size_t tile;
};

// Column `column` from `offset` on, in clear, in `to`.
void load_column(const Combination& c, unsigned column, std::size_t offset, std::size_t bytes,
                 std::uint8_t* to) {
  if (column < c.generated) {
    const std::uint64_t blocks_per_column = (std::uint64_t{c.length} + 15) / 16;
    scalar_random(c.round_keys, c.counter + column * blocks_per_column + offset / 16, to, bytes);
  } else if (c.input_pad != nullptr) {
    scalar.pad(c.input[column] + offset, c.input_pad[column] + offset, to, bytes);
  } else {
    std::memcpy(to, c.input[column] + offset, bytes);
  }
}

void put(std::uint8_t* const* to, const std::uint8_t* const* pad, unsigned row, std::size_t offset,
         std::size_t bytes, const std::uint8_t* from) {
  if (pad != nullptr) {
    scalar.pad(from, pad[row] + offset, to[row] + offset, bytes);
  } else {
    std::memcpy(to[row] + offset, from, bytes);
  }
}

void copy_columns(const Combination& c, std::uint8_t* scratch) {
  for (unsigned column = 0; column < c.copies; ++column) {
    for (std::size_t offset = 0; offset < c.length; offset += maximum_tile) {
      const std::size_t bytes = std::min(maximum_tile, c.length - offset);
      load_column(c, column, offset, bytes, scratch);
      put(c.copy, c.copy_pad, column, offset, bytes, scratch);
    }
  }
}

void encode_tile(const Pass& pass, std::size_t offset, std::size_t bytes) {
  const Combination& c = pass.c;
  const std::size_t padded = std::max(bytes, minimum_length);
  std::array<std::uint8_t*, Transform::max_columns> in;
  std::array<std::uint8_t*, Transform::max_rows> out;
  std::uint8_t* free = pass.scratch;
  for (unsigned column = 0; column < c.column_count; ++column) {
    if (column >= c.generated && c.input_pad == nullptr && padded == bytes) {
      in[column] = const_cast<std::uint8_t*>(c.input[column] + offset);  // ISA-L 2.30 reads it only
      continue;
    }
    in[column] = free;
    free += pass.tile;
    load_column(c, column, offset, bytes, in[column]);
    std::memset(in[column] + bytes, 0, padded - bytes);
  }
  const bool through_scratch = padded != bytes || c.output_pad != nullptr || c.row_count == 1;
  for (unsigned i = 0; i < pass.row_count; ++i) {
    out[i] = through_scratch ? free + i * pass.tile : c.output[pass.first_row + i] + offset;
  }
  ec_encode_data(static_cast<int>(padded), static_cast<int>(c.column_count), static_cast<int>(pass.row_count),
                 const_cast<std::uint8_t*>(pass.tables), in.data(), out.data());
  for (unsigned i = 0; through_scratch && i < pass.row_count; ++i) {
    put(c.output, c.output_pad, pass.first_row + i, offset, bytes, out[i]);
  }
}

void encode_rows(const Combination& c, unsigned first_row, unsigned row_count, const std::uint8_t* tables,
                 std::uint8_t* scratch) {
  const std::size_t buffers = std::size_t{c.column_count} + row_count;
  const std::size_t tile = std::min(maximum_tile, scratch_bytes / buffers / minimum_length * minimum_length);
  assert(tile >= minimum_length);
  const Pass pass{c, first_row, row_count, tables, scratch, tile};
  for (std::size_t offset = 0; offset < c.length; offset += tile) {
    encode_tile(pass, offset, std::min(tile, c.length - offset));
  }
}

void combine(const Combination& c) noexcept {
  alignas(64) std::array<std::uint8_t, scratch_bytes> scratch;
  for (unsigned i = 0; i < c.tag_before_count; ++i) {
    scalar.tag(c.tag_before[i], c.length);
  }
  copy_columns(c, scratch.data());
  if (c.isal_tables != nullptr) {
    encode_rows(c, 0, c.row_count, c.isal_tables, scratch.data());
  } else {
    alignas(64) std::array<std::uint8_t, local_table_bytes> tables;
    const auto rows_at_once =
        static_cast<unsigned>(local_table_bytes / (table_bytes_per_coefficient * c.column_count));
    for (unsigned row = 0; row < c.row_count; row += rows_at_once) {
      const unsigned row_count = std::min(rows_at_once, c.row_count - row);
      make_isal_tables(c.coefficients + std::size_t{row} * c.column_count, row_count, c.column_count,
                       tables.data());
      encode_rows(c, row, row_count, tables.data(), scratch.data());
    }
  }
  erase(scratch.data(), scratch.size());
  for (unsigned i = 0; i < c.tag_after_count; ++i) {
    scalar.tag(c.tag_after[i], c.length);
  }
}

void pad(const std::uint8_t* in, const std::uint8_t* pad, std::uint8_t* out, std::size_t length) noexcept {
  scalar.pad(in, pad, out, length);
}

void expand_tag_key(const std::uint8_t* r, std::uint8_t* table) noexcept { scalar.expand_tag_key(r, table); }

void tag(const TagTask& task, std::size_t length) noexcept { scalar.tag(task, length); }

bool isal_has_vector_code() noexcept {
#if defined(__x86_64__)
  return cpu_features().sse4_1;
#elif defined(__aarch64__)
  return true;
#else
  return false;  // ISA-L's portable code indexes tables with secret bytes
#endif
}

}  // namespace

void make_isal_tables(const std::uint8_t* coefficients, unsigned rows, unsigned columns,
                      std::uint8_t* tables) noexcept {
  assert(rows >= 1 && columns >= 1);
  ec_init_tables(static_cast<int>(columns), static_cast<int>(rows), const_cast<std::uint8_t*>(coefficients),
                 tables);
}

constinit const Implementation isal{
    .name = "isal",
    .description = "Intel ISA-L for share arithmetic, portable C++ for pad, tag and random",
    .supported = isal_has_vector_code,
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
