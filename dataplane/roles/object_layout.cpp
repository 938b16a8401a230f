// SPDX-License-Identifier: BSD-3-Clause
#include "ssn/roles/object_layout.h"

#include <algorithm>
#include <string>

#include "ssn/protocol/wire.h"

namespace ssn::roles {
namespace {

Error wrong(std::string why, std::string fix) {
  return {Exit::usage, "cannot use this layout", std::move(why), "layout", std::move(fix)};
}

Outcome check_holders(const ObjectLayout& layout) {
  if (layout.holders.size() != layout.n) {
    return wrong(
        std::to_string(layout.holders.size()) + " holders for " + std::to_string(layout.n) + " shares",
        "Name one holder for each share.");
  }
  std::vector<std::uint16_t> sorted = layout.holders;
  std::sort(sorted.begin(), sorted.end());
  if (std::adjacent_find(sorted.begin(), sorted.end()) != sorted.end()) {
    return wrong("a holder has two shares", "Give each share to another holder.");
  }
  return done;
}

}  // namespace

Outcome complete(ObjectLayout& layout, kernels::Code& code) {
  const kernels::Status status =
      kernels::Code::make(layout.scheme, layout.k, layout.n, layout.secret_blocks, code);
  if (status != kernels::Status::ok) {
    return wrong(std::string(kernels::describe(status)), "Choose other numbers of shares.");
  }
  if (layout.cell_bytes == 0 || layout.cell_bytes % 64 != 0 || layout.cell_bytes > protocol::max_payload) {
    return wrong("a cell of " + std::to_string(layout.cell_bytes) + " bytes",
                 "Choose a multiple of 64 up to " + std::to_string(protocol::max_payload / 64 * 64) + ".");
  }
  if ((layout.row_rule == RowRule::rotating) != (layout.cells_per_turn != 0)) {
    return wrong("rows that rotate without turns, or turns of rows that do not",
                 "Give cells_per_turn with rotating rows, and only then.");
  }
  if (layout.quorum == 0) layout.quorum = (layout.n + layout.k + 1) / 2;
  if (layout.minimum == 0) layout.minimum = layout.k;
  if (layout.minimum < layout.k || layout.quorum < layout.minimum || layout.quorum > layout.n) {
    return wrong("a minimum of " + std::to_string(layout.minimum) + " holders and a quorum of " +
                     std::to_string(layout.quorum),
                 "Keep to k <= minimum <= quorum <= n.");
  }
  return check_holders(layout);
}

}  // namespace ssn::roles
