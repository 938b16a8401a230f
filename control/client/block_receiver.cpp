// SPDX-License-Identifier: BSD-3-Clause
#include <algorithm>
#include <array>
#include <cassert>
#include <cstring>

#include "transfer.h"
#include "transfer_errors.h"

namespace ssn::client {

using protocol::Answer;
using protocol::AnswerCode;
using protocol::Cell;
using protocol::PacketType;
using protocol::Settled;

namespace {

constexpr const char* what = "cannot read the object";
constexpr std::uint32_t ranges_wanted = 8;
constexpr std::uint64_t least_retry_ns = 1'000'000;
constexpr std::uint64_t most_retry_ns = 1'000'000'000;
// Holders that did not answer in time may do so the next time; those that have nothing will not.
constexpr std::uint64_t second_try_ns = 1'000'000'000;

std::uint32_t span_for(std::uint32_t window) {
  return std::clamp<std::uint32_t>(window / ranges_wanted, 1, protocol::max_named_cells);
}

}  // namespace

Result<std::unique_ptr<BlockReceiver>> BlockReceiver::make(SessionLink& link, const TransferObject& object,
                                                           const agent::Session& session, DataSink& sink,
                                                           const TransferLimits& limits) {
  const std::uint32_t span = span_for(session.window_blocks);
  const std::uint32_t ranges = std::max(1U, session.window_blocks / span);
  Result<hw::SecretBuffer> ring = hw::SecretBuffer::make(std::size_t{span} * ranges * session.block_bytes);
  if (!ring.ok()) {
    return ring.error();
  }
  return std::unique_ptr<BlockReceiver>(
      new BlockReceiver(link, object, session, sink, limits, std::move(ring.value())));
}

BlockReceiver::BlockReceiver(SessionLink& link, const TransferObject& object, const agent::Session& session,
                             DataSink& sink, const TransferLimits& limits, hw::SecretBuffer ring)
    : link_(link),
      object_(object),
      block_bytes_(session.block_bytes),
      size_(session.size),
      blocks_(session.blocks),
      sink_(sink),
      limits_(limits),
      span_(span_for(session.window_blocks)),
      ranges_(std::max(1U, session.window_blocks / span_)),
      ring_(std::move(ring)) {}

// Asks for ranges while the ring has room, and again for what does not come.
void BlockReceiver::ask(std::uint64_t now_ns) {
  while (asked_ < blocks_) {
    Range& range = range_of(asked_);
    if (range.count != 0) {
      break;
    }
    range = Range{};
    range.first = asked_;
    range.count = static_cast<std::uint32_t>(std::min<std::uint64_t>(span_, blocks_ - asked_));
    range.missing = range.count;
    for (std::uint32_t i = 0; i < range.count; ++i) {
      protocol::name_cell(range.wanted, i);
    }
    asked_ += range.count;
  }
  for (Range& range : ranges_) {
    if (range.count != 0 && range.missing != 0 && range.ask_ns <= now_ns && !ask_for(range, now_ns)) {
      break;
    }
  }
}

bool BlockReceiver::ask_for(Range& range, std::uint64_t now_ns) {
  std::array<std::uint8_t, protocol::read_request_bytes> payload;
  // Asked again it is the same request: answers may be slow, and are about both.
  const std::uint64_t number = range.request != 0 ? range.request : last_request_ + 1;
  const protocol::ReadRequest request{number, static_cast<std::uint16_t>(range.count), range.wanted};
  protocol::write_read_request(request, payload.data());
  const protocol::Placement placement{.object = object_.object,
                                      .cell = static_cast<std::uint32_t>(range.first),
                                      .generation = object_.generation};
  if (!link_.channel().post(PacketType::read, placement, payload, protocol::no_token,
                            now_ns + limits_.ask_again_ns, now_ns)) {
    return false;
  }
  last_request_ = std::max(last_request_, number);
  range.request = number;
  range.answered = false;
  range.ask_ns = now_ns + limits_.ask_again_ns;
  return true;
}

bool BlockReceiver::has(std::uint64_t block) noexcept {
  const Range& range = range_of(block);
  return range.count != 0 && block >= range.first && block - range.first < range.count &&
         !protocol::names_cell(range.wanted, block - range.first);
}

// A block may come twice: the transport does not know packets under AES-256-GCM again.
void BlockReceiver::take_block(const Cell& cell, std::uint64_t now_ns) {
  const std::uint64_t block = cell.header.placement.cell;
  Range& range = range_of(block);
  if (cell.length != block_bytes_ || range.request == 0 || range.count == 0 || block < range.first ||
      block - range.first >= range.count || !protocol::names_cell(range.wanted, block - range.first)) {
    return;
  }
  std::memcpy(ring_.data() + slot_of(block) * block_bytes_, cell.data, block_bytes_);
  const std::size_t at = block - range.first;
  range.wanted[at / 8] = static_cast<std::uint8_t>(range.wanted[at / 8] & ~(1U << (at % 8)));
  --range.missing;
  ++arrived_;
  range.ask_ns = range.answered ? range.ask_ns : now_ns + limits_.ask_again_ns;
  progress_ns_ = now_ns;
}

Outcome BlockReceiver::take_answer(const Cell& cell, std::uint64_t now_ns) {
  const auto answer = protocol::read_answer({cell.data, cell.length});
  if (!answer || answer->type != PacketType::read || answer->code == AnswerCode::done) {
    return done;
  }
  const auto range = std::find_if(ranges_.begin(), ranges_.end(), [&](const Range& each) {
    return each.count != 0 && each.missing != 0 && each.request != 0 && each.request == answer->request;
  });
  if (range == ranges_.end()) {
    return done;  // it was served meanwhile
  }
  if (answer->code == AnswerCode::busy) {
    range->answered = true;
    range->ask_ns = now_ns + std::clamp<std::uint64_t>(answer->retry_us * std::uint64_t{1000}, least_retry_ns,
                                                       most_retry_ns);
    return done;
  }
  // About blocks that are still missing?
  const std::uint64_t first = cell.header.placement.cell;
  bool missing = answer->count == 0;
  for (std::uint32_t i = 0; i < answer->count && !missing; ++i) {
    const std::uint64_t block = first + i;
    missing = protocol::names_cell(answer->bitmap, i) && block >= range->first &&
              block - range->first < range->count &&
              protocol::names_cell(range->wanted, block - range->first);
  }
  if (missing && answer->code == AnswerCode::incomplete && range->refusals++ == 0) {
    range->answered = true;
    range->ask_ns = now_ns + std::min(second_try_ns, limits_.ask_again_ns);
    return done;
  }
  return missing ? Outcome(error_of(*answer, what)) : Outcome(done);
}

Outcome BlockReceiver::take(std::span<Cell* const> delivered, std::uint64_t now_ns) {
  Outcome result = done;
  for (const Cell* const cell : delivered) {
    const protocol::Placement& placement = cell->header.placement;
    if (placement.object != object_.object || placement.generation != object_.generation || !result.ok()) {
      continue;
    }
    if (cell->open_result == protocol::OpenResult::opened && placement.share == 0) {
      take_block(*cell, now_ns);
    } else if (cell->header.type == PacketType::answer) {
      result = take_answer(*cell, now_ns);
    }
  }
  link_.arena().give_back(delivered);
  return result;
}

// Hands over what is complete from the front, in pieces as long as the ring has them. Whether the sink wants
// to be asked before it takes more.
Result<bool> BlockReceiver::write(bool ready) {
  while (ready && written_ < size_) {
    const std::uint64_t first = written_ / block_bytes_;
    const std::uint64_t turn_end = (first / (span_ * ranges_.size()) + 1) * span_ * ranges_.size();
    std::uint64_t end = first;
    while (end < std::min(turn_end, blocks_) && has(end)) {
      ++end;
    }
    if (end == first) {
      return false;
    }
    const std::uint64_t bytes = std::min(end * block_bytes_, size_) - written_;
    const std::uint8_t* const from = ring_.data() + slot_of(first) * block_bytes_ + written_ % block_bytes_;
    const Result<std::size_t> taken = sink_.write({from, static_cast<std::size_t>(bytes)});
    if (!taken.ok()) {
      return taken.error();
    }
    assert(taken.value() <= bytes);
    written_ += taken.value();
    const std::uint64_t kept = written_ == size_ ? blocks_ : written_ / block_bytes_;
    for (std::uint64_t block = first; block < kept; ++block) {  // ranges that are through
      Range& range = range_of(block);
      if (block + 1 == range.first + range.count) {
        range.count = 0;
      }
    }
    if (taken.value() != bytes) {
      return true;
    }
    ready = sink_.poll_fd() < 0;
  }
  return written_ < size_ && sink_.poll_fd() >= 0 && has(written_ / block_bytes_);
}

// Requests have no tokens; what comes back is taken so that their cells go back to the arena.
Outcome BlockReceiver::settle() {
  std::array<Settled, SessionLink::max_burst> settled;
  while (link_.channel().take_settled(settled) != 0) {
  }
  return link_.channel().ended() ? Outcome(session_ended(what)) : Outcome(done);
}

std::uint64_t BlockReceiver::next_ask() const noexcept {
  std::uint64_t next = UINT64_MAX;
  for (const Range& range : ranges_) {
    if (range.count != 0 && range.missing != 0) {
      next = std::min(next, range.ask_ns);
    }
  }
  return next;
}

Outcome BlockReceiver::run(Watch& watch) {
  std::array<Cell*, SessionLink::max_burst> delivered;
  std::array<pollfd, 2> others{};
  progress_ns_ = clock_ns();
  bool ready = sink_.poll_fd() < 0;
  while (written_ < size_) {
    const std::uint64_t now = clock_ns();
    const Result<std::size_t> came = link_.turn(now, delivered);
    Outcome outcome = came.ok() ? take({delivered.data(), came.value()}, now) : Outcome(came.error());
    outcome = outcome.ok() ? settle() : outcome;
    if (!outcome.ok()) {
      return outcome;
    }
    const Result<bool> blocked = write(ready);
    if (!blocked.ok()) {
      return blocked.error();
    }
    ask(now);
    if (Outcome flushed = link_.flush(); !flushed.ok()) {
      return flushed;
    }
    if (watch.progress) {
      watch.progress(written_, size_);
    }
    if (written_ == size_) {
      break;
    }
    if (blocked.value() || arrived_ == asked_) {
      progress_ns_ = now;  // it is the sink that is slow
    } else if (now > progress_ns_ && now - progress_ns_ > limits_.patience_ns) {
      return silent(what, limits_.patience_ns);
    }
    others[0] = {watch.stop_fd, POLLIN, 0};
    others[1] = {blocked.value() ? sink_.poll_fd() : -1, POLLOUT, 0};
    const bool more = came.value() == delivered.size() || (blocked.value() && sink_.poll_fd() < 0);
    const std::uint64_t until = std::min(next_ask(), now + 1'000'000'000);
    if (Outcome waited = link_.wait(others, now, more ? 0 : until); !waited.ok()) {
      return waited;
    }
    if (others[0].revents != 0) {
      return stopped(what);
    }
    ready = sink_.poll_fd() < 0 || !blocked.value() || others[1].revents != 0;
  }
  return done;
}

}  // namespace ssn::client
