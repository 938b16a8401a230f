// SPDX-License-Identifier: BSD-3-Clause
// Queues: bursts, back-pressure, order, deadlines, cancelling and closing.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <thread>

#include "check.h"

namespace ssn::hw::offload {
namespace {

constexpr std::uint32_t depths[] = {1, 2, 3, 7, 16, 32, 64, 256, 1024};

bool inline_device(const Context& context, Check& check) {
  if (context.asynchronous()) {
    return false;
  }
  check.skipped = "every job is completed within enqueue: nothing is in flight";
  return true;
}

// After the queue was used, or closed with jobs lost.
void finish(Context& context, const Harness& harness, Check& check) {
  context.lost = context.lost || harness.lost();
  if (!context.arena.intact()) {
    check.findings.add("bytes beside the buffers were written");
  }
}

}  // namespace

void check_bursts(Context& context, Check& check) {
  const std::pair<std::uint32_t, std::uint32_t> patterns[] = {{1, 1},   {1, 32}, {32, 1}, {3, 5},
                                                              {32, 32}, {64, 3}, {7, 64}};
  for (const auto& [burst, capacity] : patterns) {
    if (context.lost) {
      return;
    }
    std::vector<std::unique_ptr<Task>> tasks = context.small_tasks(100);
    context.run(tasks, context.depth_near(32), {.burst = burst, .capacity = capacity}, check);
    context.maker.reset();
  }
  std::optional<OffloadQueue> queue = context.open_queue(1, check);
  if (queue) {
    Harness harness(context.device, *queue, 1, context.patience_seconds, check.findings);
    if (harness.enqueue({}) != 0 || harness.dequeue(0) != 0) {
      check.findings.add("a call for no jobs takes or gives one");
    }
  }
}

void check_in_flight(Context& context, Check& check) {
  std::uint32_t most = 0;
  for (const std::uint32_t depth : depths) {
    if (context.lost || depth > context.info().queue_depth_max) {
      continue;
    }
    std::vector<std::unique_ptr<Task>> tasks = context.small_tasks(depth);
    const std::vector<Task*> list = pointers(tasks);
    std::optional<OffloadQueue> queue = context.open_queue(depth, check);
    if (!queue) {
      return;
    }
    Harness harness(context.device, *queue, depth, context.patience_seconds, check.findings);
    std::uint32_t taken = 0;
    while (taken < list.size()) {
      const std::uint32_t more = harness.enqueue(std::span(list).subspan(taken));
      if (more == 0) {
        check.findings.add(fmt::format("a queue of depth {} takes only {} jobs", depth, taken));
        break;
      }
      taken += more;
    }
    most = std::max(most, taken);
    harness.drain(context.random().between(1, 64));
    queue->close();
    harness.verify_again(std::span(list).first(taken));
    finish(context, harness, check);
    context.maker.reset();
  }
  check.note = fmt::format("up to {} at a time", most);
}

void check_back_pressure(Context& context, Check& check) {
  if (inline_device(context, check)) {
    return;
  }
  const std::uint32_t depth = context.depth_near(24);
  std::vector<std::unique_ptr<Task>> tasks = context.small_tasks(depth + 20);
  const std::vector<Task*> list = pointers(tasks);
  std::optional<OffloadQueue> queue = context.open_queue(depth, check);
  if (!queue) {
    return;
  }
  Harness harness(context.device, *queue, depth, context.patience_seconds, check.findings);
  std::size_t next = 0;
  for (std::uint32_t more = 1; more > 0 && next < list.size(); next += more) {
    more = harness.enqueue(std::span(list).subspan(next));
  }
  if (next < depth) {
    check.findings.add(fmt::format("a queue of depth {} takes only {} of {} jobs", depth, next, list.size()));
  }
  if (harness.in_flight() == depth && next < list.size() &&
      harness.enqueue(std::span(list).subspan(next, 1)) != 0) {
    check.findings.add("a full queue takes one more job");
  }
  // One comes back, one goes in: nothing is lost while the queue is full.
  while (next < list.size() && !harness.lost()) {
    const std::uint32_t before = harness.in_flight();
    if (before == 0 && !harness.drain()) {
      break;
    }
    (void)harness.dequeue(1);
    if (harness.in_flight() < before || before == 0) {
      next += harness.enqueue(std::span(list).subspan(next, 1));
    } else if (!harness.wait()) {
      break;
    }
  }
  harness.drain();
  queue->close();
  harness.verify_again(std::span(list).first(next));
  finish(context, harness, check);
}

void check_order(Context& context, Check& check) {
  if (!context.info().ordered) {
    check.skipped = "the device does not promise an order";
    return;
  }
  for (int round = 0; round < 4 && !context.lost; ++round) {
    std::vector<std::unique_ptr<Task>> tasks;
    for (std::uint32_t i = 0; i < 120; ++i) {
      Shape shape = context.small_shape(context.operation(context.random().below(8)));
      shape.length = context.length_near(context.random().below(5) == 0 ? 4096 : 64);
      if (std::unique_ptr<Task> task = context.maker.make(shape); task != nullptr) {
        tasks.push_back(std::move(task));
      }
    }
    // Harness compares the order whenever the device promises one.
    context.run(tasks, context.depth_near(64), {.burst = context.random().between(1, 40), .capacity = 16},
                check);
    context.maker.reset();
  }
}

void check_parallel(Context& context, Check& check) {
  const std::uint32_t count = std::min(context.info().queues_max, 4U);
  if (count < 2) {
    check.skipped = "the device has one queue";
    return;
  }
  const std::uint32_t depth = context.depth_near(16);
  std::vector<std::vector<std::unique_ptr<Task>>> tasks;
  std::vector<OffloadQueue> queues;
  std::vector<Findings> findings(count);
  std::vector<char> lost(count, 0);
  for (std::uint32_t i = 0; i < count; ++i) {
    tasks.push_back(context.small_tasks(150));
    std::optional<OffloadQueue> queue = context.open_queue(depth, check);
    if (!queue) {
      return;
    }
    queues.push_back(std::move(*queue));
  }
  std::vector<std::thread> threads;
  for (std::uint32_t i = 0; i < count; ++i) {
    threads.emplace_back([&, i] {
      Harness harness(context.device, queues[i], depth, context.patience_seconds, findings[i]);
      const std::vector<Task*> list = pointers(tasks[i]);
      lost[i] = harness.run(list, {.burst = 8 + i, .capacity = 16}) ? 0 : 1;
    });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  queues.clear();
  for (std::uint32_t i = 0; i < count; ++i) {
    check.findings.merge(findings[i]);
    context.lost = context.lost || lost[i] != 0;
  }
  check.note = fmt::format("{} queues, a thread each", count);
}

void check_deadline_passed(Context& context, Check& check) {
  std::vector<std::unique_ptr<Task>> tasks = context.small_tasks(SSN_OFFLOAD_OPERATIONS * 2);
  const std::vector<Task*> list = pointers(tasks);
  for (Task* const task : list) {
    task->job.deadline = monotonic_now() - 1;
    task->expect_refusal(SSN_TIMEOUT);
  }
  const auto depth = static_cast<std::uint32_t>(context.depth_near(64));
  std::optional<OffloadQueue> queue = context.open_queue(depth, check);
  if (!queue) {
    return;
  }
  Harness harness(context.device, *queue, depth, context.patience_seconds, check.findings);
  const std::uint32_t taken =
      harness.enqueue(std::span(list).first(std::min<std::size_t>(depth, list.size())));
  if (harness.in_flight() != 0) {
    check.findings.add("a job that is late when it is enqueued is not completed there");
  }
  harness.drain();
  queue->close();
  harness.verify_again(std::span(list).first(taken));
  finish(context, harness, check);
}

void check_deadline_near(Context& context, Check& check) {
  if (inline_device(context, check)) {
    return;
  }
  const std::uint32_t depth = context.depth_near(128);
  std::uint32_t late = 0;
  std::uint32_t held = 0;
  for (std::uint32_t round = 0; round < 6 && !context.lost; ++round) {
    std::vector<std::unique_ptr<Task>> tasks = context.small_tasks(depth);
    const std::vector<Task*> list = pointers(tasks);
    const std::uint64_t now = monotonic_now();
    for (Task* const task : list) {
      task->job.deadline = now + 200000 + context.random().below(1000000);
    }
    std::optional<OffloadQueue> queue = context.open_queue(depth, check);
    if (!queue) {
      return;
    }
    Harness harness(context.device, *queue, depth, context.patience_seconds, check.findings);
    // Harness looks after each dequeue whether what is late was given back.
    harness.run(list, {.burst = depth, .capacity = 2 * depth});
    late += harness.late();
    held += harness.held_first();
    queue->close();
    harness.verify_again(list);
    finish(context, harness, check);
    context.maker.reset();
  }
  check.note = fmt::format("{} jobs were late, {} of them held", late, held);
}

void check_deadline_far(Context& context, Check& check) {
  std::vector<std::unique_ptr<Task>> tasks = context.small_tasks(60);
  for (const std::unique_ptr<Task>& task : tasks) {
    task->job.deadline = monotonic_now() + std::uint64_t{3600} * 1000000000;
  }
  context.run(tasks, context.depth_near(32), {}, check);
}

void check_cancel(Context& context, Check& check) {
  const std::uint32_t depth = context.depth_near(128);
  std::uint32_t cancelled = 0;
  for (int round = 0; round < 4 && !context.lost; ++round) {
    std::vector<std::unique_ptr<Task>> tasks = context.small_tasks(depth);
    const std::vector<Task*> list = pointers(tasks);
    std::optional<OffloadQueue> queue = context.open_queue(depth, check);
    if (!queue) {
      return;
    }
    Harness harness(context.device, *queue, depth, context.patience_seconds, check.findings);
    const std::uint32_t taken = harness.enqueue(list);
    (void)harness.dequeue(context.random().between(1, 4));
    const std::uint64_t begin = monotonic_now();
    harness.cancel();
    harness.drain();
    if (const std::uint64_t took = monotonic_now() - begin; took > context.info().close_ns_max + 100000000) {
      check.findings.add(fmt::format("cancelled jobs came back after {} ms", took / 1000000));
    }
    cancelled += harness.cancelled();
    // The queue goes on.
    std::vector<std::unique_ptr<Task>> more = context.small_tasks(8);
    if (!harness.lost()) {
      harness.run(pointers(more), {});
    }
    queue->close();
    harness.verify_again(std::span(list).first(taken));
    finish(context, harness, check);
    context.maker.reset();
  }
  check.note = fmt::format("{} jobs were cancelled", cancelled);
}

void check_teardown(Context& context, Check& check) {
  for (int round = 0; round < 4 && !context.lost; ++round) {
    const std::uint32_t depth = context.depth_near(256);
    std::vector<std::unique_ptr<Task>> tasks = context.small_tasks(depth);
    const std::vector<Task*> list = pointers(tasks);
    std::optional<OffloadQueue> queue = context.open_queue(depth, check);
    if (!queue) {
      return;
    }
    Harness harness(context.device, *queue, depth, context.patience_seconds, check.findings);
    (void)harness.enqueue(list);
    (void)harness.dequeue(static_cast<std::uint32_t>(round));
    const std::uint64_t begin = monotonic_now();
    queue->close();
    if (const std::uint64_t took = monotonic_now() - begin; took > context.info().close_ns_max + 100000000) {
      check.findings.add(fmt::format("closing a queue took {} ms, and close_ns_max is {} ms", took / 1000000,
                                     context.info().close_ns_max / 1000000));
    }
    for (Task* const task : list) {
      task->remember_outputs();
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
    const bool written = std::any_of(list.begin(), list.end(), [](const Task* task) {
      for (std::size_t i = 0; i < task->outputs.size(); ++i) {
        if (task->outputs[i].read() != task->left_behind[i]) {
          return true;
        }
      }
      return false;
    });
    if (written) {
      check.findings.add("outputs were written after their queue was closed");
    }
    finish(context, harness, check);
    context.maker.reset();
    std::vector<std::unique_ptr<Task>> more = context.small_tasks(16);
    context.run(more, context.depth_near(8), {}, check);
    context.maker.reset();
  }
}

}  // namespace ssn::hw::offload
