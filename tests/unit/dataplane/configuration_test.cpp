// SPDX-License-Identifier: BSD-3-Clause
// The configuration of ssn-dataplane: what it gives, and every way in which a file can be wrong.
#include "ssn/dataplane/configuration.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <string>

namespace ssn::dataplane {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr const char* file = "/etc/ssn/a.toml";

// A whole node: one client port, one port for links, a ramp stream over five links of that port.
std::string whole() {
  std::string text = R"(
[node]
name = "sae-a"
ledger = "a.ledger"

[eal]
huge_pages = "off"
memory = "128 MiB"
main_core = 1

[workers]
cores = "0,2-3"
idle = "yield"

[[port]]
name = "client"
device = "net_af_packet0,iface=va"

[[port]]
name = "link"
device = "0000:3b:00.0"
mtu = 9000
addresses = ["10.0.0.1/24", "fd00::1/64"]
gateways = ["10.0.0.254", "fd00::ff"]
queues = 4

[[key_device]]
driver = "memory"

[keys]
window = 4096
pad_ring = "4 MiB"
[offload]
driver = "fault"
deadline = "2 ms"
[offload.settings]
seed = 4

[agent]
socket = "a.sock"
operators = ["alice"]

[[peer]]
name = "sae-b"
agent = "[fd00::2]:7001"
udp_port = 5000
)";
  for (int i = 0; i < 5; ++i) {
    text += "[[peer.link]]\nport = \"link\"\nlocal = \"10.0.0.1\"\nremote = \"10.0.0." +
            std::to_string(2 + i) + "\"\n";
  }
  return text + R"(
[[stream]]
id = 7
port = "client"
peer = "sae-b"
scheme = "ramp"
k = 3
n = 5
data_blocks = 2
cell = "8 KiB"
random = "drbg"
latency = "20 us"
reorder = "3 ms"
shortage = "wait"
filter = ["ipv4", "0x88f7"]
others = "pass-to=link"
)";
}

/// `text` with `from`, which must be in it once, replaced.
std::string with(std::string text, const std::string& from, const std::string& to) {
  const std::size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  return text.replace(at, from.size(), to);
}

Configuration good(const std::string& text) {
  Result<Configuration> configuration = Configuration::parse(text, file);
  EXPECT_TRUE(configuration.ok()) << (configuration.ok()
                                          ? ""
                                          : configuration.error().where + ": " + configuration.error().why);
  return configuration.ok() ? configuration.value() : Configuration{};
}

TEST(DataplaneConfiguration, GivesWhatTheFileSays) {
  const Configuration c = good(whole());
  EXPECT_EQ(c.name, "sae-a");
  EXPECT_EQ(c.ledger, "/etc/ssn/a.ledger");
  EXPECT_EQ(c.eal.huge_pages, EalConfiguration::HugePages::off);
  EXPECT_EQ(c.eal.memory, std::uint64_t{128} << 20);
  EXPECT_EQ(c.eal.main_core, 1U);
  EXPECT_EQ(c.eal.file_prefix, "ssn-sae-a");
  EXPECT_THAT(c.workers.cores, ElementsAre(0U, 2U, 3U));
  EXPECT_EQ(c.workers.idle, WorkersConfiguration::Idle::yield);
  ASSERT_EQ(c.ports.size(), 2U);
  EXPECT_FALSE(c.ports[0].is_pci());
  EXPECT_EQ(c.ports[0].mtu, 1500U);
  EXPECT_TRUE(c.ports[1].is_pci());
  EXPECT_EQ(c.ports[1].queues, 4U);
  EXPECT_EQ(format(c.ports[1].addresses[1]), "fd00::1/64");
  EXPECT_EQ(c.ports[1].gateways.size(), 2U);
  EXPECT_THAT(c.ports[1].where, HasSubstr("a.toml:"));
  EXPECT_EQ(c.keys.window, 4096U);
  EXPECT_EQ(c.keys.pad_ring, std::uint64_t{4} << 20);
  EXPECT_EQ(c.keys.tag_ring, 0U);
  EXPECT_EQ(c.keys.random_ring, std::uint64_t{4} << 20);
  EXPECT_EQ(c.offload.driver, "fault");
  EXPECT_EQ(c.offload.settings.size(), 1U);
  EXPECT_EQ(c.agent.socket, "/etc/ssn/a.sock");
  EXPECT_THAT(c.agent.operators, ElementsAre("alice"));
  ASSERT_EQ(c.peers.size(), 1U);
  EXPECT_EQ(c.peers[0].links[4].udp_port, 5000);
  EXPECT_EQ(format(c.peers[0].links[4].remote), "10.0.0.6");
  ASSERT_EQ(c.streams.size(), 1U);
  const StreamConfiguration& stream = c.streams[0];
  EXPECT_EQ(stream.data_blocks, 2U);
  EXPECT_EQ(stream.cell, 8192U);
  EXPECT_EQ(stream.latency, std::chrono::microseconds(20));
  EXPECT_EQ(stream.shortage, StreamConfiguration::Shortage::wait);
  EXPECT_THAT(stream.links, ElementsAre(0U, 1U, 2U, 3U, 4U));
  EXPECT_THAT(stream.ethertypes, ElementsAre(0x0800, 0x88f7));
  EXPECT_EQ(stream.pass_to, "link");
}

