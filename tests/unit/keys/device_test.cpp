// SPDX-License-Identifier: BSD-3-Clause
// Key devices that come, go and fail: `kmnic` at the device model of ssn-kme, with keys that a test can
// predict.
#include <gmock/gmock.h>

#include <set>

#include "../kmnic/key_source.h"
#include "device_model.h"
#include "setup.h"

namespace ssn::dataplane_test {
namespace {

using kme::DeviceModel;
using kme::Fault;
using kme::FaultKind;
using testing::HasSubstr;

/// Both nodes have a function of one key-manager NIC.
class KmnicNodes : public TwoNodes {
 protected:
  ~KmnicNodes() override { model_.stop(); }

  void start_model() {
    DeviceModel::Options options;
    options.socket_path = file("kmnic.sock");
    options.provider = provider_;
    Result<DeviceModel> model = DeviceModel::start(std::move(options));
    ASSERT_TRUE(model.ok()) << model.error().why;
    model_ = std::move(model.value());
  }
  std::unique_ptr<TestNode> at_nic(const std::string& name, const std::string& peer,
                                   std::uint16_t workers = 1) {
    KeyServiceConfiguration changed = configuration(name, {peer}, workers);
    changed.devices = {{.driver = "kmnic",
                        .peers = {},
                        .settings = {{"socket", file("kmnic.sock")},
                                     {"stall_ms", "200"},
                                     {"give_up_ms", "1000"},
                                     {"timeout_ms", "500"}}}};
    return node(std::move(changed));
  }

