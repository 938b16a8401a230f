// SPDX-License-Identifier: BSD-3-Clause
#include "telling.h"

#include <algorithm>

namespace ssn::dataplane {

bool is_due(std::span<const SessionMessage::Position> now, std::span<const SessionMessage::Position> told,
            std::chrono::nanoseconds ago, const ConnectionLimits& limits) {
  if (now.size() != told.size()) return true;
  if (std::equal(now.begin(), now.end(), told.begin())) return false;
  if (ago >= calm_telling_interval) return true;
  for (std::size_t i = 0; i < now.size(); ++i) {
    if (now[i].pads - told[i].pads >= limits.pad_ring_bytes / telling_parts ||
        now[i].tag_keys - told[i].tag_keys >= limits.tag_ring() / telling_parts) {
      return true;
    }
  }
  return false;
}

}  // namespace ssn::dataplane
