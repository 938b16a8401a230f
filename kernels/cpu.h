// SPDX-License-Identifier: BSD-3-Clause
#pragma once

namespace ssn::kernels {

/// What both the CPU and the operating system (through XCR0) allow. Intel SDM vol. 1, 13.3, 14.3 and 15.2.
struct CpuFeatures {
  bool sse4_1 = false;
  bool avx2 = false;         ///< with PCLMULQDQ and AES
  bool avx512_gfni = false;  ///< F, BW, VL, DQ, GFNI, VAES, VPCLMULQDQ
};

/// Read once, then the same for the life of the process. Thread-safe.
const CpuFeatures& cpu_features() noexcept;

}  // namespace ssn::kernels
