// SPDX-License-Identifier: BSD-3-Clause
// Records of the sender, what it may send, and its timers. transport_loss.cpp is what acknowledgements do.
#include "ssn/protocol/transport_sender.h"

#include <algorithm>
#include <cassert>

#include "planted_faults.h"
#include "ssn/protocol/one_time_check.h"

namespace ssn::protocol {
namespace {

constexpr std::uint32_t none = TransportRecord::none;
/// RFC 9002, 6.1.
constexpr unsigned first_packet_threshold = 3;
constexpr unsigned first_time_threshold = 9;  // eighths
/// Records that are left for pings.
constexpr std::uint32_t ping_records = 16;
/// Packet numbers that can be told apart, for each record: acknowledgements and retransmissions take some.
constexpr std::uint32_t numbers_per_packet = 4;

std::uint64_t whole(std::uint64_t bytes) noexcept {
  return (bytes + pad_alignment - 1) / pad_alignment * pad_alignment;
}

/// What a packet takes of D: an order's check lies behind its range.
std::uint64_t d_bytes(const Cell& cell) noexcept {
  if (!has_pad_range(cell.header.type) || cell.computational) return 0;
  return whole(cell.range_length) + (is_padded(cell.header.type) ? 0 : whole(order_check_bytes));
}

}  // namespace

std::string_view name(SendLimit limit) noexcept {
  static constexpr std::string_view names[] = {"none",  "retransmissions", "window", "pace", "credit", "pads",
                                               "table", "suspect",         "ended",  "keys", "port"};
  static_assert(std::size(names) == send_limit_count);
  const auto at = static_cast<std::size_t>(limit);
  return at < send_limit_count ? names[at] : std::string_view("unknown");
}

std::string_view name(ExpireReason reason) noexcept {
  switch (reason) {
    case ExpireReason::deadline:
      return "deadline";
    case ExpireReason::not_stored:
      return "not_stored";
    case ExpireReason::pad_gone:
      return "pad_gone";
    case ExpireReason::ended:
      return "ended";
    case ExpireReason::abandoned:
      return "abandoned";
  }
  return "unknown";
}

TransportSender::TransportSender(const SenderOptions& options, std::uint64_t now_ns)
    : options_(options),
      table_(options.packets),
      deadlines_(options.deadline_tick_ns),
      pads_(options.packets * numbers_per_packet),
      cipher_(options.computational ? options.packets * numbers_per_packet : 64),
      trip_(options.initial_round_trip_ns, options.granularity_ns),
      window_(options.packet_bytes, options.most_window_bytes, options.congestion_control),
      pacer_(options.packet_bytes, options.granularity_ns, options.most_bytes_per_second),
      credit_(options.initial_credit),
      packet_threshold_(first_packet_threshold),
      time_threshold_(first_time_threshold),
      last_sent_ns_(now_ns),
      last_heard_ns_(now_ns) {
  pacer_.set_pace(window_, trip_);
}

RecordList& TransportSender::list_of(const TransportRecord& record) noexcept {
  switch (record.state) {
    case State::flying:
      return space_of(record).flying;
    case State::lost:
      return lost_;
    case State::resting:
      return resting_;
    case State::held:
      return held_;
    case State::received:
      return received_;
    case State::waiting:
      return waiting_;
    case State::stored:
      return stored_;
    case State::expired:
    case State::free:
      break;
  }
  return expired_;
}

TransportRecord* TransportSender::find(PacketHandle handle) noexcept {
  if (handle.record >= table_.capacity()) return nullptr;
  TransportRecord& record = table_[handle.record];
  return record.life == handle.life && record.state != State::free ? &record : nullptr;
}

void TransportSender::move(std::uint32_t at, State state) noexcept {
  TransportRecord& record = table_[at];
  table_.remove(list_of(record), TransportRecord::by_state, at);
  record.state = state;
  table_.append(list_of(record), TransportRecord::by_state, at);
}

// Nothing that arrives concerns it any more.
void TransportSender::unlink(std::uint32_t at) noexcept {
  if (table_.is_in(TransportRecord::by_range, at)) {
    table_.remove(unreceived_, TransportRecord::by_range, at);
  }
  if (table_.is_in(TransportRecord::by_storing, at)) {
    table_.remove(space_of(table_[at]).storing, TransportRecord::by_storing, at);
  }
  deadlines_.remove(table_, at);
}

void TransportSender::finish(std::uint32_t at) noexcept {
  table_.remove(list_of(table_[at]), TransportRecord::by_state, at);
  unlink(at);
  table_.give_back(at);
}

// In number order, which is that of their times.
void TransportSender::fly(std::uint32_t at, std::uint64_t number, std::uint64_t now_ns) noexcept {
  TransportRecord& record = table_[at];
  Space& space = space_of(record);
  record.number = number;
  record.sent_ns = now_ns;
  record.state = State::flying;
  table_.append(space.flying, TransportRecord::by_state, at);
  space.numbers.sent(number, at, record.life);
  window_.sent(record.bytes);
  pacer_.sent(record.bytes, now_ns);
  last_sent_ns_ = now_ns;
  asked_since_ns_ = std::min(asked_since_ns_, now_ns);
  if (record.computational) note_key(record.d_begin);
}

// Into the lists by range and until stored: both by D, which grows with every new packet unless the caller
// has mixed them; under AES-256-GCM by number.
void TransportSender::link(std::uint32_t at) noexcept {
  const TransportRecord& record = table_[at];
  const auto put = [&](RecordList& list, TransportRecord::List which, std::uint64_t TransportRecord::* key) {
    if (table_.is_in(which, at)) table_.remove(list, which, at);
    std::uint32_t before = list.tail;
    while (before != none && table_[before].*key > record.*key) {
      before = table_[before].links[which].previous;
    }
    table_.insert(list, which, before, at);
  };
  if (record.computational) {
    if (record.until_stored) put(cipher_.storing, TransportRecord::by_storing, &TransportRecord::number);
    return;
  }
  if (record.d_end == record.d_begin) return;
  put(unreceived_, TransportRecord::by_range, &TransportRecord::d_begin);
  if (record.until_stored) put(pads_.storing, TransportRecord::by_storing, &TransportRecord::d_begin);
  d_end_ = std::max(d_end_, record.d_end);
}

PacketHandle TransportSender::sent_one(const Outgoing& packet, std::uint64_t now_ns) noexcept {
  const Cell& cell = *packet.cell;
  assert(cell.seal_result == SealResult::sealed || cell.seal_result == SealResult::computational);
  assert(!ended_ && (!cell.computational || options_.computational));
  const std::uint32_t at = table_.take();
  assert(at != none);  // allowance() said how many
  TransportRecord& record = table_[at];
  record.cell = packet.cell;
  record.token = packet.token;
  record.deadline_ns = packet.deadline_ns;
  record.bytes = cell.packet_bytes();
  record.cells = packet.cells;
  record.computational = cell.computational;
  // Nothing but a number or a range can be acknowledged as stored.
  record.until_stored = packet.until_stored && (cell.computational || d_bytes(cell) != 0);
  record.d_begin = cell.header.d_offset;
  record.d_end = record.d_begin + d_bytes(cell);
  cells_in_flight_ += packet.cells;
  fly(at, cell.header.number, now_ns);
  link(at);
  if (!planted(PlantedFault::no_deadline)) deadlines_.add(table_, at);
  ++counters_.sent;
  return {at, record.life};
}

void TransportSender::sent(std::span<const Outgoing> packets, std::uint64_t now_ns) noexcept {
  for (const Outgoing& packet : packets) (void)sent_one(packet, now_ns);
}

void TransportSender::ping_sent(const Cell& cell, std::uint64_t now_ns) noexcept {
  assert(cell.header.type == PacketType::ping && !ended_);
  pings_wanted_ -= pings_wanted_ == 0 ? 0 : 1;
  ping_ns_ = now_ns;
  ++counters_.pings;
  const std::uint32_t at = table_.take();
  if (at == none) {  // it will be answered all the same
    last_sent_ns_ = now_ns;
    return;
  }
  TransportRecord& record = table_[at];
  record.computational = cell.computational;
  record.d_begin = record.d_end = cell.header.d_offset;
  fly(at, cell.header.number, now_ns);
}

// Numbers that can be given out before one that is waited for would be forgotten.
std::uint64_t TransportSender::numbers_left() const noexcept {
  const auto left = [this](const Space& space) {
    const std::uint64_t used = space.numbers.next() - lowest_number(space);
    const std::uint64_t half = space.numbers.capacity() / 2;
    return used < half ? half - used : 0;
  };
  return options_.computational ? std::min(left(pads_), left(cipher_)) : left(pads_);
}

// The receiver's ring gives room back by eighths.
std::uint64_t TransportSender::pads_left(std::uint32_t range_bytes) const noexcept {
  if (options_.peer_pad_ring_bytes == UINT64_MAX) return UINT64_MAX;
  const std::uint64_t ahead = d_end_ > pads_.acknowledged_below ? d_end_ - pads_.acknowledged_below : 0;
  const std::uint64_t most = options_.peer_pad_ring_bytes / 8 * 7;
  return most > ahead ? (most - ahead) / whole(range_bytes) : 0;
}

Allowance TransportSender::allowance(std::uint32_t payload_bytes, std::uint32_t cells, bool padded,
                                     std::uint64_t now_ns, std::uint32_t range_bytes) noexcept {
  const auto bytes = static_cast<std::uint32_t>(payload_bytes + overhead_bytes);
  Allowance out{UINT32_MAX, SendLimit::none};
  const auto at_most = [&](std::uint64_t packets, SendLimit limit) {
    if (packets < out.packets) out = {static_cast<std::uint32_t>(packets), limit};
  };
  const std::uint32_t records = table_.free() > ping_records ? table_.free() - ping_records : 0;
  at_most(std::min<std::uint64_t>(records, numbers_left()), SendLimit::table);
  at_most(std::max<std::uint64_t>(window_.room() / bytes, window_.in_flight() == 0 ? 1 : 0),
          SendLimit::window);
  at_most(pacer_.allowed(bytes, now_ns), SendLimit::pace);
  if (cells != 0 && !planted(PlantedFault::credit_ignored)) {
    at_most(credit_ > cells_in_flight_ ? (credit_ - cells_in_flight_) / cells : 0, SendLimit::credit);
  }
  if (padded) at_most(pads_left(range_bytes != 0 ? range_bytes : payload_bytes), SendLimit::pads);
  if (!lost_.empty()) at_most(0, SendLimit::retransmissions);
  if (suspect_) at_most(0, SendLimit::suspect);
  if (ended_) at_most(0, SendLimit::ended);
  // That a message may go does not mean that cells that wait for more have gone.
  if (cells != 0 || padded) {
    blocked_ = out.packets == 0 && (out.limit == SendLimit::credit || out.limit == SendLimit::pads);
    pacing_ = out.limit == SendLimit::pace;
  } else if (out.limit == SendLimit::pace) {
    pacing_ = true;
  }
  if (out.packets == 0) ++counters_.limited[static_cast<std::size_t>(out.limit)];
  return out;
}

std::size_t TransportSender::take_lost(std::span<LostPacket> out, std::uint64_t now_ns) noexcept {
  if (ended_ || lost_.empty()) return 0;
  const std::uint64_t paced =
      std::min<std::uint64_t>(out.size(), pacer_.allowed(options_.packet_bytes, now_ns));
  std::uint64_t room = window_.room();
  std::size_t taken = 0;
  while (taken < paced && !lost_.empty()) {
    const std::uint32_t at = lost_.head;
    const TransportRecord& record = table_[at];
    const bool alone = window_.in_flight() == 0 && taken == 0;
    if (room < record.bytes && !alone) break;
    room -= std::min<std::uint64_t>(room, record.bytes);
    out[taken++] = {record.cell, record.token, {at, record.life}};
    move(at, State::held);
  }
  pacing_ = taken == paced && taken < out.size() && !lost_.empty();
  return taken;
}

void TransportSender::sent_again(std::span<const LostPacket> packets, std::uint64_t now_ns) noexcept {
  for (const LostPacket& packet : packets) {
    TransportRecord* const record = find(packet.handle);
    if (record == nullptr || record->state != State::held) continue;
    const std::uint32_t at = packet.handle.record;
    const SealResult result = packet.cell->seal_result;
    const bool sealed = result == SealResult::sealed || result == SealResult::computational;
    table_.remove(held_, TransportRecord::by_state, at);
    if (sealed) {
      fly(at, packet.cell->header.number, now_ns);
      if (record->computational) link(at);
      ++counters_.sent_again;
    } else {
      record->state = State::lost;
      table_.insert(lost_, TransportRecord::by_state, none, at);
    }
    if (record->arrived) {  // while the caller had it
      (void)receive(at, UINT64_MAX);
    } else if (record->given_up) {
      expire(at, record->reason);
    } else if (result == SealResult::ended) {
      expire(at, ExpireReason::ended);
    }
  }
}

std::size_t TransportSender::take_received(std::span<ReceivedPacket> out) noexcept {
  std::size_t taken = 0;
  while (taken < out.size() && !received_.empty()) {
    const std::uint32_t at = received_.head;
    TransportRecord& record = table_[at];
    out[taken++] = {record.cell, record.token};
    record.cell = nullptr;
    if (!record.until_stored) {
      finish(at);
    } else if (record.is_stored) {
      move(at, State::stored);
    } else {
      move(at, State::waiting);
      if (record.given_up) expire(at, record.reason);
    }
  }
  return taken;
}

std::size_t TransportSender::take_stored(std::span<std::uint64_t> out) noexcept {
  std::size_t taken = 0;
  while (taken < out.size() && !stored_.empty()) {
    const std::uint32_t at = stored_.head;
    out[taken++] = table_[at].token;
    finish(at);
  }
  return taken;
}

std::size_t TransportSender::take_expired(std::span<ExpiredPacket> out) noexcept {
  std::size_t taken = 0;
  while (taken < out.size() && !expired_.empty()) {
    const std::uint32_t at = expired_.head;
    out[taken++] = {table_[at].cell, table_[at].token, table_[at].reason};
    finish(at);
  }
  return taken;
}

void TransportSender::expire(std::uint32_t at, ExpireReason reason) noexcept {
  TransportRecord& record = table_[at];
  switch (record.state) {
    case State::held:
    case State::received:  // the caller hears of that first
      if (!record.given_up && !record.is_stored && (record.until_stored || record.state == State::held)) {
        record.given_up = true;
        record.reason = record.state == State::held || reason != ExpireReason::deadline
                            ? reason
                            : ExpireReason::not_stored;
      }
      return;
    case State::waiting:
      record.reason = reason == ExpireReason::deadline ? ExpireReason::not_stored : reason;
      break;
    case State::flying:
      window_.left(record.bytes);
      [[fallthrough]];
    case State::lost:
    case State::resting:
      cells_in_flight_ -= record.cells;
      record.reason = reason;
      break;
    case State::stored:
    case State::expired:
    case State::free:
      return;
  }
  if (record.cell == nullptr && record.state == State::flying) return finish(at);  // a ping
  unlink(at);
  ++counters_.expired;
  move(at, State::expired);
}

void TransportSender::abandon(PacketHandle handle) noexcept {
  if (find(handle) != nullptr) expire(handle.record, ExpireReason::abandoned);
}

void TransportSender::gone(const PadGone& answer) noexcept {
  if (ended_ || answer.key_index != options_.key_index) return;
  std::uint32_t at = unreceived_.head;
  while (at != none && table_[at].d_begin < answer.d_offset) at = table_.next(TransportRecord::by_range, at);
  if (at != none && table_[at].d_begin == answer.d_offset) expire(at, ExpireReason::pad_gone);
}

void TransportSender::end() noexcept {
  if (ended_) return;
  ended_ = true;
  pings_wanted_ = 0;
  blocked_ = pacing_ = false;
  for (std::uint32_t at = 0; at < table_.capacity(); ++at) {
    if (table_[at].state != State::free) expire(at, ExpireReason::ended);
  }
  // What the caller has not been told yet, it still is; nothing else is waited for.
  pads_.loss_at = cipher_.loss_at = UINT64_MAX;
}

void TransportSender::heard(std::uint64_t now_ns) noexcept {
  last_heard_ns_ = now_ns;
  suspect_ = false;
  asked_since_ns_ = flying() ? now_ns : UINT64_MAX;
}

// Of everything that is waited for, and of keys that the receiver may not have taken yet.
std::uint64_t TransportSender::lowest_range() const noexcept {
  std::uint64_t lowest = d_end_;
  if (!unreceived_.empty()) lowest = std::min(lowest, table_[unreceived_.head].d_begin);
  if (!pads_.storing.empty()) lowest = std::min(lowest, table_[pads_.storing.head].d_begin);
  return std::min({lowest, unproven_keys_[0], unproven_keys_[1]});
}

// Of everything that can only be acknowledged by number.
std::uint64_t TransportSender::lowest_number(const Space& space) const noexcept {
  std::uint64_t lowest = space.numbers.next();
  if (!space.flying.empty()) lowest = std::min(lowest, table_[space.flying.head].number);
  if (&space == &cipher_ && !space.storing.empty()) {
    lowest = std::min(lowest, table_[space.storing.head].number);
  }
  return lowest;
}

Ping TransportSender::make_ping(std::uint64_t keep_from) noexcept {
  // What was sent last ends at d_end_, but holes may lie between that and the next range.
  const bool nothing = unreceived_.empty() && pads_.storing.empty() && !key_unproven();
  const std::uint64_t below = nothing ? keep_from : std::min(lowest_range(), keep_from);
  cipher_.stated_below = std::max(cipher_.stated_below, lowest_number(cipher_));
  return {below / pad_alignment * pad_alignment, cipher_.stated_below};
}

bool TransportSender::ping_under_cipher(bool unused_key) const noexcept {
  if (!options_.computational) return false;
  const bool flying = !cipher_.flying.empty() && !planted(PlantedFault::silent_cipher);
  const bool cipher = unused_key || key_unproven() || flying;
  const bool both = cipher && !pads_.flying.empty();
  return both ? counters_.pings % 2 == 0 : cipher;  // by turns
}

void TransportSender::note_key(std::uint64_t d_offset) noexcept {
  if (newest_key_ != UINT64_MAX && d_offset <= newest_key_) return;
  newest_key_ = d_offset;
  unproven_keys_[0] = unproven_keys_[1];
  unproven_keys_[1] = d_offset;
}

void TransportSender::prove_key(std::uint64_t d_offset) noexcept {
  for (std::uint64_t& key : unproven_keys_) {
    if (key == d_offset) key = UINT64_MAX;
  }
}

std::uint64_t TransportSender::probe_interval(std::uint64_t first_ns) const noexcept {
  const std::uint64_t most = std::max(options_.most_probe_ns, first_ns);
  return first_ns > most >> back_off_ ? most : first_ns << back_off_;
}

std::uint64_t TransportSender::probe_at() const noexcept {
  if (ended_ || planted(PlantedFault::no_probe)) return UINT64_MAX;
  std::uint64_t at = UINT64_MAX;
  if (flying() || blocked_) {
    at = last_sent_ns_ + probe_interval(trip_.probe_timeout(options_.peer_delay_ns));
  }
  if (!pads_.storing.empty() || !cipher_.storing.empty()) {
    at = std::min(
        at, std::max({stored_heard_ns_, ping_ns_, last_sent_ns_}) + probe_interval(options_.stored_probe_ns));
  }
  if (options_.keepalive_ns != 0) {
    at = std::min(at, std::max(last_heard_ns_, last_sent_ns_) + options_.keepalive_ns);
  }
  return at;
}

std::uint64_t TransportSender::suspect_at() const noexcept {
  if (suspect_ || ended_ || asked_since_ns_ == UINT64_MAX) return UINT64_MAX;
  return asked_since_ns_ + options_.suspect_ns;
}

// Two pings from the second one on: a single one may be lost again.
void TransportSender::probe(std::uint64_t now_ns) noexcept {
  pings_wanted_ = std::max(pings_wanted_, flying() && back_off_ != 0 ? 2U : 1U);
  if (flying() || blocked_) {
    back_off_ = std::min(back_off_ + 1, 20U);
    ++counters_.probe_timeouts;
  }
  blocked_ = false;        // as long as it is so, allowance() says it again
  last_sent_ns_ = now_ns;  // the caller's part now; if it cannot, again later
}

void TransportSender::due(std::uint64_t now_ns) noexcept {
  if (ended_) return;
  // Said once: whoever still has something to send asks for its allowance again.
  if (pacing_ && pacer_.next() <= now_ns) pacing_ = false;
  for (Space* const space : {&pads_, &cipher_}) {
    if (space->loss_at <= now_ns) detect_losses(*space, now_ns);
  }
  while (!resting_.empty() && table_[resting_.head].rest_ns <= now_ns) move(resting_.head, State::lost);
  deadlines_.advance(table_, now_ns, [this](std::uint32_t at) {
    deadlines_.remove(table_, at);
    expire(at, ExpireReason::deadline);
  });
  // Said once: allowance() says so again to a caller that still wants to send.
  if (pacing_ && pacer_.next() <= now_ns) pacing_ = false;
  if (probe_at() <= now_ns) probe(now_ns);
  if (suspect_at() <= now_ns) {
    suspect_ = true;
    ++counters_.suspected;
  }
}

std::uint64_t TransportSender::next_due() const noexcept {
  const std::uint64_t at =
      std::min({pads_.loss_at, cipher_.loss_at, deadlines_.next(), probe_at(), suspect_at(),
                resting_.empty() ? UINT64_MAX : table_[resting_.head].rest_ns});
  return pacing_ ? std::min(at, pacer_.next()) : at;
}

bool TransportSender::audit() const noexcept {
  std::uint64_t bytes = 0;
  std::uint64_t cells = 0;
  std::uint32_t states[10] = {};
  std::uint32_t ranges = 0;
  std::uint32_t storing = 0;
  for (std::uint32_t at = 0; at < table_.capacity(); ++at) {
    const TransportRecord& record = table_[at];
    const bool under_way = record.state == State::flying || record.state == State::lost ||
                           record.state == State::resting || record.state == State::held;
    ++states[static_cast<std::size_t>(record.state)];
    bytes += record.state == State::flying ? record.bytes : 0;
    cells += under_way ? record.cells : 0;
    ranges += table_.is_in(TransportRecord::by_range, at) ? 1 : 0;
    storing += table_.is_in(TransportRecord::by_storing, at) ? 1 : 0;
    if (!table_.is_in(TransportRecord::by_state, at)) return false;
    if (under_way && record.cell == nullptr && record.bytes != 0) return false;
    if (table_.is_in(TransportRecord::by_range, at) && !under_way) return false;
  }
  const auto count = [&](State state) { return states[static_cast<std::size_t>(state)]; };
  return bytes == window_.in_flight() && cells == cells_in_flight_ && ranges == unreceived_.count &&
         storing == pads_.storing.count + cipher_.storing.count &&
         count(State::flying) == pads_.flying.count + cipher_.flying.count &&
         count(State::lost) == lost_.count && count(State::resting) == resting_.count &&
         count(State::held) == held_.count && count(State::received) == received_.count &&
         count(State::waiting) == waiting_.count && count(State::stored) == stored_.count &&
         count(State::expired) == expired_.count && count(State::free) == table_.free();
}

}  // namespace ssn::protocol
