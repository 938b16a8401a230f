// SPDX-License-Identifier: BSD-3-Clause
// The shared object through the loader that programs use, and what its settings may be.
#include <gmock/gmock.h>

#include <cstring>

#include "fixture.h"
#include "ssn/hw/key_device.h"

namespace ssn::test {
namespace {

using hw::KeyDevice;
using testing::HasSubstr;

TEST_F(TwoSites, SharedObjectDeliversThroughTheLoader) {
  std::mutex gate;  // no message goes to a device that is being closed
  bool over = false;
  KeyDevice first, second;
  const auto options = [&](const char* name, const char* peer, KeyDevice* other) {
    KeyDevice::Options made{.driver = "etsi014", .local_name = name};
    for (const auto& [key, value] : settings_for(kme, name)) made.settings.emplace_back(key, value);
    made.send_to_peer = [&gate, &over, name, peer, other](const char* to,
                                                          std::span<const std::uint8_t> message) {
      const std::lock_guard lock(gate);
      return over || std::string(to) != peer ? SSN_NOT_FOUND : other->peer_message(name, message);
    };
    return made;
  };
  Result<KeyDevice> opened = KeyDevice::open(options("sae-a", "sae-b", &second));
  ASSERT_TRUE(opened.ok()) << opened.error().why;
  first = std::move(opened.value());
  opened = KeyDevice::open(options("sae-b", "sae-a", &first));
  ASSERT_TRUE(opened.ok()) << opened.error().why;
  second = std::move(opened.value());
  EXPECT_EQ(first.info().streams_max, 256U);
  EXPECT_FALSE(first.open_random(ring_bytes).ok());
  hw::Ksid ksid{};
  ksid.fill(9);
  EXPECT_FALSE(first.open_stream(SSN_KEY_SENDER, ksid, "sae-a", ring_bytes).ok()) << "with itself";
  Result<hw::KeyStream> from = first.open_stream(SSN_KEY_SENDER, ksid, "sae-b", ring_bytes);
  Result<hw::KeyStream> to = second.open_stream(SSN_KEY_RECEIVER, ksid, "sae-a", ring_bytes);
  ASSERT_TRUE(from.ok() && to.ok());
  std::uint64_t offset = 1;
  std::uint8_t* pad = nullptr;
  ASSERT_TRUE(wait_for([&] {
    (void)from.value().poll();
    return (pad = from.value().take(1344, offset)) != nullptr;
  }));
  EXPECT_EQ(offset, 0U);
  (void)to.value().poll();
  const std::uint8_t* const same = to.value().at(offset, 1344);
  ASSERT_NE(same, nullptr) << "the receiver has what the sender may take";
  EXPECT_EQ(std::memcmp(pad, same, 1344), 0);
  from.value().close();
  EXPECT_TRUE(wait_for([&] { return to.value().poll() == SSN_FAILED; }));
  const std::lock_guard lock(gate);
  over = true;
}

struct Wrong {
  const char* setting;
  const char* value;  // null: left out
  const char* said;
};

TEST_F(TwoSites, EveryWrongSettingIsNamed) {
  const Wrong wrongs[] = {
      {"url", nullptr, "url"},
      {"url", "http://127.0.0.1", "https"},
      {"url", "https://", "https"},
      {"url", "https://host:0", "https"},
      {"url", "https://user@host", "https"},
      {"url", "https://host:99999/x", "https"},
      {"kme_id", nullptr, "kme_id"},
      {"ca", "/dev/null", "CA"},
      {"certificate", "/nowhere.pem", "certificate"},
      {"private_key", nullptr, "private_key"},
      {"tls_min", "1.1", "tls_min"},
      {"request_bytes", "x", "request_bytes"},
      {"keys_per_request", "257", "keys_per_request"},
      {"connections", "0", "connections"},
      {"retry_most_ms", "1", "retry_most_ms"},
      {"extension_optional", "{}", "extension_optional"},
      {"extension_mandatory", "[1]", "extension_mandatory"},
      {"colour", "blue", "colour"},
  };
  for (const Wrong& wrong : wrongs) {
    SCOPED_TRACE(std::string(wrong.setting) + " = " + (wrong.value == nullptr ? "" : wrong.value));
    Config settings = settings_for(kme, "sae-a");
    settings.erase(wrong.setting);
    if (wrong.value != nullptr) settings[wrong.setting] = wrong.value;
    Node node("sae-a", settings);
    ASSERT_NE(node.open(), SSN_OK);
    const ssn_error& error = node.error();
    EXPECT_THAT(std::string(error.what) + error.why + error.where + error.fix, HasSubstr(wrong.said));
    EXPECT_GT(std::strlen(error.fix), 5U);
  }
  Config mixed = settings_for(kme, "sae-a");
  mixed["private_key"] = kme.file("sae-b.key");
  Node node("sae-a", mixed);
  EXPECT_NE(node.open(), SSN_OK);
  EXPECT_THAT(std::string(node.error().why), HasSubstr("mismatch"));
}

TEST_F(TwoSites, ThreadsOfAllKinds) {
  open({}, {.lost = 5, .repeated = 5, .late = 5, .busy = 5});
  std::vector<std::unique_ptr<End>> senders, receivers;
  for (std::uint8_t i = 0; i < 4; ++i) {
    senders.push_back(std::make_unique<End>(*a, SSN_KEY_SENDER, i, "sae-b", 65536));
    receivers.push_back(std::make_unique<End>(*b, SSN_KEY_RECEIVER, i, "sae-a", 65536));
    ASSERT_TRUE(senders.back()->is_open() && receivers.back()->is_open());
  }
  std::atomic<bool> stop = false;
  std::thread describer([&] {
    while (!stop) {
      (void)a->info();
      const std::uint8_t junk[] = {1, 2, 3};
      (void)hw::etsi014::driver.peer_message(b->device(), "sae-a", junk, sizeof junk);
      std::this_thread::yield();
    }
  });
  std::vector<std::thread> consumers;
  for (std::size_t i = 0; i < senders.size(); ++i) {
    consumers.emplace_back([&, i] { EXPECT_GE(compare(*senders[i], *receivers[i], 100000), 100000U); });
  }
  for (std::uint8_t i = 10; i < 20; ++i) {
    End short_lived(*a, SSN_KEY_SENDER, i, "sae-b", 65536);
    End other(*b, SSN_KEY_RECEIVER, i, "sae-a", 65536);
    (void)compare(short_lived, other, 1, i % 2);
  }
  for (std::thread& consumer : consumers) consumer.join();
  stop = true;
  describer.join();
  // Devices close with work under way; streams first.
}

}  // namespace
}  // namespace ssn::test
