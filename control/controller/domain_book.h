// SPDX-License-Identifier: BSD-3-Clause
// What other domains said last, whether that still counts, and whether both sides mean the same:
// docs/exchange.md. No network, no clock: exchange_link.h asks and answers.
#pragma once

#include <map>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "domain_types.h"

namespace ssn::controller {

inline constexpr std::uint64_t exchange_each_ms = 2'000;       ///< a domain is told so often
inline constexpr std::uint64_t exchange_back_off_ms = 60'000;  ///< most between calls that fail
inline constexpr std::uint64_t domain_fresh_ms = 15'000;       ///< what is older counts for nothing any more
inline constexpr std::uint64_t domain_refusal_ms = 2 * exchange_back_off_ms;  ///< one is told of for so long

/// What is wrong with one domain, for alarms; empty: nothing.
struct DomainTrouble {
  std::string domain;
  std::string unreachable;
  std::string mismatch;
};

/// How a statement came: it answered ours, or called us.
enum class Heard : bool { answering, calling };

/// Thread-safe. Times are of a monotonic clock, in milliseconds.
class DomainBook {
 public:
  /// `own`: what others call us; empty: we speak to none. `trusted`: domains whose authority is known here.
  DomainBook(std::string own, std::set<std::string> trusted);

  const std::string& own() const noexcept { return own_; }
  /// What is agreed now, and what our own nodes are called. Who is not among them is forgotten.
  void follow(const std::map<std::string, DomainAgreement>& agreements, std::set<std::string> own_nodes,
              std::uint64_t now_ms);
  /// The agreement with a domain. not_found: there is none.
  Result<DomainAgreement> agreement(const std::string& domain) const;

  /// It said this. refused: it is not what a controller of that domain can say to us; what was there before
  /// stays, and its age.
  Outcome hear(const std::string& domain, DomainStatement statement, Heard how, std::uint64_t now_ms);
  /// It could not be asked, or nothing can be done with its answer.
  void fail(const std::string& domain, const std::string& why, std::uint64_t now_ms);
  /// Somebody called in its name who is not its controller.
  void refuse(const std::string& domain);
  /// How long until it is to be asked; 0: now. Later and later while that fails; at once where it was silent
  /// and calls us.
  std::uint64_t wait_ms(const std::string& domain, std::uint64_t now_ms) const;

  std::vector<DomainView> views(std::uint64_t now_ms) const;
  std::vector<DomainTrouble> troubles(std::uint64_t now_ms) const;

 private:
  struct Entry {
    DomainAgreement agreement;
    bool heard = false;
    std::uint64_t since_ms = 0;  // that it is known
    std::uint64_t heard_ms = 0;
    std::uint64_t next_ms = 0;  // when it is to be asked
    unsigned failures = 0;      // in a row
    std::string trouble;        // of the latest call; empty: it went well
    std::string refusal;        // why its latest statement was not taken; empty: it was
    std::uint64_t refusal_ms = 0;
    std::uint64_t refused = 0;
    DomainStatement theirs;
  };

  std::string mismatch_of(const Entry& entry) const;
  DomainView view_of(const std::string& name, const Entry& entry, std::uint64_t now_ms) const;

  const std::string own_;
  const std::set<std::string> trusted_;
  mutable std::mutex mutex_;
  std::map<std::string, Entry> entries_;
  std::set<std::string> own_nodes_;
};

}  // namespace ssn::controller