TEST(DataplaneConfiguration, HasDefaults) {
  const Configuration c = good(R"(
[node]
name = "my node"
[[port]]
name = "a"
device = "net_null0"
[[port]]
name = "b"
device = "net_null1"
[[bridge]]
ports = ["a", "b"]
)");
  EXPECT_EQ(c.eal.file_prefix, "ssn-my_node");
  EXPECT_EQ(c.eal.huge_pages, EalConfiguration::HugePages::automatic);
  EXPECT_TRUE(c.workers.cores.empty());
  EXPECT_EQ(c.workers.idle, WorkersConfiguration::Idle::event);
  EXPECT_EQ(c.keys.window, 16384U);
  EXPECT_EQ(c.offload.driver, "cpu");
  ASSERT_EQ(c.bridges.size(), 1U);
  EXPECT_EQ(c.bridges[0].ports[1], "b");
}

struct Mistake {
  const char* from;
  const char* to;
  const char* says;
};

class DataplaneMistake : public testing::TestWithParam<Mistake> {};

TEST_P(DataplaneMistake, IsNamedWithPlaceAndMend) {
  const Mistake& mistake = GetParam();
  const Result<Configuration> c = Configuration::parse(with(whole(), mistake.from, mistake.to), file);
  ASSERT_FALSE(c.ok());
  EXPECT_EQ(c.error().code, Exit::usage);
  EXPECT_THAT(c.error().why + " " + c.error().what + " " + c.error().fix, HasSubstr(mistake.says));
  EXPECT_THAT(c.error().where, HasSubstr("a.toml:"));
  EXPECT_FALSE(c.error().fix.empty());
}

INSTANTIATE_TEST_SUITE_P(
    Process, DataplaneMistake,
    testing::Values(Mistake{"huge_pages = \"off\"", "huge_pages = \"maybe\"", "require"},
                    Mistake{"huge_pages", "hugepages", "huge_pages"}, Mistake{"128 MiB", "1 MiB", "32"},
                    Mistake{"main_core = 1", "file_prefix = \"a/b\"", "plain file name"},
                    Mistake{"cores = \"0,2-3\"", "cores = \"0,x\"", "numbers of CPUs"},
                    Mistake{"idle = \"yield\"", "idle = \"sleep\"", "event"},
                    Mistake{"pad_ring = \"4 MiB\"", "pad_ring = \"3 MiB\"", "no power of two"},
                    Mistake{"pad_ring = \"4 MiB\"", "pad_ring = \"4 KiB\"", "65536"},
                    Mistake{"window = 4096", "window = 1000", "no power of two"},
                    Mistake{"pad_ring = \"4 MiB\"", "tag_ring = \"64 KiB\"", "too small for the window"},
                    Mistake{"deadline = \"2 ms\"", "deadline = \"2\"", "2"},
                    Mistake{"socket = \"a.sock\"", "listen = \"0.0.0.0:70000\"", "no address with a port"},
                    Mistake{"socket = \"a.sock\"", "listen = \"0.0.0.0:7000\"", "certificate, key and ca"},
                    Mistake{"ledger = \"a.ledger\"", "", "need a ledger"},
                    Mistake{"[[key_device]]\ndriver = \"memory\"", "", "key_device"}));

