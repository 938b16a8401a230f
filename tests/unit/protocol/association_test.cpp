// SPDX-License-Identifier: BSD-3-Clause
#include "ssn/protocol/association.h"

#include <gtest/gtest.h>

#include <memory>

#include "crash_disk.h"
#include "test_random.h"

namespace ssn::protocol {
namespace {

using test::Bytes;
using test::CrashDisk;
using test::TestRandom;
using Event = AssociationEvent;
using State = Association::State;

// One process of a node: everything that dies with it.
class Node {
 public:
  Node(CrashDisk& disk, const std::string& name, const std::string& peer, TestRandom& random)
      : disk_(&disk), random_(&random), ledger_(open(disk, name)), association_(ledger_, config(name, peer)) {
    write();
  }

  Ledger& ledger() { return ledger_; }
  Association& association() { return association_; }
  void write() {
    while (const LedgerBatch* batch = ledger_.next_batch()) {
      disk_->write(batch->offset, batch->bytes);
      disk_->sync();
      ledger_.committed();
    }
    association_.advance();
    if (ledger_.dirty()) write();
  }
  Contribution contribution() {
    Contribution out;
    random_->fill(out.data(), out.size());
    return out;
  }
  Outcome start() {
    Outcome result = association_.start(contribution());
    write();
    return result;
  }
  void retry() {
    association_.retry();
    write();
  }
  void receive(const Bytes& message) {
    ASSERT_TRUE(association_.receive(message, contribution()).ok());
    write();
  }
  std::vector<Bytes> messages() {
    std::vector<Bytes> out;
    while (auto message = association_.next_message()) out.push_back(*message);
    return out;
  }
  std::vector<Event> events() {
    std::vector<Event> out;
    while (const auto event = association_.next_event()) out.push_back(*event);
    return out;
  }
  bool established() { return association_.state() == State::established; }

 private:
  static Ledger open(const CrashDisk& disk, const std::string& name) {
    Result<Ledger> ledger = Ledger::open(name, disk.image(), least_extent);
    EXPECT_TRUE(ledger.ok());
    return std::move(ledger.value());
  }
  AssociationConfig config(const std::string& name, const std::string& peer) {
    AssociationConfig out{name, peer, {}, 65536, 1024, {77, 78}};
    random_->fill(out.instance.data(), out.instance.size());
    return out;
  }
  CrashDisk* disk_;
  TestRandom* random_;
  Ledger ledger_;
  Association association_;
};

// Carries messages until nobody has any.
void talk(Node& a, Node& b) {
  for (int round = 0; round < 20; ++round) {
    const std::vector<Bytes> to_b = a.messages();
    const std::vector<Bytes> to_a = b.messages();
    if (to_a.empty() && to_b.empty()) return;
    for (const Bytes& message : to_b) b.receive(message);
    for (const Bytes& message : to_a) a.receive(message);
  }
  FAIL() << "they never stop talking";
}

class AssociationTest : public testing::Test {
 protected:
  std::unique_ptr<Node> alice() { return std::make_unique<Node>(alice_disk_, "alice", "bob", random_); }
  std::unique_ptr<Node> bob() { return std::make_unique<Node>(bob_disk_, "bob", "alice", random_); }
  static void expect_established(Node& a, Node& b) {
    ASSERT_TRUE(a.established() && b.established())
        << static_cast<int>(a.association().state()) << ' ' << static_cast<int>(b.association().state());
    const Agreement& ours = *a.association().agreement();
    const Agreement& theirs = *b.association().agreement();
    EXPECT_EQ(ours.epoch, theirs.epoch);
    ASSERT_EQ(ours.streams.size(), 8U);
    for (std::size_t i = 0; i < 8; ++i) {
      EXPECT_EQ(ours.streams[i].ksid, theirs.streams[i ^ 2].ksid);  // out there is in here
      EXPECT_NE(ours.streams[i].sender, theirs.streams[i ^ 2].sender);
      for (std::size_t j = 0; j < i; ++j) EXPECT_NE(ours.streams[i].ksid, ours.streams[j].ksid);
    }
  }
  // Uses the first stream of both ends up to an offset, as workers would.
  static void use(Node& sender, Node& receiver, std::uint64_t offset, StreamMarks (&marks)[2]) {
    sender.ledger().attach(sender.ledger().peer("bob") != nullptr ? "bob" : "alice", 0, marks[0]);
    receiver.ledger().attach(receiver.ledger().peer("bob") != nullptr ? "bob" : "alice", 2, marks[1]);
    for (std::uint64_t at = 0; at < offset; at += 64) {
      marks[0].advance(at + 64);
      sender.ledger().collect();
      sender.write();
      ASSERT_GE(marks[0].granted(), at + 64);
    }
    marks[1].advance(offset);
  }

