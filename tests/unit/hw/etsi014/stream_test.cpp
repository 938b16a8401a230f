// SPDX-License-Identifier: BSD-3-Clause
// Sender and receiver against each other in virtual time: thousands of seeded runs in which messages are
// lost, repeated and reordered and keys vanish, and what requests are made within which limits.
#include <gtest/gtest.h>
#include <openssl/evp.h>

#include <cstring>
#include <map>

#include "receiver.h"
#include "sender.h"
#include "ssn/hw/ring_memory.h"
#include "test_random.h"

namespace ssn::hw::etsi014 {
namespace {

using ssn::test::TestRandom;

KmeStatus usual_status() {
  KmeStatus status;
  status.key_size = 256;
  status.max_key_per_request = 128;
  status.max_key_size = 1024;
  status.min_key_size = 64;
  return status;
}

TEST(Plan, LargestRequestThatAllLimitsAllow) {
  Settings settings;
  settings.request_bytes = 65536;
  std::optional<KeyPlan> plan = plan_keys(usual_status(), settings, 1 << 20, UINT64_MAX, 0);
  ASSERT_TRUE(plan.has_value());
  EXPECT_EQ(plan->number, 128U);
  EXPECT_EQ(plan->size, 1024U);
  plan = plan_keys(usual_status(), settings, 300, UINT64_MAX, 0);
  EXPECT_EQ(plan->number, 2U) << "room for two keys";
  plan = plan_keys(usual_status(), settings, 100, UINT64_MAX, 0);
  EXPECT_EQ(plan->size, 800U) << "a smaller key fits";
  plan = plan_keys(usual_status(), settings, 7, UINT64_MAX, 0);
  EXPECT_FALSE(plan.has_value()) << "less than the smallest key";
  plan = plan_keys(usual_status(), settings, 1 << 20, 5000, 0);
  EXPECT_EQ(plan->number, 4U) << "no more than there is";
  plan = plan_keys(usual_status(), settings, 1 << 20, 512, 0);
  EXPECT_EQ(plan->number * plan->size, 512U);
  plan = plan_keys(usual_status(), settings, 1 << 20, 0, 0);
  EXPECT_EQ(plan->number, 1U) << "one key is tried";
  EXPECT_EQ(plan->size, 0U);
  plan = plan_keys(usual_status(), settings, 1 << 20, UINT64_MAX, 3);
  EXPECT_EQ(plan->number, 16U);
  EXPECT_EQ(plan->size, 0U) << "the key manager's own size";
}

TEST(Plan, NonsenseIsSurvived) {
  Settings settings;
  TestRandom random = TestRandom::labelled("plan");
  for (int i = 0; i < 100000; ++i) {
    const auto any = [&]() -> std::uint64_t { return random.next() >> random.below(64); };
    KmeStatus status;
    status.key_size = random.coin() ? any() : 0;
    status.max_key_size = random.coin() ? any() : 0;
    status.min_key_size = random.coin() ? any() : 0;
    status.max_key_per_request = random.coin() ? any() : 0;
    const std::uint64_t room = random.below(1 << 20);
    const std::optional<KeyPlan> plan =
        plan_keys(status, settings, room, any(), static_cast<unsigned>(random.below(10)));
    if (plan.has_value()) {
      ASSERT_GE(plan->number, 1U);
      ASSERT_LE(plan->number, settings.keys_per_request);
      ASSERT_LE(plan->bytes, room);
      ASSERT_LE(plan->bytes, settings.request_bytes);
      ASSERT_EQ(plan->size % 8, 0U);
    }
  }
}

// Both ends of one stream, a key manager in a map, and a channel, all by one seed.
class World {
 public:
  explicit World(std::uint64_t seed)
      : random_(seed),
        jitter_(seed),
        rings_{std::move(RingMemory::make(65536, RingMemory::Pages::normal).value()),
               std::move(RingMemory::make(65536, RingMemory::Pages::normal).value())},
        pool_(std::move(BodyPool::make(3, body_bytes).value())),
        exchange_(std::move(BodyPool::make(1, body_bytes).value())),
        sent_(rings_[0].data(), 65536),
        received_(rings_[1].data(), 65536),
        sender_(Ksid{1}, "b", 7, settings_, sent_, pool_, jitter_, now_),
        receiver_(Ksid{1}, "a", settings_, received_, jitter_) {
    settings_.request_bytes = 4096;
    settings_.key_wait = 50;
    loss_ = random_.below(40);
    trouble_ = random_.below(30);
  }

