// SPDX-License-Identifier: BSD-3-Clause
#include <time.h>

#include <algorithm>

#include "check.h"

namespace ssn::hw::offload {

std::uint32_t Context::length_near(std::uint32_t wanted) const noexcept {
  const std::uint32_t multiple = info().length_multiple;
  const std::uint32_t least = (info().length_min + multiple - 1) / multiple * multiple;
  const std::uint32_t most = info().length_max / multiple * multiple;
  return std::clamp((std::min(wanted, most) + multiple - 1) / multiple * multiple, least, most);
}

Shape Context::small_shape(ssn_offload_operation operation) const noexcept {
  Shape shape;
  shape.operation = operation;
  shape.length = length_near(64);
  if (!ssn_offload_is_in(operation, SSN_OFFLOAD_WITHOUT_MATRIX)) {
    const bool many_rows = operation == SSN_OFFLOAD_SPLIT || operation == SSN_OFFLOAD_SPLIT_PAD ||
                           operation == SSN_OFFLOAD_SPLIT_SEAL;
    shape.rows = std::min(many_rows ? 3U : 1U, info().rows_max);
    shape.columns = std::min(2U, info().columns_max);
  }
  return shape;
}

ssn_offload_operation Context::operation(std::uint32_t i) const noexcept {
  std::vector<ssn_offload_operation> all;
  for (std::uint32_t operation = 0; operation < SSN_OFFLOAD_OPERATIONS; ++operation) {
    if (has(static_cast<ssn_offload_operation>(operation))) {
      all.push_back(static_cast<ssn_offload_operation>(operation));
    }
  }
  return all[i % all.size()];  // a device without operations is not opened
}

std::vector<std::unique_ptr<Task>> Context::small_tasks(std::uint32_t wanted) {
  std::vector<std::unique_ptr<Task>> tasks;
  for (std::uint32_t i = 0; i < wanted; ++i) {
    std::unique_ptr<Task> task = maker.make(small_shape(operation(i)));
    if (task == nullptr) {
      break;
    }
    tasks.push_back(std::move(task));
  }
  return tasks;
}

std::uint32_t Context::depth_near(std::uint32_t wanted) const noexcept {
  return std::min(wanted, info().queue_depth_max);
}

std::optional<OffloadQueue> Context::open_queue(std::uint32_t depth, Check& check) {
  Result<OffloadQueue> queue = device.open_queue({depth, CLOCK_MONOTONIC, -1});
  if (!queue.ok()) {
    check.findings.add(queue.error().what + ": " + queue.error().why);
    return std::nullopt;
  }
  return std::move(queue.value());
}

void Context::run(std::vector<std::unique_ptr<Task>>& tasks, std::uint32_t depth,
                  const Harness::Pattern& pattern, Check& check) {
  std::optional<OffloadQueue> queue = open_queue(depth, check);
  if (!queue) {
    return;
  }
  const std::vector<Task*> list = pointers(tasks);
  Harness harness(device, *queue, depth, patience_seconds, check.findings);
  lost = !harness.run(list, pattern) || lost;
  if (!lost) {
    maker.change_key(*queue);  // for the tasks that come next
  }
  queue->close();
  harness.verify_again(list);
  if (!arena.intact()) {
    check.findings.add("bytes beside the buffers were written");
  }
}

std::vector<Task*> pointers(const std::vector<std::unique_ptr<Task>>& tasks) {
  std::vector<Task*> list;
  for (const std::unique_ptr<Task>& task : tasks) {
    list.push_back(task.get());
  }
  return list;
}

}  // namespace ssn::hw::offload
