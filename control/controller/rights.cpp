// SPDX-License-Identifier: BSD-3-Clause
#include "rights.h"

namespace ssn::controller {
namespace {

using pki::Role;
using pki::Roles;

struct Right {
  Call call;
  std::string_view name;
  Roles roles;
};

// Also what of it: the services see to that an owner gets its own objects only, and a node what it has to do
// with.
constexpr Right rights[] = {
    {Call::begin_write, "Objects.BeginWrite", {Role::owner}},
    {Call::commit, "Objects.Commit", {Role::owner}},
    {Call::abort, "Objects.Abort", {Role::owner}},
    {Call::list, "Objects.List", {Role::owner, Role::operators}},
    {Call::stat, "Objects.Stat", {Role::owner, Role::operators}},
    {Call::remove, "Objects.Remove", {Role::owner}},
    {Call::open_read, "Objects.OpenRead", {Role::owner}},
    {Call::explain, "Objects.Explain", {Role::owner, Role::operators}},
    {Call::register_node, "Nodes.Register", {Role::ssa, Role::shareholder}},
    {Call::report, "Nodes.Report", {Role::ssa, Role::shareholder}},
    {Call::get_object, "Nodes.GetObject", {Role::ssa, Role::shareholder}},
    {Call::sealed, "Nodes.Sealed", {Role::ssa}},
    {Call::get_holdings, "Nodes.GetHoldings", {Role::shareholder}},
    {Call::compare_holdings, "Nodes.CompareHoldings", {Role::shareholder}},
    {Call::get_status, "Administration.GetStatus", {Role::operators}},
    {Call::list_nodes, "Administration.ListNodes", {Role::operators}},
    {Call::set_node, "Administration.SetNode", {Role::operators}},
    {Call::remove_node, "Administration.RemoveNode", {Role::operators}},
    {Call::list_associations, "Administration.ListAssociations", {Role::operators}},
    {Call::list_events, "Administration.ListEvents", {Role::operators}},
    {Call::watch_events, "Administration.WatchEvents", {Role::operators}},
    {Call::list_alarms, "Administration.ListAlarms", {Role::operators}},
    {Call::list_decisions, "Administration.ListDecisions", {Role::operators}},
    {Call::start_reshare, "Reshares.Start", {Role::owner, Role::operators}},
    {Call::cancel_reshare, "Reshares.Cancel", {Role::owner, Role::operators}},
    {Call::list_reshares, "Reshares.List", {Role::owner, Role::operators}},
    {Call::replace, "Reshares.Replace", {Role::operators}},
    {Call::cancel_replacement, "Reshares.CancelReplacement", {Role::operators}},
    {Call::list_replacements, "Reshares.ListReplacements", {Role::operators}},
    {Call::get_configuration, "Configuration.Get", {Role::operators}},
    {Call::list_versions, "Configuration.ListVersions", {Role::operators}},
    {Call::apply_configuration, "Configuration.Apply", {Role::operators}},
    {Call::list_accounts, "Accounting.ListRecords", {Role::owner, Role::operators}},
    {Call::list_usage, "Accounting.ListUsage", {Role::owner, Role::operators}},
    {Call::list_domains, "Domains.List", {Role::operators}},
};
static_assert(sizeof rights / sizeof rights[0] == calls_count);

const Right* right_of(Call call) noexcept {
  for (const Right& right : rights) {
    if (right.call == call) {
      return &right;
    }
  }
  return nullptr;
}

}  // namespace

std::string_view name(Call call) noexcept {
  const Right* const right = right_of(call);
  return right == nullptr ? "" : right->name;
}

bool may(Roles roles, Call call) noexcept {
  const Right* const right = right_of(call);
  if (right == nullptr) {
    return false;
  }
  for (std::size_t i = 0; i < pki::roles_count; ++i) {
    const auto role = static_cast<Role>(i);
    if (roles.has(role) && right->roles.has(role)) {
      return true;
    }
  }
  return false;
}

bool goes_on_unlogged(Call call) noexcept {
  const Right* const right = right_of(call);
  if (right == nullptr || call == Call::set_node || call == Call::remove_node) return false;
  return right->name.starts_with("Nodes.") || right->name.starts_with("Administration.");
}

}  // namespace ssn::controller
