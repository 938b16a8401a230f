// SPDX-License-Identifier: BSD-3-Clause
// Reading the file, and the getters.
#include "ssn/hw/config.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>

#include "quantity.h"
#include "ssn/hw/nearest.h"
#include "state.h"

namespace ssn::hw {
namespace {

using Kind = ConfigNode::Kind;

constexpr const char* cannot_read = "cannot read the configuration";

class OpenFile {
 public:
  explicit OpenFile(const std::string& path) : fd_(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)) {}
  OpenFile(const OpenFile&) = delete;
  OpenFile& operator=(const OpenFile&) = delete;
  ~OpenFile() {
    if (fd_ >= 0) {
      ::close(fd_);
    }
  }
  int fd() const noexcept { return fd_; }

 private:
  int fd_;
};

Outcome check_file(const struct stat& status, const std::string& path, const ConfigFileRules& rules) {
  const auto refuse = [&](std::string why, std::string fix) {
    return Error{Exit::refused, cannot_read, std::move(why), path, std::move(fix)};
  };
  if (!S_ISREG(status.st_mode)) {
    return refuse("it is no regular file", "name a file");
  }
  if (status.st_uid != 0 && status.st_uid != ::geteuid()) {
    return refuse("it belongs to another user, who could change it", "chown root " + path);
  }
  if ((status.st_mode & S_IWOTH) != 0) {
    return refuse("everybody may write to it", "chmod o-w " + path);
  }
  if (rules.is_private && (status.st_mode & (S_IRWXG | S_IRWXO)) != 0) {
    return refuse("it holds secrets and others than its owner may read it", "chmod go= " + path);
  }
  if (static_cast<std::uint64_t>(status.st_size) > rules.longest) {
    return refuse(fmt::format("it has {} bytes, at most {} are allowed", status.st_size, rules.longest),
                  "check the name: no configuration is that long");
  }
  return done;
}

Result<std::string> read_all(int fd, const std::string& path, std::size_t most) {
  std::string text;
  std::size_t used = 0;
  text.resize(most + 1);
  while (used < text.size()) {
    const ssize_t got = ::read(fd, text.data() + used, text.size() - used);
    if (got < 0 && errno == EINTR) {
      continue;
    }
    if (got < 0) {
      return system_error(errno, cannot_read, path);
    }
    if (got == 0) {
      text.resize(used);
      return text;
    }
    used += static_cast<std::size_t>(got);
  }
  return Error{Exit::refused, cannot_read, fmt::format("it has more than {} bytes", most), path,
               "check the name: no configuration is that long"};
}

// Any, where no number is meant.
bool has_control_characters(std::string_view text) {
  return std::any_of(text.begin(), text.end(), [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte < 0x20 || byte == 0x7F;
  });
}

std::string shown(const ConfigNode& node) {
  constexpr std::size_t longest = 40;
  switch (node.kind) {
    case Kind::boolean:
      return node.truth ? "true" : "false";
    case Kind::integer:
      return fmt::format("{}", node.integer);
    case Kind::real:
      return fmt::format("{}", node.real);
    case Kind::text: {
      if (has_control_characters(node.text) || node.text.size() > longest) {
        return "text";
      }
      return fmt::format("\"{}\"", node.text);
    }
    default:
      return std::string(describe(node.kind));
  }
}

std::string join(std::span<const std::string_view> words) {
  std::string out;
  for (const std::string_view word : words) {
    out += out.empty() ? "" : ", ";
    out += word;
  }
  return out;
}

std::string example(std::span<const Unit> units) {
  std::string out;
  for (const Unit& unit : units) {
    out += fmt::format("{}{}", out.empty() ? "" : ", ", unit.name);
  }
  return out;
}

}  // namespace

std::string_view describe(Kind kind) noexcept {
  switch (kind) {
    case Kind::boolean:
      return "true or false";
    case Kind::integer:
      return "a whole number";
    case Kind::real:
      return "a number";
    case Kind::text:
      return "text";
    case Kind::date:
      return "a date or time";
    case Kind::array:
      return "an array";
    case Kind::table:
      return "a table";
  }
  return "something else";
}

// ---- Config
// -------------------------------------------------------------------------------------------------

