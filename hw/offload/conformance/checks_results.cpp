// SPDX-License-Identifier: BSD-3-Clause
// Whether the device computes what the scalar reference does.
#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <set>

#include "check.h"

namespace ssn::hw::offload {
namespace {

constexpr std::uint32_t lengths[] = {1,   2,   3,   15,  16,   17,   31,   32,   33,   63,   64,    65,
                                     127, 128, 255, 257, 1000, 1344, 1408, 1500, 4096, 8960, 16384, 100003};
constexpr std::pair<std::uint32_t, std::uint32_t> sizes[] = {{1, 1}, {1, 2}, {3, 2}, {5, 3},
                                                             {1, 3}, {4, 4}, {9, 6}, {2, 10}};
// Most bytes in buffers of one task.
constexpr std::uint64_t task_bytes_max = 600000;

std::set<std::uint32_t> lengths_of(const Context& context) {
  std::set<std::uint32_t> chosen;
  for (const std::uint32_t length : lengths) {
    chosen.insert(context.length_near(length));
  }
  chosen.insert(context.length_near(UINT32_MAX));
  return chosen;
}

std::set<std::pair<std::uint32_t, std::uint32_t>> sizes_of(const Context& context,
                                                           ssn_offload_operation operation) {
  const ssn_offload_device_info& info = context.info();
  std::set<std::pair<std::uint32_t, std::uint32_t>> chosen;
  if (ssn_offload_is_in(operation, SSN_OFFLOAD_WITHOUT_MATRIX)) {
    return {{1, 1}};
  }
  for (const auto& [rows, columns] : sizes) {
    chosen.insert({std::min(rows, info.rows_max), std::min(columns, info.columns_max)});
  }
  chosen.insert({1, info.columns_max});
  chosen.insert({info.rows_max, 1});
  chosen.insert({info.rows_max, info.columns_max});
  return chosen;
}

std::uint64_t buffer_bytes(const Shape& shape) {
  return std::uint64_t{shape.length} * (2 * (shape.rows + shape.columns));
}

std::string missing(ssn_offload_operation operation) {
  return fmt::format("the device does not have {}", hw::name(operation));
}

// Runs what was made, then makes room for more.
void run_batch(Context& context, std::vector<std::unique_ptr<Task>>& tasks, Check& check) {
  if (!tasks.empty() && !context.lost) {
    context.run(tasks, context.depth_near(64),
                {.burst = context.random().between(1, 40), .capacity = context.random().between(1, 40)},
                check);
  }
  tasks.clear();
  context.maker.reset();
}

// All of `shapes`, as many at a time as there is memory for.
void run_shapes(Context& context, const std::vector<Shape>& shapes, Check& check) {
  std::vector<std::unique_ptr<Task>> tasks;
  for (const Shape& shape : shapes) {
    std::unique_ptr<Task> task = context.maker.make(shape);
    if (task == nullptr) {
      run_batch(context, tasks, check);
      task = context.maker.make(shape);
    }
    if (task == nullptr) {
      check.findings.add(context.maker.failure().empty()
                             ? "the suite has no memory for " + describe(shape)
                             : "cannot prepare a matrix: " + context.maker.failure());
      return;
    }
    tasks.push_back(std::move(task));
  }
  run_batch(context, tasks, check);
}

}  // namespace

template <ssn_offload_operation operation>
void check_results(Context& context, Check& check) {
  if (!context.has(operation)) {
    check.skipped = missing(operation);
    return;
  }
  std::vector<Shape> shapes;
  for (const auto& [rows, columns] : sizes_of(context, operation)) {
    for (const std::uint32_t length : lengths_of(context)) {
      Shape shape;
      shape.operation = operation;
      shape.rows = rows;
      shape.columns = columns;
      shape.length = length;
      if (buffer_bytes(shape) <= task_bytes_max) {
        shapes.push_back(shape);
      } else {
        check.note = fmt::format("jobs of more than {} bytes in all were left out", task_bytes_max);
      }
    }
  }
  run_shapes(context, shapes, check);
}

template void check_results<SSN_OFFLOAD_SPLIT>(Context&, Check&);
template void check_results<SSN_OFFLOAD_RECOVER>(Context&, Check&);
template void check_results<SSN_OFFLOAD_DOT>(Context&, Check&);
template void check_results<SSN_OFFLOAD_SEAL>(Context&, Check&);
template void check_results<SSN_OFFLOAD_OPEN>(Context&, Check&);
template void check_results<SSN_OFFLOAD_SPLIT_PAD>(Context&, Check&);
template void check_results<SSN_OFFLOAD_SPLIT_SEAL>(Context&, Check&);
template void check_results<SSN_OFFLOAD_OPEN_RECOVER>(Context&, Check&);

void check_scatter(Context& context, Check& check) {
  if (context.info().segments_max < 2) {
    check.skipped = "the device takes one segment a buffer";
    return;
  }
  std::vector<Shape> shapes;
  for (std::uint32_t i = 0; i < SSN_OFFLOAD_OPERATIONS * 12; ++i) {
    Shape shape = context.small_shape(context.operation(i));
    shape.length = context.length_near(context.random().between(2, 4000));
    shape.segments = context.random().between(2, std::min(context.info().segments_max, 64U));
    shapes.push_back(shape);
  }
  run_shapes(context, shapes, check);
}

void check_in_place(Context& context, Check& check) {
  if (!context.info().in_place) {
    check.skipped = "the device does not work in place";
    return;
  }
  std::vector<Shape> shapes;
  for (std::uint32_t i = 0; i < SSN_OFFLOAD_OPERATIONS * 8; ++i) {
    Shape shape = context.small_shape(context.operation(i));
    shape.length = context.length_near(context.random().between(1, 3000));
    shape.segments = 1 + i / SSN_OFFLOAD_OPERATIONS % 3;
    const bool whole = ssn_offload_is_in(shape.operation, SSN_OFFLOAD_WITHOUT_MATRIX);
    shape.over_input = whole && context.random().below(2) == 0;
    shape.in_place =
        !shape.over_input && (whole || ssn_offload_is_in(shape.operation, SSN_OFFLOAD_PADS_OUTPUTS));
    if (shape.over_input || shape.in_place) {
      shapes.push_back(shape);
    }
  }
  if (shapes.empty()) {
    check.skipped = "the device has no operation with pads on outputs";
    return;
  }
  run_shapes(context, shapes, check);
}

namespace {

void flip(std::uint8_t* bytes, std::uint32_t length, Random& random) {
  const std::uint32_t bit = random.below(std::uint64_t{length} * 8);
  bytes[bit / 8] ^= static_cast<std::uint8_t>(1U << bit % 8);
}

// Falsifies what belongs to tag `number`.
void falsify(Task& task, std::uint32_t number, Random& random) {
  const ssn_offload_tagging& tagging = task.tagging[number];
  switch (random.below(4)) {
    case 0:
      flip(tagging.mask, SSN_OFFLOAD_TAG_BYTES, random);
      break;
    case 1:
      if (tagging.header_length > 0) {
        flip(tagging.header, tagging.header_length, random);
        break;
      }
      [[fallthrough]];
    case 2: {
      const std::vector<ssn_offload_segment>& segments = task.inputs[number].segments;
      const ssn_offload_segment& segment = segments[random.below(segments.size())];
      flip(segment.data, segment.length, random);
      for (auto& [buffer, bytes] : task.untouched) {
        bytes = buffer->read();
      }
      break;
    }
    default:
      flip(tagging.tag, SSN_OFFLOAD_TAG_BYTES, random);
  }
  task.expect_mismatch(number);
}

}  // namespace

void check_tags(Context& context, Check& check) {
  if ((context.info().operations & SSN_OFFLOAD_CHECKS_TAGS) == 0) {
    check.skipped = "the device checks no tags";
    return;
  }
  std::vector<std::unique_ptr<Task>> tasks;
  for (std::uint32_t i = 0; i < 160; ++i) {
    const ssn_offload_operation operation = i % 2 == 0 ? SSN_OFFLOAD_OPEN : SSN_OFFLOAD_OPEN_RECOVER;
    if (!context.has(operation)) {
      continue;
    }
    Shape shape = context.small_shape(operation);
    if (operation == SSN_OFFLOAD_OPEN_RECOVER) {
      shape.columns = std::min(context.random().between(1, i < 8 ? 255 : 6), context.info().columns_max);
    }
    shape.length = context.length_near(context.random().between(1, i < 8 ? 64 : 1500));
    shape.segments = context.random().between(1, 3);
    shape.over_input = operation == SSN_OFFLOAD_OPEN && context.info().in_place && i % 8 == 0;
    std::unique_ptr<Task> task = context.maker.make(shape);
    if (task == nullptr) {
      break;
    }
    for (std::uint32_t wrong = context.random().between(0, 2); wrong > 0; --wrong) {
      const std::uint32_t number = context.random().below(shape.columns);
      if ((task->expected_mismatch[number / 64] >> number % 64 & 1) == 0) {
        falsify(*task, number, context.random());
      }
    }
    tasks.push_back(std::move(task));
  }
  run_batch(context, tasks, check);
}

}  // namespace ssn::hw::offload
