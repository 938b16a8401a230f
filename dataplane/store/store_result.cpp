// SPDX-License-Identifier: BSD-3-Clause
#include "ssn/store/store_result.h"

#include <iterator>

namespace ssn::store {

std::string_view name(StoreResult result) noexcept {
  constexpr std::string_view names[] = {"none",        "done",       "again",    "not_found", "incomplete",
                                        "quarantined", "superseded", "conflict", "removed",   "read_only",
                                        "disk_full",   "io_error",   "busy",     "invalid"};
  static_assert(std::size(names) == static_cast<std::size_t>(StoreResult::invalid) + 1);
  return names[static_cast<std::size_t>(result)];
}

}  // namespace ssn::store