  std::shared_ptr<kmnic_test::Valve> valve_ = std::make_shared<kmnic_test::Valve>();
  std::shared_ptr<kmnic_test::TestProvider> provider_ = std::make_shared<kmnic_test::TestProvider>(valve_);
  DeviceModel model_;
};

TEST_F(KmnicNodes, TrafficFlows) {
  start_model();
  world.channels.connect("alice", "bob");
  auto a = at_nic("alice", "bob", 2);
  auto b = at_nic("bob", "alice", 2);
  ASSERT_TRUE(flows(*a, *b, 1000));
  const KeyReport report = a->report();
  EXPECT_TRUE(report.devices.at(0).open);
  EXPECT_EQ(report.devices[0].streams, 8U);
  EXPECT_THAT(std::string(report.devices[0].info.identity), HasSubstr("EMULATOR"));
  EXPECT_EQ(report.peers.at(0).connections.at(0).protection, SSN_PROTECTION_EMULATED);
  finish({a.get(), b.get()});
  EXPECT_TRUE(eventually([&] { return model_.statistics().streams == 0; }));
  EXPECT_EQ(valve_->open, 0);
}

TEST_F(KmnicNodes, ANicThatComesLate) {
  world.channels.connect("alice", "bob");
  auto a = at_nic("alice", "bob");
  auto b = at_nic("bob", "alice");
  EXPECT_FALSE(a->report().devices.at(0).open);
  ASSERT_TRUE(eventually([&] { return a->report().devices.at(0).failures >= 3; }));
  EXPECT_TRUE(a->saw(KeyEvent::Kind::device_failed));
  EXPECT_EQ(a->peer("bob").epochs_entered, 0U) << "an epoch without keys is of no use";
  start_model();
  ASSERT_TRUE(flows(*a, *b));
  finish({a.get(), b.get()});
}

TEST_F(KmnicNodes, TheKeyManagerEndsItsStreams) {
  start_model();
  world.channels.connect("alice", "bob");
  auto a = at_nic("alice", "bob");
  auto b = at_nic("bob", "alice");
  for (int round = 0; round < 3; ++round) {
    ASSERT_TRUE(flows(*a, *b)) << round;
    const std::uint64_t entered = a->peer("bob").epochs_entered;
    model_.inject({FaultKind::end_streams});
    ASSERT_TRUE(eventually([&] { return a->peer("bob").epochs_entered > entered; })) << round;
  }
  ASSERT_TRUE(flows(*a, *b));
  EXPECT_EQ(a->peer("bob").alarms, 0U);
  finish({a.get(), b.get()});
}

TEST_F(KmnicNodes, TheKeyManagerDiesAndComesBack) {
  start_model();
  world.channels.connect("alice", "bob");
  auto a = at_nic("alice", "bob");
  auto b = at_nic("bob", "alice");
  ASSERT_TRUE(flows(*a, *b));
  model_.stop();
  ASSERT_TRUE(eventually([&] { return a->peer("bob").connections.empty(); }));
  ASSERT_TRUE(eventually([&] { return a->saw(KeyEvent::Kind::device_failed); }));
  EXPECT_FALSE(a->peer("bob").last_error.why.empty());
  start_model();
  ASSERT_TRUE(flows(*a, *b));
  finish({a.get(), b.get()});
}

TEST_F(KmnicNodes, ADeviceThatResetsOrRefuses) {
  start_model();
  world.channels.connect("alice", "bob");
  auto a = at_nic("alice", "bob");
  auto b = at_nic("bob", "alice");
  ASSERT_TRUE(flows(*a, *b));
  model_.inject({FaultKind::refuse_open, 5});
  model_.inject({FaultKind::reset});
  ASSERT_TRUE(eventually([&] { return a->peer("bob").epochs_entered >= 2; }));
  ASSERT_TRUE(flows(*a, *b));
  finish({a.get(), b.get()});
}

TEST_F(KmnicNodes, StarvationIsSeenAndSurvived) {
  start_model();
  world.channels.connect("alice", "bob");
  auto a = at_nic("alice", "bob");
  auto b = at_nic("bob", "alice");
  ASSERT_TRUE(flows(*a, *b));
  valve_->limit = 0;
  ASSERT_TRUE(eventually([&] {
    const auto report = a->peer("bob");
    return report.connections.size() == 1 &&
           report.connections[0].numbers.streams[dataplane::pads_out].available < 1344;
  }));
  const std::uint64_t refused = a->refused();
  ASSERT_TRUE(eventually([&] { return a->refused() > refused + 50; }));
  valve_->limit = UINT64_MAX;
  ASSERT_TRUE(flows(*a, *b));
  EXPECT_EQ(a->peer("bob").epochs_entered, 1U);
  finish({a.get(), b.get()});
}

TEST_F(KmnicNodes, RandomBytesComeFromTheFirstDeviceThatHasThem) {
  start_model();
  world.channels.connect("alice", "bob");
  KeyServiceConfiguration changed = configuration("alice", {"bob"});
  changed.peers[0].random = true;
  changed.devices.push_back(
      {.driver = "kmnic", .peers = {"nobody"}, .settings = {{"socket", file("kmnic.sock")}}});
  std::swap(changed.devices[0], changed.devices[1]);
  auto a = node(changed);
  auto b = bob();
  a->set_random(true);
  ASSERT_TRUE(flows(*a, *b));
  ASSERT_TRUE(eventually([&] { return a->random_bytes() > 100'000; }));
  // Its device ends: the epoch with the peer ends too, and the next one has a new stream.
  model_.inject({FaultKind::end_streams});
  ASSERT_TRUE(eventually([&] { return a->peer("bob").epochs_entered >= 2; }));
  const std::uint64_t before = a->random_bytes();
  ASSERT_TRUE(eventually([&] { return a->random_bytes() > before + 100'000; }));
  finish({a.get(), b.get()});
}

// ---- What is wrong at the start.

class Configurations : public KeyServiceTest {
 protected:
  class NoSink final : public dataplane::ConnectionSink {
    bool attach(Connection&) override { return false; }
    bool detach(Connection&) override { return false; }
    bool refresh(Connection&) override { return false; }
  };
  Error error_of(KeyServiceConfiguration changed) {
    changed.ledger = file("ledger");
    Result<std::unique_ptr<KeyService>> opened =
        KeyService::open(std::move(changed), world.channels.end("alice"), sink_);
    EXPECT_FALSE(opened.ok());
    if (opened.ok()) return {};
    EXPECT_FALSE(opened.error().what.empty());
    EXPECT_FALSE(opened.error().why.empty());
    EXPECT_FALSE(opened.error().fix.empty());
    return opened.error();
  }
  NoSink sink_;
};

TEST_F(Configurations, WhatIsWrongIsSaid) {
  const KeyServiceConfiguration good = configuration("alice", {"bob", "carol"});
  std::vector<std::pair<std::function<void(KeyServiceConfiguration&)>, const char*>> mistakes{
      {[](auto& c) { c.node = ""; }, "name"},
      {[](auto& c) { c.node = std::string(256, 'x'); }, "name"},
      {[](auto& c) { c.workers = 0; }, "workers"},
      {[](auto& c) { c.workers = 65; }, "workers"},
      {[](auto& c) { c.peers[1].name = "bob"; }, "peer"},
      {[](auto& c) { c.peers[1].name = "alice"; }, "peer"},
      {[](auto& c) { c.limits.window = 1000; }, "window"},
      {[](auto& c) { c.limits.pad_ring_bytes = 100'000; }, "ring"},
      {[](auto& c) { c.limits.tag_ring_bytes = 8192; }, "window"},
      {[](auto& c) { c.ledger_extent = 1; }, "extent"},
      {[](auto& c) { c.devices[0].peers = {"bob"}; }, "bob only"},
      {[](auto& c) { c.devices.clear(); }, "no key device"},
      {[](auto& c) { c.devices[0].settings.clear(); }, "seed"},
      {[](auto& c) { c.devices[0].settings.emplace_back("sead", "x"); }, "sead"},
  };
  for (const auto& [mistake, why] : mistakes) {
    KeyServiceConfiguration bad = good;
    mistake(bad);
    const Error error = error_of(std::move(bad));
    EXPECT_THAT(error.why + error.where, HasSubstr(why));
  }
}

TEST_F(Configurations, ALedgerOfAnotherNode) {
  {
    ASSERT_TRUE(ledger::FileLedger::open(file("ledger"), "bob", ledger::FileLedger::Create::if_missing).ok());
  }
  EXPECT_EQ(error_of(configuration("alice", {"bob"})).code, Exit::refused);
}

}  // namespace
}  // namespace ssn::dataplane_test
