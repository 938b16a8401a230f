// SPDX-License-Identifier: BSD-3-Clause
// What the control side orders of shareholders when shares are made anew, and what they say of it: SSN-Ax,
// DESIGN 8. Plain values; resharer.h does it. docs/resharing.md says why, in which steps, and at what cost.
//
// Every operation is one shape. Givers hold shares of the source generation; each sends every taker one cell
// for each cell of the object, under pad; a taker adds what came from all givers, and stores the sum as a
// cell of its share of the target generation:
//
//   exchange      1 giver              its share as it is, to another node
//   repair        k givers             lambda_i s_i and a mask for each other giver, to the one taker
//   refresh       t + 1 or more        a sharing of zero each; takers add the share that they have
//   redistribute  k givers             a sharing of lambda_i s_i each, under the target's scheme
//   check         all that take part   8 folds of the share, masked, to the checker: the sum must be 0
//
// One order is given to every node that has a part, the same to all: givers, takers, checker. Each derives
// its own part, and every coefficient, from scheme, indices and its own node id; no order names a
// coefficient, and no point but those of shares 1 to n can be made.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "ssn/roles/object_layout.h"
#include "ssn/store/share_store.h"

namespace ssn::roles {

/// Values are the control side's, too.
enum class ReshareOperation : std::uint8_t {
  exchange = 1,
  repair = 2,
  refresh = 3,
  redistribute = 4,
  seal = 5,   ///< takers seal what they have of the target: no packets
  check = 6,  ///< the masked check of what was sealed, or an audit
};
inline constexpr std::size_t reshare_operations = 7;  ///< and 0, which is none

/// The scheme of a generation and who has which share of it.
struct ReshareLayout {
  kernels::Scheme scheme = kernels::Scheme::systematic;
  std::uint8_t k = 0;
  std::uint8_t n = 0;
  std::uint8_t secret_blocks = 1;  ///< L
  RowRule row_rule = RowRule::fixed;
  std::uint32_t cells_per_turn = 0;  ///< 0 with fixed rows
  /// n node ids, by share index - 1; 0: nobody has that share. Different ones but for 0.
  std::vector<std::uint64_t> nodes;

  bool operator==(const ReshareLayout&) const = default;
};

struct ReshareGeneration {
  std::uint32_t generation = 0;
  ReshareLayout layout;
  /// The attempt of each cell, as it was sealed. Of a target: as it is to be sealed; needed by seal and check
  /// only, because givers and takers know their own round. The first run begins at 0.
  std::vector<store::AttemptRun> runs;
};

/// What one node is told for one step of a job. Copied by Resharer::order().
struct ReshareOrder {
  std::uint64_t job = 0;  ///< never used for anything else, ever; not 0
  /// Of the job: grows with every order of it. An order with a higher round ends what was before it: all
  /// masks and dealings of that are erased. Refresh and redistribute store under it as the attempt of the
  /// target, so that shares of two sets of givers never combine. From 1.
  std::uint16_t round = 0;
  ReshareOperation operation = ReshareOperation::exchange;

  std::uint64_t object = 0;
  std::uint32_t cells = 0;       ///< of the whole object
  std::uint32_t cell_bytes = 0;  ///< of a share: a multiple of 64
  ReshareGeneration source;
  /// exchange and repair: the same generation and attempts, with the taker at its share. check of one
  /// generation: the same.
  ReshareGeneration target;

  /// Share indices of the source that give, ascending. exchange: 1; repair and redistribute: k; refresh: t +
  /// 1 or more; check: those that take part.
  std::vector<std::uint8_t> from;
  /// Share indices of the target that are made, ascending. exchange and repair: 1. seal: those that seal.
  /// check: the new shares that take part; none for an audit.
  std::vector<std::uint8_t> to;
  /// check: the node that draws the challenge and learns the sum. One of `to`; for an audit one of `from`.
  std::uint64_t checker = 0;

  /// Cells [first, end) are done by this order: what takers have below `first` stays. Multiples of
  /// unit_cells, but for the end of the object.
  std::uint32_t first = 0;
  std::uint32_t end = 0;

