// SPDX-License-Identifier: BSD-3-Clause
#include "identity_status.h"

#include <fmt/core.h>

#include <algorithm>

namespace ssn::agent {
namespace {

std::uint64_t left(std::int64_t end, std::int64_t now) {
  return static_cast<std::uint64_t>(std::max<std::int64_t>(end - now, 0));
}

}  // namespace

StatusItem status_item(const pki::LiveIdentity::State& state, std::int64_t now) {
  StatusItem item{"certificate", state.name, state.healthy, state.condition, {}};
  item.properties.emplace_back("days left", fmt::format("{}", left(state.ends, now) / 86400));
  if (state.lists_end != 0) {
    item.properties.emplace_back("list of revoked ones, days left",
                                 fmt::format("{}", left(state.lists_end, now) / 86400));
  }
  return item;
}

void add_counters(const pki::LiveIdentity::State& state, std::int64_t now, std::vector<Counter>& out) {
  using enum Counter::Kind;
  out.push_back({"agent.certificate_left_s", left(state.ends, now), gauge});
  if (state.lists_end != 0) {
    out.push_back({"agent.list_left_s", left(state.lists_end, now), gauge});
  }
  out.push_back({"agent.not_believed", state.not_believed, counter});
  out.push_back({"agent.reloads", state.reloads, counter});
  out.push_back({"agent.reloads_bad", state.reloads_bad, counter});
  out.push_back({"agent.revoked", state.revoked, counter});
}

}  // namespace ssn::agent
