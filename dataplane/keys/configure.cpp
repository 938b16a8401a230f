// SPDX-License-Identifier: BSD-3-Clause
// From the data plane's configuration file to the key service's.
#include <algorithm>

#include "ssn/dataplane/configuration.h"
#include "ssn/dataplane/key_service.h"

namespace ssn::dataplane {
namespace {

using Shortage = StreamConfiguration::Shortage;

KeyPeerConfiguration peer_of(const Configuration& configuration, const std::string& name) {
  KeyPeerConfiguration peer{.name = name};
  bool all_wait = true;
  bool any = false;
  for (const StreamConfiguration& stream : configuration.streams) {
    if (stream.peer != name) continue;
    any = true;
    // An erasure code has no random blocks.
    peer.random = peer.random || (stream.random == StreamConfiguration::Random::stream &&
                                  stream.scheme != StreamConfiguration::Scheme::rs);
    peer.permit_computational = peer.permit_computational || stream.shortage == Shortage::aes_256_gcm;
    all_wait = all_wait && stream.shortage == Shortage::wait;
  }
  if (peer.permit_computational) {
    peer.shortage = protocol::ShortagePolicy::aes_256_gcm;
  } else if (any && all_wait) {
    peer.shortage = protocol::ShortagePolicy::wait;
  }
  return peer;
}

// All peers of a node of the storage network; their places are those of the configuration.
KeyPeerConfiguration storage_peer(const Configuration& configuration, const std::string& name) {
  KeyPeerConfiguration peer{.name = name};
  peer.random = configuration.ssa.present
                    ? configuration.ssa.random == RandomSource::stream
                    : configuration.reshares() && configuration.shareholder.random == RandomSource::stream;
  switch (configuration.storage_shortage()) {
    case KeyShortage::refuse:
      peer.shortage = protocol::ShortagePolicy::refuse;
      break;
    case KeyShortage::wait:
      peer.shortage = protocol::ShortagePolicy::wait;
      break;
    case KeyShortage::aes_256_gcm:
      peer.shortage = protocol::ShortagePolicy::aes_256_gcm;
      peer.permit_computational = true;
      break;
  }
  return peer;
}

}  // namespace

KeyServiceConfiguration key_service_configuration(const Configuration& configuration, std::uint16_t workers) {
  KeyServiceConfiguration keys;
  keys.node = configuration.name;
  keys.ledger = configuration.ledger;
  keys.file = configuration.file;
  keys.devices = configuration.key_devices;
  keys.workers = workers;
  keys.limits.pad_ring_bytes = configuration.keys.pad_ring;
  keys.limits.tag_ring_bytes = configuration.keys.tag_ring;
  keys.limits.window = configuration.keys.window;
  if (configuration.eal.huge_pages == EalConfiguration::HugePages::off) {
    keys.limits.pages = hw::RingMemory::Pages::normal;
  }
  keys.random_ring_bytes = configuration.keys.random_ring;
  for (const PeerConfiguration& peer : configuration.peers) {
    if (configuration.is_storage()) {
      keys.peers.push_back(storage_peer(configuration, peer.name));
      continue;
    }
    // A peer without a stream has nothing to protect.
    const bool used =
        std::any_of(configuration.streams.begin(), configuration.streams.end(),
                    [&](const StreamConfiguration& stream) { return stream.peer == peer.name; });
    if (used) keys.peers.push_back(peer_of(configuration, peer.name));
  }
  return keys;
}

}  // namespace ssn::dataplane
