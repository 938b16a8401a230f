// SPDX-License-Identifier: BSD-3-Clause
// A certificate authority in a folder, laid out as `openssl ca` wants it, so that its files outlive this
// program:
//
//   ca.crt      who to trust: our certificate, then those above it up to the root
//   ca.key      our private key, mode 0600
//   ca.crl      what is revoked; replaced by every revocation, and by crl()
//   index.txt   a line for each certificate: state, end, revocation, serial number, file, holder
//   index.txt.attr   that a name may have several certificates, for `openssl ca`
//   crlnumber   of the next list, hexadecimal
//   issued/     each certificate that was issued, by serial number
//   ca.csr      until an outside authority has signed it
//
// Every change takes a lock on the folder, and adds a whole line or replaces a whole file, so two commands at
// once, and one that is killed, leave it in order: at worst issued/ has a file that the index does not name,
// whose certificate was never handed out, or ca.crl lacks what the index says (crl makes it anew). Not
// thread-safe.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "issuer.h"
#include "ssn/hw/result.h"

namespace ssn::pki {

/// One line of the index.
struct IssuedRecord {
  enum class State : std::uint8_t { valid, expired, revoked };
  State state = State::valid;
  std::string serial;      ///< hexadecimal, upper case
  std::string name;        ///< common name
  std::int64_t until = 0;  ///< seconds since 1970
  std::int64_t revoked_at = 0;
  std::string reason;  ///< of the revocation, as RFC 5280 names it; empty: unspecified
};

/// Names of holders go into the index, file names and certificates: 1 to 64 letters, digits and . _ - @ :
Outcome check_name(const std::string& name);

/// "keyCompromise" and the like, as RFC 5280, 5.3.1, names them; nothing for others. certificateHold and
/// removeFromCRL are not among them: what is revoked stays revoked.
std::optional<int> revocation_reason(std::string_view name) noexcept;
std::vector<std::string> revocation_reasons();

struct IssuedCertificate {
  std::string serial;
  std::string certificate;  ///< PEM, with the chain below the root
  SecretText key;           ///< PEM; empty where the holder has it
  unsigned days = 0;        ///< that it lasts
};

class Authority {
 public:
  static constexpr unsigned days_max = 36500;
  static constexpr unsigned days_default = 365;
  static constexpr unsigned list_days_default = 30;
  static constexpr std::size_t certificates_max = 100'000;

  /// In a folder that does not exist, or is empty. The certificate signs itself.
  static Outcome make(const std::string& folder, const std::string& name, unsigned days);
  /// The same, but somebody else is to sign ca.csr: complete().
  static Outcome make_request(const std::string& folder, const std::string& name);
  /// Takes the certificate that was made from ca.csr, followed by those above it up to the root.
  static Outcome complete(const std::string& folder, const std::string& chain_pem);

  /// Reads it; refuses a key that others may read, and a folder that is not complete.
  static Result<Authority> open(const std::string& folder);

  /// With a fresh key. Several valid certificates of one name may exist (renewal). None outlives the
  /// authority: without `days` it lasts for days_default or what is left, more is refused.
  Result<IssuedCertificate> issue(const Subject& subject, std::optional<unsigned> days);
  /// For the key that the request was signed with. What it asks for is not taken over: `subject` says.
  Result<IssuedCertificate> sign(const std::string& request_pem, const Subject& subject,
                                 std::optional<unsigned> days);
  /// The newest certificate of that name that is not revoked, with another term; with the same key, or a new
  /// one. An authority's own certificate is not renewed so.
  Result<IssuedCertificate> renew(const std::string& name, std::optional<unsigned> days, bool new_key);

  /// All that are valid of a common name, or the one with that serial number. Returns how many that were:
  /// none, if all of them are revoked already. Makes ca.crl anew.
  Result<std::size_t> revoke(const std::string& name_or_serial, const std::string& reason,
                             unsigned list_days);
  /// Makes ca.crl anew; to be done before it ends.
  Outcome renew_list(unsigned days);

  /// When it ends, or one above it. Seconds since 1970.
  std::int64_t until() const;
  /// Of ca.crl. Both 0 where there is none that can be read.
  Validity list_validity() const;

  Result<std::vector<IssuedRecord>> list() const;
  /// PEM of one that was issued.
  Result<std::string> certificate(const std::string& serial) const;

 private:
  explicit Authority(std::string folder) : folder_(std::move(folder)) {}

  Result<IssuedCertificate> issue_for(EVP_PKEY& key, const Subject& subject, std::optional<unsigned> days);
  Result<unsigned> days_for(std::optional<unsigned> wanted) const;
  Outcome write_list(const std::vector<IssuedRecord>& records, unsigned days);
  Signer signer() const noexcept { return {chain_.front().get(), key_.get()}; }

  std::string folder_;
  std::vector<CertificatePointer> chain_;
  KeyPointer key_;
};

}  // namespace ssn::pki
