// SPDX-License-Identifier: BSD-3-Clause
// The key manager for tests, once for a program, and two nodes at it.
#pragma once

#include <gtest/gtest.h>

#include "network.h"

namespace ssn::test {

inline Config settings_for(const KmeProcess& kme, const std::string& sae) {
  return {{"url", kme.url()},
          {"kme_id", "kme-test"},
          {"ca", kme.file("ca.pem")},
          {"certificate", kme.file(sae + ".pem")},
          {"private_key", kme.file(sae + ".key")},
          {"request_bytes", "65536"},
          {"retry_least_ms", "10"},
          {"retry_most_ms", "200"},
          {"key_wait_ms", "100"},
          {"status_interval_ms", "200"},
          {"request_timeout_ms", "2000"},
          {"connect_timeout_ms", "2000"},
          {"peer_timeout_ms", "1000"}};
}

/// The key manager of this program; each test finds it as it was at the start.
inline KmeProcess& shared_kme() {
  static KmeProcess kme;
  return kme;
}

class TwoSites : public testing::Test {
 protected:
  static constexpr std::size_t ring_bytes = std::size_t{1} << 20;

  void SetUp() override {
    if (!kme.running()) GTEST_SKIP() << kme.why();
    kme.command("{\"do\": \"reset\"}");
  }

  void open(const Config& changes = {}, Weather weather = {}) {
    for (auto& [name, node, other] : {std::tuple{"sae-a", &a, &b}, std::tuple{"sae-b", &b, &a}}) {
      Config settings = settings_for(kme, name);
      for (const auto& [key, value] : changes) settings[key] = value;
      *node = std::make_unique<Node>(name, settings);
      ASSERT_EQ((*node)->open(), SSN_OK) << (*node)->error().why;
    }
    a->connect(b.get(), weather, random.next());
    b->connect(a.get(), weather, random.next());
  }
  void open_stream() {
    sender = std::make_unique<End>(*a, SSN_KEY_SENDER, 1, "sae-b", ring_bytes);
    receiver = std::make_unique<End>(*b, SSN_KEY_RECEIVER, 1, "sae-a", ring_bytes);
    ASSERT_TRUE(sender->is_open() && receiver->is_open());
  }
  void TearDown() override {
    sender.reset();
    receiver.reset();
    if (a != nullptr) a->close();
    if (b != nullptr) b->close();
  }

  TestRandom random = TestRandom::labelled("two sites");
  KmeProcess& kme = shared_kme();
  std::unique_ptr<Node> a, b;
  std::unique_ptr<End> sender, receiver;
};

}  // namespace ssn::test
