// SPDX-License-Identifier: BSD-3-Clause
#include "ssn/hw/result.h"

#include <cerrno>
#include <cstring>

namespace ssn {
namespace {

struct Advice {
  int error_number;
  Exit code;
  const char* fix;
};

constexpr Advice advice[] = {
    {ENOENT, Exit::not_found, "check the name"},
    {ENOTDIR, Exit::not_found, "check the name: a part of the path is not a directory"},
    {EACCES, Exit::failed, "check the permissions of the file and of the directories above it"},
    {EPERM, Exit::failed, "check the permissions of the file and of the directories above it"},
    {EISDIR, Exit::failed, "name a file, not a directory"},
    {ENOSPC, Exit::failed, "free space there or choose another directory, then run the command again"},
    {EDQUOT, Exit::failed,
     "free space in your quota or choose another directory, then run the command again"},
    {EFBIG, Exit::failed, "raise the file size limit (ulimit -f) or choose another file system"},
    {EROFS, Exit::failed, "choose a directory on a writable file system"},
    {EMFILE, Exit::failed, "raise the limit of open files (ulimit -n)"},
    {ENFILE, Exit::temporary, "the system has too many open files; try again later"},
    {ENOMEM, Exit::temporary, "free memory and try again"},
    {EAGAIN, Exit::temporary, "try again"},
    {EBUSY, Exit::temporary, "try again"},
    {ETIMEDOUT, Exit::temporary, "try again"},
    {EPIPE, Exit::failed, "the program that read the output ended early; run it to its end"},
    {EIO, Exit::failed, "the device reports an error; look at the system log and use another copy"},
    {ENAMETOOLONG, Exit::failed, "choose a shorter name"},
};

}  // namespace

std::string_view name(Exit code) noexcept {
  switch (code) {
    case Exit::ok:
      return "ok";
    case Exit::failed:
      return "failed";
    case Exit::usage:
      return "usage";
    case Exit::degraded:
      return "degraded";
    case Exit::not_found:
      return "not_found";
    case Exit::temporary:
      return "temporary";
    case Exit::refused:
      return "refused";
    case Exit::integrity:
      return "integrity";
    case Exit::unrecoverable:
      return "unrecoverable";
    case Exit::key_material:
      return "key_material";
    case Exit::mixed_objects:
      return "mixed_objects";
    case Exit::not_a_share:
      return "not_a_share";
    case Exit::kernels_refused:
      return "kernels_refused";
  }
  return "failed";
}

Error system_error(int error_number, std::string what, std::string where) {
  assert(error_number != 0);
  Error error{Exit::failed, std::move(what), std::strerror(error_number), std::move(where),
              "look at the reason above, then run the command again"};
  for (const Advice& entry : advice) {
    if (entry.error_number == error_number) {
      error.code = entry.code;
      error.fix = entry.fix;
    }
  }
  return error;
}

}  // namespace ssn
