// SPDX-License-Identifier: BSD-3-Clause
// An access decision, and how it stands in a file: one line of JSON each. No gRPC.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "ssn/hw/result.h"

namespace ssn::audit {

struct Decision {
  std::uint64_t number = 0;   ///< one more with each record of a log
  std::uint64_t time_ms = 0;  ///< since 1970; of the last one where it stands for several
  std::string request;        ///< of the call; empty for several
  std::string method;         ///< "Objects.BeginWrite"; empty: of the log itself
  std::string caller;         ///< as its certificate says, believed or not; "local" at a socket
  std::vector<std::string> roles;
  std::string fingerprint;                                 ///< SHA-256 of the certificate, hexadecimal
  std::string address;                                     ///< from where it called
  std::vector<std::pair<std::string, std::string>> about;  ///< "owner" -> "alice", ...
  bool allowed = false;
  std::string result;  ///< "ok", or the name of an exit code
  std::string reason;
  std::uint64_t times = 1;
  bool operator==(const Decision&) const = default;
};

/// What callers say is cut to so many bytes, and so many fields of what is asked for are kept.
inline constexpr std::size_t text_max = 256;
inline constexpr std::size_t fields_max = 8;
/// No line is longer: six bytes for each, as JSON may have them.
inline constexpr std::size_t line_max = std::size_t{64} << 10;

/// With its line end.
std::string line_of(const Decision& decision);
/// integrity: it is no record.
Result<Decision> decision_of(std::string_view line);
/// The number of a line, without taking it apart; 0: it is none.
std::uint64_t number_of(std::string_view line) noexcept;

struct DecisionFilter {
  std::string caller = {};  ///< empty: any
  std::string method = {};  ///< whole, or a service
  bool refused = false;
  std::uint64_t since_ms = 0;
  std::string about = {};  ///< the value of one of the fields
};
bool passes(const Decision& decision, const DecisionFilter& filter);

}  // namespace ssn::audit
