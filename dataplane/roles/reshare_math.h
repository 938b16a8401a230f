// SPDX-License-Identifier: BSD-3-Clause
// The coefficients of re-sharing, derived from scheme, share indices and cell by each node itself.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "ssn/roles/resharing.h"

namespace ssn::roles {

bool make_code(const ReshareLayout& layout, kernels::Code& code) noexcept;
/// Behind the last cell, from `cell` on, that has the same rows.
std::uint32_t turn_end(const ReshareLayout& layout, std::uint32_t cell) noexcept;

class ReshareMath {
 public:
  /// Allocates. The order was checked, and stays.
  void begin(const ReshareOrder& order);

  /// Cells from `cell` on, up to this one, have the same coefficients.
  std::uint32_t same_until(std::uint32_t cell) const noexcept;

  /// exchange, repair: what giver `giver` (index in order.from) multiplies its share with.
  std::uint8_t coefficient(std::size_t giver, std::uint32_t cell) const noexcept;
  /// refresh, redistribute: one row for each of order.to, columns() entries each: random blocks, then (not
  /// for refresh) the giver's share.
  void dealing(std::size_t giver, std::uint32_t cell, std::span<std::uint8_t> matrix) const noexcept;
  std::size_t columns() const noexcept;

  /// check: equations, and what each has for one share: index in order.from, or in order.to.
  std::size_t equations() const noexcept;
  void source_weights(std::size_t from, std::uint32_t cell, std::span<std::uint8_t> weights) const noexcept;
  void target_weights(std::size_t to, std::uint32_t cell, std::span<std::uint8_t> weights) const noexcept;

 private:
  void rows(const ReshareLayout& layout, std::span<const std::uint8_t> shares, std::uint32_t cell,
            std::uint8_t* out) const noexcept;
  void syndrome_weights(const kernels::Code& code, std::span<const std::uint8_t> rows, std::size_t at,
                        std::span<std::uint8_t> weights) const noexcept;
  void data_weights(const kernels::Code& code, std::span<const std::uint8_t> rows, std::size_t at,
                    std::span<std::uint8_t> weights) const noexcept;
  bool one_generation() const noexcept;

  const ReshareOrder* order_ = nullptr;
  kernels::Code source_, target_;
  std::vector<std::uint8_t> members_;  // check of one generation: from, then to
};

}  // namespace ssn::roles
