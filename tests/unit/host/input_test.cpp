// SPDX-License-Identifier: BSD-3-Clause
// Every frame of host.txt, whole, cut short at every length, and with wrong bits. The frames, the answers and
// the payloads that are expected are scapy's. Buffers end at an inaccessible page.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <set>
#include <sstream>

#include "guarded.h"
#include "host_fixture.h"
#include "ssn/dataplane/checksum.h"
#include "ssn/dataplane/link_input.h"

namespace ssn::dataplane {
namespace {

using test::Bytes;
using test::HostCase;
using test::TestHost;

constexpr std::size_t longest = 9100;

/// A frame whose last byte is followed by a page that nobody may touch.
struct GuardedFrame {
  Frame make(const Bytes& bytes, std::size_t length, std::size_t room, std::uint16_t port) {
    pool.reset();
    Frame frame;
    frame.data = pool.take(std::max<std::size_t>(room, 1), {.at_end = true});
    std::copy_n(bytes.begin(), length, frame.data);
    frame.length = static_cast<std::uint32_t>(length);
    frame.room = static_cast<std::uint32_t>(room);
    frame.port = port;
    return frame;
  }
  test::BufferPool pool{longest + 200};
};

Bytes bytes_of(const Frame& frame, const Step& step) {
  return Bytes(frame.data + step.offset, frame.data + step.offset + step.length);
}

void expect_neighbour(const TestHost& host, std::uint16_t port, const std::string& expected) {
  std::istringstream words(expected);
  std::string address;
  std::string mac;
  std::string state;
  words >> address >> mac >> state;
  const NeighbourTable& table = host.host->neighbours();
  const std::uint32_t index = table.find({port, test::address(address)});
  ASSERT_NE(index, NeighbourTable::none) << address;
  const NeighbourTable::Answer found = table.look(index);
  EXPECT_EQ(name(found.state), state);
  if (mac != "-") {
    EXPECT_EQ(format(found.mac), mac);
  }
}

void expect_report(const TestHost& host, bool v6, const std::string& expected) {
  std::istringstream words(expected);
  std::string kind;
  std::uint32_t mtu = 0;
  words >> kind >> mtu;
  const LinkReport& report = host.host->report(v6 ? 1 : 0);
  EXPECT_EQ(report.too_big.load(), kind == "too_big" ? 1U : 0U);
  EXPECT_EQ(report.smallest_mtu.load(), mtu);
  EXPECT_EQ(report.unreachable.load(), kind == "unreachable" ? 1U : 0U);
  EXPECT_EQ(report.fragments.load(), kind == "fragments" ? 1U : 0U);
}

TEST(HostInput, EveryFrameMeetsItsFate) {
  GuardedFrame guarded;
  for (const HostCase& one : test::host_cases()) {
    SCOPED_TRACE(one.name);
    TestHost host;
    const std::size_t room = std::max(one.frame.size(), one.data.size());
    Frame frame = guarded.make(one.frame, one.frame.size(), room, one.port);
    const Step step = host_input(host.worker, frame, test::second);
    EXPECT_EQ(step.next, one.next) << name(step.reason);
    if (one.next == Next::drop) {
      EXPECT_EQ(name(step.reason), one.reason);
    } else {
      EXPECT_EQ(step.reason, HostDrop::none);
      ASSERT_LE(step.offset + step.length, room);
      EXPECT_EQ(bytes_of(frame, step), one.data);
    }
    if (one.next == Next::deliver) {
      EXPECT_EQ(step.listener, one.listener);
    }
    if (!one.neighbour.empty()) expect_neighbour(host, one.port, one.neighbour);
    if (!one.link.empty()) expect_report(host, frame.data[frame.l3] >> 4 == 6, one.link);
    EXPECT_TRUE(guarded.pool.intact());
  }
}

TEST(HostInput, StageByStageIsTheSame) {
  for (const HostCase& one : test::host_cases()) {
    SCOPED_TRACE(one.name);
    TestHost host;
    Bytes bytes = one.frame;
    bytes.resize(std::max(bytes.size(), one.data.size()));
    Frame frame;
    frame.data = bytes.data();
    frame.length = static_cast<std::uint32_t>(one.frame.size());
    frame.room = static_cast<std::uint32_t>(bytes.size());
    frame.port = one.port;
    const Step step = test::staged_input(host.worker, frame, test::second);
    EXPECT_EQ(step.next, one.next);
    EXPECT_EQ(name(step.reason), one.next == Next::drop ? one.reason : "none");
    if (one.next != Next::drop) {
      EXPECT_EQ(bytes_of(frame, step), one.data);
    }
  }
}

TEST(HostInput, EveryReasonOfTheInputHasAFrame) {
  std::set<std::string> met;
  for (const HostCase& one : test::host_cases()) met.insert(one.reason);
  // These depend on more than a frame, and have tests of their own; the last ones concern sending.
  const std::set<std::string> others = {
      "none",    "arp_rate_limited",     "icmp_rate_limited", "nd_rate_limited",
      "no_room", "neighbour_unresolved", "neighbour_failed",  "payload_too_long"};
  for (std::size_t i = 0; i < host_drop_count; ++i) {
    const std::string reason(name(static_cast<HostDrop>(i)));
    EXPECT_TRUE(met.contains(reason) != others.contains(reason)) << reason;
  }
}

TEST(HostInput, NamesDiffer) {
  std::set<std::string_view> names;
  for (std::size_t i = 0; i < host_drop_count; ++i) names.insert(name(static_cast<HostDrop>(i)));
  EXPECT_EQ(names.size(), host_drop_count);
}

TEST(HostInput, CutShortAtEveryLength) {
  GuardedFrame guarded;
  for (const HostCase& one : test::host_cases()) {
    SCOPED_TRACE(one.name);
    TestHost host;
    for (std::size_t length = 0; length < one.frame.size(); ++length) {
      // What is long differs in payload only.
      if (length > 200 && one.frame.size() - length > 20 && length % 97 != 0) continue;
      Frame frame = guarded.make(one.frame, length, length, one.port);
      const Step step = host_input(host.worker, frame, test::second * (length + 1));
      ASSERT_TRUE(guarded.pool.intact());
      if (step.next == Next::drop) {
        ASSERT_NE(step.reason, HostDrop::none);
        continue;
      }
      // Only Ethernet's padding can be missing.
      ASSERT_LE(step.offset + step.length, length);
      ASSERT_EQ(step.next, one.next) << "cut to " << length;
      ASSERT_EQ(bytes_of(frame, step), one.data) << "cut to " << length;
    }
  }
}

/// Which bytes of a frame a checksum covers: [begin, end), after the Ethernet header.
std::pair<std::size_t, std::size_t> covered(const HostCase& one) {
  const std::size_t l3 = one.port == 2 ? 18 : 14;
  const bool v6 = one.frame[l3] >> 4 == 6;
  if (v6) {
    const std::size_t payload = static_cast<std::size_t>(one.frame[l3 + 4] << 8 | one.frame[l3 + 5]);
    // Addresses and what the packet carries, unless there are extension headers between.
    return {l3 + 8, one.frame[l3 + 6] == 17 || one.frame[l3 + 6] == 58 ? l3 + 40 + payload : l3 + 40};
  }
  const std::size_t header = (one.frame[l3] & 15U) * 4U;
  const bool none =
      one.frame[l3 + 9] == 17 && one.frame[l3 + header + 6] == 0 && one.frame[l3 + header + 7] == 0;
  const std::size_t total = static_cast<std::size_t>(one.frame[l3 + 2] << 8 | one.frame[l3 + 3]);
  return {l3, l3 + (none ? header : total)};
}

TEST(HostInput, NoWrongBitPasses) {
  GuardedFrame guarded;
  for (const HostCase& one : test::host_cases()) {
    const bool ip = one.next != Next::drop && one.name.find("ARP") == std::string::npos;
    // The length of UDP is its own: the bytes behind it are covered by nothing.
    if (!ip || one.name == "UDP shorter than its packet") continue;
    SCOPED_TRACE(one.name);
    TestHost host;
    const auto [begin, end] = covered(one);
    for (std::size_t at = begin; at < end; at += at < begin + 100 ? 1 : 131) {
      for (unsigned bit = 0; bit < 8; ++bit) {
        Bytes bytes = one.frame;
        bytes[at] = static_cast<std::uint8_t>(bytes[at] ^ 1U << bit);
        const std::size_t room = std::max(bytes.size(), one.data.size());
        Frame frame = guarded.make(bytes, bytes.size(), room, one.port);
        const Step step = host_input(host.worker, frame, test::second * (at * 8 + bit + 1));
        ASSERT_EQ(step.next, Next::drop) << "byte " << at << ", bit " << bit;
      }
    }
  }
}

TEST(HostInput, ThePortsVerdictReplacesTheSum) {
  for (const HostCase& one : test::host_cases()) {
    if (one.name != "UDP over IPv4" && one.name != "UDP over IPv6") continue;
    SCOPED_TRACE(one.name);
    TestHost host;
    Bytes bytes = one.frame;
    bytes.back() ^= 1U;
    auto run = [&](RxChecksum ip, RxChecksum l4) {
      Frame frame;
      frame.data = bytes.data();
      frame.length = frame.room = static_cast<std::uint32_t>(bytes.size());
      frame.port = one.port;
      frame.ip_checksum = ip;
      frame.l4_checksum = l4;
      return host_input(host.worker, frame, 1);
    };
    EXPECT_EQ(run(RxChecksum::unknown, RxChecksum::unknown).reason, HostDrop::udp_bad_checksum);
    EXPECT_EQ(run(RxChecksum::good, RxChecksum::good).next, Next::deliver);
    bytes.back() ^= 1U;
    EXPECT_EQ(run(RxChecksum::unknown, RxChecksum::unknown).next, Next::deliver);
    EXPECT_EQ(run(RxChecksum::good, RxChecksum::bad).reason, HostDrop::udp_bad_checksum);
    if (one.name == "UDP over IPv4") {
      EXPECT_EQ(run(RxChecksum::bad, RxChecksum::good).reason, HostDrop::ip4_bad_checksum);
    }
  }
}

/// What link_input() takes, the layers deliver, and just so. Returns whether it took it.
bool agrees(const Bytes& bytes, std::size_t length, std::uint16_t port, unsigned verdicts) {
  static GuardedFrame guarded;
  static TestHost host;  // of which datagrams change nothing
  Frame frame = guarded.make(bytes, length, length, port);
  frame.ip_checksum = static_cast<RxChecksum>(verdicts % 3);
  frame.l4_checksum = static_cast<RxChecksum>(verdicts / 3 % 3);
  Step step;
  if (!link_input(*host.host, *host.host->port(port), frame, step)) {
    EXPECT_EQ(step.next, Next::drop);
    return false;
  }
  EXPECT_TRUE(guarded.pool.intact());
  const Step all = host_input(host.worker, frame, test::second);
  EXPECT_EQ(all.next, Next::deliver) << name(all.reason);
  EXPECT_EQ(step.next, all.next);
  EXPECT_EQ(step.listener, all.listener);
  EXPECT_EQ(step.offset, all.offset);
  EXPECT_EQ(step.length, all.length);
  return true;
}

constexpr unsigned verdict_pairs = 9;

TEST(LinkInput, DeliversWhatAllLayersWould) {
  unsigned taken = 0;
  for (const HostCase& one : test::host_cases()) {
    SCOPED_TRACE(one.name);
    for (unsigned verdicts = 0; verdicts < verdict_pairs; ++verdicts) {
      taken += agrees(one.frame, one.frame.size(), one.port, verdicts) ? 1 : 0;
    }
    for (std::size_t length = 0; length < std::min<std::size_t>(one.frame.size(), 200); ++length) {
      agrees(one.frame, length, one.port, 0);
    }
  }
  EXPECT_GE(taken, 20U);
}

/// A datagram of link 0's peer, 100 bytes of payload and 6 of padding behind it, without UDP's checksum.
Bytes link_datagram() {
  Bytes bytes(14 + 28 + 106, 0x5a);
  const Bytes headers = {2,  0,    0,  0,   1, 1,   2,  0, 0,  0,  9, 9, 8,  0,  // Ethernet
                         69, 0,    0,  128, 0, 0,   64, 0, 64, 17, 0, 0, 10, 0,  // IPv4
                         1,  2,    10, 0,   1, 1,                                //
                         4,  0x04, 17, 52,  0, 108, 0,  0};                      // UDP
  std::copy(headers.begin(), headers.end(), bytes.begin());
  const std::uint16_t sum = checksum_finish(checksum_add(0, bytes.data() + 14, 20));
  std::memcpy(bytes.data() + 24, &sum, sizeof sum);
  return bytes;
}

TEST(LinkInput, TakesADatagramOfALink) {
  const Bytes bytes = link_datagram();
  for (unsigned verdicts = 0; verdicts < verdict_pairs; ++verdicts) {
    // Not where the port says that the header is damaged.
    EXPECT_EQ(agrees(bytes, bytes.size(), 1, verdicts), verdicts % 3 != 2) << verdicts;
  }
  EXPECT_TRUE(agrees(bytes, bytes.size() - 6, 1, 0));
  EXPECT_FALSE(agrees(bytes, bytes.size() - 7, 1, 0));
  EXPECT_FALSE(agrees(bytes, bytes.size(), 2, 0));
  Bytes summed = bytes;
  summed[40] = 1;
  EXPECT_FALSE(agrees(summed, summed.size(), 1, 0)) << "nobody has verified UDP's checksum";
  EXPECT_TRUE(agrees(summed, summed.size(), 1, 3)) << "the port has";
}

// Every bit of the headers, with the header's checksum as it was and put right.
TEST(LinkInput, NoWrongBitIsTaken) {
  unsigned taken = 0;
  for (std::size_t bit = 0; bit < std::size_t{42} * 8; ++bit) {
    Bytes bytes = link_datagram();
    bytes[bit / 8] = static_cast<std::uint8_t>(bytes[bit / 8] ^ 1U << bit % 8);
    SCOPED_TRACE(bit);
    const bool in_ip = bit / 8 >= 14 && bit / 8 < 34;
    EXPECT_FALSE(agrees(bytes, bytes.size(), 1, 0) && in_ip) << "a wrong header checksum passes";
    bytes[24] = bytes[25] = 0;
    const std::uint16_t sum = checksum_finish(checksum_add(0, bytes.data() + 14, 20));
    std::memcpy(bytes.data() + 24, &sum, sizeof sum);
    taken += agrees(bytes, bytes.size(), 1, 0) ? 1 : 0;
  }
  // Other stations, types of service, identifications, times to live, shorter packets, source ports.
  EXPECT_GT(taken, 60U);
}

TEST(HostInput, AnswersNeedRoom) {
  for (const HostCase& one : test::host_cases()) {
    if (one.name != "solicitation without address") continue;
    TestHost host;
    for (std::size_t room = one.frame.size(); room < one.frame.size() + 8; ++room) {
      Bytes bytes = one.frame;
      EXPECT_EQ(host.input(one.port, bytes, 1, room).reason, HostDrop::no_room);
    }
    EXPECT_EQ(host.worker.counters.neighbour_advertisements, 0U);
    return;
  }
  FAIL() << "the case is gone";
}

TEST(HostInput, UnknownPortsGiveNothing) {
  TestHost host;
  Bytes bytes = test::host_cases().front().frame;
  for (const std::uint16_t port : {std::uint16_t{0}, std::uint16_t{3}, std::uint16_t{65535}}) {
    EXPECT_EQ(host.input(port, bytes, 1).next, Next::drop);
  }
}

TEST(HostInput, AnswersAreLimited) {
  std::map<std::string, HostDrop> limited = {{"ARP request", HostDrop::arp_rate_limited},
                                             {"neighbour solicitation", HostDrop::nd_rate_limited},
                                             {"ping of 56 bytes", HostDrop::icmp_rate_limited},
                                             {"ping6 of 56 bytes", HostDrop::icmp_rate_limited}};
  for (const HostCase& one : test::host_cases()) {
    if (!limited.contains(one.name)) continue;
    SCOPED_TRACE(one.name);
    HostSpec spec = test::host_spec();
    spec.limits.echo_per_second = spec.limits.answers_per_second = 100;
    TestHost host(spec);
    unsigned sent = 0;
    auto flood = [&](std::uint64_t now) {
      for (unsigned i = 0; i < 1000; ++i) {
        Bytes bytes = one.frame;
        const Step step = host.input(one.port, bytes, now, 200);
        sent += step.next == Next::send ? 1 : 0;
        ASSERT_EQ(step.reason, step.next == Next::send ? HostDrop::none : limited[one.name]);
      }
    };
    flood(test::second);
    EXPECT_EQ(sent, 10U);  // a tenth of a second's
    for (unsigned i = 1; i <= 100; ++i) flood(test::second + i * test::second / 100);
    EXPECT_EQ(sent, 110U);
    flood(3600 * test::second);
    EXPECT_EQ(sent, 120U);  // a pause saves up no more than that
    limited.erase(one.name);
  }
  EXPECT_TRUE(limited.empty());
}

}  // namespace
}  // namespace ssn::dataplane
