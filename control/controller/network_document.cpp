// SPDX-License-Identifier: BSD-3-Clause
#include "network_document.h"

#include <fmt/core.h>

#include <algorithm>
#include <charconv>
#include <map>
#include <set>

#include "network_settings.h"
#include "reshare_settings.h"
#include "ssn/hw/config.h"

namespace ssn::controller {
namespace {

using hw::ConfigTable;
using hw::Limits;
using std::chrono::milliseconds;

constexpr std::size_t nodes_most = 512;
constexpr std::size_t classes_most = 64;
constexpr std::size_t owners_most = 4096;
constexpr const char* what_edit = "cannot change the network's configuration";

// ---- Reading

class ReadTable final : public SettingTable {
 public:
  explicit ReadTable(const ConfigTable& table) : table_(table) {}

  using SettingTable::bytes;
  using SettingTable::milliseconds;
  using SettingTable::number;
  void number(const char* key, std::uint64_t& value, Limits<std::int64_t> limits) override {
    value = static_cast<std::uint64_t>(table_.integer(key, limits, static_cast<std::int64_t>(value)));
  }
  void bytes(const char* key, std::uint64_t& value, Limits<std::uint64_t> limits) override {
    value = table_.bytes(key, limits, value);
  }
  void milliseconds(const char* key, std::uint64_t& value, Limits<std::uint64_t> limits) override {
    using std::chrono::duration_cast;
    const auto time = [](std::uint64_t ms) { return std::chrono::milliseconds(ms); };
    const auto read = table_.duration(key, {time(limits.least), time(limits.most)}, time(value));
    value = static_cast<std::uint64_t>(duration_cast<std::chrono::milliseconds>(read).count());
  }
  void flag(const char* key, bool& value) override { value = table_.boolean(key, value); }
  void label(const char* key, std::string& value) override {
    value = table_.text(key, {label_max, true}, value);
    if (!value.empty() && !is_good_label(value)) {
      table_.fail(key, "has spaces, or characters that are none", "choose another name");
    }
  }
  void text(const char* key, std::string& value, std::size_t longest) override {
    value = table_.text(key, {longest, false});
    check_printable(key, value);
  }
  void names(const char* key, std::vector<std::string>& value, std::size_t most,
             std::size_t longest) override {
    value = table_.texts(key, most, {longest, false});
    std::set<std::string> known;
    for (const std::string& each : value) {
      check_printable(key, each);
      if (!known.insert(each).second) {
        table_.fail(key, fmt::format("says {} twice", each), "say it once");
      }
    }
  }
  void word(const char* key, std::size_t& value, const std::string_view* words, std::size_t count) override {
    const std::span all(words, count);
    const std::string read = table_.choice(key, all, std::string(words[value]));
    value = static_cast<std::size_t>(std::find(all.begin(), all.end(), read) - all.begin());
    value = std::min(value, count - 1);
  }
  void fail(const char* key, std::string why, std::string fix) override {
    table_.fail(key, std::move(why), std::move(fix));
  }

 private:
  void check_printable(const char* key, const std::string& text) {
    if (!std::all_of(text.begin(), text.end(), [](char c) { return c > 0x20 && c < 0x7F; })) {
      table_.fail(key, "has spaces, or characters that are none", "choose another one");
    }
  }

