// SPDX-License-Identifier: BSD-3-Clause
// What data owners get of an SSA, and what others do not get.
#include <condition_variable>
#include <future>
#include <mutex>
#include <set>

#include "session_client.h"
#include "ssn/dataplane/session_host.h"
#include "support.h"

namespace ssn::agent::test {
namespace {

using client::SessionClient;
using std::chrono::milliseconds;

// Objects have the owner that the test says; sessions are numbered from 1.
class Host final : public SessionHost {
 public:
  Result<std::string> object_owner(const SessionObject& key) override {
    const std::lock_guard lock(mutex_);
    ++asked;
    if (!away.empty()) {
      return Error{Exit::temporary, "cannot ask the controller", away, "", "try again"};
    }
    const auto found = owners.find(key.object);
    return found != owners.end()
               ? Result<std::string>(found->second)
               : Error{Exit::not_found, "cannot ask the controller", "it says it knows none", "", "look"};
  }
  std::optional<std::string> session_owner(std::uint64_t session) override {
    const std::lock_guard lock(mutex_);
    const auto found = sessions.find(session);
    return found != sessions.end() ? std::optional(found->second) : std::nullopt;
  }
  Result<Session> open_write(const SessionRequest& request) override {
    const std::lock_guard lock(mutex_);
    return written.insert(request.key.object).second
               ? open(request)
               : Error{Exit::refused, "cannot open the session", "the write has one", "", "begin another"};
  }
  Result<Session> open_read(const SessionRequest& request) override {
    const std::lock_guard lock(mutex_);
    Result<Session> session = open(request);
    session.value().size = 100;
    session.value().blocks = 1;
    return session;
  }
  Result<WriteStatus> finish_write(std::uint64_t session, std::uint64_t size, std::uint64_t blocks,
                                   milliseconds wait) override {
    std::unique_lock lock(mutex_);
    ++waiting;
    changed.notify_all();
    // The longest wait is as long as it takes: a busy machine needs its time to get everybody in.
    changed.wait_for(lock, wait == finish_wait_max ? milliseconds(60'000) : wait, [this] { return go; });
    --waiting;
    finished = {session, size, blocks};
    return WriteStatus{
        go ? WriteState::degraded : WriteState::sealing,
        "two are gone",
        1,
        2,
        3,
        {{1, "h1", HolderStatus::State::sealed, ""}, {2, "h2", HolderStatus::State::failed, "disk\tfull"}}};
  }
  void close_session(std::uint64_t session) override {
    const std::lock_guard lock(mutex_);
    closed.push_back(session);
  }

  std::mutex mutex_;
  std::condition_variable changed;
  std::map<std::uint64_t, std::string> owners;
  std::map<std::uint64_t, std::string> sessions;
  std::set<std::uint64_t> written;
  std::vector<SessionRequest> opened;
  std::vector<std::uint64_t> finished;
  std::vector<std::uint64_t> closed;
  std::string away;
  unsigned asked = 0;
  unsigned waiting = 0;
  bool go = true;
  std::uint32_t block_bytes = 1344;

 private:
  Result<Session> open(const SessionRequest& request) {
    opened.push_back(request);
    Session session;
    session.session = opened.size();
    sessions[session.session] = request.owner;
    session.data_address = "192.0.2.1:4711";
    session.connection_id = 77;
    session.key_index = 3;
    for (hw::SecretBuffer* const key : {&session.key_to_ssa, &session.key_to_owner}) {
      Result<hw::SecretBuffer> made = hw::SecretBuffer::make(64);
      EXPECT_TRUE(made.ok());
      *key = std::move(made.value());
      std::fill_n(key->data(), 64, static_cast<std::uint8_t>(key == &session.key_to_ssa ? 0xA1 : 0xB2));
    }
    session.block_bytes = block_bytes;
    session.secret_blocks = 2;
    session.window_blocks = 512;
    session.idle_ms = 10'000;
    return session;
  }
};

class Sessions : public Certificates {
 protected:
  void SetUp() override {
    AgentSettings with_owners = settings();
    with_owners.owners = true;
    agent_ = start(with_owners);
    ASSERT_NE(agent_, nullptr);
    agent_->serve_owners(host_);
    host_.owners = {{5, "owner"}, {6, "somebody"}, {7, ""}};
  }

  std::unique_ptr<SessionClient> sessions(const std::string& certificate = "n/owner",
                                          const std::string& node = "sae-a", const std::string& at = "") {
    auto made = SessionClient::make({at.empty() ? agent_->listening() : at, node, path(certificate + ".crt"),
                                     path(certificate + ".key"), path("n/ca.crt")});
    EXPECT_TRUE(made.ok()) << describe(made.error());
    return std::move(made.value());
  }
  static SessionRequest request(std::uint64_t object = 5) {
    return {{object, 1}, "", "198.51.100.7:40312", 9};
  }
  std::uint64_t counter(const std::string& name) const {
    std::vector<Counter> all;
    agent_->counters(all);
    for (const Counter& counter : all) {
      if (counter.name == name) {
        return counter.value;
      }
    }
    ADD_FAILURE() << name;
    return 0;
  }

  Host host_;
  std::unique_ptr<Agent> agent_;
};

TEST_F(Sessions, AnOwnerGetsASessionOfItsObject) {
  const Result<Session> opened = sessions()->open_write(request());
  ASSERT_TRUE(opened.ok()) << describe(opened.error());
  const Session& session = opened.value();
  EXPECT_EQ(session.session, 1U);
  EXPECT_EQ(session.data_address, "192.0.2.1:4711");
  EXPECT_EQ(session.connection_id, 77U);
  EXPECT_EQ(session.key_index, 3U);
  ASSERT_EQ(session.key_to_ssa.size(), 64U);
  ASSERT_EQ(session.key_to_owner.size(), 64U);
  EXPECT_EQ(session.key_to_ssa.data()[63], 0xA1);
  EXPECT_EQ(session.key_to_owner.data()[0], 0xB2);
  EXPECT_EQ(session.block_bytes, 1344U);
  EXPECT_EQ(session.secret_blocks, 2U);
  EXPECT_EQ(session.window_blocks, 512U);
  EXPECT_EQ(session.idle_ms, 10'000U);
  ASSERT_EQ(host_.opened.size(), 1U);
  EXPECT_EQ(host_.opened[0].owner, "owner") << "as its certificate says";
  EXPECT_EQ(host_.opened[0].data_address, "198.51.100.7:40312");
  EXPECT_EQ(host_.opened[0].connection_id, 9U);
  const Result<Session> read = sessions()->open_read(request());
  ASSERT_TRUE(read.ok());
  EXPECT_EQ(read.value().size, 100U);
  EXPECT_EQ(read.value().blocks, 1U);
  const Result<Session> second = sessions()->open_write(request());
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(second.error().code, Exit::refused) << "errors of the process come through";
}

TEST_F(Sessions, OnlyTheRoleOwnerMayAsk) {
  // Certificates of our CA: a node, an operator, the controller.
  for (const char* const other : {"n/sae-b", "n/operator", "n/controller"}) {
    const auto client = sessions(other);
    host_.owners[8] = std::string(other).substr(2);  // even if the object were its own
    EXPECT_EQ(client->open_write(request(8)).error().code, Exit::refused) << other;
    EXPECT_EQ(client->open_read(request(8)).error().code, Exit::refused) << other;
    EXPECT_EQ(client->finish(1, 0, 0, milliseconds(0)).error().code, Exit::refused) << other;
    EXPECT_EQ(client->close(1).error().code, Exit::refused) << other;
  }
  EXPECT_EQ(host_.asked, 0U);
  EXPECT_TRUE(host_.opened.empty());
  EXPECT_EQ(counter("agent.refused"), 12U);
  EXPECT_EQ(counter("agent.session_calls"), 12U);
}

TEST_F(Sessions, AnotherOwnersObjectIsNotFound) {
  const Result<Session> none = sessions()->open_write(request(4));
  ASSERT_FALSE(none.ok());
  EXPECT_EQ(none.error().code, Exit::not_found);
  for (const std::uint64_t object : {6U, 7U}) {  // somebody's, and nobody's
    for (const Result<Session>& others :
         {sessions()->open_write(request(object)), sessions()->open_read(request(object))}) {
      ASSERT_FALSE(others.ok());
      EXPECT_EQ(others.error().code, none.error().code);
      EXPECT_EQ(others.error().why, none.error().why) << "nobody learns that it exists";
    }
  }
  EXPECT_TRUE(host_.opened.empty());
}

TEST_F(Sessions, AnotherOwnersSessionIsNotFound) {
  host_.sessions[40] = "somebody";
  host_.sessions[41] = "";
  for (const std::uint64_t session : {0U, 39U, 40U, 41U}) {
    const Result<WriteStatus> finished = sessions()->finish(session, 1, 1, milliseconds(0));
    ASSERT_FALSE(finished.ok());
    EXPECT_EQ(finished.error().code, Exit::not_found);
    EXPECT_TRUE(sessions()->close(session).ok()) << "what is not there is closed";
  }
  EXPECT_TRUE(host_.finished.empty());
  EXPECT_TRUE(host_.closed.empty());
}

TEST_F(Sessions, AWriteIsFinishedAndClosed) {
  ASSERT_TRUE(sessions()->open_write(request()).ok());
  host_.go = false;
  const Result<WriteStatus> sealing = sessions()->finish(1, 1345, 2, milliseconds(1));
  ASSERT_TRUE(sealing.ok()) << describe(sealing.error());
  EXPECT_EQ(sealing.value().state, WriteState::sealing);
  host_.go = true;
  const Result<WriteStatus> finished = sessions()->finish(1, 1345, 2, finish_wait_max);
  ASSERT_TRUE(finished.ok()) << describe(finished.error());
  const WriteStatus& status = finished.value();
  EXPECT_EQ(status.state, WriteState::degraded);
  EXPECT_EQ(status.why, "two are gone");
  EXPECT_EQ(status.sealed, 1U);
  EXPECT_EQ(status.quorum, 2U);
  EXPECT_EQ(status.minimum, 3U);
  ASSERT_EQ(status.holders.size(), 2U);
  EXPECT_EQ(status.holders[0].state, HolderStatus::State::sealed);
  EXPECT_EQ(status.holders[1].node, "h2");
  EXPECT_EQ(status.holders[1].trouble, "disk?full") << "nothing of it commands a terminal";
  EXPECT_EQ(host_.finished, (std::vector<std::uint64_t>{1, 1345, 2}));
  EXPECT_EQ(sessions()->finish(1, 1345, 2, finish_wait_max + milliseconds(1)).error().code, Exit::usage);
  EXPECT_TRUE(sessions()->close(1).ok());
  EXPECT_TRUE(sessions()->close(1).ok());
  EXPECT_EQ(host_.closed, (std::vector<std::uint64_t>{1, 1}));
}

TEST_F(Sessions, WrongRequestsAreRefused) {
  std::vector<SessionRequest> wrong(9, request());
  wrong[0].key.object = 0;
  wrong[1].key.generation = 0;
  wrong[2].key.generation = std::uint64_t{1} << 32;
  wrong[3].connection_id = 0;
  wrong[4].data_address = "";
  wrong[5].data_address = "owner.example:40312";
  wrong[6].data_address = "198.51.100.7";
  wrong[7].data_address = "224.0.0.1:40312";
  wrong[8].data_address = "0.0.0.0:40312";
  for (const SessionRequest& each : wrong) {
    const Result<Session> opened = sessions()->open_write(each);
    ASSERT_FALSE(opened.ok());
    EXPECT_EQ(opened.error().code, Exit::usage) << each.data_address;
  }
  EXPECT_EQ(host_.asked, 0U);
}

TEST_F(Sessions, AWrongAnswerIsNotBelieved) {
  for (const std::uint32_t bytes : {0U, 63U, 16321U, 16384U}) {
    host_.block_bytes = bytes;
    const Result<Session> opened = sessions()->open_read(request());
    ASSERT_FALSE(opened.ok());
    EXPECT_EQ(opened.error().code, Exit::integrity);
  }
}

TEST_F(Sessions, WithoutTheControllerItIsTemporary) {
  host_.away = "it is away";
  const Result<Session> opened = sessions()->open_write(request());
  ASSERT_FALSE(opened.ok());
  EXPECT_EQ(opened.error().code, Exit::temporary);
  EXPECT_TRUE(host_.opened.empty());
}

TEST_F(Sessions, CallsAreBounded) {
  host_.go = false;
  host_.sessions[1] = "owner";
  std::vector<std::future<Result<WriteStatus>>> running;
  const auto client = sessions();
  for (unsigned i = 0; i < session_calls_of_one_max; ++i) {
    running.push_back(
        std::async(std::launch::async, [&] { return client->finish(1, 0, 0, finish_wait_max); }));
  }
  const auto inside = [&] {
    const std::lock_guard lock(host_.mutex_);
    return host_.waiting;
  };
  ASSERT_TRUE(wait_for([&] { return inside() == session_calls_of_one_max; }));
  const Result<WriteStatus> one_more = client->finish(1, 0, 0, milliseconds(0));
  const std::uint64_t busy = counter("agent.busy");
  {
    const std::lock_guard lock(host_.mutex_);
    host_.go = true;
    host_.changed.notify_all();
  }
  ASSERT_FALSE(one_more.ok());
  EXPECT_EQ(one_more.error().code, Exit::temporary);
  EXPECT_EQ(busy, 1U);
  for (auto& each : running) {
    EXPECT_TRUE(each.get().ok());
  }
  EXPECT_TRUE(client->finish(1, 0, 0, milliseconds(0)).ok()) << "there is room again";
}

TEST_F(Sessions, WithoutAHostItSaysSo) {
  agent_->stop_serving_owners();
  const Result<Session> opened = sessions()->open_write(request());
  ASSERT_FALSE(opened.ok());
  EXPECT_EQ(opened.error().code, Exit::temporary);
  EXPECT_TRUE(host_.opened.empty());
}

TEST_F(Sessions, WhatIsNoSsaServesNobody) {
  const auto other = start(settings("sae-b"));
  ASSERT_NE(other, nullptr);
  other->serve_owners(host_);
  const Result<Session> opened = sessions("n/owner", "sae-b", other->listening())->open_write(request());
  ASSERT_FALSE(opened.ok());
  EXPECT_EQ(opened.error().code, Exit::refused);
  EXPECT_NE(opened.error().why.find("no SSA"), std::string::npos);
  AgentSettings deaf = settings("sae-c");
  deaf.listen.clear();
  deaf.owners = true;
  EXPECT_EQ(Agent::start(deaf).error().code, Exit::usage);
}

TEST_F(Sessions, OnlyTheNodeThatWasMeantIsBelieved) {
  EXPECT_FALSE(sessions("n/owner", "sae-b")->open_write(request()).ok());
  EXPECT_TRUE(host_.opened.empty());
}

}  // namespace
}  // namespace ssn::agent::test
