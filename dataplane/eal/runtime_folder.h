// SPDX-License-Identifier: BSD-3-Clause
// The folder of DPDK's run-time files of one process: locked while the process lives, emptied of what one
// that was killed left there, removed at the end.
#pragma once

#include <string>

#include "ssn/hw/result.h"

namespace ssn::dataplane {

class LockedFolder {
 public:
  /// refused: another process holds it; the error says which.
  static Result<LockedFolder> lock(const std::string& path, const std::string& file_prefix);
  LockedFolder(LockedFolder&& other) noexcept;
  LockedFolder& operator=(LockedFolder&&) = delete;
  ~LockedFolder();

 private:
  LockedFolder(std::string path, int fd) : path_(std::move(path)), fd_(fd) {}
  std::string path_;
  int fd_;
};

}  // namespace ssn::dataplane
