// SPDX-License-Identifier: BSD-3-Clause
// Controllers of two domains over TLS, each with its authority: "n" is east's, "other" west's. Certificates
// of both have the same names, so only the authority tells them apart.
#include <gtest/gtest.h>

#include <chrono>
#include <thread>

#include "exchange_link.h"
#include "support.h"
#include "test_network.h"

namespace ssn::controller::test {
namespace {

class ExchangeTest : public testing::Test {
 protected:
  // One domain: its catalogue, its book and, once it runs, its link.
  struct Side {
    std::string domain;
    std::string network;
    std::unique_ptr<Database> database;
    std::unique_ptr<Catalogue> catalogue;
    std::unique_ptr<DomainBook> book;
    std::unique_ptr<ExchangeLink> link;
  };

  static void SetUpTestSuite() {
    folder_ = new Folder;
    for (const char* const network : {"n", "other"}) {
      ASSERT_OK(kme::make_test_network({folder_->path(network), {"a", "b", "c"}, 0, 2}));
    }
  }
  static void TearDownTestSuite() { delete folder_; }

  void SetUp() override {
    make(east_, "east", "n", "west");
    make(west_, "west", "other", "east");
  }
  void TearDown() override {
    east_.link.reset();
    west_.link.reset();
  }
  static Now now() {
    const auto time = std::chrono::steady_clock::now().time_since_epoch();
    const auto ms =
        static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::milliseconds>(time).count());
    return {1'700'000'000'000 + ms, ms};
  }
  static void make(Side& side, const std::string& domain, const std::string& network,
                   const std::string& other) {
    side.domain = domain;
    side.network = network;
    side.database = make_memory_database();
    auto opened = Catalogue::open(
        *side.database, Policy(), [](std::uint8_t* out, std::size_t bytes) { std::fill_n(out, bytes, 7); },
        now());
    ASSERT_OK(opened);
    side.catalogue = std::move(opened.value());
    side.book = std::make_unique<DomainBook>(domain, std::set<std::string>{other});
    for (const char* const node : {"b", "c"}) {
      Registration registration;
      registration.instance = {1};
      registration.roles = {pki::Role::shareholder};
      registration.agent = "192.0.2.1:7000";
      ASSERT_OK(side.catalogue->register_node(now(), domain + node, registration.roles, registration));
    }
  }
  static std::string path(const std::string& name) { return folder_->path(name); }
  // `who` of `network` shows itself; `believed` is the network whose authority counts for `other`.
  static Result<std::unique_ptr<ExchangeLink>> link(Side& side, const std::string& who,
                                                    const std::string& network, const std::string& other,
                                                    const std::string& believed) {
    const std::string base = path(network + "/" + who);
    return ExchangeLink::start({who, "", base + ".crt", base + ".key", path(network + "/ca.crt")},
                               {side.domain, "127.0.0.1:0", {{other, path(believed + "/ca.crt")}}},
                               *side.catalogue, *side.book, {static_cast<std::uint8_t>(++instance_)}, now);
  }
  static void start(Side& side, const std::string& other, const std::string& believed) {
    auto started = link(side, "controller", side.network, other, believed);
    ASSERT_OK(started);
    side.link = std::move(started.value());
  }
  // What `side` has agreed with `other`, which listens there.
  static void agree(Side& side, const std::string& other, const std::string& address, bool lends, bool uses,
                    const std::string& identity = "controller") {
    const std::string text =
        fmt::format("[[domain]]\nname = \"{}\"\ncontroller = \"{}\"\nidentity = \"{}\"\nuses = {}\n{}", other,
                    address, identity, uses,
                    lends ? fmt::format("lends = [\"{}b\"]\nlends_bytes = \"1 MiB\"\n", side.domain) : "");
    const auto applied = side.catalogue->configure(now(), {text, "test", 0, 0, "", false}, "test");
    ASSERT_OK(applied);
    ASSERT_TRUE(applied.value().problems.empty()) << describe(applied.value().problems.front());
    step_domains(*side.catalogue, *side.book, now());
  }
  template <typename Holds>
  static bool eventually(const Holds& holds) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(60);
    while (!holds()) {
      if (std::chrono::steady_clock::now() > end) return false;
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
    }
    return true;
  }
  static DomainView view(const Side& side) { return side.book->views(now().monotonic_ms).at(0); }

