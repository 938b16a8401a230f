// SPDX-License-Identifier: BSD-3-Clause
#include "files.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <openssl/crypto.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

namespace ssn::pki {
namespace {

constexpr const char* plain_fix = "give a file in PEM; `ssn pki` makes them, `ssn kme init` a set for tests";

// Reads until `most` + 1 bytes, so that a longer file is told from one that fits.
ssize_t read_all(int fd, std::string& text) {
  std::size_t at = 0;
  while (at < text.size()) {
    const ssize_t got = ::read(fd, text.data() + at, text.size() - at);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return -1;
    if (got == 0) break;
    at += static_cast<std::size_t>(got);
  }
  return static_cast<ssize_t>(at);
}

bool write_all(int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t put = ::write(fd, text.data(), text.size());
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) return false;
    text.remove_prefix(static_cast<std::size_t>(put));
  }
  return true;
}

std::string folder_of(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  return slash == std::string::npos ? "." : slash == 0 ? "/" : path.substr(0, slash);
}

// A name is durable once its folder is.
bool sync_folder(const std::string& folder) {
  const int fd = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return false;
  const bool synced = ::fsync(fd) == 0;
  ::close(fd);
  return synced;
}

Outcome put_file(const std::string& path, std::string_view text, mode_t mode, bool replaces,
                 const char* what) {
  const std::string temporary = fmt::format("{}.{}.new", path, ::getpid());
  (void)::unlink(temporary.c_str());
  const int fd = ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode);
  if (fd < 0) return system_error(errno, what, temporary);
  bool good = ::fchmod(fd, mode) == 0 && write_all(fd, text) && ::fsync(fd) == 0;
  int error = errno;
  if (::close(fd) != 0 && good) {
    good = false;
    error = errno;
  }
  if (good) {
    const int named =
        replaces ? ::rename(temporary.c_str(), path.c_str())
                 : ::renameat2(AT_FDCWD, temporary.c_str(), AT_FDCWD, path.c_str(), RENAME_NOREPLACE);
    good = named == 0 && sync_folder(folder_of(path));
    error = errno;
  }
  if (good) return done;
  (void)::unlink(temporary.c_str());
  if (error == EEXIST) {
    return Error{Exit::refused, what, "the file exists", path, "choose another folder, or give --force"};
  }
  return system_error(error, what, path);
}

}  // namespace

Result<std::string> read_file(const std::string& path, std::size_t most, bool secret, const char* what) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
  if (fd < 0) return system_error(errno, what, path);
  struct stat status{};
  Result<std::string> result = std::string(most + 1, '\0');
  ssize_t got = 0;
  if (::fstat(fd, &status) != 0) {
    result = system_error(errno, what, path);
  } else if (!S_ISREG(status.st_mode)) {
    result = Error{Exit::refused, what, "it is not a regular file", path, plain_fix};
  } else if (secret && (status.st_mode & 077) != 0) {
    result = Error{Exit::refused, what, "other users may read the private key", path,
                   fmt::format("chmod 600 {}", path)};
  } else if ((got = read_all(fd, result.value())) < 0) {
    const int error = errno;
    OPENSSL_cleanse(result.value().data(), result.value().size());
    result = system_error(error, what, path);
  } else if (static_cast<std::size_t>(got) > most) {
    OPENSSL_cleanse(result.value().data(), result.value().size());
    result = Error{Exit::refused, what, fmt::format("it is larger than {} KiB", most >> 10), path, plain_fix};
  } else {
    result.value().resize(static_cast<std::size_t>(got));
  }
  ::close(fd);
  return result;
}

Outcome replace_file(const std::string& path, std::string_view text, mode_t mode, const char* what) {
  return put_file(path, text, mode, true, what);
}

Outcome create_file(const std::string& path, std::string_view text, mode_t mode, const char* what) {
  return put_file(path, text, mode, false, what);
}

Outcome append_line(const std::string& path, std::string_view line, const char* what) {
  const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
  if (fd < 0) return system_error(errno, what, path);
  off_t end = ::lseek(fd, 0, SEEK_END);
  char last = '\n';
  while (end > 0 && ::pread(fd, &last, 1, end - 1) == 1 && last != '\n') --end;
  const bool good = end >= 0 && ::ftruncate(fd, end) == 0 && ::lseek(fd, end, SEEK_SET) == end &&
                    write_all(fd, std::string(line) + "\n") && ::fsync(fd) == 0;
  const int error = errno;
  ::close(fd);
  if (!good) return system_error(error, what, path);
  return done;
}

Result<FolderLock> FolderLock::take(const std::string& folder, const char* what) {
  const int fd = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return system_error(errno, what, folder);
  while (::flock(fd, LOCK_EX) != 0) {
    if (errno == EINTR) continue;
    const int error = errno;
    ::close(fd);
    return system_error(error, what, folder);
  }
  return FolderLock(fd);
}

FolderLock::FolderLock(FolderLock&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}

FolderLock::~FolderLock() {
  if (fd_ >= 0) ::close(fd_);
}

}  // namespace ssn::pki
