// SPDX-License-Identifier: BSD-3-Clause
// The nodes of the storage network. What they do is in ssn/protocol (channels) and ssn/roles, what they share
// in ssn/dataplane/storage_worker.h.
//
//   (link) > storage_receive            opener, channel, role
//   storage_step > (link)               source: keys, timers, what the store gave back, what departs
#pragma once

#include <memory>

#include "protocol_drops.h"
#include "ssn/dataplane/storage_worker.h"

namespace ssn::dataplane {

struct StorageNode {
  std::shared_ptr<StorageWorker> worker;
};

// Packets behind UDP. Edges: another worker's packets, connections that are not ready, then one for each
// reason of protocol::DropReason.
enum StorageReceiveEdge : std::uint16_t {
  storage_receive_handoff,
  storage_receive_not_ready,
  storage_receive_drop
};
extern const NodeType storage_receive_type;

enum StorageStepEdge : std::uint16_t { storage_step_link };
extern const NodeType storage_step_type;

}  // namespace ssn::dataplane
