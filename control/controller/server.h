// SPDX-License-Identifier: BSD-3-Clause
// The catalogue over gRPC: control/api/controller.proto. No gRPC type here.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "catalogue.h"
#include "reshare_manager.h"
#include "ssn/hw/result.h"

namespace ssn::audit {
class AuditLog;
}
namespace ssn::pki {
class LiveIdentity;
}

namespace ssn::controller {

struct ServerSettings {
  std::string name;    ///< the CN of its certificate must be the same
  std::string listen;  ///< "192.0.2.10:7100"; port 0: any that is free
  std::string certificate;
  std::string key;
  std::string ca;
  std::string crl = {};  ///< what the authorities in `ca` revoked; empty: nobody is looked up
};

/// What the controller shows, and whom it believes: of its server, and of what asks nodes.
Result<std::shared_ptr<pki::LiveIdentity>> open_identity(const ServerSettings& settings);

class Server {
 public:
  /// Listens and answers out of the catalogue and, where they are given, the manager and the book. Every
  /// decision goes to `audit`; null: nowhere. All must outlive it.
  /// Looks at the files of `live` from now on. Sets GRPC_SSL_CIPHER_SUITES in the environment, so no other
  /// thread may read that meanwhile.
  static Result<std::unique_ptr<Server>> start(const ServerSettings& settings,
                                               std::shared_ptr<pki::LiveIdentity> live, Catalogue& catalogue,
                                               ReshareManager* reshares, std::function<Now()> clock,
                                               audit::AuditLog* audit = nullptr,
                                               DomainBook* domains = nullptr);
  /// Ends calls that take longer than half a second.
  virtual ~Server() = default;
  /// With the real port.
  virtual const std::string& listening() const = 0;
};

}  // namespace ssn::controller