  const ConfigTable table_;
};

// Its name, unless it is none or was there before.
std::string name_of(const ConfigTable& table, const char* kind, std::size_t longest,
                    std::set<std::string>& known) {
  const std::string name = table.text("name", {longest, false});
  if (!name.empty() && !std::all_of(name.begin(), name.end(), [](char c) { return c > 0x20 && c < 0x7F; })) {
    table.fail("name", "has spaces, or characters that are none", "choose another name");
    return "";
  }
  if (!name.empty() && !known.insert(name).second) {
    table.fail("name", fmt::format("says {} {}, which is there already", kind, name), "say it once");
    return "";
  }
  return name;
}

void read_classes(const ConfigTable& root, Policy& policy) {
  std::set<std::string> known;
  for (const ConfigTable& each : root.tables("class", classes_most)) {
    const std::string name = name_of(each, "the class", label_max, known);
    ClassPolicy settings = policy;
    ReadTable table(each);
    class_settings(table, settings);
    if (!name.empty()) {
      policy.classes.emplace(name, settings);
    }
  }
}

void check_class(const ConfigTable& table, const char* key, const std::string& name, const Policy& policy) {
  if (!name.empty() && !policy.classes.contains(name)) {
    table.fail(key, fmt::format("says {}, and no [[class]] is called so", name),
               "add it, or name another one");
  }
}

void read_owners(const ConfigTable& root, Policy& policy) {
  std::set<std::string> known;
  for (const ConfigTable& each : root.tables("owner", owners_most)) {
    const std::string name = name_of(each, "the owner", pki::common_name_max, known);
    OwnerPolicy owner;
    owner.limits = {policy.objects_max, policy.writes_max, policy.bytes_max, policy.owner_rate};
    ReadTable table(each);
    owner_settings(table, owner.limits);
    table.label("class", owner.default_class);
    check_class(each, "class", owner.default_class, policy);
    if (each.has("classes")) {
      owner.classes = each.texts("classes", classes_most, {label_max, false});
      for (const std::string& other : *owner.classes) {
        check_class(each, "classes", other, policy);
      }
    }
    if (!name.empty()) {
      policy.owners.emplace(name, std::move(owner));
    }
  }
}

void read_deployment(const ConfigTable& root, Deployment& deployment) {
  std::set<std::string> known;
  for (const ConfigTable& each : root.tables("node", nodes_most)) {
    const std::string name = name_of(each, "the node", pki::common_name_max, known);
    Labels labels;
    ServiceState service = ServiceState::in_service;
    ReadTable table(each);
    node_settings(table, labels, service);
    if (!name.empty()) {
      deployment.labels.emplace(name, std::move(labels));
    }
    if (!name.empty() && service != ServiceState::in_service) {
      deployment.services.emplace(name, service);
    }
  }
  known.clear();
  for (const ConfigTable& each : root.tables("key_manager", nodes_most)) {
    const std::string name = name_of(each, "the key manager", label_max, known);
    if (each.boolean("delivers_once", false) && !name.empty()) {
      deployment.delivered_once.insert(name);
    }
  }
}

void read_domains(const ConfigTable& root, Policy& policy) {
  std::set<std::string> known;
  for (const ConfigTable& each : root.tables("domain", domains_max)) {
    const std::string name = name_of(each, "the domain", label_max, known);
    DomainAgreement agreement;
    ReadTable table(each);
    domain_settings(table, agreement);
    if (!name.empty()) {
      policy.agreements.emplace(name, std::move(agreement));
    }
  }
}

template <typename Read>
void read_table(const ConfigTable& root, const char* key, Policy& policy, const Read& read) {
  ReadTable table(root.table(key));
  read(table, policy);
}

void read_all(const ConfigTable& root, NetworkDocument& document) {
  constexpr std::int64_t most = std::int64_t{1} << 53;
  document.version = static_cast<std::uint64_t>(root.integer("version", {0, most}, 0));
  Policy& policy = document.policy;
  read_table(root, "policy", policy, policy_settings);
  read_table(root, "reshare", policy, reshare_settings);
  read_table(root, "limits", policy, limit_settings);
  read_table(root, "accounting", policy, accounting_settings);
  read_classes(root, policy);
  read_owners(root, policy);
  read_deployment(root, policy.deployment);
  read_domains(root, policy);
}

// ---- Writing

struct Setting {
  std::string table;  // "policy"
  std::string name;   // of one of many: "alice"; empty: there is one table
  std::string key;
  std::string value;  // as in the document
};

struct Unit {
  std::uint64_t size;
  const char* name;
};

// With the largest unit that says it exactly.
std::string with_unit(std::uint64_t value, std::initializer_list<Unit> units) {
  for (const Unit& unit : units) {
    if (value != 0 && value % unit.size == 0) {
      return fmt::format("\"{} {}\"", value / unit.size, unit.name);
    }
  }
  return fmt::format("\"0 {}\"", (units.end() - 1)->name);
}

std::string quoted(std::string_view text) { return fmt::format("\"{}\"", text); }

class WriteTable final : public SettingTable {
 public:
  WriteTable(std::vector<Setting>& out, std::string table, std::string name = "")
      : out_(out), table_(std::move(table)), name_(std::move(name)) {}

