// SPDX-License-Identifier: BSD-3-Clause
// Graphs that are built, walked, swapped and refused; the nodes that every graph has. Real workers, real
// DPDK, ports on rings.
#include "ssn/dataplane/pipeline.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>

#include "eal_fixture.h"
#include "ssn/dataplane/graph_builder.h"
#include "ssn/dataplane/node.h"
#include "ssn/offload_device.h"

namespace ssn::dataplane {
namespace {

using testing::HasSubstr;

/// A source that gives what the test put there, once.
struct Feeder {
  std::atomic<bool> ready{false};
  std::vector<Packet*> packets;
};
std::uint16_t feed(Feeder& state, Burst& burst) {
  if (!state.ready.load(std::memory_order_acquire)) return 0;
  const auto count = static_cast<std::uint16_t>(state.packets.size());
  burst.begin_trace(state.packets.data(), count);
  for (std::uint16_t begin = 0; begin < count; begin = static_cast<std::uint16_t>(begin + Burst::chunk)) {
    const auto some = static_cast<std::uint16_t>(std::min<int>(Burst::chunk, count - begin));
    burst.send(0, state.packets.data() + begin, some);
  }
  state.packets.clear();
  state.ready.store(false, std::memory_order_release);
  burst.worker().note_work();
  return count;
}
constexpr Edge feeder_edges[] = {{"next"}};
const NodeType feeder_type = source_type<feed>("test_feeder", feeder_edges);

/// Sends packets by their first byte: 0 to "next", 1 to the drop "odd", others to the appended edges.
struct Sorter {
  std::uint16_t largest = 0;  // burst
};
std::uint16_t sort(Sorter& state, Burst& burst) {
  state.largest = std::max(state.largest, burst.size());
  burst.for_each_chunk([&](Packet* const* packets, std::uint16_t count) {
    std::uint16_t edges[Burst::chunk];
    for (std::uint16_t i = 0; i < count; ++i) {
      edges[i] = *data_of(*packets[i]);
      burst.remark(*packets[i], "goes {}", edges[i]);
    }
    burst.send_each(packets, edges, count);
  });
  return burst.size();
}
constexpr Edge sorter_edges[] = {{"next"}, {"odd", EdgeKind::drop}};
const NodeType sorter_type = node_type<sort>("test_sorter", sorter_edges);

class Graphs : public PipelineTest {
 protected:
  /// feeder -> sorter -> transmit ring1 | drop-odd | drop-more
  GraphPart sorting(bool leave_open = false) {
    return [this, leave_open](GraphBuilder& graph) -> Outcome {
      if (graph.worker().index() != 0) return done;
      const NodeHandle from = graph.add(feeder_type, "f", feeder_);
      const NodeHandle sorter = graph.add(sorter_type, "s", sorter_);
      graph.connect(from, 0, sorter);
      if (!leave_open) graph.connect(sorter, 0, graph.transmit("ring1"));
      EXPECT_EQ(graph.append_edge(sorter, graph.drop("more")), 2);
      return done;
    };
  }
  void give(std::vector<Packet*> packets) {
    feeder_->packets = std::move(packets);
    feeder_->ready.store(true, std::memory_order_release);
    workers_[0]->wake();
    ASSERT_TRUE(eventually([&] { return !feeder_->ready.load(std::memory_order_acquire); }));
  }
  Packet* kind(std::uint8_t first) {
    Packet* const made = packet(100);
    *data_of(*made) = first;
    return made;
  }

