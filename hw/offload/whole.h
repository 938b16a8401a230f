// SPDX-License-Identifier: BSD-3-Clause
// Jobs whose buffers are in one piece, as most are: straight to the implementation of the kernels. Checking a
// job and listing its buffers as the kernel wants them is one pass, and takes the place of what
// kernels/operations.cpp does for other callers, so that a job costs what a call of the kernels does.
#pragma once

#include <cstdint>
#include <memory>

#include "prepared.h"
#include "ssn/offload_check.h"

namespace ssn::hw::offload {

/// One thread.
class WholeExecutor {
 public:
  /// Longest buffer.
  static constexpr std::uint32_t length_max = 1U << 20;
  static constexpr std::uint32_t header_length_max = 4096;

  explicit WholeExecutor(const kernels::Implementation& implementation);
  ~WholeExecutor();

  /// Checks and runs a job. SSN_OK, or SSN_INTEGRITY with tag_mismatch set. SSN_AGAIN when it is not of this
  /// form, or breaks a rule: it was not touched then.
  ssn_status run(ssn_offload_job& job) noexcept;

 private:
  enum class Form : unsigned { clear, pads_outputs, tags_outputs, opens_inputs };
  struct Lists;

  template <Form form>
  ssn_status multiply(ssn_offload_job& job) noexcept;
  ssn_status seal(ssn_offload_job& job) noexcept;
  ssn_status open(ssn_offload_job& job) noexcept;
  ssn_status check_tags(ssn_offload_job& job, const PreparedMatrix& matrix) noexcept;

  const kernels::Implementation& implementation_;
  std::unique_ptr<Lists> lists_;
};

}  // namespace ssn::hw::offload
