// SPDX-License-Identifier: BSD-3-Clause
#include "issuer.h"

#include <arpa/inet.h>
#include <openssl/bn.h>
#include <openssl/crypto.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <climits>

namespace ssn::pki {
namespace {

constexpr long one_hour = 3600;

using Extensions = std::unique_ptr<STACK_OF(X509_EXTENSION), decltype([](STACK_OF(X509_EXTENSION) * stack) {
                                     sk_X509_EXTENSION_pop_free(stack, X509_EXTENSION_free);
                                   })>;

// An encrypted PEM file must not ask the terminal for its password.
int no_password(char*, int, int, void*) { return -1; }

MemoryPointer reader_of(std::string_view pem) {
  return MemoryPointer(pem.size() > INT_MAX ? nullptr
                                            : BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
}

// The next object of its kind in PEM; null where there is none.
template <typename Pointer, typename Object>
Pointer next_from(const MemoryPointer& memory, Object* (*read)(BIO*, Object**, pem_password_cb*, void*)) {
  Pointer found(memory == nullptr ? nullptr : read(memory.get(), nullptr, no_password, nullptr));
  ERR_clear_error();
  return found;
}

template <typename Pointer, typename Object>
std::vector<Pointer> all_from(std::string_view pem, std::size_t most,
                              Object* (*read)(BIO*, Object**, pem_password_cb*, void*)) {
  std::vector<Pointer> found;
  const MemoryPointer memory = reader_of(pem);
  while (found.size() < most) {
    Pointer next = next_from<Pointer>(memory, read);
    if (next == nullptr) break;
    found.push_back(std::move(next));
  }
  return found;
}

std::string text_of(const MemoryPointer& memory) {
  char* data = nullptr;
  const long length = BIO_get_mem_data(memory.get(), &data);
  return {data, static_cast<std::size_t>(length)};
}

template <typename Object>
Result<std::string> write_pem(int (*write)(BIO*, const Object*), const Object& object) {
  const MemoryPointer memory(BIO_new(BIO_s_mem()));
  if (memory == nullptr || write(memory.get(), &object) != 1) return openssl_error("cannot write as PEM");
  return text_of(memory);
}

std::string text_of(const ASN1_STRING& value) {
  unsigned char* utf8 = nullptr;
  const int length = ASN1_STRING_to_UTF8(&utf8, &value);
  std::string text;
  if (length > 0) text.assign(reinterpret_cast<const char*>(utf8), static_cast<std::size_t>(length));
  OPENSSL_free(utf8);
  return text.find('\0') == std::string::npos ? text : "";
}

struct Extension {
  int kind;
  std::string value;
};

// id-kp-documentSigning of RFC 9336, which OpenSSL 3.0 has no name for.
constexpr const char* document_signing = "1.3.6.1.5.5.7.3.36";

const char* extended_uses_of(Subject::Use use) {
  if (use == Subject::Use::signer) return document_signing;
  return use == Subject::Use::node ? "serverAuth,clientAuth" : "clientAuth";
}

// What the holder may do with it; a request asks for the same.
std::vector<Extension> uses_of(const Subject& subject) {
  if (subject.use == Subject::Use::authority) {
    return {{NID_basic_constraints, "critical,CA:TRUE,pathlen:0"},
            {NID_key_usage, "critical,keyCertSign,cRLSign"}};
  }
  std::vector<Extension> all = {{NID_basic_constraints, "critical,CA:FALSE"},
                                {NID_key_usage, "critical,digitalSignature"},
                                {NID_ext_key_usage, extended_uses_of(subject.use)}};
  if (!subject.alternates.empty()) {
    std::string names;
    for (const std::string& each : subject.alternates) names += (names.empty() ? "" : ",") + each;
    all.push_back({NID_subject_alt_name, names});
  }
  return all;
}

bool add_extension(X509& certificate, X509& issuer, const Extension& wanted) {
  X509V3_CTX context;
  X509V3_set_ctx(&context, &issuer, &certificate, nullptr, nullptr, 0);
  const ExtensionPointer extension(X509V3_EXT_conf_nid(nullptr, &context, wanted.kind, wanted.value.c_str()));
  return extension != nullptr && X509_add_ext(&certificate, extension.get(), -1) == 1;
}

// Random, positive, and never zero.
bool set_serial(X509& certificate) {
  std::uint64_t serial = 0;
  if (RAND_bytes(reinterpret_cast<unsigned char*>(&serial), sizeof serial) != 1) return false;
  return ASN1_INTEGER_set_uint64(X509_get_serialNumber(&certificate), serial >> 1 | 1) == 1;
}

bool set_name(X509_NAME* name, const Subject& subject) {
  const auto add = [name](const char* field, const std::string& value) {
    const auto* const text = reinterpret_cast<const unsigned char*>(value.c_str());
    return X509_NAME_add_entry_by_txt(name, field, MBSTRING_UTF8, text, -1, -1, 0) == 1;
  };
  return std::all_of(subject.roles.begin(), subject.roles.end(),
                     [&](const std::string& role) { return add("OU", role); }) &&
         add("CN", subject.name);
}

bool add_revoked(X509_CRL& list, const Revoked& each) {
  using Entry = std::unique_ptr<X509_REVOKED, OpensslDeleter<X509_REVOKED_free>>;
  using Time = std::unique_ptr<ASN1_TIME, OpensslDeleter<ASN1_TIME_free>>;
  using Integer = std::unique_ptr<ASN1_INTEGER, OpensslDeleter<ASN1_INTEGER_free>>;
  using Enumerated = std::unique_ptr<ASN1_ENUMERATED, OpensslDeleter<ASN1_ENUMERATED_free>>;
  BIGNUM* parsed = nullptr;
  const int digits = BN_hex2bn(&parsed, each.serial.c_str());
  const std::unique_ptr<BIGNUM, OpensslDeleter<BN_free>> number(parsed);
  const Integer serial(digits > 0 ? BN_to_ASN1_INTEGER(number.get(), nullptr) : nullptr);
  const Time time(ASN1_TIME_set(nullptr, static_cast<time_t>(each.time)));
  const Enumerated reason(ASN1_ENUMERATED_new());
  Entry entry(X509_REVOKED_new());
  const bool good =
      serial != nullptr && time != nullptr && reason != nullptr && entry != nullptr &&
      X509_REVOKED_set_serialNumber(entry.get(), serial.get()) == 1 &&
      X509_REVOKED_set_revocationDate(entry.get(), time.get()) == 1 &&
      ASN1_ENUMERATED_set(reason.get(), each.reason) == 1 &&
      // "unspecified" is said by saying nothing: RFC 5280, 5.3.1.
      (each.reason == 0 || X509_REVOKED_add1_ext_i2d(entry.get(), NID_crl_reason, reason.get(), 0, 0) == 1) &&
      X509_CRL_add0_revoked(&list, entry.get()) == 1;
  if (good) (void)entry.release();
  return good;
}

}  // namespace

SecretText& SecretText::operator=(SecretText&& other) noexcept {
  if (this != &other) {
    erase();
    text_ = std::move(other.text_);
    other.erase();
  }
  return *this;
}

void SecretText::erase() noexcept {
  OPENSSL_cleanse(text_.data(), text_.size());
  text_.clear();
}

Error openssl_error(const char* what) {
  char text[256] = "OpenSSL gave no reason";
  if (const unsigned long code = ERR_get_error(); code != 0) ERR_error_string_n(code, text, sizeof text);
  ERR_clear_error();
  return {Exit::failed, what, text, "", "report this as a bug"};
}

std::string common_name_of(const X509_NAME& name) {
  const int first = X509_NAME_get_index_by_NID(&name, NID_commonName, -1);
  if (first < 0 || X509_NAME_get_index_by_NID(&name, NID_commonName, first) >= 0) return "";
  return text_of(*X509_NAME_ENTRY_get_data(X509_NAME_get_entry(&name, first)));
}

std::vector<std::string> units_of(const X509_NAME& name) {
  std::vector<std::string> units;
  for (int at = -1; (at = X509_NAME_get_index_by_NID(&name, NID_organizationalUnitName, at)) >= 0;) {
    units.push_back(text_of(*X509_NAME_ENTRY_get_data(X509_NAME_get_entry(&name, at))));
  }
  return units;
}

std::string serial_of(const X509& certificate) {
  const std::unique_ptr<BIGNUM, OpensslDeleter<BN_free>> number(
      ASN1_INTEGER_to_BN(X509_get0_serialNumber(&certificate), nullptr));
  char* const digits = number == nullptr ? nullptr : BN_bn2hex(number.get());
  std::string serial = digits == nullptr ? "" : digits;
  OPENSSL_free(digits);
  return serial;
}

std::int64_t seconds_of(const ASN1_TIME* time) {
  tm fields{};
  return time != nullptr && ASN1_TIME_to_tm(time, &fields) == 1 ? ::timegm(&fields) : 0;
}

std::int64_t end_of(const X509& certificate) { return seconds_of(X509_get0_notAfter(&certificate)); }

Validity validity_of(const X509_CRL& list) {
  const ASN1_TIME* const next = X509_CRL_get0_nextUpdate(&list);
  if (next == nullptr) return {};
  return {seconds_of(X509_CRL_get0_lastUpdate(&list)), seconds_of(next)};
}

bool signs_documents(const X509& certificate) {
  const std::unique_ptr<EXTENDED_KEY_USAGE, OpensslDeleter<EXTENDED_KEY_USAGE_free>> uses(
      static_cast<EXTENDED_KEY_USAGE*>(X509_get_ext_d2i(&certificate, NID_ext_key_usage, nullptr, nullptr)));
  for (int i = 0; uses != nullptr && i < sk_ASN1_OBJECT_num(uses.get()); ++i) {
    char text[64];
    const int length = OBJ_obj2txt(text, sizeof text, sk_ASN1_OBJECT_value(uses.get(), i), 1);
    if (length > 0 && std::string_view(text) == document_signing) return true;
  }
  return false;
}

Subject subject_of(const X509& certificate) {
  Subject subject;
  const X509_NAME& name = *X509_get_subject_name(&certificate);
  subject.name = common_name_of(name);
  subject.roles = units_of(name);
  // OpenSSL caches what extensions say inside the certificate.
  X509& cached = const_cast<X509&>(certificate);
  const std::uint32_t uses = X509_get_extended_key_usage(&cached);
  if (X509_check_ca(&cached) > 0) {
    subject.use = Subject::Use::authority;
  } else if (uses != UINT32_MAX && (uses & XKU_SSL_SERVER) != 0) {
    subject.use = Subject::Use::node;
  } else if (signs_documents(certificate)) {
    subject.use = Subject::Use::signer;
  }
  const std::unique_ptr<GENERAL_NAMES, OpensslDeleter<GENERAL_NAMES_free>> names(
      static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(&certificate, NID_subject_alt_name, nullptr, nullptr)));
  for (int i = 0; names != nullptr && i < sk_GENERAL_NAME_num(names.get()); ++i) {
    int kind = 0;
    const void* const value = GENERAL_NAME_get0_value(sk_GENERAL_NAME_value(names.get(), i), &kind);
    if (kind == GEN_DNS)
      subject.alternates.push_back("DNS:" + text_of(*static_cast<const ASN1_STRING*>(value)));
    if (kind == GEN_IPADD) {
      const auto& address = *static_cast<const ASN1_STRING*>(value);
      char text[INET6_ADDRSTRLEN];
      const int family = ASN1_STRING_length(&address) == 4 ? AF_INET : AF_INET6;
      if (::inet_ntop(family, ASN1_STRING_get0_data(&address), text, sizeof text) != nullptr) {
        subject.alternates.push_back(std::string("IP:") + text);
      }
    }
  }
  return subject;
}

Result<KeyPointer> make_key() {
  KeyPointer key(EVP_PKEY_Q_keygen(nullptr, nullptr, "EC", "P-256"));
  if (key == nullptr) return openssl_error("cannot make a private key");
  return key;
}

Result<CertificatePointer> make_certificate(const Subject& subject, unsigned days, EVP_PKEY& key,
                                            const Signer* signer) {
  CertificatePointer made(X509_new());
  if (made == nullptr) return openssl_error("cannot make a certificate");
  X509& certificate = *made;
  X509& by = signer == nullptr ? certificate : *signer->certificate;
  bool good =
      X509_set_version(&certificate, X509_VERSION_3) == 1 && set_serial(certificate) &&
      X509_gmtime_adj(X509_getm_notBefore(&certificate), -one_hour) != nullptr &&
      X509_time_adj_ex(X509_getm_notAfter(&certificate), static_cast<int>(days), 0, nullptr) != nullptr &&
      X509_set_pubkey(&certificate, &key) == 1 && set_name(X509_get_subject_name(&certificate), subject) &&
      X509_set_issuer_name(&certificate, X509_get_subject_name(&by)) == 1 &&
      add_extension(certificate, by, {NID_subject_key_identifier, "hash"});
  for (const Extension& each : uses_of(subject)) good = good && add_extension(certificate, by, each);
  if (signer != nullptr) {
    good = good && add_extension(certificate, by, {NID_authority_key_identifier, "keyid:always"});
  }
  if (!good || X509_sign(&certificate, signer == nullptr ? &key : signer->key, EVP_sha256()) == 0) {
    return openssl_error("cannot make a certificate");
  }
  return made;
}

Result<RequestPointer> make_request(const Subject& subject, EVP_PKEY& key) {
  RequestPointer made(X509_REQ_new());
  const Extensions extensions(sk_X509_EXTENSION_new_null());
  bool good =
      made != nullptr && extensions != nullptr && X509_REQ_set_version(made.get(), X509_REQ_VERSION_1) == 1 &&
      X509_REQ_set_pubkey(made.get(), &key) == 1 && set_name(X509_REQ_get_subject_name(made.get()), subject);
  for (const Extension& each : uses_of(subject)) {
    if (!good) break;
    ExtensionPointer extension(X509V3_EXT_conf_nid(nullptr, nullptr, each.kind, each.value.c_str()));
    good = extension != nullptr && sk_X509_EXTENSION_push(extensions.get(), extension.get()) > 0;
    if (good) (void)extension.release();
  }
  if (!good || X509_REQ_add_extensions(made.get(), extensions.get()) != 1 ||
      X509_REQ_sign(made.get(), &key, EVP_sha256()) == 0) {
    return openssl_error("cannot make a request for a certificate");
  }
  return made;
}

Result<ListPointer> make_revocation_list(const std::vector<Revoked>& revoked, std::uint64_t number,
                                         unsigned days, const Signer& signer) {
  ListPointer list(X509_CRL_new());
  const std::unique_ptr<ASN1_TIME, OpensslDeleter<ASN1_TIME_free>> now(X509_gmtime_adj(nullptr, 0)),
      next(X509_time_adj_ex(nullptr, static_cast<int>(days), 0, nullptr));
  const std::unique_ptr<ASN1_INTEGER, OpensslDeleter<ASN1_INTEGER_free>> count(ASN1_INTEGER_new());
  bool good = list != nullptr && now != nullptr && next != nullptr && count != nullptr &&
              X509_CRL_set_version(list.get(), X509_CRL_VERSION_2) == 1 &&
              X509_CRL_set_issuer_name(list.get(), X509_get_subject_name(signer.certificate)) == 1 &&
              X509_CRL_set1_lastUpdate(list.get(), now.get()) == 1 &&
              X509_CRL_set1_nextUpdate(list.get(), next.get()) == 1 &&
              ASN1_INTEGER_set_uint64(count.get(), number) == 1 &&
              X509_CRL_add1_ext_i2d(list.get(), NID_crl_number, count.get(), 0, 0) == 1;
  for (const Revoked& each : revoked) good = good && add_revoked(*list, each);
  if (good) {
    X509V3_CTX context;
    X509V3_set_ctx(&context, signer.certificate, nullptr, nullptr, list.get(), 0);
    const ExtensionPointer by(
        X509V3_EXT_conf_nid(nullptr, &context, NID_authority_key_identifier, "keyid:always"));
    good = by != nullptr && X509_CRL_add_ext(list.get(), by.get(), -1) == 1 &&
           X509_CRL_sort(list.get()) == 1 && X509_CRL_sign(list.get(), signer.key, EVP_sha256()) != 0;
  }
  if (!good) return openssl_error("cannot make a list of revoked certificates");
  return list;
}

Result<std::string> to_pem(X509& certificate) { return write_pem<X509>(PEM_write_bio_X509, certificate); }
Result<std::string> to_pem(X509_REQ& request) { return write_pem<X509_REQ>(PEM_write_bio_X509_REQ, request); }
Result<std::string> to_pem(X509_CRL& list) { return write_pem<X509_CRL>(PEM_write_bio_X509_CRL, list); }

Result<SecretText> to_pem(EVP_PKEY& key) {
  const MemoryPointer memory(BIO_new(BIO_s_secmem()));
  if (memory == nullptr ||
      PEM_write_bio_PrivateKey(memory.get(), &key, nullptr, nullptr, 0, nullptr, nullptr) != 1) {
    return openssl_error("cannot write a private key");
  }
  return SecretText(text_of(memory));
}

CertificatePointer certificate_from(std::string_view pem) {
  return next_from<CertificatePointer>(reader_of(pem), PEM_read_bio_X509);
}
RequestPointer request_from(std::string_view pem) {
  return next_from<RequestPointer>(reader_of(pem), PEM_read_bio_X509_REQ);
}
ListPointer list_from(std::string_view pem) {
  return next_from<ListPointer>(reader_of(pem), PEM_read_bio_X509_CRL);
}
KeyPointer key_from(std::string_view pem) {
  return next_from<KeyPointer>(reader_of(pem), PEM_read_bio_PrivateKey);
}

std::vector<CertificatePointer> certificates_from(std::string_view pem, std::size_t most) {
  return all_from<CertificatePointer>(pem, most, PEM_read_bio_X509);
}
std::vector<ListPointer> lists_from(std::string_view pem, std::size_t most) {
  return all_from<ListPointer>(pem, most, PEM_read_bio_X509_CRL);
}

}  // namespace ssn::pki
