// SPDX-License-Identifier: BSD-3-Clause
#include "ssn/protocol/ledger.h"

#include <gtest/gtest.h>

#include <deque>

#include "crash_disk.h"
#include "test_random.h"

namespace ssn::protocol {
namespace {

using test::Bytes;
using test::CrashDisk;
using test::TestRandom;

// Everything in a state, as bytes to compare.
Bytes written(const LedgerState& state) {
  Bytes out;
  encode_node(state, out);
  for (const auto& [name, peer] : state.peers) encode_peer(name, peer, out);
  return out;
}

Ledger opened(const Bytes& image, std::uint64_t extent = least_extent) {
  Result<Ledger> ledger = Ledger::open("alice", image, extent);
  EXPECT_TRUE(ledger.ok()) << ledger.error().why;
  return std::move(ledger.value());
}

void flush(Ledger& ledger, CrashDisk& disk) {
  while (const LedgerBatch* batch = ledger.next_batch()) {
    disk.write(batch->offset, batch->bytes);
    disk.sync();
    ledger.committed();
  }
}

PeerRecord epoch_record(std::uint64_t epoch, std::size_t streams) {
  PeerRecord record;
  record.epoch = epoch;
  for (std::size_t i = 0; i < streams; ++i) {
    StreamRecord stream;
    stream.ksid.fill(static_cast<std::uint8_t>(i + 1));
    stream.ksid[0] = static_cast<std::uint8_t>(epoch);
    stream.sender = i % 2 == 0;
    stream.kind = (i / 2) % 2 == 0 ? StreamKind::pads : StreamKind::tag_keys;
    stream.worker = static_cast<std::uint16_t>(i / 4);
    record.streams.push_back(stream);
  }
  return record;
}

TEST(Ledger, CountsStartsAndEndsTheStreamsOfTheLastRun) {
  CrashDisk disk(Ledger::initial_image("alice"));
  {
    Ledger ledger = opened(disk.image());
    EXPECT_EQ(ledger.state().incarnation, 1U);
    const Result<LedgerTicket> ticket = ledger.enter_epoch("bob", epoch_record(1, 4));
    ASSERT_TRUE(ticket.ok());
    EXPECT_GT(ticket.value(), ledger.durable());
    flush(ledger, disk);
    EXPECT_GE(ledger.durable(), ticket.value());
    EXPECT_TRUE(ledger.peer("bob")->open);
  }
  Ledger again = opened(disk.image());
  EXPECT_EQ(again.state().incarnation, 2U);
  ASSERT_NE(again.peer("bob"), nullptr);
  EXPECT_FALSE(again.peer("bob")->open);
  EXPECT_EQ(again.peer("bob")->epoch, 1U);
  EXPECT_EQ(again.peer("bob")->streams.size(), 4U);
  EXPECT_EQ(again.peer("carol"), nullptr);
}

TEST(Ledger, GrantsOnlyWhatIsOnTheDisk) {
  CrashDisk disk(Ledger::initial_image("alice"));
  Ledger ledger = opened(disk.image());
  ASSERT_TRUE(ledger.enter_epoch("bob", epoch_record(1, 2)).ok());
  flush(ledger, disk);
  StreamMarks sender;
  StreamMarks receiver;
  ledger.attach("bob", 0, sender);
  ledger.attach("bob", 1, receiver);
  EXPECT_EQ(sender.granted(), least_extent);
  EXPECT_FALSE(ledger.collect());
  sender.advance(least_extent / 2);
  EXPECT_FALSE(ledger.collect());  // half an extent is left
  sender.advance(least_extent / 2 + 64);
  receiver.advance(1000);
  ASSERT_TRUE(ledger.collect());
  const LedgerBatch* batch = ledger.next_batch();
  ASSERT_NE(batch, nullptr);
  EXPECT_EQ(sender.granted(), least_extent);
  sender.advance(least_extent);
  ledger.quarantine("carol", Quarantine::cloned);
  EXPECT_TRUE(ledger.collect());  // there is more to write, but one batch is in flight
  EXPECT_EQ(ledger.next_batch(), nullptr);
  disk.write(batch->offset, batch->bytes);
  EXPECT_EQ(opened(disk.image()).peer("bob")->streams[0].sent, least_extent);
  disk.sync();
  ledger.committed();
  EXPECT_EQ(sender.granted(), least_extent / 2 + 64 + least_extent);
  EXPECT_EQ(opened(disk.image()).peer("bob")->streams[0].sent, sender.granted());
  EXPECT_EQ(opened(disk.image()).peer("bob")->streams[1].seen, 1000U);
  sender.advance(sender.granted());
  ASSERT_TRUE(ledger.collect());
  flush(ledger, disk);
  EXPECT_EQ(sender.granted(), least_extent / 2 + 64 + 2 * least_extent);
  ledger.end_epoch("bob");
  EXPECT_EQ(sender.granted(), 0U);
}

TEST(Ledger, NeverBelievesADiskThatFailed) {
  CrashDisk disk(Ledger::initial_image("alice"));
  Ledger ledger = opened(disk.image());
  ASSERT_TRUE(ledger.enter_epoch("bob", epoch_record(1, 1)).ok());
  flush(ledger, disk);
  StreamMarks marks;
  ledger.attach("bob", 0, marks);
  marks.advance(least_extent);
  ASSERT_TRUE(ledger.collect());
  ASSERT_NE(ledger.next_batch(), nullptr);
  ledger.fail();
  EXPECT_TRUE(ledger.failed());
  EXPECT_EQ(marks.granted(), 0U);
  EXPECT_FALSE(ledger.collect());
  EXPECT_EQ(ledger.next_batch(), nullptr);
}

TEST(Ledger, RefusesAnotherNodesFileAndDamage) {
  const Bytes image = Ledger::initial_image("alice");
  const Result<Ledger> other = Ledger::open("bob", image);
  ASSERT_FALSE(other.ok());
  EXPECT_EQ(other.error().code, Exit::refused);
  for (const Bytes& bad : {Bytes(ledger_file_bytes), Bytes(100), Bytes(ledger_file_bytes, 0xff)}) {
    const Result<Ledger> damaged = Ledger::open("alice", bad);
    ASSERT_FALSE(damaged.ok());
    EXPECT_EQ(damaged.error().code, Exit::integrity);
    EXPECT_FALSE(damaged.error().fix.empty());
  }
}

TEST(Ledger, LimitsPeersAndStreams) {
  Ledger ledger = opened(Ledger::initial_image("alice"));
  for (std::size_t i = 0; i < peers_max; ++i) {
    ASSERT_TRUE(ledger.enter_epoch("peer" + std::to_string(i), epoch_record(1, 16)).ok());
  }
  EXPECT_FALSE(ledger.enter_epoch("one more", epoch_record(1, 0)).ok());
  EXPECT_FALSE(ledger.enter_epoch("peer0", epoch_record(2, 17)).ok());
  EXPECT_TRUE(ledger.enter_epoch("peer0", epoch_record(2, 16)).ok());
  // The largest state there can be fits, and survives.
  CrashDisk disk(Ledger::initial_image("alice"));
  for (int rounds = 0; rounds < 3; ++rounds) {
    flush(ledger, disk);
    ledger.forget("peer1");
    ASSERT_TRUE(ledger.enter_epoch("peer1", epoch_record(1, 16)).ok());
  }
  flush(ledger, disk);
  LedgerState expected = ledger.state();
  for (auto& [name, peer] : expected.peers) peer.open = false;
  ++expected.incarnation;
  EXPECT_EQ(written(opened(disk.image()).state()), written(expected));
}

TEST(Ledger, ReadmissionForgetsMarksButNotTheEpoch) {
  CrashDisk disk(Ledger::initial_image("alice"));
  Ledger ledger = opened(disk.image());
  PeerRecord record = epoch_record(7, 4);
  record.peer_epoch = 7;
  record.peer_incarnation = 12;
  ASSERT_TRUE(ledger.enter_epoch("bob", record).ok());
  ledger.quarantine("bob", Quarantine::cloned);
  ledger.quarantine_self();
  flush(ledger, disk);
  Ledger again = opened(disk.image());
  EXPECT_EQ(again.peer("bob")->quarantine, Quarantine::cloned);
  EXPECT_TRUE(again.state().self_quarantine);
  again.readmit("bob");
  again.readmit_self();
  flush(again, disk);
  Ledger last = opened(disk.image());
  EXPECT_EQ(last.peer("bob")->quarantine, Quarantine::none);
  EXPECT_EQ(last.peer("bob")->epoch, 7U);
  EXPECT_EQ(last.peer("bob")->peer_epoch, 0U);
  EXPECT_EQ(last.peer("bob")->peer_incarnation, 0U);
  EXPECT_FALSE(last.state().self_quarantine);
}

// One run of a node whose disk crashes at a random moment; what it reads then is what was durable, or that
// and the whole batch in flight.
class CrashingNode {
 public:
  explicit CrashingNode(TestRandom& random) : random_(random), disk_(Ledger::initial_image("alice")) {}

