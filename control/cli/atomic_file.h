// SPDX-License-Identifier: BSD-3-Clause
// Files that appear complete or not at all. They are written under temporary names in the directory of their
// target, synced, and renamed together; on failure or signal the temporaries are removed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "io.h"
#include "ssn/hw/result.h"

namespace ssn::cli {

class OutputSet {
 public:
  /// With `force` existing regular files are replaced, without it they are refused.
  explicit OutputSet(bool force) noexcept : force_(force) {}
  ~OutputSet();
  OutputSet(const OutputSet&) = delete;
  OutputSet& operator=(const OutputSet&) = delete;

  /// Adds one output with mode 0600. Refuses a target that exists (without force) or is no regular file.
  Outcome add(const std::string& target);

  std::size_t size() const noexcept { return files_.size(); }
  const std::string& target(std::size_t i) const { return files_[i]->target; }

  /// Takes the space on the disk now, to fail early when there is not enough. Does nothing on file systems
  /// that cannot.
  Outcome reserve(std::size_t i, std::uint64_t bytes);
  Outcome skip(std::size_t i, std::size_t bytes);  ///< leaves a hole to be filled by write_at()
  Outcome write(std::size_t i, std::span<const std::uint8_t> bytes);
  Outcome write_at(std::size_t i, std::uint64_t offset, std::span<const std::uint8_t> bytes);

  /// Syncs all files, gives all of them their names, syncs the directories. When one name cannot be given,
  /// those already given are taken back and replaced files are restored.
  Outcome commit();

 private:
  struct File {
    std::string target;
    std::string temporary;
    FileDescriptor fd;
    int slot = -1;
    std::uint64_t written = 0;       // by write()
    std::uint64_t sync_started = 0;  // up to here writing to the disk has been started
    std::string backup;              // where the replaced file is; empty when there was none
    bool published = false;
  };

  Outcome create_temporary(File& file);
  Outcome sync(File& file);
  Outcome publish(File& file);
  void take_back(File& file) noexcept;
  void forget(File& file) noexcept;
  void discard() noexcept;

  bool force_;
  std::vector<std::unique_ptr<File>> files_;  // stable addresses: the signal handler reads the names
};

}  // namespace ssn::cli
