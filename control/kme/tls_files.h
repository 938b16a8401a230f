// SPDX-License-Identifier: BSD-3-Clause
// Sets up OpenSSL contexts from certificate files, for both directions.
#pragma once

#include <openssl/types.h>

#include <string>

#include "ssn/hw/result.h"

namespace ssn::kme {

struct TlsFiles {
  std::string certificate;  ///< PEM, with its chain
  std::string key;          ///< PEM, readable by this user only
  std::string ca;           ///< PEM: who may have signed the certificates of others
};

/// TLS 1.2 or later, our certificate, theirs required and verified. No resumption, no renegotiation: every
/// connection proves itself anew.
Outcome set_up_tls(SSL_CTX& context, const TlsFiles& files);

/// For a client: connects to nobody but the holder of a certificate with this common name. `expected` must
/// outlive the context.
void expect_common_name(SSL_CTX& context, const std::string& expected);

/// The one common name of the other side's certificate; empty when there is none, or several.
std::string peer_common_name(const SSL& connection);

}  // namespace ssn::kme
