// SPDX-License-Identifier: BSD-3-Clause
// What a TransportSender remembers of the packets that it waits for: records, the lists that they are in, and
// how they are found by packet number. Everything is allocated once; every step takes constant time.
#pragma once

#include <cassert>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "ssn/protocol/cell.h"

namespace ssn::protocol {

/// Why a packet was given up.
enum class ExpireReason : std::uint8_t {
  deadline,    ///< it was not acknowledged in time
  not_stored,  ///< it arrived, but was not durable in time
  pad_gone,    ///< the receiver no longer has its pad: to be sealed under a fresh range
  ended,       ///< its keys were given up: to be split anew under the keys of a new association
  abandoned,   ///< as the caller wished
};

struct TransportRecord {
  static constexpr std::uint32_t none = UINT32_MAX;
  enum class State : std::uint8_t {
    free,
    flying,    ///< sent, and neither acknowledged nor lost
    lost,      ///< to be sent again
    resting,   ///< the same, but not yet: it was lost again and again
    held,      ///< the caller is sending it again
    received,  ///< the caller is to be told
    waiting,   ///< received, told, and not yet stored
    stored,    ///< the caller is to be told
    expired,   ///< the caller is to be told
  };
  struct Links {
    std::uint32_t next = none;
    std::uint32_t previous = none;
  };
  enum List : std::uint8_t { by_state, by_range, by_storing, by_deadline };
  static constexpr unsigned lists = 4;

  Cell* cell = nullptr;
  std::uint64_t token = 0;
  std::uint64_t number = 0;   ///< of the latest transmission
  std::uint64_t d_begin = 0;  ///< whole granules of D; empty for what has none
  std::uint64_t d_end = 0;
  std::uint64_t sent_ns = 0;  ///< the latest transmission
  std::uint64_t deadline_ns = UINT64_MAX;
  std::uint64_t rest_ns = 0;  ///< until when it rests
  std::uint32_t life = 0;     ///< counts the packets that this record was for
  std::uint32_t bytes = 0;
  std::uint32_t cells = 0;
  State state = State::free;
  ExpireReason reason = ExpireReason::deadline;
  std::uint8_t losses = 0;
  bool computational = false;
  bool until_stored = false;
  bool is_stored = false;
  bool arrived = false;     ///< while held
  bool given_up = false;    ///< while held, or before the caller took `received`
  std::uint8_t linked = 0;  ///< bit of each list that it is in
  Links links[lists];
};

/// A doubly linked list of records.
struct RecordList {
  std::uint32_t head = TransportRecord::none;
  std::uint32_t tail = TransportRecord::none;
  std::uint32_t count = 0;
  bool empty() const noexcept { return head == TransportRecord::none; }
};

class RecordTable {
 public:
  /// `records`: a power of two.
  explicit RecordTable(std::uint32_t records);

  std::uint32_t capacity() const noexcept { return static_cast<std::uint32_t>(records_.size()); }
  std::uint32_t free() const noexcept { return free_.count; }
  /// none where all are in use.
  std::uint32_t take() noexcept;
  /// In no list any more.
  void give_back(std::uint32_t at) noexcept;
  TransportRecord& operator[](std::uint32_t at) noexcept { return records_[at]; }
  const TransportRecord& operator[](std::uint32_t at) const noexcept { return records_[at]; }

  void append(RecordList& list, TransportRecord::List which, std::uint32_t at) noexcept;
  /// Behind `before`, or as the first one.
  void insert(RecordList& list, TransportRecord::List which, std::uint32_t before, std::uint32_t at) noexcept;
  void remove(RecordList& list, TransportRecord::List which, std::uint32_t at) noexcept;
  std::uint32_t next(TransportRecord::List which, std::uint32_t at) const noexcept {
    return records_[at].links[which].next;
  }
  bool is_in(TransportRecord::List which, std::uint32_t at) const noexcept {
    return (records_[at].linked >> which & 1U) != 0;
  }

