// SPDX-License-Identifier: BSD-3-Clause
// What a membership may say, and what it permits.
#include "document.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "floor.h"
#include "membership_text.h"

namespace ssn::membership {
namespace {

using controller::Protection;
using controller::Scheme;
using test::MembershipText;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

MembershipText five() {
  MembershipText made;
  made.nodes = {{"s", "ssa"}};
  for (int i = 1; i <= 5; ++i)
    made.nodes.push_back({fmt::format("h{}", i), "shareholder", fmt::format("d{}", i)});
  return made;
}

Document read(const MembershipText& text) {
  Result<Document> made = parse(text.text(), "m.toml");
  EXPECT_TRUE(made.ok()) << (made.ok() ? "" : made.error().why);
  return made.ok() ? made.value() : Document();
}

controller::Layout layout(Scheme scheme, unsigned k, std::initializer_list<const char*> holders,
                          unsigned blocks = 1) {
  controller::Layout made;
  made.scheme = scheme;
  made.k = k;
  made.n = static_cast<std::uint32_t>(holders.size());
  made.secret_blocks = blocks;
  for (const char* const holder : holders) made.holders.emplace_back().node = holder;
  return made;
}

TEST(Document, SaysWhatItSays) {
  MembershipText text = five();
  text.serial = 7;
  text.minimum_t = 2;
  text.minimum_domains = 3;
  text.resharing = R"("repair", "exchange")";
  const Document document = read(text);
  EXPECT_EQ(document.network, "test");
  EXPECT_EQ(document.serial, 7U);
  EXPECT_EQ(document.from, 1'600'000'000);
  EXPECT_EQ(document.until, 4'000'000'000);
  EXPECT_EQ(document.floor.minimum_t, 2U);
  EXPECT_EQ(document.floor.minimum_domains, 3U);
  EXPECT_EQ(document.floor.protection, Protection::information_theoretic);
  EXPECT_THAT(document.floor.schemes, ElementsAre(Scheme::shamir, Scheme::shamir_classic));
  EXPECT_EQ(document.floor.resharing, exchange | repair);
  EXPECT_EQ(names_of(document.floor.resharing), "exchange, repair");
  ASSERT_NE(document.node("h3"), nullptr);
  EXPECT_EQ(document.node("h3")->domain, "d3");
  EXPECT_EQ(document.node("h3")->role, pki::Role::shareholder);
  EXPECT_EQ(document.node("s")->role, pki::Role::ssa);
  EXPECT_EQ(document.node("h6"), nullptr);
  // FIPS 180-4, "abc".
  EXPECT_EQ(digest_of("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(document.digest, digest_of(text.text()));
}

// Each is a text that differs in one thing from one that is good.
TEST(Document, WhatIsWrongIsSaid) {
  const std::string good = five().text();
  ASSERT_TRUE(parse(good, "m.toml").ok());
  const auto refused = [&](const std::string& from, const std::string& to, const char* why) {
    std::string text = good;
    const std::size_t at = text.find(from);
    ASSERT_NE(at, std::string::npos) << from;
    text.replace(at, from.size(), to);
    const Result<Document> made = parse(text, "m.toml");
    ASSERT_FALSE(made.ok()) << to;
    EXPECT_EQ(made.error().code, Exit::usage);
    EXPECT_THAT(made.error().why, HasSubstr(why));
    EXPECT_THAT(made.error().where, HasSubstr("m.toml:"));
    EXPECT_FALSE(made.error().fix.empty());
  };
  refused("membership/1", "membership/2", "ssn.membership/2");
  refused("serial = 1", "serial = 0", "0");
  refused("2020-09-13T12:26:40Z", "2020-09-31T12:26:40Z", "is no time");
  refused("2020-09-13T12:26:40Z", "2020-09-13T12:26:40", "is no time");
  refused("2020-09-13T12:26:40Z", "2120-09-13T12:26:40Z", "ends before it begins");
  refused("minimum_t = 1", "minimum_t = 255", "255");
  refused("minimum_domains = 1", "minimum_domains = 6", "lie in 5 domains");
  refused("\"shamir\",", "\"caesar\",", "caesar");
  refused("\"shamir\",", "\"rs\",", "rs hides nothing");
  refused("\"shamir\", \"shamir-classic\"", "", "no scheme is permitted");
  refused("\"shamir\", \"shamir-classic\"", "\"shamir\", \"shamir\"", "twice");
  refused("\"refresh\"", "\"open\"", "open");
  refused("information-theoretic", "good", "good");
  refused("\"h2\"", "\"h1\"", "h1 stands there twice");
  refused("\"h2\"", "\"h 2\"", "spaces");
  refused("\"shareholder\"", "\"controller\"", "controller");
  refused(digest_of("h2"), digest_of("h1"), "the key of h2 is another node's");
  refused(digest_of("h2"), digest_of("h2").substr(1), "no SHA-256");
  refused("serial = 1", "serial = 1\nextra = 2", "extra");
  EXPECT_FALSE(parse("", "m.toml").ok());
  EXPECT_FALSE(parse(std::string(document_max + 1, ' '), "m.toml").ok());
}

TEST(Document, CodesAreOnlyPermittedWhereNothingIsPromised) {
  MembershipText text = five();
  text.schemes = R"("rs")";
  EXPECT_FALSE(parse(text.text(), "m.toml").ok());
  text.minimum_t = 0;
  EXPECT_FALSE(parse(text.text(), "m.toml").ok());
  text.protection = "none";
  const Document document = read(text);
  EXPECT_TRUE(permits(document, layout(Scheme::rs, 2, {"h1", "h2", "h3"}, 2), Protection::none).ok());
}

TEST(Floor, WhatIsBelowItIsNamed) {
  MembershipText text = five();
  text.minimum_t = 2;
  text.minimum_domains = 3;
  text.nodes[2].domain = "d1";  // h2 lies where h1 does
  text.nodes[3].domain = "d1";  // and h3
  text.schemes = R"("shamir", "ramp")";
  const Document document = read(text);
  const auto verdict = [&](const controller::Layout& asked,
                           Protection protection = Protection::information_theoretic) {
    return permits(document, asked, protection);
  };
  const auto breach = [&](const controller::Layout& asked) { return verdict(asked).breach; };
  EXPECT_TRUE(verdict(layout(Scheme::shamir, 3, {"h1", "h2", "h4", "h5"})).ok());
  EXPECT_EQ(breach(layout(Scheme::shamir, 2, {"h1", "h4", "h5"})), Breach::threshold);
  EXPECT_EQ(breach(layout(Scheme::ramp, 3, {"h1", "h2", "h4", "h5"}, 2)), Breach::threshold);
  EXPECT_EQ(breach(layout(Scheme::shamir_classic, 3, {"h1", "h2", "h4", "h5"})), Breach::scheme);
  EXPECT_EQ(breach(layout(Scheme::rs, 3, {"h1", "h2", "h4", "h5"}, 3)), Breach::scheme);
  EXPECT_EQ(breach(layout(Scheme::shamir, 3, {"h1", "h6", "h4", "h5"})), Breach::unlisted);
  EXPECT_THAT(verdict(layout(Scheme::shamir, 3, {"h1", "h6", "h4", "h5"})).why, HasSubstr("h6"));
  EXPECT_EQ(breach(layout(Scheme::shamir, 3, {"h1", "s", "h4", "h5"})), Breach::wrong_role);
  EXPECT_EQ(breach(layout(Scheme::shamir, 3, {"h1", "h4", "h5", "h4"})), Breach::repeated);
  EXPECT_EQ(breach(layout(Scheme::shamir, 3, {"h1", "h2", "h3", "h4", "h5"})), Breach::domains);
  EXPECT_EQ(breach(layout(Scheme::shamir, 3, {"h1", "h2", "h4"})), Breach::domains) << "two domains";
  EXPECT_EQ(verdict(layout(Scheme::shamir, 3, {"h1", "h2", "h4", "h5"}), Protection::computational).breach,
            Breach::protection);
  EXPECT_EQ(holds(document, document.from - 1).breach, Breach::ended);
  EXPECT_TRUE(holds(document, document.from).ok());
  EXPECT_EQ(holds(document, document.until).breach, Breach::ended);
  EXPECT_EQ(lists(document, "s", pki::Role::shareholder).breach, Breach::wrong_role);
  EXPECT_EQ(lists(document, "t", pki::Role::ssa).breach, Breach::unlisted);
  EXPECT_EQ(name(Breach::contradicts), "contradicts");
}

TEST(Document, DifferencesAreTold) {
  MembershipText before = five();
  MembershipText after = before;
  after.serial = 2;
  after.until += 1;
  EXPECT_THAT(differences(read(before), read(after)), IsEmpty());
  after.minimum_t = 2;
  after.nodes[1].domain = "elsewhere";
  after.nodes.pop_back();
  after.nodes.push_back({"h9"});
  EXPECT_THAT(differences(read(before), read(after)),
              ElementsAre(HasSubstr("floor: t 1"), HasSubstr("~ h1"), HasSubstr("- h5"), HasSubstr("+ h9")));
}

}  // namespace
}  // namespace ssn::membership
