// SPDX-License-Identifier: BSD-3-Clause
// Noticing that a file was changed or replaced, without reading it.
#pragma once

#include <cstdint>
#include <string>

namespace ssn::hw {

/// Equal stamps: the file is as it was. One that is not there, or cannot be looked at, has that of zeros.
struct FileStamp {
  std::uint64_t device = 0, inode = 0, size = 0;
  std::int64_t modified_ns = 0, changed_ns = 0;  ///< since 1970
  bool operator==(const FileStamp&) const = default;
};

/// Of what `path` leads to, through symbolic links. Zeros for an empty path.
FileStamp stamp_of(const std::string& path) noexcept;

}  // namespace ssn::hw
