// SPDX-License-Identifier: BSD-3-Clause
#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <cassert>
#include <cstring>
#include <limits>

#include "transfer.h"
#include "transfer_errors.h"

namespace ssn::client {

using protocol::Cell;
using protocol::Parcel;
using protocol::Settled;

namespace {

constexpr const char* what = "cannot write the object";
constexpr std::size_t staging_bytes = 256 << 10;
constexpr std::uint64_t blocks_max = std::numeric_limits<std::uint32_t>::max();  // of the wire

}  // namespace

Result<std::unique_ptr<BlockSender>> BlockSender::make(SessionLink& link, const TransferObject& object,
                                                       const agent::Session& session, DataSource& source,
                                                       const TransferLimits& limits) {
  Result<hw::SecretBuffer> staging = hw::SecretBuffer::make(staging_bytes);
  if (!staging.ok()) {
    return staging.error();
  }
  return std::unique_ptr<BlockSender>(
      new BlockSender(link, object, session, source, limits, std::move(staging.value())));
}

BlockSender::BlockSender(SessionLink& link, const TransferObject& object, const agent::Session& session,
                         DataSource& source, const TransferLimits& limits, hw::SecretBuffer staging)
    : link_(link),
      object_(object),
      block_bytes_(session.block_bytes),
      window_(session.window_blocks),
      source_(source),
      limits_(limits),
      staging_(std::move(staging)) {
  filled_.reserve(SessionLink::max_burst);
}

bool BlockSender::has_block() const noexcept {
  const std::size_t staged = staged_end_ - staged_begin_;
  return staged >= block_bytes_ || (ended_ && staged != 0);
}
bool BlockSender::wants_data() const noexcept { return !ended_ && !has_block(); }
bool BlockSender::done_sending() const noexcept { return ended_ && !has_block() && filled_.empty(); }

// Reads where less than a block is there, so that a fast source costs few system calls.
Outcome BlockSender::read_source(bool ready) {
  while (wants_data() && ready) {
    std::memmove(staging_.data(), staging_.data() + staged_begin_, staged_end_ - staged_begin_);
    staged_end_ -= staged_begin_;
    staged_begin_ = 0;
    const Result<std::size_t> read = source_.read(staging_.span().subspan(staged_end_));
    if (!read.ok()) {
      return read.error();
    }
    assert(read.value() <= staging_.size() - staged_end_);
    ended_ = read.value() == 0;
    staged_end_ += read.value();
    bytes_ += read.value();
    ready = source_.poll_fd() < 0;
  }
  const std::optional<std::uint64_t> size = source_.size();
  if (size && (bytes_ > *size || (ended_ && bytes_ < *size))) {
    return Error{Exit::temporary, what, "the input changed its size while it was read", "",
                 "try again when nobody writes to it"};
  }
  if (bytes_ > blocks_max * block_bytes_) {
    return Error{Exit::refused, what, fmt::format("an object has at most {} blocks", blocks_max), "",
                 "use a larger cell size, or several objects"};
  }
  return done;
}

// Cells with whole blocks, those first that were not taken the last time.
std::size_t BlockSender::fill(std::span<Parcel> parcels) {
  while (filled_.size() < parcels.size() && has_block()) {
    Cell* cell = nullptr;
    if (link_.arena().take({&cell, 1}) == 0) {
      break;
    }
    const std::size_t bytes = std::min<std::size_t>(block_bytes_, staged_end_ - staged_begin_);
    std::memcpy(cell->data, staging_.data() + staged_begin_, bytes);
    std::memset(cell->data + bytes, 0, block_bytes_ - bytes);
    staged_begin_ += bytes;
    cell->length = block_bytes_;
    cell->header.placement = {.object = object_.object,
                              .cell = static_cast<std::uint32_t>(next_block_++),
                              .generation = object_.generation};
    filled_.push_back(cell);
  }
  const std::size_t count = std::min(parcels.size(), filled_.size());
  for (std::size_t i = 0; i < count; ++i) {
    parcels[i] = Parcel{};
    parcels[i].cell = filled_[i];
    parcels[i].token = filled_[i]->header.placement.cell;
  }
  return count;
}

void BlockSender::send(std::uint64_t now_ns) {
  std::array<Parcel, SessionLink::max_burst> parcels;
  for (;;) {
    const std::uint64_t under_way = next_block_ - filled_.size() - received_;
    const std::uint32_t allowed = link_.channel().allowance(block_bytes_, 1, now_ns).packets;
    const std::uint64_t room =
        std::min<std::uint64_t>({allowed, parcels.size(), window_ > under_way ? window_ - under_way : 0});
    const std::size_t count = fill({parcels.data(), static_cast<std::size_t>(room)});
    if (count == 0) {
      return;
    }
    if (under_way == 0) {
      progress_ns_ = now_ns;  // it was the source that was slow
    }
    const std::size_t sent = link_.channel().send({parcels.data(), count}, now_ns);
    filled_.erase(filled_.begin(), filled_.begin() + static_cast<std::ptrdiff_t>(sent));
    if (sent != count) {
      return;
    }
  }
}

Outcome BlockSender::settle(std::uint64_t now_ns) {
  std::array<Settled, SessionLink::max_burst> settled;
  for (std::size_t count; (count = link_.channel().take_settled(settled)) != 0;) {
    for (std::size_t i = 0; i < count; ++i) {
      if (settled[i].how == Settled::How::expired) {
        return session_ended(what);
      }
      if (settled[i].how == Settled::How::received) {
        ++received_;
        progress_ns_ = now_ns;
      }
    }
  }
  return done;
}

// The SSA says something of the write only when it cannot go on with it.
Outcome BlockSender::take(std::span<Cell* const> delivered) {
  Outcome result = done;
  for (const Cell* const cell : delivered) {
    const std::span<const std::uint8_t> payload(cell->data, cell->length);
    const auto answer = cell->header.type == protocol::PacketType::answer ? protocol::read_answer(payload)
                                                                          : std::optional<protocol::Answer>();
    if (answer && answer->type == protocol::PacketType::cell && result.ok() &&
        cell->header.placement.object == object_.object) {
      result = error_of(*answer, what);
    }
  }
  link_.arena().give_back(delivered);
  return result;
}

Result<BlockSender::Sent> BlockSender::run(Watch& watch) {
  std::array<Cell*, SessionLink::max_burst> delivered;
  std::array<pollfd, 2> others{};
  progress_ns_ = clock_ns();
  bool ready = source_.poll_fd() < 0;
  for (;;) {
    const std::uint64_t now = clock_ns();
    const Result<std::size_t> came = link_.turn(now, delivered);
    Outcome outcome = came.ok() ? take({delivered.data(), came.value()}) : Outcome(came.error());
    outcome = outcome.ok() ? settle(now) : outcome;
    if (outcome.ok() && !done_sending()) {
      // Blocks, then what is read behind them, as long as both go on.
      send(now);
      outcome = read_source(ready);
      if (outcome.ok() && has_block()) {
        send(now);
      }
    }
    outcome = outcome.ok() ? link_.flush() : outcome;
    if (!outcome.ok()) {
      return outcome.error();
    }
    if (watch.progress) {
      watch.progress(std::min(bytes_, received_ * block_bytes_), source_.size().value_or(0));
    }
    if (done_sending() && received_ == next_block_) {
      return Sent{bytes_, next_block_};
    }
    const bool waits_for_ssa = received_ != next_block_;
    if (waits_for_ssa && now > progress_ns_ && now - progress_ns_ > limits_.patience_ns) {
      return silent(what, limits_.patience_ns);
    }
    if (link_.channel().ended()) {
      return session_ended(what);
    }
    others[0] = {watch.stop_fd, POLLIN, 0};
    others[1] = {wants_data() ? source_.poll_fd() : -1, POLLIN, 0};
    const bool at_once = wants_data() && source_.poll_fd() < 0;
    if (Outcome waited = link_.wait(others, now, at_once ? 0 : now + 1'000'000'000); !waited.ok()) {
      return waited.error();
    }
    if (others[0].revents != 0) {
      return stopped(what);
    }
    ready = source_.poll_fd() < 0 || others[1].revents != 0;
  }
}

}  // namespace ssn::client
