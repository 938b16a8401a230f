// SPDX-License-Identifier: BSD-3-Clause
#include "test_key_stream.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace ssn::test {

namespace {

// Bytes of one stream in groups of eight.
class Generator {
 public:
  explicit Generator(const Ksid& ksid) {
    std::uint64_t words[2];
    std::memcpy(words, ksid.data(), sizeof words);
    seed_ = TestRandom(words[0]).next() ^ words[1] * 3;  // streams whose names are alike are not
  }
  void fill(std::uint64_t offset, std::uint8_t* out, std::size_t length) const {
    for (std::size_t i = 0; i < length;) {
      const std::uint64_t group = TestRandom(seed_ ^ (offset + i) / 8 * 0x9e3779b97f4a7c15U).next();
      std::uint64_t byte = (offset + i) % 8;
      for (; byte < 8 && i < length; ++byte, ++i) out[i] = static_cast<std::uint8_t>(group >> (8 * byte));
    }
  }

 private:
  std::uint64_t seed_ = 0;
};

}  // namespace

Bytes key_bytes(const Ksid& ksid, std::uint64_t offset, std::size_t length) {
  Bytes bytes(length);
  Generator(ksid).fill(offset, bytes.data(), length);
  return bytes;
}

TestKeyStream::TestKeyStream(const Ksid& ksid, ssn_key_role role, std::size_t ring_bytes) : ksid_(ksid) {
  static const ssn_key_driver driver = [] {
    ssn_key_driver made{};
    made.abi = SSN_KEY_DEVICE_ABI;
    made.name = "test";
    made.description = "a stream in the hands of a test";
    made.poll = poll;
    made.release = release;
    made.read_statistics = statistics;
    return made;
  }();
  Result<hw::RingMemory> ring = hw::RingMemory::make(ring_bytes, hw::RingMemory::Pages::normal);
  if (!ring.ok()) {
    std::fprintf(stderr, "%s: %s\n", ring.error().what.c_str(), ring.error().why.c_str());
    std::abort();
  }
  ring_ = std::move(ring.value());
  state_.stream.driver = &driver;
  state_.stream.ring = ring_.data();
  state_.stream.ring_bytes = ring_.size();
  state_.stream.role = role;
  state_.ksid = &ksid_;
}

ssn_status TestKeyStream::poll(ssn_key_stream* stream) {
  State& state = *reinterpret_cast<State*>(stream);
  if (state.lie != 0) {
    stream->end = state.lie;
    return SSN_OK;
  }
  const std::uint64_t room = stream->released + stream->ring_bytes - stream->end;
  const std::uint64_t bytes = std::min(room, state.offered);
  // The ring is mapped twice: any stretch up to its size is contiguous.
  std::uint8_t* const to = stream->ring + (stream->end & (stream->ring_bytes - 1));
  Generator(*state.ksid).fill(stream->end, to, bytes);
  for (std::uint64_t i = 0; i < bytes; ++i) {
    if (stream->end + i >= state.differs) to[i] ^= 0x5a;
  }
  stream->end += bytes;
  state.offered -= bytes;
  if (state.failing && bytes == 0) {
    stream->health = SSN_KEY_HEALTH_FAILED;
    return SSN_FAILED;
  }
  return bytes > 0 ? SSN_OK : SSN_AGAIN;
}

void TestKeyStream::release(ssn_key_stream* stream, std::uint64_t offset) {
  stream->released = offset;
  ++reinterpret_cast<State*>(stream)->releases;
}

void TestKeyStream::statistics(const ssn_key_stream* stream, ssn_key_stream_statistics* out) {
  *out = {};
  out->delivered = stream->end;
}

}  // namespace ssn::test
