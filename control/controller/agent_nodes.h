// SPDX-License-Identifier: BSD-3-Clause
// Asks the agents of nodes what re-sharing asks: control/api/operation.proto, service Resharing, over mutual
// TLS 1.3 with the controller's certificate. No gRPC type here.
#pragma once

#include <memory>

#include "reshare_manager.h"
#include "server.h"

namespace ssn::controller {

/// A few threads; each node is asked one thing at a time, in order, and has three seconds for it. Questions
/// to a node that wait for longer ones are bounded. Ends when those that run are over.
/// A node is judged before anything is sent to it, and again after each change of the files of `live`, which
/// somebody else must look at.
std::unique_ptr<ReshareNodes> make_agent_nodes(std::shared_ptr<pki::LiveIdentity> live);

}  // namespace ssn::controller
