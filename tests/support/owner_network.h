// SPDX-License-Identifier: BSD-3-Clause
// A storage network for a data owner in one process: a real controller and a real agent, over TLS on
// loopback, before a MemorySsa. Shareholders are only registered.
#pragma once

#include <memory>
#include <string>

#include "catalogue.h"
#include "controller_client.h"
#include "memory_ssa.h"
#include "server.h"
#include "ssn/dataplane/agent.h"

namespace ssn::test {

class OwnerNetwork {
 public:
  /// Makes certificates in `folder`, which must not exist: owner.crt, ca.crt, ... Ends the process where
  /// that does not work.
  OwnerNetwork(const std::string& folder, const SsaOptions& options, const controller::Policy& policy = {});
  ~OwnerNetwork();
  OwnerNetwork(const OwnerNetwork&) = delete;
  OwnerNetwork& operator=(const OwnerNetwork&) = delete;

  /// For the certificate `who`.
  client::ControllerPlace place(const std::string& who = "owner") const;
  /// All nodes report: more than five minutes after the last time they are down.
  void report();
  MemorySsa& ssa() { return *ssa_; }
  /// The controller is gone, and comes back with the same catalogue at the same address.
  void stop_controller() { server_.reset(); }
  void start_controller();
  controller::Catalogue& catalogue() { return *catalogue_; }
  static controller::Now now();

 private:
  void start_nodes();

  const std::string folder_;
  std::string listen_ = "127.0.0.1:0";
  std::unique_ptr<controller::Database> database_;
  std::unique_ptr<controller::Catalogue> catalogue_;
  std::unique_ptr<controller::Server> server_;
  std::unique_ptr<client::ControllerClient> as_ssa_;
  std::unique_ptr<MemorySsa> ssa_;
  std::unique_ptr<agent::Agent> agent_;
};

}  // namespace ssn::test
