// SPDX-License-Identifier: BSD-3-Clause
// How `ssn kme` talks to a running ssn-kme: a UNIX socket that only its owner can reach. One request is one
// line, "json WORD..." or "text WORD..."; the answer is the exit code on a line, then the document or text to
// print, or for an error four lines: what, why, where, what to do.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "ssn/hw/result.h"

namespace ssn::kme {

inline constexpr std::size_t control_request_max = 4096;
inline constexpr std::size_t control_answer_max = std::size_t{64} << 20;

/// Gets the words behind "json" or "text".
using ControlHandler = std::function<Result<std::string>(bool json, const std::vector<std::string>& words)>;

class ControlServer {
 public:
  /// A stale socket is replaced; one that a process answers on is an error.
  static Result<std::unique_ptr<ControlServer>> start(const std::string& path, ControlHandler handler);
  virtual ~ControlServer() = default;
};

/// What the process behind `path` answers. Words have no spaces.
Result<std::string> ask_control(const std::string& path, bool json, const std::vector<std::string>& words);

}  // namespace ssn::kme
