// SPDX-License-Identifier: BSD-3-Clause
#include "io.h"

#include <fcntl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>

namespace ssn::cli {
namespace {

// N for "-", /dev/stdin and /dev/fd/N, else -1.
int inherited_descriptor(const std::string& path) {
  if (path == "-" || path == "/dev/stdin") {
    return 0;
  }
  constexpr std::string_view prefix = "/dev/fd/";
  if (!path.starts_with(prefix)) {
    return -1;
  }
  int fd = -1;
  const char* const end = path.data() + path.size();
  const auto [stop, error] = std::from_chars(path.data() + prefix.size(), end, fd);
  return error == std::errc() && stop == end ? fd : -1;
}

}  // namespace

Result<FileDescriptor> open_input(const std::string& path) {
  const std::string what = "cannot open " + (path == "-" ? std::string("standard input") : path);
  const int inherited = inherited_descriptor(path);
  FileDescriptor file(inherited >= 0 ? ::fcntl(inherited, F_DUPFD_CLOEXEC, 0)
                                     : ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY));
  if (!file.is_open()) {
    return system_error(errno, what, path);
  }
  struct stat status{};
  if (::fstat(file.get(), &status) != 0) {
    return system_error(errno, what, path);
  }
  if (S_ISDIR(status.st_mode)) {
    return system_error(EISDIR, what, path);
  }
  // Only a hint, and pipes do not take it: the result does not matter.
  (void)::posix_fadvise(file.get(), 0, 0, POSIX_FADV_SEQUENTIAL);
  return file;
}

std::ptrdiff_t read_up_to(int fd, std::span<std::uint8_t> buffer) noexcept {
  std::size_t filled = 0;
  while (filled < buffer.size()) {
    const ssize_t got = ::read(fd, buffer.data() + filled, buffer.size() - filled);
    if (got == 0) {
      break;
    }
    if (got < 0) {
      if (errno == EINTR) {
        continue;
      }
      return -errno;
    }
    filled += static_cast<std::size_t>(got);
  }
  return static_cast<std::ptrdiff_t>(filled);
}

int write_all(int fd, std::span<const std::uint8_t> bytes) noexcept {
  std::size_t written = 0;
  while (written < bytes.size()) {
    const ssize_t put = ::write(fd, bytes.data() + written, bytes.size() - written);
    if (put < 0) {
      if (errno == EINTR) {
        continue;
      }
      return errno;
    }
    if (put == 0) {
      return EIO;  // a device that takes nothing and says nothing: do not spin
    }
    written += static_cast<std::size_t>(put);
  }
  return 0;
}

Outcome system_random(std::span<std::uint8_t> buffer) {
  std::size_t filled = 0;
  while (filled < buffer.size()) {
    const ssize_t got = ::getrandom(buffer.data() + filled, buffer.size() - filled, 0);
    if (got < 0) {
      if (errno == EINTR) {
        continue;
      }
      return system_error(errno, "cannot get random bytes from the kernel", "getrandom()");
    }
    filled += static_cast<std::size_t>(got);
  }
  return done;
}

std::string file_name(const std::string& path) { return path.substr(path.find_last_of('/') + 1); }

}  // namespace ssn::cli
