// SPDX-License-Identifier: BSD-3-Clause
// Certificates, keys and lists of revoked ones that change while streams run.
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <sys/stat.h>

#include <fstream>
#include <iterator>

#include "fixture.h"

namespace ssn::test {
namespace {

std::string read(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

// As a whole, as it should be done.
void put(const std::string& path, const std::string& text) {
  std::ofstream(path + ".new") << text;
  ASSERT_EQ(::chmod((path + ".new").c_str(), 0600), 0);
  ASSERT_EQ(std::rename((path + ".new").c_str(), path.c_str()), 0);
}

template <typename T, T* (*read_pem)(BIO*, T**, pem_password_cb*, void*)>
T* from_pem(const std::string& path) {
  const std::string text = read(path);
  BIO* const bio = BIO_new_mem_buf(text.data(), static_cast<int>(text.size()));
  T* const made = read_pem(bio, nullptr, nullptr, nullptr);
  BIO_free(bio);
  return made;
}

class LiveFiles : public TwoSites {
 protected:
  void SetUp() override {
    TwoSites::SetUp();
    if (IsSkipped()) return;
    put(path("live.pem"), read(path("sae-a.pem")));
    put(path("live.key"), read(path("sae-a.key")));
  }
  std::string path(const std::string& name) const { return kme.file(name); }

  // The files of the sender are its own.
  void begin(bool looks) {
    Config settings = settings_for(kme, "sae-a");
    settings["certificate"] = path("live.pem");
    settings["private_key"] = path("live.key");
    if (looks) settings["crl"] = path("ca.crl");
    a = std::make_unique<Node>("sae-a", settings);
    b = std::make_unique<Node>("sae-b", settings_for(kme, "sae-b"));
    ASSERT_EQ(a->open(), SSN_OK) << a->error().why;
    ASSERT_EQ(b->open(), SSN_OK) << b->error().why;
    a->connect(b.get(), {}, random.next());
    b->connect(a.get(), {}, random.next());
    open_stream();
    goes_on();
  }
  void goes_on() { EXPECT_GE(compare(*sender, *receiver, 300000), 300000U) << a->info().identity; }
  bool says(const std::string& text) {
    return std::string(a->info().identity).find(text) != std::string::npos;
  }
  void stalls(const std::string& why) {
    EXPECT_TRUE(wait_for([&] {
      (void)sender->poll();
      return (*sender)->health == SSN_KEY_HEALTH_STALLED && says(why);
    })) << a->info().identity;
  }

  // Of the CA, with the serial number of the certificate in `revoked`, where it is not empty.
  void publish(const std::string& revoked, const std::string& by = "ca") const {
    X509* const authority = from_pem<X509, PEM_read_bio_X509>(path(by + ".pem"));
    EVP_PKEY* const key = from_pem<EVP_PKEY, PEM_read_bio_PrivateKey>(path(by + ".key"));
    X509_CRL* const list = X509_CRL_new();
    ASN1_TIME* const begin = X509_gmtime_adj(nullptr, -60);
    ASN1_TIME* const end = X509_gmtime_adj(nullptr, 3600);
    X509_CRL_set_version(list, 1);
    X509_CRL_set_issuer_name(list, X509_get_subject_name(authority));
    X509_CRL_set1_lastUpdate(list, begin);
    X509_CRL_set1_nextUpdate(list, end);
    if (!revoked.empty()) {
      X509* const certificate = from_pem<X509, PEM_read_bio_X509>(path(revoked));
      X509_REVOKED* const entry = X509_REVOKED_new();
      X509_REVOKED_set_serialNumber(entry, X509_get_serialNumber(certificate));
      X509_REVOKED_set_revocationDate(entry, begin);
      X509_CRL_add0_revoked(list, entry);
      X509_free(certificate);
    }
    X509_CRL_sort(list);
    EXPECT_GT(X509_CRL_sign(list, key, EVP_sha256()), 0);
    BIO* const text = BIO_new(BIO_s_mem());
    EXPECT_EQ(PEM_write_bio_X509_CRL(text, list), 1);
    char* bytes = nullptr;
    const long length = BIO_get_mem_data(text, &bytes);
    put(path("ca.crl"), std::string(bytes, static_cast<std::size_t>(length)));
    BIO_free(text);
    ASN1_TIME_free(begin);
    ASN1_TIME_free(end);
    X509_CRL_free(list);
    EVP_PKEY_free(key);
    X509_free(authority);
  }
};

TEST_F(LiveFiles, NewConnectionsShowTheNewCertificate) {
  begin(false);
  put(path("live.key"), read(path("stranger.key")));
  put(path("live.pem"), read(path("stranger.pem")));
  stalls("TLS: ");  // the key manager does not know it: so it was shown
  put(path("live.key"), read(path("sae-a.key")));
  put(path("live.pem"), read(path("sae-a.pem")));
  goes_on();
}

TEST_F(LiveFiles, BrokenFilesCountForNothingAndAreTold) {
  begin(false);
  const std::string good = read(path("sae-a.pem"));
  for (const std::string& broken :
       {good.substr(0, good.size() / 2), read(path("sae-b.pem")), std::string()}) {
    put(path("live.pem"), broken);
    EXPECT_TRUE(wait_for([&] { return says("changed certificates cannot be used: "); }));
    EXPECT_TRUE(says("live.")) << a->info().identity;
    goes_on();
    put(path("live.pem"), good);
    EXPECT_TRUE(wait_for([&] { return !says("changed certificates cannot be used: "); }));
  }
  goes_on();
}

TEST_F(LiveFiles, ARevokedKeyManagerIsNotAskedAnyMore) {
  publish("");
  begin(true);
  publish("", "stranger-ca");  // nobody's list
  EXPECT_TRUE(wait_for([&] { return says("ca.crl: no authority"); }));
  goes_on();
  publish("kme-test.pem");
  stalls("certificate revoked");
  const std::uint64_t before = (*sender)->end;
  EXPECT_FALSE(wait_for(
      [&] {
        (void)sender->poll();
        return (*sender)->end != before;
      },
      1));
  publish("");
  goes_on();
}

}  // namespace
}  // namespace ssn::test
