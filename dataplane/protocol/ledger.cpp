// SPDX-License-Identifier: BSD-3-Clause
#include "ssn/protocol/ledger.h"

#include <algorithm>
#include <cassert>

#include "ledger_log.h"
#include "planted_faults.h"

namespace ssn::protocol {

static_assert(ledger_file_bytes == ledger_areas * ledger_area_blocks * ledger_block_bytes);

std::vector<std::uint8_t> Ledger::initial_image(std::string_view node) {
  LedgerState state;
  state.node = node;
  std::vector<std::uint8_t> records;
  encode_node(state, records);
  const LedgerTail tail;
  const std::vector<std::uint8_t> batch = encode_batch(tail, records);
  std::vector<std::uint8_t> image(ledger_file_bytes);
  std::copy(batch.begin(), batch.end(),
            image.begin() + static_cast<std::ptrdiff_t>(area_of(tail.generation) * ledger_area_blocks *
                                                        ledger_block_bytes));
  return image;
}

Result<Ledger> Ledger::open(std::string_view node, std::span<const std::uint8_t> image,
                            std::uint64_t extent) {
  assert(extent >= least_extent);
  Ledger ledger;
  Result<LedgerTail> tail = read_log(image, ledger.state_);
  if (!tail.ok()) return tail.error();
  if (ledger.state_.node != node) {
    return Error{Exit::refused, "cannot use the ledger",
                 "it belongs to the node " + ledger.state_.node + ", and this is " + std::string(node), "",
                 "give each node a ledger of its own"};
  }
  ledger.extent_ = extent;
  ledger.generation_ = tail.value().generation;
  ledger.last_number_ = tail.value().next_batch - 1;
  ledger.durable_ = ledger.last_number_;
  ++ledger.state_.incarnation;
  for (auto& [name, peer] : ledger.state_.peers) {
    if (!planted(PlantedFault::reuse_after_crash)) peer.open = false;
  }
  return ledger;
}

const PeerRecord* Ledger::peer(std::string_view name) const noexcept {
  const auto found = state_.peers.find(name);
  return found == state_.peers.end() ? nullptr : &found->second;
}

PeerRecord& Ledger::peer_record(std::string_view name) {
  const auto found = state_.peers.find(name);
  if (found != state_.peers.end()) return found->second;
  assert(state_.peers.size() < peers_max);
  return state_.peers[std::string(name)];
}

LedgerTicket Ledger::changed(std::string_view name) {
  if (!snapshot_) encode_peer(std::string(name), peer_record(name), records_);
  return next_number();
}

Result<LedgerTicket> Ledger::enter_epoch(std::string_view name, PeerRecord record) {
  const PeerRecord* const known = peer(name);
  const std::size_t streams =
      state_.stream_count() - (known != nullptr ? known->streams.size() : 0) + record.streams.size();
  if (!has_room(name) || streams > ledger_streams_max) {
    return Error{Exit::refused, "cannot open streams with " + std::string(name),
                 "the ledger holds " + std::to_string(peers_max) + " peers and " +
                     std::to_string(ledger_streams_max) + " ends of streams at most",
                 "", "forget peers that are gone, or use fewer workers"};
  }
  assert(known == nullptr || record.epoch > known->epoch);  // epochs only count up
  detach(name);
  record.confirmed = false;
  for (StreamRecord& stream : record.streams) {
    stream.sent = stream.sender ? extent_ : 0;
    stream.seen = 0;
  }
  record.open = true;
  peer_record(name) = std::move(record);
  const LedgerTicket ticket = changed(name);
  entered_[std::string(name)] = ticket;
  return ticket;
}

LedgerTicket Ledger::end_epoch(std::string_view name) {
  settle(name);
  detach(name);
  if (peer(name) == nullptr) return everything();
  peer_record(name).open = false;
  return changed(name);
}

LedgerTicket Ledger::note_peer(std::string_view name, const PeerRecord& record) {
  PeerRecord& known = peer_record(name);
  assert(record.epoch == known.epoch);
  const bool open = known.open;
  known = record;
  known.open = open;
  return changed(name);
}

LedgerTicket Ledger::quarantine(std::string_view name, Quarantine reason) {
  detach(name);
  PeerRecord& known = peer_record(name);
  known.open = false;
  known.quarantine = reason;
  return changed(name);
}

LedgerTicket Ledger::quarantine_self() {
  for (const auto& [name, peer] : state_.peers) detach(name);
  state_.self_quarantine = true;
  if (!snapshot_) encode_node(state_, records_);
  return next_number();
}

LedgerTicket Ledger::readmit(std::string_view name) {
  PeerRecord fresh;
  if (const PeerRecord* known = peer(name); known != nullptr) fresh.epoch = known->epoch;
  detach(name);
  peer_record(name) = fresh;
  return changed(name);
}

LedgerTicket Ledger::readmit_self() {
  state_.self_quarantine = false;
  if (!snapshot_) encode_node(state_, records_);
  return next_number();
}

LedgerTicket Ledger::forget(std::string_view name) {
  detach(name);
  const auto found = state_.peers.find(name);
  if (found == state_.peers.end()) return everything();
  if (!snapshot_) encode_forget(found->first, records_);
  state_.peers.erase(found);
  return next_number();
}

void Ledger::attach(std::string_view name, std::size_t stream, StreamMarks& marks) {
  const PeerRecord* const known = peer(name);
  assert(known != nullptr && known->open && stream < known->streams.size());
  const auto entered = entered_.find(name);
  assert(entered != entered_.end() && durable_ >= entered->second);
  Followed followed{std::string(name), static_cast<std::uint16_t>(stream), &marks};
  const StreamRecord& record = known->streams[stream];
  if (record.sender) {
    followed.staged = extent_;
    if (!failed_) marks.grant(extent_);
  }
  followed_.push_back(std::move(followed));
}

void Ledger::detach(std::string_view name) {
  std::erase_if(followed_, [&](const Followed& followed) {
    if (followed.peer != name) return false;
    followed.marks->revoke();
    return true;
  });
}

// Takes over the progress of one stream where that is worth a write, or in any case.
bool Ledger::follow(Followed& followed, bool all) {
  StreamRecord& record = state_.peers.find(followed.peer)->second.streams[followed.stream];
  const std::uint64_t progress = followed.marks->progress();
  if (record.sender) {
    if (record.sent >= progress && record.sent - progress >= extent_ / 2) return false;
    record.sent = std::max(record.sent, progress + extent_);
    followed.staged = record.sent;
  } else {
    if (progress <= record.seen || (!all && progress - record.seen < extent_)) return false;
    record.seen = progress;
  }
  if (!snapshot_) encode_marks(followed.peer, followed.stream, record, records_);
  return true;
}

void Ledger::settle(std::string_view name) {
  for (Followed& followed : followed_) {
    if (followed.peer == name) (void)follow(followed, true);
  }
}

bool Ledger::collect() {
  if (failed_) return false;
  bool any = false;
  for (Followed& followed : followed_) any |= follow(followed, false);
  if (any) {
    for (Followed& followed : followed_) (void)follow(followed, true);
  }
  return dirty();
}

// The whole state, in the other area.
void Ledger::start_area() {
  records_.clear();
  encode_node(state_, records_);
  for (const auto& [name, peer] : state_.peers) encode_peer(name, peer, records_);
  snapshot_ = false;
}

const LedgerBatch* Ledger::next_batch() {
  if (in_flight_ || !dirty()) return nullptr;
  if (snapshot_) start_area();
  std::vector<std::uint8_t> bytes = encode_batch({generation_, next_block_, next_number()}, records_);
  if (bytes.empty()) {
    ++generation_;
    next_block_ = 0;
    start_area();
    bytes = encode_batch({generation_, next_block_, next_number()}, records_);
    assert(!bytes.empty());  // the limits of peers and streams see to that
  }
  records_.clear();
  batch_.number = ++last_number_;
  batch_.offset = (area_of(generation_) * ledger_area_blocks + next_block_) * ledger_block_bytes;
  batch_.bytes = std::move(bytes);
  for (Followed& followed : followed_) followed.in_batch = followed.staged;
  in_flight_ = true;
  return &batch_;
}

void Ledger::committed() {
  assert(in_flight_ && !failed_);
  in_flight_ = false;
  durable_ = batch_.number;
  next_block_ += static_cast<std::uint32_t>(batch_.bytes.size() / ledger_block_bytes);
  for (Followed& followed : followed_) {
    const StreamRecord& record = state_.peers.find(followed.peer)->second.streams[followed.stream];
    if (record.sender && followed.in_batch > followed.marks->granted()) {
      followed.marks->grant(followed.in_batch);
    }
  }
}

void Ledger::fail() {
  failed_ = true;
  in_flight_ = false;
  for (Followed& followed : followed_) followed.marks->revoke();
}

}  // namespace ssn::protocol
