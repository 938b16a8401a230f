// SPDX-License-Identifier: BSD-3-Clause
#include "ssn/store/scrubber.h"

#include <algorithm>

#include "big_endian.h"
#include "record.h"

namespace ssn::store {
namespace {

// Place: passes 8, object 8, generation 4, stripe 4, share 1, zeros 7, records, bytes and damaged of the pass
// 8 each.
constexpr std::size_t place_bytes = 56;
// With errors it goes slower, not on and on.
constexpr std::uint64_t pause_ns = 1'000'000'000;

}  // namespace

Scrubber::Scrubber(ShareStore& store, const ScrubOptions& options) : store_(store), options_(options) {
  load();
}

void Scrubber::load() {
  Buffer place;
  const Result<bool> found = store_.database().get(RecordKey::single(RecordType::place), place);
  if (!found.ok() || !found.value() || place.size() != place_bytes) return;  // from the beginning, then
  const std::uint8_t* const at = place.data();
  status_.passes = get_big64(at);
  status_.place = {get_big64(at + 8), get_big32(at + 16), at[24]};
  status_.stripe = get_big32(at + 20);
  status_.records = get_big64(at + 32);
  status_.bytes = get_big64(at + 40);
  status_.damaged = get_big64(at + 48);
}

Outcome Scrubber::save() {
  Buffer place(place_bytes);
  std::uint8_t* const at = place.data();
  put_big<8>(at, status_.passes);
  put_big<8>(at + 8, status_.place.object);
  put_big<4>(at + 16, status_.place.generation);
  put_big<4>(at + 20, status_.stripe);
  at[24] = status_.place.share;
  put_big<8>(at + 32, status_.records);
  put_big<8>(at + 40, status_.bytes);
  put_big<8>(at + 48, status_.damaged);
  Batch batch;
  batch.put(RecordKey::single(RecordType::place), place);
  return store_.database().write(batch, KeyValueStore::Sync::later);
}

// To the next share; at the end to the first one, after a rest.
void Scrubber::advance(std::uint64_t now) {
  const GenerationId current = status_.place.generation_id();
  status_.stripe = 0;
  const Result<std::vector<ShareSummary>> next = store_.list(current, 2);
  if (!next.ok()) {
    next_ = now + pause_ns;
    return;
  }
  for (const ShareSummary& share : next.value()) {
    if (share.id.generation_id() <= current) continue;
    status_.place = share.id;
    return;
  }
  // A pass over nothing counts as none.
  if (status_.records != 0) ++status_.passes;
  status_.place = {};
  status_.records = status_.bytes = status_.damaged = 0;
  next_ = now + options_.rest_ns;
  if (save().ok()) saved_ = now;
}

bool Scrubber::step(std::uint64_t now, std::uint64_t most) {
  if (options_.bytes_per_second == 0) {
    next_ = UINT64_MAX;
    return false;
  }
  if (next_ == UINT64_MAX) next_ = now;
  if (now < next_) return false;
  std::uint64_t bytes = 0;
  while (bytes < most && now >= next_) {
    if (status_.place == ShareId{}) {
      advance(now);
      if (status_.place == ShareId{}) return false;
    }
    const ShareStore::Checked checked = store_.check(status_.place, status_.stripe);
    if (checked.result == StoreResult::io_error || checked.result == StoreResult::busy) {
      next_ = now + pause_ns;
      if (checked.result == StoreResult::busy) return false;  // the same again
    }
    bytes += checked.bytes;
    status_.bytes += checked.bytes;
    ++status_.records;
    if (checked.result == StoreResult::quarantined) ++status_.damaged;
    // What cannot be read even then is passed by, and met again in the next pass.
    if (checked.next != UINT32_MAX) {
      status_.stripe = checked.next;
    } else if (checked.result == StoreResult::io_error && checked.bytes != 0) {
      ++status_.stripe;
    } else {
      advance(now);
    }
  }
  const std::uint64_t cost = bytes * 1'000'000'000 / options_.bytes_per_second;
  next_ = std::max(next_, now + cost);
  if (now - saved_ >= options_.save_ns && save().ok()) saved_ = now;
  return now >= next_;
}

}  // namespace ssn::store
