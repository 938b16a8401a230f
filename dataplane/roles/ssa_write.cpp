// SPDX-License-Identifier: BSD-3-Clause
#include "ssa_write.h"

#include <algorithm>
#include <array>
#include <string>

namespace ssn::roles {
namespace {

constexpr std::uint8_t no_place = 255;

const std::uint8_t* plaintext(const protocol::Cell& cell) noexcept {
  return cell.target != nullptr ? cell.target : cell.data;
}

Error no_memory(const Error& error) {
  return {error.code, "cannot begin the write: " + error.what, error.why, error.where, error.fix};
}

Outcome check_options(const SsaOptions& options) {
  const auto wrong = [](const char* why) {
    return Error{Exit::usage, "cannot begin the write", why, "options of the SSA",
                 "Keep to the limits in ssa.h."};
  };
  if (options.window < 2 || options.window > 1U << 20 || (options.window & (options.window - 1)) != 0) {
    return wrong("the window is not a power of two from 2 to 2^20");
  }
  if (options.splits_again + 1 > protocol::SealOrder::max_runs) {
    return wrong("more attempts than a seal order can name");
  }
  return done;
}

}  // namespace

void SsaWriteDeleter::operator()(SsaWrite* write) const noexcept { delete write; }

Result<SsaWritePointer> make_write(const WriteOrder& order, const SsaOptions& options) {
  return SsaWrite::make(order, options);
}

Result<SsaWritePointer> SsaWrite::make(const WriteOrder& order, const SsaOptions& options) {
  WriteOrder whole = order;
  kernels::Code code;
  if (Outcome checked = complete(whole.layout, code); !checked.ok()) return std::move(checked.error());
  if (Outcome checked = check_options(options); !checked.ok()) return std::move(checked.error());
  for (const std::uint16_t holder : whole.layout.holders) {
    if (holder >= options.holders) {
      return Error{Exit::usage, "cannot begin the write",
                   "holder " + std::to_string(holder) + " is out of range", "layout", "Allow more holders."};
    }
  }
  SsaWritePointer write(new SsaWrite(whole, options, code));
  if (Outcome allocated = write->allocate(); !allocated.ok()) return no_memory(allocated.error());
  return write;
}

SsaWrite::SsaWrite(const WriteOrder& order, const SsaOptions& options, const kernels::Code& code)
    : key_(order.key),
      layout_(order.layout),
      options_(options),
      pacer_(order.meters, order.layout.cell_bytes),
      code_(code),
      n_(order.layout.n),
      data_blocks_(order.layout.secret_blocks),
      window_(options.window),
      owner_(order.owner),
      ready_(options.window),
      to_tell_(options.window) {}

Outcome SsaWrite::allocate() {
  if (options_.pad_shares && layout_.row_rule == RowRule::rotating && layout_.kept_rows != 0) {
    const std::uint32_t most = protocol::max_order_bytes / layout_.cell_bytes;
    run_cells_ = std::clamp(std::min({options_.keep_cells, layout_.cells_per_turn, most}), 1U, 64U);
  }
  groups_.resize(window_);
  shares_.resize(std::size_t{window_} * n_);
  blocks_.resize(std::size_t{window_} * data_blocks_);
  places_.assign(options_.holders, no_place);
  targets_.resize(n_);
  for (unsigned i = 0; i < n_; ++i) {
    targets_[i].holder = layout_.holders[i];
    targets_[i].queue = FixedQueue<std::uint32_t>(window_);
    places_[layout_.holders[i]] = static_cast<std::uint8_t>(i);
  }
  outputs_.resize(n_);
  inputs_.resize(std::size_t{code_.random_blocks()} + data_blocks_ + 1);
  fresh_.resize(std::size_t{n_} * run_cells_);
  reserved_.assign(code_.random_blocks(), false);
  transform_ = std::make_unique<kernels::Transform>();
  if (const kernels::Status status = transform_->make_split(code_); status != kernels::Status::ok) {
    return Error{Exit::usage, "the matrix cannot be made", std::string(kernels::describe(status)), "layout",
                 ""};
  }
  const std::size_t cell = layout_.cell_bytes;
  Result<hw::SecretBuffer> random = hw::SecretBuffer::make(code_.random_blocks() * cell * run_cells_);
  if (!random.ok()) return std::move(random.error());
  random_ = std::move(random.value());
  if (run_cells_ > 1) {
    Result<hw::SecretBuffer> reserve = hw::SecretBuffer::make(random_.size());
    if (!reserve.ok()) return std::move(reserve.error());
    reserve_ = std::move(reserve.value());
  }
  Result<hw::SecretBuffer> scratch = hw::SecretBuffer::make((std::size_t{n_} + 1) * cell);
  if (!scratch.ok()) return std::move(scratch.error());
  scratch_ = std::move(scratch.value());
  result_.attempts.reserve(std::size_t{options_.splits_again} + 1);
  result_.holders.resize(n_);
  result_.quorum = layout_.quorum;
  result_.minimum = layout_.minimum;
  return done;
}

void SsaWrite::open(SsaContext& context, SsaSession session, std::uint64_t now) noexcept {
  context_ = &context;
  session_ = session;
  for (Target& target : targets_) {
    target.away = context.holders[target.holder].channel == nullptr;
    target.away_ns = now;
  }
  stepped_ns_ = moved_ns_ = now;
  pace(now);
}

protocol::Channel* SsaWrite::channel_of(const Target& target) const noexcept {
  return context_->holders[target.holder].channel;
}

SsaWrite::Target* SsaWrite::target_of(std::uint16_t holder, unsigned& index) noexcept {
  index = places_[holder];
  return index == no_place ? nullptr : &targets_[index];
}

// With its part of all blocks that may be held.
std::uint32_t SsaWrite::room() const noexcept {
  if (result_.ended) return 0;
  const std::uint64_t part = options_.blocks / std::max(context_->writers, 1U);
  const std::uint64_t most =
      std::clamp<std::uint64_t>(part, 2ULL * data_blocks_, std::uint64_t{window_} * data_blocks_);
  return static_cast<std::uint32_t>(most - std::min(most, held_));
}

std::uint32_t SsaWrite::credit() const noexcept {
  const std::uint32_t most = room();
  if (!paced_) return most;
  return static_cast<std::uint32_t>(std::clamp<std::int64_t>(pacer_.balance(), 0, most));
}

// What its owner is told that it may send is charged when it is told.
void SsaWrite::pace(std::uint64_t now) noexcept {
  paced_ = pacer_.limited();
  pacer_.refill(paced_ && expects_blocks() ? std::min<std::int64_t>(room(), pacer_.ahead()) : 0, now);
}

SsaWrite::Arrived SsaWrite::arrived(protocol::Cell& cell, std::uint64_t now) noexcept {
  const protocol::Placement& placement = cell.header.placement;
  if (result_.ended || placement.share != 0 || placement.attempt != 0 || cell.length != layout_.cell_bytes) {
    return Arrived::refused;
  }
  const std::uint32_t number = placement.cell / data_blocks_;
  const unsigned at = placement.cell % data_blocks_;
  if (number < base_) return Arrived::told;
  if (number >= std::uint64_t{base_} + window_) return Arrived::refused;
  if (finishing_ && placement.cell >= total_blocks_) return Arrived::refused;
  // What it was told before there was a limit it may send; who keeps to no credit gets that once.
  if (paced_ && pacer_.balance() <= -(std::int64_t{window_} * data_blocks_)) return Arrived::refused;
  Group& its = group(number);
  protocol::Cell*& place = block(number, at);
  if (place != nullptr) {
    if (at < its.told_blocks) return Arrived::told;
    // The latest transmission is the one that its sender remembers best; an earlier one may come behind it.
    if (cell.header.number > place->header.number) {
      place->header = cell.header;
      place->range_length = cell.range_length;
    }
    return Arrived::again;
  }
  place = &cell;
  ++its.blocks;
  ++held_;
  if (paced_) {
    pacer_.took(1);
    ++context_->counters.blocks_paced;
  }
  lowered_ = lowered_ || cell.computational;
  end_ = std::max(end_, number + 1);
  if (its.blocks == data_blocks_) fill(number, now);
  return Arrived::taken;
}

void SsaWrite::fill(std::uint32_t cell, std::uint64_t now) noexcept {
  Group& its = group(cell);
  its.full = true;
  its.full_ns = now;
  const bool pushed = ready_.push(cell);
  assert(pushed && "one place for each cell of the window");
  static_cast<void>(pushed);
}

// Whether as many holders as are needed are there, and keep up.
bool SsaWrite::may_split() const noexcept {
  const auto count = std::count_if(targets_.begin(), targets_.end(), [](const Target& target) {
    return !target.failed && !target.away && target.queue.size() < ahead;
  });
  return static_cast<unsigned>(count) >= needed();
}

bool SsaWrite::split_some(std::uint64_t now) noexcept {
  bool some = false;
  while (!ready_.empty() && may_split()) {
    if (!split_run(run_length(), now)) {
      short_ = true;
      return some;
    }
    some = true;
  }
  return some;
}

// The first cells of ready_: one after the other, of one turn. False: no random blocks or packets now; then
// nothing was sent, because what a holder was told to keep once it keeps.
bool SsaWrite::split_run(std::uint32_t cells, std::uint64_t now) noexcept {
  std::size_t there = 0;
  for (unsigned i = 0; i < n_; ++i) there += is_there(i) ? 1 : 0;
  const std::span<protocol::Cell*> packets = std::span(fresh_).first(there * cells);
  if (!reserve_random()) {
    ++context_->counters.short_of_random;
    return false;
  }
  if (const std::size_t taken = context_->pool->take(packets); taken != packets.size()) {
    context_->pool->give_back(packets.first(taken));
    ++context_->counters.short_of_packets;
    return false;
  }
  const std::uint32_t first = ready_[0];
  use_random(first, cells, now);
  std::size_t used = 0;
  for (std::uint32_t i = 0; i < cells; ++i) {
    split(first + i, i, packets.subspan(used));
    used += place_shares(first + i, packets.subspan(used));
  }
  context_->pool->give_back(packets.subspan(used));
  ready_.pop(cells);
  return true;
}

// Cell number `at` of the run whose random blocks are there.
void SsaWrite::split(std::uint32_t cell, std::size_t at, std::span<protocol::Cell*> packets) noexcept {
  const std::size_t bytes = layout_.cell_bytes;
  const unsigned random_blocks = code_.random_blocks();
  for (unsigned i = 0; i < random_blocks; ++i) {
    inputs_[i] = random_.data() + (std::size_t{i} * run_cells_ + at) * bytes;
  }
  const std::uint8_t* const zeros = scratch_.data() + std::size_t{n_} * bytes;
  for (unsigned i = 0; i < data_blocks_; ++i) {
    const protocol::Cell* const there = block(cell, i);
    inputs_[random_blocks + i] = there != nullptr ? plaintext(*there) : zeros;
  }
  std::size_t packet = 0;
  for (unsigned i = 0; i < n_; ++i) {
    const unsigned row = row_of(layout_, i + 1, cell) - 1;
    if (!is_there(i) || share(cell, i).kept) {
      outputs_[row] = scratch_.data() + std::size_t{i} * bytes;
      continue;
    }
    assert(packets[packet]->tailroom >= bytes && "the pool's packets have room for a cell");
    outputs_[row] = packets[packet++]->data;
  }
  kernels::SplitJob job;
  job.transform = transform_.get();
  job.code = &code_;
  job.data = inputs_.data() + random_blocks;
  job.random = inputs_.data();
  job.shares = outputs_.data();
  job.length = bytes;
  const kernels::Status status = kernels::split(*context_->kernels, job);
  assert(status == kernels::Status::ok && "everything was checked when the write was made");
  static_cast<void>(status);
}

// How many packets it took.
std::size_t SsaWrite::place_shares(std::uint32_t cell, std::span<protocol::Cell*> packets) noexcept {
  Group& its = group(cell);
  its.split = true;
  its.attempt = attempt_;
  its.stored = 0;
  its.enough_ns = UINT64_MAX;
  ++context_->counters.cells_split;
  std::size_t packet = 0;
  for (unsigned i = 0; i < n_; ++i) {
    Target& target = targets_[i];
    Share& its_share = share(cell, i);
    if (its_share.kept) {
      ++target.unstored;
      continue;
    }
    its_share = {};
    if (target.failed) continue;
    ++target.unstored;
    if (target.away) {
      its_share.state = ShareState::lost;
      target.broken = true;
      continue;
    }
    protocol::Cell& made = *packets[packet++];
    made.length = layout_.cell_bytes;
    made.header.placement = {key_.object, cell, key_.generation, attempt_, static_cast<std::uint8_t>(i + 1)};
    its_share.cell = &made;
    its_share.state = ShareState::queued;
    const bool pushed = target.queue.push(cell);
    assert(pushed && "one place for each cell of the window");
    static_cast<void>(pushed);
  }
  return packet;
}

bool SsaWrite::send_some(Target& target, unsigned index, std::uint64_t now) noexcept {
  if (target.failed || target.away || target.queue.empty()) return false;
  protocol::Channel& channel = *channel_of(target);
  const std::uint32_t allowed = channel.allowance(layout_.cell_bytes, 1, now).packets;
  std::array<protocol::Parcel, protocol::Channel::max_burst> parcels;
  const std::size_t count = std::min({std::size_t{allowed}, target.queue.size(), parcels.size()});
  if (count == 0) return false;
  for (std::size_t i = 0; i < count; ++i) {
    const std::uint32_t cell = target.queue[i];
    parcels[i] = {};
    parcels[i].cell = share(cell, index).cell;
    parcels[i].token = token_of(session_, group(cell).attempt, cell);
    parcels[i].deadline_ns = now + options_.cell_ns;
    parcels[i].until_stored = true;
  }
  const std::size_t sent = channel.send(std::span(parcels).first(count), now);
  for (std::size_t i = 0; i < sent; ++i) {
    Share& its = share(target.queue[i], index);
    its.cell = nullptr;
    its.handle = parcels[i].handle;
    its.state = ShareState::sent;
    lowered_ = lowered_ || parcels[i].computational;
  }
  target.queue.pop(sent);
  context_->counters.shares_sent += sent;
  return sent == parcels.size();
}

void SsaWrite::settled(std::uint16_t holder, const protocol::Settled& settled, std::uint64_t now) noexcept {
  unsigned index = 0;
  Target* const target = target_of(holder, index);
  const auto first = static_cast<std::uint32_t>(settled.token);
  if (target == nullptr || settled.how == protocol::Settled::How::received || first < base_ || first >= end_)
    return;
  const Group& its = group(first);
  const std::uint32_t cells = share(first, index).kept ? its.kept_cells : 1U;
  for (std::uint32_t cell = first; cell < first + cells && cell < end_; ++cell) {
    const Group& one = group(cell);
    if (!one.split || (one.attempt & 0xffU) != (settled.token >> 32 & 0xff)) continue;
    if (share(cell, index).state != ShareState::sent) continue;
    if (settled.how == protocol::Settled::How::stored) {
      stored(cell, index, now);
    } else {
      lose(cell, index, now + 5'000'000);
    }
  }
}

void SsaWrite::stored(std::uint32_t cell, unsigned index, std::uint64_t now) noexcept {
  share(cell, index).cell = nullptr;
  share(cell, index).state = ShareState::stored;
  --targets_[index].unstored;
  ++group(cell).stored;
  ++context_->counters.shares_stored;
  consider(cell, now);
}

// Whether enough holders have it.
void SsaWrite::consider(std::uint32_t cell, std::uint64_t now) noexcept {
  Group& its = group(cell);
  if (its.split && its.stored >= layout_.minimum && its.enough_ns == UINT64_MAX) its.enough_ns = now;
  if (!its.split || its.told || its.stored < needed()) return;
  its.told = true;
  const bool pushed = to_tell_.push(cell);
  assert(pushed && "one place for each cell of the window");
  static_cast<void>(pushed);
}

// False: the owner's channel cannot remember it now.
bool SsaWrite::tell_owner(std::uint64_t now) noexcept {
  protocol::Channel* const channel = context_->owners[owner_].channel;
  for (; !to_tell_.empty(); to_tell_.pop()) {
    const std::uint32_t cell = to_tell_[0];
    Group& its = group(cell);
    for (; its.told_blocks < data_blocks_; ++its.told_blocks) {
      const protocol::Cell* const there = block(cell, its.told_blocks);
      if (there == nullptr) continue;
      if (!channel->stored(there->header, there->range_length, now)) return false;
      ++context_->counters.blocks_stored;
    }
    its.told_ns = now;
  }
  return true;
}

void SsaWrite::free_blocks(std::uint32_t cell) noexcept {
  for (unsigned i = 0; i < data_blocks_; ++i) {
    protocol::Cell*& there = block(cell, i);
    if (there == nullptr) continue;
    context_->pool->give_back({&there, 1});
    there = nullptr;
    --held_;
  }
}

// Cells that every holder has leave the window.
void SsaWrite::release(std::uint64_t now) noexcept {
  while (base_ < end_) {
    Group& its = group(base_);
    if (!its.split || its.told_ns == 0 || its.stored < alive()) return;
    if (result_.attempts.empty() || result_.attempts.back().attempt != its.attempt) {
      result_.attempts.push_back({base_, its.attempt});  // reserved: attempts only grow
    }
    free_blocks(base_);
    for (unsigned i = 0; i < n_; ++i) share(base_, i) = {};
    its = {};
    ++base_;
    moved_ns_ = now;
  }
}

void SsaWrite::step(std::uint64_t now) noexcept {
  if (result_.ended) return tell_end(now);
  short_ = false;
  pace(now);
  split_again(now);
  if (result_.ended) return tell_end(now);
  for (bool more = true; more;) {
    more = split_some(now);
    for (unsigned i = 0; i < n_; ++i) more = send_some(targets_[i], i, now) || more;
  }
  if (!tell_owner(now)) short_ = true;
  release(now);
  if (finishing_) count_blocks(now);
  if (!result_.ended) watch(now);
  if (!result_.ended && sealing_) seal(now);
  next_look(now);
  stepped_ns_ = now;
  if (result_.ended) tell_end(now);
}

void SsaWrite::next_look(std::uint64_t now) noexcept {
  const bool away = std::any_of(targets_.begin(), targets_.end(),
                                [](const Target& target) { return target.away && !target.failed; });
  due_ = UINT64_MAX;
  if (result_.ended) return;
  if (short_) {
    due_ = now + 1'000'000;
  } else if (base_ != end_ || finishing_ || away) {
    due_ = now + 5'000'000;
  }
  if (expects_blocks()) due_ = std::min(due_, std::max(pacer_.due_ns(), now));
}

void SsaWrite::end(SsaTrouble why) noexcept {
  if (result_.ended) return;
  for (unsigned i = 0; i < n_; ++i) {
    for (std::uint32_t cell = base_; cell < end_; ++cell) drop_share(cell, i);
    targets_[i].queue.clear();
    HolderResult& its = result_.holders[i];
    its.share = static_cast<std::uint8_t>(i + 1);
    its.holder = targets_[i].holder;
    its.sealed = targets_[i].seal == Target::Seal::done;
    its.trouble = its.sealed ? SsaTrouble::none : targets_[i].trouble;
    result_.sealed += its.sealed ? 1 : 0;
  }
  for (std::uint32_t cell = base_; cell < end_; ++cell) free_blocks(cell);
  ready_.clear();
  to_tell_.clear();
  base_ = end_;
  random_.erase();
  reserve_.erase();
  scratch_.erase();
  result_.ended = true;
  result_.why = why;
  result_.cells = total_cells_;
  result_.protection = protection();
  ++context_->counters.writes_ended;
  if (why != SsaTrouble::none) ++context_->counters.writes_failed;
  event(SsaEvent::Kind::write_ended, 0, why, total_cells_);
}

void SsaWrite::close(SsaTrouble why) noexcept { end(why); }

}  // namespace ssn::roles
