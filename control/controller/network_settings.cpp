// SPDX-License-Identifier: BSD-3-Clause
#include "network_settings.h"

namespace ssn::controller {
namespace {

constexpr std::uint64_t hour_ms = 3'600'000;
constexpr std::uint64_t year_ms = 365 * 24 * hour_ms;
// Below that a session that takes its turn among many looks as if it were dead.
constexpr std::uint64_t rate_least = std::uint64_t{1} << 18;
constexpr std::uint64_t rate_most = std::uint64_t{1} << 40;

// What objects get: of the policy, or of a class, which begins with what the policy says.
void object_settings(SettingTable& table, ClassPolicy& policy) {
  const ClassPolicy before = policy;
  table.choice("scheme", policy.scheme,
               std::array{Scheme::shamir, Scheme::shamir_classic, Scheme::ramp, Scheme::rs});
  table.number("k", policy.k, {1, shares_max});
  table.number("n", policy.n, {1, shares_max});
  if (policy.scheme == Scheme::rs) {
    policy.secret_blocks = policy.k;
  } else if (policy.scheme != before.scheme) {
    policy.secret_blocks = 1;
  }
  table.number("secret_blocks", policy.secret_blocks, {1, shares_max});
  table.bytes("cell", policy.cell_bytes, {64, cell_bytes_max});
  if (policy.k != before.k || policy.n != before.n) {
    policy.quorum = policy.minimum = 0;  // those of other counts would not fit
  }
  table.number("quorum", policy.quorum, {0, shares_max});
  table.number("minimum", policy.minimum, {0, shares_max});
  table.choice("minimum_protection", policy.minimum_protection,
               std::array{Protection::unknown, Protection::none, Protection::computational,
                          Protection::information_theoretic});
  table.choice("pad_shares", policy.pad_shares,
               std::array{PadShares::automatic, PadShares::yes, PadShares::no});
  table.choice("random", policy.keys.random, std::array{RandomDemand::any, RandomDemand::stream});
  table.choice(
      "shortage", policy.keys.shortage,
      std::array{ShortageDemand::any, ShortageDemand::pads, ShortageDemand::refuse, ShortageDemand::wait});
  table.number("domains", policy.domains, {0, shares_max});
  if (policy.cell_bytes % 64 != 0) {
    table.fail("cell", "a cell is a multiple of 64 bytes", "round it");
  }
  const Result<Layout> layout = layout_for(WriteRequest(), policy);
  const Outcome fits =
      layout.ok() ? check_secrecy(layout.value(), policy.minimum_protection) : Outcome(layout.error());
  if (!fits.ok()) {
    table.fail(fits.error().where.c_str(), fits.error().why, fits.error().fix);
  }
}

void rate_settings(SettingTable& table, RateLimit& rate) {
  const auto read = [&](const char* key, std::uint64_t& value) {
    table.bytes(key, value, {0, rate_most});
    if (value != 0 && value < rate_least) {
      table.fail(key, "less than 256 KiB a second is no rate that transfers survive",
                 "raise it, or set it to \"0 B\": no limit");
    }
  };
  read("write_rate", rate.write_bytes_per_second);
  read("read_rate", rate.read_bytes_per_second);
  table.bytes("burst", rate.burst_bytes, {0, rate_most});
}

}  // namespace

void policy_settings(SettingTable& table, Policy& policy) {
  object_settings(table, policy);
  table.milliseconds("lease", policy.lease_ms, {1000, 24 * hour_ms});
  table.milliseconds("report", policy.report_ms, {50, hour_ms / 6});
  table.milliseconds("remember", policy.remember_ms, {0, year_ms});
  if (policy.lease_ms < 3 * std::uint64_t{policy.report_ms}) {
    table.fail("lease", "a lease is renewed with reports, so it lasts three of them at least", "raise it");
  }
}

void class_settings(SettingTable& table, ClassPolicy& policy) {
  object_settings(table, policy);
  rate_settings(table, policy.rate);
}

void owner_settings(SettingTable& table, OwnerLimits& limits) {
  table.number("objects", limits.objects, {0, 1'000'000'000});
  table.number("writes", limits.writes, {0, 100'000});
  table.bytes("bytes", limits.bytes, {0, std::uint64_t{1} << 60});
  rate_settings(table, limits.rate);
}

void limit_settings(SettingTable& table, Policy& policy) {
  OwnerLimits limits{policy.objects_max, policy.writes_max, policy.bytes_max, policy.owner_rate};
  owner_settings(table, limits);
  policy.objects_max = limits.objects;
  policy.writes_max = limits.writes;
  policy.bytes_max = limits.bytes;
  policy.owner_rate = limits.rate;
  table.number("nodes", policy.nodes_max, {1, 512});
}

void accounting_settings(SettingTable& table, Policy& policy) {
  table.milliseconds("keep", policy.accounts_keep_ms, {60'000, 10 * year_ms});
  table.number("records", policy.accounts_max, {0, 10'000'000});
}

void node_settings(SettingTable& table, Labels& labels, ServiceState& service) {
  table.label("site", labels[Label::site]);
  table.label("operator", labels[Label::operated_by]);
  table.label("power", labels[Label::power]);
  table.label("key_manager", labels[Label::key_manager]);
  table.choice("service", service,
               std::array{ServiceState::in_service, ServiceState::standby, ServiceState::reserved,
                          ServiceState::out_of_service});
}

void domain_settings(SettingTable& table, DomainAgreement& agreement) {
  table.text("controller", agreement.controller, address_max);
  if (!is_good_address(agreement.controller)) {
    table.fail("controller", "is no address with a port",
               "write it like 192.0.2.1:7101 or [2001:db8::1]:7101");
  }
  table.text("identity", agreement.identity, pki::common_name_max);
  table.names("lends", agreement.lends, lent_nodes_max, pki::common_name_max);
  table.names("lends_sites", agreement.lends_sites, lent_nodes_max, label_max);
  table.bytes("lends_bytes", agreement.lends_bytes, {0, std::uint64_t{1} << 60});
  table.flag("uses", agreement.uses);
  const bool lends = !agreement.lends.empty() || !agreement.lends_sites.empty();
  if (lends && agreement.lends_bytes == 0) {
    table.fail("lends_bytes", "shareholders are lent, and no room on them",
               "say how many bytes, or lend none");
  }
}

}  // namespace ssn::controller
