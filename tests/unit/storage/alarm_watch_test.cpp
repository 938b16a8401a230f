// SPDX-License-Identifier: BSD-3-Clause
// What a node raises, from what its keys, its store and its SSA say.
#include "alarm_watch.h"

#include <gtest/gtest.h>

#include <set>

namespace ssn::dataplane {
namespace {

using Names = std::set<std::string>;

Names names(const std::vector<alarms::ActiveAlarm>& active) {
  Names all;
  for (const alarms::ActiveAlarm& alarm : active) {
    EXPECT_NE(alarms::find_type(alarm.key.type), nullptr) << alarm.key.type;
    EXPECT_FALSE(alarm.text.empty()) << alarm.key.type;
    all.insert(alarm.key.type + " " + alarms::subject_of(alarm.key));
  }
  return all;
}

PeerKeyReport peer(const char* name) {
  PeerKeyReport report;
  report.name = name;
  report.state = protocol::Association::State::established;
  report.connected = true;
  report.connections.resize(1);
  report.connections[0].sending = true;
  return report;
}

class AlarmWatchTest : public testing::Test {
 protected:
  AlarmWatchTest() {
    keys_.devices.resize(1);
    keys_.devices[0].open = true;
    keys_.peers = {peer("h1"), peer("h2")};
  }
  Names look(std::uint64_t now_ms) { return names(watch_.look(keys_, &store_, now_ms)); }