  inline static Folder* folder_ = nullptr;
  inline static int instance_ = 0;
  Side east_;
  Side west_;
};

TEST_F(ExchangeTest, BothHearWhatIsLent) {
  start(east_, "west", "other");
  start(west_, "east", "n");
  agree(east_, "west", west_.link->listening(), true, false);
  agree(west_, "east", east_.link->listening(), false, true);
  EXPECT_TRUE(eventually([&] { return view(west_).condition == DomainCondition::good; }))
      << view(west_).trouble;
  EXPECT_TRUE(eventually([&] { return view(east_).condition == DomainCondition::good; }))
      << view(east_).trouble;
  const DomainStatement theirs = view(west_).theirs;
  ASSERT_EQ(theirs.nodes.size(), 1U);
  EXPECT_EQ(theirs.nodes[0].name, "eastb");
  EXPECT_EQ(theirs.nodes[0].agent, "192.0.2.1:7000");
  EXPECT_TRUE(view(east_).theirs.nodes.empty());
}

// West believes nobody for east but the authority "n", and there nobody but "controller", who is a
// controller.
TEST_F(ExchangeTest, NobodyElseSpeaksForADomain) {
  start(west_, "east", "n");
  agree(west_, "east", "127.0.0.1:1", true, false);
  agree(east_, "west", west_.link->listening(), false, false);
  // The right name under the wrong authority: not even a handshake. Others of the right one: a call, refused.
  for (const auto& [who, network, calls] :
       {std::tuple{"controller", "other", false}, {"sae-a", "n", true}, {"operator", "n", false}}) {
    DomainBook book("east", {"west"});
    book.follow(east_.catalogue->agreements(), {}, now().monotonic_ms);
    const std::uint64_t refused = view(west_).refused;
    const std::string base = path(std::string(network) + "/" + who);
    const auto started = ExchangeLink::start(
        {who, "", base + ".crt", base + ".key", path(std::string(network) + "/ca.crt")},
        {"east", "127.0.0.1:0", {{"west", path("other/ca.crt")}}}, *east_.catalogue, book, {9}, now);
    if (std::string(who) == "operator") {  // its certificate is for clients only
      EXPECT_TRUE(fails(started, Exit::refused));
      continue;
    }
    ASSERT_OK(started);
    EXPECT_TRUE(eventually([&] { return !book.views(now().monotonic_ms).at(0).trouble.empty(); })) << who;
    EXPECT_FALSE(view(west_).heard) << who << " of " << network;
    EXPECT_EQ(view(west_).refused > refused, calls) << who << " of " << network;
  }
  // The right one is another one, once the agreement says so.
  agree(west_, "east", "127.0.0.1:1", true, false, "somebody");
  start(east_, "west", "other");
  const std::uint64_t refused = view(west_).refused;
  EXPECT_TRUE(eventually([&] { return view(west_).refused > refused; }));
  EXPECT_FALSE(view(west_).heard);
  agree(west_, "east", "127.0.0.1:1", true, false);
  EXPECT_TRUE(eventually([&] { return view(west_).heard; }));
}

