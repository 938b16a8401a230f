// SPDX-License-Identifier: BSD-3-Clause
// Turns at the catalogue: a lock whose holder, when he gives it back, waits until all that he may have seen
// or changed is durable. So no answer and no order goes out that a loss of power would take back, and while a
// disk syncs others have their turns, whose changes the next sync covers at once.
#pragma once

#include <mutex>

#include "database.h"

namespace ssn::controller {

/// Thread-safe; for std::lock_guard. Where a sync fails nobody knows what is durable and what was answered
/// already: the process says so and ends with Exit::failed, and its next start reads what there is.
class Turns {
 public:
  /// The database must outlive it.
  explicit Turns(Database& database) : database_(database) {}

  void lock() { mutex_.lock(); }
  void unlock();

 private:
  Database& database_;
  std::mutex mutex_;
};

}  // namespace ssn::controller
