// SPDX-License-Identifier: BSD-3-Clause
// Which membership counts while its files change.
#include "live_membership.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>

#include "membership_text.h"

namespace ssn::membership {
namespace {

using test::MembershipText;
using test::TestSigner;
using testing::HasSubstr;
using testing::IsEmpty;

class LiveMembershipTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = testing::TempDir() + "membership-XXXXXX";
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    folder_ = name;
    text_.nodes = {{"s", "ssa"}, {"h1"}, {"h2"}};
    files_ = {folder_ + "/m.toml", folder_ + "/m.p7s", folder_ + "/signers", 2, folder_ + "/seen"};
    put("signers", dave_.certificate + erin_.certificate + frank_.certificate);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  void put(const std::string& name, const std::string& text) const {
    ASSERT_TRUE(pki::replace_file(folder_ + "/" + name, text, 0600, "test").ok());
  }
  // Of that serial, signed by both.
  void publish(std::uint64_t serial) {
    text_.serial = serial;
    put("m.toml", text_.text());
    put("m.p7s", erin_.sign(text_.text(), dave_.sign(text_.text())));
  }
  Result<std::shared_ptr<LiveMembership>> open() {
    return LiveMembership::open(files_, [this](const std::string& line) { told_.push_back(line); }, now_);
  }
  // What is broken is tried twice.
  void refresh(LiveMembership& live) {
    live.refresh(now_);
    live.refresh(now_ + 1);
  }
  static std::uint64_t serial(const LiveMembership& live) { return live.pinned()->document.serial; }

  std::string folder_;
  MembershipText text_;
  Files files_;
  const TestSigner dave_{"dave"}, erin_{"erin"}, frank_{"frank"};
  std::vector<std::string> told_;
  const std::int64_t now_ = 1'800'000'000;
};

TEST_F(LiveMembershipTest, ANewerOneCountsWithoutARestart) {
  publish(3);
  const auto live = open();
  ASSERT_TRUE(live.ok()) << live.error().why;
  EXPECT_THAT(live.value()->pinned()->signers, testing::ElementsAre("dave", "erin"));
  EXPECT_EQ(live.value()->state(now_).condition, "valid");
  publish(4);
  refresh(*live.value());
  EXPECT_EQ(serial(*live.value()), 4U);
  EXPECT_EQ(live.value()->state(now_).taken, 1U);
  EXPECT_THAT(told_, testing::ElementsAre(HasSubstr("took the membership 4 of test, signed by dave, erin")));
}

// An attacker who can write the files, or who restores a copy of them, brings nothing back.
TEST_F(LiveMembershipTest, AnOlderOneNeverDoes) {
  publish(3);
  auto live = open();
  ASSERT_TRUE(live.ok());
  publish(2);
  refresh(*live.value());
  EXPECT_EQ(serial(*live.value()), 3U);
  EXPECT_FALSE(live.value()->state(now_).healthy);
  EXPECT_THAT(live.value()->state(now_).condition, HasSubstr("it is number 2, and 3 was seen here"));
  EXPECT_EQ(live.value()->state(now_).not_taken, 1U);
  // Nor after a restart.
  live = open();
  ASSERT_FALSE(live.ok());
  EXPECT_EQ(live.error().code, Exit::refused);
  // Another text of a serial that was seen.
  text_.minimum_t = 2;
  publish(3);
  live = open();
  ASSERT_FALSE(live.ok());
  EXPECT_THAT(live.error().why, HasSubstr("another one of number 3"));
  text_.minimum_t = 1;
  publish(3);
  EXPECT_TRUE(open().ok());
  put("seen", "nonsense\n");
  EXPECT_EQ(open().error().code, Exit::integrity);
}

TEST_F(LiveMembershipTest, TooFewSignaturesAreNone) {
  publish(1);
  ASSERT_TRUE(open().ok());
  auto live = open();
  text_.serial = 2;
  put("m.toml", text_.text());
  put("m.p7s", dave_.sign(text_.text()));
  refresh(*live.value());
  EXPECT_EQ(serial(*live.value()), 1U);
  EXPECT_THAT(live.value()->state(now_).condition, HasSubstr("1 of those who may signed it (dave), 2 must"));
  EXPECT_THAT(open().error().why, HasSubstr("2 must"));
  const TestSigner mallory("mallory");
  put("m.p7s", mallory.sign(text_.text(), dave_.sign(text_.text())));
  refresh(*live.value());
  EXPECT_EQ(serial(*live.value()), 1U);
  put("m.p7s", frank_.sign(text_.text(), dave_.sign(text_.text())));
  refresh(*live.value());
  EXPECT_EQ(serial(*live.value()), 2U) << "any two of the three";
  files_.threshold = 4;
  EXPECT_EQ(open().error().code, Exit::usage);
}

// Files that belong together come one after the other.
TEST_F(LiveMembershipTest, HalfOfAChangeIsNotToldAtOnce) {
  publish(1);
  auto live = open();
  text_.serial = 2;
  put("m.toml", text_.text());
  live.value()->refresh(now_);
  EXPECT_THAT(told_, IsEmpty());
  put("m.p7s", erin_.sign(text_.text(), dave_.sign(text_.text())));
  live.value()->refresh(now_ + 1);
  EXPECT_EQ(serial(*live.value()), 2U);
  EXPECT_EQ(live.value()->state(now_).not_taken, 0U);
}

TEST_F(LiveMembershipTest, ItEnds) {
  text_.until = now_ + 40 * 86400;
  publish(1);
  auto live = open();
  ASSERT_TRUE(live.ok());
  EXPECT_TRUE(live.value()->holds(text_.until - 1).ok());
  EXPECT_EQ(live.value()->holds(text_.until).breach, Breach::ended);
  live.value()->refresh(text_.until - 10 * 86400);
  live.value()->refresh(text_.until - 10 * 86400 + 1);
  EXPECT_THAT(told_, testing::ElementsAre(HasSubstr("ends in 10 days")));
  live.value()->refresh(text_.until);
  EXPECT_THAT(told_.back(), HasSubstr("has ended"));
  EXPECT_FALSE(live.value()->state(text_.until).healthy);
  // A process does not start with it, nor with one of another time.
  text_.until = now_ - 1;
  publish(2);
  EXPECT_EQ(open().error().code, Exit::refused);
  text_.from = now_ + 1;
  text_.until = now_ + 100;
  publish(3);
  EXPECT_EQ(open().error().code, Exit::refused);
}

TEST_F(LiveMembershipTest, NothingCountsBeforeItIsOnDisk) {
  publish(1);
  files_.seen = folder_ + "/nowhere/seen";
  EXPECT_FALSE(open().ok());
}

}  // namespace
}  // namespace ssn::membership
