// SPDX-License-Identifier: BSD-3-Clause
// Signatures beside a document: one detached CMS SignedData (RFC 5652) in PEM, with a SignerInfo for each who
// signed, so that `openssl cms -verify` reads it, too. Who may sign is said by certificates that are given
// one by one (pinned), not by an authority: whoever commands the authority commands no membership.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "certificate.h"
#include "issuer.h"
#include "ssn/hw/result.h"

namespace ssn::membership {

inline constexpr std::size_t signatures_max = std::size_t{64} << 10;  ///< bytes
inline constexpr std::size_t signers_max = 32;

/// Those who may sign, as pinned.
struct Signers {
  std::vector<pki::CertificatePointer> certificates;
  std::string file;  ///< for errors
};

/// Of PEM. refused: there is none, there are too many, two have one key, or one was not issued for signing
/// documents (RFC 9336: `ssn pki issue --role signer`). Their dates are not looked at: a pin is taken back by
/// taking it out of the file.
Result<Signers> read_signers(std::string_view pem, const std::string& file);

/// Names (CN) of those of `signers` whose signature of exactly these bytes is good, each once, in their
/// order. What others signed, or what is no good, counts for nothing. integrity: the file is no such
/// SignedData.
Result<std::vector<std::string>> who_signed(std::string_view text, std::string_view signatures,
                                            const Signers& signers, const std::string& file);

/// `signatures` with one more, or the first one where they are empty; as they are where it is there already.
/// refused: the key is not the certificate's, or that was not issued for signing documents; integrity: those
/// that are there are of other bytes.
Result<std::string> add_signature(std::string_view text, std::string_view signatures,
                                  std::string_view certificate_pem, std::string_view key_pem,
                                  const std::string& file);

}  // namespace ssn::membership
