// SPDX-License-Identifier: BSD-3-Clause
// ssn-sim: runs seeds of the simulators, and repeats one exactly.
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "runs.h"
#include "storage_run.h"
#ifdef SSN_SIM_CONTROL
#include "control_run.h"
#endif

namespace ssn::sim {
namespace {

#ifdef SSN_SIM_CONTROL
constexpr bool has_control = true;
#else
constexpr bool has_control = false;
#endif

constexpr const char* usage =
    "Usage: ssn-sim --seed N [--steps N] [--trace] [--json]\n"
    "       ssn-sim --seeds A-B [--json]\n"
    "       ssn-sim --storage | --control --seed N [--trace]\n"
    "       ssn-sim --storage | --control --seeds A-B\n"
    "Runs the network simulator: real protocol objects, virtual time, a world that a seed decides.\n"
    "  --storage    the storage network instead: owners, an SSA, holders and their stores\n"
    "  --control    the same with the controller, which is killed, too\n"
    "  --seed N     runs one seed, and says what happened; the same seed does the same again\n"
    "  --seeds A-B  runs all from A to B, says which failed, and how often rare branches ran\n"
    "  --steps N    stops after so many steps\n"
    "  --trace      prints every step: its number, its time, what happened\n"
    "  --json       one line of JSON instead of text\n"
    "Exit codes: 0 nothing was broken, 1 something was, 2 wrong usage.\n";

struct Arguments {
  std::optional<std::uint64_t> seed;
  std::optional<std::pair<std::uint64_t, std::uint64_t>> seeds;
  std::uint64_t steps = 0;
  bool trace = false;
  bool json = false;
  bool storage = false;
  bool control = false;
};

std::optional<std::uint64_t> parse(std::string_view text) {
  const std::string copy(text);
  if (copy.empty() || copy.size() > 20 || copy.find_first_not_of("0123456789") != std::string::npos) {
    return std::nullopt;
  }
  errno = 0;
  const std::uint64_t value = std::strtoull(copy.c_str(), nullptr, 10);
  return errno == 0 ? std::optional(value) : std::nullopt;
}

bool parse_seeds(std::string_view text, Arguments& out) {
  const std::size_t dash = text.find('-');
  if (dash == std::string_view::npos) return false;
  const auto first = parse(text.substr(0, dash));
  const auto last = parse(text.substr(dash + 1));
  if (!first || !last || *first > *last || *last - *first >= 100'000'000) return false;
  out.seeds = {*first, *last};
  return true;
}

std::optional<Arguments> read(int count, char** values) {
  Arguments out;
  for (int i = 1; i < count; ++i) {
    const std::string_view name = values[i];
    if (name == "--trace") {
      out.trace = true;
      continue;
    }
    if (name == "--json") {
      out.json = true;
      continue;
    }
    if (name == "--storage") {
      out.storage = true;
      continue;
    }
    if (name == "--control" && has_control) {
      out.control = true;
      continue;
    }
    if (i + 1 == count) return std::nullopt;
    const std::string_view value = values[++i];
    const auto parsed = parse(value);
    if (name == "--seed" && parsed) {
      out.seed = parsed;
    } else if (name == "--steps" && parsed && *parsed != 0) {
      out.steps = *parsed;
    } else if (name != "--seeds" || !parse_seeds(value, out)) {
      return std::nullopt;
    }
  }
  const bool objects = out.storage || out.control;
  if ((out.storage && out.control) || (objects && (out.json || out.steps != 0))) return std::nullopt;
  const bool one = out.seed.has_value();
  if (one == out.seeds.has_value() || (!one && (out.trace || out.steps != 0))) return std::nullopt;
  return out;
}

int run_one(const Arguments& arguments) {
  Options options;
  options.steps = arguments.steps;
  if (arguments.trace) {
    options.trace = [](const std::string& line) { std::printf("%s\n", line.c_str()); };
  }
  if (!arguments.json) std::printf("%s", make_plan(*arguments.seed).text().c_str());
  const Report report = run_seed(*arguments.seed, options);
  std::printf("%s", (arguments.json ? json_of(report) : text_of(report)).c_str());
  return report.violations.empty() ? 0 : 1;
}

int run_many(const Arguments& arguments) {
  Totals totals;
  for (std::uint64_t seed = arguments.seeds->first; seed <= arguments.seeds->second; ++seed) {
    const Report report = run_seed(seed);
    totals.add(report);
    if (report.violations.empty() || arguments.json) continue;
    std::printf("seed %llu, after step %llu: %s\n", static_cast<unsigned long long>(seed),
                static_cast<unsigned long long>(report.violation_step), report.violations.front().c_str());
  }
  std::printf("%s", (arguments.json ? json_of(totals) : text_of(totals)).c_str());
  return totals.failed == 0 ? 0 : 1;
}

template <typename Plan, typename Run>
int run_objects(const Arguments& arguments, Plan plan, Run run) {
  if (arguments.seed) {
    std::printf("%s", plan(*arguments.seed).text().c_str());
    std::function<void(const std::string&)> trace;
    if (arguments.trace) trace = [](const std::string& line) { std::printf("%s\n", line.c_str()); };
    const StorageReport report = run(*arguments.seed, trace);
    std::printf("%s", report.text().c_str());
    return report.violations.empty() ? 0 : 1;
  }
  StorageTotals totals;
  for (std::uint64_t seed = arguments.seeds->first; seed <= arguments.seeds->second; ++seed) {
    const StorageReport report = run(seed, nullptr);
    totals.add(report);
    if (report.violations.empty()) continue;
    std::printf("seed %llu: %s\n", static_cast<unsigned long long>(seed), report.violations.front().c_str());
  }
  std::printf("%s", totals.text().c_str());
  return totals.failed == 0 ? 0 : 1;
}

}  // namespace
}  // namespace ssn::sim

int main(int count, char** values) {
  if (count == 2 && (std::string_view(values[1]) == "--help" || std::string_view(values[1]) == "-h")) {
    std::printf("%s", ssn::sim::usage);
    return 0;
  }
  const auto arguments = ssn::sim::read(count, values);
  if (!arguments) {
    std::fprintf(stderr, "%s", ssn::sim::usage);
    return 2;
  }
  if (arguments->storage) {
    return ssn::sim::run_objects(*arguments, ssn::sim::make_storage_plan, ssn::sim::run_storage_seed);
  }
#ifdef SSN_SIM_CONTROL
  if (arguments->control) {
    return ssn::sim::run_objects(*arguments, ssn::sim::make_control_plan, ssn::sim::run_control_seed);
  }
#endif
  return arguments->seed ? ssn::sim::run_one(*arguments) : ssn::sim::run_many(*arguments);
}
