// SPDX-License-Identifier: BSD-3-Clause
// Emulated networks in virtual time, for tests.
#pragma once

#include <gtest/gtest.h>

#include "network.h"

namespace ssn::kme::test {

inline const kernels::Implementation& best_kernels() {
  const kernels::Implementation* found = nullptr;
  EXPECT_EQ(kernels::select(found), kernels::Status::ok);
  return *found;
}

inline Configuration two_sites() {
  Configuration configuration;
  for (const char* name : {"a", "b"}) {
    SiteSettings site;
    site.id = std::string("kme-") + name;
    site.sae = {std::string("sae-") + name, std::string("second ") + name};
    configuration.sites.push_back(site);
  }
  LinkSettingsInFile link;
  link.name = "a-b";
  link.sites = {0, 1};
  link.model = {0, 1'000'000, 1'000'000, {}};
  configuration.links.push_back(link);
  return configuration;
}

struct TimedNetwork {
  explicit TimedNetwork(Configuration configuration) {
    network =
        std::move(Network::make(std::move(configuration), best_kernels(), [this] { return now; }).value());
  }
  Microseconds now = 1'000'000;
  std::unique_ptr<Network> network;
};

}  // namespace ssn::kme::test
