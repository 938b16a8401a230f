// SPDX-License-Identifier: BSD-3-Clause
// What a node remembers across restarts: who it is, and for each peer the epoch, its streams and their marks.
// Nothing in it is secret.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ssn/hw/result.h"
#include "ssn/key_device.h"

namespace ssn::protocol {

using Ksid = std::array<std::uint8_t, SSN_KSID_BYTES>;
/// Of one run of a node's process; random.
using InstanceId = std::array<std::uint8_t, 16>;

inline constexpr std::size_t node_name_max = SSN_PEER_NAME_MAX;
inline constexpr std::size_t peers_max = 512;
/// Connections (sender workers) of one pair of nodes.
inline constexpr std::size_t workers_max = 64;
/// Ends of streams that one ledger holds: 4 for each worker and peer.
inline constexpr std::size_t ledger_streams_max = 8192;

enum class StreamKind : std::uint8_t { pads = 0, tag_keys = 1 };

/// One end of one key stream in the last epoch.
struct StreamRecord {
  Ksid ksid{};
  StreamKind kind = StreamKind::pads;
  bool sender = false;       ///< this node's role
  std::uint16_t worker = 0;  ///< of the sender
  /// Sender: no offset at or above was ever used. Receiver: the peer's, as it last stated.
  std::uint64_t sent = 0;
  /// Receiver: some byte below was seen, and perhaps bytes above. Sender: the peer's, as it last stated.
  std::uint64_t seen = 0;
};

/// Why nothing is done with a peer until an operator readmits it.
enum class Quarantine : std::uint8_t {
  none = 0,
  rolled_back = 1,  ///< it is behind what this node saw of it
  cloned = 2,       ///< two of it were there at once
};

struct PeerRecord {
  std::uint64_t epoch = 0;             ///< the highest that this node entered with the peer
  std::uint64_t peer_epoch = 0;        ///< the highest that the peer stated to have entered
  std::uint64_t peer_incarnation = 0;  ///< its latest run, as it stated
  InstanceId peer_instance{};
  bool open = false;       ///< the streams of `epoch` may be in use; false from any restart on
  bool confirmed = false;  ///< the peer confirmed `epoch` with these streams
  Quarantine quarantine = Quarantine::none;
  std::vector<StreamRecord> streams;  ///< of `epoch`
};

struct LedgerState {
  std::string node;
  std::uint64_t incarnation = 0;  ///< how often this node was started
  bool self_quarantine = false;   ///< a peer proved that this node was rolled back or cloned
  std::map<std::string, PeerRecord, std::less<>> peers;

  std::size_t stream_count() const noexcept;
};

/// A ledger's records; every number in them is checked, nothing is believed. Used by ledger.cpp and fuzzed.
void encode_node(const LedgerState& state, std::vector<std::uint8_t>& out);
void encode_peer(const std::string& name, const PeerRecord& peer, std::vector<std::uint8_t>& out);
void encode_marks(const std::string& name, std::uint16_t stream, const StreamRecord& record,
                  std::vector<std::uint8_t>& out);
void encode_forget(const std::string& name, std::vector<std::uint8_t>& out);
/// Applies a batch of records. False where they are not what this version writes; `state` is then unusable.
bool apply_records(std::span<const std::uint8_t> records, LedgerState& state);

}  // namespace ssn::protocol
