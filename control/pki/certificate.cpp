// SPDX-License-Identifier: BSD-3-Clause
#include "certificate.h"

#include <fmt/core.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <memory>
#include <vector>

#include "files.h"
#include "issuer.h"

namespace ssn::pki {
namespace {

using Store = std::unique_ptr<X509_STORE, OpensslDeleter<X509_STORE_free>>;
using StoreContext = std::unique_ptr<X509_STORE_CTX, OpensslDeleter<X509_STORE_CTX_free>>;

constexpr const char* const what = "cannot use the certificate";
constexpr const char* const make_fix = "give PEM files; `ssn pki` makes them, `ssn kme init` a set for tests";

constexpr std::string_view role_names[roles_count] = {"owner", "ssa", "shareholder", "controller",
                                                      "operator"};

using Chain = std::unique_ptr<STACK_OF(X509), decltype([](STACK_OF(X509) * stack) { sk_X509_free(stack); })>;

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

Holder holder(const X509& certificate) {
  Holder found{common_name(certificate), {}};
  if (!found.name.empty()) {
    found.roles = roles_in(certificate);
  }
  return found;
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

Outcome check_chain(const std::vector<CertificatePointer>& chain,
                    const std::vector<CertificatePointer>& trusted, CertificateUse use,
                    const IdentityFiles& files) {
  const Store store(X509_STORE_new());
  const StoreContext context(X509_STORE_CTX_new());
  const Chain others(sk_X509_new_null());
  bool ready = store != nullptr && context != nullptr && others != nullptr;
  for (std::size_t i = 1; ready && i < chain.size(); ++i) {
    ready = sk_X509_push(others.get(), chain[i].get()) > 0;
  }
  for (const CertificatePointer& ca : trusted) {
    ready = ready && X509_STORE_add_cert(store.get(), ca.get()) == 1;
  }
  if (!ready || X509_STORE_CTX_init(context.get(), store.get(), chain[0].get(), others.get()) != 1) {
    ERR_clear_error();
    return Error{Exit::temporary, what, "there is not enough memory", files.certificate, "free memory"};
  }
  const auto verify = [&](int purpose) {
    X509_STORE_CTX_set_purpose(context.get(), purpose);
    return X509_verify_cert(context.get()) == 1;
  };
  bool good = verify(X509_PURPOSE_SSL_CLIENT);
  int error = X509_STORE_CTX_get_error(context.get());
  if (good && use == CertificateUse::node &&
      X509_check_purpose(chain[0].get(), X509_PURPOSE_SSL_SERVER, 0) != 1) {
    good = false;
    error = X509_V_ERR_INVALID_PURPOSE;
  }
  ERR_clear_error();
  if (good) {
    return done;
  }
  if (error == X509_V_ERR_INVALID_PURPOSE) {
    return Error{Exit::refused, what, "it is made for another purpose", files.certificate,
                 use == CertificateUse::node ? "let it be issued for TLS servers and clients (serverAuth, "
                                               "clientAuth)"
                                             : "let it be issued for TLS clients (clientAuth)"};
  }
  return Error{Exit::refused, what, X509_verify_cert_error_string(error), files.certificate,
               fmt::format("give a valid certificate that the CA in {} signed", files.ca)};
}

}  // namespace

Identity::~Identity() { OPENSSL_cleanse(key.data(), key.size()); }

std::string_view name(Role role) noexcept { return role_names[static_cast<std::size_t>(role)]; }

Holder holder_of(std::string_view pem) {
  const CertificatePointer certificate = certificate_from(pem);
  return certificate == nullptr ? Holder() : holder(*certificate);
}

Result<Identity> load_identity(const IdentityFiles& files, CertificateUse use) {
  Identity identity;
  const struct {
    const std::string* path;
    std::string* text;
    bool secret;
  } parts[] = {{&files.certificate, &identity.certificate, false},
               {&files.key, &identity.key, true},
               {&files.ca, &identity.ca, false}};
  for (const auto& part : parts) {
    Result<std::string> text = read_file(*part.path, file_max, part.secret, what);
    if (!text.ok()) {
      return text.error();
    }
    *part.text = std::move(text.value());
  }
  const std::vector<CertificatePointer> chain = certificates_from(identity.certificate, chain_max);
  const std::vector<CertificatePointer> trusted = certificates_from(identity.ca, chain_max);
  if (chain.empty() || trusted.empty()) {
    return Error{Exit::refused, what, "it holds no certificate in PEM",
                 chain.empty() ? files.certificate : files.ca, make_fix};
  }
  Holder owner = holder(*chain[0]);
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
  if (Outcome checked = check_chain(chain, trusted, use, files); !checked.ok()) {
    return checked.error();
  }
  return identity;
}

}  // namespace ssn::pki
