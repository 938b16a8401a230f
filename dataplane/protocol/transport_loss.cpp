// SPDX-License-Identifier: BSD-3-Clause
// What acknowledgements tell the sender: what arrived, what is durable, and from that what was lost. After
// RFC 9002, 5 to 7.
#include <algorithm>
#include <bit>
#include <cstring>

#include "bit_order.h"
#include "planted_faults.h"
#include "ssn/protocol/transport_sender.h"

namespace ssn::protocol {
namespace {

constexpr std::uint32_t none = TransportRecord::none;
constexpr unsigned most_packet_threshold = 64;
constexpr unsigned most_time_threshold = 16;  // eighths
/// RFC 9002, 7.6.1.
constexpr std::uint64_t persistent_timeouts = 3;
/// As often a packet is sent again as soon as it is lost.
constexpr unsigned losses_at_once = 5;
/// Pings that say what is waited for no more: not more often than that.
constexpr std::uint64_t least_statement_ns = 1'000'000;
constexpr std::int64_t bitmap_numbers = Acknowledgement::bitmap_bytes * 8;

NumberMap::Claim claim_of(Acknowledgement::Kind kind) noexcept {
  return kind == Acknowledgement::Kind::stored ? NumberMap::Claim::stored : NumberMap::Claim::received;
}

}  // namespace

bool TransportSender::acknowledged(const Acknowledgement& acknowledgement, const PacketHeader& header,
                                   std::uint64_t now_ns) noexcept {
  if (acknowledgement.key_index != options_.key_index) return false;
  if (ended_) return true;
  const bool computational = (acknowledgement.flags & flag_computational) != 0;
  const bool received = acknowledgement.kind == Acknowledgement::Kind::received;
  Space& space = computational ? cipher_ : pads_;
  const bool pings_only = window_.in_flight() == 0;
  const std::uint64_t before = credit_ + counters_.stored + pads_.acknowledged_below;
  take_credit(acknowledgement, header);
  bool news = false;
  if (received) {
    sample(space, acknowledgement, now_ns);
    news = claim_bitmap(space, acknowledgement);
    if (space.numbers.next() != 0) {
      // Numbers behind those that are known here were acknowledgements.
      space.largest_received =
          std::max(space.largest_received, std::min(acknowledgement.largest, space.numbers.next()));
      space.any_received = true;
    }
    space.acknowledged_below = std::max(space.acknowledged_below, acknowledgement.below);
  } else {
    stored_heard_ns_ = now_ns;
  }
  news = (computational ? claim_number_ranges(acknowledgement) : claim_pad_ranges(acknowledgement)) || news;
  if (received && space.any_received) detect_losses(space, now_ns);
  // That a ping was answered brings no credit and no pads: whoever waits for these asks less and less often.
  if (news && (!pings_only || credit_ + counters_.stored + pads_.acknowledged_below > before)) back_off_ = 0;
  heard(now_ns);
  look_for_holes(space, acknowledgement, now_ns);
  pacer_.set_pace(window_, trip_);
  return true;
}

// The newest one counts: they may overtake each other.
void TransportSender::take_credit(const Acknowledgement& acknowledgement,
                                  const PacketHeader& header) noexcept {
  std::uint64_t& from = credit_from_[(header.flags & flag_computational) != 0 ? 1 : 0];
  if (header.number < from) return;
  from = header.number + 1;
  credit_ = acknowledgement.credit;
}

void TransportSender::sample(const Space& space, const Acknowledgement& acknowledgement,
                             std::uint64_t now_ns) noexcept {
  const NumberMap::Owner owner = space.numbers.owner(acknowledgement.largest);
  if (owner.record == none) return;
  const TransportRecord& record = table_[owner.record];
  if (record.life != owner.life || record.state != State::flying ||
      record.number != acknowledgement.largest) {
    return;
  }
  const std::uint64_t delay = std::uint64_t{acknowledgement.delay_us} * 1000;
  trip_.sample(now_ns - record.sent_ns, std::min(delay, options_.peer_delay_ns));
}

bool TransportSender::claim_word(Space& space, NumberMap::Claim claim, std::uint64_t word,
                                 std::uint64_t bits) noexcept {
  // What a ping has let go is not what the receiver has: it only stopped to count it as missing.
  if (space.stated_below > word * 64 && !planted(PlantedFault::claim_let_go)) {
    const std::uint64_t gone = space.stated_below - word * 64;
    bits = gone >= 64 ? 0 : bits & ~std::uint64_t{0} << gone;
  }
  bool news = false;
  std::uint64_t fresh = space.numbers.claim(claim, word, bits);
  for (; fresh != 0; fresh &= fresh - 1) {
    const std::uint64_t number = word * 64 + static_cast<std::uint64_t>(std::countr_zero(fresh));
    const NumberMap::Owner owner = space.numbers.owner(number);
    if (owner.record == none || table_[owner.record].life != owner.life) continue;
    news =
        (claim == NumberMap::Claim::received ? receive(owner.record, number) : store(owner.record, number)) ||
        news;
  }
  return news;
}

// Bit i is packet largest - 1 - i: turned around, bit j is packet largest - 256 + j.
bool TransportSender::claim_bitmap(Space& space, const Acknowledgement& acknowledgement) noexcept {
  bool news = false;
  for (int part = 0; part <= 4; ++part) {
    std::uint64_t bits = 1;  // `largest` itself
    if (part < 4) {
      std::memcpy(&bits, acknowledgement.bitmap.data() + 8 * (3 - part), sizeof bits);
      bits = reversed(bits);
    }
    std::int64_t first = static_cast<std::int64_t>(acknowledgement.largest) - bitmap_numbers + 64 * part;
    if (first <= -64) continue;
    if (first < 0) {
      bits >>= -first;
      first = 0;
    }
    const auto word = static_cast<std::uint64_t>(first) / 64;
    const unsigned shift = static_cast<unsigned>(first % 64);
    news = claim_word(space, NumberMap::Claim::received, word, bits << shift) || news;
    if (shift != 0) {
      news = claim_word(space, NumberMap::Claim::received, word + 1, bits >> (64 - shift)) || news;
    }
  }
  return news;
}

bool TransportSender::claim_numbers(Space& space, NumberMap::Claim claim, std::uint64_t begin,
                                    std::uint64_t end) noexcept {
  begin = std::max(begin, space.numbers.oldest());
  end = std::min(end, space.numbers.next());
  bool news = false;
  for (std::uint64_t word = begin / 64; word * 64 < end; ++word) {
    std::uint64_t bits = ~std::uint64_t{0};
    if (word == begin / 64) bits <<= begin % 64;
    if (end - word * 64 < 64) bits &= (std::uint64_t{1} << (end - word * 64)) - 1;
    news = claim_word(space, claim, word, bits) || news;
  }
  return news;
}

// Retransmissions of others may have taken so many numbers since that those of packets that wait for their
// store are not remembered any more; but these are few then, and in the order of their numbers.
bool TransportSender::claim_old_stored(const Acknowledgement& acknowledgement) noexcept {
  bool news = false;
  std::size_t range = 0;
  for (std::uint32_t at = cipher_.storing.head; at != none;) {
    const std::uint32_t next = table_.next(TransportRecord::by_storing, at);
    const std::uint64_t number = table_[at].number;
    if (number >= cipher_.numbers.oldest()) break;
    while (range < acknowledgement.range_count && acknowledgement.ranges[range].end <= number) ++range;
    const bool named = number < acknowledgement.below ||
                       (range < acknowledgement.range_count && acknowledgement.ranges[range].begin <= number);
    if (named && number >= cipher_.stated_below) news = store(at, number) || news;
    at = next;
  }
  return news;
}

bool TransportSender::claim_number_ranges(const Acknowledgement& acknowledgement) noexcept {
  const NumberMap::Claim claim = claim_of(acknowledgement.kind);
  std::uint64_t& below = cipher_.claimed_below[static_cast<std::size_t>(claim)];
  bool news = claim_numbers(cipher_, claim, below, acknowledgement.below);
  below = std::max(below, std::min(acknowledgement.below, cipher_.numbers.next()));
  for (std::size_t i = 0; i < acknowledgement.range_count; ++i) {
    const Acknowledgement::Range& range = acknowledgement.ranges[i];
    news = claim_numbers(cipher_, claim, range.begin, range.end) || news;
  }
  if (claim == NumberMap::Claim::stored) news = claim_old_stored(acknowledgement) || news;
  return news;
}

// Both are in order of D: one walk, which ends behind the last range. What it passes over is still missing.
bool TransportSender::claim_pad_ranges(const Acknowledgement& acknowledgement) noexcept {
  const bool stored = acknowledgement.kind == Acknowledgement::Kind::stored;
  const TransportRecord::List which = stored ? TransportRecord::by_storing : TransportRecord::by_range;
  bool news = false;
  std::size_t range = 0;
  for (std::uint32_t at = (stored ? pads_.storing : unreceived_).head; at != none;) {
    const std::uint32_t next = table_.next(which, at);
    const TransportRecord& record = table_[at];
    while (range < acknowledgement.range_count && acknowledgement.ranges[range].end < record.d_end) ++range;
    const bool below = record.d_end <= acknowledgement.below;
    if (!below && range == acknowledgement.range_count) break;
    if (below || acknowledgement.ranges[range].begin <= record.d_begin) {
      news = (stored ? store(at, UINT64_MAX) : receive(at, UINT64_MAX)) || news;
    }
    at = next;
  }
  return news;
}

// `number`: of the transmission that arrived; UINT64_MAX where only its range is known.
bool TransportSender::receive(std::uint32_t at, std::uint64_t number) noexcept {
  TransportRecord& record = table_[at];
  const bool earlier = number != UINT64_MAX && number != record.number;
  switch (record.state) {
    case State::flying:
      window_.left(record.bytes);
      window_.acknowledged(record.bytes, record.sent_ns);
      if (earlier) was_not_lost(space_of(record), number);
      break;
    case State::lost:
    case State::resting:
      was_not_lost(space_of(record), number == UINT64_MAX ? record.number : number);
      break;
    case State::held:
      if (record.arrived) return false;
      was_not_lost(space_of(record), number == UINT64_MAX ? record.number : number);
      record.arrived = true;
      return true;
    case State::received:
    case State::waiting:
    case State::stored:
    case State::expired:
    case State::free:
      return false;
  }
  if (record.computational) prove_key(record.d_begin);
  // That one is what will be stored.
  if (earlier && record.computational && record.until_stored) {
    record.number = number;
    link(at);
  }
  cells_in_flight_ -= record.cells;
  if (record.cell == nullptr) {  // a ping
    finish(at);
    return true;
  }
  ++counters_.received;
  if (table_.is_in(TransportRecord::by_range, at)) {
    table_.remove(unreceived_, TransportRecord::by_range, at);
  }
  if (!record.until_stored) deadlines_.remove(table_, at);
  move(at, State::received);
  return true;
}

bool TransportSender::store(std::uint32_t at, std::uint64_t number) noexcept {
  TransportRecord& record = table_[at];
  bool news = receive(at, number);  // what is durable has arrived
  if (!record.until_stored || record.is_stored || record.state == State::free ||
      record.state == State::expired) {
    return news;
  }
  record.is_stored = true;
  ++counters_.stored;
  deadlines_.remove(table_, at);
  table_.remove(space_of(record).storing, TransportRecord::by_storing, at);
  if (record.state == State::waiting) move(at, State::stored);
  return true;
}

// The network was slower, or mixed packets more, than was thought.
void TransportSender::was_not_lost(const Space& space, std::uint64_t number) noexcept {
  ++counters_.spurious;
  const std::uint64_t behind =
      space.largest_received > number ? space.largest_received - number + 1 : packet_threshold_;
  packet_threshold_ = std::max(packet_threshold_,
                               static_cast<unsigned>(std::min<std::uint64_t>(behind, most_packet_threshold)));
  time_threshold_ = std::min(time_threshold_ + 1, most_time_threshold);
  window_.not_lost();
}

// Numbers ascend, and so do times: behind the first one that is not lost none is.
void TransportSender::detect_losses(Space& space, std::uint64_t now_ns) noexcept {
  const std::uint64_t delay = trip_.loss_delay(time_threshold_);
  space.loss_at = UINT64_MAX;
  while (!space.flying.empty()) {
    const std::uint32_t at = space.flying.head;
    const TransportRecord& record = table_[at];
    if (record.number >= space.largest_received) break;
    const bool overtaken = record.number + packet_threshold_ <= space.largest_received;
    if (!overtaken && record.sent_ns + delay > now_ns) {
      space.loss_at = record.sent_ns + delay;
      break;
    }
    lose(space, at, now_ns);
  }
}

void TransportSender::lose(Space& space, std::uint32_t at, std::uint64_t now_ns) noexcept {
  TransportRecord& record = table_[at];
  ++counters_.lost;
  window_.left(record.bytes);
  const bool run = space.lost_run_number != UINT64_MAX &&
                   !space.numbers.any_received(space.lost_run_number + 1, record.number);
  if (!run) {
    space.lost_run_number = record.number;
    space.lost_run_ns = record.sent_ns;
  }
  (void)window_.lost(record.sent_ns, now_ns);
  const std::uint64_t longest = persistent_timeouts * trip_.probe_timeout(options_.peer_delay_ns);
  if (run && trip_.measured() && record.sent_ns - space.lost_run_ns >= longest) {
    window_.persistent();
    ++counters_.persistent;
    space.lost_run_number = UINT64_MAX;
  }
  // A ping is not sent again.
  if (record.cell == nullptr || planted(PlantedFault::lost_forgotten)) {
    cells_in_flight_ -= record.cells;
    return finish(at);
  }
  if (record.losses < UINT8_MAX) ++record.losses;
  if (record.losses <= losses_at_once || planted(PlantedFault::no_rest)) return move(at, State::lost);
  rest(at, now_ns);
}

// A receiver that does not take it, for whatever reason, is asked less and less often, and the others go on.
void TransportSender::rest(std::uint32_t at, std::uint64_t now_ns) noexcept {
  TransportRecord& record = table_[at];
  const std::uint64_t first = trip_.probe_timeout(options_.peer_delay_ns);
  const unsigned doubled = std::min(record.losses - losses_at_once, 20U);
  const std::uint64_t most = std::max(options_.most_probe_ns, first);
  record.rest_ns = now_ns + (first > most >> doubled ? most : first << doubled);
  table_.remove(list_of(record), TransportRecord::by_state, at);
  record.state = State::resting;
  std::uint32_t before = resting_.tail;
  while (before != none && table_[before].rest_ns > record.rest_ns) {
    before = table_[before].links[TransportRecord::by_state].previous;
  }
  table_.insert(resting_, TransportRecord::by_state, before, at);
}

// The receiver misses what will never come: given up, discarded before it was sent, or sent anew under
// another number. It can forget about that, and must, or its ring would wait for it.
void TransportSender::look_for_holes(const Space& space, const Acknowledgement& acknowledgement,
                                     std::uint64_t now_ns) noexcept {
  const std::uint64_t lowest = &space == &pads_ ? lowest_range() : lowest_number(space);
  const std::uint64_t pause = std::max(2 * trip_.smoothed(), least_statement_ns);
  if (planted(PlantedFault::holes_stay)) return;
  if (acknowledgement.below < lowest && now_ns >= ping_ns_ + pause) {
    pings_wanted_ = std::max(pings_wanted_, 1U);
  }
}

}  // namespace ssn::protocol
