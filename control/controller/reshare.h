// SPDX-License-Identifier: BSD-3-Clause
// Re-sharing as the controller sees it: its jobs, what it orders of nodes, what they say. Plain structures;
// docs/resharing.md says what they mean, control/api/operation.proto has the messages.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "types.h"

namespace ssn::controller {

// Enumerators have the numbers of the protocol and of the records: never change one.
enum class ReshareOperation : std::uint8_t {
  unknown,
  exchange,
  repair,
  refresh,
  redistribute,
  seal,
  check,
};
/// Where a job is. erase: it is committed, old shares go. undo: it will not be, new ones go.
enum class ReshareStep : std::uint8_t { unknown, transfer, seal, check, erase, undo, done, undone };
enum class ReshareAnswer : std::uint8_t {
  unknown,
  taken,
  again,
  superseded,
  busy,
  no_part,
  malformed,
  too_large,
  unlisted,
  below_floor,
  forbidden,
  unpinned,
  old_term,
};
enum class ReshareState : std::uint8_t { none, running, done, failed, cancelled };
enum class ReshareTrouble : std::uint8_t {
  none,
  stalled,
  peer_lost,
  not_there,
  store_failed,
  conflict,
  incomplete,
  damaged,
  no_random,
  no_keys,
};
enum class CheckVerdict : std::uint8_t { none, passed, failed, unverified };

std::string_view name(ReshareOperation operation) noexcept;  ///< "repair", ...
std::string_view name(ReshareStep step) noexcept;            ///< "transfer", ...
std::string_view name(ReshareAnswer answer) noexcept;        ///< "below-floor", ...
std::string_view name(ReshareState state) noexcept;
std::string_view name(ReshareTrouble trouble) noexcept;  ///< "peer-lost", ...
std::string_view name(CheckVerdict verdict) noexcept;

inline constexpr std::uint32_t rounds_max = 1000;        ///< of a job; then it is undone
inline constexpr std::size_t running_jobs_max = 1000;    ///< with those that wait for their turn
inline constexpr std::size_t check_nodes_max = 255;      ///< shares that take part in a check
inline constexpr std::uint32_t unit_cells_most = 32;     ///< cells that nodes mask and confirm together
inline constexpr std::uint32_t window_most = 16;         ///< units at a time; fewer where a node has no room
inline constexpr std::uint32_t unit_bytes_max = 262144;  ///< of a unit of one share

struct ReshareTiming {
  std::uint64_t retry_ms = 500;        ///< before an order that did not get through is sent again
  std::uint64_t back_off_ms = 15'000;  ///< most between rounds that fail
  std::uint64_t patience_ms = 60'000;  ///< without any progress for so long a round has failed
  std::uint64_t cancel_ms = 30'000;    ///< for a node that does not answer when a job is undone
  std::uint32_t failures_max = 12;     ///< rounds in a row that come to nothing: the job is undone
  std::uint64_t bytes_per_second = 0;  ///< that one giver sends at most; 0: no limit
  std::uint32_t stall_ms = 10'000;
  std::uint64_t alarm_ms = 300'000;  ///< a job that came no further for so long is an alarm
};

/// Cells of the target from `first` on, up to the next one's, are of this round.
struct ReshareRun {
  std::uint64_t first = 0;
  std::uint32_t round = 0;
  bool operator==(const ReshareRun&) const = default;
};

/// One object's shares made anew; durable. A round is one set of orders.
struct ReshareJob {
  std::uint64_t id = 0;  ///< never used again
  std::uint64_t object = 0;
  std::string owner;
  std::string name;
  ReshareOperation operation = ReshareOperation::unknown;
  std::string reason;  ///< who asked for it

  std::uint64_t source_generation = 0;
  std::uint64_t target_generation = 0;  ///< exchange and repair: the same
  std::uint64_t cells = 0;              ///< of each share
  std::uint32_t cell_bytes = 0;
  Layout source;
  Layout target;
  std::vector<AttemptRun> attempts;  ///< of the source
  std::uint32_t share = 0;           ///< exchange and repair: the one that is made; 0 otherwise

  ReshareStep step = ReshareStep::transfer;
  std::uint32_t round = 0;     ///< of the latest orders; 0: waits for its turn
  std::uint64_t first = 0;     ///< the round begins there
  std::uint32_t check = 0;     ///< checks that passed
  std::uint32_t failures = 0;  ///< rounds in a row that came to nothing
  std::uint32_t unit_cells = 0;
  std::uint32_t window = 0;
  std::vector<std::uint32_t> from;  ///< shares of the source that take part in the round
  std::vector<std::uint32_t> to;    ///< of the target
  std::vector<std::uint32_t> bad;   ///< shares of the source that are not there: never asked again
  std::vector<ReshareRun> runs;     ///< refresh and redistribute: which cells are of which round

  bool computational = false;  ///< something went under AES-256-GCM, or may have
  bool unverified = false;     ///< there was no surplus share to check it with
  bool cancel = false;         ///< somebody wants it undone
  std::string trouble;         ///< of the latest round that failed; why it was undone
  std::uint64_t started_ms = 0;
  std::uint64_t ended_ms = 0;

