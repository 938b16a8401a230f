// SPDX-License-Identifier: BSD-3-Clause
// One ssn-kme process: the network, its servers, its device models and its control socket.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "configuration.h"
#include "ssn/hw/result.h"

namespace ssn::kme {

class Emulator {
 public:
  /// `only`: the sites to serve; empty: all.
  static Result<std::unique_ptr<Emulator>> start(const std::string& configuration_path,
                                                 const std::vector<std::string>& only);
  virtual ~Emulator() = default;

  /// Where everything listens: one JSON document.
  virtual std::string ready_document() const = 0;
  /// The same for the log, one line each.
  virtual std::vector<std::string> ready_lines() const = 0;
};

}  // namespace ssn::kme
