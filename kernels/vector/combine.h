// SPDX-License-Identifier: BSD-3-Clause
// The fused kernel, written once for every vector instruction set. An instruction set's file defines, in an
// anonymous namespace, a struct `Vector` with the few operations that differ, and includes this file there,
// so that everything here is compiled with that file's flags and stays private to it. No inline function of
// another header may be used here.
//
// How bytes flow: a step loads `steps` registers of each column in turn (or makes them from AES, or takes a
// pad off), stores them where an output repeats the column, and adds their products to one sum per row. Sums
// begin as the outputs' pads. Nothing is written between: every input is loaded once and every output stored
// once.

using Byte = std::uint8_t;
using Register = Vector::Register;

template <bool Part>
SSN_INLINE Register load(const Byte* from, std::size_t bytes) {
  if constexpr (Part) {
    return Vector::load_part(from, bytes);
  } else {
    return Vector::load(from);
  }
}

template <bool Part>
SSN_INLINE void store(Byte* to, Register value, std::size_t bytes) {
  if constexpr (Part) {
    Vector::store_part(to, value, bytes);
  } else {
    Vector::store(to, value);
  }
}

SSN_INLINE std::uint64_t blocks_per_column(const Combination& c) {
  return (std::uint64_t{c.length} + 15) / 16;
}

constexpr std::uint64_t blocks_per_register = Vector::width / 16;

template <unsigned Steps>
SSN_INLINE void keystream(const Byte* round_keys, std::uint64_t counter, Register (&out)[Steps]) {
  std::uint64_t counters[Steps];
  SSN_UNROLL
  for (unsigned s = 0; s < Steps; ++s) {
    counters[s] = counter + s * blocks_per_register;
  }
  Vector::keystream<Steps>(round_keys, counters, out);
}

void random(const Byte* round_keys, std::uint64_t counter, Byte* out, std::size_t length) noexcept {
  constexpr unsigned steps = Vector::random_steps;
  Register made[steps];
  std::size_t offset = 0;
  for (; offset + steps * Vector::width <= length; offset += steps * Vector::width) {
    keystream<steps>(round_keys, counter + offset / 16, made);
    SSN_UNROLL
    for (unsigned s = 0; s < steps; ++s) {
      Vector::store(out + offset + s * Vector::width, made[s]);
    }
  }
  for (; offset < length; offset += Vector::width) {
    Register last[1];
    keystream<1>(round_keys, counter + offset / 16, last);
    const std::size_t left = length - offset;
    if (left >= Vector::width) {
      Vector::store(out + offset, last[0]);
    } else {
      Vector::store_part(out + offset, last[0], left);
    }
  }
}

void cipher(const Byte* round_keys, const Byte* nonce_bytes, std::uint32_t counter, const Byte* in, Byte* out,
            std::size_t length) noexcept {
  constexpr unsigned steps = Vector::random_steps;
  const Vector::Nonce nonce = Vector::load_nonce(nonce_bytes);
  Register made[steps];
  std::size_t offset = 0;
  for (; offset + steps * Vector::width <= length; offset += steps * Vector::width) {
    Vector::keystream<steps>(round_keys, nonce, counter, made);
    counter += steps * static_cast<std::uint32_t>(blocks_per_register);
    SSN_UNROLL
    for (unsigned s = 0; s < steps; ++s) {
      const std::size_t at = offset + s * Vector::width;
      Vector::store(out + at, Vector::add(Vector::load(in + at), made[s]));
    }
  }
  for (; offset < length; offset += Vector::width) {
    Register last[1];
    Vector::keystream<1>(round_keys, nonce, counter, last);
    counter += static_cast<std::uint32_t>(blocks_per_register);
    const std::size_t left = length - offset;
    if (left >= Vector::width) {
      Vector::store(out + offset, Vector::add(Vector::load(in + offset), last[0]));
    } else {
      Vector::store_part(out + offset, Vector::add(Vector::load_part(in + offset, left), last[0]), left);
    }
  }
}

void pad(const Byte* in, const Byte* pad, Byte* out, std::size_t length) noexcept {
  std::size_t offset = 0;
  for (; offset + 2 * Vector::width <= length; offset += 2 * Vector::width) {
    const Register first = Vector::add(Vector::load(in + offset), Vector::load(pad + offset));
    const Register second =
        Vector::add(Vector::load(in + offset + Vector::width), Vector::load(pad + offset + Vector::width));
    Vector::store(out + offset, first);
    Vector::store(out + offset + Vector::width, second);
  }
  for (; offset + Vector::width <= length; offset += Vector::width) {
    Vector::store(out + offset, Vector::add(Vector::load(in + offset), Vector::load(pad + offset)));
  }
  if (offset < length) {
    const std::size_t bytes = length - offset;
    const Register last =
        Vector::add(Vector::load_part(in + offset, bytes), Vector::load_part(pad + offset, bytes));
    Vector::store_part(out + offset, last, bytes);
  }
}

// clang-format off: each needs what those before define
#include "vector/tag.h"
#include "vector/any.h"
#include "vector/shape.h"
// clang-format on

// With more rows than one pass, inputs are read once a pass: in pieces that stay in the first-level cache.
constexpr std::size_t cached_bytes = 1024;

void combine_any(const Combination& c) {
  const ShapeRun shape = find_shape(c, false);
  const bool tagged = c.tag_before_count + c.tag_after_count > 0;
  const std::size_t chunk = tagged                       ? Vector::group_bytes
                            : c.row_count > rows_at_once ? cached_bytes
                                                         : c.length;
  Hash before[Transform::max_columns];
  Hash after[Transform::max_rows];
  for (std::size_t begin = 0; begin < c.length; begin += chunk) {
    const Group group{begin, c.length - begin < chunk ? c.length : begin + chunk, c.length};
    for (unsigned i = 0; i < c.tag_before_count; ++i) {
      before[i] = hash_group(group, c.tag_before[i], group.first() ? Vector::hash_zero() : before[i]);
    }
    if (shape != nullptr) {
      shape(c, group.begin, group.end);
    } else if (c.generated > 0 && c.row_count > rows_at_once) {
      combine_generated(c, group.begin, group.end);
    } else {
      combine_rows(c, group.begin, group.end);
    }
    for (unsigned i = 0; i < c.tag_after_count; ++i) {
      after[i] = hash_group(group, c.tag_after[i], group.first() ? Vector::hash_zero() : after[i]);
    }
  }
  for (unsigned i = 0; i < c.tag_before_count; ++i) {
    Vector::store_tag(before[i], c.tag_before[i].mask, c.tag_before[i].tag);
  }
  for (unsigned i = 0; i < c.tag_after_count; ++i) {
    Vector::store_tag(after[i], c.tag_after[i].mask, c.tag_after[i].tag);
  }
}

void combine(const Combination& c) noexcept {
  const bool tagged = c.tag_before_count + c.tag_after_count > 0;
  const ShapeRun shape = find_shape(c, tagged);
  if (shape != nullptr) {
    shape(c, 0, c.length);
  } else {
    combine_any(c);
  }
}
