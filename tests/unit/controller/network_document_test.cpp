// SPDX-License-Identifier: BSD-3-Clause
// The network's configuration as text: read, written, edited and compared.
#include "network_document.h"

#include "support.h"

namespace ssn::controller::test {
namespace {

Policy full_policy() {
  Policy policy;
  policy.k = 2;
  policy.n = 4;
  policy.lease_ms = 90'000;
  policy.report_ms = 1'500;
  policy.minimum_protection = Protection::computational;
  policy.reshare_after_ms = 3'600'000;
  policy.repair_after_ms = 1'800'000;
  policy.refresh_every_ms = 30ULL * 24 * 3'600'000;
  policy.reshare.bytes_per_second = 5 << 20;
  policy.bytes_max = 3ULL << 40;
  policy.accounts_max = 17;
  policy.classes["archive"] = policy;
  policy.classes["archive"].scheme = Scheme::ramp;
  policy.classes["archive"].secret_blocks = 1;
  policy.classes["archive"].domains = 3;
  policy.classes["plain"] = policy;
  policy.classes["plain"].scheme = Scheme::rs;
  policy.classes["plain"].secret_blocks = 2;
  policy.classes["plain"].minimum_protection = Protection::none;
  policy.classes["plain"].rate = {0, std::uint64_t{1} << 40, 0};
  policy.owner_rate = {std::uint64_t{1} << 18, 7'000'001, 77};
  policy.classes["archive"].keys = {RandomDemand::stream, ShortageDemand::pads};
  policy.owners["alice"] = {
      {10, 2, 1 << 20, {5 << 20, 0, 1 << 20}}, "archive", std::vector<std::string>{"plain"}};
  policy.owners["bob"] = {{0, 0, 0}, "", std::vector<std::string>()};
  policy.deployment.labels["h1"] = {{"east", "acme", "", "kme\\\"1"}};
  policy.deployment.labels["h2"] = {};
  policy.deployment.services["h2"] = ServiceState::standby;
  policy.deployment.delivered_once = {"kme-2"};
  return policy;
}

TEST(NetworkDocument, SaysEverySetting) {
  for (const Policy& policy : {Policy(), full_policy()}) {
    const NetworkDocument document = read_network_document(network_document_of(policy), "text");
    for (const Error& problem : document.problems) {
      ADD_FAILURE() << describe(problem);
    }
    const auto differences = differences_of(policy, document.policy);
    EXPECT_TRUE(differences.empty()) << differences.front().setting;
    EXPECT_EQ(document.policy.owners.size(), policy.owners.size());
    EXPECT_TRUE(weakened_by(policy, document.policy).empty());
  }
  const Policy read = read_network_document(network_document_of(full_policy()), "text").policy;
  EXPECT_EQ(read.lease_ms, 90'000U);
  EXPECT_EQ(read.reshare.bytes_per_second, 5U << 20);
  EXPECT_EQ(read.repair_after_ms, 1'800'000U);
  EXPECT_EQ(read.refresh_every_ms, 30ULL * 24 * 3'600'000);
  EXPECT_EQ(read.deployment.labels.at("h1")[Label::key_manager], "kme\\\"1");
  EXPECT_EQ(read.owners.at("bob").classes->size(), 0U);
  EXPECT_EQ(read.owners.at("alice").limits.rate, (RateLimit{5 << 20, 0, 1 << 20}));
  EXPECT_EQ(read.owner_rate, full_policy().owner_rate);
  EXPECT_EQ(read.classes.at("plain"), full_policy().classes.at("plain"));
  EXPECT_EQ(differences_of(Policy(), full_policy()).size(), differences_of(full_policy(), Policy()).size());
}

TEST(NetworkDocument, EachErrorHasItsLine) {
  const struct {
    const char* text;
    const char* where;
    const char* why;
  } wrong[] = {
      {"[policy]\nquorums = 4\n", "net:2:1", "quorums"},
      {"[policy]\nn = 2\n", "net:2:", "k = 3 and n = 2"},
      {"[policy]\n\ncell = \"65 B\"\n", "net:3:", "64"},
      {"[policy]\nlease = \"2 s\"\n", "net:2:", "lease"},
      {"[policy]\nscheme = \"rs\"\nminimum_protection = \"computational\"\n", "net:2:", "secret"},
      {"[[class]]\nname = \"a\"\nk = 9\n", "net:", "k = 9 and n = 5"},
      {"[[class]]\nname = \"a\"\n[[class]]\nname = \"a\"\n", "net:4:", "already"},
      {"[[class]]\nname = \"a b\"\n", "net:2:", "spaces"},
      {"[[owner]]\nname = \"o\"\nclass = \"none\"\n", "net:3:", "none"},
      {"[[owner]]\nname = \"o\"\nclasses = [\"none\"]\n", "net:3:", "none"},
      {"[[owner]]\nclass = \"\"\n", "net:1:", "name is missing"},
      {"[[node]]\nname = \"h1\"\nservice = \"idle\"\n", "net:3:", "idle"},
      {"[[node]]\nname = \"h1\"\nsite = \"a b\"\n", "net:3:", "spaces"},
      {"[limits]\nnodes = 0\n", "net:2:", "nodes"},
      {"[policy]\nrandom = \"drbg\"\n", "net:2:", "drbg"},
      {"[[class]]\nname = \"a\"\nshortage = \"aes-256-gcm\"\n", "net:3:", "aes-256-gcm"},
      {"[limits]\nwrite_rate = \"255 KiB\"\n", "net:2:", "256 KiB"},
      {"[[owner]]\nname = \"o\"\nread_rate = \"2 TiB\"\n", "net:3:", "read_rate"},
      {"[[class]]\nname = \"a\"\nburst = \"2 TiB\"\n", "net:3:", "burst"},
      {"[policy]\nwrite_rate = \"1 MiB\"\n", "net:2:", "write_rate"},
      {"[reshare]\nafter = \"3 s\"\n", "net:2:", "after"},
      {"[reshare]\nrefresh_every = \"3 s\"\n", "net:2:", "without end"},
      {"[controller]\nname = \"c\"\n", "net:1:", "controller"},
      {"version = -1\n", "net:1:", "version"},
      {"[policy\n", "net:1:", ""},
  };
  for (const auto& each : wrong) {
    const NetworkDocument document = read_network_document(each.text, "net");
    ASSERT_FALSE(document.problems.empty()) << each.text;
    const Error& first = document.problems.front();
    EXPECT_EQ(first.where.rfind(each.where, 0), 0U) << first.where << " of " << each.text;
    EXPECT_NE(first.why.find(each.why), std::string::npos) << first.why;
    EXPECT_FALSE(first.fix.empty());
  }
  // All of them at once, not only the first one.
  EXPECT_EQ(read_network_document("[limits]\nnodes = 0\nfoo = 1\n", "net").problems.size(), 2U);
  EXPECT_FALSE(read_network_document(std::string(configuration_max + 1, '\n'), "net").problems.empty());
}

TEST(NetworkDocument, AClassBeginsWithThePolicy) {
  const Policy policy =
      read_network_document(
          "[policy]\nscheme = \"ramp\"\nk = 4\nn = 6\nsecret_blocks = 2\nquorum = 6\n"
          "domains = 2\n[[class]]\nname = \"same\"\n"
          "[[class]]\nname = \"wide\"\nn = 8\n[[class]]\nname = \"plain\"\nscheme = \"rs\"\n"
          "[[class]]\nname = \"hidden\"\nscheme = \"shamir\"\n",
          "net")
          .policy;
  ASSERT_EQ(policy.classes.size(), 4U);
  EXPECT_EQ(policy.classes.at("same"), static_cast<const ClassPolicy&>(policy));
  EXPECT_EQ(policy.classes.at("wide").domains, 2U);
  EXPECT_EQ(policy.classes.at("wide").quorum, 0U) << "six of eight were not meant";
  EXPECT_EQ(policy.classes.at("plain").secret_blocks, 4U);
  EXPECT_EQ(policy.classes.at("hidden").secret_blocks, 1U);
}

TEST(NetworkDocument, IsEditedInOneLine) {
  const std::string text =
      "# ours\n[[node]]\nname = \"h1\"  # the old one\nsite = \"east\"\n\n[policy]\nk = 2";
  const auto numbered_text = with_version(text, 7);
  ASSERT_OK(numbered_text);
  EXPECT_EQ(numbered_text.value(), "version = 7\n" + text);
  const auto again = with_version(numbered_text.value(), 8);
  ASSERT_OK(again);
  EXPECT_EQ(again.value(), "version = 8\n" + text);
  const auto standby = with_service(again.value(), "h1", ServiceState::standby);
  ASSERT_OK(standby);
  EXPECT_EQ(standby.value(),
            "version = 8\n# ours\n[[node]]\nname = \"h1\"  # the old one\n"
            "service = \"standby\"\nsite = \"east\"\n\n[policy]\nk = 2");
  const auto back = with_service(standby.value(), "h1", ServiceState::in_service);
  ASSERT_OK(back);
  EXPECT_NE(back.value().find("service = \"in-service\"\nsite"), std::string::npos) << back.value();
  const auto other = with_service(back.value(), "h2", ServiceState::reserved);
  ASSERT_OK(other);
  EXPECT_EQ(other.value(), back.value() + "\n\n[[node]]\nname = \"h2\"\nservice = \"reserved\"\n");
  EXPECT_EQ(read_network_document(other.value(), "net").policy.deployment.services.at("h2"),
            ServiceState::reserved);
  // What is not in a line of its own is left to people; nothing else is changed instead.
  EXPECT_TRUE(fails(with_service("node = [{name = \"h1\", site = \"east\"}]\n", "h1", ServiceState::standby),
                    Exit::usage));
  EXPECT_TRUE(fails(with_service("node = [{name = \"h1\"}]\n", "h2", ServiceState::standby), Exit::usage));
}

TEST(NetworkDocument, WhatIsWeakerIsSaid) {
  const auto weaker = [](auto change) {
    Policy before = full_policy();
    Policy after = full_policy();
    change(before, after);
    return weakened_by(before, after).size();
  };
  EXPECT_EQ(weaker([](Policy&, Policy&) {}), 0U);
  EXPECT_EQ(weaker([](Policy& a, Policy&) { a.k = 3; }), 2U) << "reveals, and minimum";
  EXPECT_EQ(weaker([](Policy&, Policy& b) { b.k = 3; }), 1U) << "fewer may be lost";
  EXPECT_EQ(weaker([](Policy&, Policy& b) { b.n = 3; }), 1U);
  EXPECT_EQ(weaker([](Policy& a, Policy&) { a.domains = 2; }), 1U);
  EXPECT_EQ(weaker([](Policy&, Policy& b) { b.domains = 2; }), 0U);
  EXPECT_EQ(weaker([](Policy& a, Policy&) { a.minimum_protection = Protection::information_theoretic; }), 1U);
  EXPECT_EQ(weaker([](Policy&, Policy& b) { b.scheme = Scheme::rs; }), 1U);
  EXPECT_EQ(weaker([](Policy&, Policy& b) { b.classes["archive"].domains = 1; }), 1U);
  EXPECT_EQ(weaker([](Policy&, Policy& b) { b.classes["archive"].keys.random = RandomDemand::any; }), 1U);
  EXPECT_EQ(weaker([](Policy&, Policy& b) { b.classes["archive"].keys.shortage = ShortageDemand::any; }), 1U);
  EXPECT_EQ(weaker([](Policy&, Policy& b) { b.classes["archive"].keys.shortage = ShortageDemand::wait; }),
            0U);
  EXPECT_EQ(weaker([](Policy&, Policy& b) { b.classes.erase("archive"); }), 3U)
      << "the policy has no domains, and asks nothing of keys";
  EXPECT_EQ(weaker([](Policy&, Policy& b) { b.owners["alice"].classes.reset(); }), 1U);
  EXPECT_EQ(weaker([](Policy&, Policy& b) { b.owners["bob"].classes = {"plain"}; }), 1U);
  EXPECT_EQ(weaker([](Policy&, Policy& b) { b.owners["bob"].limits.bytes = 1; }), 0U);
  EXPECT_EQ(weaker([](Policy&, Policy& b) { b.owners["bob"].limits.rate = {}; }), 0U);
  EXPECT_EQ(weaker([](Policy&, Policy& b) { b.deployment.labels["h1"][Label::site].clear(); }), 1U);
  EXPECT_EQ(weaker([](Policy&, Policy& b) { b.deployment.labels.erase("h1"); }), 3U);
  EXPECT_EQ(weaker([](Policy&, Policy& b) { b.deployment.delivered_once.insert("x"); }), 1U);
  EXPECT_EQ(weaker([](Policy&, Policy& b) { b.reshare_after_ms = 0; }), 1U);
  EXPECT_EQ(weaker([](Policy&, Policy& b) { b.repair_after_ms = 0; }), 1U);
  EXPECT_EQ(weaker([](Policy&, Policy& b) { b.refresh_every_ms = 0; }), 1U);
  EXPECT_EQ(weaker([](Policy&, Policy& b) { b.refresh_every_ms *= 2; }), 1U);
  EXPECT_EQ(weaker([](Policy&, Policy& b) { b.refresh_every_ms /= 2; }), 0U);
}

}  // namespace
}  // namespace ssn::controller::test
