// SPDX-License-Identifier: BSD-3-Clause
#include "reshare_job.h"

#include <algorithm>
#include <bit>
#include <cassert>
#include <utility>

namespace ssn::roles {

using store::StoreRequest;
using store::StoreResult;

namespace {

constexpr std::uint32_t life_mask = 0xFFFFFF;
constexpr unsigned most_window = 16;

bool is_good(StoreResult result) noexcept {
  return result == StoreResult::done || result == StoreResult::again;
}

}  // namespace

protocol::Channel* ReshareContext::channel_of(std::uint64_t node) const noexcept {
  for (const ResharePeer& peer : peers) {
    if (peer.channel != nullptr && peer.node == node) return peer.channel;
  }
  return nullptr;
}

std::uint64_t ReshareToken::pack() const noexcept {
  return std::uint64_t{static_cast<std::uint8_t>(kind)} << 56 | std::uint64_t{place} << 48 |
         std::uint64_t{life & life_mask} << 24 | (index & life_mask);
}

ReshareToken ReshareToken::unpack(std::uint64_t token) noexcept {
  ReshareToken out;
  out.kind = static_cast<Kind>(token >> 56);
  out.place = static_cast<std::uint8_t>(token >> 48);
  out.life = static_cast<std::uint32_t>(token >> 24) & life_mask;
  out.index = static_cast<std::uint32_t>(token) & life_mask;
  return out;
}

ReshareJob::ReshareJob(ReshareContext& context, std::uint32_t place, std::span<std::uint8_t> memory)
    : context_(context),
      place_(place),
      memory_(memory),
      give_units_(2 * most_window),
      take_units_(most_window) {
  for (std::size_t i = 0; i < give_units_.size(); ++i) {
    give_units_[i].reader.name(context_of(Slot::give_read, i));
  }
  for (std::size_t i = 0; i < take_units_.size(); ++i) {
    take_units_[i].reader.name(context_of(Slot::take_read, i));
    take_units_[i].request.context = context_of(Slot::put, i);
  }
  seal_.context = context_of(Slot::seal, 0);
  fold_reader_.name(context_of(Slot::fold_read, 0));
}

std::uint64_t ReshareJob::context_of(Slot slot, std::size_t index) const noexcept {
  return std::uint64_t{place_} << 32 | std::uint64_t{static_cast<std::uint8_t>(slot)} << 16 | index;
}

bool ReshareJob::is_erased() const noexcept {
  return std::all_of(memory_.begin(), memory_.end(), [](std::uint8_t byte) { return byte == 0; });
}

void ReshareJob::begin(const ReshareOrder& order, ResharePlan plan, bool computational,
                       std::uint64_t now_ns) {
  assert(is_free());
  order_ = order;
  plan_ = std::move(plan);
  math_.begin(order_);
  life_ = (life_ + 1) & life_mask;
  running_ = true;
  ended_ = sealing_ = false;
  status_ = {};
  status_.job = order.job;
  status_.round = order.round;
  status_.operation = order.operation;
  status_.state = ReshareState::running;
  status_.computational = computational;
  now_ns_ = progress_ns_ = rate_ns_ = now_ns;
  short_of_ = ReshareTrouble::stalled;
  stall_ns_ = order.stall_ns;
  if (order.bytes_per_second != 0) {  // whoever is held back has not stalled
    const std::uint64_t unit =
        plan_.unit_bytes() * plan_.takers.size() * 1'000'000'000 / order.bytes_per_second;
    stall_ns_ = std::max(stall_ns_, 4 * unit);
  }
  give_base_ = give_next_ = take_base_ = 0;
  if (order.operation == ReshareOperation::seal) return;
  lay_out(now_ns);
  if (plan_.checks) begin_check();
}

void ReshareJob::lay_out(std::uint64_t now_ns) {
  const std::size_t unit = plan_.unit_bytes();
  used_ = 0;
  const auto take = [&](std::size_t units) {
    std::uint8_t* const at = memory_.data() + used_;
    used_ += units * unit;
    assert(used_ <= memory_.size());
    return at;
  };
  if (plan_.gives()) {
    give_memory_ = take(plan_.slots * plan_.lanes);
    random_memory_ = take(plan_.deals ? plan_.random_blocks : 0);
    mask_memory_ = take(plan_.window * plan_.own_masks);
    share_ = take(1);
    product_ = plan_.checks ? take(1) : nullptr;
    for (std::uint32_t i = 0; i < plan_.slots; ++i) {
      give_units_[i].pairs.assign(plan_.masked ? plan_.givers.size() : 0, {});
      give_units_[i].lanes.assign(plan_.takers.size(), {});
    }
    const std::size_t columns = plan_.deals ? math_.columns() : 2;
    matrix_.assign(plan_.checks ? check_folds * store::stripe_cells : plan_.takers.size() * columns, 0);
    own_mask_index_.assign(plan_.givers.size(), 0);
    std::uint32_t next = 0;
    for (std::size_t i = 0; i < plan_.givers.size(); ++i) {
      if (plan_.givers[i] > plan_.givers[plan_.giver]) own_mask_index_[i] = next++;
    }
    pair_proven_.assign(plan_.givers.size(), false);
    pair_flying_.assign(plan_.givers.size(), 0);
    lane_proven_.assign(plan_.takers.size(), false);
    lane_flying_.assign(plan_.takers.size(), 0);
  }
  if (!plan_.takes()) return;
  sum_memory_ = take(plan_.window);
  own_ = plan_.adds_own ? take(1) : nullptr;
  now_ns_ = now_ns;
  for (std::uint32_t i = 0; i < plan_.window; ++i) {
    TakeUnit& each = take_units_[i];
    each.cells.assign(plan_.unit_cells, Cell{});
    each.added.assign(plan_.givers.size(), 0);
    each.untold.assign(plan_.givers.size(), 0);
    each.records.assign(plan_.givers.size() * plan_.unit_cells, {});
    if (i < plan_.units) open_take(i);
  }
}

void ReshareJob::end(ReshareState state, ReshareTrouble trouble, std::uint64_t node) noexcept {
  if (!running_) return;
  status_ = status();
  status_.state = state;
  status_.trouble = trouble;
  status_.node = node;
  running_ = false;
  ended_ = true;
  for (GiveUnit& unit : give_units_) {
    unit.reader.drop(context_.pool);
    unit.phase = GiveUnit::Phase::closed;
  }
  for (TakeUnit& unit : take_units_) {
    unit.reader.drop(context_.pool);
    if (unit.phase != TakeUnit::Phase::in_store) unit.phase = TakeUnit::Phase::closed;
  }
  fold_reader_.drop(context_.pool);
  erase_memory();
  ::explicit_bzero(seed_.data(), seed_.size());
}

// A put that is in the store still reads its sum: that is erased when it comes back.
void ReshareJob::erase_memory() noexcept {
  std::size_t from = 0;
  for (std::uint32_t slot = 0; slot < plan_.window; ++slot) {
    if (take_units_[slot].phase != TakeUnit::Phase::in_store) continue;
    const auto at = static_cast<std::size_t>(sum_memory_ - memory_.data()) + slot * plan_.unit_bytes();
    ::explicit_bzero(memory_.data() + from, at - from);
    from = at + plan_.unit_bytes();
  }
  ::explicit_bzero(memory_.data() + from, used_ - from);
}

ReshareStatus ReshareJob::status() const noexcept {
  if (!running_) return status_;
  ReshareStatus out = status_;
  const auto through = [&](std::uint32_t base) {
    return base >= plan_.units ? plan_.end : plan_.unit_first(base);
  };
  if (order_.operation == ReshareOperation::seal || plan_.checks) return out;
  out.through = order_.end;
  if (plan_.gives()) out.through = std::min(out.through, through(give_base_));
  if (plan_.takes()) out.through = std::min(out.through, through(take_base_));
  return out;
}

bool ReshareJob::uses(std::uint64_t node) const noexcept {
  if (!running_ || order_.operation == ReshareOperation::seal) return false;
  const auto has = [node](const std::vector<std::uint64_t>& nodes) {
    return std::find(nodes.begin(), nodes.end(), node) != nodes.end();
  };
  return (plan_.gives() && (has(plan_.takers) || (plan_.masked && has(plan_.givers)))) ||
         (plan_.takes() && has(plan_.givers));
}

store::ShareId ReshareJob::given_share() const noexcept {
  return {order_.object, order_.source.generation, plan_.giver_numbers[plan_.giver]};
}

store::ShareId ReshareJob::target_share() const noexcept {
  return {order_.object, order_.target.generation, plan_.taker_shares[plan_.taker]};
}

// Of an audit: the one that is checked.
std::uint32_t ReshareJob::made_generation() const noexcept {
  return order_.to.empty() ? order_.source.generation : order_.target.generation;
}

void ReshareJob::give_back(Cell* cell) noexcept { context_.pool.give_back({&cell, 1}); }

void ReshareJob::add(std::uint8_t* to, const std::uint8_t* from, std::size_t bytes) noexcept {
  const kernels::Status status = kernels::pad(context_.implementation, to, from, to, bytes);
  assert(status == kernels::Status::ok);
  static_cast<void>(status);
}

void ReshareJob::apply(std::span<const std::uint8_t> matrix, std::size_t rows, const std::uint8_t* const* in,
                       std::uint8_t* const* out, std::size_t bytes) noexcept {
  kernels::Status status = context_.transform.make_matrix(matrix, static_cast<unsigned>(rows),
                                                          static_cast<unsigned>(matrix.size() / rows));
  if (status == kernels::Status::ok) {
    status = kernels::dot(context_.implementation, context_.transform, in, out, bytes);
  }
  assert(status == kernels::Status::ok);
  static_cast<void>(status);
}

void ReshareJob::settled(const ReshareToken& token, const protocol::Settled& settled,
                         std::uint64_t node) noexcept {
  if (!running_ || token.life != life_) return;
  switch (token.kind) {
    case ReshareToken::Kind::mask:
      return mask_settled(token.index, settled, node);
    case ReshareToken::Kind::contribution:
      return contribution_settled(token.index, settled, node);
    case ReshareToken::Kind::challenge:
      return challenge_settled(token.index, settled, node);
  }
}

// Whether all of it is there. Until then it is to be asked again and again; it may end the round.
bool ReshareJob::read(ShareReader& reader) noexcept {
  if (reader.state() == ShareReader::State::waiting) {
    if (now_ns_ < reader.retry_ns()) {
      later(reader.retry_ns());
      return false;
    }
    if (!reader.step(context_.store, context_.pool)) {
      context_.starved = true;
      return false;
    }
    in_store_ += reader.state() == ShareReader::State::in_store ? 1 : 0;
  }
  if (reader.state() == ShareReader::State::failed) {
    fail(reader.store_failed() ? ReshareTrouble::store_failed : ReshareTrouble::not_there);
  }
  return reader.state() == ShareReader::State::ready;
}

void ReshareJob::came_back(StoreRequest& request) noexcept {
  assert(in_store_ != 0);
  --in_store_;
  const auto slot = static_cast<Slot>(request.context >> 16 & 0xFF);
  const std::size_t index = request.context & 0xFFFF;
  switch (slot) {
    case Slot::give_read:
      return give_units_[index].reader.came_back(context_.pool, now_ns_ + context_.options.retry_ns);
    case Slot::take_read:
      return take_units_[index].reader.came_back(context_.pool, now_ns_ + context_.options.retry_ns);
    case Slot::fold_read:
      return fold_reader_.came_back(context_.pool, now_ns_ + context_.options.retry_ns);
    case Slot::put:
      return put_came_back(take_units_[index]);
    case Slot::seal:
      break;
  }
  if (!running_) return;
  if (is_good(request.result)) {
    status_.through = order_.cells;
    return end(ReshareState::done, ReshareTrouble::none, 0);
  }
  switch (request.result) {
    case StoreResult::incomplete:
    case StoreResult::quarantined:
    case StoreResult::not_found:
      return fail(ReshareTrouble::incomplete);
    case StoreResult::conflict:
    case StoreResult::removed:
    case StoreResult::invalid:
      return fail(ReshareTrouble::conflict);
    default:
      return fail(ReshareTrouble::store_failed);
  }
}

void ReshareJob::step_seal() noexcept {
  if (sealing_) return;
  seal_.kind = StoreRequest::Kind::seal;
  seal_.share = target_share();
  seal_.sealed_cells = order_.cells;
  seal_.runs = order_.target.runs;
  sealing_ = context_.store.submit(seal_);
  in_store_ += sealing_ ? 1 : 0;
  context_.starved = context_.starved || !sealing_;
}

std::uint64_t ReshareJob::waited_for() const noexcept {
  if (plan_.gives() && give_base_ < plan_.units) {
    const GiveUnit& unit = give_units_[give_base_ % plan_.slots];
    for (std::size_t i = 0; unit.phase == GiveUnit::Phase::masking && i < unit.pairs.size(); ++i) {
      if (i != plan_.giver && unit.pairs[i].state != Pair::State::confirmed) return plan_.givers[i];
    }
    for (std::size_t i = 0; unit.phase == GiveUnit::Phase::giving && i < unit.lanes.size(); ++i) {
      if (unit.lanes[i].unstored != 0 && i != plan_.taker) return plan_.takers[i];
    }
  }
  if (plan_.takes() && take_base_ < plan_.units) {
    const TakeUnit& unit = take_units_[take_base_ % plan_.window];
    for (std::size_t i = 0; i < unit.added.size(); ++i) {
      const int have = std::popcount(unit.added[i]);
      if (static_cast<std::uint32_t>(have) != plan_.unit_count(take_base_) && i != plan_.giver) {
        return plan_.givers[i];
      }
    }
  }
  return 0;
}

void ReshareJob::check_stall() noexcept {
  if (!running_) return;
  if (now_ns_ - progress_ns_ >= stall_ns_) return fail(short_of_, waited_for());
  later(progress_ns_ + stall_ns_);
}

void ReshareJob::finish_if_done() noexcept {
  if (!running_ || order_.operation == ReshareOperation::seal) return;
  if (plan_.gives() && give_base_ < plan_.units) return;
  if (plan_.takes() && take_base_ < plan_.units) return;
  end(ReshareState::done, ReshareTrouble::none, 0);
}

std::uint64_t ReshareJob::step(std::uint64_t now_ns) noexcept {
  if (!running_) return UINT64_MAX;
  now_ns_ = now_ns;
  due_ns_ = UINT64_MAX;
  if (order_.operation == ReshareOperation::seal) {
    step_seal();
  } else {
    // What a node gives to itself is stored when the taker in it has stored it.
    if (plan_.checks) step_check();
    if (running_ && plan_.gives()) step_give();
    if (running_ && plan_.takes()) step_take();
    if (running_ && plan_.gives()) step_give();
  }
  finish_if_done();
  check_stall();
  return running_ ? due_ns_ : UINT64_MAX;
}

}  // namespace ssn::roles
