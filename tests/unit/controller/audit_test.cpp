// SPDX-License-Identifier: BSD-3-Clause
// What calls of the controller leave in its audit log: who was let in and who was not, of every kind, over
// real connections; and what happens to calls while it cannot be written.
#include <gtest/gtest.h>

#include <chrono>
#include <fstream>
#include <thread>

#include "audit_log.h"
#include "controller_client.h"
#include "rights.h"
#include "server.h"
#include "support.h"
#include "test_network.h"

namespace ssn::controller::test {
namespace {

using audit::Decision;
using client::ControllerClient;

class NoNodes final : public ReshareNodes {
 public:
  void ask(NodeQuestion) override {}
  std::vector<NodeReply> replies() override { return {}; }
};

class AuditTest : public testing::Test {
 protected:
  void SetUp() override {
    const auto made = kme::make_test_network({folder_.path("n"), {"a", "b"}, 0, 2});
    ASSERT_OK(made);
    database_ = make_memory_database();
    auto opened = Catalogue::open(
        *database_, Policy(),
        [this](std::uint8_t* out, std::size_t bytes) { std::fill_n(out, bytes, ++random_); }, now());
    ASSERT_OK(opened);
    catalogue_ = std::move(opened.value());
    auto manager = ReshareManager::open(*catalogue_, nodes_, now());
    ASSERT_OK(manager);
    manager_ = std::move(manager.value());
  }
  void begin(bool refuse = false, std::uint64_t bytes = 1 << 20) {
    std::filesystem::create_directory(folder_.path("d"));
    auto log = audit::AuditLog::open({{folder_.path("d/log"), bytes, 4}, refuse}, {"Nodes.Report"});
    ASSERT_OK(log);
    log_ = std::move(log.value());
    const std::string n = folder_.path("n/");
    const ServerSettings settings{"controller", "127.0.0.1:0", n + "controller.crt", n + "controller.key",
                                  n + "ca.crt"};
    const auto live = open_identity(settings);
    ASSERT_OK(live);
    auto started = Server::start(settings, live.value(), *catalogue_, manager_.get(), now, log_.get());
    ASSERT_OK(started);
    server_ = std::move(started.value());
  }
  static Now now() {
    const auto time = std::chrono::steady_clock::now().time_since_epoch();
    const auto ms =
        static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::milliseconds>(time).count());
    return {1'700'000'000'000 + ms, ms};
  }
  std::unique_ptr<ControllerClient> client(const std::string& who) {
    const std::string n = folder_.path("n/");
    auto made = ControllerClient::make(
        {server_->listening(), "controller", n + who + ".crt", n + who + ".key", n + "ca.crt"});
    EXPECT_OK(made);
    return made.ok() ? std::move(made.value()) : nullptr;
  }
  std::vector<Decision> all() {
    log_->flush();
    const auto page = log_->read({}, 0, 1000);
    EXPECT_OK(page);
    return page.ok() ? page.value().decisions : std::vector<Decision>();
  }

