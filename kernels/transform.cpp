// SPDX-License-Identifier: BSD-3-Clause
#include "ssn/kernels/transform.h"

#include <algorithm>
#include <bitset>
#include <cassert>

#include "isal.h"

namespace ssn::kernels {
namespace {

Status check_shares(const Code& code, std::span<const std::uint8_t> shares) noexcept {
  std::bitset<max_shares + 1> seen;
  for (const std::uint8_t share : shares) {
    if (share < 1 || share > code.n()) {
      return Status::share_index_out_of_range;
    }
    if (seen[share]) {
      return Status::share_index_repeated;
    }
    seen[share] = true;
  }
  return Status::ok;
}

Status check_k_shares(const Code& code, std::span<const std::uint8_t> shares) noexcept {
  if (shares.size() < code.k()) {
    return Status::too_few_shares;
  }
  if (shares.size() > code.k()) {
    return Status::too_many_shares_given;
  }
  return check_shares(code, shares);
}

}  // namespace

void Transform::begin(unsigned columns) noexcept {
  assert(columns >= 1 && columns <= max_columns);
  rows_ = 0;
  columns_ = static_cast<std::uint16_t>(columns);
  copies_ = 0;
  first_is_ones_ = false;
  isal_ready_ = false;
  copy_row_.fill(no_row);
}

// A row with a single 1 is a copy, unless another row copies that column already. Other rows keep their
// order: a split with generated blocks relies on it.
void Transform::add_row(const std::uint8_t* row) noexcept {
  assert(rows_ < max_rows);
  const auto* end = row + columns_;
  const unsigned dense = dense_rows();
  const auto row_number = static_cast<std::uint8_t>(rows_++);
  const auto zeros = std::count(row, end, std::uint8_t{0});
  const auto ones = std::count(row, end, std::uint8_t{1});
  if (ones == 1 && zeros == columns_ - 1) {
    const auto column = static_cast<std::size_t>(std::find(row, end, std::uint8_t{1}) - row);
    if (copy_row_[column] == no_row) {
      copy_row_[column] = row_number;
      ++copies_;
      return;
    }
  }
  first_is_ones_ = dense == 0 ? ones == columns_ : first_is_ones_;
  row_order_[dense] = row_number;
  std::copy(row, end, coefficients_.data() + std::size_t{dense} * columns_);
}

// Brings copied columns to the front.
void Transform::finish() noexcept {
  const unsigned dense = dense_rows();
  std::copy_backward(row_order_.data(), row_order_.data() + dense, row_order_.data() + dense + copies_);
  unsigned copied = 0;
  unsigned other = copies_;
  for (unsigned column = 0; column < columns_; ++column) {
    const std::uint8_t row = copy_row_[column];
    if (row != no_row) {
      row_order_[copied] = row;
    }
    column_order_[row != no_row ? copied++ : other++] = static_cast<std::uint8_t>(column);
  }
  assert(copied == copies_ && other == columns_);
  in_order_ = true;
  for (unsigned i = 0; i < columns_; ++i) {
    in_order_ = in_order_ && column_order_[i] == i;
  }
  for (unsigned i = 0; i < dense; ++i) {
    std::uint8_t* row = coefficients_.data() + std::size_t{i} * columns_;
    std::array<std::uint8_t, max_columns> before;
    std::copy_n(row, columns_, before.data());
    std::transform(column_order_.data(), column_order_.data() + columns_, row,
                   [&before](std::uint8_t column) { return before[column]; });
  }
  for (unsigned i = 0; i < rows_; ++i) {
    in_order_ = in_order_ && row_order_[i] == i;
  }
  const std::size_t coefficients = std::size_t{dense} * columns_;
  if (coefficients > 0 && coefficients <= isal_table_limit) {
    make_isal_tables(coefficients_.data(), dense, columns_, isal_tables_.data());
    isal_ready_ = true;
  }
}

Status Transform::make_generator(const Code& code, unsigned first_share) noexcept {
  std::array<std::uint8_t, max_columns> row;
  begin(code.k());
  for (unsigned share = first_share; share <= code.n(); ++share) {
    code.generator_row(share, row.data());
    add_row(row.data());
  }
  finish();
  return Status::ok;
}

Status Transform::make_split(const Code& code) noexcept { return make_generator(code, 1); }

Status Transform::make_split_keep(const Code& code) noexcept {
  const unsigned kept = code.scheme() == Scheme::rs ? code.k() : code.random_blocks();
  if (kept == code.n()) {
    return Status::too_few_shares;
  }
  return make_generator(code, kept + 1);
}

Status Transform::make_recover(const Code& code, std::span<const std::uint8_t> shares) noexcept {
  if (const Status status = check_k_shares(code, shares); status != Status::ok) {
    return status;
  }
  std::array<std::uint8_t, max_columns> row;
  begin(code.k());
  for (unsigned block = 0; block < code.data_blocks(); ++block) {
    code.data_from_shares(shares.data(), block, row.data());
    add_row(row.data());
  }
  finish();
  return Status::ok;
}

Status Transform::make_repair(const Code& code, std::span<const std::uint8_t> shares,
                              unsigned target) noexcept {
  if (const Status status = check_k_shares(code, shares); status != Status::ok) {
    return status;
  }
  if (target < 1 || target > code.n()) {
    return Status::share_index_out_of_range;
  }
  std::array<std::uint8_t, max_columns> row;
  begin(code.k());
  code.share_from_shares(shares.data(), target, row.data());
  add_row(row.data());
  finish();
  return Status::ok;
}

Status Transform::make_syndromes(const Code& code, std::span<const std::uint8_t> shares) noexcept {
  if (shares.size() <= code.k()) {
    return Status::too_few_shares;
  }
  if (shares.size() > code.n()) {
    return Status::too_many_shares_given;
  }
  if (const Status status = check_shares(code, shares); status != Status::ok) {
    return status;
  }
  begin(static_cast<unsigned>(shares.size()));
  for (std::size_t surplus = code.k(); surplus < shares.size(); ++surplus) {
    std::array<std::uint8_t, max_columns> row{};
    code.share_from_shares(shares.data(), shares[surplus], row.data());
    row[surplus] = 1;
    add_row(row.data());
  }
  finish();
  return Status::ok;
}

Status Transform::make_matrix(std::span<const std::uint8_t> coefficients, unsigned rows,
                              unsigned columns) noexcept {
  if (rows < 1 || columns < 1) {
    return Status::too_few_shares;
  }
  if (rows > max_rows || columns > max_columns) {
    return Status::too_many_shares_given;
  }
  if (coefficients.size() != std::size_t{rows} * columns) {
    return Status::missing_buffer;
  }
  begin(columns);
  for (unsigned row = 0; row < rows; ++row) {
    add_row(coefficients.data() + std::size_t{row} * columns);
  }
  finish();
  return Status::ok;
}

}  // namespace ssn::kernels
