// SPDX-License-Identifier: BSD-3-Clause
#include "harness.h"

#include <fmt/format.h>
#include <time.h>

#include <algorithm>
#include <thread>

namespace ssn::hw::offload {
namespace {

// No driver sets it, so that what is left of it was not touched.
constexpr ssn_status untouched = SSN_NOT_FOUND;

}  // namespace

void Findings::add(std::string text) {
  ++count_;
  if (texts_.size() < texts_max) {
    texts_.push_back(std::move(text));
  }
}

std::string Findings::summary() const {
  std::string all;
  for (const std::string& text : texts_) {
    all += (all.empty() ? "" : "; ") + text;
  }
  if (count_ > texts_.size()) {
    all += fmt::format("; and {} more", count_ - texts_.size());
  }
  return all;
}

void Findings::merge(const Findings& other) {
  for (const std::string& text : other.texts_) {
    add(text);
  }
  count_ += other.count_ - other.texts_.size();
}

std::uint64_t monotonic_now() noexcept {
  timespec now{};
  (void)::clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1000000000 + static_cast<std::uint64_t>(now.tv_nsec);
}

bool Harness::run(std::span<Task* const> tasks, const Pattern& pattern) {
  std::size_t next = 0;
  last_progress_ = monotonic_now();
  while (next < tasks.size() || !outstanding_.empty()) {
    const std::size_t room = std::min(pattern.in_flight, depth_);
    std::size_t count = std::min<std::size_t>(pattern.burst, tasks.size() - next);
    count = std::min(count, room - std::min<std::size_t>(room, outstanding_.size()));
    const std::uint32_t accepted = count > 0 ? enqueue(tasks.subspan(next, count)) : 0;
    next += accepted;
    const std::uint32_t given = dequeue(pattern.capacity);
    if (waited_in_vain(accepted + given > 0)) {
      return false;
    }
  }
  verify_again(tasks);
  return true;
}

bool Harness::drain(std::uint32_t capacity) {
  last_progress_ = monotonic_now();
  while (!outstanding_.empty()) {
    if (waited_in_vain(dequeue(capacity) > 0)) {
      return false;
    }
  }
  return true;
}

bool Harness::waited_in_vain(bool progress) {
  const std::uint64_t now = monotonic_now();
  if (progress) {
    last_progress_ = now;
    return false;
  }
  if (now - last_progress_ < patience_) {
    std::this_thread::yield();
    return false;
  }
  lost_ = true;
  const std::string jobs = outstanding_.empty()
                               ? "a queue that is empty takes no job"
                               : fmt::format("{} jobs did not come back", outstanding_.size());
  findings_.add(fmt::format("{} within {} s", jobs, patience_ / 1000000000));
  return true;
}

std::uint32_t Harness::enqueue(std::span<Task* const> tasks) {
  std::vector<ssn_offload_job*> jobs;
  for (Task* const task : tasks) {
    task->job.status = untouched;
    task->job.held = false;
    jobs.push_back(&task->job);
  }
  const auto count = static_cast<std::uint32_t>(jobs.size());
  std::uint32_t completed = UINT32_MAX;
  const std::uint64_t now = monotonic_now();
  const std::uint32_t accepted = driver_.enqueue(queue_, jobs.data(), count, now, &completed);
  if (accepted > count || completed > accepted) {
    findings_.add(fmt::format("enqueue() of {} jobs says that it took {} and completed {}", count, accepted,
                              completed));
  }
  sort_accepted(tasks, std::min(accepted, count), completed, now);
  if (accepted > 0) {
    last_progress_ = now;
  }
  return std::min(accepted, count);
}

void Harness::sort_accepted(std::span<Task* const> tasks, std::uint32_t accepted, std::uint32_t completed,
                            std::uint64_t now) {
  std::uint32_t found_completed = 0;
  for (std::uint32_t i = 0; i < accepted; ++i) {
    Task& task = *tasks[i];
    task.sequence = next_sequence_++;
    if (task.job.status == SSN_AGAIN) {
      task.state = Task::State::in_flight;
      outstanding_[&task.job] = &task;
      deadlines_ += task.job.deadline != 0 ? 1 : 0;
      continue;
    }
    ++found_completed;
    if (task.job.status == untouched) {
      findings_.add("enqueue() took a job and did not set its status");
    } else if (task.job.held) {
      findings_.add("enqueue() completed a job and says that it is held");
    }
    finish(task, now);
  }
  if (found_completed != completed) {
    findings_.add(fmt::format("enqueue() says that it completed {} jobs, their status says {}", completed,
                              found_completed));
  }
  for (std::size_t i = accepted; i < tasks.size(); ++i) {
    if (tasks[i]->job.status != untouched) {
      findings_.add("enqueue() changed a job that it did not take");
    }
  }
  if (info_.completion == SSN_OFFLOAD_INLINE && found_completed < accepted) {
    findings_.add("an inline device left jobs in flight");
  }
  if (outstanding_.size() > depth_) {
    findings_.add(fmt::format("{} jobs are in flight in a queue of depth {}", outstanding_.size(), depth_));
  }
}

std::uint32_t Harness::dequeue(std::uint32_t capacity) {
  std::vector<ssn_offload_job*> jobs(capacity);
  const std::uint64_t now = monotonic_now();
  const std::uint32_t given = driver_.dequeue(queue_, jobs.data(), capacity, now);
  if (given > capacity) {
    findings_.add(fmt::format("dequeue() gave {} jobs where there was room for {}", given, capacity));
  }
  for (std::uint32_t i = 0; i < std::min(given, capacity); ++i) {
    take_back(jobs[i], now);
  }
  if (given < capacity && deadlines_ > 0) {
    check_deadlines(now);
  }
  if (given > 0) {
    last_progress_ = now;
  }
  return std::min(given, capacity);
}

void Harness::take_back(ssn_offload_job* job, std::uint64_t now) {
  const auto found = outstanding_.find(job);
  if (found == outstanding_.end()) {
    findings_.add("dequeue() gave a job back that was not in flight: it came back twice, or never was there");
    return;
  }
  Task& task = *found->second;
  if (job->status == SSN_AGAIN) {
    findings_.add(describe(task.shape) + ": came back with the status of a job in flight");
  }
  if (task.state == Task::State::in_flight) {
    check_order(task);
    deadlines_ -= job->deadline != 0 ? 1 : 0;
  }
  if (job->held) {
    hold(task, now);
    return;
  }
  outstanding_.erase(found);
  finish(task, now);
}

// Late or cancelled, and the device still has it.
void Harness::hold(Task& task, std::uint64_t now) {
  if (task.state == Task::State::held) {
    findings_.add(describe(task.shape) + ": came back as held twice");
  }
  if (task.job.status != SSN_TIMEOUT && task.job.status != SSN_CANCELLED) {
    findings_.add(fmt::format("{}: is held with status {}", describe(task.shape), name(task.job.status)));
  }
  ended_early(task, now);
  ++held_first_;
  task.state = Task::State::held;
}

// True when it ended without a result. That must have had a reason.
bool Harness::ended_early(const Task& task, std::uint64_t now) {
  const ssn_offload_job& job = task.job;
  if (job.status == SSN_TIMEOUT && task.expected != SSN_TIMEOUT) {
    if (job.deadline == 0 || job.deadline > now) {
      findings_.add(describe(task.shape) + ": ended as late, and was not");
    }
    return true;
  }
  if (job.status == SSN_CANCELLED) {
    if (!cancel_called_) {
      findings_.add(describe(task.shape) + ": ended as cancelled, and was not");
    }
    return true;
  }
  return false;
}

void Harness::finish(Task& task, std::uint64_t now) {
  const bool was_held = task.state == Task::State::held;
  task.state = Task::State::back;
  if (ended_early(task, now)) {
    late_ += task.job.status == SSN_TIMEOUT ? 1 : 0;
    cancelled_ += task.job.status == SSN_CANCELLED ? 1 : 0;
    task.remember_outputs();
    return;
  }
  if (was_held) {
    findings_.add(describe(task.shape) + ": was held, and came back with another status");
  }
  if (const std::string wrong = task.verify(); !wrong.empty()) {
    findings_.add(wrong);
  }
}

void Harness::check_order(const Task& task) {
  if (info_.ordered && task.sequence < last_given_) {
    findings_.add("jobs came back in another order, and the device says that it keeps the order");
  }
  last_given_ = std::max(last_given_, task.sequence);
}

// There was room in the last dequeue for everything that is late.
void Harness::check_deadlines(std::uint64_t now) {
  for (const auto& [job, task] : outstanding_) {
    if (task->state == Task::State::in_flight && job->deadline != 0 && job->deadline <= now) {
      findings_.add(fmt::format("{}: did not come back at its deadline but {} us later",
                                describe(task->shape), (now - job->deadline) / 1000));
      return;
    }
  }
}

void Harness::verify_again(std::span<Task* const> tasks) {
  for (const Task* const task : tasks) {
    for (std::size_t i = 0; i < task->left_behind.size(); ++i) {
      if (task->outputs[i].read() != task->left_behind[i]) {
        findings_.add(describe(task->shape) + ": was written to after it came back");
      }
    }
    if (task->state != Task::State::back || task->job.status != task->expected) {
      continue;
    }
    if (const std::string wrong = task->verify(); !wrong.empty()) {
      findings_.add("after it came back: " + wrong);
    }
  }
}

void Harness::cancel() {
  cancel_called_ = true;
  driver_.cancel(queue_);
}

}  // namespace ssn::hw::offload