  // Until so many bytes were compared, or virtual time is over. Gives what was compared.
  std::uint64_t run(std::uint64_t wanted) {
    while (compared_ < wanted && now_ < 3'600'000) {
      step();
      if (HasFailure()) return 0;
    }
    return compared_;
  }
  bool pools_whole() const { return exchange_.all_there(); }
  Sender& sender() { return sender_; }
  Receiver& receiver() { return receiver_; }
  BodyPool& pool() { return pool_; }

 private:
  static constexpr std::size_t body_bytes = 16384;
  static bool HasFailure() { return testing::Test::HasFatalFailure(); }
  bool happens(std::size_t percent) { return random_.below(100) < percent; }

  void step() {
    now_ += static_cast<Time>(random_.below(40));
    Outbox from_sender, from_receiver;
    sender_.tick(now_, from_sender);
    enc_keys();
    dec_keys(from_receiver);
    // Messages in both directions, each perhaps lost, twice, or later.
    for (auto& [box, queue] :
         {std::pair{&from_sender, &to_receiver_}, std::pair{&from_receiver, &to_sender_}}) {
      for (const OutgoingMessage& message : *box) {
        for (std::size_t copies = happens(loss_) ? 0 : happens(10) ? 2 : 1; copies > 0; --copies) {
          queue->insert(queue->begin() + static_cast<std::ptrdiff_t>(random_.below(queue->size() + 1)),
                        message.bytes);
        }
      }
    }
    deliver();
    compare();
  }

  void enc_keys() {
    const std::uint64_t room = sender_.wanted();
    if (room == 0 || pool_.empty() || sender_.outstanding() >= 3) {
      return;
    }
    const std::optional<KeyPlan> plan = plan_keys(usual_status(), settings_, room, UINT64_MAX, 0);
    ASSERT_TRUE(plan.has_value());
    sender_.request_begun(*plan);
    if (happens(trouble_)) {
      sender_.request_failed();
      return;
    }
    Body body = pool_.take();
    KeyContainer container;
    for (std::uint64_t i = 0; i < plan->number; ++i) {
      const Bytes key = random_.bytes(happens(5) ? 8 : plan->size / 8);
      // Sometimes an ID comes again, with other bytes that the receiver's side never has.
      const bool again = happens(2) && next_id_ > 1;
      const KeyId id{std::to_string(again ? 1 : next_id_++), false};
      put(body, container, id, key);
      if (!again && !happens(trouble_ / 8)) waiting_.emplace(id.text, key);
    }
    (void)sender_.deliver(std::move(container), std::move(body), seen_by_sender_, now_);
  }

  void dec_keys(Outbox& outbox) {
    const std::vector<KeyId> ids = receiver_.wanted(now_, 128, seen_by_receiver_, outbox);
    if (ids.empty()) {
      return;
    }
    receiver_.request_begun();
    for (const KeyId& id : ids) {
      if (waiting_.count(id.text) == 0) {
        receiver_.on_refusal(Refusal::answered, seen_by_receiver_, now_, outbox);
        return;
      }
    }
    if (happens(trouble_)) {
      receiver_.on_refusal(Refusal::no_answer, seen_by_receiver_, now_, outbox);
      return;
    }
    Body body = exchange_.take();
    KeyContainer container;
    for (const KeyId& id : ids) {
      Bytes key = waiting_.extract(id.text).mapped();
      if (happens(trouble_ / 8)) key.pop_back();  // another size
      if (!happens(trouble_ / 8)) put(body, container, id, key);
    }
    receiver_.on_keys(container, body, seen_by_receiver_, now_, outbox);
    exchange_.give_back(std::move(body));
  }

  static void put(Body& body, KeyContainer& container, const KeyId& id, const Bytes& key) {
    const int length =
        EVP_EncodeBlock(body.memory.data() + body.written, key.data(), static_cast<int>(key.size()));
    container.keys.push_back({id, body.written, static_cast<std::size_t>(length), key.size()});
    body.written += static_cast<std::size_t>(length) + 1;
    ASSERT_LT(body.written, body.memory.size());
  }

