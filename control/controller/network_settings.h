// SPDX-License-Identifier: BSD-3-Clause
// Each setting of the network's configuration, named once: for reading it, writing it and comparing it.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "request.h"
#include "ssn/hw/config.h"

namespace ssn::controller {

/// One table of the document. Reading: a setting that is not there keeps its value.
class SettingTable {
 public:
  virtual ~SettingTable() = default;

  virtual void number(const char* key, std::uint64_t& value, hw::Limits<std::int64_t> limits) = 0;
  virtual void bytes(const char* key, std::uint64_t& value, hw::Limits<std::uint64_t> limits) = 0;
  virtual void milliseconds(const char* key, std::uint64_t& value, hw::Limits<std::uint64_t> limits) = 0;
  virtual void flag(const char* key, bool& value) = 0;
  /// Without spaces; empty: not said.
  virtual void label(const char* key, std::string& value) = 0;
  /// Without spaces, of up to `longest` bytes; reading: it must be there.
  virtual void text(const char* key, std::string& value, std::size_t longest) = 0;
  /// Names without spaces; none: not said.
  virtual void names(const char* key, std::vector<std::string>& value, std::size_t most,
                     std::size_t longest) = 0;
  virtual void word(const char* key, std::size_t& value, const std::string_view* words,
                    std::size_t count) = 0;
  /// Reading: the value of `key` does not fit the others.
  virtual void fail(const char* key, std::string why, std::string fix) = 0;

  void number(const char* key, std::uint32_t& value, hw::Limits<std::int64_t> limits) {
    narrow(value, [&](std::uint64_t& wide) { number(key, wide, limits); });
  }
  void bytes(const char* key, std::uint32_t& value, hw::Limits<std::uint64_t> limits) {
    narrow(value, [&](std::uint64_t& wide) { bytes(key, wide, limits); });
  }
  void milliseconds(const char* key, std::uint32_t& value, hw::Limits<std::uint64_t> limits) {
    narrow(value, [&](std::uint64_t& wide) { milliseconds(key, wide, limits); });
  }
  /// One of the enumerators, by name().
  template <typename Enum, std::size_t Count>
  void choice(const char* key, Enum& value, const std::array<Enum, Count>& choices) {
    std::array<std::string_view, Count> words;
    std::size_t chosen = 0;
    for (std::size_t i = 0; i < Count; ++i) {
      words[i] = name(choices[i]);
      if (choices[i] == value) chosen = i;
    }
    word(key, chosen, words.data(), Count);
    value = choices[chosen];
  }

 private:
  // All limits are those of the smaller type.
  template <typename Read>
  static void narrow(std::uint32_t& value, const Read& read) {
    std::uint64_t wide = value;
    read(wide);
    value = static_cast<std::uint32_t>(wide);
  }
};

void policy_settings(SettingTable& table, Policy& policy);
void class_settings(SettingTable& table, ClassPolicy& policy);
void limit_settings(SettingTable& table, Policy& policy);
/// Also of those that have no [[owner]]: [limits].
void owner_settings(SettingTable& table, OwnerLimits& limits);
void accounting_settings(SettingTable& table, Policy& policy);
void node_settings(SettingTable& table, Labels& labels, ServiceState& service);
void domain_settings(SettingTable& table, DomainAgreement& agreement);

}  // namespace ssn::controller