// West speaks to east, under "n", and to south, under "other". South's authority certifies a controller of
// east's name, who calls itself east.
TEST_F(ExchangeTest, AnAuthorityMakesNobodyOfAnotherDomain) {
  west_.book = std::make_unique<DomainBook>("west", std::set<std::string>{"east", "south"});
  const std::string base = path("other/controller");
  auto started = ExchangeLink::start(
      {"controller", "", base + ".crt", base + ".key", path("other/ca.crt")},
      {"west", "127.0.0.1:0", {{"east", path("n/ca.crt")}, {"south", path("other/ca.crt")}}},
      *west_.catalogue, *west_.book, {1}, now);
  ASSERT_OK(started);
  west_.link = std::move(started.value());
  agree(east_, "west", west_.link->listening(), false, false);
  for (const char* const identity : {"controller", "somebody"}) {  // whom south's agreement names
    const auto with = [](const std::string& domain, const std::string& who) {
      return fmt::format("[[domain]]\nname = \"{}\"\ncontroller = \"127.0.0.1:1\"\nidentity = \"{}\"\n",
                         domain, who);
    };
    const auto applied = west_.catalogue->configure(
        now(), {with("east", "controller") + with("south", identity), "test", 0, 0, "", false}, "test");
    ASSERT_OK(applied);
    step_domains(*west_.catalogue, *west_.book, now());
    DomainBook book("east", {"west"});
    book.follow(east_.catalogue->agreements(), {}, now().monotonic_ms);
    const auto liar = ExchangeLink::start(
        {"controller", "", base + ".crt", base + ".key", path("other/ca.crt")},
        {"east", "127.0.0.1:0", {{"west", path("other/ca.crt")}}}, *east_.catalogue, book, {9}, now);
    ASSERT_OK(liar);
    EXPECT_TRUE(eventually([&] { return !book.views(now().monotonic_ms).at(0).trouble.empty(); }));
    for (const DomainView& view : west_.book->views(now().monotonic_ms)) {
      EXPECT_FALSE(view.heard) << view.name << " with " << identity;
    }
    EXPECT_FALSE(book.views(now().monotonic_ms).at(0).heard);
  }
}

// Who has no agreement is told nothing, whoever certifies it.
TEST_F(ExchangeTest, WithoutAnAgreementNothingIsTold) {
  start(west_, "east", "n");
  start(east_, "west", "other");
  agree(east_, "west", west_.link->listening(), true, false);
  EXPECT_TRUE(eventually([&] { return !view(east_).trouble.empty(); }));
  EXPECT_FALSE(view(east_).heard);
  EXPECT_NE(view(east_).trouble.find("not the controller of a domain"), std::string::npos)
      << view(east_).trouble;
}

// A server that is not the one which was agreed on is told nothing either.
TEST_F(ExchangeTest, TheServerIsJudgedToo) {
  start(east_, "west", "n");  // it believes the wrong authority
  start(west_, "east", "n");
  agree(west_, "east", "127.0.0.1:1", true, false);
  agree(east_, "west", west_.link->listening(), true, false);
  EXPECT_TRUE(eventually([&] { return !view(east_).trouble.empty(); }));
  EXPECT_FALSE(view(west_).heard);
  EXPECT_FALSE(view(east_).heard);
}

TEST_F(ExchangeTest, WhatCannotBeUsedIsRefusedAtTheStart) {
  start(west_, "east", "n");
  const auto with = [&](const std::string& listen, const std::string& ca) {
    const std::string base = path("n/controller");
    return ExchangeLink::start({"controller", "", base + ".crt", base + ".key", path("n/ca.crt")},
                               {"east", listen, {{"west", ca}}}, *east_.catalogue, *east_.book, {1}, now);
  };
  EXPECT_TRUE(fails(with("nowhere", path("other/ca.crt")), Exit::usage));
  EXPECT_TRUE(fails(with(west_.link->listening(), path("other/ca.crt")), Exit::temporary));
  EXPECT_TRUE(fails(with("127.0.0.1:0", path("other/gone.crt")), Exit::not_found));
  EXPECT_TRUE(fails(with("127.0.0.1:0", path("other/controller.key")), Exit::refused));
}

}  // namespace
}  // namespace ssn::controller::test
