// SPDX-License-Identifier: BSD-3-Clause
// Heads, directories and stripes: from the disk, checked, and put aside where they are wrong.
#include <algorithm>
#include <bit>
#include <cassert>
#include <cstring>

#include "implementation.h"

namespace ssn::store {
namespace {

constexpr std::size_t cached_directories = 16;  // of one share
constexpr std::size_t most_bad = 4096;

Error damage(std::string what, std::string why) {
  return {Exit::integrity, std::move(what), std::move(why), "share store",
          "repair the share from other holders; replace the disk if it happens again"};
}

const char* reason(bool absent, bool stale) {
  if (absent) return "it is not there";
  return stale ? "an older version came back" : "its check fails";
}

}  // namespace

std::uint64_t ShareStore::Implementation::expected_cells(const Head& head, std::uint32_t stripe) noexcept {
  const std::uint64_t first = std::uint64_t{stripe} * stripe_cells;
  if (!head.sealed || first + stripe_cells <= head.cells) return head.sealed ? UINT64_MAX : 0;
  return first >= head.cells ? 0 : (std::uint64_t{1} << (head.cells - first)) - 1;
}

bool ShareStore::Implementation::attempts_match(const Head& head, std::uint32_t number,
                                                const Stripe& stripe) noexcept {
  for (std::uint32_t i = 0; i < stripe_cells; ++i) {
    if ((stripe.present >> i & 1U) != 0 && stripe.attempts[i] != head.attempt_of(number * stripe_cells + i)) {
      return false;
    }
  }
  return true;
}

hw::SecretBuffer ShareStore::Implementation::take_memory(std::size_t bytes) {
  while (true) {
    hw::SecretBuffer memory = memory_.take(bytes);
    if (memory.size() != 0) return memory;
    if (idle_.empty()) return {};
    drop(stripes_.find(idle_.front()));
  }
}

StoreResult ShareStore::Implementation::find_share(const GenerationId& generation, ShareState*& share) {
  if (const auto cached = shares_.find(generation); cached != shares_.end()) {
    share = &cached->second;
    share->used = ++clock_;
    return StoreResult::done;
  }
  Result<std::vector<KeyValueStore::Item>> heads =
      database_->scan(RecordKey::first_of(RecordType::head, generation),
                      RecordKey::behind(RecordType::head, generation), 1, KeyValueStore::Values::left_out);
  if (!heads.ok()) {
    return fault_of(heads.error()) == Fault::damaged ? StoreResult::quarantined : StoreResult::io_error;
  }
  ShareId id;
  if (heads.value().empty() || !read_head_key(heads.value()[0].key, id)) {
    return bad_.contains(generation) ? StoreResult::quarantined : StoreResult::not_found;
  }
  return load_share(id, share);
}

// A share whose key or head is damaged stays where it is until it is removed.
StoreResult ShareStore::Implementation::load_share(const ShareId& id, ShareState*& share) {
  ShareState loaded;
  loaded.id = id;
  loaded.head_written = true;
  const auto bad = [&](StoreEvent::Kind kind, Error error) {
    if (bad_.size() < most_bad && bad_.insert(id.generation_id()).second) {
      report(kind, id, no_stripe, std::move(error));
    }
    return StoreResult::quarantined;
  };
  Result<hw::SecretBuffer> key = hw::SecretBuffer::make(generation_key_bytes);
  if (!key.ok()) return StoreResult::busy;
  if (Outcome read = keys_.read(id.generation_id(), key.value()); !read.ok()) {
    const bool damaged = read.error().code == Exit::integrity || read.error().code == Exit::not_found;
    return damaged ? bad(StoreEvent::Kind::key_missing, read.error()) : StoreResult::io_error;
  }
  Result<RecordCipher> cipher = RecordCipher::make(key.value());
  if (!cipher.ok()) return StoreResult::busy;
  loaded.cipher = std::move(cipher.value());
  switch (read_head(loaded, record_)) {
    case Found::right:
      share = keep(std::move(loaded));
      return StoreResult::done;
    case Found::absent:
      return StoreResult::not_found;
    case Found::io_error:
      return StoreResult::io_error;
    default:
      return bad(StoreEvent::Kind::record_damaged,
                 damage("cannot read the head of a share", reason(false, false)));
  }
}

ShareState* ShareStore::Implementation::keep(ShareState&& share) {
  while (shares_.size() >= options_.cached_shares) {
    auto oldest = shares_.end();
    for (auto at = shares_.begin(); at != shares_.end(); ++at) {
      const bool free = at->second.waiting == 0 && at->second.head_written;
      if (free && (oldest == shares_.end() || at->second.used < oldest->second.used)) oldest = at;
    }
    if (oldest == shares_.end()) break;
    shares_.erase(oldest);
  }
  const GenerationId generation = share.id.generation_id();
  ShareState& kept = shares_[generation] = std::move(share);
  kept.used = ++clock_;
  return &kept;
}

// The first cell of a share that is not there. Its key is durable before anything is stored under it.
StoreResult ShareStore::Implementation::make_share(const ShareId& id, std::uint32_t cell_bytes,
                                                   ShareState*& share) {
  const GenerationId generation = id.generation_id();
  if (removed_.contains(generation) || keys_.state(generation) == GenerationKeys::State::erased) {
    return StoreResult::removed;
  }
  if (keys_.state(generation) == GenerationKeys::State::none) {
    if (Outcome created = keys_.create(generation); !created.ok()) {
      const bool limit = created.error().code == Exit::refused || fault_of(created.error()) == Fault::full;
      return limit ? StoreResult::disk_full : failed(created.error());
    }
  }
  Result<hw::SecretBuffer> key = hw::SecretBuffer::make(generation_key_bytes);
  if (!key.ok()) return StoreResult::busy;
  if (Outcome read = keys_.read(generation, key.value()); !read.ok()) return StoreResult::io_error;
  Result<RecordCipher> cipher = RecordCipher::make(key.value());
  if (!cipher.ok()) return StoreResult::busy;
  ShareState made;
  made.id = id;
  made.head.cell_bytes = cell_bytes;
  made.cipher = std::move(cipher.value());
  share = keep(std::move(made));
  return StoreResult::done;
}

ShareStore::Implementation::Found ShareStore::Implementation::read_head(ShareState& share, Buffer& record) {
  const RecordKey key = RecordKey::head(share.id);
  Result<bool> found = database_->get(key, record);
  if (!found.ok()) return fault_of(found.error()) == Fault::damaged ? Found::damaged : Found::io_error;
  if (!found.value()) return Found::absent;
  ++counters_.records_read;
  if (record.size() <= Envelope::overhead) return Found::damaged;
  Buffer clear(record.size() - Envelope::overhead);
  const std::span<std::uint8_t> piece(clear);
  if (!open_record(share.cipher, RecordType::head, key, record, {&piece, 1})) return Found::damaged;
  return Head::read(clear, share.head) ? Found::right : Found::damaged;
}

ShareStore::Implementation::Found ShareStore::Implementation::read_directory(ShareState& share,
                                                                             std::uint32_t block,
                                                                             Directory& directory,
                                                                             Buffer& record) {
  record.clear();
  directory = {};
  if (!share.head_written) return Found::absent;
  const RecordKey key = RecordKey::directory(share.id, block);
  Result<bool> found = database_->get(key, record);
  if (!found.ok()) return fault_of(found.error()) == Fault::damaged ? Found::damaged : Found::io_error;
  if (!found.value()) return Found::absent;
  ++counters_.records_read;
  std::array<std::uint8_t, Directory::bytes> clear;
  const std::span<std::uint8_t> piece(clear);
  if (!open_record(share.cipher, RecordType::directory, key, record, {&piece, 1}) ||
      !Directory::read(clear, directory)) {
    return Found::damaged;
  }
  return share.head.sealed && directory.seal != share.head.seal ? Found::stale : Found::right;
}

StoreResult ShareStore::Implementation::load_directory(ShareState& share, std::uint32_t block,
                                                       Directory*& directory) {
  if (const auto cached = share.directories.find(block); cached != share.directories.end()) {
    directory = &cached->second;
    return StoreResult::done;
  }
  Directory loaded;
  Buffer record;
  const Found found = read_directory(share, block, loaded, record);
  if (found == Found::io_error) return StoreResult::io_error;
  const bool none_expected = !share.head.sealed || expected_cells(share.head, block * directory_stripes) == 0;
  if (found != Found::right && !(found == Found::absent && none_expected)) {
    const StoreResult rebuilt = rebuild_directory(share, block, found, record, loaded);
    if (rebuilt != StoreResult::done) return rebuilt;
  }
  while (share.directories.size() >= cached_directories) share.directories.erase(share.directories.begin());
  directory = &(share.directories[block] = loaded);
  return StoreResult::done;
}

// Stripes say themselves what they hold. In a sealed share they must hold what the head says.
StoreResult ShareStore::Implementation::rebuild_directory(ShareState& share, std::uint32_t block, Found why,
                                                          const Buffer& record, Directory& directory) {
  Stripe stripe;
  stripe.memory = take_memory(std::size_t{stripe_cells} * share.head.cell_bytes);
  if (stripe.memory.size() == 0) return StoreResult::busy;
  directory = {};
  directory.seal = share.head.seal;
  Buffer bytes;
  bool io_error = false;
  for (std::uint32_t i = 0; i < directory_stripes && !io_error; ++i) {
    const std::uint32_t number = block * directory_stripes + i;
    const std::uint64_t expected = expected_cells(share.head, number);
    if (share.head.sealed && expected == 0) continue;
    const Found found = read_stripe(share, number, 0, stripe, bytes);
    io_error = found == Found::io_error;
    if (io_error || (found == Found::absent && !share.head.sealed)) continue;
    DirectoryEntry& entry = directory.entries[i];
    const bool whole =
        found == Found::right &&
        (!share.head.sealed || (stripe.present == expected && attempts_match(share.head, number, stripe)));
    entry.quarantined = !whole;
    if (!whole) continue;
    entry.version = Envelope::version(bytes);
    entry.present = stripe.present;
    entry.least_attempt = UINT16_MAX;
    for (std::uint32_t c = 0; c < stripe_cells; ++c) {
      if ((stripe.present >> c & 1U) == 0) continue;
      entry.least_attempt = std::min(entry.least_attempt, stripe.attempts[c]);
      entry.most_attempt = std::max(entry.most_attempt, stripe.attempts[c]);
    }
  }
  memory_.give_back(std::move(stripe.memory));
  if (io_error) return StoreResult::io_error;
  const StoreEvent::Kind kind = why == Found::absent  ? StoreEvent::Kind::record_missing
                                : why == Found::stale ? StoreEvent::Kind::record_stale
                                                      : StoreEvent::Kind::record_damaged;
  report(
      kind, share.id, block * directory_stripes,
      damage("had to make a directory of a share anew", reason(why == Found::absent, why == Found::stale)));
  ++counters_.quarantined;
  if (writable() != StoreResult::done) return StoreResult::done;  // next time again
  if (!record.empty()) add_quarantined(RecordKey::directory(share.id, block), record);
  Outcome written = add_directory(share, block, directory);
  if (written.ok()) written = database_->write(batch_, synced());
  batch_.clear();
  if (!written.ok()) (void)failed(written.error());
  return StoreResult::done;
}

// `version` 0: whichever is there. The stripe's memory is large enough for 64 cells.
ShareStore::Implementation::Found ShareStore::Implementation::read_stripe(ShareState& share,
                                                                          std::uint32_t number,
                                                                          std::uint64_t version,
                                                                          Stripe& stripe, Buffer& record) {
  record.clear();
  const RecordKey key = RecordKey::stripe(share.id, number);
  Result<bool> found = database_->get(key, record);
  if (!found.ok()) return fault_of(found.error()) == Fault::damaged ? Found::damaged : Found::io_error;
  if (!found.value()) return Found::absent;
  ++counters_.records_read;
  counters_.bytes_read += record.size();
  constexpr std::size_t fixed = Envelope::overhead + StripeHeader::bytes;
  const std::size_t cell_bytes = share.head.cell_bytes;
  if (record.size() <= fixed || (record.size() - fixed) % cell_bytes != 0) return Found::damaged;
  const std::size_t count = (record.size() - fixed) / cell_bytes;
  if (count > stripe_cells) return Found::damaged;
  std::array<std::uint8_t, StripeHeader::bytes> first;
  const std::array<std::span<std::uint8_t>, 2> pieces = {first,
                                                         stripe.memory.span().first(count * cell_bytes)};
  if (!open_record(share.cipher, RecordType::stripe, key, record, pieces)) return Found::damaged;
  StripeHeader header;
  if (!StripeHeader::read(first, header) || header.cell_bytes != cell_bytes ||
      static_cast<std::size_t>(std::popcount(header.present)) != count) {
    return Found::damaged;
  }
  if (version != 0 && Envelope::version(record) != version) return Found::stale;
  // Each cell to its place, the last one first: none lies behind its place.
  std::uint8_t* const memory = stripe.memory.data();
  for (std::size_t from = count, cell = stripe_cells; cell-- > 0;) {
    if ((header.present >> cell & 1U) == 0) continue;
    if (--from != cell) std::memcpy(memory + cell * cell_bytes, memory + from * cell_bytes, cell_bytes);
  }
  stripe.present = stripe.durable = header.present;
  stripe.attempts = header.attempts;
  return Found::right;
}

ShareStore::Implementation::Loaded ShareStore::Implementation::load_stripe(ShareState& share,
                                                                           std::uint32_t number,
                                                                           Stripe*& stripe) {
  const StripeKey key{share.id, number};
  if (const auto cached = stripes_.find(key); cached != stripes_.end()) {
    stripe = &cached->second;
    use(*stripe);
    return Loaded::ok;
  }
  Directory* directory = nullptr;
  switch (load_directory(share, number / directory_stripes, directory)) {
    case StoreResult::done:
      break;
    case StoreResult::busy:
      return Loaded::busy;
    default:
      return Loaded::io_error;
  }
  const DirectoryEntry entry = directory->entries[number % directory_stripes];
  if (entry.version == 0) return Loaded::none;
  Stripe loaded;
  loaded.memory = take_memory(std::size_t{stripe_cells} * share.head.cell_bytes);
  if (loaded.memory.size() == 0) return Loaded::busy;
  const Found found = read_stripe(share, number, entry.version, loaded, record_);
  if (found == Found::right) {
    stripe = &add(key, std::move(loaded));
    return Loaded::ok;
  }
  memory_.give_back(std::move(loaded.memory));
  if (found == Found::io_error) return Loaded::io_error;
  (void)put_aside(share, number, found, record_);
  return Loaded::damaged;
}

void ShareStore::Implementation::note_lost(const ShareId& id) {
  if (lost_.size() < most_bad) lost_.insert(id.generation_id());
}

void ShareStore::Implementation::add_quarantined(const RecordKey& key, const Buffer& record) {
  if (options_.max_quarantined == 0) return;
  if (next_quarantined_ - first_quarantined_ >= options_.max_quarantined) {
    batch_.erase(RecordKey::quarantine(first_quarantined_++));
  }
  Buffer& value = batch_.put(RecordKey::quarantine(next_quarantined_++));
  const Bytes name = key;
  value.push_back(static_cast<std::uint8_t>(name.size()));
  value.insert(value.end(), name.begin(), name.end());
  value.insert(value.end(), record.begin(), record.end());
}

// The record moves to the quarantine. Where that cannot be written, it is at least not looked at again soon.
StoreResult ShareStore::Implementation::put_aside(ShareState& share, std::uint32_t number, Found why,
                                                  const Buffer& record) {
  const StoreEvent::Kind kind = why == Found::absent  ? StoreEvent::Kind::record_missing
                                : why == Found::stale ? StoreEvent::Kind::record_stale
                                                      : StoreEvent::Kind::record_damaged;
  report(kind, share.id, number,
         damage("cannot read a stripe of a share", reason(why == Found::absent, why == Found::stale)));
  ++counters_.quarantined;
  Directory* directory = nullptr;
  if (const StoreResult loaded = load_directory(share, number / directory_stripes, directory);
      loaded != StoreResult::done) {
    return loaded;
  }
  DirectoryEntry& entry = directory->entries[number % directory_stripes];
  entry = {};
  entry.quarantined = true;
  note_lost(share.id);
  if (writable() != StoreResult::done) return StoreResult::quarantined;
  const RecordKey key = RecordKey::stripe(share.id, number);
  if (why != Found::absent) {
    add_quarantined(key, record);
    batch_.erase(key);
  }
  Outcome written = add_directory(share, number / directory_stripes, *directory);
  if (written.ok()) written = database_->write(batch_, synced());
  batch_.clear();
  if (!written.ok()) (void)failed(written.error());
  return StoreResult::quarantined;
}

}  // namespace ssn::store
