// SPDX-License-Identifier: BSD-3-Clause
// [ssa], [shareholder] and [controller]: what they give, and every way in which they can be wrong.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <string>

#include "ssn/dataplane/configuration.h"

namespace ssn::dataplane {
namespace {

using testing::HasSubstr;

constexpr const char* file = "/etc/ssn/a.toml";

constexpr const char* common = R"(
[node]
name = "node-a"
ledger = "a.ledger"
[agent]
listen = "10.0.0.1:7000"
certificate = "a.crt"
key = "a.key"
ca = "ca.crt"
[[port]]
name = "p0"
device = "net_af_packet0,iface=va"
addresses = ["10.0.0.1/24", "fd00::1/64"]
[[port]]
name = "other"
device = "net_af_packet1,iface=vb"
[[key_device]]
driver = "memory"
[[peer]]
name = "node-b"
agent = "10.0.0.2:7000"
[[peer.link]]
port = "p0"
local = "10.0.0.1"
remote = "10.0.0.2"
)";

std::string ssa() {
  return std::string(common) + R"(
[ssa]
port = "p0"
address = "fd00::1"
udp_port = 5005
owners = 7
idle = "90 s"
patience = "4 s"
pad_shares = false
minimum_t = 3
random = "drbg"
shortage = "wait"
[controller]
address = "10.0.0.9:7100"
name = "ctl"
site = "site-1"
operator = "acme"
power = "grid-a"
key_manager = "kme-1"
)";
}

std::string shareholder() {
  return std::string(common) + R"(
[shareholder]
directory = "shares"
capacity = "1 GiB"
buffer = "32 MiB"
reserve = "16 MiB"
generations = 1000
scrub = "1 MiB"
shortage = "aes-256-gcm"
random = "drbg"
reshare_jobs = 3
reshare_memory = "1 MiB"
reshare_rate = "5 MB"
minimum_t = 2
)";
}

/// `text` with `from`, which must be in it, replaced.
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

TEST(StorageConfiguration, GivesAnSsa) {
  const Configuration c = good(ssa());
  EXPECT_TRUE(c.is_storage());
  EXPECT_FALSE(c.shareholder.present);
  EXPECT_EQ(c.ssa.port, "p0");
  EXPECT_EQ(format(c.ssa.address), "fd00::1");
  EXPECT_EQ(c.ssa.udp_port, 5005);
  EXPECT_EQ(c.ssa.owners, 7U);
  EXPECT_EQ(c.ssa.idle, std::chrono::seconds(90));
  EXPECT_EQ(c.ssa.patience, std::chrono::seconds(4));
  EXPECT_FALSE(c.ssa.pad_shares);
  EXPECT_EQ(c.ssa.minimum_t, 3U);
  EXPECT_EQ(c.ssa.random, RandomSource::drbg);
  EXPECT_EQ(c.storage_shortage(), KeyShortage::wait);
  EXPECT_EQ(c.peers[0].role, PeerConfiguration::Role::shareholder);
  EXPECT_EQ(c.controller.address, "10.0.0.9:7100");
  EXPECT_EQ(c.controller.name, "ctl");
  EXPECT_EQ(c.controller.site, "site-1");
  EXPECT_EQ(c.controller.operated_by, "acme");
  EXPECT_EQ(c.controller.power, "grid-a");
  EXPECT_EQ(c.controller.key_manager, "kme-1");
}

TEST(StorageConfiguration, AnSsaTakesTheOnlyPortWithAddresses) {
  const Configuration c =
      good(with(with(ssa(), "port = \"p0\"\naddress = \"fd00::1\"\n", ""), "5005", "5006"));
  EXPECT_EQ(c.ssa.port, "p0");
  EXPECT_EQ(format(c.ssa.address), "10.0.0.1");
}

TEST(StorageConfiguration, GivesAShareholder) {
  const Configuration c = good(shareholder());
  EXPECT_TRUE(c.is_storage());
  EXPECT_FALSE(c.ssa.present);
  EXPECT_EQ(c.shareholder.store, ShareholderConfiguration::Store::rocksdb);
  EXPECT_EQ(c.shareholder.directory, "/etc/ssn/shares");
  EXPECT_EQ(c.shareholder.capacity, std::uint64_t{1} << 30);
  EXPECT_EQ(c.shareholder.buffer, std::uint64_t{32} << 20);
  EXPECT_EQ(c.shareholder.reserve, std::uint64_t{16} << 20);
  EXPECT_EQ(c.shareholder.generations, 1000U);
  EXPECT_EQ(c.shareholder.scrub, std::uint64_t{1} << 20);
  EXPECT_EQ(c.storage_shortage(), KeyShortage::aes_256_gcm);
  EXPECT_EQ(c.peers[0].role, PeerConfiguration::Role::ssa);
  EXPECT_TRUE(c.controller.address.empty());
  EXPECT_EQ(c.shareholder.random, RandomSource::drbg);
  EXPECT_EQ(c.shareholder.reshare_jobs, 3U);
  EXPECT_EQ(c.shareholder.reshare_memory, std::uint64_t{1} << 20);
  EXPECT_EQ(c.shareholder.reshare_rate, 5'000'000U);
  EXPECT_EQ(c.shareholder.minimum_t, 2U);
}

