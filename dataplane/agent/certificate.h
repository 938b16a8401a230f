// SPDX-License-Identifier: BSD-3-Clause
// X.509 certificates: whose one is, and whether ours will do. No gRPC.
#pragma once

#include <string>
#include <string_view>

#include "ssn/hw/result.h"

namespace ssn::agent {

/// Longest name of a node or operator.
inline constexpr std::size_t common_name_max = 128;

/// The common name of the first certificate in PEM. Empty when there is none, several, or one that is not 1
/// to common_name_max printable ASCII characters: such a holder is nobody.
std::string common_name_of(std::string_view pem);

struct IdentityFiles {
  std::string certificate;  ///< PEM, with its chain
  std::string key;          ///< PEM
  std::string ca;           ///< PEM
};

/// What the files hold. The key is erased in the end, as far as we hold it.
struct Identity {
  std::string name;  ///< common name
  std::string certificate;
  std::string key;
  std::string ca;

  Identity() = default;
  Identity(Identity&&) noexcept = default;
  Identity& operator=(Identity&&) noexcept = default;
  Identity(const Identity&) = delete;
  Identity& operator=(const Identity&) = delete;
  ~Identity();
};

/// What the certificate is for: a node is asked and asks (serverAuth and clientAuth), an operator only asks.
enum class CertificateUse { node, client };

/// Reads and checks: nobody else can read the key, it belongs to the certificate, which is valid now, for
/// this use, and signed by the CA. So what is wrong is said here and not by a handshake.
Result<Identity> load_identity(const IdentityFiles& files, CertificateUse use);

}  // namespace ssn::agent
