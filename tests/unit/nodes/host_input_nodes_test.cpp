// SPDX-License-Identifier: BSD-3-Clause
// What the host receives: ether_input, arp_input, nd_input, ip4_input, ip6_input, icmp*_input, udp_input.
#include "host_bench.h"

namespace ssn::dataplane::test {
namespace {

// ---- All input nodes

TEST_F(HostNodes, EveryFrameMeetsItsFate) {
  build_host(unlimited());
  std::map<std::string, std::uint64_t> drops;
  for (const HostCase& one : host_cases()) {
    SCOPED_TRACE(one.name);
    Packet* const frame = packet_of(one);
    carry({frame});
    const auto all = places();
    ASSERT_EQ(all.size(), 1U);
    const auto& [tap, left] = all.begin()->second;
    EXPECT_EQ(left->object, frame);
    EXPECT_EQ(tap->edge, end_of(one));
    EXPECT_EQ(tap->drops, one.next == Next::drop || one.next == Next::deliver);
    EXPECT_EQ(left->port, one.port);
    if (one.next != Next::drop) {
      EXPECT_EQ(left->bytes, Bytes(one.data));
    } else {
      EXPECT_EQ(counter("drop." + one.reason), ++drops[one.reason]);
    }
    forget();
    EXPECT_EQ(in_use(), 0U);
  }
}

TEST_F(HostNodes, AllFramesOfOneBurstMeetTheirFatesInOrder) {
  build_host(unlimited());
  std::vector<Packet*> packets;
  std::map<std::pair<std::string, std::string>, std::vector<Packet*>> by_end;
  for (const HostCase& one : host_cases()) packets.push_back(packet_of(one));
  ASSERT_GT(packets.size(), 128U);
  carry(packets);
  const auto all = places();
  ASSERT_EQ(all.size(), packets.size());
  std::map<const Tap*, std::vector<Packet*>> in_order;
  for (std::size_t i = 0; i < packets.size(); ++i) {
    const HostCase& one = host_cases()[i];
    SCOPED_TRACE(one.name);
    const auto& [tap, left] = all.at(packets[i]);
    EXPECT_EQ(tap->edge, end_of(one));
    if (one.next != Next::drop) {
      EXPECT_EQ(left->bytes, Bytes(one.data));
    }
    // UDP over IPv6 comes to udp_input behind that over IPv4.
    if (tap->from != "udp_input-t") in_order[tap].push_back(packets[i]);
  }
  for (const auto& [tap, expected] : in_order) {
    EXPECT_EQ(packets_of(tap->left), expected) << tap->from << " " << tap->edge;
  }
}

// Every node alone, with everything that can come to it, in bursts of all sizes.
TEST_F(HostNodes, KeepOrderAndLoseNothingInBurstsOfAnySize) {
  build_host(unlimited());
  struct Input {
    Left left;
    std::string edge;
  };
  std::map<std::string, std::vector<Input>> inputs;
  for (const HostCase& one : host_cases()) {
    std::vector<Packet*> packets{packet_of(one)};
    std::string node = "ether_input-t";
    while (!packets.empty()) {
      Input input;
      input.left = note(packets[0]);
      run(node, packets);
      const Edges taken = edges(node);
      ASSERT_EQ(taken.size(), 1U) << one.name << " at " << node;
      input.edge = taken.begin()->first;
      inputs[node].push_back(input);
      packets.clear();
      for (const Stage& stage : stages) {
        if (stage.node != node || stage.edge != input.edge) continue;
        packets = take(node, input.edge);
        node = stage.next;
        break;
      }
    }
  }
  for (const char* const node : input_nodes) {
    const std::vector<Input>& all = inputs[node];
    ASSERT_GT(all.size(), 4U) << node;
    for (const std::size_t size : burst_sizes) {
      SCOPED_TRACE(std::string(node) + ", " + std::to_string(size));
      forget();
      std::vector<Packet*> packets;
      std::map<std::string, std::vector<Packet*>> expected;
      for (std::size_t i = 0; i < size; ++i) {
        const Input& input = all[(i * 7 + i / 64) % all.size()];
        packets.push_back(again(input.left));
        expected[input.edge].push_back(packets.back());
      }
      const std::uint64_t before = statistics(node).packets;
      feed(node, packets);
      walk();
      EXPECT_EQ(statistics(node).packets - before, size);
      Edges counts;
      for (const auto& [edge, of_edge] : expected) {
        counts[edge] = of_edge.size();
        EXPECT_EQ(packets_of(left(node, edge)), of_edge) << edge;
      }
      EXPECT_EQ(edges(node), counts);
      forget();
      EXPECT_EQ(in_use(), 0U);
    }
  }
}

// Each reason that a node can give has a frame in the vectors, or a test of its own below.
TEST_F(HostNodes, EveryReasonOfEveryNodeIsMet) {
  build_host(unlimited());
  std::map<std::string, std::set<std::string>> met;
  for (const HostCase& one : host_cases()) {
    carry({packet_of(one)});
    for (const auto& [object, place] : places()) met[place.tap->from].insert(place.tap->edge);
    forget();
  }
  const std::set<std::string> below = {"arp_rate_limited", "icmp_rate_limited", "nd_rate_limited", "no_room"};
  const std::pair<const char*, const NodeType*> nodes[] = {
      {"ether_input-t", &ether_input_type}, {"arp_input-t", &arp_input_type},
      {"ip4_input-t", &ip4_input_type},     {"ip6_input-t", &ip6_input_type},
      {"udp_input-t", &udp_input_type},     {"icmp4_input-t", &icmp4_input_type},
      {"icmp6_input-t", &icmp6_input_type}, {"nd_input-t", &nd_input_type}};
  for (const auto& [node, type] : nodes) {
    for (const Edge& edge : type->edges) {
      if (edge.kind != EdgeKind::drop) continue;
      EXPECT_NE(met[node].contains(edge.name), below.contains(edge.name)) << node << " " << edge.name;
    }
  }
}

TEST_F(HostNodes, MarkWhereHeadersEndAndCutOffPadding) {
  build_host();
  for (const HostCase* one : {&a_case(Next::deliver, 0x0800), &a_case(Next::deliver, 0x86DD),
                              &a_case(Next::deliver, 0x8100, "", 2)}) {
    SCOPED_TRACE(one->name);
    Bytes padded = one->frame;
    padded.resize(padded.size() + 9, 0xEE);
    Packet* const frame = packet(padded, one->port);
    const std::uint16_t l2 = one->port == 2 ? 18 : 14;
    const bool v6 = one->frame[l2] >> 4 == 6;
    run("ether_input-t", {frame});
    const std::string first = v6 ? "ip6" : "ip4";
    ASSERT_EQ(edges("ether_input-t"), (Edges{{first, 1}}));
    EXPECT_EQ(left("ether_input-t", first)[0].l2_len, l2);
    EXPECT_EQ(left("ether_input-t", first)[0].bytes.size(), padded.size());
    feed(first + "_input-t", take("ether_input-t", first));
    walk();
    const Left& at_udp = left(first + "_input-t", "udp").at(0);
    EXPECT_EQ(at_udp.l2_len, l2);
    EXPECT_EQ(at_udp.l3_len, v6 ? 40 : (one->frame[l2] & 15) * 4);
    EXPECT_EQ(at_udp.bytes, Bytes(one->frame)) << "the padding is cut off";
    forget();
  }
}

TEST_F(HostNodes, KeepTracesAndPorts) {
  build_host();
  start_trace(0);
  Packet* const asked = packet_of(a_case(Next::send, 0x0806));
  Packet* const heard = packet_of(a_case(Next::deliver, 0x0800));
  Packet* const dropped = packet_of(a_case(Next::drop, 0x0800, "ip4_bad_checksum"));
  mark(*asked, 21);
  mark(*heard, 22);
  mark(*dropped, 23);
  carry({asked, heard, dropped});
  EXPECT_THAT(trace_of(21), ElementsAre("ether_input-t > arp", "arp_input-t > port_tx-one"));
  EXPECT_THAT(trace_of(22), ElementsAre("ether_input-t > ip4", "ip4_input-t > udp",
                                        testing::StartsWith("udp_input-t > drop-listener"),
                                        testing::StartsWith("drop-listener")));
  EXPECT_THAT(trace_of(23),
              ElementsAre("ether_input-t > ip4", "ip4_input-t > ip4_bad_checksum", "drop-ip4_bad_checksum"));
  const Left& answer = left("arp_input-t", "port_tx-one").at(0);
  EXPECT_EQ(answer.area.trace, 21U);
  EXPECT_NE(answer.flags & trace_flag, 0U);
  EXPECT_EQ(answer.port, 1);
}

// What the port found out about checksums is believed, and nothing else is.
TEST_F(HostNodes, BelieveThePortAboutChecksums) {
  build_host();
  const HostCase& good = a_case(Next::deliver, 0x0800);
  const HostCase& bad_ip = a_case(Next::drop, 0x0800, "ip4_bad_checksum");
  const auto ip = [&](const HostCase& one, std::uint64_t flags) {
    Packet* const at_ip = at("ip4_input-t", one);
    at_ip->ol_flags |= flags;
    run("ip4_input-t", {at_ip});
    return edges("ip4_input-t");
  };
  EXPECT_EQ(ip(good, 0), (Edges{{"udp", 1}}));
  EXPECT_EQ(ip(good, RTE_MBUF_F_RX_IP_CKSUM_GOOD), (Edges{{"udp", 1}}));
  EXPECT_EQ(ip(good, RTE_MBUF_F_RX_IP_CKSUM_BAD), (Edges{{"ip4_bad_checksum", 1}}));
  EXPECT_EQ(ip(good, RTE_MBUF_F_RX_L4_CKSUM_BAD), (Edges{{"udp", 1}})) << "that is UDP's";
  EXPECT_EQ(ip(bad_ip, 0), (Edges{{"ip4_bad_checksum", 1}}));
  EXPECT_EQ(ip(bad_ip, RTE_MBUF_F_RX_IP_CKSUM_GOOD).count("ip4_bad_checksum"), 0U);
  // That the port can tell is not that it is good.
  EXPECT_EQ(ip(bad_ip, RTE_MBUF_F_RX_IP_CKSUM_NONE), ip(good, RTE_MBUF_F_RX_IP_CKSUM_NONE));

  const HostCase& bad_udp = a_case(Next::drop, 0x0800, "udp_bad_checksum");
  const auto udp = [&](const HostCase& one, std::uint64_t flags) {
    Packet* const at_udp = at("udp_input-t", one);
    at_udp->ol_flags |= flags;
    run("udp_input-t", {at_udp});
    return edges("udp_input-t").count("udp_bad_checksum");
  };
  EXPECT_EQ(udp(good, 0), 0U);
  EXPECT_EQ(udp(good, RTE_MBUF_F_RX_L4_CKSUM_BAD), 1U);
  EXPECT_EQ(udp(good, RTE_MBUF_F_RX_IP_CKSUM_BAD), 0U) << "that is IPv4's";
  EXPECT_EQ(udp(bad_udp, 0), 1U);
  EXPECT_EQ(udp(bad_udp, RTE_MBUF_F_RX_L4_CKSUM_GOOD), 0U);
}

TEST_F(HostNodes, AnswerOnlySoManyQuestions) {
  HostSpec spec = host_spec();
  spec.limits.echo_per_second = spec.limits.answers_per_second = 10;
  build_host(spec);
  const auto solicits = [](const HostCase& one) {
    return one.port == 1 && one.next == Next::send && one.frame.size() > 54 && one.frame[54] == 135;
  };
  const auto pings6 = [](const HostCase& one) {
    return one.port == 1 && one.next == Next::send && one.frame.size() > 54 && one.frame[54] == 128;
  };
  const auto& all = host_cases();
  const HostCase& solicitation = *std::find_if(all.begin(), all.end(), solicits);
  const HostCase& ping6 = *std::find_if(all.begin(), all.end(), pings6);
  struct Question {
    const char* node;
    const HostCase* one;
    const char* reason;
    const char* answers;
  };
  for (const Question& each :
       {Question{"arp_input-t", &a_case(Next::send, 0x0806), "arp_rate_limited", "host.arp_replies"},
        Question{"nd_input-t", &solicitation, "nd_rate_limited", "host.neighbour_advertisements"},
        Question{"icmp4_input-t", &a_case(Next::send, 0x0800), "icmp_rate_limited", "host.echo_replies"},
        Question{"icmp6_input-t", &ping6, "icmp_rate_limited", "host.echo_replies"}}) {
    SCOPED_TRACE(each.node);
    advance(10 * second);
    const std::uint64_t answered = counter(each.answers);
    std::vector<Packet*> packets;
    for (int i = 0; i < 100; ++i) packets.push_back(at(each.node, *each.one));
    run(each.node, packets);
    const Edges seen = edges(each.node);
    const std::size_t sent = seen.at("port_tx-one");
    EXPECT_LE(sent, 2U);
    EXPECT_EQ(seen, (Edges{{"port_tx-one", sent}, {each.reason, 100 - sent}}));
    EXPECT_EQ(packets_of(left(each.node, "port_tx-one")).front(), packets.front()) << "the first is answered";
    EXPECT_EQ(counter(each.answers) - answered, sent);
    // Time is given back.
    advance(second);
    run(each.node, {at(each.node, *each.one)});
    EXPECT_EQ(edges(each.node), (Edges{{"port_tx-one", 1}}));
  }
}

// An advertisement is longer than a solicitation without an option: the buffer must have room behind it.
TEST_F(HostNodes, AnswerNothingWithoutRoom) {
  build_host();
  const auto& all = host_cases();
  const auto shorter = std::find_if(all.begin(), all.end(), [](const HostCase& one) {
    return one.next == Next::send && one.frame.size() < one.data.size() && one.frame.size() > 54 &&
           one.frame[one.port == 2 ? 58 : 54] == 135;
  });
  ASSERT_NE(shorter, all.end());
  const auto placed = [&](std::size_t room_behind) {
    Packet* const made = packet_of(*shorter);
    const auto bytes = static_cast<std::uint16_t>(shorter->frame.size());
    std::uint8_t* const to = static_cast<std::uint8_t*>(made->buf_addr) + made->buf_len - bytes - room_behind;
    std::memmove(to, data_of(*made), bytes);
    made->data_off = static_cast<std::uint16_t>(to - static_cast<std::uint8_t*>(made->buf_addr));
    return made;
  };
  const std::size_t more = shorter->data.size() - shorter->frame.size();
  carry({placed(more - 1)});
  EXPECT_EQ(edges("nd_input-t"), (Edges{{"no_room", 1}}));
  forget();
  carry({placed(more)});
  ASSERT_EQ(edges("nd_input-t").count("no_room"), 0U);
  ASSERT_EQ(places().size(), 1U);
  EXPECT_EQ(places().begin()->second.left->bytes, Bytes(shorter->data));
}

// The shorter way leads to the same ends.
TEST_F(HostNodes, GiveDatagramsOfKnownLinksOnAtOnce) {
  at_once_ = true;
  build_host(unlimited());
  std::set<std::string> ways;
  const HostCase* at_once = nullptr;
  for (const HostCase& one : host_cases()) {
    SCOPED_TRACE(one.name);
    carry({packet_of(one)});
    const auto all = places();
    ASSERT_EQ(all.size(), 1U);
    const auto& [tap, left] = all.begin()->second;
    EXPECT_EQ(tap->edge, end_of(one));
    if (one.next == Next::deliver) {
      EXPECT_EQ(left->bytes, Bytes(one.data));
      ways.insert(tap->from);
      if (tap->from == "ether_input-t" && one.listener == 0) at_once = &one;
    }
    forget();
  }
  EXPECT_EQ(ways, (std::set<std::string>{"ether_input-t", "udp_input-t"}));

  ASSERT_NE(at_once, nullptr);
  const HostCase& bad = a_case(Next::drop, 0x0800, "ip4_bad_checksum");
  for (const bool with_others : {false, true}) {
    for (const std::size_t size : burst_sizes) {
      SCOPED_TRACE(size);
      std::vector<Packet*> packets;
      std::vector<Packet*> delivered;
      for (std::size_t i = 0; i < size; ++i) {
        const bool other = with_others && i % 3 == 1;
        packets.push_back(packet_of(other ? bad : *at_once));
        if (!other) delivered.push_back(packets.back());
      }
      run("ether_input-t", packets);
      EXPECT_EQ(packets_of(left("ether_input-t", "drop-listener0")), delivered);
      EXPECT_EQ(left("ether_input-t", "ip4").size(), packets.size() - delivered.size());
      forget();
      EXPECT_EQ(in_use(), 0U);
    }
  }
}

TEST_F(HostNodes, DropWhatNobodyListensTo) {
  listens_ = {false, true};
  build_host();
  const HostCase& one = a_case(Next::deliver, 0x0800);
  ASSERT_EQ(one.listener, 0U);
  run("udp_input-t", {at("udp_input-t", one)});
  EXPECT_EQ(edges("udp_input-t"), (Edges{{"udp_port_unknown", 1}}));
  EXPECT_EQ(counter("drop.udp_port_unknown"), 1U);
}

TEST_F(HostNodes, ShowWhatTheyCount) {
  build_host();
  const HostCase& asked = a_case(Next::send, 0x0806);
  carry({packet_of(asked), packet_of(asked)});
  EXPECT_EQ(counter("host.arp_replies"), 2U);
  carry({packet_of(a_case(Next::send, 0x0800)), packet_of(a_case(Next::send, 0x86DD))});
  EXPECT_EQ(counter("host.echo_replies") + counter("host.neighbour_advertisements"), 2U);
}

}  // namespace
}  // namespace ssn::dataplane::test