TEST(StorageConfiguration, AShareholderMakesSharesAnewWithOthersOfItsKind) {
  const std::string among =
      with(shareholder(), "name = \"node-b\"", "name = \"node-b\"\nrole = \"shareholder\"");
  EXPECT_TRUE(good(among).reshares());
  EXPECT_FALSE(good(with(among, "reshare_jobs = 3", "reshare_jobs = 0")).reshares());
  EXPECT_FALSE(good(shareholder()).reshares());
  EXPECT_FALSE(good(ssa()).reshares());
}

TEST(StorageConfiguration, AMemoryStoreHasALimitAndNoFolder) {
  const Configuration c =
      good(with(shareholder(), "directory = \"shares\"\ncapacity = \"1 GiB\"", "store = \"memory\""));
  EXPECT_EQ(c.shareholder.store, ShareholderConfiguration::Store::memory);
  EXPECT_EQ(c.shareholder.capacity, std::uint64_t{256} << 20);
}

TEST(StorageConfiguration, ANodeWithoutARoleHasNone) {
  const Configuration c = good(common);
  EXPECT_FALSE(c.is_storage());
}

TEST(StorageConfiguration, IsTakenWithARestartOnly) {
  const Configuration plain = good(common);
  EXPECT_TRUE(plain.check_swap(plain).ok());
  EXPECT_FALSE(plain.check_swap(good(shareholder())).ok());
  EXPECT_FALSE(good(shareholder()).check_swap(good(shareholder())).ok());
}

struct Mistake {
  std::string (*text)();
  const char* from;
  const char* to;
  const char* says;
};

class StorageMistake : public testing::TestWithParam<Mistake> {};

TEST_P(StorageMistake, IsAnErrorThatNamesPlaceAndMend) {
  const Mistake& mistake = GetParam();
  const Result<Configuration> c = Configuration::parse(with(mistake.text(), mistake.from, mistake.to), file);
  ASSERT_FALSE(c.ok());
  EXPECT_EQ(c.error().code, Exit::usage);
  EXPECT_THAT(c.error().why + " " + c.error().what + " " + c.error().fix, HasSubstr(mistake.says));
  EXPECT_THAT(c.error().where, HasSubstr("a.toml"));
  EXPECT_FALSE(c.error().fix.empty());
}

INSTANTIATE_TEST_SUITE_P(
    Ssa, StorageMistake,
    testing::Values(
        Mistake{ssa, "minimum_t = 3", "minimum_t = 255", "minimum_t"},
        Mistake{ssa, "owners = 7", "owner = 7", "owner"}, Mistake{ssa, "owners = 7", "owners = 257", "256"},
        Mistake{ssa, "port = \"p0\"\naddress", "port = \"p9\"\naddress", "no port is called p9"},
        Mistake{ssa, "port = \"p0\"\naddress = \"fd00::1\"", "port = \"other\"", "has no address"},
        Mistake{ssa, "\"fd00::1\"\nudp", "\"10.0.0.3\"\nudp", "does not have the address"},
        Mistake{ssa, "udp_port = 5005", "udp_port = 0", "udp_port"},
        Mistake{ssa, "\"90 s\"", "\"1 ms\"", "idle"}, Mistake{ssa, "\"4 s\"", "\"1 ms\"", "patience"},
        Mistake{ssa, "\"drbg\"", "\"none\"", "stream"},
        Mistake{ssa, "shortage = \"wait\"", "shortage = \"pray\"", "aes-256-gcm"},
        Mistake{ssa, "address = \"10.0.0.9:7100\"", "", "address"},
        Mistake{ssa,
                "[controller]\naddress = \"10.0.0.9:7100\"\nname = \"ctl\"\nsite = \"site-1\"\n"
                "operator = \"acme\"\npower = \"grid-a\"\nkey_manager = \"kme-1\"",
                "", "asks the controller"},
        Mistake{ssa, "10.0.0.9:7100", "10.0.0.9", "no address with a port"},
        Mistake{ssa, "site = \"site-1\"", "region = \"site-1\"", "region"},
        Mistake{ssa, "\"site-1\"", "\"site 1\"", "spaces"},
        Mistake{ssa, "name = \"node-b\"", "name = \"node-b\"\nkey_path = [\"a b\"]", "spaces"},
        Mistake{ssa, "name = \"node-b\"", "name = \"node-b\"\nrole = \"ssa\"", "an SSA, too"},
        Mistake{ssa, "name = \"node-b\"", "name = \"node-b\"\nrole = \"king\"", "shareholder"},
        Mistake{ssa, "addresses = [\"10.0.0.1/24\", \"fd00::1/64\"]\n[[port]]",
                "addresses = [\"10.0.0.1/24\"]\n[[port]]", "does not have the address"},
        Mistake{ssa, "[ssa]\n", "[shareholder]\nstore = \"memory\"\n[ssa]\n", "a process for each role"}));

