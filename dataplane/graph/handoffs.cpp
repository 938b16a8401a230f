// SPDX-License-Identifier: BSD-3-Clause
#include "handoffs.h"

#include <fmt/core.h>
#include <rte_errno.h>
#include <rte_mbuf.h>
#include <rte_ring.h>

namespace ssn::dataplane {

HandoffRings::~HandoffRings() {
  for (rte_ring* const ring : rings_) {
    void* packet = nullptr;
    while (rte_ring_dequeue(ring, &packet) == 0) rte_pktmbuf_free(static_cast<rte_mbuf*>(packet));
    rte_ring_free(ring);
  }
}

Result<HandoffRings*> Pipeline::Handoffs::rings(std::string_view label) {
  if (const auto known = rings_.find(label); known != rings_.end()) return known->second.get();
  std::vector<rte_ring*> made;
  for (std::size_t i = 0; i < workers_.size(); ++i) {
    // Names of rings are short.
    const std::string name = fmt::format("handoff{}_{}", rings_.size(), i);
    rte_ring* const ring =
        rte_ring_create(name.c_str(), HandoffRings::ring_packets, SOCKET_ID_ANY, RING_F_SC_DEQ);
    if (ring == nullptr) {
      const std::string why = rte_strerror(rte_errno);
      for (rte_ring* const each : made) rte_ring_free(each);
      return Error{Exit::temporary, "cannot make a ring between workers", why, std::string(label),
                   "give the process more memory: [eal] memory"};
    }
    made.push_back(ring);
  }
  auto rings = std::make_unique<HandoffRings>(std::move(made), workers_);
  HandoffRings* const given = rings.get();
  rings_.emplace(label, std::move(rings));
  return given;
}

}  // namespace ssn::dataplane
