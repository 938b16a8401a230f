// SPDX-License-Identifier: BSD-3-Clause
// Splits one file or stream into share files, block by block.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "progress.h"
#include "share_file.h"
#include "ssn/hw/result.h"
#include "ssn/kernels/kernels.h"

namespace ssn::cli {

/// How shares lie in files.
enum class ShareFormat {
  ssn,      ///< docs/share-file-format.md: NAME.1.ssn, NAME.2.ssn, ...
  gfshare,  ///< share bytes and nothing else, as gfsplit writes and gfcombine reads: NAME.001, NAME.002, ...
};

struct SplitOptions {
  kernels::Scheme scheme = kernels::Scheme::systematic;
  unsigned k = 0;
  unsigned n = 0;
  unsigned data_blocks = 1;
  ShareFormat format = ShareFormat::ssn;
  std::string input;              ///< a path, or "-"
  std::string directory;          ///< empty: beside the input
  std::string name;               ///< empty: the input's name
  std::string random_device;      ///< empty: the generator
  std::uint32_t block_bytes = 0;  ///< 0: default_block_bytes()
  bool force = false;
};

struct SplitReport {
  ShareHeader header;  ///< share = 0
  std::vector<std::string> shares;
  std::uint64_t share_bytes = 0;  ///< length of each share file
  double seconds = 0;
};

/// Nothing appears unless all shares are complete and on the disk.
Result<SplitReport> split(const SplitOptions& options, const kernels::Implementation& implementation,
                          Progress& progress);

/// Wraps what the kernels refuse: parameters give Exit::usage, all else Exit::failed.
Error kernel_error(kernels::Status status, std::string what);

}  // namespace ssn::cli
