// SPDX-License-Identifier: BSD-3-Clause
#include "ssn/dataplane/wire_worker.h"

#include <algorithm>
#include <cassert>

namespace ssn::dataplane {

WireStreamWorker::WireStreamWorker(const WirePlan& plan_of, WireWorker& worker_of, std::uint16_t at_of,
                                   hw::SecretBuffer memory, std::uint32_t blocks)
    : plan(&plan_of),
      worker(&worker_of),
      at(at_of),
      block_memory(std::move(memory)),
      pool(block_memory.span(), plan_of.stream.block_bytes(), blocks),
      packer(plan_of.stream, pool, sent) {}

WireStreamWorker::~WireStreamWorker() {
  for (std::size_t i = 0; i < spare_count; ++i) release(packet_of(*spare[i]));
}

std::size_t WireStreamWorker::fresh_shares(std::span<protocol::Cell*> cells) noexcept {
  std::size_t count = 0;
  Packet* packets[64];
  while (count < cells.size()) {
    const auto some = static_cast<std::uint16_t>(std::min(cells.size() - count, std::size(packets)));
    if (!allocate_bare(*shares, packets, some)) {
      ++no_packets;
      break;
    }
    for (std::uint16_t i = 0; i < some; ++i) cells[count + i] = fresh_cell(*packets[i]);
    count += some;
  }
  return count;
}

void WireStreamWorker::fill_spare() noexcept {
  Packet* packets[std::tuple_size_v<decltype(spare)>];
  const auto missing = static_cast<std::uint16_t>(spare.size() - spare_count);
  if (missing == 0) return;
  if (!allocate(*frames, packets, missing)) {
    ++no_packets;
    return;
  }
  for (std::uint16_t i = 0; i < missing; ++i) spare[spare_count++] = fresh_cell(*packets[i]);
}

void WireWorker::attach(WireSession& session) noexcept {
  const std::uint32_t id = session.connection->terms().local_id;
  WireSession*& place = by_place[id & (connection_places - 1)];
  assert(place == nullptr && "the connection before was let go");
  assert(sessions.size() < sessions.capacity());
  place = &session;
  sessions.push_back(&session);
  for (const std::unique_ptr<StreamSession>& each : session.streams) {
    assert(each->stream->session == nullptr);
    each->stream->session = each.get();
  }
}

void WireWorker::detach(WireSession& session) noexcept {
  by_place[session.connection->terms().local_id & (connection_places - 1)] = nullptr;
  session.draining = true;
  for (const std::unique_ptr<StreamSession>& each : session.streams) {
    each->stream->packer.give_up();
    each->stream->waits = false;
    each->collector.drop_all();
  }
  end_drained();
}

namespace {

bool is_drained(const WireSession& session) noexcept {
  return std::all_of(session.streams.begin(), session.streams.end(), [](const auto& each) {
    return each->splitter.in_flight() == 0 && each->collector.in_flight() == 0;
  });
}

void release_all(StreamSession& each) noexcept {
  protocol::Cell* cells[64];
  const auto free_cells = [&](std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) release(packet_of(*cells[i]));
    return count != 0;
  };
  each.splitter.abandon();
  while (free_cells(each.splitter.take_sealed(cells))) {
  }
  while (free_cells(each.splitter.take_spent(cells))) {
  }
  each.collector.drop_all();
  while (free_cells(each.collector.take_cells(cells))) {
  }
  if (protocol::Cell* const open = each.unpacker.take_open()) release(packet_of(*open));
  each.stream->session = nullptr;
}

}  // namespace

void WireWorker::end_drained() noexcept {
  for (std::size_t i = 0; i < sessions.size();) {
    WireSession& session = *sessions[i];
    if (!session.draining || !is_drained(session)) {
      ++i;
      continue;
    }
    for (const std::unique_ptr<StreamSession>& each : session.streams) release_all(*each);
    sessions.erase(sessions.begin() + static_cast<std::ptrdiff_t>(i));
    dirty = true;
    Connection* const connection = session.connection;
    session.is_over.store(true, std::memory_order_release);  // not to be touched any more
    connection->let_go();
  }
}

WireWorker::~WireWorker() {
  assert(sessions.empty() && "all connections were let go");
  assert(offload.is_idle());
  if (generator != nullptr) generator->~RandomGenerator();
}

}  // namespace ssn::dataplane
