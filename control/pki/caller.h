// SPDX-License-Identifier: BSD-3-Clause
// Who calls. Everybody is nobody until proven otherwise.
#pragma once

#include <cstdint>
#include <string>

#include "certificate.h"

namespace grpc {
class AuthContext;
}

namespace ssn::pki {

struct Caller {
  enum class Kind : std::uint8_t {
    nobody,
    local,      ///< came through the local socket
    certified,  ///< over TLS, with a certificate that our CA signed
  };
  Kind kind = Kind::nobody;
  std::string name;  ///< common name; empty where the certificate has not exactly one
  Roles roles;       ///< of the certificate; none where `name` is empty
};

/// Of the connection that a call came on; or, for a client, of the server.
Caller caller_of(const grpc::AuthContext& context);

}  // namespace ssn::pki
