// SPDX-License-Identifier: BSD-3-Clause
// The nodes that every graph has: port_rx, port_tx and port_flush, drop, handoff and handoff_source.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rte_ethdev.h>

#include "node_bench.h"
#include "ssn/dataplane/graph_builder.h"

namespace ssn::dataplane::test {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr std::uint16_t client = 0;
constexpr std::size_t burst_sizes[] = {0, 1, 63, 64, 65, 256, 300};

class PortNodes : public NodeBench {
 protected:
  explicit PortNodes(unsigned workers = 1) : NodeBench(workers) {}

  static Port& port() { return *machine()->ports->all()[client]; }
  // What the port receives goes to a sink, and what is fed to port_tx is sent.
  void build_ports() {
    build({[](GraphBuilder& graph) -> Outcome {
      graph.connect(graph.receive("client"), 0, graph.drop("sink"));
      graph.transmit("client");
      return done;
    }});
  }
  std::vector<Packet*> numbered_packets(std::size_t count, std::uint16_t bytes = 100) {
    std::vector<Packet*> packets;
    for (std::uint32_t i = 0; i < count; ++i) packets.push_back(numbered(i, bytes));
    return packets;
  }
  // Puts packets where the port will receive them.
  static void arrive(std::vector<Packet*> packets) {
    const auto count = static_cast<std::uint16_t>(packets.size());
    ASSERT_EQ(rte_eth_tx_burst(client, 0, packets.data(), count), count);
  }
  // Takes what the port sent.
  static std::vector<Packet*> sent() {
    std::vector<Packet*> all;
    Packet* packets[Burst::chunk];
    while (const std::uint16_t count = rte_eth_rx_burst(client, 0, packets, Burst::chunk)) {
      all.insert(all.end(), packets, packets + count);
    }
    return all;
  }
  static void release_all(const std::vector<Packet*>& packets) {
    for (Packet* const each : packets) release(*each);
  }
};

// ---- port_rx

TEST_F(PortNodes, ReceiveWhatThePortHasInOrder) {
  build_ports();
  hold("port_rx-client");
  for (const std::size_t size : burst_sizes) {
    SCOPED_TRACE(size);
    forget();
    const std::uint64_t packets_before = counter("port.client.rx_packets");
    const std::uint64_t bytes_before = counter("port.client.rx_bytes");
    const std::vector<Packet*> packets = numbered_packets(size, 77);
    arrive(packets);
    std::size_t walks = 0;
    while (walk().worked) ++walks;
    EXPECT_EQ(walks, (size + Burst::chunk - 1) / Burst::chunk) << "a chunk in each walk";
    EXPECT_EQ(packets_of(left("port_rx-client", "next")), packets);
    EXPECT_EQ(counter("port.client.rx_packets") - packets_before, size);
    EXPECT_EQ(counter("port.client.rx_bytes") - bytes_before, 77 * size);
  }
}

TEST_F(PortNodes, ReceiveNothingAndTellSo) {
  build_ports();
  const Worker::Walked walked = walk();
  EXPECT_FALSE(walked.worked);
  EXPECT_FALSE(walked.awake);
  EXPECT_EQ(edges("port_rx-client"), Edges{});
  EXPECT_EQ(statistics("port_rx-client").calls, 0U);
  EXPECT_EQ(statistics("port_rx-client").idle_calls, 1U);
  arrive(numbered_packets(2));
  EXPECT_TRUE(walk().worked);
  EXPECT_EQ(statistics("port_rx-client").calls, 1U);
  EXPECT_EQ(statistics("port_rx-client").packets, 2U);
}

TEST_F(PortNodes, ReceiveNoPacketInSeveralPieces) {
  build_ports();
  hold("port_rx-client");
  std::vector<Packet*> packets = numbered_packets(64);
  std::vector<Packet*> whole;
  for (std::size_t i = 0; i < packets.size(); ++i) {
    if (i == 0 || i == 7 || i == 8 || i == 63) {
      ASSERT_EQ(rte_pktmbuf_chain(packets[i], numbered(1000, 10)), 0);
    } else {
      whole.push_back(packets[i]);
    }
  }
  arrive(packets);
  const std::uint64_t before = counter("drop.segmented");
  EXPECT_TRUE(walk().worked);
  EXPECT_EQ(packets_of(left("port_rx-client", "next")), whole);
  EXPECT_EQ(edges("port_rx-client"), (Edges{{"next", 60}, {"segmented", 4}}));
  EXPECT_EQ(left("port_rx-client", "segmented")[0].bytes.size(), 110U);
  EXPECT_EQ(counter("drop.segmented") - before, 4U);
  EXPECT_EQ(counter("port.client.rx_packets"), 64U);
  forget();
  EXPECT_EQ(in_use(), 0U);
  // And where nothing else came.
  Packet* const alone = numbered(0);
  ASSERT_EQ(rte_pktmbuf_chain(alone, numbered(1)), 0);
  arrive({alone});
  EXPECT_TRUE(walk().worked);
  EXPECT_EQ(edges("port_rx-client"), (Edges{{"segmented", 1}}));
}

TEST_F(PortNodes, MarkThePacketsThatATraceWants) {
  build_ports();
  hold("port_rx-client");
  start_trace(2);
  std::vector<Packet*> packets = numbered_packets(3);
  for (Packet* const each : packets) each->port = client;
  arrive(packets);
  walk();
  const std::vector<Left>& left_there = left("port_rx-client", "next");
  ASSERT_EQ(left_there.size(), 3U);
  for (std::uint32_t i = 0; i < 2; ++i) {
    EXPECT_NE(left_there[i].flags & trace_flag, 0U);
    EXPECT_EQ(left_there[i].area.trace, i + 1);
    EXPECT_THAT(trace_of(i + 1), ElementsAre("port_rx-client > next"));
  }
  EXPECT_EQ(left_there[2].flags & trace_flag, 0U);
  EXPECT_THAT(trace_of(3), IsEmpty());
}

// ---- port_tx

TEST_F(PortNodes, SendInOrderAndCount) {
  build_ports();
  for (const std::size_t size : burst_sizes) {
    SCOPED_TRACE(size);
    const std::uint64_t packets_before = counter("port.client.tx_packets");
    const std::uint64_t bytes_before = counter("port.client.tx_bytes");
    const std::vector<Packet*> packets = numbered_packets(size, 91);
    feed("port_tx-client", packets);
    walk();
    const std::vector<Packet*> out = sent();
    EXPECT_EQ(out, packets);
    EXPECT_EQ(counter("port.client.tx_packets") - packets_before, size);
    EXPECT_EQ(counter("port.client.tx_bytes") - bytes_before, 91 * size);
    EXPECT_EQ(edges("port_tx-client"), Edges{});
    release_all(out);
    EXPECT_EQ(in_use(), 0U);
  }
  EXPECT_EQ(counter("port.client.tx_waited"), 0U);
}

TEST_F(PortNodes, SendNoFrameThatIsTooLong) {
  build_ports();
  const auto longest = static_cast<std::uint16_t>(port().frame_max());
  std::vector<Packet*> packets;
  std::vector<Packet*> fitting;
  for (std::uint32_t i = 0; i < 200; ++i) {
    const bool fits = i % 3 != 0;
    packets.push_back(numbered(i, static_cast<std::uint16_t>(longest + (fits ? 0 : 1))));
    if (fits) fitting.push_back(packets.back());
  }
  run("port_tx-client", packets);
  EXPECT_EQ(edges("port_tx-client"), (Edges{{"port_tx_too_long", 67}}));
  EXPECT_EQ(counter("drop.port_tx_too_long"), 67U);
  EXPECT_EQ(left("port_tx-client", "port_tx_too_long")[1].bytes[0], 3U);
  const std::vector<Packet*> out = sent();
  EXPECT_EQ(out, fitting);
  release_all(out);
}

TEST_F(PortNodes, SendPacketsInSeveralPieces) {
  build_ports();
  Packet* const chained = numbered(1, 100);
  ASSERT_EQ(rte_pktmbuf_chain(chained, numbered(2, 50)), 0);
  Packet* const too_long = numbered(1, 1000);
  ASSERT_EQ(rte_pktmbuf_chain(too_long, numbered(2, 1000)), 0);
  run("port_tx-client", {chained, too_long});
  EXPECT_EQ(edges("port_tx-client"), (Edges{{"port_tx_too_long", 1}}));
  EXPECT_EQ(counter("port.client.tx_bytes"), 150U);
  release_all(sent());
}

// The ring takes 1023 or 1024, 512 wait, the others are dropped; nothing overtakes what waits.
TEST_F(PortNodes, LetPacketsWaitInOrderAndBounded) {
  build_ports();
  std::vector<Packet*> packets = numbered_packets(1700);
  feed("port_tx-client", packets);
  EXPECT_FALSE(walk().awake);
  const std::size_t taken = counter("port.client.tx_packets");
  ASSERT_LT(taken, 1100U);
  EXPECT_EQ(counter("port.client.tx_waited"), 512U);
  EXPECT_EQ(edges("port_tx-client"), (Edges{{"port_tx_full", 1700 - taken - 512}}));
  EXPECT_EQ(counter("drop.port_tx_full"), 1700 - taken - 512);
  // The last ones were dropped, not the first.
  EXPECT_EQ(left("port_tx-client", "port_tx_full").front().object, packets[taken + 512]);
  packets.resize(taken + 512);

  // Nothing can be sent: the worker is told to look again.
  std::vector<Packet*> out = sent();
  EXPECT_EQ(out.size(), taken);
  forget();
  hold("port_rx-client");  // which may receive again what port_flush sends
  Packet* const late = numbered(9999);
  feed("port_tx-client", {late});
  const Worker::Walked walked = walk();
  EXPECT_TRUE(walked.awake);
  EXPECT_TRUE(walked.worked);
  packets.push_back(late);
  for (const std::vector<Packet*>& rest : {take("port_rx-client", "next"), sent()}) {
    out.insert(out.end(), rest.begin(), rest.end());
  }
  EXPECT_EQ(out, packets);
  EXPECT_EQ(counter("port.client.tx_packets"), packets.size());
  EXPECT_EQ(counter("port.client.tx_bytes"), 100 * packets.size());
  release_all(out);
  EXPECT_FALSE(walk().awake) << "nothing waits any more";
}

// A device that takes ten packets with every second call and none between.
class Moody {
 public:
  explicit Moody(std::uint16_t id) : operations_(rte_eth_fp_ops[id]), before_(operations_.tx_pkt_burst) {
    calls_ = 0;
    whole_ = before_;
    operations_.tx_pkt_burst = take;
  }
  ~Moody() { operations_.tx_pkt_burst = before_; }
  Moody(const Moody&) = delete;
  Moody& operator=(const Moody&) = delete;

