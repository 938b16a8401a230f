// SPDX-License-Identifier: BSD-3-Clause
#include "ssn/protocol/transport_receiver.h"

#include <algorithm>
#include <cassert>
#include <cstring>

#include "bit_order.h"
#include "planted_faults.h"
#include "ssn/protocol/gcm_channel.h"
#include "ssn/protocol/one_time_check.h"

namespace ssn::protocol {
namespace {

/// Packet numbers that are remembered: more than the bitmap names.
constexpr std::uint64_t seen_numbers = 4096;
constexpr std::int64_t bitmap_numbers = Acknowledgement::bitmap_bytes * 8;

std::uint64_t whole(std::uint64_t bytes) noexcept {
  return (bytes + pad_alignment - 1) / pad_alignment * pad_alignment;
}

/// What a packet takes of D, or its number under AES-256-GCM; empty for what has no range.
Acknowledgement::Range range_of(const PacketHeader& header, std::uint32_t range_length) noexcept {
  if ((header.flags & flag_computational) != 0) return {header.number, header.number + 1};
  if (!has_pad_range(header.type)) return {};
  const std::uint64_t check = is_padded(header.type) ? 0 : whole(order_check_bytes);
  return {header.d_offset, header.d_offset + whole(range_length) + check};
}

/// Whether the opener took the packet in, so that its sender may forget it.
bool was_taken(OpenResult result) noexcept {
  switch (result) {
    case OpenResult::opened:
    case OpenResult::kept:
    case OpenResult::masked:
    case OpenResult::contributed:
    case OpenResult::acknowledgement:
    case OpenResult::gone_answer:
    case OpenResult::message:
    case OpenResult::repeated:
      return true;
    case OpenResult::pad_gone:
      return planted(PlantedFault::gone_is_received);
    case OpenResult::none:
    case OpenResult::dropped:
    case OpenResult::alarm:
      break;
  }
  return false;
}

/// Whether its owner will ever say that it is stored.
bool can_be_stored(OpenResult result) noexcept {
  return result == OpenResult::opened || result == OpenResult::kept || result == OpenResult::contributed ||
         result == OpenResult::repeated;
}

}  // namespace

TransportReceiver::Space::Space(const ReceiverOptions& options, bool used)
    : received(used ? options.received_ranges : 1),
      stored(used ? options.stored_ranges : 1),
      seen(used ? seen_numbers / 64 : 1, 0) {}

void TransportReceiver::Space::mark(std::uint64_t number) noexcept {
  const std::uint64_t word = number / 64;
  const std::uint64_t last = next == 0 ? 0 : (next - 1) / 64;
  if (number >= next) {
    const std::uint64_t leap = std::min<std::uint64_t>(word - last, seen.size());
    for (std::uint64_t i = 0; i < leap; ++i) seen[(word - i) % seen.size()] = 0;
    next = number + 1;
  } else if (last - word >= seen.size()) {
    return;  // too long ago
  }
  seen[word % seen.size()] |= std::uint64_t{1} << (number % 64);
}

// Bit i: whether packet first + i was seen, all of them below the newest one.
std::uint64_t TransportReceiver::Space::seen_from(std::int64_t first) const noexcept {
  if (first <= -64) return 0;
  if (first < 0) return seen[0] << -first;
  const auto word = static_cast<std::uint64_t>(first) / 64;
  const auto shift = static_cast<unsigned>(first % 64);
  const std::uint64_t low = seen[word % seen.size()] >> shift;
  return shift == 0 ? low : low | seen[(word + 1) % seen.size()] << (64 - shift);
}

TransportReceiver::TransportReceiver(const ReceiverOptions& options)
    : options_(options), pads_(options, true), cipher_(options, options.computational) {}

void TransportReceiver::remember(Space& space, const Cell& cell, ReceiverCounters& counters) noexcept {
  const Acknowledgement::Range range = range_of(cell.header, cell.range_length);
  if (range.begin == range.end) return;
  if (!space.received.add(range.begin, range.end)) ++counters.forgotten;
  // What nobody will store must not be a hole in what is.
  if (!can_be_stored(cell.open_result) && !space.stored.add(range.begin, range.end)) ++counters.forgotten;
}

void TransportReceiver::arrive(const Cell& cell, std::uint64_t now_ns) noexcept {
  const bool computational = (cell.header.flags & flag_computational) != 0;
  Space& space = computational ? cipher_ : pads_;
  const std::uint64_t number = cell.header.number;
  const bool in_order = number == space.next;
  if (number >= space.next) space.largest_ns = now_ns;
  space.mark(number);
  remember(space, cell, counters_);
  if (computational) {  // its key was taken from D
    const std::uint64_t key = cell.header.d_offset;
    if (!pads_.received.add(key, key + whole(gcm_key_bytes)) ||
        !pads_.stored.add(key, key + whole(gcm_key_bytes))) {
      ++counters_.forgotten;
    }
  }
  if (cell.open_result == OpenResult::acknowledgement) return;
  ++counters_.arrived;
  ++space.waiting;
  const bool repeated = cell.open_result == OpenResult::repeated;
  counters_.repeated += repeated ? 1 : 0;
  counters_.out_of_order += in_order ? 0 : 1;
  const bool at_once =
      !in_order || repeated || space.waiting >= options_.every || cell.header.type == PacketType::ping;
  space.due_ns = std::min(space.due_ns, at_once ? now_ns : now_ns + options_.most_delay_ns);
  if (cell.header.type == PacketType::ping) {  // asks for everything
    for (Space* const each : {&pads_, &cipher_}) {
      if (each->stored.below() != 0 || !each->stored.ranges().empty()) each->stored_due_ns = now_ns;
      if (each->next != 0) each->due_ns = now_ns;
    }
  }
}

void TransportReceiver::arrived(std::span<Cell* const> cells, std::uint64_t now_ns) noexcept {
  for (const Cell* const cell : cells) {
    assert(cell->open_result == OpenResult::dropped || cell->header.key_index == options_.key_index);
    const bool computational = (cell->header.flags & flag_computational) != 0;
    if (was_taken(cell->open_result) && (!computational || options_.computational)) arrive(*cell, now_ns);
  }
}

void TransportReceiver::ping(const Ping& ping) noexcept {
  pads_.received.raise(ping.d_below);
  pads_.stored.raise(ping.d_below);
  if (options_.computational) {
    cipher_.received.raise(ping.number_below);
    cipher_.stored.raise(ping.number_below);
  }
}

bool TransportReceiver::stored(const PacketHeader& header, std::uint32_t range_length,
                               std::uint64_t now_ns) noexcept {
  const bool computational = (header.flags & flag_computational) != 0;
  if (computational && !options_.computational) return false;
  Space& space = computational ? cipher_ : pads_;
  const Acknowledgement::Range range = range_of(header, range_length);
  if (range.begin == range.end || !space.stored.add(range.begin, range.end)) return false;
  space.stored_due_ns = std::min(space.stored_due_ns, now_ns + options_.most_stored_delay_ns);
  return true;
}

// A sender that was told of little room may have stopped: growth is told at once, shrinking whenever.
void TransportReceiver::set_credit(std::uint32_t cells, std::uint64_t now_ns) noexcept {
  credit_ = cells;
  if (told_credit_ < cells / 4) credit_due_ns_ = std::min(credit_due_ns_, now_ns);
}

std::uint64_t TransportReceiver::next_due() const noexcept {
  const std::uint64_t credit = pads_.next != 0 || cipher_.next != 0 ? credit_due_ns_ : UINT64_MAX;
  return std::min({pads_.due_ns, pads_.stored_due_ns, cipher_.due_ns, cipher_.stored_due_ns, credit});
}

void TransportReceiver::fill(const Space& space, bool computational, Acknowledgement::Kind kind,
                             std::size_t& told, std::uint64_t now_ns, Acknowledgement& out) const noexcept {
  out = Acknowledgement{};
  out.kind = kind;
  out.flags = computational ? flag_computational : 0;
  out.key_index = options_.key_index;
  out.credit = credit_;
  const bool received = kind == Acknowledgement::Kind::received;
  if (received) {
    out.largest = space.next - 1;
    out.delay_us =
        static_cast<std::uint32_t>(std::min<std::uint64_t>((now_ns - space.largest_ns) / 1000, UINT32_MAX));
    // Bit i is packet largest - 1 - i: the other way round than the bits of what was seen.
    for (int part = 0; part < 4; ++part) {
      const std::int64_t first = static_cast<std::int64_t>(out.largest) - bitmap_numbers + 64 * part;
      const std::uint64_t bits = reversed(space.seen_from(first));
      std::memcpy(out.bitmap.data() + 8 * (3 - part), &bits, sizeof bits);
    }
  }
  const RangeSet& set = received || planted(PlantedFault::stored_early) ? space.received : space.stored;
  const std::span<const Acknowledgement::Range> ranges = set.ranges();
  out.below = set.below();
  // Where there are more than one packet holds, the next one goes on.
  if (told >= ranges.size()) told = 0;
  const std::size_t count = std::min(ranges.size() - told, Acknowledgement::max_ranges);
  std::copy_n(ranges.begin() + static_cast<std::ptrdiff_t>(told), count, out.ranges.begin());
  out.range_count = static_cast<std::uint16_t>(count);
  told = ranges.size() > Acknowledgement::max_ranges ? told + count : 0;
}

std::size_t TransportReceiver::acknowledge(std::span<Acknowledgement> out, std::uint64_t now_ns) noexcept {
  assert(out.size() >= most_acknowledgements);
  if (credit_due_ns_ <= now_ns) {
    Space& space = pads_.next != 0 ? pads_ : cipher_;
    if (space.next != 0) space.due_ns = now_ns;
  }
  std::size_t made = 0;
  for (Space* const space : {&pads_, &cipher_}) {
    const bool computational = space == &cipher_;
    if (space->due_ns <= now_ns) {
      fill(*space, computational, Acknowledgement::Kind::received, space->told_received, now_ns, out[made++]);
      space->due_ns = UINT64_MAX;
      space->waiting = 0;
    }
    if (space->stored_due_ns <= now_ns) {
      fill(*space, computational, Acknowledgement::Kind::stored, space->told_stored, now_ns, out[made++]);
      space->stored_due_ns = UINT64_MAX;
    }
  }
  if (made != 0) {
    told_credit_ = credit_;
    credit_due_ns_ = UINT64_MAX;
    counters_.acknowledgements += made;
  }
  return made;
}

}  // namespace ssn::protocol
