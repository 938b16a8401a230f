// SPDX-License-Identifier: BSD-3-Clause
// Makes a ready-to-run test network: CA, certificates and keys of key managers and SAEs, secrets of the
// links, and the configurations of ssn-kme and of the nodes.
#pragma once

#include <string>
#include <vector>

#include "ssn/hw/result.h"

namespace ssn::kme {

struct TestNetwork {
  std::string folder;              ///< made; must not exist, or be empty
  std::vector<std::string> sites;  ///< "a" becomes the KME kme-a with the SAE sae-a; every two get a link
  unsigned port = 0;  ///< of the first site, the next ones follow, then those for key managers; 0: any
  unsigned days = 3650;
};

/// What was written, first the configuration.
Result<std::vector<std::string>> make_test_network(const TestNetwork& wanted);

}  // namespace ssn::kme