  bool same_generation() const noexcept {
    return operation == ReshareOperation::exchange || operation == ReshareOperation::repair;
  }
  /// Whether it makes, or takes away, this share.
  bool concerns(std::uint32_t its) const noexcept { return !same_generation() || its == share; }
  bool is_over() const noexcept { return step == ReshareStep::done || step == ReshareStep::undone; }
};

/// Which cells of the target are of which attempt: that is the round which made them.
std::vector<AttemptRun> attempts_of_target(const ReshareJob& job);

/// Of a generation, as orders say it.
struct ReshareGeneration {
  std::uint64_t generation = 0;
  Layout layout;  ///< its holders' names count; empty: nobody has that share
  std::vector<AttemptRun> attempts;
};

/// What each node of a step is told, the same to all.
struct ReshareOrder {
  std::uint64_t job = 0;
  std::uint32_t round = 0;
  ReshareOperation operation = ReshareOperation::unknown;
  std::uint64_t object = 0;
  std::uint64_t cells = 0;
  std::uint32_t cell_bytes = 0;
  ReshareGeneration source;
  ReshareGeneration target;
  std::vector<std::uint32_t> from;
  std::vector<std::uint32_t> to;
  std::string checker;
  std::uint64_t first = 0;
  std::uint64_t end = 0;
  std::uint32_t unit_cells = 0;
  std::uint32_t window = 0;
  std::uint64_t bytes_per_second = 0;
  std::uint32_t stall_ms = 0;
};

/// What a node says of a job.
struct ReshareStatus {
  std::uint64_t job = 0;
  std::uint32_t round = 0;
  ReshareState state = ReshareState::none;
  ReshareTrouble trouble = ReshareTrouble::none;
  CheckVerdict verdict = CheckVerdict::none;
  std::string node;  ///< that the trouble is about; empty: the one that says it
  std::uint64_t through = 0;
  bool computational = false;
};

struct ReshareRequest {
  ReshareOperation operation = ReshareOperation::repair;
  std::string owner;
  std::string name;
  std::uint64_t object = 0;  ///< instead of owner and name; 0: by name
  std::uint32_t k = 0;       ///< redistribute; 0: as it is
  std::uint32_t n = 0;
  std::uint32_t share = 0;  ///< repair: this one; 0: by `away`
  std::string away;    ///< exchange, repair: whose share; empty: one that nobody has, or whose node is down
  std::string to;      ///< exchange, repair: the new holder; empty: whoever is best
  std::string reason;  ///< who asks
};

/// A job as people see it.
struct ReshareView {
  std::uint64_t id = 0;  ///< 0: a plan
  std::uint64_t object = 0;
  std::string owner;
  std::string name;
  ReshareOperation operation = ReshareOperation::unknown;
  std::string reason;
  ReshareStep step = ReshareStep::unknown;
  std::uint32_t round = 0;
  std::uint64_t cells = 0;
  std::uint32_t cell_bytes = 0;
  std::uint64_t through = 0;
  std::uint32_t share = 0;
  std::uint32_t k = 0;
  std::uint32_t n = 0;
  std::uint32_t target_k = 0;
  std::uint32_t target_n = 0;
  std::uint64_t source_generation = 0;
  std::uint64_t target_generation = 0;
  std::vector<std::string> away;
  std::vector<std::string> takers;
  bool computational = false;
  bool unverified = false;
  std::string trouble;
  std::uint64_t started_ms = 0;
  std::uint64_t ended_ms = 0;

  bool is_over() const noexcept { return step == ReshareStep::done || step == ReshareStep::undone; }
};
ReshareView view_of(const ReshareJob& job, std::uint64_t through);

struct ReshareViewPage {
  std::vector<ReshareView> jobs;
  std::uint64_t next = 0;  ///< 0: that was all
};

struct PlanTrouble {
  std::uint64_t object = 0;
  std::string why;
};

struct ReshareJobPage {
  std::vector<ReshareJob> jobs;
  std::uint64_t next = 0;  ///< 0: that was all
};

/// A node whose shares go to others, one object after the other.
struct Replacement {
  std::string from;
  std::string to;  ///< empty: whoever is best
  std::string reason;
  std::uint64_t started = 0;  ///< jobs
  std::uint64_t left = 0;     ///< objects of this pass that it still held
  std::string trouble;        ///< why the latest one could not be begun with
  std::uint64_t begun_ms = 0;
  bool automatic = false;  ///< ends when the node is back
};

/// What begins by itself, and what that is about.
struct Upkeep {
  std::uint64_t repair_after_ms = 0;  ///< 0: never by itself
  std::uint64_t lost = 0;             ///< objects of which shares are lost and can be made; page_max: or more
  std::uint64_t held = 0;             ///< of them, of which somebody cancelled the repair
  std::uint64_t refresh_every_ms = 0;  ///< 0: never by itself
  std::uint64_t old = 0;               ///< objects whose shares are that old; page_max: or more
  std::uint64_t oldest_ms = 0;         ///< age of the oldest generation
};

/// What a replacement would be.
struct ReplacementPlan {
  Replacement replacement;
  std::vector<ReshareView> planned;
  std::vector<PlanTrouble> troubles;
  std::uint64_t next = 0;  ///< 0: that was all
};

}  // namespace ssn::controller
