// SPDX-License-Identifier: BSD-3-Clause
// Masks: pad that two givers have, and nobody else. The lower node id allocates. Nothing of a unit is given
// before all its masks are confirmed; each is added once and erased.
#include <cassert>
#include <cstring>

#include "reshare_job.h"

namespace ssn::roles {

using namespace protocol;

MaskOrder ReshareJob::mask_order(const GiveUnit& unit) const noexcept {
  MaskOrder order;
  order.job = order_.job;
  order.cells = plan_.unit_count(unit.number);
  order.cell_bytes = plan_.cell_bytes;
  order.round = order_.round;
  order.target = plan_.taker_shares[0];
  order.helpers = plan_.helpers;
  return order;
}

// As `giver` sends it.
Placement ReshareJob::mask_placement(const GiveUnit& unit, std::size_t giver) const noexcept {
  return {order_.object, plan_.unit_first(unit.number), made_generation(), 0, plan_.giver_numbers[giver]};
}

std::uint8_t* ReshareJob::pending_mask(const GiveUnit& unit, std::size_t giver) noexcept {
  const std::size_t slot = unit.number % plan_.window * plan_.own_masks + own_mask_index_[giver];
  return mask_memory_ + slot * plan_.unit_bytes();
}

// One until the other one has shown that it has the order, too: what it refuses is burnt.
void ReshareJob::send_masks(GiveUnit& unit) noexcept {
  for (std::size_t i = 0; i < plan_.givers.size(); ++i) {
    Pair& pair = unit.pairs[i];
    if (plan_.givers[i] <= plan_.givers[plan_.giver] || pair.state != Pair::State::none) continue;
    if (!pair_proven_[i] && (pair_flying_[i] != 0 || unit.number != give_base_)) continue;
    if (now_ns_ < pair.retry_ns) {
      later(pair.retry_ns);
      continue;
    }
    if (!send_mask(unit, i)) context_.starved = true;
  }
}

bool ReshareJob::send_mask(GiveUnit& unit, std::size_t giver) noexcept {
  Channel* const channel = context_.channel_of(plan_.givers[giver]);
  Cell* packet = nullptr;
  if (channel == nullptr || context_.pool.take({&packet, 1}) == 0) return false;
  const MaskOrder order = mask_order(unit);
  packet->header.placement = mask_placement(unit, plan_.giver);
  const auto slot = static_cast<std::uint32_t>(unit.number % plan_.slots);
  Parcel parcel;
  parcel.cell = packet;
  parcel.cells = 0;
  parcel.deadline_ns = deadline();
  parcel.token = ReshareToken{ReshareToken::Kind::mask, static_cast<std::uint8_t>(place_), life_,
                              slot << 16 | static_cast<std::uint32_t>(giver)}
                     .pack();
  if (!channel->send_order(parcel, order, {pending_mask(unit, giver), order.bytes()}, now_ns_)) {
    if (packet->seal_result == SealResult::refused || packet->seal_result == SealResult::invalid) {
      short_of_ = ReshareTrouble::no_keys;
    }
    give_back(packet);
    return false;
  }
  unit.pairs[giver].state = Pair::State::sent;
  ++pair_flying_[giver];
  ++status_.mask_orders;
  status_.mask_bytes += order.bytes();
  ++context_.counters.masks_made;
  return true;
}

void ReshareJob::confirm(GiveUnit& unit, std::size_t giver, const std::uint8_t* mask) noexcept {
  assert(unit.pairs[giver].state != Pair::State::confirmed && unit.unconfirmed != 0);
  add(give_buffer(unit, 0), mask, std::size_t{plan_.unit_count(unit.number)} * plan_.cell_bytes);
  unit.pairs[giver].state = Pair::State::confirmed;
  --unit.unconfirmed;
}

void ReshareJob::mask_settled(std::uint32_t index, const Settled& settled, std::uint64_t node) noexcept {
  GiveUnit& unit = give_units_[index >> 16];
  const std::size_t giver = index & 0xFFFF;
  assert(unit.phase == GiveUnit::Phase::masking && unit.pairs[giver].state == Pair::State::sent);
  std::uint8_t* const mask = pending_mask(unit, giver);
  const std::size_t bytes = std::size_t{plan_.unit_count(unit.number)} * plan_.cell_bytes;
  --pair_flying_[giver];
  if (settled.how == Settled::How::received) {
    confirm(unit, giver, mask);
    pair_proven_[giver] = true;
    progress();
  } else if (settled.reason == ExpireReason::pad_gone) {  // the other one has not taken it
    unit.pairs[giver] = {Pair::State::none, now_ns_ + context_.options.retry_ns};
    status_.masks_lost += bytes;
  } else {  // whether the other one has it nobody knows
    return fail(settled.reason == ExpireReason::ended ? ReshareTrouble::peer_lost : ReshareTrouble::stalled,
                node);
  }
  ::explicit_bzero(mask, bytes);
}

// Exactly what this node's own order makes it expect of that node; once for each unit.
bool ReshareJob::take_mask(const Cell& cell, const MaskOrder& order, std::uint64_t node) noexcept {
  if (!plan_.gives() || !plan_.masked) return false;
  std::size_t giver = 0;
  while (giver < plan_.givers.size() && plan_.givers[giver] != node) ++giver;
  if (giver == plan_.givers.size() || node >= plan_.givers[plan_.giver]) return false;
  const std::uint32_t first = cell.header.placement.cell;
  if (first < plan_.first || first >= plan_.end || (first - plan_.first) % plan_.unit_cells != 0)
    return false;
  const std::uint32_t number = (first - plan_.first) / plan_.unit_cells;
  if (number < give_base_ || number >= give_base_ + plan_.slots) return false;
  GiveUnit& unit = give_slot(number);
  if (unit.phase == GiveUnit::Phase::closed) open_give(number);
  if (unit.phase != GiveUnit::Phase::masking || unit.pairs[giver].state != Pair::State::none ||
      !(order == mask_order(unit)) || !(cell.header.placement == mask_placement(unit, giver)) ||
      cell.range_length != order.bytes()) {
    return false;
  }
  confirm(unit, giver, cell.target);
  ++context_.counters.masks_taken;
  progress();
  return true;
}

}  // namespace ssn::roles
