// SPDX-License-Identifier: BSD-3-Clause
// Orders and questions on their way from control threads to workers.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

#include "ssn/dataplane/worker.h"

namespace ssn::dataplane {

/// The term of the controller that gave an order. A worker that comes to it late looks again: there may be a
/// newer one meanwhile, whose orders count.
struct OrderTerm {
  const std::atomic<std::uint64_t>* highest = nullptr;  ///< that was seen; null: the order has no term
  std::uint64_t term = 0;

  bool is_old() const noexcept {
    return highest != nullptr && term < highest->load(std::memory_order_acquire);
  }
};

/// What a worker is to do between two walks, with room for its answer.
class Errand {
 public:
  explicit Errand(Worker& worker, OrderTerm term = {}) : worker_(&worker), term_(term) {}
  Errand(const Errand&) = delete;
  Errand& operator=(const Errand&) = delete;
  virtual ~Errand() = default;

 protected:
  Worker& worker() const noexcept { return *worker_; }

 private:
  friend class Errands;
  virtual void run() = 0;

  Worker* worker_;
  const OrderTerm term_;
  bool was_old_ = false;  // the worker's, until it is done
  Ticket ticket_ = 0;
};

/// Any thread but workers.
class Errands {
 public:
  enum class Ran {
    yes,
    late,  ///< it may still be run: it stays until the worker has seen it, however long that takes
    no,    ///< the worker has no room for it
    old,   ///< its term was old when the worker came to it: it was not run
  };
  Ran run(const std::shared_ptr<Errand>& errand, std::chrono::milliseconds patience);

 private:
  std::mutex mutex_;
  std::vector<std::shared_ptr<Errand>> kept_;
};

}  // namespace ssn::dataplane
