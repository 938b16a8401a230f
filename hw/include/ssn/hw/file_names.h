// SPDX-License-Identifier: BSD-3-Clause
// Names of files: giving them, and having them on the disk.
#pragma once

#include <string>

namespace ssn::hw {

/// The part of a path before its last slash; "." where there is none.
std::string directory_of(const std::string& path);

/// rename() that never replaces, also on file systems without RENAME_NOREPLACE: there both names may be seen
/// for a moment. Returns 0 or an errno, EEXIST where `to` is there.
int rename_new(const char* from, const char* to) noexcept;

/// A file's name is on the disk once its directory is. Returns 0, also where directories cannot be synced and
/// need not be, or an errno.
int sync_directory(const std::string& directory) noexcept;

}  // namespace ssn::hw
