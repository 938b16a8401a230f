// SPDX-License-Identifier: BSD-3-Clause
#include "certificate.h"

#include <fmt/core.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/x509.h>
#include <openssl/x509_vfy.h>

#include <algorithm>
#include <ctime>
#include <vector>

#include "files.h"
#include "issuer.h"
#include "trust.h"

namespace ssn::pki {
namespace {

constexpr std::size_t list_file_max = std::size_t{16} << 20;  // of 100,000 that were revoked, and more
constexpr const char* const what = "cannot use the certificate";
constexpr const char* const make_fix = "give PEM files; `ssn pki` makes them, `ssn kme init` a set for tests";

constexpr std::string_view role_names[roles_count] = {"owner", "ssa", "shareholder", "controller",
                                                      "operator"};

bool printable(char c) { return c > 0x20 && c < 0x7F; }

std::string common_name(const X509& certificate) {
  const std::string name = common_name_of(*X509_get_subject_name(&certificate));
  return name.size() <= common_name_max && std::all_of(name.begin(), name.end(), printable) ? name : "";
}

Roles roles_in(const X509& certificate) {
  Roles roles;
  for (const std::string& unit : units_of(*X509_get_subject_name(&certificate))) {
    for (std::size_t i = 0; i < roles_count; ++i) {
      if (unit == role_names[i]) roles.add(static_cast<Role>(i));
    }
  }
  return roles;
}

Outcome check_key(const Identity& identity, X509& certificate, const std::string& path) {
  const KeyPointer key = key_from(identity.key);
  const bool fits = key != nullptr && X509_check_private_key(&certificate, key.get()) == 1;
  ERR_clear_error();
  if (key == nullptr) {
    return Error{Exit::refused, what, "it holds no private key that can be read without a password", path,
                 make_fix};
  }
  if (!fits) {
    return Error{Exit::refused, what, "the private key is not that of the certificate", path,
                 "give the key that was made with the certificate"};
  }
  return done;
}

Outcome check_chain(const Trust& trust, const std::vector<CertificatePointer>& chain, CertificateUse use,
                    std::int64_t now, const IdentityFiles& files, std::int64_t& ends) {
  Trust::Judgement judgement{X509_V_OK, INT64_MAX};
  const char* needs = "";
  for (const Purpose purpose : {Purpose::client, Purpose::server}) {
    const bool needed =
        purpose == Purpose::client ? use != CertificateUse::server : use != CertificateUse::client;
    if (needed && judgement.error == X509_V_OK)
      judgement = trust.judge_unlisted(*chain[0], chain, purpose, now);
  }
  ends = judgement.until;
  if (judgement.error == X509_V_OK) {
    return done;
  }
  if (judgement.error == X509_V_ERR_INVALID_PURPOSE) {
    needs = use == CertificateUse::node     ? "servers and clients (serverAuth, clientAuth)"
            : use == CertificateUse::server ? "servers (serverAuth)"
                                            : "clients (clientAuth)";
    return Error{Exit::refused, what, "it is made for another purpose", files.certificate,
                 fmt::format("let it be issued for TLS {}", needs)};
  }
  return Error{Exit::refused, what, X509_verify_cert_error_string(judgement.error), files.certificate,
               fmt::format("give a valid certificate that the CA in {} signed", files.ca)};
}

Outcome read_files(const IdentityFiles& files, Identity& identity, std::string& others) {
  const struct {
    const std::string* path;
    std::string* text;
    std::size_t most;
    bool secret;
  } parts[] = {{&files.certificate, &identity.certificate, file_max, false},
               {&files.key, &identity.key, file_max, true},
               {&files.ca, &identity.ca, file_max, false},
               {&files.crl, &identity.lists, list_file_max, false},
               {&files.others, &others, file_max, false}};
  for (const auto& part : parts) {
    if (part.path->empty() && (part.path == &files.crl || part.path == &files.others)) continue;
    Result<std::string> text = read_file(*part.path, part.most, part.secret, what);
    if (!text.ok()) {
      return text.error();
    }
    *part.text = std::move(text.value());
  }
  return done;
}

}  // namespace

Identity::~Identity() { OPENSSL_cleanse(key.data(), key.size()); }

std::string_view name(Role role) noexcept { return role_names[static_cast<std::size_t>(role)]; }

Holder holder_of(const X509& certificate) {
  Holder found{common_name(certificate), {}};
  if (!found.name.empty()) {
    found.roles = roles_in(certificate);
  }
  return found;
}

Holder holder_of(std::string_view pem) {
  const CertificatePointer certificate = certificate_from(pem);
  return certificate == nullptr ? Holder() : holder_of(*certificate);
}

Result<Identity> load_identity(const IdentityFiles& files, CertificateUse use) {
  return load_identity(files, use, ::time(nullptr));
}

Result<Identity> load_identity(const IdentityFiles& files, CertificateUse use, std::int64_t now) {
  Identity identity;
  std::string others;
  if (Outcome read = read_files(files, identity, others); !read.ok()) {
    return read.error();
  }
  const std::vector<CertificatePointer> chain = certificates_from(identity.certificate, chain_max);
  if (chain.empty()) {
    return Error{Exit::refused, what, "it holds no certificate in PEM", files.certificate, make_fix};
  }
  Holder owner = holder_of(*chain[0]);
  identity.name = std::move(owner.name);
  identity.roles = owner.roles;
  if (identity.name.empty()) {
    return Error{
        Exit::refused, what,
        fmt::format("it has not exactly one common name of 1 to {} printable characters", common_name_max),
        files.certificate, "let it be issued with the node's name as its common name"};
  }
  if (Outcome checked = check_key(identity, *chain[0], files.key); !checked.ok()) {
    return checked.error();
  }
  Result<std::shared_ptr<const Trust>> ours = Trust::make({identity.ca, "", false, files.ca, ""}, now);
  if (!ours.ok()) {
    return ours.error();
  }
  const bool apart = !files.others.empty();
  if (apart) {
    identity.ca = std::move(others);
  }
  Result<std::shared_ptr<const Trust>> trust = Trust::make(
      {identity.ca, identity.lists, !files.crl.empty(), apart ? files.others : files.ca, files.crl}, now);
  if (!trust.ok()) {
    return trust.error();
  }
  identity.trust = std::move(trust.value());
  if (Outcome checked = check_chain(*ours.value(), chain, use, now, files, identity.ends); !checked.ok()) {
    return checked.error();
  }
  identity.begins = seconds_of(X509_get0_notBefore(chain[0].get()));
  return identity;
}

}  // namespace ssn::pki
