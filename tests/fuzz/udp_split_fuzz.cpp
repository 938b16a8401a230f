// SPDX-License-Identifier: BSD-3-Clause
// Frames that the kernel says are runs of UDP datagrams, of any bytes: cut apart they are sound datagrams,
// and together all of the frame; nothing outside of it is read or written. What is then put together again is
// the frame that it was.
#include <cstring>
#include <vector>

#include "fuzz_input.h"
#include "ssn/dataplane/checksum.h"
#include "udp_run.h"
#include "udp_split.h"

namespace {

using namespace ssn::dataplane;
using ssn::test::FuzzInput;
using ssn::test::require;
using Bytes = std::vector<std::uint8_t>;

std::uint32_t size_of(const Bytes& bytes) { return static_cast<std::uint32_t>(bytes.size()); }
std::uint32_t load16(const Bytes& bytes, std::size_t at) {
  return static_cast<std::uint32_t>(bytes[at] << 8 | bytes[at + 1]);
}
void store16(Bytes& bytes, std::size_t at, std::size_t value) {
  bytes[at] = static_cast<std::uint8_t>(value >> 8);
  bytes[at + 1] = static_cast<std::uint8_t>(value);
}

// Fuzzers find neither lengths nor checksums: puts them right where they would be.
void mend(Bytes& frame) {
  if (frame.size() < 18) return;
  const std::size_t l3 = load16(frame, 12) == 0x8100 ? 18 : 14;
  if (frame.size() < l3 + 20) return;
  const bool v6 = load16(frame, l3 - 2) == 0x86DD;
  const std::size_t header = v6 ? 40 : (frame[l3] & 15U) * 4U;
  if (header < 20 || frame.size() < l3 + header + 8) return;
  frame[l3] = static_cast<std::uint8_t>((v6 ? 0x60 : 0x40) | (frame[l3] & 15));
  frame[l3 + (v6 ? 6 : 9)] = 17;
  store16(frame, l3 + header + 4, frame.size() - l3 - header);
  store16(frame, l3 + (v6 ? 4 : 2), frame.size() - l3 - (v6 ? header : 0));
  if (v6) return;
  store16(frame, l3 + 6, 0x4000);
  store16(frame, l3 + 10, 0);
  const std::uint16_t sum = checksum_finish(checksum_add(0, frame.data() + l3, header));
  std::memcpy(frame.data() + l3 + 10, &sum, 2);
}

void check_datagram(const Bytes& one, const Bytes& frame, std::size_t from, bool completes) {
  const std::size_t l3 = load16(one, 12) == 0x8100 ? 18 : 14;
  const bool v6 = load16(one, l3 - 2) == 0x86DD;
  const std::size_t l4 = l3 + (v6 ? 40 : (one[l3] & 15U) * 4U);
  const std::size_t bytes = one.size() - l4 - 8;
  require(load16(one, l4 + 4) == bytes + 8, "a UDP length is wrong");
  require(std::memcmp(one.data() + l4 + 8, frame.data() + from, bytes) == 0, "a payload is another");
  const std::uint8_t* const ip = one.data() + l3;
  if (v6) {
    require(load16(one, l3 + 4) == bytes + 8, "an IPv6 length is wrong");
  } else {
    require(load16(one, l3 + 2) == one.size() - l3, "an IPv4 length is wrong");
    require(checksum_right(checksum_add(0, ip, l4 - l3)), "an IPv4 checksum is wrong");
  }
  std::uint64_t sum = checksum_add(0, ip + (v6 ? 8 : 12), v6 ? 32 : 8);
  const std::uint8_t rest[4] = {0, 17, one[l4 + 4], one[l4 + 5]};
  sum = checksum_add(sum, rest, 4);
  if (completes) {
    require(checksum_right(checksum_add(sum, one.data() + l4, one.size() - l4)), "a UDP checksum is wrong");
    require(load16(one, l4 + 6) != 0, "a UDP checksum says that there is none");
  } else {
    const std::uint16_t open = checksum_fold(sum);
    require(std::memcmp(one.data() + l4 + 6, &open, 2) == 0, "an open checksum is wrong");
  }
}

void check_split(const Bytes& frame, const FrameNote& note, bool completes) {
  UdpSplit split;
  if (!split.begin(frame.data(), size_of(frame), note)) return;
  require(split.count() >= 1 && split.count() <= UdpSplit::datagrams_max, "a wrong number of datagrams");
  std::vector<Bytes> all;
  std::size_t header = frame.size();
  for (std::uint32_t i = 0; i < split.count(); ++i) header -= split.length(i);
  // Each one has the header again.
  const std::size_t each = split.count() == 1 ? 0 : (0 - header) / (split.count() - 1);
  std::size_t from = split.count() == 1 ? 0 : each;
  for (std::uint32_t i = 0; i < split.count(); ++i) {
    Bytes one(split.length(i));
    split.write(i, completes, one.data());
    if (split.count() > 1) {
      require(one.size() - each <= note.segment, "a datagram is too long");
      check_datagram(one, frame, from, completes);
      from += one.size() - each;
    }
    all.push_back(std::move(one));
  }
  if (split.count() > 1) require(from == frame.size(), "bytes are missing");

  // And together again.
  const UdpFrame first = find_udp(all[0].data(), size_of(all[0]), true);
  if (first.l3 == 0) return;
  UdpRun run;
  run.begin(all[0].data(), first);
  while (run.count() < all.size()) {
    const Bytes& next = all[run.count()];
    if (!run.add(next.data(), find_udp(next.data(), size_of(next), true))) break;
  }
  require(run.count() == std::min<std::size_t>(all.size(), UdpRun::datagrams_max) ||
              frame.size() > UdpRun::frame_max,
          "what was one cannot be one again");
  Bytes made(udp_headers_max);
  run.write_header(made.data());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  FuzzInput input(data, size);
  const std::uint8_t choices = input.byte();
  FrameNote note;
  note.needs_checksum = (choices & 1U) != 0;
  note.segmentation = (choices & 2U) != 0 ? 5 : input.byte();
  note.segment = static_cast<std::uint16_t>(input.number(2));
  note.checksum_start = static_cast<std::uint16_t>(input.number(2));
  note.checksum_offset = static_cast<std::uint16_t>(input.number(2));
  // Runs are longer than what fuzzers like to write.
  const std::size_t padding = (choices & 4U) != 0 ? input.number(2) : 0;
  Bytes frame = input.bytes(input.left());
  frame.resize(frame.size() + padding, 0x5A);
  if ((choices & 8U) != 0) mend(frame);
  check_split(frame, note, (choices & 16U) != 0);
  Bytes open = frame;
  if (complete_checksum(open.data(), size_of(open), note)) {
    // The field held the sum of the pseudo-header.
    std::uint16_t made = 0;
    std::memcpy(&made, open.data() + note.checksum_start + note.checksum_offset, 2);
    const std::size_t bytes = frame.size() - note.checksum_start;
    require(checksum_right(checksum_add(made, frame.data() + note.checksum_start, bytes)),
            "a checksum that was filled in is wrong");
  } else {
    require(open == frame, "a checksum was written where none can be");
  }
  return 0;
}
