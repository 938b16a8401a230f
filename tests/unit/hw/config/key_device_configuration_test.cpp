// SPDX-License-Identifier: BSD-3-Clause
#include "ssn/hw/key_device_configuration.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace ssn::hw {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Pair;

std::vector<KeyDeviceConfiguration> read(std::string_view text, Outcome& outcome) {
  Result<Config> config = Config::parse(text, "/etc/ssn/node.toml");
  EXPECT_TRUE(config.ok());
  std::vector<KeyDeviceConfiguration> devices = read_key_devices(config.value().root());
  outcome = config.value().finish();
  return devices;
}

constexpr std::string_view two_devices = R"(
[[key_device]]
driver = "kmnic"
peers = ["sae-b", "sae-c"]
[key_device.settings]
socket = "/run/kmnic.sock"
stall_ms = 100
[[key_device]]
driver = "./ssn-key-other.so"
peers = ["sae-d"]
)";

TEST(KeyDeviceConfiguration, GivesDevicesInTheOrderOfTheFile) {
  Outcome outcome = done;
  const std::vector<KeyDeviceConfiguration> devices = read(two_devices, outcome);
  ASSERT_TRUE(outcome.ok()) << outcome.error().why;
  ASSERT_EQ(devices.size(), 2U);
  EXPECT_EQ(devices[0].driver, "kmnic");
  EXPECT_THAT(devices[0].peers, ElementsAre("sae-b", "sae-c"));
  EXPECT_THAT(devices[0].settings, ElementsAre(Pair("socket", "/run/kmnic.sock"), Pair("stall_ms", "100")));
  EXPECT_EQ(devices[1].driver, "./ssn-key-other.so");
  EXPECT_THAT(devices[1].settings, IsEmpty());
}

TEST(KeyDeviceConfiguration, NotesWhatIsWrong) {
  Outcome outcome = done;
  static_cast<void>(read("[[key_device]]\ndriver = \"kmnic\"\nsocket = \"here\"\n", outcome));
  ASSERT_FALSE(outcome.ok());
  EXPECT_THAT(outcome.error().why + outcome.error().what, HasSubstr("socket"));
  EXPECT_THAT(outcome.error().where, HasSubstr("/etc/ssn/node.toml:3"));
}

TEST(KeyDeviceConfiguration, FindsTheDeviceOfAPeer) {
  Outcome outcome = done;
  std::vector<KeyDeviceConfiguration> devices = read(two_devices, outcome);
  EXPECT_EQ(key_device_for(devices, "sae-c", "node.toml").value(), 0U);
  EXPECT_EQ(key_device_for(devices, "sae-d", "node.toml").value(), 1U);
  const Result<std::size_t> nobody = key_device_for(devices, "sae-e", "node.toml");
  ASSERT_FALSE(nobody.ok());
  EXPECT_EQ(nobody.error().code, Exit::not_found);
  EXPECT_THAT(nobody.error().why, HasSubstr("sae-b, sae-c, sae-d only"));
  EXPECT_EQ(nobody.error().where, "node.toml");
  devices.push_back({.driver = "memory", .peers = {}, .settings = {}});  // has keys with everybody
  EXPECT_EQ(key_device_for(devices, "sae-e", "node.toml").value(), 2U);
  EXPECT_THAT(key_device_for({}, "sae-b", "node.toml").error().why, HasSubstr("no key device"));
}

}  // namespace
}  // namespace ssn::hw
