// SPDX-License-Identifier: BSD-3-Clause
// The membership that counts at this data plane, as its files say now: a newer one that enough operators
// signed counts without a restart. What is broken, badly signed or older than one that was seen counts for
// nothing: what was there before stays until it ends, and that is told.
#pragma once

#include <array>
#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "document.h"
#include "files.h"
#include "floor.h"
#include "ssn/hw/file_stamp.h"
#include "ssn/hw/result.h"

namespace ssn::membership {

struct Files {
  std::string document;    ///< TOML
  std::string signatures;  ///< CMS in PEM
  std::string signers;     ///< certificates in PEM: who may sign
  unsigned threshold = 1;  ///< so many of them must have
  std::string seen;        ///< ours: the highest serial that was seen, and the digest of its document
};

/// A document that enough operators signed.
struct Pinned {
  Document document;
  std::vector<std::string> signers;  ///< names of those who did
};

/// Reads and judges them as they are. usage, refused, integrity, not_found: what is wrong.
Result<Pinned> load_pinned(const Files& files);

/// Times are seconds since 1970. Thread-safe.
class LiveMembership {
 public:
  using Tell = std::function<void(const std::string& line)>;

  /// refused: also where it does not hold now, or is older than one that was seen here.
  static Result<std::shared_ptr<LiveMembership>> open(const Files& files, Tell tell, std::int64_t now);

  /// Looks at the files; what cannot be used is tried twice before it is told, because files that belong
  /// together do not come at once.
  void refresh(std::int64_t now);

  /// Never null.
  std::shared_ptr<const Pinned> pinned() const;
  /// Whether it holds now.
  Verdict holds(std::int64_t now) const { return membership::holds(pinned()->document, now); }

  struct State {
    std::shared_ptr<const Pinned> pinned;
    unsigned threshold = 1;
    bool healthy = true;
    std::string condition;        ///< "valid", "ends in 12 days", why changed files cannot be used
    std::uint64_t taken = 0;      ///< documents that were taken up while running
    std::uint64_t not_taken = 0;  ///< changes that could not be
  };
  State state(std::int64_t now) const;

 private:
  using Stamps = std::array<hw::FileStamp, 3>;

  LiveMembership(Files files, Tell tell) : files_(std::move(files)), tell_(std::move(tell)) {}
  Outcome accept(const Pinned& next, std::int64_t now);
  Outcome take(std::int64_t now);
  void warn(std::int64_t now);
  Outcome read_seen();
  Stamps look() const;
  void say(const std::string& line) const;

  const Files files_;
  const Tell tell_;

  std::mutex refreshing_;  // of what follows
  Stamps taken_stamps_{};  // of what counts
  Stamps tried_{};         // of what could not be used
  unsigned tries_ = 0;
  std::int64_t tried_at_ = 0;
  std::uint64_t seen_serial_ = 0;
  std::string seen_digest_;
  unsigned stage_ = 0;  // how soon it ends, as it was told

  mutable std::mutex mutex_;  // of what follows
  std::shared_ptr<const Pinned> pinned_;
  std::string trouble_;

  std::atomic<std::uint64_t> taken_{0};
  std::atomic<std::uint64_t> not_taken_{0};
};

}  // namespace ssn::membership
