// SPDX-License-Identifier: BSD-3-Clause
// Offload jobs on the kernels of this CPU.
#pragma once

#include <cstdint>
#include <memory>

#include "whole.h"

namespace ssn::hw::offload {

/// Runs jobs whose buffers may be cut into segments. One thread.
class Executor {
 public:
  static constexpr std::uint32_t length_max = WholeExecutor::length_max;

  explicit Executor(const kernels::Implementation& implementation);

  /// The job keeps the rules (ssn_offload_check_job); its matrix is a PreparedMatrix, its tag keys are
  /// kernels::TagKey. SSN_OK, or SSN_INTEGRITY with tag_mismatch set.
  ssn_status run(ssn_offload_job& job) noexcept;

 private:
  const PreparedMatrix& matrix_of(const ssn_offload_job& job) const noexcept {
    return ssn_offload_is_in(job.operation, SSN_OFFLOAD_WITHOUT_MATRIX) ? *identity_
                                                                        : *PreparedMatrix::of(job.matrix);
  }
  kernels::Status multiply_pieces(const ssn_offload_job& job) noexcept;
  kernels::Status write_tags(const ssn_offload_job& job) noexcept;
  bool check_tags(ssn_offload_job& job) noexcept;
  const std::uint8_t* gather(const ssn_offload_buffer& buffer, std::uint32_t length) noexcept;

  const kernels::Implementation& implementation_;
  std::unique_ptr<PreparedMatrix> identity_;
  std::unique_ptr<std::uint8_t[]> gathered_;  // ciphertext that is scattered, while its tag is computed
};

}  // namespace ssn::hw::offload
