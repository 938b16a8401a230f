// SPDX-License-Identifier: BSD-3-Clause
#include "ssn/dataplane/kept_rows.h"

#include <algorithm>

#include "pad_rule.h"

namespace ssn::dataplane {

unsigned allowed_rows(const controller::Layout& layout, const Configuration& configuration) {
  if (layout.kept_rows == 0 || layout.row_rule != controller::RowRule::rotating) return 0;
  std::vector<controller::PadHolder> holders;
  for (const controller::Holder& holder : layout.holders) {
    controller::PadHolder known{holder.node, std::nullopt, {}, true};
    if (const PeerConfiguration* const peer = configuration.peer(holder.node); peer != nullptr) {
      known.crosses = peer->key_path;
      if (peer->key_path && !peer->key_path->empty()) known.in = {peer->key_path->back()};
    }
    holders.push_back(std::move(known));
  }
  const controller::PadDecision decision =
      controller::decide_pad_rows(layout, configuration.controller.key_manager, holders);
  return std::min(decision.rows, layout.kept_rows);
}

}  // namespace ssn::dataplane
