// SPDX-License-Identifier: BSD-3-Clause
// Nothing is taken away by accident: people are asked, programs say --yes.
#pragma once

#include <string>

#include "ssn/hw/result.h"

namespace ssn::cli {

/// done where `yes` was given, or somebody at the terminal says so. Otherwise usage (nobody can be asked) or
/// refused (the answer was no). `what` begins the error's text, `question` is shown with " [y/N] ", `where`
/// is what it is about.
Outcome confirm(const char* what, const std::string& question, const std::string& where, bool yes);

}  // namespace ssn::cli
