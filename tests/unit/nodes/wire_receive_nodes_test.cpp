// SPDX-License-Identifier: BSD-3-Clause
// From shares to frames: wire_receive, wire_recover, wire_unpack; and wire_timer.
#include "wire_bench.h"

namespace ssn::dataplane::test {
namespace {

// ---- wire_receive

class WireReceiving : public WireNodes {
 protected:
  explicit WireReceiving(unsigned workers = 1) : WireNodes(workers) {}

  /// Gives the packet to wire_receive; the only edge that something left by then.
  std::string fate(Packet* share) {
    const Bytes before = bytes_of(*share);
    run("wire_receive-wire", {share});
    Edges seen = edges("wire_receive-wire");
    if (seen.size() == 2) seen.erase("wire_recover-1");  // what a collector saw is followed by a nudge
    if (seen.size() != 1) return "";
    const std::string edge = seen.begin()->first;
    for (const Left& each : left("wire_receive-wire", edge)) {
      if (each.packet != nullptr) {
        EXPECT_EQ(each.object, share);
        EXPECT_EQ(each.bytes, before) << "a whole packet goes on";
      }
    }
    return edge;
  }
  /// A good first share of a new block, and whatever is done to it.
  template <typename Change>
  std::string fate_of_changed(Change change) {
    std::vector<Packet*> shares = shares_of({frame_bytes(1, 200)});
    EXPECT_EQ(shares.size(), n);
    for (std::size_t i = 1; i < shares.size(); ++i) release(*shares[i]);
    change(*shares[0]);
    return fate(shares[0]);
  }
};

TEST_F(WireReceiving, DropsWhatCannotBeAShare) {
  open();
  using protocol::overhead_bytes;
  const std::uint32_t id = connection_->terms().local_id;
  struct Bad {
    const char* reason;
    void (*change)(Packet&);
  };
  const Bad all[] = {
      {"too_short", [](Packet& p) { set_length(p, 0); }},
      {"too_short", [](Packet& p) { set_length(p, overhead_bytes); }},
      {"unknown_version", [](Packet& p) { data_of(p)[version] = 2; }},
      {"unknown_type", [](Packet& p) { data_of(p)[type] = 0; }},
      {"unknown_type", [](Packet& p) { data_of(p)[type] = protocol::last_packet_type + 1; }},
      {"reserved_bits", [](Packet& p) { data_of(p)[reserved + 3] = 1; }},
      {"reserved_bits", [](Packet& p) { data_of(p)[flags] = 0x80; }},
      {"not_permitted", [](Packet& p) { data_of(p)[flags] = 1; }},
      {"bad_field", [](Packet& p) { data_of(p)[d_offset + 7] ^= 1; }},
      {"bad_field", [](Packet& p) { data_of(p)[number] = 0xFF; }},
      {"bad_field", [](Packet& p) { data_of(p)[attempt + 1] = 1; }},
      {"bad_field", [](Packet& p) { data_of(p)[share] = 0; }},
      {"bad_field", [](Packet& p) { data_of(p)[share] = n + 1; }},
      {"bad_length", [](Packet& p) { set_length(p, overhead_bytes + 63); }},
      {"bad_length", [](Packet& p) { set_length(p, overhead_bytes + 1344 + 64); }},
      {"unknown_stream", [](Packet& p) { data_of(p)[object + 7] = 9; }},
      {"unknown_key_index", [](Packet& p) { data_of(p)[key_index + 1] ^= 2; }},
      {"unexpected_type", [](Packet& p) { data_of(p)[type] = 2; }},
      {"mask_not_delivered", [](Packet& p) { put<std::uint64_t>(p, number, std::uint64_t{1} << 40); }},
      {"bad_tag",  // so far ahead that its tag is checked first
       [](Packet& p) { put<std::uint32_t>(p, block_low, block_of(p) + 1024 + 7); }},
  };
  std::map<std::string, std::uint64_t> dropped;
  for (const Bad& each : all) {
    SCOPED_TRACE(each.reason);
    EXPECT_EQ(fate_of_changed(each.change), each.reason);
    EXPECT_EQ(counter(std::string("drop.") + each.reason), ++dropped[each.reason]);
    EXPECT_LE(in_use(), 64U) << "packets for frames to come";
  }
  for (const std::uint32_t other : {id + 1, id ^ 1U << 20, id | 1U << 9, 0U}) {
    SCOPED_TRACE(other);
    EXPECT_EQ(fate_of_changed([&](Packet& p) { put(p, connection, other); }), "unknown_connection");
  }
}

// It is lost, but tells where the sender is.
TEST_F(WireReceiving, DropsWhatIsBeyondTheWindow) {
  open();
  std::vector<Packet*> shares = shares_of_blocks(1030);
  Packet* const last = shares[shares.size() - n];
  shares.erase(shares.end() - n);
  release_all(shares);
  EXPECT_EQ(fate(last), "too_far_ahead");
  EXPECT_EQ(counter("drop.too_far_ahead"), 1U);
}

// Longer than any packet of ours: as large receive buffers could hold it.
TEST_F(WireReceiving, DropsWhatIsTooLong) {
  open();
  static std::vector<std::uint8_t> memory;
  memory.assign(std::size_t{20} << 10, 0);
  std::uint16_t bytes = static_cast<std::uint16_t>(memory.size());
  Packet* const longest = packet({});
  rte_mbuf_ext_shared_info* const shared =
      rte_pktmbuf_ext_shinfo_init_helper(memory.data(), &bytes, [](void*, void*) {}, nullptr);
  rte_pktmbuf_attach_extbuf(longest, memory.data(), RTE_BAD_IOVA, bytes, shared);
  set_length(*longest, 16385);
  data_of(*longest)[version] = 1;
  data_of(*longest)[type] = 1;
  EXPECT_EQ(fate(longest), "too_long");
}

TEST_F(WireReceiving, HoldsSharesAndNudges) {
  open();
  hold("wire_receive-wire");
  const std::vector<Packet*> shares = shares_of({frame_bytes(1, 200)});
  for (const std::size_t i : {0U, 2U}) {
    EXPECT_EQ(fate(shares[i]), "wire_recover-1");
    EXPECT_EQ(left("wire_receive-wire", "wire_recover-1").size(), 1U);
    EXPECT_EQ(left("wire_receive-wire", "wire_recover-1")[0].object, nullptr);
  }
  // Once more the same: the one that is held stays.
  Packet* const copy = packet(bytes_of(*shares[0]));
  run("wire_receive-wire", {copy});
  EXPECT_EQ(packets_of(left("wire_receive-wire", "number_replayed")), std::vector<Packet*>{copy});
  EXPECT_EQ(counter("drop.number_replayed"), 1U);
  // The block is whole now, and the third share comes too late.
  feed_objects("wire_recover-1", {nullptr});
  walk();
  EXPECT_THAT(delivered(), ElementsAre(frame_bytes(1, 200)));
  EXPECT_EQ(fate(shares[1]), "late_share");
}

TEST_F(WireReceiving, SortsABurstOfGoodAndBad) {
  open();
  const std::vector<Bytes> frames = contents(150, 1300);
  const std::vector<Packet*> shares = shares_of(frames);
  std::vector<Packet*> burst;
  std::vector<Packet*> bad;
  for (std::size_t i = 0; i < shares.size(); ++i) {
    burst.push_back(shares[i]);
    if (i % 3 != 1) continue;
    bad.push_back(packet(bytes_of(*shares[i])));
    data_of(*bad.back())[version] = 7;
    burst.push_back(bad.back());
  }
  ASSERT_GT(burst.size(), 256U);
  feed("wire_receive-wire", burst);
  walk_on();
  EXPECT_EQ(packets_of(left("wire_receive-wire", "unknown_version")), bad);
  EXPECT_EQ(delivered(), frames);
  feed("wire_receive-wire", {});
  walk();
  EXPECT_EQ(delivered(), frames);
}

TEST_F(WireReceiving, DropsEverythingWhenTheConnectionIsGone) {
  open();
  const std::vector<Packet*> shares = shares_of_blocks(2);
  feed("wire_receive-wire", {shares[0]});
  walk();
  const unsigned before = in_use();
  disconnect();
  EXPECT_EQ(in_use(), before - 1) << "what was held is let go";
  run("wire_receive-wire", {shares.begin() + 1, shares.end()});
  EXPECT_EQ(edges("wire_receive-wire"), (Edges{{"unknown_connection", 2 * n - 1}}));
}

class WireWorkers : public WireReceiving {
 protected:
  WireWorkers() : WireReceiving(2) {}
};

TEST_F(WireWorkers, HandOverWhatIsAnothersAndKeepTheirs) {
  open();
  const std::vector<Bytes> frames = contents(40);
  const std::vector<Packet*> shares = shares_of(frames);
  // All of it came to the wrong worker.
  hold("wire_receive-wire", 1);
  feed("wire_receive-wire", shares, 1);
  walk(1);
  EXPECT_EQ(packets_of(left("wire_receive-wire", "handoff", 1)), shares);
  for (const Left& each : left("wire_receive-wire", "handoff", 1)) EXPECT_EQ(each.area.worker, 0);
  feed("handoff-wire", take("wire_receive-wire", "handoff", 1), 1);
  walk(1);
  while (walk(0).worked) {
  }
  EXPECT_EQ(delivered(), frames);
  // There is no third worker.
  EXPECT_EQ(fate_of_changed([&](Packet& p) { put(p, connection, connection_->terms().local_id | 2U << 9); }),
            "unknown_connection");
}

// ---- wire_recover and wire_unpack

TEST_F(WireNodes, RecoverWhenEnoughSharesAreThere) {
  open();
  hold("wire_recover-1");
  const std::vector<Packet*> shares = shares_of_blocks(70);
  std::vector<Packet*> first;
  std::vector<Packet*> second;
  for (std::size_t i = 0; i < shares.size(); ++i) {
    (i % n == 0 ? first : second).push_back(shares[i]);
  }
  feed("wire_receive-wire", first);
  walk();
  EXPECT_EQ(edges("wire_recover-1").count("submit"), 0U) << "one share of each is too few";
  forget();
  feed("wire_receive-wire", second);
  walk();
  std::vector<void*> jobs = take_objects("wire_recover-1", "submit");
  std::vector<void*> later;
  for (void* const each : jobs) {
    EXPECT_EQ(static_cast<ssn_offload_job*>(each)->operation, SSN_OFFLOAD_OPEN_RECOVER);
    EXPECT_EQ(static_cast<ssn_offload_job*>(each)->input_count, k);
  }
  // As many as can be in flight at a time; then the others.
  EXPECT_EQ(jobs.size(), 64U);
  for (const Left& each : left("wire_recover-1", "unpack")) EXPECT_EQ(each.object, nullptr);
  feed_objects("offload_submit-wire", jobs);
  walk();
  feed_objects("wire_recover-1", {nullptr});
  walk();
  jobs = take_objects("wire_recover-1", "submit");
  EXPECT_EQ(jobs.size(), 6U);
  feed_objects("offload_submit-wire", jobs);
  walk();
  EXPECT_EQ(delivered().size(), 70U);
}

TEST_F(WireNodes, UnpackDespiteForgedAndLostShares) {
  open();
  const std::vector<Bytes> frames = contents(60);
  std::vector<Packet*> shares = shares_of(frames);
  std::vector<Packet*> burst;
  std::size_t forged = 0;
  for (std::size_t i = 0; i < shares.size(); ++i) {
    // Of each block: share 1 is forged, 2 and 3 arrive; or share 2 is lost.
    const std::size_t block = i / n;
    if (block % 2 == 0 && i % n == 0) {
      data_of(*shares[i])[protocol::overhead_bytes + 5] ^= 1;
      ++forged;
    }
    if (block % 2 == 1 && i % n == 1) {
      release(*shares[i]);
    } else {
      burst.push_back(shares[i]);
    }
  }
  feed("wire_receive-wire", burst);
  walk_on();
  EXPECT_EQ(delivered(), frames);
  EXPECT_EQ(counter("drop.bad_tag"), forged);
  EXPECT_EQ(edges("wire_unpack-1").at("bad_tag"), forged);
}

// Share 3 came in the same burst, and was not needed.
TEST_F(WireNodes, DropSharesThatWereNotNeeded) {
  open();
  const std::vector<Packet*> shares = shares_of_blocks(2);
  feed("wire_receive-wire", shares);
  walk();
  EXPECT_EQ(delivered().size(), 2U);
  EXPECT_EQ(counter("drop.late_share"), 2U);
  EXPECT_EQ(edges("wire_unpack-1").at("late_share"), 2U);
  EXPECT_EQ(in_use(), delivered().size() + 62U) << "two frames, and packets for the next ones";
}

TEST_F(WireNodes, UnpackLaterWhereThereAreNoPackets) {
  open();
  const std::vector<Packet*> shares = shares_of({frame_bytes(1, 700), frame_bytes(2, 800)});
  {
    const Drought drought(pool(), 0);
    feed("wire_receive-wire", shares);
    walk();
    EXPECT_THAT(delivered(), IsEmpty());
    // Shares that were used went back to the pool: take them too.
    const Drought more(pool(), 0);
    EXPECT_LE(walk().wake_ns, now() + 100'000) << "it is tried again";
    EXPECT_THAT(delivered(), IsEmpty());
  }
  advance(100'000);
  walk();
  EXPECT_THAT(delivered(), ElementsAre(frame_bytes(1, 700), frame_bytes(2, 800)));
}

// There are jobs for 64 blocks. Those that are whole beyond that are not lost because nothing more comes.
TEST_F(WireNodes, RecoverAllOfALargeBurst) {
  open();
  std::vector<Bytes> frames;
  for (std::uint32_t i = 0; i < 150; ++i) frames.push_back(frame_bytes(i, 1300));
  feed("wire_receive-wire", shares_of(frames));
  walk();
  EXPECT_LE(walk().wake_ns, now() + 100'000) << "there is more to do";
  walk_on();
  EXPECT_EQ(delivered(), frames);
  advance(20 * ms);
  walk();
  EXPECT_EQ(shown("stream.1.received.blocks_lost"), 0U);
  EXPECT_GT(walk().wake_ns, now() + 100'000) << "and then nothing";
}

// A block of which too little came holds up those behind it, but not for ever.
TEST_F(WireNodes, GiveUpABlockWhenItsTimeIsOver) {
  open({.stream = "reorder = \"5 ms\"\n"});
  const std::vector<Packet*> shares = shares_of_blocks(3);
  // Of block 0 one share comes, of the others all.
  std::vector<Packet*> burst = shares;
  release(*burst[1]);
  release(*burst[2]);
  burst.erase(burst.begin() + 1, burst.begin() + 3);
  feed("wire_receive-wire", burst);
  const std::uint64_t since = now();
  walk();
  EXPECT_THAT(delivered(), IsEmpty());
  EXPECT_EQ(walk().wake_ns, since + 5 * ms);
  advance(5 * ms - 1);
  walk();
  EXPECT_THAT(delivered(), IsEmpty());
  advance(1);
  walk();
  EXPECT_THAT(delivered(), ElementsAre(frame_bytes(1, 300), frame_bytes(2, 300)));
  EXPECT_EQ(edges("wire_unpack-1").at("block_given_up"), 1U);
  EXPECT_EQ(left("wire_unpack-1", "block_given_up")[0].object, burst[0]);
  EXPECT_EQ(shown("stream.1.received.blocks_lost"), 1U);
}

// ---- wire_timer

TEST_F(WireNodes, LetFramesWaitForOthersButNotLonger) {
  open({.stream = "latency = \"1 ms\"\n"});
  const std::uint64_t since = now();
  feed("wire_pack-1", frames({frame_bytes(1, 100)}));
  walk();
  EXPECT_EQ(edges("wire_send-1"), Edges{});
  EXPECT_EQ(walk().wake_ns, since + ms);
  advance(400'000);
  feed("wire_pack-1", frames({frame_bytes(2, 100)}));
  walk();
  EXPECT_EQ(walk().wake_ns, since + ms) << "the first one's time";
  advance(600'000 - 1);
  walk();
  EXPECT_EQ(edges("wire_send-1"), Edges{});
  advance(1);
  walk();
  EXPECT_EQ(edges("wire_send-1"), (Edges{{"link", n}})) << "both in one block";
  feed("wire_receive-wire", take("wire_send-1", "link"));
  walk();
  EXPECT_THAT(delivered(), ElementsAre(frame_bytes(1, 100), frame_bytes(2, 100)));
  // A full block does not wait.
  feed("wire_pack-1", frames({frame_bytes(3, 1400)}));
  walk();
  EXPECT_EQ(edges("wire_send-1"), (Edges{{"link", n}}));
}

TEST_F(WireNodes, SleepWhenThereIsNothingToDo) {
  open();
  advance(10 * ms);
  walk();
  const Worker::Walked walked = walk();
  EXPECT_FALSE(walked.worked);
  EXPECT_FALSE(walked.awake);
  EXPECT_EQ(edges("wire_timer-wire"), Edges{});
}

TEST_F(WireNodes, LetGoOfAllPacketsAtTheEnd) {
  open();
  const std::vector<Packet*> shares = shares_of_blocks(10);
  std::vector<Packet*> some;
  for (std::size_t i = 0; i < shares.size(); ++i) {
    if (i % n == 0) {
      some.push_back(shares[i]);
    } else {
      release(*shares[i]);
    }
  }
  feed("wire_receive-wire", some);
  feed("wire_pack-1", frames(contents(5)));
  walk();
  forget();
  disconnect();
  EXPECT_LE(in_use(), 64U) << "packets for the next frames";
  // TearDown() counts those.
}

}  // namespace
}  // namespace ssn::dataplane::test
