// SPDX-License-Identifier: BSD-3-Clause
#include "reshare_math.h"

#include <algorithm>
#include <array>
#include <cassert>

#include "gf256.h"

namespace ssn::roles {
namespace {

using Coefficients = std::array<std::uint8_t, kernels::max_shares + 1>;

}  // namespace

bool make_code(const ReshareLayout& layout, kernels::Code& code) noexcept {
  return kernels::Code::make(layout.scheme, layout.k, layout.n, layout.secret_blocks, code) ==
         kernels::Status::ok;
}

std::uint32_t turn_end(const ReshareLayout& layout, std::uint32_t cell) noexcept {
  if (layout.row_rule == RowRule::fixed) return UINT32_MAX;
  const std::uint64_t end = (std::uint64_t{cell / layout.cells_per_turn} + 1) * layout.cells_per_turn;
  return static_cast<std::uint32_t>(std::min<std::uint64_t>(end, UINT32_MAX));
}

void ReshareMath::begin(const ReshareOrder& order) {
  order_ = &order;
  if (order.operation == ReshareOperation::seal) return;
  const bool source = make_code(order.source.layout, source_);
  assert(source);
  static_cast<void>(source);
  const bool audit = order.operation == ReshareOperation::check && order.to.empty();
  if (!audit && !make_code(order.target.layout, target_)) assert(false && "orders are checked");
  members_ = order.from;
  if (one_generation()) members_.insert(members_.end(), order.to.begin(), order.to.end());
}

bool ReshareMath::one_generation() const noexcept {
  return order_->to.empty() || order_->source.generation == order_->target.generation;
}

std::uint32_t ReshareMath::same_until(std::uint32_t cell) const noexcept {
  const std::uint32_t source = turn_end(order_->source.layout, cell);
  return order_->to.empty() ? source : std::min(source, turn_end(order_->target.layout, cell));
}

void ReshareMath::rows(const ReshareLayout& layout, std::span<const std::uint8_t> shares, std::uint32_t cell,
                       std::uint8_t* out) const noexcept {
  for (std::size_t i = 0; i < shares.size(); ++i) {
    out[i] = static_cast<std::uint8_t>(row_of(layout, shares[i], cell));
  }
}

std::uint8_t ReshareMath::coefficient(std::size_t giver, std::uint32_t cell) const noexcept {
  if (order_->operation == ReshareOperation::exchange) return 1;
  Coefficients sources{};
  Coefficients out{};
  rows(order_->source.layout, order_->from, cell, sources.data());
  source_.share_from_shares(sources.data(), row_of(order_->source.layout, order_->to[0], cell), out.data());
  return out[giver];
}

std::size_t ReshareMath::columns() const noexcept {
  return target_.random_blocks() + (order_->operation == ReshareOperation::redistribute ? 1U : 0U);
}

void ReshareMath::dealing(std::size_t giver, std::uint32_t cell,
                          std::span<std::uint8_t> matrix) const noexcept {
  const bool shares = order_->operation == ReshareOperation::redistribute;
  const unsigned random = target_.random_blocks();
  const unsigned blocks = target_.data_blocks();
  assert(matrix.size() == order_->to.size() * columns());
  Coefficients sources{};
  Coefficients out{};
  Coefficients lambda{};
  if (shares) {
    rows(order_->source.layout, order_->from, cell, sources.data());
    for (unsigned block = 0; block < blocks; ++block) {
      source_.data_from_shares(sources.data(), block, out.data());
      lambda[block] = out[giver];
    }
  }
  std::uint8_t* at = matrix.data();
  for (const std::uint8_t share : order_->to) {
    target_.generator_row(row_of(order_->target.layout, share, cell), out.data());
    at = std::copy_n(out.data(), random, at);
    if (!shares) continue;
    std::uint8_t sum = 0;
    for (unsigned block = 0; block < blocks; ++block) {
      sum = static_cast<std::uint8_t>(sum ^ kernels::gf_mul(out[random + block], lambda[block]));
    }
    *at++ = sum;
  }
}

std::size_t ReshareMath::equations() const noexcept {
  const std::size_t source = members_.size() - source_.k();
  if (one_generation()) return source;
  return source + order_->to.size() - target_.k() + source_.data_blocks();
}

// For each surplus share: itself, and what the first k say that it should be.
void ReshareMath::syndrome_weights(const kernels::Code& code, std::span<const std::uint8_t> rows,
                                   std::size_t at, std::span<std::uint8_t> weights) const noexcept {
  Coefficients out{};
  for (std::size_t surplus = code.k(); surplus < rows.size(); ++surplus) {
    std::uint8_t weight = surplus == at ? 1 : 0;
    if (at < code.k()) {
      code.share_from_shares(rows.data(), rows[surplus], out.data());
      weight = out[at];
    }
    weights[surplus - code.k()] = weight;
  }
}

void ReshareMath::data_weights(const kernels::Code& code, std::span<const std::uint8_t> rows, std::size_t at,
                               std::span<std::uint8_t> weights) const noexcept {
  Coefficients out{};
  for (unsigned block = 0; block < code.data_blocks(); ++block) {
    weights[block] = 0;
    if (at >= code.k()) continue;
    code.data_from_shares(rows.data(), block, out.data());
    weights[block] = out[at];
  }
}

void ReshareMath::source_weights(std::size_t from, std::uint32_t cell,
                                 std::span<std::uint8_t> weights) const noexcept {
  assert(weights.size() == equations());
  std::fill(weights.begin(), weights.end(), std::uint8_t{0});
  Coefficients its{};
  rows(order_->source.layout, members_, cell, its.data());
  const std::span<const std::uint8_t> members(its.data(), members_.size());
  syndrome_weights(source_, members, from, weights);
  if (!one_generation()) data_weights(source_, members, from, weights.last(source_.data_blocks()));
}

void ReshareMath::target_weights(std::size_t to, std::uint32_t cell,
                                 std::span<std::uint8_t> weights) const noexcept {
  if (one_generation()) return source_weights(order_->from.size() + to, cell, weights);
  std::fill(weights.begin(), weights.end(), std::uint8_t{0});
  Coefficients its{};
  rows(order_->target.layout, order_->to, cell, its.data());
  const std::span<const std::uint8_t> members(its.data(), order_->to.size());
  syndrome_weights(target_, members, to, weights.subspan(members_.size() - source_.k()));
  data_weights(target_, members, to, weights.last(target_.data_blocks()));
}

}  // namespace ssn::roles