 private:
  static std::uint16_t take(void* queue, Packet** packets, std::uint16_t count) {
    if (calls_++ % 2 != 0) return 0;
    return whole_(queue, packets, std::min<std::uint16_t>(count, 10));
  }
  static inline unsigned calls_ = 0;
  static inline eth_tx_burst_t whole_ = nullptr;
  struct rte_eth_fp_ops& operations_;
  eth_tx_burst_t before_;
};

TEST_F(PortNodes, LetNothingOvertakeWhatWaits) {
  build_ports();
  hold("port_rx-client");  // which receives again what was sent
  std::vector<Packet*> packets = numbered_packets(100);
  std::vector<Packet*> out;
  {
    const Moody device(client);
    feed("port_tx-client", packets);
    walk();
    for (std::uint32_t i = 0; i < 30; ++i) {
      packets.push_back(numbered(1000 + i));
      feed("port_tx-client", {packets.back()});
      walk();
    }
    for (int i = 0; i < 40; ++i) walk();
  }
  for (const std::vector<Packet*>& some : {take("port_rx-client", "next"), sent()}) {
    out.insert(out.end(), some.begin(), some.end());
  }
  EXPECT_EQ(out, packets);
  release_all(out);
}

TEST_F(PortNodes, LoseNothingThatWaitsWhenTheGraphGoes) {
  build_ports();
  feed("port_tx-client", numbered_packets(1600));
  walk();
  EXPECT_GT(counter("port.client.tx_waited"), 0U);
  // TearDown() counts.
}

// What a device may do that looks at packets before it sends them.
class Inspector {
 public:
  explicit Inspector(std::uint16_t id)
      : operations_(rte_eth_fp_ops[id]), before_(operations_.tx_pkt_prepare) {
    operations_.tx_pkt_prepare = inspect;
  }
  ~Inspector() { operations_.tx_pkt_prepare = before_; }
  Inspector(const Inspector&) = delete;
  Inspector& operator=(const Inspector&) = delete;

