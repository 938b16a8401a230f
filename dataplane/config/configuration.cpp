// SPDX-License-Identifier: BSD-3-Clause
#include "ssn/dataplane/configuration.h"

#include <fmt/core.h>

#include <algorithm>

#include "read.h"

namespace ssn::dataplane {
namespace {

Result<Configuration> read(Result<hw::Config> config, const std::string& file) {
  if (!config.ok()) {
    return config.error();
  }
  const hw::ConfigTable root = config.value().root();
  Configuration configuration;
  configuration.file = file;
  read_process(root, configuration);
  configuration.key_devices = hw::read_key_devices(root);
  read_ports(root, configuration);
  read_bridges(root, configuration);
  read_storage(root, configuration);
  read_peers(root, configuration);
  read_streams(root, configuration);
  check_storage(root, configuration);
  if (Outcome outcome = config.value().finish(); !outcome.ok()) {
    return outcome.error();
  }
  return configuration;
}

template <typename Element>
const Element* find(const std::vector<Element>& elements, std::string_view name) noexcept {
  const auto found =
      std::find_if(elements.begin(), elements.end(), [&](const Element& e) { return e.name == name; });
  return found == elements.end() ? nullptr : &*found;
}

bool same_devices(const std::vector<hw::KeyDeviceConfiguration>& a,
                  const std::vector<hw::KeyDeviceConfiguration>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const auto& one, const auto& other) {
    return one.driver == other.driver && one.peers == other.peers && one.settings == other.settings;
  });
}

bool same_ports(const std::vector<PortConfiguration>& a, const std::vector<PortConfiguration>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const auto& one, const auto& other) {
    return one.name == other.name && one.device == other.device && one.mtu == other.mtu &&
           one.queues == other.queues;
  });
}

}  // namespace

Result<Configuration> Configuration::load(const std::string& file) {
  return read(hw::Config::load(file), file);
}

Result<Configuration> Configuration::parse(std::string_view text, const std::string& file) {
  return read(hw::Config::parse(text, file), file);
}

const PortConfiguration* Configuration::port(std::string_view port_name) const noexcept {
  return find(ports, port_name);
}

const PeerConfiguration* Configuration::peer(std::string_view peer_name) const noexcept {
  return find(peers, peer_name);
}

Outcome Configuration::check_swap(const Configuration& next) const {
  const char* differs = nullptr;
  if (name != next.name || ledger != next.ledger) {
    differs = "[node]";
  } else if (eal.huge_pages != next.eal.huge_pages || eal.memory != next.eal.memory ||
             eal.file_prefix != next.eal.file_prefix || eal.main_core != next.eal.main_core) {
    differs = "[eal]";
  } else if (workers.cores != next.workers.cores || workers.idle != next.workers.idle) {
    differs = "[workers]";
  } else if (!same_ports(ports, next.ports)) {
    differs = "a [[port]], other than in its addresses and gateways,";
  } else if (!same_devices(key_devices, next.key_devices)) {
    differs = "a [[key_device]]";
  } else if (keys.pad_ring != next.keys.pad_ring || keys.tag_ring != next.keys.tag_ring ||
             keys.random_ring != next.keys.random_ring || keys.window != next.keys.window) {
    differs = "[keys]";
  } else if (offload.driver != next.offload.driver || offload.settings != next.offload.settings) {
    differs = "the driver of [offload]";
  } else if (agent.listen != next.agent.listen || agent.socket != next.agent.socket ||
             agent.certificate != next.agent.certificate || agent.key != next.agent.key ||
             agent.ca != next.agent.ca || agent.crl != next.agent.crl ||
             agent.operators != next.agent.operators) {
    differs = "[agent]";
  } else if (!(audit == next.audit)) {
    differs = "[audit]";
  }
  if (is_storage() || next.is_storage()) {
    return Error{Exit::refused, "cannot take the configuration while running",
                 "a node with [ssa] or [shareholder] has open sessions and a store", next.file,
                 "restart ssn-dataplane with it"};
  }
  if (differs == nullptr) {
    return done;
  }
  return Error{Exit::refused, "cannot take the configuration while running",
               fmt::format("{} differs from what runs", differs), next.file,
               "restart ssn-dataplane with it, or change only peers, streams, bridges and addresses"};
}

}  // namespace ssn::dataplane
