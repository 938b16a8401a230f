// SPDX-License-Identifier: BSD-3-Clause
#include "conformance.h"

#include <fmt/format.h>

#include <algorithm>

#include "check.h"

namespace ssn::hw::offload {
namespace {

struct Entry {
  const char* name;
  const char* promise;
  bool needs_jobs;  ///< cannot be checked once jobs were lost
  void (*run)(Context& context, Check& check);
};

constexpr Entry entries[] = {
    {"describe", "the device describes itself, always alike", false, check_description},
    {"settings", "unknown settings are refused by name", false, check_settings},
    {"memory", "memory is registered, handles differ", false, check_memory},
    {"matrices", "matrices are prepared up to the limit, bad ones refused", false, check_matrices},
    {"tag-keys", "tag keys are prepared and released", false, check_tag_keys},
    {"queues", "queues open up to the limit, bad depths are refused", false, check_queues},
    {"split", "split gives the reference's bytes", true, check_results<SSN_OFFLOAD_SPLIT>},
    {"recover", "recover gives the reference's bytes", true, check_results<SSN_OFFLOAD_RECOVER>},
    {"dot", "dot gives the reference's bytes", true, check_results<SSN_OFFLOAD_DOT>},
    {"seal", "seal gives the reference's bytes and tags", true, check_results<SSN_OFFLOAD_SEAL>},
    {"open", "open gives the reference's bytes", true, check_results<SSN_OFFLOAD_OPEN>},
    {"split+pad", "split+pad gives the reference's bytes", true, check_results<SSN_OFFLOAD_SPLIT_PAD>},
    {"split+seal", "split+seal gives the reference's bytes and tags", true,
     check_results<SSN_OFFLOAD_SPLIT_SEAL>},
    {"open+recover", "open+recover gives the reference's bytes", true,
     check_results<SSN_OFFLOAD_OPEN_RECOVER>},
    {"scatter", "buffers may be cut anywhere that the device allows", true, check_scatter},
    {"in-place", "outputs may replace their pads, or the input", true, check_in_place},
    {"tags", "wrong tags are found and named, outputs erased", true, check_tags},
    {"refusals", "jobs that break a rule are refused, buffers untouched", true, check_refusals},
    {"unsupported", "operations that it has not are refused", true, check_unsupported},
    {"unregistered", "memory that is not registered is refused, or not needed", true, check_unregistered},
    {"bursts", "bursts of any size, taken and given in part", true, check_bursts},
    {"in-flight", "1 to 1024 jobs in flight, each back once", true, check_in_flight},
    {"back-pressure", "a full queue takes no more, and loses nothing", true, check_back_pressure},
    {"order", "jobs come back in order where that is promised", true, check_order},
    {"parallel", "queues are independent of each other", true, check_parallel},
    {"deadline-passed", "what is late when it is enqueued is completed there", true, check_deadline_passed},
    {"deadline-near", "late jobs come back at their deadline", true, check_deadline_near},
    {"deadline-far", "jobs that are in time are done", true, check_deadline_far},
    {"cancel", "cancelled jobs come back, the queue goes on", true, check_cancel},
    {"teardown", "nothing is touched after a queue was closed under load", true, check_teardown},
    {"reopen", "the device opens again and again", true, check_reopen},
};

CheckReport run_check(const Entry& entry, Context& context) {
  CheckReport report;
  report.name = entry.name;
  report.promise = entry.promise;
  Check check;
  const std::uint64_t begin = monotonic_now();
  if (context.lost && entry.needs_jobs) {
    check.skipped = "the device lost jobs in an earlier check";
  } else {
    context.maker.reset();
    entry.run(context, check);
  }
  report.seconds = static_cast<double>(monotonic_now() - begin) / 1e9;
  if (!check.findings.none()) {
    report.verdict = Verdict::failed;
    report.detail = check.findings.summary();
  } else if (!check.skipped.empty()) {
    report.verdict = Verdict::skipped;
    report.detail = check.skipped;
  } else {
    report.detail = check.note;
  }
  return report;
}

bool wanted(const Entry& entry, const ConformanceOptions& options) {
  return options.only.empty() || std::string_view(entry.name).find(options.only) != std::string_view::npos;
}

}  // namespace

std::string_view name(Verdict verdict) noexcept {
  return verdict == Verdict::passed ? "pass" : verdict == Verdict::failed ? "FAIL" : "skip";
}

unsigned ConformanceReport::count(Verdict verdict) const noexcept {
  return static_cast<unsigned>(
      std::count_if(checks.begin(), checks.end(),
                    [verdict](const CheckReport& check) { return check.verdict == verdict; }));
}

Result<ConformanceReport> test_offload_driver(const OffloadDevice::Options& driver,
                                              const ConformanceOptions& options) {
  if (std::none_of(std::begin(entries), std::end(entries),
                   [&](const Entry& entry) { return wanted(entry, options); })) {
    return Error{Exit::usage, "cannot check the driver",
                 fmt::format("no check has '{}' in its name", options.only), "--only",
                 "run it without --only to see the names"};
  }
  Result<Arena> arena = Arena::make();
  if (!arena.ok()) {
    return arena.error();
  }
  Result<OffloadDevice> opened = OffloadDevice::open(driver);
  if (!opened.ok()) {
    return opened.error();
  }
  OffloadDevice& device = opened.value();
  Result<OffloadMemory> memory = device.register_memory(arena.value().describe());
  if (!memory.ok()) {
    return memory.error();
  }
  TaskMaker maker(device, arena.value(), memory.value().get(), options.seed);
  if (const Outcome prepared = maker.prepare(); !prepared.ok()) {
    return prepared.error();
  }
  ConformanceReport report;
  report.driver = device.driver().name;
  report.file = device.driver_file();
  report.info = device.info();
  Context context{driver, device, arena.value(), maker, memory.value().get(), options.patience_seconds};
  for (const Entry& entry : entries) {
    if (!wanted(entry, options)) {
      continue;
    }
    report.checks.push_back(run_check(entry, context));
    if (options.on_check) {
      options.on_check(report.checks.back());
    }
  }
  return report;
}

}  // namespace ssn::hw::offload
