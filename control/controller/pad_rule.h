// SPDX-License-Identifier: BSD-3-Clause
// Which rows of an object's matrix holders may keep from their pads. Pure: for the controller, which orders
// it, and for SSAs, which do not take its word. The rule and why it counts shares: docs/controller.md, "Pad
// shares".
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "types.h"

namespace ssn::controller {

/// What is known of the holder of a share.
struct PadHolder {
  std::string node;
  /// Key managers and relays that its pads cross, in any order; nothing: unknown.
  std::optional<std::vector<std::string>> crosses;
  /// Domains that the holder, and so its share, lies in.
  std::vector<std::string> in;
  bool delivered_once = false;  ///< its keys: not multicast, never delivered again
};

struct PadDecision {
  PadRule rule = PadRule::undecided;
  std::uint32_t rows = 0;    ///< holders of the rows 1 to this keep pads; 0: nobody
  std::string subject;       ///< the node or domain that limits it; empty: none does
  std::uint32_t learns = 0;  ///< shares of one cell that this domain would learn if one row more were kept
};

/// `holders` by share. `own`: the SSA's own key manager, which does not count; the SSA sees all data anyway.
PadDecision decide_pad_rows(const Layout& layout, std::string_view own, std::span<const PadHolder> holders);

/// For people: one line.
std::string reason_of(const PadDecision& decision);

}  // namespace ssn::controller
