// SPDX-License-Identifier: BSD-3-Clause
#include "live_identity.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <ctime>
#include <filesystem>

#include "authority.h"
#include "files.h"
#include "validity.h"

namespace ssn::pki {
namespace {

constexpr std::int64_t day = 86400;

class Live : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = testing::TempDir() + "live-XXXXXX";
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    folder_ = name;
    authority_.emplace(make_authority("ca"));
    issue("node", 365);
    put("ca.crt", get("ca/ca.crt"));
    publish();
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  std::string path(const std::string& name) const { return folder_ + "/" + name; }
  void put(const std::string& name, std::string_view text) const {
    ASSERT_TRUE(replace_file(path(name), text, 0600, "test").ok());
  }
  std::string get(const std::string& name) const {
    return read_file(path(name), 1 << 20, false, "test").value();
  }
  void publish() const { put("crl", get("ca/ca.crl")); }

  Authority make_authority(const std::string& name) const {
    EXPECT_TRUE(Authority::make(path(name), name, 3650).ok());
    return std::move(Authority::open(path(name)).value());
  }
  IssuedCertificate made(Authority& by, const std::string& name, unsigned days) const {
    Subject subject{Subject::Use::node, name, {"ssa"}, {"DNS:" + name}};
    return std::move(by.issue(subject, days).value());
  }
  void issue(const std::string& name, unsigned days) {
    const IssuedCertificate issued = made(*authority_, name, days);
    put("node.key", issued.key.view());
    put("node.crt", issued.certificate);
  }
  std::shared_ptr<LiveIdentity> open() {
    const auto tell = [this](const std::string& line) { told_.push_back(line); };
    auto live = LiveIdentity::open({path("node.crt"), path("node.key"), path("ca.crt"), path("crl")},
                                   CertificateUse::node, tell, now_);
    EXPECT_TRUE(live.ok()) << (live.ok() ? "" : live.error().why);
    return live.ok() ? live.value() : nullptr;
  }
  // How many lines of those that were told have the text; they are forgotten.
  std::size_t told(const std::string& text) {
    std::size_t found = 0;
    for (const std::string& line : told_) found += line.find(text) != std::string::npos ? 1 : 0;
    told_.clear();
    return found;
  }

