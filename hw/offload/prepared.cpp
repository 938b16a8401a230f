// SPDX-License-Identifier: BSD-3-Clause
#include "prepared.h"

namespace ssn::hw::offload {

kernels::Status PreparedMatrix::prepare(const std::uint8_t* coefficients, unsigned row_count,
                                        unsigned column_count, std::uint64_t own_number) noexcept {
  kernels::Status status =
      kernels::Code::make(kernels::Scheme::rs, column_count, column_count, column_count, code);
  if (status == kernels::Status::ok) {
    status =
        transform.make_matrix({coefficients, std::size_t{row_count} * column_count}, row_count, column_count);
  }
  if (status != kernels::Status::ok) {
    return status;
  }
  number = own_number;
  rows = static_cast<std::uint16_t>(row_count);
  columns = static_cast<std::uint16_t>(column_count);
  for (unsigned i = 0; i < column_count; ++i) {
    column_order_[i] = static_cast<std::uint8_t>(transform.column_at(i));
  }
  for (unsigned i = 0; i < row_count; ++i) {
    row_order_[i] = static_cast<std::uint8_t>(transform.row_at(i));
  }
  column_order = transform.in_order() ? nullptr : column_order_;
  row_order = transform.in_order() ? nullptr : row_order_;
  return status;
}

}  // namespace ssn::hw::offload