Config::Config(std::unique_ptr<ConfigState> state) noexcept : state_(std::move(state)) {}
Config::Config(Config&&) noexcept = default;
Config& Config::operator=(Config&&) noexcept = default;
Config::~Config() = default;

Result<Config> Config::load(const std::string& path, ConfigFileRules rules) {
  const OpenFile file(path);
  struct stat status{};
  if (file.fd() < 0 || ::fstat(file.fd(), &status) != 0) {
    return system_error(errno, cannot_read, path);
  }
  if (Outcome checked = check_file(status, path, rules); !checked.ok()) {
    return checked.error();
  }
  Result<std::string> text = read_all(file.fd(), path, rules.longest);
  if (!text.ok()) {
    return text.error();
  }
  return parse(text.value(), path);
}

Result<Config> Config::parse(std::string_view text, std::string name) {
  Result<ConfigNode> root = parse_toml(text, name);
  if (!root.ok()) {
    return root.error();
  }
  return Config(std::make_unique<ConfigState>(std::move(root.value()), std::move(name)));
}

ConfigTable Config::root() const { return {*state_, &state_->root(), &state_->root(), ""}; }
Outcome Config::finish() { return state_->finish(); }
const std::vector<Error>& Config::errors() const noexcept { return state_->errors(); }

// ---- ConfigTable
// --------------------------------------------------------------------------------------------

bool ConfigTable::has(std::string_view key) const { return state_->ask(node_, key) != nullptr; }

std::string ConfigTable::name(std::string_view key) const {
  return name_.empty() ? std::string(key) : fmt::format("{}.{}", name_, key);
}

const ConfigNode* ConfigTable::get(std::string_view key, bool required) const {
  const ConfigNode* const member = state_->ask(node_, key);
  if (member == nullptr && required) {
    const ConfigNode& around = node_ != nullptr ? *node_ : *parent_;
    const std::string in = name_.empty() ? "" : fmt::format(" in [{}]", name_);
    state_->note(around.position, fmt::format("{} is missing{}", key, in),
                 fmt::format("add {} = ... there", key));
  }
  return member;
}

void ConfigTable::note(const ConfigNode& member, std::string_view key, std::string why,
                       std::string fix) const {
  state_->note(member.position, fmt::format("{} {}", name(key), why), std::move(fix));
}

void ConfigTable::note_type(const ConfigNode& member, std::string_view key, std::string_view wanted) const {
  note(member, key, fmt::format("is {}, not {}", shown(member), wanted), fmt::format("make it {}", wanted));
}

void ConfigTable::fail(std::string_view key, std::string why, std::string fix) const {
  const ConfigNode* const member = state_->ask(node_, key);
  const ConfigNode& around = node_ != nullptr ? *node_ : *parent_;
  note(member != nullptr ? *member : around, key, std::move(why), std::move(fix));
}

std::string ConfigTable::where(std::string_view key) const {
  const ConfigNode* const member = state_->ask(node_, key);
  const ConfigNode& around = node_ != nullptr ? *node_ : *parent_;
  return place(state_->file(), member != nullptr ? member->position : around.position);
}

bool ConfigTable::boolean(std::string_view key, std::optional<bool> otherwise) const {
  const ConfigNode* const member = get(key, !otherwise);
  if (member != nullptr && member->kind == Kind::boolean) {
    return member->truth;
  }
  if (member != nullptr) {
    note_type(*member, key, describe(Kind::boolean));
  }
  return otherwise.value_or(false);
}

std::int64_t ConfigTable::integer(std::string_view key, Limits<std::int64_t> limits,
                                  std::optional<std::int64_t> otherwise) const {
  const ConfigNode* const member = get(key, !otherwise);
  if (member == nullptr) {
    return otherwise.value_or(limits.least);
  }
  if (member->kind != Kind::integer) {
    note_type(*member, key, describe(Kind::integer));
  } else if (member->integer < limits.least || member->integer > limits.most) {
    note(*member, key, fmt::format("is {}, out of its limits", member->integer),
         fmt::format("choose from {} to {}", limits.least, limits.most));
  } else {
    return member->integer;
  }
  return otherwise.value_or(limits.least);
}

