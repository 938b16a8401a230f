// SPDX-License-Identifier: BSD-3-Clause
// Tags over buffers, written once for every vector instruction set. Included by combine.h, like which see.
//
// A message of m blocks X_1 .. X_m has the hash X_1 r^m + .. + X_m r; its last block holds the lengths.
// Blocks go in groups of as many as the table has powers for, whose products are summed without reduction.
// The hash so far is kept times r, as if one more block followed: then the powers for whole groups, and for
// all cells that are a multiple of 64 bytes, are aligned in the table whatever follows.

using Hash = Vector::Hash;

// Bytes of a group, and what stands before and after them in the message.
struct Group {
  std::size_t begin;
  std::size_t end;
  std::size_t length;  // of the message

  SSN_INLINE bool first() const { return begin == 0; }
  SSN_INLINE bool last() const { return end == length; }
  // Offset in the table of the power for the block at `begin`: with m blocks in the group, r^(m + 1).
  SSN_INLINE std::size_t first_power() const { return (Vector::powers - 1 - (end - begin + 15) / 16) * 16; }
};

constexpr std::size_t header_limit = Vector::header_blocks * 16;

// Headers longer than the table allows, which the data plane does not have.
Hash absorb_long_header(const TagTask& task) {
  Hash hash = Vector::hash_zero();
  for (std::size_t offset = 0; offset < task.header_length; offset += 16) {
    const std::size_t left = task.header_length - offset;
    Vector::Product sum;
    const Byte* power = task.table + (Vector::powers - 2) * 16;
    sum.add_block(hash, power + 16);
    const Register block[1] = {Vector::load_part(task.header + offset, left < 16 ? left : 16)};
    sum.template add_products<1>(block, power);
    hash = sum.reduce();
  }
  return hash;
}

// What stands around a group in the message: the header before its first, and with it the lengths at the end
// of a message of one group.
SSN_INLINE void open_group(const Group& group, const TagTask& task, Hash& hash, Vector::Product& sum) {
  if (!group.first()) {
    return;
  }
  if (group.last() && task.header_length <= Vector::short_header) {
    sum.add_header_and_lengths(task, group.first_power(), group.length);
    return;
  }
  if (task.header_length > header_limit) {
    hash = absorb_long_header(task);
    return;
  }
  const Byte* power = task.table + group.first_power() - (task.header_length + 15) / 16 * 16;
  for (std::size_t offset = 0; offset < task.header_length; offset += Vector::width) {
    const std::size_t left = task.header_length - offset;
    const Register block[1] = {
        Vector::load_part(task.header + offset, left < Vector::width ? left : Vector::width)};
    sum.template add_products<1>(block, power + offset);
  }
}

// The hash of the message up to the end of the group; with the lengths after its last.
SSN_INLINE Hash close_group(const Group& group, const TagTask& task, Hash hash, Vector::Product& sum) {
  if (group.first() && group.last() && task.header_length <= Vector::short_header) {
    return sum.reduce();
  }
  if (!group.first() || task.header_length > header_limit) {
    sum.add_block(hash, task.table + group.first_power() + 16);
  }
  if (group.last()) {
    sum.add_block(Vector::lengths_block(task.header_length, group.length),
                  task.table + (Vector::powers - 1) * 16);
  }
  return sum.reduce();
}

SSN_INLINE Hash hash_group(const Group& group, const TagTask& task, Hash hash) {
  Vector::Product sum;
  open_group(group, task, hash, sum);
  const Byte* power = task.table + group.first_power();
  const Byte* data = task.data + group.begin;
  const std::size_t bytes = group.end - group.begin;
  std::size_t offset = 0;
  for (; offset + 2 * Vector::width <= bytes; offset += 2 * Vector::width) {
    const Register blocks[2] = {Vector::load(data + offset), Vector::load(data + offset + Vector::width)};
    sum.template add_products<2>(blocks, power + offset);
  }
  for (; offset < bytes; offset += Vector::width) {
    const std::size_t left = bytes - offset;
    const Register blocks[1] = {
        Vector::load_part(data + offset, left < Vector::width ? left : Vector::width)};
    sum.template add_products<1>(blocks, power + offset);
  }
  return close_group(group, task, hash, sum);
}

void tag(const TagTask& task, std::size_t length) noexcept {
  Hash hash = Vector::hash_zero();
  for (std::size_t begin = 0; begin < length; begin += Vector::group_bytes) {
    const std::size_t end = length - begin < Vector::group_bytes ? length : begin + Vector::group_bytes;
    hash = hash_group({begin, end, length}, task, hash);
  }
  Vector::store_tag(hash, task.mask, task.tag);
}

// Pad and tag in one pass: the pad's loads and stores hide behind the multiplications. Sealing hashes what
// goes out, opening what came in.
enum class Hashed { came, went };

template <Hashed hashed, bool erases, unsigned Steps, bool Part, class PadByte>
SSN_INLINE void pad_step(const Byte* in, PadByte* pad, Byte* out, std::size_t bytes, const Byte* power,
                         Vector::Product& sum) {
  Register came[Steps];
  Register went[Steps];
  SSN_UNROLL
  for (unsigned s = 0; s < Steps; ++s) {
    came[s] = load<Part>(in + s * Vector::width, bytes);
    went[s] = Vector::add(came[s], load<Part>(pad + s * Vector::width, bytes));
    store<Part>(out + s * Vector::width, went[s], bytes);
    if constexpr (erases) {
      store<Part>(pad + s * Vector::width, Vector::zero(), bytes);
    }
  }
  sum.template add_products<Steps>(hashed == Hashed::went ? went : came, power);
}

