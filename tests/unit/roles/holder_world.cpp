// SPDX-License-Identifier: BSD-3-Clause
#include "holder_world.h"

#include <algorithm>
#include <cstring>

namespace ssn::test {

using namespace protocol;
using store::ShareId;

namespace {

EndsOptions ends_options(unsigned name, bool gcm) {
  EndsOptions options;
  options.ksid = static_cast<std::uint8_t>(1 + name % 100);
  options.connection_id = 0x01020300 + name;
  options.window = 2048;
  options.d_ring = std::size_t{1} << 18;
  options.a_ring = std::size_t{1} << 17;
  options.gcm = gcm;
  options.policy = gcm ? ShortagePolicy::aes_256_gcm : ShortagePolicy::refuse;
  return options;
}

ShareId share_of(const Placement& what) { return {what.object, what.generation, what.share}; }

}  // namespace

TestSsa::TestSsa(const HolderWorldOptions& options, PacketEnds& out, PacketEnds& in, std::uint64_t now_ns)
    : pool(options.pool_cells),
      channel(options.channel, out.send, in.receive, out.sealer, pool, now_ns),
      options_(options),
      out_(out),
      in_(in) {
  channel.set_credit(100000, now_ns);
}

void TestSsa::put(const ShareId& share, std::uint16_t attempt, std::uint32_t cell, std::uint32_t bytes) {
  to_send_.push_back(writes.size());
  writes.push_back({share, attempt, cell, 0, bytes != 0 ? bytes : options_.cell_bytes});
}

void TestSsa::keep(const ShareId& share, std::uint16_t attempt, std::uint32_t cell, std::uint32_t cells) {
  to_send_.push_back(writes.size());
  writes.push_back({share, attempt, cell, cells, options_.cell_bytes});
}

void TestSsa::fill(const ShareId& share, std::uint32_t cells, std::uint16_t attempt) {
  for (std::uint32_t cell = 0; cell < cells; ++cell) put(share, attempt, cell);
}

void TestSsa::post(PacketType type, const Placement& what, Bytes payload) {
  messages_.push_back({type, what, std::move(payload)});
}

void TestSsa::read(const ShareId& share, std::uint16_t attempt, std::uint32_t first, std::uint16_t count,
                   std::uint64_t request) {
  ReadRequest read;
  read.request = request;
  read.count = count;
  for (std::size_t i = 0; i < count; ++i) name_cell(read.bitmap, i);
  Bytes payload(read_request_bytes);
  write_read_request(read, payload.data());
  post(PacketType::read, {share.object, first, share.generation, attempt, share.share}, payload);
}

void TestSsa::seal(const ShareId& share, std::uint32_t cells, std::uint64_t request,
                   std::vector<SealOrder::Run> runs, std::uint32_t first, std::uint32_t end) {
  SealOrder order;
  order.request = request;
  order.cells = cells;
  order.end = end != 0 ? end : cells;
  order.run_count = static_cast<std::uint16_t>(runs.size());
  std::copy(runs.begin(), runs.end(), order.runs.begin());
  Bytes payload(max_seal_order_bytes);
  payload.resize(write_seal_order(order, payload.data()));
  post(PacketType::seal_order, {share.object, first, share.generation, 0, share.share}, payload);
}

void TestSsa::remove(const ShareId& share, std::uint64_t request) {
  Bytes payload(delete_order_bytes);
  write_delete_order({request}, payload.data());
  post(PacketType::delete_order, {share.object, 0, share.generation, 0, share.share}, payload);
}

Bytes TestSsa::content(const ShareId& share, std::uint16_t attempt, std::uint32_t cell,
                       std::uint32_t bytes) const {
  const auto found = kept_.find({share, {attempt, cell}});
  return found != kept_.end() ? found->second : cell_content(share, attempt, cell, bytes);
}

std::size_t TestSsa::count_stored() const {
  return static_cast<std::size_t>(
      std::count_if(writes.begin(), writes.end(), [](const Write& write) { return write.stored; }));
}

const TestSsa::Got* TestSsa::answer(std::uint64_t request, std::size_t number) const {
  for (const Got& got : answers) {
    if (got.answer.request == request && number-- == 0) return &got;
  }
  return nullptr;
}

void TestSsa::receive(const Bytes& packet) {
  Cell* const cell = pool.receive(packet);
  if (cell != nullptr) arrived_.push_back(cell);
}

void TestSsa::take_in(Cell& cell) {
  const Placement& what = cell.header.placement;
  if (cell.open_result == OpenResult::opened) {
    const Bytes bytes(cell.data, cell.data + cell.length);
    if (bytes != content(share_of(what), what.attempt, what.cell, cell.length)) {
      fail("a cell that was read is not what was put");
    }
    ++given[{share_of(what), {what.attempt, what.cell}}];
  } else if (cell.open_result == OpenResult::message && cell.header.type == PacketType::answer) {
    answers.push_back({*read_answer({cell.data, cell.length}), what});
  } else {
    fail("the holder sent what no SSA understands");
  }
  pool.give_back(std::array<Cell*, 1>{&cell});
}

void TestSsa::take_settled() {
  std::array<Settled, 64> settled;
  while (const std::size_t count = channel.take_settled(settled)) {
    for (std::size_t i = 0; i < count; ++i) {
      if (settled[i].token >= writes.size()) continue;
      Write& write = writes[settled[i].token];
      if (settled[i].how == Settled::How::received) write.received = true;
      if (settled[i].how == Settled::How::stored) {
        if (write.stored) fail("stored twice");
        write.stored = true;
        newly_stored.push_back(settled[i].token);
      }
      if (settled[i].how != Settled::How::expired) continue;
      write.expired = true;
      write.reason = settled[i].reason;
      if (again) {
        write.expired = false;
        to_send_.push_back(settled[i].token);
      }
    }
  }
}

bool TestSsa::send_one(std::uint64_t token, std::uint64_t now_ns) {
  const Write& write = writes[token];
  const std::uint32_t credit = honest ? 1 : 0;
  if (channel.allowance(write.bytes, credit, now_ns).packets == 0) return false;
  Cell* cell = nullptr;
  if (pool.take({&cell, 1}) == 0) return false;
  const Bytes bytes = cell_content(write.share, write.attempt, write.cell, write.bytes);
  std::copy(bytes.begin(), bytes.end(), cell->data);
  cell->length = write.bytes;
  cell->header.placement = {write.share.object, write.cell, write.share.generation, write.attempt,
                            write.share.share};
  std::array<Parcel, 1> parcel{};
  parcel[0].cell = cell;
  parcel[0].token = token;
  if (deadline_ns != UINT64_MAX) parcel[0].deadline_ns = now_ns + deadline_ns;
  parcel[0].cells = credit;
  parcel[0].until_stored = true;
  if (channel.send(parcel, now_ns) == 1) return true;
  pool.give_back(std::array<Cell*, 1>{cell});
  return false;
}

bool TestSsa::send_keep(std::uint64_t token, std::uint64_t now_ns) {
  const Write& write = writes[token];
  Cell* cell = nullptr;
  if (pool.take({&cell, 1}) == 0) return false;
  cell->header.placement = {write.share.object, write.cell, write.share.generation, write.attempt,
                            write.share.share};
  const KeepOrder order{write.kept_cells, write.bytes, 1};
  Bytes share(order.bytes());
  Parcel parcel{};
  parcel.cell = cell;
  parcel.token = token;
  parcel.cells = write.kept_cells;
  parcel.until_stored = true;
  if (!channel.send_order(parcel, order, share, now_ns)) {
    pool.give_back(std::array<Cell*, 1>{cell});
    return false;
  }
  for (std::uint32_t i = 0; i < write.kept_cells; ++i) {
    const auto at = share.begin() + static_cast<std::ptrdiff_t>(std::size_t{i} * write.bytes);
    kept_[{write.share, {write.attempt, write.cell + i}}] = Bytes(at, at + write.bytes);
  }
  return true;
}

void TestSsa::send_writes(std::uint64_t now_ns) {
  while (!to_send_.empty()) {
    const std::uint64_t token = to_send_.front();
    if (!(writes[token].kept_cells != 0 ? send_keep(token, now_ns) : send_one(token, now_ns))) return;
    to_send_.pop_front();
  }
}

void TestSsa::work(std::uint64_t now_ns) {
  out_.poll();
  in_.poll();
  std::array<Cell*, Channel::max_burst> delivered;
  for (std::size_t at = 0; at < arrived_.size(); at += Channel::max_burst) {
    const std::size_t count = std::min(Channel::max_burst, arrived_.size() - at);
    const std::span<Cell* const> burst(arrived_.data() + at, count);
    in_.opener.open(burst);
    const std::size_t got = channel.arrived(burst, now_ns, delivered);
    for (std::size_t i = 0; i < got; ++i) take_in(*delivered[i]);
  }
  arrived_.clear();
  take_settled();
  send_writes(now_ns);
  while (!messages_.empty()) {
    const Message& next = messages_.front();
    if (!channel.post(next.type, next.what, next.payload, no_token, now_ns + 20 * one_s, now_ns)) break;
    messages_.pop_front();
  }
  if (!mute) channel.step(now_ns);
}

HolderWorld::HolderWorld(const HolderWorldOptions& given, std::uint64_t seed, roles::StoreAccess* access)
    : options(given),
      there(given.link, seed),
      back(given.link, seed + 1),
      medium(seed + 2),
      store(medium, given.store, seed + 3),
      pool(given.pool_cells),
      access_(access != nullptr ? access : &store) {
  if (!store.open().ok()) fail("the store does not open");
  holder = std::make_unique<roles::Holder>(options.holder, *access_, pool, rule);
}

HolderWorld::~HolderWorld() {
  for (std::size_t i = 0; i < connections.size(); ++i) disconnect(i);
  if (alive) crash();
}

std::optional<std::size_t> HolderWorld::connect(const roles::PeerIdentity& identity) {
  const auto name = static_cast<unsigned>(connections.size());
  auto made = std::make_unique<Connection>();
  made->there = std::make_unique<PacketEnds>(ends_options(2 * name, options.gcm));
  made->back = std::make_unique<PacketEnds>(ends_options(2 * name + 1, options.gcm));
  for (PacketEnds* const each : {made->there.get(), made->back.get()}) {
    each->deliver(options.pad_bytes, std::uint64_t{1} << 40);
  }
  made->ssa = std::make_unique<TestSsa>(options, *made->there, *made->back, now_ns);
  made->channel = std::make_unique<Channel>(options.channel, made->back->send, made->there->receive,
                                            made->back->sealer, pool, now_ns);
  if (!holder->add_peer(*made->channel, identity, now_ns, made->peer)) return std::nullopt;
  made->at_holder = true;
  connections.push_back(std::move(made));
  return connections.size() - 1;
}

void HolderWorld::disconnect(std::size_t at) {
  Connection& connection = *connections[at];
  if (!connection.at_holder) return;
  connection.at_holder = false;
  holder->remove_peer(connection.peer);
  pool.give_back(connection.arrived);
  connection.arrived.clear();
  connection.channel.reset();
}

void HolderWorld::receive() {
  Bytes packet;
  unsigned to = 0;
  while (there.receive(now_ns, packet, to)) {
    Connection& connection = *connections[to];
    if (!connection.at_holder || !alive) continue;
    Cell* const cell = pool.receive(packet);
    if (cell == nullptr) continue;  // as a port without packets
    if (packet[1] == static_cast<std::uint8_t>(PacketType::keep_order)) {
      Bytes& memory = secrets_[cell];
      memory.resize(max_order_bytes);
      cell->target = memory.data();
      cell->target_room = max_order_bytes;
    }
    connection.arrived.push_back(cell);
  }
  while (back.receive(now_ns, packet, to)) connections[to]->ssa->receive(packet);
}

void HolderWorld::deliver(Connection& connection) {
  connection.there->poll();
  connection.back->poll();
  std::array<Cell*, Channel::max_burst> delivered;
  for (std::size_t at = 0; at < connection.arrived.size(); at += Channel::max_burst) {
    const std::size_t count = std::min(Channel::max_burst, connection.arrived.size() - at);
    const std::span<Cell* const> burst(connection.arrived.data() + at, count);
    connection.there->opener.open(burst);
    const std::size_t got = connection.channel->arrived(burst, now_ns, delivered);
    watched(true);
    holder->delivered(connection.peer, std::span<Cell* const>(delivered).first(got), now_ns);
    watched(false);
  }
  connection.arrived.clear();
}

void HolderWorld::transmit(Channel& channel, TestPacketPool& from, Link& link, unsigned to) {
  std::array<Departure, 64> departures;
  while (const std::size_t count = channel.take_departures(departures)) {
    for (std::size_t i = 0; i < count; ++i) {
      Cell& cell = *departures[i].cell;
      from.to_port(cell, departures[i].held);
      link.send(Bytes(cell.packet(), cell.packet() + cell.packet_bytes()), to, now_ns);
      from.port_done(cell);
    }
  }
}

void HolderWorld::work() {
  ++steps;
  if (alive) {
    for (const auto& each : connections) {
      if (each->at_holder) deliver(*each);
    }
    store.work(now_ns);
    watched(true);
    holder->step(now_ns);
    watched(false);
    check();
  }
  for (unsigned i = 0; i < connections.size(); ++i) {
    Connection& each = *connections[i];
    if (each.at_holder && alive) {
      each.channel->step(now_ns);
      transmit(*each.channel, pool, back, i);
    }
    each.ssa->work(now_ns);
    transmit(each.ssa->channel, each.ssa->pool, there, i);
  }
  if (alive) check();
}

void HolderWorld::check() {
  if (!holder->audit()) fail("the holder's books do not balance");
  if (store.outstanding() > roles::Holder::requests(options.holder)) fail("too many requests in the store");
  for (const auto& each : connections) {
    TestSsa& ssa = *each->ssa;
    if (each->at_holder && holder->credit(each->peer) > options.holder.cells) fail("too much credit");
    for (const std::uint64_t token : ssa.newly_stored) {
      const TestSsa::Write& write = ssa.writes[token];
      const std::uint32_t count = std::max(write.kept_cells, 1U);
      for (std::uint32_t i = 0; i < count && verify_stored; ++i) {
        if (has(ssa, write.share, write.attempt, write.cell + i, write.bytes)) continue;
        fail("a cell is not there that was told as stored");
      }
    }
    ssa.newly_stored.clear();
  }
}

bool HolderWorld::advance(std::uint64_t end_ns) {
  std::uint64_t next = std::min(there.next(), back.next());
  if (alive) next = std::min({next, holder->next_due(), store.next_due()});
  for (const auto& each : connections) {
    next = std::min(next, each->ssa->next_due());
    if (each->at_holder && alive) next = std::min(next, each->channel->next_due());
  }
  now_ns = std::max(next, now_ns + one_us);
  if (now_ns >= end_ns || !wrong().empty()) {
    now_ns = std::min(now_ns, end_ns);
    return false;
  }
  receive();
  return true;
}

void HolderWorld::crash() {
  alive = false;
  medium.fail_in(0, CrashMedium::Failure::power_off);
  for (std::size_t i = 0; i < connections.size(); ++i) disconnect(i);
  store.drain();
  holder->step(now_ns);
  if (!holder->idle()) fail("the store kept a request");
  holder.reset();
  if (pool.out() != 0) fail("packets of the holder are lost: " + std::to_string(pool.out()));
  medium.crash();
  if (!store.open().ok()) fail("the store does not open after a crash");
}

void HolderWorld::restart() {
  holder = std::make_unique<roles::Holder>(options.holder, *access_, pool, rule);
  alive = true;
}

bool HolderWorld::has(const TestSsa& ssa, const ShareId& share, std::uint16_t attempt, std::uint32_t cell,
                      std::uint32_t bytes) {
  StripeReader reader(bytes);
  const std::uint32_t at = cell % store::stripe_cells;
  const store::CellRead read =
      reader.read(store.store(), share, attempt, cell / store::stripe_cells, std::uint64_t{1} << at);
  return read.result == store::StoreResult::done &&
         reader.cell(at) == ssa.content(share, attempt, cell, bytes);
}

bool HolderWorld::has_all_stored(std::string* which) {
  for (const auto& each : connections) {
    for (const TestSsa::Write& write : each->ssa->writes) {
      for (std::uint32_t i = 0; write.stored && i < std::max(write.kept_cells, 1U); ++i) {
        if (has(*each->ssa, write.share, write.attempt, write.cell + i, write.bytes)) continue;
        if (which != nullptr) *which = "cell " + std::to_string(write.cell + i);
        return false;
      }
    }
  }
  return true;
}

std::string HolderWorld::wrong() const {
  if (!wrong_.empty()) return wrong_;
  if (!pool.wrong().empty()) return pool.wrong();
  for (const auto& each : connections) {
    if (!each->ssa->wrong.empty()) return each->ssa->wrong;
    if (!each->ssa->pool.wrong().empty()) return each->ssa->pool.wrong();
  }
  return {};
}

}  // namespace ssn::test
