// SPDX-License-Identifier: BSD-3-Clause
#include "configuration.h"

#include <fmt/core.h>

#include <fstream>
#include <iterator>
#include <set>

#include "network_document.h"
#include "ssn/hw/config.h"

namespace ssn::controller {
namespace {

using hw::ConfigTable;

// What said in this file, up to 0.1, what the network's configuration says now.
void refuse_moved(const ConfigTable& root) {
  for (const char* const key : {"policy", "limits", "reshare", "node", "key_manager"}) {
    if (root.has(key)) {
      root.fail(
          key, "belongs to the network's configuration, which is kept in the database",
          "move it to a file of its own and name that as [controller] initial_configuration, or give it "
          "to ssn config apply");
    }
  }
}

Result<Policy> load_first(const std::string& path) {
  // Who may change it, and how long it may be, as with all configurations.
  if (const Result<hw::Config> file = hw::Config::load(path, {configuration_max, false}); !file.ok()) {
    return file.error();
  }
  std::ifstream file(path, std::ios::binary);
  const std::string text{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  if (!file) {
    return Error{Exit::failed, "cannot read the configuration", "reading failed", path, "see its disk"};
  }
  NetworkDocument document = read_network_document(text, path);
  return document.problems.empty() ? Result<Policy>(std::move(document.policy)) : document.problems.front();
}

// Of a domain: what stands in alarms, and what others must say to mean it.
std::string domain_of(const ConfigTable& table) {
  const std::string domain = table.text("domain", {label_max, false});
  if (!domain.empty() && !is_good_label(domain)) {
    table.fail("domain", "has spaces, or characters that are none", "choose another name");
  }
  return domain;
}

ExchangeSettings read_exchange(const ConfigTable& root) {
  ExchangeSettings settings;
  if (!root.has("exchange")) return settings;
  const ConfigTable exchange = root.table("exchange");
  settings.domain = domain_of(exchange);
  settings.listen = exchange.text("listen");
  std::set<std::string> known{settings.domain};
  for (const ConfigTable& each : exchange.tables("with", domains_max)) {
    ExchangeSettings::With with{domain_of(each), each.path("ca"), each.path("crl", "")};
    if (!with.domain.empty() && !known.insert(with.domain).second) {
      each.fail("domain", fmt::format("says {}, which is ourselves or there already", with.domain),
                "say it once");
    }
    settings.with.push_back(std::move(with));
  }
  if (settings.with.empty()) {
    exchange.fail("with", "names no other domain", "add [[exchange.with]], or leave out [exchange]");
  }
  return settings;
}

}  // namespace

Result<Configuration> load_configuration(const std::string& path) {
  Result<hw::Config> file = hw::Config::load(path);
  if (!file.ok()) {
    return file.error();
  }
  Configuration configuration;
  refuse_moved(file.value().root());
  const ConfigTable controller = file.value().root().table("controller");
  ServerSettings& server = configuration.server;
  server.name = controller.text("name", {pki::common_name_max, false});
  server.listen = controller.text("listen");
  server.certificate = controller.path("certificate");
  server.key = controller.path("key");
  server.ca = controller.path("ca");
  server.crl = controller.path("crl", "");
  configuration.database = controller.path("database");
  configuration.exchange = read_exchange(file.value().root());
  const std::string first = controller.path("initial_configuration", "");
  configuration.audit = audit::read_settings(file.value().root().table("audit"));
  if (Outcome finished = file.value().finish(); !finished.ok()) {
    return finished.error();
  }
  if (!first.empty()) {
    Result<Policy> read = load_first(first);
    if (!read.ok()) {
      return read.error();
    }
    configuration.first = std::move(read.value());
  }
  return configuration;
}

}  // namespace ssn::controller
