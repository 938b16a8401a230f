// SPDX-License-Identifier: BSD-3-Clause
// The controller's driver and the agent of a shareholder, while one of them is revoked: each has a list of
// its own here, so that only one side knows.
#include "agent_nodes.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <thread>

#include "authority.h"
#include "files.h"
#include "live_identity.h"
#include "ssn/dataplane/agent.h"
#include "ssn/dataplane/reshare_host.h"

namespace ssn::controller {
namespace {

class Host final : public agent::ReshareHost {
 public:
  Result<agent::OrderReply> order_reshare(std::uint64_t, const roles::ReshareOrder&) override {
    return agent::OrderReply{};
  }
  Result<agent::CancelReply> cancel_reshare(std::uint64_t, std::uint64_t) override {
    ++asked;
    return agent::CancelReply{{false, 7}, true};
  }
  Result<std::vector<agent::ReshareReport>> reshares() override {
    ++asked;
    return std::vector<agent::ReshareReport>();
  }
  Result<agent::TermState> erase(std::uint64_t, std::uint64_t, std::uint32_t) override {
    return agent::TermState{};
  }
  std::atomic<unsigned> asked{0};
};

class AgentNodes : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = testing::TempDir() + "agent-nodes-XXXXXX";
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    folder_ = name;
    ASSERT_TRUE(pki::Authority::make(path("ca"), "ca", 365).ok());
    authority_.emplace(std::move(pki::Authority::open(path("ca")).value()));
    issue("controller", "controller");
    issue("sae-a", "shareholder");
    publish("controller.crl");
    publish("sae-a.crl");
    agent::AgentSettings settings;
    settings.name = "sae-a";
    settings.listen = "127.0.0.1:0";
    settings.certificate = path("sae-a.crt");
    settings.key = path("sae-a.key");
    settings.ca = path("ca/ca.crt");
    settings.crl = path("sae-a.crl");
    settings.reshares = true;
    settings.controller = "controller";
    auto started = agent::Agent::start(settings);
    ASSERT_TRUE(started.ok()) << started.error().why;
    agent_ = std::move(started.value());
    agent_->serve_resharing(host_);
    const auto live = open_identity({"controller", "127.0.0.1:0", path("controller.crt"),
                                     path("controller.key"), path("ca/ca.crt"), path("controller.crl")});
    ASSERT_TRUE(live.ok()) << live.error().why;
    live_ = live.value();
    nodes_ = make_agent_nodes(live_);
  }
  void TearDown() override {
    nodes_.reset();
    agent_.reset();
    std::filesystem::remove_all(folder_);
  }

  std::string path(const std::string& name) const { return folder_ + "/" + name; }
  void issue(const std::string& name, const std::string& role) {
    const auto issued =
        authority_->issue({pki::Subject::Use::node, name, {role}, {"DNS:" + name}}, std::nullopt);
    ASSERT_TRUE(issued.ok());
    put(name + ".crt", issued.value().certificate);
    put(name + ".key", issued.value().key.view());
  }
  void publish(const std::string& list) const {
    put(list, pki::read_file(path("ca/ca.crl"), 1 << 20, false, "test").value());
  }
  void put(const std::string& name, std::string_view text) const {
    ASSERT_TRUE(pki::replace_file(path(name), text, 0600, "test").ok());
  }

  NodeReply ask(NodeCall call) {
    NodeQuestion question;
    question.call = call;
    question.node = "sae-a";
    question.agent = agent_->listening();
    question.term = 7;
    question.job = 3;
    nodes_->ask(question);
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(30);
    while (std::chrono::steady_clock::now() < end) {
      if (const std::vector<NodeReply> replies = nodes_->replies(); !replies.empty()) return replies.front();
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
    ADD_FAILURE() << "no reply";
    return {};
  }

  std::string folder_;
  std::optional<pki::Authority> authority_;
  Host host_;
  std::unique_ptr<agent::Agent> agent_;
  std::shared_ptr<pki::LiveIdentity> live_;
  std::unique_ptr<ReshareNodes> nodes_;
};

TEST_F(AgentNodes, ARevokedNodeIsAskedNothing) {
  EXPECT_TRUE(ask(NodeCall::cancel).reached);
  EXPECT_TRUE(ask(NodeCall::list).reached);
  EXPECT_EQ(host_.asked, 2U);
  ASSERT_TRUE(authority_->revoke("sae-a", "keyCompromise", 30).ok());
  EXPECT_TRUE(ask(NodeCall::cancel).reached);  // the list is not there yet
  publish("controller.crl");
  live_->refresh(::time(nullptr));
  const unsigned before = host_.asked;
  for (const NodeCall call : {NodeCall::cancel, NodeCall::list, NodeCall::order}) {
    EXPECT_FALSE(ask(call).reached);
  }
  EXPECT_EQ(host_.asked, before);  // nothing got there, though the connection was open
  issue("sae-a", "shareholder");   // the agent takes it by itself
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  while (!ask(NodeCall::list).reached) {
    ASSERT_LT(std::chrono::steady_clock::now(), end);
  }
}

TEST_F(AgentNodes, ARevokedControllerIsNotHeard) {
  EXPECT_TRUE(ask(NodeCall::cancel).reached);
  ASSERT_TRUE(authority_->revoke("controller", "keyCompromise", 30).ok());
  publish("sae-a.crl");
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  while (ask(NodeCall::list).reached) {
    ASSERT_LT(std::chrono::steady_clock::now(), end);
  }
  const unsigned before = host_.asked;
  for (const NodeCall call : {NodeCall::cancel, NodeCall::list, NodeCall::order}) {
    EXPECT_FALSE(ask(call).reached);
  }
  EXPECT_EQ(host_.asked, before);
}

}  // namespace
}  // namespace ssn::controller
