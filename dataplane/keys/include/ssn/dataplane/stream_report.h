// SPDX-License-Identifier: BSD-3-Clause
// What can be said of one end of a key stream without touching it.
#pragma once

#include <cstdint>

#include "ssn/key_device.h"
#include "ssn/protocol/key_account.h"

namespace ssn::dataplane {

struct StreamReport {
  protocol::KeyAccount account;
  ssn_key_stream_statistics statistics{};    ///< stock (level), rate, how often starved or stalled
  std::uint64_t available = 0;               ///< delivered and not yet taken (senders and random streams)
  std::uint64_t health = SSN_KEY_HEALTH_OK;  ///< of enum ssn_key_health
};

}  // namespace ssn::dataplane
