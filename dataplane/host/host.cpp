// SPDX-License-Identifier: BSD-3-Clause
#include "ssn/dataplane/host.h"

#include <algorithm>
#include <cassert>

#include "input.h"
#include "ssn/dataplane/checksum.h"

namespace ssn::dataplane {

namespace {

Error refused(std::string what, std::string why, std::string where, std::string fix) {
  return Error{Exit::usage, std::move(what), std::move(why), std::move(where), std::move(fix)};
}

bool can_be_ours(const IpPrefix& prefix) noexcept {
  const IpAddress& address = prefix.address;
  return !address.is_unspecified() && !address.is_multicast() && !address.is_loopback() &&
         !address.is_broadcast() && !is_broadcast_of(prefix, address) &&
         (is4(address) || !is_mapped(address));
}

Outcome check_port(const PortSpec& spec) {
  const std::string where = "port '" + spec.name + "'";
  const bool v6 = std::any_of(spec.addresses.begin(), spec.addresses.end(),
                              [](const IpPrefix& prefix) { return !is4(prefix.address); });
  const std::uint32_t least = v6 ? 1280 : Host::min_mtu;
  if (spec.mtu < least || spec.mtu > Host::max_mtu) {
    return refused(
        "an MTU of " + std::to_string(spec.mtu) + " cannot be used",
        v6 ? "IPv6 needs at least 1280 bytes (RFC 8200, 5)" : "it is out of range", where,
        "Set mtu to a number from " + std::to_string(least) + " to " + std::to_string(Host::max_mtu) + ".");
  }
  if (spec.mac.is_zero() || spec.mac.is_multicast()) {
    return refused("a port cannot have the Ethernet address " + format(spec.mac),
                   "it is not the address of one station", where, "Give the device an address of its own.");
  }
  if (spec.vlan && (*spec.vlan == 0 || *spec.vlan > 4094)) {
    return refused("VLAN " + std::to_string(*spec.vlan) + " does not exist", "numbers go from 1 to 4094",
                   where, "Choose another number, or leave it out.");
  }
  if (spec.addresses.size() + 1 > HostPort::max_addresses) {
    return refused("a port has too many addresses",
                   "one has at most " + std::to_string(HostPort::max_addresses - 1), where, "Remove some.");
  }
  for (const IpPrefix& prefix : spec.addresses) {
    if (can_be_ours(prefix)) continue;
    return refused("a port cannot have the address " + format(prefix), "it is not the address of one host",
                   where, "Give the port an address of its network, such as 10.0.1.1/24.");
  }
  return done;
}

Outcome add_gateways(const PortSpec& spec, HostPort& port) {
  for (const IpAddress& gateway : spec.gateways) {
    const std::string where = "port '" + spec.name + "', gateways";
    const bool second = std::any_of(port.gateways.begin(), port.gateways.end(),
                                    [&](const IpAddress& other) { return is4(other) == is4(gateway); });
    if (second) {
      return refused("there is more than one gateway of a family",
                     "only one can be the way to everywhere else", where, "Leave one.");
    }
    const IpAddress* const hop = port.next_hop(gateway);
    if (hop == nullptr || port.owns(gateway) || gateway.is_multicast() || port.is_broadcast(gateway)) {
      return refused("the gateway " + format(gateway) + " cannot be reached",
                     "it is not another host in one of the port's networks", where,
                     "Name a gateway that lies in one of the port's networks.");
    }
    port.gateways.push_back(gateway);
  }
  return done;
}

void write_template(const HostPort& port, const LinkSpec& spec, HostLink& link) noexcept {
  const bool v6 = !is4(spec.local);
  // The destination is the next hop's address, which the first packets may have to wait for.
  write_ethernet(port, EthernetAddress{}, v6 ? headers::ethertype_ip6 : headers::ethertype_ip4,
                 link.header.data());
  std::uint8_t* const ip = link.header.data() + link.l2_bytes;
  if (v6) {
    ip[0] = 0x60;
    ip[6] = headers::protocol_udp;
    ip[7] = headers::default_hop_limit;
    std::memcpy(ip + 8, spec.local.bytes.data(), 16);
    std::memcpy(ip + 24, spec.remote.bytes.data(), 16);
  } else {
    ip[0] = 0x45;
    ip[6] = 0x40;  // don't fragment; such a packet needs no identification (RFC 6864)
    ip[8] = headers::default_hop_limit;
    ip[9] = headers::protocol_udp;
    std::memcpy(ip + 12, spec.local.bytes.data(), 4);
    std::memcpy(ip + 16, spec.remote.bytes.data(), 4);
    link.ip_sum = checksum_fold(checksum_add(0, ip, ip4_bytes));
  }
  std::uint8_t* const udp = ip + (v6 ? ip6_bytes : ip4_bytes);
  headers::store16(udp + 2, spec.udp_port);
  link.pseudo_sum = checksum_fold(pseudo_header_sum(spec.local, spec.remote, headers::protocol_udp, 0));
}

}  // namespace

bool HostPort::owns(const IpAddress& address) const noexcept {
  return std::any_of(addresses.begin(), addresses.end(),
                     [&](const IpPrefix& prefix) { return prefix.address == address; });
}

bool HostPort::in_group(const IpAddress& group6) const noexcept {
  if (group6 == all_nodes6) return true;
  return std::any_of(addresses.begin(), addresses.end(), [&](const IpPrefix& prefix) {
    return !is4(prefix.address) && solicited_node(prefix.address) == group6;
  });
}

bool HostPort::is_broadcast(const IpAddress& address) const noexcept {
  if (!is4(address)) return false;
  return address.is_broadcast() ||
         std::any_of(addresses.begin(), addresses.end(),
                     [&](const IpPrefix& prefix) { return is_broadcast_of(prefix, address); });
}

const IpAddress* HostPort::next_hop(const IpAddress& remote) const noexcept {
  for (const IpPrefix& prefix : addresses) {
    if (prefix.contains(remote)) return &remote;
  }
  for (const IpAddress& gateway : gateways) {
    if (is4(gateway) == is4(remote) && !is_link_local6(remote)) return &gateway;
  }
  return nullptr;
}

Result<std::unique_ptr<Host>> Host::make(const HostSpec& spec) {
  std::unique_ptr<Host> host(new Host);
  host->limits_ = spec.limits;
  if (auto added = host->add_ports(spec.ports); !added.ok()) return std::move(added.error());
  if (auto added = host->add_links(spec.links); !added.ok()) return std::move(added.error());
  if (auto added = host->add_listeners(spec.listeners); !added.ok()) return std::move(added.error());
  return host;
}

Outcome Host::add_ports(const std::vector<PortSpec>& specs) {
  ports_.reserve(specs.size());  // by_id_ points into it
  for (const PortSpec& spec : specs) {
    if (auto checked = check_port(spec); !checked.ok()) return checked;
    if (spec.id >= max_ports || port(spec.id) != nullptr) {
      return refused("port number " + std::to_string(spec.id) + " cannot be used",
                     spec.id >= max_ports ? "it is too high" : "two ports have it",
                     "port '" + spec.name + "'", "Use fewer ports, and each device once.");
    }
    HostPort made;
    made.name = spec.name;
    made.id = spec.id;
    made.mac = spec.mac;
    made.mtu = spec.mtu;
    made.vlan = spec.vlan.value_or(0);
    made.computes_ip4_checksum = spec.computes_ip4_checksum;
    made.computes_udp_checksum = spec.computes_udp_checksum;
    made.addresses = spec.addresses;
    const IpPrefix local{link_local(spec.mac), 64};
    const bool v6 = std::any_of(spec.addresses.begin(), spec.addresses.end(),
                                [](const IpPrefix& prefix) { return !is4(prefix.address); });
    if (v6 && !made.owns(local.address)) made.addresses.push_back(local);
    if (auto added = add_gateways(spec, made); !added.ok()) return added;
    ports_.push_back(std::move(made));
    if (by_id_.size() <= spec.id) by_id_.resize(spec.id + std::size_t{1});
    by_id_[spec.id] = &ports_.back();
  }
  return done;
}

namespace {

/// The link's next hop, or why there can be no such link.
Result<IpAddress> check_link(const LinkSpec& spec, const HostPort* port) {
  const std::string where = "link '" + spec.name + "'";
  if (port == nullptr || !port->owns(spec.local)) {
    return refused("the link cannot begin at " + format(spec.local), "its port does not have that address",
                   where, "Set local to an address of the port, or give the port that address.");
  }
  const IpAddress* const hop = port->next_hop(spec.remote);
  if (is4(spec.local) != is4(spec.remote) || hop == nullptr) {
    return refused("there is no way from " + format(spec.local) + " to " + format(spec.remote),
                   "the remote address is in no network of the port, and the port has no gateway for it",
                   where, "Correct remote, or give the port a gateway.");
  }
  if (port->owns(spec.remote) || spec.remote.is_multicast() || spec.remote.is_unspecified() ||
      spec.remote.is_loopback() || port->is_broadcast(spec.remote) || is_mapped(spec.remote)) {
    return refused("the link cannot end at " + format(spec.remote), "it is not the address of another host",
                   where, "Set remote to the peer's address.");
  }
  if (spec.udp_port == 0) {
    return refused("the link has no UDP port", "port 0 cannot be sent to", where, "Set udp_port.");
  }
  if (spec.next_hop_mac && (spec.next_hop_mac->is_zero() || spec.next_hop_mac->is_multicast())) {
    return refused("the next hop cannot have the address " + format(*spec.next_hop_mac),
                   "it is not the address of one station", where, "Correct it, or leave it out.");
  }
  const std::uint32_t overhead = (is4(spec.local) ? ip4_bytes : ip6_bytes) + udp_bytes;
  if (spec.payload_bytes + std::uint64_t{overhead} > port->mtu) {
    return refused("packets of " + std::to_string(spec.payload_bytes) + " bytes do not fit into the link",
                   "with " + std::to_string(overhead) + " bytes of IP and UDP they exceed the MTU " +
                       std::to_string(port->mtu) + " of port '" + port->name + "'",
                   where, "Make cells smaller, or raise mtu on all that lies between the peers.");
  }
  return *hop;
}

void fill_link(const HostPort& from, const LinkSpec& spec, HostLink& link) {
  link.name = spec.name;
  link.port = spec.port;
  link.local = spec.local;
  link.remote = spec.remote;
  link.udp_port = spec.udp_port;
  link.v6 = !is4(spec.local);
  link.l2_bytes = static_cast<std::uint8_t>(from.l2_bytes());
  const std::uint32_t overhead = (link.v6 ? ip6_bytes : ip4_bytes) + udp_bytes;
  link.header_bytes = static_cast<std::uint8_t>(link.l2_bytes + overhead);
  link.max_payload = from.mtu - overhead;
  link.ip_checksum_by_port = !link.v6 && from.computes_ip4_checksum;
  link.udp_checksum_by_port = from.computes_udp_checksum;
  link.udp_checksum = link.v6 || from.computes_udp_checksum || spec.checksum == UdpChecksum::always;
  write_template(from, spec, link);
}

}  // namespace

void Host::add_link_pair(const HostLink& link) {
  if (link.v6) return;
  HostPort& from =
      *std::find_if(ports_.begin(), ports_.end(), [&](const HostPort& each) { return each.id == link.port; });
  if (from.link_pairs.size() == HostPort::max_link_pairs) return;
  std::uint64_t pair = 0;
  std::memcpy(&pair, link.remote.bytes.data(), 4);
  std::memcpy(reinterpret_cast<std::uint8_t*>(&pair) + 4, link.local.bytes.data(), 4);
  from.link_pairs.push_back(pair);
}

Outcome Host::add_links(const std::vector<LinkSpec>& specs) {
  if (specs.size() > max_links) {
    return refused("there are too many links", "at most " + std::to_string(max_links) + " are possible",
                   "links", "Remove some.");
  }
  links_ = std::vector<HostLink>(specs.size());
  reports_ = std::make_unique<LinkReport[]>(specs.size());
  next_of_remote_.assign(specs.size(), no_link);
  by_remote_ = std::make_unique<NeighbourIndex>(specs.size());
  NeighbourIndex hops(specs.size());
  std::vector<NeighbourKey> keys;
  for (std::uint32_t i = 0; i < specs.size(); ++i) {
    const LinkSpec& spec = specs[i];
    const HostPort* const from = port(spec.port);
    auto hop = check_link(spec, from);
    if (!hop.ok()) return std::move(hop.error());
    HostLink& link = links_[i];
    fill_link(*from, spec, link);
    add_link_pair(link);
    link.neighbour = hops.insert({spec.port, hop.value()}, static_cast<std::uint32_t>(keys.size()));
    if (link.neighbour == keys.size()) keys.push_back({spec.port, hop.value()});
    // Chained behind the first one, whose order among the others does not matter.
    const std::uint32_t first = by_remote_->insert({spec.port, spec.remote}, i);
    if (first != i) {
      next_of_remote_[i] = next_of_remote_[first];
      next_of_remote_[first] = i;
    }
  }
  neighbours_ = std::make_unique<NeighbourTable>(keys, limits_.neighbours);
  for (std::uint32_t i = 0; i < specs.size(); ++i) {
    if (!specs[i].next_hop_mac) continue;
    const NeighbourTable::Answer before = neighbours_->look(links_[i].neighbour);
    if (before.state == NeighbourState::fixed && !(before.mac == *specs[i].next_hop_mac)) {
      return refused("one next hop cannot have two Ethernet addresses",
                     "links give it " + format(before.mac) + " and " + format(*specs[i].next_hop_mac),
                     "link '" + specs[i].name + "'", "Correct one of them.");
    }
    neighbours_->fix(links_[i].neighbour, *specs[i].next_hop_mac);
  }
  return done;
}

Outcome Host::add_listeners(const std::vector<std::uint16_t>& listeners) {
  for (const std::uint16_t udp_port : listeners) {
    if (udp_port == 0 || listener(udp_port) >= 0 || listeners_.size() == max_listeners) {
      return refused("nothing can listen at UDP port " + std::to_string(udp_port),
                     listeners_.size() == max_listeners ? "there are too many" : "it is 0, or taken twice",
                     "udp_port", "Choose another one.");
    }
    listeners_.push_back(udp_port);
  }
  return done;
}

int Host::listener(std::uint16_t udp_port) const noexcept {
  for (std::size_t i = 0; i < listeners_.size(); ++i) {
    if (listeners_[i] == udp_port) return static_cast<int>(i);
  }
  return -1;
}

std::uint32_t Host::find_link(std::uint16_t from, const IpAddress& local, const IpAddress& remote,
                              std::uint16_t udp_port) const noexcept {
  std::uint32_t index = by_remote_->find({from, remote});
  for (; index != no_link; index = next_of_remote_[index]) {
    const HostLink& link = links_[index];
    if (link.local == local && (udp_port == 0 || link.udp_port == udp_port)) break;
  }
  return index;
}

RateLimit::RateLimit(std::uint32_t per_second) noexcept
    : cost_(per_second != 0 ? std::max(1U, 1'000'000'000U / per_second) : 0),
      capacity_(per_second != 0 ? std::max<std::uint64_t>(100'000'000, cost_) : 0),
      saved_(capacity_) {}

bool RateLimit::grant(std::uint64_t now) noexcept {
  if (now > last_) {
    saved_ = std::min(capacity_, saved_ + std::min(now - last_, capacity_));
    last_ = now;
  }
  if (cost_ == 0 || saved_ < cost_) return false;
  saved_ -= cost_;
  return true;
}

Result<HostGuest> Host::make_guest(const GuestSpec& spec) const {
  LinkSpec as_link;
  as_link.name = "to " + format(spec.remote);
  as_link.port = spec.port;
  as_link.local = spec.local;
  as_link.remote = spec.remote;
  as_link.udp_port = spec.remote_udp_port;
  const HostPort* const from = port(spec.port);
  if (auto hop = check_link(as_link, from); !hop.ok()) return std::move(hop.error());
  as_link.name.clear();
  HostGuest guest;
  fill_link(*from, as_link, guest.link);
  guest.source_port = spec.local_udp_port;
  guest.open = true;
  return guest;
}

HostWorker::HostWorker(const Host& host_of, std::uint16_t index_of)
    : host(&host_of),
      index(index_of),
      echo(host_of.limits().echo_per_second),
      answers(host_of.limits().answers_per_second),
      guests(host_of.limits().guests) {}

bool HostWorker::heard_guest(std::uint16_t slot, const std::uint8_t* frame, std::uint32_t l2_bytes) noexcept {
  HostGuest& guest = guests[slot];
  const std::uint8_t* const ip = frame + l2_bytes;
  const bool v6 = guest.link.v6;
  if (!guest.open || (ip[0] >> 4 == 6) != v6) return false;
  const std::uint32_t address_bytes = v6 ? 16 : 4;
  const std::uint8_t* const source = ip + (v6 ? 8 : 12);
  const std::uint8_t* const mac = frame + 6;
  if (std::memcmp(source, guest.link.remote.bytes.data(), address_bytes) != 0) return false;
  if ((mac[0] & 1U) == 0) guest.mac = EthernetAddress::from(mac);
  return true;
}

}  // namespace ssn::dataplane
