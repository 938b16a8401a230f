// SPDX-License-Identifier: BSD-3-Clause
#include "confirm.h"

#include <fmt/core.h>
#include <unistd.h>

#include <cstdio>

namespace ssn::cli {

Outcome confirm(const char* what, const std::string& question, const std::string& where, bool yes) {
  if (yes) {
    return done;
  }
  if (::isatty(STDIN_FILENO) != 1) {
    return Error{Exit::usage, what, "it takes something away, and standard input is no terminal to ask at",
                 where, "give --yes"};
  }
  fmt::print(stderr, "{} [y/N] ", question);
  (void)std::fflush(stderr);
  char answer[16] = {};
  const bool said = std::fgets(answer, sizeof answer, stdin) != nullptr;
  return said && (answer[0] == 'y' || answer[0] == 'Y')
             ? Outcome(done)
             : Outcome(
                   Error{Exit::refused, what, "the answer was not yes", where, "answer y, or give --yes"});
}

}  // namespace ssn::cli
