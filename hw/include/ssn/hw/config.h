// SPDX-License-Identifier: BSD-3-Clause
// Configuration files in TOML 1.0, read strictly: an unknown key, a value of another type or out of its
// limits, and a missing required key are errors with file, line and column, and with the key that was
// probably meant.
// Stricter than TOML: characters that are not ASCII stand in comments only; in text they are escapes
// (\u00fc).
//
// There is no separate schema: a key is known when a getter has asked for it. So read everything, then call
// finish(), and use nothing that was read unless it says ok:
//
//   Result<Config> file = Config::load("ssn.toml");
//   if (!file.ok()) return file.error();
//   ConfigTable server = file.value().root().table("server");
//   std::uint64_t port = server.integer("port", {1, 65535}, 4443);           // optional: it has a default
//   std::string certificate = server.path("certificate");                    // required
//   for (ConfigTable device : file.value().root().tables("key_device", 16)) { ... }
//   if (Outcome outcome = file.value().finish(); !outcome.ok()) return outcome.error();
//
// A getter that cannot give what was asked for notes the error and returns the default, or an empty value.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "ssn/hw/result.h"

namespace ssn::hw {

class ConfigState;
struct ConfigNode;
struct Unit;

/// Both ends are allowed.
template <typename T>
struct Limits {
  T least;
  T most;
};

struct TextRule {
  std::size_t longest = 1024;  ///< bytes
  bool may_be_empty = false;
};

/// A table of a configuration file, or the place of one that is not there. A handle: valid while its Config
/// is, copied freely. An absent table gives every default; a required key of it is missing.
class ConfigTable {
 public:
  /// Whether the file has this table.
  bool present() const noexcept { return node_ != nullptr; }
  /// Whether the file has this key, which becomes known by asking.
  bool has(std::string_view key) const;

  // Without a default the key is required.
  bool boolean(std::string_view key, std::optional<bool> otherwise = std::nullopt) const;
  std::int64_t integer(std::string_view key, Limits<std::int64_t> limits,
                       std::optional<std::int64_t> otherwise = std::nullopt) const;
  double real(std::string_view key, Limits<double> limits,
              std::optional<double> otherwise = std::nullopt) const;
  /// A number of bytes, or text such as "1500 B", "64 KiB", "4 MiB", "1.5 GiB", "2 TiB", "10 MB".
  std::uint64_t bytes(std::string_view key, Limits<std::uint64_t> limits,
                      std::optional<std::uint64_t> otherwise = std::nullopt) const;
  /// Text such as "900 bit/s", "400 kbit/s", "1.5 Mbit/s", "10 Gbit/s"; in bits per second.
  std::uint64_t bit_rate(std::string_view key, Limits<std::uint64_t> limits,
                         std::optional<std::uint64_t> otherwise = std::nullopt) const;
  /// Text such as "200 ns", "50 us", "1.5 ms", "30 s", "5 min", "1 h", "30 d".
  std::chrono::nanoseconds duration(std::string_view key, Limits<std::chrono::nanoseconds> limits,
                                    std::optional<std::chrono::nanoseconds> otherwise = std::nullopt) const;
  /// Without control characters.
  std::string text(std::string_view key, TextRule rule = {},
                   std::optional<std::string> otherwise = std::nullopt) const;
  /// A file name. A relative one is taken from the folder that the configuration file is in.
  std::string path(std::string_view key, std::optional<std::string> otherwise = std::nullopt) const;
  /// One of a few words.
  std::string choice(std::string_view key, std::span<const std::string_view> choices,
                     std::optional<std::string> otherwise = std::nullopt) const;
  /// An array of text; at most `most`. Empty where the key is absent.
  std::vector<std::string> texts(std::string_view key, std::size_t most, TextRule rule = {}) const;

  ConfigTable table(std::string_view key) const;
  /// An array of tables, [[key]]; at most `most`. Empty where the key is absent.
  std::vector<ConfigTable> tables(std::string_view key, std::size_t most) const;
  /// All keys of this table, whatever they are called, as text: what belongs to somebody else, such as the
  /// settings of a driver. Text, numbers and booleans only. In the order of the names.
  std::vector<std::pair<std::string, std::string>> settings(std::size_t most) const;

  /// "file:line:column" of the key, or of the table where it has no such key.
  std::string where(std::string_view key) const;
  /// "server.port", for messages.
  std::string name(std::string_view key) const;
  /// Notes an error that the caller found in the value of `key`.
  void fail(std::string_view key, std::string why, std::string fix) const;

 private:
  friend class Config;
  friend class ConfigState;
  ConfigTable(ConfigState& state, const ConfigNode* node, const ConfigNode* parent, std::string name)
      : state_(&state), node_(node), parent_(parent), name_(std::move(name)) {}

  const ConfigNode* get(std::string_view key, bool required) const;
  void note(const ConfigNode& member, std::string_view key, std::string why, std::string fix) const;
  void note_type(const ConfigNode& member, std::string_view key, std::string_view wanted) const;
  std::uint64_t quantity(std::string_view key, Limits<std::uint64_t> limits,
                         std::optional<std::uint64_t> otherwise, std::span<const Unit> units,
                         bool plain) const;
  bool good_text(const ConfigNode& node, std::string_view key, const TextRule& rule) const;
  bool good_array(const ConfigNode& node, std::string_view key, bool of_tables, std::size_t most) const;

  ConfigState* state_;
  const ConfigNode* node_;    // nullptr: absent
  const ConfigNode* parent_;  // the nearest table around it that is there
  std::string name_;          // as in [name]; empty for the root
};

struct ConfigFileRules {
  std::size_t longest = std::size_t{1} << 20;  ///< bytes
  /// The file holds secrets: nobody but its owner may read it.
  bool is_private = false;
};

/// Moves, never copies. One thread.
class Config {
 public:
  Config(Config&&) noexcept;
  Config& operator=(Config&&) noexcept;
  ~Config();

  /// Reads and parses. A file that others could change (writable for everyone, or owned by somebody else than
  /// root and this user) is refused.
  static Result<Config> load(const std::string& path, ConfigFileRules rules = {});
  /// Parses text; `name` stands for the file in messages.
  static Result<Config> parse(std::string_view text, std::string name);

  ConfigTable root() const;
  /// Once everything was read: ok, or the first thing that is wrong in the order of the file. Others are in
  /// errors().
  Outcome finish();
  /// After finish(): all that is wrong, at most errors_max.
  const std::vector<Error>& errors() const noexcept;
  static constexpr std::size_t errors_max = 32;

 private:
  explicit Config(std::unique_ptr<ConfigState> state) noexcept;
  std::unique_ptr<ConfigState> state_;
};

}  // namespace ssn::hw
