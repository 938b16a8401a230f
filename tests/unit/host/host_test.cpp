// SPDX-License-Identifier: BSD-3-Clause
// What a host is made of, and what it refuses to be made of.
#include "ssn/dataplane/host.h"

#include <gtest/gtest.h>

#include <functional>

#include "host_fixture.h"

namespace ssn::dataplane {
namespace {

using test::address;
using test::mac;
using test::prefix;

TEST(Host, HasWhatItWasGiven) {
  const test::TestHost made;
  const Host& host = *made.host;
  ASSERT_EQ(host.link_count(), 6U);
  EXPECT_EQ(host.port(0), nullptr);
  EXPECT_EQ(host.port(3), nullptr);
  ASSERT_NE(host.port(2), nullptr);
  EXPECT_EQ(host.port(2)->name, "two");
  EXPECT_EQ(host.port(1)->l2_bytes(), 14U);
  EXPECT_EQ(host.port(2)->l2_bytes(), 18U);
  EXPECT_TRUE(host.port(1)->owns(address("fe80::ff:fe00:101")));
  EXPECT_EQ(host.link(0).max_payload, 1472U);
  EXPECT_EQ(host.link(1).max_payload, 1452U);
  EXPECT_EQ(host.link(5).max_payload, 8952U);
  EXPECT_EQ(host.link(5).header_bytes, max_link_header);
  EXPECT_EQ(host.listener(4404), 0);
  EXPECT_EQ(host.listener(4405), 1);
  EXPECT_EQ(host.listener(4406), -1);
  // Two links share a gateway's family each, not a neighbour with those that are on-link.
  EXPECT_EQ(host.neighbours().size(), 6U);
  EXPECT_EQ(host.neighbours().key(host.link(2).neighbour).address, address("10.0.1.254"));
  EXPECT_EQ(host.neighbours().key(host.link(3).neighbour).address, address("fd00:1::fe"));
  EXPECT_EQ(host.neighbours().key(host.link(4).neighbour).address, address("10.0.2.2"));
}

TEST(Host, LinksOfOneRemoteShareANeighbourAndAreTold) {
  HostSpec spec = test::host_spec();
  spec.ports[0].addresses.push_back(prefix("10.0.1.11/24"));
  LinkSpec link = spec.links[0];
  link.local = address("10.0.1.11");
  spec.links.push_back(link);
  link.udp_port = 5000;
  spec.links.push_back(link);
  const test::TestHost made(spec);
  const Host& host = *made.host;
  EXPECT_EQ(host.link(0).neighbour, host.link(6).neighbour);
  EXPECT_EQ(host.find_link(1, address("10.0.1.1"), address("10.0.1.2")), 0U);
  EXPECT_EQ(host.find_link(1, address("10.0.1.11"), address("10.0.1.2"), 4404), 6U);
  EXPECT_EQ(host.find_link(1, address("10.0.1.11"), address("10.0.1.2"), 5000), 7U);
  EXPECT_EQ(host.find_link(1, address("10.0.1.11"), address("10.0.1.2"), 5001), Host::no_link);
  EXPECT_EQ(host.find_link(1, address("10.0.1.12"), address("10.0.1.2")), Host::no_link);
  EXPECT_EQ(host.find_link(2, address("10.0.1.1"), address("10.0.1.2")), Host::no_link);
}

TEST(Host, InheritsNeighbours) {
  test::TestHost before;
  before.host->neighbours().learn(before.host->link(0).neighbour, mac("02:00:00:00:00:09"), true, true, 1);
  HostSpec spec = test::host_spec();
  spec.links.erase(spec.links.begin() + 1);
  const test::TestHost after(spec);
  after.host->inherit(*before.host);
  EXPECT_EQ(after.host->neighbours().look(after.host->link(0).neighbour).mac, mac("02:00:00:00:00:09"));
}

struct Refusal {
  std::string about;  ///< in the error
  std::function<void(HostSpec&)> spoil;
};

TEST(Host, RefusesWhatCannotWork) {
  const std::vector<Refusal> refusals = {
      {"MTU of 1279", [](HostSpec& s) { s.ports[0].mtu = 1279; }},
      {"MTU of 20000", [](HostSpec& s) { s.ports[0].mtu = 20000; }},
      {"Ethernet address", [](HostSpec& s) { s.ports[0].mac = EthernetAddress{}; }},
      {"Ethernet address", [](HostSpec& s) { s.ports[0].mac = broadcast_mac; }},
      {"VLAN 0", [](HostSpec& s) { s.ports[1].vlan = std::uint16_t{0}; }},
      {"VLAN 4095", [](HostSpec& s) { s.ports[1].vlan = std::uint16_t{4095}; }},
      {"port number 1", [](HostSpec& s) { s.ports[1].id = 1; }},
      {"port number 256", [](HostSpec& s) { s.ports[1].id = 256; }},
      {"too many addresses", [](HostSpec& s) { s.ports[0].addresses.resize(33, prefix("10.0.1.1/24")); }},
      {"10.0.1.255/24", [](HostSpec& s) { s.ports[0].addresses.push_back(prefix("10.0.1.255/24")); }},
      {"127.0.0.1/8", [](HostSpec& s) { s.ports[0].addresses.push_back(prefix("127.0.0.1/8")); }},
      {"ff02::1/64", [](HostSpec& s) { s.ports[0].addresses.push_back(prefix("ff02::1/64")); }},
      {"::ffff:10.0.0.1/96",
       [](HostSpec& s) { s.ports[0].addresses.push_back(prefix("::ffff:10.0.0.1/96")); }},
      {"more than one gateway", [](HostSpec& s) { s.ports[0].gateways.push_back(address("10.0.1.253")); }},
      {"gateway 10.0.3.254", [](HostSpec& s) { s.ports[1].gateways.push_back(address("10.0.3.254")); }},
      {"gateway 10.0.2.1", [](HostSpec& s) { s.ports[1].gateways.push_back(address("10.0.2.1")); }},
      {"begin at 10.0.1.9", [](HostSpec& s) { s.links[0].local = address("10.0.1.9"); }},
      {"begin at 10.0.1.1", [](HostSpec& s) { s.links[0].port = 2; }},
      {"begin at 10.0.1.1", [](HostSpec& s) { s.links[0].port = 9; }},
      {"no way from", [](HostSpec& s) { s.links[0].remote = address("fd00:1::2"); }},
      {"no way from", [](HostSpec& s) { s.links[4].remote = address("10.0.3.1"); }},
      {"no way from", [](HostSpec& s) { s.ports[0].gateways.clear(); }},
      {"end at 10.0.1.1", [](HostSpec& s) { s.links[0].remote = address("10.0.1.1"); }},
      {"end at 10.0.1.255", [](HostSpec& s) { s.links[0].remote = address("10.0.1.255"); }},
      {"end at 224.0.0.1", [](HostSpec& s) { s.links[0].remote = address("224.0.0.1"); }},
      {"no UDP port", [](HostSpec& s) { s.links[0].udp_port = 0; }},
      {"next hop cannot", [](HostSpec& s) { s.links[0].next_hop_mac = broadcast_mac; }},
      {"two Ethernet addresses",
       [](HostSpec& s) {
         s.links.push_back(s.links[0]);
         s.links[0].next_hop_mac = mac("02:00:00:00:00:01");
         s.links.back().next_hop_mac = mac("02:00:00:00:00:02");
       }},
      {"packets of 1473 bytes", [](HostSpec& s) { s.links[0].payload_bytes = 1473; }},
      {"packets of 1453 bytes", [](HostSpec& s) { s.links[1].payload_bytes = 1453; }},
      {"packets of 4294967295 bytes", [](HostSpec& s) { s.links[1].payload_bytes = 0xFFFFFFFF; }},
      {"too many links", [](HostSpec& s) { s.links.resize(Host::max_links + 1, s.links[0]); }},
      {"UDP port 0", [](HostSpec& s) { s.listeners.push_back(0); }},
      {"UDP port 4404", [](HostSpec& s) { s.listeners.push_back(4404); }},
      {"UDP port 65",
       [](HostSpec& s) {
         for (std::uint16_t i = 1; i <= 62; ++i) s.listeners.push_back(i);
         s.listeners.push_back(65);
       }},
  };
  for (const Refusal& refusal : refusals) {
    SCOPED_TRACE(refusal.about);
    HostSpec spec = test::host_spec();
    refusal.spoil(spec);
    const auto host = Host::make(spec);
    ASSERT_FALSE(host.ok());
    const Error& error = host.error();
    EXPECT_NE(error.what.find(refusal.about), std::string::npos) << error.what;
    EXPECT_FALSE(error.why.empty() || error.where.empty() || error.fix.empty());
  }
}

TEST(Host, TakesTheLimits) {
  HostSpec spec = test::host_spec();
  spec.links[0].payload_bytes = 1472;
  spec.links[1].payload_bytes = 1452;
  EXPECT_TRUE(Host::make(spec).ok());
  EXPECT_TRUE(Host::make(HostSpec{}).ok());
}

TEST(RateLimit, ZeroGrantsNothing) {
  RateLimit never(0);
  for (unsigned i = 0; i < 100; ++i) EXPECT_FALSE(never.grant(i * test::second));
}

TEST(RateLimit, OneASecond) {
  RateLimit slow(1);
  EXPECT_TRUE(slow.grant(test::second));
  EXPECT_FALSE(slow.grant(test::second));
  EXPECT_FALSE(slow.grant(2 * test::second - 1));
  EXPECT_TRUE(slow.grant(2 * test::second));
  EXPECT_FALSE(slow.grant(test::second));  // a clock that goes back gives nothing
}

}  // namespace
}  // namespace ssn::dataplane
