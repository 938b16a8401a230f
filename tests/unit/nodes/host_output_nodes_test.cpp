// SPDX-License-Identifier: BSD-3-Clause
// What the host sends: link_output and host_timer.
#include "host_bench.h"

namespace ssn::dataplane::test {
namespace {

// ---- link_output

class LinkOutput : public HostNodes {
 protected:
  static constexpr std::uint32_t to_10_0_1_2 = 0;
  static constexpr std::uint32_t to_fd00_1_2 = 1;
  static constexpr std::uint32_t to_fd00_2_2 = 5;

  Packet* payload(std::uint32_t link, std::uint16_t bytes = 200, std::uint32_t number = 0) {
    Packet* const made = numbered(number, bytes);
    set_link(*made, link);
    return made;
  }
  void learn(std::uint32_t link, const char* address = "02:00:00:00:09:09") {
    host_->neighbours().learn(host_->link(link).neighbour, mac(address), true, true, now());
  }
};

TEST_F(LinkOutput, PutsHeadersInFrontInOrder) {
  build_host();
  for (std::uint32_t link = 0; link < host_->link_count(); ++link) learn(link);
  for (const std::size_t size : burst_sizes) {
    SCOPED_TRACE(size);
    forget();
    std::vector<Packet*> packets;
    std::vector<Packet*> of_port[3];
    for (std::uint32_t i = 0; i < size; ++i) {
      packets.push_back(payload(i % 6, 200, i));
      of_port[i % 6 < 4 ? 1 : 2].push_back(packets.back());
    }
    feed("link_output-t", packets);
    walk();
    EXPECT_EQ(packets_of(left("link_output-t", "port_tx-one")), of_port[1]);
    EXPECT_EQ(packets_of(left("link_output-t", "port_tx-two")), of_port[2]);
    EXPECT_EQ(edges("link_output-t").size(), (of_port[1].empty() ? 0U : 1U) + (of_port[2].empty() ? 0U : 1U));
    for (std::uint32_t i = 0; i < size; ++i) {
      const HostLink& link = host_->link(i % 6);
      const Left& sent = *places().at(packets[i]).left;
      ASSERT_EQ(sent.bytes.size(), 200U + link.header_bytes);
      EXPECT_EQ(sent.port, link.port);
      EXPECT_EQ(std::memcmp(sent.bytes.data(), mac("02:00:00:00:09:09").bytes.data(), 6), 0);
      std::uint32_t number = 0;
      std::memcpy(&number, &sent.bytes[link.header_bytes], sizeof number);
      EXPECT_EQ(number, i);
    }
  }
  EXPECT_EQ(counter("host.solicitations"), 0U);
}

// The peer of a link hears what was said.
TEST_F(LinkOutput, IsUnderstoodByItsPeer) {
  HostSpec peer = host_spec();
  peer.ports[0].mac = mac("02:00:00:00:09:09");
  peer.ports[0].addresses = {ssn::test::prefix("10.0.1.2/24"), ssn::test::prefix("fd00:1::2/64")};
  peer.links.clear();
  build_host();
  learn(to_10_0_1_2);
  learn(to_fd00_1_2);
  run("link_output-t", {payload(to_10_0_1_2, 333, 1), payload(to_fd00_1_2, 1408, 2)});
  const std::vector<Left>& sent = left("link_output-t", "port_tx-one");
  ASSERT_EQ(sent.size(), 2U);
  ssn::test::TestHost hearing(peer);
  for (std::size_t i = 0; i < 2; ++i) {
    Bytes frame = sent[i].bytes;
    const Step step = hearing.input(1, frame, second);
    ASSERT_EQ(step.next, Next::deliver) << name(step.reason);
    EXPECT_EQ(step.listener, 0);
    EXPECT_EQ(step.length, i == 0 ? 333U : 1408U);
    EXPECT_EQ(frame[step.offset], i + 1);
  }
}

TEST_F(LinkOutput, AsksForNeighboursItDoesNotKnow) {
  build_host();
  Packet* const first = payload(to_10_0_1_2);
  run("link_output-t", {first, payload(to_10_0_1_2), payload(to_fd00_2_2)});
  // One question for each, and nothing waits.
  EXPECT_EQ(edges("link_output-t"),
            (Edges{{"neighbour_unresolved", 3}, {"port_tx-one", 1}, {"port_tx-two", 1}}));
  EXPECT_EQ(left("link_output-t", "neighbour_unresolved")[0].object, first);
  EXPECT_EQ(left("link_output-t", "neighbour_unresolved")[0].bytes.size(), 200U) << "as it came";
  EXPECT_EQ(counter("host.solicitations"), 2U);
  const Left& question = left("link_output-t", "port_tx-one")[0];
  EXPECT_EQ(question.bytes.size(), 42U);
  EXPECT_EQ(question.port, 1);
  EXPECT_EQ(std::memcmp(question.bytes.data(), mac("ff:ff:ff:ff:ff:ff").bytes.data(), 6), 0);
  EXPECT_EQ(left("link_output-t", "port_tx-two")[0].bytes.size(), 18U + 40 + 32);
  EXPECT_EQ(left("link_output-t", "port_tx-two")[0].port, 2);
  forget();
  EXPECT_EQ(in_use(), 0U);
}

TEST_F(LinkOutput, GivesUpNeighboursThatDoNotAnswer) {
  build_host();
  std::set<std::string> reasons;
  for (int i = 0; i < 6; ++i) {
    run("link_output-t", {payload(to_10_0_1_2)});
    for (const auto& [edge, count] : edges("link_output-t")) reasons.insert(edge);
    advance(second + 1);
  }
  run("link_output-t", {payload(to_10_0_1_2)});
  EXPECT_EQ(edges("link_output-t").at("neighbour_failed"), 1U);
  EXPECT_EQ(reasons, (std::set<std::string>{"neighbour_unresolved", "neighbour_failed", "port_tx-one"}));
  learn(to_10_0_1_2);
  run("link_output-t", {payload(to_10_0_1_2)});
  EXPECT_EQ(edges("link_output-t"), (Edges{{"port_tx-one", 1}}));
}

TEST_F(LinkOutput, DropsWhatTheLinkCannotCarry) {
  build_host();
  learn(to_10_0_1_2);
  const auto longest = static_cast<std::uint16_t>(host_->link(to_10_0_1_2).max_payload);
  EXPECT_EQ(longest, 1500 - 20 - 8);
  Packet* const too_long = payload(to_10_0_1_2, static_cast<std::uint16_t>(longest + 1));
  Packet* const empty = payload(to_10_0_1_2, 0);
  run("link_output-t", {too_long, payload(to_10_0_1_2, longest), empty, payload(to_10_0_1_2, 1)});
  EXPECT_EQ(edges("link_output-t"), (Edges{{"payload_too_long", 1}, {"port_tx-one", 3}}));
  EXPECT_EQ(left("link_output-t", "payload_too_long")[0].object, too_long);
  EXPECT_EQ(left("link_output-t", "port_tx-one")[0].bytes.size(), 1514U);
}

TEST_F(LinkOutput, AsksPortsToFillInChecksums) {
  HostSpec spec = host_spec();
  spec.ports[0].computes_ip4_checksum = spec.ports[0].computes_udp_checksum = true;
  build_host(spec);
  for (std::uint32_t link = 0; link < host_->link_count(); ++link) learn(link);
  run("link_output-t", {payload(to_10_0_1_2), payload(to_fd00_1_2), payload(to_fd00_2_2)});
  const std::vector<Left>& one = left("link_output-t", "port_tx-one");
  constexpr std::uint64_t wishes =
      RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_IPV6 | RTE_MBUF_F_TX_IP_CKSUM | RTE_MBUF_F_TX_L4_MASK;
  EXPECT_EQ(one[0].flags & wishes, RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_IP_CKSUM | RTE_MBUF_F_TX_UDP_CKSUM);
  EXPECT_EQ(one[0].l2_len, 14);
  EXPECT_EQ(one[0].l3_len, 20);
  EXPECT_EQ(one[1].flags & wishes, RTE_MBUF_F_TX_IPV6 | RTE_MBUF_F_TX_UDP_CKSUM);
  EXPECT_EQ(one[1].l3_len, 40);
  EXPECT_EQ(left("link_output-t", "port_tx-two")[0].flags & wishes, 0U) << "that port cannot";
}

TEST_F(LinkOutput, CountsQuestionsItHadNoPacketFor) {
  build_host();
  Packet* const one = payload(to_10_0_1_2);
  {
    const Drought drought(pool(), 0);
    run("link_output-t", {one});
    EXPECT_EQ(edges("link_output-t"), (Edges{{"neighbour_unresolved", 1}}));
    EXPECT_EQ(counter("host.no_memory"), 1U);
  }
  EXPECT_EQ(in_use(), 0U);
}

TEST_F(LinkOutput, KeepsTraces) {
  build_host();
  learn(to_10_0_1_2);
  start_trace(0);
  Packet* const good = payload(to_10_0_1_2);
  Packet* const bad = payload(to_fd00_2_2);
  mark(*good, 31);
  mark(*bad, 32);
  run("link_output-t", {good, bad});
  EXPECT_THAT(trace_of(31), ElementsAre("link_output-t > port_tx-one"));
  EXPECT_THAT(trace_of(32), ElementsAre("link_output-t > neighbour_unresolved", "drop-neighbour_unresolved"));
  EXPECT_EQ(left("link_output-t", "port_tx-one")[0].area.trace, 31U);
  // The question is nobody's packet.
  EXPECT_EQ(left("link_output-t", "port_tx-two")[0].flags & trace_flag, 0U);
}

// ---- host_timer

TEST_F(HostNodes, AnnounceAddressesAndAskForNextHops) {
  build_host(host_spec(), true);
  std::size_t addresses = 0;
  for (const HostPort& port : host_->ports()) addresses += port.addresses.size();
  const std::size_t hops = host_->neighbours().size();
  const Worker::Walked first = walk();
  EXPECT_TRUE(first.worked);
  EXPECT_GT(first.wake_ns, now());
  EXPECT_LE(first.wake_ns, now() + second);
  EXPECT_EQ(counter("host.announcements"), addresses);
  EXPECT_EQ(counter("host.solicitations"), hops);
  const Edges sent = edges("host_timer-t");
  EXPECT_EQ(sent.at("port_tx-one") + sent.at("port_tx-two"), addresses + hops);
  for (const std::uint16_t port : both_ports) {
    for (const Left& each : left("host_timer-t", port == 1 ? "port_tx-one" : "port_tx-two")) {
      EXPECT_EQ(each.port, port);
      EXPECT_EQ(std::memcmp(&each.bytes[6], host_->port(port)->mac.bytes.data(), 6), 0);
      EXPECT_LE(each.bytes.size(), max_host_frame);
    }
  }
  forget();
  // Nothing is due: nothing is sent, and the worker may sleep.
  const Worker::Walked idle = walk();
  EXPECT_FALSE(idle.worked);
  EXPECT_EQ(idle.wake_ns, first.wake_ns);
  EXPECT_EQ(edges("host_timer-t"), Edges{});
  // Two more times, and never again.
  for (int i = 0; i < 100; ++i) {
    advance(100'000'000);
    walk();
    forget();
  }
  EXPECT_EQ(counter("host.announcements"), 3 * addresses);
  EXPECT_EQ(in_use(), 0U);
}

TEST_F(HostNodes, ShowTheStateOfLinks) {
  build_host(host_spec(), true);
  walk();
  EXPECT_EQ(counter("link.0.neighbour"), static_cast<std::uint64_t>(NeighbourState::incomplete));
  host_->neighbours().learn(host_->link(0).neighbour, mac("02:00:00:00:09:09"), true, true, now());
  host_->report(1).too_big = 5;
  host_->report(1).smallest_mtu = 1400;
  host_->report(2).unreachable = 6;
  host_->report(3).fragments = 7;
  advance(second);
  walk();
  EXPECT_EQ(counter("link.0.neighbour"), static_cast<std::uint64_t>(NeighbourState::reachable));
  EXPECT_EQ(counter("link.1.too_big"), 5U);
  EXPECT_EQ(counter("link.1.smallest_mtu"), 1400U);
  EXPECT_EQ(counter("link.2.unreachable"), 6U);
  EXPECT_EQ(counter("link.3.fragments"), 7U);
}

TEST_F(HostNodes, CountWhatTheTimerHadNoPacketFor) {
  build_host(host_spec(), true);
  {
    const Drought drought(pool(), 2);
    walk();
    EXPECT_EQ(places().size(), 2U);
    EXPECT_EQ(counter("host.no_memory"), counter("host.announcements") + counter("host.solicitations") - 2);
  }
}

}  // namespace
}  // namespace ssn::dataplane::test
