// SPDX-License-Identifier: BSD-3-Clause
// The inside of ShareStore. What is cached of heads and directories is what the database has: changes are
// made in copies, which replace it once they are durable.
#pragma once

#include <deque>
#include <list>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>

#include "planted_faults.h"
#include "record.h"
#include "ssn/store/share_store.h"

namespace ssn::store {

/// Memory for stripes, within a limit; all of it erased when it comes back.
class StripeMemory {
 public:
  explicit StripeMemory(std::size_t limit) : limit_(limit) {}
  /// Empty: the limit is reached, or the system has none.
  hw::SecretBuffer take(std::size_t bytes);
  void give_back(hw::SecretBuffer memory);
  std::size_t used() const noexcept { return used_; }

 private:
  std::size_t limit_;
  std::size_t used_ = 0;    // taken
  std::size_t pooled_ = 0;  // in free_
  std::multimap<std::size_t, hw::SecretBuffer> free_;
};

struct Pending {
  std::uint64_t token = 0;
  std::uint32_t cell = 0;  // in its stripe
};

using StripeKey = std::pair<ShareId, std::uint32_t>;

/// A stripe in memory: cell i lies at i times the cell length.
struct Stripe {
  hw::SecretBuffer memory;
  std::uint64_t present = 0;
  std::uint64_t durable = 0;  // of them
  std::array<std::uint16_t, stripe_cells> attempts{};
  std::vector<Pending> pending;
  std::uint64_t first_pending = 0;       // when
  std::list<StripeKey>::iterator place;  // in `waiting_` where anything is pending, else in `idle_`
};

/// A share whose head and key are at hand.
struct ShareState {
  ShareId id;
  Head head;
  bool head_written = false;
  RecordCipher cipher;
  std::map<std::uint32_t, Directory> directories;
  std::size_t waiting = 0;  // stripes in memory that hold puts
  std::uint64_t used = 0;
};

/// How whatever was promised is written.
inline KeyValueStore::Sync synced() noexcept {
  const bool skipped = protocol::planted(protocol::PlantedFault::skipped_sync);
  return skipped ? KeyValueStore::Sync::later : KeyValueStore::Sync::durable;
}

class ShareStore::Implementation {
 public:
  Implementation(std::unique_ptr<KeyValueStore> database, GenerationKeys keys,
                 const ShareStoreOptions& options)
      : database_(std::move(database)),
        keys_(std::move(keys)),
        options_(options),
        memory_(options.memory_bytes) {}

  Outcome start();
  StoreResult put(const ShareId& share, std::uint16_t attempt, std::uint32_t cell, Bytes bytes,
                  std::uint64_t token, std::uint64_t now);
  void flush(std::uint64_t now, Flush how, std::vector<PutCompletion>& completions);
  std::uint64_t next_flush() const noexcept;
  CellRead read(const ShareId& share, std::uint16_t attempt, std::uint32_t stripe, std::uint64_t wanted,
                std::span<std::uint8_t* const, stripe_cells> into, std::uint32_t room);
  SealAnswer seal(const ShareId& share, std::uint32_t cells, std::span<const AttemptRun> runs,
                  std::uint64_t now, std::vector<PutCompletion>& completions);
  StoreResult remove(const GenerationId& generation, std::vector<PutCompletion>& completions);
  Result<std::vector<ShareSummary>> list(const GenerationId& from, std::size_t limit);
  Result<ShareSummary> find(const ShareId& share);
  StoreStatus status();
  std::vector<StoreEvent> take_events();
  Checked check(const ShareId& share, std::uint32_t stripe);
  KeyValueStore& database() noexcept { return *database_; }

 private:
  // A stripe's place on the disk, once it was looked at.
  enum class Loaded : std::uint8_t { ok, none, damaged, io_error, busy };
  // What a record of a stripe turned out to be.
  enum class Found : std::uint8_t { right, absent, stale, damaged, io_error };

  // implementation.cpp: start, state, events, failures
  Outcome check_identity();
  Outcome finish_removals();
  Outcome erase_records(const GenerationId& generation);
  Outcome review_generations();
  Outcome count_quarantined();
  void report(StoreEvent::Kind kind, const ShareId& share, std::uint32_t stripe, Error error);
  StoreResult failed(const Error& error);
  StoreResult writable() const noexcept;
  void look_at_space(std::uint64_t now);
  void try_to_recover();
  void give_up(StoreResult why, std::vector<PutCompletion>& completions);
  void forget_stripes(const GenerationId& generation, StoreResult why,
                      std::vector<PutCompletion>& completions);
  void drop(std::map<StripeKey, Stripe>::iterator stripe);
  Stripe& add(const StripeKey& key, Stripe stripe);
  void use(Stripe& stripe) noexcept;
  void complete(Stripe& stripe, StoreResult result, std::vector<PutCompletion>& completions);
  ShareSummary summary(const ShareState& share) const;