INSTANTIATE_TEST_SUITE_P(
    Ports, DataplaneMistake,
    testing::Values(
        Mistake{"name = \"client\"", "name = \"Client 1\"", "a-z"},
        Mistake{"name = \"client\"", "name = \"link\"", "two ports are called link"},
        Mistake{"net_af_packet0,iface=va", "eth0", "neither a PCI address"},
        Mistake{"net_af_packet0,iface=va", "0000:3b:00.0", "is the port"},
        Mistake{"net_af_packet0,iface=va", "packet_sockets,iface=va", "neither a PCI address"},
        Mistake{"mtu = 9000", "mtu = 90000", "9600"},
        Mistake{"\"10.0.0.1/24\"", "\"10.0.0.1\"", "no address with a prefix"},
        Mistake{"\"10.0.0.1/24\"", "\"224.0.0.1/24\"", "no host can have"},
        Mistake{"\"10.0.0.254\"", "\"10.0.9.254\"", "in no network"},
        Mistake{"mtu = 9000", "mtu = 1279", "1280"}, Mistake{"queues = 4", "queues = 0", "queues"},
        Mistake{"[offload]\n", "[[bridge]]\nports = [\"client\", \"lin\"]\n[offload]\n",
                "no port is called lin"},
        Mistake{"[offload]\n", "[[bridge]]\nports = [\"client\"]\n[offload]\n", "joins two ports"},
        Mistake{"[offload]\n", "[[bridge]]\nports = [\"client\", \"link\"]\n[offload]\n", "is in a bridge"}));

INSTANTIATE_TEST_SUITE_P(
    Streams, DataplaneMistake,
    testing::Values(Mistake{"name = \"sae-b\"", "name = \"sae-a\"", "called so itself"},
                    Mistake{"agent = \"[fd00::2]:7001\"", "agent = \"fd00::2:7001\"",
                            "no address with a port"},
                    Mistake{"port = \"link\"\nlocal", "port = \"lnk\"\nlocal", "no port is called lnk"},
                    Mistake{"local = \"10.0.0.1\"", "local = \"10.0.0.9\"", "does not have the address"},
                    Mistake{"remote = \"10.0.0.2\"", "remote = \"fd00::2\"", "one family"},
                    Mistake{"remote = \"10.0.0.2\"", "remote = \"255.255.255.255\"", "no unicast"},
                    Mistake{"id = 7", "id = 0", "id"}, Mistake{"k = 3", "k = 6", "more shares"},
                    Mistake{"k = 3", "k = 2", "1 <= data_blocks < k"},
                    Mistake{"\"ramp\"", "\"systematic\"", "has 1 data blocks"},
                    Mistake{"\"ramp\"", "\"rs\"", "has 3 data blocks"},
                    Mistake{"shortage = \"wait\"", "shortage = \"aes-256-gcm\"", "under pads only"},
                    Mistake{"\"8 KiB\"", "8190", "multiple of 64"},
                    Mistake{"\"8 KiB\"", "8960", "make cell at most 8896"},
                    Mistake{"n = 5", "n = 6", "need as many links"},
                    Mistake{"n = 5", "n = 5\nlinks = [\"1\", \"2\", \"3\", \"4\", \"9\"]", "no link \"9\""},
                    Mistake{"\"0x88f7\"", "\"0x0005\"", "no EtherType"},
                    Mistake{"pass-to=link", "pass-to=client", "cannot pass"},
                    Mistake{"pass-to=link", "keep", "must be \"drop\""},
                    Mistake{"peer = \"sae-b\"", "peer = \"sae-c\"", "no [[peer]] is called"},
                    Mistake{"port = \"client\"", "port = \"link\"", "a port of the stream's links"},
                    Mistake{"reorder = \"3 ms\"", "reorder = \"3 h\"", "reorder"}));

