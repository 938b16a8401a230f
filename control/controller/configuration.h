// SPDX-License-Identifier: BSD-3-Clause
// The configuration of ssn-controller: docs/controller.md.
#pragma once

#include <string>

#include "request.h"
#include "server.h"

namespace ssn::controller {

struct Configuration {
  ServerSettings server;
  std::string database;
  Policy policy;
};

/// Unknown keys and values that do not fit are errors with file and line.
Result<Configuration> load_configuration(const std::string& path);

}  // namespace ssn::controller
