// SPDX-License-Identifier: BSD-3-Clause
// Who is counted as having signed, against OpenSSL's own command.
#include "signatures.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/pem.h>
// After pem.h: it declares its own only then.
#include <openssl/cms.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "membership_text.h"

namespace ssn::membership {
namespace {

using test::TestSigner;
using testing::ElementsAre;
using testing::IsEmpty;

class SignaturesTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = testing::TempDir() + "signatures-XXXXXX";
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    folder_ = name;
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::string put(const std::string& name, const std::string& text) const {
    std::ofstream(folder_ + "/" + name, std::ios::binary) << text;
    return folder_ + "/" + name;
  }
  std::string get(const std::string& name) const {
    std::stringstream read;
    read << std::ifstream(folder_ + "/" + name, std::ios::binary).rdbuf();
    return read.str();
  }
  bool openssl(const std::string& arguments) const {
    return std::system(fmt::format("cd '{}' && openssl {} >out 2>&1", folder_, arguments).c_str()) == 0;
  }
  static Signers pinned(std::initializer_list<const TestSigner*> all) {
    std::string pem;
    for (const TestSigner* const each : all) pem += each->certificate;
    return std::move(read_signers(pem, "signers").value());
  }
  static std::vector<std::string> who(const std::string& text, const std::string& signatures,
                                      const Signers& signers) {
    const auto names = who_signed(text, signatures, signers, "p7s");
    return names.ok() ? names.value() : std::vector<std::string>{"ERROR " + names.error().why};
  }

