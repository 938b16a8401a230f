// SPDX-License-Identifier: BSD-3-Clause
#include "tls.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509_vfy.h>

namespace ssn::hw::etsi014 {
namespace {

Error file_error(std::string why, const std::string& file, std::string fix) {
  return {Exit::usage, "cannot prepare TLS to the key manager", std::move(why), file, std::move(fix)};
}

// Key blocks are large: fewer system calls for the same records.
constexpr std::size_t read_buffer_bytes = 65536;
constexpr unsigned tries_until_told = 2;

using Bio = std::unique_ptr<BIO, decltype([](BIO* bio) { BIO_free(bio); })>;
using List = std::unique_ptr<X509_CRL, decltype([](X509_CRL* list) { X509_CRL_free(list); })>;

// Whether an authority that is trusted here has signed it.
bool signed_by_trusted(X509_STORE* store, X509_CRL* list) {
  bool found = false;
  STACK_OF(X509_OBJECT)* const objects = X509_STORE_get0_objects(store);
  for (int i = 0; !found && i < sk_X509_OBJECT_num(objects); ++i) {
    X509* const authority = X509_OBJECT_get0_X509(sk_X509_OBJECT_value(objects, i));
    found = authority != nullptr &&
            X509_NAME_cmp(X509_get_subject_name(authority), X509_CRL_get_issuer(list)) == 0 &&
            X509_CRL_verify(list, X509_get0_pubkey(authority)) == 1;
  }
  ERR_clear_error();
  return found;
}

// As in control/pki: authorities above the issuer are looked up where there is a list of those that signed
// them.
int take_unlisted_authorities(int good, X509_STORE_CTX* context) {
  if (good == 0 && X509_STORE_CTX_get_error(context) == X509_V_ERR_UNABLE_TO_GET_CRL &&
      X509_STORE_CTX_get_error_depth(context) > 0) {
    X509_STORE_CTX_set_error(context, X509_V_OK);
    return 1;
  }
  return good;
}

// From then on who issued a key manager's certificate must have given a list, and it must not be on that.
Outcome add_lists(SSL_CTX* context, const std::string& path) {
  X509_STORE* const store = SSL_CTX_get_cert_store(context);
  const Bio file(BIO_new_file(path.c_str(), "r"));
  unsigned lists = 0;
  while (file != nullptr) {
    const List list(PEM_read_bio_X509_CRL(file.get(), nullptr, nullptr, nullptr));
    if (list == nullptr) break;
    if (!signed_by_trusted(store, list.get())) {
      return file_error("no authority that is trusted has signed the list of revoked certificates", path,
                        "give the list of the authority in the setting ca");
    }
    if (X509_STORE_add_crl(store, list.get()) != 1) break;
    ++lists;
  }
  const bool whole = file != nullptr && BIO_eof(file.get()) == 1;
  ERR_clear_error();
  if (lists == 0 || !whole) {
    return file_error("the list of revoked certificates cannot be read", path,
                      "name a readable PEM file in the setting crl");
  }
  X509_STORE_set_flags(store, X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL);
  SSL_CTX_set_verify(context, SSL_VERIFY_PEER, take_unlisted_authorities);
  return done;
}

}  // namespace

std::string openssl_reason() {
  std::string reason;
  while (const unsigned long code = ERR_get_error()) {
    const char* const text = ERR_reason_error_string(code);
    reason = text != nullptr ? text : "error " + std::to_string(code);
  }
  return reason;
}

Result<TlsContext> TlsContext::make(const Settings& settings) {
  TlsContext made;
  made.context_.reset(SSL_CTX_new(TLS_client_method()));
  SSL_CTX* const context = made.get();
  ERR_clear_error();
  if (context == nullptr ||
      SSL_CTX_set_min_proto_version(context, settings.tls_1_3_only ? TLS1_3_VERSION : TLS1_2_VERSION) != 1 ||
      // Of TLS 1.2 only what has forward secrecy and authenticated encryption.
      SSL_CTX_set_cipher_list(context, "ECDHE+AESGCM:ECDHE+CHACHA20:DHE+AESGCM:!aNULL") != 1) {
    return Error{Exit::failed, "cannot prepare TLS to the key manager", openssl_reason(), "OpenSSL",
                 "check the installation of OpenSSL"};
  }
  // Received keys are erased in OpenSSL's buffers as soon as they were handed over.
  SSL_CTX_set_options(context, SSL_OP_CLEANSE_PLAINTEXT | SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION);
  SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  SSL_CTX_set_verify(context, SSL_VERIFY_PEER, nullptr);
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_default_read_buffer_len(context, read_buffer_bytes);
  SSL_CTX_set_read_ahead(context, 1);
  if (SSL_CTX_load_verify_file(context, settings.ca.c_str()) != 1) {
    return file_error("the CA certificates cannot be read: " + openssl_reason(), settings.ca,
                      "name a readable PEM file in the setting ca");
  }
  if (SSL_CTX_use_certificate_chain_file(context, settings.certificate.c_str()) != 1) {
    return file_error("the certificate of this SAE cannot be read: " + openssl_reason(), settings.certificate,
                      "name a readable PEM file in the setting certificate");
  }
  if (SSL_CTX_use_PrivateKey_file(context, settings.private_key.c_str(), SSL_FILETYPE_PEM) != 1) {
    return file_error("the private key of this SAE cannot be used: " + openssl_reason(), settings.private_key,
                      "name the PEM file of the certificate's key, without a password, in private_key");
  }
  if (SSL_CTX_check_private_key(context) != 1) {
    return file_error("the private key is not that of the certificate: " + openssl_reason(),
                      settings.private_key, "name the key that the certificate was made with");
  }
  if (!settings.crl.empty()) {
    if (Outcome added = add_lists(context, settings.crl); !added.ok()) {
      return added.error();
    }
  }
  return made;
}

Result<LiveTls> LiveTls::make(const Settings& settings) {
  const Stamps stamps =
      stamps_of(settings);  // before it is read: what changes meanwhile is seen the next time
  Result<TlsContext> made = TlsContext::make(settings);
  if (!made.ok()) {
    return std::move(made.error());
  }
  return LiveTls(settings, stamps, std::move(made.value()));
}

LiveTls::Stamps LiveTls::stamps_of(const Settings& settings) {
  return {stamp_of(settings.certificate), stamp_of(settings.private_key), stamp_of(settings.ca),
          stamp_of(settings.crl)};
}

bool LiveTls::look(Time now) {
  if (now < next_look_) return false;
  next_look_ = now + look_interval;
  const Stamps stamps = stamps_of(*settings_);
  if (stamps == taken_) {
    tries_ = 0;
    trouble_.clear();
    return false;
  }
  if (stamps != tried_) tries_ = 0;
  if (tries_ >= tries_until_told) return false;
  tried_ = stamps;
  Result<TlsContext> made = TlsContext::make(*settings_);
  if (!made.ok()) {
    if (++tries_ == tries_until_told) {
      trouble_ = made.error().where + ": " + made.error().why + "; what was there before still counts";
    }
    return false;
  }
  context_ = std::move(made.value());
  taken_ = stamps;
  tries_ = 0;
  trouble_.clear();
  return true;
}

std::string kme_identity_error(const SSL* ssl, const std::string& kme_id) {
  const std::unique_ptr<X509, void (*)(X509*)> certificate(SSL_get1_peer_certificate(ssl), X509_free);
  if (certificate == nullptr) {
    return "it showed no certificate";
  }
  const X509_NAME* const subject = X509_get_subject_name(certificate.get());
  const int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
  if (at < 0 || X509_NAME_get_index_by_NID(subject, NID_commonName, at) >= 0) {
    return "its certificate has not exactly one common name";
  }
  unsigned char* text = nullptr;
  const int length = ASN1_STRING_to_UTF8(&text, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)));
  const std::unique_ptr<unsigned char, void (*)(unsigned char*)> owner(
      text, [](unsigned char* p) { OPENSSL_free(p); });
  const std::string name =
      length < 0 ? "" : std::string(reinterpret_cast<const char*>(text), static_cast<std::size_t>(length));
  if (name != kme_id) {
    return "its certificate is not that of KME '" + kme_id + "'";
  }
  return "";
}

}  // namespace ssn::hw::etsi014
