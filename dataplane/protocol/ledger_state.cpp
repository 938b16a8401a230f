// SPDX-License-Identifier: BSD-3-Clause
#include "ssn/protocol/ledger_state.h"

#include <algorithm>
#include <cassert>

#include "bytes.h"
#include "stream_record.h"

namespace ssn::protocol {
namespace {

// The first byte of each record. Changes of a record take a new number.
enum RecordType : std::uint8_t { node_record = 1, peer_record = 2, marks_record = 3, forget_record = 4 };

constexpr std::uint8_t flag_self_quarantine = 1;
constexpr std::uint8_t flag_open = 1;
constexpr std::uint8_t flag_confirmed = 2;

bool valid_name(const std::string& name) { return !name.empty() && name.size() <= node_name_max; }

bool apply_node(ByteReader& in, LedgerState& state) {
  const std::string name = in.text();
  const std::uint64_t incarnation = in.number(8);
  const std::uint64_t flags = in.number(1);
  // A ledger is one node's from its first record on, and starts only count up.
  if (!in.ok() || !valid_name(name) || (flags & ~std::uint64_t{flag_self_quarantine}) != 0 ||
      (!state.node.empty() && state.node != name) || incarnation < state.incarnation) {
    return false;
  }
  state.node = name;
  state.incarnation = incarnation;
  state.self_quarantine = (flags & flag_self_quarantine) != 0;
  return true;
}

bool apply_peer(ByteReader& in, LedgerState& state) {
  const std::string name = in.text();
  PeerRecord peer;
  peer.epoch = in.number(8);
  peer.peer_epoch = in.number(8);
  peer.peer_incarnation = in.number(8);
  peer.peer_instance = in.bytes<16>();
  const std::uint64_t flags = in.number(1);
  const std::uint64_t quarantine = in.number(1);
  if (!in.ok() || !valid_name(name) || (flags & ~std::uint64_t{flag_open | flag_confirmed}) != 0 ||
      quarantine > static_cast<std::uint64_t>(Quarantine::cloned)) {
    return false;
  }
  peer.open = (flags & flag_open) != 0;
  peer.confirmed = (flags & flag_confirmed) != 0;
  peer.quarantine = static_cast<Quarantine>(quarantine);
  if (!read_streams(in, peer.streams)) return false;
  const auto known = state.peers.find(name);
  if (known != state.peers.end() && peer.epoch < known->second.epoch) return false;
  state.peers[name] = std::move(peer);
  return state.peers.size() <= peers_max && state.stream_count() <= ledger_streams_max;
}

bool apply_marks(ByteReader& in, LedgerState& state) {
  const std::string name = in.text();
  const std::uint64_t index = in.number(2);
  const std::uint64_t sent = in.number(8);
  const std::uint64_t seen = in.number(8);
  const auto peer = state.peers.find(name);
  if (!in.ok() || peer == state.peers.end() || index >= peer->second.streams.size()) return false;
  StreamRecord& stream = peer->second.streams[static_cast<std::size_t>(index)];
  if (sent < stream.sent || seen < stream.seen) return false;  // marks only grow
  stream.sent = sent;
  stream.seen = seen;
  return true;
}

bool apply_forget(ByteReader& in, LedgerState& state) {
  const std::string name = in.text();
  return in.ok() && state.peers.erase(name) == 1;
}

}  // namespace

std::size_t LedgerState::stream_count() const noexcept {
  std::size_t count = 0;
  for (const auto& [name, peer] : peers) count += peer.streams.size();
  return count;
}

void encode_node(const LedgerState& state, std::vector<std::uint8_t>& out) {
  assert(valid_name(state.node));
  ByteWriter writer(out);
  writer.number(node_record, 1);
  writer.text(state.node);
  writer.number(state.incarnation, 8);
  writer.number(state.self_quarantine ? flag_self_quarantine : 0, 1);
}

void encode_peer(const std::string& name, const PeerRecord& peer, std::vector<std::uint8_t>& out) {
  assert(valid_name(name) && peer.streams.size() <= peer_streams_max);
  ByteWriter writer(out);
  writer.number(peer_record, 1);
  writer.text(name);
  writer.number(peer.epoch, 8);
  writer.number(peer.peer_epoch, 8);
  writer.number(peer.peer_incarnation, 8);
  writer.bytes(peer.peer_instance);
  const unsigned open = peer.open ? flag_open : 0U;
  writer.number(open | (peer.confirmed ? flag_confirmed : 0U), 1);
  writer.number(static_cast<std::uint64_t>(peer.quarantine), 1);
  write_streams(writer, peer.streams);
}

void encode_marks(const std::string& name, std::uint16_t stream, const StreamRecord& record,
                  std::vector<std::uint8_t>& out) {
  ByteWriter writer(out);
  writer.number(marks_record, 1);
  writer.text(name);
  writer.number(stream, 2);
  writer.number(record.sent, 8);
  writer.number(record.seen, 8);
}

void encode_forget(const std::string& name, std::vector<std::uint8_t>& out) {
  ByteWriter writer(out);
  writer.number(forget_record, 1);
  writer.text(name);
}

bool apply_records(std::span<const std::uint8_t> records, LedgerState& state) {
  ByteReader in(records);
  while (in.left() > 0) {
    bool good = false;
    switch (in.number(1)) {
      case node_record:
        good = apply_node(in, state);
        break;
      case peer_record:
        good = apply_peer(in, state);
        break;
      case marks_record:
        good = apply_marks(in, state);
        break;
      case forget_record:
        good = apply_forget(in, state);
        break;
      default:
        break;
    }
    if (!good) return false;
  }
  return !state.node.empty();
}

}  // namespace ssn::protocol
