// SPDX-License-Identifier: BSD-3-Clause
// Taking: contributions are added up, and each sum is stored when it has one of every giver.
#include <algorithm>
#include <bit>
#include <cassert>

#include "reshare_job.h"

namespace ssn::roles {

using namespace protocol;
using store::StoreRequest;
using store::StoreResult;

std::uint8_t* ReshareJob::sum(const TakeUnit& unit) noexcept {
  return sum_memory_ + unit.number % plan_.window * plan_.unit_bytes();
}

void ReshareJob::open_take(std::uint32_t number) noexcept {
  TakeUnit& unit = take_slot(number);
  assert(unit.phase == TakeUnit::Phase::closed);
  unit.phase = TakeUnit::Phase::adding;
  unit.number = number;
  unit.own_added = !plan_.adds_own;
  unit.retry_ns = 0;
  unit.missing = std::size_t{plan_.unit_count(number)} * (plan_.givers.size() + (plan_.adds_own ? 1 : 0));
  std::fill(unit.added.begin(), unit.added.end(), 0);
  std::fill(unit.untold.begin(), unit.untold.end(), 0);
  if (!plan_.adds_own) return;
  unit.reader.begin({order_.object, order_.source.generation, plan_.taker_shares[plan_.taker]},
                    order_.source.runs, plan_.unit_first(number), plan_.unit_count(number), plan_.cell_bytes);
}

// False: it is not expected, or here already.
bool ReshareJob::add_cell(std::size_t giver, std::uint32_t cell, const std::uint8_t* bytes) noexcept {
  if (cell < plan_.first || cell >= plan_.end) return false;
  const std::uint32_t number = (cell - plan_.first) / plan_.unit_cells;
  if (number < take_base_ || number >= take_base_ + plan_.window) return false;
  TakeUnit& unit = take_slot(number);
  const std::uint32_t at = cell - plan_.unit_first(number);
  if (unit.phase != TakeUnit::Phase::adding || (unit.added[giver] >> at & 1U) != 0) return false;
  add(sum(unit) + std::size_t{at} * plan_.cell_bytes, bytes, plan_.cell_bytes);
  unit.added[giver] |= std::uint64_t{1} << at;
  --unit.missing;
  ++context_.counters.contributions;
  progress();
  return true;
}

bool ReshareJob::take_contribution(Cell& cell, std::uint64_t node) noexcept {
  const Placement& what = cell.header.placement;
  if (!plan_.takes() || what.generation != made_generation() ||
      what.share != plan_.taker_shares[plan_.taker] || cell.length != plan_.cell_bytes) {
    return false;
  }
  std::size_t giver = 0;
  while (giver < plan_.givers.size() && plan_.givers[giver] != node) ++giver;
  std::uint8_t* const bytes = cell.target != nullptr ? cell.target : cell.data;
  if (giver == plan_.givers.size() || !add_cell(giver, what.cell, bytes)) return false;
  const std::uint32_t number = (what.cell - plan_.first) / plan_.unit_cells;
  const std::uint32_t at = what.cell - plan_.unit_first(number);
  TakeUnit& unit = take_slot(number);
  unit.records[giver * plan_.unit_cells + at] = {cell.header, cell.range_length};
  unit.untold[giver] |= std::uint64_t{1} << at;
  status_.computational = status_.computational || cell.computational;
  ++status_.cells_taken;
  return true;
}

void ReshareJob::add_own(TakeUnit& unit) noexcept {
  if (!read(unit.reader)) return;
  const std::uint32_t count = plan_.unit_count(unit.number);
  unit.reader.take(own_, context_.pool);
  add(sum(unit), own_, std::size_t{count} * plan_.cell_bytes);
  ::explicit_bzero(own_, plan_.unit_bytes());
  unit.own_added = true;
  unit.missing -= count;
}

void ReshareJob::step_take() noexcept {
  const std::uint32_t end = std::min(take_base_ + plan_.window, plan_.units);
  for (std::uint32_t number = take_base_; running_ && number < end; ++number) work(take_slot(number));
  while (running_ && take_base_ < plan_.units && take_slot(take_base_).phase == TakeUnit::Phase::closed) {
    const std::uint32_t next = take_base_ + plan_.window;
    ++take_base_;
    if (next < plan_.units) open_take(next);
  }
}

void ReshareJob::work(TakeUnit& unit) noexcept {
  if (unit.phase == TakeUnit::Phase::adding) {
    if (!unit.own_added) add_own(unit);
    if (!running_ || unit.missing != 0) return;
    unit.phase = TakeUnit::Phase::ready;
  }
  if (unit.phase == TakeUnit::Phase::ready) {
    if (now_ns_ < unit.retry_ns) return later(unit.retry_ns);
    if (plan_.checks) {
      judge(unit);
    } else {
      put(unit);
    }
  }
  if (unit.phase == TakeUnit::Phase::telling) tell(unit);
}

// Cells of the sums themselves, one for each attempt: the store takes from there what is to be kept.
void ReshareJob::put(TakeUnit& unit) noexcept {
  const bool own_attempt = plan_.deals;
  const std::uint32_t first = plan_.unit_first(unit.number);
  const std::uint32_t count = plan_.unit_count(unit.number);
  StoreRequest& request = unit.request;
  request.kind = StoreRequest::Kind::put;
  request.count = 0;
  for (std::uint32_t at = 0; at < count;) {
    const std::uint32_t end =
        own_attempt ? count : std::min(attempt_end(order_.source.runs, first + at) - first, count);
    Cell& cell = unit.cells[request.count];
    cell = Cell{};
    cell.open_result = OpenResult::kept;
    cell.target = sum(unit) + std::size_t{at} * plan_.cell_bytes;
    cell.data = cell.target;
    cell.length = plan_.cell_bytes;
    cell.range_length = (end - at) * plan_.cell_bytes;
    cell.header.placement = {order_.object, first + at, order_.target.generation,
                             own_attempt ? order_.round : attempt_of(order_.source.runs, first + at),
                             plan_.taker_shares[plan_.taker]};
    request.cells[request.count++] = &cell;
    at = end;
  }
  if (!context_.store.submit(request)) {
    context_.starved = true;
    return;
  }
  ++in_store_;
  unit.phase = TakeUnit::Phase::in_store;
}

void ReshareJob::put_came_back(TakeUnit& unit) noexcept {
  assert(unit.phase == TakeUnit::Phase::in_store);
  if (!running_) {
    unit.phase = TakeUnit::Phase::closed;
    ::explicit_bzero(sum(unit), plan_.unit_bytes());
    return;
  }
  for (std::uint32_t i = 0; i < unit.request.count; ++i) {
    switch (unit.request.results[i]) {
      case StoreResult::done:
      case StoreResult::again:
        continue;
      case StoreResult::busy:
        unit.phase = TakeUnit::Phase::ready;
        unit.retry_ns = now_ns_ + context_.options.retry_ns;
        return;
      case StoreResult::conflict:
      case StoreResult::superseded:
      case StoreResult::removed:
      case StoreResult::invalid:
        unit.phase = TakeUnit::Phase::telling;
        return fail(ReshareTrouble::conflict);
      case StoreResult::quarantined:
        unit.phase = TakeUnit::Phase::telling;
        return fail(ReshareTrouble::damaged);
      default:
        unit.phase = TakeUnit::Phase::telling;
        return fail(ReshareTrouble::store_failed);
    }
  }
  unit.phase = TakeUnit::Phase::telling;
  ::explicit_bzero(sum(unit), plan_.unit_bytes());
  context_.counters.cells_stored += plan_.unit_count(unit.number);
  progress();
}

// Where a channel has no room to remember it, later.
void ReshareJob::tell(TakeUnit& unit) noexcept {
  bool all = true;
  for (std::size_t giver = 0; giver < unit.untold.size(); ++giver) {
    if (unit.untold[giver] == 0) continue;
    Channel* const channel = context_.channel_of(plan_.givers[giver]);
    for (std::uint64_t left = unit.untold[giver]; left != 0 && channel != nullptr; left &= left - 1) {
      const auto at = static_cast<std::uint32_t>(std::countr_zero(left));
      const Record& record = unit.records[giver * plan_.unit_cells + at];
      if (!channel->stored(record.header, record.range_length, now_ns_)) break;
      unit.untold[giver] &= unit.untold[giver] - 1;
    }
    all = all && unit.untold[giver] == 0;
  }
  if (all) return close_take(unit);
  context_.starved = true;
}

void ReshareJob::close_take(TakeUnit& unit) noexcept {
  unit.phase = TakeUnit::Phase::closed;
  if (!plan_.gives()) return;
  GiveUnit& given = give_slot(unit.number);
  assert(given.number == unit.number);
  lane_stored(given, plan_.taker, UINT64_MAX);
}

}  // namespace ssn::roles
