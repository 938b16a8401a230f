// SPDX-License-Identifier: BSD-3-Clause
// Runs of UDP datagrams, put together and cut apart: what comes out is what went in, with lengths, IPv4
// identifications and checksums as the kernel would make them.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <vector>

#include "udp_frames.h"
#include "udp_run.h"
#include "udp_split.h"

namespace ssn::dataplane {
namespace {

using test::Bytes;
using test::datagram;
using test::DatagramForm;

constexpr FrameNote note_of(std::uint16_t segment) {
  FrameNote note;
  note.needs_checksum = true;
  note.segmentation = 5;
  note.segment = segment;
  return note;
}

struct Joined {
  Bytes frame;
  std::uint32_t count = 0;
  std::uint16_t segment = 0;
};

// As many as one run takes.
Joined join(const std::vector<Bytes>& frames) {
  UdpRun run;
  const UdpFrame first = find_udp(frames[0].data(), static_cast<std::uint32_t>(frames[0].size()), true);
  EXPECT_NE(first.l3, 0);
  run.begin(frames[0].data(), first);
  while (run.count() < frames.size()) {
    const Bytes& next = frames[run.count()];
    if (!run.add(next.data(), find_udp(next.data(), static_cast<std::uint32_t>(next.size()), true))) break;
  }
  Joined joined;
  joined.count = run.count();
  joined.segment = run.segment();
  joined.frame.resize(udp_headers_max);
  run.write_header(joined.frame.data());
  joined.frame.resize(first.header_bytes());
  for (std::uint32_t i = 0; i < run.count(); ++i) {
    joined.frame.insert(joined.frame.end(), frames[i].begin() + first.header_bytes(), frames[i].end());
  }
  return joined;
}

std::vector<Bytes> cut(const Bytes& frame, std::uint16_t segment, bool completes) {
  UdpSplit split;
  std::vector<Bytes> frames;
  if (!split.begin(frame.data(), static_cast<std::uint32_t>(frame.size()), note_of(segment))) return frames;
  for (std::uint32_t i = 0; i < split.count(); ++i) {
    frames.emplace_back(split.length(i));
    split.write(i, completes, frames.back().data());
  }
  return frames;
}

std::vector<Bytes> run_of(DatagramForm form, std::size_t count, std::size_t payload, std::size_t last) {
  std::vector<Bytes> frames;
  for (std::size_t i = 0; i < count; ++i) {
    form.number = static_cast<std::uint32_t>(i);
    form.identification = static_cast<std::uint16_t>(65530 + i);  // over the end, too
    form.payload = i + 1 == count ? last : payload;
    frames.push_back(datagram(form));
  }
  return frames;
}

TEST(UdpRuns, ComeApartAsTheyWere) {
  for (const bool v6 : {false, true}) {
    for (const bool vlan : {false, true}) {
      for (const std::size_t count : {2U, 3U, 17U, 40U}) {
        for (const std::size_t last : {1U, 777U, 1408U}) {
          SCOPED_TRACE(testing::Message() << v6 << vlan << " " << count << " " << last);
          DatagramForm form;
          form.v6 = v6;
          form.vlan = vlan;
          const std::vector<Bytes> frames = run_of(form, count, 1408, last);
          const Joined joined = join(frames);
          EXPECT_EQ(joined.count, count);
          EXPECT_EQ(joined.segment, 1408);
          EXPECT_EQ(cut(joined.frame, joined.segment, true), frames);
          // The checksum that is left open is that of the pseudo-header.
          std::vector<Bytes> open = cut(joined.frame, joined.segment, false);
          ASSERT_EQ(open.size(), frames.size());
          for (std::size_t i = 0; i < open.size(); ++i) {
            const std::size_t udp = open[i].size() - frames[i].size() + test::udp_at(form);
            FrameNote note;
            note.checksum_start = static_cast<std::uint16_t>(udp);
            note.checksum_offset = 6;
            ASSERT_TRUE(complete_checksum(open[i].data(), static_cast<std::uint32_t>(open[i].size()), note));
            EXPECT_EQ(open[i], frames[i]);
          }
        }
      }
    }
  }
}

TEST(UdpRuns, EndWhereTheKernelsLimitsAre) {
  EXPECT_EQ(join(run_of({}, 100, 64, 64)).count, 64U);
  // 64 KiB, Ethernet header included.
  const Joined jumbo = join(run_of({}, 20, 8960, 8960));
  EXPECT_EQ(jumbo.count, 7U);
  EXPECT_LE(jumbo.frame.size(), 65535U);
  const Joined full = join(run_of({}, 64, 1408, 1408));
  EXPECT_EQ(full.count, 46U);
}

TEST(UdpRuns, EndBehindAShorterDatagramAndBeforeALongerOne) {
  std::vector<Bytes> frames = run_of({}, 3, 500, 400);
  const std::vector<Bytes> more = run_of({}, 2, 500, 500);
  frames.insert(frames.end(), more.begin(), more.end());
  EXPECT_EQ(join(frames).count, 3U);
  std::vector<Bytes> longer = run_of({}, 2, 500, 501);
  EXPECT_EQ(join(longer).count, 1U);
}

TEST(UdpRuns, HaveOneFlow) {
  const DatagramForm base;
  const auto differs = [&](auto change) {
    DatagramForm other = base;
    change(other);
    return join({datagram(base), datagram(other)}).count == 1;
  };
  EXPECT_FALSE(differs([](DatagramForm& form) { form.number = 9; }));
  EXPECT_TRUE(differs([](DatagramForm& form) { form.source_port ^= 1; }));
  EXPECT_TRUE(differs([](DatagramForm& form) { form.destination_port ^= 1; }));
  EXPECT_TRUE(differs([](DatagramForm& form) { form.source ^= 1; }));
  EXPECT_TRUE(differs([](DatagramForm& form) { form.destination ^= 1; }));
  EXPECT_TRUE(differs([](DatagramForm& form) { form.mac ^= 1; }));
  EXPECT_TRUE(differs([](DatagramForm& form) { form.traffic_class = 4; }));
  EXPECT_TRUE(differs([](DatagramForm& form) { form.hops = 3; }));
  EXPECT_TRUE(differs([](DatagramForm& form) { form.vlan = true; }));
  EXPECT_TRUE(differs([](DatagramForm& form) { form.v6 = true; }));
  EXPECT_TRUE(differs([](DatagramForm& form) { form.dont_fragment = false; }));
}

// Where a router may cut datagrams up, identifications must stay what they are.
TEST(UdpRuns, KeepIdentificationsThatMeanSomething) {
  DatagramForm one;
  one.dont_fragment = false;
  one.identification = 65535;
  DatagramForm two = one;
  two.identification = 0;
  EXPECT_EQ(join({datagram(one), datagram(two)}).count, 2U);
  two.identification = 1;
  EXPECT_EQ(join({datagram(one), datagram(two)}).count, 1U);
  two.identification = 65535;
  EXPECT_EQ(join({datagram(one), datagram(two)}).count, 1U);
  one.dont_fragment = two.dont_fragment = true;
  EXPECT_EQ(join({datagram(one), datagram(two)}).count, 2U);
}

TEST(UdpRuns, LeaveAloneWhatIsNoPlainDatagram) {
  const auto found = [](const Bytes& frame, bool open = true) {
    return find_udp(frame.data(), static_cast<std::uint32_t>(frame.size()), open).l3 != 0;
  };
  for (const bool v6 : {false, true}) {
    SCOPED_TRACE(v6);
    DatagramForm form;
    form.v6 = v6;
    const Bytes good = datagram(form);
    EXPECT_TRUE(found(good));
    // A checksum that is there stays there, wrong or right.
    EXPECT_FALSE(found(good, false));
    Bytes none = good;
    none[test::udp_at(form) + 6] = none[test::udp_at(form) + 7] = 0;
    EXPECT_EQ(found(none, false), !v6);
    for (std::size_t bytes = 0; bytes <= test::udp_at(form) + 8; ++bytes) {
      EXPECT_FALSE(found(Bytes(good.begin(), good.begin() + static_cast<std::ptrdiff_t>(bytes))));
    }
    Bytes padded = good;
    padded.push_back(0);
    EXPECT_FALSE(found(padded));
    Bytes other = good;
    other[test::udp_at(form) + 5] ^= 1;  // UDP length
    EXPECT_FALSE(found(other));
    other = good;
    other[v6 ? 20 : 23] = 6;  // protocol
    EXPECT_FALSE(found(other));
    other = good;
    other[13] = 6;  // EtherType
    EXPECT_FALSE(found(other));
    if (v6) continue;
    other = good;
    other[14] = 0x46;  // options
    EXPECT_FALSE(found(other));
    other = good;
    other[20] |= 0x20;  // more fragments
    EXPECT_FALSE(found(other));
    other = good;
    other[21] = 1;  // fragment offset
    EXPECT_FALSE(found(other));
  }
}

TEST(UdpSplits, RefuseWhatIsNoRunOfDatagrams) {
  const Joined joined = join(run_of({}, 5, 1000, 300));
  const auto refuses = [&](auto change, FrameNote note = note_of(1000)) {
    Bytes frame = joined.frame;
    change(frame, note);
    UdpSplit split;
    return !split.begin(frame.data(), static_cast<std::uint32_t>(frame.size()), note);
  };
  EXPECT_FALSE(refuses([](Bytes&, FrameNote&) {}));
  for (const int kind : {0, 1, 3, 4, 0x85}) {
    EXPECT_TRUE(
        refuses([&](Bytes&, FrameNote& note) { note.segmentation = static_cast<std::uint8_t>(kind); }));
  }
  EXPECT_TRUE(refuses([](Bytes&, FrameNote& note) { note.segment = 0; }));
  EXPECT_TRUE(refuses([](Bytes&, FrameNote& note) { note.segment = 33; })) << "131 datagrams";
  EXPECT_FALSE(refuses([](Bytes&, FrameNote& note) { note.segment = 34; })) << "127 datagrams";
  EXPECT_TRUE(refuses([](Bytes& frame, FrameNote&) { frame.pop_back(); }));
  EXPECT_TRUE(refuses([](Bytes& frame, FrameNote&) { frame[24] ^= 1; })) << "wrong checksum of the header";
  EXPECT_TRUE(refuses([](Bytes& frame, FrameNote&) { frame[39] ^= 1; })) << "wrong length";
  EXPECT_TRUE(refuses([](Bytes& frame, FrameNote&) { frame.resize(42); }));
}

TEST(OpenChecksums, AreFilledInOnlyWhereTheyLie) {
  DatagramForm form;
  Bytes frame = datagram(form);
  FrameNote note;
  note.checksum_start = static_cast<std::uint16_t>(frame.size() - 1);
  note.checksum_offset = 0;
  EXPECT_FALSE(complete_checksum(frame.data(), static_cast<std::uint32_t>(frame.size()), note));
  note.checksum_start = 65535;
  note.checksum_offset = 65535;
  EXPECT_FALSE(complete_checksum(frame.data(), static_cast<std::uint32_t>(frame.size()), note));
  EXPECT_EQ(frame, datagram(form));
}

}  // namespace
}  // namespace ssn::dataplane
