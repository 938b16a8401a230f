// SPDX-License-Identifier: BSD-3-Clause
#include "ticket_check.h"

#include <fmt/core.h>

namespace ssn::client {
namespace {

using namespace controller;

constexpr const char* what = "cannot write the object";

// The field that is not what was asked for; null: there is none. Zeros left it to the controller's policy.
const char* what_differs(const WriteTicket& ticket, const WriteRequest& asked) {
  const Object& object = ticket.object;
  const Layout& layout = object.layout;
  const auto differs = [](std::uint32_t got, std::uint32_t wanted) { return wanted != 0 && got != wanted; };
  if (object.name != asked.name) return "name";
  if (!asked.ssa.empty() && (ticket.ssa.node != asked.ssa || object.ssa != asked.ssa)) return "SSA";
  if (asked.scheme != Scheme::policy && layout.scheme != asked.scheme) return "scheme";
  if (differs(layout.k, asked.k)) return "k";
  if (differs(layout.n, asked.n)) return "n";
  if (differs(layout.secret_blocks, asked.secret_blocks)) return "count of secret blocks";
  if (differs(object.cell_bytes, asked.cell_bytes)) return "size of cells";
  if (differs(layout.quorum, asked.quorum)) return "quorum";
  if (differs(layout.minimum, asked.minimum)) return "minimum of holders";
  if (object.minimum_protection < asked.minimum_protection) return "minimum protection";
  if (asked.pad_shares == PadShares::no && layout.row_rule != RowRule::fixed) return "use of pad shares";
  return layout.holders.size() != layout.n ? "count of holders" : nullptr;
}

}  // namespace

// The controller is trusted to find holders, not to choose what they learn.
Outcome check_ticket(const WriteTicket& ticket, const WriteRequest& asked) {
  const Object& object = ticket.object;
  if (const char* const differs = what_differs(ticket, asked); differs != nullptr) {
    return Error{Exit::integrity, what,
                 fmt::format("the controller changed the {} that was asked for", differs), object.name,
                 "nothing was sent; do not use this controller before its operator looked at it"};
  }
  const bool own =
      asked.scheme == Scheme::rs || asked.k == 1 || (asked.k != 0 && asked.secret_blocks == asked.k);
  if (secrecy_threshold(object.layout) != 0 || own) return done;
  return Error{
      Exit::refused, what,
      fmt::format("the controller chose {} with k = {}, which keeps nothing secret: nobody asked for that",
                  name(object.layout.scheme), object.layout.k),
      object.name, "say which scheme you want: --scheme rs only for what is protected already"};
}

}  // namespace ssn::client
