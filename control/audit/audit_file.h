// SPDX-License-Identifier: BSD-3-Clause
// The files of an audit log: FILE, and behind it FILE.1, FILE.2, ..., which are older. Together they are
// bounded; the oldest goes.
#pragma once

#include <cstdint>
#include <functional>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "decision.h"
#include "ssn/hw/file_descriptor.h"

namespace ssn::audit {

struct AuditFileRules {
  std::string path;
  std::uint64_t bytes_max = std::uint64_t{16} << 20;  ///< of one file
  unsigned files = 16;                                ///< with FILE itself
};

/// A page of records, ascending.
struct DecisionPage {
  std::vector<Decision> decisions;
  std::uint64_t next = 0;     ///< ask again behind this number
  bool more = false;          ///< there is more behind it now
  std::uint64_t damaged = 0;  ///< lines that are no records
};
/// Of a log that may be written meanwhile. Looks at a bounded part of the files at a time.
Result<DecisionPage> read_decisions(const std::string& path, const DecisionFilter& filter,
                                    std::uint64_t after, std::size_t limit);

/// Made with mode 0600. One thread writes.
class AuditFile {
 public:
  /// Refused: it is no regular file, not this user's, or others may read it.
  static Result<AuditFile> open(AuditFileRules rules);
  /// The number of the last record; 0: there is none.
  std::uint64_t last() const noexcept { return last_; }
  /// Whole, or not at all. `number`: of the record.
  Outcome append(std::string_view line, std::uint64_t number);
  /// What was appended is on the disk. After an error the next append() begins another file.
  Outcome sync();

 private:
  explicit AuditFile(AuditFileRules rules) : rules_(std::move(rules)) {}
  Outcome reopen();
  Outcome rotate();

  AuditFileRules rules_;
  hw::FileDescriptor fd_;
  std::uint64_t size_ = 0;
  std::uint64_t last_ = 0;
  bool doubtful_ = false;
};

}  // namespace ssn::audit
