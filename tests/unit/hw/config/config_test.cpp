// SPDX-License-Identifier: BSD-3-Clause
// Getters, limits, unknown keys, and what errors say.
#include "ssn/hw/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <string>

namespace ssn::hw {
namespace {

using std::chrono::nanoseconds;
using testing::HasSubstr;

constexpr std::array<std::string_view, 3> policies{"refuse", "wait", "aes-256-gcm"};

Config parsed(std::string_view text) {
  Result<Config> config = Config::parse(text, "/etc/ssn/test.toml");
  EXPECT_TRUE(config.ok()) << config.error().why;
  return std::move(config.value());
}

/// The one error that finish() gives after `read` was called on the root of `text`.
template <typename Read>
Error only_error(std::string_view text, Read read) {
  Config config = parsed(text);
  read(config.root());
  const Outcome outcome = config.finish();
  EXPECT_FALSE(outcome.ok());
  if (outcome.ok()) return {};
  EXPECT_EQ(config.errors().size(), 1U);
  EXPECT_EQ(outcome.error().code, Exit::usage);
  EXPECT_EQ(outcome.error().why, config.errors().front().why);
  EXPECT_FALSE(outcome.error().fix.empty());
  return outcome.error();
}

TEST(Config, GivesWhatTheFileSays) {
  Config config = parsed(R"(
name = "site-a"
shortage = "wait"
peers = ["b", "c"]
certificate = "tls/site.pem"
key = "/etc/ssl/site.key"
[server]
port = 8443
ring = "4 MiB"
burst = 4096
rate = "1.5 Gbit/s"
timeout = "250 ms"
share = 0.25
whole = 1
verbose = true
)");
  const ConfigTable root = config.root();
  EXPECT_EQ(root.text("name"), "site-a");
  EXPECT_EQ(root.choice("shortage", policies), "wait");
  EXPECT_THAT(root.texts("peers", 4), testing::ElementsAre("b", "c"));
  EXPECT_EQ(root.path("certificate"), "/etc/ssn/tls/site.pem");
  EXPECT_EQ(root.path("key"), "/etc/ssl/site.key");
  const ConfigTable server = root.table("server");
  EXPECT_TRUE(server.present());
  EXPECT_EQ(server.integer("port", {1, 65535}), 8443);
  EXPECT_EQ(server.bytes("ring", {1, 1ULL << 40}), 4U << 20);
  EXPECT_EQ(server.bytes("burst", {1, 1ULL << 40}), 4096U);
  EXPECT_EQ(server.bit_rate("rate", {1, 1ULL << 40}), 1500000000U);
  EXPECT_EQ(server.duration("timeout", {nanoseconds(1), std::chrono::hours(1)}),
            std::chrono::milliseconds(250));
  EXPECT_EQ(server.real("share", {0, 1}), 0.25);
  EXPECT_EQ(server.real("whole", {0, 1}), 1.0);
  EXPECT_TRUE(server.boolean("verbose"));
  EXPECT_EQ(server.where("port"), "/etc/ssn/test.toml:8:1");
  EXPECT_TRUE(config.finish().ok());
}

TEST(Config, GivesDefaultsWhereKeysAreAbsent) {
  Config config = parsed("");
  const ConfigTable root = config.root();
  EXPECT_EQ(root.text("name", {}, "x"), "x");
  EXPECT_EQ(root.choice("shortage", policies, "refuse"), "refuse");
  EXPECT_TRUE(root.texts("peers", 4).empty());
  EXPECT_EQ(root.path("log", "here.log"), "here.log");
  EXPECT_TRUE(root.tables("key_device", 4).empty());
  const ConfigTable server = root.table("server");
  EXPECT_FALSE(server.present());
  EXPECT_EQ(server.integer("port", {1, 65535}, 4443), 4443);
  EXPECT_EQ(server.bytes("ring", {1, 4096}, 64), 64U);
  EXPECT_EQ(server.duration("timeout", {nanoseconds(0), std::chrono::hours(1)}, std::chrono::seconds(1)),
            std::chrono::seconds(1));
  EXPECT_FALSE(server.boolean("verbose", false));
  EXPECT_FALSE(server.table("deeper").present());
  EXPECT_TRUE(server.table("deeper").settings(4).empty());
  EXPECT_TRUE(config.finish().ok());
}

TEST(Config, NamesUnknownKeysAndWhatWasMeant) {
  const Error typo = only_error("\n  [server]\nprot = 1\n", [](const ConfigTable& root) {
    root.table("server").integer("port", {1, 2}, 1);
  });
  EXPECT_EQ(typo.where, "/etc/ssn/test.toml:3:1");
  EXPECT_EQ(typo.why, "prot is not a known key in [server]");
  EXPECT_EQ(typo.fix, "did you mean port?");

  const Error other =
      only_error("colour = 1\n", [](const ConfigTable& root) { root.boolean("verbose", false); });
  EXPECT_EQ(other.why, "colour is not a known key");
  EXPECT_EQ(other.fix, "remove it; known there: verbose");

  const Error table = only_error("[serve]\nport = 1\n",
                                 [](const ConfigTable& root) { root.table("server").boolean("x", false); });
  EXPECT_EQ(table.where, "/etc/ssn/test.toml:1:2");
  EXPECT_EQ(table.fix, "did you mean server?");

  const Error nested =
      only_error("[[device]]\n[[device]]\nname = 'x'\nnaem = 'y'\n", [](const ConfigTable& root) {
        for (const ConfigTable& device : root.tables("device", 4)) device.text("name", {}, "");
      });
  EXPECT_EQ(nested.where, "/etc/ssn/test.toml:4:1");
  EXPECT_EQ(nested.why, "naem is not a known key in [device]");
}

TEST(Config, RefusesWrongTypes) {
  struct Case {
    const char* text;
    const char* why;
    void (*read)(const ConfigTable&);
  };
  const Case cases[] = {
      {"a = 1", "a is 1, not true or false", [](const ConfigTable& t) { t.boolean("a"); }},
      {"a = 'x'", "a is \"x\", not a whole number", [](const ConfigTable& t) { t.integer("a", {0, 9}); }},
      {"a = 1.5", "a is 1.5, not a whole number", [](const ConfigTable& t) { t.integer("a", {0, 9}); }},
      {"a = true", "a is true, not a number", [](const ConfigTable& t) { t.real("a", {0, 9}); }},
      {"a = 3", "a is 3, not text", [](const ConfigTable& t) { t.text("a"); }},
      {"a = 1979-05-27", "a is a date or time, not text", [](const ConfigTable& t) { t.text("a"); }},
      {"a = ['x', 1]", "a is 1, not text", [](const ConfigTable& t) { t.texts("a", 3); }},
      {"a = 'x'", "a is \"x\", not an array of text", [](const ConfigTable& t) { t.texts("a", 3); }},
      {"a = 4", "a is 4, not a table", [](const ConfigTable& t) { t.table("a"); }},
      {"[a]\nb = 4", "a is a table, not an array of tables", [](const ConfigTable& t) { t.tables("a", 3); }},
      {"a = [4]", "a is 4, not a table", [](const ConfigTable& t) { t.tables("a", 3); }},
      {"a = 10", "a is 10, not a number with a unit", [](const ConfigTable& t) { t.bit_rate("a", {0, 99}); }},
      {"a = -1", "a is -1, not a number with a unit", [](const ConfigTable& t) { t.bytes("a", {0, 99}); }},
      {"a = '1 s/s'", "a is \"1 s/s\", not a number with a unit",
       [](const ConfigTable& t) { t.duration("a", {nanoseconds(0), nanoseconds(9)}); }},
      {"a.b = [1]", "a.b is an array, not text, a number, or true or false",
       [](const ConfigTable& t) { t.table("a").settings(3); }},
  };
  for (const Case& c : cases) {
    const Error error = only_error(c.text, c.read);
    EXPECT_EQ(error.why, c.why) << c.text;
    EXPECT_THAT(error.where, HasSubstr("test.toml:")) << c.text;
  }
}

TEST(Config, RefusesWhatIsOutOfLimits) {
  struct Case {
    const char* text;
    const char* fix;
    void (*read)(const ConfigTable&);
  };
  const Case cases[] = {
      {"a = 0", "choose from 1 to 9", [](const ConfigTable& t) { t.integer("a", {1, 9}); }},
      {"a = 10", "choose from 1 to 9", [](const ConfigTable& t) { t.integer("a", {1, 9}, 3); }},
      {"a = nan", "choose from 0 to 1", [](const ConfigTable& t) { t.real("a", {0, 1}); }},
      {"a = inf", "choose from 0 to 1", [](const ConfigTable& t) { t.real("a", {0, 1}); }},
      {"a = '1 KiB'", "choose from 1 to 1023 B", [](const ConfigTable& t) { t.bytes("a", {1, 1023}); }},
      {"a = ''", "give it a value, or remove it", [](const ConfigTable& t) { t.text("a"); }},
      {"a = 'abc'", "at most 2 are allowed", [](const ConfigTable& t) { t.text("a", {2, false}); }},
      {"a = \"x\\ny\"", "write it without line ends, tabs and the like",
       [](const ConfigTable& t) { t.text("a"); }},
      {"a = 'wiat'", "did you mean \"wait\"?", [](const ConfigTable& t) { t.choice("a", policies); }},
      {"a = 'never'", "choose one of: refuse, wait, aes-256-gcm",
       [](const ConfigTable& t) { t.choice("a", policies); }},
      {"a = ['x','y']", "at most 1 are allowed", [](const ConfigTable& t) { t.texts("a", 1); }},
      {"[[a]]\n[[a]]", "at most 1 are allowed", [](const ConfigTable& t) { t.tables("a", 1); }},
      {"a = {b=1,c=2}", "at most 1 are allowed", [](const ConfigTable& t) { t.table("a").settings(1); }},
  };
  for (const Case& c : cases) {
    EXPECT_EQ(only_error(c.text, c.read).fix, c.fix) << c.text;
  }
}

TEST(Config, SaysWhereARequiredKeyIsMissing) {
  const Error root = only_error("", [](const ConfigTable& t) { t.text("name"); });
  EXPECT_EQ(root.why, "name is missing");
  const Error table =
      only_error("\n[server]\n", [](const ConfigTable& t) { t.table("server").integer("port", {1, 2}); });
  EXPECT_EQ(table.why, "port is missing in [server]");
  EXPECT_EQ(table.where, "/etc/ssn/test.toml:2:2");
  const Error absent =
      only_error("", [](const ConfigTable& t) { t.table("server").integer("port", {1, 2}); });
  EXPECT_EQ(absent.why, "port is missing in [server]");
}

TEST(Config, GivesSettingsOfDriversAsText) {
  Config config = parsed(R"([[key_device]]
name = "nic"
[key_device.settings]
socket = "/run/ssn-kme/kmnic.sock"
streams = 64
trusting = false
empty = ""
)");
  const std::vector<ConfigTable> devices = config.root().tables("key_device", 8);
  ASSERT_EQ(devices.size(), 1U);
  EXPECT_EQ(devices[0].text("name"), "nic");
  using Pair = std::pair<std::string, std::string>;
  EXPECT_THAT(devices[0].table("settings").settings(8),
              testing::ElementsAre(Pair("empty", ""), Pair("socket", "/run/ssn-kme/kmnic.sock"),
                                   Pair("streams", "64"), Pair("trusting", "false")));
  EXPECT_TRUE(config.finish().ok());
}

TEST(Config, KeepsErrorsInTheOrderOfTheFileAndLimitsThem) {
  std::string text = "a = 'x'\nb = 1\n";
  for (int i = 0; i < 100; ++i) text += "unknown" + std::to_string(i) + " = 1\n";
  Config config = parsed(text);
  config.root().boolean("b", false);
  config.root().boolean("a", false);
  const Outcome outcome = config.finish();
  ASSERT_FALSE(outcome.ok());
  EXPECT_EQ(outcome.error().where, "/etc/ssn/test.toml:1:1");
  EXPECT_EQ(config.errors().size(), Config::errors_max);
}

TEST(Config, TakesErrorsOfItsReader) {
  Config config = parsed("[kme]\nlink = 'a-b'\n");
  const ConfigTable kme = config.root().table("kme");
  kme.text("link");
  kme.fail("link", "names a site that there is not", "add [[site]]");
  const Outcome outcome = config.finish();
  ASSERT_FALSE(outcome.ok());
  EXPECT_EQ(outcome.error().why, "kme.link names a site that there is not");
  EXPECT_EQ(outcome.error().where, "/etc/ssn/test.toml:2:1");
}

TEST(Config, RefusesWhatIsNoToml) {
  for (const char* text : {"a = ", "a", "[a", "a = 'x", "a = 1\na = 2", "a = \"\\q\"", "a = 01", "= 1",
                           "\x01", "[=]\n", "[[=", "[ *]", "[k\xef\xbb\xaf"}) {
    const Result<Config> config = Config::parse(text, "t.toml");
    ASSERT_FALSE(config.ok()) << text;
    EXPECT_EQ(config.error().code, Exit::usage);
    EXPECT_THAT(config.error().where, testing::MatchesRegex("t.toml:[0-9]+:[0-9]+")) << text;
    EXPECT_FALSE(config.error().why.empty());
  }
}

TEST(Config, TakesOtherCharactersInCommentsAndAsEscapes) {
  Config config = parsed("\xEF\xBB\xBF# gr\xC3\xBC\xC3\x9F\na = '#' # \xC6\xA2\nb = \"\\u00fc\"\n");
  EXPECT_EQ(config.root().text("a"), "#");
  EXPECT_EQ(config.root().text("b"), "\xC3\xBC");
  EXPECT_TRUE(config.finish().ok());
  for (const char* text :
       {"a = '\xC3\xBC'", "a = \"\"\"\n\xC3\xBC\"\"\"", "\xC3\xBC = 1", "a = 1 \xC2\xA0"}) {
    const Result<Config> refused = Config::parse(text, "t.toml");
    ASSERT_FALSE(refused.ok());
    EXPECT_THAT(refused.error().why, HasSubstr("not ASCII"));
  }
}

TEST(Config, RefusesTablesThatLieTooDeep) {
  std::string dots;
  for (int i = 0; i < 100000; ++i) dots += "a.";
  std::string inner = "{a.a.a = 1}";
  for (int i = 0; i < 40; ++i) {
    inner.insert(0, "{b.c.d.e.f.g.h.i = ");
    inner += '}';
  }
  for (const std::string& text : {dots + "a = 1", "[" + dots + "a]", "x = {" + dots + "a = 1}",
                                  "x = " + std::string(100, '[') + std::string(100, ']'), "x = " + inner}) {
    const Result<Config> config = Config::parse(text, "t.toml");
    ASSERT_FALSE(config.ok()) << text.substr(0, 20);
    EXPECT_THAT(config.error().why, HasSubstr("deep")) << text.substr(0, 20);
  }
  // Dots in text and comments are none of keys.
  const std::string many(100, '.');
  EXPECT_TRUE(
      Config::parse("a = '" + many + "' # " + many + "\nb = \"\"\"" + many + "\n" + many + "\"\"\"\n", "t")
          .ok());
}

}  // namespace
}  // namespace ssn::hw
