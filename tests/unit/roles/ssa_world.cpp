// SPDX-License-Identifier: BSD-3-Clause
#include "ssa_world.h"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SSN_TEST_SANITIZED
#endif
#endif

namespace ssn::test {

using namespace protocol;

namespace {

class Inside {
 public:
  Inside() { inside_ssa = true; }
  ~Inside() { inside_ssa = false; }
  Inside(const Inside&) = delete;
  Inside& operator=(const Inside&) = delete;
};

constexpr std::uint16_t owner_number_of(const TestOwner& owner) {
  return static_cast<std::uint16_t>(owner.name);
}

ChannelOptions tie_channel(const SsaWorldOptions& world) {
  ChannelOptions options = world.channel;
  options.sender.peer_pad_ring_bytes = world.pad_ring_bytes;
  return options;
}

EndsOptions tie_options(unsigned name, const SsaWorldOptions& world) {
  EndsOptions options;
  options.ksid = static_cast<std::uint8_t>(1 + name % 100);
  options.connection_id = 0x01020300 + name;
  options.window = 1024;
  options.d_ring = world.pad_ring_bytes;
  options.a_ring = std::size_t{1} << 16;
  options.gcm = world.gcm;
  options.policy = world.gcm ? ShortagePolicy::aes_256_gcm : ShortagePolicy::refuse;
  return options;
}

EndsOptions owner_options(unsigned name) {
  EndsOptions options;
  options.ksid = static_cast<std::uint8_t>(1 + name % 100);
  options.connection_id = 0x02020300 + name;
  options.d_ring = options.a_ring = std::size_t{1} << 16;
  options.window = 128;
  return options;
}

}  // namespace

std::uint64_t seeds(std::uint64_t usual) {
  const char* const given = std::getenv("SSN_SSA_RUNS");
  if (given != nullptr) return std::strtoull(given, nullptr, 10);
#if defined(__SANITIZE_ADDRESS__) || defined(SSN_TEST_SANITIZED)
  return (usual + 2) / 3;
#else
  return usual;
#endif
}

void ChannelEnd::receive(const Bytes& packet, bool orders) {
  Cell* const cell = pool_.receive(packet);
  if (cell == nullptr) return;  // as a port without packets
  const auto type = static_cast<PacketType>(packet[1]);
  if (orders && (type == PacketType::keep_order || type == PacketType::mask_order)) {
    Bytes& memory = kept_[cell];
    memory.resize(max_order_bytes);
    cell->target = memory.data();
    cell->target_room = max_order_bytes;
  }
  inbox_.push_back(cell);
}

void ChannelEnd::deliver(std::uint64_t now_ns, const Take& take) {
  std::array<Cell*, Channel::max_burst> delivered;
  for (std::size_t at = 0; at < inbox_.size(); at += Channel::max_burst) {
    const std::size_t count = std::min(Channel::max_burst, inbox_.size() - at);
    const std::span<Cell* const> burst(inbox_.data() + at, count);
    opener_.open(burst);
    const std::size_t got = channel_.arrived(burst, now_ns, delivered);
    if (got != 0) take(std::span<Cell* const>(delivered).first(got));
  }
  inbox_.clear();
}

void ChannelEnd::transmit(Link& link, unsigned to, std::uint64_t now_ns) {
  std::array<Departure, 64> departures;
  while (const std::size_t count = channel_.take_departures(departures)) {
    for (std::size_t i = 0; i < count; ++i) {
      Cell& cell = *departures[i].cell;
      pool_.to_port(cell, departures[i].held);
      link.send(Bytes(cell.packet(), cell.packet() + cell.packet_bytes()), to, now_ns);
      pool_.port_done(cell);
    }
  }
}

Tie::Tie(const SsaWorldOptions& options, unsigned given, TestPacketPool& ssa_pool,
         TestPacketPool& holder_pool, std::uint64_t now_ns)
    : name(given),
      there(tie_options(2 * given, options)),
      back(tie_options(2 * given + 1, options)),
      ssa_channel(tie_channel(options), there.send, back.receive, there.sealer, ssa_pool, now_ns),
      holder_channel(tie_channel(options), back.send, there.receive, back.sealer, holder_pool, now_ns),
      at_ssa(ssa_pool, back.opener, ssa_channel),
      at_holder(holder_pool, there.opener, holder_channel) {
  for (PacketEnds* const each : {&there, &back}) each->deliver(options.pad_bytes, std::uint64_t{1} << 40);
  ssa_channel.set_credit(100000, now_ns);
}

void Tie::poll() {
  there.poll();
  back.poll();
}

HolderNode::HolderNode(const SsaWorldOptions& options, std::uint64_t seed)
    : there(options.link, seed),
      back(options.link, seed + 1),
      medium(seed + 2),
      store(medium, options.store, seed + 3),
      pool(options.pool_cells) {
  (void)store.open().ok();
  start(options);
}

void HolderNode::start(const SsaWorldOptions& options) {
  if (options.guests) {
    divider = std::make_unique<roles::StoreDivider>(store, roles::Holder::requests(options.holder));
  }
  roles::StoreAccess& its = divider == nullptr ? static_cast<roles::StoreAccess&>(store) : divider->first();
  holder = std::make_unique<roles::Holder>(options.holder, its, pool, rule);
}

TestOwner::TestOwner(const SsaWorldOptions& options, unsigned given, TestPacketPool& ssa_pool,
                     std::uint64_t seed, std::uint64_t now_ns)
    : name(given),
      cell_bytes(options.layout.cell_bytes),
      keys_there(owner_options(2 * given)),
      keys_back(owner_options(2 * given + 1)),
      pool(options.pool_cells),
      there(options.owner_link, seed),
      back(options.owner_link, seed + 1) {
  TestRandom random(seed + 2);
  const Bytes there_key = random.bytes(SessionKeys::key_bytes);
  const Bytes back_key = random.bytes(SessionKeys::key_bytes);
  const SessionKeysOptions mine{keys_there.options.connection_id, keys_back.options.connection_id};
  const SessionKeysOptions its{keys_back.options.connection_id, keys_there.options.connection_id};
  auto made = SessionKeys::make(mine, there_key, back_key);
  auto made_at_ssa = SessionKeys::make(its, back_key, there_key);
  if (!made.ok() || !made_at_ssa.ok()) {
    wrong = "no session keys";
    return;
  }
  keys = std::move(made.value());
  ssa_keys = std::move(made_at_ssa.value());
  keys_there.table.remove(keys_there.options.connection_id);
  keys_back.table.remove(keys_back.options.connection_id);
  if (!keys_there.table.add(ssa_keys->connection()) || !keys_back.table.add(keys->connection())) {
    wrong = "no place for a connection";
  }
  channel = std::make_unique<Channel>(options.channel, keys->send(), keys->receive(), keys_there.sealer, pool,
                                      now_ns);
  ssa_channel = std::make_unique<Channel>(options.channel, ssa_keys->send(), ssa_keys->receive(),
                                          keys_back.sealer, ssa_pool, now_ns);
  end = std::make_unique<ChannelEnd>(pool, keys_back.opener, *channel);
  ssa_end = std::make_unique<ChannelEnd>(ssa_pool, keys_there.opener, *ssa_channel);
  channel->set_credit(4096, now_ns);
}

void TestOwner::write(const roles::ObjectKey& given, Bytes bytes) {
  key = given;
  content = std::move(bytes);
  blocks = static_cast<std::uint32_t>(content.size() / cell_bytes);
  stored.assign(blocks, false);
  writes_ = true;
  to_send_.clear();
  for (std::uint32_t i = blocks; i > 0; --i) to_send_.push_back(i - 1);
}

void TestOwner::read(const roles::ObjectKey& given, std::uint32_t count) {
  key = given;
  blocks = count;
  content.assign(std::size_t{count} * cell_bytes, 0);
  was_given.assign(count, false);
  states_.assign(count, BlockState::none);
  asked_ns_.assign(count, 0);
}

void TestOwner::take_block(const Cell& cell) {
  const Placement& what = cell.header.placement;
  if (what.object != key.object || what.generation != key.generation || what.cell >= blocks ||
      cell.length != cell_bytes || writes_) {
    wrong = "a block that nobody asked for";
    return;
  }
  const std::uint8_t* const from = cell.target != nullptr ? cell.target : cell.data;
  std::uint8_t* const to = content.data() + std::size_t{what.cell} * cell_bytes;
  if (states_[what.cell] == BlockState::got) {
    if (std::memcmp(from, to, cell_bytes) != 0) wrong = "a block came twice, and differs";
    return;
  }
  if (states_[what.cell] == BlockState::refused) --refused_count;
  std::copy(from, from + cell_bytes, to);
  states_[what.cell] = BlockState::got;
  was_given[what.cell] = true;
  ++got_count;
}

void TestOwner::take_answer(const Cell& cell) {
  const auto answer = read_answer({cell.data, cell.length});
  const Placement& what = cell.header.placement;
  if (writes_ && answer && answer->type == PacketType::cell && what.object == key.object &&
      what.generation == key.generation) {
    ++answers[answer->code];
    write_over = true;
    to_send_.clear();
    return;
  }
  if (!answer || answer->type != PacketType::read) {
    wrong = "an answer that no owner understands";
    return;
  }
  ++answers[answer->code];
  if (answer->code == AnswerCode::busy) return;  // asked again later
  for (std::size_t i = 0; i < answer->count; ++i) {
    const std::uint32_t block = cell.header.placement.cell + static_cast<std::uint32_t>(i);
    if (!names_cell(answer->bitmap, i) || block >= blocks || states_[block] != BlockState::asked) continue;
    states_[block] = BlockState::refused;
    ++refused_count;
  }
}

void TestOwner::take_in(std::span<Cell* const> cells, std::uint64_t /*now_ns*/) {
  for (const Cell* const cell : cells) {
    if (cell->open_result == OpenResult::opened) {
      take_block(*cell);
    } else {
      take_answer(*cell);
    }
  }
  pool.give_back(cells);
}

void TestOwner::take_settled() {
  std::array<Settled, 64> settled;
  while (const std::size_t count = channel->take_settled(settled)) {
    for (std::size_t i = 0; i < count; ++i) {
      if (settled[i].token >= blocks) continue;
      if (settled[i].how == Settled::How::received) ++received_count;
      if (settled[i].how == Settled::How::expired)
        to_send_.push_back(static_cast<std::uint32_t>(settled[i].token));
      if (settled[i].how != Settled::How::stored || stored[settled[i].token]) continue;
      stored[settled[i].token] = true;
      ++stored_count;
      newly_stored.push_back(static_cast<std::uint32_t>(settled[i].token));
    }
  }
}

void TestOwner::send_blocks(std::uint64_t now_ns) {
  while (!to_send_.empty() && channel->allowance(cell_bytes, 1, now_ns).packets != 0) {
    Cell* cell = nullptr;
    if (pool.take({&cell, 1}) == 0) return;
    const std::uint32_t block = to_send_.back();
    std::copy_n(content.data() + std::size_t{block} * cell_bytes, cell_bytes, cell->data);
    cell->length = cell_bytes;
    cell->header.placement = {key.object, block, key.generation, 0, 0};
    std::array<Parcel, 1> parcel{};
    parcel[0].cell = cell;
    parcel[0].token = block;
    parcel[0].deadline_ns = now_ns + 60 * one_s;
    parcel[0].until_stored = true;
    if (channel->send(parcel, now_ns) != 1) {
      pool.give_back({&cell, 1});
      return;
    }
    to_send_.pop_back();
  }
}

void TestOwner::ask(std::uint64_t now_ns) {
  std::uint32_t out = 0;
  for (std::uint32_t i = 0; i < blocks; ++i) {
    if (states_[i] != BlockState::asked) continue;
    if (now_ns - asked_ns_[i] > 7 * one_s) states_[i] = BlockState::none;  // lost on its way
    ++out;
  }
  for (std::uint32_t i = 0; i < blocks && out < 1024; ++i) {
    if (states_[i] != BlockState::none) continue;
    ReadRequest request;
    request.request = ++request_;
    for (std::uint32_t at = 0; at < max_named_cells && i + at < blocks; ++at) {
      if (states_[i + at] != BlockState::none) continue;
      name_cell(request.bitmap, at);
      request.count = static_cast<std::uint16_t>(at + 1);
    }
    Bytes payload(read_request_bytes);
    write_read_request(request, payload.data());
    if (!channel->post(PacketType::read, {key.object, i, key.generation, 0, 0}, payload, no_token,
                       now_ns + 7 * one_s, now_ns)) {
      return;
    }
    for (std::uint32_t at = 0; at < request.count; ++at) {
      if (!names_cell(request.bitmap, at)) continue;
      states_[i + at] = BlockState::asked;
      asked_ns_[i + at] = now_ns;
      ++out;
    }
  }
}

void TestOwner::work(std::uint64_t now_ns) {
  end->deliver(now_ns, [&](std::span<Cell* const> cells) { take_in(cells, now_ns); });
  take_settled();
  if (writes_) send_blocks(now_ns);
  if (!writes_) ask(now_ns);
  channel->step(now_ns);
  end->transmit(there, name, now_ns);
}

SsaWorld::SsaWorld(const SsaWorldOptions& given, std::uint64_t chosen)
    : options(given),
      seed(chosen),
      random(chosen),
      pool(given.pool_cells),
      generated(chosen_implementation(), generator),
      counted(generated) {
  std::array<std::uint8_t, kernels::RandomGenerator::seed_bytes> seeded;
  random.fill(seeded.data(), seeded.size());
  generator.seed(seeded);
  ssa = std::make_unique<roles::Ssa>(options.ssa, chosen_implementation(), pool, counted);
  options.layout.holders.clear();
  const std::uint16_t nodes = options.holders;
  for (std::uint16_t i = 0; i < (nodes == 0 ? options.layout.n : nodes); ++i) {
    if (i < options.layout.n) options.layout.holders.push_back(i);
    holders.push_back(std::make_unique<HolderNode>(options, seed * 1000 + i * 10));
    connect(i);
  }
}

SsaWorld::~SsaWorld() {
  close_sessions();
  for (const auto& owner : owners) {
    if (owner->ssa_channel != nullptr) ssa->remove_owner(owner_number_of(*owner), now_ns);
  }
  for (std::size_t i = 0; i < holders.size(); ++i) {
    disconnect(i);
    if (holders[i]->alive) kill(i);
  }
}

void SsaWorld::close_sessions() {
  for (const roles::SsaSession session : writes_) ssa->close_write(session, now_ns);
  for (const roles::SsaSession session : reads_) ssa->close_read(session, now_ns);
  writes_.clear();
  reads_.clear();
}

void SsaWorld::connect(std::size_t at) {
  HolderNode& node = *holders[at];
  node.tie = std::make_unique<Tie>(options, ++ties, pool, node.pool, now_ns);
  if (!node.holder->add_peer(node.tie->holder_channel, {1, true, false}, now_ns, node.tie->peer)) {
    wrong_ = "the holder has no place";
  }
  node.tie->peered = true;
  if (!ssa->add_holder(static_cast<std::uint16_t>(at), node.tie->ssa_channel, now_ns)) {
    wrong_ = "the SSA has no place";
  }
}

void SsaWorld::disconnect(std::size_t at) {
  HolderNode& node = *holders[at];
  if (node.tie == nullptr) return;
  ssa->remove_holder(static_cast<std::uint16_t>(at), now_ns);
  if (node.tie->peered) node.holder->remove_peer(node.tie->peer);
  node.tie.reset();
}

void SsaWorld::kill(std::size_t at) {
  HolderNode& node = *holders[at];
  if (!node.alive) return;
  node.alive = false;
  node.medium.fail_in(0, CrashMedium::Failure::power_off);
  if (node.tie != nullptr && node.tie->peered) node.holder->remove_peer(node.tie->peer);
  if (node.tie != nullptr) node.tie->peered = false;
  if (guests != nullptr) guests->stopping(at);
  node.store.drain();
  node.holder->step(now_ns);
  if (guests != nullptr) guests->stopped(at);
  if (!node.holder->idle()) wrong_ = "the store kept a request";
  node.holder.reset();
  node.divider.reset();
  node.medium.crash();
}

void SsaWorld::restart(std::size_t at) {
  HolderNode& node = *holders[at];
  if (node.alive) kill(at);
  disconnect(at);
  if (!node.store.open().ok()) {
    wrong_ = "the store does not open after a crash";
    return;
  }
  node.start(options);
  node.alive = true;
  connect(at);
  if (guests != nullptr) guests->started(at);
}

unsigned SsaWorld::holders_with(const roles::ObjectKey& key, std::uint32_t cell) {
  unsigned count = 0;
  for (std::size_t i = 0; i < holders.size(); ++i) {
    StripeReader reader(options.layout.cell_bytes);
    const store::ShareId share{key.object, key.generation, static_cast<std::uint8_t>(i + 1)};
    bool has = false;
    for (std::uint16_t attempt = 0; attempt < 4 && !has; ++attempt) {
      const std::uint64_t wanted = std::uint64_t{1} << cell % store::stripe_cells;
      const auto read =
          reader.read(holders[i]->store.store(), share, attempt, cell / store::stripe_cells, wanted);
      has = read.read == wanted;
    }
    count += has ? 1 : 0;
  }
  return count;
}

void SsaWorld::cut(std::size_t at, bool cut) {
  holders[at]->there.options.cut = cut;
  holders[at]->back.options.cut = cut;
}

TestOwner& SsaWorld::add_owner() {
  const auto name = static_cast<unsigned>(owners.size());
  owners.push_back(std::make_unique<TestOwner>(options, name, pool, seed * 1000 + 500 + name * 10, now_ns));
  TestOwner& owner = *owners.back();
  if (!ssa->add_owner(owner_number_of(owner), *owner.ssa_channel, now_ns)) wrong_ = "no place for an owner";
  return owner;
}

void SsaWorld::remove_owner(TestOwner& owner) {
  ssa->remove_owner(owner_number_of(owner), now_ns);
  owner.ssa_end.reset();
  owner.ssa_channel.reset();
}

roles::SsaSession SsaWorld::open_write(TestOwner& owner, const roles::ObjectKey& key, Bytes content) {
  auto made = roles::make_write({key, options.layout, owner_number_of(owner), owner.meters}, options.ssa);
  if (!made.ok()) {
    wrong_ = made.error().what + ": " + made.error().why;
    return 0;
  }
  const roles::SsaSession session = ssa->open_write(made.value(), now_ns);
  if (session == 0) wrong_ = "the write is not opened";
  writes_.push_back(session);
  owner.write(key, std::move(content));
  return session;
}

roles::SsaSession SsaWorld::open_read(TestOwner& owner, const roles::ObjectKey& key,
                                      const roles::WriteResult& written) {
  roles::ReadOrder order{key, options.layout, owner_number_of(owner), written.cells, written.attempts,
                         {},  owner.meters};
  for (const roles::HolderResult& each : written.holders) {
    if (each.sealed) order.shares.push_back(each.share);
  }
  auto made = roles::make_read(order, options.ssa);
  if (!made.ok()) {
    wrong_ = made.error().what + ": " + made.error().why;
    return 0;
  }
  const roles::SsaSession session = ssa->open_read(made.value(), now_ns);
  if (session == 0) wrong_ = "the read is not opened";
  reads_.push_back(session);
  return session;
}

const roles::WriteResult& SsaWorld::put(const roles::ObjectKey& key, const Bytes& content,
                                        std::uint64_t limit_ns) {
  TestOwner& owner = add_owner();
  const roles::SsaSession session = open_write(owner, key, content);
  last_ = {};
  if (session == 0) return last_;
  const auto ended = [&] { return ssa->result(session)->ended; };
  // Where the last cell is not full, it cannot be stored before the number of blocks is known.
  const bool full = owner.blocks % options.layout.secret_blocks == 0;
  const auto sent = [&] { return full ? owner.all_stored() : owner.received_count == owner.blocks; };
  if (run(limit_ns, [&] { return ended() || sent(); }) && !ended()) {
    ssa->finish_write(session, owner.blocks, now_ns);
    (void)run(limit_ns, ended);
  }
  last_ = *ssa->result(session);
  ssa->close_write(session, now_ns);
  writes_.pop_back();
  remove_owner(owner);
  return last_;
}

TestOwner& SsaWorld::get(const roles::ObjectKey& key, std::uint32_t blocks, const roles::WriteResult& written,
                         std::uint64_t limit_ns) {
  TestOwner& owner = add_owner();
  const roles::SsaSession session = open_read(owner, key, written);
  if (session == 0) return owner;
  owner.read(key, blocks);
  if (!run(limit_ns, [&] { return owner.read_over(); }) && wrong_.empty())
    wrong_ = "the read does not come to an end";
  ssa->close_read(session, now_ns);
  reads_.pop_back();
  remove_owner(owner);
  return owner;
}

void SsaWorld::lie(HolderNode& node, std::span<Cell* const> cells) {
  for (Cell* const cell : cells) {
    if (cell->open_result != OpenResult::opened) continue;
    ++node.shares_given;
    if (random.below(100) >= node.lies_percent) continue;
    std::uint8_t* const bytes = cell->target != nullptr ? cell->target : cell->data;
    bytes[random.below(cell->length)] ^= random.nonzero_byte();
  }
}

void SsaWorld::receive() {
  Bytes packet;
  unsigned to = 0;
  for (const auto& node : holders) {
    while (node->there.receive(now_ns, packet, to)) {
      if (node->alive && node->tie != nullptr && node->tie->name == to)
        node->tie->at_holder.receive(packet, true);
    }
    while (node->back.receive(now_ns, packet, to)) {
      if (node->tie != nullptr && node->tie->name == to) node->tie->at_ssa.receive(packet);
    }
  }
  for (const auto& owner : owners) {
    while (owner->there.receive(now_ns, packet, to)) {
      if (owner->ssa_end != nullptr) owner->ssa_end->receive(packet);
    }
    while (owner->back.receive(now_ns, packet, to)) {
      if (owner->ssa_channel != nullptr) owner->end->receive(packet);
    }
  }
}

void SsaWorld::work_holder(std::size_t at) {
  HolderNode& node = *holders[at];
  if (!node.alive) return;
  Tie* const tie = node.tie.get();
  if (tie != nullptr) {
    tie->at_holder.deliver(
        now_ns, [&](std::span<Cell* const> cells) { node.holder->delivered(tie->peer, cells, now_ns); });
  }
  node.store.work(now_ns);
  node.holder->step(now_ns);
  if (tie == nullptr) return;
  tie->holder_channel.step(now_ns);
  tie->at_holder.transmit(node.back, tie->name, now_ns);
}

void SsaWorld::work_ties() {
  for (std::uint16_t i = 0; i < holders.size(); ++i) {
    HolderNode& node = *holders[i];
    if (node.tie == nullptr) continue;
    node.tie->poll();
    node.tie->at_ssa.deliver(now_ns, [&](std::span<Cell* const> cells) {
      lie(node, cells);
      const Inside inside;
      ssa->delivered_from_holder(i, cells, now_ns);
    });
    node.tie->ssa_channel.step(now_ns);
  }
  for (const auto& owner : owners) {
    if (owner->ssa_end == nullptr) continue;
    owner->ssa_end->deliver(now_ns, [&](std::span<Cell* const> cells) {
      const Inside inside;
      ssa->delivered_from_owner(owner_number_of(*owner), cells, now_ns);
    });
    owner->ssa_channel->step(now_ns);
  }
}

void SsaWorld::work() {
  ++steps_;
  while (!plan_.empty() && plan_.begin()->first <= now_ns) {
    const auto what = std::move(plan_.begin()->second);
    plan_.erase(plan_.begin());
    what();
  }
  for (std::size_t i = 0; i < holders.size(); ++i) work_holder(i);
  if (guests != nullptr) guests->work();
  work_ties();
  {
    const Inside inside;
    ssa->step(now_ns);
  }
  std::array<roles::SsaEvent, 32> some;
  while (const std::size_t count = ssa->take_events(some))
    events.insert(events.end(), some.begin(), some.begin() + static_cast<std::ptrdiff_t>(count));
  for (const auto& node : holders) {
    if (node->tie == nullptr) continue;
    node->tie->ssa_channel.step(now_ns);
    node->tie->at_ssa.transmit(node->there, node->tie->name, now_ns);
  }
  for (const auto& owner : owners) {
    if (owner->ssa_end == nullptr) continue;
    owner->ssa_channel->step(now_ns);
    owner->ssa_end->transmit(owner->back, owner->name, now_ns);
    owner->work(now_ns);
    for (const std::uint32_t block : owner->newly_stored) {
      const std::uint32_t cell = block / options.layout.secret_blocks;
      if (verify_stored != 0 && holders_with(owner->key, cell) < verify_stored) {
        wrong_ = "a block was told as stored that too few holders have";
      }
    }
    owner->newly_stored.clear();
  }
}

bool SsaWorld::advance(std::uint64_t end_ns) {
  std::uint64_t next = ssa->next_due();
  if (!plan_.empty()) next = std::min(next, plan_.begin()->first);
  for (const auto& node : holders) {
    next = std::min({next, node->there.next(), node->back.next()});
    if (node->alive) next = std::min({next, node->holder->next_due(), node->store.next_due()});
    if (node->tie == nullptr) continue;
    next = std::min(next, node->tie->ssa_channel.next_due());
    if (node->alive) next = std::min(next, node->tie->holder_channel.next_due());
  }
  for (const auto& owner : owners) {
    if (owner->ssa_channel == nullptr) continue;
    next = std::min(
        {next, owner->there.next(), owner->back.next(), owner->next_due(), owner->ssa_channel->next_due()});
  }
  if (guests != nullptr) next = std::min(next, guests->next_due());
  now_ns = std::max(next, now_ns + 10 * one_us);
  if (now_ns >= end_ns || !wrong().empty()) {
    now_ns = std::min(now_ns, end_ns);
    return false;
  }
  receive();
  if (guests != nullptr) guests->receive();
  return true;
}

std::size_t SsaWorld::count_events(roles::SsaEvent::Kind kind) const {
  return static_cast<std::size_t>(
      std::count_if(events.begin(), events.end(), [kind](const auto& event) { return event.kind == kind; }));
}

std::string SsaWorld::wrong() const {
  if (!wrong_.empty()) return wrong_;
  if (!pool.wrong().empty()) return pool.wrong();
  if (guests != nullptr && !guests->wrong().empty()) return guests->wrong();
  for (const auto& node : holders) {
    if (!node->pool.wrong().empty()) return node->pool.wrong();
    if (steps_ % 64 == 0 && node->holder != nullptr && !node->holder->audit())
      return "the holder's books do not balance";
  }
  for (const auto& owner : owners) {
    if (!owner->wrong.empty()) return owner->wrong;
    if (!owner->pool.wrong().empty()) return owner->pool.wrong();
  }
  return {};
}

}  // namespace ssn::test
