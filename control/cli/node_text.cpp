// SPDX-License-Identifier: BSD-3-Clause
#include "node_text.h"

#include <algorithm>

namespace ssn::cli {
namespace {

// Those that a controller knows nodes by.
constexpr pki::Role shown_roles[] = {pki::Role::ssa, pki::Role::shareholder};

}  // namespace

std::string_view node_state(const controller::Node& node) noexcept {
  return !node.up ? "down" : !node.read_only.empty() ? "read-only" : "up";
}

std::uint64_t node_free_bytes(const controller::Node& node) noexcept {
  return node.capacity_bytes - std::min(node.capacity_bytes, node.used_bytes);
}

std::string node_roles(const controller::Node& node) {
  std::string all;
  for (const pki::Role role : shown_roles) {
    if (node.roles.has(role)) {
      all += (all.empty() ? "" : ", ") + std::string(pki::name(role));
    }
  }
  return all;
}

void write_node(JsonWriter& json, const controller::Node& node) {
  json.member("name", node.name).key("roles").begin_array();
  for (const pki::Role role : shown_roles) {
    if (node.roles.has(role)) {
      json.value(pki::name(role));
    }
  }
  json.end_array().member("state", node_state(node)).member("service", controller::name(node.service));
  json.member("capacity_bytes", node.capacity_bytes).member("used_bytes", node.used_bytes);
  json.member("objects", node.objects).member("reported_ms", node.reported_ms);
}

}  // namespace ssn::cli
