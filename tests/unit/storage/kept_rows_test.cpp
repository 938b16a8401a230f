// SPDX-License-Identifier: BSD-3-Clause
// The SSA's own look at whose pads may become shares: never more than the controller said, and less where its
// own configuration says so.
#include "ssn/dataplane/kept_rows.h"

#include <fmt/core.h>
#include <gtest/gtest.h>

#include <string>

namespace ssn::dataplane {
namespace {

std::string numbered(const char* name, int number) { return fmt::format("{}{}", name, number); }

Configuration knowing(int paths) {
  Configuration configuration;
  configuration.controller.key_manager = "kme-s";
  for (int i = 1; i <= 5; ++i) {
    PeerConfiguration peer;
    peer.name = numbered("h", i);
    if (i <= paths) peer.key_path = std::vector<std::string>{"relay", numbered("kme-", i)};
    configuration.peers.push_back(peer);
  }
  return configuration;
}

controller::Layout layout(std::uint32_t rows) {
  controller::Layout layout;
  layout.k = 3;
  layout.n = 5;
  layout.kept_rows = rows;
  layout.row_rule = rows != 0 ? controller::RowRule::rotating : controller::RowRule::fixed;
  for (int i = 1; i <= 5; ++i) {
    controller::Holder holder;
    holder.node = numbered("h", i);
    layout.holders.push_back(holder);
  }
  return layout;
}

TEST(KeptRows, AreAtMostWhatTheControllerSaid) {
  EXPECT_EQ(allowed_rows(layout(0), knowing(5)), 0U);
  EXPECT_EQ(allowed_rows(layout(1), knowing(5)), 1U);
  EXPECT_EQ(allowed_rows(layout(2), knowing(5)), 2U);
  EXPECT_EQ(allowed_rows(layout(99), knowing(5)), 2U);
}

TEST(KeptRows, AreNoneWhereAPathIsUnknownHere) {
  EXPECT_EQ(allowed_rows(layout(2), knowing(4)), 0U);
  EXPECT_EQ(allowed_rows(layout(2), knowing(0)), 0U);
  controller::Layout stranger = layout(2);
  stranger.holders[3].node = numbered("x", 1);
  EXPECT_EQ(allowed_rows(stranger, knowing(5)), 0U);
}

// Whatever a controller says: key managers that this node knows of learn too little.
TEST(KeptRows, AreFewerWhereAKeyManagerWouldLearnTooMuch) {
  Configuration one = knowing(5);
  one.peers[0].key_path = std::vector<std::string>{"relay"};  // the relay is the key manager of h1
  EXPECT_EQ(allowed_rows(layout(2), one), 1U);
  one.peers[2].key_path = std::vector<std::string>{"relay"};  // and of h3: two shares are there
  EXPECT_EQ(allowed_rows(layout(2), one), 0U);
  for (PeerConfiguration& peer : one.peers) peer.key_path = std::vector<std::string>{"kme-s"};
  EXPECT_EQ(allowed_rows(layout(2), one), 2U) << "its own key manager does not count";
}

}  // namespace
}  // namespace ssn::dataplane
