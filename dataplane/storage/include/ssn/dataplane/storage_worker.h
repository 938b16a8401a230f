// SPDX-License-Identifier: BSD-3-Clause
// What the nodes of the storage network work on: the state of one worker and its channels.
//
//   StorageWorker          one for each worker: opener, sealer, packets, its role
//     StorageChannel       one for each connection to a peer, and for each session of a data owner
//
// Everything belongs to its worker once its graph runs; control threads make it, and post what changes.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "ssn/dataplane/connection.h"
#include "ssn/dataplane/counter_mirror.h"
#include "ssn/dataplane/host.h"
#include "ssn/dataplane/packet_source.h"
#include "ssn/dataplane/worker.h"
#include "ssn/hw/secret_buffer.h"
#include "ssn/protocol/channel.h"
#include "ssn/protocol/session_keys.h"
#include "ssn/roles/holder.h"

namespace ssn::dataplane {

struct StorageWorker;
class OwnerSession;

/// Places of connection ids: peers have those of the configuration, sessions of owners those from here on.
inline constexpr std::uint32_t first_owner_place = 256;

struct StorageChannel {
  StorageWorker* worker = nullptr;
  std::uint32_t id = 0;              ///< that its packets to us carry
  std::uint32_t link = 0;            ///< of the host
  std::uint16_t number = 0;          ///< of the peer in the configuration, or the owner's slot
  Connection* connection = nullptr;  ///< of a peer
  OwnerSession* owner = nullptr;     ///< or of an owner
  std::unique_ptr<protocol::SessionKeys> keys;
  std::unique_ptr<protocol::Channel> channel;

  bool joined = false;  ///< the role has it
  roles::PeerId peer;   ///< at a shareholder
  bool suspect = false;
  std::atomic<std::uint64_t> heard_ns{0};  ///< when an authentic packet came last
  // As last published.
  std::atomic<std::uint64_t> round_trip_us{0};  ///< smoothed; 0: not measured
  std::atomic<bool> answers{true};              ///< it does what it is asked
  /// The worker is done with it: control threads may destroy it.
  std::atomic<bool> is_over{false};

  protocol::ReceiveConnection& receiving() noexcept {
    return connection != nullptr ? connection->receiving() : keys->connection();
  }
  /// The other end can open what comes.
  bool may_send() const noexcept { return connection == nullptr || connection->sending_permitted(); }
};

/// When a channel begins that a control thread makes: no clock of a worker is before that.
inline std::uint64_t channel_begins_ns() noexcept { return monotonic_ns() - 1'000'000; }

/// What a worker does with its channels. One worker's; nothing allocates.
class StorageRole {
 public:
  StorageRole() = default;
  StorageRole(const StorageRole&) = delete;
  StorageRole& operator=(const StorageRole&) = delete;
  virtual ~StorageRole() = default;

  /// False: not now, try again.
  virtual bool join(StorageChannel& channel, std::uint64_t now_ns) noexcept = 0;
  /// The channel is not touched any more afterwards.
  virtual void leave(StorageChannel& channel, std::uint64_t now_ns) noexcept = 0;
  /// The cells are the role's now.
  virtual void delivered(StorageChannel& channel, std::span<protocol::Cell* const> cells,
                         std::uint64_t now_ns) noexcept = 0;
  /// Whether something happened that no channel shows.
  virtual bool step(std::uint64_t now_ns) noexcept = 0;
  virtual std::uint64_t next_due() const noexcept = 0;
};

/// Numbers of the channels with one peer, over all epochs.
struct PeerNumbers {
  std::uint64_t sent = 0, sent_again = 0, received = 0, stored = 0, lost = 0, expired = 0, suspected = 0;
  std::uint64_t round_trip_us = 0;  ///< gauge
  std::uint64_t connected = 0;      ///< gauge
};

struct StorageWorker {
  StorageWorker();
  ~StorageWorker();

  std::uint16_t index = 0;
  std::uint16_t count = 1;  ///< of workers
  const Worker* thread = nullptr;
  protocol::PacketCounters packets;
  PacketSource source;
  hw::SecretBuffer seal_memory;
  hw::SecretBuffer open_memory;
  protocol::ConnectionTable table{connection_places};
  std::optional<protocol::Sealer> sealer;
  std::optional<protocol::Opener> opener;
  std::unique_ptr<StorageRole> role;
  std::shared_ptr<HostWorker> host;  ///< where guests are
  int store_event = -1;              ///< readable when the store answered; -1: there is none

  std::vector<StorageChannel*> channels;  ///< reserved
  std::array<StorageChannel*, connection_places> by_place{};

  std::vector<PeerNumbers> peers;     ///< shown
  std::vector<PeerNumbers> finished;  ///< of channels that are no more
  CounterMirror mirror;
  bool dirty = false;  ///< numbers changed since the mirror was published
  std::uint64_t published_ns = 0;
  std::uint64_t handed_off = 0;
  std::uint64_t not_joined = 0;
  std::uint64_t strays = 0;  ///< authentic packets of owners from another address than theirs

  /// Commands, between walks. attach(): false where the place is taken; nothing changed then.
  bool attach(StorageChannel& channel) noexcept;
  void detach(StorageChannel& channel, std::uint64_t now_ns) noexcept;

  StorageChannel* find(std::uint32_t id) const noexcept {
    StorageChannel* const found = by_place[id & (connection_places - 1)];
    return found != nullptr && found->id == id ? found : nullptr;
  }
  /// Shows the numbers of all channels.
  void publish() noexcept;
};

}  // namespace ssn::dataplane
