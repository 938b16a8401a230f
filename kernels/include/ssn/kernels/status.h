// SPDX-License-Identifier: BSD-3-Clause
// Results of the kernel library. Nothing in it throws, allocates, logs or sets errno: an operation
// that cannot be done returns one of these values, and describe() gives the sentence for a person.
#pragma once

#include <cstdint>
#include <string_view>

namespace ssn::kernels {

enum class Status : std::uint8_t {
  ok,
  // Parameters of a code (see Code::make).
  threshold_too_small,
  threshold_exceeds_shares,
  too_many_shares,
  data_blocks_not_one,
  data_blocks_out_of_range,
  too_many_points,
  // Share lists.
  too_few_shares,
  too_many_shares_given,
  share_index_out_of_range,
  share_index_repeated,
  // Operations.
  length_is_zero,
  length_too_large,
  missing_buffer,
  no_random_source,
  random_exhausted,
  tag_mismatch,
  // Choice of implementation.
  unknown_implementation,
  unsupported_implementation,
  self_test_failed,
};

/// A complete English sentence without a final full stop: what is wrong and which limit applies.
/// The string has static storage. Thread-safe.
std::string_view describe(Status status) noexcept;

}  // namespace ssn::kernels
