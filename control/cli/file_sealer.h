// SPDX-License-Identifier: BSD-3-Clause
// Seals a file for another node and opens it there: the protocol of the data plane over a file instead of a
// network.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include "atomic_file.h"
#include "key_channel.h"
#include "progress.h"
#include "sealed_file.h"

namespace ssn::cli {

struct SealOptions {
  std::string input;  ///< a regular file
  std::string output;
  std::string peer;  ///< who is to open it
  std::uint32_t cell_bytes = default_cell_bytes;
  std::chrono::milliseconds patience{10000};  ///< with a link that makes keys too slowly
  bool force = false;
};

struct OpenOptions {
  std::string input;
  std::string output;
  std::chrono::milliseconds patience{10000};
  bool force = false;
};

struct SealReport {
  Preamble preamble;
  KeyAccounts keys;
  ssn_key_device_info device{};
  double seconds = 0;
};

/// Checks that `target` can be written and takes its space.
Outcome prepare_output(OutputSet& outputs, const std::string& target, std::uint64_t bytes);

/// The output appears complete or not at all. Keys that were taken are burnt in any case.
Result<SealReport> seal_file(const NodeConfiguration& node, const SealOptions& options,
                             const kernels::Implementation& implementation, Progress& progress);
/// Nothing of the file appears unless every tag was right.
Result<SealReport> open_file(const NodeConfiguration& node, const OpenOptions& options,
                             const kernels::Implementation& implementation, Progress& progress);

}  // namespace ssn::cli
