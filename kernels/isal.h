// SPDX-License-Identifier: BSD-3-Clause
#pragma once

#include <cstdint>

namespace ssn::kernels {

/// Fills 32 * rows * columns bytes with multiplication tables for this host. Their format is ISA-L's own.
void make_isal_tables(const std::uint8_t* coefficients, unsigned rows, unsigned columns,
                      std::uint8_t* tables) noexcept;

}  // namespace ssn::kernels
