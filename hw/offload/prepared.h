// SPDX-License-Identifier: BSD-3-Clause
// What the driver `cpu` makes of a matrix, once a layout.
#pragma once

#include <cstdint>

#include "ssn/kernels/kernels.h"
#include "ssn/offload_device.h"

namespace ssn::hw::offload {

/// Stays where it is: it points into itself.
struct PreparedMatrix {
  /// Never that of another matrix of its device, also after it was released.
  std::uint64_t number;
  std::uint16_t rows;
  std::uint16_t columns;
  /// Which input the kernel sees as its i-th, and which output it writes i-th; null where that is the i-th.
  const std::uint8_t* column_order;
  const std::uint8_t* row_order;

  kernels::Transform transform;
  /// As many data blocks as columns and no random blocks: for split(), to which all columns are then data.
  kernels::Code code;

  PreparedMatrix() = default;
  PreparedMatrix(const PreparedMatrix&) = delete;
  PreparedMatrix& operator=(const PreparedMatrix&) = delete;

  kernels::Status prepare(const std::uint8_t* coefficients, unsigned rows, unsigned columns,
                          std::uint64_t number) noexcept;

  static const PreparedMatrix* of(const ssn_offload_matrix* matrix) noexcept {
    return reinterpret_cast<const PreparedMatrix*>(matrix);
  }

 private:
  std::uint8_t column_order_[kernels::Transform::max_columns];
  std::uint8_t row_order_[kernels::Transform::max_rows];
};

}  // namespace ssn::hw::offload
