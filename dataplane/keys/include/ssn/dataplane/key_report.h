// SPDX-License-Identifier: BSD-3-Clause
// What the key service says of itself, for status, metrics and alarms. Plain values, a copy of one moment.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "ssn/dataplane/connection.h"
#include "ssn/hw/result.h"
#include "ssn/protocol/association.h"
#include "ssn/protocol/key_account.h"

namespace ssn::dataplane {

/// What happened, for logs and alarms.
struct KeyEvent {
  enum class Kind : std::uint8_t {
    device_opened,
    device_failed,  ///< cannot be opened, or gives no streams; it is tried again
    established,    ///< an epoch began: connections are with their workers
    ended,          ///< an epoch is over
    alarm,          ///< a peer or this node was rolled back or cloned, or keys differ
    ledger_failed,  ///< nothing is sealed any more until the node was restarted with a good disk
    stuck,          ///< a worker does not let go of a connection
    readmitted,     ///< an operator ended the quarantine of a peer, or (no peer) of this node
  };
  Kind kind = Kind::established;
  std::uint64_t time_ms = 0;  ///< since 1970
  std::string peer;           ///< or the driver of a device
  std::uint64_t epoch = 0;
  std::string text;  ///< one clause for a person
};

/// "established", ...; stable.
std::string_view name(KeyEvent::Kind kind) noexcept;
constexpr bool is_alarm(KeyEvent::Kind kind) noexcept {
  return kind == KeyEvent::Kind::alarm || kind == KeyEvent::Kind::ledger_failed;
}

struct KeyDeviceReport {
  std::string driver;
  bool open = false;
  ssn_key_device_info info{};  ///< as of the last time that it was open
  std::uint64_t info_reads = 0;
  std::uint64_t streams = 0;   ///< that are open
  std::uint64_t failures = 0;  ///< to open the device or a stream
  Error last_error;            ///< of those
};

struct ConnectionReport {
  std::uint16_t worker = 0;
  std::uint32_t local_id = 0;
  std::uint32_t peer_id = 0;
  enum ssn_protection protection = SSN_PROTECTION_EMULATED;
  bool sending = false;        ///< the peer has said that it can open what comes
  ConnectionSnapshot numbers;  ///< as the worker last published them
};

/// Where the bytes of all streams with a peer that are over went, by kind.
struct FinishedStreams {
  std::array<protocol::KeyAccount, connection_streams> accounts{};
  std::uint64_t streams = 0;
};

struct PeerKeyReport {
  std::string name;
  std::uint32_t device = 0;  ///< index in KeyReport::devices
  protocol::Association::State state = protocol::Association::State::closed;
  bool connected = false;  ///< the control channel to it was there and took the last message
  std::uint64_t epoch = 0;
  protocol::Quarantine quarantine = protocol::Quarantine::none;
  std::uint64_t epochs_entered = 0;  ///< by this process
  std::uint64_t epochs_ended = 0;
  std::uint64_t alarms = 0;
  std::uint64_t messages_dropped = 0;  ///< malformed, out of place or too many
  enum ssn_protection protection = SSN_PROTECTION_INFORMATION_THEORETIC;  ///< weakest there ever was
  std::vector<ConnectionReport> connections;
  FinishedStreams finished;
  Error last_error;  ///< why the last attempt to have streams with it failed
};

struct KeyReport {
  std::string node;
  std::uint64_t incarnation = 0;
  bool self_quarantine = false;
  bool ledger_failed = false;
  std::uint64_t ledger_syncs_slow = 0;  ///< writes of the ledger that took more than 100 ms
  std::vector<KeyDeviceReport> devices;
  std::vector<PeerKeyReport> peers;
  std::vector<KeyEvent> events;  ///< the newest ones, oldest first; at most key_events_max
};
inline constexpr std::size_t key_events_max = 256;

}  // namespace ssn::dataplane
