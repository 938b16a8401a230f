// SPDX-License-Identifier: BSD-3-Clause
// Cells out of the store, and the scrubber's look at what is on the disk.
#include <cstring>

#include "implementation.h"

namespace ssn::store {

CellRead ShareStore::Implementation::read(const ShareId& id, std::uint16_t attempt, std::uint32_t number,
                                          std::uint64_t wanted,
                                          std::span<std::uint8_t* const, stripe_cells> into,
                                          std::uint32_t room) {
  ShareState* share = nullptr;
  CellRead answer;
  const auto refuse = [&answer](StoreResult why) {
    answer.result = why;
    return answer;
  };
  if (number > max_cells / stripe_cells || wanted == 0) return refuse(StoreResult::invalid);
  if (const StoreResult found = find_share(id.generation_id(), share); found != StoreResult::done) {
    if (found == StoreResult::quarantined) answer.quarantined = wanted;
    return refuse(found);
  }
  if (share->id != id) return refuse(StoreResult::not_found);
  answer.cell_bytes = share->head.cell_bytes;
  if (answer.cell_bytes > room) return refuse(StoreResult::invalid);
  Stripe* stripe = nullptr;
  switch (load_stripe(*share, number, stripe)) {
    case Loaded::busy:
      return refuse(StoreResult::busy);
    case Loaded::io_error:
      return refuse(StoreResult::io_error);
    default:
      break;
  }
  if (stripe != nullptr) {
    for (std::uint32_t i = 0; i < stripe_cells; ++i) {
      const std::uint64_t bit = std::uint64_t{1} << i;
      if ((wanted & stripe->durable & bit) == 0 || stripe->attempts[i] != attempt) continue;
      std::memcpy(into[i], stripe->memory.data() + std::size_t{i} * answer.cell_bytes, answer.cell_bytes);
      answer.read |= bit;
      ++counters_.cells_read;
    }
  }
  const std::uint64_t missing = wanted & ~answer.read;
  answer.result = StoreResult::done;
  if (missing == 0) return answer;
  Directory* directory = nullptr;
  if (const StoreResult loaded = load_directory(*share, number / directory_stripes, directory);
      loaded != StoreResult::done) {
    answer.result = loaded;
    return answer;
  }
  const DirectoryEntry& entry = directory->entries[number % directory_stripes];
  const std::uint64_t there = stripe != nullptr ? stripe->present : 0;
  if (entry.quarantined) answer.quarantined = missing & ~there;
  answer.result = answer.quarantined != 0 ? StoreResult::quarantined : StoreResult::not_found;
  return answer;
}

// What is cached is passed by: only the disk is asked.
ShareStore::Checked ShareStore::Implementation::check(const ShareId& id, std::uint32_t first) {
  ShareState* share = nullptr;
  StoreResult found = find_share(id.generation_id(), share);
  if (found == StoreResult::done && share->id != id) found = StoreResult::not_found;
  if (found != StoreResult::done) return {found, 0, UINT32_MAX};
  std::uint64_t bytes = 0;
  if (first == 0 && share->head_written) {
    ShareState again;
    again.id = id;
    std::swap(again.cipher, share->cipher);
    const Found head = read_head(again, record_);
    std::swap(again.cipher, share->cipher);
    if (head == Found::io_error) return {StoreResult::io_error, 0, UINT32_MAX};
    const bool same = head == Found::right && again.head.sealed == share->head.sealed &&
                      again.head.seal == share->head.seal && again.head.cell_bytes == share->head.cell_bytes;
    if (!same && share->waiting == 0) {
      shares_.erase(id.generation_id());
      found = find_share(id.generation_id(), share);  // says what is wrong with it
      if (found != StoreResult::done) return {StoreResult::quarantined, record_.size(), UINT32_MAX};
    }
    bytes += record_.size();
  }
  std::uint32_t block = first / directory_stripes;
  if (!share->head.sealed) {
    if (const StoreResult looked = next_block(id, block); looked != StoreResult::done)
      return {looked, bytes, UINT32_MAX};
  }
  if (block == UINT32_MAX ||
      (share->head.sealed && expected_cells(share->head, block * directory_stripes) == 0)) {
    return {StoreResult::done, bytes, UINT32_MAX};
  }
  const std::uint32_t number = std::max(first, block * directory_stripes);
  Checked checked = check_stripe_on_disk(*share, number);
  checked.bytes += bytes;
  checked.next = number + 1;
  return checked;
}

ShareStore::Checked ShareStore::Implementation::check_stripe_on_disk(ShareState& share,
                                                                     std::uint32_t number) {
  const std::uint32_t block = number / directory_stripes;
  std::uint64_t bytes = 0;
  const auto cached = stripes_.find({share.id, number});
  // What is about to be written anew is in memory and right.
  if (cached != stripes_.end() && !cached->second.pending.empty()) return {StoreResult::done, 0, 0};
  const std::uint64_t aside = counters_.quarantined;
  if (number % directory_stripes == 0) {
    share.directories.erase(block);
    bytes += Directory::bytes + Envelope::overhead;
  }
  Directory* directory = nullptr;
  if (const StoreResult loaded = load_directory(share, block, directory); loaded != StoreResult::done) {
    return {loaded, bytes, 0};
  }
  const bool rebuilt = counters_.quarantined != aside;
  const DirectoryEntry entry = directory->entries[number % directory_stripes];
  if (entry.quarantined) note_lost(share.id);  // before this start, or where an owner reads
  if (entry.version == 0) return {rebuilt ? StoreResult::quarantined : StoreResult::done, bytes, 0};
  Stripe stripe;
  stripe.memory = take_memory(std::size_t{stripe_cells} * share.head.cell_bytes);
  if (stripe.memory.size() == 0) return {StoreResult::busy, bytes, 0};
  const Found found = read_stripe(share, number, entry.version, stripe, record_);
  memory_.give_back(std::move(stripe.memory));
  bytes += record_.size();
  if (found == Found::right) return {rebuilt ? StoreResult::quarantined : StoreResult::done, bytes, 0};
  if (found == Found::io_error) return {StoreResult::io_error, bytes, 0};
  if (const auto still = stripes_.find({share.id, number}); still != stripes_.end()) drop(still);
  (void)put_aside(share, number, found, record_);
  return {StoreResult::quarantined, bytes, 0};
}

}  // namespace ssn::store
