// SPDX-License-Identifier: BSD-3-Clause
#include "input.h"

namespace ssn::dataplane {

namespace {

constexpr std::uint16_t request = 1;
constexpr std::uint16_t reply = 2;

/// Ethernet and IPv4 addresses, and an operation that hosts use.
bool well_formed(const std::uint8_t* arp) noexcept {
  const std::uint16_t operation = headers::load16(arp + 6);
  return headers::load16(arp) == 1 && headers::load16(arp + 2) == headers::ethertype_ip4 && arp[4] == 6 &&
         arp[5] == 4 && (operation == request || operation == reply);
}

Step answer(HostWorker& worker, const HostPort& port, Frame& frame, std::uint64_t now) noexcept {
  if (!worker.answers.grant(now)) return dropped(HostDrop::arp_rate_limited);
  std::uint8_t* const arp = frame.data + frame.l3;
  const EthernetAddress asker = EthernetAddress::from(arp + 8);
  std::uint8_t ours[4];
  std::memcpy(ours, arp + 24, 4);
  headers::store16(arp + 6, reply);
  std::memcpy(arp + 18, arp + 8, 10);  // the asker's addresses become the target's
  std::memcpy(arp + 8, port.mac.bytes.data(), 6);
  std::memcpy(arp + 14, ours, 4);
  write_ethernet(port, asker, headers::ethertype_arp, frame.data);
  ++worker.counters.arp_replies;
  return answered(0, frame.l3 + headers::arp_bytes);
}

}  // namespace

Step arp_input(HostWorker& worker, Frame& frame, std::uint64_t now) noexcept {
  const HostPort& port = *worker.host->port(frame.port);
  if (frame.length - frame.l3 < headers::arp_bytes) return dropped(HostDrop::arp_malformed);
  const std::uint8_t* const arp = frame.data + frame.l3;
  if (!well_formed(arp)) return dropped(HostDrop::arp_malformed);
  const EthernetAddress sender_mac = EthernetAddress::from(arp + 8);
  const IpAddress sender = ip4_address(arp + 14);
  const IpAddress target = ip4_address(arp + 24);
  // The Ethernet source is no group, and not ours.
  if (!(sender_mac == EthernetAddress::from(frame.data + 6)) || sender_mac.is_zero() ||
      sender.is_multicast() || sender.is_loopback() || port.is_broadcast(sender)) {
    return dropped(HostDrop::arp_bad_sender);
  }
  if (port.owns(sender)) return dropped(HostDrop::arp_address_conflict);
  const bool is_reply = headers::load16(arp + 6) == reply;
  // An answer to a question of ours; everything else is a remark by the way, and as good as one.
  const bool solicited = is_reply && port.owns(target) && EthernetAddress::from(frame.data) == port.mac;
  NeighbourTable& neighbours = worker.host->neighbours();
  const std::uint32_t known = neighbours.find({frame.port, sender});
  if (known != NeighbourTable::none && neighbours.learn(known, sender_mac, solicited, true, now)) {
    ++worker.counters.addresses_learnt;
  }
  if (!is_reply && port.owns(target)) return answer(worker, port, frame, now);
  return dropped(known != NeighbourTable::none ? HostDrop::arp_heard : HostDrop::arp_not_ours);
}

}  // namespace ssn::dataplane
