// SPDX-License-Identifier: BSD-3-Clause
#include "runs.h"

#include <algorithm>
#include <cstdio>

namespace ssn::sim {
namespace {

std::string number(std::uint64_t value) { return std::to_string(value); }

// Nothing in our texts needs more; what does is left out.
std::string quoted(std::string_view text) {
  std::string out(1, '"');
  for (const char each : text) {
    if (each == '"' || each == '\\') out += '\\';
    if (static_cast<unsigned char>(each) >= 0x20) out += each;
  }
  out += '"';
  return out;
}

std::string hex(std::uint64_t value) {
  char out[17];
  (void)std::snprintf(out, sizeof out, "%016llx", static_cast<unsigned long long>(value));
  return out;
}

std::string text_of(const Marks& marks) {
  std::string out;
  for (const std::string_view name : Marks::expected()) {
    char line[96];
    (void)std::snprintf(line, sizeof line, "  %12llu  %.*s\n",
                        static_cast<unsigned long long>(marks.of(name)), static_cast<int>(name.size()),
                        name.data());
    out += line;
  }
  return out;
}

std::string json_of(const Marks& marks) {
  std::string out = "{";
  for (const std::string_view name : Marks::expected()) {
    if (out.size() > 1) out += ',';
    out += quoted(name);
    out += ':';
    out += number(marks.of(name));
  }
  return out + "}";
}

}  // namespace

void Totals::add(const Report& report) {
  ++seeds;
  if (!report.violations.empty() && failed++ == 0) first_failed = report.seed;
  steps += report.steps;
  cells += report.cells;
  fewest_cells = std::min(fewest_cells, report.cells);
  frames += report.frames;
  longest_healed_ns = std::max(longest_healed_ns, report.healed_ns);
  marks.add(report.marks);
}

Report run_seed(std::uint64_t seed, const Options& options) {
  World world(make_plan(seed), options);
  return world.run();
}

std::string text_of(const Report& report) {
  std::string out = "seed " + number(report.seed) + ": " + number(report.steps) + " steps, " +
                    number(report.virtual_ns / microsecond) + " us, " + number(report.cells) + " cells, " +
                    number(report.frames) + " frames, digest " + hex(report.digest) + "\n" +
                    text_of(report.marks);
  if (report.violations.empty()) return out + "nothing was broken\n";
  out += "noticed after step " + number(report.violation_step) + ":\n";
  for (const std::string& each : report.violations) out += "  " + each + "\n";
  return out;
}

std::string json_of(const Report& report) {
  std::string violations;
  for (const std::string& each : report.violations) {
    if (!violations.empty()) violations += ',';
    violations += quoted(each);
  }
  return "{\"seed\":" + number(report.seed) + ",\"steps\":" + number(report.steps) +
         ",\"virtual_ns\":" + number(report.virtual_ns) + ",\"cells\":" + number(report.cells) +
         ",\"frames\":" + number(report.frames) + ",\"digest\":" + quoted(hex(report.digest)) +
         ",\"marks\":" + json_of(report.marks) + ",\"violations\":[" + violations +
         "],\"violation_step\":" + number(report.violation_step) + "}\n";
}

std::string text_of(const Totals& totals) {
  std::string out = number(totals.seeds) + " seeds, " + number(totals.failed) + " failed, " +
                    number(totals.steps) + " steps, " + number(totals.cells) + " cells (fewest " +
                    number(totals.fewest_cells) + "), " + number(totals.frames) + " frames\n" +
                    text_of(totals.marks);
  if (totals.failed != 0) out += "first to fail: ssn-sim --seed " + number(totals.first_failed) + "\n";
  return out;
}

std::string json_of(const Totals& totals) {
  return "{\"seeds\":" + number(totals.seeds) + ",\"failed\":" + number(totals.failed) +
         ",\"first_failed\":" + (totals.failed == 0 ? "null" : number(totals.first_failed)) +
         ",\"steps\":" + number(totals.steps) + ",\"cells\":" + number(totals.cells) +
         ",\"fewest_cells\":" + number(totals.fewest_cells) + ",\"frames\":" + number(totals.frames) +
         ",\"marks\":" + json_of(totals.marks) + "}\n";
}

}  // namespace ssn::sim
