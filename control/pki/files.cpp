// SPDX-License-Identifier: BSD-3-Clause
#include "files.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <openssl/crypto.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstdio>

#include "ssn/hw/file_names.h"

namespace ssn::pki {
namespace {

constexpr const char* plain_fix = "give a file in PEM; `ssn pki` makes them, `ssn kme init` a set for tests";

Error file_exists(const std::string& path, const char* what) {
  return {Exit::refused, what, "the file exists", path,
          "choose another folder, or move the file away: it is not overwritten"};
}

// Until `text` is full, or the file ends.
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

// Returns 0 or an errno.
int write_all(int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t put = ::write(fd, text.data(), text.size());
    if (put < 0 && errno == EINTR) continue;
    if (put <= 0) return put == 0 ? EIO : errno;
    text.remove_prefix(static_cast<std::size_t>(put));
  }
  return 0;
}

// Returns 0 or an errno.
int write_new(const std::string& path, std::string_view text, mode_t mode) {
  hw::FileDescriptor fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode));
  if (!fd.is_open() || ::fchmod(fd.get(), mode) != 0) return errno;
  if (const int error = write_all(fd.get(), text); error != 0) return error;
  return ::fsync(fd.get()) == 0 ? 0 : errno;
}

Outcome put_file(const std::string& path, std::string_view text, mode_t mode, bool replaces,
                 const char* what) {
  const std::string temporary = fmt::format("{}.{}.new", path, ::getpid());
  (void)::unlink(temporary.c_str());
  if (const int error = write_new(temporary, text, mode); error != 0) {
    (void)::unlink(temporary.c_str());
    return system_error(error, what, temporary);
  }
  const char* const from = temporary.c_str();
  int error = 0;
  if (!replaces) {
    error = hw::rename_new(from, path.c_str());
  } else if (::rename(from, path.c_str()) != 0) {
    error = errno;
  }
  if (error != 0) {
    (void)::unlink(from);
  } else {
    error = hw::sync_directory(hw::directory_of(path));
  }
  if (error == EEXIST) return file_exists(path, what);
  if (error != 0) return system_error(error, what, path);
  return done;
}

}  // namespace

Result<std::string> read_file(const std::string& path, std::size_t most, bool secret, const char* what) {
  const hw::FileDescriptor fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK));
  struct stat status{};
  if (!fd.is_open() || ::fstat(fd.get(), &status) != 0) return system_error(errno, what, path);
  if (!S_ISREG(status.st_mode)) {
    return Error{Exit::refused, what, "it is not a regular file", path, plain_fix};
  }
  if (secret && (status.st_mode & 077) != 0) {
    return Error{Exit::refused, what, "other users may read the private key", path,
                 fmt::format("chmod 600 {}", path)};
  }
  if (static_cast<std::uint64_t>(status.st_size) > most) {
    return Error{Exit::refused, what, fmt::format("it is larger than {} KiB", most >> 10), path, plain_fix};
  }
  // What is added meanwhile comes too late, as if it were added after.
  std::string text(static_cast<std::size_t>(status.st_size), '\0');
  const ssize_t got = read_all(fd.get(), text);
  if (got < 0) {
    const int error = errno;
    OPENSSL_cleanse(text.data(), text.size());
    return system_error(error, what, path);
  }
  text.resize(static_cast<std::size_t>(got));
  return text;
}

Outcome replace_file(const std::string& path, std::string_view text, mode_t mode, const char* what) {
  return put_file(path, text, mode, true, what);
}

Outcome create_file(const std::string& path, std::string_view text, mode_t mode, const char* what) {
  return put_file(path, text, mode, false, what);
}

Outcome check_new(const std::string& path, const char* what) {
  struct stat status{};
  if (::lstat(path.c_str(), &status) == 0) return file_exists(path, what);
  if (errno != ENOENT) return system_error(errno, what, path);
  return check_folder_of(path, what);
}

Outcome check_folder_of(const std::string& path, const char* what) {
  const std::string folder = hw::directory_of(path);
  if (::access((folder + "/.").c_str(), W_OK | X_OK) != 0) return system_error(errno, what, folder);
  return done;
}

Outcome append_line(const std::string& path, std::string_view line, const char* what) {
  const hw::FileDescriptor fd(::open(path.c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW));
  if (!fd.is_open()) return system_error(errno, what, path);
  off_t end = ::lseek(fd.get(), 0, SEEK_END);
  char last = '\n';
  while (end > 0 && ::pread(fd.get(), &last, 1, end - 1) == 1 && last != '\n') --end;
  if (end < 0 || ::ftruncate(fd.get(), end) != 0 || ::lseek(fd.get(), end, SEEK_SET) != end) {
    return system_error(errno, what, path);
  }
  int error = write_all(fd.get(), std::string(line) + "\n");
  if (error == 0 && ::fsync(fd.get()) != 0) error = errno;
  if (error != 0) return system_error(error, what, path);
  return done;
}

Result<FolderLock> FolderLock::take(const std::string& folder, const char* what) {
  hw::FileDescriptor fd(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd.is_open()) return system_error(errno, what, folder);
  while (::flock(fd.get(), LOCK_EX) != 0) {
    if (errno != EINTR) return system_error(errno, what, folder);
  }
  return FolderLock(std::move(fd));
}

}  // namespace ssn::pki
