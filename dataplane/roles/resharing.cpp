// SPDX-License-Identifier: BSD-3-Clause
#include "ssn/roles/resharing.h"

#include <algorithm>
#include <bit>

#include "reshare_math.h"
#include "ssn/protocol/payloads.h"

namespace ssn::roles {
namespace {

constexpr std::size_t most_participants = 255;
constexpr std::uint64_t most_stall_ns = 3'600'000'000'000;

bool ascending(std::span<const std::uint8_t> shares, unsigned n) noexcept {
  for (std::size_t i = 0; i < shares.size(); ++i) {
    if (shares[i] == 0 || shares[i] > n || (i != 0 && shares[i] <= shares[i - 1])) return false;
  }
  return true;
}

bool is_layout(const ReshareLayout& layout) noexcept {
  kernels::Code code;
  if (!make_code(layout, code) || layout.nodes.size() != layout.n) return false;
  if ((layout.row_rule == RowRule::rotating) != (layout.cells_per_turn != 0)) return false;
  for (std::size_t i = 0; i < layout.nodes.size(); ++i) {
    for (std::size_t j = 0; j < i; ++j) {
      if (layout.nodes[i] != 0 && layout.nodes[i] == layout.nodes[j]) return false;
    }
  }
  return true;
}

bool same_scheme(const ReshareLayout& a, const ReshareLayout& b) noexcept {
  return a.scheme == b.scheme && a.k == b.k && a.n == b.n && a.secret_blocks == b.secret_blocks &&
         a.row_rule == b.row_rule && a.cells_per_turn == b.cells_per_turn;
}

/// All that are named are somebody's.
bool all_there(const ReshareLayout& layout, std::span<const std::uint8_t> shares) noexcept {
  return ascending(shares, layout.n) && std::all_of(shares.begin(), shares.end(), [&](std::uint8_t share) {
           return layout.nodes[share - 1U] != 0;
         });
}

bool are_numbers(const ReshareOrder& order) noexcept {
  if (order.job == 0 || order.round == 0 || order.cells == 0 || order.cell_bytes == 0 ||
      order.cell_bytes % store::cell_granule != 0 || order.cell_bytes > store::max_cell_bytes) {
    return false;
  }
  if (!std::has_single_bit(order.unit_cells) || order.unit_cells > store::stripe_cells ||
      order.unit_cells * order.cell_bytes > protocol::max_order_bytes || order.window == 0 ||
      order.window > 16 || order.stall_ns == 0 || order.stall_ns > most_stall_ns) {
    return false;
  }
  return order.first % order.unit_cells == 0 && order.first < order.end && order.end <= order.cells &&
         (order.end % order.unit_cells == 0 || order.end == order.cells);
}

/// The share is made in its own generation: all others stay where they are.
bool is_replacement(const ReshareOrder& order) noexcept {
  const ReshareLayout& source = order.source.layout;
  const ReshareLayout& target = order.target.layout;
  if (order.to.size() != 1 || !same_scheme(source, target) ||
      order.source.generation != order.target.generation) {
    return false;
  }
  for (unsigned i = 0; i < source.n; ++i) {
    if (i + 1U != order.to[0] && source.nodes[i] != target.nodes[i]) return false;
  }
  return true;
}

bool helps_itself(const ReshareOrder& order) noexcept {
  return std::find(order.from.begin(), order.from.end(), order.to[0]) != order.from.end();
}

bool is_successor(const ReshareOrder& order) noexcept {
  const ReshareLayout& target = order.target.layout;
  return order.target.generation > order.source.generation && order.to.size() >= target.k &&
         order.source.layout.secret_blocks == target.secret_blocks &&
         (reveals_nothing(target) != 0 || reveals_nothing(order.source.layout) == 0);
}

bool is_check(const ReshareOrder& order) noexcept {
  const bool audit = order.to.empty();
  const bool single = !audit && order.source.generation == order.target.generation;
  const bool fits =
      audit || (single ? is_replacement(order) && !helps_itself(order)
                       : is_successor(order) && store::valid_runs(order.target.runs, order.cells));
  if (!fits || order.from.size() < order.source.layout.k || order.first != 0 || order.end != order.cells ||
      order.from.size() + order.to.size() > most_participants) {
    return false;
  }
  const ReshareLayout& layout = audit ? order.source.layout : order.target.layout;
  const std::vector<std::uint8_t>& checkers = audit ? order.from : order.to;
  return std::any_of(checkers.begin(), checkers.end(),
                     [&](std::uint8_t share) { return layout.nodes[share - 1U] == order.checker; });
}

bool is_operation(const ReshareOrder& order) noexcept {
  const ReshareLayout& source = order.source.layout;
  switch (order.operation) {
    case ReshareOperation::exchange:
      return is_replacement(order) && order.from == order.to &&
             source.nodes[order.to[0] - 1U] != order.target.layout.nodes[order.to[0] - 1U];
    case ReshareOperation::repair:
      return is_replacement(order) && order.from.size() == source.k && !helps_itself(order);
    case ReshareOperation::refresh:
      return is_successor(order) && source == order.target.layout && reveals_nothing(source) != 0 &&
             order.from.size() > reveals_nothing(source);
    case ReshareOperation::redistribute:
      return is_successor(order) && order.from.size() == source.k;
    case ReshareOperation::check:
      return is_check(order);
    case ReshareOperation::seal:
      break;
  }
  return false;
}

}  // namespace

// FNV-1a. Who has a node's name is a matter of certificates; numbers only tell those apart that are listed.
std::uint64_t node_number(std::string_view name) noexcept {
  std::uint64_t number = 0xcbf29ce484222325;
  for (const char each : name) number = (number ^ static_cast<std::uint8_t>(each)) * 0x100000001b3;
  return std::max<std::uint64_t>(number, 1);
}

unsigned reveals_nothing(const ReshareLayout& layout) noexcept {
  kernels::Code code;
  return make_code(layout, code) ? code.random_blocks() : 0;
}

ReshareAnswer check_order(const ReshareOrder& order) noexcept {
  if (!are_numbers(order)) return ReshareAnswer::malformed;
  if (order.operation == ReshareOperation::seal) {
    const bool good = is_layout(order.target.layout) && !order.to.empty() && order.from.empty() &&
                      all_there(order.target.layout, order.to) &&
                      store::valid_runs(order.target.runs, order.cells);
    return good ? ReshareAnswer::taken : ReshareAnswer::malformed;
  }
  const bool audit = order.operation == ReshareOperation::check && order.to.empty();
  const bool good = is_layout(order.source.layout) && all_there(order.source.layout, order.from) &&
                    store::valid_runs(order.source.runs, order.cells) &&
                    (audit || (is_layout(order.target.layout) && all_there(order.target.layout, order.to))) &&
                    is_operation(order);
  return good ? ReshareAnswer::taken : ReshareAnswer::malformed;
}

FloorRule::FloorRule(ReshareFloor floor, const PinnedLayouts* layouts)
    : floor_(std::move(floor)), layouts_(layouts) {}

const ListedNode* FloorRule::find(std::uint64_t node) const noexcept {
  for (const ListedNode& each : floor_.nodes) {
    if (each.node == node) return &each;
  }
  return nullptr;
}

bool FloorRule::lists(const ReshareLayout& layout, std::span<const std::uint8_t> shares) const noexcept {
  return std::all_of(shares.begin(), shares.end(),
                     [&](std::uint8_t share) { return find(layout.nodes[share - 1U]) != nullptr; });
}

// Of the layout as it will be: everybody who then has a share of it, not only those that this order makes.
bool FloorRule::is_above(const ReshareOrder& order) const noexcept {
  const ReshareLayout& layout = order.target.layout;
  const unsigned t = reveals_nothing(layout);
  if (t < floor_.minimum_t) return false;
  const auto domain_of = [&](unsigned at) {
    const ListedNode* const listed = layout.nodes[at] == 0 ? nullptr : find(layout.nodes[at]);
    return listed == nullptr ? 0U : listed->domain;
  };
  unsigned known = 0;
  for (unsigned i = 0; i < layout.n; ++i) {
    const std::uint32_t domain = domain_of(i);
    if (domain == 0) continue;
    unsigned same = 0;
    for (unsigned j = 0; j < i; ++j) same += domain_of(j) == domain ? 1 : 0;
    if (floor_.domain_limit && same + 1 > t) return false;
    known += same == 0 ? 1 : 0;
  }
  return floor_.minimum_domains <= 1 || known >= floor_.minimum_domains;
}

bool FloorRule::is_pinned(const ReshareOrder& order, const ReshareGeneration& generation) const noexcept {
  const ReshareLayout* const pinned =
      layouts_ == nullptr ? nullptr : layouts_->find(order.object, generation.generation);
  if (pinned == nullptr) return !floor_.pinned_only;
  return same_scheme(*pinned, generation.layout);
}

ReshareAnswer FloorRule::permits(const ReshareOrder& order) const noexcept {
  const bool makes = order.operation != ReshareOperation::check && order.operation != ReshareOperation::seal;
  if ((floor_.permitted >> static_cast<unsigned>(order.operation) & 1U) == 0) return ReshareAnswer::forbidden;
  if (!lists(order.source.layout, order.from) || !lists(order.target.layout, order.to)) {
    return ReshareAnswer::unlisted;
  }
  if (order.operation == ReshareOperation::check && find(order.checker) == nullptr) {
    return ReshareAnswer::unlisted;
  }
  if (makes && !is_above(order)) return ReshareAnswer::below_floor;
  if (order.operation != ReshareOperation::seal && !is_pinned(order, order.source)) {
    return ReshareAnswer::unpinned;
  }
  return ReshareAnswer::taken;
}

}  // namespace ssn::roles
