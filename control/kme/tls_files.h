// SPDX-License-Identifier: BSD-3-Clause
// OpenSSL contexts for both directions that follow a LiveIdentity: every handshake shows the certificate of
// now and judges the other side by the authorities and lists of now, whenever the context was made.
#pragma once

#include <openssl/types.h>

#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "issuer.h"
#include "live_identity.h"
#include "ssn/hw/result.h"

namespace ssn::kme {

/// No resumption, no renegotiation: every connection proves itself anew. Thread-safe. Outlives the contexts.
class LiveTls {
 public:
  /// `peer`: what the other side does. With `expected` nobody but the holder of a certificate with this
  /// common name will do.
  LiveTls(std::shared_ptr<pki::LiveIdentity> live, pki::Purpose peer, std::string expected = "")
      : live_(std::move(live)), peer_(peer), expected_(std::move(expected)) {}
  LiveTls(const LiveTls&) = delete;
  LiveTls& operator=(const LiveTls&) = delete;

  /// TLS 1.2 or later, as ETSI GS QKD 014 wants it, or 1.3 only.
  Outcome set_up(SSL_CTX& context, bool tls_1_3_only);
  /// Whether the other side of a connection would be believed now.
  bool still_believed(const SSL& connection) const;

 private:
  struct Shown {
    pki::CertificatePointer certificate;
    std::vector<pki::CertificatePointer> chain;
    pki::KeyPointer key;
    std::vector<pki::CertificatePointer> authorities;
  };
  static int show(SSL* connection, void* self);
  static int judge(X509_STORE_CTX* context, void* self);
  std::shared_ptr<const Shown> shown();

  const std::shared_ptr<pki::LiveIdentity> live_;
  const pki::Purpose peer_;
  const std::string expected_;
  std::mutex mutex_;  // of what follows
  std::shared_ptr<const Shown> shown_;
  std::uint64_t generation_ = 0;
};

/// The other side's certificate, then what came with it, each held. Empty before it has proven itself.
std::vector<pki::CertificatePointer> peer_certificates(const SSL& connection);

/// The one common name of the other side's certificate; empty when there is none, or several.
std::string peer_common_name(const SSL& connection);

}  // namespace ssn::kme
