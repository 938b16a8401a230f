// SPDX-License-Identifier: BSD-3-Clause
// Files as the command uses them: whole reads and writes, errors as values.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "ssn/hw/file_descriptor.h"
#include "ssn/hw/file_names.h"
#include "ssn/hw/result.h"

namespace ssn::cli {

using hw::directory_of;
using hw::FileDescriptor;

/// Opens for reading. "-" is standard input; /dev/fd/N and /dev/stdin work although the process is not
/// dumpable, which hides its /proc entries even from itself. Refuses directories.
Result<FileDescriptor> open_input(const std::string& path);

/// Reads until `buffer` is full or the input ends. Returns the bytes read, or a negative errno.
std::ptrdiff_t read_up_to(int fd, std::span<std::uint8_t> buffer) noexcept;

/// Writes everything. Returns 0 or an errno.
int write_all(int fd, std::span<const std::uint8_t> bytes) noexcept;

/// Fills `buffer` from the kernel's random number generator.
Outcome system_random(std::span<std::uint8_t> buffer);

/// The part of a path after the last slash.
std::string file_name(const std::string& path);

}  // namespace ssn::cli
