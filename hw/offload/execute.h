// SPDX-License-Identifier: BSD-3-Clause
// Offload jobs on the kernels of this CPU.
#pragma once

#include <cstdint>
#include <memory>

#include "ssn/kernels/kernels.h"
#include "ssn/offload_check.h"

namespace ssn::hw::offload {

/// What matrix_prepare makes.
struct PreparedMatrix {
  kernels::Transform transform;
  /// As many data blocks as columns and no random blocks: for split(), to which all columns are then data.
  kernels::Code code;

  kernels::Status prepare(const std::uint8_t* coefficients, unsigned rows, unsigned columns) noexcept;
};

/// Runs checked jobs. One thread.
class Executor {
 public:
  /// Longest buffer.
  static constexpr std::uint32_t length_max = 1U << 20;
  static constexpr std::uint32_t header_length_max = 4096;

  explicit Executor(const kernels::Implementation& implementation)
      : implementation_(implementation), gathered_(std::make_unique<std::uint8_t[]>(length_max)) {}

  /// Checks and runs a job of the common form, with all buffers in one piece, in one pass over its lists.
  /// False when it is not of that form, which says nothing about its being right: it was not touched then.
  bool run_common(ssn_offload_job& job, ssn_status& status) noexcept;

  /// The job keeps the rules (ssn_offload_check_job); its matrix is a PreparedMatrix, its tag keys are
  /// kernels::TagKey. SSN_OK, or SSN_INTEGRITY with tag_mismatch set.
  ssn_status run(ssn_offload_job& job) noexcept;

 private:
  struct Lists;

  const PreparedMatrix& matrix_of(const ssn_offload_job& job) const noexcept {
    return ssn_offload_is_in(job.operation, SSN_OFFLOAD_WITHOUT_MATRIX)
               ? identity_
               : *reinterpret_cast<const PreparedMatrix*>(job.matrix);
  }
  ssn_status multiply(ssn_offload_job& job, const Lists& lists) noexcept;
  ssn_status seal_one(ssn_offload_job& job, const Lists& lists) noexcept;
  ssn_status open_one(ssn_offload_job& job, const Lists& lists) noexcept;
  ssn_status seal(ssn_offload_job& job, Lists& lists) noexcept;
  ssn_status open(ssn_offload_job& job, Lists& lists) noexcept;
  kernels::Status multiply_pieces(const ssn_offload_job& job) noexcept;
  kernels::Status write_tags(const ssn_offload_job& job) noexcept;
  bool check_tags(ssn_offload_job& job) noexcept;
  const std::uint8_t* gather(const ssn_offload_buffer& buffer) noexcept;

  const kernels::Implementation& implementation_;
  PreparedMatrix identity_ = one_by_one();
  std::unique_ptr<std::uint8_t[]> gathered_;  // ciphertext that is scattered, while its tag is computed

  static PreparedMatrix one_by_one() noexcept;
};

}  // namespace ssn::hw::offload