 private:
  // Refuses packets whose number is a multiple of five.
  static std::uint16_t inspect(void*, Packet** packets, std::uint16_t count) {
    for (std::uint16_t i = 0; i < count; ++i) {
      if (*data_of(*packets[i]) % 5 == 0) return i;
    }
    return count;
  }
  struct rte_eth_fp_ops& operations_;
  eth_tx_prep_t before_;
};

TEST_F(PortNodes, PassOverPacketsThatTheDeviceRefuses) {
  port().offloads.send_udp_checksum = true;
  build_ports();
  port().offloads.send_udp_checksum = false;
  const Inspector inspector(client);
  std::vector<Packet*> packets = numbered_packets(130);
  std::vector<Packet*> accepted;
  for (std::size_t i = 0; i < packets.size(); ++i) {
    if (i % 5 != 0) accepted.push_back(packets[i]);
  }
  run("port_tx-client", packets);
  EXPECT_EQ(edges("port_tx-client"), (Edges{{"port_tx_refused", 26}}));
  EXPECT_EQ(counter("drop.port_tx_refused"), 26U);
  const std::vector<Packet*> out = sent();
  EXPECT_EQ(out, accepted);
  release_all(out);
  // All of them.
  run("port_tx-client", {numbered(0), numbered(5), numbered(10)});
  EXPECT_EQ(edges("port_tx-client"), (Edges{{"port_tx_refused", 3}}));
  EXPECT_THAT(sent(), IsEmpty());
}

TEST_F(PortNodes, AskOnlyDevicesThatWantToSeePackets) {
  build_ports();
  const Inspector inspector(client);
  run("port_tx-client", {numbered(5)});
  EXPECT_EQ(edges("port_tx-client"), Edges{});
  release_all(sent());
}

TEST_F(PortNodes, SayOfTracedPacketsThatTheyWereSent) {
  build_ports();
  start_trace(0);
  Packet* const good = numbered(1);
  Packet* const bad = numbered(2, static_cast<std::uint16_t>(port().frame_max() + 1));
  mark(*good, 11);
  mark(*bad, 12);
  run("port_tx-client", {good, bad, numbered(3)});
  EXPECT_THAT(trace_of(11), ElementsAre("port_tx-client: sent"));
  EXPECT_THAT(trace_of(12), ElementsAre("port_tx-client > port_tx_too_long", "drop-port_tx_too_long"));
  release_all(sent());
}

// ---- drop

TEST_F(PortNodes, DropCountsAndReleases) {
  build({[](GraphBuilder& graph) -> Outcome {
    graph.drop("some_reason");
    return done;
  }});
  std::uint64_t all = 0;
  for (const std::size_t size : burst_sizes) {
    feed("drop-some_reason", numbered_packets(size));
    walk();
    all += size;
    EXPECT_EQ(counter("drop.some_reason"), all);
    EXPECT_EQ(in_use(), 0U);
  }
  Packet* const chained = numbered(1);
  ASSERT_EQ(rte_pktmbuf_chain(chained, numbered(2)), 0);
  start_trace(0);
  mark(*chained, 5);
  feed("drop-some_reason", {chained});
  walk();
  EXPECT_EQ(in_use(), 0U);
  EXPECT_EQ(counter("drop.some_reason"), all + 1);
  EXPECT_THAT(trace_of(5), ElementsAre("drop-some_reason"));
}

// ---- handoff and handoff_source

class Handoffs : public PortNodes {
 protected:
  Handoffs() : PortNodes(2) {}

