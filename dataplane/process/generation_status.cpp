// SPDX-License-Identifier: BSD-3-Clause
// What the agent asks of host, wire mode and keys. Nothing here touches a worker.
#include <fmt/core.h>

#include <algorithm>

#include "generation.h"

namespace ssn::dataplane {
namespace {

using agent::Properties;
using agent::StatusItem;

const char* protection_name(enum ssn_protection protection) noexcept {
  switch (protection) {
    case SSN_PROTECTION_EMULATED:
      return "emulated";
    case SSN_PROTECTION_COMPUTATIONAL:
      return "computational";
    case SSN_PROTECTION_INFORMATION_THEORETIC:
      return "information-theoretic";
  }
  return "unknown";
}

std::string account_text(const protocol::KeyAccount& account) {
  return fmt::format("{} fetched = {} used + {} kept + {} discarded + {} left", account.fetched, account.used,
                     account.kept, account.discarded, account.left);
}

void add_links(const Host& host, agent::Status& status) {
  for (std::uint32_t i = 0; i < host.link_count(); ++i) {
    const HostLink& link = host.link(i);
    const LinkReport& report = host.report(i);
    const std::uint64_t too_big = report.too_big.load(std::memory_order_relaxed);
    const std::uint64_t unreachable = report.unreachable.load(std::memory_order_relaxed);
    Properties properties{{"local", format(link.local)},
                          {"remote", format(link.remote)},
                          {"udp port", fmt::format("{}", link.udp_port)},
                          {"longest payload", fmt::format("{}", link.max_payload)}};
    if (too_big != 0) {
      properties.emplace_back("path MTU reported",
                              fmt::format("{}", report.smallest_mtu.load(std::memory_order_relaxed)));
    }
    if (unreachable != 0)
      properties.emplace_back("reported unreachable", fmt::format("{} times", unreachable));
    status.items.push_back({"link", link.name, too_big == 0, too_big == 0 ? "configured" : "MTU too large",
                            std::move(properties)});
  }
}

constexpr const char* stream_names[connection_streams] = {"pads out", "tag keys out", "pads in",
                                                          "tag keys in"};

void add_connection(const ConnectionReport& connection, Properties& properties) {
  const std::string prefix = fmt::format("worker {} ", connection.worker);
  for (std::size_t i = 0; i < connection_streams; ++i) {
    const StreamReport& stream = connection.numbers.streams[i];
    properties.emplace_back(prefix + stream_names[i], account_text(stream.account));
    properties.emplace_back(prefix + stream_names[i] + " stock",
                            fmt::format("{} bytes", stream.statistics.level));
  }
}

void add_peers(const KeyReport& report, const agent::Agent* agent, agent::Status& status) {
  for (const PeerKeyReport& peer : report.peers) {
    const bool established = peer.state == protocol::Association::State::established;
    Properties properties{{"epoch", fmt::format("{}", peer.epoch)},
                          {"epochs entered", fmt::format("{}", peer.epochs_entered)},
                          {"epochs ended", fmt::format("{}", peer.epochs_ended)},
                          {"protection", protection_name(peer.protection)},
                          {"control channel", peer.connected ? "connected" : "not connected"}};
    if (agent != nullptr && !peer.connected) {
      for (const agent::PeerState& each : agent->peers()) {
        if (each.name == peer.name && !each.trouble.empty()) properties.emplace_back("trouble", each.trouble);
      }
    }
    if (!peer.last_error.what.empty()) {
      properties.emplace_back("last error", peer.last_error.what + ": " + peer.last_error.why);
    }
    for (const ConnectionReport& each : peer.connections) add_connection(each, properties);
    for (std::size_t i = 0; i < connection_streams; ++i) {
      properties.emplace_back(fmt::format("finished {}", stream_names[i]),
                              account_text(peer.finished.accounts[i]));
    }
    const std::string condition = report.self_quarantine ? "this node is in quarantine"
                                  : peer.quarantine != protocol::Quarantine::none ? "in quarantine"
                                  : established                                   ? "established"
                                                                                  : "no keys agreed on";
    status.items.push_back({"peer", peer.name, established, condition, std::move(properties)});
  }
}

void add_devices(const KeyReport& report, agent::Status& status) {
  for (std::size_t i = 0; i < report.devices.size(); ++i) {
    const KeyDeviceReport& device = report.devices[i];
    Properties properties{{"streams", fmt::format("{}", device.streams)},
                          {"failures", fmt::format("{}", device.failures)}};
    if (device.open) {
      properties.emplace_back("identity", device.info.identity);
      properties.emplace_back("protection", protection_name(device.info.protection));
    }
    if (!device.last_error.what.empty()) {
      properties.emplace_back("last error", device.last_error.what + ": " + device.last_error.why);
    }
    status.items.push_back({"key_device", fmt::format("{}.{}", i + 1, device.driver), device.open,
                            device.open ? "open" : "not reachable", std::move(properties)});
  }
}

void add_streams(const Configuration& configuration, const WireMode* wire, const KeyReport& report,
                 agent::Status& status) {
  const std::string trouble = wire != nullptr ? wire->trouble() : "";
  for (const StreamConfiguration& each : configuration.streams) {
    bool ready = false;
    for (const PeerKeyReport& peer : report.peers) {
      if (peer.name != each.peer) continue;
      ready = std::any_of(peer.connections.begin(), peer.connections.end(),
                          [](const ConnectionReport& connection) { return connection.sending; });
    }
    Properties properties{{"port", each.port},
                          {"peer", each.peer},
                          {"scheme", std::string(name(each.scheme))},
                          {"k", fmt::format("{}", each.k)},
                          {"n", fmt::format("{}", each.n)},
                          {"cell", fmt::format("{}", each.cell)},
                          {"random", std::string(name(each.random))}};
    if (!trouble.empty()) properties.emplace_back("trouble", trouble);
    status.items.push_back({"stream", fmt::format("{}", each.id), ready && trouble.empty(),
                            ready ? "carrying" : "waiting for keys", std::move(properties)});
  }
}

}  // namespace

void Generation::add_status(agent::Status& status) const {
  add_links(host_->host(), status);
  if (const std::shared_ptr<const KeyService> keys = keys_now(); keys != nullptr) {
    const KeyReport report = keys->report();
    add_peers(report, setup_.agent, status);
    add_devices(report, status);
    add_streams(*setup_.configuration, wire_.get(), report, status);
  }
  if (storage_ != nullptr) storage_->add_status(status);
  if (setup_.offload != nullptr && wire_ != nullptr) {
    const std::string trouble = wire_->device_trouble();
    Properties properties{{"identity", setup_.offload->info().identity}};
    if (!trouble.empty()) properties.emplace_back("trouble", trouble);
    status.items.push_back({"offload", setup_.configuration->offload.driver, trouble.empty(),
                            trouble.empty() ? "open" : "given up", std::move(properties)});
  }
}

namespace {

using Out = std::vector<agent::Counter>;

void add_account(const std::string& prefix, const protocol::KeyAccount& account, Out& out) {
  out.push_back({prefix + "fetched", account.fetched});
  out.push_back({prefix + "used", account.used});
  out.push_back({prefix + "kept", account.kept});
  out.push_back({prefix + "discarded", account.discarded});
  out.push_back({prefix + "left", account.left, agent::Counter::Kind::gauge});
}

constexpr const char* stream_keys[connection_streams] = {"pads_out", "tag_keys_out", "pads_in",
                                                         "tag_keys_in"};

void add_key_counters(const KeyReport& report, Out& out) {
  for (const PeerKeyReport& peer : report.peers) {
    const std::string prefix = "keys." + peer.name + ".";
    out.push_back({prefix + "epochs_entered", peer.epochs_entered});
    out.push_back({prefix + "epochs_ended", peer.epochs_ended});
    out.push_back({prefix + "alarms", peer.alarms});
    for (std::size_t i = 0; i < connection_streams; ++i) {
      protocol::KeyAccount sum = peer.finished.accounts[i];
      std::uint64_t stock = 0;
      for (const ConnectionReport& each : peer.connections) {
        const StreamReport& stream = each.numbers.streams[i];
        sum.fetched += stream.account.fetched;
        sum.used += stream.account.used;
        sum.kept += stream.account.kept;
        sum.discarded += stream.account.discarded;
        sum.left += stream.account.left;
        stock += stream.statistics.level;
      }
      add_account(prefix + stream_keys[i] + ".", sum, out);
      out.push_back({prefix + stream_keys[i] + ".stock", stock, agent::Counter::Kind::gauge});
    }
  }
}

}  // namespace

void Generation::add_counters(std::vector<agent::Counter>& out) const {
  if (const std::shared_ptr<const KeyService> keys = keys_now(); keys != nullptr) {
    add_key_counters(keys->report(), out);
  }
  if (storage_ != nullptr) storage_->add_counters(out);
}

}  // namespace ssn::dataplane
