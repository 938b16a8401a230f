// SPDX-License-Identifier: BSD-3-Clause
// X.509 certificates: whose one is, and whether ours will do. No gRPC.
#pragma once

#include <openssl/types.h>

#include <cstdint>
#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>

#include "ssn/hw/result.h"

namespace ssn::pki {

/// Longest name of a node or operator.
inline constexpr std::size_t common_name_max = 128;

/// What a holder is: the organizational units (OU) of the certificate, one each; others mean nothing.
enum class Role : std::uint8_t {
  owner,        ///< "owner": puts and gets data
  ssa,          ///< "ssa": makes shares and reconstructs
  shareholder,  ///< "shareholder": stores shares
  controller,   ///< "controller"
  operators,    ///< "operator": looks and commands
};
inline constexpr std::size_t roles_count = 5;
/// "owner", ...
std::string_view name(Role role) noexcept;

/// A set of roles.
class Roles {
 public:
  constexpr Roles() = default;
  constexpr Roles(std::initializer_list<Role> roles) {
    for (const Role role : roles) {
      add(role);
    }
  }
  constexpr void add(Role role) noexcept { bits_ = static_cast<std::uint8_t>(bits_ | bit(role)); }
  constexpr bool has(Role role) const noexcept { return (bits_ & bit(role)) != 0; }
  constexpr bool empty() const noexcept { return bits_ == 0; }
  constexpr bool operator==(const Roles&) const = default;

 private:
  static constexpr std::uint8_t bit(Role role) noexcept {
    return static_cast<std::uint8_t>(1U << static_cast<unsigned>(role));
  }
  std::uint8_t bits_ = 0;
};

struct Holder {
  std::string name;  ///< empty when there is no common name, several, or one that is not 1 to common_name_max
                     ///< printable ASCII characters: such a holder is nobody
  Roles roles;       ///< none for nobody
};

Holder holder_of(const X509& certificate);
/// Of the first certificate in PEM.
Holder holder_of(std::string_view pem);

struct IdentityFiles {
  std::string certificate;  ///< PEM, with its chain
  std::string key;          ///< PEM
  std::string ca;           ///< PEM
  std::string crl = {};     ///< PEM: what those revoked who are believed; empty: nobody is looked up
  std::string others = {};  ///< PEM: authorities of those whom we talk to; empty: `ca`, as we have ours from
};

class Trust;

/// What the files hold. The key is erased in the end, as far as we hold it.
struct Identity {
  std::string name;  ///< common name
  Roles roles;
  std::string certificate;
  std::string key;
  std::string ca;                      ///< of those who are believed
  std::string lists;                   ///< of revoked certificates; empty without
  std::shared_ptr<const Trust> trust;  ///< of ca and lists: trust.h
  std::int64_t begins = 0;             ///< seconds since 1970
  std::int64_t ends = 0;               ///< when it, or one above it, ends

  Identity() = default;
  Identity(Identity&&) noexcept = default;
  Identity& operator=(Identity&&) noexcept = default;
  Identity(const Identity&) = delete;
  Identity& operator=(const Identity&) = delete;
  ~Identity();
};

/// What the certificate is for: a node is asked and asks (serverAuth and clientAuth), an operator only asks,
/// a server is only asked.
enum class CertificateUse { node, client, server };

/// Reads and checks: nobody else can read the key, it belongs to the certificate, which is valid now, for
/// this use, and signed by the CA; lists of revoked certificates are the CA's and valid. So what is wrong is
/// said here and not by a handshake.
Result<Identity> load_identity(const IdentityFiles& files, CertificateUse use);
/// The same, `now` in seconds since 1970.
Result<Identity> load_identity(const IdentityFiles& files, CertificateUse use, std::int64_t now);

}  // namespace ssn::pki
