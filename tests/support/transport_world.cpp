// SPDX-License-Identifier: BSD-3-Clause
#include "transport_world.h"

#include <algorithm>
#include <cstring>

namespace ssn::test {

using namespace protocol;

namespace {

constexpr std::size_t room = overhead_bytes + max_acknowledgement_bytes + 2048;
constexpr std::size_t most_burst = 32;

/// What the cell of a token says.
void fill(std::uint64_t token, std::uint8_t* out, std::size_t length) {
  TestRandom random(token + 1);
  random.fill(out, length);
  std::memcpy(out, &token, sizeof token);
}

bool is_set(const std::vector<bool>& set, std::uint64_t at) { return at < set.size() && set[at]; }

void set(std::vector<bool>& set, std::uint64_t at) {
  if (set.size() <= at) set.resize(std::max<std::size_t>(at + 1, set.size() * 2));
  set[at] = true;
}

EndsOptions named(EndsOptions options, unsigned name) {
  options.ksid = static_cast<std::uint8_t>(1 + name);
  options.connection_id = 0x01020300 + name;
  return options;
}

TransportOptions indexed(TransportOptions options) {
  options.sender.key_index = options.receiver.key_index = options.ends.key_index;
  return options;
}

}  // namespace

void Link::send(Bytes packet, unsigned to, std::uint64_t now_ns) {
  ++sent;
  const std::uint64_t begin = std::max(now_ns, free_ns_);
  const bool full = (begin - now_ns) * options.bytes_per_second / one_s > options.queue_bytes;
  if (options.cut || full || random_.below(100) < options.loss_percent) {
    ++lost;
    return;
  }
  bytes += packet.size();
  free_ns_ = begin + packet.size() * one_s / options.bytes_per_second;
  const bool twice = random_.below(100) < options.double_percent;
  for (unsigned copies = twice ? 2 : 1; copies > 0; --copies) {
    std::uint64_t at = free_ns_ + options.delay_ns;
    if (random_.below(100) < options.mix_percent) at += random_.below(options.mix_ns);
    flying_.push({at, order_++, to, packet});
  }
}

bool Link::receive(std::uint64_t now_ns, Bytes& packet, unsigned& to) {
  if (next() > now_ns) return false;
  packet = flying_.top().packet;
  to = flying_.top().to;
  flying_.pop();
  return true;
}

TransportEnd::TransportEnd(const TransportOptions& given, PacketEnds& out, PacketEnds& in, Link& link,
                           unsigned to)
    : options(indexed(given)),
      sender(options.sender, one_s),
      receiver(options.receiver),
      credit(given.credit),
      out_(out),
      in_(in),
      link_(link),
      to_(to) {}

TransportEnd::Packet& TransportEnd::prepare(std::size_t length) {
  if (free_.empty()) {
    packets_.push_back(std::make_unique<Packet>());
    free_.push_back(packets_.back().get());
    free_.back()->buffer.resize(room);
    free_.back()->plain.resize(room);
    by_cell_[&packets_.back()->cell] = packets_.back().get();
  }
  Packet& packet = *free_.back();
  free_.pop_back();
  packet.cell = Cell{};
  packet.cell.data = packet.buffer.data() + overhead_bytes;
  packet.cell.headroom = overhead_bytes;
  packet.cell.source = packet.plain.data();
  packet.cell.length = static_cast<std::uint32_t>(length);
  packet.first.clear();
  packet.returned = false;
  return packet;
}

bool TransportEnd::seal(Packet& packet) {
  Cell* const cells[] = {&packet.cell};
  return out_.sealer.seal(out_.send, cells) == 1;
}

void TransportEnd::transmit(const Cell& cell, std::uint64_t now_ns) {
  link_.send(Bytes(cell.packet(), cell.packet() + cell.packet_bytes()), to_, now_ns);
}

void TransportEnd::came_back(Cell* cell) {
  if (cell == nullptr) return;
  Packet& packet = *by_cell_.at(cell);
  if (packet.returned) fail("a cell came back twice");
  packet.returned = true;
  free_.push_back(&packet);
}

void TransportEnd::message(PacketType type, const Bytes& payload, std::uint64_t now_ns) {
  Packet& packet = prepare(payload.size());
  std::copy(payload.begin(), payload.end(), packet.plain.begin());
  packet.cell.header.type = type;
  const bool unused_key =
      out_.gcm_out && (out_.gcm_out->unused_key_offset() != UINT64_MAX || sender.key_unproven());
  if (type == PacketType::ping && (options.cipher_only || unused_key)) {
    packet.cell.header.flags = flag_computational;
  }
  if (seal(packet)) {
    transmit(packet.cell, now_ns);
    if (type == PacketType::ping) sender.ping_sent(packet.cell, now_ns);
  }
  if (type == PacketType::pad_gone && packet.cell.seal_result != SealResult::refused) {
    packet.token = UINT64_MAX;
    sender.sent(std::vector<Outgoing>{{&packet.cell, UINT64_MAX, now_ns + one_s, 0, false}}, now_ns);
    return;  // it comes back
  }
  free_.push_back(&packet);
}

void TransportEnd::opened(Cell& cell, std::uint64_t now_ns) {
  std::uint64_t token = 0;
  std::memcpy(&token, cell.target, sizeof token);
  Bytes expected(cell.length);
  fill(token, expected.data(), expected.size());
  if (std::memcmp(cell.target, expected.data(), expected.size()) != 0) fail("a cell arrived changed");
  if (token >= other->traffic.begun) return fail("a cell arrived that nobody sent");
  if (opened_tokens_.size() <= token) opened_tokens_.resize(token * 2 + 16);
  if (opened_tokens_[token]++ == 0) {
    ++other->traffic.arrived;
  } else {
    ++other->traffic.twice;
    if (!cell.computational) fail("a padded cell was opened twice");
  }
  if (options.until_stored) {
    unstored_.push_back({cell.header, cell.range_length, token});
    if (store_at_ == UINT64_MAX) store_at_ = now_ns + options.store_ns;
  }
}

void TransportEnd::receive(const Bytes& bytes, std::uint64_t now_ns) {
  in_.poll();
  in_.in.receive(0, bytes);
  const auto burst = in_.in.burst(1);
  in_.opener.open(burst);
  Cell& cell = in_.in[0];
  const std::span<const std::uint8_t> payload(cell.data, cell.length);
  if (cell.open_result == OpenResult::alarm) fail("an epoch ended");
  if (cell.open_result == OpenResult::dropped || cell.open_result == OpenResult::alarm) return;
  sender.heard(now_ns);
  receiver.arrived(burst, now_ns);
  if (cell.open_result == OpenResult::opened) opened(cell, now_ns);
  if (cell.open_result == OpenResult::acknowledgement) {
    Acknowledgement read;
    if (!read_acknowledgement(payload, read)) return fail("an acknowledgement cannot be read");
    if (!sender.acknowledged(read, cell.header, now_ns)) fail("an acknowledgement has no sender");
  }
  if (cell.open_result == OpenResult::gone_answer) sender.gone(*read_pad_gone(payload));
  if (cell.open_result == OpenResult::pad_gone) {
    Bytes answer(pad_gone_bytes);
    write_pad_gone(answer_to(cell), answer.data());
    message(PacketType::pad_gone, answer, now_ns);
  }
  if (cell.open_result == OpenResult::message && cell.header.type == PacketType::ping) {
    const Ping ping = *read_ping(payload);
    receiver.ping(ping);
    (void)in_.pads_in.discard_below(ping.d_below);
    in_.pads_in.give_back();
  }
}

void TransportEnd::store(std::uint64_t now_ns) {
  if (!stores || store_at_ > now_ns) return;
  store_at_ = UINT64_MAX;
  std::vector<Arrived> left;
  for (const Arrived& each : unstored_) {
    set(durable_tokens_, each.token);
    if (!receiver.stored(each.header, each.range_length, now_ns)) left.push_back(each);
  }
  unstored_ = std::move(left);
  if (!unstored_.empty()) store_at_ = now_ns + options.store_ns;
}

void TransportEnd::send_again(std::uint64_t now_ns) {
  std::array<LostPacket, most_burst> lost;
  while (const std::size_t count = sender.take_lost(lost, now_ns)) {
    std::vector<Cell*> cells;
    for (std::size_t i = 0; i < count; ++i) cells.push_back(lost[i].cell);
    (void)out_.sealer.retransmit(out_.send, cells);
    sender.sent_again(std::span(lost).first(count), now_ns);
    for (Cell* const cell : cells) {
      if (cell->seal_result != SealResult::sealed && cell->seal_result != SealResult::computational) return;
      const Packet& packet = *by_cell_.at(cell);
      const Bytes now(cell->packet(), cell->packet() + cell->packet_bytes());
      const auto same = [&](std::size_t first, std::size_t end) {
        return std::equal(now.begin() + static_cast<std::ptrdiff_t>(first),
                          now.begin() + static_cast<std::ptrdiff_t>(end),
                          packet.first.begin() + static_cast<std::ptrdiff_t>(first));
      };
      const bool exact = now.size() == packet.first.size() && same(0, 8) && !same(8, 16) && !same(48, 64) &&
                         (cell->computational || (same(16, 48) && same(64, now.size())));
      if (!exact) fail("a retransmission is not the packet that was lost");
      transmit(*cell, now_ns);
    }
  }
}

void TransportEnd::send_new(std::uint64_t now_ns) {
  while (traffic.begun < traffic.wanted) {
    const Allowance allowed = sender.allowance(options.payload, 1, !options.cipher_only, now_ns);
    if (allowed.packets == 0) return;
    for (std::uint32_t i = 0; i < allowed.packets && traffic.begun < traffic.wanted; ++i) {
      Packet& packet = prepare(options.payload);
      packet.token = traffic.begun;
      fill(packet.token, packet.plain.data(), options.payload);
      packet.cell.header.placement = {packet.token, static_cast<std::uint32_t>(packet.token), 1, 0, 1};
      if (!seal(packet)) {
        free_.push_back(&packet);
        return;
      }
      ++traffic.begun;
      packet.first.assign(packet.cell.packet(), packet.cell.packet() + packet.cell.packet_bytes());
      const std::uint64_t deadline =
          traffic.deadline_ns == UINT64_MAX ? UINT64_MAX : now_ns + traffic.deadline_ns;
      handles_[packet.token] =
          sender.sent_one({&packet.cell, packet.token, deadline, 1, options.until_stored}, now_ns);
      transmit(packet.cell, now_ns);
    }
  }
}

void TransportEnd::give_up(std::uint64_t token) { sender.abandon(handles_.at(token)); }

void TransportEnd::send_pings(std::uint64_t now_ns) {
  for (std::uint32_t count = sender.pings_wanted(); count > 0; --count) {
    std::uint64_t keep_from = out_.pads_out.next();
    if (out_.gcm_out) keep_from = std::min(keep_from, out_.gcm_out->unused_key_offset());
    Bytes payload(ping_bytes);
    write_ping(sender.make_ping(keep_from), payload.data());
    message(PacketType::ping, payload, now_ns);
  }
}

void TransportEnd::acknowledge(std::uint64_t now_ns) {
  std::array<Acknowledgement, TransportReceiver::most_acknowledgements> made;
  receiver.set_credit(credit, now_ns);
  if (!receiver.due(now_ns)) return;
  const std::size_t count = receiver.acknowledge(made, now_ns);
  if (count == 0) fail("an acknowledgement was due, and there is none");
  for (std::size_t i = 0; i < count; ++i) {
    Bytes payload(max_acknowledgement_bytes);
    payload.resize(write_acknowledgement(made[i], payload.data()));
    message(PacketType::acknowledgement, payload, now_ns);
  }
}

void TransportEnd::take_results() {
  std::array<ReceivedPacket, most_burst> received;
  while (const std::size_t count = sender.take_received(received)) {
    for (std::size_t i = 0; i < count; ++i) {
      came_back(received[i].cell);
      if (received[i].token == UINT64_MAX) continue;
      const std::vector<std::uint8_t>& opened = other->opened_tokens_;
      if (received[i].token >= opened.size() || opened[received[i].token] == 0) {
        fail("told as received, and never opened");
      }
      if (is_set(received_tokens_, received[i].token)) fail("received twice");
      set(received_tokens_, received[i].token);
      ++traffic.received;
    }
  }
  std::array<std::uint64_t, most_burst> stored;
  while (const std::size_t count = sender.take_stored(stored)) {
    for (std::size_t i = 0; i < count; ++i) {
      if (!is_set(received_tokens_, stored[i])) fail("stored before it was received");
      if (!is_set(other->durable_tokens_, stored[i])) fail("told as stored, and not durable");
      if (is_set(stored_tokens_, stored[i])) fail("stored twice");
      set(stored_tokens_, stored[i]);
      ++traffic.stored;
    }
  }
  std::array<ExpiredPacket, most_burst> expired;
  while (const std::size_t count = sender.take_expired(expired)) {
    for (std::size_t i = 0; i < count; ++i) {
      came_back(expired[i].cell);
      if (expired[i].token == UINT64_MAX) continue;
      if (is_set(expired_tokens_, expired[i].token)) fail("expired twice");
      set(expired_tokens_, expired[i].token);
      ++traffic.expired[expired[i].reason];
    }
  }
}

void TransportEnd::work(std::uint64_t now_ns) {
  out_.poll();
  store(now_ns);
  sender.due(now_ns);
  send_again(now_ns);
  send_pings(now_ns);
  send_new(now_ns);
  acknowledge(now_ns);
  take_results();
  out_.pads_out.give_back();
}

std::uint64_t TransportEnd::next_due() const {
  return std::min({sender.next_due(), receiver.next_due(), stores ? store_at_ : UINT64_MAX});
}

TransportWorld::TransportWorld(const TransportOptions& options, const LinkOptions& there_options,
                               const LinkOptions& back_options, std::uint64_t seed, unsigned connections)
    : there(there_options, seed), back(back_options, seed + 1) {
  for (unsigned i = 0; i < connections; ++i) {
    const std::size_t at = keys.size();
    keys.push_back(std::make_unique<PacketEnds>(named(options.ends, 2 * i)));
    keys.push_back(std::make_unique<PacketEnds>(named(options.ends, 2 * i + 1)));
    for (std::size_t both = 0; both < 2; ++both) {
      PacketEnds& each = *keys[at + both];
      each.deliver(options.cipher_only ? 4096 : options.pad_bytes, std::uint64_t{1} << 40);
    }
    ends.push_back(std::make_unique<TransportEnd>(options, *keys[at], *keys[at + 1], there, 2 * i + 1));
    ends.push_back(std::make_unique<TransportEnd>(options, *keys[at + 1], *keys[at], back, 2 * i));
    ends[at]->other = ends[at + 1].get();
    ends[at + 1]->other = ends[at].get();
  }
}

void TransportWorld::work() {
  for (const auto& end : ends) end->work(now_ns);
}

// To the next time at which something happens.
bool TransportWorld::advance(std::uint64_t end_ns) {
  std::uint64_t next = std::min(there.next(), back.next());
  for (const auto& end : ends) next = std::min(next, end->next_due());
  now_ns = std::max(next, now_ns + one_us);
  if (now_ns >= end_ns || !wrong().empty()) {
    now_ns = std::min(now_ns, end_ns);
    return false;
  }
  Bytes packet;
  unsigned to = 0;
  for (Link* const link : {&there, &back}) {
    while (link->receive(now_ns, packet, to)) ends[to]->receive(packet, now_ns);
  }
  return true;
}

bool TransportWorld::finished() const {
  return std::all_of(ends.begin(), ends.end(), [](const auto& end) {
    const Traffic& traffic = end->traffic;
    const std::uint64_t done = end->options.until_stored ? traffic.stored : traffic.received;
    const std::uint64_t late = traffic.finished();
    return traffic.begun == traffic.wanted && done + late >= traffic.wanted;
  });
}

std::string TransportWorld::wrong() const {
  for (std::size_t i = 0; i < ends.size(); ++i) {
    if (!ends[i]->wrong.empty()) return ends[i]->wrong;
  }
  return {};
}

}  // namespace ssn::test
