// SPDX-License-Identifier: BSD-3-Clause
#include <algorithm>

#include "storage_nodes.h"

namespace ssn::dataplane {
namespace {

using protocol::Departure;

// Keys that were missing may have come.
constexpr std::uint64_t try_again_ns = 1'000'000;
constexpr std::uint64_t publish_ns = 5'000'000;

void join_those_that_can(StorageWorker& worker, std::uint64_t now) noexcept {
  for (StorageChannel* const each : worker.channels) {
    if (each->connection != nullptr) each->connection->service(now);
    if (!each->joined && each->may_send()) each->joined = worker.role->join(*each, now);
  }
}

void step_channels(StorageWorker& worker, std::uint64_t now) noexcept {
  for (StorageChannel* const each : worker.channels) {
    if (each->joined && each->channel->next_due() <= now) each->channel->step(now);
    each->suspect = each->channel->suspect();
  }
}

// A packet that its channel keeps has one reference more until the port is done with it.
std::uint32_t send_departures(StorageChannel& from, Burst& burst) noexcept {
  Departure departures[Burst::chunk];
  Packet* packets[Burst::chunk];
  std::uint32_t total = 0;
  while (const std::size_t count = from.channel->take_departures(departures)) {
    for (std::size_t i = 0; i < count; ++i) {
      protocol::Cell& cell = *departures[i].cell;
      Packet& packet = packet_of(cell);
      if (departures[i].held) rte_mbuf_refcnt_update(&packet, 1);
      packet.ol_flags &= RTE_MBUF_F_EXTERNAL;
      frame_packet(packet, cell.packet(), cell.packet_bytes());
      set_link(packet, from.link);
      packets[i] = &packet;
    }
    burst.begin_trace(packets, static_cast<std::uint16_t>(count));
    burst.send(storage_step_link, packets, static_cast<std::uint16_t>(count));
    total += static_cast<std::uint32_t>(count);
  }
  return total;
}

void publish(StorageWorker& state, Worker& worker, std::uint64_t now) noexcept {
  if (!state.dirty) return;
  if (now - state.published_ns < publish_ns) {
    worker.wake_at(state.published_ns + publish_ns);
    return;
  }
  state.publish();
  state.published_ns = now;
  state.dirty = false;
}

std::uint16_t step(StorageNode& state, Burst& burst) {
  StorageWorker& worker = *state.worker;
  Worker& thread = burst.worker();
  const std::uint64_t now = thread.now_ns();
  join_those_that_can(worker, now);
  step_channels(worker, now);
  const bool worked = worker.role->step(now);
  step_channels(worker, now);
  std::uint32_t sent = 0;
  std::uint64_t due = worker.role->next_due();
  for (StorageChannel* const each : worker.channels) {
    if (!each->joined) {
      due = std::min(due, now + try_again_ns);
      continue;
    }
    sent += send_departures(*each, burst);
    due = std::min(due, each->channel->next_due());
  }
  // What is still due could not be done: keys or packets are missing.
  thread.wake_at(due <= now ? now + try_again_ns / 8 : due);
  if (sent != 0 || worked) {
    thread.note_work();
    worker.dirty = true;
  }
  publish(worker, thread, now);
  return static_cast<std::uint16_t>(std::min<std::uint32_t>(sent, UINT16_MAX));
}

constexpr Edge edges[] = {{"link"}};

}  // namespace

const NodeType storage_step_type = source_type<step>("storage_step", edges);

}  // namespace ssn::dataplane