template <Hashed hashed, bool erases, class PadByte>
SSN_INLINE void pad_and_tag(const TagTask& task, const Byte* in, PadByte* pad, Byte* out,
                            std::size_t length) {
  Hash hash = Vector::hash_zero();
  for (std::size_t begin = 0; begin < length; begin += Vector::group_bytes) {
    const Group group{begin, length - begin < Vector::group_bytes ? length : begin + Vector::group_bytes,
                      length};
    Vector::Product sum;
    open_group(group, task, hash, sum);
    const Byte* power = task.table + group.first_power();
    std::size_t at = group.begin;
    for (; at + 2 * Vector::width <= group.end; at += 2 * Vector::width, power += 2 * Vector::width) {
      pad_step<hashed, erases, 2, false>(in + at, pad + at, out + at, 0, power, sum);
    }
    for (; at < group.end; at += Vector::width, power += Vector::width) {
      const std::size_t left = group.end - at;
      pad_step<hashed, erases, 1, true>(in + at, pad + at, out + at,
                                        left < Vector::width ? left : Vector::width, power, sum);
    }
    hash = close_group(group, task, hash, sum);
  }
  Vector::store_tag(hash, task.mask, task.tag);
}

// The same with a keystream in place of the pad: rounds of AES run beside the multiplications.
template <Hashed hashed, unsigned Steps, bool Part>
SSN_INLINE void cipher_step(const Byte* round_keys, Vector::Nonce nonce, std::uint32_t counter,
                            const Byte* in, Byte* out, std::size_t bytes, const Byte* power,
                            Vector::Product& sum) {
  Register came[Steps];
  Register went[Steps];
  Vector::keystream<Steps>(round_keys, nonce, counter, went);
  SSN_UNROLL
  for (unsigned s = 0; s < Steps; ++s) {
    came[s] = load<Part>(in + s * Vector::width, bytes);
    went[s] = Vector::add(came[s], went[s]);
    store<Part>(out + s * Vector::width, went[s], bytes);
    if constexpr (Part && hashed == Hashed::went) {
      went[s] = Vector::first_bytes(went[s], bytes);
    }
  }
  sum.template add_products<Steps>(hashed == Hashed::went ? went : came, power);
}

template <Hashed hashed>
SSN_INLINE void cipher_and_tag(const TagTask& task, const Byte* round_keys, const Byte* nonce_bytes,
                               const Byte* in, Byte* out, std::size_t length) {
  constexpr unsigned steps = Vector::random_steps;
  constexpr std::uint32_t blocks = Vector::width / 16;
  const Vector::Nonce nonce = Vector::load_nonce(nonce_bytes);
  std::uint32_t counter = gcm_text_block;
  Hash hash = Vector::hash_zero();
  for (std::size_t begin = 0; begin < length; begin += Vector::group_bytes) {
    const Group group{begin, length - begin < Vector::group_bytes ? length : begin + Vector::group_bytes,
                      length};
    Vector::Product sum;
    open_group(group, task, hash, sum);
    const Byte* power = task.table + group.first_power();
    std::size_t at = group.begin;
    for (; at + steps * Vector::width <= group.end; at += steps * Vector::width) {
      cipher_step<hashed, steps, false>(round_keys, nonce, counter, in + at, out + at, 0, power, sum);
      power += steps * Vector::width;
      counter += steps * blocks;
    }
    for (; at < group.end; at += Vector::width, power += Vector::width, counter += blocks) {
      const std::size_t left = group.end - at;
      cipher_step<hashed, 1, true>(round_keys, nonce, counter, in + at, out + at,
                                   left < Vector::width ? left : Vector::width, power, sum);
    }
    hash = close_group(group, task, hash, sum);
  }
  Register mask[1];
  Vector::keystream<1>(round_keys, nonce, gcm_mask_block, mask);
  Byte mask_bytes[Vector::width];
  Vector::store(mask_bytes, mask[0]);
  Vector::store_tag(hash, mask_bytes, task.tag);
  Vector::store(mask_bytes, Vector::zero());
  asm volatile("" : : "r"(mask_bytes) : "memory");
}

void gcm_seal(const TagTask& task, const Byte* round_keys, const Byte* nonce, const Byte* in, Byte* out,
              std::size_t length) noexcept {
  cipher_and_tag<Hashed::went>(task, round_keys, nonce, in, out, length);
}

void gcm_open(const TagTask& task, const Byte* round_keys, const Byte* nonce, const Byte* in, Byte* out,
              std::size_t length) noexcept {
  cipher_and_tag<Hashed::came>(task, round_keys, nonce, in, out, length);
}

void seal(const TagTask& task, const Byte* in, Byte* pad, Byte* out, std::size_t length) noexcept {
  pad_and_tag<Hashed::went, true>(task, in, pad, out, length);
}

void open(const TagTask& task, const Byte* in, Byte* pad, Byte* out, std::size_t length) noexcept {
  pad_and_tag<Hashed::came, true>(task, in, pad, out, length);
}

void open_in_place(const TagTask& task, const Byte* pad, Byte* data, std::size_t length) noexcept {
  pad_and_tag<Hashed::came, false>(task, data, pad, data, length);
}
