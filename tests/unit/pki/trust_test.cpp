// SPDX-License-Identifier: BSD-3-Clause
#include "trust.h"

#include <gtest/gtest.h>

#include <ctime>
#include <vector>

#include "certificate_holder.h"

namespace ssn::pki {
namespace {

using test::Holder;
using test::list_of;
using test::make_holder;
using test::pem;

// root -> between -> node.
class TrustTest : public testing::Test {
 protected:
  TrustTest()
      : root_(test::make_root()),
        between_(make_holder("between", Subject::Use::authority, &root_)),
        node_(make_holder("node", Subject::Use::node, &between_)) {}

  // X509_V_..., with these lists; without any nobody is looked up.
  int judge(const std::string& lists) const {
    const std::int64_t now = std::time(nullptr);
    const std::string authorities = pem(*root_.certificate) + pem(*between_.certificate);
    const auto trust = Trust::make({authorities, lists, !lists.empty(), "ca", "crl"}, now);
    if (!trust.ok()) return -1;
    const std::vector<CertificatePointer> chain;
    const int error = trust.value()->judge(*node_.certificate, chain, Purpose::client, now).error;
    EXPECT_EQ(trust.value()->judge_unlisted(*node_.certificate, chain, Purpose::client, now).error,
              X509_V_OK);
    return error;
  }

  const Holder root_, between_, node_;
};

TEST_F(TrustTest, BelievesWhomNoListNames) {
  EXPECT_EQ(judge(""), X509_V_OK);
  EXPECT_EQ(judge(list_of(root_, nullptr) + list_of(between_, nullptr)), X509_V_OK);
}

TEST_F(TrustTest, ARevokedAuthorityTakesItsHoldersWithIt) {
  EXPECT_EQ(judge(list_of(root_, nullptr) + list_of(between_, &node_)), X509_V_ERR_CERT_REVOKED);
  EXPECT_EQ(judge(list_of(root_, &between_) + list_of(between_, nullptr)), X509_V_ERR_CERT_REVOKED);
}

TEST_F(TrustTest, OnlyTheIssuerMustHaveGivenAList) {
  EXPECT_EQ(judge(list_of(root_, nullptr)), X509_V_ERR_UNABLE_TO_GET_CRL);
  EXPECT_EQ(judge(list_of(between_, nullptr)), X509_V_OK);
  EXPECT_EQ(judge(list_of(node_, nullptr)), -1);  // no authority
}

}  // namespace
}  // namespace ssn::pki
