// SPDX-License-Identifier: BSD-3-Clause
// Handshakes with key managers whose authority is not the root: what counts of lists of revoked certificates.
#include "tls.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>

#include "certificate_holder.h"

namespace ssn::hw::etsi014 {
namespace {

using test::Holder;
using test::list_of;
using test::make_holder;
using test::pem;

// root -> between -> kme, and root -> sae.
class Handshakes : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (std::filesystem::temp_directory_path() / "ssn-tls-XXXXXX").string();
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
    using Use = pki::Subject::Use;
    root_ = test::make_root();
    between_ = make_holder("between", Use::authority, &root_);
    kme_ = make_holder("kme", Use::node, &between_);
    const Holder sae = make_holder("sae", Use::client, &root_);
    write("ca", pem(*root_.certificate) + pem(*between_.certificate));
    write("certificate", pem(*sae.certificate));
    const pki::SecretText key = std::move(pki::to_pem(*sae.key).value());
    write("key", std::string(key.view()));
    settings_.ca = path("ca");
    settings_.certificate = path("certificate");
    settings_.private_key = path("key");
    settings_.crl = path("crl");
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::string path(const char* name) const { return folder_ + "/" + name; }
  void write(const char* name, const std::string& text) const { std::ofstream(path(name)) << text; }
  // With what the lists say: empty, or why the key manager is not believed.
  std::string shake_hands(const std::string& lists) {
    write("crl", lists);
    Result<TlsContext> context = TlsContext::make(settings_);
    if (!context.ok()) return "no context: " + context.error().why;
    const std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)> theirs(SSL_CTX_new(TLS_server_method()),
                                                                   SSL_CTX_free);
    STACK_OF(X509)* const chain = sk_X509_new_null();
    sk_X509_push(chain, between_.certificate.get());
    EXPECT_EQ(SSL_CTX_use_cert_and_key(theirs.get(), kme_.certificate.get(), kme_.key.get(), chain, 1), 1);
    sk_X509_free(chain);
    using Connection = std::unique_ptr<SSL, decltype(&SSL_free)>;
    const Connection client(SSL_new(context.value().get()), SSL_free);
    const Connection server(SSL_new(theirs.get()), SSL_free);
    BIO* at_client = nullptr;
    BIO* at_server = nullptr;
    EXPECT_EQ(BIO_new_bio_pair(&at_client, 0, &at_server, 0), 1);
    SSL_set_bio(client.get(), at_client, at_client);
    SSL_set_bio(server.get(), at_server, at_server);
    SSL_set_connect_state(client.get());
    SSL_set_accept_state(server.get());
    for (int i = 0; i < 100 && SSL_is_init_finished(client.get()) != 1; ++i) {
      SSL_do_handshake(client.get());
      SSL_do_handshake(server.get());
    }
    static_cast<void>(openssl_reason());
    const bool finished = SSL_is_init_finished(client.get()) == 1;
    const long verdict = SSL_get_verify_result(client.get());
    EXPECT_EQ(finished, verdict == X509_V_OK);
    return finished ? "" : X509_verify_cert_error_string(verdict);
  }

  std::string folder_;
  Settings settings_;
  Holder root_, between_, kme_;
};

TEST_F(Handshakes, WithListsThatNameNobody) {
  EXPECT_EQ(shake_hands(list_of(root_, nullptr) + list_of(between_, nullptr)), "");
}

TEST_F(Handshakes, ARevokedKeyManagerIsNotBelieved) {
  EXPECT_EQ(shake_hands(list_of(root_, nullptr) + list_of(between_, &kme_)), "certificate revoked");
}

TEST_F(Handshakes, ARevokedAuthorityTakesItsKeyManagersWithIt) {
  EXPECT_EQ(shake_hands(list_of(root_, &between_) + list_of(between_, nullptr)), "certificate revoked");
}

TEST_F(Handshakes, TheIssuerMustHaveGivenAList) {
  EXPECT_EQ(shake_hands(list_of(root_, nullptr)), "unable to get certificate CRL");
}

TEST_F(Handshakes, AuthoritiesAboveTheIssuerNeedGiveNone) {
  EXPECT_EQ(shake_hands(list_of(between_, nullptr)), "");
  EXPECT_EQ(shake_hands(list_of(between_, &kme_)), "certificate revoked");
}

}  // namespace
}  // namespace ssn::hw::etsi014
