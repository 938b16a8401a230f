// SPDX-License-Identifier: BSD-3-Clause
#include "planted_system.h"

namespace ssn::hw {
namespace {

TEST_F(Preflight, ReadsWhatTheMachineIsToRun) {
  plant("/site.toml", R"(
[memory]
locked = "1 GiB"
huge_pages = "2 GiB"
[cores]
workers = 4
node = 1
[[port]]
device = "ens1f0"
[[certificate]]
name = "site"
certificate = "tls/site.pem"
key = "/etc/site.key"
[node]
name = "sae-a"
ledger = "a.ledger"
[[key_device]]
driver = "kmnic"
peers = ["sae-b"]
[key_device.settings]
socket = "/run/a.sock"
[[key_device]]
driver = "etsi014"
[key_device.settings]
url = "https://kme"
certificate = "/c.pem"
private_key = "/k.pem"
ca = "/ca.pem"
)");
  const Result<PreflightWish> read = read_preflight_wish(root_ + "/site.toml");
  ASSERT_TRUE(read.ok()) << read.error().where << ": " << read.error().why;
  const PreflightWish& wish = read.value();
  EXPECT_EQ(wish.locked_bytes, 1U << 30);
  EXPECT_EQ(wish.huge_bytes, 2ULL << 30);
  EXPECT_EQ(wish.plan.workers, 4U);
  EXPECT_EQ(wish.plan.node, 1);
  EXPECT_THAT(wish.plan.devices, testing::ElementsAre("ens1f0"));
  EXPECT_EQ(wish.ledger, root_ + "/a.ledger");
  EXPECT_THAT(wish.sockets, testing::ElementsAre("/run/a.sock"));
  ASSERT_EQ(wish.certificates.size(), 2U);
  EXPECT_EQ(wish.certificates[0].authorities, "/ca.pem");
  EXPECT_EQ(wish.certificates[0].key, "/k.pem");
  EXPECT_EQ(wish.certificates[1].certificate, root_ + "/tls/site.pem");
}

TEST_F(Preflight, RefusesUnknownKeys) {
  plant("/site.toml", "[memory]\nloked = '1 GiB'\n");
  const Result<PreflightWish> read = read_preflight_wish(root_ + "/site.toml");
  ASSERT_FALSE(read.ok());
  EXPECT_EQ(read.error().fix, "did you mean locked?");
  EXPECT_EQ(read.error().where, root_ + "/site.toml:2:1");
}

TEST_F(Preflight, SendsADataPlanesConfigurationToTheDataPlane) {
  plant("/sae-a.toml", "[node]\nname = 'sae-a'\n[workers]\ncores = '2-3'\n");
  const Result<PreflightWish> read = read_preflight_wish(root_ + "/sae-a.toml");
  ASSERT_FALSE(read.ok());
  EXPECT_EQ(read.error().code, Exit::usage);
  EXPECT_THAT(read.error().fix, testing::HasSubstr("ssn-dataplane --check"));
}

}  // namespace
}  // namespace ssn::hw
