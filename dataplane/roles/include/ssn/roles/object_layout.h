// SPDX-License-Identifier: BSD-3-Clause
// How one object is shared among holders, as the controller decided it: what an SSA is told of an object.
#pragma once

#include <cstdint>
#include <vector>

#include "ssn/hw/result.h"
#include "ssn/kernels/code.h"
#include "ssn/protocol/requests.h"

namespace ssn::roles {

struct ObjectKey {
  std::uint64_t object = 0;
  std::uint32_t generation = 0;
  bool operator==(const ObjectKey&) const = default;
};

/// How the rows of the generator matrix fall to holders: control/api/controller.proto, RowRule. With rotating
/// rows the share of row r of turn t is that of the holder whose turn it is: row_of(), share_of().
enum class RowRule : std::uint8_t { fixed, rotating };

struct ObjectLayout {
  kernels::Scheme scheme = kernels::Scheme::systematic;
  unsigned k = 3;
  unsigned n = 5;
  unsigned secret_blocks = 1;       ///< L: blocks of the owner in one cell of each share
  std::uint32_t cell_bytes = 1344;  ///< of a block and of a share's cell: a multiple of 64
  unsigned quorum = 0;              ///< 0: (n + k) / 2, rounded up
  unsigned minimum = 0;             ///< 0: k
  RowRule row_rule = RowRule::fixed;
  std::uint32_t cells_per_turn = 0;  ///< 0 with fixed rows
  unsigned kept_rows =
      255;  ///< rotating rows: holders of the rows 1 to this may keep pad; at most the random ones
  std::vector<std::uint16_t> holders;  ///< n different ones, by share: numbers of Ssa::add_holder()
};

/// The row, 1..n, that the holder of share `share` stores of a cell, and the other way round.
template <typename Layout>
unsigned row_of(const Layout& layout, unsigned share, std::uint32_t cell) noexcept {
  if (layout.row_rule == RowRule::fixed) return share;
  return 1 + (share - 1 + cell / layout.cells_per_turn % layout.n) % layout.n;
}
inline unsigned share_of(const ObjectLayout& layout, unsigned row, std::uint32_t cell) noexcept {
  if (layout.row_rule == RowRule::fixed) return row;
  return 1 + (row - 1 + layout.n - cell / layout.cells_per_turn % layout.n) % layout.n;
}

/// usage: which parameter is out of range, and what the range is. Fills in
/// quorum and minimum.
Outcome complete(ObjectLayout& layout, kernels::Code& code);

/// Cells from `first` on, up to the next run, are of `attempt`.
using AttemptRun = protocol::SealOrder::Run;

/// The weakest protection that data or shares ever had; the numbers of controller.proto.
enum class Protection : std::uint8_t { unknown = 0, none = 1, computational = 2, information_theoretic = 3 };

}  // namespace ssn::roles
