// SPDX-License-Identifier: BSD-3-Clause
// Certificates that were made here, good and bad in each way.
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <cstring>
#include <memory>

#include "planted_system.h"

namespace ssn::hw {
namespace {

using testing::HasSubstr;

constexpr std::int64_t day = 86400;

struct Party {
  std::shared_ptr<EVP_PKEY> key;
  std::shared_ptr<X509> certificate;
};

std::shared_ptr<EVP_PKEY> new_key() {
  return {EVP_PKEY_Q_keygen(nullptr, nullptr, "EC", "P-256"), EVP_PKEY_free};
}

// Signed by `issuer`, or by itself.
Party make_party(const char* name, std::int64_t from, std::int64_t to, bool authority, const Party* issuer) {
  Party party{new_key(), {X509_new(), X509_free}};
  X509* const x = party.certificate.get();
  EXPECT_NE(x, nullptr);
  X509_set_version(x, X509_VERSION_3);
  ASN1_INTEGER_set(X509_get_serialNumber(x), authority ? 1 : 2);
  ASN1_TIME_set(X509_getm_notBefore(x), static_cast<std::time_t>(from));
  ASN1_TIME_set(X509_getm_notAfter(x), static_cast<std::time_t>(to));
  X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_ASC,
                             reinterpret_cast<const unsigned char*>(name), -1, -1, 0);
  X509_set_issuer_name(x, X509_get_subject_name(issuer != nullptr ? issuer->certificate.get() : x));
  X509_set_pubkey(x, party.key.get());
  if (authority) {
    X509_EXTENSION* const extension =
        X509V3_EXT_conf_nid(nullptr, nullptr, NID_basic_constraints, "critical,CA:TRUE");
    X509_add_ext(x, extension, -1);
    X509_EXTENSION_free(extension);
  }
  EXPECT_GT(X509_sign(x, issuer != nullptr ? issuer->key.get() : party.key.get(), EVP_sha256()), 0);
  return party;
}

template <typename Write>
std::string pem(Write write) {
  const std::unique_ptr<BIO, int (*)(BIO*)> bio(BIO_new(BIO_s_mem()), BIO_free);
  EXPECT_EQ(write(bio.get()), 1);
  char* data = nullptr;
  const long length = BIO_get_mem_data(bio.get(), &data);
  return {data, static_cast<std::size_t>(length)};
}
std::string pem_of(const X509* x) {
  return pem([&](BIO* bio) { return PEM_write_bio_X509(bio, x); });
}
std::string pem_of(const EVP_PKEY* key, const char* password = nullptr) {
  return pem([&](BIO* bio) {
    return PEM_write_bio_PKCS8PrivateKey(
        bio, key, password != nullptr ? EVP_aes_256_cbc() : nullptr, password,
        password != nullptr ? static_cast<int>(std::strlen(password)) : 0, nullptr, nullptr);
  });
}

class Certificates : public Preflight {
 protected:
  void SetUp() override {
    Preflight::SetUp();
    now_ = system_->time;
    authority_ = make_party("authority", now_ - 10 * day, now_ + 1000 * day, true, nullptr);
    site_ = make_party("site", now_ - 10 * day, now_ + 100 * day, false, &authority_);
    plant("/ca.pem", pem_of(authority_.certificate.get()));
    plant("/site.pem", pem_of(site_.certificate.get()));
    plant_key(pem_of(site_.key.get()));
    wish_.certificates = {{"site", "/site.pem", "/site.key", "/ca.pem"}};
  }
  void plant_key(const std::string& text, mode_t mode = 0600) const {
    plant("/site.key", text);
    ASSERT_EQ(::chmod((root_ + "/site.key").c_str(), mode), 0);
  }
  void expect_error(const std::string& what) const {
    const Finding finding = one("certificates.file");
    EXPECT_EQ(finding.level, Level::error);
    EXPECT_THAT(finding.what, HasSubstr(what));
    EXPECT_FALSE(finding.fix.empty());
  }

  std::int64_t now_ = 0;
  Party authority_;
  Party site_;
};

TEST_F(Certificates, AreGood) {
  expect_ok("certificates.file");
  EXPECT_THAT(one("certificates.file").what, HasSubstr("good for 100 days"));
  wish_.certificates = {{"site", "/site.pem", "", ""}};
  expect_ok("certificates.file");
}

TEST_F(Certificates, MustBeThereAndBeCertificates) {
  plant("/site.pem", "no certificate");
  expect_error("no certificate in PEM");
  remove("/site.pem");
  expect_error("cannot read /site.pem");
  plant("/site.pem", pem_of(site_.certificate.get()));
  remove("/ca.pem");
  expect_error("cannot read /ca.pem");
}

TEST_F(Certificates, MustBeInTime) {
  system_->time = now_ + 101 * day;
  expect_error("expired on");
  system_->time = now_ - 11 * day;
  expect_error("valid only from");
  EXPECT_THAT(one("certificates.file").fix, HasSubstr("date -u"));
  system_->time = now_ + 71 * day;
  expect("certificates.file", Level::warning, "renew it");
  system_->time = now_ + 69 * day;
  expect_ok("certificates.file");
}

TEST_F(Certificates, MustHaveTheirKey) {
  plant_key(pem_of(new_key().get()));
  expect_error("does not belong to");
  plant_key("no key");
  expect_error("no private key in PEM");
  plant_key(pem_of(site_.key.get(), "password"));
  expect_error("without a password");
  plant_key(pem_of(site_.key.get()), 0640);
  expect_error("others than its owner");
  EXPECT_EQ(one("certificates.file").fix, "chmod 600 /site.key");
  plant_key(pem_of(site_.key.get()), 0400);
  expect_ok("certificates.file");
  remove("/site.key");
  expect_error("cannot read /site.key");
}

TEST_F(Certificates, MustLeadToTheAuthorities) {
  const Party other = make_party("another", now_ - day, now_ + 1000 * day, true, nullptr);
  plant("/ca.pem", pem_of(other.certificate.get()));
  expect_error("does not lead to /ca.pem");
  // The same through one between, which the file brings along, or does not.
  const Party between = make_party("between", now_ - day, now_ + 500 * day, true, &authority_);
  const Party leaf = make_party("leaf", now_ - day, now_ + 100 * day, false, &between);
  plant("/ca.pem", pem_of(authority_.certificate.get()));
  plant("/site.pem", pem_of(leaf.certificate.get()));
  plant_key(pem_of(leaf.key.get()));
  expect_error("does not lead to");
  plant("/site.pem", pem_of(leaf.certificate.get()) + pem_of(between.certificate.get()));
  expect_ok("certificates.file");
}

}  // namespace
}  // namespace ssn::hw