INSTANTIATE_TEST_SUITE_P(
    Shareholder, StorageMistake,
    testing::Values(
        Mistake{shareholder, "directory = \"shares\"", "", "a place on a disk"},
        Mistake{shareholder, "capacity = \"1 GiB\"", "store = \"memory\"", "has no folder"},
        Mistake{shareholder, "directory = \"shares\"\ncapacity = \"1 GiB\"",
                "store = \"memory\"\ncapacity = 0", "needs a limit"},
        Mistake{shareholder, "capacity = \"1 GiB\"", "store = \"floppy\"", "rocksdb"},
        Mistake{shareholder, "buffer = \"32 MiB\"", "buffer = \"32 KiB\"", "buffer"},
        Mistake{shareholder, "generations = 1000", "generations = 1", "generations"},
        Mistake{shareholder, "scrub = ", "scrubs = ", "scrub"},
        Mistake{shareholder, "reshare_jobs = 3", "reshare_jobs = 300", "reshare_jobs"},
        Mistake{shareholder, "reshare_memory = \"1 MiB\"", "reshare_memory = \"1 KiB\"", "reshare_memory"},
        Mistake{shareholder, "minimum_t = 2", "minimum_t = 0", "minimum_t"},
        Mistake{shareholder, "ledger = \"a.ledger\"", "", "need a ledger"},
        Mistake{shareholder, "[[key_device]]\ndriver = \"memory\"", "", "no [[key_device]]"},
        Mistake{shareholder, "listen = \"10.0.0.1:7000\"", "", "through their agents"},
        Mistake{shareholder, "[[peer.link]]\nport = \"p0\"\nlocal = \"10.0.0.1\"\nremote = \"10.0.0.2\"\n",
                "", "has no [[peer.link]]"},
        Mistake{shareholder,
                "[[peer]]\nname = \"node-b\"\nagent = \"10.0.0.2:7000\"\n[[peer.link]]\nport = "
                "\"p0\"\nlocal = \"10.0.0.1\"\nremote = \"10.0.0.2\"\n",
                "", "add a [[peer]]"},
        Mistake{shareholder, "[shareholder]",
                "[[stream]]\nid = 1\nport = \"other\"\npeer = \"node-b\"\nscheme = \"rs\"\nk = 1\nn = "
                "1\n[shareholder]",
                "need a process each"}));

INSTANTIATE_TEST_SUITE_P(Controller, StorageMistake,
                         testing::Values(Mistake{[] { return std::string(common) + "[controller]\n"; },
                                                 "[controller]\n",
                                                 "[controller]\naddress = \"10.0.0.9:7100\"\n",
                                                 "neither [ssa] nor [shareholder]"}));

TEST(StorageConfiguration, EveryPrefixOfAFileIsAnErrorOrGood) {
  for (const std::string& text : {ssa(), shareholder()}) {
    for (std::size_t length = 0; length < text.size(); length += 3) {
      const Result<Configuration> c = Configuration::parse(text.substr(0, length), file);
      if (!c.ok()) {
        EXPECT_FALSE(c.error().fix.empty()) << length;
      }
    }
  }
}

TEST(MembershipConfiguration, SaysWhereItsFilesAre) {
  const std::string text = shareholder() + R"(
[membership]
document = "m.toml"
signers = "/etc/signers.crt"
threshold = 2
)";
  const Result<Configuration> read = Configuration::parse(text, file);
  ASSERT_TRUE(read.ok()) << read.error().why;
  const MembershipConfiguration& made = read.value().membership;
  EXPECT_TRUE(made.present);
  EXPECT_EQ(made.document, "/etc/ssn/m.toml");
  EXPECT_EQ(made.signatures, "/etc/ssn/m.toml.p7s");
  EXPECT_EQ(made.signers, "/etc/signers.crt");
  EXPECT_EQ(made.threshold, 2U);
  EXPECT_FALSE(Configuration::parse(shareholder(), file).value().membership.present);
  for (const char* const bad :
       {"document = \"m\"\nsigners = \"s\"\n", "document = \"m\"\nsigners = \"s\"\nthreshold = 0\n",
        "document = \"m\"\nthreshold = 1\n", "signers = \"s\"\nthreshold = 1\n"}) {
    EXPECT_FALSE(Configuration::parse(shareholder() + "[membership]\n" + bad, file).ok()) << bad;
  }
  const Result<Configuration> alone = Configuration::parse(
      std::string(common) + "[membership]\ndocument = \"m\"\nsigners = \"s\"\nthreshold = 1\n", file);
  ASSERT_FALSE(alone.ok());
  EXPECT_THAT(alone.error().why, HasSubstr("neither [ssa] nor [shareholder]"));
}

}  // namespace
}  // namespace ssn::dataplane
