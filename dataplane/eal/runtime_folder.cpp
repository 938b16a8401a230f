// SPDX-License-Identifier: BSD-3-Clause
#include "runtime_folder.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <utility>

namespace ssn::dataplane {
namespace {

namespace fs = std::filesystem;

constexpr const char* lock_name = "ssn-dataplane.lock";

// Whatever a process of this prefix left; nobody else puts anything here.
void remove_leftovers(const std::string& path) {
  std::error_code error;
  for (const fs::directory_entry& entry : fs::directory_iterator(path, error)) {
    if (entry.path().filename() != lock_name && !entry.is_directory(error)) {
      fs::remove(entry.path(), error);
    }
  }
}

}  // namespace

Result<LockedFolder> LockedFolder::lock(const std::string& path, const std::string& file_prefix) {
  std::error_code error;
  fs::create_directories(path, error);
  const std::string name = path + "/" + lock_name;
  const int fd = error ? -1 : ::open(name.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd < 0) {
    Error failure = system_error(error ? error.value() : errno, "ssn-dataplane refuses to run", path);
    failure.why = "the folder for DPDK's run-time files cannot be used: " + failure.why;
    return failure;
  }
  if (::flock(fd, LOCK_EX | LOCK_NB) != 0) {
    char holder[16] = "";
    const ssize_t got = ::pread(fd, holder, sizeof holder - 1, 0);
    ::close(fd);
    return Error{Exit::refused, "ssn-dataplane refuses to run",
                 fmt::format("process {} runs with the same file prefix, {}", got > 0 ? holder : "(unknown)",
                             file_prefix),
                 name, "end that one, or give this one another [eal] file_prefix or [node] name"};
  }
  const std::string self = std::to_string(::getpid());
  if (::ftruncate(fd, 0) != 0 ||
      ::pwrite(fd, self.data(), self.size(), 0) != static_cast<ssize_t>(self.size())) {
    const Error failure = system_error(errno, "ssn-dataplane refuses to run", name);
    ::close(fd);
    return failure;
  }
  remove_leftovers(path);
  return LockedFolder(path, fd);
}

LockedFolder::LockedFolder(LockedFolder&& other) noexcept
    : path_(std::move(other.path_)), fd_(std::exchange(other.fd_, -1)) {}

LockedFolder::~LockedFolder() {
  if (fd_ >= 0) {
    remove_leftovers(path_);
    ::unlink((path_ + "/" + lock_name).c_str());
    ::close(fd_);
    // Only when it is empty, and ours to remove.
    [[maybe_unused]] const int removed = ::rmdir(path_.c_str());
  }
}

}  // namespace ssn::dataplane
