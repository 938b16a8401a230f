// SPDX-License-Identifier: BSD-3-Clause
#include "keys.h"

#include <initializer_list>

namespace ssn::controller::keys {
namespace {

std::string join(std::initializer_list<std::string_view> parts) {
  std::string key;
  for (const std::string_view part : parts) {
    key.append(part);
  }
  return key;
}

constexpr std::string_view zero("\0", 1);

}  // namespace

std::string number(std::uint64_t value) {
  std::string bytes(8, '\0');
  for (std::size_t i = 0; i < 8; ++i) {
    bytes[i] = static_cast<char>(value >> (56 - 8 * i));
  }
  return bytes;
}

std::uint64_t number_at(std::string_view key, std::size_t at) {
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < 8 && at + i < key.size(); ++i) {
    value = value << 8U | static_cast<unsigned char>(key[at + i]);
  }
  return value;
}

std::string end_of(std::string prefix) {
  while (!prefix.empty() && static_cast<unsigned char>(prefix.back()) == 0xFF) {
    prefix.pop_back();
  }
  if (!prefix.empty()) {
    prefix.back() = static_cast<char>(static_cast<unsigned char>(prefix.back()) + 1);
  }
  return prefix;
}

std::string meta() { return "m"; }
std::string node(std::string_view node) { return join({all_nodes, node}); }
std::string owner(std::string_view owner) { return join({all_owners, owner}); }
std::string object(std::uint64_t id) { return join({all_objects, number(id)}); }
std::string names(std::string_view owner) { return join({all_names, owner, zero}); }
std::string name(std::string_view owner, std::string_view name) {
  return join({all_names, owner, zero, name});
}
std::string token(std::string_view owner, const Bytes16& token) {
  return join({"t", owner, zero, {reinterpret_cast<const char*>(token.data()), token.size()}});
}
std::string open(std::uint64_t id) { return join({all_open, number(id)}); }
std::string gone(std::uint64_t ended_ms, std::uint64_t id) {
  return join({all_gone, number(ended_ms), number(id)});
}
std::string holdings(std::string_view node) { return join({"h", node, zero}); }
std::string holding(std::string_view node, const ObjectKey& key) {
  return join({"h", node, zero, number(key.object), number(key.generation)});
}
std::string removals(std::string_view node) { return join({all_removals, node, zero}); }
std::string removal(std::string_view node, const ObjectKey& key) {
  return join({all_removals, node, zero, number(key.object), number(key.generation)});
}
std::string associations(std::string_view node) { return join({"a", node, zero}); }
std::string association(std::string_view node, std::string_view peer) {
  return join({"a", node, zero, peer});
}
std::string event(std::uint64_t event) { return join({all_events, number(event)}); }
std::string job(std::uint64_t id) { return join({all_jobs, number(id)}); }
std::string running(std::uint64_t id) { return join({all_running, number(id)}); }
std::string over(std::uint64_t ended_ms, std::uint64_t id) {
  return join({all_over, number(ended_ms), number(id)});
}
std::string replacement(std::string_view node) { return join({all_replacements, node}); }
std::string settled(std::string_view node) { return join({all_settled, node}); }
std::string configuration(std::uint64_t number) { return join({all_configurations, keys::number(number)}); }
std::string account(std::uint64_t number) { return join({all_accounts, keys::number(number)}); }
std::string clock() { return "C"; }
std::string repair(std::uint32_t surplus, std::uint64_t object) {
  return join({all_repairs, number(surplus), number(object)});
}
std::string age(std::uint64_t made_ms, std::uint64_t object) {
  return join({all_ages, number(made_ms), number(object)});
}
std::string marks(std::string_view type, std::string_view resource) {
  return join({"x", type, zero, resource, zero});
}
std::string mark(std::string_view type, std::string_view resource, const ObjectKey& key) {
  return join({"x", type, zero, resource, zero, number(key.object), number(key.generation)});
}
std::string alarm(const alarms::AlarmKey& key) {
  return join({all_alarms, key.type, zero, key.resource, zero, key.peer});
}

}  // namespace ssn::controller::keys