  void run() {
    Ledger ledger = opened(disk_.image());
    Bytes durable = snapshot_of(disk_.image());
    StreamMarks marks[4];
    std::uint64_t used[4] = {};
    bool attached = false;
    const std::size_t steps = random_.below(300);
    for (std::size_t step = 0; step < steps; ++step) {
      change(ledger, marks, used, attached);
      const LedgerBatch* batch = random_.coin() ? ledger.next_batch() : nullptr;
      if (batch == nullptr) continue;
      disk_.write(batch->offset, batch->bytes);
      if (random_.below(40) == 0) {
        // It may all have reached the disk.
        CrashDisk whole(disk_);
        whole.sync();
        const Bytes complete = snapshot_of(whole.image());
        disk_.crash(random_);
        const Bytes now = snapshot_of(disk_.image());
        ASSERT_TRUE(now == durable || now == complete);
        check_marks(used, attached);
        return;
      }
      disk_.sync();
      ledger.committed();
      durable = snapshot_of(disk_.image());
      if (!attached && ledger.peer("bob") != nullptr && ledger.peer("bob")->open && !ledger.dirty()) {
        for (std::size_t i = 0; i < 4; ++i) ledger.attach("bob", i, marks[i]);
        attached = true;
      }
    }
    disk_.crash(random_);
    ASSERT_EQ(snapshot_of(disk_.image()), durable);
    check_marks(used, attached);
  }

