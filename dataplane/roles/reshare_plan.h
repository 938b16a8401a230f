// SPDX-License-Identifier: BSD-3-Clause
// What an order means for one node: its parts, and how much memory they take.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <vector>

#include "ssn/roles/resharing.h"

namespace ssn::roles {

inline constexpr std::size_t no_index = SIZE_MAX;
inline constexpr std::uint32_t check_folds = 8;

struct ResharePlan {
  std::vector<std::uint64_t> givers;        ///< nodes
  std::vector<std::uint8_t> giver_numbers;  ///< share index, in a check 1, 2, ...
  std::vector<std::uint64_t> takers;
  std::vector<std::uint8_t> taker_shares;  ///< that they make; in a check the checker's number
  std::size_t giver = no_index;            ///< which of them this node is
  std::size_t taker = no_index;
  bool masked = false;
  bool deals = false;     ///< each taker gets something else
  bool reads = false;     ///< givers read their share for it
  bool adds_own = false;  ///< takers add the share that they have
  bool checks = false;
  std::array<std::uint8_t, 32> helpers{};  ///< of mask orders

  std::uint32_t cell_bytes = 0;
  std::uint32_t unit_cells = 0;
  std::uint32_t first = 0;
  std::uint32_t end = 0;
  std::uint32_t units = 0;
  std::uint32_t window = 0;   ///< units that are given or taken at a time
  std::uint32_t slots = 0;    ///< of a giver: others' masks may run ahead by a window
  std::size_t lanes = 0;      ///< buffers of a giver's unit: one for each taker where they differ
  std::size_t own_masks = 0;  ///< givers with a higher node id: this one allocates their masks
  unsigned random_blocks = 0;

  bool gives() const noexcept { return giver != no_index; }
  bool takes() const noexcept { return taker != no_index; }
  std::size_t unit_bytes() const noexcept { return std::size_t{unit_cells} * cell_bytes; }
  std::size_t memory_bytes() const noexcept;
  std::size_t records() const noexcept { return takes() ? givers.size() * window * unit_cells : 0; }
  std::uint32_t unit_first(std::uint32_t unit) const noexcept { return first + unit * unit_cells; }
  std::uint32_t unit_count(std::uint32_t unit) const noexcept {
    return std::min(unit_cells, end - unit_first(unit));
  }
};

/// Of an order that was checked. Allocates.
ResharePlan make_plan(const ReshareOrder& order, std::uint64_t node);

}  // namespace ssn::roles
