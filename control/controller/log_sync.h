// SPDX-License-Identifier: BSD-3-Clause
// A log that many append to and one syncs for all: who waits first syncs what is written by then, the others
// wait for him, or for whoever syncs next. ("Group commit": Gawlick, Kinkade, IEEE Database Eng. 8(2), 1985.)
#pragma once

#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <string>

#include "ssn/hw/file_descriptor.h"

namespace ssn::controller {

/// Thread-safe, but for open(). Does not write itself.
class LogSync {
 public:
  /// Before all else. Returns 0, or an errno value.
  int open(const std::string& path);

  /// Once what belongs together was handed to the kernel.
  void note_written();
  std::uint64_t written() const;
  /// Returns when what was noted first, so many times, is on the disk: an empty text; or why nobody knows.
  /// After a failed sync none is tried again: the kernel may take for written what it could not write.
  std::string wait(std::uint64_t written);
  /// Why a sync failed; empty: none did.
  std::string trouble() const;

 private:
  hw::FileDescriptor file_;
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::uint64_t written_ = 0;
  std::uint64_t durable_ = 0;
  bool syncing_ = false;
  std::string trouble_;
};

}  // namespace ssn::controller
