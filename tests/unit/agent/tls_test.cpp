// SPDX-License-Identifier: BSD-3-Clause
// Which handshakes an agent takes, tried with OpenSSL; and which certificates of its own.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>

#include "certificate.h"
#include "support.h"

namespace ssn::agent::test {
namespace {

using pki::CertificateUse;
using pki::Identity;
using pki::IdentityFiles;
using pki::load_identity;

using Context = std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)>;
using Connection = std::unique_ptr<SSL, decltype(&SSL_free)>;

class Tls : public Certificates {
 protected:
  void SetUp() override {
    agent_ = start(settings());
    ASSERT_NE(agent_, nullptr);
  }

  static int connect_to(const std::string& address) {
    const std::size_t colon = address.rfind(':');
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_port = htons(static_cast<std::uint16_t>(std::stoi(address.substr(colon + 1))));
    ::inet_pton(AF_INET, address.substr(0, colon).c_str(), &to.sin_addr);
    const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    EXPECT_EQ(::connect(fd, reinterpret_cast<const sockaddr*>(&to), sizeof to), 0);
    const timeval limit{10, 0};
    ::setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    return fd;
  }

  // The version that was agreed on, or 0. A client certificate is judged by the server after our part of a
  // TLS 1.3 handshake, so its first bytes are waited for.
  static int shake_hands(const Agent& agent, int version, const std::string& certificate) {
    const Context context(SSL_CTX_new(TLS_client_method()), SSL_CTX_free);
    SSL_CTX_set_security_level(context.get(), 0);
    EXPECT_EQ(SSL_CTX_set_min_proto_version(context.get(), version), 1);
    EXPECT_EQ(SSL_CTX_set_max_proto_version(context.get(), version), 1);
    EXPECT_EQ(SSL_CTX_set_cipher_list(context.get(), "ALL:eNULL:aNULL:PSK"), 1);
    const unsigned char h2[] = {2, 'h', '2'};
    SSL_CTX_set_alpn_protos(context.get(), h2, sizeof h2);
    if (!certificate.empty()) {
      EXPECT_EQ(SSL_CTX_use_certificate_chain_file(context.get(), path(certificate + ".crt").c_str()), 1);
      EXPECT_EQ(
          SSL_CTX_use_PrivateKey_file(context.get(), path(certificate + ".key").c_str(), SSL_FILETYPE_PEM),
          1);
    }
    const Connection connection(SSL_new(context.get()), SSL_free);
    const int fd = connect_to(agent.listening());
    SSL_set_fd(connection.get(), fd);
    int agreed = 0;
    char byte = 0;
    if (SSL_connect(connection.get()) == 1 && SSL_read(connection.get(), &byte, 1) == 1) {
      agreed = SSL_version(connection.get());
    }
    ERR_clear_error();
    ::close(fd);
    return agreed;
  }

  // An RSA certificate of the network's CA, which TLS 1.2 has other ciphers for.
  static void make_rsa(const std::string& name) {
    std::FILE* file = std::fopen(path("n/ca.key").c_str(), "r");
    EVP_PKEY* const ca_key = PEM_read_PrivateKey(file, nullptr, nullptr, nullptr);
    std::fclose(file);
    file = std::fopen(path("n/ca.crt").c_str(), "r");
    X509* const ca = PEM_read_X509(file, nullptr, nullptr, nullptr);
    std::fclose(file);
    file = std::fopen(path("n/" + name + ".crt").c_str(), "r");
    X509* const certificate = PEM_read_X509(file, nullptr, nullptr, nullptr);
    std::fclose(file);
    ASSERT_TRUE(ca_key != nullptr && ca != nullptr && certificate != nullptr);
    EVP_PKEY* const key = EVP_PKEY_Q_keygen(nullptr, nullptr, "RSA", std::size_t{2048});
    X509_set_pubkey(certificate, key);
    ASSERT_NE(X509_sign(certificate, ca_key, EVP_sha256()), 0);
    file = std::fopen(path("rsa.crt").c_str(), "w");
    PEM_write_X509(file, certificate);
    std::fclose(file);
    file = std::fopen(path("rsa.key").c_str(), "w");
    PEM_write_PrivateKey(file, key, nullptr, nullptr, 0, nullptr, nullptr);
    std::fclose(file);
    ASSERT_EQ(::chmod(path("rsa.key").c_str(), 0600), 0);
    X509_free(ca);
    X509_free(certificate);
    EVP_PKEY_free(key);
    EVP_PKEY_free(ca_key);
  }

