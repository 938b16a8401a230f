// SPDX-License-Identifier: BSD-3-Clause
// The parts of the key service alone: session messages, the inbox, published numbers, waiting.
#include <gtest/gtest.h>

#include <thread>

#include "back_off.h"
#include "inbox.h"
#include "session_message.h"
#include "ssn/dataplane/configuration.h"
#include "ssn/dataplane/key_service.h"
#include "ssn/dataplane/published.h"
#include "telling.h"
#include "test_random.h"

namespace ssn::dataplane {
namespace {

SessionMessage message(SessionMessage::Type type) {
  SessionMessage out{type, type == SessionMessage::Type::ready, 0x0102030405060708, {}, {}};
  for (std::size_t i = 0; i < out.session.size(); ++i) out.session[i] = static_cast<std::uint8_t>(0xa0 + i);
  if (type == SessionMessage::Type::sent) out.positions = {{64, 32}, {1344, 1 << 20}};
  return out;
}

TEST(SessionMessage, ByteByByte) {
  const std::vector<std::uint8_t> ready = encode(message(SessionMessage::Type::ready));
  const std::vector<std::uint8_t> wanted{'S',  'S',  'N',  'E',  1,    1,    1,    0,    1,    2,    3,
                                         4,    5,    6,    7,    8,    0xa0, 0xa1, 0xa2, 0xa3, 0xa4, 0xa5,
                                         0xa6, 0xa7, 0xa8, 0xa9, 0xaa, 0xab, 0xac, 0xad, 0xae, 0xaf};
  EXPECT_EQ(ready, wanted);
  const std::vector<std::uint8_t> sent = encode(message(SessionMessage::Type::sent));
  ASSERT_EQ(sent.size(), 64U);
  EXPECT_EQ(sent[5], 3);
  EXPECT_EQ(sent[39], 64);
  EXPECT_EQ(sent[47], 32);
  EXPECT_EQ(sent[61], 0x10);
}

TEST(SessionMessage, IsReadAsItWasWritten) {
  for (const auto type :
       {SessionMessage::Type::ready, SessionMessage::Type::ended, SessionMessage::Type::sent}) {
    const SessionMessage wanted = message(type);
    const Result<SessionMessage> read = parse_session_message(encode(wanted));
    ASSERT_TRUE(read.ok()) << read.error().why;
    EXPECT_EQ(read.value().type, wanted.type);
    EXPECT_EQ(read.value().heard, wanted.heard);
    EXPECT_EQ(read.value().epoch, wanted.epoch);
    EXPECT_EQ(read.value().session, wanted.session);
    EXPECT_EQ(read.value().positions, wanted.positions);
  }
}

TEST(SessionMessage, EverythingElseIsRefused) {
  test::TestRandom random = test::TestRandom::labelled("session messages");
  for (const auto type :
       {SessionMessage::Type::ready, SessionMessage::Type::ended, SessionMessage::Type::sent}) {
    const std::vector<std::uint8_t> good = encode(message(type));
    for (std::size_t length = 0; length < 2 * good.size(); ++length) {
      if (length == good.size()) continue;
      std::vector<std::uint8_t> bad = good;
      bad.resize(length);
      const bool fewer_positions = type == SessionMessage::Type::sent && length > 32 && length % 16 == 0;
      EXPECT_EQ(parse_session_message(bad).ok(), fewer_positions) << length;
    }
    for (std::size_t at = 0; at < 8; ++at) {
      std::vector<std::uint8_t> bad = good;
      bad[at] ^= static_cast<std::uint8_t>(4 << random.below(5));
      const Result<SessionMessage> read = parse_session_message(bad);
      EXPECT_FALSE(read.ok()) << at;
      EXPECT_EQ(read.error().code, at == 4 ? Exit::refused : Exit::integrity);
    }
  }
  // Offsets that no stream reaches, and a flag that only one type has.
  std::vector<std::uint8_t> far = encode(message(SessionMessage::Type::sent));
  far[32] = 0x40;
  EXPECT_FALSE(parse_session_message(far).ok());
  std::vector<std::uint8_t> flag = encode(message(SessionMessage::Type::ended));
  flag[6] = 1;
  EXPECT_FALSE(parse_session_message(flag).ok());
}

// docs/associations.md says when.
TEST(Telling, IsDueWhenAnEighthOfARingHasPassedOrAfterAWhile) {
  using std::chrono::milliseconds;
  ConnectionLimits limits;
  limits.pad_ring_bytes = 1 << 20;
  limits.window = 512;  // rings of 32 KiB of tag keys
  const std::vector<SessionMessage::Position> told{{5000, 64}, {70000, 32}};
  const auto due = [&](std::size_t worker, std::uint64_t pads, std::uint64_t tag_keys, milliseconds ago) {
    std::vector<SessionMessage::Position> now = told;
    now[worker].pads += pads;
    now[worker].tag_keys += tag_keys;
    return is_due(now, told, ago, limits);
  };
  for (const std::size_t worker : {0U, 1U}) {
    SCOPED_TRACE(worker);
    EXPECT_FALSE(due(worker, (128 << 10) - 1, 0, milliseconds(20)));
    EXPECT_TRUE(due(worker, 128 << 10, 0, milliseconds(20)));
    EXPECT_FALSE(due(worker, 0, (4 << 10) - 1, milliseconds(20)));
    EXPECT_TRUE(due(worker, 0, 4 << 10, milliseconds(20)));
    EXPECT_FALSE(due(worker, 1, 0, milliseconds(199)));
    EXPECT_TRUE(due(worker, 1, 0, milliseconds(200)));
    EXPECT_TRUE(due(worker, 0, 1, milliseconds(200)));
  }
  EXPECT_FALSE(due(0, 0, 0, std::chrono::hours(1)));  // nothing was sent
  limits.tag_ring_bytes = 64 << 10;
  EXPECT_FALSE(due(0, 0, (8 << 10) - 1, milliseconds(20)));
  EXPECT_TRUE(due(0, 0, 8 << 10, milliseconds(20)));
  EXPECT_TRUE(is_due(told, {}, milliseconds(0), limits));  // of another session
  EXPECT_EQ(telling_interval, milliseconds(20));
}

TEST(SessionId, IsTheSameAtBothEnds) {
  protocol::Agreement agreement;
  agreement.streams.resize(8);
  for (std::size_t i = 0; i < 8; ++i) agreement.streams[i].ksid[0] = static_cast<std::uint8_t>(i + 1);
  EXPECT_EQ(session_of(agreement, "alice", "bob")[0], 1);
  EXPECT_EQ(session_of(agreement, "bob", "alice")[0], 3);
}

TEST(Inbox, IsBoundedForEachPeer) {
  Inbox inbox(2);
  for (std::size_t i = 0; i < Inbox::messages_max; ++i) {
    EXPECT_TRUE(inbox.put_message({0, PeerMessageKind::session, {1}}));
  }
  EXPECT_FALSE(inbox.put_message({0, PeerMessageKind::session, {1}}));
  EXPECT_TRUE(inbox.put_message({1, PeerMessageKind::session, {1}}));
  EXPECT_EQ(inbox.take_dropped(0), 1U);
  EXPECT_EQ(inbox.take_dropped(0), 0U);
  EXPECT_EQ(inbox.take({}).size(), Inbox::messages_max + 1);
  EXPECT_TRUE(inbox.put_message({0, PeerMessageKind::session, {1}}));
}

TEST(Inbox, ANewConnectionTakesBackWhatTheOldOneBrought) {
  Inbox inbox(2);
  inbox.put_connected(0);
  EXPECT_TRUE(inbox.put_message({0, PeerMessageKind::association, {1}}));
  EXPECT_TRUE(inbox.put_message({1, PeerMessageKind::association, {2}}));
  inbox.put_connected(0);
  EXPECT_TRUE(inbox.put_message({0, PeerMessageKind::association, {3}}));
  const std::vector<Letter> letters = inbox.take({});
  ASSERT_EQ(letters.size(), 3U);
  EXPECT_EQ(std::get<PeerMessage>(letters[0]).bytes.at(0), 2);
  EXPECT_EQ(std::get<PeerConnected>(letters[1]).peer, 0U);
  EXPECT_EQ(std::get<PeerMessage>(letters[2]).bytes.at(0), 3);
}

TEST(BackOff, GrowsToItsLimitAndForgets) {
  using std::chrono::milliseconds;
  const BackOff::Clock::time_point now{};
  BackOff back_off(milliseconds(100), milliseconds(1000), 7);
  std::int64_t wanted = 100;
  for (int i = 0; i < 10; ++i) {
    const BackOff::Clock::time_point next = back_off.failed(now);
    EXPECT_GE(next, now + milliseconds(wanted));
    EXPECT_LE(next, now + milliseconds(wanted + wanted / 2));
    wanted = std::min<std::int64_t>(1000, 2 * wanted);
  }
  back_off.succeeded();
  EXPECT_LE(back_off.failed(now), now + milliseconds(150));
}

TEST(Configuration, OfTheDataPlaneBecomesTheKeyServices) {
  const std::string peers = R"(
[node]
name = "sae-a"
ledger = "a.ledger"
[keys]
pad_ring = "1 MiB"
window = 512
[eal]
huge_pages = "off"
[[port]]
name = "client"
device = "net_null0"
[[port]]
name = "link"
device = "net_null1"
addresses = ["10.0.0.1/24"]
[[key_device]]
driver = "memory"
[key_device.settings]
seed = "x"
)";
  std::string text = peers;
  for (const char* const name : {"sae-b", "sae-c", "sae-d"}) {
    text += "[[peer]]\nname = \"" + std::string(name) + "\"\n";
    for (const char* const last : {"2", "3"}) {
      text += "[[peer.link]]\nport = \"link\"\nlocal = \"10.0.0.1\"\nremote = \"10.0.0." + std::string(last) +
              "\"\n";
    }
  }
  const auto stream = [&](int id, const char* peer, const char* more) {
    text += "[[stream]]\nid = " + std::to_string(id) + "\nport = \"client\"\npeer = \"" + peer +
            "\"\nk = 2\nn = 2\nfilter = [\"" + (id == 1 ? "ipv4" : "ipv6") + "\"]\n" + more + "\n";
  };
  stream(1, "sae-b", "random = \"drbg\"\nshortage = \"wait\"");
  stream(2, "sae-c", "");
  Result<Configuration> read = Configuration::parse(text, "/etc/ssn/a.toml");
  ASSERT_TRUE(read.ok()) << read.error().why << read.error().where;
  // Not in wire mode, whose receivers cannot open it.
  read.value().streams.at(1).shortage = StreamConfiguration::Shortage::aes_256_gcm;
  const KeyServiceConfiguration keys = key_service_configuration(read.value(), 3);
  EXPECT_EQ(keys.node, "sae-a");
  EXPECT_EQ(keys.ledger, "/etc/ssn/a.ledger");
  EXPECT_EQ(keys.workers, 3U);
  EXPECT_EQ(keys.limits.pad_ring_bytes, std::uint64_t{1} << 20);
  EXPECT_EQ(keys.limits.tag_ring(), 512U * 64);
  EXPECT_EQ(keys.limits.pages, hw::RingMemory::Pages::normal);
  EXPECT_EQ(keys.devices.at(0).settings.at(0).second, "x");
  ASSERT_EQ(keys.peers.size(), 2U) << "a peer without a stream needs no keys";
  EXPECT_FALSE(keys.peers[0].random);
  EXPECT_EQ(keys.peers[0].shortage, protocol::ShortagePolicy::wait);
  EXPECT_TRUE(keys.peers[1].random);
  EXPECT_TRUE(keys.peers[1].permit_computational);
  EXPECT_EQ(keys.peers[1].shortage, protocol::ShortagePolicy::aes_256_gcm);
}

struct Numbers {
  std::array<std::uint64_t, 24> values{};
};

TEST(Published, IsReadWholeOrNotAtAll) {
  Published<Numbers> published;
  EXPECT_FALSE(published.read().has_value());
  std::atomic<bool> stop{false};
  std::thread writer([&] {
    Numbers numbers;
    for (std::uint64_t i = 1; !stop; ++i) {
      numbers.values.fill(i);
      published.publish(numbers);
    }
  });
  std::uint64_t last = 0;
  for (std::uint64_t good = 0; good < 20'000;) {
    const std::optional<Numbers> read = published.read();
    if (!read) continue;
    ++good;
    ASSERT_GE(read->values[0], last);
    last = read->values[0];
    for (const std::uint64_t value : read->values) ASSERT_EQ(value, last);
  }
  stop = true;
  writer.join();
  EXPECT_GT(published.count(), 0U);
}

}  // namespace
}  // namespace ssn::dataplane
