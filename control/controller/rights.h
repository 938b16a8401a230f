// SPDX-License-Identifier: BSD-3-Clause
// Who may call what: docs/controller.md. What is not in the table is refused.
#pragma once

#include <cstdint>
#include <string_view>

#include "certificate.h"

namespace ssn::controller {

enum class Call : std::uint8_t {
  begin_write,
  commit,
  abort,
  list,
  stat,
  remove,
  open_read,
  explain,
  register_node,
  report,
  get_object,
  sealed,
  get_holdings,
  compare_holdings,
  get_status,
  list_nodes,
  set_node,
  remove_node,
  list_associations,
  list_events,
  watch_events,
  list_alarms,
  list_decisions,
  start_reshare,
  cancel_reshare,
  list_reshares,
  replace,
  cancel_replacement,
  list_replacements,
  get_configuration,
  list_versions,
  apply_configuration,
  list_accounts,
  list_usage,
  list_domains,
};
inline constexpr std::size_t calls_count = 35;

/// "Objects.BeginWrite", as in control/api/controller.proto.
std::string_view name(Call call) noexcept;
/// Whether one of the roles may.
bool may(pki::Roles roles, Call call) noexcept;
/// Goes on also while decisions cannot be logged and nothing else may: what operators look at, to find out
/// why, and what nodes say, without which the network would take them for dead.
bool goes_on_unlogged(Call call) noexcept;

}  // namespace ssn::controller
