// SPDX-License-Identifier: BSD-3-Clause
// Where each record of the catalogue lies. Numbers are big-endian, so that keys sort as they do; names of
// owners and nodes hold no zero byte.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "types.h"

namespace ssn::controller::keys {

std::string number(std::uint64_t value);
std::uint64_t number_at(std::string_view key, std::size_t at);
/// All keys that begin so end before this one.
std::string end_of(std::string prefix);

inline constexpr std::string_view all_nodes = "n";
inline constexpr std::string_view all_open = "p";
inline constexpr std::string_view all_gone = "g";
inline constexpr std::string_view all_events = "e";
inline constexpr std::string_view all_names = "N";
inline constexpr std::string_view all_removals = "d";
inline constexpr std::string_view all_jobs = "j";
inline constexpr std::string_view all_running = "r";
inline constexpr std::string_view all_over = "f";
inline constexpr std::string_view all_replacements = "s";
inline constexpr std::string_view all_settled = "S";
inline constexpr std::string_view all_alarms = "A";
inline constexpr std::string_view all_configurations = "c";
inline constexpr std::string_view all_accounts = "u";
inline constexpr std::string_view all_owners = "w";
inline constexpr std::string_view all_objects = "o";
inline constexpr std::string_view all_repairs = "l";
inline constexpr std::string_view all_ages = "y";

std::string meta();
std::string node(std::string_view node);
std::string owner(std::string_view owner);
std::string object(std::uint64_t id);
/// Of committed objects.
std::string names(std::string_view owner);
std::string name(std::string_view owner, std::string_view name);
std::string token(std::string_view owner, const Bytes16& token);
/// Writes that are neither committed nor over.
std::string open(std::uint64_t id);
std::string gone(std::uint64_t ended_ms, std::uint64_t id);
/// What a node should hold, and what it was ordered to remove.
std::string holdings(std::string_view node);
std::string holding(std::string_view node, const ObjectKey& key);
std::string removals(std::string_view node);
std::string removal(std::string_view node, const ObjectKey& key);
std::string associations(std::string_view node);
std::string association(std::string_view node, std::string_view peer);
std::string event(std::uint64_t event);
/// Of re-sharing: each job, those that are not over, and those that are, by when.
std::string job(std::uint64_t id);
std::string running(std::uint64_t id);
std::string over(std::uint64_t ended_ms, std::uint64_t id);
/// A node whose shares are to go to others.
std::string replacement(std::string_view node);
/// A node that is down and was replaced, or is not to be: not by itself again before it was up.
std::string settled(std::string_view node);
/// The catalogue's clock.
std::string clock();
/// An object that is short of shares; `surplus`: those it has beyond what restores it.
std::string repair(std::uint32_t surplus, std::uint64_t object);
/// An object's generation by when it was made, by the catalogue's clock.
std::string age(std::uint64_t made_ms, std::uint64_t object);
/// What an alarm is about that stands for many: its objects, as long as it holds for them.
std::string marks(std::string_view type, std::string_view resource);
std::string mark(std::string_view type, std::string_view resource, const ObjectKey& key);
/// Raised, or remembered.
std::string alarm(const alarms::AlarmKey& key);
/// A version of the network's configuration.
std::string configuration(std::uint64_t number);
std::string account(std::uint64_t number);

}  // namespace ssn::controller::keys
