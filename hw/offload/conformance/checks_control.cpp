// SPDX-License-Identifier: BSD-3-Clause
// The control path: what a device says of itself, and what it makes and takes back.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "check.h"

namespace ssn::hw::offload {
namespace {

// Objects made at a time, at most, to reach a limit.
constexpr std::uint32_t objects_max = 300;

void expect_error(const Error& error, const std::string& when, Check& check) {
  if (error.what.empty() || error.why.empty() || error.fix.empty()) {
    check.findings.add(when + " gives an error without what, why or fix");
  }
}

// What must fail, and with which kind of error (`usage` for SSN_INVALID, `temporary` for SSN_EXHAUSTED).
template <typename T>
void expect_failure(const Result<T>& result, Exit code, const std::string& when, Check& check) {
  if (result.ok()) {
    check.findings.add(when + " is not refused");
    return;
  }
  expect_error(result.error(), when, check);
  if (result.error().code != code) {
    check.findings.add(fmt::format("{} is refused with the wrong status ({}: {})", when, result.error().what,
                                   result.error().why));
  }
}

// Makes objects up to the limit that the device names, then one more, and all again after giving them back.
template <typename Make>
void check_limit(std::uint32_t limit, const char* what, Make make, Check& check) {
  for (int round = 0; round < 2; ++round) {
    std::vector<decltype(make())> made;
    for (std::uint32_t i = 0; i < std::min(limit, objects_max); ++i) {
      made.push_back(make());
      if (!made.back().ok()) {
        check.findings.add(fmt::format("only {} {} can be made where {} are said to be possible: {}", i, what,
                                       limit, made.back().error().why));
        return;
      }
    }
    if (limit <= objects_max) {
      expect_failure(make(), Exit::temporary, fmt::format("{} beyond the limit of {}", what, limit), check);
    }
  }
  if (limit > objects_max) {
    check.note = fmt::format("{} of {} {} were tried at a time", objects_max, limit, what);
  }
}

}  // namespace

void check_description(Context& context, Check& check) {
  const ssn_offload_driver& driver = context.device.driver();
  if (driver.name[0] == '\0' || driver.description[0] == '\0') {
    check.findings.add("the driver's name or description is empty");
  }
  const ssn_offload_device_info& info = context.info();
  if (info.identity[0] == '\0') {
    check.findings.add("identity is empty");
  }
  if (info.close_ns_max == 0) {
    check.findings.add("close_ns_max is 0: closing a queue takes some time");
  }
  const bool needs_keys = (info.operations & (SSN_OFFLOAD_WRITES_TAGS | SSN_OFFLOAD_CHECKS_TAGS)) != 0;
  if (needs_keys && info.tag_keys_max == 0) {
    check.findings.add("it has operations with tags, and tag_keys_max is 0");
  }
  if ((info.operations & ~SSN_OFFLOAD_WITHOUT_MATRIX) != 0 && info.matrices_max == 0) {
    check.findings.add("it has operations with matrices, and matrices_max is 0");
  }
  const ssn_offload_device_info again = context.device.describe();
  const bool same =
      info.operations == again.operations && info.completion == again.completion &&
      info.ordered == again.ordered && info.in_place == again.in_place &&
      info.memory_registration == again.memory_registration && info.rows_max == again.rows_max &&
      info.columns_max == again.columns_max && info.length_min == again.length_min &&
      info.length_max == again.length_max && info.length_multiple == again.length_multiple &&
      info.alignment == again.alignment && info.segments_max == again.segments_max &&
      info.header_length_max == again.header_length_max && info.queues_max == again.queues_max &&
      info.queue_depth_max == again.queue_depth_max && info.matrices_max == again.matrices_max &&
      info.tag_keys_max == again.tag_keys_max && info.memories_max == again.memories_max &&
      info.close_ns_max == again.close_ns_max && info.protection == again.protection &&
      info.numa_node == again.numa_node && std::strcmp(info.identity, again.identity) == 0;
  if (!same) {
    check.findings.add("the device describes itself differently the second time");
  }
}

void check_settings(Context& context, Check& check) {
  OffloadDevice::Settings settings = context.options.settings;
  settings.emplace_back("no-such-setting", "1");
  const Result<OffloadDevice> device =
      OffloadDevice::open(&context.device.driver(), context.device.driver_file(), settings);
  expect_failure(device, Exit::usage, "an unknown setting", check);
  if (!device.ok() &&
      (device.error().where + device.error().why).find("no-such-setting") == std::string::npos) {
    check.findings.add("the error does not name the unknown setting");
  }
}

void check_matrices(Context& context, Check& check) {
  const ssn_offload_device_info& info = context.info();
  if (info.matrices_max == 0) {
    check.skipped = "the device takes no matrices";
    return;
  }
  std::vector<std::uint8_t> ones(std::size_t{256} * 256, 1);
  const auto prepare = [&](std::uint32_t rows, std::uint32_t columns) {
    return context.device.prepare_matrix(std::span(ones).first(std::size_t{rows} * columns), rows, columns);
  };
  context.maker.reset();
  expect_failure(prepare(0, 1), Exit::usage, "a matrix without rows", check);
  expect_failure(prepare(1, 0), Exit::usage, "a matrix without columns", check);
  expect_failure(prepare(info.rows_max + 1, 1), Exit::usage, "a matrix with rows_max + 1 rows", check);
  expect_failure(prepare(1, info.columns_max + 1), Exit::usage, "a matrix with columns_max + 1 columns",
                 check);
  check_limit(info.matrices_max, "matrices", [&] { return prepare(1, 1); }, check);
}

void check_tag_keys(Context& context, Check& check) {
  const std::uint32_t limit = context.info().tag_keys_max;
  if (limit == 0) {
    check.skipped = "the device takes no tag keys";
    return;
  }
  // Others hold some already; these must be possible beside them.
  const std::array<std::uint8_t, 16> r{1, 2, 3};
  std::vector<OffloadTagKey> keys;
  for (int round = 0; round < 3; ++round) {
    for (std::uint32_t i = 0; i < std::min(limit > 4 ? limit - 4 : 0U, 32U); ++i) {
      Result<OffloadTagKey> key = context.device.prepare_tag_key(r);
      if (!key.ok()) {
        check.findings.add(fmt::format("tag key {} of {} cannot be prepared: {}", i, limit, key.error().why));
        return;
      }
      keys.push_back(std::move(key.value()));
    }
    keys.clear();
  }
}

void check_memory(Context& context, Check& check) {
  ssn_memory nothing{};
  nothing.fd = -1;
  expect_failure(context.device.register_memory(nothing), Exit::usage, "memory without address and length",
                 check);
  const std::uint32_t more = std::min(context.info().memories_max - 1, 8U);
  for (int round = 0; round < 2; ++round) {
    std::vector<OffloadMemory> registered;
    for (std::uint32_t i = 0; i < more; ++i) {
      Result<OffloadMemory> memory = context.device.register_memory(context.arena.describe());
      if (!memory.ok()) {
        check.findings.add(fmt::format("memory {} of {} cannot be registered: {}", i + 2,
                                       context.info().memories_max, memory.error().why));
        return;
      }
      const bool known = std::any_of(registered.begin(), registered.end(), [&](const OffloadMemory& other) {
        return other.get() == memory.value().get();
      });
      if (known || memory.value().get() == context.memory) {
        check.findings.add("two registrations have the same handle");
      }
      registered.push_back(std::move(memory.value()));
    }
  }
}

void check_queues(Context& context, Check& check) {
  const ssn_offload_device_info& info = context.info();
  const auto open = [&](std::uint32_t depth) { return context.device.open_queue({depth, -1, -1}); };
  expect_failure(open(0), Exit::usage, "a queue of depth 0", check);
  if (info.queue_depth_max < UINT32_MAX) {
    expect_failure(open(info.queue_depth_max + 1), Exit::usage, "a queue of depth queue_depth_max + 1",
                   check);
  }
  if (info.queues_max > 64) {
    check.note = fmt::format("8 of {} queues were tried at a time", info.queues_max);
    std::vector<Result<OffloadQueue>> queues;
    for (int i = 0; i < 8; ++i) {
      queues.push_back(open(1));
      if (!queues.back().ok()) {
        check.findings.add("8 queues cannot be open at a time: " + queues.back().error().why);
      }
    }
    return;
  }
  check_limit(info.queues_max, "queues", [&] { return open(1); }, check);
}

void check_reopen(Context& context, Check& check) {
  for (int round = 0; round < 5 && !context.lost; ++round) {
    Result<OffloadDevice> second = OffloadDevice::open(context.options);
    if (!second.ok() && second.error().code == Exit::temporary) {
      check.skipped = "the device can be open only once at a time: " + second.error().why;
      return;
    }
    if (!second.ok()) {
      check.findings.add("the device cannot be opened a second time: " + second.error().why);
      return;
    }
    Result<OffloadMemory> memory = second.value().register_memory(context.arena.describe());
    if (!memory.ok()) {
      check.findings.add("a second device does not take memory: " + memory.error().why);
      return;
    }
    TaskMaker maker(second.value(), context.arena, memory.value().get(), context.random().next());
    if (const Outcome prepared = maker.prepare(); !prepared.ok()) {
      check.findings.add("a second device takes no keys: " + prepared.error().why);
      return;
    }
    Context other{context.options,      second.value(),           context.arena, maker,
                  memory.value().get(), context.patience_seconds, context.lost};
    std::vector<std::unique_ptr<Task>> tasks = other.small_tasks(16);
    other.run(tasks, other.depth_near(8), {}, check);
    context.lost = other.lost;
    maker.reset();
  }
}

}  // namespace ssn::hw::offload
