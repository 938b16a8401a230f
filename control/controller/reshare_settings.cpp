// SPDX-License-Identifier: BSD-3-Clause
// [reshare] of the network's configuration: docs/network-configuration.md.
#include "reshare_settings.h"

namespace ssn::controller {
namespace {

constexpr std::uint64_t year_ms = 365ULL * 24 * 3'600'000;

}  // namespace

void reshare_settings(SettingTable& table, Policy& policy) {
  table.number("jobs", policy.reshare_jobs, {1, 256});
  table.milliseconds("after", policy.reshare_after_ms, {0, year_ms});
  if (policy.reshare_after_ms != 0 && policy.reshare_after_ms < 10 * std::uint64_t{policy.report_ms}) {
    table.fail("after", "a node that misses a few reports is not gone", "wait for ten reports at least");
  }
  table.milliseconds("repair_after", policy.repair_after_ms, {0, year_ms});
  table.milliseconds("refresh_every", policy.refresh_every_ms, {0, 100 * year_ms});
  if (policy.refresh_every_ms != 0 && policy.refresh_every_ms < 10 * std::uint64_t{policy.report_ms}) {
    table.fail("refresh_every", "shares would be renewed without end", "wait for ten reports at least");
  }
  table.bytes("rate", policy.reshare.bytes_per_second, {0, std::uint64_t{1} << 40});
}

}  // namespace ssn::controller
