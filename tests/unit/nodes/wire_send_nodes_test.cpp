// SPDX-License-Identifier: BSD-3-Clause
// From frames to shares: wire_pack, wire_split, offload_submit, offload_complete, wire_send.
#include "wire_bench.h"

namespace ssn::dataplane::test {
namespace {

// ---- There and back

TEST_F(WireNodes, CarryFramesInOrderInBurstsOfAnySize) {
  open();
  std::uint64_t all = 0;
  for (const std::size_t size : burst_sizes) {
    SCOPED_TRACE(size);
    forget();
    const std::vector<Bytes> frames = contents(size);
    const std::vector<Packet*> shares = shares_of(frames);
    EXPECT_EQ(shares.size() % n, 0U);
    EXPECT_EQ(shares.empty(), size == 0);
    feed("wire_receive-wire", shares);
    walk_on();
    EXPECT_EQ(delivered(), frames);
    all += size;
    EXPECT_EQ(edges("wire_pack-1").count("no_room"), 0U);
  }
  EXPECT_EQ(shown("stream.1.sent.frames"), all);
  EXPECT_EQ(shown("stream.1.received.frames"), all);
  EXPECT_EQ(counter("stream.1.received.blocks"), counter("stream.1.sent.blocks"));
  EXPECT_EQ(counter("offload.jobs"), 2 * counter("stream.1.sent.blocks"));
}

TEST_F(WireNodes, GiveFramesToThePortAsFreshPackets) {
  open();
  feed("wire_receive-wire", shares_of({frame_bytes(1, 60), frame_bytes(2, 1518)}));
  walk();
  for (const Left& each : left("wire_unpack-1", "port")) {
    EXPECT_TRUE(is_contiguous(*each.packet));
    EXPECT_EQ(each.packet->data_len, each.bytes.size());
    EXPECT_EQ(each.flags, 0U);
    EXPECT_EQ(rte_mbuf_refcnt_read(each.packet), 1U);
  }
  EXPECT_EQ(left("wire_unpack-1", "port").size(), 2U);
}

// ---- wire_pack

TEST_F(WireNodes, PackFramesAndLetThemGo) {
  open();
  hold("wire_pack-1");
  hold("wire_timer-wire");
  for (const std::size_t size : burst_sizes) {
    SCOPED_TRACE(size);
    forget();
    const unsigned before = in_use();
    feed("wire_pack-1", frames(contents(size, 200)));
    walk();
    EXPECT_EQ(in_use(), before) << "frames are copied";
    for (const Left& each : left("wire_pack-1", "split")) EXPECT_EQ(each.object, nullptr) << "a nudge";
    if (size != 0) {
      EXPECT_EQ(edges("wire_pack-1"), (Edges{{"split", 1}}));
    }
  }
}

TEST_F(WireNodes, PackOnlyWhatTheFilterPicks) {
  open({.stream = "filter = [\"ipv4\", \"0x88f7\"]\n"});
  std::vector<Packet*> packets;
  std::vector<Packet*> others;
  std::vector<Bytes> picked;
  for (std::uint32_t i = 0; i < 200; ++i) {
    Bytes frame = frame_bytes(i, 100);
    const std::uint16_t types[] = {0x0800, 0x86DD, 0x88F7, 0x0008};
    frame[12] = static_cast<std::uint8_t>(types[i % 4] >> 8);
    frame[13] = static_cast<std::uint8_t>(types[i % 4]);
    if (i % 16 == 0) frame.resize(13);  // cannot say what it is
    packets.push_back(packet(frame));
    if (frame.size() < 14 || i % 2 == 1) {
      others.push_back(packets.back());
    } else {
      picked.push_back(frame);
    }
  }
  feed("wire_pack-1", packets);
  walk();
  EXPECT_EQ(packets_of(left("wire_pack-1", "not_picked")), others);
  EXPECT_EQ(counter("drop.not_picked"), others.size());
  feed("wire_receive-wire", take("wire_send-1", "link"));
  walk();
  EXPECT_EQ(delivered(), picked);
}

TEST_F(WireNodes, PassOnWhatTheFilterDoesNotPick) {
  open({.stream = "filter = [\"arp\"]\nothers = \"pass-to=three\"\n"});
  const std::vector<Bytes> all = {frame_bytes(1, 100), frame_bytes(2, 101)};
  const std::vector<Packet*> packets = frames(all);
  run("wire_pack-1", packets);
  EXPECT_EQ(packets_of(left("wire_pack-1", "not_picked")), packets);
  EXPECT_EQ(counter("port.three.tx_packets"), 2U);
  EXPECT_EQ(counter("drop.not_picked"), 0U);
}

TEST_F(WireNodes, PackNothingWithoutAConnection) {
  open({.connected = false});
  for (const std::size_t size : burst_sizes) {
    forget();
    const std::vector<Packet*> packets = frames(contents(size));
    feed("wire_pack-1", packets);
    walk();
    EXPECT_EQ(packets_of(left("wire_pack-1", "no_keys")), packets);
    EXPECT_EQ(edges("wire_pack-1"), size == 0 ? Edges{} : (Edges{{"no_keys", size}}));
    EXPECT_EQ(in_use(), 0U);
  }
  // The other nodes have nothing to do then, and do nothing.
  feed_objects("wire_split-1", {nullptr});
  feed_objects("wire_recover-1", {nullptr});
  feed_objects("wire_unpack-1", {nullptr});
  const Worker::Walked walked = walk();
  EXPECT_FALSE(walked.worked);
  EXPECT_EQ(edges("wire_split-1"), Edges{});
  EXPECT_EQ(edges("wire_recover-1"), Edges{});
  EXPECT_EQ(edges("wire_unpack-1"), Edges{});
}

TEST_F(WireNodes, PackNothingBeforeThePeerIsReady) {
  open({.permitted = false});
  run("wire_pack-1", frames(contents(3)));
  EXPECT_EQ(edges("wire_pack-1"), (Edges{{"no_keys", 3}}));
  connection_->permit_sending();
  const std::vector<Packet*> shares = shares_of(contents(1));
  EXPECT_EQ(shares.size(), n);
  release_all(shares);
  run("wire_pack-1", frames(contents(3)));
  EXPECT_EQ(edges("wire_pack-1").count("no_keys"), 0U);
  disconnect();
  run("wire_pack-1", frames(contents(3)));
  EXPECT_EQ(edges("wire_pack-1"), (Edges{{"no_keys", 3}}));
}

TEST_F(WireNodes, PackNoMoreThanThereIsRoomFor) {
  open();
  hold("wire_pack-1");  // nothing is split
  hold("wire_timer-wire");
  std::vector<Bytes> taken;
  std::size_t dropped = 0;
  for (int burst = 0; burst < 4; ++burst) {
    std::vector<Bytes> all;
    for (std::uint32_t i = 0; i < 256; ++i) all.push_back(frame_bytes(i, 1300));
    const std::vector<Packet*> packets = frames(all);
    forget();
    feed("wire_pack-1", packets);
    walk();
    const std::vector<Packet*> no_room = packets_of(left("wire_pack-1", "no_room"));
    dropped += no_room.size();
    for (std::size_t i = 0; i < packets.size(); ++i) {
      if (std::find(no_room.begin(), no_room.end(), packets[i]) == no_room.end()) taken.push_back(all[i]);
    }
  }
  EXPECT_GT(dropped, 200U);
  EXPECT_EQ(counter("drop.no_room"), dropped);
  // What it took leaves, and there is room again.
  std::vector<Packet*> shares;
  for (int i = 0; i < 40; ++i) {
    feed_objects("wire_split-1", {nullptr});
    walk();
    for (Packet* const each : take("wire_send-1", "link")) shares.push_back(each);
    for (std::size_t at = 0; at < shares.size(); at += 256) {
      feed("wire_receive-wire",
           {shares.begin() + static_cast<std::ptrdiff_t>(at),
            shares.begin() + static_cast<std::ptrdiff_t>(std::min(shares.size(), at + 256))});
      walk();
    }
    shares.clear();
  }
  EXPECT_EQ(delivered(), taken);
  run("wire_pack-1", frames(contents(1)));
  EXPECT_EQ(edges("wire_pack-1").count("no_room"), 0U);
}

// ---- wire_split

TEST_F(WireNodes, SplitBlocksIntoJobs) {
  open();
  hold("wire_split-1");
  feed("wire_pack-1", frames({frame_bytes(1, 1300), frame_bytes(2, 1300), frame_bytes(3, 1300)}));
  walk();
  const std::vector<void*> jobs = take_objects("wire_split-1", "submit");
  EXPECT_EQ(jobs.size(), 3U);
  for (void* const each : jobs) {
    const auto& job = *static_cast<const ssn_offload_job*>(each);
    EXPECT_EQ(job.operation, SSN_OFFLOAD_SPLIT_SEAL);
    EXPECT_EQ(job.output_count, n);
    EXPECT_NE(job.context, nullptr);
  }
  EXPECT_EQ(left("wire_split-1", "send").size(), 1U);
  EXPECT_EQ(left("wire_split-1", "send")[0].object, nullptr);
  EXPECT_EQ(in_use(), 3 * n) << "a packet for each share";
  feed_objects("offload_submit-wire", jobs);
  walk();
  EXPECT_EQ(left("wire_send-1", "link").size(), 3 * n);
}

TEST_F(WireNodes, SplitLaterWhereThereAreNoPackets) {
  open();
  const Bytes frame = frame_bytes(1, 500);
  std::vector<Packet*> packets = frames({frame});
  {
    const Drought drought(pool(), 0);
    feed("wire_pack-1", packets);
    walk();
    // That frame's packet is the only one.
    EXPECT_EQ(edges("wire_send-1"), Edges{});
    const Worker::Walked walked = walk();
    EXPECT_LE(walked.wake_ns, now() + 100'000) << "it is tried again";
  }
  advance(100'000);
  walk();
  EXPECT_EQ(edges("wire_send-1"), (Edges{{"link", n}}));
  feed("wire_receive-wire", take("wire_send-1", "link"));
  walk();
  EXPECT_THAT(delivered(), ElementsAre(frame));
  EXPECT_GT(shown("stream.1.no_packets"), 0U);
}

// ---- offload_submit and offload_complete

TEST_F(WireNodes, SendOnWhatTheDeviceCompletesAtOnce) {
  open();
  hold("wire_split-1");
  hold("offload_submit-wire");
  std::vector<Bytes> all;
  for (std::uint32_t i = 0; i < 50; ++i) all.push_back(frame_bytes(i, 1300));
  feed("wire_pack-1", frames(all));
  walk();
  const std::vector<void*> jobs = take_objects("wire_split-1", "submit");
  const int end = static_cast<int>(jobs.size());
  EXPECT_GT(end, 40);
  // Empty bursts and single jobs too; in order.
  std::vector<void*> completed;
  for (const auto& [from, to] : {std::pair{0, 0}, std::pair{0, 1}, std::pair{1, end}}) {
    feed_objects("offload_submit-wire", {jobs.begin() + from, jobs.begin() + to});
    const Worker::Walked walked = walk();
    EXPECT_FALSE(walked.awake) << "nothing is in flight";
    for (void* const each : take_objects("offload_submit-wire", "wire_send-1")) completed.push_back(each);
  }
  EXPECT_EQ(completed, jobs);
  EXPECT_EQ(edges("offload_complete-wire"), Edges{});
  for (void* const each : jobs) EXPECT_EQ(static_cast<ssn_offload_job*>(each)->status, SSN_OK);
  // Those of receivers go to wire_unpack.
  feed_objects("wire_send-1", jobs);
  walk();
  hold("wire_recover-1");
  feed("wire_receive-wire", take("wire_send-1", "link"));
  walk();
  const std::vector<void*> recovering = take_objects("wire_recover-1", "submit");
  EXPECT_EQ(recovering.size(), jobs.size());
  feed_objects("offload_submit-wire", recovering);
  walk();
  EXPECT_EQ(take_objects("offload_submit-wire", "wire_unpack-1"), recovering);
  feed_objects("wire_unpack-1", recovering);
  walk();
  EXPECT_EQ(delivered(), all);
}

struct DeviceCase {
  const char* name;
  hw::OffloadDevice::Options device;
};
void PrintTo(const DeviceCase& one, std::ostream* to) { *to << one.name; }

class WireDevices : public WireNodes, public testing::WithParamInterface<DeviceCase> {};

// Whatever the device does: all jobs come back, frames stay in order, no packet is lost.
TEST_P(WireDevices, CarryFramesInOrder) {
  open({.device = GetParam().device});
  std::vector<Bytes> all;
  for (int burst = 0; burst < 5; ++burst) {
    for (const Bytes& each : contents(64)) all.push_back(each);
    feed("wire_pack-1", frames(contents(64)));
    walk();
    const std::uint64_t sent = all.size();
    EXPECT_TRUE(eventually([&] {
      feed("wire_receive-wire", take("wire_send-1", "link"));
      advance(10'000);
      walk();
      return left("wire_unpack-1", "port").size() >= sent;
    }));
  }
  EXPECT_EQ(delivered(), all);
  EXPECT_TRUE(eventually([&] {
    advance(ms);
    return !walk().awake;
  })) << "nothing is in flight any more";
  EXPECT_EQ(shown("stream.1.received.blocks_lost"), 0U);
}

INSTANTIATE_TEST_SUITE_P(
    Every, WireDevices,
    testing::Values(DeviceCase{"cpu", {.driver = "cpu"}},
                    DeviceCase{"slow", {.driver = "fault", .settings = {{"fault", "slow"}}}},
                    DeviceCase{"partial", {.driver = "fault", .settings = {{"fault", "partial"}}}},
                    DeviceCase{"reorder", {.driver = "fault", .settings = {{"fault", "reorder"}}}},
                    DeviceCase{"refuse", {.driver = "fault", .settings = {{"fault", "refuse"}}}},
                    DeviceCase{"timeout", {.driver = "fault", .settings = {{"fault", "timeout"}}}}),
    [](const auto& one) { return std::string(one.param.name); });

TEST_F(WireNodes, StayAwakeWhileJobsAreInFlight) {
  open(
      {.device = {.driver = "fault", .settings = {{"fault", "slow"}, {"one_in", "1"}, {"delay_us", "200"}}}});
  hold("offload_complete-wire");
  feed("wire_pack-1", frames(contents(3)));
  walk();
  EXPECT_EQ(edges("offload_submit-wire"), Edges{}) << "nothing is completed at once";
  EXPECT_EQ(edges("wire_send-1"), Edges{});
  EXPECT_TRUE(walk().awake);
  bool worked = false;
  EXPECT_TRUE(eventually([&] {
    advance(ms / 10);  // a job's deadline is 1 ms
    worked = walk().worked;
    return !edges("offload_complete-wire").empty();
  }));
  EXPECT_TRUE(worked);
  const std::vector<void*> jobs = take_objects("offload_complete-wire", "wire_send-1");
  feed_objects("wire_send-1", jobs);
  walk();
  EXPECT_EQ(left("wire_send-1", "link").size(), n * jobs.size());
  EXPECT_TRUE(eventually([&] {
    advance(ms / 10);  // a job's deadline is 1 ms
    feed_objects("wire_send-1", take_objects("offload_complete-wire", "wire_send-1"));
    return !walk().awake;
  }));
}

// ---- wire_send

TEST_F(WireNodes, SendSharesOverTheirLinksInOrder) {
  open();
  const std::vector<Packet*> shares = sent_for(contents(100));
  ASSERT_GT(shares.size(), 128U);
  std::array<std::uint32_t, n> blocks{};  // over each link so far
  for (Packet* const sent : shares) {
    Packet& each = *sent;
    ASSERT_GE(share_of(each), 1U);
    ASSERT_LE(share_of(each), n);
    EXPECT_EQ(block_of(each), blocks[share_of(each) - 1]++);
    EXPECT_EQ(link_of(each), first_link + share_of(each) - 1);
    EXPECT_TRUE(is_contiguous(each));
    EXPECT_EQ(each.data_len, each.pkt_len);
    EXPECT_EQ((length_of(each) - protocol::overhead_bytes) % protocol::share_granule, 0U);
    EXPECT_GE(headroom_of(each), 14 + 40 + 8) << "for the headers of a link";
    EXPECT_EQ(get<std::uint64_t>(each, object), 1U);
  }
  for (const std::uint32_t each : blocks) EXPECT_EQ(each, shares.size() / n);
  release_all(shares);
}

TEST_F(WireNodes, TraceSharesFromWhereTheyAreMade) {
  open();
  start_trace(2, "wire_send-1");
  const std::vector<Packet*> shares = shares_of(contents(1));
  ASSERT_EQ(shares.size(), n);
  EXPECT_EQ(area_of(*shares[0]).trace, 1U);
  EXPECT_TRUE(is_traced(*shares[1]));
  EXPECT_FALSE(is_traced(*shares[2]));
  EXPECT_THAT(trace_of(1), ElementsAre("wire_send-1 > link"));
  // And at the receiver, to where they end.
  feed("wire_receive-wire", shares);
  walk();
  EXPECT_THAT(trace_of(1), Contains(testing::HasSubstr("share {} of block {}")));
}

TEST_F(WireNodes, SayOfTracedFramesWhatBecameOfThem) {
  open();
  start_trace(0);
  const std::vector<Packet*> packets = frames({frame_bytes(1, 100), frame_bytes(2, 100)});
  mark(*packets[0], 8);
  run("wire_pack-1", packets);
  EXPECT_THAT(trace_of(8), ElementsAre("wire_pack-1: packed into a block"));
  disconnect();
  Packet* const late = packet(frame_bytes(3, 100));
  mark(*late, 9);
  run("wire_pack-1", {late});
  EXPECT_THAT(trace_of(9), ElementsAre("wire_pack-1 > no_keys", "drop-no_keys"));
}

}  // namespace
}  // namespace ssn::dataplane::test
