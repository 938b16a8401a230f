// SPDX-License-Identifier: BSD-3-Clause
// [[peer]] and [[stream]].
#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <charconv>

#include "read.h"
#include "ssn/key_device.h"
#include "ssn/protocol/wire.h"

namespace ssn::dataplane {
namespace {

using hw::ConfigTable;
using std::chrono::milliseconds;
using std::chrono::nanoseconds;
using std::chrono::seconds;

using Scheme = StreamConfiguration::Scheme;

constexpr std::array<std::string_view, 4> scheme_words{"systematic", "classic", "ramp", "rs"};
constexpr std::string_view pass_prefix = "pass-to=";

constexpr std::uint32_t udp_and_ipv4 = 28;
constexpr std::uint32_t udp_and_ipv6 = 48;
constexpr std::uint32_t cell_unit = 64;

struct EtherType {
  std::string_view word;
  std::uint16_t number;
};
constexpr std::array<EtherType, 7> ethertypes{{{"ipv4", 0x0800},
                                               {"arp", 0x0806},
                                               {"vlan", 0x8100},
                                               {"ipv6", 0x86dd},
                                               {"mpls", 0x8847},
                                               {"lldp", 0x88cc},
                                               {"ptp", 0x88f7}}};

void read_link_address(const ConfigTable& table, std::string_view key, IpAddress& address) {
  const std::string text = table.text(key);
  const std::optional<IpAddress> parsed = parse_ip_address(text);
  if (parsed && !parsed->is_multicast() && !parsed->is_unspecified() && !parsed->is_broadcast()) {
    address = *parsed;
  } else if (!text.empty()) {
    table.fail(key, fmt::format("\"{}\" is no unicast IP address", text),
               "write \"10.0.1.1\" or \"fd00::1\"");
  }
}

LinkConfiguration read_link(const ConfigTable& table, std::uint16_t udp_port,
                            const Configuration& configuration) {
  LinkConfiguration link;
  link.where = table.where("port");
  link.port = table.text("port");
  read_link_address(table, "local", link.local);
  read_link_address(table, "remote", link.remote);
  link.udp_port = static_cast<std::uint16_t>(table.integer("udp_port", {1, 65535}, udp_port));
  const PortConfiguration* const port = configuration.port(link.port);
  if (link.port.empty()) {
    return link;
  }
  if (port == nullptr) {
    table.fail("port", fmt::format("no port is called {}; {}", link.port, port_names(configuration)),
               "name one of the ports");
    return link;
  }
  if (!link.local.is_unspecified() &&
      std::none_of(port->addresses.begin(), port->addresses.end(),
                   [&](const IpPrefix& prefix) { return prefix.address == link.local; })) {
    table.fail("local",
               fmt::format("the port {} does not have the address {}", port->name, format(link.local)),
               "add it to the port's addresses, with its prefix length");
  }
  if (!link.local.is_unspecified() && !link.remote.is_unspecified() &&
      (link.local.family != link.remote.family || link.local == link.remote)) {
    table.fail("remote", "both ends of a link have different addresses of one family", "correct one of them");
  }
  return link;
}

PeerConfiguration read_peer(const ConfigTable& table, const Configuration& configuration) {
  PeerConfiguration peer;
  peer.where = table.where("name");
  peer.name = table.text("name", {.longest = SSN_PEER_NAME_MAX});
  if (peer.name == configuration.name && !peer.name.empty()) {
    table.fail("name", "this node is called so itself", "name the other node");
  }
  if (configuration.peer(peer.name) != nullptr) {
    table.fail("name", fmt::format("there is a peer {} already", peer.name), "put its links there");
  }
  peer.agent = table.text("agent", {.longest = 300}, "");
  if (!peer.agent.empty() && !good_endpoint(peer.agent)) {
    table.fail("agent", "it is no address with a port", "write \"127.0.0.1:7001\"");
  }
  using Role = PeerConfiguration::Role;
  peer.role =
      choose(table, "role", role_words, configuration.shareholder.present ? Role::ssa : Role::shareholder);
  if (table.has("key_path")) {
    peer.key_path =
        table.texts("key_path", Configuration::crosses_max, {.longest = Configuration::label_max});
    if (std::any_of(peer.key_path->begin(), peer.key_path->end(),
                    [](const std::string& name) { return name.find(' ') != std::string::npos; })) {
      table.fail("key_path", "a name has spaces", "write names, such as [\"relay-1\", \"kme-b\"]");
    }
  }
  const auto udp_port =
      static_cast<std::uint16_t>(table.integer("udp_port", {1, 65535}, Configuration::default_udp_port));
  for (const ConfigTable& link : table.tables("link", Configuration::links_max)) {
    peer.links.push_back(read_link(link, udp_port, configuration));
  }
  return peer;
}

void read_scheme(const ConfigTable& table, StreamConfiguration& stream) {
  stream.scheme = choose(table, "scheme", scheme_words, stream.scheme);
  stream.k = static_cast<unsigned>(table.integer("k", {1, 255}));
  stream.n = static_cast<unsigned>(table.integer("n", {1, 255}));
  const unsigned usual = stream.scheme == Scheme::rs ? std::max(stream.k, 1U) : 1U;
  stream.data_blocks = static_cast<unsigned>(table.integer("data_blocks", {1, 255}, usual));
  if (stream.k == 0 || stream.n == 0) {
    return;  // noted already
  }
  if (stream.k > stream.n) {
    table.fail("k", "more shares are needed than there are", "make k at most n");
  }
  const bool hides = stream.scheme != Scheme::rs;
  if (hides && stream.k < 2) {
    table.fail("k", "with k = 1 every share is the data", "use k >= 2, or scheme = \"rs\" for no secrecy");
  }
  if (stream.scheme == Scheme::ramp) {
    if (stream.data_blocks >= stream.k || stream.n + stream.data_blocks > 256) {
      table.fail("data_blocks", "a ramp scheme has 1 <= data_blocks < k and n + data_blocks <= 256",
                 "choose data_blocks so");
    }
  } else if (stream.data_blocks != usual) {
    table.fail("data_blocks", fmt::format("the scheme {} has {} data blocks", name(stream.scheme), usual),
               "leave it out");
  }
}

// Each share goes over a link of its own.
void read_stream_links(const ConfigTable& table, const PeerConfiguration& peer, StreamConfiguration& stream) {
  const std::vector<std::string> names = table.texts("links", Configuration::links_max);
  if (names.empty()) {
    for (std::size_t i = 0; i < std::min<std::size_t>(stream.n, peer.links.size()); ++i) {
      stream.links.push_back(i);
    }
  }
  bool all_found = true;
  for (const std::string& text : names) {
    std::size_t number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    const bool is_number = error == std::errc() && end == text.data() + text.size();
    const auto named = std::find_if(peer.links.begin(), peer.links.end(),
                                    [&](const LinkConfiguration& link) { return link.port == text; });
    if (named != peer.links.end()) {
      stream.links.push_back(static_cast<std::size_t>(named - peer.links.begin()));
    } else if (is_number && number >= 1 && number <= peer.links.size()) {
      stream.links.push_back(number - 1);
    } else {
      table.fail("links", fmt::format("the peer {} has no link \"{}\"", peer.name, text),
                 "name links by their port, or by their number from 1");
      all_found = false;
    }
  }
  if (all_found && stream.links.size() != stream.n) {
    table.fail("links",
               fmt::format("{} shares need as many links, but there are {}", stream.n, stream.links.size()),
               "add a [[peer.link]] for each share, or lower n; one port may carry several links");
  }
}

void check_stream_fits(const ConfigTable& table, const Configuration& configuration,
                       const PeerConfiguration& peer, const StreamConfiguration& stream) {
  for (const std::size_t index : stream.links) {
    const LinkConfiguration& link = peer.links[index];
    const PortConfiguration* const port = configuration.port(link.port);
    const std::uint32_t headers = static_cast<std::uint32_t>(protocol::overhead_bytes) +
                                  (link.local.family == IpFamily::v4 ? udp_and_ipv4 : udp_and_ipv6);
    if (port != nullptr && stream.cell + headers > port->mtu) {
      const std::uint32_t fits = (port->mtu - headers) / cell_unit * cell_unit;
      table.fail("cell",
                 fmt::format("a share of {} bytes and its headers of {} do not fit into the MTU of {}: {}",
                             stream.cell, headers, port->name, port->mtu),
                 fmt::format("make cell at most {}, or raise the MTU", fits));
      return;
    }
    if (link.port == stream.port) {
      table.fail("port", "it is also a port of the stream's links", "give clients a port of their own");
      return;
    }
  }
}

void read_filter(const ConfigTable& table, const Configuration& configuration, StreamConfiguration& stream) {
  for (const std::string& text : table.texts("filter", Configuration::filter_max)) {
    const auto known = std::find_if(ethertypes.begin(), ethertypes.end(),
                                    [&](const EtherType& type) { return type.word == text; });
    if (known != ethertypes.end()) {
      stream.ethertypes.push_back(known->number);
      continue;
    }
    unsigned number = 0;
    const bool prefixed = text.size() == 6 && text.compare(0, 2, "0x") == 0;
    const char* const begin = text.data() + (prefixed ? 2 : 0);
    const auto [end, error] = std::from_chars(begin, text.data() + text.size(), number, 16);
    if (!prefixed || error != std::errc() || end != text.data() + text.size() || number < 0x600) {
      table.fail("filter", fmt::format("\"{}\" is no EtherType", text),
                 "use ipv4, ipv6, arp, vlan, mpls, lldp, ptp, or a number such as \"0x88f7\"");
      continue;
    }
    stream.ethertypes.push_back(static_cast<std::uint16_t>(number));
  }
  const std::string others = table.text("others", {}, "drop");
  if (others.compare(0, pass_prefix.size(), pass_prefix) == 0) {
    stream.others = StreamConfiguration::Others::pass;
    stream.pass_to = others.substr(pass_prefix.size());
    if (configuration.port(stream.pass_to) == nullptr || stream.pass_to == stream.port) {
      table.fail("others",
                 fmt::format("frames cannot pass to \"{}\"; {}", stream.pass_to, port_names(configuration)),
                 "name another port than the stream's");
    }
  } else if (others != "drop") {
    table.fail("others", "it must be \"drop\" or \"pass-to=PORT\"", "write it so");
  }
}

StreamConfiguration read_stream(const ConfigTable& table, const Configuration& configuration) {
  StreamConfiguration stream;
  stream.where = table.where("id");
  stream.id = static_cast<std::uint16_t>(table.integer("id", {1, 65535}));
  stream.port = table.text("port");
  stream.peer = table.text("peer", {.longest = SSN_PEER_NAME_MAX});
  read_scheme(table, stream);
  stream.cell =
      static_cast<std::uint32_t>(table.bytes("cell", {cell_unit, protocol::max_payload}, stream.cell));
  if (stream.cell % cell_unit != 0) {
    table.fail("cell", "it must be a multiple of 64 bytes", "1344 fits an MTU of 1500, 8896 one of 9018");
  }
  stream.random = choose(table, "random", random_words, stream.random);
  stream.shortage = choose(table, "shortage", shortage_words, stream.shortage);
  if (stream.shortage == StreamConfiguration::Shortage::aes_256_gcm) {
    table.fail("shortage", "wire mode seals shares under pads only: a cipher would lower their protection",
               R"(shortage = "wait" keeps frames until there are keys, "refuse" drops them)");
  }
  stream.latency = table.duration("latency", {nanoseconds(0), seconds(1)}, stream.latency);
  stream.reorder = table.duration("reorder", {nanoseconds(0), seconds(10)}, stream.reorder);
  read_filter(table, configuration, stream);
  const PeerConfiguration* const peer = configuration.peer(stream.peer);
  if (!stream.port.empty() && configuration.port(stream.port) == nullptr) {
    table.fail("port", fmt::format("no port is called {}; {}", stream.port, port_names(configuration)),
               "name one of the ports");
  }
  if (peer == nullptr && !stream.peer.empty()) {
    table.fail("peer", fmt::format("no [[peer]] is called {}", stream.peer), "add it, with its links");
  }
  if (peer != nullptr) {
    read_stream_links(table, *peer, stream);
    check_stream_fits(table, configuration, *peer, stream);
  }
  return stream;
}

// A port that one stream takes all frames of has no frames for a second one.
void check_streams(const ConfigTable& table, const StreamConfiguration& stream,
                   const Configuration& configuration) {
  for (const StreamConfiguration& other : configuration.streams) {
    if (other.id == stream.id && stream.id != 0) {
      table.fail("id", fmt::format("there is a stream {} already", stream.id),
                 "give each a number of its own");
    }
    if (other.port != stream.port || stream.port.empty()) {
      continue;
    }
    const bool all = other.ethertypes.empty() || stream.ethertypes.empty();
    const bool common =
        std::any_of(stream.ethertypes.begin(), stream.ethertypes.end(), [&](std::uint16_t type) {
          return std::find(other.ethertypes.begin(), other.ethertypes.end(), type) != other.ethertypes.end();
        });
    if (all || common) {
      table.fail("filter",
                 fmt::format("stream {} takes frames of {} that this one takes too", other.id, stream.port),
                 "give the streams of one port filters that have nothing in common");
    }
  }
  for (const BridgeConfiguration& bridge : configuration.bridges) {
    if (bridge.ports[0] == stream.port || bridge.ports[1] == stream.port) {
      table.fail("port", fmt::format("{} is in a bridge", stream.port), "a port has one use: leave one out");
    }
  }
}

}  // namespace

void read_peers(const ConfigTable& root, Configuration& configuration) {
  for (const ConfigTable& table : root.tables("peer", Configuration::peers_max)) {
    configuration.peers.push_back(read_peer(table, configuration));
  }
}

void read_streams(const ConfigTable& root, Configuration& configuration) {
  for (const ConfigTable& table : root.tables("stream", Configuration::streams_max)) {
    StreamConfiguration stream = read_stream(table, configuration);
    check_streams(table, stream, configuration);
    configuration.streams.push_back(std::move(stream));
  }
  if (!configuration.streams.empty() && configuration.ledger.empty()) {
    root.table("node").fail("ledger", "streams use keys, and keys need a ledger",
                            "name a file on a disk that survives a restart");
  }
  if (!configuration.streams.empty() && configuration.key_devices.empty()) {
    root.fail("key_device", "streams use keys, and there is no [[key_device]]",
              "add the devices that deliver them");
  }
}

std::string_view name(StreamConfiguration::Scheme value) noexcept {
  return scheme_words[static_cast<std::size_t>(value)];
}

std::string_view name(RandomSource value) noexcept { return random_words[static_cast<std::size_t>(value)]; }

std::string_view name(KeyShortage value) noexcept { return shortage_words[static_cast<std::size_t>(value)]; }

}  // namespace ssn::dataplane