  /// Cells that are masked, dealt and confirmed together: a power of two, 1 to 64. All that is kept of a unit
  /// is in locked memory, so smaller ones take less of it, and more packets for masks.
  std::uint8_t unit_cells = 16;
  std::uint8_t window = 4;                  ///< units at a time: 1 to 16
  std::uint64_t bytes_per_second = 0;       ///< that one giver sends at most; 0: no limit of its own
  std::uint64_t stall_ns = 10'000'000'000;  ///< without any progress for that long it has failed
};

/// Why an order was not taken, or that it was.
enum class ReshareAnswer : std::uint8_t {
  taken,
  again,        ///< this job and round is here, or was: see status()
  superseded,   ///< a higher round of the job is here, or was
  busy,         ///< all places are taken: later
  no_part,      ///< this node has none in it
  malformed,    ///< numbers that make no order: see docs/resharing.md
  too_large,    ///< it needs more locked memory or records than there are: smaller units or window
  unlisted,     ///< names a node that operators did not list
  below_floor,  ///< fewer shares would reveal something than operators permit, or too few domains
  forbidden,    ///< operators do not permit this operation
  unpinned,     ///< another layout than the one that was pinned when the share was stored
};
inline constexpr std::size_t reshare_answers = 11;

enum class ReshareState : std::uint8_t {
  none,  ///< not known here: never ordered, forgotten, or lost with a restart
  running,
  done,    ///< this node's part is done: what it took is durable, what it gave is durable at all takers
  failed,  ///< `trouble` says why; nothing of it is kept but what takers have stored. A new round is needed
  cancelled,
};

enum class ReshareTrouble : std::uint8_t {
  none,
  stalled,       ///< no progress for stall_ns; `node` is somebody that is waited for
  peer_lost,     ///< the connection to `node` ended: its keys, and with them all masks, are gone
  not_there,     ///< a cell of the share that this node should have is not in its store, or damaged
  store_failed,  ///< the store takes nothing: full, read-only, I/O error
  conflict,      ///< the store has other bytes there, or another share index of this generation
  incomplete,    ///< seal: cells are missing
  damaged,       ///< what this node has of the target was damaged: another generation, or another node
  no_random,     ///< no random blocks for stall_ns
  no_keys,       ///< too few keys for stall_ns, or no pads at all on that connection, which masks need
};

enum class CheckVerdict : std::uint8_t {
  none,        ///< not a check, not the checker, or not yet
  passed,      ///< the sum of all folds was 0, and there was a surplus share
  failed,      ///< it was not: a share, a giver, a taker or a fold is wrong. Never commit
  unverified,  ///< it was 0, but without surplus share that says nothing about givers
};

/// What a node says of one job. Everything since its latest order, but for `computational`.
struct ReshareStatus {
  std::uint64_t job = 0;
  std::uint16_t round = 0;
  ReshareOperation operation = ReshareOperation::exchange;
  ReshareState state = ReshareState::none;
  ReshareTrouble trouble = ReshareTrouble::none;
  CheckVerdict verdict = CheckVerdict::none;
  std::uint64_t node = 0;  ///< that `trouble` is about; 0: this one
  /// A giver: all takers have the cells below durable. A taker: it has. Both: the lesser. The next round of
  /// the job begins at the least of all nodes; after a restart this is not known here, and what was said
  /// stays true.
  std::uint32_t through = 0;
  /// In this round or one before of the job that is known here something went under AES-256-GCM, or random
  /// blocks came from a generator: the protection class.
  bool computational = false;

  // What it cost here; bytes of payload.
  std::uint64_t cells_given =
      0;  ///< packets, with those that were sealed once more because they were refused
  std::uint64_t bytes_given = 0;
  std::uint64_t cells_taken = 0;
  std::uint64_t mask_orders = 0;  ///< that this node made
  std::uint64_t mask_bytes = 0;   ///< of pad that they took; their checks' 64 bytes each are not in it
  std::uint64_t masks_lost = 0;   ///< of them, bytes that were refused and allocated once more
  std::uint64_t random_bytes = 0;
};

/// The id of the node of that name, not 0: the same at all nodes, since it follows from the name alone.
std::uint64_t node_number(std::string_view name) noexcept;

/// The number of shares of a generation that reveal nothing: t.
unsigned reveals_nothing(const ReshareLayout& layout) noexcept;

/// Who may be told what: the operators' signed word, as this node pinned it. Asked once for each order.
class ReshareRule {
 public:
  ReshareRule() = default;
  ReshareRule(const ReshareRule&) = delete;
  ReshareRule& operator=(const ReshareRule&) = delete;
  virtual ~ReshareRule() = default;
  /// taken, unlisted, below_floor, forbidden or unpinned.
  virtual ReshareAnswer permits(const ReshareOrder& order) const noexcept = 0;
};

/// What is known of a generation from elsewhere than the order: the layout that was stored with the share. A
/// controller that may say anything of the source's scheme could have the secret computed as if it were a
/// share.
class PinnedLayouts {
 public:
  PinnedLayouts() = default;
  PinnedLayouts(const PinnedLayouts&) = delete;
  PinnedLayouts& operator=(const PinnedLayouts&) = delete;
  virtual ~PinnedLayouts() = default;
  /// Null: nothing is pinned. Only scheme, k, n, secret_blocks, row_rule and cells_per_turn are compared.
  virtual const ReshareLayout* find(std::uint64_t object, std::uint32_t generation) const noexcept = 0;
};

struct ListedNode {
  std::uint64_t node = 0;
  std::uint32_t domain = 0;
};

/// The floors of DESIGN 8.
struct ReshareFloor {
  unsigned minimum_t = 1;          ///< of every generation that is made
  unsigned minimum_domains = 1;    ///< that the shares of the target lie in
  bool domain_limit = true;        ///< at most t shares of the target in one domain, where it is known
  std::uint32_t permitted = 0x7e;  ///< bit ReshareOperation
  bool pinned_only = false;        ///< sources without pinned layout are refused
  std::vector<ListedNode> nodes;   ///< domain 0: not known
};

class FloorRule final : public ReshareRule {
 public:
  /// `layouts` may be null; outlives this.
  explicit FloorRule(ReshareFloor floor, const PinnedLayouts* layouts = nullptr);
  ReshareAnswer permits(const ReshareOrder& order) const noexcept override;

 private:
  const ListedNode* find(std::uint64_t node) const noexcept;
  bool lists(const ReshareLayout& layout, std::span<const std::uint8_t> shares) const noexcept;
  bool is_above(const ReshareOrder& order) const noexcept;
  bool is_pinned(const ReshareOrder& order, const ReshareGeneration& generation) const noexcept;

  ReshareFloor floor_;
  const PinnedLayouts* layouts_;
};

/// Whether its numbers make an order, whoever gives it; taken or malformed.
ReshareAnswer check_order(const ReshareOrder& order) noexcept;

}  // namespace ssn::roles