 private:
  std::vector<TransportRecord> records_;
  RecordList free_;
};

inline void RecordTable::append(RecordList& list, TransportRecord::List which, std::uint32_t at) noexcept {
  insert(list, which, list.tail, at);
}

inline void RecordTable::insert(RecordList& list, TransportRecord::List which, std::uint32_t before,
                                std::uint32_t at) noexcept {
  TransportRecord& record = records_[at];
  assert(!is_in(which, at));
  record.linked = static_cast<std::uint8_t>(record.linked | 1U << which);
  std::uint32_t& forward = before == TransportRecord::none ? list.head : records_[before].links[which].next;
  record.links[which] = {forward, before};
  std::uint32_t& backward =
      forward == TransportRecord::none ? list.tail : records_[forward].links[which].previous;
  forward = at;
  backward = at;
  ++list.count;
}

inline void RecordTable::remove(RecordList& list, TransportRecord::List which, std::uint32_t at) noexcept {
  TransportRecord& record = records_[at];
  assert(is_in(which, at) && list.count != 0);
  record.linked = static_cast<std::uint8_t>(record.linked & ~(1U << which));
  const TransportRecord::Links links = record.links[which];
  (links.previous == TransportRecord::none ? list.head : records_[links.previous].links[which].next) =
      links.next;
  (links.next == TransportRecord::none ? list.tail : records_[links.next].links[which].previous) =
      links.previous;
  --list.count;
}

/// Packet numbers of one kind: which were acknowledged, and whose they are.
class NumberMap {
 public:
  /// Remembers that many numbers; a power of two >= 64.
  explicit NumberMap(std::uint32_t numbers);

  std::uint64_t capacity() const noexcept { return slots_.size(); }
  /// Behind the highest number that was sent.
  std::uint64_t next() const noexcept { return next_; }
  /// The first one that is remembered.
  std::uint64_t oldest() const noexcept { return next_ > slots_.size() ? next_ - slots_.size() : 0; }
  /// Numbers in between were somebody else's: acknowledgements.
  void sent(std::uint64_t number, std::uint32_t record, std::uint32_t life) noexcept;

  struct Owner {
    std::uint32_t record = TransportRecord::none;
    std::uint32_t life = 0;
  };
  Owner owner(std::uint64_t number) const noexcept;

  enum class Claim : std::uint8_t { received, stored };
  /// Of the 64 numbers from `word` * 64 on, those with a bit in `bits` that are remembered and were not
  /// claimed before; they are now.
  std::uint64_t claim(Claim claim, std::uint64_t word, std::uint64_t bits) noexcept;
  /// Whether any number in [first, end) was received.
  bool any_received(std::uint64_t first, std::uint64_t end) const noexcept;

 private:
  struct Slot {
    std::uint64_t number = UINT64_MAX;
    Owner owner;
  };
  std::size_t word_at(std::uint64_t word) const noexcept { return word & (received_.size() - 1); }

  std::vector<Slot> slots_;
  std::vector<std::uint64_t> received_;
  std::vector<std::uint64_t> stored_;
  std::uint64_t next_ = 0;
};

/// Deadlines, to within a tick: buckets of records that are looked at when their time has come.
class DeadlineWheel {
 public:
  static constexpr std::size_t buckets = 256;
  /// A tick is rounded up to a power of two.
  explicit DeadlineWheel(std::uint64_t tick_ns) noexcept;

  void add(RecordTable& table, std::uint32_t at) noexcept;
  void remove(RecordTable& table, std::uint32_t at) noexcept;
  /// Calls expire(record) for what is due; that removes the record or gives it a later deadline.
  template <typename Expire>
  void advance(RecordTable& table, std::uint64_t now_ns, Expire expire) noexcept {
    const std::uint64_t last = now_ns >> shift_;
    if (count_ == 0 || last <= done_) {
      done_ = last > done_ ? last : done_;
      return;
    }
    const std::uint64_t first = last - done_ >= buckets ? last - buckets + 1 : done_ + 1;
    for (std::uint64_t tick = first; tick <= last; ++tick) {
      for (std::uint32_t at = lists_[tick % buckets].head; at != TransportRecord::none;) {
        const std::uint32_t next = table.next(TransportRecord::by_deadline, at);
        if (table[at].deadline_ns <= now_ns) expire(at);
        at = next;
      }
    }
    done_ = last;
  }
  /// Not later than the first time at which something is due; UINT64_MAX for never.
  std::uint64_t next() const noexcept;

 private:
  /// The first tick at whose begin the deadline has passed.
  std::size_t bucket_of(std::uint64_t deadline_ns) const noexcept {
    return static_cast<std::size_t>((((deadline_ns - 1) >> shift_) + 1) % buckets);
  }

  unsigned shift_;          // of ns to ticks
  std::uint64_t done_ = 0;  // ticks
  std::uint64_t count_ = 0;
  std::uint64_t filled_[buckets / 64] = {};  // bit i % 64 of word i / 64: list i is not empty
  RecordList lists_[buckets];
};

}  // namespace ssn::protocol
