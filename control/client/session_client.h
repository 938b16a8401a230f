// SPDX-License-Identifier: BSD-3-Clause
// Asks the agent of an SSA for sessions, as a data owner (control/api/session.proto). No gRPC type: whoever
// includes this is spared its headers.
#pragma once

#include <chrono>
#include <memory>
#include <string>

#include "ssn/dataplane/session_host.h"
#include "ssn/hw/result.h"

namespace ssn::client {

struct SessionPlace {
  std::string address;      ///< of the agent: "192.0.2.1:7000"
  std::string name;         ///< of the node: nobody else is asked, and its certificate must be that of an SSA
  std::string certificate;  ///< PEM files of the one who asks
  std::string key;
  std::string ca;
  std::string crl = {};  ///< what the authorities in `ca` revoked; empty: nobody is looked up
};

/// Thread-safe. Nothing is repeated by itself; what may be: session.proto.
class SessionClient {
 public:
  /// Prepares only; the first call connects. `patience` is for each call, beyond what finish() waits.
  static Result<std::unique_ptr<SessionClient>> make(
      const SessionPlace& place, std::chrono::milliseconds patience = std::chrono::seconds(15));
  virtual ~SessionClient() = default;

  /// `request.owner` is not sent: the certificate says it.
  virtual Result<agent::Session> open_write(const agent::SessionRequest& request) = 0;
  virtual Result<agent::Session> open_read(const agent::SessionRequest& request) = 0;
  virtual Result<agent::WriteStatus> finish(std::uint64_t session, std::uint64_t size, std::uint64_t blocks,
                                            std::chrono::milliseconds wait) = 0;
  virtual Outcome close(std::uint64_t session) = 0;
};

}  // namespace ssn::client
