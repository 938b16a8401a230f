// SPDX-License-Identifier: BSD-3-Clause
// Nodes of the storage network as people and scripts read them. Pure.
#pragma once

#include <string>
#include <string_view>

#include "controller_client.h"
#include "json.h"

namespace ssn::cli {

/// "up", "read-only" or "down".
std::string_view node_state(const controller::Node& node) noexcept;
/// What more it can store, in bytes.
std::uint64_t node_free_bytes(const controller::Node& node) noexcept;
/// "ssa", "shareholder", or both with a comma.
std::string node_roles(const controller::Node& node);

/// "name", "roles", "state", "service", "capacity_bytes", "used_bytes", "objects", "reported_ms": into an
/// object that is begun, and goes on.
void write_node(JsonWriter& json, const controller::Node& node);

}  // namespace ssn::cli
