// SPDX-License-Identifier: BSD-3-Clause
// Two test networks with certificates of their own CAs, agents, and a receiver that remembers.
#pragma once

#include <gtest/gtest.h>

#include <condition_variable>
#include <filesystem>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "agent_client.h"
#include "fake_agent_source.h"
#include "ssn/dataplane/agent.h"
#include "ssn/dataplane/peer_channel.h"
#include "test_network.h"

namespace ssn::agent::test {

inline std::string describe(const Error& error) {
  return error.what + ": " + error.why + " (" + error.where + ")";
}

template <typename Condition>
bool wait_for(Condition condition, std::chrono::seconds limit = std::chrono::seconds(30)) {
  const auto end = std::chrono::steady_clock::now() + limit;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > end) {
      return false;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  return true;
}

// "n" has the certificates of our CA, "other" the same names from another one.
class Certificates : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    std::string name = testing::TempDir() + "agent-XXXXXX";
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    folder_ = name;
    for (const char* const network : {"/n", "/other"}) {
      const auto made = kme::make_test_network({folder_ + network, {"a", "b", "c"}, 0, 2});
      ASSERT_TRUE(made.ok()) << describe(made.error());
    }
  }
  static void TearDownTestSuite() { std::filesystem::remove_all(folder_); }

  static std::string path(const std::string& name) { return folder_ + "/" + name; }

  // An agent of sae-a in the network "n".
  static AgentSettings settings(const std::string& name = "sae-a") {
    AgentSettings settings;
    settings.name = name;
    settings.listen = "127.0.0.1:0";
    settings.socket = path(name + ".sock");
    settings.certificate = path("n/" + name + ".crt");
    settings.key = path("n/" + name + ".key");
    settings.ca = path("n/ca.crt");
    settings.operators = {"operator"};
    return settings;
  }

  static std::unique_ptr<Agent> start(const AgentSettings& settings) {
    Result<std::unique_ptr<Agent>> agent = Agent::start(settings);
    EXPECT_TRUE(agent.ok()) << describe(agent.error());
    return agent.ok() ? std::move(agent.value()) : nullptr;
  }

  // Over TLS, as the holder of `certificate` (such as "n/operator").
  static std::unique_ptr<client::AgentClient> client(const Agent& agent, const std::string& certificate,
                                                     const std::string& ca = "n/ca.crt",
                                                     const std::string& node = "sae-a") {
    client::AgentPlace place{
        "", agent.listening(), node, path(certificate + ".crt"), path(certificate + ".key"), path(ca)};
    auto made = client::AgentClient::make(place);
    EXPECT_TRUE(made.ok()) << describe(made.error());
    return made.ok() ? std::move(made.value()) : nullptr;
  }
  static std::unique_ptr<client::AgentClient> local_client(const std::string& name = "sae-a") {
    auto made = client::AgentClient::make({path(name + ".sock"), "", "", "", "", ""});
    EXPECT_TRUE(made.ok());
    return std::move(made.value());
  }

 private:
  inline static std::string folder_;
};

// Remembers what came, per peer: "+" for on_connected(), else the kind's number and the text.
class Mailbox final : public dataplane::PeerReceiver {
 public:
  void on_connected(const std::string& peer) override { add(peer, "+"); }
  void on_message(const std::string& peer, dataplane::PeerMessageKind kind,
                  std::span<const std::uint8_t> bytes) override {
    add(peer, std::to_string(static_cast<unsigned>(kind)) + std::string(bytes.begin(), bytes.end()));
  }
  std::vector<std::string> all() const {
    const std::lock_guard lock(mutex_);
    return all_;
  }
  std::size_t count(const std::string& entry) const {
    const std::vector<std::string> now = all();
    return static_cast<std::size_t>(std::count(now.begin(), now.end(), entry));
  }
  bool has(const std::string& entry) const { return count(entry) != 0; }

 private:
  void add(const std::string& peer, const std::string& text) {
    const std::lock_guard lock(mutex_);
    all_.push_back(peer + " " + text);
  }
  mutable std::mutex mutex_;
  std::vector<std::string> all_;
};

inline bool send(Agent& agent, const std::string& peer, dataplane::PeerMessageKind kind,
                 const std::string& text) {
  return agent.peer_channel()->send(peer, kind,
                                    {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()});
}

}  // namespace ssn::agent::test
