// SPDX-License-Identifier: BSD-3-Clause
// The nodes of wire mode, in the order in which a frame passes them. Each file has one node; what they do is
// in ssn/protocol (docs/wire-mode.md), what they share in ssn/dataplane/wire_worker.h.
//
//   wire_pack > wire_split > offload_submit > wire_send > (link)         one of each stream
//   (link) > wire_receive > wire_recover > offload_submit > wire_unpack > (port)
//
// wire_timer looks after what no packet would wake: keys, time bounds, ends of connections.
#pragma once

#include "offload_submit.h"
#include "protocol_drops.h"

namespace ssn::dataplane {

// Frames of a client port. State: WireStreamWorker.
enum WirePackEdge : std::uint16_t { wire_pack_split, wire_pack_others, wire_pack_no_keys, wire_pack_no_room };
extern const NodeType wire_pack_type;

// A nudge: blocks become jobs. State: WireStreamWorker.
enum WireSplitEdge : std::uint16_t { wire_split_submit, wire_split_send };
extern const NodeType wire_split_type;

// Completed jobs: packets of shares go to their links. State: WireStreamWorker.
enum WireSendEdge : std::uint16_t { wire_send_link };
extern const NodeType wire_send_type;

// Packets behind UDP. State: WireReceive. Appended edges: wire_recover of each stream, in their order.
struct WireReceive {
  std::shared_ptr<WireWorker> worker;
  std::vector<std::uint16_t> recover;  ///< edge of each of worker->streams
};
/// Edges: another worker's packets, other types, then one for each reason of protocol::DropReason.
enum WireReceiveEdge : std::uint16_t { wire_receive_handoff, wire_receive_type, wire_receive_drop };
extern const NodeType wire_receive_type_node;

// A nudge: blocks with enough shares become jobs. State: WireStreamWorker.
enum WireRecoverEdge : std::uint16_t { wire_recover_submit, wire_recover_unpack };
extern const NodeType wire_recover_type;

// Completed jobs, or a nudge: frames go to the client port. State: WireStreamWorker.
enum WireUnpackEdge : std::uint16_t { wire_unpack_port, wire_unpack_drop };
extern const NodeType wire_unpack_type;

// Source. Appended edges: wire_split and wire_recover (which looks at blocks that waited, then nudges
// wire_unpack) of each stream.
struct WireTimer {
  std::shared_ptr<WireWorker> worker;
  std::vector<std::uint16_t> split;
  std::vector<std::uint16_t> recover;
};
extern const NodeType wire_timer_type;

/// Cells that a collector is done with: frees shares that were used, drops the others with their reason.
void release_cells(protocol::BlockCollector& collector, Burst& burst, std::uint16_t first_drop) noexcept;

}  // namespace ssn::dataplane
