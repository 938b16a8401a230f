// SPDX-License-Identifier: BSD-3-Clause
#include "ssn/store/share_store.h"

#include <string>

#include "implementation.h"

namespace ssn::store {

Result<ShareStore> ShareStore::open(std::unique_ptr<KeyValueStore> database, GenerationKeys keys,
                                    const ShareStoreOptions& options) {
  // One stripe of the largest cells, and one to make a directory anew.
  constexpr std::size_t least_memory = 2 * std::size_t{stripe_cells} * max_cell_bytes;
  if (options.memory_bytes < least_memory || options.batch_bytes > max_batch_operations * std::size_t{4096} ||
      options.cached_shares == 0) {
    return Error{Exit::usage, "cannot open the share store", "its limits are too small or too large",
                 "options", "give it at least " + std::to_string(least_memory) + " bytes of memory"};
  }
  auto made = std::make_unique<Implementation>(std::move(database), std::move(keys), options);
  if (Outcome started = made->start(); !started.ok()) return started.error();
  return ShareStore(std::move(made));
}

ShareStore::ShareStore(std::unique_ptr<Implementation> implementation)
    : implementation_(std::move(implementation)) {}
ShareStore::ShareStore(ShareStore&&) noexcept = default;
ShareStore& ShareStore::operator=(ShareStore&&) noexcept = default;
ShareStore::~ShareStore() = default;

StoreResult ShareStore::put(const ShareId& share, std::uint16_t attempt, std::uint32_t cell, Bytes bytes,
                            std::uint64_t token, std::uint64_t now) {
  return implementation_->put(share, attempt, cell, bytes, token, now);
}
void ShareStore::flush(std::uint64_t now, Flush how, std::vector<PutCompletion>& completions) {
  implementation_->flush(now, how, completions);
}
std::uint64_t ShareStore::next_flush() const noexcept { return implementation_->next_flush(); }
CellRead ShareStore::read(const ShareId& share, std::uint16_t attempt, std::uint32_t stripe,
                          std::uint64_t wanted, std::span<std::uint8_t* const, stripe_cells> into,
                          std::uint32_t room) {
  return implementation_->read(share, attempt, stripe, wanted, into, room);
}
SealAnswer ShareStore::seal(const ShareId& share, std::uint32_t cells, std::span<const AttemptRun> runs,
                            std::uint64_t now, std::vector<PutCompletion>& completions) {
  return implementation_->seal(share, cells, runs, now, completions);
}
StoreResult ShareStore::remove(const GenerationId& generation, std::vector<PutCompletion>& completions) {
  return implementation_->remove(generation, completions);
}
Result<std::vector<ShareSummary>> ShareStore::list(const GenerationId& from, std::size_t limit) {
  return implementation_->list(from, limit);
}
Result<ShareSummary> ShareStore::find(const ShareId& share) { return implementation_->find(share); }
StoreStatus ShareStore::status() { return implementation_->status(); }
std::vector<StoreEvent> ShareStore::take_events() { return implementation_->take_events(); }
ShareStore::Checked ShareStore::check(const ShareId& share, std::uint32_t stripe) {
  return implementation_->check(share, stripe);
}
KeyValueStore& ShareStore::database() noexcept { return implementation_->database(); }

}  // namespace ssn::store