  void build_handoff() {
    build({[](GraphBuilder& graph) -> Outcome {
      graph.handoff("mine");
      graph.connect(graph.handoff_source("mine"), 0, graph.drop("sink"));
      return done;
    }});
    for (unsigned i = 0; i < 2; ++i) hold("handoff_source-mine", i);
  }
  Packet* for_worker(std::uint32_t number, std::uint16_t to) {
    Packet* const made = numbered(number);
    area_of(*made).worker = to;
    return made;
  }
  std::vector<Packet*> received(unsigned worker) {
    return packets_of(left("handoff_source-mine", "next", worker));
  }
};

TEST_F(Handoffs, BringPacketsToTheirWorkerInOrder) {
  build_handoff();
  for (const std::size_t size : burst_sizes) {
    SCOPED_TRACE(size);
    forget();
    std::vector<Packet*> packets;
    std::vector<Packet*> of_worker[2];
    for (std::uint32_t i = 0; i < size; ++i) {
      const std::uint16_t to = i % 7 < 4 ? 1 : 0;
      packets.push_back(for_worker(i, to));
      of_worker[to].push_back(packets.back());
    }
    feed("handoff-mine", packets);
    walk(0);
    EXPECT_EQ(edges("handoff-mine"), Edges{});
    for (unsigned to = 0; to < 2; ++to) {
      std::size_t walks = 0;
      while (walk(to).worked) ++walks;
      EXPECT_LE(walks, (of_worker[to].size() + Burst::chunk - 1) / Burst::chunk) << "a chunk in each walk";
      EXPECT_EQ(received(to), of_worker[to]);
    }
  }
}

TEST_F(Handoffs, KeepWhatBelongsToThePacket) {
  build_handoff();
  start_trace(0);
  Packet* const one = for_worker(7, 1);
  one->port = 3;
  one->l2_len = 14;
  one->l3_len = 20;
  area_of(*one).stream = 99;
  mark(*one, 4);
  feed("handoff-mine", {one});
  walk(0);
  walk(1);
  const std::vector<Left>& there = left("handoff_source-mine", "next", 1);
  ASSERT_EQ(there.size(), 1U);
  EXPECT_EQ(there[0].port, 3);
  EXPECT_EQ(there[0].l2_len, 14);
  EXPECT_EQ(there[0].l3_len, 20);
  EXPECT_EQ(there[0].area.stream, 99);
  EXPECT_EQ(there[0].area.trace, 4U);
  EXPECT_NE(there[0].flags & trace_flag, 0U);
}

TEST_F(Handoffs, DropWhatHasNoWorker) {
  build_handoff();
  std::vector<Packet*> packets;
  for (std::uint32_t i = 0; i < 10; ++i) packets.push_back(for_worker(i, i % 2 == 0 ? 1 : 2));
  run("handoff-mine", packets);
  EXPECT_EQ(edges("handoff-mine"), (Edges{{"handoff_full", 5}}));
  EXPECT_EQ(counter("drop.handoff_full"), 5U);
  walk(1);
  EXPECT_EQ(received(1).size(), 5U);
}

TEST_F(Handoffs, DropWhatTheRingHasNoRoomFor) {
  build_handoff();
  std::vector<Packet*> packets;
  for (std::uint32_t i = 0; i < 4500; ++i) packets.push_back(for_worker(i, 1));
  for (std::size_t begin = 0; begin < packets.size(); begin += 1500) {
    feed("handoff-mine", {packets.begin() + static_cast<std::ptrdiff_t>(begin),
                          packets.begin() + static_cast<std::ptrdiff_t>(begin + 1500)});
    walk(0);
  }
  const std::size_t dropped = counter("drop.handoff_full");
  EXPECT_GT(dropped, 0U);
  // The first ones are there, in order; another worker's ring has room.
  while (walk(1).worked) {
  }
  packets.resize(4500 - dropped);
  EXPECT_EQ(received(1), packets);
  Packet* const own = for_worker(1, 0);
  feed("handoff-mine", {own});
  walk(0);
  walk(0);
  EXPECT_THAT(received(0), ElementsAre(own));
}

TEST_F(Handoffs, LoseNothingThatIsOnItsWayWhenGraphsGo) {
  build_handoff();
  run("handoff-mine", {for_worker(1, 1), for_worker(2, 0)});
  // TearDown() counts.
}

// A port with one send queue belongs to one worker; the other one's packets go there whoever they are for.
TEST_F(Handoffs, SendThroughTheWorkerThatHasTheQueue) {
  build({[](GraphBuilder& graph) -> Outcome {
    graph.transmit("client");
    return done;
  }});
  Packet* const one = for_worker(1, 1);
  Packet* const two = for_worker(2, 77);
  feed("handoff-tx-client", {one, two}, 1);
  walk(1);
  EXPECT_EQ(edges("handoff-tx-client", 1), Edges{});
  walk(0);
  const std::vector<Packet*> out = sent();
  EXPECT_THAT(out, ElementsAre(one, two));
  EXPECT_EQ(counter("port.client.tx_packets"), 2U);
  release_all(out);
}

}  // namespace
}  // namespace ssn::dataplane::test
