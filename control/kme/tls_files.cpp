// SPDX-License-Identifier: BSD-3-Clause
#include "tls_files.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509_vfy.h>

#include <ctime>

namespace ssn::kme {
namespace {

constexpr std::size_t shown_max = 8;  // certificates above ours

Error tls_error(const char* what, const char* fix) {
  char text[256] = "OpenSSL refused it";
  if (const unsigned long code = ERR_peek_last_error(); code != 0) {
    ERR_error_string_n(code, text, sizeof text);
  }
  ERR_clear_error();
  return {Exit::failed, what, text, "", fix};
}

std::string common_name(const X509& certificate) {
  return pki::common_name_of(*X509_get_subject_name(&certificate));
}

std::vector<pki::CertificatePointer> share(const STACK_OF(X509) * certificates) {
  std::vector<pki::CertificatePointer> shared;
  for (int i = 0; i < sk_X509_num(certificates); ++i) {
    X509* const each = sk_X509_value(certificates, i);
    X509_up_ref(each);
    shared.emplace_back(each);
  }
  return shared;
}

using Stack = std::unique_ptr<STACK_OF(X509), decltype([](STACK_OF(X509) * stack) { sk_X509_free(stack); })>;

}  // namespace

Outcome LiveTls::set_up(SSL_CTX& context, bool tls_1_3_only) {
  ERR_clear_error();
  if (SSL_CTX_set_min_proto_version(&context, tls_1_3_only ? TLS1_3_VERSION : TLS1_2_VERSION) != 1) {
    return tls_error("cannot set the least version of TLS", "update OpenSSL");
  }
  SSL_CTX_set_options(&context, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_TICKET |
                                    SSL_OP_CIPHER_SERVER_PREFERENCE);
  SSL_CTX_set_session_cache_mode(&context, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_num_tickets(&context, 0);
  SSL_CTX_set_mode(&context, SSL_MODE_RELEASE_BUFFERS);
  SSL_CTX_set_verify(&context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
  SSL_CTX_set_cert_cb(&context, show, this);
  SSL_CTX_set_cert_verify_callback(&context, judge, this);
  return shown() != nullptr ? Outcome(done) : tls_error("cannot use the certificate", "give PEM files");
}

// Parsed once for each change. LiveIdentity has seen that all of it can be used.
std::shared_ptr<const LiveTls::Shown> LiveTls::shown() {
  const std::lock_guard lock(mutex_);
  const std::uint64_t generation = live_->generation();
  if (shown_ != nullptr && generation == generation_) return shown_;
  const std::shared_ptr<const pki::Identity> mine = live_->identity();
  auto fresh = std::make_shared<Shown>();
  fresh->chain = pki::certificates_from(mine->certificate, shown_max);
  fresh->key = pki::key_from(mine->key);
  fresh->authorities = pki::certificates_from(mine->ca, pki::Trust::authorities_max);
  if (!fresh->chain.empty() && fresh->key != nullptr) {
    fresh->certificate = std::move(fresh->chain.front());
    fresh->chain.erase(fresh->chain.begin());
    shown_ = std::move(fresh);
    generation_ = generation;
  }
  return shown_;
}

// Called in each handshake, when a certificate of ours is wanted.
int LiveTls::show(SSL* connection, void* self) {
  const std::shared_ptr<const Shown> shown = static_cast<LiveTls*>(self)->shown();
  const Stack chain(sk_X509_new_null());
  bool good = shown != nullptr && chain != nullptr;
  for (std::size_t i = 0; good && i < shown->chain.size(); ++i) {
    good = sk_X509_push(chain.get(), shown->chain[i].get()) > 0;
  }
  SSL_certs_clear(connection);
  good = good &&
         SSL_use_cert_and_key(connection, shown->certificate.get(), shown->key.get(), chain.get(), 1) == 1;
  if (good && SSL_is_server(connection) == 1) {
    for (const pki::CertificatePointer& authority : shown->authorities) {
      good = good && SSL_add_client_CA(connection, authority.get()) == 1;
    }
  }
  return good ? 1 : 0;
}

int LiveTls::judge(X509_STORE_CTX* context, void* self) {
  const auto& tls = *static_cast<const LiveTls*>(self);
  X509* const certificate = X509_STORE_CTX_get0_cert(context);
  const std::vector<pki::CertificatePointer> chain = share(X509_STORE_CTX_get0_untrusted(context));
  const std::int64_t now = ::time(nullptr);
  int error = X509_V_OK;
  if (!tls.live_->judge(*certificate, chain, tls.peer_, now).ok()) {
    error = tls.live_->identity()->trust->judge(*certificate, chain, tls.peer_, now).error;
    if (error == X509_V_OK) error = X509_V_ERR_UNSPECIFIED;  // the files changed between the two
  } else if (!tls.expected_.empty() && common_name(*certificate) != tls.expected_) {
    error = X509_V_ERR_APPLICATION_VERIFICATION;
  }
  X509_STORE_CTX_set_error(context, error);
  return error == X509_V_OK ? 1 : 0;
}

bool LiveTls::still_believed(const SSL& connection) const {
  X509* const certificate = SSL_get0_peer_certificate(&connection);
  return certificate != nullptr &&
         live_->judge(*certificate, share(SSL_get_peer_cert_chain(&connection)), peer_, ::time(nullptr)).ok();
}

std::vector<pki::CertificatePointer> peer_certificates(const SSL& connection) {
  X509* const certificate = SSL_get0_peer_certificate(&connection);
  if (certificate == nullptr) return {};
  // A server's side of OpenSSL leaves the certificate itself out of the chain, and has none without others.
  std::vector<pki::CertificatePointer> certificates;
  X509_up_ref(certificate);
  certificates.emplace_back(certificate);
  for (pki::CertificatePointer& each : share(SSL_get_peer_cert_chain(&connection))) {
    certificates.push_back(std::move(each));
  }
  return certificates;
}

std::string peer_common_name(const SSL& connection) {
  const X509* const certificate = SSL_get0_peer_certificate(&connection);
  return certificate == nullptr ? "" : common_name(*certificate);
}

}  // namespace ssn::kme
