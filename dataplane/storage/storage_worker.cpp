// SPDX-License-Identifier: BSD-3-Clause
#include "ssn/dataplane/storage_worker.h"

#include <algorithm>
#include <cassert>

namespace ssn::dataplane {
namespace {

void add(const protocol::SenderCounters& from, PeerNumbers& to) noexcept {
  to.sent += from.sent;
  to.sent_again += from.sent_again;
  to.received += from.received;
  to.stored += from.stored;
  to.lost += from.lost;
  to.expired += from.expired;
  to.suspected += from.suspected;
}

// What still departs or was not told belongs to nobody any more.
void drain(protocol::Channel& channel) noexcept {
  protocol::Departure departures[64];
  while (const std::size_t count = channel.take_departures(departures)) {
    for (std::size_t i = 0; i < count; ++i) {
      if (!departures[i].held) release(packet_of(*departures[i].cell));
    }
  }
  protocol::Settled settled[64];
  while (channel.take_settled(settled) != 0) {
  }
}

}  // namespace

StorageWorker::StorageWorker() { channels.reserve(connection_places); }

StorageWorker::~StorageWorker() { assert(channels.empty() && "all channels were detached"); }

bool StorageWorker::attach(StorageChannel& channel) noexcept {
  StorageChannel*& place = by_place[channel.id & (connection_places - 1)];
  if (place != nullptr || channels.size() == channels.capacity() || !table.add(channel.receiving())) {
    return false;
  }
  place = &channel;
  channels.push_back(&channel);
  dirty = true;
  return true;
}

void StorageWorker::detach(StorageChannel& channel, std::uint64_t now_ns) noexcept {
  table.remove(channel.id);
  by_place[channel.id & (connection_places - 1)] = nullptr;
  std::erase(channels, &channel);
  if (channel.joined) role->leave(channel, now_ns);
  channel.joined = false;
  channel.channel->end(now_ns);
  drain(*channel.channel);
  if (channel.connection != nullptr) add(channel.channel->sender().counters(), finished[channel.number]);
  dirty = true;
}

void StorageWorker::publish() noexcept {
  peers = finished;
  for (StorageChannel* const each : channels) {
    if (each->connection == nullptr) continue;
    PeerNumbers& numbers = peers[each->number];
    add(each->channel->sender().counters(), numbers);
    numbers.connected = each->joined && !each->suspect ? 1 : 0;
    numbers.round_trip_us = each->channel->sender().round_trip().smoothed() / 1000;
    each->round_trip_us.store(numbers.round_trip_us, std::memory_order_relaxed);
    each->answers.store(!each->suspect, std::memory_order_relaxed);
  }
  mirror.publish();
}

}  // namespace ssn::dataplane
