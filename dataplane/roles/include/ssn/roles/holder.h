// SPDX-License-Identifier: BSD-3-Clause
// Role shareholder: what peers send becomes requests to the share store, what the store says becomes
// acknowledgements, cells and answers. One worker's; sans-IO: time is an argument.
//
//   Opener -> Channel::arrived() -> Holder::delivered() -> StoreAccess -> ... -> Holder::step()
//     -> Channel::stored() for what is durable, Channel::send() of what was read, Channel::post() of answers
//
// A cell is told as stored after the store said that it is durable, and never otherwise. Requests may arrive
// more than once: serving them again does the same.
//
// Everything is divided among places of peers, once: no peer can take what is another one's, whatever it
// sends. Its credit is what is left of its part.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "ssn/protocol/channel.h"
#include "ssn/roles/store_access.h"

namespace ssn::roles {

/// Names a peer from add_peer() to remove_peer(); never the same for another one.
struct PeerId {
  std::uint32_t place = 0;
  std::uint32_t life = 0;  ///< from 1
  friend bool operator==(const PeerId&, const PeerId&) = default;
};

/// What a peer's certificate says, as the control side read it.
struct PeerIdentity {
  std::uint64_t node = 0;  ///< in the controller's catalogue
  bool ssa = false;
  bool shareholder = false;
};

enum class HolderAction : std::uint8_t { write, read, seal, remove };
inline constexpr std::size_t holder_actions = 4;

/// Who may do what. Asked once for each cell, order and request.
class AccessRule {
 public:
  AccessRule() = default;
  AccessRule(const AccessRule&) = delete;
  AccessRule& operator=(const AccessRule&) = delete;
  virtual ~AccessRule() = default;
  virtual bool permits(const PeerIdentity& peer, HolderAction action,
                       const protocol::Placement& what) const noexcept = 0;
};

/// SSAs may do everything, others nothing.
class SsaAccess final : public AccessRule {
 public:
  bool permits(const PeerIdentity& peer, HolderAction /*action*/,
               const protocol::Placement& /*what*/) const noexcept override {
    return peer.ssa;
  }
};

struct HolderOptions {
  std::uint32_t peers = 16;  ///< places; a removed peer's is free when the store gave everything back
  /// Cells of one peer between arrival and being durable: its credit. A multiple of 64.
  std::uint32_t cells = 2048;
  /// Requests to put fewer than 64 cells that one peer may have in the store; more cells wait for company.
  std::uint32_t partial_puts = 4;
  std::uint32_t queued_reads = 16;    ///< read requests of one peer, waiting or being served
  std::uint32_t stripe_reads = 4;     ///< stripes of one peer that are read or sent at a time
  std::uint32_t sent_cells = 1024;    ///< cells of one peer that were read, sent, and not yet received
  std::uint32_t queued_answers = 64;  ///< of one peer, that its channel has no room for yet
  std::uint32_t seals = 4;            ///< shares of one peer that are being sealed
  std::uint32_t removals = 8;         ///< of one peer at a time, and as many local ones
  std::uint64_t reply_deadline_ns = 2'000'000'000;  ///< for cells that were read, and answers
  std::uint64_t seal_wait_ns = 2'000'000'000;       ///< for the other orders of a seal that takes several
  std::uint64_t told_wait_ns = 1'000'000'000;       ///< a peer whose channel cannot remember what is stored
  std::uint32_t retry_us = 5'000;                   ///< what `busy` answers say
};

/// Plain numbers: one thread writes them.
struct HolderCounters {
  std::uint64_t cells = 0;       ///< that arrived to be stored, those of keep orders included
  std::uint64_t stored = 0;      ///< told as stored
  std::uint64_t not_stored = 0;  ///< answered with a reason
  std::uint64_t untold = 0;      ///< stored, and the peer's channel had no room to remember it
  std::uint64_t over_credit = 0;
  std::uint64_t orders_kept = 0;
  std::uint64_t reads = 0;           ///< requests
  std::uint64_t cells_read = 0;      ///< sent
  std::uint64_t cells_not_read = 0;  ///< answered with a reason
  std::uint64_t replies_expired = 0;
  std::uint64_t seals = 0, sealed = 0;
  std::uint64_t removals = 0, removed = 0;
  std::uint64_t repeated = 0;                                  ///< requests that were being served already
  std::uint64_t refused[holder_actions] = {};                  ///< by HolderAction: the rule forbade it
  std::uint64_t answers[protocol::last_answer_code + 1] = {};  ///< by AnswerCode
  std::uint64_t answers_lost = 0;                              ///< no room: the peer will ask again
  std::uint64_t not_ours = 0;                                  ///< packets of types that no holder serves
  std::uint64_t strangers = 0;                                 ///< cells of peers that were removed
  std::uint64_t puts = 0, put_cells = 0;                       ///< requests to the store, and cells in them
};

/// What came of a local order.
struct LocalOutcome {
  std::uint64_t token = 0;
  store::StoreResult result = store::StoreResult::none;
};

class Holder {
 public:
  /// Requests that can be in the store at once: what `store` must have room for (asserted).
  static std::size_t requests(const HolderOptions& options) noexcept;
  /// Packets of the pool that can be here or on their way from here at once, at most.
  static std::size_t packets(const HolderOptions& options) noexcept;

  /// All of it outlives the holder. Not permitted while a peer is there or idle() is false.
  Holder(const HolderOptions& options, StoreAccess& store, protocol::PacketPool& pool,
         const AccessRule& rule);
  ~Holder();
  Holder(const Holder&) = delete;
  Holder& operator=(const Holder&) = delete;

  /// The channel's user is this holder alone: it takes its settled packets. False: no place is free, try
  /// again later.
  bool add_peer(protocol::Channel& channel, const PeerIdentity& identity, std::uint64_t now_ns, PeerId& peer);
  /// The channel is not used any more when it returns. What is in the store of this peer comes back by and
  /// by; nobody is told.
  void remove_peer(PeerId peer) noexcept;

  /// What the peer's channel delivered. Takes the cells over: back to the pool sooner or later.
  void delivered(PeerId peer, std::span<protocol::Cell* const> cells, std::uint64_t now_ns) noexcept;
  /// Everything that can be done now. Call after every delivered(), when the store gave something back, after
  /// acknowledgements, and when next_due() has come. Then step the channels and take their departures.
  void step(std::uint64_t now_ns) noexcept;
  /// When there is something to do that nothing else announces; UINT64_MAX for never.
  std::uint64_t next_due() const noexcept;

  /// Cells that this peer may still send; what its channel was told.
  std::uint32_t credit(PeerId peer) const noexcept;

  /// The controller's order: erase a generation. False: too many at a time.
  bool remove(const store::GenerationId& generation, std::uint64_t token) noexcept;
  std::size_t take_outcomes(std::span<LocalOutcome> out) noexcept;

  /// Nothing is in the store.
  bool idle() const noexcept;
  const HolderCounters& counters() const noexcept;
  /// Checks what is held against what was counted; for tests.
  bool audit() const noexcept;

 private:
  class Implementation;
  std::unique_ptr<Implementation> implementation_;
};

}  // namespace ssn::roles
