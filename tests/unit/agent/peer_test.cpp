// SPDX-License-Identifier: BSD-3-Clause
// Messages between peers' agents, over real connections.
#include <atomic>

#include "support.h"

namespace ssn::agent::test {
namespace {

using Kind = dataplane::PeerMessageKind;

class Peers : public Certificates {
 protected:
  // sae-b is called, so it must be there first to have an address; later starts keep its port.
  std::unique_ptr<Agent> start_b(const std::vector<PeerAddress>& peers = {{"sae-a", ""}}) {
    AgentSettings b = settings("sae-b");
    if (!address_b_.empty()) {
      b.listen = address_b_;
    }
    b.peers = peers;
    std::unique_ptr<Agent> agent = start(b);
    if (agent != nullptr) {
      address_b_ = agent->listening();
    }
    return agent;
  }
  std::unique_ptr<Agent> start_a() {
    AgentSettings a = settings("sae-a");
    a.peers = {{"sae-b", address_b_}};
    return start(a);
  }

  std::string address_b_;
};

TEST_F(Peers, MessagesPassBothWaysInOrder) {
  Mailbox at_a;
  Mailbox at_b;
  const auto b = start_b();
  const auto a = start_a();
  a->peer_channel()->listen(&at_a);
  b->peer_channel()->listen(&at_b);
  ASSERT_TRUE(wait_for([&] { return at_a.has("sae-b +") && at_b.has("sae-a +"); }));
  std::vector<std::string> expected{"sae-b +"};
  for (int i = 0; i < 200; ++i) {
    const Kind kind = i % 3 == 0 ? Kind::association : i % 3 == 1 ? Kind::session : Kind::key_device;
    const std::string text = "message " + std::to_string(i);
    ASSERT_TRUE(send(*b, "sae-a", kind, text));
    expected.push_back("sae-b " + std::to_string(static_cast<unsigned>(kind)) + text);
    ASSERT_TRUE(send(*a, "sae-b", Kind::session, text));
  }
  EXPECT_TRUE(wait_for([&] { return at_a.all().size() == expected.size(); }));
  EXPECT_EQ(at_a.all(), expected);
  EXPECT_TRUE(wait_for([&] { return at_b.has("sae-a 2message 199"); }));
  const std::string longest(dataplane::peer_message_max, 'x');
  EXPECT_TRUE(send(*a, "sae-b", Kind::key_device, longest));
  EXPECT_TRUE(wait_for([&] { return at_b.has("sae-a 3" + longest); }));
  EXPECT_FALSE(send(*a, "sae-b", Kind::key_device, longest + "x"));
  EXPECT_FALSE(send(*a, "sae-c", Kind::session, "x"));
  ASSERT_EQ(a->peers().size(), 1U);
  EXPECT_TRUE(a->peers()[0].connected);
  EXPECT_EQ(a->peers()[0].sent, 201U);
  EXPECT_EQ(a->peers()[0].received, 200U);
  a->peer_channel()->listen(nullptr);
  b->peer_channel()->listen(nullptr);
}

TEST_F(Peers, ARestartOfTheCalledOneIsANewConnection) {
  Mailbox at_a;
  Mailbox at_b;
  auto b = start_b();
  const auto a = start_a();
  a->peer_channel()->listen(&at_a);
  b->peer_channel()->listen(&at_b);
  ASSERT_TRUE(wait_for([&] { return at_a.count("sae-b +") == 1; }));
  b.reset();
  ASSERT_TRUE(wait_for([&] { return !a->peers()[0].connected; }));
  EXPECT_FALSE(a->peers()[0].trouble.empty());
  EXPECT_FALSE(send(*a, "sae-b", Kind::session, "to nobody"));
  Mailbox at_new_b;
  b = start_b();
  b->peer_channel()->listen(&at_new_b);
  ASSERT_TRUE(wait_for([&] { return at_a.count("sae-b +") == 2 && at_new_b.has("sae-a +"); }));
  ASSERT_TRUE(send(*a, "sae-b", Kind::session, "again"));
  EXPECT_TRUE(wait_for([&] { return at_new_b.has("sae-a 2again"); }));
  EXPECT_FALSE(at_new_b.has("sae-a 2to nobody"));
  a->peer_channel()->listen(nullptr);
  b->peer_channel()->listen(nullptr);
}

TEST_F(Peers, ARestartOfTheCallerIsANewConnection) {
  Mailbox at_b;
  const auto b = start_b();
  b->peer_channel()->listen(&at_b);
  auto a = start_a();
  ASSERT_TRUE(wait_for([&] { return at_b.count("sae-a +") == 1; }));
  a.reset();
  a = start_a();
  ASSERT_TRUE(wait_for([&] { return at_b.count("sae-a +") == 2; }));
  EXPECT_TRUE(wait_for([&] { return send(*b, "sae-a", Kind::session, "x"); }));
  EXPECT_EQ(b->peers()[0].connections, 2U);
  b->peer_channel()->listen(nullptr);
}

TEST_F(Peers, TheNewestConnectionWins) {
  Mailbox at_b;
  const auto b = start_b();
  b->peer_channel()->listen(&at_b);
  const auto first = start_a();
  ASSERT_TRUE(wait_for([&] { return at_b.count("sae-a +") == 1; }));
  // A clone, say; on another socket. The first one is told that it lost its place, and calls again.
  AgentSettings clone = settings("sae-a");
  clone.socket.clear();
  clone.peers = {{"sae-b", address_b_}};
  const auto second = start(clone);
  ASSERT_TRUE(wait_for([&] { return at_b.count("sae-a +") >= 2; }));
  ASSERT_TRUE(wait_for([&] { return b->peers()[0].connections >= 4; })) << "they take it from each other";
  EXPECT_LT(b->peers()[0].connections, 100U) << "but not all the time";
  b->peer_channel()->listen(nullptr);
}

TEST_F(Peers, AStrangerIsNoPeer) {
  Mailbox at_b;
  const auto b = start_b({{"sae-c", "127.0.0.1:1"}});  // expects sae-c only
  b->peer_channel()->listen(&at_b);
  const auto a = start_a();
  ASSERT_TRUE(wait_for([&] {
    return a->peers()[0].trouble.find("no peer of this node") != std::string::npos;
  })) << a->peers()[0].trouble;
  EXPECT_FALSE(a->peers()[0].connected);
  EXPECT_TRUE(at_b.all().empty());
  // Once it is one, it gets through.
  ASSERT_TRUE(b->set_peers({{"sae-a", ""}}).ok());
  EXPECT_TRUE(wait_for([&] { return at_b.has("sae-a +"); }));
  // And no longer when it is none any more.
  ASSERT_TRUE(b->set_peers({}).ok());
  EXPECT_TRUE(wait_for([&] { return !a->peers()[0].connected; }));
  b->peer_channel()->listen(nullptr);
}

// Whoever commands the authority commands no key that is listed elsewhere: each side asks for itself, and
// again while they are connected.
TEST_F(Peers, ACertificateThatIsNotAdmittedIsNoPeers) {
  std::atomic<bool> a_admits{false}, b_admits{false};
  const auto admits = [](const char* name, std::atomic<bool>& does) {
    return [name, &does](const std::string& peer, const std::string& certificate) {
      EXPECT_EQ(peer, name);
      EXPECT_NE(certificate.find("BEGIN CERTIFICATE"), std::string::npos);
      return does.load();
    };
  };
  AgentSettings of_b = settings("sae-b");
  of_b.peers = {{"sae-a", ""}};
  of_b.admits = admits("sae-a", b_admits);
  const auto b = start(of_b);
  AgentSettings of_a = settings("sae-a");
  of_a.peers = {{"sae-b", b->listening()}};
  of_a.admits = admits("sae-b", a_admits);
  const auto a = start(of_a);
  const auto connected = [&] { return a->peers()[0].connected && b->peers()[0].connected; };
  ASSERT_TRUE(wait_for([&] {
    return a->peers()[0].trouble.find("its key is not the one") != std::string::npos;
  })) << a->peers()[0].trouble;
  b_admits = true;
  ASSERT_TRUE(wait_for([&] { return b->peers()[0].connections != 0; }));
  EXPECT_FALSE(a->peers()[0].connected) << "the other side must be admitted, too";
  a_admits = true;
  ASSERT_TRUE(wait_for(connected));
  b_admits = false;  // it was taken out
  EXPECT_TRUE(wait_for([&] { return !a->peers()[0].connected && !b->peers()[0].connected; }));
}

TEST_F(Peers, AnotherNodeAtTheAddressIsNotTrusted) {
  const auto b = start_b();
  AgentSettings a = settings("sae-a");
  a.peers = {{"sae-c", address_b_}};  // but there is sae-b
  const auto agent = start(a);
  ASSERT_TRUE(wait_for([&] { return agent->peers()[0].trouble != "not called yet"; }));
  EXPECT_FALSE(agent->peers()[0].connected);
  EXPECT_FALSE(b->peers()[0].connected);
}

TEST_F(Peers, AnotherCaIsNotTrusted) {
  const auto b = start_b();
  AgentSettings a = settings("sae-a");
  a.certificate = path("other/sae-a.crt");
  a.key = path("other/sae-a.key");
  a.ca = path("other/ca.crt");
  a.peers = {{"sae-b", address_b_}};
  const auto agent = start(a);
  ASSERT_TRUE(wait_for([&] { return agent->peers()[0].trouble != "not called yet"; }));
  EXPECT_FALSE(b->peers()[0].connected);
  std::vector<Counter> counters;
  b->counters(counters);
  EXPECT_EQ(counters[1].name, "agent.calls");
  EXPECT_EQ(counters[1].value, 0U);
}

TEST_F(Peers, AReceiverThatComesLateIsToldWhoIsThere) {
  const auto b = start_b();
  const auto a = start_a();
  ASSERT_TRUE(wait_for([&] { return a->peers()[0].connected && b->peers()[0].connected; }));
  Mailbox first;
  a->peer_channel()->listen(&first);
  EXPECT_TRUE(wait_for([&] { return first.has("sae-b +"); }));
  Mailbox second;
  a->peer_channel()->listen(&second);
  EXPECT_TRUE(wait_for([&] { return second.has("sae-b +"); }));
  ASSERT_TRUE(send(*b, "sae-a", Kind::session, "x"));
  EXPECT_TRUE(wait_for([&] { return second.has("sae-b 2x"); }));
  EXPECT_FALSE(first.has("sae-b 2x"));
  a->peer_channel()->listen(nullptr);
}

TEST_F(Peers, WrongListsAreRefused) {
  AgentSettings a = settings("sae-b");
  a.socket.clear();
  const std::vector<std::vector<PeerAddress>> wrong = {{{"sae-b", ""}},
                                                       {{"", ""}},
                                                       {{"sae-a", ""}, {"sae-a", ""}},
                                                       {{"sae-c", ""}},
                                                       {{"sae-c", "nowhere"}},
                                                       {{"sae-c", "h:99999"}},
                                                       {{"sae-c", "a b:1"}},
                                                       {{"sae-c", "[::1:1"}}};
  for (const std::vector<PeerAddress>& peers : wrong) {
    a.peers = peers;
    const Result<std::unique_ptr<Agent>> refused = Agent::start(a);
    ASSERT_FALSE(refused.ok()) << peers[0].name << " " << peers[0].address;
    EXPECT_EQ(refused.error().code, Exit::usage);
  }
}

TEST_F(Peers, QueuesAreBounded) {
  // A peer that takes its time with each message.
  class Slow final : public dataplane::PeerReceiver {
   public:
    void on_connected(const std::string&) override {}
    void on_message(const std::string&, Kind, std::span<const std::uint8_t>) override {
      const std::lock_guard lock(gate);
      ++taken;
    }
    std::mutex gate;
    std::atomic<unsigned> taken{0};
  } slow;
  const auto b = start_b();
  b->peer_channel()->listen(&slow);
  const auto a = start_a();
  ASSERT_TRUE(wait_for([&] { return a->peers()[0].connected; }));
  const std::string text(60'000, 'x');
  unsigned sent = 0;
  {
    const std::lock_guard hold(slow.gate);
    while (sent < 5000 && send(*a, "sae-b", Kind::key_device, text)) {
      ++sent;
    }
  }
  EXPECT_LT(sent, 1000U);
  EXPECT_GT(sent, 50U);
  EXPECT_TRUE(wait_for([&] { return slow.taken == sent; })) << "what was accepted arrives";
  EXPECT_EQ(a->peers()[0].not_sent, 1U);
  b->peer_channel()->listen(nullptr);
}

}  // namespace
}  // namespace ssn::agent::test
