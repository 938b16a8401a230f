// SPDX-License-Identifier: BSD-3-Clause
// A holder's shares on disk: cells in, stripes of 64 cells in encrypted records, cells out or a typed reason.
// Blocking; owns no thread and no clock: StoreThread (store_thread.h) runs it. docs/store.md says what is
// written, in which order, and why that survives what disks do.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "ssn/store/generation_keys.h"
#include "ssn/store/key_value_store.h"
#include "ssn/store/store_result.h"

namespace ssn::store {

inline constexpr std::uint32_t stripe_cells = 64;
inline constexpr std::uint32_t max_cell_bytes = 16320;
inline constexpr std::uint32_t cell_granule = 64;
inline constexpr std::size_t max_attempt_runs = 2048;

struct ShareId {
  std::uint64_t object = 0;
  std::uint32_t generation = 0;  ///< from 1
  std::uint8_t share = 0;        ///< from 1
  GenerationId generation_id() const noexcept { return {object, generation}; }
  friend auto operator<=>(const ShareId&, const ShareId&) = default;
};

/// Cells from `first` on, up to the next run, are of `attempt`. The first run begins at 0; ascending.
struct AttemptRun {
  std::uint32_t first = 0;
  std::uint16_t attempt = 0;
  friend bool operator==(const AttemptRun&, const AttemptRun&) = default;
};
/// As seals have them: from cell 0 on, ascending, all below `cells`, neighbours of different attempts.
bool valid_runs(std::span<const AttemptRun> runs, std::uint32_t cells) noexcept;

struct ShareStoreOptions {
  std::uint64_t flush_ns = 4'000'000;       ///< full stripes wait this long at most
  std::uint64_t partial_ns = 16'000'000;    ///< stripes that are not full wait this long at most
  std::size_t batch_bytes = 4U << 20;       ///< as much is written at once; more waits for the next batch
  std::size_t memory_bytes = 64U << 20;     ///< for stripes in memory, written or not
  std::size_t cached_shares = 1024;         ///< heads and directories in memory; ones in use come on top
  std::uint64_t reserve_bytes = 64U << 20;  ///< with less free space nothing but removal is written
  std::size_t max_quarantined = 1024;       ///< records that are kept aside; then the oldest goes
};

/// A put that came to its end.
struct PutCompletion {
  std::uint64_t token = 0;
  StoreResult result = StoreResult::none;
};

struct CellRead {
  std::uint64_t read = 0;                  ///< bit i: cell i of the stripe lies at its place in `into`
  std::uint64_t quarantined = 0;           ///< it was there; other wanted cells never were
  StoreResult result = StoreResult::none;  ///< done: all that was wanted; otherwise why not all
  std::uint32_t cell_bytes = 0;            ///< of the share; 0 where it was not found
};

struct SealAnswer {
  StoreResult result = StoreResult::none;
  std::uint32_t missing = 0;  ///< incomplete, quarantined: the first such cell
};

struct ShareSummary {
  ShareId id;
  /// done: sealed; incomplete: not; quarantined: some of it was put aside, as far as that was met since the
  /// start; io_error.
  StoreResult state = StoreResult::none;
  std::uint32_t cell_bytes = 0;
  std::uint32_t cells = 0;  ///< sealed ones only
};

struct StoreEvent {
  enum class Kind : std::uint8_t {
    record_damaged,    ///< a record failed its check and was put aside
    record_missing,    ///< a stripe that was stored is not there
    record_stale,      ///< an older version than the last one written came back
    key_missing,       ///< a generation's key is not there or damaged
    disk_full,         ///< writing stopped
    space_returned,    ///< writing goes on
    read_only,         ///< the disk failed
    removal_finished,  ///< at start: a removal that was interrupted
  };
  Kind kind = Kind::record_damaged;
  ShareId share;             ///< zeros where it is about the whole store
  std::uint32_t stripe = 0;  ///< UINT32_MAX: not about one
  Error error;
};

struct StoreCounters {
  std::uint64_t cells_put = 0, cells_again = 0, cells_read = 0, cells_stored = 0;
  std::uint64_t batches = 0, records_written = 0, bytes_written = 0, stripes_rewritten = 0;
  std::uint64_t records_read = 0, bytes_read = 0, quarantined = 0, events_lost = 0;
};

struct StoreStatus {
  std::uint64_t stored_bytes = 0;
  std::uint64_t free_bytes = 0;
  std::size_t generations = 0;
  std::size_t memory_bytes = 0;   ///< of stripes in memory
  std::size_t pending_cells = 0;  ///< not yet durable
  std::size_t quarantined = 0;    ///< records aside
  bool full = false;
  bool read_only = false;
  Error why;  ///< when full or read-only
  StoreCounters counters;
};

/// One thread at a time. Objects of several store threads are told apart by object number; each has its own
/// database and key file. `now`: ns of any steady clock.
class ShareStore {
 public:
  /// Finishes removals that were interrupted. Exit::integrity: database and key file are not of one store.
  static Result<ShareStore> open(std::unique_ptr<KeyValueStore> database, GenerationKeys keys,
                                 const ShareStoreOptions& options);
  ShareStore(ShareStore&&) noexcept;
  ShareStore& operator=(ShareStore&&) noexcept;
  ~ShareStore();

