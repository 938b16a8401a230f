// SPDX-License-Identifier: BSD-3-Clause
// What `ssn kme status` shows, as a document and as text.
#pragma once

#include <string>
#include <vector>

#include "key_delivery.h"
#include "network.h"

namespace ssn::kme {

struct NicReport {
  bool present = false;
  std::string socket;
  std::uint64_t connections = 0, streams = 0, delivered_bytes = 0, redelivered_blocks = 0, faults = 0;
};

struct StatusReport {
  std::string name;
  std::vector<LinkReport> links;
  std::vector<SiteReport> sites;
  std::vector<unsigned> ports;                 ///< one per site; 0: not served
  std::vector<const KeyDelivery*> deliveries;  ///< one per site; null: not served
  std::vector<NicReport> nics;                 ///< one per site
};

std::string status_document(const StatusReport& report);
std::string status_text(const StatusReport& report);

}  // namespace ssn::kme