TEST(DataplaneConfiguration, StreamsOfOnePortHaveFiltersApart) {
  std::string second = whole();
  second += second.substr(second.find("[[stream]]"));
  const auto why = [&](const std::string& text) {
    const Result<Configuration> c = Configuration::parse(text, file);
    return c.ok() ? std::string() : c.error().why;
  };
  EXPECT_THAT(why(second), HasSubstr("stream 7 already"));
  const std::size_t id = second.rfind("id = 7");
  second.replace(id, 6, "id = 8");
  EXPECT_THAT(why(second), HasSubstr("takes frames of client"));
  const std::size_t filter = second.rfind("\"ipv4\", \"0x88f7\"");
  second.replace(filter, std::string("\"ipv4\", \"0x88f7\"").size(), "\"arp\"");
  EXPECT_EQ(why(second), "");
}

TEST(DataplaneConfiguration, NamesLinksByNumberOrPort) {
  const Configuration c =
      good(with(whole(), "n = 5", "n = 5\nlinks = [\"5\", \"4\", \"link\", \"2\", \"3\"]"));
  ASSERT_EQ(c.streams.size(), 1U);
  EXPECT_THAT(c.streams[0].links, ElementsAre(4U, 3U, 0U, 1U, 2U));
}

TEST(DataplaneConfiguration, SaysWhatARunningProcessCannotTake) {
  const Configuration running = good(whole());
  EXPECT_TRUE(running.check_swap(running).ok());
  EXPECT_TRUE(running.check_swap(good(with(whole(), "latency = \"20 us\"", ""))).ok());
  EXPECT_TRUE(running.check_swap(good(with(whole(), "gateways = [\"10.0.0.254\", \"fd00::ff\"]", ""))).ok());
  const auto refused = [&](const char* from, const char* to) {
    const Outcome outcome = running.check_swap(good(with(whole(), from, to)));
    return outcome.ok() ? std::string() : outcome.error().why;
  };
  EXPECT_THAT(refused("name = \"sae-a\"", "name = \"sae-x\""), HasSubstr("[node]"));
  EXPECT_THAT(refused("128 MiB", "256 MiB"), HasSubstr("[eal]"));
  EXPECT_THAT(refused("0,2-3", "0"), HasSubstr("[workers]"));
  EXPECT_THAT(refused("queues = 4", "queues = 2"), HasSubstr("[[port]]"));
  EXPECT_THAT(refused("driver = \"memory\"", "driver = \"kmnic\""), HasSubstr("[[key_device]]"));
  EXPECT_THAT(refused("window = 4096", "window = 2048"), HasSubstr("[keys]"));
  EXPECT_THAT(refused("driver = \"fault\"", "driver = \"cpu\""), HasSubstr("[offload]"));
  EXPECT_THAT(refused("a.sock", "b.sock"), HasSubstr("[agent]"));
}

TEST(DataplaneConfiguration, EveryPrefixOfAFileIsAnErrorOrGood) {
  const std::string text = whole();
  for (std::size_t length = 0; length < text.size(); length += 7) {
    const Result<Configuration> c = Configuration::parse(text.substr(0, length), file);
    if (!c.ok()) {
      EXPECT_FALSE(c.error().fix.empty()) << length;
    }
  }
}

}  // namespace
}  // namespace ssn::dataplane
