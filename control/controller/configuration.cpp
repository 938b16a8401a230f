// SPDX-License-Identifier: BSD-3-Clause
#include "configuration.h"

#include <fmt/core.h>

#include <array>
#include <chrono>

#include "reshare_settings.h"
#include "ssn/hw/config.h"

namespace ssn::controller {
namespace {

using hw::ConfigTable;
using std::chrono::milliseconds;

constexpr std::size_t nodes_most = 512;

std::uint32_t number(const ConfigTable& table, const char* key, std::int64_t least, std::int64_t most,
                     std::uint32_t otherwise) {
  return static_cast<std::uint32_t>(table.integer(key, {least, most}, otherwise));
}

std::uint64_t milliseconds_of(const ConfigTable& table, const char* key, milliseconds least,
                              milliseconds most, std::uint64_t otherwise) {
  const auto value = table.duration(key, {least, most}, milliseconds(otherwise));
  return static_cast<std::uint64_t>(std::chrono::duration_cast<milliseconds>(value).count());
}

template <typename Enum, std::size_t Count>
Enum choice(const ConfigTable& table, const char* key, const std::array<Enum, Count>& choices,
            Enum otherwise) {
  std::array<std::string_view, Count> names;
  for (std::size_t i = 0; i < Count; ++i) {
    names[i] = name(choices[i]);
  }
  const std::string chosen = table.choice(key, names, std::string(name(otherwise)));
  for (const Enum value : choices) {
    if (name(value) == chosen) {
      return value;
    }
  }
  return otherwise;
}

void read_policy(const ConfigTable& table, Policy& policy) {
  policy.scheme =
      choice(table, "scheme", std::array{Scheme::shamir, Scheme::shamir_classic, Scheme::ramp, Scheme::rs},
             policy.scheme);
  policy.k = number(table, "k", 1, shares_max, policy.k);
  policy.n = number(table, "n", 1, shares_max, policy.n);
  policy.secret_blocks = number(table, "secret_blocks", 1, shares_max,
                                policy.scheme == Scheme::rs ? policy.k : policy.secret_blocks);
  policy.cell_bytes =
      static_cast<std::uint32_t>(table.bytes("cell", {64, cell_bytes_max}, std::uint64_t{policy.cell_bytes}));
  policy.quorum = number(table, "quorum", 0, shares_max, 0);
  policy.minimum = number(table, "minimum", 0, shares_max, 0);
  policy.minimum_protection = choice(table, "minimum_protection",
                                     std::array{Protection::unknown, Protection::none,
                                                Protection::computational, Protection::information_theoretic},
                                     policy.minimum_protection);
  policy.pad_shares =
      choice(table, "pad_shares", std::array{PadShares::automatic, PadShares::yes, PadShares::no},
             policy.pad_shares);
  policy.domains = number(table, "domains", 0, shares_max, 0);
  policy.lease_ms = static_cast<std::uint32_t>(
      milliseconds_of(table, "lease", milliseconds(1000), std::chrono::hours(24), policy.lease_ms));
  policy.report_ms = static_cast<std::uint32_t>(
      milliseconds_of(table, "report", milliseconds(50), std::chrono::minutes(10), policy.report_ms));
  policy.remember_ms =
      milliseconds_of(table, "remember", milliseconds(0), std::chrono::hours(24 * 365), policy.remember_ms);
  if (policy.lease_ms < 3 * std::uint64_t{policy.report_ms}) {
    table.fail("lease", "a lease is renewed with reports, so it lasts three of them at least", "raise it");
  }
  if (policy.cell_bytes % 64 != 0) {
    table.fail("cell", "a cell is a multiple of 64 bytes", "round it");
  }
  if (const Result<Layout> layout = layout_for(WriteRequest(), policy); !layout.ok()) {
    table.fail(layout.error().where, layout.error().why, layout.error().fix);
  }
}

std::string label(const ConfigTable& table, const char* key, std::optional<std::string> otherwise) {
  const std::string text = table.text(key, {label_max, otherwise.has_value()}, otherwise);
  if (!text.empty() && !is_good_label(text)) {
    table.fail(key, "it has spaces, or characters that are none", "choose another name");
  }
  return text;
}

void read_deployment(const ConfigTable& root, Deployment& deployment) {
  for (const ConfigTable& node : root.tables("node", nodes_most)) {
    const std::string name = node.text("name", {pki::common_name_max, false});
    Labels labels;
    labels[Label::site] = label(node, "site", "");
    labels[Label::operated_by] = label(node, "operator", "");
    labels[Label::power] = label(node, "power", "");
    labels[Label::key_manager] = label(node, "key_manager", "");
    if (!name.empty() && !deployment.labels.emplace(name, std::move(labels)).second) {
      node.fail("name", fmt::format("there is a node {} already", name), "put its labels there");
    }
  }
  std::set<std::string> known;
  for (const ConfigTable& manager : root.tables("key_manager", nodes_most)) {
    const std::string name = label(manager, "name", std::nullopt);
    if (!name.empty() && !known.insert(name).second) {
      manager.fail("name", fmt::format("there is a key manager {} already", name), "say it once");
    }
    if (manager.boolean("delivers_once", false)) {
      deployment.delivered_once.insert(name);
    }
  }
}

}  // namespace

Result<Configuration> load_configuration(const std::string& path) {
  Result<hw::Config> file = hw::Config::load(path);
  if (!file.ok()) {
    return file.error();
  }
  Configuration configuration;
  const ConfigTable controller = file.value().root().table("controller");
  ServerSettings& server = configuration.server;
  server.name = controller.text("name", {pki::common_name_max, false});
  server.listen = controller.text("listen");
  server.certificate = controller.path("certificate");
  server.key = controller.path("key");
  server.ca = controller.path("ca");
  server.crl = controller.path("crl", "");
  configuration.database = controller.path("database");
  read_policy(file.value().root().table("policy"), configuration.policy);
  read_reshare(file.value().root().table("reshare"), configuration.policy);
  const ConfigTable limits = file.value().root().table("limits");
  Policy& policy = configuration.policy;
  policy.objects_max = static_cast<std::uint64_t>(
      limits.integer("objects", {1, 1'000'000'000}, static_cast<std::int64_t>(policy.objects_max)));
  policy.writes_max = number(limits, "writes", 1, 100'000, static_cast<std::uint32_t>(policy.writes_max));
  policy.nodes_max = number(limits, "nodes", 1, nodes_most, static_cast<std::uint32_t>(policy.nodes_max));
  read_deployment(file.value().root(), policy.deployment);
  if (Outcome finished = file.value().finish(); !finished.ok()) {
    return finished.error();
  }
  return configuration;
}

}  // namespace ssn::controller
