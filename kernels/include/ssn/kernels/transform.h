// SPDX-License-Identifier: BSD-3-Clause
// A matrix over GF(2^8), prepared to be applied to byte columns: output r = sum over c of M[r][c] * input c.
//
// Split, recover, repair, refresh and check are all one Transform each. Rows that merely repeat an input are
// recognised and copied; a first other row of ones is summed without multiplication.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "ssn/kernels/code.h"

namespace ssn::kernels {

/// About 66 KiB: keep it in static or heap memory and reuse it, one per (code, list of shares). Building
/// one costs O(rows * columns^2) field operations: not for the hot path. Immutable after building, and
/// then thread-safe.
class Transform {
 public:
  static constexpr unsigned max_rows = max_shares;
  static constexpr unsigned max_columns = max_shares;

  /// Inputs: the random blocks, then the data blocks. Outputs: shares 1..n in order.
  Status make_split(const Code& code) noexcept;

  /// The same without the shares that are random blocks themselves: outputs are shares t+1..n (for rs,
  /// k+1..n). For pad shares, where the holders of shares 1..t keep pad bytes that serve as random blocks.
  Status make_split_keep(const Code& code) noexcept;

  /// Inputs: the k given shares in the given order (indices 1..n, distinct). Outputs: the data blocks.
  Status make_recover(const Code& code, std::span<const std::uint8_t> shares) noexcept;

  /// Inputs: the k given shares. Output: share `target`.
  Status make_repair(const Code& code, std::span<const std::uint8_t> shares, unsigned target) noexcept;

  /// Inputs: the m > k given shares. Outputs: m - k syndromes, each zero where the shares agree: for the
  /// i-th surplus share, its value XOR what the first k shares say that it should be.
  Status make_syndromes(const Code& code, std::span<const std::uint8_t> shares) noexcept;

  /// Any matrix, row-major: for weighted sums (refresh, redistribution, masked checks) rows is 1.
  Status make_matrix(std::span<const std::uint8_t> coefficients, unsigned rows, unsigned columns) noexcept;

  unsigned rows() const noexcept { return rows_; }
  unsigned columns() const noexcept { return columns_; }

  // For operations. -----------------------------------------------------------------------------------
  // Kernels see columns and rows in an order of their own: first the columns that an output repeats, and
  // these outputs; then the other columns; then the outputs that need arithmetic.
  /// How many outputs repeat an input.
  unsigned copies() const noexcept { return copies_; }
  unsigned dense_rows() const noexcept { return rows_ - copies_; }
  /// Input that the kernel sees as column i, output that it writes i-th.
  unsigned column_at(unsigned i) const noexcept { return column_order_[i]; }
  unsigned row_at(unsigned i) const noexcept { return row_order_[i]; }
  /// Whether column_at(i) and row_at(i) are i throughout.
  bool in_order() const noexcept { return in_order_; }
  /// dense_rows() * columns(), row-major, in the kernel's order.
  const std::uint8_t* coefficients() const noexcept { return coefficients_.data(); }
  bool first_dense_row_is_ones() const noexcept { return first_is_ones_; }
  /// Tables in ISA-L's own format for small matrices, null for larger ones. They depend on the host's CPU
  /// and on the ISA-L that is loaded: never inspect, store or send them.
  static constexpr std::size_t isal_table_limit = 64;
  const std::uint8_t* isal_tables() const noexcept { return isal_ready_ ? isal_tables_.data() : nullptr; }

 private:
  void begin(unsigned columns) noexcept;
  void add_row(const std::uint8_t* row) noexcept;
  void finish() noexcept;
  Status make_generator(const Code& code, unsigned first_share) noexcept;

  static constexpr std::uint8_t no_row = 255;

  std::uint16_t rows_ = 0;
  std::uint16_t columns_ = 0;
  std::uint16_t copies_ = 0;
  bool first_is_ones_ = false;
  bool in_order_ = false;
  bool isal_ready_ = false;
  std::array<std::uint8_t, max_columns> copy_row_{};  // while rows are added: the row that repeats a column
  std::array<std::uint8_t, max_columns> column_order_{};
  std::array<std::uint8_t, max_rows> row_order_{};  // while rows are added: the dense rows
  std::array<std::uint8_t, 32 * isal_table_limit> isal_tables_{};
  std::array<std::uint8_t, std::size_t{max_rows} * max_columns> coefficients_{};
};

}  // namespace ssn::kernels