  TestRandom random_ = TestRandom::labelled("Association");
  CrashDisk alice_disk_{Ledger::initial_image("alice")};
  CrashDisk bob_disk_{Ledger::initial_image("bob")};
};

TEST_F(AssociationTest, EitherOrBothMayBegin) {
  std::vector<Ksid> seen;
  auto a = alice();
  auto b = bob();
  for (std::uint64_t epoch = 1; epoch <= 6; ++epoch) {
    if (epoch % 3 != 0) {
      ASSERT_TRUE(a->start().ok());
    }
    if (epoch % 3 != 1) {
      ASSERT_TRUE(b->start().ok());
    }
    talk(*a, *b);
    expect_established(*a, *b);
    EXPECT_EQ(a->association().agreement()->epoch, epoch);
    EXPECT_EQ(a->association().agreement()->peer_connections, (std::vector<std::uint32_t>{77, 78}));
    for (const StreamRecord& stream : a->association().agreement()->streams) {
      EXPECT_EQ(std::find(seen.begin(), seen.end(), stream.ksid), seen.end());  // never opened again
      seen.push_back(stream.ksid);
    }
    for (Node* node : {a.get(), b.get()}) {
      for (const Event event : node->events()) EXPECT_FALSE(is_alarm(event));
    }
  }
}

TEST_F(AssociationTest, ARestartOfEitherEndEndsBothDirections) {
  auto a = alice();
  auto b = bob();
  ASSERT_TRUE(a->start().ok());
  talk(*a, *b);
  expect_established(*a, *b);
  (void)b->events();
  a = alice();
  EXPECT_EQ(a->association().state(), State::closed);
  ASSERT_TRUE(a->start().ok());
  talk(*a, *b);
  expect_established(*a, *b);
  EXPECT_EQ(b->events(), (std::vector<Event>{Event::ended, Event::established}));
  EXPECT_EQ(a->association().agreement()->epoch, 2U);
}

// Whatever is lost: retries bring both to the same epoch, and nobody is accused.
TEST_F(AssociationTest, SurvivesLostMessagesAndCrashesAtAnyMoment) {
  std::size_t crashes = 0;
  auto a = alice();
  auto b = bob();
  for (int round = 0; round < 300; ++round) {
    if (a->association().state() == State::closed && random_.coin()) {
      ASSERT_TRUE(a->start().ok());
    }
    if (b->association().state() == State::closed) {
      ASSERT_TRUE(b->start().ok());
    }
    for (int step = 0; step < 12; ++step) {
      Node& from = random_.coin() ? *a : *b;
      Node& to = &from == a.get() ? *b : *a;
      const std::vector<Bytes> messages = from.messages();
      for (const Bytes& message : messages) {
        if (random_.below(4) != 0) to.receive(message);
      }
      if (random_.coin()) from.retry();
      const std::size_t fate = random_.below(40);
      if (fate == 0) a = alice();
      if (fate == 1) b = bob();
      if (fate == 2) {
        ASSERT_TRUE(a->start().ok());
      }
      crashes += fate < 2 ? 1 : 0;
    }
    if (a->association().state() == State::closed) {
      ASSERT_TRUE(a->start().ok());
    }
    if (b->association().state() == State::closed) {
      ASSERT_TRUE(b->start().ok());
    }
    for (int i = 0; i < 5; ++i) {
      talk(*a, *b);
      a->retry();
      b->retry();
    }
    talk(*a, *b);
    expect_established(*a, *b);
    for (Node* node : {a.get(), b.get()}) {
      for (const Event event : node->events()) ASSERT_FALSE(is_alarm(event)) << static_cast<int>(event);
    }
  }
  EXPECT_GT(crashes, 50U);
}

TEST_F(AssociationTest, ARestoredLedgerIsRefusedAndTheAlarmIsRaisedAtBothEnds) {
  auto a = alice();
  auto b = bob();
  const Bytes old = alice_disk_.image();
  for (int start = 0; start < 2; ++start) {
    a = alice();
    ASSERT_TRUE(a->start().ok());
    talk(*a, *b);
    expect_established(*a, *b);
  }
  (void)b->events();
  alice_disk_.restore(old);
  a = alice();
  ASSERT_TRUE(a->start().ok());
  talk(*a, *b);
  EXPECT_EQ(b->events(), (std::vector<Event>{Event::ended, Event::peer_rolled_back}));
  EXPECT_EQ(a->events(), (std::vector<Event>{Event::refused_by_peer}));
  EXPECT_EQ(b->ledger().peer("alice")->quarantine, Quarantine::rolled_back);
  EXPECT_FALSE(b->start().ok());
  b = bob();  // the quarantine outlives a restart
  ASSERT_TRUE(a->start().ok());
  talk(*a, *b);
  EXPECT_FALSE(a->established());
  EXPECT_EQ(b->association().agreement(), nullptr);
  // Until the operator says so.
  b->ledger().readmit("alice");
  b->write();
  a = alice();
  ASSERT_TRUE(a->start().ok());
  talk(*a, *b);
  // Alice has forgotten an epoch that bob remembers having told her: she finds out herself.
  if (!a->established()) {
    a->ledger().readmit_self();
    a->ledger().readmit("bob");
    a->write();
    b->ledger().readmit("alice");
    b->write();
    a = alice();
    ASSERT_TRUE(a->start().ok());
    talk(*a, *b);
  }
  expect_established(*a, *b);
  EXPECT_EQ(a->association().agreement()->epoch, 3U);  // still a new one
}

TEST_F(AssociationTest, TwoClonesAtOnceAreFound) {
  auto b = bob();
  auto first = alice();
  ASSERT_TRUE(first->start().ok());
  talk(*first, *b);
  CrashDisk copy(alice_disk_);
  first = alice();
  Node second(copy, "alice", "bob", random_);  // the same incarnation, another instance
  ASSERT_TRUE(first->start().ok());
  talk(*first, *b);
  expect_established(*first, *b);
  (void)b->events();
  ASSERT_TRUE(second.start().ok());
  talk(second, *b);
  EXPECT_EQ(b->events(), (std::vector<Event>{Event::ended, Event::peer_cloned}));
  EXPECT_FALSE(second.established());
  EXPECT_EQ(b->ledger().peer("alice")->quarantine, Quarantine::cloned);
}

// A snapshot of a running process: same instance, same incarnation, but its marks are behind.
TEST_F(AssociationTest, MarksBehindWhatWasSeenAreARollback) {
  auto a = alice();
  auto b = bob();
  ASSERT_TRUE(a->start().ok());
  talk(*a, *b);
  expect_established(*a, *b);
  StreamMarks marks[2];
  use(*a, *b, 3 * least_extent, marks);
  PeerRecord record = *a->ledger().peer("bob");
  EXPECT_GE(record.streams[0].sent, 3 * least_extent);
  // Honest first: the marks are compared and found good.
  ASSERT_TRUE(a->start().ok());
  talk(*a, *b);
  expect_established(*a, *b);
  use(*a, *b, 3 * least_extent, marks);
  ASSERT_TRUE(a->association().state() == State::established);
  std::vector<Bytes> hello;
  ASSERT_TRUE(a->start().ok());
  hello = a->messages();
  ASSERT_EQ(hello.size(), 1U);
  Result<AssociationMessage> parsed = parse_association_message(hello[0]);
  ASSERT_TRUE(parsed.ok());
  Hello& behind = std::get<Hello>(parsed.value());
  ASSERT_GE(behind.streams[0].sent, 3 * least_extent);
  behind.streams[0].sent = 3 * least_extent - 1;
  (void)b->events();
  b->receive(encode(behind));
  EXPECT_EQ(b->events(), (std::vector<Event>{Event::ended, Event::peer_rolled_back}));
}

TEST_F(AssociationTest, ANodeFindsOutThatItWasRolledBackItself) {
  auto a = alice();
  auto b = bob();
  ASSERT_TRUE(a->start().ok());
  talk(*a, *b);
  const Bytes old = alice_disk_.image();
  for (int i = 0; i < 2; ++i) {
    a = alice();
    ASSERT_TRUE(a->start().ok());
    talk(*a, *b);
  }
  alice_disk_.restore(old);
  a = alice();
  ASSERT_TRUE(b->start().ok());  // bob speaks first
  const std::vector<Bytes> hello = b->messages();
  for (const Bytes& message : hello) a->receive(message);
  EXPECT_EQ(a->events(), (std::vector<Event>{Event::self_rolled_back}));
  EXPECT_TRUE(a->ledger().state().self_quarantine);
  EXPECT_FALSE(a->start().ok());
}

TEST_F(AssociationTest, NothingIsToldBeforeItIsOnTheDisk) {
  Result<Ledger> ledger = Ledger::open("alice", alice_disk_.image(), least_extent);
  ASSERT_TRUE(ledger.ok());
  Association association(ledger.value(), {"alice", "bob", {}, 65536, 1024, {1}});
  ASSERT_TRUE(association.start(Contribution{}).ok());
  EXPECT_FALSE(association.next_message().has_value());
  const LedgerBatch* batch = ledger.value().next_batch();
  ASSERT_NE(batch, nullptr);
  association.advance();
  EXPECT_FALSE(association.next_message().has_value());
  ledger.value().committed();
  association.advance();
  EXPECT_TRUE(association.next_message().has_value());
  ledger.value().quarantine("carol", Quarantine::cloned);
  ASSERT_NE(ledger.value().next_batch(), nullptr);
  ledger.value().fail();
  association.advance();
  EXPECT_EQ(association.state(), State::closed);
  EXPECT_FALSE(association.start(Contribution{}).ok());
}

TEST(AssociationMessage, RefusesWhatIsMalformed) {
  Hello hello;
  hello.from = "alice";
  hello.to = "bob";
  hello.incarnation = hello.attempt = 1;
  hello.connections = {1, 2};
  hello.streams.resize(8);
  const Bytes good = encode(hello);
  ASSERT_TRUE(parse_association_message(good).ok());
  for (std::size_t length = 0; length < good.size(); ++length) {
    EXPECT_FALSE(parse_association_message(std::span(good).first(length)).ok()) << length;
  }
  Bytes longer = good;
  longer.push_back(0);
  EXPECT_FALSE(parse_association_message(longer).ok());
  Bytes other = good;
  other[4] = 2;
  const auto version = parse_association_message(other);
  ASSERT_FALSE(version.ok());
  EXPECT_EQ(version.error().code, Exit::refused);
}

}  // namespace
}  // namespace ssn::protocol
