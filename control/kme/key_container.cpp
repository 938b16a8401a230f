// SPDX-License-Identifier: BSD-3-Clause
#include "key_container.h"

#include <openssl/crypto.h>

#include <algorithm>
#include <cassert>

namespace ssn::kme {
namespace {

// Of key; a multiple of 3 and of 16, and with its base64 form small enough for the second-level cache.
constexpr std::size_t piece_bytes = 48 * 1024;

// The character of a 6-bit value, without a table: the value is secret. Compilers make vectors of it.
constexpr char character(std::uint8_t value) noexcept {
  const int v = value;
  return static_cast<char>(v + 'A' + (((25 - v) >> 8) & ('a' - 'Z' - 1)) -
                           (((51 - v) >> 8) & ('z' + 1 - '0')) - (((61 - v) >> 8) & ('9' + 1 - '+')) +
                           (((62 - v) >> 8) & ('/' - '+' - 1)));
}
static_assert(character(0) == 'A' && character(25) == 'Z' && character(26) == 'a' && character(51) == 'z' &&
              character(52) == '0' && character(61) == '9' && character(62) == '+' && character(63) == '/');

constexpr std::uint8_t six(unsigned value, int shift) noexcept {
  return static_cast<std::uint8_t>(value >> shift & 63);
}

}  // namespace

void base64_encode(const std::uint8_t* bytes, std::size_t length, char* out) noexcept {
  const std::size_t whole = length / 3;
  std::uint8_t* const values = reinterpret_cast<std::uint8_t*>(out);
  for (std::size_t i = 0; i < whole; ++i) {
    const unsigned a = bytes[3 * i];
    const unsigned b = bytes[3 * i + 1];
    const unsigned c = bytes[3 * i + 2];
    values[4 * i] = static_cast<std::uint8_t>(a >> 2);
    values[4 * i + 1] = static_cast<std::uint8_t>((a & 3) << 4 | b >> 4);
    values[4 * i + 2] = static_cast<std::uint8_t>((b & 15) << 2 | c >> 6);
    values[4 * i + 3] = static_cast<std::uint8_t>(c & 63);
  }
  for (std::size_t i = 0; i < 4 * whole; ++i) {
    out[i] = character(values[i]);
  }
  if (const std::size_t rest = length - 3 * whole; rest != 0) {
    const unsigned last = static_cast<unsigned>(bytes[3 * whole]) << 16 |
                          (rest == 2 ? static_cast<unsigned>(bytes[3 * whole + 1]) << 8 : 0u);
    char* const end = out + 4 * whole;
    end[0] = character(six(last, 18));
    end[1] = character(six(last, 12));
    end[2] = rest == 2 ? character(six(last, 6)) : '=';
    end[3] = '=';
  }
}

KeyContainer::KeyContainer(KeyBatch batch, std::string extension)
    : batch_(std::move(batch)), extension_(std::move(extension)), length_(tail().size()) {
  for (std::size_t i = 0; i < batch_.size(); ++i) {
    length_ += head(i).size() + base64_length(batch_.bits(i) / 8) + 2;
  }
}

std::string KeyContainer::head(std::size_t i) const {
  return (i == 0 ? "{\"keys\":[{\"key_ID\":\"" : ",{\"key_ID\":\"") + to_text(batch_.id(i)) + "\",\"key\":\"";
}

std::string KeyContainer::tail() const {
  return extension_.empty() ? "]}" : "],\"key_container_extension\":" + extension_ + "}";
}

bool KeyContainer::write_key(const kernels::Implementation& implementation, std::size_t i,
                             std::span<std::uint8_t> buffer, const Sink& sink) const {
  kernels::RandomGenerator generator;
  generator.seed(batch_.seed(i));
  for (std::uint64_t left = batch_.bits(i) / 8; left != 0;) {
    const std::size_t length = static_cast<std::size_t>(std::min<std::uint64_t>(left, piece_bytes));
    const kernels::Status status = kernels::random(implementation, generator, buffer.data(), length);
    assert(status == kernels::Status::ok);  // a key is far shorter than a generator's stream
    static_cast<void>(status);
    char* const text = reinterpret_cast<char*>(buffer.data() + piece_bytes);
    base64_encode(buffer.data(), length, text);
    if (!sink(text, static_cast<std::size_t>(base64_length(length)))) {
      return false;
    }
    left -= length;
  }
  return true;
}

bool KeyContainer::write(const kernels::Implementation& implementation, const Sink& sink) const {
  Result<hw::SecretBuffer> buffer = hw::SecretBuffer::make(piece_bytes + base64_length(piece_bytes));
  if (!buffer.ok()) {
    return false;
  }
  for (std::size_t i = 0; i < batch_.size(); ++i) {
    const std::string text = head(i);
    if (!sink(text.data(), text.size()) || !write_key(implementation, i, buffer.value().span(), sink) ||
        !sink("\"}", 2)) {
      return false;
    }
  }
  const std::string text = tail();
  return sink(text.data(), text.size());
}

}  // namespace ssn::kme
