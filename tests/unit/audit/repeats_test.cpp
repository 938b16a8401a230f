// SPDX-License-Identifier: BSD-3-Clause
// Lines and back; what is written one by one and what is counted: nothing is ever left out of the sum.
#include "repeats.h"

#include <fmt/core.h>

#include <map>
#include <random>

#include "support.h"
#include "test_random.h"

namespace ssn::audit::test {
namespace {

TEST(Decision, AreReadAsTheyWereWritten) {
  Decision one = decision("alice", false);
  one.number = 7;
  one.time_ms = 1'700'000'000'123;
  one.request.assign("ab-1");
  one.roles = {"owner", "operator"};
  one.fingerprint.assign(64, 'f');
  one.about = {{"owner", "bob"}, {"name", "a \"quoted\"\nname \x1b[2J \xc3\xbc"}};
  one.reason.assign("alice is not bob");
  one.times = 12;
  const std::string line = line_of(one);
  EXPECT_EQ(line.find('\n'), line.size() - 1);
  EXPECT_EQ(line.find('\x1b'), std::string::npos);
  EXPECT_EQ(number_of(line), 7U);
  const auto read = decision_of(line);
  ASSERT_TRUE(read.ok());
  EXPECT_EQ(read.value(), one);
}

TEST(Decision, WhatCallersSayIsCut) {
  Decision one = decision(std::string(100'000, 'a'));
  one.number = 1;
  one.reason.assign(100'000, '\x01');
  for (int i = 0; i < 100; ++i) one.about.emplace_back("name", std::string(100'000, '\xff'));
  const std::string line = line_of(one);
  EXPECT_LE(line.size(), line_max);
  const auto read = decision_of(line);
  ASSERT_TRUE(read.ok());
  EXPECT_EQ(read.value().caller.size(), text_max);
  EXPECT_EQ(read.value().about.size(), fields_max);
}

TEST(Decision, OtherLinesAreNone) {
  for (const char* const line : {"", "\n", "{}", "[1]", "{\"number\":5", "{\"number\":5,\"times\":1}\n",
                                 "{\"number\":0,\"times\":1,\"decision\":\"allowed\"}", "text"}) {
    EXPECT_FALSE(decision_of(line).ok()) << line;
  }
}

TEST(Repeats, WhatIsAllowedIsWritten) {
  Repeats repeats;
  for (int i = 0; i < 1000; ++i) EXPECT_TRUE(repeats.take(decision("alice"), false, 0));
  EXPECT_TRUE(repeats.due(1'000'000).empty());
}

TEST(Repeats, OfARoutineOneIsWrittenAndTheOthersCounted) {
  Repeats repeats;
  EXPECT_TRUE(repeats.take(decision("h1"), true, 0));
  for (std::uint64_t second = 1; second < 60; ++second) {
    EXPECT_FALSE(repeats.take(decision("h1"), true, second * 1000));
    EXPECT_TRUE(repeats.due(second * 1000).empty());
  }
  const auto due = repeats.due(60'000);
  ASSERT_EQ(due.size(), 1U);
  EXPECT_EQ(due[0].times, 59U);
  EXPECT_EQ(due[0].caller, "h1");
  EXPECT_FALSE(repeats.take(decision("h1"), true, 61'000));  // it goes on
  EXPECT_EQ(repeats.due(120'000).at(0).times, 1U);
  EXPECT_TRUE(repeats.due(180'000).empty());
  EXPECT_TRUE(repeats.take(decision("h1"), true, 181'000));  // and began again
}

// Whatever comes from whomever: a bounded number of lines a minute, and the sum is right.
TEST(Repeats, AFloodIsCountedToTheLast) {
  std::mt19937_64 random(ssn::test::test_seed());
  Repeats repeats;
  std::uint64_t sent = 0;
  std::uint64_t told = 0;
  std::uint64_t lines = 0;
  for (std::uint64_t now = 0; now < 10 * Repeats::while_ms; now += 10) {
    for (int i = 0; i < 20; ++i) {
      Decision one = decision(fmt::format("c{}", random() % 5000), false);
      one.address = fmt::format("192.0.2.{}:{}", random() % 200, random() % 60000);
      ++sent;
      if (repeats.take(one, false, now)) {
        ++told;
        ++lines;
      }
    }
    for (const Decision& due : repeats.due(now)) {
      told += due.times;
      ++lines;
    }
  }
  for (const Decision& due : repeats.due(10 * Repeats::while_ms, true)) told += due.times;
  EXPECT_EQ(told, sent);
  EXPECT_LE(lines, 11 * (Repeats::refusals_all + Repeats::kinds_max + 1));
}

TEST(Repeats, OneWhoIsRefusedDoesNotHideAnother) {
  Repeats repeats;
  for (int i = 0; i < 1000; ++i) (void)repeats.take(decision("mallory", false), false, 1000);
  EXPECT_TRUE(repeats.take(decision("eve", false), false, 1000));
  EXPECT_TRUE(repeats.take(decision("alice"), false, 1000));
}

}  // namespace
}  // namespace ssn::audit::test
