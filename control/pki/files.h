// SPDX-License-Identifier: BSD-3-Clause
// Small files of an authority: read whole, replaced whole, one writer at a time.
#pragma once

#include <sys/types.h>

#include <string>
#include <string_view>
#include <utility>

#include "ssn/hw/file_descriptor.h"
#include "ssn/hw/result.h"

namespace ssn::pki {

/// Longest file of certificates, keys and requests.
inline constexpr std::size_t file_max = std::size_t{256} << 10;

/// At most `most` bytes of a regular file. A `secret` one is refused where other users may read it.
Result<std::string> read_file(const std::string& path, std::size_t most, bool secret, const char* what);

/// Written beside it, synced, renamed: a reader sees the old one or the new one.
Outcome replace_file(const std::string& path, std::string_view text, mode_t mode, const char* what);
/// The same, but refuses to replace one that is there.
Outcome create_file(const std::string& path, std::string_view text, mode_t mode, const char* what);

/// Whether create_file() can do it, as far as one knows before: for those who do what cannot be undone first.
Outcome check_new(const std::string& path, const char* what);
/// The same for replace_file().
Outcome check_folder_of(const std::string& path, const char* what);

/// Adds a line to a file, synced. What a write that was cut off left behind the last whole line goes.
Outcome append_line(const std::string& path, std::string_view line, const char* what);

/// The folder is this process's to change until it is destroyed; waits for others.
class FolderLock {
 public:
  static Result<FolderLock> take(const std::string& folder, const char* what);

 private:
  explicit FolderLock(hw::FileDescriptor&& fd) noexcept : fd_(std::move(fd)) {}
  hw::FileDescriptor fd_;
};

}  // namespace ssn::pki
