// SPDX-License-Identifier: BSD-3-Clause
// ETSI GS QKD 014: keys of a key manager that is not ours, whose IDs the two nodes' drivers tell each other
// through the peer channel.
#include "../hw/etsi014/kme_process.h"
#include "setup.h"

namespace ssn::dataplane_test {
namespace {

class Etsi014Nodes : public TwoNodes {
 protected:
  void SetUp() override {
    if (!kme.running()) GTEST_SKIP() << kme.why();
  }
  std::unique_ptr<TestNode> at_kme(const std::string& name, const std::string& peer) {
    KeyServiceConfiguration changed = configuration(name, {peer});
    changed.devices = {{.driver = "etsi014",
                        .peers = {},
                        .settings = {{"url", kme.url()},
                                     {"kme_id", "kme-test"},
                                     {"ca", kme.file("ca.pem")},
                                     {"certificate", kme.file(name + ".pem")},
                                     {"private_key", kme.file(name + ".key")},
                                     {"request_bytes", "65536"},
                                     {"retry_least_ms", "10"},
                                     {"retry_most_ms", "200"},
                                     {"key_wait_ms", "100"},
                                     {"request_timeout_ms", "2000"},
                                     {"connect_timeout_ms", "2000"},
                                     {"peer_timeout_ms", "1000"}}}};
    return node(std::move(changed));
  }

  test::KmeProcess kme;
};

TEST_F(Etsi014Nodes, TrafficFlowsThroughLossAndRestarts) {
  world.channels.set_weather({.lost = 5, .late = 10});
  world.channels.connect("sae-a", "sae-b");
  auto a = at_kme("sae-a", "sae-b");
  auto b = at_kme("sae-b", "sae-a");
  ASSERT_TRUE(flows(*a, *b, 100));
  ASSERT_TRUE(eventually([&] {
    const auto report = a->peer("sae-b");
    return report.connections.size() == 1 &&
           report.connections[0].protection == SSN_PROTECTION_INFORMATION_THEORETIC;
  })) << "what it is is known once there are keys";
  EXPECT_GT(world.channels.delivered(PeerMessageKind::key_device), 0U);
  EXPECT_TRUE(b->stop().ok());
  b = at_kme("sae-b", "sae-a");
  ASSERT_TRUE(flows(*a, *b, 100));
  EXPECT_EQ(a->peer("sae-b").alarms, 0U);
  EXPECT_EQ(a->peer("sae-b").protection, SSN_PROTECTION_INFORMATION_THEORETIC);
  finish({a.get(), b.get()});
}

TEST_F(Etsi014Nodes, TheProtectionClassIsTheDevices) {
  kme.set("emulator", "true");
  world.channels.connect("sae-a", "sae-b");
  auto a = at_kme("sae-a", "sae-b");
  auto b = at_kme("sae-b", "sae-a");
  ASSERT_TRUE(flows(*a, *b, 20));
  ASSERT_TRUE(eventually([&] { return a->peer("sae-b").protection == SSN_PROTECTION_EMULATED; }));
  finish({a.get(), b.get()});
}

}  // namespace
}  // namespace ssn::dataplane_test
