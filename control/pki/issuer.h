// SPDX-License-Identifier: BSD-3-Clause
// Makes private keys, certificates (X.509 version 3, RFC 5280), requests for them (PKCS #10, RFC 2986) and
// revocation lists, in memory. ECDSA over P-256: the only kind that the TLS 1.3 of packaged gRPC is left with
// when TLS 1.2 is out (credentials.h). No files, no gRPC.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "openssl_types.h"
#include "ssn/hw/result.h"

namespace ssn::pki {

/// Longest chain of certificates, each signed by the next.
inline constexpr std::size_t chain_max = 8;

/// PEM of a private key; erased in the end.
class SecretText {
 public:
  SecretText() = default;
  explicit SecretText(std::string&& text) : text_(std::move(text)) {}
  SecretText(SecretText&& other) noexcept : text_(std::move(other.text_)) { other.erase(); }
  SecretText& operator=(SecretText&& other) noexcept;
  SecretText(const SecretText&) = delete;
  SecretText& operator=(const SecretText&) = delete;
  ~SecretText() { erase(); }
  std::string_view view() const noexcept { return text_; }

 private:
  void erase() noexcept;
  std::string text_;
};

/// What a certificate is to say of its holder.
struct Subject {
  enum class Use : std::uint8_t {
    authority,  ///< signs certificates and lists of revoked ones, and nothing else
    node,       ///< is asked and asks: serverAuth and clientAuth
    client,     ///< only asks: clientAuth
    signer,     ///< signs documents (RFC 9336), and is nobody on a connection
  };
  Use use = Use::client;
  std::string name;                     ///< common name
  std::vector<std::string> roles;       ///< organizational units: certificate.h
  std::vector<std::string> alternates;  ///< "DNS:example.org", "IP:192.0.2.1"
};

/// What a certificate says. Alternates of other kinds than DNS and IP are left out.
Subject subject_of(const X509& certificate);
/// Of its one common name; empty when there is none, or several.
std::string common_name_of(const X509_NAME& name);
/// Its organizational units.
std::vector<std::string> units_of(const X509_NAME& name);
/// Whether it was issued for signing documents: RFC 9336.
bool signs_documents(const X509& certificate);
/// Hexadecimal, upper case, two digits a byte, as OpenSSL writes it.
std::string serial_of(const X509& certificate);
/// Seconds since 1970.
std::int64_t end_of(const X509& certificate);
std::int64_t seconds_of(const ASN1_TIME* time);

/// Seconds since 1970.
struct Validity {
  std::int64_t from = 0;
  std::int64_t until = 0;
};
/// Both 0 where the list does not say.
Validity validity_of(const X509_CRL& list);

struct Signer {
  X509* certificate;
  EVP_PKEY* key;
};

struct Revoked {
  std::string serial;     ///< hexadecimal
  std::int64_t time = 0;  ///< seconds since 1970
  int reason = 0;         ///< CRLReason of RFC 5280, 5.3.1
};

/// Errors are `failed` with OpenSSL's reason.
Error openssl_error(const char* what);

Result<KeyPointer> make_key();
/// For the holder of `key`, signed by `signer`; by itself where that is null. With a random serial number,
/// from an hour ago (clocks differ) until so many days from now.
Result<CertificatePointer> make_certificate(const Subject& subject, unsigned days, EVP_PKEY& key,
                                            const Signer* signer);
Result<RequestPointer> make_request(const Subject& subject, EVP_PKEY& key);
/// `lists`: numbered from 1, each one higher than the one before.
Result<ListPointer> make_revocation_list(const std::vector<Revoked>& revoked, std::uint64_t number,
                                         unsigned days, const Signer& signer);

Result<std::string> to_pem(X509& certificate);
Result<std::string> to_pem(X509_REQ& request);
Result<std::string> to_pem(X509_CRL& list);
Result<SecretText> to_pem(EVP_PKEY& key);

/// Null where there is none; encrypted ones count as none.
CertificatePointer certificate_from(std::string_view pem);
std::vector<CertificatePointer> certificates_from(std::string_view pem, std::size_t most);
RequestPointer request_from(std::string_view pem);
ListPointer list_from(std::string_view pem);
std::vector<ListPointer> lists_from(std::string_view pem, std::size_t most);
KeyPointer key_from(std::string_view pem);

}  // namespace ssn::pki
