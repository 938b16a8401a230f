// SPDX-License-Identifier: BSD-3-Clause
// What the host sends. scapy reads the same packets in tests/unit/host/scapy_test.py.
#include "ssn/dataplane/host_output.h"

#include <gtest/gtest.h>

#include <array>
#include <map>
#include <set>

#include "guarded.h"
#include "host_fixture.h"
#include "ssn/dataplane/checksum.h"

namespace ssn::dataplane {
namespace {

using test::address;
using test::Bytes;
using test::mac;
using test::second;
using test::TestHost;
using test::TestRandom;
using Ask = NeighbourTable::Ask;

const EthernetAddress peer = mac("02:00:00:00:02:01");

/// The host at the other end of port 1's or port 2's links.
HostSpec other_end() {
  HostSpec spec = test::host_spec();
  spec.ports[0].mac = mac("02:00:00:00:02:01");
  spec.ports[1].mac = mac("02:00:00:00:02:02");
  spec.ports[0].addresses = {test::prefix("10.0.1.2/24"), test::prefix("fd00:1::2/64")};
  spec.ports[1].addresses = {test::prefix("10.0.2.2/24"), test::prefix("fd00:2::2/64")};
  spec.links.erase(spec.links.begin() + 2, spec.links.begin() + 4);
  for (LinkSpec& link : spec.links) std::swap(link.local, link.remote);
  return spec;
}

struct Sender : TestHost {
  using TestHost::TestHost;
  /// A datagram in one piece, and what encapsulate() said.
  Encapsulated send(std::uint32_t link, const Bytes& payload, Bytes& frame, std::uint64_t now = second) {
    test::BufferPool pool(max_link_header + payload.size());
    std::uint8_t* const memory = pool.take(max_link_header + payload.size(), {.at_end = true});
    std::copy(payload.begin(), payload.end(), memory + max_link_header);
    const Encapsulated out =
        encapsulate(worker, link, memory + max_link_header, static_cast<std::uint32_t>(payload.size()), now);
    frame.assign(memory + max_link_header - out.header_bytes, memory + max_link_header + payload.size());
    EXPECT_TRUE(pool.intact());
    return out;
  }
  void know(std::uint32_t link, const EthernetAddress& at = peer) {
    host->neighbours().learn(host->link(link).neighbour, at, true, true, second);
  }
};

TEST(Encapsulate, TheOtherEndTakesItApart) {
  TestRandom random = TestRandom::labelled("encapsulate");
  for (const UdpChecksum checksum : {UdpChecksum::automatic, UdpChecksum::always}) {
    HostSpec spec = test::host_spec();
    for (LinkSpec& link : spec.links) link.checksum = checksum;
    Sender sender(spec);
    TestHost receiver(other_end());
    for (const std::uint32_t link : {0U, 1U, 4U, 5U}) {
      sender.know(link, receiver.host->port(sender.host->link(link).port)->mac);
      for (const std::size_t length : {std::size_t{0}, std::size_t{1}, std::size_t{64}, std::size_t{1407},
                                       std::size_t{sender.host->link(link).max_payload}}) {
        const Bytes payload = random.bytes(length);
        Bytes frame;
        const Encapsulated out = sender.send(link, payload, frame);
        ASSERT_EQ(out.reason, HostDrop::none);
        EXPECT_EQ(out.port, sender.host->link(link).port);
        EXPECT_EQ(out.l2_bytes + out.l3_bytes + udp_bytes, out.header_bytes);
        const Step step = receiver.input(out.port, frame, 1);
        ASSERT_EQ(step.next, Next::deliver) << name(step.reason);
        EXPECT_EQ(Bytes(frame.data() + step.offset, frame.data() + step.offset + step.length), payload);
        const std::uint8_t* const udp = frame.data() + out.header_bytes - udp_bytes;
        const bool without = checksum == UdpChecksum::automatic && (link == 0 || link == 4);
        EXPECT_EQ((udp[6] | udp[7]) == 0, without);
      }
    }
  }
}

// Whatever lengths follow one another, and with every way in which checksums are made.
TEST(Encapsulate, DatagramsOfABurstAreLikeSingleOnes) {
  TestRandom random = TestRandom::labelled("encapsulator");
  const auto check = [&](const HostSpec& spec) {
    Sender sender(spec);
    for (const std::uint32_t link : {0U, 1U, 4U, 5U}) {
      sender.know(link);
      Encapsulator burst(sender.worker, link, second);
      const std::uint32_t most = sender.host->link(link).max_payload;
      EXPECT_TRUE(burst.fits(most));
      EXPECT_FALSE(burst.fits(most + 1));
      EXPECT_LE(burst.room(), max_link_header);
      for (const std::uint32_t length : {1408U, 1408U, 64U, 0U, 1U, most, 1407U, 1408U}) {
        const Bytes payload = random.bytes(length);
        Bytes frame;
        const Encapsulated single = sender.send(link, payload, frame);
        test::BufferPool pool(max_link_header + length);
        std::uint8_t* const memory = pool.take(burst.room() + length, {.at_end = true});
        std::copy(payload.begin(), payload.end(), memory + burst.room());
        burst.write(memory + burst.room(), length);
        EXPECT_TRUE(pool.intact());
        ASSERT_EQ(burst.common().header_bytes, single.header_bytes);
        EXPECT_EQ(burst.common().l2_bytes, single.l2_bytes);
        EXPECT_EQ(burst.common().l3_bytes, single.l3_bytes);
        const std::uint8_t* const begin = memory + burst.room() - single.header_bytes;
        EXPECT_EQ(Bytes(begin, begin + frame.size()), frame) << "link " << link << ", " << length;
      }
    }
  };
  HostSpec spec = test::host_spec();
  check(spec);
  for (LinkSpec& link : spec.links) link.checksum = UdpChecksum::always;
  check(spec);
  for (PortSpec& port : spec.ports) port.computes_ip4_checksum = port.computes_udp_checksum = true;
  check(spec);
}

TEST(Encapsulate, PortsAreToldWhatTheyCompute) {
  HostSpec spec = test::host_spec();
  for (PortSpec& port : spec.ports) port.computes_ip4_checksum = port.computes_udp_checksum = true;
  Sender sender(spec);
  const Bytes payload(100, 0x5A);
  for (const std::uint32_t link : {0U, 1U, 4U, 5U}) {
    sender.know(link);
    Bytes frame;
    const Encapsulated out = sender.send(link, payload, frame);
    ASSERT_EQ(out.reason, HostDrop::none);
    EXPECT_TRUE(out.udp_checksum_by_port);
    const bool v6 = link % 4 == 1;
    EXPECT_EQ(out.ip_checksum_by_port, !v6);
    const std::uint8_t* const ip = frame.data() + out.l2_bytes;
    std::uint8_t* const udp = frame.data() + out.header_bytes - udp_bytes;
    if (!v6) {
      EXPECT_EQ(ip[10] | ip[11], 0);
    }
    // What a port does: sum up all that there is, the field included, and store the complement.
    const std::uint16_t sum = checksum_finish(checksum_add(0, udp, udp_bytes + payload.size()));
    std::memcpy(udp + 6, &sum, 2);
    const HostLink& at = sender.host->link(link);
    const std::uint64_t pseudo = pseudo_header_sum(at.local, at.remote, 17, udp_bytes + 100);
    EXPECT_TRUE(checksum_right(checksum_add(pseudo, udp, udp_bytes + payload.size())));
  }
}

TEST(Encapsulate, AChecksumOfZeroIsSentAsOnes) {
  Sender sender;
  sender.know(1);
  Bytes payload(2);
  Bytes frame;
  sender.send(1, payload, frame);
  payload = {frame[60], frame[61]};  // adding the complement of the sum makes it all ones
  sender.send(1, payload, frame);
  EXPECT_EQ(frame[60], 0xFF);
  EXPECT_EQ(frame[61], 0xFF);
}

TEST(Encapsulate, WorkersHaveSourcePortsOfTheirOwn) {
  std::set<unsigned> seen;
  const TestHost owner;
  owner.host->neighbours().learn(owner.host->link(0).neighbour, peer, true, true, second);
  for (const unsigned index : {0U, 1U, 63U, 16383U}) {
    HostWorker worker(*owner.host, static_cast<std::uint16_t>(index));
    Bytes memory(max_link_header + 10);
    const Encapsulated out = encapsulate(worker, 0, memory.data() + max_link_header, 10, second);
    const std::uint8_t* const udp = memory.data() + max_link_header - udp_bytes;
    ASSERT_EQ(out.reason, HostDrop::none);
    EXPECT_EQ(udp[0] << 8 | udp[1], static_cast<int>(49152 + index));
  }
}

TEST(Encapsulate, NothingLeavesForAnUnknownNextHop) {
  Sender sender;
  Bytes frame;
  Encapsulated out = sender.send(0, Bytes(10), frame, second);
  EXPECT_EQ(out.reason, HostDrop::neighbour_unresolved);
  EXPECT_EQ(out.ask, Ask::everybody);
  EXPECT_EQ(out.header_bytes, 0);
  out = sender.send(0, Bytes(10), frame, second + 1);
  EXPECT_EQ(out.reason, HostDrop::neighbour_unresolved);
  EXPECT_EQ(out.ask, Ask::no);
  for (unsigned i = 2; i < 6; ++i) out = sender.send(0, Bytes(10), frame, i * second);
  EXPECT_EQ(out.reason, HostDrop::neighbour_failed);
  sender.know(0);
  EXPECT_EQ(sender.send(0, Bytes(10), frame, second).reason, HostDrop::none);
}

TEST(Encapsulate, NothingExceedsTheMtu) {
  Sender sender;
  Bytes frame;
  for (const std::uint32_t link : {0U, 5U}) {
    sender.know(link);
    const std::size_t most = sender.host->link(link).max_payload;
    EXPECT_EQ(sender.send(link, Bytes(most), frame).reason, HostDrop::none);
    EXPECT_EQ(frame.size(), sender.host->port(sender.host->link(link).port)->mtu + (link == 0 ? 14U : 18U));
    EXPECT_EQ(sender.send(link, Bytes(most + 1), frame).reason, HostDrop::payload_too_long);
  }
}

/// Takes frames of one host to the other until both are silent; what either delivers is an error here.
void converse(TestHost& from, TestHost& to, std::uint16_t port, Bytes frame, std::uint64_t now) {
  TestHost* ends[2] = {&to, &from};
  for (unsigned turn = 0; turn < 4; ++turn) {
    const Step step = ends[turn % 2]->input(port, frame, now, 200);
    if (step.next == Next::drop) return;
    ASSERT_EQ(step.next, Next::send);
    frame = Bytes(frame.data() + step.offset, frame.data() + step.offset + step.length);
  }
  FAIL() << "two hosts do not stop talking";
}

TEST(Solicitation, TwoHostsFindEachOther) {
  TestHost one;
  TestHost two(other_end());
  const std::uint32_t links[][2] = {{0, 0}, {1, 1}, {4, 2}, {5, 3}};
  for (const auto& [ours, theirs] : links) {
    std::array<std::uint8_t, max_host_frame> out{};
    const HostLink& link = one.host->link(ours);
    const std::uint32_t bytes = write_solicitation(one.worker, link.neighbour, Ask::everybody, out);
    ASSERT_LE(bytes, max_host_frame);
    converse(one, two, link.port, Bytes(out.begin(), out.begin() + bytes), second);
    const NeighbourTable::Answer here = one.host->neighbours().look(link.neighbour);
    EXPECT_EQ(here.state, NeighbourState::reachable) << link.name;
    EXPECT_EQ(here.mac, two.host->port(link.port)->mac);
    const NeighbourTable::Answer there = two.host->neighbours().look(two.host->link(theirs).neighbour);
    EXPECT_EQ(there.state, NeighbourState::stale) << link.name;
    EXPECT_EQ(there.mac, one.host->port(link.port)->mac);
    // And the other way, to the address that is known.
    const std::uint32_t probe =
        write_solicitation(two.worker, two.host->link(theirs).neighbour, Ask::itself, out);
    EXPECT_EQ(EthernetAddress::from(out.data()), one.host->port(link.port)->mac);
    converse(two, one, link.port, Bytes(out.begin(), out.begin() + probe), second);
    EXPECT_EQ(two.host->neighbours().look(two.host->link(theirs).neighbour).state, NeighbourState::reachable);
  }
  EXPECT_EQ(one.worker.counters.solicitations, 4U);
  EXPECT_EQ(two.worker.counters.solicitations, 4U);
  EXPECT_EQ(one.worker.counters.addresses_learnt, 4U);
}

TEST(HostTimer, AnnouncesThenKeepsNeighboursKnown) {
  TestHost one;
  TestHost two(other_end());
  HostTimer timer(one.worker, 2);
  std::array<std::uint8_t, max_host_frame> out{};
  std::map<std::uint64_t, unsigned> frames;
  for (std::uint64_t now = 1; now < 100 * second; now += second / 100) {
    if (now < timer.wake_at()) continue;
    unsigned burst = 0;
    while (true) {
      const HostTimer::Due due = timer.next(now, out);
      if (due.length == 0) break;
      ASSERT_LT(++burst, 100U);
      ++frames[now / second];
      converse(one, two, due.port, Bytes(out.begin(), out.begin() + due.length), now);
    }
    ASSERT_GT(timer.wake_at(), now);
  }
  // Three addresses on each port, announced twice; six next hops, of which the gateways do not answer.
  EXPECT_EQ(one.worker.counters.announcements, 12U);
  EXPECT_EQ(frames[0], 6U + 6U);
  EXPECT_EQ(frames[1], 6U + 2U);
  EXPECT_EQ(frames[2], 2U);
  EXPECT_EQ(frames[50], 2U);
  for (const std::uint32_t link : {0U, 1U, 4U, 5U}) {
    EXPECT_EQ(one.host->neighbours().look(one.host->link(link).neighbour).state, NeighbourState::reachable);
    EXPECT_EQ(two.host->neighbours().look(two.host->link(link % 4 + link / 4 * 2).neighbour).state,
              NeighbourState::stale);
  }
  EXPECT_EQ(one.host->neighbours().look(one.host->link(2).neighbour).state, NeighbourState::failed);
}

GuestSpec guest_spec(bool v6) {
  GuestSpec spec;
  spec.port = 1;
  spec.local = address(v6 ? "fd00:1::1" : "10.0.1.1");
  spec.local_udp_port = 4405;
  spec.remote = address(v6 ? "fd00:1::77" : "10.0.1.77");
  spec.remote_udp_port = 40312;
  return spec;
}

/// What the guest sends to us.
Bytes from_guest(bool v6, const char* remote) {
  HostSpec spec = test::host_spec();
  spec.ports.resize(1);
  spec.ports[0].mac = mac("02:00:00:00:07:07");
  spec.ports[0].addresses = {test::prefix(std::string(remote) + (v6 ? "/64" : "/24"))};
  spec.ports[0].gateways.clear();
  spec.links.resize(1);
  spec.links[0].local = address(remote);
  spec.links[0].remote = guest_spec(v6).local;
  spec.links[0].udp_port = 4405;
  Sender guest(spec);
  guest.know(0, mac("02:00:00:00:01:01"));
  Bytes frame;
  EXPECT_EQ(guest.send(0, Bytes(20), frame).reason, HostDrop::none);
  return frame;
}

TEST(Guest, IsAnsweredWhereHeSpeaksFromAndNotBefore) {
  for (const bool v6 : {false, true}) {
    HostSpec spec = test::host_spec();
    spec.limits.guests = 3;
    Sender sender(spec);
    Result<HostGuest> guest = sender.host->make_guest(guest_spec(v6));
    ASSERT_TRUE(guest.ok()) << guest.error().why;
    const std::uint32_t link = sender.worker.guest_link(2);
    ASSERT_TRUE(sender.worker.is_link(link));
    EXPECT_FALSE(sender.worker.is_link(link + 1));
    sender.worker.guests[2] = guest.value();
    Bytes frame;
    EXPECT_EQ(sender.send(link, Bytes(100), frame).reason, HostDrop::neighbour_unresolved);
    const Bytes other = from_guest(v6, v6 ? "fd00:1::78" : "10.0.1.78");
    EXPECT_FALSE(sender.worker.heard_guest(2, other.data(), 14));
    EXPECT_EQ(sender.send(link, Bytes(100), frame).reason, HostDrop::neighbour_unresolved);
    const Bytes his = from_guest(v6, v6 ? "fd00:1::77" : "10.0.1.77");
    EXPECT_FALSE(sender.worker.heard_guest(1, his.data(), 14)) << "a slot that is not open";
    EXPECT_TRUE(sender.worker.heard_guest(2, his.data(), 14));
    const Encapsulated out = sender.send(link, Bytes(100), frame);
    ASSERT_EQ(out.reason, HostDrop::none);
    EXPECT_EQ(out.ask, Ask::no);
    EXPECT_EQ(EthernetAddress::from(frame.data()), mac("02:00:00:00:07:07"));
    const std::uint8_t* const udp = frame.data() + out.header_bytes - udp_bytes;
    EXPECT_EQ(udp[0] << 8 | udp[1], 4405);
    EXPECT_EQ(udp[2] << 8 | udp[3], 40312);
    sender.worker.guests[2].open = false;
    EXPECT_EQ(sender.send(link, Bytes(100), frame).reason, HostDrop::neighbour_unresolved);
  }
}

TEST(Guest, ThatCannotBeReachedIsRefused) {
  TestHost one;
  const auto refused = [&](void (*change)(GuestSpec& spec)) {
    GuestSpec spec = guest_spec(false);
    change(spec);
    const Result<HostGuest> made = one.host->make_guest(spec);
    return !made.ok() && !made.error().fix.empty();
  };
  EXPECT_FALSE(refused([](GuestSpec&) {}));
  EXPECT_TRUE(refused([](GuestSpec& spec) { spec.port = 9; }));
  EXPECT_TRUE(refused([](GuestSpec& spec) { spec.local = address("10.0.1.9"); }));
  EXPECT_TRUE(refused([](GuestSpec& spec) { spec.remote = address("fd00:1::77"); }));
  EXPECT_TRUE(refused([](GuestSpec& spec) { spec.remote = address("10.0.1.255"); }));
  EXPECT_TRUE(refused([](GuestSpec& spec) { spec.remote = address("127.0.0.1"); }));
  EXPECT_TRUE(refused([](GuestSpec& spec) { spec.remote = spec.local; }));
  EXPECT_TRUE(refused([](GuestSpec& spec) { spec.remote_udp_port = 0; }));
}

TEST(HostTimer, ManyNeighboursTakeTurns) {
  HostSpec spec = test::host_spec();
  spec.ports[0].addresses.push_back(test::prefix("10.1.0.1/16"));
  for (unsigned i = 2; i < 1002; ++i) {
    LinkSpec link = spec.links[0];
    link.local = address("10.1.0.1");
    link.remote.bytes = {10, 1, static_cast<std::uint8_t>(i >> 8), static_cast<std::uint8_t>(i)};
    spec.links.push_back(link);
  }
  TestHost one(spec);
  HostTimer timer(one.worker, 0);
  std::array<std::uint8_t, max_host_frame> out{};
  std::set<Bytes> asked;
  for (std::uint64_t now = 1; now < second / 2; now += 1000000) {
    for (unsigned i = 0; i < 32; ++i) {  // as many as a burst holds
      const HostTimer::Due due = timer.next(now, out);
      if (due.length == 0) break;
      EXPECT_TRUE(asked.insert(Bytes(out.begin(), out.begin() + due.length)).second);
    }
  }
  EXPECT_EQ(asked.size(), 1006U);
}

}  // namespace
}  // namespace ssn::dataplane
