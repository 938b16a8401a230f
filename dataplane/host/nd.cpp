// SPDX-License-Identifier: BSD-3-Clause
// Neighbour discovery, as far as a host with static addresses and routes needs it (RFC 4861, 7).
#include <optional>

#include "input.h"
#include "ssn/dataplane/checksum.h"

namespace ssn::dataplane {

namespace {

constexpr std::uint8_t flag_solicited = 0x40;
constexpr std::uint8_t flag_override = 0x20;

struct Message {
  IpAddress source;
  IpAddress destination;
  IpAddress target;
  std::optional<EthernetAddress> mac;  ///< from the option of the wanted kind
};

/// Finds a link-layer address among the options; other kinds are passed over.
HostDrop read_options(const std::uint8_t* options, std::uint32_t bytes, std::uint8_t kind,
                      std::optional<EthernetAddress>& mac) noexcept {
  for (std::uint32_t at = 0; at < bytes;) {
    if (bytes - at < 8) return HostDrop::nd_bad_option;
    const std::uint32_t length = options[at + 1] * 8U;
    if (length == 0 || length > bytes - at) return HostDrop::nd_bad_option;
    if (options[at] == kind) {
      const EthernetAddress found = EthernetAddress::from(options + at + 2);
      if (length != 8 || found.is_multicast() || found.is_zero()) return HostDrop::nd_bad_option;
      mac = found;
    }
    at += length;
  }
  return HostDrop::none;
}

void learn(HostWorker& worker, std::uint32_t known, const EthernetAddress& mac, std::uint8_t flags,
           std::uint64_t now) noexcept {
  const bool changed = worker.host->neighbours().learn(known, mac, (flags & flag_solicited) != 0,
                                                       (flags & flag_override) != 0, now);
  if (changed) ++worker.counters.addresses_learnt;
}

/// Turns the solicitation into the advertisement that answers it.
Step advertise(HostWorker& worker, const HostPort& port, Frame& frame, const Message& message,
               std::uint64_t now) noexcept {
  constexpr std::uint32_t bytes = headers::nd_message_bytes + headers::nd_option_bytes;
  const std::uint32_t begin = frame.l4 - ip6_bytes - port.l2_bytes();
  if (frame.room < frame.l4 + bytes) return dropped(HostDrop::no_room);
  if (!worker.answers.grant(now)) return dropped(HostDrop::nd_rate_limited);
  const bool nameless = message.source.is_unspecified();  // somebody asks whether it may take our address
  const IpAddress& to = nameless ? all_nodes6 : message.source;
  const EthernetAddress to_mac =
      nameless ? multicast_mac(all_nodes6) : message.mac.value_or(EthernetAddress::from(frame.data + 6));
  std::uint8_t* const icmp = frame.data + frame.l4;
  std::memset(icmp, 0, 8);
  icmp[0] = headers::icmp6_advertisement;
  icmp[4] = static_cast<std::uint8_t>(flag_override | (nameless ? 0 : flag_solicited));
  std::memcpy(icmp + 8, message.target.bytes.data(), 16);
  icmp[24] = headers::nd_option_target;
  icmp[25] = 1;
  std::memcpy(icmp + 26, port.mac.bytes.data(), 6);
  const std::uint64_t pseudo = pseudo_header_sum(message.target, to, headers::protocol_icmp6, bytes);
  headers::store_sum(icmp + 2, checksum_finish(checksum_add(pseudo, icmp, bytes)));
  write_ip6({message.target, to, bytes, headers::protocol_icmp6, headers::nd_hop_limit}, icmp - ip6_bytes);
  write_ethernet(port, to_mac, headers::ethertype_ip6, frame.data + begin);
  ++worker.counters.neighbour_advertisements;
  return answered(begin, frame.l4 + bytes - begin);
}

Step solicitation(HostWorker& worker, const HostPort& port, Frame& frame, const Message& message,
                  std::uint64_t now) noexcept {
  if (message.source.is_unspecified()) {
    const bool to_group = message.destination == solicited_node(message.target);
    if (!to_group || message.mac) return dropped(HostDrop::nd_malformed);
  }
  if (!port.owns(message.target)) return dropped(HostDrop::nd_not_ours);
  const std::uint32_t known = worker.host->neighbours().find({frame.port, message.source});
  if (known != NeighbourTable::none && message.mac) learn(worker, known, *message.mac, flag_override, now);
  return advertise(worker, port, frame, message, now);
}

Step advertisement(HostWorker& worker, const HostPort& port, const Frame& frame, const Message& message,
                   std::uint64_t now) noexcept {
  const std::uint8_t flags = frame.data[frame.l4 + 4];
  const bool solicited = (flags & flag_solicited) != 0;
  if (message.source.is_unspecified() || (message.destination.is_multicast() && solicited)) {
    return dropped(HostDrop::nd_malformed);
  }
  if (port.owns(message.target)) return dropped(HostDrop::nd_address_conflict);
  NeighbourTable& neighbours = worker.host->neighbours();
  const std::uint32_t known = neighbours.find({frame.port, message.target});
  if (known == NeighbourTable::none) return dropped(HostDrop::nd_not_ours);
  // Without an address it confirms the one in use.
  const NeighbourTable::Answer before = neighbours.look(known);
  if (message.mac) {
    learn(worker, known, *message.mac, flags, now);
  } else if (before.usable) {
    learn(worker, known, before.mac, flags, now);
  }
  return dropped(HostDrop::nd_heard);
}

}  // namespace

Step nd_input(HostWorker& worker, Frame& frame, std::uint64_t now) noexcept {
  const std::uint8_t* const ip = frame.data + frame.l3;
  const std::uint8_t* const icmp = frame.data + frame.l4;
  const std::uint32_t bytes = frame.end - frame.l4;
  if (ip[7] != headers::nd_hop_limit) return dropped(HostDrop::nd_bad_hop_limit);
  const bool asks = icmp[0] == headers::icmp6_solicitation;
  if (!asks && icmp[0] != headers::icmp6_advertisement) return dropped(HostDrop::nd_router_message);
  if (icmp[1] != 0 || bytes < headers::nd_message_bytes) return dropped(HostDrop::nd_malformed);
  Message message{ip6_address(ip + 8), ip6_address(ip + 24), ip6_address(icmp + 8), {}};
  if (message.target.is_multicast()) return dropped(HostDrop::nd_malformed);
  const HostDrop bad =
      read_options(icmp + headers::nd_message_bytes, bytes - headers::nd_message_bytes,
                   asks ? headers::nd_option_source : headers::nd_option_target, message.mac);
  if (bad != HostDrop::none) return dropped(bad);
  const HostPort& port = *worker.host->port(frame.port);
  return asks ? solicitation(worker, port, frame, message, now)
              : advertisement(worker, port, frame, message, now);
}

}  // namespace ssn::dataplane
