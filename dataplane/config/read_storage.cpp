// SPDX-License-Identifier: BSD-3-Clause
// [ssa], [shareholder], [controller], [membership]: the roles of a node in the storage network.
#include <fmt/core.h>

#include <algorithm>

#include "read.h"

namespace ssn::dataplane {
namespace {

using hw::ConfigTable;
using std::chrono::hours;
using std::chrono::seconds;

constexpr std::array<std::string_view, 2> store_words{"rocksdb", "memory"};
constexpr std::uint64_t mebibyte = std::uint64_t{1} << 20;
constexpr std::uint64_t tebibyte = std::uint64_t{1} << 40;
constexpr std::uint64_t capacity_most = 1024 * tebibyte;

// The port that owners come by: the one that is named, or the only one that has addresses.
const PortConfiguration* owners_port(const ConfigTable& table, const Configuration& configuration,
                                     const std::string& named) {
  if (!named.empty()) {
    const PortConfiguration* const port = configuration.port(named);
    if (port == nullptr) {
      table.fail("port", fmt::format("no port is called {}; {}", named, port_names(configuration)),
                 "name one of the ports");
    } else if (port->addresses.empty()) {
      table.fail("port", fmt::format("the port {} has no address", named),
                 "give it one, with its prefix length");
    }
    return port != nullptr && !port->addresses.empty() ? port : nullptr;
  }
  const auto has_address = [](const PortConfiguration& port) { return !port.addresses.empty(); };
  const auto count = std::count_if(configuration.ports.begin(), configuration.ports.end(), has_address);
  if (count != 1) {
    table.fail("port", fmt::format("{} ports have addresses", count),
               "say which one owners are reached over");
    return nullptr;
  }
  return &*std::find_if(configuration.ports.begin(), configuration.ports.end(), has_address);
}

void read_owners_address(const ConfigTable& table, const Configuration& configuration,
                         SsaConfiguration& ssa) {
  const std::string text = table.text("address", {}, "");
  const PortConfiguration* const port =
      owners_port(table, configuration, table.text("port", {.longest = Configuration::name_max}, ""));
  if (port == nullptr) {
    return;
  }
  ssa.port = port->name;
  ssa.address = port->addresses.front().address;
  if (text.empty()) {
    return;
  }
  const std::optional<IpAddress> address = parse_ip_address(text);
  if (!address || std::none_of(port->addresses.begin(), port->addresses.end(),
                               [&](const IpPrefix& prefix) { return prefix.address == *address; })) {
    table.fail("address", fmt::format("the port {} does not have the address \"{}\"", port->name, text),
               "write one of its addresses, without the prefix length");
    return;
  }
  ssa.address = *address;
}

void read_ssa(const ConfigTable& table, Configuration& configuration) {
  SsaConfiguration& ssa = configuration.ssa;
  ssa.present = table.present();
  if (!ssa.present) {
    return;
  }
  ssa.where = table.where("port");
  read_owners_address(table, configuration, ssa);
  ssa.udp_port = static_cast<std::uint16_t>(
      table.integer("udp_port", {1, 65535}, Configuration::default_owner_udp_port));
  ssa.owners = static_cast<unsigned>(
      table.integer("owners", {1, static_cast<std::int64_t>(SsaConfiguration::owners_limit)}, ssa.owners));
  ssa.idle = table.duration("idle", {seconds(1), hours(24)}, ssa.idle);
  ssa.patience = table.duration("patience", {std::chrono::milliseconds(10), hours(1)}, ssa.patience);
  ssa.random = choose(table, "random", random_words, ssa.random);
  ssa.shortage = choose(table, "shortage", shortage_words, ssa.shortage);
  ssa.pad_shares = table.boolean("pad_shares", ssa.pad_shares);
  ssa.minimum_t = static_cast<unsigned>(table.integer("minimum_t", {0, 254}, ssa.minimum_t));
}

void read_shareholder(const ConfigTable& table, Configuration& configuration) {
  ShareholderConfiguration& holder = configuration.shareholder;
  using Store = ShareholderConfiguration::Store;
  holder.present = table.present();
  if (!holder.present) {
    return;
  }
  holder.where = table.where("store");
  holder.store = choose(table, "store", store_words, holder.store);
  holder.directory = table.path("directory", "");
  const std::uint64_t usual = holder.store == Store::memory ? 256 * mebibyte : 0;
  holder.capacity = table.bytes("capacity", {0, capacity_most}, usual);
  holder.buffer = table.bytes("buffer", {4 * mebibyte, tebibyte}, holder.buffer);
  holder.reserve = table.bytes("reserve", {0, capacity_most}, holder.reserve);
  holder.generations =
      static_cast<std::uint32_t>(table.integer("generations", {64, 1 << 24}, holder.generations));
  holder.scrub = table.bytes("scrub", {0, tebibyte}, holder.scrub);
  holder.shortage = choose(table, "shortage", shortage_words, holder.shortage);
  holder.random = choose(table, "random", random_words, holder.random);
  holder.reshare_jobs = static_cast<unsigned>(table.integer("reshare_jobs", {0, 16}, holder.reshare_jobs));
  holder.reshare_memory = table.bytes("reshare_memory", {64 << 10, 256 * mebibyte}, holder.reshare_memory);
  holder.reshare_rate = table.bytes("reshare_rate", {0, tebibyte}, holder.reshare_rate);
  holder.minimum_t = static_cast<unsigned>(table.integer("minimum_t", {1, 254}, holder.minimum_t));
  if (holder.store == Store::rocksdb && holder.directory.empty()) {
    table.fail("directory", "shares need a place on a disk",
               "name a folder, or set store = \"memory\" for benchmarks: then they are gone after a restart");
  }
  if (holder.store == Store::memory && !holder.directory.empty()) {
    table.fail("directory", "a store in memory has no folder", "leave it out, or set store = \"rocksdb\"");
  }
  if (holder.store == Store::memory && holder.capacity == 0) {
    table.fail("capacity", "a store in memory needs a limit", "say how much it may take");
  }
}

std::string read_label(const ConfigTable& table, std::string_view key) {
  std::string label = table.text(key, {.longest = Configuration::label_max, .may_be_empty = true}, "");
  if (label.find(' ') != std::string::npos) {
    table.fail(key, "it has spaces", "write a name, such as \"site-1\"");
  }
  return label;
}

void read_controller(const ConfigTable& table, Configuration& configuration) {
  ControllerConfiguration& controller = configuration.controller;
  if (!table.present()) {
    return;
  }
  controller.where = table.where("address");
  controller.address = table.text("address", {.longest = 300});
  if (!controller.address.empty() && !good_endpoint(controller.address)) {
    table.fail("address", "it is no address with a port", "write \"192.0.2.10:7100\"");
  }
  controller.name = table.text("name", {.longest = 64}, "controller");
  controller.site = read_label(table, "site");
  controller.operated_by = read_label(table, "operator");
  controller.power = read_label(table, "power");
  controller.key_manager = read_label(table, "key_manager");
}

void read_membership(const ConfigTable& table, Configuration& configuration) {
  MembershipConfiguration& membership = configuration.membership;
  membership.present = table.present();
  if (!membership.present) {
    return;
  }
  membership.where = table.where("document");
  membership.document = table.path("document");
  membership.signatures = table.path("signatures", membership.document + ".p7s");
  membership.signers = table.path("signers");
  membership.threshold =
      static_cast<unsigned>(table.integer("threshold", {1, MembershipConfiguration::threshold_max}));
}

// Whatever both roles need.
void check_role(const ConfigTable& table, const ConfigTable& root, const Configuration& configuration) {
  if (!configuration.streams.empty()) {
    table.fail("port", "the node has [[stream]]s: wire mode and the storage network need a process each",
               "put the streams, or this, into the configuration of another node");
  }
  if (configuration.ledger.empty()) {
    root.table("node").fail("ledger", "connections to peers use keys, and keys need a ledger",
                            "name a file on a disk that survives a restart");
  }
  if (configuration.key_devices.empty()) {
    root.fail("key_device", "connections to peers use keys, and there is no [[key_device]]",
              "add the devices that deliver them");
  }
  if (configuration.agent.listen.empty()) {
    root.table("agent").fail("listen", "peers agree on keys through their agents",
                             "add [agent] with listen, certificate, key and ca");
  }
  if (configuration.peers.empty()) {
    root.fail("peer", "there is nobody to exchange shares with",
              "add a [[peer]] for each node, with its link");
  }
  for (const PeerConfiguration& peer : configuration.peers) {
    if (peer.links.empty()) {
      root.fail("peer", fmt::format("the peer {} has no [[peer.link]]", peer.name),
                "add the way that packets take to it");
    }
  }
}

}  // namespace

void read_storage(const ConfigTable& root, Configuration& configuration) {
  read_ssa(root.table("ssa"), configuration);
  read_shareholder(root.table("shareholder"), configuration);
  read_controller(root.table("controller"), configuration);
  read_membership(root.table("membership"), configuration);
}

void check_storage(const ConfigTable& root, const Configuration& configuration) {
  const ConfigTable ssa = root.table("ssa");
  const ConfigTable shareholder = root.table("shareholder");
  if (configuration.ssa.present && configuration.shareholder.present) {
    shareholder.fail("store", "the node has [ssa], too: an SSA sees data that no shareholder may see",
                     "run a process for each role");
    return;
  }
  if (configuration.ssa.present) {
    check_role(ssa, root, configuration);
    if (configuration.controller.address.empty()) {
      root.table("controller")
          .fail("address", "an SSA asks the controller whose object it is and where it goes",
                "add [controller] with its address and name");
    }
    for (const PeerConfiguration& peer : configuration.peers) {
      if (peer.role == PeerConfiguration::Role::ssa) {
        ssa.fail("port", fmt::format("the peer {} is an SSA, too", peer.name),
                 "an SSA's peers are shareholders: take it out, or correct its role");
      }
    }
  } else if (configuration.shareholder.present) {
    check_role(shareholder, root, configuration);
  } else if (configuration.membership.present) {
    root.table("membership")
        .fail("document", "the node has neither [ssa] nor [shareholder]",
              "add one of them, or leave [membership] out");
  } else if (!configuration.controller.address.empty()) {
    root.table("controller")
        .fail("address", "the node has neither [ssa] nor [shareholder]",
              "add one of them, or leave [controller] out");
  }
}

bool Configuration::reshares() const noexcept {
  return shareholder.present && shareholder.reshare_jobs != 0 &&
         std::any_of(peers.begin(), peers.end(), [](const PeerConfiguration& peer) {
           return peer.role == PeerConfiguration::Role::shareholder;
         });
}

std::string_view name(PeerConfiguration::Role value) noexcept {
  return role_words[static_cast<std::size_t>(value)];
}

std::string_view name(ShareholderConfiguration::Store value) noexcept {
  return store_words[static_cast<std::size_t>(value)];
}

}  // namespace ssn::dataplane
