// SPDX-License-Identifier: BSD-3-Clause
// The monitor against a model that has the whole history of each condition and asks it anew each time.
#include "monitor.h"

#include <fmt/core.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <random>
#include <set>

namespace ssn::alarms {
namespace {

// One condition, millisecond by millisecond: slow, and hard to get wrong.
class Model {
 public:
  explicit Model(const AlarmType& type) : type_(type) {}
  void set(bool holds) { holds_ = holds; }
  void happened() {
    raised_ = true;
    holds_ = false;
    quiet_ = 0;
  }
  // What is seen at this moment, then a millisecond passes.
  void look() {
    if (holds_) {
      quiet_ = 0;
      raised_ = raised_ || held_ >= type_.raise_after_ms;
    } else if (quiet_ >= type_.clear_after_ms) {
      raised_ = false;
      held_ = 0;
    }
  }
  void pass() {
    look();
    (holds_ ? held_ : quiet_) += 1;
    look();
  }
  bool raised() const { return raised_; }

 private:
  const AlarmType& type_;
  bool holds_ = false;
  bool raised_ = false;
  std::uint64_t held_ = 0;
  std::uint64_t quiet_ = 0;
};

std::uint64_t seed() {
  const char* const given = std::getenv("SSN_TEST_SEED");
  return given != nullptr ? std::strtoull(given, nullptr, 0) : 1;
}

TEST(Monitor, RaisesAndClearsAsTheModelDoes) {
  fmt::print("SSN_TEST_SEED={}\n", seed());
  std::mt19937_64 random(seed());
  std::size_t raises = 0;
  for (const AlarmType& type : inventory()) {
    Monitor monitor;
    Model model(type);
    std::uint64_t now = 1'000'000;
    bool before = false;
    for (int step = 0; step < 300; ++step) {
      const bool once = type.raise_after_ms == 0 && type.clear_after_ms > 0 && random() % 8 == 0;
      const bool holds = random() % 2 == 0;
      if (once) {
        monitor.happened(type.name, "a", "", "x", now);
        model.happened();
      } else {
        monitor.set(type.name, "a", "", holds, "x", now);
        model.set(holds);
        model.look();
      }
      // Around the limits, exactly at them, and far beyond.
      const std::uint64_t limits[] = {0, 1, type.raise_after_ms, type.clear_after_ms, 1 + random() % 3000};
      std::uint64_t pass = limits[random() % 5];
      pass = std::min<std::uint64_t>(pass + random() % 3 - (pass > 2 ? 1 : 0), 20'000);
      for (std::uint64_t i = 0; i < pass; ++i) model.pass();
      now += pass;
      const bool raised = !monitor.active(now).empty();
      ASSERT_EQ(raised, model.raised()) << type.name << " step " << step;
      raises += raised && !before ? 1 : 0;
      before = raised;
    }
  }
  EXPECT_GT(raises, inventory().size());
}

TEST(Monitor, AFlappingConditionIsRaisedOnceAndStays) {
  Monitor monitor;
  std::uint64_t now = 0;
  bool raised = false;
  unsigned changes = 0;
  // Down and up each three seconds, for an hour: never as long as it takes to be raised at once.
  for (int i = 0; i < 1200; ++i, now += 3000) {
    monitor.set("association_down", "s", "h", i % 2 == 0, "x", now);
    const bool is = !monitor.active(now).empty();
    changes += is != raised ? 1 : 0;
    raised = is;
  }
  EXPECT_TRUE(raised);
  EXPECT_EQ(changes, 1U);
  monitor.set("association_down", "s", "h", true, "x", now);
  monitor.set("association_down", "s", "h", false, "", now);
  EXPECT_EQ(monitor.active(now + 4999).size(), 1U);
  EXPECT_TRUE(monitor.active(now + 5000).empty());
}

TEST(Monitor, ABlinkIsNoAlarm) {
  Monitor monitor;
  monitor.set("association_down", "s", "h", true, "x", 0);
  EXPECT_TRUE(monitor.active(14'999).empty());
  monitor.set("association_down", "s", "h", false, "", 14'999);
  EXPECT_TRUE(monitor.active(20'000).empty());
  monitor.set("association_down", "s", "h", true, "x", 30'000);
  EXPECT_TRUE(monitor.active(44'999).empty());
  EXPECT_EQ(monitor.active(45'000).size(), 1U);
}

TEST(Monitor, WhatHappenedStaysUntilItIsQuiet) {
  Monitor monitor;
  monitor.happened("holder_failed", "h", "", "first", 0);
  monitor.happened("holder_failed", "h", "", "second", 50'000);
  ASSERT_EQ(monitor.active(109'999).size(), 1U);
  EXPECT_EQ(monitor.active(109'999)[0].text, "second");
  EXPECT_TRUE(monitor.active(110'000).empty());
}

TEST(Monitor, IsBounded) {
  Monitor monitor;
  for (std::size_t i = 0; i < Monitor::usual + 10; ++i) {
    monitor.set("store_failed", fmt::format("h{}", i), "", true, std::string(1000, 'x'), 0);
    monitor.set("store_failed", fmt::format("other{}", i), "", false, "", 0);  // takes no place
    monitor.set("no such type", "h", "", true, "", 0);
  }
  EXPECT_EQ(monitor.active(0).size(), Monitor::usual);
  EXPECT_EQ(monitor.active(0)[0].text.size(), Monitor::text_max);
  EXPECT_EQ(monitor.lost(), 10U);
  for (std::size_t i = 0; i < Monitor::usual; ++i) {
    monitor.set("store_failed", fmt::format("h{}", i), "", false, "", 1);
  }
  EXPECT_TRUE(monitor.active(1).empty());
  monitor.set("store_failed", "last", "", true, "", 2);  // there is room again
  EXPECT_EQ(monitor.active(2).size(), 1U);
}

TEST(Monitor, WhatWasRaisedBeforeStaysUntilItIsSeenThatItIsOver) {
  Monitor monitor;
  monitor.restore({{"node_down", "h", ""}, "x"}, true, 0);
  monitor.restore({{"association_went_back", "h", "s"}, "y"}, false, 0);
  EXPECT_EQ(monitor.active(1'000'000).size(), 1U);  // it was quiet for 10 minutes
  monitor.set("node_down", "h", "", false, "", 1'000'000);
  EXPECT_EQ(monitor.active(1'004'999).size(), 1U);
  EXPECT_TRUE(monitor.active(1'005'000).empty());
}

TEST(Monitor, TimeThatGoesBackStandsStill) {
  Monitor monitor;
  monitor.set("store_full", "h", "", true, "x", 10'000);
  EXPECT_TRUE(monitor.active(3'000).empty());
  monitor.set("store_full", "h", "", true, "x", 4'000);
  EXPECT_TRUE(monitor.active(14'999).empty());
  EXPECT_EQ(monitor.active(15'000).size(), 1U);
  EXPECT_EQ(monitor.active(0).size(), 1U);
}

}  // namespace
}  // namespace ssn::alarms
