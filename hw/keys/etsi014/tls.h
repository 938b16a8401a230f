// SPDX-License-Identifier: BSD-3-Clause
// Mutual TLS to the key manager: who we are, whom we trust, and that the other side is the KME that it should
// be.
#pragma once

#include <openssl/ssl.h>

#include <array>
#include <memory>
#include <string>

#include "settings.h"
#include "ssn/hw/file_stamp.h"
#include "ssn/hw/result.h"

namespace ssn::hw::etsi014 {

class TlsContext {
 public:
  /// Fails where the files cannot be used as they are now.
  static Result<TlsContext> make(const Settings& settings);

  SSL_CTX* get() const noexcept { return context_.get(); }

 private:
  struct Free {
    void operator()(SSL_CTX* context) const noexcept { SSL_CTX_free(context); }
  };
  std::unique_ptr<SSL_CTX, Free> context_;
};

/// The context by what the files say now. What cannot be used counts for nothing: what was there before
/// stays. One thread.
class LiveTls {
 public:
  static constexpr Time look_interval = 1000;

  /// `settings` must outlive it.
  static Result<LiveTls> make(const Settings& settings);

  /// Looks at the files, once a second at most. True where something else counts from now on.
  bool look(Time now);
  Time next_look() const noexcept { return next_look_; }
  SSL_CTX* get() const noexcept { return context_.get(); }
  /// Why changed files cannot be used; empty: they can. Told after the second try, because files that belong
  /// together do not come at once.
  const std::string& trouble() const noexcept { return trouble_; }

 private:
  using Stamps = std::array<FileStamp, 4>;

  LiveTls(const Settings& settings, Stamps taken, TlsContext context)
      : settings_(&settings), context_(std::move(context)), taken_(taken) {}
  static Stamps stamps_of(const Settings& settings);

  const Settings* settings_;
  TlsContext context_;
  Stamps taken_;    // of what counts
  Stamps tried_{};  // of what could not be used
  unsigned tries_ = 0;
  std::string trouble_;
  Time next_look_ = 0;
};

/// After a handshake: empty where the peer's certificate was issued to `kme_id` (its subject's common name),
/// otherwise what is wrong.
std::string kme_identity_error(const SSL* ssl, const std::string& kme_id);

/// What OpenSSL has to say about the last failure in this thread; empties its queue.
std::string openssl_reason();

}  // namespace ssn::hw::etsi014
