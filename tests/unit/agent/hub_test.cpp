// SPDX-License-Identifier: BSD-3-Clause
// Who calls whom and which connection counts, without a network; and the messages that streams begin with.
#include "messages.h"
#include "peer_hub.h"
#include "peer_message.h"
#include "peering.pb.h"
#include "support.h"

namespace ssn::agent::test {
namespace {

using std::chrono::milliseconds;
using Kind = dataplane::PeerMessageKind;

class FakeLink final : public PeerLink {
 public:
  void start() override { started = true; }
  bool send(Kind, std::span<const std::uint8_t>) override { return !closed; }
  void close(const std::string& why) override {
    closed = true;
    reason = why;
  }
  std::atomic<bool> started{false};
  std::atomic<bool> closed{false};
  std::string reason;
};

class Hub : public testing::Test {
 protected:
  static constexpr PeerTimes times{milliseconds(5), milliseconds(40), milliseconds(100), milliseconds(50)};

  std::shared_ptr<PeerLink> call(const PeerAddress&) {
    const std::lock_guard lock(mutex_);
    calls_.push_back(std::make_shared<FakeLink>());
    return calls_.back();
  }
  std::size_t calls() {
    const std::lock_guard lock(mutex_);
    return calls_.size();
  }
  std::shared_ptr<FakeLink> last_call() {
    const std::lock_guard lock(mutex_);
    return calls_.back();
  }

  std::mutex mutex_;
  std::vector<std::shared_ptr<FakeLink>> calls_;
  PeerHub hub_{"m", [this](const PeerAddress& peer) { return call(peer); }, times};
};

TEST_F(Hub, TheLesserNameCalls) {
  ASSERT_TRUE(hub_.set_peers({{"z", "127.0.0.1:1"}, {"a", ""}}).ok());
  ASSERT_TRUE(wait_for([&] { return calls() == 1 && last_call()->started; }));
  const auto link = std::make_shared<FakeLink>();
  EXPECT_TRUE(hub_.called("a", link).ok());
  EXPECT_EQ(hub_.called("z", link).error().code, Exit::refused) << "it is us who call";
  EXPECT_EQ(hub_.called("b", link).error().code, Exit::refused);
}

TEST_F(Hub, CallsAgainWithLongerPauses) {
  ASSERT_TRUE(hub_.set_peers({{"z", "127.0.0.1:1"}}).ok());
  const auto begin = std::chrono::steady_clock::now();
  for (std::size_t n = 1; n <= 6; ++n) {
    ASSERT_TRUE(wait_for([&] { return calls() == n && last_call()->started; }));
    hub_.ended("z", last_call().get(), "refused");
    EXPECT_EQ(hub_.peers()[0].trouble, "refused");
  }
  // 5 + 10 + 20 + 40 + 40, each at least 80 %
  EXPECT_GE(std::chrono::steady_clock::now() - begin, milliseconds(92));
}

TEST_F(Hub, WhoSaysNothingIsEnded) {
  ASSERT_TRUE(hub_.set_peers({{"z", "127.0.0.1:1"}, {"a", ""}}).ok());
  const auto link = std::make_shared<FakeLink>();
  ASSERT_TRUE(hub_.called("a", link).ok());
  ASSERT_TRUE(wait_for([&] { return calls() == 1; }));
  EXPECT_TRUE(wait_for([&] { return link->closed && last_call()->closed; }));
}

TEST_F(Hub, OnlyTheNewestCounts) {
  ASSERT_TRUE(hub_.set_peers({{"a", ""}}).ok());
  Mailbox mailbox;
  hub_.listen(&mailbox);
  const std::uint8_t byte[] = {'x'};
  const auto old = std::make_shared<FakeLink>();
  const auto late = std::make_shared<FakeLink>();
  const auto newest = std::make_shared<FakeLink>();
  ASSERT_TRUE(hub_.called("a", old).ok());
  ASSERT_TRUE(hub_.called("a", late).ok());
  ASSERT_TRUE(hub_.called("a", newest).ok());
  hub_.deliver("a", old.get(), Kind::session, byte);  // not accepted yet
  EXPECT_TRUE(mailbox.all().empty());
  ASSERT_TRUE(hub_.accept("a", old));
  hub_.deliver("a", old.get(), Kind::session, byte);
  ASSERT_TRUE(hub_.accept("a", newest));
  EXPECT_TRUE(old->closed);
  hub_.deliver("a", old.get(), Kind::session, byte);  // still had something
  hub_.deliver("a", newest.get(), Kind::session, byte);
  EXPECT_FALSE(hub_.accept("a", late)) << "it began before the newest one";
  hub_.ended("a", old.get(), "closed");
  EXPECT_TRUE(hub_.peers()[0].connected) << "the end of an old one is none";
  EXPECT_EQ(mailbox.all(), (std::vector<std::string>{"a +", "a 2x", "a +", "a 2x"}));
  hub_.ended("a", newest.get(), "gone");
  EXPECT_FALSE(hub_.peers()[0].connected);
  hub_.listen(nullptr);
}

TEST_F(Hub, ConnectionsInTheMakingAreBounded) {
  ASSERT_TRUE(hub_.set_peers({{"a", ""}}).ok());
  std::vector<std::shared_ptr<FakeLink>> links;
  for (int i = 0; i < 4; ++i) {
    links.push_back(std::make_shared<FakeLink>());
    EXPECT_TRUE(hub_.called("a", links.back()).ok());
  }
  EXPECT_EQ(hub_.called("a", std::make_shared<FakeLink>()).error().code, Exit::temporary);
  hub_.ended("a", links[0].get(), "gone");
  EXPECT_TRUE(hub_.called("a", std::make_shared<FakeLink>()).ok());
}

TEST(PeerReaderTest, TheHelloComesFirstAndOnce) {
  api::PeerMessage hello;
  write_hello("sae-b", hello);
  api::PeerMessage payload;
  const std::uint8_t bytes[] = {1, 2, 3};
  write_payload(Kind::session, bytes, payload);
  PeerReader reader("sae-b");
  EXPECT_FALSE(reader.take(payload).ok());
  EXPECT_FALSE(reader.take(api::PeerMessage()).ok());
  const auto greeted = reader.take(hello);
  ASSERT_TRUE(greeted.ok());
  EXPECT_TRUE(std::holds_alternative<Hello>(greeted.value()));
  EXPECT_FALSE(reader.take(hello).ok());
  const auto taken = reader.take(payload);
  ASSERT_TRUE(taken.ok());
  EXPECT_EQ(std::get<PeerPayload>(taken.value()).bytes.size(), 3U);
  EXPECT_FALSE(PeerReader("sae-c").take(hello).ok()) << "a name that is not the certificate's";
  hello.mutable_hello()->set_version(2);
  EXPECT_FALSE(PeerReader("sae-b").take(hello).ok());
}

TEST(MessagesTest, TextIsCleaned) {
  EXPECT_EQ(clean_text("a\x1b[31mb\nc", 100), "a?[31mb\nc");
  EXPECT_EQ(clean_text("\xc3\xa4\xff\xc3", 100), "\xc3\xa4??");
  EXPECT_EQ(clean_text("\xc2\x9b", 100), "?");
  EXPECT_EQ(clean_text("\xed\xa0\x80", 100), "???");
  EXPECT_EQ(clean_text("abc\xc3\xa4", 4), "abc");
}

}  // namespace
}  // namespace ssn::agent::test
