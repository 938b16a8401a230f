// SPDX-License-Identifier: BSD-3-Clause
// Whom a read asks, and when it asks somebody else.
#include <algorithm>
#include <array>
#include <bit>

#include "ssa_read.h"

namespace ssn::roles {
namespace {

// A holder that is later than that many times `late` does not count as one that still may answer.
constexpr std::uint64_t silent_factor = 2;
// One that said nothing for that many times the longest `late` is not waited for, even if nothing can be
// checked without it.
constexpr std::uint64_t mute_factor = 2;
// A holder that was late is asked only where there is no better one, for so long; twice as long each time.
constexpr std::uint64_t late_memory_ns = 500'000'000;
constexpr unsigned most_doublings = 6;
// What was asked for and never came is asked for again.
constexpr std::uint64_t ask_again_ns = 1'500'000'000;

}  // namespace

// Cells whose share of that holder is not to be waited for, even where fewer are there than can be checked:
// it is slow for good, or gone.
std::uint64_t SsaRead::unlikely(std::size_t at, unsigned index, std::uint64_t now) noexcept {
  constexpr std::uint64_t all = UINT64_MAX;
  const HolderLink& link = context_->holders[members_[index].holder];
  if (link.channel->suspect()) return all;
  const Ask& ask = ask_of(at, index);
  const std::uint64_t contested = batches_[at].contested;
  // What is undecided waits for everybody all the same: work().
  const std::uint64_t if_asked = !ask.silent ? 0 : ask.mute || link.mute ? all : contested;
  const std::uint64_t if_not = link.mute && now < link.shaky_until_ns ? ~contested : 0;
  return (ask.asked & if_asked) | (~ask.asked & if_not);
}

SsaRead::Counts SsaRead::count(std::size_t at, std::uint64_t now) noexcept {
  Counts counts;
  for (unsigned i = 0; i < n_; ++i) {
    if (!members_[i].sealed || members_[i].banned) continue;
    const Ask& ask = ask_of(at, i);
    const bool connected = channel_of(i) != nullptr;
    const std::uint64_t possible = ask.there | ~ask.failed;
    const std::uint64_t there_or = connected ? possible : 0;
    counts.have.add(ask.there);
    counts.coming.add(ask.there | (ask.late ? 0 : there_or & ask.asked));
    counts.attainable.add(ask.there | (connected ? there_or & ~unlikely(at, i, now) : 0));
    counts.possible.add(possible);
  }
  return counts;
}

SsaRead::Counted SsaRead::of(const Counts& counts, unsigned cell) const noexcept {
  const auto planes = static_cast<unsigned>(std::bit_width(n_));
  return {counts.have.of(cell, planes), counts.coming.of(cell, planes), counts.attainable.of(cell, planes),
          counts.possible.of(cell, planes)};
}

// How many shares a cell is recovered from.
unsigned SsaRead::enough(const Batch& batch, unsigned cell, const Counted& counted) const noexcept {
  const bool contested = (batch.contested >> cell & 1) != 0;
  const unsigned wanted = contested ? n_ : std::min(k_ + options_.surplus, n_);
  return std::max(k_, std::min(wanted, counted.attainable));
}

void SsaRead::note_late(std::size_t at, std::uint64_t now) noexcept {
  Batch& batch = batches_[at];
  for (unsigned i = 0; i < n_; ++i) {
    Ask& ask = ask_of(at, i);
    HolderLink& link = context_->holders[members_[i].holder];
    if (ask.busy != 0 && now >= ask.busy_ns) {
      ask.busy = 0;
      batch.look = true;
    }
    const std::uint64_t waits = ask.asked & ~ask.got & batch.wanted;
    if (waits == 0) continue;
    const std::uint64_t since = now - std::max(ask.heard_ns, ask.asked_ns);
    const std::uint64_t late = link.answers.late_ns(options_);
    if (!ask.late && since > late) {
      ask.late = true;
      link.answers.note_late(now - ask.asked_ns);
      if (now >= link.shaky_until_ns) {
        link.shaky_until_ns = now + (late_memory_ns << std::min(link.late_times, most_doublings));
        ++link.late_times;
      }
      ++context_->counters.holders_late;
      batch.look = true;
    }
    if (!ask.silent &&
        (since > late * silent_factor || (link.channel != nullptr && link.channel->suspect()))) {
      ask.silent = ask.late = batch.look = true;
    }
    if (!ask.mute && since > options_.most_late_ns * mute_factor) {
      ask.mute = link.mute = batch.look = true;
    }
    if (now - ask.asked_ns > ask_again_ns) {
      unask(at, i, waits);
      batch.look = true;
    }
  }
}

std::uint64_t SsaRead::score(unsigned index, std::uint64_t now) const noexcept {
  const HolderLink& link = context_->holders[members_[index].holder];
  std::uint64_t score =
      link.answers.smoothed_ns() / 16 * (16 + std::min<std::uint32_t>(link.asked, 4096) / 8);
  if (link.channel->suspect()) score += 1'000'000'000'000;
  if (now < link.shaky_until_ns) score += 1'000'000'000;
  return score;
}

void SsaRead::unask(std::size_t at, unsigned index, std::uint64_t cells) noexcept {
  Ask& ask = ask_of(at, index);
  const std::uint64_t waits = ask.asked & ~ask.got & cells;
  HolderLink& link = context_->holders[members_[index].holder];
  const auto count = static_cast<std::uint32_t>(std::popcount(waits));
  link.asked -= std::min(link.asked, count);
  ask.asked &= ~waits;
}

bool SsaRead::ask(std::size_t at, unsigned index, std::uint64_t cells, std::uint64_t now) noexcept {
  const Batch& batch = batches_[at];
  const auto skipped = static_cast<unsigned>(std::countr_zero(cells));
  protocol::ReadRequest request;
  request.request = std::uint64_t{session_} << 16 | std::uint64_t{at} << 8 | batch.life;
  request.count = static_cast<std::uint16_t>(64 - std::countl_zero(cells) - static_cast<int>(skipped));
  for (unsigned i = 0; i < request.count; ++i) {
    if ((cells >> (i + skipped) & 1) != 0) protocol::name_cell(request.bitmap, i);
  }
  std::array<std::uint8_t, protocol::read_request_bytes> payload;
  protocol::write_read_request(request, payload.data());
  const protocol::Placement what{key_.object, batch.first + skipped, key_.generation, batch.attempt,
                                 static_cast<std::uint8_t>(index + 1)};
  if (!channel_of(index)->post(protocol::PacketType::read, what, payload, protocol::no_token,
                               now + ask_again_ns, now)) {
    return false;
  }
  Ask& ask = ask_of(at, index);
  ask.asked |= cells;
  ask.asked_ns = ask.heard_ns = now;
  ask.late = ask.silent = ask.mute = false;
  context_->holders[members_[index].holder].asked += static_cast<std::uint32_t>(std::popcount(cells));
  context_->counters.shares_asked += static_cast<std::uint64_t>(std::popcount(cells));
  return true;
}

// Another holder for every cell of which too few shares are there or should come soon.
void SsaRead::ask_more(std::size_t at, std::uint64_t now) noexcept {
  const Batch& batch = batches_[at];
  std::array<std::uint64_t, 4> refused{};  // holders whose channels have no room now
  for (unsigned round = 0; round < n_; ++round) {
    std::uint64_t lacking = 0;
    const Counts counts = count(at, now);
    for (std::uint64_t rest = batch.wanted; rest != 0; rest &= rest - 1) {
      const auto cell = static_cast<unsigned>(std::countr_zero(rest));
      const Counted counted = of(counts, cell);
      if (counted.coming < enough(batch, cell, counted)) lacking |= std::uint64_t{1} << cell;
    }
    if (lacking == 0) return;
    unsigned best = n_;
    std::uint64_t best_score = UINT64_MAX;
    for (unsigned step = 0; step < n_; ++step) {
      const auto i = static_cast<unsigned>((batch.first / batch_cells + step) % n_);  // takes turns
      const Ask& its = ask_of(at, i);
      if (!present(i) || (lacking & ~its.asked & ~its.failed & ~its.busy) == 0 ||
          (refused[i / 64] >> i % 64 & 1) != 0) {
        continue;
      }
      if (const std::uint64_t its_score = score(i, now); its_score < best_score) {
        best = i;
        best_score = its_score;
      }
    }
    if (best == n_) return;
    const Ask& its = ask_of(at, best);
    if (!ask(at, best, lacking & ~its.asked & ~its.failed & ~its.busy, now)) {
      refused[best / 64] |= std::uint64_t{1} << best % 64;
      short_ = batches_[at].look = true;
    }
  }
}

void SsaRead::work(std::size_t at, std::uint64_t now) noexcept {
  Batch& batch = batches_[at];
  note_late(at, now);
  if (!batch.look && now < batch.deadline_ns) return;
  batch.look = false;
  ask_more(at, now);
  work_on(at, now);
}

// Looks at each cell that is wanted.
void SsaRead::work_on(std::size_t at, std::uint64_t now) noexcept {
  Batch& batch = batches_[at];
  Counts counts = count(at, now);
  recount_ = false;
  for (std::uint64_t rest = batch.wanted; rest != 0; rest &= rest - 1) {
    const auto cell = static_cast<unsigned>(std::countr_zero(rest));
    const std::uint64_t bit = std::uint64_t{1} << cell;
    const Counted counted = of(counts, cell);
    if ((batch.undecided & bit) == 0 && counted.have >= enough(batch, cell, counted)) {
      const Given given = give(at, cell, now);
      if (given == Given::not_now) {  // there is no room for the others, either
        batch.look = true;
        break;
      }
      if (given == Given::not_yet || recount_) counts = count(at, now);
      recount_ = false;
      if (given == Given::given) continue;
    }
    const bool over = now >= batch.deadline_ns;
    if ((batch.undecided & bit) != 0 && (over || counted.possible == counted.have)) {
      contradict(at, cell);
    } else if (counted.possible < k_) {
      refuse(at, cell, protocol::AnswerCode::incomplete);
    } else if (over) {
      const bool contested = (batch.contested & bit) != 0;
      refuse(at, cell, contested ? protocol::AnswerCode::quarantined : protocol::AnswerCode::incomplete);
    }
  }
}

}  // namespace ssn::roles
