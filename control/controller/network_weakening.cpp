// SPDX-License-Identifier: BSD-3-Clause
// What a change of the network's configuration takes from the protection of objects.
#include <fmt/core.h>

#include <algorithm>

#include "network_document.h"

namespace ssn::controller {
namespace {

std::uint32_t hidden_of(const ClassPolicy& policy) {
  const Result<Layout> layout = layout_for(WriteRequest(), policy);
  return layout.ok() ? secrecy_threshold(layout.value()) : 0;
}

std::uint32_t written_of(const ClassPolicy& policy) {
  const Result<Layout> layout = layout_for(WriteRequest(), policy);
  return layout.ok() ? layout.value().minimum : 0;
}

// Of new objects of one class, or of those without one.
void compare_objects(const std::string& of, const ClassPolicy& before, const ClassPolicy& after,
                     std::vector<std::string>& out) {
  const auto less = [&](std::uint32_t was, std::uint32_t is, const char* text) {
    if (is < was) out.push_back(fmt::format("{}: {} instead of {} {}", of, is, was, text));
  };
  less(hidden_of(before), hidden_of(after), "shares together reveal nothing");
  less(before.n - before.k, after.n - after.k, "shares may be lost");
  less(written_of(before), written_of(after), "shareholders must have an object before it counts");
  less(before.domains, after.domains, "sites are enough");
  if (after.minimum_protection < before.minimum_protection) {
    out.push_back(fmt::format("{}: protection {} is enough, it was {}", of, name(after.minimum_protection),
                              name(before.minimum_protection)));
  }
  if (before.keys.random == RandomDemand::stream && after.keys.random == RandomDemand::any) {
    out.push_back(fmt::format("{}: random blocks may come from generators, not only from key devices", of));
  }
  if (before.keys.shortage != ShortageDemand::any && after.keys.shortage == ShortageDemand::any) {
    out.push_back(fmt::format("{}: nodes that send under a cipher when keys run short may have them", of));
  }
}

// What guards against domains that nobody names any more.
void compare_labels(const Policy& before, const Policy& after, std::vector<std::string>& out) {
  for (const auto& [node, was] : before.deployment.labels) {
    const auto found = after.deployment.labels.find(node);
    const Labels is = found == after.deployment.labels.end() ? Labels() : found->second;
    for (std::size_t i = 0; i < labels_count; ++i) {
      if (!was.values[i].empty() && is.values[i].empty()) {
        out.push_back(fmt::format("node {}: its {} is not known any more, and not guarded against", node,
                                  name(static_cast<Label>(i))));
      }
    }
  }
}

// Who may speak for another domain, and what of ours is open to it.
void compare_domains(const Policy& before, const Policy& after, std::vector<std::string>& out) {
  for (const auto& [domain, is] : after.agreements) {
    const auto found = before.agreements.find(domain);
    const DomainAgreement was = found == before.agreements.end() ? DomainAgreement() : found->second;
    if (!was.identity.empty() && was.identity != is.identity) {
      out.push_back(
          fmt::format("domain {}: {} speaks for it instead of {}", domain, is.identity, was.identity));
    }
    for (const auto& [now, then] : {std::pair{&is.lends, &was.lends}, {&is.lends_sites, &was.lends_sites}}) {
      for (const std::string& each : *now) {
        if (std::find(then->begin(), then->end(), each) == then->end()) {
          out.push_back(fmt::format("domain {}: {} is lent to it", domain, each));
        }
      }
    }
  }
}

void compare_owners(const Policy& before, const Policy& after, std::vector<std::string>& out) {
  for (const auto& [owner, was] : before.owners) {
    if (!was.classes) continue;
    const auto found = after.owners.find(owner);
    if (found == after.owners.end() || !found->second.classes) {
      out.push_back(fmt::format("owner {}: any class and any scheme is allowed", owner));
      continue;
    }
    for (const std::string& each : *found->second.classes) {
      if (std::find(was.classes->begin(), was.classes->end(), each) == was.classes->end() &&
          each != was.default_class) {
        out.push_back(fmt::format("owner {}: class {} is allowed too", owner, each));
      }
    }
  }
}

}  // namespace

std::vector<std::string> weakened_by(const Policy& before, const Policy& after) {
  std::vector<std::string> out;
  compare_objects("objects without a class", before, after, out);
  for (const auto& [name, was] : before.classes) {
    compare_objects(fmt::format("class {}", name), was, class_of(after, name), out);
  }
  compare_labels(before, after, out);
  compare_owners(before, after, out);
  compare_domains(before, after, out);
  for (const std::string& manager : after.deployment.delivered_once) {
    if (!before.deployment.delivered_once.contains(manager)) {
      out.push_back(
          fmt::format("key manager {}: is believed to deliver each key once, so pads may be kept", manager));
    }
  }
  if (before.reshare_after_ms != 0 && after.reshare_after_ms == 0) {
    out.push_back("shares of shareholders that failed are not made again by themselves any more");
  }
  if (before.repair_after_ms != 0 && after.repair_after_ms == 0) {
    out.push_back("shares that are lost are not made again by themselves any more");
  }
  const std::uint64_t every = after.refresh_every_ms;
  if (before.refresh_every_ms != 0 && (every == 0 || every > before.refresh_every_ms)) {
    out.push_back(every == 0 ? "shares are not renewed by themselves any more"
                             : "shares are renewed less often: who collects old ones has more time");
  }
  return out;
}

}  // namespace ssn::controller
