// SPDX-License-Identifier: BSD-3-Clause
// Everything that can be wrong in a storage network, as operators are told of it: the inventory of alarms of
// all processes, in one table. The model is that of RFC 8632 (and ITU-T X.733): an alarm is a condition of a
// resource that holds or not, has a severity, and something that can be done about it. *Cleared* is a state,
// not a severity. docs/alarms.md is this table; a test compares them.
#pragma once

#include <compare>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace ssn::alarms {

/// X.733's perceived severities; larger is worse. Enumerators have the numbers of the protocol and of the
/// controller's records: never change one.
enum class Severity : std::uint8_t { none, warning, minor, major, critical };

/// X.733's and X.736's types of events, those that we have.
enum class Category : std::uint8_t { communications, quality_of_service, processing, equipment, integrity };

/// What an alarm is about. association: a node and one of its peers. domain: another one than ours.
enum class Resource : std::uint8_t { node, association, network, controller, domain };

/// Who may raise it; a set.
enum Raiser : std::uint8_t { by_controller = 1, by_ssa = 2, by_shareholder = 4, by_nodes = 6 };

struct AlarmType {
  std::string_view name;  ///< stable: scripts and other processes know it
  Resource resource;
  Severity severity;
  Category category;
  std::uint8_t raisers;           ///< of Raiser
  bool of_another;                ///< a node raises it about another node, not about itself
  bool fails_node;                ///< re-sharing replaces a node about which it is raised for long
  std::uint32_t raise_after_ms;   ///< the condition must have held for so long, in all
  std::uint32_t clear_after_ms;   ///< and then not have held for so long
  std::string_view meaning;       ///< what is wrong
  std::string_view cause;         ///< what it may come from
  std::string_view repair;        ///< what to do
  std::string_view cleared_when;  ///< how it ends
};

/// All there are, by name.
std::span<const AlarmType> inventory() noexcept;
/// Null: there is no such one.
const AlarmType* find_type(std::string_view name) noexcept;

std::string_view name(Severity severity) noexcept;
std::string_view name(Category category) noexcept;
std::string_view name(Resource resource) noexcept;
/// "controller", "ssa, shareholder", ...
std::string raisers_of(const AlarmType& type);
/// none: no such name.
Severity severity_of(std::string_view name) noexcept;

/// What makes two alarms the same one.
struct AlarmKey {
  std::string type;
  std::string resource;  ///< node, domain, "network", "controller"
  std::string peer;      ///< of an association
  auto operator<=>(const AlarmKey&) const = default;
};

struct ActiveAlarm {
  AlarmKey key;
  std::string text;  ///< what was seen
};

/// "holder-1", "ssa-1 holder-1".
std::string subject_of(const AlarmKey& key);

}  // namespace ssn::alarms
