// SPDX-License-Identifier: BSD-3-Clause
#include "ssn/dataplane/neighbour_table.h"

#include <algorithm>
#include <bit>
#include <cassert>

namespace ssn::dataplane {

namespace {

constexpr unsigned state_shift = 48;
constexpr std::uint64_t address_bits = (std::uint64_t{1} << state_shift) - 1;

std::uint64_t word_of(NeighbourState state, std::uint64_t address) noexcept {
  return static_cast<std::uint64_t>(state) << state_shift | address;
}

NeighbourState state_of(std::uint64_t word) noexcept {
  return static_cast<NeighbourState>(word >> state_shift);
}

bool usable(NeighbourState state) noexcept {
  return state == NeighbourState::reachable || state == NeighbourState::stale ||
         state == NeighbourState::fixed;
}

NeighbourTable::Answer answer_of(std::uint64_t word, NeighbourTable::Ask ask) noexcept {
  return {state_of(word), usable(state_of(word)), ask, EthernetAddress::from_number(word & address_bits)};
}

/// Workers' clocks may differ a little: what lies ahead is no time ago.
std::uint64_t since(std::uint64_t then, std::uint64_t now) noexcept { return now > then ? now - then : 0; }

}  // namespace

std::string_view name(NeighbourState state) noexcept {
  switch (state) {
    case NeighbourState::incomplete:
      return "incomplete";
    case NeighbourState::reachable:
      return "reachable";
    case NeighbourState::stale:
      return "stale";
    case NeighbourState::failed:
      return "failed";
    case NeighbourState::fixed:
      return "fixed";
  }
  return "unknown";
}

NeighbourIndex::NeighbourIndex(std::size_t most) : places_(std::bit_ceil(2 * most + 2)) {}

std::size_t NeighbourIndex::place_of(const NeighbourKey& key) const noexcept {
  std::uint64_t words[2];
  std::memcpy(words, key.address.bytes.data(), sizeof words);
  std::uint64_t hash = (words[0] ^ key.port) * 0x9E3779B97F4A7C15;
  hash = (hash ^ hash >> 29 ^ words[1]) * 0xBF58476D1CE4E5B9;
  hash ^= hash >> 32;
  // At least half of the places are free: the loop ends.
  std::size_t place = hash & (places_.size() - 1);
  while (places_[place].value != none && !(places_[place].key == key))
    place = (place + 1) & (places_.size() - 1);
  return place;
}

std::uint32_t NeighbourIndex::insert(const NeighbourKey& key, std::uint32_t value) noexcept {
  Place& place = places_[place_of(key)];
  if (place.value == none) place = {key, value};
  return place.value;
}

std::uint32_t NeighbourIndex::find(const NeighbourKey& key) const noexcept {
  return places_[place_of(key)].value;
}

NeighbourTable::NeighbourTable(const std::vector<NeighbourKey>& keys, const NeighbourTimes& times)
    : times_(times), keys_(keys), index_(keys.size()), entries_(std::make_unique<Entry[]>(keys.size())) {
  for (std::uint32_t i = 0; i < size(); ++i) {
    const std::uint32_t entered = index_.insert(keys_[i], i);
    assert(entered == i);
    (void)entered;
  }
}

void NeighbourTable::fix(std::uint32_t index, const EthernetAddress& mac) noexcept {
  entries_[index].word.store(word_of(NeighbourState::fixed, mac.number()), std::memory_order_relaxed);
}

void NeighbourTable::inherit(const NeighbourTable& other) noexcept {
  for (std::uint32_t i = 0; i < size(); ++i) {
    const std::uint32_t theirs = other.find(keys_[i]);
    if (theirs == none || look(i).state == NeighbourState::fixed) continue;
    const Entry& from = other.entries_[theirs];
    const std::uint64_t word = from.word.load(std::memory_order_relaxed);
    // An address that the configuration gave then and does not give now is worth a question.
    const bool was_fixed = state_of(word) == NeighbourState::fixed;
    entries_[i].word.store(was_fixed ? word_of(NeighbourState::stale, word & address_bits) : word,
                           std::memory_order_relaxed);
    entries_[i].confirmed.store(from.confirmed.load(std::memory_order_relaxed), std::memory_order_relaxed);
    entries_[i].asked.store(from.asked.load(std::memory_order_relaxed), std::memory_order_relaxed);
    entries_[i].unanswered.store(from.unanswered.load(std::memory_order_relaxed), std::memory_order_relaxed);
  }
}

NeighbourTable::Answer NeighbourTable::look(std::uint32_t index) const noexcept {
  return answer_of(entries_[index].word.load(std::memory_order_relaxed), Ask::no);
}

NeighbourTable::Answer NeighbourTable::resolve(std::uint32_t index, std::uint64_t now) noexcept {
  Entry& entry = entries_[index];
  std::uint64_t word = entry.word.load(std::memory_order_relaxed);
  if (state_of(word) == NeighbourState::fixed) return answer_of(word, Ask::no);
  if (state_of(word) == NeighbourState::reachable) {
    if (since(entry.confirmed.load(std::memory_order_relaxed), now) < times_.reachable_ns) {
      return answer_of(word, Ask::no);
    }
    const std::uint64_t stale = word_of(NeighbourState::stale, word & address_bits);
    if (!entry.word.compare_exchange_strong(word, stale, std::memory_order_relaxed)) {
      return answer_of(word, Ask::no);  // another worker was first, or heard something just now
    }
    word = stale;
  }
  return ask_for(entry, word, now);
}

NeighbourTable::Answer NeighbourTable::ask_for(Entry& entry, std::uint64_t word, std::uint64_t now) noexcept {
  std::uint64_t asked = entry.asked.load(std::memory_order_relaxed);
  const bool due = asked == 0 || since(asked, now) >= times_.retransmit_ns;
  // Whoever moves the time asks.
  if (!due || !entry.asked.compare_exchange_strong(asked, std::max<std::uint64_t>(now, 1),
                                                   std::memory_order_relaxed)) {
    return answer_of(word, Ask::no);
  }
  if (entry.unanswered.load(std::memory_order_relaxed) >= times_.attempts &&
      state_of(word) != NeighbourState::failed) {
    const std::uint64_t failed = word_of(NeighbourState::failed, 0);
    if (entry.word.compare_exchange_strong(word, failed, std::memory_order_relaxed)) word = failed;
  }
  entry.unanswered.fetch_add(1, std::memory_order_relaxed);
  return answer_of(word, usable(state_of(word)) ? Ask::itself : Ask::everybody);
}

bool NeighbourTable::learn(std::uint32_t index, const EthernetAddress& mac, bool solicited, bool overrides,
                           std::uint64_t now) noexcept {
  Entry& entry = entries_[index];
  std::uint64_t word = entry.word.load(std::memory_order_relaxed);
  std::uint64_t next = 0;
  do {
    const NeighbourState state = state_of(word);
    if (state == NeighbourState::fixed) return false;
    const bool other = (word & address_bits) != mac.number();
    if (!usable(state) || (other && overrides)) {
      next = word_of(solicited ? NeighbourState::reachable : NeighbourState::stale, mac.number());
    } else if (other) {
      if (state != NeighbourState::reachable) return false;
      next = word_of(NeighbourState::stale, word & address_bits);  // doubtful now: ask
    } else {
      if (!solicited) return false;
      next = word_of(NeighbourState::reachable, mac.number());
    }
    if (state_of(next) == NeighbourState::reachable) entry.confirmed.store(now, std::memory_order_relaxed);
  } while (!entry.word.compare_exchange_weak(word, next, std::memory_order_relaxed));
  entry.unanswered.store(0, std::memory_order_relaxed);
  return !usable(state_of(word)) || ((word ^ next) & address_bits) != 0;
}

}  // namespace ssn::dataplane
