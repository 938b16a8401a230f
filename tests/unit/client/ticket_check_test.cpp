// SPDX-License-Identifier: BSD-3-Clause
// The test plays controllers that answer something else than was asked for.
#include "ticket_check.h"

#include <gtest/gtest.h>

#include <functional>

namespace ssn::client {
namespace {

using namespace controller;

Object granted(const WriteRequest& asked) {
  Object object;
  object.name = asked.name;
  object.cell_bytes = asked.cell_bytes == 0 ? 1344 : asked.cell_bytes;
  object.minimum_protection = asked.minimum_protection;
  object.ssa = asked.ssa.empty() ? "any" : asked.ssa;
  Layout& layout = object.layout;
  layout.scheme = asked.scheme == Scheme::policy ? Scheme::shamir : asked.scheme;
  layout.k = asked.k == 0 ? 3 : asked.k;
  layout.n = asked.n == 0 ? 5 : asked.n;
  layout.secret_blocks =
      asked.secret_blocks == 0 ? (layout.scheme == Scheme::rs ? layout.k : 1) : asked.secret_blocks;
  layout.quorum = asked.quorum == 0 ? 4 : asked.quorum;
  layout.minimum = asked.minimum == 0 ? 3 : asked.minimum;
  layout.holders.resize(layout.n);
  return object;
}

WriteRequest whole() {
  WriteRequest asked;
  asked.name = std::string(1, 'a');
  asked.scheme = Scheme::ramp;
  asked.k = 4;
  asked.n = 7;
  asked.secret_blocks = 2;
  asked.cell_bytes = 640;
  asked.quorum = 6;
  asked.minimum = 5;
  asked.minimum_protection = Protection::computational;
  asked.pad_shares = PadShares::no;
  asked.ssa = "sae-a";
  return asked;
}

TEST(TicketCheck, EveryFieldThatWasAskedForMustBeSo) {
  const WriteRequest asked = whole();
  ASSERT_TRUE(check_ticket({granted(asked), {asked.ssa, "", {}}, 0}, asked).ok());
  const std::function<void(Object&)> lies[] = {
      [](Object& object) { object.name = std::string(1, 'b'); },
      [](Object& object) { object.ssa = "sae-b"; },
      [](Object& object) { object.layout.scheme = Scheme::shamir; },
      [](Object& object) { object.layout.k = 3; },
      [](Object& object) { object.layout.k = 5; },
      [](Object& object) { object.layout.n = 8; },
      [](Object& object) { object.layout.secret_blocks = 3; },
      [](Object& object) { object.cell_bytes = 1344; },
      [](Object& object) { object.layout.quorum = 5; },
      [](Object& object) { object.layout.minimum = 4; },
      [](Object& object) { object.minimum_protection = Protection::none; },
      [](Object& object) { object.layout.row_rule = RowRule::rotating; },
      [](Object& object) { object.layout.holders.resize(6); },
  };
  for (std::size_t i = 0; i < std::size(lies); ++i) {
    Object object = granted(asked);
    lies[i](object);
    const Outcome checked = check_ticket({object, {object.ssa, "", {}}, 0}, asked);
    ASSERT_FALSE(checked.ok()) << "lie " << i;
    EXPECT_EQ(checked.error().code, Exit::integrity) << "lie " << i;
  }
}

TEST(TicketCheck, WhatWasLeftOpenIsThePolicys) {
  WriteRequest asked;
  asked.name = std::string(1, 'a');
  Object object = granted(asked);
  object.layout.k = 6;
  object.layout.n = 9;
  object.layout.holders.resize(9);
  object.layout.row_rule = RowRule::rotating;
  object.minimum_protection = Protection::information_theoretic;
  EXPECT_TRUE(check_ticket({object, {object.ssa, "", {}}, 0}, asked).ok());
}

TEST(TicketCheck, ACodeWithoutSecrecyMustBeTheOwnersWish) {
  const auto granted_so = [](Scheme scheme, std::uint32_t k, std::uint32_t blocks,
                             const WriteRequest& asked) {
    Object object = granted(asked);
    object.layout.scheme = scheme;
    object.layout.k = k;
    object.layout.secret_blocks = blocks;
    return check_ticket({object, {object.ssa, "", {}}, 0}, asked);
  };
  WriteRequest open;
  open.name = "a";
  for (const Outcome& checked :
       {granted_so(Scheme::rs, 3, 3, open), granted_so(Scheme::rs, 3, 1, open),
        granted_so(Scheme::shamir, 1, 1, open), granted_so(Scheme::ramp, 3, 3, open)}) {
    ASSERT_FALSE(checked.ok());
    EXPECT_EQ(checked.error().code, Exit::refused);
  }
  WriteRequest asked = open;
  asked.scheme = Scheme::rs;
  EXPECT_TRUE(granted_so(Scheme::rs, 3, 3, asked).ok());
  asked = open;
  asked.k = 1;
  EXPECT_TRUE(granted_so(Scheme::shamir, 1, 1, asked).ok());
  asked.k = 3;
  EXPECT_FALSE(granted_so(Scheme::rs, 3, 3, asked).ok()) << "k was chosen for a scheme that hides";
}

}  // namespace
}  // namespace ssn::client
