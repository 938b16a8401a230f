// SPDX-License-Identifier: BSD-3-Clause
// The highest term of a controller that this node saw, on disk: one that lost its place can order nothing,
// whatever was restarted meanwhile.
#pragma once

#include <cstdint>
#include <string>
#include <utility>

#include "ssn/hw/result.h"

namespace ssn::dataplane {

class TermFile {
 public:
  /// A file that is not there means 0. integrity: what is there is no term.
  static Result<TermFile> open(std::string path);

  std::uint64_t highest() const noexcept { return highest_; }
  /// Durable when it returns. Lower ones change nothing. One thread at a time.
  Outcome see(std::uint64_t term);

 private:
  TermFile(std::string path, std::uint64_t highest) : path_(std::move(path)), highest_(highest) {}

  std::string path_;
  std::uint64_t highest_;
};

}  // namespace ssn::dataplane
