// SPDX-License-Identifier: BSD-3-Clause
#include "network.h"

#include <utility>

#include "ssn/protocol/wire.h"

namespace ssn::sim {

using namespace protocol;

namespace {

constexpr std::size_t remembered = 64;

}  // namespace

Network::Network(Scheduler& scheduler, TestRandom& random, Marks& marks, const LinkFaults& faults,
                 Arrive arrive)
    : scheduler_(scheduler), random_(random), marks_(marks), faults_(faults), arrive_(std::move(arrive)) {}

void Network::cut(std::size_t a, std::size_t b, unsigned link) {
  cut_.insert({a, b, link});
  cut_.insert({b, a, link});
}

void Network::partition(std::size_t a, std::size_t b, bool parted) {
  for (const auto& pair : {std::pair(a, b), std::pair(b, a)}) {
    if (parted) {
      parted_.insert(pair);
    } else {
      parted_.erase(pair);
    }
  }
}

void Network::deliver(const Link& link, Bytes packet, std::uint64_t extra) {
  const std::uint64_t jitter = faults_.jitter_ns == 0 ? 0 : random_.next() % faults_.jitter_ns;
  scheduler_.at(faults_.delay_ns + jitter + extra,
                [this, link, packet = std::move(packet)] { arrive_(link.to, packet); });
}

void Network::corrupt(Bytes& packet) {
  const std::size_t bits = 1 + random_.below(3);
  for (std::size_t i = 0; i < bits; ++i) {
    packet[random_.below(packet.size())] ^= static_cast<std::uint8_t>(1U << random_.below(8));
  }
  if (random_.below(8) == 0) packet.resize(1 + random_.below(packet.size()));
}

// What an attacker makes of a packet that it saw: all of it is possible without a key.
Bytes Network::forge(const Bytes& packet) {
  Bytes out = packet;
  std::uint8_t* const header = out.data();
  const auto shift = [&](std::size_t at, std::uint64_t by) {
    store_big(header + at, load_big<std::uint64_t>(header + at) + by);
  };
  switch (random_.below(9)) {
    case 0:  // the same header over other bytes
      random_.fill(out.data() + overhead_bytes, out.size() - overhead_bytes);
      break;
    case 1:
      random_.fill(out.data() + header_bytes, wire_tag_bytes);
      break;
    case 2:  // another share of the block
      header[42] = static_cast<std::uint8_t>(random_.below(8));
      break;
    case 3:  // another packet number
      shift(8, random_.coin() ? random_.below(2000) : 0 - random_.below(2000));
      break;
    case 4:  // another pad range
      shift(16, 64 * (random_.coin() ? random_.below(5000) : 0 - random_.below(5000)));
      break;
    case 5:  // a block ahead, or behind
      store_big(header + 32,
                load_big<std::uint32_t>(header + 32) + static_cast<std::uint32_t>(random_.below(200)) - 40);
      break;
    case 6:  // a later block, whose numbers and pads would be right
    {
      const auto ahead = static_cast<std::uint32_t>(1 + random_.below(8));
      store_big(header + 32, load_big<std::uint32_t>(header + 32) + ahead);
      shift(8, std::uint64_t{ahead} * 5);
      shift(16, std::uint64_t{ahead} * 5 * (out.size() - overhead_bytes));
      break;
    }
    case 7:  // another stream, connection or key index
      header[random_.coin() ? 31 : random_.coin() ? 7 : 3] ^= 1;
      break;
    default:  // another length
      out.resize(overhead_bytes + 64 * (1 + random_.below(25)), 0);
      break;
  }
  return out;
}

void Network::send(const Link& link, const Bytes& packet) {
  if (chance(faults_.forge)) {
    marks_.hit("packet forged");
    deliver(link, forge(packet), 0);
    // Ahead of the true one, often.
    if (random_.coin()) deliver(link, forge(packet), 0);
  }
  if (chance(faults_.replay) && !seen_.empty()) {
    marks_.hit("packet replayed");
    const auto& [where, old] = seen_[random_.below(seen_.size())];
    deliver(where, old, random_.below(20) * millisecond);
  }
  if (faults_.replay != 0) {
    seen_.emplace_back(link, packet);
    if (seen_.size() > remembered) seen_.pop_front();
  }
  if (cut_.contains(link) || parted(link.from, link.to)) return;
  if (chance(faults_.loss)) {
    marks_.hit("packet lost");
    return;
  }
  Bytes sent = packet;
  if (chance(faults_.corrupt)) {
    marks_.hit("packet corrupted");
    corrupt(sent);
  }
  deliver(link, sent, 0);
  if (chance(faults_.duplicate)) {
    marks_.hit("packet duplicated");
    deliver(link, packet, random_.below(4) == 0 ? random_.below(5) * millisecond : 0);
  }
}

}  // namespace ssn::sim
