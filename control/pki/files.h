// SPDX-License-Identifier: BSD-3-Clause
// Small files of an authority: read whole, replaced whole, one writer at a time.
#pragma once

#include <sys/types.h>

#include <string>
#include <string_view>

#include "ssn/hw/result.h"

namespace ssn::pki {

/// At most `most` bytes of a regular file. A `secret` one is refused where other users may read it.
Result<std::string> read_file(const std::string& path, std::size_t most, bool secret, const char* what);

/// Written beside it, synced, renamed: a reader sees the old one or the new one.
Outcome replace_file(const std::string& path, std::string_view text, mode_t mode, const char* what);
/// The same, but refuses to replace one that is there.
Outcome create_file(const std::string& path, std::string_view text, mode_t mode, const char* what);

/// Adds a line, synced. What a write that was cut off left behind the last whole line goes.
Outcome append_line(const std::string& path, std::string_view line, const char* what);

/// The folder is this process's to change until it is destroyed; waits for others.
class FolderLock {
 public:
  static Result<FolderLock> take(const std::string& folder, const char* what);
  FolderLock(FolderLock&& other) noexcept;
  FolderLock& operator=(FolderLock&&) = delete;
  FolderLock(const FolderLock&) = delete;
  FolderLock& operator=(const FolderLock&) = delete;
  ~FolderLock();

 private:
  explicit FolderLock(int fd) noexcept : fd_(fd) {}
  int fd_;
};

}  // namespace ssn::pki