  std::string folder_;
  const TestSigner dave_{"dave"}, erin_{"erin"}, frank_{"frank"};
  const std::string text_ = "a document\r\nwith lines\n";
};

TEST_F(SignaturesTest, EachWhoMayCountsOnce) {
  const std::string one = dave_.sign(text_);
  EXPECT_THAT(who(text_, one, pinned({&dave_, &erin_})), ElementsAre("dave"));
  const std::string two = erin_.sign(text_, one);
  EXPECT_THAT(who(text_, two, pinned({&dave_, &erin_, &frank_})), ElementsAre("dave", "erin"));
  EXPECT_EQ(dave_.sign(text_, two), two) << "it is there already";
  EXPECT_THAT(who(text_, two, pinned({&erin_})), ElementsAre("erin"));
  EXPECT_THAT(who(text_, two, pinned({&frank_})), IsEmpty());
  EXPECT_THAT(who(text_ + " ", two, pinned({&dave_, &erin_})), IsEmpty()) << "another text";
  const TestSigner other_dave("dave");
  EXPECT_THAT(who(text_, two, pinned({&other_dave})), IsEmpty()) << "the name alone is nothing";
}

TEST_F(SignaturesTest, WhatIsNoSignatureIsRefused) {
  const std::string one = dave_.sign(text_);
  EXPECT_FALSE(who_signed(text_, "", pinned({&dave_}), "p7s").ok());
  EXPECT_FALSE(
      who_signed(text_, "-----BEGIN CMS-----\nAAAA\n-----END CMS-----\n", pinned({&dave_}), "p7s").ok());
  EXPECT_EQ(who_signed(text_, one.substr(0, one.size() / 2), pinned({&dave_}), "p7s").error().code,
            Exit::integrity);
  const auto other = add_signature("another text\n", one, erin_.certificate, erin_.key, "p7s");
  ASSERT_FALSE(other.ok()) << "those that are there are of another text";
  EXPECT_EQ(other.error().code, Exit::integrity);
  EXPECT_FALSE(add_signature(text_, "", dave_.certificate, erin_.key, "").ok());
  EXPECT_FALSE(add_signature(text_, "", "", erin_.key, "").ok());
  EXPECT_FALSE(add_signature(text_, "nonsense", dave_.certificate, dave_.key, "").ok());
}

// Each bit of what was signed, and of what stands in the signature, counts.
TEST_F(SignaturesTest, NothingCanBeChanged) {
  const Signers signers = pinned({&dave_});
  const std::string good = dave_.sign(text_);
  const std::size_t begin = good.find('\n') + 1;
  const std::size_t end = good.rfind("\n-----END");
  unsigned counted = 0;
  for (std::size_t i = begin; i < end; ++i) {
    std::string bad = good;
    if (bad[i] == '\n') continue;
    bad[i] = bad[i] == 'A' ? 'B' : 'A';
    if (bad[i] == good[i]) continue;
    const auto names = who_signed(text_, bad, signers, "p7s");
    // What says how it is written, not what: version, list of digests, names of algorithms.
    counted += names.ok() && !names.value().empty() ? 1 : 0;
  }
  EXPECT_LE(counted, 40U) << "of " << end - begin;
  for (std::size_t i = 0; i < text_.size(); ++i) {
    std::string bad = text_;
    bad[i] = static_cast<char>(bad[i] ^ 1);
    EXPECT_THAT(who(bad, good, signers), IsEmpty()) << i;
  }
}

TEST_F(SignaturesTest, OnlyThoseForDocumentsMaySign) {
  const TestSigner owner("olga", pki::Subject::Use::client);
  EXPECT_EQ(add_signature(text_, "", owner.certificate, owner.key, "").error().code, Exit::refused);
  EXPECT_FALSE(read_signers(owner.certificate, "f").ok());
  EXPECT_FALSE(read_signers("", "f").ok());
  EXPECT_FALSE(read_signers(dave_.certificate + dave_.certificate, "f").ok()) << "who signs counts once";
  // The same key under two names would count twice.
  const pki::KeyPointer key = pki::key_from(dave_.key);
  const auto twin = pki::make_certificate({pki::Subject::Use::signer, "twin", {}, {}}, 5, *key, nullptr);
  EXPECT_FALSE(read_signers(dave_.certificate + pki::to_pem(*twin.value()).value(), "f").ok());
}

TEST_F(SignaturesTest, ARenewedCertificateIsTheSameSigner) {
  const pki::KeyPointer key = pki::key_from(dave_.key);
  const auto renewed = pki::make_certificate({pki::Subject::Use::signer, "dave", {}, {}}, 50, *key, nullptr);
  const std::string pem = pki::to_pem(*renewed.value()).value();
  ASSERT_NE(pem, dave_.certificate);
  EXPECT_THAT(who(text_, dave_.sign(text_), std::move(read_signers(pem, "f").value())), ElementsAre("dave"));
}

TEST_F(SignaturesTest, OpensslVerifiesWhatWeSign) {
  if (!openssl("version")) GTEST_SKIP() << "there is no openssl";
  put("text", text_);
  put("p7s", erin_.sign(text_, dave_.sign(text_)));
  put("signers", dave_.certificate + erin_.certificate);
  const std::string verify =
      "cms -verify -binary -inform PEM -in p7s -content {} -certfile signers -noverify -out verified";
  ASSERT_TRUE(openssl(fmt::format(fmt::runtime(verify), "text"))) << get("out");
  EXPECT_EQ(get("verified"), text_);
  put("changed", text_ + "x");
  EXPECT_FALSE(openssl(fmt::format(fmt::runtime(verify), "changed")));
}

TEST_F(SignaturesTest, WeVerifyWhatOpensslSigns) {
  if (!openssl("version")) GTEST_SKIP() << "there is no openssl";
  put("text", text_);
  for (const auto& [name, signer] : {std::pair{"dave", &dave_}, {"erin", &erin_}}) {
    put(std::string(name) + ".crt", signer->certificate);
    put(std::string(name) + ".key", signer->key);
  }
  const char* const sign =
      "cms -sign -binary -md {} -in text -signer dave.crt -inkey dave.key -outform PEM {} -out p7s";
  for (const char* const how : {"", "-keyid", "-noattr", "-nocerts"}) {
    ASSERT_TRUE(openssl(fmt::format(fmt::runtime(sign), "sha256", how))) << get("out");
    EXPECT_THAT(who(text_, get("p7s"), pinned({&dave_, &erin_})), ElementsAre("dave")) << how;
    EXPECT_THAT(who(text_ + "x", get("p7s"), pinned({&dave_})), IsEmpty()) << how;
  }
  ASSERT_TRUE(
      openssl("cms -resign -binary -inform PEM -in p7s -signer erin.crt -inkey erin.key "
              "-outform PEM -out both"))
      << get("out");
  EXPECT_THAT(who(text_, get("both"), pinned({&dave_, &erin_})), ElementsAre("dave", "erin"));
  // Digests that somebody may find another text for.
  ASSERT_TRUE(openssl(fmt::format(fmt::runtime(sign), "sha1", ""))) << get("out");
  EXPECT_THAT(who(text_, get("p7s"), pinned({&dave_})), IsEmpty());
  // One that has the text in it says nothing of the file.
  ASSERT_TRUE(openssl(fmt::format(fmt::runtime(sign), "sha256", "-nodetach"))) << get("out");
  EXPECT_FALSE(who_signed(text_, get("p7s"), pinned({&dave_}), "p7s").ok());
}

}  // namespace
}  // namespace ssn::membership