 private:
  static Bytes snapshot_of(const Bytes& image) { return written(opened(image).state()); }

  void change(Ledger& ledger, StreamMarks (&marks)[4], std::uint64_t (&used)[4], bool& attached) {
    const unsigned what = random_.between(0, 30);
    if (what == 0 || (what < 10 && !attached)) {
      PeerRecord record = epoch_record(++epoch_, 4);
      ASSERT_TRUE(ledger.enter_epoch("bob", record).ok());
      for (std::size_t i = 0; i < 4; ++i) {
        used[i] = 0;
        std::destroy_at(&marks[i]);
        std::construct_at(&marks[i]);
      }
      attached = false;
    } else if (what == 1) {
      (void)ledger.note_peer("carol", PeerRecord{});
    } else if (what == 2) {
      ledger.quarantine("carol", Quarantine::rolled_back);
    } else if (attached) {
      for (std::size_t i = 0; i < 4; i += 2) {
        used[i] = std::min(marks[i].granted(), used[i] + random_.below(2 * least_extent));
        marks[i].advance(used[i]);
        marks[i + 1].advance(used[i]);
      }
      ledger.collect();
    }
  }

  // The mark on the disk is at or above everything that was used.
  void check_marks(const std::uint64_t (&used)[4], bool attached) {
    if (!attached) return;
    const Ledger ledger = opened(disk_.image());
    const PeerRecord& bob = *ledger.peer("bob");
    if (bob.epoch != epoch_) return;
    for (std::size_t i = 0; i < 4; i += 2) ASSERT_GE(bob.streams[i].sent, used[i]);
  }

  TestRandom& random_;
  CrashDisk disk_;
  std::uint64_t epoch_ = 0;
};

TEST(Ledger, SurvivesCrashesAtAnyMoment) {
  TestRandom random = TestRandom::labelled("Ledger.SurvivesCrashesAtAnyMoment");
  for (int node = 0; node < 4; ++node) {
    CrashingNode crashing(random);
    for (int run = 0; run < 12 && !HasFatalFailure(); ++run) crashing.run();
  }
}

// A flipped bit in what is in force is found, or lies in what nobody reads any more.
TEST(Ledger, FindsDamagedRecords) {
  TestRandom random = TestRandom::labelled("Ledger.FindsDamagedRecords");
  CrashDisk disk(Ledger::initial_image("alice"));
  Ledger ledger = opened(disk.image());
  for (std::uint64_t epoch = 1; epoch <= 20; ++epoch) {
    ASSERT_TRUE(ledger.enter_epoch("bob", epoch_record(epoch, 200)).ok());
    flush(ledger, disk);
  }
  const Bytes good = written(opened(disk.image()).state());
  std::size_t refused = 0;
  for (int i = 0; i < 100; ++i) {
    Bytes image = disk.image();
    const std::size_t at = random.below(64) * 4096 + random.below(4096);
    image[at] = static_cast<std::uint8_t>(image[at] ^ random.nonzero_byte());
    const Result<Ledger> read = Ledger::open("alice", image, least_extent);
    if (!read.ok()) {
      EXPECT_EQ(read.error().code, Exit::integrity);
      ++refused;
      continue;
    }
    // Only the last batch can pass for one that was torn.
    if (written(read.value().state()) != good) {
      EXPECT_EQ(read.value().peer("bob")->epoch, 19U);
    }
  }
  EXPECT_GT(refused, 20U);
}

}  // namespace
}  // namespace ssn::protocol
