// SPDX-License-Identifier: BSD-3-Clause
// Whom the controller asks next: question_queue.h.
#include <gtest/gtest.h>

#include "question_queue.h"
#include "support.h"

namespace ssn::controller::test {
namespace {

constexpr std::size_t askers = 8;

NodeQuestion question(const std::string& node, std::uint64_t job = 0) {
  return {NodeCall::order, node, "192.0.2.1:7000", 1, job, {}};
}

TEST(Questions, OneAtATimeInOrder) {
  QuestionQueue queue(askers);
  for (std::uint64_t job = 1; job <= 3; ++job) ASSERT_TRUE(queue.add(question("a", job)));
  for (std::uint64_t job = 1; job <= 3; ++job) {
    const auto next = queue.next();
    ASSERT_TRUE(next);
    EXPECT_EQ(next->job, job);
    EXPECT_FALSE(queue.next());
    queue.answered("a", true);
  }
  EXPECT_FALSE(queue.next());
}

TEST(Questions, NodesHaveTurns) {
  QuestionQueue queue(askers);
  for (const char* const node : {"a", "b", "c"}) {
    for (int i = 0; i < 2; ++i) ASSERT_TRUE(queue.add(question(node)));
  }
  std::string asked;
  while (const auto next = queue.next()) {
    asked += next->node;
    queue.answered(next->node, true);
  }
  EXPECT_EQ(asked, "abcabc");
}

TEST(Questions, AreBounded) {
  QuestionQueue queue(askers);
  for (std::size_t i = 0; i < QuestionQueue::waiting_max; ++i) ASSERT_TRUE(queue.add(question("a")));
  EXPECT_FALSE(queue.add(question("a")));
  EXPECT_TRUE(queue.add(question("b")));
}

// More nodes are silent than there are askers, and each of them has always another question. Time passes in
// steps; a silent node takes an asker for 30 of them, a live one for one.
TEST(Questions, SilentNodesStarveNoOther) {
  QuestionQueue queue(askers);
  std::vector<std::pair<std::string, int>> busy;  // until which step
  int live = 0;
  for (int step = 0; step < 300; ++step) {
    for (int i = 0; i < 20; ++i) queue.add(question(numbered("dead", i)));
    ASSERT_TRUE(queue.add(question("live")));
    std::erase_if(busy, [&](const auto& each) {
      if (each.second > step) return false;
      queue.answered(each.first, each.first == "live");
      return true;
    });
    while (busy.size() < askers) {
      const auto next = queue.next();
      if (!next) break;
      live += next->node == "live" ? 1 : 0;
      busy.emplace_back(next->node, step + (next->node == "live" ? 1 : 30));
    }
  }
  // At first nobody knows who is silent: all askers wait for them, up to three times.
  EXPECT_GT(live, 200);
}

// They are still asked: they may be back.
TEST(Questions, SilentNodesAreAskedAgain) {
  QuestionQueue queue(2);
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(queue.add(question("a")));
  ASSERT_TRUE(queue.next());
  queue.answered("a", false);
  ASSERT_TRUE(queue.next());
  queue.answered("a", true);
  EXPECT_TRUE(queue.next());
}

}  // namespace
}  // namespace ssn::controller::test
