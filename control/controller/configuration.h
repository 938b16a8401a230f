// SPDX-License-Identifier: BSD-3-Clause
// The configuration of the process ssn-controller: docs/controller.md. What it decides by is the network's:
// network_document.h.
#pragma once

#include <string>

#include "audit_log.h"
#include "exchange_link.h"
#include "request.h"
#include "server.h"

namespace ssn::controller {

struct Configuration {
  ServerSettings server;
  ExchangeSettings exchange;
  std::string database;
  audit::AuditSettings audit;
  Policy first;  ///< version 1 of the network's configuration, for a database without one
};

/// Unknown keys and values that do not fit are errors with file and line.
Result<Configuration> load_configuration(const std::string& path);

}  // namespace ssn::controller
