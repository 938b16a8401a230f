// SPDX-License-Identifier: BSD-3-Clause
#include "ssn/protocol/transport_table.h"

#include <algorithm>
#include <bit>
#include <cassert>

namespace ssn::protocol {

RecordTable::RecordTable(std::uint32_t records) : records_(records) {
  assert(std::has_single_bit(records) && records >= 64 && records <= 1U << 20);
  for (std::uint32_t i = 0; i < records; ++i) append(free_, TransportRecord::by_state, i);
}

std::uint32_t RecordTable::take() noexcept {
  const std::uint32_t at = free_.head;
  if (at == TransportRecord::none) return at;
  remove(free_, TransportRecord::by_state, at);
  const std::uint32_t life = records_[at].life + 1;
  records_[at] = TransportRecord{};
  records_[at].life = life;
  return at;
}

void RecordTable::give_back(std::uint32_t at) noexcept {
  assert(records_[at].linked == 0 && records_[at].state != TransportRecord::State::free);
  records_[at].state = TransportRecord::State::free;
  records_[at].cell = nullptr;
  ++records_[at].life;  // whoever still names it names nothing
  append(free_, TransportRecord::by_state, at);
}

NumberMap::NumberMap(std::uint32_t numbers)
    : slots_(numbers), received_(numbers / 64, 0), stored_(numbers / 64, 0) {
  assert(std::has_single_bit(numbers) && numbers >= 64);
}

void NumberMap::sent(std::uint64_t number, std::uint32_t record, std::uint32_t life) noexcept {
  assert(number >= next_);
  // Bits of words that begin anew; a leap over all of them clears each once.
  const std::uint64_t words = received_.size();
  const std::uint64_t from = next_ == 0 ? 0 : (next_ - 1) / 64 + 1;
  const std::uint64_t to = number / 64;
  for (std::uint64_t word = std::max(from, to >= words ? to - words + 1 : 0); word <= to; ++word) {
    received_[word_at(word)] = 0;
    stored_[word_at(word)] = 0;
  }
  next_ = number + 1;
  slots_[number & (slots_.size() - 1)] = {number, {record, life}};
}

NumberMap::Owner NumberMap::owner(std::uint64_t number) const noexcept {
  const Slot& slot = slots_[number & (slots_.size() - 1)];
  return slot.number == number ? slot.owner : Owner{};
}

std::uint64_t NumberMap::claim(Claim claim, std::uint64_t word, std::uint64_t bits) noexcept {
  const std::uint64_t first = word * 64;
  // The ring's oldest word is shared with the newest one: only whole words behind that are remembered.
  if (first >= next_ || first + slots_.size() <= (next_ - 1) / 64 * 64) return 0;
  if (next_ - first < 64) bits &= (std::uint64_t{1} << (next_ - first)) - 1;
  std::uint64_t& known = (claim == Claim::received ? received_ : stored_)[word_at(word)];
  const std::uint64_t fresh = bits & ~known;
  known |= bits;
  return fresh;
}

bool NumberMap::any_received(std::uint64_t first, std::uint64_t end) const noexcept {
  first = std::max(first, next_ > slots_.size() ? (next_ - 1) / 64 * 64 + 64 - slots_.size() : 0);
  end = std::min(end, next_);
  for (std::uint64_t word = first / 64; word * 64 < end; ++word) {
    std::uint64_t bits = received_[word_at(word)];
    if (word == first / 64) bits &= ~std::uint64_t{0} << (first % 64);
    if (end - word * 64 < 64) bits &= (std::uint64_t{1} << (end - word * 64)) - 1;
    if (bits != 0) return true;
  }
  return false;
}

DeadlineWheel::DeadlineWheel(std::uint64_t tick_ns) noexcept
    : shift_(static_cast<unsigned>(std::bit_width(tick_ns - 1))) {
  assert(tick_ns >= 1 && shift_ < 40);
}

void DeadlineWheel::add(RecordTable& table, std::uint32_t at) noexcept {
  if (table[at].deadline_ns > UINT64_MAX - (std::uint64_t{1} << shift_)) return;  // never
  table[at].deadline_ns =
      std::max(table[at].deadline_ns, (done_ << shift_) + 1);  // in a tick that is to come
  const std::size_t bucket = bucket_of(table[at].deadline_ns);
  table.append(lists_[bucket], TransportRecord::by_deadline, at);
  filled_[bucket / 64] |= std::uint64_t{1} << bucket % 64;
  ++count_;
}

void DeadlineWheel::remove(RecordTable& table, std::uint32_t at) noexcept {
  if (!table.is_in(TransportRecord::by_deadline, at)) return;
  const std::size_t bucket = bucket_of(table[at].deadline_ns);
  table.remove(lists_[bucket], TransportRecord::by_deadline, at);
  if (lists_[bucket].empty()) filled_[bucket / 64] &= ~(std::uint64_t{1} << bucket % 64);
  --count_;
}

// Asked in every walk, and what waits is usually most of a revolution away.
std::uint64_t DeadlineWheel::next() const noexcept {
  if (count_ == 0) return UINT64_MAX;
  const std::uint64_t first = done_ + 1;
  const std::size_t from = first % buckets;
  std::size_t base = from - from % 64;
  std::uint64_t word = filled_[base / 64] & UINT64_MAX << from % 64;
  // The word of the first bucket counts twice: its lower part comes last.
  for (std::size_t words = 0; word == 0 && words < buckets / 64; ++words) {
    base = (base + 64) % buckets;
    word = filled_[base / 64];
  }
  assert(word != 0 && "what is counted lies in a bucket");
  const std::size_t bucket = base + static_cast<unsigned>(std::countr_zero(word));
  return (first + (bucket + buckets - from) % buckets) << shift_;
}

}  // namespace ssn::protocol
