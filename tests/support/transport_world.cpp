// SPDX-License-Identifier: BSD-3-Clause
#include "transport_world.h"

#include <algorithm>
#include <cstring>

namespace ssn::test {

using namespace protocol;

namespace {

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

TransportEnd::TransportEnd(const TransportOptions& given, PacketEnds& out, PacketEnds& in, SessionKeys* keys,
                           Link& link, unsigned to)
    : options(given),
      pool(given.pool_cells),
      channel({.sender = given.sender, .receiver = given.receiver, .departures = given.departures},
              keys != nullptr ? keys->send() : out.send, keys != nullptr ? keys->receive() : in.receive,
              out.sealer, pool, one_s),
      credit(given.credit),
      out_(out),
      in_(in),
      link_(link),
      to_(to),
      share_(locked_memory(max_order_bytes)) {}

void TransportEnd::opened(const Cell& cell, std::uint64_t now_ns) {
  std::uint64_t token = 0;
  std::memcpy(&token, cell.target, sizeof token);
  if (token >= first_own_token) return;
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

void TransportEnd::receive(const Bytes& packet) {
  Cell* const cell = pool.receive(packet);
  if (cell == nullptr) return;  // as a network card without buffers does
  if (packet[1] == static_cast<std::uint8_t>(PacketType::keep_order)) {
    cell->target = share_.data();
    cell->target_room = static_cast<std::uint32_t>(share_.size());
  }
  inbox_.push_back(cell);
}

void TransportEnd::take_in(Cell& cell, std::uint64_t now_ns) {
  Cell* const one[] = {&cell};
  if (random_.below(100) < refuse_percent) return channel.refuse(cell, now_ns);
  switch (cell.open_result) {
    case OpenResult::opened:
      opened(cell, now_ns);
      break;
    case OpenResult::kept:
      kept.emplace_back(cell.target, cell.target + cell.range_length);
      if (!channel.stored(cell.header, cell.range_length, now_ns)) fail("no room for what is durable");
      break;
    case OpenResult::message:
      messages.push_back(
          {cell.header.type, cell.header.placement, Bytes(cell.data, cell.data + cell.length)});
      break;
    default:
      fail("something was delivered that is not for the owner");
  }
  pool.give_back(one);
}

void TransportEnd::open(std::uint64_t now_ns) {
  in_.poll();
  std::array<Cell*, most_burst> delivered;
  for (std::size_t at = 0; at < inbox_.size();) {
    // One order in a burst: there is one place for its share.
    std::size_t end = at + 1;
    while (end < inbox_.size() && end - at < most_burst && inbox_[end]->target == nullptr) ++end;
    const std::span<Cell* const> burst = std::span(inbox_).subspan(at, end - at);
    in_.opener.open(burst);
    const std::size_t count = channel.arrived(burst, now_ns, delivered);
    for (Cell* const cell : std::span(delivered).first(count)) take_in(*cell, now_ns);
    at = end;
  }
  inbox_.clear();
  if (channel.alarm() != EpochAlarm::none) fail("an epoch ended");
}

void TransportEnd::store(std::uint64_t now_ns) {
  if (!stores || store_at_ > now_ns) return;
  store_at_ = UINT64_MAX;
  std::vector<Arrived> left;
  for (const Arrived& each : unstored_) {
    set(durable_tokens_, each.token);
    if (!channel.stored(each.header, each.range_length, now_ns)) left.push_back(each);
  }
  unstored_ = std::move(left);
  if (!unstored_.empty()) store_at_ = now_ns + options.store_ns;
}

void TransportEnd::send_new(std::uint64_t now_ns) {
  while (traffic.begun < traffic.wanted) {
    const Allowance allowed = channel.allowance(options.payload, 1, now_ns);
    // A quarter is for what arrives and for retransmissions.
    const std::size_t cells_left = pool.out() < pool.limit() / 4 * 3 ? pool.limit() / 4 * 3 - pool.out() : 0;
    const std::uint64_t most =
        std::min<std::uint64_t>({allowed.packets, traffic.wanted - traffic.begun, cells_left});
    std::array<Cell*, most_burst> cells;
    const std::size_t count = pool.take(std::span(cells).first(std::min<std::uint64_t>(most, most_burst)));
    if (count == 0) return;
    std::vector<Parcel> parcels(count);
    for (std::size_t i = 0; i < count; ++i) {
      const std::uint64_t token = traffic.begun + i;
      Cell& cell = *cells[i];
      cell.length = options.payload;
      fill(token, cell.data, cell.length);
      cell.header.placement = {token, static_cast<std::uint32_t>(token), 1, 0, 1};
      const std::uint64_t deadline =
          traffic.deadline_ns == UINT64_MAX ? UINT64_MAX : now_ns + traffic.deadline_ns;
      parcels[i] = {
          .cell = &cell, .token = token, .deadline_ns = deadline, .until_stored = options.until_stored};
    }
    const std::size_t sent = channel.send(parcels, now_ns);
    for (std::size_t i = 0; i < sent; ++i) handles_[traffic.begun + i] = parcels[i].handle;
    traffic.begun += sent;
    pool.give_back(std::span(cells).subspan(sent, count - sent));
    if (sent < count) return;
  }
}

void TransportEnd::give_up(std::uint64_t token) { channel.abandon(handles_.at(token)); }

// A retransmission is the same packet under another number, or another encryption of the same.
void TransportEnd::compare(const Cell& cell) {
  if (cell.header.type != PacketType::cell) return;
  const Bytes now(cell.packet(), cell.packet() + cell.packet_bytes());
  const std::uint64_t what = cell.computational ? cell.header.placement.object : ~cell.header.d_offset;
  const auto [at, fresh] = first_.try_emplace(what, now);
  if (fresh) return;
  const auto same = [&](std::size_t begin, std::size_t end) {
    return std::memcmp(now.data() + begin, at->second.data() + begin, end - begin) == 0;
  };
  const bool exact = now.size() == at->second.size() && same(0, 8) && !same(8, 16) && same(24, 48) &&
                     !same(48, 64) &&
                     (cell.computational ? !same(64, now.size()) : same(16, 24) && same(64, now.size()));
  if (!exact) fail("a retransmission is not the packet that was lost");
}

void TransportEnd::transmit(std::uint64_t now_ns) {
  std::array<Departure, most_burst> departures;
  for (; !at_port_.empty() && at_port_.front().done_ns <= now_ns; at_port_.pop_front()) {
    const Cell& cell = *at_port_.front().cell;
    if (std::memcmp(cell.packet(), at_port_.front().packet.data(), at_port_.front().packet.size()) != 0) {
      fail("a packet changed while a port read it");
    }
    pool.port_done(*at_port_.front().cell);
  }
  while (const std::size_t count = !departs ? 0 : channel.take_departures(departures)) {
    for (const Departure& each : std::span(departures).first(count)) {
      pool.to_port(*each.cell, each.held);
      compare(*each.cell);
      const Bytes packet(each.cell->packet(), each.cell->packet() + each.cell->packet_bytes());
      link_.send(packet, to_, now_ns);
      if (options.port_ns == 0) {
        pool.port_done(*each.cell);
      } else {
        at_port_.push_back({now_ns + options.port_ns, each.cell, packet});
      }
    }
  }
}

void TransportEnd::settle(const Settled& each) {
  if (each.token >= first_own_token) return settled[each.token].push_back(each);
  switch (each.how) {
    case Settled::How::received: {
      const std::vector<std::uint8_t>& opened = other->opened_tokens_;
      const bool arrived = each.token < opened.size() && opened[each.token] != 0;
      if (!arrived && other->refuse_percent == 0) fail("told as received, and never opened");
      if (is_set(received_tokens_, each.token)) fail("received twice");
      if (is_set(expired_tokens_, each.token)) fail("received after it had expired");
      set(received_tokens_, each.token);
      ++traffic.received;
      return;
    }
    case Settled::How::stored:
      if (!is_set(received_tokens_, each.token)) fail("stored before it was received");
      if (!is_set(other->durable_tokens_, each.token)) fail("told as stored, and not durable");
      if (is_set(stored_tokens_, each.token)) fail("stored twice");
      if (is_set(expired_tokens_, each.token)) fail("stored after it had expired");
      set(stored_tokens_, each.token);
      ++traffic.stored;
      return;
    case Settled::How::expired:
      if (is_set(expired_tokens_, each.token)) fail("expired twice");
      if (is_set(stored_tokens_, each.token)) fail("expired after it was stored");
      set(expired_tokens_, each.token);
      ++traffic.expired[each.reason];
      return;
  }
}

void TransportEnd::take_results() {
  std::array<Settled, 24> results;  // less than a burst
  while (const std::size_t count = channel.take_settled(results)) {
    for (const Settled& each : std::span(results).first(count)) settle(each);
  }
  if (!pool.wrong().empty()) fail(pool.wrong());
}

void TransportEnd::work(std::uint64_t now_ns) {
  out_.poll();
  open(now_ns);
  store(now_ns);
  channel.set_credit(credit, now_ns);
  channel.step(now_ns);
  send_new(now_ns);
  transmit(now_ns);
  take_results();
  if (channel.next_due() == 0) fail("something was due, and was not done");
}

std::uint64_t TransportEnd::next_due() const {
  return std::min({channel.next_due(), stores ? store_at_ : UINT64_MAX,
                   at_port_.empty() ? UINT64_MAX : at_port_.front().done_ns});
}

// As an SSA and an owner have them.
void TransportWorld::make_session(std::size_t at) {
  Bytes there_keys(2 * SessionKeys::key_bytes);
  Bytes back_keys(2 * SessionKeys::key_bytes);
  TestRandom random(at + 99);
  random.fill(there_keys.data(), there_keys.size());
  random.fill(back_keys.data(), back_keys.size());
  for (std::size_t end = 0; end < 2; ++end) {
    PacketEnds& out = *keys[at + end];
    PacketEnds& in = *keys[at + 1 - end];
    SessionKeysOptions ids{out.options.connection_id, in.options.connection_id, out.options.key_index};
    ids.first_number = out.options.first_gcm_number;
    auto made = SessionKeys::make(ids, end == 0 ? there_keys : back_keys, end == 0 ? back_keys : there_keys);
    if (!made.ok()) std::abort();
    session_keys.push_back(std::move(made.value()));
    in.table.remove(in.options.connection_id);
    (void)in.table.add(session_keys.back()->connection());
  }
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
    if (options.session) make_session(at);
    const auto session = [&](std::size_t end) {
      return options.session ? session_keys[at + end].get() : nullptr;
    };
    ends.push_back(
        std::make_unique<TransportEnd>(options, *keys[at], *keys[at + 1], session(0), there, 2 * i + 1));
    ends.push_back(
        std::make_unique<TransportEnd>(options, *keys[at + 1], *keys[at], session(1), back, 2 * i));
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
    while (link->receive(now_ns, packet, to)) ends[to]->receive(packet);
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

bool TransportWorld::quiet() const {
  return std::all_of(ends.begin(), ends.end(), [](const auto& end) {
    return end->sender.outstanding() == 0 && end->pool.out() == 0 && !end->channel.departing();
  });
}

std::string TransportWorld::wrong() const {
  for (std::size_t i = 0; i < ends.size(); ++i) {
    if (!ends[i]->wrong.empty()) return ends[i]->wrong;
  }
  return {};
}

}  // namespace ssn::test
