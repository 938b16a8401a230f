// SPDX-License-Identifier: BSD-3-Clause
// Shareholders among themselves, one worker's: what resharing.h orders becomes masks, dealings and folds to
// other holders, and what comes from them becomes new shares. Sans-IO as Holder, beside it: the channels to
// other shareholders are a Resharer's, those to SSAs the Holder's; the store is both's (store_divider.h).
//
//   order() -> masks with every other giver, once confirmed -> share from the store -> one Transform over it
//     -> Channel::send(contribution) ... delivered() -> sums -> StoreAccess -> Channel::stored() -> givers
//
// Nothing comes from the data port but what an order of the control side expects: a contribution, mask order
// or challenge that no running order of this node names is refused, and counted. So a peer alone can have
// nothing done, and no share leaves a node in clear, not even to who helps.
//
// Where the bytes are. Masks, dealings, sums and folds are in the locked memory that the constructor is
// given, erased as soon as a unit is done with, and when a job ends for whatever reason. Shares and
// contributions are in packets of the pool until they were used, and are erased there. Nothing of it is
// written to a disk but the sums: shares of the target.
//
// A round fails as a whole when a connection that it uses ends: keys are gone then, and with them all masks.
// The control side begins the next round, with these or other givers, where status() says that the last one
// came to.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "ssn/hw/secret_buffer.h"
#include "ssn/kernels/kernels.h"
#include "ssn/protocol/channel.h"
#include "ssn/roles/holder.h"
#include "ssn/roles/random_blocks.h"
#include "ssn/roles/resharing.h"
#include "ssn/roles/store_access.h"

namespace ssn::roles {

struct ResharerOptions {
  std::uint64_t node = 0;                        ///< this one's id; not 0
  std::uint32_t peers = 64;                      ///< places
  std::uint32_t jobs = 2;                        ///< that run at a time
  std::uint32_t kept = 64;                       ///< jobs that are over, and whose status is kept
  std::size_t job_bytes = std::size_t{4} << 20;  ///< of locked memory for each job that runs
  /// Contributions that one job can have taken before their sums are durable; givers * window * unit_cells.
  std::uint32_t job_records = 16384;
  std::uint64_t retry_ns = 20'000'000;  ///< before what a peer refused is sent once more
};

/// Plain numbers: one thread writes them.
struct ResharerCounters {
  std::uint64_t answers[reshare_answers] = {};  ///< of order(), by ReshareAnswer
  std::uint64_t contributions = 0;              ///< that were added
  std::uint64_t cells_stored = 0;               ///< sums that are durable
  std::uint64_t masks_made = 0, masks_taken = 0;
  std::uint64_t challenges = 0;  ///< that were answered
  std::uint64_t unexpected = 0;  ///< packets that no order of this node names: refused
  std::uint64_t repeated = 0;    ///< the same contribution or challenge once more
  std::uint64_t not_ours = 0;    ///< packets of types that no shareholder sends another one
  std::uint64_t strangers = 0;   ///< of peers that were removed
  std::uint64_t jobs_done = 0, jobs_failed = 0, jobs_cancelled = 0;
  std::uint64_t checks_passed = 0, checks_failed = 0, checks_unverified = 0;
};

class Resharer {
 public:
  /// Requests that can be in the store at once: what `store` must have room for (asserted).
  static std::size_t requests(const ResharerOptions& options) noexcept;
  /// Packets of the pool that can be here or on their way from here at once, at most.
  static std::size_t packets(const ResharerOptions& options) noexcept;
  /// Of locked memory.
  static std::size_t memory_bytes(const ResharerOptions& options) noexcept;
  /// Of locked memory that one node needs for this order; order() says too_large where it is more than
  /// job_bytes.
  static std::size_t bytes_for(const ReshareOrder& order, std::uint64_t node) noexcept;

  /// All of it outlives the resharer. Not permitted to end while a peer is there or idle() is false.
  Resharer(const ResharerOptions& options, const kernels::Implementation& implementation, StoreAccess& store,
           protocol::PacketPool& pool, RandomBlocks& random, const ReshareRule& rule,
           hw::SecretBuffer& memory);
  ~Resharer();
  Resharer(const Resharer&) = delete;
  Resharer& operator=(const Resharer&) = delete;

  /// A connection to another shareholder; its user is this alone. False: no place is free, or that node has
  /// one already.
  bool add_peer(protocol::Channel& channel, std::uint64_t node, std::uint64_t now_ns, PeerId& peer);
  /// The channel is not used any more when it returns. Rounds that used it have failed.
  void remove_peer(PeerId peer, std::uint64_t now_ns) noexcept;

  /// What the peer's channel delivered. Takes the cells over: back to the pool sooner or later. Mask orders
  /// need a target of locked memory, as keep orders do.
  void delivered(PeerId peer, std::span<protocol::Cell* const> cells, std::uint64_t now_ns) noexcept;
  /// Everything that can be done now. Call after every delivered() and order(), when the store gave something
  /// back, after acknowledgements, and when next_due() has come. Then step the channels and take their
  /// departures.
  void step(std::uint64_t now_ns) noexcept;
  /// When there is something to do that nothing else announces; UINT64_MAX for never.
  std::uint64_t next_due() const noexcept;

  // ---- What the control side asks, over mutual TLS; from the worker's thread. The same again does the same.

  /// Allocates, so not between packets that must not wait long.
  ReshareAnswer order(const ReshareOrder& order, std::uint64_t now_ns);
  /// Ends what runs of the job: masks, dealings and sums are erased, what was stored stays (Holder::remove()
  /// takes it away). No order of it is taken any more. False: nothing is known of it.
  bool cancel(std::uint64_t job) noexcept;
  /// False: nothing is known of it. A restart forgets; the latest `kept` are remembered.
  bool status(std::uint64_t job, ReshareStatus& status) const noexcept;
  /// Jobs that are here or remembered, in no order; returns how many were written.
  std::size_t list(std::span<ReshareStatus> jobs) const noexcept;

  /// Nothing is in the store, and no job runs.
  bool idle() const noexcept;
  const ResharerCounters& counters() const noexcept;
  /// Whether all locked memory that no job uses is zeros; for tests.
  bool is_erased() const noexcept;

 private:
  class Implementation;
  std::unique_ptr<Implementation> implementation_;
};

}  // namespace ssn::roles
