// SPDX-License-Identifier: BSD-3-Clause
#include "drop.h"

namespace ssn::dataplane {
namespace {

std::uint16_t drop(Drop& state, Burst& burst) {
  state.dropped->add(burst.size());
  burst.for_each_chunk(
      [](Packet* const* packets, std::uint16_t count) { release(const_cast<Packet**>(packets), count); });
  return burst.size();
}

}  // namespace

const NodeType drop_type = node_type<drop>("drop", {});

}  // namespace ssn::dataplane
