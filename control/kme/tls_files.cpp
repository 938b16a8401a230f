// SPDX-License-Identifier: BSD-3-Clause
#include "tls_files.h"

#include <fmt/core.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509_vfy.h>
#include <sys/stat.h>

#include <cerrno>
#include <memory>

#include "issuer.h"

namespace ssn::kme {
namespace {

Error tls_error(const char* what, const std::string& where, const char* fix) {
  char text[256] = "OpenSSL refused it";
  if (const unsigned long code = ERR_peek_last_error(); code != 0) {
    ERR_error_string_n(code, text, sizeof text);
  }
  ERR_clear_error();
  return {Exit::failed, what, text, where, fix};
}

Outcome check_private(const std::string& path) {
  struct stat status{};
  if (::stat(path.c_str(), &status) != 0) {
    return system_error(errno, "cannot read a private key", path);
  }
  if ((status.st_mode & 077) != 0) {
    return Error{Exit::refused, "cannot use a private key", "other users may read it", path,
                 fmt::format("chmod 600 {}", path)};
  }
  return done;
}

std::string common_name(const X509& certificate) {
  return pki::common_name_of(*X509_get_subject_name(&certificate));
}

// Verifies the chain, then the name. The library that we use checks host names, never who it is.
int verify_with_name(X509_STORE_CTX* context, void* expected) {
  if (X509_verify_cert(context) != 1) {
    return 0;
  }
  if (common_name(*X509_STORE_CTX_get0_cert(context)) == *static_cast<const std::string*>(expected)) {
    return 1;
  }
  X509_STORE_CTX_set_error(context, X509_V_ERR_APPLICATION_VERIFICATION);
  return 0;
}

}  // namespace

Outcome set_up_tls(SSL_CTX& context, const TlsFiles& files) {
  ERR_clear_error();
  if (Outcome checked = check_private(files.key); !checked.ok()) {
    return checked;
  }
  if (SSL_CTX_set_min_proto_version(&context, TLS1_2_VERSION) != 1) {
    return tls_error("cannot require TLS 1.2", "", "update OpenSSL");
  }
  SSL_CTX_set_options(&context, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_TICKET |
                                    SSL_OP_CIPHER_SERVER_PREFERENCE);
  SSL_CTX_set_session_cache_mode(&context, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_num_tickets(&context, 0);
  SSL_CTX_set_mode(&context, SSL_MODE_RELEASE_BUFFERS);
  const char* const fix = "give PEM files; `ssn kme init` makes a set";
  if (SSL_CTX_use_certificate_chain_file(&context, files.certificate.c_str()) != 1) {
    return tls_error("cannot use a certificate", files.certificate, fix);
  }
  if (SSL_CTX_use_PrivateKey_file(&context, files.key.c_str(), SSL_FILETYPE_PEM) != 1 ||
      SSL_CTX_check_private_key(&context) != 1) {
    return tls_error("cannot use a private key with its certificate", files.key, fix);
  }
  if (SSL_CTX_load_verify_locations(&context, files.ca.c_str(), nullptr) != 1) {
    return tls_error("cannot use the CA's certificate", files.ca, fix);
  }
  SSL_CTX_set_client_CA_list(&context, SSL_load_client_CA_file(files.ca.c_str()));
  SSL_CTX_set_verify(&context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
  return done;
}

void expect_common_name(SSL_CTX& context, const std::string& expected) {
  SSL_CTX_set_cert_verify_callback(&context, verify_with_name, const_cast<std::string*>(&expected));
}

std::string peer_common_name(const SSL& connection) {
  const X509* const certificate = SSL_get0_peer_certificate(&connection);
  return certificate == nullptr ? "" : common_name(*certificate);
}

}  // namespace ssn::kme
