// SPDX-License-Identifier: BSD-3-Clause
// The end of packets that go no further: one instance for each reason, drop-REASON, with the counter
// drop.REASON.
#pragma once

#include "ssn/dataplane/counters.h"
#include "ssn/dataplane/node.h"

namespace ssn::dataplane {

struct Drop {
  explicit Drop(Counter& counter) noexcept : dropped(&counter) {}
  Counter* dropped;
};
extern const NodeType drop_type;

}  // namespace ssn::dataplane