double ConfigTable::real(std::string_view key, Limits<double> limits, std::optional<double> otherwise) const {
  const ConfigNode* const member = get(key, !otherwise);
  if (member == nullptr) {
    return otherwise.value_or(limits.least);
  }
  if (member->kind != Kind::integer && member->kind != Kind::real) {
    note_type(*member, key, describe(Kind::real));
    return otherwise.value_or(limits.least);
  }
  const double value = member->kind == Kind::integer ? static_cast<double>(member->integer) : member->real;
  if (!(value >= limits.least && value <= limits.most)) {  // so that nan is out
    note(*member, key, fmt::format("is {}, out of its limits", value),
         fmt::format("choose from {} to {}", limits.least, limits.most));
    return otherwise.value_or(limits.least);
  }
  return value;
}

// What bytes, bit_rate and duration have in common: a plain number only where `plain` allows it.
std::uint64_t ConfigTable::quantity(std::string_view key, Limits<std::uint64_t> limits,
                                    std::optional<std::uint64_t> otherwise, std::span<const Unit> units,
                                    bool plain) const {
  const ConfigNode* const member = get(key, !otherwise);
  if (member == nullptr) {
    return otherwise.value_or(limits.least);
  }
  std::optional<std::uint64_t> value;
  if (member->kind == Kind::text) {
    value = parse_quantity(member->text, units);
  } else if (plain && member->kind == Kind::integer && member->integer >= 0) {
    value = static_cast<std::uint64_t>(member->integer);
  }
  if (!value) {
    note(*member, key, fmt::format("is {}, not a number with a unit", shown(*member)),
         fmt::format("write {} = \"10 {}\" or the like; units: {}", key, units[1].name, example(units)));
  } else if (*value < limits.least || *value > limits.most) {
    note(*member, key, fmt::format("is {}, out of its limits", shown(*member)),
         fmt::format("choose from {} to {} {}", limits.least, limits.most, units[0].name));
  } else {
    return *value;
  }
  return otherwise.value_or(limits.least);
}

std::uint64_t ConfigTable::bytes(std::string_view key, Limits<std::uint64_t> limits,
                                 std::optional<std::uint64_t> otherwise) const {
  return quantity(key, limits, otherwise, byte_units(), true);
}

std::uint64_t ConfigTable::bit_rate(std::string_view key, Limits<std::uint64_t> limits,
                                    std::optional<std::uint64_t> otherwise) const {
  return quantity(key, limits, otherwise, bit_rate_units(), false);
}

std::chrono::nanoseconds ConfigTable::duration(std::string_view key, Limits<std::chrono::nanoseconds> limits,
                                               std::optional<std::chrono::nanoseconds> otherwise) const {
  const auto count = [](std::chrono::nanoseconds time) { return static_cast<std::uint64_t>(time.count()); };
  assert(limits.least.count() >= 0);
  const std::optional<std::uint64_t> fallback =
      otherwise ? std::optional<std::uint64_t>(count(*otherwise)) : std::nullopt;
  const std::uint64_t value =
      quantity(key, {count(limits.least), count(limits.most)}, fallback, duration_units(), false);
  return std::chrono::nanoseconds(static_cast<std::int64_t>(value));
}

bool ConfigTable::good_text(const ConfigNode& node, std::string_view key, const TextRule& rule) const {
  if (node.kind != Kind::text) {
    note_type(node, key, describe(Kind::text));
  } else if (node.text.empty() && !rule.may_be_empty) {
    note(node, key, "is empty", "give it a value, or remove it");
  } else if (node.text.size() > rule.longest) {
    note(node, key, fmt::format("has {} bytes", node.text.size()),
         fmt::format("at most {} are allowed", rule.longest));
  } else if (has_control_characters(node.text)) {
    note(node, key, "has a control character in it", "write it without line ends, tabs and the like");
  } else {
    return true;
  }
  return false;
}

std::string ConfigTable::text(std::string_view key, TextRule rule,
                              std::optional<std::string> otherwise) const {
  const ConfigNode* const member = get(key, !otherwise);
  const bool good = member != nullptr && good_text(*member, key, rule);
  return good ? member->text : otherwise.value_or("");
}

