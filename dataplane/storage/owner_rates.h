// SPDX-License-Identifier: BSD-3-Clause
// Limits of rate at an SSA: the meters of owners and classes that have sessions here, what the controller
// says of them, and what is shown. docs/ssa.md, "Rates".
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "ssn/dataplane/agent_source.h"
#include "ssn/roles/rate_meter.h"
#include "types.h"

namespace ssn::dataplane {

/// Any thread.
class OwnerRates {
 public:
  struct Meters {  // of an owner or a class, each way
    roles::RateMeter write;
    roles::RateMeter read;
    roles::RateMeter& of(bool writes) noexcept { return writes ? write : read; }
  };
  /// What a session has of them; they stay as long as it does.
  struct Held {
    std::shared_ptr<Meters> owner;
    std::shared_ptr<Meters> of_class;  ///< null: it has none
    roles::SessionMeters meters(bool writes) const noexcept;
  };
  /// What its owner is told.
  struct Told {
    std::uint64_t bytes_per_second = 0;  ///< 0: no limit
    std::string whose;
  };

  /// A session begins: `object` says whose it is and what the controller said just now.
  Held hold(const controller::Object& object);
  static Told tell(const controller::Object& object, bool writes);

  /// Whose rates are to be asked for, in turns where they are many, and who was slowed.
  std::vector<controller::RateUse> ask();
  /// What came of that, in its order; of another length it is an answer that says nothing of rates.
  void take(const std::vector<controller::RateUse>& asked, const std::vector<controller::RateLimit>& rates);
  /// Forgets those that no session has and that would be as new: nobody gains by closing a session and
  /// opening another.
  void tend(std::uint64_t now_ns);

  std::size_t size() const;
  void add_status(agent::Status& status) const;

 private:
  using Name = std::pair<bool, std::string>;  // whether it is a class's
  struct Entry {
    std::shared_ptr<Meters> meters = std::make_shared<Meters>();
    std::uint64_t told_waits = 0;
    bool slowed = false;
  };

  std::shared_ptr<Meters> find(bool of_class, const std::string& name, const controller::RateLimit& rate);

  mutable std::mutex mutex_;
  std::map<Name, Entry> all_;
  Name asked_last_;
};

}  // namespace ssn::dataplane
