// SPDX-License-Identifier: BSD-3-Clause
#include "headers.h"
#include "input.h"

namespace ssn::dataplane {

Step ether_input(const Host& host, Frame& frame) noexcept {
  const HostPort* const port = host.port(frame.port);
  if (port == nullptr || frame.length < ethernet_bytes) return dropped(HostDrop::frame_too_short);
  const std::uint32_t l2 = port->l2_bytes();
  if (frame.length > l2 + port->mtu) return dropped(HostDrop::frame_exceeds_mtu);
  const EthernetAddress to = EthernetAddress::from(frame.data);
  const EthernetAddress from = EthernetAddress::from(frame.data + 6);
  std::uint16_t type = headers::load16(frame.data + 12);
  if (port->vlan != 0) {
    if (type != headers::ethertype_vlan) return dropped(HostDrop::vlan_tagged);
    if (frame.length < l2) return dropped(HostDrop::frame_too_short);
    if ((headers::load16(frame.data + 14) & 0xFFFU) != port->vlan) return dropped(HostDrop::vlan_tagged);
    type = headers::load16(frame.data + 16);
  }
  if (type == headers::ethertype_vlan || type == headers::ethertype_service_vlan) {
    return dropped(HostDrop::vlan_tagged);
  }
  if (type < headers::ethertype_least) return dropped(HostDrop::frame_not_ethernet2);
  if (from.is_multicast()) return dropped(HostDrop::source_mac_multicast);
  if (from == port->mac) return dropped(HostDrop::source_mac_ours);
  const bool group6 = to.bytes[0] == 0x33 && to.bytes[1] == 0x33 && type == headers::ethertype_ip6;
  if (!(to == port->mac) && !to.is_broadcast() && !group6) return dropped(HostDrop::destination_mac_other);
  frame.l3 = static_cast<std::uint16_t>(l2);
  switch (type) {
    case headers::ethertype_ip4:
      return to_next(Next::ip4);
    case headers::ethertype_ip6:
      return to_next(Next::ip6);
    case headers::ethertype_arp:
      return to_next(Next::arp);
    default:
      return dropped(HostDrop::ethertype_unknown);
  }
}

Step host_input(HostWorker& worker, Frame& frame, std::uint64_t now) noexcept {
  Step step = ether_input(*worker.host, frame);
  // Each layer leads to a later one: the loop ends.
  while (true) {
    switch (step.next) {
      case Next::arp:
        step = arp_input(worker, frame, now);
        break;
      case Next::ip4:
        step = ip4_input(*worker.host, frame);
        break;
      case Next::ip6:
        step = ip6_input(*worker.host, frame);
        break;
      case Next::icmp4:
        step = icmp4_input(worker, frame, now);
        break;
      case Next::icmp6:
        step = icmp6_input(worker, frame, now);
        break;
      case Next::nd:
        step = nd_input(worker, frame, now);
        break;
      case Next::udp:
        step = udp_input(*worker.host, frame);
        break;
      case Next::drop:
      case Next::deliver:
      case Next::send:
        return step;
    }
  }
}

}  // namespace ssn::dataplane