  // shares.cpp: heads, directories, stripes from the disk
  StoreResult find_share(const GenerationId& generation, ShareState*& share);
  StoreResult load_share(const ShareId& id, ShareState*& share);
  StoreResult make_share(const ShareId& id, std::uint32_t cell_bytes, ShareState*& share);
  Found read_head(ShareState& share, Buffer& record);
  ShareState* keep(ShareState&& share);
  StoreResult load_directory(ShareState& share, std::uint32_t block, Directory*& directory);
  Found read_directory(ShareState& share, std::uint32_t block, Directory& directory, Buffer& record);
  StoreResult rebuild_directory(ShareState& share, std::uint32_t block, Found why, const Buffer& record,
                                Directory& directory);
  Found read_stripe(ShareState& share, std::uint32_t number, std::uint64_t version, Stripe& stripe,
                    Buffer& record);
  Loaded load_stripe(ShareState& share, std::uint32_t number, Stripe*& stripe);
  StoreResult put_aside(ShareState& share, std::uint32_t number, Found why, const Buffer& record);
  void note_lost(const ShareId& id);
  void add_quarantined(const RecordKey& key, const Buffer& record);
  hw::SecretBuffer take_memory(std::size_t bytes);
  static std::uint64_t expected_cells(const Head& head, std::uint32_t stripe) noexcept;
  static bool attempts_match(const Head& head, std::uint32_t number, const Stripe& stripe) noexcept;

  // reading.cpp: read, check
  Checked check_stripe_on_disk(ShareState& share, std::uint32_t number);

  // writing.cpp: put, flush, seal
  StoreResult put_into(ShareState& share, std::uint16_t attempt, std::uint32_t cell, Bytes bytes,
                       std::uint64_t token, std::uint64_t now);
  static bool is_full(const ShareState& share, std::uint32_t number, const Stripe& stripe) noexcept;
  bool is_due(const StripeKey& key, const Stripe& stripe, std::uint64_t now) const noexcept;
  void plan_next_flush() noexcept;
  using Chosen = std::vector<std::map<StripeKey, Stripe>::iterator>;
  StoreResult write_stripes(const Chosen& stripes, std::vector<PutCompletion>& completions);
  Outcome add_stripe(ShareState& share, std::uint32_t number, Stripe& stripe, DirectoryEntry& entry);
  Outcome add_directory(ShareState& share, std::uint32_t block, const Directory& directory);
  Outcome add_head(ShareState& share, const Head& head);
  StoreResult write_batch();
  SealAnswer check_complete(ShareState& share, const Head& head);
  StoreResult check_stripe(ShareState& share, const Head& head, std::uint32_t number,
                           const DirectoryEntry& entry, std::uint32_t& missing);
  StoreResult write_seal(ShareState& share, Head head);
  StoreResult next_block(const ShareId& share, std::uint32_t& block);

  std::unique_ptr<KeyValueStore> database_;
  GenerationKeys keys_;
  ShareStoreOptions options_;
  std::map<GenerationId, ShareState> shares_;
  StripeMemory memory_;
  std::map<StripeKey, Stripe> stripes_;
  // All of them: those that are to be written, and the others, the one that was used last at the end.
  std::list<StripeKey> waiting_;
  std::list<StripeKey> idle_;
  std::vector<PutCompletion> superseded_;  // told with the next flush
  Batch batch_;
  Buffer record_;
  std::uint64_t clock_ = 0;  // counts uses, for eviction
  std::uint64_t next_flush_ = UINT64_MAX;
  std::size_t pending_cells_ = 0;
  std::size_t full_bytes_ = 0;  // of full stripes that wait

  std::optional<Error> read_only_;
  std::optional<Error> full_;
  std::uint64_t space_looked_at_ = 0;
  bool removed_something_ = false;
  std::uint64_t free_bytes_ = 0;
  std::deque<GenerationId> removed_order_;
  std::set<GenerationId> removed_;
  std::set<GenerationId> bad_;           // reported already
  std::set<GenerationId> lost_;          // of whose shares stripes were put aside
  std::uint64_t first_quarantined_ = 0;  // numbers of records aside
  std::uint64_t next_quarantined_ = 0;
  std::deque<StoreEvent> events_;
  StoreCounters counters_;
};

inline constexpr ShareId whole_store{};
inline constexpr std::uint32_t no_stripe = UINT32_MAX;

}  // namespace ssn::store
