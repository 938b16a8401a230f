// SPDX-License-Identifier: BSD-3-Clause
#include "ssn/dataplane/key_service.h"

#include <bit>
#include <set>
#include <utility>

#include "service_core.h"

namespace ssn::dataplane {
namespace {

Error misconfigured(const KeyServiceConfiguration& configuration, std::string why, std::string fix) {
  return {Exit::usage, "cannot start the key service of " + configuration.node, std::move(why),
          configuration.file, std::move(fix)};
}

bool power_between(std::uint64_t value, std::uint64_t least, std::uint64_t most) {
  return std::has_single_bit(value) && value >= least && value <= most;
}

Outcome check_limits(const KeyServiceConfiguration& configuration) {
  const ConnectionLimits& limits = configuration.limits;
  if (!power_between(limits.window, 64, std::uint64_t{1} << 19)) {
    return misconfigured(configuration, "the window is no power of two from 64 to 524288 packets",
                         "choose such a number");
  }
  const std::uint64_t most = hw::RingMemory::max_bytes;
  if (!power_between(limits.pad_ring_bytes, 4096, most) || !power_between(limits.tag_ring(), 4096, most) ||
      !power_between(configuration.random_ring_bytes, 4096, most)) {
    return misconfigured(configuration, "the size of a ring is no power of two of at least 4 KiB",
                         "choose such a size");
  }
  if (limits.tag_ring() < std::uint64_t{limits.window} * 2 * protocol::mask_bytes) {
    return misconfigured(configuration, "the ring of tag keys is too small for the window",
                         "give it at least 32 bytes for each packet of the window");
  }
  if (configuration.ledger_extent < protocol::least_extent) {
    return misconfigured(configuration, "the ledger's extent is less than 4096 bytes", "choose a larger one");
  }
  return done;
}

Outcome check(const KeyServiceConfiguration& configuration) {
  if (configuration.node.empty() || configuration.node.size() > protocol::node_name_max) {
    return misconfigured(configuration, "the node's name has not 1 to 255 characters", "give it such a name");
  }
  if (configuration.workers == 0 || configuration.workers > protocol::workers_max) {
    return misconfigured(configuration,
                         "a node has 1 to " + std::to_string(protocol::workers_max) + " workers",
                         "give it as many");
  }
  if (configuration.peers.size() > KeyServiceConfiguration::peers_max ||
      configuration.peers.size() * configuration.workers * connection_streams >
          protocol::ledger_streams_max) {
    return misconfigured(configuration, "these are too many peers and workers for one ledger",
                         "use fewer of one of them");
  }
  std::set<std::string_view> names{configuration.node};
  for (const KeyPeerConfiguration& peer : configuration.peers) {
    if (peer.name.empty() || peer.name.size() > protocol::node_name_max || !names.insert(peer.name).second) {
      return misconfigured(configuration, "a peer has no name, one that is too long, or that of another node",
                           "give each peer the SAE ID that it has");
    }
  }
  return check_limits(configuration);
}

}  // namespace

Result<std::unique_ptr<KeyService>> KeyService::open(KeyServiceConfiguration configuration,
                                                     PeerChannel& channel, ConnectionSink& sink) {
  if (Outcome checked = check(configuration); !checked.ok()) return checked.error();
  Result<ledger::FileLedger> ledger =
      ledger::FileLedger::open(configuration.ledger, configuration.node,
                               ledger::FileLedger::Create::if_missing, configuration.ledger_extent);
  if (!ledger.ok()) return ledger.error();
  return open(std::move(configuration), std::move(ledger.value()), channel, sink);
}

Result<std::unique_ptr<KeyService>> KeyService::open(KeyServiceConfiguration configuration,
                                                     ledger::FileLedger ledger, PeerChannel& channel,
                                                     ConnectionSink& sink) {
  if (Outcome checked = check(configuration); !checked.ok()) return checked.error();
  const kernels::Implementation* implementation = nullptr;
  if (const kernels::Status chosen = kernels::select(implementation); chosen != kernels::Status::ok) {
    return Error{Exit::kernels_refused, "cannot start the key service of " + configuration.node,
                 std::string(kernels::describe(chosen)), "SSN_KERNELS", "unset SSN_KERNELS or correct it"};
  }
  auto core =
      std::make_unique<Core>(std::move(configuration), std::move(ledger), channel, sink, *implementation);
  if (Outcome prepared = core->prepare(); !prepared.ok()) return prepared.error();
  return std::unique_ptr<KeyService>(new KeyService(std::move(core)));
}

KeyService::KeyService(std::unique_ptr<Core> core) : core_(std::move(core)) {}
KeyService::~KeyService() = default;

void KeyService::start() { core_->start(*this); }
Outcome KeyService::stop(std::chrono::milliseconds patience) { return core_->stop(patience); }
KeyReport KeyService::report() const { return core_->report(); }
std::uint32_t KeyService::connection_id(std::size_t peer_index, std::uint16_t worker) const noexcept {
  return core_->connection_id(peer_index, worker);
}
Outcome KeyService::readmit(const std::string& peer) { return core_->readmit(peer); }
void KeyService::readmit_self() { core_->readmit_self(); }
void KeyService::on_connected(const std::string& peer) { core_->on_connected(peer); }
void KeyService::on_message(const std::string& peer, PeerMessageKind kind,
                            std::span<const std::uint8_t> bytes) {
  core_->on_message(peer, kind, bytes);
}

}  // namespace ssn::dataplane
