// SPDX-License-Identifier: BSD-3-Clause
// [reshare] of the configuration: docs/controller.md.
#include "reshare_settings.h"

#include <chrono>

namespace ssn::controller {

using std::chrono::milliseconds;

void read_reshare(const hw::ConfigTable& table, Policy& policy) {
  policy.reshare_jobs = static_cast<std::uint32_t>(
      table.integer("jobs", {1, 256}, static_cast<std::int64_t>(policy.reshare_jobs)));
  const auto after =
      table.duration("after", {milliseconds(0), std::chrono::hours(24 * 365)}, milliseconds(0));
  policy.reshare_after_ms =
      static_cast<std::uint64_t>(std::chrono::duration_cast<milliseconds>(after).count());
  if (policy.reshare_after_ms != 0 && policy.reshare_after_ms < 10 * std::uint64_t{policy.report_ms}) {
    table.fail("after", "a node that misses a few reports is not gone", "wait for ten reports at least");
  }
  policy.reshare.bytes_per_second = table.bytes("rate", {0, std::uint64_t{1} << 40}, std::uint64_t{0});
}

}  // namespace ssn::controller
