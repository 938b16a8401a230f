// SPDX-License-Identifier: BSD-3-Clause
// Pad shares: holders in whose turn a random block would be their share keep pad that they have already, and
// are told so by one keep order for a run of cells. DESIGN 5, docs/ssa.md.
#include <algorithm>
#include <cstring>

#include "ssa_write.h"

namespace ssn::roles {

// How many of the first cells of ready_ are split together: one after the other, of one turn.
std::uint32_t SsaWrite::run_length() noexcept {
  std::uint32_t cells = 1;
  const std::uint32_t first = ready_[0];
  while (cells < run_cells_ && cells < ready_.size() && ready_[cells] == first + cells &&
         (first + cells) % layout_.cells_per_turn != 0) {
    ++cells;
  }
  return cells;
}

// Draws what may be needed for a run of cells before anything is sent for it: once a holder was told to keep
// its pad there is no way back but a new attempt. What is not needed stays for the next run. False: not now.
bool SsaWrite::reserve_random() noexcept {
  const std::size_t stride = std::size_t{run_cells_} * layout_.cell_bytes;
  // Where nobody keeps pad nothing is left over, and it is drawn to where it is used.
  std::uint8_t* const to = run_cells_ > 1 ? reserve_.data() : random_.data();
  for (unsigned block = 0; block < code_.random_blocks(); ++block) {
    if (reserved_[block]) continue;
    if (!context_->random->fill({to + block * stride, stride})) return false;
    reserved_[block] = true;
  }
  return true;
}

// The random blocks of a run of cells: pad of those that keep it, and of the others what was drawn.
void SsaWrite::use_random(std::uint32_t first, std::uint32_t cells, std::uint64_t now) noexcept {
  const std::size_t stride = std::size_t{run_cells_} * layout_.cell_bytes;
  const std::size_t bytes = std::size_t{cells} * layout_.cell_bytes;
  for (unsigned block = 0; block < code_.random_blocks(); ++block) {
    const unsigned index = share_of(layout_, block + 1, first) - 1;
    const std::span<std::uint8_t> its(random_.data() + block * stride, bytes);
    const bool may_keep = run_cells_ > 1 && block < layout_.kept_rows;
    if (may_keep && is_there(index) && keep(index, first, cells, its, now)) continue;
    if (run_cells_ > 1) {
      std::uint8_t* const drawn = reserve_.data() + block * stride;
      std::memcpy(its.data(), drawn, bytes);
      ::explicit_bzero(drawn, stride);
    }
    reserved_[block] = false;
    lowered_ = lowered_ || context_->random->computational();
  }
}

// False: not now, or never on this connection. Its share is then made and sent like any other.
bool SsaWrite::keep(unsigned index, std::uint32_t first, std::uint32_t cells, std::span<std::uint8_t> its,
                    std::uint64_t now) noexcept {
  protocol::Cell* packet = nullptr;
  if (context_->pool->take({&packet, 1}) == 0) return false;
  packet->header.placement = {key_.object, first, key_.generation, attempt_,
                              static_cast<std::uint8_t>(index + 1)};
  protocol::Parcel parcel;
  parcel.cell = packet;
  parcel.token = token_of(session_, attempt_, first);
  parcel.deadline_ns = now + options_.cell_ns;
  parcel.cells = cells;
  parcel.until_stored = true;
  const protocol::KeepOrder order{cells, layout_.cell_bytes, 1};
  if (!channel_of(targets_[index])->send_order(parcel, order, its, now)) {
    context_->pool->give_back({&packet, 1});
    return false;
  }
  for (std::uint32_t i = 0; i < cells; ++i) {
    share(first + i, index) = {nullptr, parcel.handle, ShareState::sent, true};
    group(first + i).kept_from = first;
    group(first + i).kept_cells = static_cast<std::uint8_t>(cells);
  }
  context_->counters.shares_sent += cells;
  context_->counters.shares_kept += cells;
  return true;
}

}  // namespace ssn::roles