  std::unique_ptr<Agent> agent_;
};

TEST_F(Tls, OnlyTls13) {
  EXPECT_EQ(shake_hands(*agent_, TLS1_3_VERSION, "n/operator"), TLS1_3_VERSION);
  for (const int old : {TLS1_VERSION, TLS1_1_VERSION, TLS1_2_VERSION}) {
    EXPECT_EQ(shake_hands(*agent_, old, "n/operator"), 0) << std::hex << old;
  }
}

TEST_F(Tls, OnlyTls13WithAnRsaCertificateToo) {
  make_rsa("sae-a");
  agent_.reset();
  AgentSettings rsa = settings();
  rsa.certificate = path("rsa.crt");
  rsa.key = path("rsa.key");
  agent_ = start(rsa);
  ASSERT_NE(agent_, nullptr);
  EXPECT_EQ(shake_hands(*agent_, TLS1_3_VERSION, "n/operator"), TLS1_3_VERSION);
  EXPECT_EQ(shake_hands(*agent_, TLS1_2_VERSION, "n/operator"), 0);
}

TEST_F(Tls, CountersTellHowLongTheCertificateLasts) {
  std::vector<Counter> all;
  agent_->counters(all);
  const auto by_name = [](const Counter& one, const Counter& other) { return one.name < other.name; };
  EXPECT_TRUE(std::is_sorted(all.begin(), all.end(), by_name));
  const auto left = std::find_if(all.begin(), all.end(), [](const Counter& counter) {
    return counter.name == "agent.certificate_left_s";
  });
  ASSERT_NE(left, all.end());
  EXPECT_GT(left->value, 3600U);
}

TEST_F(Tls, NobodyWithoutACertificate) {
  EXPECT_EQ(shake_hands(*agent_, TLS1_3_VERSION, ""), 0);
  EXPECT_EQ(shake_hands(*agent_, TLS1_3_VERSION, "other/operator"), 0);
}

TEST_F(Tls, WhatIsNoHandshakeIsEnded) {
  for (const std::string& junk : {std::string("GET / HTTP/1.1\r\n\r\n"), std::string(70'000, '\xff')}) {
    const int fd = connect_to(agent_->listening());
    static_cast<void>(!::send(fd, junk.data(), junk.size(), MSG_NOSIGNAL));
    char bytes[4096];
    ssize_t got = 1;
    std::size_t all = 0;
    while (got > 0) {
      got = ::recv(fd, bytes, sizeof bytes, 0);
      all += got > 0 ? static_cast<std::size_t>(got) : 0;
    }
    EXPECT_LT(all, 100U) << "an alert at most";
    EXPECT_TRUE(got == 0 || errno == ECONNRESET) << errno;
    ::close(fd);
  }
  EXPECT_EQ(shake_hands(*agent_, TLS1_3_VERSION, "n/operator"), TLS1_3_VERSION);
}

TEST_F(Tls, ASilentConnectionIsEnded) {
  const int fd = connect_to(agent_->listening());
  char byte = 0;
  EXPECT_EQ(::recv(fd, &byte, 1, 0), 0) << "within the time for a handshake";
  ::close(fd);
}

class Identities : public Certificates {
 protected:
  static Error refused(const IdentityFiles& files, CertificateUse use = CertificateUse::node) {
    const Result<Identity> identity = load_identity(files, use);
    EXPECT_FALSE(identity.ok()) << files.certificate;
    return identity.ok() ? Error{} : identity.error();
  }
  static IdentityFiles good() { return {path("n/sae-a.crt"), path("n/sae-a.key"), path("n/ca.crt")}; }
  static std::string text(const std::string& name) {
    std::ifstream file(path(name));
    return {std::istreambuf_iterator<char>(file), {}};
  }
};

TEST_F(Identities, GoodOnes) {
  const Result<Identity> node = load_identity(good(), CertificateUse::node);
  ASSERT_TRUE(node.ok()) << describe(node.error());
  EXPECT_EQ(node.value().name, "sae-a");
  EXPECT_EQ(pki::holder_of(text("n/sae-a.crt")).name, "sae-a");
  EXPECT_TRUE(load_identity({path("n/operator.crt"), path("n/operator.key"), path("n/ca.crt")},
                            CertificateUse::client)
                  .ok());
}

TEST_F(Identities, BadOnes) {
  IdentityFiles files = good();
  files.key = path("n/sae-b.key");
  EXPECT_EQ(refused(files).where, files.key);
  files = good();
  files.ca = path("other/ca.crt");
  EXPECT_EQ(refused(files).where, files.certificate);
  files = good();
  files.certificate = path("n/sae-a.key");
  EXPECT_EQ(refused(files).where, files.certificate);
  files = good();
  files.ca = "/dev/null";
  EXPECT_EQ(refused(files).where, files.ca);
  files = good();
  files.key = path("n/gone.key");
  EXPECT_EQ(refused(files).code, Exit::not_found);
  files = {path("n/operator.crt"), path("n/operator.key"), path("n/ca.crt")};
  EXPECT_NE(refused(files).why.find("purpose"), std::string::npos) << "a client's is no server's";
  files = good();
  ASSERT_EQ(::chmod(files.key.c_str(), 0640), 0);
  EXPECT_EQ(refused(files).fix, "chmod 600 " + files.key);
  ASSERT_EQ(::chmod(files.key.c_str(), 0600), 0);
}

TEST_F(Identities, TheNodesOwnNameOnly) {
  AgentSettings wrong = settings("sae-a");
  wrong.name = "sae-b";
  wrong.socket.clear();
  const Result<std::unique_ptr<Agent>> refused = Agent::start(wrong);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, Exit::refused);
}

}  // namespace
}  // namespace ssn::agent::test
