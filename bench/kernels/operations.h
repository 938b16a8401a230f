// SPDX-License-Identifier: BSD-3-Clause
// What is measured: the table of operations, codes and sizes. A new operation is one row in operations.cpp,
// provided that its kind exists.
#pragma once

#include <cstddef>
#include <span>
#include <string>

#include "ssn/kernels/code.h"

namespace ssn::bench {

enum class Kind { split, recover, repair, check, pad, tag, random };

// Properties of an operation.
inline constexpr unsigned with_pads = 1;      ///< shares travel encrypted
inline constexpr unsigned with_tags = 2;      ///< and tagged
inline constexpr unsigned generated = 4;      ///< the split draws its random blocks itself
inline constexpr unsigned keep = 8;           ///< pad shares: the random blocks are the holders' own pads
inline constexpr unsigned first_shares = 16;  ///< recover from shares 1..k instead of the k highest

// Codes that an operation makes sense for.
inline constexpr unsigned sharing = 1;  ///< systematic, classic and ramp
inline constexpr unsigned erasure = 2;  ///< rs
inline constexpr unsigned no_code = 4;  ///< works on one buffer

struct Operation {
  const char* name;
  Kind kind;
  unsigned properties;
  unsigned codes;

  bool has(unsigned property) const noexcept { return (properties & property) != 0; }
};

struct CodeParameters {
  kernels::Scheme scheme;
  unsigned k;
  unsigned n;
  unsigned data_blocks;
};

std::span<const Operation> operations() noexcept;
std::span<const CodeParameters> codes() noexcept;
std::span<const std::size_t> sizes() noexcept;

/// One operation on one code at one size: what all contenders of a group have in common.
struct Case {
  const Operation* operation;
  CodeParameters parameters;
  std::size_t bytes;

  /// "OP/SCHEME/k:K/n:N/bytes:B", or "OP/bytes:B" where there is no code.
  std::string name() const;
  /// Bytes of user data that one operation handles.
  std::size_t user_bytes() const noexcept;
};

}  // namespace ssn::bench
