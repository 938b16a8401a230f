// SPDX-License-Identifier: BSD-3-Clause
#include "configuration.h"

#include <algorithm>
#include <chrono>
#include <set>

#include "ssn/hw/config.h"
#include "ssn/key_device.h"

namespace ssn::kme {
namespace {

using hw::ConfigTable;
using std::chrono::nanoseconds;

constexpr nanoseconds year = std::chrono::hours(24 * 365);
constexpr std::size_t name_max = 64;
static_assert(name_max <= SSN_PEER_NAME_MAX);

std::uint64_t integer(const ConfigTable& table, const char* key, std::int64_t least, std::int64_t most,
                      std::uint64_t otherwise) {
  return static_cast<std::uint64_t>(table.integer(key, {least, most}, static_cast<std::int64_t>(otherwise)));
}

std::uint64_t seconds(const ConfigTable& table, const char* key, std::uint64_t otherwise) {
  const auto value = table.duration(key, {std::chrono::seconds(1), year},
                                    std::chrono::seconds(static_cast<std::int64_t>(otherwise)));
  return static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::seconds>(value).count());
}

Microseconds microseconds(const ConfigTable& table, const char* key, nanoseconds otherwise) {
  const auto value = table.duration(key, {nanoseconds(0), year}, otherwise);
  return static_cast<Microseconds>(std::chrono::duration_cast<std::chrono::microseconds>(value).count());
}

void check_key_size(const ConfigTable& table, const char* key, std::uint64_t bits) {
  if (bits % 8 != 0) {
    table.fail(key, "a size of keys is a multiple of 8 bits", "round it up");
  }
}

Limits read_limits(const ConfigTable& table) {
  constexpr std::int64_t bits_max = std::int64_t{1} << 30;
  Limits limits;
  limits.min_key_size = integer(table, "min_key_size", 8, bits_max, limits.min_key_size);
  limits.max_key_size = integer(table, "max_key_size", 8, bits_max, limits.max_key_size);
  limits.key_size = integer(table, "key_size", 8, bits_max, limits.key_size);
  limits.max_key_per_request = integer(table, "max_key_per_request", 1, 10'000, limits.max_key_per_request);
  limits.max_key_count = integer(table, "max_key_count", 1, 10'000'000, limits.max_key_count);
  limits.key_lifetime_s = seconds(table, "key_lifetime", limits.key_lifetime_s);
  limits.max_body_bytes = table.bytes("max_body", {1024, std::uint64_t{64} << 20}, limits.max_body_bytes);
  limits.connections = integer(table, "connections", 1, 4096, limits.connections);
  limits.idle_s = seconds(table, "idle", limits.idle_s);
  limits.request_s = seconds(table, "request", limits.request_s);
  check_key_size(table, "min_key_size", limits.min_key_size);
  check_key_size(table, "max_key_size", limits.max_key_size);
  check_key_size(table, "key_size", limits.key_size);
  if (limits.min_key_size > limits.key_size || limits.key_size > limits.max_key_size) {
    table.fail("key_size", "it does not lie between min_key_size and max_key_size", "change one of them");
  }
  return limits;
}

// SAE and KME IDs and names of links: they appear in certificates, URLs, messages and on command lines.
bool good_name(const std::string& name) {
  return !name.empty() && name.size() <= name_max && name[0] != '-' &&
         std::all_of(name.begin(), name.end(), [](char c) {
           const auto byte = static_cast<unsigned char>(c);
           return byte > 32 && byte != 127;
         });
}

SiteSettings read_site(const ConfigTable& table, const std::vector<std::string>& only) {
  const hw::TextRule rule{name_max, false};
  SiteSettings site;
  site.id = table.text("id", rule);
  site.listen = table.text("listen", {}, site.listen);
  site.port = static_cast<unsigned>(table.integer("port", {0, 65535}, 0));
  site.certificate = table.path("certificate");
  site.key = table.path("key");
  site.sae = table.texts("sae", Configuration::sae_max, rule);
  site.kmnic_socket = table.path("kmnic", "");
  site.peer_address = table.text("peer_address", {}, site.listen);
  site.peer_port = static_cast<unsigned>(table.integer("peer_port", {0, 65535}, 0));
  site.served = only.empty() || std::find(only.begin(), only.end(), site.id) != only.end();
  if (!good_name(site.id)) {
    table.fail("id", "an ID has no spaces and does not begin with -", "write it like kme-a");
  }
  if (!std::all_of(site.sae.begin(), site.sae.end(), good_name)) {
    table.fail("sae", "an SAE ID has no spaces and does not begin with -", "write it like sae-a");
  }
  return site;
}

void read_outages(const ConfigTable& table, std::vector<Outage>& out) {
  for (const ConfigTable& outage : table.tables("outage", LinkModel::outages_max)) {
    Outage read;
    read.start = microseconds(outage, "start", nanoseconds(0));
    read.length = static_cast<Microseconds>(std::chrono::duration_cast<std::chrono::microseconds>(
                                                outage.duration("length", {nanoseconds(0), year}))
                                                .count());
    read.every = microseconds(outage, "every", nanoseconds(0));
    if (read.every != 0 && (read.every < LinkModel::every_min || read.every <= read.length)) {
      outage.fail("every", "outages repeat after 1 s at least, and after more than their length",
                  "leave it out for an outage that happens once");
      continue;
    }
    out.push_back(read);
  }
}

LinkSettingsInFile read_link(const ConfigTable& table, const Configuration& configuration) {
  constexpr std::uint64_t stock_max = LinkModel::stock_bits_max / 8;
  LinkSettingsInFile link;
  const std::vector<std::string> ends = table.texts("sites", 2, {name_max, false});
  if (ends.size() != 2 || ends[0] == ends[1]) {
    table.fail("sites", "a link has two different ends", "give the ids of two sites");
    return link;
  }
  for (const std::size_t end : {0u, 1u}) {
    const auto site = std::find_if(configuration.sites.begin(), configuration.sites.end(),
                                   [&](const SiteSettings& s) { return s.id == ends[end]; });
    if (site == configuration.sites.end()) {
      table.fail("sites", "no [[site]] has the id " + ends[end], "give the ids of two sites");
      return link;
    }
    link.sites[end] = static_cast<std::size_t>(site - configuration.sites.begin());
  }
  link.name = table.text("name", {2 * name_max + 1, false}, ends[0] + "." + ends[1]);
  link.model.bits_per_second = table.bit_rate("rate", {0, LinkModel::bits_per_second_max}, 0);
  link.model.stock_bits = 8 * table.bytes("stock", {1, stock_max}, std::uint64_t{128} << 20);
  link.model.start_bits = 8 * table.bytes("stock_at_start", {0, stock_max}, link.model.stock_bits / 8);
  link.latency = microseconds(table, "latency", nanoseconds(0));
  link.hops = integer(table, "hops", 1, 1000, 1);
  link.secret_file = table.path("secret", "");
  read_outages(table, link.model.outages);
  if (link.model.start_bits > link.model.stock_bits) {
    table.fail("stock_at_start", "it is more than the stock", "make it at most as large as stock");
  }
  if (!configuration.local(link) && link.secret_file.empty()) {
    table.fail("secret", "the ends are served by different processes, which need the same secret",
               "give a file that holds it");
  }
  return link;
}

// What can be seen only with all of it at hand.
void check_all(const hw::ConfigTable& root, const Configuration& configuration) {
  std::set<std::string> ids;
  for (const SiteSettings& site : configuration.sites) {
    bool fresh = ids.insert(site.id).second;
    for (const std::string& sae : site.sae) {
      fresh = ids.insert(sae).second && fresh;
    }
    if (!fresh) {
      root.fail("site", "an ID is used twice at or before the site " + site.id,
                "IDs of KMEs and SAEs are unique");
    }
  }
  std::set<std::string> names;
  std::set<std::set<std::size_t>> pairs;
  for (const LinkSettingsInFile& link : configuration.links) {
    if (link.name.empty()) {
      continue;  // it has an error already
    }
    if (!good_name(link.name) || !names.insert(link.name).second) {
      root.fail("link", "the name " + link.name + " is used twice, or is none",
                "give each link a name of its own");
    }
    if (!pairs.insert({link.sites[0], link.sites[1]}).second) {
      root.fail("link", "two links join the same sites", "give one of them the rate of both");
    }
    for (const std::size_t end : link.sites) {
      if (!configuration.local(link) && configuration.sites[end].peer_port == 0) {
        root.fail("site", "other processes must find " + configuration.sites[end].id, "give it a peer_port");
      }
    }
  }
}

}  // namespace

Result<Configuration> read_configuration(const std::string& path, const std::vector<std::string>& only) {
  Result<hw::Config> file = hw::Config::load(path);
  if (!file.ok()) {
    return file.error();
  }
  const ConfigTable root = file.value().root();
  Configuration configuration;
  configuration.name = root.text("name", {}, configuration.name);
  configuration.ca = root.path("ca");
  configuration.crl = root.path("crl", "");
  const std::string tls_min = root.text("tls_min", {}, "1.2");
  configuration.tls_1_3_only = tls_min == "1.3";
  if (tls_min != "1.2" && tls_min != "1.3") {
    root.fail("tls_min", "it is no version of TLS that is permitted", "give \"1.2\" or \"1.3\"");
  }
  configuration.control_socket = root.path("control", "");
  if (!only.empty() && !configuration.control_socket.empty()) {
    configuration.control_socket += "." + only.front();
  }
  configuration.limits = read_limits(root.table("limits"));
  for (const ConfigTable& table : root.tables("site", Configuration::sites_max)) {
    configuration.sites.push_back(read_site(table, only));
  }
  for (const ConfigTable& table : root.tables("link", Configuration::links_max)) {
    configuration.links.push_back(read_link(table, configuration));
  }
  check_all(root, configuration);
  if (Outcome finished = file.value().finish(); !finished.ok()) {
    return finished.error();
  }
  for (const std::string& id : only) {
    if (std::none_of(configuration.sites.begin(), configuration.sites.end(),
                     [&](const SiteSettings& site) { return site.id == id; })) {
      return Error{Exit::usage, "cannot serve the site", "no [[site]] has the id " + id, path,
                   "give --site an id of the configuration"};
    }
  }
  if (configuration.sites.empty()) {
    return Error{Exit::usage, "cannot run an empty network", "there is no [[site]]", path,
                 "see docs/kme.md, or make one with `ssn kme init`"};
  }
  return configuration;
}

}  // namespace ssn::kme