  AlarmWatch watch_{"s"};
  KeyReport keys_;
  store::StoreStatus store_;
};

TEST_F(AlarmWatchTest, ASoundNodeRaisesNothing) {
  EXPECT_EQ(look(0), Names{});
  EXPECT_EQ(look(1'000'000), Names{});
}

// What placement is told.
TEST_F(AlarmWatchTest, HowPeersAreReached) {
  StreamReport& pads = keys_.peers[0].connections[0].numbers.streams[pads_out];
  pads.available = 1000;
  pads.statistics.level = 5000;
  pads.statistics.bytes_per_second = 70;
  keys_.peers[0].connections.push_back(keys_.peers[0].connections[0]);
  keys_.peers[0].connections[1].numbers.streams[pads_out].statistics.level = UINT64_MAX;  // not known
  keys_.peers[1].connections[0].sending = false;
  const std::vector<controller::PeerReport> wanted{{"h1", true, 7000, 140, 250}, {"h2", false, 0, 0, 0}};
  EXPECT_EQ(peer_reports(keys_, {{"h1", {250, true}}, {"h9", {1, true}}}), wanted);
  EXPECT_FALSE(peer_reports(keys_, {{"h1", {250, false}}})[0].connected);
  keys_.peers[0].quarantine = protocol::Quarantine::cloned;
  EXPECT_FALSE(peer_reports(keys_, {})[0].connected);
  keys_.peers[0].quarantine = protocol::Quarantine::none;
  keys_.self_quarantine = true;
  EXPECT_FALSE(peer_reports(keys_, {})[0].connected);
}

TEST_F(AlarmWatchTest, APeerWithoutKeys) {
  keys_.peers[0].state = protocol::Association::State::offered;
  EXPECT_EQ(look(0), Names{});
  EXPECT_EQ(look(15'000), Names{"association_down s h1"});
  keys_.peers[0] = peer("h1");
  EXPECT_EQ(look(16'000), Names{"association_down s h1"});
  EXPECT_EQ(look(21'000), Names{});
  keys_.peers[1].connections[0].sending = false;
  look(22'000);
  EXPECT_EQ(look(40'000), Names{"association_down s h2"});
}

TEST_F(AlarmWatchTest, QuarantineIsWhatItIs) {
  keys_.peers[0].state = protocol::Association::State::refused;
  keys_.peers[0].quarantine = protocol::Quarantine::cloned;
  look(0);
  EXPECT_EQ(look(60'000), Names{"association_quarantined s h1"});
  keys_.self_quarantine = true;
  EXPECT_EQ(look(61'000), (Names{"association_quarantined s h1", "association_quarantined s h2"}));
}

TEST_F(AlarmWatchTest, CertificatesThatEnd) {
  watch_.look_at_certificates("of the agent: ends in 12 days", 0);
  EXPECT_EQ(look(0), Names{"certificate_ends s"});
  EXPECT_EQ(look(1'000'000), Names{"certificate_ends s"});
  watch_.look_at_certificates("", 1'000'000);
  EXPECT_EQ(look(1'000'000), Names{"certificate_ends s"});
  EXPECT_EQ(look(1'001'000), Names{});
}

TEST_F(AlarmWatchTest, DecisionsThatCannotBeLogged) {
  watch_.look_at_audit("no space is left", 0);
  EXPECT_EQ(look(0), Names{"node_audit_failed s"});
  watch_.look_at_audit("", 1'000);
  EXPECT_EQ(look(59'000), Names{"node_audit_failed s"});
  EXPECT_EQ(look(61'000), Names{});
}

TEST_F(AlarmWatchTest, KeysThatRunOut) {
  StreamReport& pads = keys_.peers[0].connections[0].numbers.streams[pads_out];
  pads.available = 100;
  look(0);
  EXPECT_EQ(look(20'000), Names{});  // more will come
  pads.health = SSN_KEY_HEALTH_STARVED;
  look(21'000);
  EXPECT_EQ(look(31'000), Names{"key_stock_low s h1"});
  pads.available = 1'000'000;
  look(32'000);
  EXPECT_EQ(look(42'000), Names{});
  keys_.devices[0].open = false;
  look(43'000);
  EXPECT_EQ(look(53'000), Names{"key_device_failed s"});
  keys_.ledger_failed = true;
  EXPECT_EQ(look(53'000), (Names{"key_device_failed s", "ledger_failed s"}));
}

TEST_F(AlarmWatchTest, TheStockIsThatOfThePeerWithTheLeast) {
  keys_.peers[0].connections[0].numbers.streams[pads_out].available = 700;
  keys_.peers[1].connections[0].numbers.streams[pads_out].available = 400;
  keys_.peers[1].connections.push_back(keys_.peers[1].connections[0]);
  EXPECT_EQ(key_stock(keys_).peer, "h1");
  EXPECT_EQ(key_stock(keys_).bytes, 700U);
  keys_.peers[0].connections.clear();
  EXPECT_EQ(key_stock(keys_).peer, "h2");
  EXPECT_EQ(key_stock(keys_).bytes, 800U);
  EXPECT_EQ(key_stock(KeyReport()).peer, "");
}

TEST_F(AlarmWatchTest, AStoreThatFails) {
  store_.full = true;
  store_.why = {Exit::temporary, "cannot write", "no space", "", ""};
  look(0);
  EXPECT_EQ(look(5000), Names{"store_full s"});
  store_.read_only = true;
  look(5001);
  EXPECT_EQ(look(11'000), Names{"store_failed s"});
  EXPECT_EQ(names(watch_.look(keys_, nullptr, 11'000)), Names{"store_failed s"});  // as it was
}

TEST_F(AlarmWatchTest, EventsStayForAWhile) {
  store::StoreEvent damaged;
  damaged.kind = store::StoreEvent::Kind::record_damaged;
  watch_.happened(damaged, 0);
  store::StoreEvent removal;
  removal.kind = store::StoreEvent::Kind::removal_finished;
  watch_.happened(removal, 0);
  roles::SsaEvent event;
  event.kind = roles::SsaEvent::Kind::holder_failed;
  event.trouble = roles::SsaTrouble::slow;
  watch_.happened(event, "h1", 0);
  event.kind = roles::SsaEvent::Kind::holder_lies;
  watch_.happened(event, "h2", 0);
  event.kind = roles::SsaEvent::Kind::write_ended;
  watch_.happened(event, "h1", 0);
  event.kind = roles::SsaEvent::Kind::split_again;
  watch_.happened(event, "h1", 0);
  EXPECT_EQ(look(0), (Names{"share_damaged s", "holder_failed h1", "holder_lies h2"}));
  EXPECT_EQ(look(60'000), (Names{"share_damaged s", "holder_lies h2"}));
  EXPECT_EQ(look(3'600'000), Names{});
}

}  // namespace
}  // namespace ssn::dataplane
