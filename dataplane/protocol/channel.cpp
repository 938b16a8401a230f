// SPDX-License-Identifier: BSD-3-Clause
#include "ssn/protocol/channel.h"

#include <algorithm>
#include <bit>
#include <cassert>
#include <cstring>

#include "planted_faults.h"

namespace ssn::protocol {
namespace {

/// Departures that new packets leave to acknowledgements, pings and answers.
constexpr std::size_t kept_departures = 16;

constexpr std::size_t longest_message = std::max(max_acknowledgement_bytes, ping_bytes);

std::uint64_t whole(std::uint64_t bytes) noexcept {
  return (bytes + pad_alignment - 1) / pad_alignment * pad_alignment;
}

bool was_sealed(const Cell& cell) noexcept {
  return cell.seal_result == SealResult::sealed || cell.seal_result == SealResult::computational;
}

SenderOptions sender_options(SenderOptions options, const SendKeys& keys) noexcept {
  options.key_index = keys.key_index;
  options.computational = keys.policy == ShortagePolicy::aes_256_gcm;
  return options;
}

ReceiverOptions receiver_options(ReceiverOptions options, const ReceiveKeys& keys) noexcept {
  options.key_index = keys.key_index;
  options.computational = keys.gcm != nullptr;
  return options;
}

bool is_for_owner(const Cell& cell) noexcept {
  switch (cell.open_result) {
    case OpenResult::opened:
    case OpenResult::kept:
    case OpenResult::masked:
    case OpenResult::contributed:
      return true;
    case OpenResult::message:
      return cell.header.type != PacketType::ping;
    default:
      return false;
  }
}

}  // namespace

Channel::Channel(const ChannelOptions& options, SendKeys& send, ReceiveKeys& receive, Sealer& sealer,
                 PacketPool& pool, std::uint64_t now_ns)
    : options_(options),
      send_(&send),
      receive_(&receive),
      sealer_(&sealer),
      pool_(&pool),
      sender_(sender_options(options.sender, send), now_ns),
      receiver_(receiver_options(options.receiver, receive)),
      queue_(options.departures) {
  assert(std::has_single_bit(queue_.size()) && queue_.size() >= 2 * max_burst);
  assert(!seals_aside() || send.gcm != nullptr);
}

Channel::~Channel() {
  end(0);
  std::array<Settled, max_burst> rest;
  while (take_settled(rest) != 0) {
  }
}

void Channel::depart(Cell* cell, bool held) noexcept {
  assert(departures_left() != 0);
  queue_[tail_++ & (queue_.size() - 1)] = {cell, held};
}

// Only where the port is behind is there anything to look through.
Departure* Channel::queued(const Cell* cell) noexcept {
  for (std::uint64_t at = head_; at != tail_; ++at) {
    Departure& each = queue_[at & (queue_.size() - 1)];
    if (each.cell == cell) return &each;
  }
  return nullptr;
}

// The channel is done with it. False: it has not even departed, and is the port's now.
bool Channel::let_go(const Cell* cell) noexcept {
  Departure* const departure = queued(cell);
  if (departure == nullptr || planted(PlantedFault::queued_given_back)) return true;
  departure->held = false;
  return false;
}

void Channel::release(Cell* cell) noexcept {
  if (let_go(cell)) pool_->give_back({&cell, 1});
}

Cell* Channel::fresh() noexcept {
  Cell* cell = nullptr;
  if (pool_->take({&cell, 1}) == 1) return cell;
  ++counters_.no_cells;
  return nullptr;
}

Allowance Channel::allow(std::uint32_t payload_bytes, std::uint32_t cells, std::uint32_t range_bytes,
                         std::uint64_t now_ns) noexcept {
  const std::uint64_t ranges =
      range_bytes == 0 || send_->cipher_only ? 0 : send_->pads->available() / whole(range_bytes);
  const bool padded = range_bytes != 0 && !(seals_aside() && ranges == 0);
  Allowance out = sender_.allowance(payload_bytes, cells, padded, now_ns, range_bytes);
  const auto at_most = [&](std::uint64_t packets, SendLimit limit) {
    if (packets < out.packets) out = {static_cast<std::uint32_t>(packets), limit};
  };
  if (padded && !seals_aside())
    at_most(ranges == 0 && send_->policy == ShortagePolicy::refuse ? 1 : ranges, SendLimit::keys);
  const std::size_t room = departures_left();
  at_most(room > kept_departures ? room - kept_departures : 0, SendLimit::port);
  return out;
}

Allowance Channel::allowance(std::uint32_t payload_bytes, std::uint32_t cells,
                             std::uint64_t now_ns) noexcept {
  return allow(payload_bytes, cells, payload_bytes, now_ns);
}

void Channel::remember(Parcel& parcel, Cell* cell, std::uint64_t now_ns) noexcept {
  parcel.computational = cell->computational;
  parcel.handle =
      sender_.sent_one({cell, parcel.token, parcel.deadline_ns, parcel.cells, parcel.until_stored}, now_ns);
}

// Under pads only: the packet lies in the parcel's cell.
std::size_t Channel::send_in_place(std::span<Parcel> parcels, std::uint64_t now_ns) noexcept {
  std::array<Cell*, max_burst> cells;
  for (std::size_t i = 0; i < parcels.size(); ++i) {
    cells[i] = parcels[i].cell;
    if (cells[i]->source == nullptr) cells[i]->source = cells[i]->data;
  }
  const std::size_t sealed = sealer_->seal(*send_, std::span(cells).first(parcels.size()));
  for (std::size_t i = 0; i < parcels.size(); ++i) cells[i]->source = nullptr;
  for (std::size_t i = 0; i < sealed; ++i) {
    assert(was_sealed(*cells[i]));
    remember(parcels[i], cells[i], now_ns);
    depart(cells[i], true);
  }
  return sealed;
}

// Where AES-256-GCM is permitted: the packet lies in a cell of its own.
std::size_t Channel::send_aside(std::span<Parcel> parcels, std::uint64_t now_ns) noexcept {
  std::array<Cell*, max_burst> packets;
  const std::size_t count = pool_->take(std::span(packets).first(parcels.size()));
  counters_.no_cells += count < parcels.size() ? 1 : 0;
  for (std::size_t i = 0; i < parcels.size(); ++i) parcels[i].cell->seal_result = SealResult::waiting;
  for (std::size_t i = 0; i < count; ++i) {
    const Cell& from = *parcels[i].cell;
    Cell& to = *packets[i];
    assert(to.tailroom >= from.length);
    to.source = from.source == nullptr ? from.data : from.source;
    to.length = from.length;
    to.header = from.header;
  }
  const std::size_t sealed = sealer_->seal(*send_, std::span(packets).first(count));
  for (std::size_t i = 0; i < count; ++i) {
    Cell& plain = *parcels[i].cell;
    plain.seal_result = packets[i]->seal_result;
    packets[i]->source = nullptr;
    if (i >= sealed) continue;
    if (packets[i]->computational) {
      if (plain.source != nullptr && plain.source != plain.data) {
        std::memcpy(plain.data, plain.source, plain.length);
      }
      plain.source = nullptr;
      plain.header = packets[i]->header;
      plain.range_length = packets[i]->range_length;
      plain.computational = true;
      remember(parcels[i], &plain, now_ns);
      depart(packets[i], false);
    } else {
      remember(parcels[i], packets[i], now_ns);
      depart(packets[i], true);
      pool_->give_back({&parcels[i].cell, 1});
    }
  }
  pool_->give_back(std::span(packets).subspan(sealed, count - sealed));
  return sealed;
}

// What the sealer would call invalid must not stand between what it seals.
bool Channel::can_be_sent(const Cell& cell) const noexcept {
  return cell.data != nullptr && cell.length >= 1 && cell.length <= max_payload &&
         cell.headroom >= overhead_bytes && (send_->cipher_only || cell.length <= send_->pads->longest());
}

std::size_t Channel::send(std::span<Parcel> parcels, std::uint64_t now_ns) noexcept {
  for (const Parcel& parcel : parcels) parcel.cell->seal_result = SealResult::waiting;
  if (parcels.empty()) return 0;
  const Allowance allowed = allowance(parcels[0].cell->length, parcels[0].cells, now_ns);
  std::size_t count = std::min({parcels.size(), max_burst, std::size_t{allowed.packets}});
  for (std::size_t i = 0; i < count; ++i) {
    assert(is_padded(parcels[i].type));
    parcels[i].cell->header.type = parcels[i].type;
    if (!can_be_sent(*parcels[i].cell)) {
      parcels[i].cell->seal_result = SealResult::invalid;
      count = i;
    }
  }
  if (ended()) {
    for (const Parcel& parcel : parcels) parcel.cell->seal_result = SealResult::ended;
  }
  if (count == 0) return 0;
  const std::span<Parcel> now = parcels.first(count);
  return seals_aside() ? send_aside(now, now_ns) : send_in_place(now, now_ns);
}

template <typename Order>
bool Channel::send_any_order(Parcel& parcel, const Order& order, std::size_t order_bytes,
                             std::span<std::uint8_t> out, std::uint64_t now_ns) noexcept {
  Cell& cell = *parcel.cell;
  cell.seal_result = ended() ? SealResult::ended : SealResult::waiting;
  const std::uint32_t range = order.bytes() + static_cast<std::uint32_t>(whole(order_check_bytes));
  const Allowance allowed = allow(static_cast<std::uint32_t>(order_bytes), parcel.cells, range, now_ns);
  if (allowed.packets == 0) return false;
  if (sealer_->seal_order(*send_, cell, order, out) != SealResult::sealed) return false;
  remember(parcel, &cell, now_ns);
  depart(&cell, true);
  return true;
}

bool Channel::send_order(Parcel& parcel, const KeepOrder& order, std::span<std::uint8_t> share,
                         std::uint64_t now_ns) noexcept {
  return send_any_order(parcel, order, keep_order_bytes, share, now_ns);
}

bool Channel::send_order(Parcel& parcel, const MaskOrder& order, std::span<std::uint8_t> mask,
                         std::uint64_t now_ns) noexcept {
  return send_any_order(parcel, order, mask_order_bytes, mask, now_ns);
}

bool Channel::post_any(PacketType type, const Placement& placement, std::span<const std::uint8_t> payload,
                       Parcel& parcel, std::uint64_t now_ns) noexcept {
  if (allow(static_cast<std::uint32_t>(payload.size()), 0, 0, now_ns).packets == 0) return false;
  Cell* const cell = fresh();
  if (cell == nullptr) return false;
  assert(payload.size() <= cell->tailroom &&
         well_formed_message({.type = type, .placement = placement}, payload));
  std::memcpy(cell->data, payload.data(), payload.size());
  cell->length = static_cast<std::uint32_t>(payload.size());
  cell->header.type = type;
  cell->header.placement = placement;
  parcel.cell = cell;
  parcel.cells = 0;
  const std::span<Parcel> one(&parcel, 1);
  if ((seals_aside() ? send_aside(one, now_ns) : send_in_place(one, now_ns)) == 1) return true;
  pool_->give_back({&cell, 1});
  return false;
}

bool Channel::post(PacketType type, const Placement& placement, std::span<const std::uint8_t> payload,
                   std::uint64_t token, std::uint64_t deadline_ns, std::uint64_t now_ns,
                   PacketHandle* handle) noexcept {
  assert((type >= PacketType::read && type <= PacketType::answer) || type == PacketType::challenge);
  Parcel parcel{.token = token, .deadline_ns = deadline_ns};
  if (!post_any(type, placement, payload, parcel, now_ns)) return false;
  if (handle != nullptr) *handle = parcel.handle;
  return true;
}

void Channel::abandon(PacketHandle handle) noexcept { sender_.abandon(handle); }

// Not sent: the packet comes again and is answered then.
void Channel::tell_gone(const Cell& cell, std::uint64_t now_ns) noexcept {
  std::array<std::uint8_t, pad_gone_bytes> payload;
  write_pad_gone(answer_to(cell), payload.data());
  Parcel parcel{.deadline_ns = now_ns + options_.answer_deadline_ns};
  (void)post_any(PacketType::pad_gone, cell.header.placement, payload, parcel, now_ns);
}

// It was opened, but nobody has it: its sender must not take it for received because it came once more.
bool Channel::was_refused(const Cell& cell) const noexcept {
  if (cell.open_result != OpenResult::repeated || next_refused_ == 0) return false;
  return std::find(refused_.begin(), refused_.end(), cell.header.d_offset + 1) != refused_.end();
}

// What is not for the owner.
void Channel::consume(Cell& cell, std::uint64_t now_ns) noexcept {
  const std::span<const std::uint8_t> payload(cell.data, cell.length);
  switch (cell.open_result) {
    case OpenResult::acknowledgement:
      if (read_acknowledgement(payload, acknowledgement_)) {
        (void)sender_.acknowledged(acknowledgement_, cell.header, now_ns);
      }
      break;
    case OpenResult::gone_answer:
      if (const std::optional<PadGone> answer = read_pad_gone(payload)) sender_.gone(*answer);
      break;
    case OpenResult::message:
      if (const std::optional<Ping> ping = read_ping(payload)) {
        ping_ = {std::max(ping_.d_below, ping->d_below), std::max(ping_.number_below, ping->number_below)};
        pinged_ = true;
      }
      break;
    case OpenResult::pad_gone:
      ++counters_.gone;
      tell_gone(cell, now_ns);
      break;
    default:
      break;
  }
}

std::size_t Channel::arrived(std::span<Cell* const> opened, std::uint64_t now_ns,
                             std::span<Cell*> delivered) noexcept {
  assert(opened.size() <= max_burst);
  acknowledge_arrivals();
  std::array<Cell*, max_burst> done;
  std::size_t done_count = 0;
  std::size_t count = 0;
  arrived_ns_ = now_ns;
  for (Cell* const cell : opened) {
    if (cell->open_result == OpenResult::alarm) end(now_ns);
    if (was_refused(*cell)) cell->open_result = OpenResult::pad_gone;
    const bool authentic = cell->open_result != OpenResult::none &&
                           cell->open_result != OpenResult::dropped && cell->open_result != OpenResult::alarm;
    if (authentic && !ended()) {
      assert(cell->header.key_index == receive_->key_index);
      Arrival& arrival = arrivals_[arrival_count_++];  // field by field: no copy on the stack
      arrival.cell = cell;
      arrival.header = cell->header;
      arrival.range_length = cell->range_length;
      arrival.result = cell->open_result;
      if (is_for_owner(*cell)) {
        assert(count < delivered.size());
        delivered[count++] = cell;
        continue;
      }
      consume(*cell, now_ns);
    }
    done[done_count++] = cell;
  }
  if (arrival_count_ != 0) sender_.heard(now_ns);
  pool_->give_back(std::span(done).first(done_count));
  counters_.delivered += count;
  return count;
}

void Channel::refuse(Cell& cell, std::uint64_t now_ns) noexcept {
  for (Arrival& arrival : std::span(arrivals_).first(arrival_count_)) {
    if (arrival.cell != &cell) continue;
    if (!planted(PlantedFault::refused_forgotten)) arrival.result = OpenResult::dropped;
    arrival.cell = nullptr;
    ++counters_.refused;
    if (has_pad_range(arrival.header.type) && !cell.computational) {
      refused_[next_refused_++ % refused_.size()] = arrival.header.d_offset + 1;
      tell_gone(cell, now_ns);
    }
    break;
  }
  pool_->give_back(std::array<Cell*, 1>{&cell});
}

// In their order, once the owner can refuse none of them any more.
void Channel::acknowledge_arrivals() noexcept {
  Cell cell;
  Cell* const one[] = {&cell};
  for (const Arrival& arrival : std::span(arrivals_).first(arrival_count_)) {
    cell.header = arrival.header;
    cell.range_length = arrival.range_length;
    cell.open_result = arrival.result;
    receiver_.arrived(one, arrived_ns_);
  }
  arrival_count_ = 0;
  if (!pinged_) return;
  pinged_ = false;
  receiver_.ping(ping_);
  (void)receive_->pads->discard_below(ping_.d_below);
  receive_->pads->give_back();
}

bool Channel::stored(const PacketHeader& header, std::uint32_t range_length, std::uint64_t now_ns) noexcept {
  return receiver_.stored(header, range_length, now_ns);
}

void Channel::set_credit(std::uint32_t cells, std::uint64_t now_ns) noexcept {
  receiver_.set_credit(cells, now_ns);
}

// The cell for one retransmission: the packet itself where no port reads it, else another one. Null: none.
Cell* Channel::cell_to_send_again(Cell& packet) noexcept {
  const bool busy = !pool_->is_idle(packet) && !planted(PlantedFault::read_packet_changed);
  const bool aside = packet.computational || busy || queued(&packet) != nullptr;
  if (!aside) return &packet;
  Cell* const copy = fresh();
  if (copy == nullptr) return nullptr;
  assert(copy->tailroom >= packet.length);
  copy->header = packet.header;
  copy->length = packet.length;
  copy->range_length = packet.range_length;
  copy->computational = packet.computational;
  if (packet.computational) {
    copy->source = packet.data;
  } else {
    std::memcpy(copy->packet(), packet.packet(), packet.packet_bytes());
    ++counters_.copied;
  }
  return copy;
}

// False where some of them have to wait.
bool Channel::retransmit(std::span<const LostPacket> lost) noexcept {
  std::array<Cell*, max_burst> cells;
  std::size_t count = 0;
  for (const LostPacket& each : lost) each.cell->seal_result = SealResult::waiting;
  for (; count < lost.size(); ++count) {
    cells[count] = cell_to_send_again(*lost[count].cell);
    if (cells[count] == nullptr) break;
  }
  (void)sealer_->retransmit(*send_, std::span(cells).first(count));
  bool all = count == lost.size();
  for (std::size_t i = 0; i < count; ++i) {
    Cell& packet = *lost[i].cell;
    Cell* const sent = cells[i];
    sent->source = nullptr;
    if (sent != &packet) {
      packet.seal_result = sent->seal_result;
      packet.header = sent->header;
    }
    if (was_sealed(*sent)) {
      depart(sent, sent == &packet);
      continue;
    }
    all = false;
    if (sent != &packet) pool_->give_back({&sent, 1});
  }
  return all;
}

void Channel::send_again(std::uint64_t now_ns) noexcept {
  std::array<LostPacket, max_burst> lost;
  while (true) {
    const std::size_t room = std::min(max_burst, departures_left());
    const std::size_t count = sender_.take_lost(std::span(lost).first(room), now_ns);
    if (count == 0) {
      if (room == 0) retry(now_ns);
      return;
    }
    const std::span<const LostPacket> taken = std::span(lost).first(count);
    const bool all = retransmit(taken);
    sender_.sent_again(taken, now_ns);
    if (!all) {
      ++counters_.postponed;
      return retry(now_ns);
    }
  }
}

// A message that nobody remembers.
Cell* Channel::seal_message(PacketType type, std::span<const std::uint8_t> payload,
                            std::uint8_t flags) noexcept {
  Cell* const cell = departures_left() == 0 ? nullptr : fresh();
  if (cell == nullptr) return nullptr;
  assert(payload.size() <= cell->tailroom);
  cell->header.type = type;
  cell->header.flags = flags;
  cell->source = payload.data();
  cell->length = static_cast<std::uint32_t>(payload.size());
  const bool sealed = sealer_->seal(*send_, {&cell, 1}) == 1;
  cell->source = nullptr;
  if (sealed) return cell;
  // Without acknowledgements and pings there is no connection; new cells alone may lack pads.
  mute_ = mute_ || cell->seal_result == SealResult::ended;
  pool_->give_back({&cell, 1});
  return nullptr;
}

void Channel::send_pings(std::uint64_t now_ns) noexcept {
  while (sender_.pings_wanted() != 0) {
    std::uint64_t keep_from = send_->pads->next();
    std::uint8_t flags = 0;
    if (send_->gcm != nullptr) {
      const std::uint64_t unused = send_->gcm->unused_key_offset();
      keep_from = std::min(keep_from, unused);
      if (sender_.ping_under_cipher(unused != UINT64_MAX)) flags = flag_computational;
    }
    std::array<std::uint8_t, ping_bytes> payload;
    write_ping(sender_.make_ping(keep_from), payload.data());
    Cell* const cell = seal_message(PacketType::ping, payload, flags);
    if (cell == nullptr) return retry(now_ns);
    sender_.ping_sent(*cell, now_ns);
    depart(cell, false);
  }
}

// One that cannot be sealed is like one that was lost: the next one says it all again.
void Channel::send_acknowledgements(std::uint64_t now_ns) noexcept {
  if (!receiver_.due(now_ns)) return;
  if (departures_left() < made_.size()) return retry(now_ns);
  const std::size_t count = receiver_.acknowledge(made_, now_ns);
  for (std::size_t i = 0; i < count; ++i) {
    std::array<std::uint8_t, longest_message> payload;
    const std::size_t bytes = write_acknowledgement(made_[i], payload.data());
    Cell* const cell = seal_message(PacketType::acknowledgement, std::span(payload).first(bytes), 0);
    if (cell != nullptr) depart(cell, false);
  }
}

void Channel::step(std::uint64_t now_ns) noexcept {
  if (receive_->ended) end(now_ns);
  if (ended()) return;
  acknowledge_arrivals();
  retry_ns_ = UINT64_MAX;
  sender_.due(now_ns);
  send_again(now_ns);
  send_pings(now_ns);
  send_acknowledgements(now_ns);
  if (mute_) end(now_ns);
}

std::uint64_t Channel::next_due() const noexcept {
  if (ended()) return UINT64_MAX;
  if (arrival_count_ != 0) return 0;
  return std::min({sender_.next_due(), receiver_.next_due(), retry_ns_});
}

std::size_t Channel::take_departures(std::span<Departure> out) noexcept {
  std::size_t count = 0;
  for (; count < out.size() && head_ != tail_; ++count) out[count] = queue_[head_++ & (queue_.size() - 1)];
  return count;
}

std::size_t Channel::take_settled(std::span<Settled> out) noexcept {
  std::size_t count = 0;
  const auto room = [&] { return std::min(max_burst, out.size() - count); };
  const auto tell = [&](std::uint64_t token, Settled::How how, ExpireReason reason) {
    if (token != no_token) out[count++] = {token, how, reason};
  };
  std::array<ReceivedPacket, max_burst> received;
  std::array<std::uint64_t, max_burst> stored;
  std::array<ExpiredPacket, max_burst> expired;
  while (const std::size_t taken = sender_.take_received(std::span(received).first(room()))) {
    std::array<Cell*, max_burst> done;
    std::size_t done_count = 0;
    for (const ReceivedPacket& each : std::span(received).first(taken)) {
      if (let_go(each.cell)) done[done_count++] = each.cell;
      tell(each.token, Settled::How::received, ExpireReason::deadline);
    }
    if (!planted(PlantedFault::settled_kept)) pool_->give_back(std::span(done).first(done_count));
  }
  while (const std::size_t taken = sender_.take_stored(std::span(stored).first(room()))) {
    for (const std::uint64_t token : std::span(stored).first(taken)) {
      tell(token, Settled::How::stored, ExpireReason::deadline);
    }
  }
  while (const std::size_t taken = sender_.take_expired(std::span(expired).first(room()))) {
    for (const ExpiredPacket& each : std::span(expired).first(taken)) {
      if (each.cell != nullptr) release(each.cell);
      tell(each.token, Settled::How::expired, each.reason);
    }
  }
  return count;
}

void Channel::end([[maybe_unused]] std::uint64_t now_ns) noexcept {
  if (ended()) return;
  sender_.end();
  arrival_count_ = 0;
  pinged_ = false;
  for (; head_ != tail_; ++head_) {
    Departure& each = queue_[head_ & (queue_.size() - 1)];
    if (!each.held) pool_->give_back({&each.cell, 1});
  }
}

}  // namespace ssn::protocol
