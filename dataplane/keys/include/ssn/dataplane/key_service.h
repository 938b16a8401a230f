// SPDX-License-Identifier: BSD-3-Clause
// The key service of a node's data plane: opens key devices, associates with peers, enters epochs in the
// ledger, opens the key streams of every worker, and hands them over as connections.
//
//   auto service = KeyService::open(configuration, channel, sink);
//   service.value()->start();
//   ...
//   service.value()->stop(std::chrono::seconds(2));    // while the workers still run
//
// Threads: one for the ledger and the associations, which share it, and one for each key device, so that a
// device or key manager that hangs delays nobody else's epochs and no mark of the ledger. Messages between
// key drivers pass by both. dataplane/keys/README.md says why.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "ssn/dataplane/connection_sink.h"
#include "ssn/dataplane/key_report.h"
#include "ssn/dataplane/peer_channel.h"
#include "ssn/hw/key_device_configuration.h"
#include "ssn/hw/result.h"
#include "ssn/ledger/file_ledger.h"

namespace ssn::dataplane {

struct Configuration;

struct KeyPeerConfiguration {
  std::string name;     ///< SAE ID, and name in the peer's certificate
  bool random = false;  ///< workers need random bytes from a key device
  protocol::ShortagePolicy shortage = protocol::ShortagePolicy::refuse;
  /// Open what the peer sealed with AES-256-GCM. Implied by the policy aes_256_gcm.
  bool permit_computational = false;
};

struct KeyServiceConfiguration {
  static constexpr std::size_t peers_max = connection_places;

  std::string node;    ///< SAE ID
  std::string ledger;  ///< file; made when it is missing
  std::string file;    ///< of the configuration, for messages
  std::vector<hw::KeyDeviceConfiguration> devices;
  std::vector<KeyPeerConfiguration> peers;
  std::uint16_t workers = 1;  ///< 1 to protocol::workers_max
  ConnectionLimits limits;
  std::uint64_t random_ring_bytes = std::uint64_t{4} << 20;
  std::uint64_t ledger_extent = protocol::default_extent;
  /// After a failure the next attempt waits, twice as long each time; some of it is chosen at random.
  std::chrono::milliseconds back_off_least{100};
  std::chrono::milliseconds back_off_most{10'000};
  /// What the peer may have lost is said again.
  std::chrono::milliseconds retry{250};
  /// Told of everything that happens, on a thread of the service; must not call it.
  std::function<void(const KeyEvent&)> observer = {};
};

/// What the data plane's file says, for a process with so many workers. A peer that any stream wants random
/// bytes or AES-256-GCM for has them; each stream decides by its own policy which packets use them.
KeyServiceConfiguration key_service_configuration(const Configuration& configuration, std::uint16_t workers);

class KeyService final : public PeerReceiver {
 public:
  /// Checks the configuration, opens the ledger and tries every key device once. Devices that cannot be
  /// reached are tried again while the service runs; settings that a device refuses are an error here, as is
  /// a ledger that cannot be used. `channel` and `sink` outlive the service.
  static Result<std::unique_ptr<KeyService>> open(KeyServiceConfiguration configuration, PeerChannel& channel,
                                                  ConnectionSink& sink);
  /// Over a ledger that is open already.
  static Result<std::unique_ptr<KeyService>> open(KeyServiceConfiguration configuration,
                                                  ledger::FileLedger ledger, PeerChannel& channel,
                                                  ConnectionSink& sink);
  KeyService(const KeyService&) = delete;
  KeyService& operator=(const KeyService&) = delete;
  ~KeyService();

  /// Starts the threads and listens to the channel.
  void start();
  /// Ends all epochs, writes that into the ledger, and waits until workers have let go; then everything is
  /// erased and gone. temporary: a worker did not let go in time. What it holds is never destroyed then.
  Outcome stop(std::chrono::milliseconds patience);

  // ---- Any thread.
  KeyReport report() const;
  /// The connection ids of this node as a receiver from a peer: worker_of() says whose packet it is.
  std::uint32_t connection_id(std::size_t peer_index, std::uint16_t worker) const noexcept;
  /// An operator's word: the peer (or this node) is what it should be, and may associate again.
  /// not_found: no such peer.
  Outcome readmit(const std::string& peer);
  void readmit_self();
  void on_connected(const std::string& peer) override;
  void on_message(const std::string& peer, PeerMessageKind kind,
                  std::span<const std::uint8_t> bytes) override;

 private:
  class Core;
  explicit KeyService(std::unique_ptr<Core> core);

  std::unique_ptr<Core> core_;
};

}  // namespace ssn::dataplane
