// SPDX-License-Identifier: BSD-3-Clause
// Certificates in memory, with authorities above authorities, and lists of those that are revoked.
#pragma once

#include <openssl/x509v3.h>

#include <string>
#include <utility>
#include <vector>

#include "issuer.h"

namespace ssn::test {

struct Holder {
  pki::CertificatePointer certificate;
  pki::KeyPointer key;
  pki::Signer signer() const { return {certificate.get(), key.get()}; }
};

inline Holder make_holder(const char* name, pki::Subject::Use use, const Holder* by) {
  Holder holder;
  holder.key = std::move(pki::make_key().value());
  pki::Subject subject;
  subject.use = use;
  subject.name.assign(name);
  const pki::Signer signer = by != nullptr ? by->signer() : pki::Signer{};
  holder.certificate =
      std::move(pki::make_certificate(subject, 30, *holder.key, by != nullptr ? &signer : nullptr).value());
  return holder;
}

// Authorities of ours sign no others; this one does.
inline Holder make_root() {
  Holder root = make_holder("root", pki::Subject::Use::authority, nullptr);
  X509* const certificate = root.certificate.get();
  X509_EXTENSION_free(
      X509_delete_ext(certificate, X509_get_ext_by_NID(certificate, NID_basic_constraints, -1)));
  X509_EXTENSION* const any =
      X509V3_EXT_conf_nid(nullptr, nullptr, NID_basic_constraints, "critical,CA:TRUE");
  X509_add_ext(certificate, any, -1);
  X509_EXTENSION_free(any);
  X509_sign(certificate, root.key.get(), EVP_sha256());
  return root;
}

template <typename T>
std::string pem(T& what) {
  return pki::to_pem(what).value();
}

inline std::string list_of(const Holder& by, const Holder* revoked) {
  std::vector<pki::Revoked> all;
  if (revoked != nullptr) all.push_back({pki::serial_of(*revoked->certificate), 1, 0});
  return pem(*pki::make_revocation_list(all, 1, 7, by.signer()).value());
}

}  // namespace ssn::test