std::string ConfigTable::path(std::string_view key, std::optional<std::string> otherwise) const {
  constexpr TextRule rule{4095, false};
  const ConfigNode* const member = get(key, !otherwise);
  if (member == nullptr || !good_text(*member, key, rule)) {
    return otherwise.value_or("");
  }
  return member->text.front() == '/' ? member->text : state_->folder() + member->text;
}

std::string ConfigTable::choice(std::string_view key, std::span<const std::string_view> choices,
                                std::optional<std::string> otherwise) const {
  const ConfigNode* const member = get(key, !otherwise);
  if (member == nullptr || !good_text(*member, key, {})) {
    return otherwise.value_or("");
  }
  if (std::find(choices.begin(), choices.end(), member->text) != choices.end()) {
    return member->text;
  }
  const std::vector<std::string> candidates(choices.begin(), choices.end());
  const std::string meant = nearest(member->text, candidates);
  note(*member, key, fmt::format("is {}, which it cannot be", shown(*member)),
       meant.empty() ? "choose one of: " + join(choices) : fmt::format("did you mean \"{}\"?", meant));
  return otherwise.value_or("");
}

bool ConfigTable::good_array(const ConfigNode& node, std::string_view key, bool of_tables,
                             std::size_t most) const {
  if (node.kind != Kind::array) {
    note_type(node, key, fmt::format("an array of {}", of_tables ? "tables" : "text"));
    return false;
  }
  if (node.items.size() > most) {
    note(node, key, fmt::format("has {} entries", node.items.size()),
         fmt::format("at most {} are allowed", most));
    return false;
  }
  return true;
}

std::vector<std::string> ConfigTable::texts(std::string_view key, std::size_t most, TextRule rule) const {
  std::vector<std::string> out;
  const ConfigNode* const member = state_->ask(node_, key);
  if (member == nullptr || !good_array(*member, key, false, most)) {
    return out;
  }
  for (const ConfigNode& item : member->items) {
    if (good_text(item, key, rule)) {
      out.push_back(item.text);
    }
  }
  return out;
}

ConfigTable ConfigTable::table(std::string_view key) const {
  const ConfigNode* const around = node_ != nullptr ? node_ : parent_;
  const ConfigNode* member = state_->ask(node_, key);
  if (member != nullptr && member->kind != Kind::table) {
    note_type(*member, key, describe(Kind::table));
    member = nullptr;
  }
  if (member != nullptr) {
    state_->visit(*member);
  }
  return {*state_, member, around, name(key)};
}

std::vector<ConfigTable> ConfigTable::tables(std::string_view key, std::size_t most) const {
  std::vector<ConfigTable> out;
  const ConfigNode* const member = state_->ask(node_, key);
  if (member == nullptr || !good_array(*member, key, true, most)) {
    return out;
  }
  for (const ConfigNode& item : member->items) {
    if (item.kind != Kind::table) {
      note_type(item, key, describe(Kind::table));
      continue;
    }
    state_->visit(item);
    out.push_back({*state_, &item, member, name(key)});
  }
  return out;
}

std::vector<std::pair<std::string, std::string>> ConfigTable::settings(std::size_t most) const {
  std::vector<std::pair<std::string, std::string>> out;
  if (node_ == nullptr) {
    return out;
  }
  if (node_->members.size() > most) {
    state_->note(node_->position, fmt::format("[{}] has {} keys", name_, node_->members.size()),
                 fmt::format("at most {} are allowed", most));
  }
  for (const ConfigNode& member : node_->members) {
    const std::string& key = member.key;
    state_->ask(node_, key);
    if (has_control_characters(key)) {
      note(member, "a key", "has a control character in its name", "rename it");
    } else if (member.kind == Kind::text) {
      if (good_text(member, key, {4095, true})) {
        out.emplace_back(key, member.text);
      }
    } else if (member.kind == Kind::boolean || member.kind == Kind::integer || member.kind == Kind::real) {
      out.emplace_back(key, shown(member));
    } else {
      note_type(member, key, "text, a number, or true or false");
    }
  }
  return out;
}

}  // namespace ssn::hw
