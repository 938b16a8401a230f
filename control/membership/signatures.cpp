// SPDX-License-Identifier: BSD-3-Clause
#include "signatures.h"

#include <openssl/pem.h>
// After pem.h: it declares its own only then.
#include <fmt/core.h>
#include <openssl/cms.h>
#include <openssl/err.h>

#include <algorithm>
#include <climits>

#include "document.h"

namespace ssn::membership {
namespace {

using Message = std::unique_ptr<CMS_ContentInfo, pki::OpensslDeleter<CMS_ContentInfo_free>>;
constexpr const char* cannot_sign = "cannot sign the membership";
constexpr const char* cannot_verify = "cannot verify the membership";

pki::MemoryPointer reader_of(std::string_view text) {
  return pki::MemoryPointer(
      text.size() > INT_MAX ? nullptr : BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
}

Error no_message(const char* what, const std::string& file) {
  return {Exit::integrity, what, "it holds no signatures (CMS SignedData, detached, in PEM)", file,
          "make them: ssn membership sign"};
}

// Null: it is none.
Message message_from(std::string_view pem) {
  if (pem.size() > signatures_max) return nullptr;
  const pki::MemoryPointer memory = reader_of(pem);
  Message message(memory == nullptr ? nullptr : PEM_read_bio_CMS(memory.get(), nullptr, nullptr, nullptr));
  if (message != nullptr && (OBJ_obj2nid(CMS_get0_type(message.get())) != NID_pkcs7_signed ||
                             CMS_is_detached(message.get()) != 1)) {
    message.reset();
  }
  ERR_clear_error();
  return message;
}

// SHA-2 of 256 bits and more.
bool is_good_digest(CMS_SignerInfo* info) {
  X509_ALGOR* digest = nullptr;
  CMS_SignerInfo_get0_algs(info, nullptr, nullptr, &digest, nullptr);
  const ASN1_OBJECT* object = nullptr;
  if (digest != nullptr) X509_ALGOR_get0(&object, nullptr, nullptr, digest);
  const int kind = object == nullptr ? NID_undef : OBJ_obj2nid(object);
  return kind == NID_sha256 || kind == NID_sha384 || kind == NID_sha512;
}

// Digests the text for all of them at once.
pki::MemoryPointer digested(CMS_ContentInfo& message, std::string_view text) {
  pki::MemoryPointer content = reader_of(text);
  if (content == nullptr) return nullptr;
  pki::MemoryPointer chain(CMS_dataInit(&message, content.get()));
  if (chain == nullptr) return nullptr;
  (void)content.release();  // it is in the chain
  char bytes[4096];
  int got = 0;
  while ((got = BIO_read(chain.get(), bytes, sizeof bytes)) > 0) {
  }
  return got == 0 ? std::move(chain) : nullptr;
}

bool is_good(CMS_SignerInfo& info, X509& certificate, BIO& chain) {
  CMS_SignerInfo_set1_signer_cert(&info, &certificate);
  const bool has_attributes = CMS_signed_get_attr_count(&info) >= 0;
  const bool good = (!has_attributes || CMS_SignerInfo_verify(&info) == 1) &&
                    CMS_SignerInfo_verify_content(&info, &chain) == 1;
  ERR_clear_error();
  return good;
}

// Which of the signers signed the text.
std::vector<bool> signed_by(CMS_ContentInfo& message, std::string_view text,
                            const std::vector<pki::CertificatePointer>& signers) {
  std::vector<bool> found(signers.size(), false);
  const pki::MemoryPointer chain = digested(message, text);
  STACK_OF(CMS_SignerInfo)* const infos = chain == nullptr ? nullptr : CMS_get0_SignerInfos(&message);
  for (int i = 0; infos != nullptr && i < sk_CMS_SignerInfo_num(infos); ++i) {
    CMS_SignerInfo* const info = sk_CMS_SignerInfo_value(infos, i);
    if (!is_good_digest(info)) continue;
    for (std::size_t j = 0; j < signers.size(); ++j) {
      if (found[j] || CMS_SignerInfo_cert_cmp(info, signers[j].get()) != 0) continue;
      if (is_good(*info, *signers[j], *chain)) found[j] = true;
    }
  }
  ERR_clear_error();
  return found;
}

// By the key, where the certificate says its identifier: one that was renewed is the same signer.
unsigned identifier_of(X509& certificate) {
  return X509_get0_subject_key_id(&certificate) != nullptr ? CMS_USE_KEYID : 0U;
}

// One signature alone.
Message sign_alone(std::string_view text, X509& certificate, EVP_PKEY& key) {
  const pki::MemoryPointer content = reader_of(text);
  const unsigned flags =
      CMS_BINARY | CMS_DETACHED | CMS_NOCERTS | CMS_NOSMIMECAP | identifier_of(certificate);
  Message message(content == nullptr ? nullptr
                                     : CMS_sign(nullptr, nullptr, nullptr, nullptr, flags | CMS_PARTIAL));
  const bool good = message != nullptr &&
                    CMS_add1_signer(message.get(), &certificate, &key, EVP_sha256(), flags) != nullptr &&
                    CMS_final(message.get(), content.get(), nullptr, flags) == 1;
  return good ? std::move(message) : nullptr;
}

// The digest that they are of is told by the first one that has it: what is there signs the same bytes.
bool add_to(CMS_ContentInfo& message, X509& certificate, EVP_PKEY& key) {
  const unsigned flags =
      CMS_BINARY | CMS_NOCERTS | CMS_NOSMIMECAP | CMS_REUSE_DIGEST | identifier_of(certificate);
  return CMS_add1_signer(&message, &certificate, &key, EVP_sha256(), flags) != nullptr;
}

Result<std::string> pem_of(CMS_ContentInfo& message) {
  const pki::MemoryPointer memory(BIO_new(BIO_s_mem()));
  if (memory == nullptr || PEM_write_bio_CMS(memory.get(), &message) != 1) {
    return pki::openssl_error(cannot_sign);
  }
  char* data = nullptr;
  const long length = BIO_get_mem_data(memory.get(), &data);
  return std::string(data, static_cast<std::size_t>(length));
}

Error not_for_documents(const char* what, const X509& certificate, const std::string& file) {
  const std::string name = pki::holder_of(certificate).name;
  return {Exit::refused, what,
          fmt::format("the certificate of {} was not issued for signing documents",
                      name.empty() ? "somebody without a name" : name),
          file, "let it be issued for that: ssn pki issue NAME --role signer"};
}

}  // namespace

Result<Signers> read_signers(std::string_view pem, const std::string& file) {
  constexpr const char* what = "cannot read who may sign memberships";
  Signers signers{pki::certificates_from(pem, signers_max + 1), file};
  if (signers.certificates.empty()) {
    return Error{Exit::refused, what, "it holds no certificate in PEM", file,
                 "put the certificates of those who may sign behind each other: ssn pki issue --role signer"};
  }
  if (signers.certificates.size() > signers_max) {
    return Error{Exit::refused, what, fmt::format("it holds more than {} certificates", signers_max), file,
                 "leave some out"};
  }
  std::vector<std::string> keys;
  for (const pki::CertificatePointer& each : signers.certificates) {
    if (!pki::signs_documents(*each) || pki::holder_of(*each).name.empty()) {
      return not_for_documents(what, *each, file);
    }
    keys.push_back(key_of(*each));
    if (std::count(keys.begin(), keys.end(), keys.back()) != 1) {
      return Error{Exit::refused, what, fmt::format("{} stands there twice", pki::holder_of(*each).name),
                   file, "leave one of them out: who signs counts once"};
    }
  }
  return signers;
}

Result<std::vector<std::string>> who_signed(std::string_view text, std::string_view signatures,
                                            const Signers& signers, const std::string& file) {
  const Message message = message_from(signatures);
  if (message == nullptr) return no_message(cannot_verify, file);
  const std::vector<bool> found = signed_by(*message, text, signers.certificates);
  std::vector<std::string> names;
  for (std::size_t i = 0; i < found.size(); ++i) {
    if (found[i]) names.push_back(pki::holder_of(*signers.certificates[i]).name);
  }
  return names;
}

Result<std::string> add_signature(std::string_view text, std::string_view signatures,
                                  std::string_view certificate_pem, std::string_view key_pem,
                                  const std::string& file) {
  std::vector<pki::CertificatePointer> mine;
  mine.push_back(pki::certificate_from(certificate_pem));
  const pki::KeyPointer key = pki::key_from(key_pem);
  if (mine[0] == nullptr || key == nullptr || X509_check_private_key(mine[0].get(), key.get()) != 1) {
    ERR_clear_error();
    return Error{Exit::refused, cannot_sign,
                 mine[0] == nullptr ? "there is no certificate in PEM"
                 : key == nullptr   ? "there is no private key that can be read without a password"
                                    : "the private key is not that of the certificate",
                 "", "give both as `ssn pki issue --role signer` made them"};
  }
  if (!pki::signs_documents(*mine[0])) return not_for_documents(cannot_sign, *mine[0], "");
  if (signatures.empty()) {
    const Message message = sign_alone(text, *mine[0], *key);
    return message == nullptr ? Result<std::string>(pki::openssl_error(cannot_sign)) : pem_of(*message);
  }
  const Message message = message_from(signatures);
  if (message == nullptr) return no_message(cannot_sign, file);
  if (signed_by(*message, text, mine)[0]) return std::string(signatures);  // it is there already
  // OpenSSL adds one to what is there by the digest that those are of; whether it is that of this text is
  // only known when it was added.
  if (!add_to(*message, *mine[0], *key)) return pki::openssl_error(cannot_sign);
  Result<std::string> made = pem_of(*message);
  if (!made.ok()) return made;
  const Message again = message_from(made.value());
  if (again == nullptr || !signed_by(*again, text, mine)[0]) {
    return Error{Exit::integrity, cannot_sign, "the signatures that are there are of another text", file,
                 "move them away, and sign the document anew; everybody has to"};
  }
  return made;
}

}  // namespace ssn::membership
