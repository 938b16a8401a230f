// SPDX-License-Identifier: BSD-3-Clause
// Owners of OpenSSL's objects. Internal to control/pki, control/kme and `ssn pki`.
#pragma once

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/x509.h>

#include <memory>

namespace ssn::pki {

template <auto Free>
struct OpensslDeleter {
  template <typename T>
  void operator()(T* object) const noexcept {
    Free(object);
  }
};
using CertificatePointer = std::unique_ptr<X509, OpensslDeleter<X509_free>>;
using RequestPointer = std::unique_ptr<X509_REQ, OpensslDeleter<X509_REQ_free>>;
using ListPointer = std::unique_ptr<X509_CRL, OpensslDeleter<X509_CRL_free>>;
using KeyPointer = std::unique_ptr<EVP_PKEY, OpensslDeleter<EVP_PKEY_free>>;
using MemoryPointer = std::unique_ptr<BIO, OpensslDeleter<BIO_free_all>>;
using ExtensionPointer = std::unique_ptr<X509_EXTENSION, OpensslDeleter<X509_EXTENSION_free>>;

}  // namespace ssn::pki
