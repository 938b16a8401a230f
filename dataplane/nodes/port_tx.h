// SPDX-License-Identifier: BSD-3-Clause
// Sends frames by this worker's queue of a port.
#pragma once

#include "ssn/dataplane/node.h"

namespace ssn::dataplane {

struct PortTx {
  std::uint16_t port_id = 0;
  std::uint16_t queue = 0;
  bool prepares = false;      ///< the port fills in checksums, and wants to see packets before
  std::uint32_t longest = 0;  ///< frame
};

enum PortTxEdge : std::uint16_t { port_tx_full, port_tx_too_long, port_tx_refused };
extern const NodeType port_tx_type;

}  // namespace ssn::dataplane
