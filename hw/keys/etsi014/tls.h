// SPDX-License-Identifier: BSD-3-Clause
// Mutual TLS to the key manager: who we are, whom we trust, and that the other side is the KME that it should
// be.
#pragma once

#include <openssl/ssl.h>

#include <memory>
#include <string>

#include "settings.h"
#include "ssn/hw/result.h"

namespace ssn::hw::etsi014 {

class TlsContext {
 public:
  static Result<TlsContext> make(const Settings& settings);

  SSL_CTX* get() const noexcept { return context_.get(); }

 private:
  struct Free {
    void operator()(SSL_CTX* context) const noexcept { SSL_CTX_free(context); }
  };
  std::unique_ptr<SSL_CTX, Free> context_;
};

/// After a handshake: empty where the peer's certificate was issued to `kme_id` (its subject's common name),
/// otherwise what is wrong.
std::string kme_identity_error(const SSL* ssl, const std::string& kme_id);

/// What OpenSSL has to say about the last failure in this thread; empties its queue.
std::string openssl_reason();

}  // namespace ssn::hw::etsi014
