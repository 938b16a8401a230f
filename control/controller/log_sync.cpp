// SPDX-License-Identifier: BSD-3-Clause
#include "log_sync.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <unistd.h>

#include <cassert>
#include <cerrno>
#include <cstring>

namespace ssn::controller {

int LogSync::open(const std::string& path) {
  file_ = hw::FileDescriptor(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY));
  return file_.get() < 0 ? errno : 0;
}

void LogSync::note_written() {
  const std::lock_guard lock(mutex_);
  ++written_;
}

std::uint64_t LogSync::written() const {
  const std::lock_guard lock(mutex_);
  return written_;
}

std::string LogSync::trouble() const {
  const std::lock_guard lock(mutex_);
  return trouble_;
}

std::string LogSync::wait(std::uint64_t written) {
  std::unique_lock lock(mutex_);
  assert(written <= written_ && file_.get() >= 0);
  while (durable_ < written && trouble_.empty()) {
    if (syncing_) {
      changed_.wait(lock);
      continue;
    }
    syncing_ = true;
    const std::uint64_t covered = written_;  // what comes while it syncs may miss it
    lock.unlock();
    const int number = ::fdatasync(file_.get()) == 0 ? 0 : errno;
    lock.lock();
    syncing_ = false;
    if (number == 0) {
      durable_ = covered;
    } else {
      trouble_ = fmt::format("syncing its log failed: {}", std::strerror(number));
    }
    changed_.notify_all();
  }
  return durable_ >= written ? std::string() : trouble_;
}

}  // namespace ssn::controller
