// SPDX-License-Identifier: BSD-3-Clause
// control_bench fill DATABASE OBJECTS WRITES HOLDERS
//   Makes a controller's database with so many objects and open writes.
// control_bench ask ADDRESS FOLDER OBJECTS HOLDERS SECONDS CLIENTS [CASE...]
//   Asks the controller that runs with it; prints what that took, as JSON.
// control_bench cases
//   Their names, a line each.
#include <fmt/core.h>

#include <charconv>
#include <cstring>
#include <string>
#include <string_view>

#include "calls.h"
#include "filler.h"

namespace {

using ssn::Error;
using ssn::Exit;

int fail(const Error& error) {
  fmt::print(stderr, "control_bench: {}: {}{}{}\n  {}\n", error.what, error.why,
             error.where.empty() ? "" : ": ", error.where, error.fix);
  return static_cast<int>(error.code);
}

template <typename Number>
bool read(const char* text, Number& into) {
  const char* const end = text + std::strlen(text);
  const auto parsed = std::from_chars(text, end, into);
  return parsed.ec == std::errc() && parsed.ptr == end;
}

int fill(char** arguments) {
  ssn::bench::Filling filling;
  filling.path = arguments[0];
  if (!read(arguments[1], filling.objects) || !read(arguments[2], filling.writes) ||
      !read(arguments[3], filling.holders) || filling.holders < 5 || filling.holders > 25) {
    return fail({Exit::usage, "cannot fill the database", "a number is none", "", "5 to 25 holders"});
  }
  const ssn::Outcome filled = ssn::bench::fill(filling);
  return filled.ok() ? 0 : fail(filled.error());
}

int ask(char** arguments, int count) {
  ssn::bench::Question question;
  question.address = arguments[0];
  question.folder = arguments[1];
  if (!read(arguments[2], question.objects) || !read(arguments[3], question.holders) ||
      !read(arguments[4], question.seconds) || !read(arguments[5], question.clients) ||
      question.objects == 0 || question.clients == 0 || question.clients > 64) {
    return fail({Exit::usage, "cannot ask the controller", "a number is none", "", "1 to 64 clients"});
  }
  question.only.assign(arguments + 6, arguments + count);
  const auto all = ssn::bench::ask_all(question);
  if (!all.ok()) return fail(all.error());
  fmt::print("{{\"schema\": \"ssn.bench.control/1\", \"clients\": {}, \"cases\": [", question.clients);
  std::string_view between;
  for (const ssn::bench::Timed& each : all.value()) {
    fmt::print(
        "{}\n {{\"name\": \"{}\", \"count\": {}, \"seconds\": {:.6f}, \"p50_us\": {:.1f}, \"p99_us\": "
        "{:.1f}}}",
        between, each.name, each.count, each.seconds, each.p50_us, each.p99_us);
    between = ",";
  }
  fmt::print("]}}\n");
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string_view command = argc > 1 ? argv[1] : "";
  if (command == "fill" && argc == 6) return fill(argv + 2);
  if (command == "ask" && argc >= 8) return ask(argv + 2, argc - 2);
  if (command == "cases" && argc == 2) {
    for (const std::string& name : ssn::bench::case_names()) fmt::print("{}\n", name);
    return 0;
  }
  return fail({Exit::usage, "cannot run", "this is no command", "",
               "fill DATABASE OBJECTS WRITES HOLDERS, or ask ADDRESS FOLDER OBJECTS HOLDERS SECONDS CLIENTS "
               "[CASE...]"});
}
