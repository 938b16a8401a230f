// SPDX-License-Identifier: BSD-3-Clause
// Orders and questions on their way from control threads to workers.
#pragma once

#include <chrono>
#include <memory>
#include <mutex>
#include <vector>

#include "ssn/dataplane/worker.h"

namespace ssn::dataplane {

/// What a worker is to do between two walks, with room for its answer.
class Errand {
 public:
  explicit Errand(Worker& worker) : worker_(&worker) {}
  Errand(const Errand&) = delete;
  Errand& operator=(const Errand&) = delete;
  virtual ~Errand() = default;

 protected:
  Worker& worker() const noexcept { return *worker_; }

 private:
  friend class Errands;
  virtual void run() = 0;

  Worker* worker_;
  Ticket ticket_ = 0;
};

/// Any thread but workers.
class Errands {
 public:
  enum class Ran {
    yes,
    late,  ///< it may still be run: it stays until the worker has seen it, however long that takes
    no,    ///< the worker has no room for it
  };
  Ran run(const std::shared_ptr<Errand>& errand, std::chrono::milliseconds patience);

 private:
  std::mutex mutex_;
  std::vector<std::shared_ptr<Errand>> kept_;
};

}  // namespace ssn::dataplane
