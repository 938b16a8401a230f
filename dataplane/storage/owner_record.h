// SPDX-License-Identifier: BSD-3-Clause
// One session of an owner as the control side has it.
#pragma once

#include "owner_sessions.h"

namespace ssn::dataplane {

struct OwnerSessions::Record {
  enum class State : std::uint8_t {
    late,     ///< the worker did not say whether it has it
    open,     ///< the worker has it
    closing,  ///< it was told to let go
    over,
  };

  // Never changed once it is found in a map.
  std::uint64_t id = 0;
  std::string owner;
  agent::SessionObject key;
  unsigned worker = 0;
  StorageMember* member = nullptr;
  std::uint16_t slot = 0;
  controller::Object object;

  /// Held by whoever gives the session to a worker or looks what came of it: one at a time.
  std::mutex busy;
  State state = State::late;
  Ticket ticket = 0;
  bool unwanted = false;  ///< the owner closed it, or the controller gave it up
  bool finished = false;
  std::uint64_t size = 0;
  agent::WriteStatus status;
  OwnerRates::Held rates;  ///< longer than the session's write or read
  OwnerSession session;
};

/// What the controller is told of a write that ended well.
controller::SealedReport sealed_report(const OwnerSessions::Record& record,
                                       const std::vector<PeerConfiguration>& peers);

}  // namespace ssn::dataplane
