// SPDX-License-Identifier: BSD-3-Clause
#include "alarm_watch.h"

#include <fmt/core.h>

#include <algorithm>

namespace ssn::dataplane {
namespace {

constexpr std::uint64_t stock_low_bytes = 16'384;  // a dozen cells

// The sending end has hardly any pads, and the key manager none for it.
bool is_short_of_pads(const ConnectionReport& connection) {
  const StreamReport& pads = connection.numbers.streams[pads_out];
  return connection.sending && pads.health != SSN_KEY_HEALTH_OK && pads.available < stock_low_bytes;
}

bool can_send(const PeerKeyReport& peer) {
  return peer.state == protocol::Association::State::established &&
         std::any_of(peer.connections.begin(), peer.connections.end(),
                     [](const ConnectionReport& connection) { return connection.sending; });
}

std::string text_of(const Error& error) { return error.what + ": " + error.why; }

}  // namespace

void AlarmWatch::happened(const roles::SsaEvent& event, const std::string& holder, std::uint64_t now_ms) {
  using Kind = roles::SsaEvent::Kind;
  if (event.kind == Kind::holder_lies) {
    monitor_.happened(
        "holder_lies", holder, "",
        fmt::format("share {} of object {:016x}, cell {}", event.share, event.key.object, event.cell),
        now_ms);
  } else if (event.kind == Kind::holder_failed) {
    monitor_.happened(
        "holder_failed", holder, "",
        fmt::format("{}, when object {:016x} was written", name(event.trouble), event.key.object), now_ms);
  }
}

bool AlarmWatch::happened(const store::StoreEvent& event, std::uint64_t now_ms) {
  using Kind = store::StoreEvent::Kind;
  if (event.kind != Kind::record_damaged && event.kind != Kind::record_missing &&
      event.kind != Kind::record_stale && event.kind != Kind::key_missing) {
    return false;
  }
  monitor_.happened(
      "share_damaged", node_, "",
      fmt::format("object {:016x} share {}: {}", event.share.object, event.share.share, event.error.why),
      now_ms);
  return true;
}

void AlarmWatch::refused(const std::string& text, std::uint64_t now_ms) {
  monitor_.happened("order_refused", node_, "", text, now_ms);
}

void AlarmWatch::look_at_membership(const std::string& trouble, std::uint64_t now_ms) {
  monitor_.set("membership_unusable", node_, "", !trouble.empty(), trouble, now_ms);
}

void AlarmWatch::look_at_audit(const std::string& trouble, std::uint64_t now_ms) {
  monitor_.set("node_audit_failed", node_, "", !trouble.empty(), trouble, now_ms);
}

void AlarmWatch::look_at_certificates(const std::string& trouble, std::uint64_t now_ms) {
  monitor_.set("certificate_ends", node_, "", !trouble.empty(), trouble, now_ms);
}

void AlarmWatch::look_at_peer(const PeerKeyReport& peer, bool self_quarantine, std::uint64_t now_ms) {
  const bool quarantined = self_quarantine || peer.quarantine != protocol::Quarantine::none;
  monitor_.set("association_quarantined", node_, peer.name, quarantined,
               self_quarantine                                        ? "this node was rolled back or cloned"
               : peer.quarantine == protocol::Quarantine::rolled_back ? "the peer was rolled back"
                                                                      : "the peer was cloned",
               now_ms);
  const bool down = !can_send(peer);
  monitor_.set("association_down", node_, peer.name, down && !quarantined,
               !peer.connected                 ? "its agent does not answer"
               : !peer.last_error.what.empty() ? text_of(peer.last_error)
                                               : "they have not agreed on keys",
               now_ms);
  monitor_.set("key_stock_low", node_, peer.name,
               !down && std::any_of(peer.connections.begin(), peer.connections.end(), is_short_of_pads),
               "hardly any pads are left, and no more come", now_ms);
}

std::vector<alarms::ActiveAlarm> AlarmWatch::look(const KeyReport& keys, const store::StoreStatus* store,
                                                  std::uint64_t now_ms) {
  for (const PeerKeyReport& peer : keys.peers) look_at_peer(peer, keys.self_quarantine, now_ms);
  const auto closed = std::find_if(keys.devices.begin(), keys.devices.end(),
                                   [](const KeyDeviceReport& device) { return !device.open; });
  monitor_.set("key_device_failed", node_, "", closed != keys.devices.end(),
               closed == keys.devices.end() ? ""
               : closed->last_error.what.empty()
                   ? fmt::format("{} is not open", closed->driver)
                   : fmt::format("{}: {}", closed->driver, text_of(closed->last_error)),
               now_ms);
  monitor_.set("ledger_failed", node_, "", keys.ledger_failed, "a write of the ledger failed", now_ms);
  if (store != nullptr) {
    const std::string why = store->full || store->read_only ? text_of(store->why) : "";
    monitor_.set("store_failed", node_, "", store->read_only, why, now_ms);
    monitor_.set("store_full", node_, "", store->full && !store->read_only, why, now_ms);
  }
  return monitor_.active(now_ms);
}

std::vector<controller::PeerReport> peer_reports(const KeyReport& keys,
                                                 const std::map<std::string, ChannelState>& channels) {
  std::vector<controller::PeerReport> reports;
  for (const PeerKeyReport& peer : keys.peers) {
    if (reports.size() == controller::peers_max) break;
    controller::PeerReport& report = reports.emplace_back();
    report.peer = peer.name;
    report.connected =
        can_send(peer) && !keys.self_quarantine && peer.quarantine == protocol::Quarantine::none;
    for (const ConnectionReport& connection : peer.connections) {
      const StreamReport& pads = connection.numbers.streams[pads_out];
      report.pad_bytes += pads.available + (pads.statistics.level == UINT64_MAX ? 0 : pads.statistics.level);
      report.pad_bytes_per_second += pads.statistics.bytes_per_second;
    }
    const auto channel = channels.find(peer.name);
    if (channel == channels.end()) continue;
    report.round_trip_us = channel->second.round_trip_us;
    report.connected = report.connected && channel->second.answers;
  }
  return reports;
}

controller::KeyStock key_stock(const KeyReport& keys) {
  controller::KeyStock least;
  for (const PeerKeyReport& peer : keys.peers) {
    if (peer.connections.empty()) continue;
    std::uint64_t bytes = 0;
    for (const ConnectionReport& connection : peer.connections) {
      bytes += connection.numbers.streams[pads_out].available;
    }
    if (least.peer.empty() || bytes < least.bytes) least = {peer.name, bytes};
  }
  return least;
}

}  // namespace ssn::dataplane