  Folder folder_;
  std::uint8_t random_ = 0;
  std::unique_ptr<Database> database_;
  std::unique_ptr<Catalogue> catalogue_;
  NoNodes nodes_;
  std::unique_ptr<ReshareManager> manager_;
  std::unique_ptr<audit::AuditLog> log_;
  std::unique_ptr<Server> server_;
};

TEST_F(AuditTest, SaysWhoAskedForWhat) {
  begin();
  EXPECT_FALSE(client("owner")->stat("reports/2026", "").ok());
  ASSERT_EQ(all().size(), 1U);
  const Decision one = all()[0];
  EXPECT_EQ(one.method, "Objects.Stat");
  EXPECT_EQ(one.caller, "owner");
  EXPECT_EQ(one.roles, std::vector<std::string>{"owner"});
  EXPECT_EQ(one.fingerprint.size(), 64U);
  EXPECT_EQ(one.address.rfind("127.0.0.1:", 0), 0U) << one.address;
  EXPECT_EQ(one.about, (std::vector<std::pair<std::string, std::string>>{{"name", "reports/2026"}}));
  EXPECT_TRUE(one.allowed);
  EXPECT_EQ(one.result, "not_found");
  EXPECT_FALSE(one.reason.empty());
  EXPECT_FALSE(one.request.empty());
}

TEST_F(AuditTest, SaysWhoWasRefusedAndWhy) {
  begin();
  EXPECT_TRUE(fails(client("owner")->nodes(), Exit::refused));                // a role that may not
  EXPECT_TRUE(fails(client("sae-a")->stat("x", ""), Exit::refused));          // a node
  EXPECT_TRUE(fails(client("owner")->stat("x", "somebody"), Exit::refused));  // another's object
  EXPECT_TRUE(fails(client("operator")->open_read("x"), Exit::refused));
  const auto take = [](const std::vector<Event>&, std::uint64_t) { return true; };
  EXPECT_FALSE(client("owner")->watch_events(std::nullopt, false, take).ok());  // asks for the status first
  const std::vector<Decision> told = all();
  ASSERT_EQ(told.size(), 5U);
  for (const Decision& one : told) {
    EXPECT_FALSE(one.allowed) << one.method;
    EXPECT_EQ(one.result, "refused");
    EXPECT_FALSE(one.reason.empty());
    EXPECT_FALSE(one.caller.empty());
  }
  EXPECT_EQ(told[1].caller, "sae-a");
  EXPECT_NE(told[2].reason.find("owner is not somebody"), std::string::npos);
  EXPECT_EQ(told[2].about.at(1), (std::pair<std::string, std::string>{"owner", "somebody"}));
}

TEST_F(AuditTest, StreamsAreThereWhenTheyBegin) {
  begin();
  ASSERT_OK(
      client("operator")->watch_events(std::nullopt, false, [&](const std::vector<Event>&, std::uint64_t) {
        EXPECT_EQ(all().back().method, "Administration.WatchEvents");
        return false;
      }));
}

TEST_F(AuditTest, OperatorsReadItAndThatIsInIt) {
  begin();
  EXPECT_TRUE(fails(client("owner")->decisions({}, 0, 10), Exit::refused));
  log_->flush();
  const auto page = client("operator")->decisions({.refused = true}, 0, 10);
  ASSERT_OK(page);
  ASSERT_EQ(page.value().decisions.size(), 1U);
  EXPECT_EQ(page.value().decisions[0], all()[0]);
  EXPECT_FALSE(page.value().more);
  EXPECT_EQ(all().back().method, "Administration.ListDecisions");
  EXPECT_TRUE(all().back().allowed);
}

TEST_F(AuditTest, AFloodOfRefusalsIsAFewLines) {
  begin();
  const auto owner = client("owner");
  for (int i = 0; i < 200; ++i) EXPECT_FALSE(owner->nodes().ok());
  EXPECT_LE(all().size(), audit::Repeats::refusals_each);
  server_.reset();
  log_.reset();
  std::uint64_t times = 0;
  const auto page = audit::read_decisions(folder_.path("d/log"), {}, 0, 1000);
  ASSERT_OK(page);
  for (const Decision& one : page.value().decisions) times += one.times;
  EXPECT_EQ(times, 200U);
}

// The log is as long as it may be, and its folder is gone.
TEST_F(AuditTest, WhileItFailsCallsGoOnOrAreRefused) {
  for (const bool refuse : {false, true}) {
    begin(refuse, 300);
    const auto owner = client("owner");
    const auto admin = client("operator");
    ASSERT_OK(admin->status());
    log_->flush();
    std::filesystem::remove_all(folder_.path("d"));
    std::ofstream(folder_.path("d")) << "";
    ASSERT_OK(admin->status());
    for (int i = 0; i < 3000 && log_->trouble().empty(); ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    ASSERT_FALSE(log_->trouble().empty());
    EXPECT_EQ(owner->stat("x", "").error().code, refuse ? Exit::temporary : Exit::not_found);
    EXPECT_EQ(admin->set_node("x", ServiceState::standby).error().code == Exit::temporary, refuse);
    EXPECT_OK(admin->status());  // to find out why
    EXPECT_OK(admin->alarms({}, "", 1));
    std::filesystem::remove(folder_.path("d"));
    std::filesystem::create_directory(folder_.path("d"));
    for (int i = 0; i < 3000 && !log_->trouble().empty(); ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    EXPECT_TRUE(fails(owner->stat("x", ""), Exit::not_found));
    server_.reset();
    log_.reset();
    std::filesystem::remove_all(folder_.path("d"));
  }
}

TEST_F(AuditTest, ItsAlarm) {
  begin();
  catalogue_->tell_audit(now(), "no space is left");
  ASSERT_OK(catalogue_->tick(now()));
  const auto page = catalogue_->alarms(now(), {}, "", 10);
  ASSERT_OK(page);
  ASSERT_EQ(page.value().alarms.size(), 1U);
  EXPECT_EQ(page.value().alarms[0].key.type, "audit_failed");
  EXPECT_EQ(page.value().alarms[0].text, "no space is left");
}

}  // namespace
}  // namespace ssn::controller::test
