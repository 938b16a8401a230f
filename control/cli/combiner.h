// SPDX-License-Identifier: BSD-3-Clause
// Restores an object from its shares, block by block, and finds out which shares are bad meanwhile.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "progress.h"
#include "share_set.h"
#include "splitter.h"
#include "ssn/hw/result.h"
#include "ssn/kernels/kernels.h"

namespace ssn::cli {

struct CombineOptions {
  std::vector<std::string> shares;
  std::string output;  ///< a path, or "-"
  ShareFormat format = ShareFormat::ssn;
  unsigned k = 0;  ///< gfshare only: the threshold; 0: as many as shares are given
  bool force = false;
};

struct CombineReport {
  /// When it failed; what is known then stands in the rest all the same.
  std::optional<Error> error;
  std::optional<ShareHeader> header;  ///< of the object that was chosen
  std::vector<ShareInput> shares;     ///< in the order of the arguments
  std::uint64_t blocks = 0;           ///< restored
  std::uint64_t checked_blocks = 0;   ///< of these, where more than k shares were compared with each other
  double seconds = 0;
};

/// The output appears only when all of it was restored. With "-" verified blocks leave as they come, and
/// only the missing error says that the output is whole.
CombineReport combine(const CombineOptions& options, const kernels::Implementation& implementation,
                      Progress& progress);

}  // namespace ssn::cli
