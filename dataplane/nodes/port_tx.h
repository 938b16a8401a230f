// SPDX-License-Identifier: BSD-3-Clause
// Sends frames by this worker's queue of a port. What the device does not take at once waits in order,
// bounded; port_flush, a source, tries again in each walk, for all ports of its worker.
#pragma once

#include <array>
#include <memory>
#include <vector>

#include "ssn/dataplane/node.h"
#include "ssn/dataplane/port.h"

namespace ssn::dataplane {

struct PortTx {
  static constexpr std::uint32_t waiting_max = 512;  ///< a power of two

  PortTx(PortDevice& of, Counter& all_packets, Counter& all_bytes, Counter& waits) noexcept
      : device(&of), packets(&all_packets), bytes(&all_bytes), waited(&waits) {}
  PortTx(const PortTx&) = delete;
  PortTx& operator=(const PortTx&) = delete;
  /// Releases what waits.
  ~PortTx();

  PortDevice* device;
  std::uint16_t queue = 0;
  bool prepares = false;      ///< the port fills in checksums, and wants to see packets before
  std::uint32_t longest = 0;  ///< frame
  Counter* packets;           ///< port.NAME.tx_packets
  Counter* bytes;
  Counter* waited;  ///< packets that the device did not take at once

  std::uint32_t first = 0;  // of those that wait
  std::uint32_t count = 0;
  std::array<Packet*, waiting_max> waiting{};
};

struct PortFlush {
  std::vector<std::shared_ptr<PortTx>> ports;
};

enum PortTxEdge : std::uint16_t { port_tx_full, port_tx_too_long, port_tx_refused };
extern const NodeType port_tx_type;
/// State: PortFlush. Appended edges: what it sends for. DPDK wants a way on from each source, and this one
/// has no packets of its own.
extern const NodeType port_flush_type;

}  // namespace ssn::dataplane
