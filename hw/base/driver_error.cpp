// SPDX-License-Identifier: BSD-3-Clause
#include "ssn/hw/driver_error.h"

#include <cstring>
#include <iterator>
#include <string>

namespace ssn::hw {
namespace {

std::string_view text(const char* field, std::size_t size) { return {field, ::strnlen(field, size)}; }

}  // namespace

Error driver_error(ssn_status status, const ssn_error& error) {
  Exit code = Exit::failed;
  switch (status) {
    case SSN_INVALID:
    case SSN_UNSUPPORTED:
      code = Exit::usage;
      break;
    case SSN_NOT_FOUND:
      code = Exit::not_found;
      break;
    case SSN_REFUSED:
      code = Exit::refused;
      break;
    case SSN_AGAIN:
    case SSN_EXHAUSTED:
    case SSN_TIMEOUT:
    case SSN_UNAVAILABLE:
      code = Exit::temporary;
      break;
    case SSN_INTEGRITY:
      code = Exit::integrity;
      break;
    case SSN_OK:
    case SSN_FAILED:
    case SSN_CANCELLED:
      break;
  }
  const auto field = [](const auto& array) { return std::string(text(array, sizeof array)); };
  Error result{code, field(error.what), field(error.why), field(error.where), field(error.fix)};
  if (result.what.empty()) {
    result.what = "the driver reports a failure";
  }
  if (result.why.empty()) {
    result.why = "status " + std::to_string(static_cast<int>(status)) + " (include/ssn/device.h)";
  }
  return result;
}

std::string_view name(ssn_status status) noexcept {
  constexpr std::string_view names[] = {"ok",          "again",     "invalid",   "unsupported",
                                        "not found",   "exhausted", "refused",   "timeout",
                                        "unavailable", "failed",    "integrity", "cancelled"};
  return static_cast<unsigned>(status) < std::size(names) ? names[status] : "unknown";
}

}  // namespace ssn::hw
