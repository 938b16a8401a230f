// SPDX-License-Identifier: BSD-3-Clause
// Vector registers keep what was last in them: key bytes, after a copy or a checksum. A signal, or the
// dynamic linker when it binds a symbol late, saves them on the stack, and there they would stay.
#pragma once

namespace ssn::hw {

/// Zeroes all vector registers of this thread that functions need not preserve. Some tens of cycles: once a
/// batch, after the last use of a secret.
void clear_vector_registers() noexcept;

}  // namespace ssn::hw
