// SPDX-License-Identifier: BSD-3-Clause
// One end of a key stream whose deliveries a test decides byte by byte, over real ring memory. Both ends of a
// KSID get the same bytes.
#pragma once

#include <array>
#include <cstdint>
#include <memory>

#include "ssn/hw/ring_memory.h"
#include "ssn/key_device.h"
#include "test_random.h"

namespace ssn::test {

using Ksid = std::array<std::uint8_t, SSN_KSID_BYTES>;

/// What the key stream `ksid` has at `offset`.
Bytes key_bytes(const Ksid& ksid, std::uint64_t offset, std::size_t length);

class TestKeyStream {
 public:
  TestKeyStream(const Ksid& ksid, ssn_key_role role, std::size_t ring_bytes);
  TestKeyStream(const TestKeyStream&) = delete;
  TestKeyStream& operator=(const TestKeyStream&) = delete;

  ssn_key_stream& stream() { return state_.stream; }
  const Ksid& ksid() const { return ksid_; }
  /// From the next poll on up to `bytes` more are there, as far as the ring has room.
  void deliver(std::uint64_t bytes) { state_.offered += bytes; }
  void fail() { state_.failing = true; }
  /// Offered and not yet polled.
  std::uint64_t offered() const { return state_.offered; }
  /// From the byte at `offset` on this end gets others than the other end.
  void differ_from(std::uint64_t offset) { state_.differs = offset; }
  /// The next poll moves the end of the stream to where no honest driver would.
  void lie(std::uint64_t end) { state_.lie = end; }
  std::uint64_t releases() const { return state_.releases; }

 private:
  struct State {
    ssn_key_stream stream{};  // first
    const Ksid* ksid = nullptr;
    std::uint64_t offered = 0;
    std::uint64_t releases = 0;
    std::uint64_t lie = 0;
    std::uint64_t differs = UINT64_MAX;
    bool failing = false;
  };
  static ssn_status poll(ssn_key_stream* stream);
  static void release(ssn_key_stream* stream, std::uint64_t offset);
  static void statistics(const ssn_key_stream* stream, ssn_key_stream_statistics* out);

  Ksid ksid_;
  hw::RingMemory ring_;
  State state_;
};

}  // namespace ssn::test
