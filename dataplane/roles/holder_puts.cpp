// SPDX-License-Identifier: BSD-3-Clause
// Cells and keep orders: from the peer to the store, and what came of them back.
//
// Why there is always a free Put: one of 64 cells takes 64 of the credit until it is free again, at most
// partial_puts others are on their way, and one is being filled.
#include <algorithm>

#include "holder_peer.h"
#include "planted_faults.h"

namespace ssn::roles {

using namespace protocol;
using store::StoreRequest;
using store::StoreResult;

namespace {

// Of the credit.
std::uint32_t units_of(const Cell& cell) noexcept {
  return cell.open_result == OpenResult::kept && cell.length != 0 ? cell.range_length / cell.length : 1;
}

}  // namespace

// False: no order that a holder can follow. A kept cell gets the length of a share's cells, as the store
// wants it.
bool HolderPeer::check_order(Cell& cell, std::uint32_t& units) noexcept {
  units = 1;
  if (cell.open_result != OpenResult::kept) return true;
  const std::optional<KeepOrder> order = read_keep_order({cell.data, cell.length});
  if (!order || order->rows != 1 || order->bytes() != cell.range_length || cell.target == nullptr ||
      order->cells > context_.options.cells) {
    return false;
  }
  units = order->cells;
  cell.length = order->cell_bytes;
  return true;
}

void HolderPeer::take_share(Cell& cell, std::uint64_t now_ns) noexcept {
  HolderCounters& counters = context_.counters;
  std::uint32_t units = 0;
  if (!permitted(HolderAction::write, cell) || !check_order(cell, units)) {
    answer_share(cell, AnswerCode::refused);
    return give_back(&cell);
  }
  // An honest peer keeps to its credit.
  Put* const put = units <= credit() ? open_put() : nullptr;
  if (put == nullptr) {
    ++counters.over_credit;
    return channel_->refuse(cell, now_ns);
  }
  counters.cells += units;
  counters.orders_kept += cell.open_result == OpenResult::kept ? 1 : 0;
  if (planted(PlantedFault::stored_on_arrival)) {
    (void)channel_->stored(cell.header, cell.range_length, now_ns);
  }
  put->request.cells[put->request.count++] = &cell;
  put->units += units;
  held_ += units;
  if (put->request.count == StoreRequest::most_cells) close_put();
}

HolderPeer::Put* HolderPeer::open_put() noexcept {
  if (open_ == nullptr && !free_puts_.empty()) {
    open_ = &puts_[free_puts_.front()];
    free_puts_.pop();
    open_->state = Put::State::open;
    open_->request.kind = StoreRequest::Kind::put;
    open_->request.count = 0;
    open_->units = 0;
  }
  return open_;
}

void HolderPeer::close_put() noexcept {
  open_->partial = open_->request.count != StoreRequest::most_cells;
  partials_ += open_->partial ? 1 : 0;
  open_->state = Put::State::ready;
  open_ = nullptr;
  ++ready_;
}

void HolderPeer::submit_puts() noexcept {
  if (open_ != nullptr && partials_ < context_.options.partial_puts) close_put();
  for (Put& put : puts_) {
    if (ready_ == 0) return;
    if (put.state != Put::State::ready) continue;
    if (!submit(put.request)) return;
    put.state = Put::State::in_store;
    --ready_;
    ++context_.counters.puts;
    context_.counters.put_cells += put.request.count;
  }
}

void HolderPeer::put_came_back(Put& put, std::uint64_t now_ns) noexcept {
  assert(put.state == Put::State::in_store);
  if (channel_ == nullptr) {
    context_.pool.give_back(std::span<Cell* const>(put.request.cells).first(put.request.count));
    return free_put(put);
  }
  Returns returns(context_.pool);
  for (std::uint32_t i = 0; i < put.request.count; ++i) {
    Cell& cell = *put.request.cells[i];
    if (!is_good(put.request.results[i])) {
      answer_share(cell, answer_code(put.request.results[i]));
    } else if (const std::uint32_t units = units_of(cell); !tell(cell, units, now_ns)) {
      put.units -= units;
      untold_.push_back({&cell, now_ns, units});  // reserved: it is still of the credit
      continue;
    }
    returns.add(&cell);
  }
  free_put(put);
}

bool HolderPeer::tell(const Cell& cell, std::uint32_t units, std::uint64_t now_ns) noexcept {
  if (!channel_->stored(cell.header, cell.range_length, now_ns)) return false;
  context_.counters.stored += units;
  return true;
}

void HolderPeer::tell_stored(std::uint64_t now_ns) noexcept {
  Returns returns(context_.pool);
  std::size_t left = 0;
  for (const Untold& each : untold_) {
    const bool told = tell(*each.cell, each.units, now_ns);
    if (!told && now_ns - each.since_ns < context_.options.told_wait_ns) {
      untold_[left++] = each;
      continue;
    }
    context_.counters.untold += told ? 0 : each.units;
    held_ -= each.units;
    returns.add(each.cell);
  }
  untold_.resize(left);
}

void HolderPeer::free_put(Put& put) noexcept {
  held_ -= put.units;
  partials_ -= put.partial ? 1 : 0;
  put.units = 0;
  put.partial = false;
  put.state = Put::State::free;
  free_puts_.push(static_cast<std::uint32_t>(put.request.context));
}

void HolderPeer::end_puts() noexcept {
  Returns returns(context_.pool);
  open_ = nullptr;
  for (Put& put : puts_) {
    const bool kept = put.state == Put::State::free || put.state == Put::State::in_store;
    if (kept) continue;
    for (std::uint32_t i = 0; i < put.request.count; ++i) returns.add(put.request.cells[i]);
    free_put(put);
  }
  for (const Untold& each : untold_) {
    held_ -= each.units;
    returns.add(each.cell);
  }
  untold_.clear();
  ready_ = 0;
}

}  // namespace ssn::roles