  /// Takes a copy of one cell. The first put makes the share; its length is that of all cells of the share.
  /// done: flush() will name `token`. again: it is durable already. Anything else: it was not taken.
  StoreResult put(const ShareId& share, std::uint16_t attempt, std::uint32_t cell, Bytes bytes,
                  std::uint64_t token, std::uint64_t now);
  enum class Flush : std::uint8_t { due, all };
  /// Writes what is due, and appends what came of puts: done (durable), disk_full or io_error (given up).
  void flush(std::uint64_t now, Flush how, std::vector<PutCompletion>& completions);
  /// When flush() has something to do; UINT64_MAX: when something was put.
  std::uint64_t next_flush() const noexcept;

  /// Cells of one stripe that are durable. `into` has a place of `room` bytes for each of the 64; wanted
  /// cells of `attempt` go to theirs. invalid: the share's cells are longer than that.
  CellRead read(const ShareId& share, std::uint16_t attempt, std::uint32_t stripe, std::uint64_t wanted,
                std::span<std::uint8_t* const, stripe_cells> into, std::uint32_t room);
  /// Durable on return, whatever is not yet flushed of the share included. Once sealed a share never changes.
  SealAnswer seal(const ShareId& share, std::uint32_t cells, std::span<const AttemptRun> runs,
                  std::uint64_t now, std::vector<PutCompletion>& completions);
  /// Erases the generation's key, then its records. Puts that wait are completed as `removed`.
  StoreResult remove(const GenerationId& generation, std::vector<PutCompletion>& completions);

  /// Ascending, from `from` on, at most `limit`.
  Result<std::vector<ShareSummary>> list(const GenerationId& from, std::size_t limit);
  Result<ShareSummary> find(const ShareId& share);
  StoreStatus status();
  /// At most 256 wait; later ones are counted in events_lost.
  std::vector<StoreEvent> take_events();

  /// For the scrubber: reads the first stripe from `stripe` on from the disk, with its directory and, stripe
  /// 0, the head, and puts aside what is wrong.
  struct Checked {
    StoreResult result = StoreResult::none;  ///< done, quarantined, io_error, busy, not_found
    std::uint64_t bytes = 0;                 ///< that were read
    std::uint32_t next = UINT32_MAX;         ///< where to go on; UINT32_MAX: with the next share
  };
  Checked check(const ShareId& share, std::uint32_t stripe);
  KeyValueStore& database() noexcept;

 private:
  class Implementation;
  explicit ShareStore(std::unique_ptr<Implementation> implementation);
  std::unique_ptr<Implementation> implementation_;
};

}  // namespace ssn::store
