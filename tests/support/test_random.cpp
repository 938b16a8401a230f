// SPDX-License-Identifier: BSD-3-Clause
#include "test_random.h"

#include <cerrno>
#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <numeric>
#include <random>
#include <string>
#include <utility>

namespace ssn::test {
namespace {

std::uint64_t choose_seed() {
  std::uint64_t seed = 0;
  const char* text = std::getenv("SSN_TEST_SEED");
  if (text != nullptr && *text != '\0') {
    char* end = nullptr;
    errno = 0;
    seed = std::strtoull(text, &end, 0);
    if (errno != 0 || end == text || *end != '\0') {
      std::fprintf(stderr, "SSN_TEST_SEED is \"%s\", which is not a 64-bit number; unset it or use one\n",
                   text);
      std::exit(2);
    }
  } else {
    std::random_device device;
    seed = (std::uint64_t{device()} << 32) | device();
    setenv("SSN_TEST_SEED", std::to_string(seed).c_str(),
           1);  // for death tests, which run this program again
  }
  std::printf("to repeat this run: SSN_TEST_SEED=%" PRIu64 "\n", seed);
  std::fflush(stdout);
  return seed;
}

}  // namespace

std::uint64_t test_seed() {
  static const std::uint64_t seed = choose_seed();
  return seed;
}

TestRandom TestRandom::labelled(std::string_view label) {
  std::uint64_t hash = 14695981039346656037ULL;  // FNV-1a
  for (const char c : label) hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211ULL;
  return TestRandom(test_seed() ^ hash);
}

std::uint64_t TestRandom::next() {
  state_ += 0x9E3779B97F4A7C15ULL;
  std::uint64_t z = state_;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ULL;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBULL;
  return z ^ (z >> 31);
}

std::uint8_t TestRandom::nonzero_byte() { return static_cast<std::uint8_t>(1 + below(255)); }

void TestRandom::fill(std::uint8_t* out, std::size_t length) {
  while (length >= 8) {
    const std::uint64_t word = next();
    std::memcpy(out, &word, 8);
    out += 8;
    length -= 8;
  }
  for (std::size_t i = 0; i < length; ++i) out[i] = byte();
}

Bytes TestRandom::bytes(std::size_t length) {
  Bytes out(length);
  fill(out.data(), length);
  return out;
}

Bytes TestRandom::share_indices(unsigned count, unsigned n) {
  Bytes all(n);
  std::iota(all.begin(), all.end(), std::uint8_t{1});
  for (unsigned i = 0; i < count; ++i) std::swap(all[i], all[i + below(n - i)]);
  all.resize(count);
  return all;
}

}  // namespace ssn::test