  using SettingTable::bytes;
  using SettingTable::milliseconds;
  using SettingTable::number;
  void number(const char* key, std::uint64_t& value, Limits<std::int64_t>) override {
    add(key, fmt::format("{}", value));
  }
  void bytes(const char* key, std::uint64_t& value, Limits<std::uint64_t>) override {
    add(key,
        with_unit(
            value,
            {{1ULL << 40, "TiB"}, {1ULL << 30, "GiB"}, {1ULL << 20, "MiB"}, {1ULL << 10, "KiB"}, {1, "B"}}));
  }
  void milliseconds(const char* key, std::uint64_t& value, Limits<std::uint64_t>) override {
    add(key,
        with_unit(value, {{24 * 3'600'000, "d"}, {3'600'000, "h"}, {60'000, "min"}, {1000, "s"}, {1, "ms"}}));
  }
  void flag(const char* key, bool& value) override { add(key, value ? "true" : "false"); }
  void label(const char* key, std::string& value) override {
    if (!value.empty()) add(key, quoted(escaped(value)));
  }
  void text(const char* key, std::string& value, std::size_t) override { add(key, quoted(escaped(value))); }
  void names(const char* key, std::vector<std::string>& value, std::size_t, std::size_t) override {
    if (!value.empty()) add(key, list_of(value));
  }
  void word(const char* key, std::size_t& value, const std::string_view* words, std::size_t) override {
    add(key, quoted(words[value]));
  }
  void fail(const char*, std::string, std::string) override {}

  void add(const char* key, std::string value) { out_.push_back({table_, name_, key, std::move(value)}); }
  static std::string list_of(const std::vector<std::string>& texts) {
    std::string list;
    for (const std::string& each : texts) {
      list.append(list.empty() ? "" : ", ").append(quoted(escaped(each)));
    }
    return fmt::format("[{}]", list);
  }
  // Labels are printable, so only these two mean something.
  static std::string escaped(std::string_view text) {
    std::string out;
    for (const char c : text) {
      if (c == '"' || c == '\\') out.push_back('\\');
      out.push_back(c);
    }
    return out;
  }

 private:
  std::vector<Setting>& out_;
  const std::string table_;
  const std::string name_;
};

void write_owner(std::vector<Setting>& out, const std::string& name, OwnerPolicy owner) {
  WriteTable table(out, "owner", name);
  owner_settings(table, owner.limits);
  table.label("class", owner.default_class);
  if (owner.classes) table.add("classes", WriteTable::list_of(*owner.classes));
}

void write_node(std::vector<Setting>& out, const std::string& name, const Deployment& deployment) {
  const auto labels = deployment.labels.find(name);
  const auto service = deployment.services.find(name);
  Labels its = labels == deployment.labels.end() ? Labels() : labels->second;
  ServiceState state = service == deployment.services.end() ? ServiceState::in_service : service->second;
  WriteTable table(out, "node", name);
  node_settings(table, its, state);
}

// In the order of a document.
std::vector<Setting> settings_of(Policy policy) {
  std::vector<Setting> out;
  const auto write = [&](const char* name, void (*settings)(SettingTable&, Policy&)) {
    WriteTable table(out, name);
    settings(table, policy);
  };
  write("policy", policy_settings);
  for (auto& [name, settings] : policy.classes) {
    WriteTable table(out, "class", name);
    ClassPolicy its = settings;
    class_settings(table, its);
  }
  write("limits", limit_settings);
  for (const auto& [name, owner] : policy.owners) write_owner(out, name, owner);
  write("reshare", reshare_settings);
  write("accounting", accounting_settings);
  std::set<std::string> nodes;
  for (const auto& [name, labels] : policy.deployment.labels) nodes.insert(name);
  for (const auto& [name, service] : policy.deployment.services) nodes.insert(name);
  for (const std::string& name : nodes) write_node(out, name, policy.deployment);
  for (const std::string& name : policy.deployment.delivered_once) {
    WriteTable(out, "key_manager", name).add("delivers_once", "true");
  }
  for (const auto& [name, agreement] : policy.agreements) {
    WriteTable table(out, "domain", name);
    DomainAgreement its = agreement;
    domain_settings(table, its);
  }
  return out;
}

// ---- Editing

// Of "NAME:line:column", from 1.
std::size_t line_of(const std::string& where) {
  const std::size_t column = where.rfind(':');
  const std::size_t line = where.rfind(':', column - 1);
  std::size_t number = 0;
  std::from_chars(where.data() + line + 1, where.data() + column, number);
  return number;
}

// The whole line, of which the end stays; or a new one behind it.
std::string with_line(const std::string& text, std::size_t line, const std::string& content, bool behind) {
  std::size_t from = 0;
  for (std::size_t i = 1; i < line + (behind ? 1 : 0); ++i) {
    const std::size_t end = text.find('\n', from);
    if (end == std::string::npos) {
      return text + "\n" + content + "\n";
    }
    from = end + 1;
  }
  const std::size_t end = behind ? from : std::min(text.find('\n', from), text.size());
  return text.substr(0, from) + content + (behind ? "\n" : "") + text.substr(end);
}

// What was edited says what was meant, and nothing else became different.
Result<std::string> checked(std::string text, const Policy& meant, std::uint64_t version) {
  const NetworkDocument again = read_network_document(text, "configuration");
  if (!again.problems.empty() || again.version != version || !differences_of(meant, again.policy).empty()) {
    return Error{Exit::usage, what_edit, "its text is written so that it cannot be changed in one line",
                 "configuration",
                 "write its tables as [[node]], or change the text yourself: ssn config apply"};
  }
  if (text.size() > configuration_max) {
    return Error{Exit::usage, what_edit,
                 fmt::format("more than {} bytes are no configuration", configuration_max), "configuration",
                 "make it shorter"};
  }
  return text;
}

}  // namespace

NetworkDocument read_network_document(std::string_view text, const std::string& name) {
  NetworkDocument document;
  if (text.size() > configuration_max) {
    document.problems.push_back(
        {Exit::usage, "cannot read the network's configuration",
         fmt::format("it has {} bytes, at most {} are allowed", text.size(), configuration_max), name,
         "make it shorter"});
    return document;
  }
  Result<hw::Config> file = hw::Config::parse(text, name);
  if (!file.ok()) {
    document.problems.push_back(file.error());
    return document;
  }
  read_all(file.value().root(), document);
  if (!file.value().finish().ok()) {
    document.problems = file.value().errors();
  }
  return document;
}

std::string network_document_of(const Policy& policy) {
  std::string text = "# The network's configuration: man ssn-config.\n";
  const Setting* before = nullptr;
  const std::vector<Setting> settings = settings_of(policy);
  for (const Setting& setting : settings) {
    if (before == nullptr || before->table != setting.table || before->name != setting.name) {
      text.append(setting.name.empty() ? fmt::format("\n[{}]\n", setting.table)
                                       : fmt::format("\n[[{}]]\nname = \"{}\"\n", setting.table,
                                                     WriteTable::escaped(setting.name)));
    }
    text.append(fmt::format("{} = {}\n", setting.key, setting.value));
    before = &setting;
  }
  return text;
}

Result<std::string> with_version(const std::string& text, std::uint64_t version) {
  const NetworkDocument document = read_network_document(text, "configuration");
  Result<hw::Config> file = hw::Config::parse(text, "configuration");
  if (!file.ok()) {
    return file.error();
  }
  const std::string line = fmt::format("version = {}", version);
  const ConfigTable root = file.value().root();
  return checked(
      root.has("version") ? with_line(text, line_of(root.where("version")), line, false) : line + "\n" + text,
      document.policy, version);
}

Result<std::string> with_service(const std::string& text, const std::string& node, ServiceState service) {
  NetworkDocument document = read_network_document(text, "configuration");
  Result<hw::Config> file = hw::Config::parse(text, "configuration");
  if (!file.ok()) {
    return file.error();
  }
  const std::string line = fmt::format("service = \"{}\"", name(service));
  document.policy.deployment.labels.try_emplace(node);
  document.policy.deployment.services.erase(node);
  if (service != ServiceState::in_service) {
    document.policy.deployment.services.emplace(node, service);
  }
  for (const ConfigTable& each : file.value().root().tables("node", nodes_most)) {
    if (each.text("name", {pki::common_name_max, false}) != node) {
      continue;
    }
    const bool said = each.has("service");
    return checked(with_line(text, line_of(each.where(said ? "service" : "name")), line, !said),
                   document.policy, document.version);
  }
  std::string longer = text;
  longer.append(longer.empty() || longer.back() == '\n' ? "" : "\n");
  longer.append(fmt::format("\n[[node]]\nname = \"{}\"\n{}\n", WriteTable::escaped(node), line));
  return checked(std::move(longer), document.policy, document.version);
}

std::vector<ConfigurationDifference> differences_of(const Policy& before, const Policy& after) {
  std::map<std::string, ConfigurationDifference> all;
  std::vector<std::string> order;
  const auto take = [&](const Policy& policy, std::string ConfigurationDifference::* side) {
    for (Setting& setting : settings_of(policy)) {
      const std::string path = setting.name.empty()
                                   ? fmt::format("{}.{}", setting.table, setting.key)
                                   : fmt::format("{} {} {}", setting.table, setting.name, setting.key);
      const auto [at, fresh] = all.try_emplace(path, ConfigurationDifference{path, "", ""});
      at->second.*side = std::move(setting.value);
      if (fresh) order.push_back(path);
    }
  };
  take(before, &ConfigurationDifference::before);
  take(after, &ConfigurationDifference::after);
  std::vector<ConfigurationDifference> found;
  for (const std::string& path : order) {
    if (ConfigurationDifference& each = all[path]; each.before != each.after) {
      found.push_back(std::move(each));
    }
  }
  return found;
}

}  // namespace ssn::controller