  void deliver() {
    Outbox answers, ends;
    std::vector<Bytes> now;
    now.swap(to_receiver_);
    for (const Bytes& bytes : now) receiver_.on_message(*decode(bytes), seen_by_receiver_, now_, answers);
    for (const OutgoingMessage& message : answers) {
      if (!happens(loss_)) to_sender_.push_back(message.bytes);
    }
    now.clear();
    now.swap(to_sender_);
    for (const Bytes& bytes : now) (void)sender_.on_message(*decode(bytes), now_, ends);
    ASSERT_TRUE(ends.empty()) << "the ends disagree";
    ASSERT_FALSE(sender_.failed() || receiver_.failed());
  }

  void compare() {
    const std::uint64_t end = sent_.observed_end();
    ASSERT_LE(end, received_.observed_end()) << "a sender is never ahead of its receiver";
    const std::uint64_t length = end - compared_;
    if (length == 0 || happens(50)) {
      return;
    }
    const std::size_t at = compared_ % 65536;
    ASSERT_EQ(std::memcmp(rings_[0].data() + at, rings_[1].data() + at, length), 0);
    compared_ = end;
    sent_.release(end);
    received_.release(end);
  }

  TestRandom random_;
  Jitter jitter_;
  Settings settings_;
  RingMemory rings_[2];
  BodyPool pool_, exchange_;
  Delivery sent_, received_;
  Time now_ = 1;
  Sender sender_;
  Receiver receiver_;
  KeyIdMemory seen_by_sender_{4096}, seen_by_receiver_{4096};
  std::map<std::string, Bytes> waiting_;
  std::vector<Bytes> to_receiver_, to_sender_;
  std::uint64_t next_id_ = 1, compared_ = 0;
  std::size_t loss_ = 0, trouble_ = 0;
};

TEST(Streams, SameBytesWhateverHappens) {
  TestRandom random = TestRandom::labelled("streams");
  for (int run = 0; run < 300; ++run) {
    const std::uint64_t seed = random.next();
    SCOPED_TRACE("seed " + std::to_string(seed));
    World world(seed);
    ASSERT_GE(world.run(100000), 100000U);
    ASSERT_TRUE(world.pools_whole());
    Outbox outbox;
    world.sender().close(outbox);
    ASSERT_TRUE(world.pool().all_there()) << "what was under way is erased";
    world.receiver().close(outbox);
    ASSERT_EQ(outbox.size(), 2U);
  }
}

TEST(Streams, HostileMessagesEndThemAtMost) {
  TestRandom random = TestRandom::labelled("hostile");
  for (int run = 0; run < 200; ++run) {
    World world(random.next());
    (void)world.run(5000);
    KeyIdMemory seen{64};
    Outbox outbox;
    for (int i = 0; i < 50; ++i) {
      PeerMessage message;
      message.ksid = Ksid{1};
      message.instance = random.coin() ? 7 : 8;
      message.sequence = random.coin() ? random.below(20) : random.next();
      switch (random.below(3)) {
        case 0:
          message.content = Announcement{{{{std::string(1 + random.below(9), 'x'), false}, 32}}};
          break;
        case 1:
          message.content = Answer{true, random.next(), std::vector<bool>(random.below(9), true)};
          break;
        default:
          if (random.below(10) == 0) message.content = End{End::Reason::closed};
      }
      (void)world.sender().on_message(message, 1000000, outbox);
      world.receiver().on_message(message, seen, 1000000, outbox);
      (void)world.receiver().wanted(1000000, 128, seen, outbox);
    }
    ASSERT_LE(outbox.size(), 200U);
  }
}

TEST(KeyIds, RemembersTheLastOnes) {
  KeyIdMemory seen(3);
  EXPECT_TRUE(seen.fresh({"Ab", false}));
  EXPECT_FALSE(seen.fresh({"aB", false})) << "the same UUID";
  EXPECT_TRUE(seen.fresh({"1", false}));
  EXPECT_TRUE(seen.fresh({"2", false}));
  EXPECT_FALSE(seen.fresh({"ab", false}));
  EXPECT_TRUE(seen.fresh({"3", false}));
  EXPECT_TRUE(seen.fresh({"ab", false})) << "long ago";
}

}  // namespace
}  // namespace ssn::hw::etsi014
