// SPDX-License-Identifier: BSD-3-Clause
#include "ssa_read.h"

#include <algorithm>
#include <array>
#include <bit>
#include <string>
#include <utility>

namespace ssn::roles {
namespace {

constexpr std::uint8_t no_place = 255;

Error wrong(std::string why) {
  return {Exit::usage, "cannot begin the read", std::move(why), "order of the controller",
          "Ask the controller for the object again."};
}

Outcome check(const ReadOrder& order, const SsaOptions& options) {
  for (const std::uint16_t holder : order.layout.holders) {
    if (holder >= options.holders) return wrong("holder " + std::to_string(holder) + " is out of range");
  }
  for (const std::uint8_t share : order.shares) {
    if (share == 0 || share > order.layout.n)
      return wrong("share " + std::to_string(share) + " is out of range");
  }
  if (order.cells != 0 && (order.attempts.empty() || order.attempts.front().first != 0)) {
    return wrong("the attempts do not begin with the first cell");
  }
  for (std::size_t i = 1; i < order.attempts.size(); ++i) {
    if (order.attempts[i].first <= order.attempts[i - 1].first) return wrong("the attempts are not in order");
  }
  if (options.read_batches == 0 || options.read_batches > 256) {
    return wrong("read_batches is not 1 to 256");
  }
  return done;
}

}  // namespace

void SsaReadDeleter::operator()(SsaRead* read) const noexcept { delete read; }

Result<SsaReadPointer> make_read(const ReadOrder& order, const SsaOptions& options) {
  return SsaRead::make(order, options);
}

Result<SsaReadPointer> SsaRead::make(const ReadOrder& order, const SsaOptions& options) {
  ReadOrder whole = order;
  kernels::Code code;
  if (Outcome checked = complete(whole.layout, code); !checked.ok()) return std::move(checked.error());
  if (Outcome checked = check(whole, options); !checked.ok()) return std::move(checked.error());
  SsaReadPointer read(new SsaRead(whole, options, code));
  if (Outcome allocated = read->allocate(); !allocated.ok()) return std::move(allocated.error());
  return read;
}

SsaRead::SsaRead(const ReadOrder& order, const SsaOptions& options, const kernels::Code& code)
    : key_(order.key),
      layout_(order.layout),
      options_(options),
      pacer_(order.meters, order.layout.cell_bytes),
      code_(code),
      n_(order.layout.n),
      k_(order.layout.k),
      data_blocks_(order.layout.secret_blocks),
      owner_(order.owner),
      cells_(order.cells),
      attempts_(order.attempts),
      sealed_(order.shares),
      recover_(code, TransformCache::Kind::recover),
      syndromes_(code, TransformCache::Kind::syndromes) {}

Outcome SsaRead::allocate() {
  members_.resize(n_);
  places_.assign(options_.holders, no_place);
  for (unsigned i = 0; i < n_; ++i) {
    members_[i].holder = layout_.holders[i];
    places_[layout_.holders[i]] = static_cast<std::uint8_t>(i);
  }
  for (const std::uint8_t share : sealed_) members_[share - 1U].sealed = true;
  batches_.resize(options_.read_batches);
  asks_.resize(batches_.size() * n_);
  shares_.resize(batches_.size() * batch_cells * n_);
  wanted_blocks_.resize(batches_.size() * batch_cells * data_blocks_);
  indices_.reserve(n_);
  inputs_.reserve(n_);
  outputs_.resize(data_blocks_);
  fresh_.resize(data_blocks_);
  Result<hw::SecretBuffer> scratch = hw::SecretBuffer::make(std::size_t{data_blocks_} * layout_.cell_bytes);
  if (!scratch.ok()) return std::move(scratch.error());
  scratch_ = std::move(scratch.value());
  return done;
}

void SsaRead::open(SsaContext& context, SsaSession session, std::uint64_t /*now*/) noexcept {
  context_ = &context;
  session_ = session;
}

void SsaRead::close() noexcept {
  requests_.clear();
  current_ = {};
  for (std::size_t i = 0; i < batches_.size(); ++i) end_batch(i);
  scratch_.erase();
}

protocol::Channel* SsaRead::channel_of(unsigned index) const noexcept {
  return context_->holders[members_[index].holder].channel;
}

bool SsaRead::present(unsigned index) const noexcept {
  return members_[index].sealed && !members_[index].banned && channel_of(index) != nullptr;
}

std::uint16_t SsaRead::attempt_of(std::uint32_t cell) const noexcept {
  const auto behind =
      std::upper_bound(attempts_.begin(), attempts_.end(), cell,
                       [](std::uint32_t of, const AttemptRun& run) { return of < run.first; });
  return std::prev(behind)->attempt;
}

void SsaRead::asked(const protocol::PacketHeader& header, const protocol::ReadRequest& request,
                    std::uint64_t now) noexcept {
  Request its;
  its.request = request.request;
  its.first = header.placement.cell;
  its.count = request.count;
  its.bitmap = request.bitmap;
  if (header.placement.share != 0 || header.placement.attempt != 0) {
    return answer_owner(its.first, 0, {}, its.request, protocol::AnswerCode::not_found, now);
  }
  // It came twice; where a limit of rate slows it, it comes again while the first is being worked on.
  const auto is_same = [&its](const Request& other) {
    return other.request == its.request && other.first == its.first;
  };
  if (current_.next != current_.count && is_same(current_)) return;
  for (std::size_t i = 0; i < requests_.size(); ++i) {
    if (is_same(requests_[i])) return;
  }
  if (!requests_.push(its)) {
    answer_owner(its.first, 0, {}, its.request, protocol::AnswerCode::busy, now);
  }
}

// Whether the rate allows another block.
bool SsaRead::may_take(std::uint64_t now) noexcept {
  if (!pacer_.limited()) return true;
  pacer_.refill(1, now);
  return pacer_.balance() > 0;
}

// What waits goes into batches, as far as there are any and the rate allows it.
void SsaRead::take_requests(std::uint64_t now) noexcept {
  for (;;) {
    if (current_.next == current_.count) {
      if (requests_.empty()) return;
      current_ = requests_[0];
      requests_.pop();
    }
    for (; current_.next < current_.count; ++current_.next) {
      if (!protocol::names_cell(current_.bitmap, current_.next)) continue;
      const std::uint64_t block = std::uint64_t{current_.first} + current_.next;
      if (block / data_blocks_ >= cells_ || block > UINT32_MAX) {
        protocol::CellBitmap rest{};
        for (std::size_t i = current_.next; i < current_.count; ++i) {
          if (protocol::names_cell(current_.bitmap, i)) protocol::name_cell(rest, i);
        }
        answer_owner(current_.first, current_.count, rest, current_.request, protocol::AnswerCode::not_found,
                     now);
        current_.next = current_.count;
        break;
      }
      if (!may_take(now) || !take_block(static_cast<std::uint32_t>(block), current_, now)) return;
      ++context_->counters.blocks_asked;
      if (pacer_.limited()) {
        pacer_.took(1);
        ++context_->counters.blocks_paced;
      }
    }
  }
}

// False: no batch is free.
bool SsaRead::take_block(std::uint32_t block, const Request& request, std::uint64_t now) noexcept {
  const std::uint32_t cell = block / data_blocks_;
  const std::uint32_t first = cell & ~(batch_cells - 1);
  const unsigned at = cell - first;
  const std::uint16_t attempt = attempt_of(cell);
  std::size_t unused = batches_.size();
  std::size_t fitting = batches_.size();
  for (std::size_t i = 0; i < batches_.size(); ++i) {
    const Batch& batch = batches_[i];
    if (!batch.used) {
      unused = i;
    } else if (batch.first == first && batch.attempt == attempt) {
      if ((batch.wanted >> at & 1) != 0) {  // it is on its way already
        blocks_of(i, at, block % data_blocks_) = 1;
        return true;
      }
      if (batch.request == request.request && batch.deadline_ns == now + options_.read_ns) fitting = i;
    }
  }
  if (fitting == batches_.size()) {
    const std::uint32_t part = options_.all_batches / std::max(context_->readers, 1U);
    if (unused == batches_.size() || used_ >= std::max(part, 1U)) return false;
    ++used_;
    fitting = unused;
    Batch& batch = batches_[fitting];
    const auto life = static_cast<std::uint8_t>(batch.life + 1);
    batch = {};
    batch.used = true;
    batch.life = life;
    batch.attempt = attempt;
    batch.first = first;
    batch.request = request.request;
    batch.deadline_ns = now + options_.read_ns;
    for (unsigned i = 0; i < n_; ++i) ask_of(fitting, i) = {};
  }
  batches_[fitting].look = true;
  batches_[fitting].wanted |= std::uint64_t{1} << at;
  blocks_of(fitting, at, block % data_blocks_) = 1;
  return true;
}

void SsaRead::answer_owner(std::uint32_t first, std::uint16_t count, const protocol::CellBitmap& bitmap,
                           std::uint64_t request, protocol::AnswerCode code, std::uint64_t now) noexcept {
  protocol::Channel* const channel = context_->owners[owner_].channel;
  if (channel == nullptr) return;
  protocol::Answer answer;
  answer.type = protocol::PacketType::read;
  answer.code = code;
  answer.count = count;
  answer.request = request;
  answer.bitmap = bitmap;
  if (code == protocol::AnswerCode::busy) answer.retry_us = 5000;
  std::array<std::uint8_t, protocol::answer_bytes> payload;
  protocol::write_answer(answer, payload.data());
  // Where there is no room for it the owner asks again, as it does when it is lost.
  const protocol::Placement what{key_.object, first, key_.generation, 0, 0};
  if (channel->post(protocol::PacketType::answer, what, payload, protocol::no_token, now + options_.read_ns,
                    now)) {
    for (const std::uint8_t byte : bitmap) {
      context_->counters.blocks_not_given += static_cast<std::uint64_t>(std::popcount(byte));
    }
  }
}

// The cell cannot be had.
void SsaRead::refuse(std::size_t at, unsigned cell, protocol::AnswerCode code) noexcept {
  Batch& batch = batches_[at];
  const std::uint64_t bit = std::uint64_t{1} << cell;
  batch.refused |= bit;
  batch.wanted &= ~bit;
  batch.undecided &= ~bit;
  if (batch.code != protocol::AnswerCode::quarantined) batch.code = code;
}

// Tells the owner what of a batch it cannot have.
void SsaRead::answer_refused(std::size_t at, std::uint64_t now) noexcept {
  Batch& batch = batches_[at];
  if (batch.refused == 0) return;
  const unsigned cells_each = std::max(1U, static_cast<unsigned>(protocol::max_named_cells / data_blocks_));
  for (unsigned from = 0; from < batch_cells; from += cells_each) {
    protocol::CellBitmap bitmap{};
    std::uint16_t count = 0;
    for (unsigned cell = from; cell < std::min<unsigned>(from + cells_each, batch_cells); ++cell) {
      if ((batch.refused >> cell & 1) == 0) continue;
      for (unsigned block = 0; block < data_blocks_; ++block) {
        if (blocks_of(at, cell, block) == 0) continue;
        const unsigned place = (cell - from) * data_blocks_ + block;
        protocol::name_cell(bitmap, place);
        count = static_cast<std::uint16_t>(place + 1);
      }
    }
    if (count == 0) continue;
    const std::uint64_t first = (std::uint64_t{batch.first} + from) * data_blocks_;
    answer_owner(static_cast<std::uint32_t>(first), count, bitmap, batch.request, batch.code, now);
  }
  for (unsigned cell = 0; cell < batch_cells; ++cell) {
    if ((batch.refused >> cell & 1) != 0) free_cell(at, cell);
  }
  batch.refused = 0;
}

void SsaRead::free_cell(std::size_t at, unsigned cell) noexcept {
  std::array<protocol::Cell*, 16> freed;
  std::size_t count = 0;
  for (unsigned i = 0; i < n_; ++i) {
    ask_of(at, i).there &= ~(std::uint64_t{1} << cell);
    protocol::Cell* const its = std::exchange(share(at, cell, i), nullptr);
    if (its != nullptr) freed[count++] = its;
    if (count == freed.size()) context_->pool->give_back(std::span(freed).first(std::exchange(count, 0)));
  }
  context_->pool->give_back(std::span(freed).first(count));
  for (unsigned i = 0; i < data_blocks_; ++i) blocks_of(at, cell, i) = 0;
}

void SsaRead::forget_asks(std::size_t at) noexcept {
  for (unsigned i = 0; i < n_; ++i) unask(at, i, UINT64_MAX);
}

void SsaRead::end_batch(std::size_t at) noexcept {
  if (!batches_[at].used) return;
  forget_asks(at);
  std::uint64_t there = 0;
  for (unsigned i = 0; i < n_; ++i) there |= ask_of(at, i).there;
  for (; there != 0; there &= there - 1) free_cell(at, static_cast<unsigned>(std::countr_zero(there)));
  std::fill_n(&blocks_of(at, 0, 0), std::size_t{batch_cells} * data_blocks_, std::uint8_t{0});
  batches_[at].used = false;
  --used_;
}

bool SsaRead::arrived(std::uint16_t holder, protocol::Cell& cell, std::uint64_t now) noexcept {
  const protocol::Placement& what = cell.header.placement;
  const std::uint8_t index = places_[holder];
  if (index == no_place || what.share != index + 1 || cell.length != layout_.cell_bytes ||
      members_[index].banned) {
    return false;
  }
  const std::uint32_t first = what.cell & ~(batch_cells - 1);
  const unsigned in_batch = what.cell - first;
  const std::uint64_t bit = std::uint64_t{1} << in_batch;
  for (std::size_t at = 0; at < batches_.size(); ++at) {
    Batch& batch = batches_[at];
    Ask& ask = ask_of(at, index);
    if (!batch.used || batch.first != first || batch.attempt != what.attempt || (batch.wanted & bit) == 0 ||
        (ask.asked & bit) == 0 || (ask.got & bit) != 0) {
      continue;
    }
    HolderLink& link = context_->holders[holder];
    ask.got |= bit;
    ask.there |= bit;
    ask.late = ask.silent = false;
    ask.heard_ns = now;
    if (link.asked != 0) --link.asked;
    link.late_times = 0;
    link.shaky_until_ns = 0;
    link.mute = ask.mute = false;
    if ((ask.asked & ~ask.got & ~ask.failed) == 0) link.answers.note(now - ask.asked_ns);
    share(at, in_batch, index) = &cell;
    batch.undecided &= ~bit;
    batch.look = true;
    ++context_->counters.shares_in;
    return true;
  }
  return false;
}

void SsaRead::answered(std::uint16_t holder, const protocol::PacketHeader& header,
                       const protocol::Answer& answer, std::uint64_t now) noexcept {
  const std::uint8_t index = places_[holder];
  const std::size_t at = answer.request >> 8 & 0xff;
  if (index == no_place || answer.type != protocol::PacketType::read || at >= batches_.size()) return;
  Batch& batch = batches_[at];
  if (!batch.used || (answer.request & 0xff) != batch.life || header.placement.share != index + 1) return;
  Ask& its = ask_of(at, index);
  std::uint64_t named = answer.count == 0 ? its.asked : 0;
  for (std::size_t i = 0; i < answer.count; ++i) {
    const std::uint64_t cell = std::uint64_t{header.placement.cell} + i;
    if (!protocol::names_cell(answer.bitmap, i) || cell < batch.first || cell >= batch.first + batch_cells)
      continue;
    named |= std::uint64_t{1} << (cell - batch.first);
  }
  named &= its.asked & ~its.got;
  unask(at, index, named);
  batch.look = true;
  its.heard_ns = now;
  if (answer.code == protocol::AnswerCode::busy) {
    its.busy |= named;
    its.busy_ns = now + std::max<std::uint64_t>(std::uint64_t{answer.retry_us} * 1000, 1'000'000);
  } else {
    its.failed |= named;
  }
}

// A connection came or went: what was asked for over the old one does not come.
void SsaRead::holder_changed(std::uint16_t holder) noexcept {
  const std::uint8_t index = places_[holder];
  if (index == no_place) return;
  for (std::size_t at = 0; at < batches_.size(); ++at) {
    if (!batches_[at].used) continue;
    Ask& ask = ask_of(at, index);
    unask(at, index, UINT64_MAX);
    batches_[at].look = true;
    ask.busy = 0;
    ask.late = ask.silent = ask.mute = false;
  }
}

void SsaRead::step(std::uint64_t now) noexcept {
  short_ = false;
  allowed_ = 0;
  take_requests(now);
  bool some = false;
  for (std::size_t i = 0; i < batches_.size(); ++i) {
    const std::size_t at = (turn_ + i) % batches_.size();
    if (!batches_[at].used) continue;
    work(at, now);
    answer_refused(at, now);
    if (batches_[at].wanted == 0) end_batch(at);
    some = some || batches_[at].used;
  }
  send_blocks(now);
  ++turn_;
  take_requests(now);
  const bool waits = current_.next != current_.count;
  due_ = UINT64_MAX;
  if (some || waits) due_ = now + (short_ ? 200'000 : 1'000'000);
  if (waits && !some && pacer_.due_ns() != UINT64_MAX) due_ = std::max(pacer_.due_ns(), now);
}

}  // namespace ssn::roles