  std::string folder_;
  std::optional<Authority> authority_;
  std::vector<std::string> told_;
  const std::int64_t now_ = ::time(nullptr) + 60;  // what is made during a test holds by then
};

TEST_F(Live, EndsAreToldAheadOnce) {
  ASSERT_TRUE(authority_->renew_list(3000).ok());
  publish();
  const auto live = open();
  EXPECT_TRUE(told_.empty());
  const std::int64_t end = live->state(now_).ends;
  live->refresh(end - 31 * day);
  EXPECT_TRUE(told_.empty());
  EXPECT_TRUE(live->state(end - 31 * day).healthy);
  for (const auto& [before, text] : {std::pair{30 * day, "ends in 30 days"}, {7 * day, "ends in 7 days"}}) {
    for (int i = 0; i < 3; ++i) live->refresh(end - before + i);
    EXPECT_EQ(told_.size(), 1U);
    EXPECT_EQ(told(text), 1U);
    EXPECT_EQ(live->state(end - before).condition, text);
    EXPECT_FALSE(live->state(end - before).healthy);
  }
  live->refresh(end);
  live->refresh(end + 1);
  EXPECT_EQ(told("has ended"), 1U);
}

// Of files that are used by somebody else, such as the driver of a key manager.
TEST_F(Live, FilesOfOthersAreLookedAtToo) {
  ASSERT_TRUE(authority_->renew_list(3000).ok());
  publish();
  const std::int64_t end = open()->state(now_).ends;
  const auto trouble = [&](std::int64_t now) { return trouble_of(path("node.crt"), path("crl"), now); };
  EXPECT_EQ(trouble(now_), "");
  EXPECT_EQ(trouble(end - 31 * day), "");
  EXPECT_NE(trouble(end - 30 * day).find("node.crt ends in 30 days"), std::string::npos);
  EXPECT_NE(trouble(end).find("has ended"), std::string::npos);
  ASSERT_TRUE(authority_->renew_list(10).ok());
  publish();
  EXPECT_EQ(trouble(now_), "");
  EXPECT_NE(trouble(now_ + 8 * day).find("list of revoked certificates"), std::string::npos);
  put("node.crt", "nonsense");
  EXPECT_NE(trouble(now_).find("holds no certificate"), std::string::npos);
  std::filesystem::remove(path("node.crt"));
  EXPECT_NE(trouble(now_).find("cannot be read"), std::string::npos);
}

TEST_F(Live, ListsEndToo) {
  const auto live = open();
  const std::int64_t end = live->state(now_).lists_end;
  EXPECT_NEAR(static_cast<double>(end - now_), 30.0 * day, day);
  live->refresh(end - 8 * day);
  EXPECT_TRUE(told_.empty());
  live->refresh(end - 7 * day);
  EXPECT_EQ(told("the list of revoked certificates ends in 7 days"), 1U);
  live->refresh(end - day);
  EXPECT_EQ(told("ends in 24 hours"), 1U);
  const std::string own = get("node.crt");
  EXPECT_TRUE(live->judge(own, own, Purpose::client, end - 1).ok());
  EXPECT_FALSE(live->judge(own, own, Purpose::client, end).ok()) << "nobody knows what was revoked since";
  live->refresh(end);
  EXPECT_EQ(told("has ended"), 1U);
  EXPECT_FALSE(LiveIdentity::open({path("node.crt"), path("node.key"), path("ca.crt"), path("crl")},
                                  CertificateUse::node, nullptr, end)
                   .ok());
}

TEST_F(Live, RenewedAndRevokedOnesCount) {
  const auto live = open();
  const std::string before = get("node.crt");
  const std::string other = made(*authority_, "other", 10).certificate;
  EXPECT_EQ(live->judge(other, other, Purpose::client, now_).value().name, "other");
  live->refresh(now_);
  EXPECT_EQ(live->generation(), 0U);
  issue("node", 700);
  live->refresh(now_ + 1);
  EXPECT_EQ(live->generation(), 1U);
  EXPECT_EQ(live->identity()->certificate, get("node.crt"));
  EXPECT_NE(live->identity()->certificate, before);
  EXPECT_EQ(told("took changed certificates"), 1U);
  ASSERT_TRUE(authority_->revoke("other", "unspecified", 30).ok());
  publish();
  EXPECT_TRUE(live->judge(other, other, Purpose::client, now_ + 1).ok()) << "not looked at yet";
  live->refresh(now_ + 2);
  const Result<Holder> refused = live->judge(other, other, Purpose::client, now_ + 2);
  ASSERT_FALSE(refused.ok());
  EXPECT_NE(refused.error().why.find("other is not to be believed: certificate revoked"), std::string::npos)
      << refused.error().why;
  EXPECT_EQ(live->state(now_).revoked, 1U);
  EXPECT_EQ(live->state(now_).reloads, 2U);
}

TEST_F(Live, BelievedNoLongerThanItLasts) {
  ASSERT_TRUE(authority_->renew_list(3000).ok());
  publish();
  const auto live = open();
  const std::string other = made(*authority_, "other", 10).certificate;
  EXPECT_TRUE(live->judge(other, other, Purpose::client, now_).ok());
  EXPECT_TRUE(live->judge(other, other, Purpose::client, now_ + 9 * day).ok());
  EXPECT_FALSE(live->judge(other, other, Purpose::client, now_ + 10 * day + 10).ok());
  EXPECT_FALSE(live->judge(other, other, Purpose::client, now_ - day).ok()) << "it has not begun";
  EXPECT_EQ(live->state(now_).not_believed, 2U);
}

TEST_F(Live, BrokenFilesCountForNothing) {
  const auto live = open();
  const std::string good = get("node.crt");
  Authority stranger = make_authority("stranger");
  const IssuedCertificate another = made(*authority_, "somebody", 10);
  std::int64_t now = now_;
  const auto refuses = [&](const std::string& why) {
    live->refresh(++now);
    EXPECT_TRUE(told_.empty()) << "files that belong together do not come at once";
    for (int i = 0; i < 4; ++i) live->refresh(++now);
    EXPECT_EQ(told_.size(), 1U);
    EXPECT_EQ(told(why), 1U) << why;
    EXPECT_EQ(live->generation(), 0U);
    EXPECT_EQ(live->identity()->certificate, good);
    EXPECT_FALSE(live->state(now).healthy);
    EXPECT_EQ(live->state(now).condition.find("valid"), std::string::npos);
  };
  put("node.crt", "no certificate");
  refuses("it holds no certificate in PEM");
  put("node.crt", made(*authority_, "node", 10).certificate);
  refuses("the private key is not that of the certificate");
  const std::string key = get("node.key");
  put("node.key", another.key.view());
  put("node.crt", another.certificate);
  refuses("it is that of somebody, not of node");
  put("node.key", key);
  put("node.crt", good);
  put("crl", get("stranger/ca.crl"));
  refuses("no authority that we trust has signed it");
  EXPECT_EQ(live->state(now).reloads_bad, 4U);
  publish();
  live->refresh(++now);
  EXPECT_TRUE(live->state(now).healthy);
  EXPECT_EQ(live->generation(), 0U) << "nothing is other than it was";
}

}  // namespace
}  // namespace ssn::pki
