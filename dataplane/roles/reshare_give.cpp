// SPDX-License-Identifier: BSD-3-Clause
// Giving: a unit's share is read, becomes what each taker is given, and is kept until all of them have stored
// their sums.
#include <algorithm>
#include <bit>
#include <cassert>

#include "reshare_job.h"

namespace ssn::roles {

using namespace protocol;

namespace {

std::uint64_t all_of_them(std::uint32_t cells) noexcept {
  return cells == 64 ? UINT64_MAX : (std::uint64_t{1} << cells) - 1;
}

}  // namespace

std::uint8_t* ReshareJob::give_buffer(const GiveUnit& unit, std::size_t lane) noexcept {
  return give_memory_ + (unit.number % plan_.slots * plan_.lanes + lane) * plan_.unit_bytes();
}

void ReshareJob::open_give(std::uint32_t number) noexcept {
  GiveUnit& unit = give_slot(number);
  assert(unit.phase == GiveUnit::Phase::closed);
  unit.phase = GiveUnit::Phase::masking;
  unit.number = number;
  unit.unconfirmed = plan_.masked ? plan_.givers.size() - 1 : 0;
  unit.unstored = 0;
  std::fill(unit.pairs.begin(), unit.pairs.end(), Pair{});
  std::fill(unit.lanes.begin(), unit.lanes.end(), Lane{});
}

void ReshareJob::close_give(GiveUnit& unit) noexcept {
  ::explicit_bzero(give_buffer(unit, 0), plan_.lanes * plan_.unit_bytes());
  unit.phase = GiveUnit::Phase::closed;
}

// Whether the order's rate allows another unit.
bool ReshareJob::may_open() noexcept {
  if (order_.bytes_per_second == 0 || plan_.checks) return true;
  if (now_ns_ < rate_ns_) {
    progress();  // held back, not stalled
    later(rate_ns_);
    return false;
  }
  const std::uint64_t bytes = plan_.unit_bytes() * plan_.takers.size();
  rate_ns_ = now_ns_ + bytes * 1'000'000'000 / order_.bytes_per_second;
  return true;
}

void ReshareJob::step_give() noexcept {
  bool again = true;
  while (again && running_) {
    again = false;
    while (give_next_ < plan_.units && give_next_ < give_base_ + plan_.window && may_open()) {
      if (give_slot(give_next_).phase == GiveUnit::Phase::closed) open_give(give_next_);
      ++give_next_;
    }
    for (std::uint32_t number = give_base_; running_ && number < give_next_; ++number) {
      work(give_slot(number));
    }
    while (running_ && give_base_ < give_next_) {
      GiveUnit& unit = give_slot(give_base_);
      if (unit.phase != GiveUnit::Phase::giving || unit.unstored != 0) break;
      close_give(unit);
      ++give_base_;
      again = true;
    }
  }
}

void ReshareJob::work(GiveUnit& unit) noexcept {
  if (unit.phase == GiveUnit::Phase::masking) {
    if (plan_.masked) send_masks(unit);
    if (unit.unconfirmed != 0 || (plan_.checks && !folded_)) return;
    unit.phase = GiveUnit::Phase::reading;
    if (plan_.reads && !plan_.checks) {
      unit.reader.begin(given_share(), order_.source.runs, plan_.unit_first(unit.number),
                        plan_.unit_count(unit.number), plan_.cell_bytes);
    }
  }
  if (unit.phase == GiveUnit::Phase::reading) {
    if (plan_.reads && !plan_.checks && !read(unit.reader)) return;
    if (!make_outputs(unit)) return;
    begin_giving(unit);
  }
  for (std::size_t lane = 0; lane < unit.lanes.size(); ++lane) give_lane(unit, lane);
}

bool ReshareJob::make_outputs(GiveUnit& unit) noexcept {
  if (plan_.deals) return make_dealings(unit);
  make_masked(unit);
  return true;
}

// Onto the masks: lambda times the share.
void ReshareJob::make_masked(GiveUnit& unit) noexcept {
  std::uint8_t* const out = give_buffer(unit, 0);
  const std::uint32_t count = plan_.unit_count(unit.number);
  if (!plan_.checks) unit.reader.take(share_, context_.pool);
  if (plan_.checks || order_.operation == ReshareOperation::exchange) {
    add(out, share_, std::size_t{count} * plan_.cell_bytes);
  } else {
    const std::uint32_t first = plan_.unit_first(unit.number);
    for (std::uint32_t at = 0; at < count;) {
      const std::uint32_t end = std::min(math_.same_until(first + at) - first, count);
      const std::size_t offset = std::size_t{at} * plan_.cell_bytes;
      const std::array<std::uint8_t, 2> matrix{math_.coefficient(plan_.giver, first + at), 1};
      const std::array<const std::uint8_t*, 2> in{share_ + offset, out + offset};
      const std::array<std::uint8_t*, 1> to{out + offset};
      apply(matrix, 1, in.data(), to.data(), std::size_t{end - at} * plan_.cell_bytes);
      at = end;
    }
  }
  ::explicit_bzero(share_, plan_.unit_bytes());
}

// False: not enough random numbers now.
bool ReshareJob::make_dealings(GiveUnit& unit) noexcept {
  const std::uint32_t first = plan_.unit_first(unit.number);
  const std::uint32_t count = plan_.unit_count(unit.number);
  const std::size_t stride = std::size_t{count} * plan_.cell_bytes;
  const std::span<std::uint8_t> random(random_memory_, plan_.random_blocks * stride);
  if (!context_.random.fill(random)) {
    short_of_ = ReshareTrouble::no_random;
    context_.starved = true;
    return false;
  }
  status_.random_bytes += random.size();
  status_.computational = status_.computational || context_.random.computational();
  if (plan_.reads) unit.reader.take(share_, context_.pool);
  const std::span<std::uint8_t> matrix(matrix_.data(), plan_.takers.size() * math_.columns());
  for (std::uint32_t at = 0; at < count;) {
    const std::uint32_t end = std::min(math_.same_until(first + at) - first, count);
    const std::size_t offset = std::size_t{at} * plan_.cell_bytes;
    std::array<const std::uint8_t*, kernels::max_shares + 1> in{};
    std::array<std::uint8_t*, kernels::max_shares> out{};
    for (std::size_t i = 0; i < plan_.random_blocks; ++i) in[i] = random_memory_ + i * stride + offset;
    in[plan_.random_blocks] = share_ + offset;
    for (std::size_t lane = 0; lane < plan_.lanes; ++lane) out[lane] = give_buffer(unit, lane) + offset;
    math_.dealing(plan_.giver, first + at, matrix);
    apply(matrix, plan_.takers.size(), in.data(), out.data(), std::size_t{end - at} * plan_.cell_bytes);
    at = end;
  }
  ::explicit_bzero(random.data(), random.size());
  ::explicit_bzero(share_, plan_.unit_bytes());
  return true;
}

void ReshareJob::begin_giving(GiveUnit& unit) noexcept {
  unit.phase = GiveUnit::Phase::giving;
  unit.unstored = unit.lanes.size();
  for (Lane& lane : unit.lanes) lane.unsent = lane.unstored = all_of_them(plan_.unit_count(unit.number));
  progress();
}

void ReshareJob::give_lane(GiveUnit& unit, std::size_t lane) noexcept {
  Lane& its = unit.lanes[lane];
  if (its.unsent == 0) return;
  if (lane == plan_.taker) return give_self(unit, lane);
  if (!lane_proven_[lane] && (lane_flying_[lane] != 0 || unit.number != give_base_)) return;
  if (now_ns_ < its.retry_ns) return later(its.retry_ns);
  Channel* const channel = context_.channel_of(plan_.takers[lane]);
  while (channel != nullptr && its.unsent != 0) {
    if (give_some(unit, lane, *channel) == 0) break;
    if (!lane_proven_[lane]) return;
  }
  if (its.unsent != 0) context_.starved = true;
}

// To the taker of this node: nothing of it goes anywhere.
void ReshareJob::give_self(GiveUnit& unit, std::size_t lane) noexcept {
  Lane& its = unit.lanes[lane];
  const std::uint8_t* const from = give_buffer(unit, plan_.deals ? lane : 0);
  for (std::uint64_t left = its.unsent; left != 0; left &= left - 1) {
    const auto at = static_cast<std::uint32_t>(std::countr_zero(left));
    if (!add_cell(plan_.giver, plan_.unit_first(unit.number) + at,
                  from + std::size_t{at} * plan_.cell_bytes)) {
      return;
    }
    its.unsent &= its.unsent - 1;
  }
}

// How many were sent.
std::size_t ReshareJob::give_some(GiveUnit& unit, std::size_t lane, Channel& channel) noexcept {
  Lane& its = unit.lanes[lane];
  const Allowance allowed = channel.allowance(plan_.cell_bytes, 0, now_ns_);
  const std::size_t most = lane_proven_[lane] ? Channel::max_burst : 1;
  std::array<Cell*, Channel::max_burst> packets;
  const std::size_t wanted =
      std::min({most, std::size_t{allowed.packets}, static_cast<std::size_t>(std::popcount(its.unsent))});
  const std::size_t count = context_.pool.take(std::span(packets).first(wanted));
  std::array<Parcel, Channel::max_burst> parcels{};
  std::uint64_t left = its.unsent;
  const auto slot = static_cast<std::uint32_t>(unit.number % plan_.slots);
  for (std::size_t i = 0; i < count; ++i, left &= left - 1) {
    const auto at = static_cast<std::uint32_t>(std::countr_zero(left));
    Cell& packet = *packets[i];
    packet.source = give_buffer(unit, plan_.deals ? lane : 0) + std::size_t{at} * plan_.cell_bytes;
    packet.length = plan_.cell_bytes;
    packet.header.placement = {order_.job, plan_.unit_first(unit.number) + at, made_generation(),
                               order_.round, plan_.taker_shares[lane]};
    parcels[i].cell = &packet;
    parcels[i].type = PacketType::contribution;
    parcels[i].cells = 0;
    parcels[i].until_stored = true;
    parcels[i].deadline_ns = deadline();
    parcels[i].token = ReshareToken{ReshareToken::Kind::contribution, static_cast<std::uint8_t>(place_),
                                    life_, slot << 8 | at}
                           .pack();
  }
  const std::size_t sent = count == 0 ? 0 : channel.send(std::span(parcels).first(count), now_ns_);
  for (std::size_t i = 0; i < sent; ++i) {
    its.unsent &= its.unsent - 1;
    status_.computational = status_.computational || parcels[i].computational;
  }
  if (sent < count && packets[sent]->seal_result == SealResult::refused) short_of_ = ReshareTrouble::no_keys;
  context_.pool.give_back(std::span<Cell* const>(packets).subspan(sent, count - sent));
  lane_flying_[lane] += static_cast<std::uint32_t>(sent);
  status_.cells_given += sent;
  status_.bytes_given += sent * plan_.cell_bytes;
  return sent;
}

void ReshareJob::lane_stored(GiveUnit& unit, std::size_t lane, std::uint64_t cells) noexcept {
  Lane& its = unit.lanes[lane];
  assert(unit.phase == GiveUnit::Phase::giving);
  if (its.unstored == 0) return;
  its.unstored &= ~cells;
  if (its.unstored == 0) --unit.unstored;
  progress();
}

void ReshareJob::contribution_settled(std::uint32_t index, const Settled& settled,
                                      std::uint64_t node) noexcept {
  GiveUnit& unit = give_units_[index >> 8];
  const std::uint64_t cell = std::uint64_t{1} << (index & 0xFF);
  const auto found = std::find(plan_.takers.begin(), plan_.takers.end(), node);
  assert(unit.phase == GiveUnit::Phase::giving && found != plan_.takers.end());
  const auto lane = static_cast<std::size_t>(found - plan_.takers.begin());
  switch (settled.how) {
    case Settled::How::received:
      --lane_flying_[lane];
      lane_proven_[lane] = true;
      return;
    case Settled::How::stored:
      return lane_stored(unit, lane, cell);
    case Settled::How::expired:
      break;
  }
  if (settled.reason == ExpireReason::pad_gone) {  // refused: the same bytes under another pad
    --lane_flying_[lane];
    unit.lanes[lane].unsent |= cell;
    unit.lanes[lane].retry_ns = now_ns_ + context_.options.retry_ns;
    return;
  }
  fail(settled.reason == ExpireReason::ended ? ReshareTrouble::peer_lost : ReshareTrouble::stalled, node);
}

}  // namespace ssn::roles
