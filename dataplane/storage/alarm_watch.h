// SPDX-License-Identifier: BSD-3-Clause
// What is wrong with this node and its peers, from what its parts say of themselves: alarms for the
// controller. The inventory is control/alarms'.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "monitor.h"
#include "ssn/dataplane/key_report.h"
#include "ssn/roles/ssa.h"
#include "ssn/store/share_store.h"
#include "types.h"

namespace ssn::dataplane {

/// Thread-safe. Times are ms of a steady clock.
class AlarmWatch {
 public:
  explicit AlarmWatch(std::string node) : node_(std::move(node)) {}

  /// Of an SSA: about the shareholder of that name.
  void happened(const roles::SsaEvent& event, const std::string& holder, std::uint64_t now_ms);
  /// Whether a share was hurt.
  bool happened(const store::StoreEvent& event, std::uint64_t now_ms);
  /// An order of the controller was refused, because of the membership.
  void refused(const std::string& text, std::uint64_t now_ms);
  /// Of the membership that is pinned; empty: all is well, or there is none.
  void look_at_membership(const std::string& trouble, std::uint64_t now_ms);
  /// Why decisions cannot be logged, and which certificate ends soon; empty: all is well.
  void look_at_audit(const std::string& trouble, std::uint64_t now_ms);
  void look_at_certificates(const std::string& trouble, std::uint64_t now_ms);
  /// How it is now; `store` is null where there is none. All that is raised.
  std::vector<alarms::ActiveAlarm> look(const KeyReport& keys, const store::StoreStatus* store,
                                        std::uint64_t now_ms);

 private:
  void look_at_peer(const PeerKeyReport& peer, bool self_quarantine, std::uint64_t now_ms);

  const std::string node_;
  alarms::Monitor monitor_;
};

/// Of pads to send under, towards the peer for which fewest are ready.
controller::KeyStock key_stock(const KeyReport& keys);
/// What the channels with a peer show.
struct ChannelState {
  std::uint64_t round_trip_us = 0;  ///< smoothed; 0: not measured
  bool answers = true;              ///< it does what it is asked
};
/// How all peers are reached, for placement; `channels`: by peer.
std::vector<controller::PeerReport> peer_reports(const KeyReport& keys,
                                                 const std::map<std::string, ChannelState>& channels);

}  // namespace ssn::dataplane