  std::shared_ptr<Feeder> feeder_ = std::make_shared<Feeder>();
  std::shared_ptr<Sorter> sorter_ = std::make_shared<Sorter>();
};

TEST_F(Graphs, CarryPacketsToWhereTheyBelong) {
  ASSERT_TRUE(pipeline_->install({sorting()}).ok());
  std::vector<Packet*> packets;
  for (int i = 0; i < 900; ++i) packets.push_back(kind(static_cast<std::uint8_t>(i % 3)));
  give(packets);
  // What ring1 sends it receives again, which nobody uses.
  ASSERT_TRUE(eventually([&] { return counters_.value("drop.no_use") == 300; }));
  EXPECT_EQ(counters_.value("drop.odd"), 300U);
  EXPECT_EQ(counters_.value("drop.more"), 300U);
  EXPECT_EQ(counters_.value("port.ring1.tx_packets"), 300U);
  EXPECT_EQ(counters_.value("port.ring1.tx_bytes"), 30000U);
  EXPECT_EQ(counters_.value("port.ring1.rx_packets"), 300U);
  EXPECT_EQ(sorter_->largest, 900);
  for (const NodeStatistics& node : pipeline_->totals()) EXPECT_EQ(node.reallocations, 0U) << node.name;
}

TEST_F(Graphs, CountCyclesOfSourcesOnlyWhereTheyHadSomething) {
  ASSERT_TRUE(pipeline_->install({sorting()}).ok());
  const std::uint64_t before = counters_.value("worker.walks");
  ASSERT_TRUE(eventually([&] { return counters_.value("worker.walks") > before + 20; }));
  give({kind(1)});
  ASSERT_TRUE(eventually([&] { return counters_.value("drop.odd") == 1; }));
  for (const NodeStatistics& node : pipeline_->totals()) {
    if (node.name == "test_feeder-f") {
      EXPECT_EQ(node.calls, 1U);
      EXPECT_EQ(node.packets, 1U);
      EXPECT_GT(node.idle_calls, 10U);
    }
  }
}

TEST_F(Graphs, KeepTheirTotalsOverSwaps) {
  ASSERT_TRUE(pipeline_->install({sorting()}).ok());
  for (int i = 0; i < 20; ++i) {
    give({kind(1), kind(2)});
    ASSERT_TRUE(pipeline_->install({sorting()}).ok());
  }
  EXPECT_EQ(counters_.value("drop.odd"), 20U);
  EXPECT_EQ(calls("test_sorter-s"), 40U);
  EXPECT_EQ(calls("drop-more"), 20U);
}

TEST_F(Graphs, GoOnAsTheyWereWhenTheNextOneCannotBeBuilt) {
  ASSERT_TRUE(pipeline_->install({sorting()}).ok());
  const auto why = [&](const GraphPart& part) {
    const Outcome outcome = pipeline_->install({part});
    return outcome.ok() ? std::string() : outcome.error().why;
  };
  EXPECT_THAT(why(sorting(true)), HasSubstr("leads nowhere"));
  EXPECT_EQ(
      why([](GraphBuilder&) -> Outcome { return Error{Exit::refused, "x", "because", "here", "that"}; }),
      "because");
  EXPECT_THAT(why([](GraphBuilder& graph) -> Outcome {
                graph.transmit("ring9");
                return done;
              }),
              HasSubstr("ring9"));
  EXPECT_THAT(why([&](GraphBuilder& graph) -> Outcome {
                graph.connect(graph.receive("ring0"), 0, graph.drop("a"));
                graph.connect(graph.receive("ring0"), 0, graph.drop("b"));
                return done;
              }),
              HasSubstr("twice"));
  EXPECT_THAT(why([&](GraphBuilder& graph) -> Outcome {
                graph.add(sorter_type, "s", sorter_);
                graph.add(sorter_type, "s", sorter_);
                return done;
              }),
              HasSubstr("twice"));
  EXPECT_THAT(why([&](GraphBuilder& graph) -> Outcome {
                graph.add(sorter_type, "a*b", sorter_);
                return done;
              }),
              HasSubstr("label"));
  give({kind(1), kind(0)});
  ASSERT_TRUE(eventually([&] { return counters_.value("drop.no_use") == 1; }));
  EXPECT_EQ(counters_.value("drop.odd"), 1U);
}

TEST_F(Graphs, EnterAndLeaveOnTheirWorker) {
  struct Hooks {
    Worker* worker = nullptr;
    std::atomic<int> entered{0};
    std::atomic<int> left{0};
  } hooks;
  const GraphPart part = [&](GraphBuilder& graph) -> Outcome {
    hooks.worker = &graph.worker();
    graph.on_enter([](void* h) { ++static_cast<Hooks*>(h)->entered; }, &hooks);
    graph.on_leave([](void* h) { ++static_cast<Hooks*>(h)->left; }, &hooks);
    return done;
  };
  ASSERT_TRUE(pipeline_->install({part}).ok());
  EXPECT_EQ(hooks.entered, 1);
  EXPECT_EQ(hooks.left, 0);
  ASSERT_TRUE(pipeline_->install({part}).ok());
  EXPECT_EQ(hooks.entered, 2);
  EXPECT_EQ(hooks.left, 1);
  ASSERT_TRUE(pipeline_->clear().ok());
  EXPECT_EQ(hooks.left, 2);
}

// What an offload device is told of: every packet lies in it, whole, and says in which piece.
TEST_F(Graphs, KnowTheMemoryOfTheirPackets) {
  Result<std::vector<ssn_memory>> pieces = test_eal()->packet_memory();
  ASSERT_TRUE(pieces.ok()) << pieces.error().why;
  ASSERT_FALSE(pieces.value().empty());
  std::vector<std::uint32_t> handles;
  for (const ssn_memory& piece : pieces.value()) {
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(piece.base) % piece.page_bytes, 0U);
    EXPECT_EQ(piece.bytes % piece.page_bytes, 0U);
    handles.push_back(7 + static_cast<std::uint32_t>(handles.size()));
  }
  std::vector<Packet*> packets;
  for (int i = 0; i < 2000; ++i) packets.push_back(packet(60));
  for (Packet* const each : packets) EXPECT_EQ(cell_of(*each).memory, SSN_OFFLOAD_UNREGISTERED);
  test_eal()->mark_packets(pieces.value(), handles);
  for (Packet* const each : packets) {
    const std::uint32_t handle = cell_of(*each).memory;
    ASSERT_LT(handle - 7, handles.size());
    const ssn_memory& piece = pieces.value()[handle - 7];
    const auto begin = reinterpret_cast<std::uintptr_t>(piece.base);
    const auto at = reinterpret_cast<std::uintptr_t>(each->buf_addr);
    EXPECT_TRUE(at >= begin && at + each->buf_len <= begin + piece.bytes);
  }
  test_eal()->mark_packets({}, {});
  for (Packet* const each : packets) EXPECT_EQ(cell_of(*each).memory, SSN_OFFLOAD_UNREGISTERED);
  release(packets.data(), static_cast<std::uint16_t>(packets.size()));
}

TEST_F(Graphs, DescribeThemselves) {
  ASSERT_TRUE(pipeline_->install({sorting()}).ok());
  const std::vector<GraphStatistics> graphs = pipeline_->statistics();
  ASSERT_EQ(graphs.size(), 1U);
  const auto found = std::find_if(graphs[0].nodes.begin(), graphs[0].nodes.end(),
                                  [](const NodeStatistics& node) { return node.name == "test_sorter-s"; });
  ASSERT_NE(found, graphs[0].nodes.end());
  EXPECT_THAT(found->next, testing::ElementsAre("port_tx-ring1", "drop-odd", "drop-more"));
}

TEST_F(Graphs, TraceThePacketsThatAreAskedFor) {
  ASSERT_TRUE(pipeline_->install({sorting()}).ok());
  TraceWish wish;
  wish.left = 2;
  TraceBuffer buffer(wish, pipeline_->node_number(0, "test_feeder-f"));
  struct Change {
    Worker* worker;
    TraceBuffer* buffer;
  };
  const auto set = [&](TraceBuffer* to) {
    Change change{workers_[0].get(), to};
    Ticket ticket = 0;
    ASSERT_TRUE(workers_[0]->post({[](void* c) {
                                     auto& mine = *static_cast<Change*>(c);
                                     mine.worker->set_trace(mine.buffer);
                                   },
                                   &change},
                                  &ticket));
    ASSERT_TRUE(workers_[0]->wait(ticket, std::chrono::seconds(20)));
  };
  set(&buffer);
  give({kind(1), kind(0), kind(2), kind(1)});
  ASSERT_TRUE(eventually([&] { return counters_.value("drop.odd") == 2; }));
  set(nullptr);
  std::vector<TraceRecord> records;
  buffer.read(records, 100);
  std::vector<std::string> seen;
  for (const TraceRecord& record : records) {
    seen.push_back(std::to_string(record.packet) + " " + node_name(record.node) + " " +
                   (record.next != any_node ? node_name(record.next) : "") +
                   (record.detail != nullptr ? std::string("(") + record.detail + ")" : ""));
  }
  using testing::Contains;
  EXPECT_THAT(seen, Contains("1 test_feeder-f test_sorter-s"));
  EXPECT_THAT(seen, Contains("1 test_sorter-s (goes {})"));
  EXPECT_THAT(seen, Contains("1 test_sorter-s drop-odd"));
  EXPECT_THAT(seen, Contains("1 drop-odd "));
  EXPECT_THAT(seen, Contains("2 test_sorter-s port_tx-ring1"));
  EXPECT_THAT(seen, Contains("2 port_tx-ring1 (sent)"));
  EXPECT_THAT(seen, testing::Each(testing::Not(HasSubstr("3 "))));
  EXPECT_EQ(buffer.lost(), 0U);
}

TEST_F(Graphs, DropFramesThatAreTooLong) {
  ASSERT_TRUE(pipeline_->install({sorting()}).ok());
  const auto longest = static_cast<std::uint16_t>(ports_->all()[1]->frame_max());
  Packet* const fits = packet(longest);
  Packet* const too_long = packet(static_cast<std::uint16_t>(longest + 1));
  *data_of(*fits) = *data_of(*too_long) = 0;
  give({too_long, fits});
  ASSERT_TRUE(eventually([&] { return counters_.value("drop.no_use") == 1; }));
  EXPECT_EQ(counters_.value("drop.port_tx_too_long"), 1U);
}

// A ring of 1024 that nobody empties while the burst is sent: what it does not take waits, in order, and what
// does not fit there either is dropped.
TEST_F(Graphs, LetFramesWaitForAPortInOrderAndBounded) {
  ASSERT_TRUE(pipeline_->install({sorting()}).ok());
  std::vector<Packet*> packets;
  for (int i = 0; i < 1900; ++i) packets.push_back(kind(0));
  give(packets);
  ASSERT_TRUE(eventually(
      [&] { return counters_.value("drop.no_use") + counters_.value("drop.port_tx_full") == 1900; }));
  EXPECT_EQ(counters_.value("port.ring1.tx_waited"), 512U);
  EXPECT_GT(counters_.value("drop.port_tx_full"), 0U);
  EXPECT_EQ(counters_.value("drop.no_use"), counters_.value("port.ring1.tx_packets"));
}

class TwoWorkers : public Graphs {
 protected:
  unsigned workers() const override { return 2; }
};

TEST_F(TwoWorkers, HandPacketsOver) {
  const GraphPart part = [&](GraphBuilder& graph) -> Outcome {
    const NodeHandle handoff = graph.handoff("mine");
    const NodeHandle source = graph.handoff_source("mine");
    graph.connect(source, 0, graph.drop("of_worker" + std::to_string(graph.worker().index())));
    if (graph.worker().index() == 0) {
      graph.connect(graph.add(feeder_type, "f", feeder_), 0, handoff);
    }
    return done;
  };
  ASSERT_TRUE(pipeline_->install({part}).ok());
  std::vector<Packet*> packets;
  for (int i = 0; i < 300; ++i) {
    packets.push_back(packet(64));
    area_of(*packets.back()).worker = static_cast<std::uint16_t>(i % 3);  // there is no third one
  }
  give(packets);
  ASSERT_TRUE(eventually([&] { return counters_.value("drop.of_worker1") == 100; }));
  ASSERT_TRUE(eventually([&] { return counters_.value("drop.of_worker0") == 100; }));
  EXPECT_EQ(counters_.value("drop.handoff_full"), 100U);
}

class HangingWorker : public TwoWorkers {
 protected:
  std::chrono::milliseconds patience() const override { return std::chrono::milliseconds(100); }
};

TEST_F(HangingWorker, IsNamedAndAllGoOnAsBefore) {
  struct Hang {
    std::atomic<bool> begun{false};
    std::atomic<bool> over{false};
  } hang;
  std::atomic<int> entered{0};
  const GraphPart next = [&](GraphBuilder& graph) -> Outcome {
    graph.on_enter([](void* count) { ++*static_cast<std::atomic<int>*>(count); }, &entered);
    return sorting()(graph);
  };
  ASSERT_TRUE(pipeline_->install({sorting()}).ok());
  ASSERT_TRUE(workers_[1]->post({[](void* h) {
                                   auto& mine = *static_cast<Hang*>(h);
                                   mine.begun = true;
                                   while (!mine.over) ::usleep(1000);
                                 },
                                 &hang}));
  ASSERT_TRUE(eventually([&] { return hang.begun.load(); }));
  const Outcome outcome = pipeline_->install({next});
  ASSERT_FALSE(outcome.ok());
  EXPECT_THAT(outcome.error().why, HasSubstr("worker 1 has not finished a walk for 100 ms"));
  EXPECT_THAT(outcome.error().fix, HasSubstr("restart"));
  EXPECT_EQ(entered, 1);  // worker 0, which went back
  give({kind(1)});
  EXPECT_TRUE(eventually([&] { return counters_.value("drop.odd") == 1; }));
  EXPECT_EQ(calls("drop-odd"), 1U);  // of the graphs before
  // Nothing can change while the worker might still come upon the command; then everything can.
  const Outcome again = pipeline_->install({next});
  EXPECT_FALSE(again.ok());
  EXPECT_THAT(again.error().why, HasSubstr("not yet come back"));
  hang.over = true;
  Ticket ticket = 0;
  ASSERT_TRUE(workers_[1]->post({[](void*) {}, nullptr}, &ticket));
  ASSERT_TRUE(workers_[1]->wait(ticket, std::chrono::seconds(20)));
  EXPECT_EQ(entered, 1);  // what was called off has not been done
  bool installed = false;
  EXPECT_TRUE(eventually([&] { return installed = installed || pipeline_->install({next}).ok(); }));
  give({kind(1)});
  EXPECT_TRUE(eventually([&] { return counters_.value("drop.odd") == 2; }));
}

TEST_F(TwoWorkers, SwapWhilePacketsFlow) {
  // A packet goes round between the two ports for ever.
  const GraphPart part = [](GraphBuilder& graph) -> Outcome {
    for (const auto& [from, to] : {std::pair{"ring0", "ring1"}, std::pair{"ring1", "ring0"}}) {
      const NodeHandle source = graph.receive(from);
      if (source != NodeHandle{}) graph.connect(source, 0, graph.transmit(to));
    }
    return done;
  };
  ASSERT_TRUE(pipeline_->install({part, sorting()}).ok());
  give({kind(0), kind(0), kind(0)});
  for (int i = 0; i < 50; ++i) {
    const std::uint64_t before = counters_.value("port.ring0.rx_packets");
    ASSERT_TRUE(pipeline_->install({part, sorting()}).ok());
    ASSERT_TRUE(eventually([&] { return counters_.value("port.ring0.rx_packets") > before + 3; }));
  }
  // Out of the circle.
  ASSERT_TRUE(pipeline_->install({}).ok());
  ASSERT_TRUE(eventually([&] { return counters_.value("drop.no_use") == 3; }));
}

}  // namespace
}  // namespace ssn::dataplane
