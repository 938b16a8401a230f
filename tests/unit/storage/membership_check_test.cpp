// SPDX-License-Identifier: BSD-3-Clause
// Whether a configuration fits what operators signed.
#include "ssn/dataplane/membership_check.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "issuer.h"
#include "membership_text.h"

namespace ssn::dataplane {
namespace {

using testing::HasSubstr;

class MembershipCheckTest : public testing::Test {
 protected:
  MembershipCheckTest() {
    const pki::KeyPointer key = std::move(pki::make_key().value());
    const auto made = pki::make_certificate({pki::Subject::Use::node, "h1", {}, {}}, 1, *key, nullptr);
    certificate_ = pki::to_pem(*made.value()).value();
    configuration_.name = "h1";
    configuration_.shareholder.present = true;
    configuration_.membership.where = "h1.toml:7:1";
    configuration_.peers.emplace_back().name = "s";
    configuration_.peers.back().role = PeerConfiguration::Role::ssa;
    configuration_.peers.emplace_back().name = "h2";
    text_.nodes = {{"s", "ssa"}, {"h1", "shareholder", "", membership::key_of(*made.value())}, {"h2"}};
  }
  // Why not; empty: it fits.
  std::string check() {
    const auto document = membership::parse(text_.text(), "m.toml");
    EXPECT_TRUE(document.ok());
    const Outcome outcome = check_membership(document.value(), configuration_, certificate_);
    if (outcome.ok()) return "";
    EXPECT_EQ(outcome.error().code, Exit::refused);
    EXPECT_EQ(outcome.error().where, "h1.toml:7:1");
    EXPECT_FALSE(outcome.error().fix.empty());
    return outcome.error().why;
  }

  std::string certificate_;
  Configuration configuration_;
  ssn::test::MembershipText text_;
};

TEST_F(MembershipCheckTest, ThisNodeAndItsPeersAreListedAsWhatTheyAre) {
  EXPECT_EQ(check(), "");
  configuration_.peers.back().role = PeerConfiguration::Role::ssa;
  EXPECT_THAT(check(), HasSubstr("lists h2 as shareholder, not as ssa"));
  configuration_.peers.back().name = "h3";
  EXPECT_THAT(check(), HasSubstr("does not list h3"));
  configuration_.peers.pop_back();
  EXPECT_EQ(check(), "");
  configuration_.name = "h3";
  EXPECT_THAT(check(), HasSubstr("does not list h3"));
  configuration_.name = "h2";
  EXPECT_THAT(check(), HasSubstr("the key of h2 is not the one that is listed"));
  configuration_.name = "h1";
  certificate_.clear();
  EXPECT_THAT(check(), HasSubstr("the key of h1"));
}

TEST_F(MembershipCheckTest, ItsSettingsPromiseTheClassOfTheFloor) {
  EXPECT_EQ(surest_protection(configuration_), controller::Protection::information_theoretic);
  configuration_.shareholder.random = RandomSource::drbg;
  EXPECT_THAT(check(), HasSubstr("the settings of this node promise computational"));
  configuration_.shareholder.random = RandomSource::stream;
  configuration_.shareholder.shortage = KeyShortage::aes_256_gcm;
  EXPECT_THAT(check(), HasSubstr("promise computational"));
  text_.protection = "computational";
  EXPECT_EQ(check(), "");
}

}  // namespace
}  // namespace ssn::dataplane
