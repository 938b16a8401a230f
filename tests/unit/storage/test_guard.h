// SPDX-License-Identifier: BSD-3-Clause
// A membership that two of two signed, in a folder, and the guard that keeps to it.
#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "files.h"
#include "membership_guard.h"
#include "membership_text.h"

namespace ssn::dataplane {

class TestGuard {
 public:
  /// `configuration` outlives it.
  explicit TestGuard(const Configuration& configuration) : configuration_(configuration) {
    EXPECT_NE(::mkdtemp(folder_.data()), nullptr);
  }
  ~TestGuard() {
    guard.reset();
    std::filesystem::remove_all(folder_);
  }
  TestGuard(const TestGuard&) = delete;
  TestGuard& operator=(const TestGuard&) = delete;

  /// Puts a document in place, and signs it.
  void publish(const ssn::test::MembershipText& text) {
    put("m.toml", text.text());
    put("m.p7s", erin_.sign(text.text(), dave_.sign(text.text())));
    put("signers", dave_.certificate + erin_.certificate);
  }
  /// As a process that begins.
  void open() {
    guard.reset();
    auto opened = membership::LiveMembership::open(
        {folder_ + "/m.toml", folder_ + "/m.p7s", folder_ + "/signers", 2, folder_ + "/seen"}, nullptr, now);
    ASSERT_TRUE(opened.ok()) << opened.error().why;
    live = std::move(opened.value());
    MembershipGuard::Setup setup;
    setup.live = live;
    setup.configuration = &configuration_;
    setup.report = [](std::string_view) {};
    setup.alarm = [this](const std::string& text) { alarms.push_back(text); };
    setup.now = [this] { return now; };
    auto made = MembershipGuard::make(std::move(setup));
    ASSERT_TRUE(made.ok()) << made.error().why;
    guard = std::move(made.value());
  }
  std::uint64_t counter(const std::string& name) const {
    std::vector<agent::Counter> all;
    guard->add_counters(all);
    for (const agent::Counter& each : all) {
      if (each.name == "membership." + name) return each.value;
    }
    ADD_FAILURE() << "no counter " << name;
    return 0;
  }

  std::int64_t now = 1'800'000'000;
  std::vector<std::string> alarms;
  std::shared_ptr<membership::LiveMembership> live;
  std::unique_ptr<MembershipGuard> guard;

 private:
  void put(const std::string& name, const std::string& text) const {
    ASSERT_TRUE(pki::replace_file(folder_ + "/" + name, text, 0600, "test").ok());
  }

  std::string folder_ = testing::TempDir() + "guard-XXXXXX";
  const Configuration& configuration_;
  const ssn::test::TestSigner dave_{"dave"}, erin_{"erin"};
};

}  // namespace ssn::dataplane
