// SPDX-License-Identifier: BSD-3-Clause
// Cells to stripes, stripes to batches; seals.
#include <openssl/crypto.h>

#include <algorithm>
#include <bit>
#include <cassert>
#include <cstring>
#include <limits>

#include "big_endian.h"
#include "implementation.h"
#include "random_bytes.h"

namespace ssn::store {

StoreResult ShareStore::Implementation::put(const ShareId& id, std::uint16_t attempt, std::uint32_t cell,
                                            Bytes bytes, std::uint64_t token, std::uint64_t now) {
  if (id.generation == 0 || id.share == 0 || cell > max_cells || bytes.size() > max_cell_bytes ||
      !valid_cell_bytes(static_cast<std::uint32_t>(bytes.size()))) {
    return StoreResult::invalid;
  }
  if (const StoreResult possible = writable(); possible != StoreResult::done) return possible;
  const auto cell_bytes = static_cast<std::uint32_t>(bytes.size());
  ShareState* share = nullptr;
  StoreResult found = find_share(id.generation_id(), share);
  if (found == StoreResult::not_found) found = make_share(id, cell_bytes, share);
  if (found != StoreResult::done) return found;
  if (share->id != id || share->head.cell_bytes != cell_bytes) return StoreResult::conflict;
  if (share->head.sealed && (cell >= share->head.cells || share->head.attempt_of(cell) != attempt)) {
    return StoreResult::conflict;
  }
  return put_into(*share, attempt, cell, bytes, token, now);
}

StoreResult ShareStore::Implementation::put_into(ShareState& share, std::uint16_t attempt, std::uint32_t cell,
                                                 Bytes bytes, std::uint64_t token, std::uint64_t now) {
  const std::uint32_t number = cell / stripe_cells;
  const std::uint32_t place = cell % stripe_cells;
  const std::uint64_t bit = std::uint64_t{1} << place;
  Stripe* stripe = nullptr;
  switch (load_stripe(share, number, stripe)) {
    case Loaded::ok:
      break;
    case Loaded::io_error:
      return StoreResult::io_error;
    case Loaded::busy:
      return StoreResult::busy;
    case Loaded::none:
    case Loaded::damaged: {
      Stripe made;
      made.memory = take_memory(std::size_t{stripe_cells} * bytes.size());
      if (made.memory.size() == 0) return StoreResult::busy;
      stripe = &add({share.id, number}, std::move(made));
    }
  }
  std::uint8_t* const at = stripe->memory.data() + std::size_t{place} * bytes.size();
  const bool waited = !stripe->pending.empty();
  if ((stripe->present & bit) != 0) {
    if (attempt < stripe->attempts[place]) return StoreResult::superseded;
    if (attempt == stripe->attempts[place]) {
      if (CRYPTO_memcmp(at, bytes.data(), bytes.size()) != 0) return StoreResult::conflict;
      ++counters_.cells_again;
      if ((stripe->durable & bit) != 0) return StoreResult::again;
    } else {
      const auto older = [&](const Pending& pending) {
        if (pending.cell == place) superseded_.push_back({pending.token, StoreResult::superseded});
        return pending.cell == place;
      };
      pending_cells_ -= std::erase_if(stripe->pending, older);
    }
  }
  const bool was_full = is_full(share, number, *stripe);
  if (!waited) {
    waiting_.splice(waiting_.end(), idle_, stripe->place);
    stripe->first_pending = now;
    ++share.waiting;
    if (was_full) full_bytes_ += stripe->memory.size();
  }
  const bool kept = (stripe->present & bit) != 0 && protocol::planted(protocol::PlantedFault::mixed_attempts);
  if (!kept) std::memcpy(at, bytes.data(), bytes.size());
  stripe->present |= bit;
  stripe->durable &= ~bit;
  stripe->attempts[place] = attempt;
  stripe->pending.push_back({token, place});
  ++pending_cells_;
  ++counters_.cells_put;
  const bool full = is_full(share, number, *stripe);
  if (full && !was_full) full_bytes_ += stripe->memory.size();
  next_flush_ =
      std::min(next_flush_, stripe->first_pending + (full ? options_.flush_ns : options_.partial_ns));
  if (full_bytes_ >= options_.batch_bytes) next_flush_ = 0;
  return StoreResult::done;
}

bool ShareStore::Implementation::is_full(const ShareState& share, std::uint32_t number,
                                         const Stripe& stripe) noexcept {
  const std::uint64_t whole = share.head.sealed ? expected_cells(share.head, number) : UINT64_MAX;
  return (stripe.present & whole) == whole;
}

void ShareStore::Implementation::plan_next_flush() noexcept {
  next_flush_ = UINT64_MAX;
  full_bytes_ = 0;
  for (const StripeKey& key : waiting_) {
    const Stripe& stripe = stripes_.at(key);
    const bool full = is_full(shares_.at(key.first.generation_id()), key.second, stripe);
    if (full) full_bytes_ += stripe.memory.size();
    next_flush_ =
        std::min(next_flush_, stripe.first_pending + (full ? options_.flush_ns : options_.partial_ns));
  }
  if (full_bytes_ >= options_.batch_bytes) next_flush_ = 0;
}

std::uint64_t ShareStore::Implementation::next_flush() const noexcept {
  if (!superseded_.empty()) return 0;
  // A full disk is looked at again and again.
  return full_ && !read_only_ ? std::min(next_flush_, space_looked_at_ + 100'000'000) : next_flush_;
}

bool ShareStore::Implementation::is_due(const StripeKey& key, const Stripe& stripe,
                                        std::uint64_t now) const noexcept {
  if (stripe.pending.empty()) return false;
  if (is_full(shares_.at(key.first.generation_id()), key.second, stripe)) return true;
  return now - stripe.first_pending >= options_.partial_ns;
}

void ShareStore::Implementation::flush(std::uint64_t now, Flush how,
                                       std::vector<PutCompletion>& completions) {
  completions.insert(completions.end(), superseded_.begin(), superseded_.end());
  superseded_.clear();
  if (writable() != StoreResult::done && pending_cells_ != 0) {
    give_up(read_only_ ? StoreResult::io_error : StoreResult::disk_full, completions);
  }
  look_at_space(now);
  if (pending_cells_ == 0) return;
  if (writable() != StoreResult::done) {
    give_up(read_only_ ? StoreResult::io_error : StoreResult::disk_full, completions);
    return;
  }
  if (how == Flush::due && now < next_flush_) return;
  Chosen chosen;
  std::size_t bytes = 0;
  std::vector<Chosen> batches;
  for (const StripeKey& key : waiting_) {
    const auto at = stripes_.find(key);
    if (how == Flush::due && !is_due(key, at->second, now)) continue;
    chosen.push_back(at);
    bytes += at->second.memory.size();
    if (bytes < options_.batch_bytes) continue;
    batches.push_back(std::move(chosen));
    chosen.clear();
    bytes = 0;
  }
  if (!chosen.empty()) batches.push_back(std::move(chosen));
  for (const Chosen& batch : batches) {
    if (write_stripes(batch, completions) == StoreResult::done) continue;
    give_up(read_only_ ? StoreResult::io_error : StoreResult::disk_full, completions);
    return;
  }
  plan_next_flush();
}

// The stripe's record into the batch; what the directory will say of it.
Outcome ShareStore::Implementation::add_stripe(ShareState& share, std::uint32_t number, Stripe& stripe,
                                               DirectoryEntry& entry) {
  StripeHeader header;
  header.cell_bytes = share.head.cell_bytes;
  header.present = stripe.present;
  entry.present = stripe.present;
  entry.least_attempt = UINT16_MAX;
  entry.most_attempt = 0;
  std::array<std::uint8_t, StripeHeader::bytes> first;
  std::array<Bytes, 1 + stripe_cells> pieces;
  std::size_t count = 1;
  for (std::uint32_t i = 0; i < stripe_cells; ++i) {
    if ((stripe.present >> i & 1U) == 0) continue;
    header.attempts[i] = stripe.attempts[i];
    entry.least_attempt = std::min(entry.least_attempt, stripe.attempts[i]);
    entry.most_attempt = std::max(entry.most_attempt, stripe.attempts[i]);
    const std::uint8_t* const cell = stripe.memory.data() + std::size_t{i} * header.cell_bytes;
    if (count > 1 && pieces[count - 1].data() + pieces[count - 1].size() == cell) {
      pieces[count - 1] = {pieces[count - 1].data(), pieces[count - 1].size() + header.cell_bytes};
    } else {
      pieces[count++] = {cell, header.cell_bytes};
    }
  }
  header.write(first.data());
  pieces[0] = first;
  const RecordKey key = RecordKey::stripe(share.id, number);
  return seal_record(share.cipher, RecordType::stripe, key, {pieces.data(), count}, batch_.put(key),
                     entry.version);
}

Outcome ShareStore::Implementation::add_directory(ShareState& share, std::uint32_t block,
                                                  const Directory& directory) {
  std::array<std::uint8_t, Directory::bytes> clear;
  directory.write(clear.data());
  const Bytes piece(clear);
  const RecordKey key = RecordKey::directory(share.id, block);
  std::uint64_t version = 0;
  return seal_record(share.cipher, RecordType::directory, key, {&piece, 1}, batch_.put(key), version);
}

Outcome ShareStore::Implementation::add_head(ShareState& share, const Head& head) {
  Buffer clear(head.bytes());
  head.write(clear.data());
  const Bytes piece(clear);
  const RecordKey key = RecordKey::head(share.id);
  std::uint64_t version = 0;
  return seal_record(share.cipher, RecordType::head, key, {&piece, 1}, batch_.put(key), version);
}

StoreResult ShareStore::Implementation::write_batch() {
  const std::size_t bytes = batch_.bytes();
  const std::size_t records = batch_.operations().size();
  if (Outcome written = database_->write(batch_, synced()); !written.ok()) {
    return failed(written.error());
  }
  ++counters_.batches;
  counters_.records_written += records;
  counters_.bytes_written += bytes;
  return StoreResult::done;
}

// Stripes, their directories and new heads in one batch. Only then does memory say what the disk says.
StoreResult ShareStore::Implementation::write_stripes(const Chosen& stripes,
                                                      std::vector<PutCompletion>& completions) {
  std::map<StripeKey, Directory> changed;
  Chosen written;
  std::uint64_t rewritten = 0;
  for (const auto at : stripes) {
    const auto& [id, number] = at->first;
    ShareState& share = shares_.at(id.generation_id());
    const StripeKey block{id, number / directory_stripes};
    if (!changed.contains(block)) {
      Directory* directory = nullptr;
      if (const StoreResult loaded = load_directory(share, block.second, directory);
          loaded != StoreResult::done) {
        complete(at->second, StoreResult::io_error, completions);
        --share.waiting;
        drop(at);
        continue;
      }
      changed[block] = *directory;
      changed[block].seal = share.head.seal;
    }
    DirectoryEntry& entry = changed[block].entries[number % directory_stripes];
    rewritten += entry.version != 0 ? 1U : 0U;
    if (is_full(share, number, at->second) && entry.quarantined) {
      entry.quarantined = false;
      lost_.erase(block.first.generation_id());  // unless the scrub meets another one
    }
    if (Outcome added = add_stripe(share, number, at->second, entry); !added.ok()) {
      batch_.clear();
      return failed(added.error());
    }
    written.push_back(at);
  }
  std::set<GenerationId> headed;
  Outcome added = done;
  for (const auto& [block, directory] : changed) {
    ShareState& share = shares_.at(block.first.generation_id());
    if (added.ok()) added = add_directory(share, block.second, directory);
    if (added.ok() && !share.head_written && headed.insert(block.first.generation_id()).second) {
      added = add_head(share, share.head);
    }
  }
  if (!added.ok()) {
    batch_.clear();
    return failed(added.error());
  }
  if (written.empty()) return StoreResult::done;
  if (const StoreResult result = write_batch(); result != StoreResult::done) return result;
  counters_.stripes_rewritten += rewritten;
  for (const auto& [block, directory] : changed) {
    ShareState& share = shares_.at(block.first.generation_id());
    share.head_written = true;
    share.directories[block.second] = directory;
  }
  for (const auto at : written) {
    --shares_.at(at->first.first.generation_id()).waiting;
    at->second.durable = at->second.present;
    counters_.cells_stored += at->second.pending.size();
    complete(at->second, StoreResult::done, completions);
  }
  return StoreResult::done;
}

SealAnswer ShareStore::Implementation::seal(const ShareId& id, std::uint32_t cells,
                                            std::span<const AttemptRun> runs, std::uint64_t now,
                                            std::vector<PutCompletion>& completions) {
  if (id.generation == 0 || id.share == 0 || cells == 0 || cells > max_cells || !valid_runs(runs, cells)) {
    return {StoreResult::invalid, 0};
  }
  // Its own puts first. Everything else that waits goes with them: one more sync would cost the same.
  flush(now, Flush::all, completions);
  ShareState* share = nullptr;
  if (const StoreResult found = find_share(id.generation_id(), share); found != StoreResult::done) {
    const bool given_up = found == StoreResult::not_found && writable() != StoreResult::done;
    return {given_up ? writable() : found, 0};
  }
  if (share->id != id) return {StoreResult::conflict, 0};
  Head head;
  head.cell_bytes = share->head.cell_bytes;
  head.sealed = true;
  head.cells = cells;
  head.runs.assign(runs.begin(), runs.end());
  if (share->head.sealed) {
    const bool same = share->head.cells == cells && share->head.runs == head.runs;
    return {same ? StoreResult::again : StoreResult::conflict, 0};
  }
  if (const StoreResult possible = writable(); possible != StoreResult::done) return {possible, 0};
  const SealAnswer complete = check_complete(*share, head);
  if (complete.result != StoreResult::done) return complete;
  return {write_seal(*share, std::move(head)), 0};
}

SealAnswer ShareStore::Implementation::check_complete(ShareState& share, const Head& head) {
  const std::uint32_t stripes = head.cells / stripe_cells + (head.cells % stripe_cells != 0 ? 1 : 0);
  const std::uint32_t blocks = (stripes + directory_stripes - 1) / directory_stripes;
  // Cells behind the last one.
  std::uint32_t behind = blocks;
  if (const StoreResult looked = next_block(share.id, behind); looked != StoreResult::done)
    return {looked, 0};
  if (behind != UINT32_MAX) return {StoreResult::conflict, 0};
  for (std::uint32_t number = 0; number < blocks * directory_stripes; ++number) {
    Directory* directory = nullptr;
    if (const StoreResult loaded = load_directory(share, number / directory_stripes, directory);
        loaded != StoreResult::done) {
      return {loaded, 0};
    }
    const DirectoryEntry entry = directory->entries[number % directory_stripes];
    std::uint32_t missing = 0;
    const StoreResult result = check_stripe(share, head, number, entry, missing);
    if (result != StoreResult::done) return {result, missing};
  }
  return {StoreResult::done, 0};
}

StoreResult ShareStore::Implementation::check_stripe(ShareState& share, const Head& head,
                                                     std::uint32_t number, const DirectoryEntry& entry,
                                                     std::uint32_t& missing) {
  const std::uint64_t expected = expected_cells(head, number);
  if ((entry.present & ~expected) != 0) return StoreResult::conflict;
  if (expected == 0) return StoreResult::done;
  const std::uint32_t first = number * stripe_cells;
  if (const std::uint64_t gap = expected & ~entry.present; gap != 0) {
    missing = first + static_cast<std::uint32_t>(std::countr_zero(gap));
    return entry.quarantined ? StoreResult::quarantined : StoreResult::incomplete;
  }
  bool uniform = entry.least_attempt == entry.most_attempt;
  const std::uint32_t last = first + static_cast<std::uint32_t>(std::bit_width(expected)) - 1;
  for (const AttemptRun& run : head.runs) uniform = uniform && (run.first <= first || run.first > last);
  if (uniform && entry.least_attempt == head.attempt_of(first)) return StoreResult::done;
  Stripe* stripe = nullptr;
  switch (load_stripe(share, number, stripe)) {
    case Loaded::ok:
      break;
    case Loaded::busy:
      return StoreResult::busy;
    case Loaded::io_error:
      return StoreResult::io_error;
    default:
      missing = first;
      return StoreResult::quarantined;
  }
  for (missing = first; missing <= last; ++missing) {
    if (stripe->attempts[missing - first] != head.attempt_of(missing)) return StoreResult::incomplete;
  }
  return StoreResult::done;
}

// Directories first, in as many batches as they take: until the head says so they mean nothing.
StoreResult ShareStore::Implementation::write_seal(ShareState& share, Head head) {
  if (Outcome drawn = random_bytes(head.seal); !drawn.ok()) return failed(drawn.error());
  const std::uint32_t blocks = (head.cells - 1) / (stripe_cells * directory_stripes) + 1;
  for (std::uint32_t block = 0; block < blocks; ++block) {
    Directory* loaded = nullptr;
    if (const StoreResult result = load_directory(share, block, loaded); result != StoreResult::done) {
      batch_.clear();
      return result;
    }
    Directory directory = *loaded;
    directory.seal = head.seal;
    Outcome added = add_directory(share, block, directory);
    if (!added.ok()) {
      batch_.clear();
      return failed(added.error());
    }
    if (batch_.bytes() < options_.batch_bytes) continue;
    if (const StoreResult result = write_batch(); result != StoreResult::done) return result;
  }
  if (Outcome added = add_head(share, head); !added.ok()) {
    batch_.clear();
    return failed(added.error());
  }
  if (const StoreResult result = write_batch(); result != StoreResult::done) return result;
  for (auto& [block, directory] : share.directories) directory.seal = head.seal;
  share.head = std::move(head);
  return StoreResult::done;
}

// The first block from `block` on that has a directory; UINT32_MAX: none has.
StoreResult ShareStore::Implementation::next_block(const ShareId& share, std::uint32_t& block) {
  const Result<std::vector<KeyValueStore::Item>> found = database_->scan(
      RecordKey::directory(share, block), RecordKey::behind(RecordType::directory, share.generation_id()), 1,
      KeyValueStore::Values::left_out);
  if (!found.ok()) return StoreResult::io_error;
  const bool any = !found.value().empty() && found.value()[0].key.size() == 18;
  block = any ? get_big32(found.value()[0].key.data() + 14) : UINT32_MAX;
  return StoreResult::done;
}

}  // namespace ssn::store
