// SPDX-License-Identifier: BSD-3-Clause
#include "queue.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cassert>
#include <chrono>
#include <utility>

namespace async_example {
namespace {

// How many jobs the device takes at a time, to do them in any order.
constexpr std::uint32_t run_max = 8;

// SplitMix64 (Steele, Lea and Flood, OOPSLA 2014).
std::uint64_t next_random(std::uint64_t& state) noexcept {
  std::uint64_t z = (state += 0x9E3779B97F4A7C15U);
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9U;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBU;
  return z ^ (z >> 31);
}

}  // namespace

SlotRing::SlotRing(std::uint32_t slots) : entries_(std::bit_ceil(slots)), mask_(std::bit_ceil(slots) - 1) {}

void SlotRing::push(std::uint32_t slot) noexcept {
  const std::uint32_t tail = tail_.load(std::memory_order_relaxed);
  assert(tail - head_.load(std::memory_order_acquire) <= mask_ && "there are no more slots than entries");
  entries_[tail & mask_] = slot;
  tail_.store(tail + 1, std::memory_order_release);
}

bool SlotRing::pop(std::uint32_t& slot) noexcept {
  const std::uint32_t head = head_.load(std::memory_order_relaxed);
  if (head == tail_.load(std::memory_order_acquire)) {
    return false;
  }
  slot = entries_[head & mask_];
  head_.store(head + 1, std::memory_order_release);
  return true;
}

Queue::Queue(const ssn::kernels::Implementation& implementation, const Options& options)
    : options_(options),
      engine_(implementation),
      slots_(std::make_unique<Slot[]>(options.depth)),
      submitted_(options.depth),
      completed_(options.depth) {
  for (std::uint32_t slot = 0; slot < options.depth; ++slot) {
    free_.push_back(slot);
  }
}

Queue::~Queue() {
  stop_.store(true, std::memory_order_relaxed);
  if (device_.joinable()) {
    device_.join();
  }
}

void Queue::start() {
  device_ = std::thread([this] { device_thread(); });
}

// ---- The host's side ------------------------------------------------------------------------------------

void Queue::submit(ssn_offload_job& job) noexcept {
  const std::uint32_t number = free_.back();
  free_.pop_back();
  Slot& slot = slots_[number];
  slot.job = &job;
  slot.in_use = true;
  slot.given_back = false;
  slot.given_as = SSN_OK;
  slot.cancelled = false;
  slot.state.store(State::queued, std::memory_order_relaxed);
  if (job.deadline != 0) {
    earliest_deadline_ = std::min(earliest_deadline_, job.deadline);
  }
  submitted_.push(number);
}

// True when the device has not begun, and now never will.
bool Queue::take_back(Slot& slot) noexcept {
  State expected = State::queued;
  return slot.state.compare_exchange_strong(expected, State::taken_back, std::memory_order_acq_rel);
}

// The device is done with the slot.
ssn_offload_job* Queue::complete(Slot& slot) noexcept {
  assert(slot.state.load(std::memory_order_acquire) == State::done);
  ssn_offload_job& job = *slot.job;
  job.held = false;
  job.status = slot.given_as != SSN_OK ? slot.given_as : slot.result.status;
  std::copy(std::begin(slot.result.tag_mismatch), std::end(slot.result.tag_mismatch), job.tag_mismatch);
  slot.given_back = true;
  return &job;
}

std::uint32_t Queue::dequeue(ssn_offload_job** jobs, std::uint32_t capacity, std::uint64_t now) noexcept {
  std::uint32_t given = 0;
  std::uint32_t number = 0;
  while (given < capacity && completed_.pop(number)) {
    Slot& slot = slots_[number];
    if (!slot.given_back) {
      jobs[given++] = slot.cancelled ? give_late(slot) : complete(slot);
    }
    slot.in_use = false;
    free_.push_back(number);
  }
  // Afterwards: what is given as held here must not be given a second time in the same call.
  if (now >= earliest_deadline_ || any_cancelled_) {
    given += dequeue_late(jobs + given, capacity - given, now);
  }
  return given;
}

// A late or cancelled job, as far as it can be given back now; null when it cannot.
ssn_offload_job* Queue::give_late(Slot& slot) noexcept {
  ssn_offload_job& job = *slot.job;
  if (slot.cancelled || take_back(slot)) {
    job.status = slot.cancelled ? SSN_CANCELLED : SSN_TIMEOUT;
    job.held = false;
    slot.given_back = true;
    return &job;
  }
  if (slot.state.load(std::memory_order_acquire) == State::done) {
    return complete(slot);  // its number is on the way to the completion ring
  }
  slot.given_as = SSN_TIMEOUT;
  job.status = SSN_TIMEOUT;
  job.held = true;
  return &job;
}

std::uint32_t Queue::dequeue_late(ssn_offload_job** jobs, std::uint32_t capacity,
                                  std::uint64_t now) noexcept {
  std::uint32_t given = 0;
  earliest_deadline_ = UINT64_MAX;
  any_cancelled_ = false;
  for (std::uint32_t number = 0; number < options_.depth; ++number) {
    Slot& slot = slots_[number];
    if (!slot.in_use || slot.given_back || slot.given_as != SSN_OK) {
      continue;
    }
    const std::uint64_t deadline = slot.job->deadline;
    const bool late = deadline != 0 && deadline <= now;
    if ((late || slot.cancelled) && given < capacity) {
      jobs[given++] = give_late(slot);
      continue;
    }
    any_cancelled_ = any_cancelled_ || slot.cancelled;
    if (deadline != 0) {
      earliest_deadline_ = std::min(earliest_deadline_, deadline);
    }
  }
  return given;
}

void Queue::cancel() noexcept {
  for (std::uint32_t number = 0; number < options_.depth; ++number) {
    Slot& slot = slots_[number];
    if (slot.in_use && !slot.given_back && take_back(slot)) {
      slot.cancelled = true;
      any_cancelled_ = true;
    }
  }
}

// ---- The device's side ----------------------------------------------------------------------------------

void Queue::device_thread() noexcept {
  std::uint64_t random = options_.seed;
  std::array<std::uint32_t, run_max> run;
  unsigned idle = 0;
  while (!stop_.load(std::memory_order_relaxed)) {
    std::uint32_t count = 0;
    while (count < run_max && submitted_.pop(run[count])) {
      ++count;
    }
    for (std::uint32_t i = count; i > 1; --i) {
      std::swap(run[i - 1], run[next_random(random) % i]);
    }
    for (std::uint32_t i = 0; i < count && !stop_.load(std::memory_order_relaxed); ++i) {
      process(run[i]);
    }
    // Silicon would wait for its doorbell; a thread must not keep a core from its host.
    idle = count != 0 ? 0 : idle + 1;
    if (idle > 2000) {
      std::this_thread::sleep_for(std::chrono::microseconds(50));
    } else if (idle > 100) {
      std::this_thread::yield();
    }
  }
}

void Queue::process(std::uint32_t number) noexcept {
  Slot& slot = slots_[number];
  State expected = State::queued;
  if (slot.state.compare_exchange_strong(expected, State::running, std::memory_order_acq_rel)) {
    wait_delay();
    slot.result = engine_.run(*slot.job);
    slot.state.store(State::done, std::memory_order_release);
  }
  completed_.push(number);
}

void Queue::wait_delay() const noexcept {
  const auto end = std::chrono::steady_clock::now() + std::chrono::microseconds(options_.delay_us);
  while (!stop_.load(std::memory_order_relaxed) && std::chrono::steady_clock::now() < end) {
    std::this_thread::sleep_for(std::chrono::microseconds(std::min(options_.delay_us, 200U)));
  }
}

}  // namespace async_example
