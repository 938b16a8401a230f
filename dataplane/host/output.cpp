// SPDX-License-Identifier: BSD-3-Clause
#include <algorithm>
#include <cassert>

#include "input.h"
#include "ssn/dataplane/checksum.h"
#include "ssn/dataplane/host_output.h"

namespace ssn::dataplane {

namespace {

using Ask = NeighbourTable::Ask;

constexpr std::uint32_t first_source_port = 49152;
constexpr std::uint64_t scan_interval_ns = 100'000'000;
constexpr std::uint64_t announcement_interval_ns = 1'000'000'000;
constexpr std::uint32_t neighbours_at_once = 64;

/// A number as it lies in a packet, for a sum.
std::uint64_t in_sum(std::uint32_t value) noexcept {
  std::uint8_t bytes[2];
  headers::store16(bytes, value);
  std::uint16_t word;
  std::memcpy(&word, bytes, sizeof word);
  return word;
}

/// The address of ours that a neighbour can answer to.
const IpAddress& source_for(const HostPort& port, const IpAddress& neighbour) noexcept {
  for (const IpPrefix& prefix : port.addresses) {
    if (prefix.contains(neighbour)) return prefix.address;
  }
  // A next hop lies in a network of its port: Host::make saw to that.
  assert(!port.addresses.empty());
  return port.addresses.front().address;
}

std::uint32_t write_arp_request(const HostPort& port, const IpAddress& sender, const IpAddress& target,
                                const EthernetAddress& to, std::uint8_t* out) noexcept {
  write_ethernet(port, to, headers::ethertype_arp, out);
  std::uint8_t* const arp = out + port.l2_bytes();
  static constexpr std::uint8_t fixed[8] = {0, 1, 8, 0, 6, 4, 0, 1};  // Ethernet, IPv4, request
  std::memcpy(arp, fixed, sizeof fixed);
  std::memcpy(arp + 8, port.mac.bytes.data(), 6);
  std::memcpy(arp + 14, sender.bytes.data(), 4);
  std::memset(arp + 18, 0, 6);
  std::memcpy(arp + 24, target.bytes.data(), 4);
  return port.l2_bytes() + headers::arp_bytes;
}

struct NdFields {
  IpAddress source;
  IpAddress destination;
  IpAddress target;
  EthernetAddress to;
  std::uint8_t type = 0;
  std::uint8_t flags = 0;
  std::uint8_t option = 0;
};

std::uint32_t write_nd(const HostPort& port, const NdFields& fields, std::uint8_t* out) noexcept {
  constexpr std::uint32_t bytes = headers::nd_message_bytes + headers::nd_option_bytes;
  write_ethernet(port, fields.to, headers::ethertype_ip6, out);
  std::uint8_t* const ip = out + port.l2_bytes();
  write_ip6({fields.source, fields.destination, bytes, headers::protocol_icmp6, headers::nd_hop_limit}, ip);
  std::uint8_t* const icmp = ip + ip6_bytes;
  std::memset(icmp, 0, 8);
  icmp[0] = fields.type;
  icmp[4] = fields.flags;
  std::memcpy(icmp + 8, fields.target.bytes.data(), 16);
  icmp[24] = fields.option;
  icmp[25] = 1;
  std::memcpy(icmp + 26, port.mac.bytes.data(), 6);
  const std::uint64_t pseudo =
      pseudo_header_sum(fields.source, fields.destination, headers::protocol_icmp6, bytes);
  headers::store_sum(icmp + 2, checksum_finish(checksum_add(pseudo, icmp, bytes)));
  return port.l2_bytes() + ip6_bytes + bytes;
}

}  // namespace

Encapsulator::Encapsulator(HostWorker& worker, std::uint32_t index, std::uint64_t now) noexcept
    : link_(&worker.link(index)) {
  common_.port = link_->port;
  if (index >= worker.host->link_count()) [[unlikely]] {
    const HostGuest& guest = worker.guests[index - worker.host->link_count()];
    if (!guest.open || guest.mac.is_zero()) {
      common_.reason = HostDrop::neighbour_unresolved;
      return;
    }
    prepare(guest.mac, guest.source_port);
    return;
  }
  const NeighbourTable::Answer hop = worker.host->neighbours().resolve(link_->neighbour, now);
  common_.ask = hop.ask;
  if (!hop.usable) {
    common_.reason =
        hop.state == NeighbourState::failed ? HostDrop::neighbour_failed : HostDrop::neighbour_unresolved;
    return;
  }
  prepare(hop.mac, first_source_port + worker.index % (65536 - first_source_port));
}

void Encapsulator::prepare(const EthernetAddress& to, std::uint32_t source_port) noexcept {
  const HostLink& link = *link_;
  common_.header_bytes = link.header_bytes;
  common_.l2_bytes = link.l2_bytes;
  common_.l3_bytes = static_cast<std::uint8_t>(link.header_bytes - link.l2_bytes - udp_bytes);
  common_.ip_checksum_by_port = link.ip_checksum_by_port;
  common_.udp_checksum_by_port = link.udp_checksum_by_port;
  sums_payload_ = link.udp_checksum && !link.udp_checksum_by_port;
  std::memcpy(header(), link.header.data(), link.header_bytes);
  std::memcpy(header(), to.bytes.data(), 6);
  headers::store16(header() + link.header_bytes - udp_bytes, source_port);
}

// Lengths, and the checksums that follow from them.
void Encapsulator::set_length(std::uint32_t payload) noexcept {
  const HostLink& link = *link_;
  std::uint8_t* const ip = header() + link.l2_bytes;
  std::uint8_t* const udp = header() + link.header_bytes - udp_bytes;
  const std::uint32_t bytes = udp_bytes + payload;
  if (link.v6) {
    headers::store16(ip + 4, bytes);
  } else {
    headers::store16(ip + 2, ip4_bytes + bytes);
    if (!link.ip_checksum_by_port) {
      headers::store_sum(ip + 10, checksum_finish(link.ip_sum + in_sum(ip4_bytes + bytes)));
    }
  }
  headers::store16(udp + 4, bytes);
  if (link.udp_checksum_by_port) {
    headers::store_sum(udp + 6, checksum_fold(link.pseudo_sum + in_sum(bytes)));
  }
  bytes_ = payload;
}

// What not every link needs.
void Encapsulator::finish(std::uint8_t* payload, std::uint32_t bytes) noexcept {
  if (common_.header_bytes > usual_bytes) {
    std::memcpy(payload - common_.header_bytes, header(), common_.header_bytes - usual_bytes);
  }
  if (!sums_payload_) return;
  std::uint8_t* const udp = payload - udp_bytes;
  const std::uint64_t pseudo = link_->pseudo_sum + in_sum(udp_bytes + bytes);
  const std::uint16_t sum = checksum_finish(checksum_add(pseudo, udp, udp_bytes + bytes));
  headers::store_sum(udp + 6, sum != 0 ? sum : 0xFFFF);  // 0 would say that there is none
}

Encapsulated encapsulate(HostWorker& worker, std::uint32_t link, std::uint8_t* payload, std::uint32_t bytes,
                         std::uint64_t now) noexcept {
  if (const HostLink& to = worker.link(link); bytes > to.max_payload) {
    Encapsulated too_long;
    too_long.port = to.port;
    too_long.reason = HostDrop::payload_too_long;
    return too_long;
  }
  Encapsulator encapsulator(worker, link, now);
  if (encapsulator.common().reason == HostDrop::none) encapsulator.write(payload, bytes);
  return encapsulator.common();
}

std::uint32_t write_solicitation(HostWorker& worker, std::uint32_t neighbour, Ask ask,
                                 std::span<std::uint8_t> out) noexcept {
  assert(out.size() >= max_host_frame);
  const NeighbourKey& key = worker.host->neighbours().key(neighbour);
  const HostPort& port = *worker.host->port(key.port);
  const IpAddress& source = source_for(port, key.address);
  const NeighbourTable::Answer known = worker.host->neighbours().look(neighbour);
  const bool direct = ask == Ask::itself && known.usable;
  ++worker.counters.solicitations;
  if (is4(key.address)) {
    return write_arp_request(port, source, key.address, direct ? known.mac : broadcast_mac, out.data());
  }
  const IpAddress group = solicited_node(key.address);
  return write_nd(
      port,
      {source, direct ? key.address : group, key.address, direct ? known.mac : multicast_mac(group),
       headers::icmp6_solicitation, 0, headers::nd_option_source},
      out.data());
}

std::uint32_t write_announcement(HostWorker& worker, const HostPort& port, const IpAddress& address,
                                 std::span<std::uint8_t> out) noexcept {
  assert(out.size() >= max_host_frame);
  ++worker.counters.announcements;
  if (is4(address)) return write_arp_request(port, address, address, broadcast_mac, out.data());
  constexpr std::uint8_t flag_override = 0x20;
  return write_nd(port,
                  {address, all_nodes6, address, multicast_mac(all_nodes6), headers::icmp6_advertisement,
                   flag_override, headers::nd_option_target},
                  out.data());
}

HostTimer::HostTimer(HostWorker& worker, unsigned announcements) noexcept
    : worker_(&worker), announcements_left_(announcements) {}

bool HostTimer::next_announcement(std::uint64_t now, std::span<std::uint8_t> out, Due& due) noexcept {
  if (announcements_left_ == 0 || now < announce_at_) return false;
  const std::vector<HostPort>& ports = worker_->host->ports();
  while (port_cursor_ < ports.size()) {
    const HostPort& port = ports[port_cursor_];
    if (address_cursor_ < port.addresses.size()) {
      due = {port.id, write_announcement(*worker_, port, port.addresses[address_cursor_++].address, out)};
      return true;
    }
    ++port_cursor_;
    address_cursor_ = 0;
  }
  port_cursor_ = 0;
  --announcements_left_;
  announce_at_ = now + announcement_interval_ns;
  return false;
}

bool HostTimer::next_solicitation(std::uint64_t now, std::span<std::uint8_t> out, Due& due) noexcept {
  if (now < scan_at_) return false;
  NeighbourTable& neighbours = worker_->host->neighbours();
  for (std::uint32_t i = 0; i < neighbours_at_once && neighbour_cursor_ < neighbours.size(); ++i) {
    const std::uint32_t neighbour = neighbour_cursor_++;
    const Ask ask = neighbours.resolve(neighbour, now).ask;
    if (ask == Ask::no) continue;
    due = {neighbours.key(neighbour).port, write_solicitation(*worker_, neighbour, ask, out)};
    return true;
  }
  if (neighbour_cursor_ == neighbours.size()) {
    neighbour_cursor_ = 0;
    scan_at_ = now + scan_interval_ns;
  }
  return false;
}

HostTimer::Due HostTimer::next(std::uint64_t now, std::span<std::uint8_t> out) noexcept {
  Due due;
  if (now < wake_at_ || next_announcement(now, out, due) || next_solicitation(now, out, due)) return due;
  wake_at_ = announcements_left_ != 0 ? std::min(announce_at_, scan_at_) : scan_at_;
  return due;
}

}  // namespace ssn::dataplane
