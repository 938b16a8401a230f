// SPDX-License-Identifier: BSD-3-Clause
// Who calls. Everybody is nobody until proven otherwise.
#pragma once

#include <cstdint>
#include <string>

#include "live_identity.h"

namespace grpc {
class AuthContext;
}

namespace ssn::pki {

struct Caller {
  enum class Kind : std::uint8_t {
    nobody,
    local,      ///< came through the local socket
    certified,  ///< over TLS, with a certificate that is to be believed now: signed, valid, not revoked
  };
  Kind kind = Kind::nobody;
  std::string name;  ///< common name; empty where the certificate has not exactly one
  Roles roles;       ///< of the certificate; none where `name` is empty
  std::string why;   ///< it is nobody; empty for others
};

/// Of the connection that a call came on; or, for a client (`peer` is a server), of the server. Judged by
/// `live` as it is now, however old the connection is. Without: local ones only.
Caller caller_of(const grpc::AuthContext& context, LiveIdentity* live, Purpose peer = Purpose::client);

/// Who is at the other end of a call, to be judged again while it goes on. Any thread.
class CallerProof {
 public:
  CallerProof(const grpc::AuthContext& context, LiveIdentity* live, Purpose peer = Purpose::client);
  /// At first.
  const Caller& caller() const noexcept { return caller_; }
  /// In PEM; empty where there is none.
  const std::string& certificate() const noexcept { return certificate_; }
  /// Whether it would be the same now. What came through the local socket is.
  bool holds() const;

 private:
  LiveIdentity* live_;
  Purpose peer_;
  std::string certificate_;
  std::string chain_;
  Caller caller_;
};

}  // namespace ssn::pki
