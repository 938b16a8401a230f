// SPDX-License-Identifier: BSD-3-Clause
// What owners, SSAs and operators ask a controller, timed.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "ssn/hw/result.h"

namespace ssn::bench {

struct Question {
  std::string address;  ///< of the controller
  std::string folder;   ///< of `ssn kme init`: certificates
  std::uint64_t objects = 0;
  unsigned holders = 0;
  double seconds = 0;  ///< for each case
  unsigned clients = 1;
  std::vector<std::string> only;  ///< cases; empty: all
};

/// What `clients` did at a time, each one after the other.
struct Timed {
  std::string name;
  std::uint64_t count = 0;
  double seconds = 0;  ///< from the first to the last
  double p50_us = 0;   ///< of one
  double p99_us = 0;
};

std::vector<std::string> case_names();
/// All cases that are wanted, in order. An answer that is not the right one is an error.
Result<std::vector<Timed>> ask_all(const Question& question);

}  // namespace ssn::bench
