// SPDX-License-Identifier: BSD-3-Clause
// Whether jobs that break a rule are refused, without a buffer being touched.
#include <fmt/format.h>

#include <algorithm>

#include "check.h"

namespace ssn::hw::offload {
namespace {

bool is_in(const Task& task, std::uint32_t set) { return ssn_offload_is_in(task.shape.operation, set); }
bool has_matrix(const Task& task) { return !is_in(task, SSN_OFFLOAD_WITHOUT_MATRIX); }
bool padded(const Task& task) { return !task.pads.empty(); }
bool tagged(const Task& task) { return !task.tagging.empty(); }

// Gives the first input, output or pad a list of segments of its own, which may then be made wrong.
ssn_offload_segment* own_list(Task& task, std::vector<ssn_offload_buffer>& list) {
  task.spare.clear();
  for (std::uint32_t i = 0; i < ssn_offload_pieces(&list[0]); ++i) {
    task.spare.push_back(ssn_offload_piece(&list[0], task.job.length, i));
  }
  list[0] = ssn_offload_cut(task.spare.data(), static_cast<std::uint32_t>(task.spare.size()));
  return task.spare.data();
}

// Gives it back in one piece, where it is.
ssn_offload_buffer& in_one_piece(Task& task, std::vector<ssn_offload_buffer>& list) {
  const ssn_offload_segment& first = *own_list(task, list);
  list[0] = ssn_offload_whole(first.data, first.memory);
  return list[0];
}

// Breaks one rule. False when the rule means nothing for this device and operation.
struct Rule {
  const char* name;
  bool (*break_it)(Task& task, const Context& context);
};

constexpr Rule count_rules[] = {
    {"no inputs", [](Task& t, const Context&) { return t.job.inputs = nullptr, true; }},
    {"no outputs", [](Task& t, const Context&) { return t.job.outputs = nullptr, true; }},
    {"0 inputs", [](Task& t, const Context&) { return t.job.input_count = 0, true; }},
    {"0 outputs", [](Task& t, const Context&) { return t.job.output_count = 0, true; }},
    {"an input too many",
     [](Task& t, const Context&) {
       t.input_list.push_back(t.input_list[0]);
       t.job.inputs = t.input_list.data();
       return ++t.job.input_count, true;
     }},
    {"an output too many",
     [](Task& t, const Context&) {
       t.output_list.push_back(t.output_list[0]);
       t.job.outputs = t.output_list.data();
       return ++t.job.output_count, true;
     }},
    {"an operation that there is not", [](Task& t, const Context&) { return t.job.operation = 8, true; }},
    {"operation 65535", [](Task& t, const Context&) { return t.job.operation = UINT16_MAX, true; }},
    {"no matrix",
     [](Task& t, const Context&) { return has_matrix(t) ? (t.job.matrix = nullptr, true) : false; }},
    {"no pads", [](Task& t, const Context&) { return padded(t) ? (t.job.pads = nullptr, true) : false; }},
    {"no tagging",
     [](Task& t, const Context&) { return tagged(t) ? (t.job.tagging = nullptr, true) : false; }},
};

constexpr Rule length_rules[] = {
    {"length 0", [](Task& t, const Context&) { return t.job.length = 0, true; }},
    {"a length that the buffers do not have",
     [](Task& t, const Context& c) {
       return own_list(t, t.input_list), t.job.length += c.info().length_multiple, true;
     }},
    {"a length beyond length_max",
     [](Task& t, const Context& c) {
       if (c.info().length_max > UINT32_MAX - c.info().length_multiple) {
         return false;
       }
       return t.job.length = c.info().length_max + c.info().length_multiple, true;
     }},
    {"a length below length_min",
     [](Task& t, const Context& c) {
       return c.info().length_min > 1 ? (t.job.length = c.info().length_min - 1, true) : false;
     }},
    {"a length that is no multiple",
     [](Task& t, const Context& c) { return c.info().length_multiple > 1 ? (++t.job.length, true) : false; }},
};

constexpr Rule segment_rules[] = {
    {"an input without segments",
     [](Task& t, const Context&) { return t.input_list[0] = ssn_offload_cut(nullptr, 1), true; }},
    {"an input in one piece at no address",
     [](Task& t, const Context&) { return in_one_piece(t, t.input_list).data = nullptr, true; }},
    {"an output in one piece at no address",
     [](Task& t, const Context&) { return in_one_piece(t, t.output_list).data = nullptr, true; }},
    {"a pad in one piece at no address",
     [](Task& t, const Context&) {
       return padded(t) ? (in_one_piece(t, t.pad_list).data = nullptr, true) : false;
     }},
    {"an input at no address",
     [](Task& t, const Context&) { return own_list(t, t.input_list)->data = nullptr, true; }},
    {"an output at no address",
     [](Task& t, const Context&) { return own_list(t, t.output_list)->data = nullptr, true; }},
    {"an output segment of length 0",
     [](Task& t, const Context&) { return own_list(t, t.output_list)->length = 0, true; }},
    {"an input that is too short",
     [](Task& t, const Context& c) {
       if (t.shape.length <= c.info().alignment) {
         return false;
       }
       return own_list(t, t.input_list)->length -= c.info().alignment, true;
     }},
    {"segments whose lengths wrap around",
     [](Task& t, const Context& c) {
       if (c.info().segments_max < 3) {
         return false;
       }
       const ssn_offload_segment whole = *own_list(t, t.output_list);
       const std::uint32_t half = 0x80000000U;
       t.spare = {{whole.data, half, whole.memory}, {whole.data, half, whole.memory}, whole};
       t.output_list[0] = ssn_offload_cut(t.spare.data(), 3);
       return true;
     }},
    {"a pad of the wrong length",
     [](Task& t, const Context& c) {
       if (!padded(t)) {
         return false;
       }
       return own_list(t, t.pad_list)->length += c.info().alignment, true;
     }},
    {"more segments than segments_max",
     [](Task& t, const Context& c) {
       const std::uint64_t step = c.info().alignment;
       const std::uint64_t count = std::uint64_t{c.info().segments_max} + 1;
       if (t.shape.length < count * step || count > 1000) {
         return false;
       }
       const ssn_offload_segment whole = *own_list(t, t.input_list);
       t.spare.clear();
       for (std::uint64_t i = 0; i < count; ++i) {
         const std::uint64_t length = i + 1 < count ? step : whole.length - i * step;
         t.spare.push_back({whole.data + i * step, static_cast<std::uint32_t>(length), whole.memory});
       }
       t.input_list[0] = ssn_offload_cut(t.spare.data(), static_cast<std::uint32_t>(count));
       return true;
     }},
    {"an output that is not aligned",
     [](Task& t, const Context& c) {
       return c.info().alignment > 1 ? (++own_list(t, t.output_list)->data, true) : false;
     }},
    {"an output in one piece that is not aligned",
     [](Task& t, const Context& c) {
       return c.info().alignment > 1 ? (++in_one_piece(t, t.output_list).data, true) : false;
     }},
};

constexpr Rule tag_rules[] = {
    {"no tag key", [](Task& t, const Context&) { return t.tagging[0].key = nullptr, true; }},
    {"no mask", [](Task& t, const Context&) { return t.tagging[0].mask = nullptr, true; }},
    {"no place for a tag", [](Task& t, const Context&) { return t.tagging[0].tag = nullptr, true; }},
    {"a header at no address",
     [](Task& t, const Context&) {
       t.tagging[0].header = nullptr;
       return t.tagging[0].header_length = 16, true;
     }},
    {"a header beyond header_length_max",
     [](Task& t, const Context& c) {
       if (c.info().header_length_max == UINT32_MAX) {
         return false;
       }
       t.tagging[0].header = t.tagging[0].mask;
       t.tagging[0].header_length = c.info().header_length_max + 1;
       return true;
     }},
};

// Task::verify looks at tags where the job said that they are.
bool breaks_tag_place(const std::string& name) { return name == "no place for a tag"; }

void refuse(Context& context, const Shape& shape, const Rule& rule, Check& check, std::uint32_t& tried) {
  if (context.lost) {
    return;
  }
  std::unique_ptr<Task> task = context.maker.make(shape);
  if (task == nullptr) {
    check.findings.add("the suite cannot make a job for this check: " + context.maker.failure());
    return;
  }
  task->expect_refusal(SSN_INVALID);
  if (!rule.break_it(*task, context)) {
    return;
  }
  if (breaks_tag_place(rule.name)) {
    task->expected_tags.clear();
  }
  ++tried;
  std::vector<std::unique_ptr<Task>> tasks;
  tasks.push_back(std::move(task));
  // A job that is as it should be, to see that the device goes on.
  if (std::unique_ptr<Task> good = context.maker.make(shape); good != nullptr) {
    tasks.push_back(std::move(good));
  }
  Check one;
  context.run(tasks, 2, {}, one);
  if (!one.findings.none()) {
    check.findings.add(fmt::format("{}: {}", rule.name, one.findings.summary()));
  }
  context.maker.reset();
}

}  // namespace

void check_refusals(Context& context, Check& check) {
  std::uint32_t tried = 0;
  for (std::uint32_t i = 0; i < SSN_OFFLOAD_OPERATIONS; ++i) {
    const auto operation = static_cast<ssn_offload_operation>(i);
    if (!context.has(operation)) {
      continue;
    }
    const Shape shape = context.small_shape(operation);
    const bool with_tags = ssn_offload_is_in(operation, SSN_OFFLOAD_WRITES_TAGS | SSN_OFFLOAD_CHECKS_TAGS);
    for (const std::span<const Rule> rules :
         {std::span<const Rule>(count_rules), std::span<const Rule>(length_rules),
          std::span<const Rule>(segment_rules),
          with_tags ? std::span<const Rule>(tag_rules) : std::span<const Rule>()}) {
      for (const Rule& rule : rules) {
        refuse(context, shape, rule, check, tried);
      }
    }
  }
  check.note = fmt::format("{} bad jobs", tried);
}

void check_unsupported(Context& context, Check& check) {
  if (context.info().operations == SSN_OFFLOAD_ALL) {
    check.skipped = "the device has all operations";
    return;
  }
  std::vector<std::unique_ptr<Task>> tasks;
  for (std::uint32_t i = 0; i < SSN_OFFLOAD_OPERATIONS; ++i) {
    const auto operation = static_cast<ssn_offload_operation>(i);
    if (context.has(operation)) {
      continue;
    }
    // As if it were one that the device has: nothing of it is looked at.
    std::unique_ptr<Task> task = context.maker.make(context.small_shape(context.operation(0)));
    if (task == nullptr) {
      break;
    }
    task->job.operation = operation;
    task->expect_refusal(SSN_UNSUPPORTED);
    tasks.push_back(std::move(task));
  }
  context.run(tasks, context.depth_near(8), {}, check);
}

void check_unregistered(Context& context, Check& check) {
  const bool needed = context.info().memory_registration;
  std::vector<std::unique_ptr<Task>> tasks;
  for (std::uint32_t i = 0; i < 3 * SSN_OFFLOAD_OPERATIONS; ++i) {
    std::unique_ptr<Task> task = context.maker.make(context.small_shape(context.operation(i)));
    if (task == nullptr) {
      break;
    }
    std::vector<ssn_offload_buffer>& list = i % 3 == 0 ? task->input_list : task->output_list;
    if (needed) {
      task->expect_refusal(SSN_INVALID);
    }
    if (i % 3 == 1 && tagged(*task)) {
      task->tagging[0].mask_memory = SSN_OFFLOAD_UNREGISTERED;
      tasks.push_back(std::move(task));
      continue;
    }
    ssn_offload_segment segment = *own_list(*task, list);
    if (i % 3 == 2 && needed) {
      // The bytes behind the memory are there, but they are not the device's.
      const ssn_memory memory = context.arena.describe();
      const std::uint32_t behind = context.info().alignment;
      segment.data =
          static_cast<std::uint8_t*>(memory.base) + memory.bytes - segment.length / behind * behind + behind;
    } else {
      segment.memory = SSN_OFFLOAD_UNREGISTERED;
    }
    task->spare[0] = segment;
    if (i / 3 % 2 == 0) {
      list[0] = ssn_offload_whole(segment.data, segment.memory);
    }
    tasks.push_back(std::move(task));
  }
  context.run(tasks, context.depth_near(8), {}, check);
}

}  // namespace ssn::hw::offload
