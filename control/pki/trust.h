// SPDX-License-Identifier: BSD-3-Clause
// Whom we believe: authorities, and what they revoked. Judges certificates at a time that the caller gives.
// No gRPC, no files.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "openssl_types.h"
#include "ssn/hw/result.h"

namespace ssn::pki {

/// What the holder of a certificate does on this connection.
enum class Purpose : std::uint8_t { client, server };

/// Immutable; any thread.
class Trust {
 public:
  static constexpr std::size_t authorities_max = 8;
  static constexpr std::size_t lists_max = 16;

  struct Source {
    std::string_view authorities;  ///< PEM
    std::string_view lists;        ///< PEM of lists of revoked certificates, where `checks_lists`
    bool checks_lists = false;
    std::string authorities_file;  ///< for errors
    std::string lists_file;
  };
  /// Every list must be signed by one of the authorities and be valid now.
  static Result<std::shared_ptr<const Trust>> make(const Source& source, std::int64_t now);

  /// Seconds since 1970.
  struct Judgement {
    int error = 0;           ///< X509_V_ERR_...; X509_V_OK: it is to be believed
    std::int64_t until = 0;  ///< as long as this: end of the chain, and of the lists that were looked at
  };
  /// `chain`: what came with it. With lists, its issuer must have given one, which must not have ended; those
  /// above it are looked up where there is a list of their issuer.
  Judgement judge(X509& certificate, const std::vector<CertificatePointer>& chain, Purpose purpose,
                  std::int64_t now) const;
  /// The same without looking it up: for our own.
  Judgement judge_unlisted(X509& certificate, const std::vector<CertificatePointer>& chain, Purpose purpose,
                           std::int64_t now) const;

  bool checks_lists() const noexcept { return checks_lists_; }
  /// When the first list ends, and began; 0 without lists.
  std::int64_t lists_end() const noexcept { return lists_end_; }
  std::int64_t lists_begin() const noexcept { return lists_begin_; }

 private:
  using Store = std::unique_ptr<X509_STORE, OpensslDeleter<X509_STORE_free>>;

  Trust() = default;
  Outcome add_lists(const Source& source, const std::vector<CertificatePointer>& authorities,
                    std::int64_t now);
  Judgement verify(X509& certificate, const std::vector<CertificatePointer>& chain, Purpose purpose,
                   std::int64_t now, bool looks_up) const;

  Store store_;
  bool checks_lists_ = false;
  std::int64_t lists_end_ = 0;
  std::int64_t lists_begin_ = 0;
};

}  // namespace ssn::pki
