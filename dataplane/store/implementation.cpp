// SPDX-License-Identifier: BSD-3-Clause
// Start, state, events, and what failures lead to.
#include "implementation.h"

#include <algorithm>
#include <cassert>
#include <cstring>

#include "big_endian.h"

namespace ssn::store {
namespace {

constexpr std::size_t most_events = 256;
constexpr std::size_t most_removed = 4096;
constexpr std::size_t scan_items = 1024;
constexpr std::uint64_t look_ns = 100'000'000;
constexpr std::uint32_t format_version = 1;

}  // namespace

hw::SecretBuffer StripeMemory::take(std::size_t bytes) {
  if (const auto same = free_.find(bytes); same != free_.end()) {
    hw::SecretBuffer memory = std::move(same->second);
    free_.erase(same);
    pooled_ -= bytes;
    used_ += bytes;
    return memory;
  }
  while (used_ + pooled_ + bytes > limit_ && !free_.empty()) {
    pooled_ -= free_.begin()->first;
    free_.erase(free_.begin());
  }
  if (used_ + bytes > limit_) return {};
  Result<hw::SecretBuffer> made = hw::SecretBuffer::make(bytes);
  if (!made.ok()) return {};
  used_ += bytes;
  return std::move(made.value());
}

void StripeMemory::give_back(hw::SecretBuffer memory) {
  const std::size_t bytes = memory.size();
  if (bytes == 0) return;
  used_ -= bytes;
  pooled_ += bytes;
  memory.erase();
  free_.emplace(bytes, std::move(memory));
}

void ShareStore::Implementation::report(StoreEvent::Kind kind, const ShareId& share, std::uint32_t stripe,
                                        Error error) {
  if (events_.size() == most_events) {
    ++counters_.events_lost;
    return;
  }
  events_.push_back({kind, share, stripe, std::move(error)});
}

std::vector<StoreEvent> ShareStore::Implementation::take_events() {
  std::vector<StoreEvent> taken(std::make_move_iterator(events_.begin()),
                                std::make_move_iterator(events_.end()));
  events_.clear();
  return taken;
}

// What a failed write means from now on.
StoreResult ShareStore::Implementation::failed(const Error& error) {
  if (fault_of(error) == Fault::full) {
    if (!full_) report(StoreEvent::Kind::disk_full, whole_store, no_stripe, error);
    full_ = error;
    return StoreResult::disk_full;
  }
  if (!read_only_) report(StoreEvent::Kind::read_only, whole_store, no_stripe, error);
  read_only_ = error;
  return StoreResult::io_error;
}

StoreResult ShareStore::Implementation::writable() const noexcept {
  if (read_only_) return StoreResult::read_only;
  return full_ ? StoreResult::disk_full : StoreResult::done;
}

void ShareStore::Implementation::look_at_space(std::uint64_t now) {
  if (space_looked_at_ != 0 && now - space_looked_at_ < look_ns) return;
  space_looked_at_ = std::max<std::uint64_t>(now, 1);
  if (read_only_) return;
  const Result<KeyValueStore::Space> space = database_->space();
  if (!space.ok()) return;  // a write will tell
  free_bytes_ = space.value().free_bytes;
  if (!full_ && free_bytes_ < options_.reserve_bytes) {
    (void)failed({Exit::temporary, "cannot store more shares",
                  std::to_string(free_bytes_) + " bytes are free, " + std::to_string(options_.reserve_bytes) +
                      " are kept for removals",
                  std::string(database_->name()), "free space on this file system, or remove objects"});
  } else if (full_ && (free_bytes_ >= 2 * options_.reserve_bytes || removed_something_)) {
    try_to_recover();
  }
}

// The database first: what was removed can only be given back by one that writes.
void ShareStore::Implementation::try_to_recover() {
  assert(pending_cells_ == 0);
  if (Outcome recovered = database_->recover(); !recovered.ok()) {
    if (fault_of(recovered.error()) != Fault::full) (void)failed(recovered.error());
    return;
  }
  // The batch that did not fit may have appeared. What is cached does not know of it.
  shares_.clear();
  while (!stripes_.empty()) drop(stripes_.begin());
  if (Outcome finished = finish_removals(); !finished.ok()) {
    (void)failed(finished.error());
    return;
  }
  if (removed_something_) {
    removed_something_ = false;
    (void)database_->reclaim();  // what it could not do shows in the space that is free
    const Result<KeyValueStore::Space> space = database_->space();
    if (space.ok()) free_bytes_ = space.value().free_bytes;
  }
  if (free_bytes_ < 2 * options_.reserve_bytes) return;
  full_.reset();
  report(StoreEvent::Kind::space_returned, whole_store, no_stripe,
         {Exit::ok, "shares are stored again", std::to_string(free_bytes_) + " bytes are free", "", ""});
}

void ShareStore::Implementation::complete(Stripe& stripe, StoreResult result,
                                          std::vector<PutCompletion>& completions) {
  if (stripe.pending.empty()) return;
  idle_.splice(idle_.end(), waiting_, stripe.place);
  for (const Pending& pending : stripe.pending) completions.push_back({pending.token, result});
  pending_cells_ -= stripe.pending.size();
  stripe.pending.clear();
}

Stripe& ShareStore::Implementation::add(const StripeKey& key, Stripe stripe) {
  const auto [at, fresh] = stripes_.emplace(key, std::move(stripe));
  assert(fresh && at->second.pending.empty());
  at->second.place = idle_.insert(idle_.end(), key);
  return at->second;
}

void ShareStore::Implementation::use(Stripe& stripe) noexcept {
  if (stripe.pending.empty()) idle_.splice(idle_.end(), idle_, stripe.place);
}

void ShareStore::Implementation::drop(std::map<StripeKey, Stripe>::iterator stripe) {
  assert(stripe->second.pending.empty());
  memory_.give_back(std::move(stripe->second.memory));
  idle_.erase(stripe->second.place);
  stripes_.erase(stripe);
}

// All puts that wait, and what was made for them.
void ShareStore::Implementation::give_up(StoreResult why, std::vector<PutCompletion>& completions) {
  while (!waiting_.empty()) {
    const auto stripe = stripes_.find(waiting_.front());
    complete(stripe->second, why, completions);
    drop(stripe);
  }
  std::erase_if(shares_, [](const auto& item) { return !item.second.head_written; });
  for (auto& [generation, share] : shares_) share.waiting = 0;
  full_bytes_ = 0;
  next_flush_ = UINT64_MAX;
}

void ShareStore::Implementation::forget_stripes(const GenerationId& generation, StoreResult why,
                                                std::vector<PutCompletion>& completions) {
  auto at = stripes_.lower_bound({ShareId{generation.object, generation.generation, 0}, 0});
  while (at != stripes_.end() && at->first.first.generation_id() == generation) {
    const auto stripe = at++;
    complete(stripe->second, why, completions);
    drop(stripe);
  }
  shares_.erase(generation);
  plan_next_flush();
}

Outcome ShareStore::Implementation::start() {
  if (Outcome same = check_identity(); !same.ok()) return same;
  if (Outcome finished = finish_removals(); !finished.ok()) {
    if (fault_of(finished.error()) != Fault::full) return finished;
    (void)failed(finished.error());
  }
  if (Outcome reviewed = review_generations(); !reviewed.ok()) return reviewed;
  return count_quarantined();
}

// Database and key file belong together, or every share would look as if its key were lost.
Outcome ShareStore::Implementation::check_identity() {
  const RecordKey key = RecordKey::single(RecordType::store);
  Buffer mark;
  Result<bool> found = database_->get(key, mark);
  if (!found.ok()) return found.error();
  Buffer expected(20);
  put_big<4>(expected.data(), format_version);
  std::memcpy(expected.data() + 4, keys_.id().data(), keys_.id().size());
  if (found.value() && mark == expected) return done;
  // A crash at its birth may have left half of the mark, and nothing else.
  Result<std::vector<KeyValueStore::Item>> any = database_->scan({}, {}, 2, KeyValueStore::Values::left_out);
  if (!any.ok()) return any.error();
  const bool empty = any.value().size() <= (found.value() ? 1U : 0U);
  if (!empty || keys_.live() != 0) {
    return Error{Exit::integrity, "cannot open the share store",
                 found.value() ? "its database and its key file are of two stores"
                 : empty       ? "its database is empty, its key file is not"
                               : "its database holds something else",
                 std::string(database_->name()),
                 "name the key file that was made with this database; restore what is missing"};
  }
  batch_.put(key, expected);
  return database_->write(batch_, synced());
}

Outcome ShareStore::Implementation::erase_records(const GenerationId& generation) {
  for (const RecordType type : {RecordType::directory, RecordType::head, RecordType::stripe}) {
    batch_.erase_range(RecordKey::first_of(type, generation), RecordKey::behind(type, generation));
  }
  return database_->write(batch_, synced());
}

// Keys that were erased before their records were.
Outcome ShareStore::Implementation::finish_removals() {
  for (const GenerationId& generation : keys_.all(GenerationKeys::State::erased)) {
    if (Outcome erased = erase_records(generation); !erased.ok()) return erased;
    if (Outcome forgotten = keys_.forget(generation); !forgotten.ok()) return forgotten;
    report(StoreEvent::Kind::removal_finished, {generation.object, generation.generation, 0}, no_stripe,
           {Exit::ok, "finished the removal of a generation", "it was interrupted", "", ""});
  }
  return done;
}

// Heads without a key are reported; keys under which nothing was ever stored are erased.
Outcome ShareStore::Implementation::review_generations() {
  std::set<GenerationId> with_head;
  Buffer from(1, static_cast<std::uint8_t>(RecordType::head));
  while (true) {
    Result<std::vector<KeyValueStore::Item>> heads = database_->scan(
        from, RecordKey::behind(RecordType::head), scan_items, KeyValueStore::Values::left_out);
    if (!heads.ok()) return heads.error();
    for (const KeyValueStore::Item& item : heads.value()) {
      ShareId share;
      if (!read_head_key(item.key, share)) continue;
      with_head.insert(share.generation_id());
      if (keys_.state(share.generation_id()) == GenerationKeys::State::live) continue;
      report(StoreEvent::Kind::key_missing, share, no_stripe,
             {Exit::integrity, "cannot read a share", "the key of its generation is not in the key file",
              "key file", "restore the key file, or remove this generation here and repair the share"});
    }
    if (heads.value().size() < scan_items) break;
    from = heads.value().back().key;
    from.push_back(0);
  }
  for (const GenerationId& generation : keys_.all(GenerationKeys::State::live)) {
    if (with_head.contains(generation)) continue;
    for (const RecordType type : {RecordType::directory, RecordType::stripe}) {
      Result<std::vector<KeyValueStore::Item>> any =
          database_->scan(RecordKey::first_of(type, generation), RecordKey::behind(type, generation), 1,
                          KeyValueStore::Values::left_out);
      if (any.ok() && any.value().empty()) continue;
      report(StoreEvent::Kind::record_missing, {generation.object, generation.generation, 0}, no_stripe,
             {Exit::integrity, "cannot read a share", "its head is not there", std::string(database_->name()),
              "remove this generation here, and repair the share from other holders"});
      with_head.insert(generation);
      break;
    }
    if (with_head.contains(generation)) continue;
    if (Outcome erased = keys_.erase(generation); !erased.ok()) return erased;
    if (Outcome forgotten = keys_.forget(generation); !forgotten.ok()) return forgotten;
  }
  return done;
}

Outcome ShareStore::Implementation::count_quarantined() {
  Result<std::vector<KeyValueStore::Item>> items =
      database_->scan(RecordKey::single(RecordType::quarantine), RecordKey::behind(RecordType::quarantine),
                      options_.max_quarantined + 1, KeyValueStore::Values::left_out);
  if (!items.ok()) {
    // What cannot even be listed is not worth keeping.
    batch_.erase_range(RecordKey::single(RecordType::quarantine), RecordKey::behind(RecordType::quarantine));
    if (Outcome erased = database_->write(batch_, KeyValueStore::Sync::later); !erased.ok()) {
      (void)failed(erased.error());
    }
    return done;
  }
  for (const KeyValueStore::Item& item : items.value()) {
    if (item.key.size() != 9) continue;
    const std::uint64_t number = get_big64(item.key.data() + 1);
    if (next_quarantined_ == 0) first_quarantined_ = number;
    next_quarantined_ = number + 1;
  }
  return done;
}

StoreResult ShareStore::Implementation::remove(const GenerationId& generation,
                                               std::vector<PutCompletion>& completions) {
  forget_stripes(generation, StoreResult::removed, completions);
  const bool had_key = keys_.state(generation) == GenerationKeys::State::live;
  bad_.erase(generation);
  lost_.erase(generation);
  if (removed_.insert(generation).second) {
    removed_order_.push_back(generation);
    if (removed_order_.size() > most_removed) {
      removed_.erase(removed_order_.front());
      removed_order_.pop_front();
    }
  }
  // The key file has its blocks already: this works on a full disk, too.
  if (Outcome erased = keys_.erase(generation); !erased.ok()) return failed(erased.error());
  if (!had_key) {
    Result<std::vector<KeyValueStore::Item>> head =
        database_->scan(RecordKey::first_of(RecordType::head, generation),
                        RecordKey::behind(RecordType::head, generation), 1, KeyValueStore::Values::left_out);
    if (head.ok() && head.value().empty()) return StoreResult::not_found;
  }
  removed_something_ = true;
  // From here on nobody can read it. Its records go when they can: the key file remembers that they must.
  if (read_only_) return StoreResult::done;
  if (Outcome erased = erase_records(generation); !erased.ok()) {
    (void)failed(erased.error());
    return StoreResult::done;
  }
  if (keys_.state(generation) == GenerationKeys::State::erased) {
    if (Outcome forgotten = keys_.forget(generation); !forgotten.ok()) (void)failed(forgotten.error());
  }
  return StoreResult::done;
}

ShareSummary ShareStore::Implementation::summary(const ShareState& share) const {
  const StoreResult state = lost_.contains(share.id.generation_id()) ? StoreResult::quarantined
                            : share.head.sealed                      ? StoreResult::done
                                                                     : StoreResult::incomplete;
  return {share.id, state, share.head.cell_bytes, share.head.cells};
}

Result<ShareSummary> ShareStore::Implementation::find(const ShareId& id) {
  ShareState* share = nullptr;
  const StoreResult found = find_share(id.generation_id(), share);
  if (found == StoreResult::done && share->id == id) return summary(*share);
  if (found != StoreResult::done && found != StoreResult::not_found) return ShareSummary{id, found, 0, 0};
  return Error{Exit::not_found, "cannot find the share", "it is not stored here", "share store",
               "ask another holder"};
}

Result<std::vector<ShareSummary>> ShareStore::Implementation::list(const GenerationId& from,
                                                                   std::size_t limit) {
  Result<std::vector<KeyValueStore::Item>> heads =
      database_->scan(RecordKey::first_of(RecordType::head, from), RecordKey::behind(RecordType::head), limit,
                      KeyValueStore::Values::left_out);
  if (!heads.ok()) return heads.error();
  std::vector<ShareSummary> out;
  for (const KeyValueStore::Item& item : heads.value()) {
    ShareId id;
    if (!read_head_key(item.key, id)) continue;
    ShareState* share = nullptr;
    const StoreResult found = find_share(id.generation_id(), share);
    out.push_back(found == StoreResult::done ? summary(*share) : ShareSummary{id, found, 0, 0});
  }
  return out;
}

StoreStatus ShareStore::Implementation::status() {
  StoreStatus status;
  status.stored_bytes = database_->approximate_bytes();
  // Also before the first write, and where nothing is written any more.
  const Result<KeyValueStore::Space> space = database_->space();
  status.free_bytes = space.ok() ? space.value().free_bytes : free_bytes_;
  status.generations = keys_.live();
  status.memory_bytes = memory_.used();
  status.pending_cells = pending_cells_;
  status.quarantined = next_quarantined_ - first_quarantined_;
  status.full = full_.has_value();
  status.read_only = read_only_.has_value();
  if (read_only_) {
    status.why = *read_only_;
  } else if (full_) {
    status.why = *full_;
  }
  status.counters = counters_;
  return status;
}

}  // namespace ssn::store
