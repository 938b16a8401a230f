// SPDX-License-Identifier: BSD-3-Clause
// What operators get, over the local socket and over TLS, and what others do not get.
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <fstream>
#include <future>

#include "audit_log.h"
#include "support.h"

namespace ssn::agent::test {
namespace {

using std::chrono::milliseconds;

class Operation : public Certificates {
 protected:
  void SetUp() override {
    agent_ = start(settings());
    ASSERT_NE(agent_, nullptr);
    agent_->serve(source_);
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

  ssn::test::FakeAgentSource source_;
  std::unique_ptr<Agent> agent_;
};

void expect_status(client::AgentClient& client) {
  const Result<Status> status = client.status();
  ASSERT_TRUE(status.ok()) << describe(status.error());
  EXPECT_EQ(status.value().node, "sae-a");
  EXPECT_EQ(status.value().uptime, milliseconds(1500));
  ASSERT_EQ(status.value().items.size(), 4U);
  EXPECT_EQ(status.value().items[1].properties[1].second, "1500");
  EXPECT_FALSE(status.value().items[2].healthy);
}

TEST_F(Operation, TheSocketIsForThisUserOnly) {
  struct stat status{};
  ASSERT_EQ(::stat(path("sae-a.sock").c_str(), &status), 0);
  EXPECT_TRUE(S_ISSOCK(status.st_mode));
  EXPECT_EQ(status.st_mode & 0777, 0600U);
  expect_status(*local_client());
  agent_.reset();
  EXPECT_NE(::stat(path("sae-a.sock").c_str(), &status), 0);
}

TEST_F(Operation, AnOperatorIsServedOverTls) { expect_status(*client(*agent_, "n/operator")); }

TEST_F(Operation, OthersAreRefused) {
  // A certificate of our CA that names no operator.
  const Result<Status> stranger = client(*agent_, "n/sae-b")->status();
  ASSERT_FALSE(stranger.ok());
  EXPECT_EQ(stranger.error().code, Exit::refused);
  EXPECT_NE(stranger.error().why.find("sae-b is no operator"), std::string::npos) << stranger.error().why;
  EXPECT_EQ(counter("agent.refused"), 1U);
  const auto nothing = [](const client::CounterUpdate&) { return true; };
  EXPECT_EQ(client(*agent_, "n/sae-b")->watch_counters("", milliseconds(100), 1, nothing).error().code,
            Exit::refused);
  EXPECT_EQ(client(*agent_, "n/sae-b")->graphs().error().code, Exit::refused);
  EXPECT_EQ(client(*agent_, "n/sae-b")->swap(SwapMode::apply, "[node]", "f").error().code, Exit::refused);
  EXPECT_EQ(source_.swaps, 0U);
}

TEST_F(Operation, AnotherCaCountsForNothing) {
  // The name of an operator, but signed by another CA: the client trusts our server, the server not the
  // client.
  std::ofstream(path("both.crt")) << std::ifstream(path("n/ca.crt")).rdbuf()
                                  << std::ifstream(path("other/ca.crt")).rdbuf();
  const Result<Status> forged = client(*agent_, "other/operator", "both.crt")->status();
  ASSERT_FALSE(forged.ok());
  // And a client that trusts the other CA only does not talk to our server.
  const Result<Status> misled = client(*agent_, "other/operator", "other/ca.crt")->status();
  ASSERT_FALSE(misled.ok());
  EXPECT_EQ(counter("agent.calls"), 0U) << "they did not even get to ask";
  // Nor with one that has another name than it wants.
  EXPECT_FALSE(client(*agent_, "n/operator", "n/ca.crt", "sae-b")->status().ok());
  EXPECT_EQ(counter("agent.calls"), 0U);
}

TEST_F(Operation, CountersAreStreamed) {
  std::vector<client::CounterUpdate> updates;
  const Outcome watched =
      local_client()->watch_counters("", milliseconds(100), 3, [&](const client::CounterUpdate& update) {
        updates.push_back(update);
        return true;
      });
  ASSERT_TRUE(watched.ok()) << describe(watched.error());
  ASSERT_EQ(updates.size(), 3U);
  EXPECT_TRUE(updates[0].complete);
  EXPECT_EQ(updates[0].counters.size(), 7U);
  EXPECT_EQ(updates[0].counters[1].kind, Counter::Kind::gauge);
  EXPECT_FALSE(updates[1].complete);
  EXPECT_EQ(updates[1].counters.size(), 6U) << "without the one that stays";
  EXPECT_GE(updates[2].time_ns - updates[0].time_ns, 190'000'000U);
}

TEST_F(Operation, CountersArePickedByPrefix) {
  std::size_t found = 0;
  const Outcome watched = local_client()->watch_counters("node.wire_pack.", milliseconds(100), 0,
                                                         [&](const client::CounterUpdate& update) {
                                                           found = update.counters.size();
                                                           return false;
                                                         });
  ASSERT_TRUE(watched.ok());
  EXPECT_EQ(found, 3U);
}

TEST_F(Operation, WrongIntervalsAreRefused) {
  const auto all = [](const client::CounterUpdate&) { return true; };
  EXPECT_EQ(local_client()->watch_counters("", milliseconds(99), 1, all).error().code, Exit::usage);
  EXPECT_EQ(local_client()->watch_counters("", milliseconds(3'600'001), 1, all).error().code, Exit::usage);
  EXPECT_EQ(local_client()->watch_counters(std::string(257, 'x'), milliseconds(100), 1, all).error().code,
            Exit::usage);
}

TEST_F(Operation, PacketsAreTraced) {
  unsigned started = 0;
  std::vector<TraceHop> hops;
  const Outcome traced = local_client()->trace(
      {250, "wire_pack", "client"}, [&] { ++started; },
      [&](const std::vector<TraceHop>& more, std::uint64_t lost) {
        hops.insert(hops.end(), more.begin(), more.end());
        return lost == 0;
      });
  ASSERT_TRUE(traced.ok()) << describe(traced.error());
  EXPECT_EQ(started, 1U);
  ASSERT_EQ(hops.size(), 750U);
  EXPECT_EQ(hops[2].node, "wire_pack");
  EXPECT_EQ(hops[2].detail, "stream 1, block 7");
  EXPECT_EQ(source_.traces, 0U);
}

TEST_F(Operation, WrongTracesAreRefused) {
  unsigned started = 0;
  const auto begin = [&] { ++started; };
  const auto all = [](const std::vector<TraceHop>&, std::uint64_t) { return true; };
  EXPECT_EQ(local_client()->trace({1, "nowhere", ""}, begin, all).error().code, Exit::usage);
  EXPECT_EQ(local_client()->trace({0, "", ""}, begin, all).error().code, Exit::usage);
  EXPECT_EQ(local_client()->trace({trace_packets_max + 1, "", ""}, begin, all).error().code, Exit::usage);
  EXPECT_EQ(started, 0U);
}

TEST_F(Operation, StreamsAreBoundedAndEndWithTheirCallers) {
  source_.endless_traces = true;
  std::atomic<bool> enough{false};
  std::vector<std::future<Outcome>> running;
  const auto trace = [&] {
    return local_client()->trace(
        {1, "", ""}, [] {}, [&](const std::vector<TraceHop>&, std::uint64_t) { return !enough; });
  };
  for (unsigned i = 0; i < 4; ++i) {
    running.push_back(std::async(std::launch::async, trace));
  }
  ASSERT_TRUE(wait_for([&] { return source_.traces == 4; }));
  const Outcome one_more = local_client()->trace(
      {1, "", ""}, [] {}, [](const std::vector<TraceHop>&, std::uint64_t) { return false; });
  const std::uint64_t busy = counter("agent.busy");
  enough = true;
  ASSERT_FALSE(one_more.ok());
  EXPECT_EQ(one_more.error().code, Exit::temporary);
  EXPECT_EQ(busy, 1U);
  for (std::future<Outcome>& each : running) {
    EXPECT_TRUE(each.get().ok());
  }
  EXPECT_TRUE(wait_for([&] { return source_.traces == 0; })) << "they end when nobody reads";
  EXPECT_TRUE(wait_for([&] { return counter("agent.trace_streams") == 0; }));
}

TEST_F(Operation, TheGraphIsShown) {
  const Result<std::vector<Graph>> graphs = local_client()->graphs();
  ASSERT_TRUE(graphs.ok());
  ASSERT_EQ(graphs.value().size(), 1U);
  EXPECT_EQ(graphs.value()[0].nodes[0].next, (std::vector<std::string>{"wire_classify", "drop-bad_header"}));
  EXPECT_EQ(graphs.value()[0].nodes[0].cycles, 64'000U);
}

TEST_F(Operation, ConfigurationsAreSwapped) {
  const auto local = local_client();
  const Result<SwapResult> wrong = local->swap(SwapMode::apply, "nothing\tin it", "new.toml");
  ASSERT_TRUE(wrong.ok());
  EXPECT_FALSE(wrong.value().applied);
  ASSERT_EQ(wrong.value().errors.size(), 2U);
  EXPECT_EQ(wrong.value().errors[0].where, "new.toml:1:1");
  const Result<SwapResult> tried = local->swap(SwapMode::dry_run, "[node]\nname = \"sae-a\"", "new.toml");
  ASSERT_TRUE(tried.ok());
  EXPECT_EQ(tried.value().changes.size(), 1U);
  EXPECT_FALSE(tried.value().applied);
  EXPECT_EQ(tried.value().generation, 1U);
  const Result<SwapResult> changed = local->swap(SwapMode::apply, "[node]\nname = \"sae-a\"", "new.toml");
  ASSERT_TRUE(changed.ok());
  EXPECT_TRUE(changed.value().applied);
  EXPECT_EQ(changed.value().generation, 2U);
}

TEST_F(Operation, OneSwapAtATime) {
  std::future<Result<SwapResult>> first;
  {
    const std::lock_guard hold(source_.swapping);
    first =
        std::async(std::launch::async, [&] { return local_client()->swap(SwapMode::check, "[node]", "f"); });
    ASSERT_TRUE(wait_for([&] { return source_.swaps == 1; }));
    const Result<SwapResult> second = local_client()->swap(SwapMode::check, "[node]", "f");
    ASSERT_FALSE(second.ok());
    EXPECT_EQ(second.error().code, Exit::temporary);
  }
  EXPECT_TRUE(first.get().ok());
}

TEST_F(Operation, TooLongMessagesAreRefused) {
  const auto local = local_client();
  EXPECT_EQ(local->swap(SwapMode::check, std::string((1 << 20) + 1, ' '), "f").error().code, Exit::usage);
  EXPECT_TRUE(local->swap(SwapMode::check, std::string(1 << 20, ' '), "f").ok());
  EXPECT_EQ(source_.swaps, 1U);
}

TEST_F(Operation, ManyCountersPass) {
  source_.more_counters = 50'000;
  std::size_t found = 0;
  const Outcome watched = local_client()->watch_counters("", milliseconds(100), 1, [&](const auto& update) {
    found = update.counters.size();
    return true;
  });
  ASSERT_TRUE(watched.ok()) << describe(watched.error());
  EXPECT_EQ(found, 50'007U);
}

TEST_F(Operation, WithoutASourceItSaysSo) {
  source_.endless_traces = true;
  std::future<Outcome> stream = std::async(std::launch::async, [&] {
    return local_client()->trace(
        {1, "", ""}, [] {}, [](const std::vector<TraceHop>&, std::uint64_t) { return true; });
  });
  ASSERT_TRUE(wait_for([&] { return source_.traces == 1; }));
  agent_->stop_serving();
  EXPECT_EQ(source_.traces, 0U) << "nobody is inside any more";
  const Outcome ended = stream.get();
  ASSERT_FALSE(ended.ok());
  EXPECT_EQ(ended.error().code, Exit::temporary);
  const Result<Status> status = local_client()->status();
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().code, Exit::temporary);
  agent_->serve(source_);
  expect_status(*local_client());
}

TEST_F(Operation, ASocketInUseIsNotTaken) {
  AgentSettings second = settings();
  const Result<std::unique_ptr<Agent>> refused = Agent::start(second);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, Exit::refused);
  second.socket.clear();
  second.listen = agent_->listening();
  const Result<std::unique_ptr<Agent>> port_taken = Agent::start(second);
  ASSERT_FALSE(port_taken.ok());
  EXPECT_EQ(port_taken.error().where, second.listen);
  expect_status(*local_client());
}

TEST_F(Operation, TheSocketOfADeadProcessIsReplaced) {
  agent_.reset();
  // Bound and closed, as SIGKILL leaves it.
  const int fd = ::socket(AF_UNIX, SOCK_STREAM, 0);
  ASSERT_GE(fd, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path("sae-a.sock").copy(address.sun_path, sizeof address.sun_path - 1);
  ASSERT_EQ(::bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  ::close(fd);
  agent_ = start(settings());
  ASSERT_NE(agent_, nullptr);
  agent_->serve(source_);
  expect_status(*local_client());
  agent_.reset();
  std::ofstream(path("sae-a.sock")) << "not a socket";
  const Result<std::unique_ptr<Agent>> refused = Agent::start(settings());
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, Exit::refused);
  ::unlink(path("sae-a.sock").c_str());
}

// By whom, over what, and why not: of operators, of the socket, of those who may not.
TEST_F(Operation, EveryDecisionIsLogged) {
  agent_.reset();
  auto log = audit::AuditLog::open({{path("audit"), std::uint64_t{1} << 20, 4}, false}, {});
  ASSERT_TRUE(log.ok()) << describe(log.error());
  AgentSettings with = settings();
  with.audit = log.value().get();
  agent_ = start(with);
  ASSERT_NE(agent_, nullptr);
  agent_->serve(source_);
  EXPECT_TRUE(local_client()->status().ok());
  EXPECT_TRUE(client(*agent_, "n/operator")->status().ok());
  EXPECT_EQ(client(*agent_, "n/sae-b")->status().error().code, Exit::refused);
  EXPECT_EQ(client(*agent_, "n/sae-b")->readmit("sae-c").error().code, Exit::refused);
  log.value()->flush();
  const auto page = log.value()->read({}, 0, 100);
  ASSERT_TRUE(page.ok());
  const std::vector<audit::Decision>& all = page.value().decisions;
  ASSERT_EQ(all.size(), 4U);
  EXPECT_EQ(all[0].caller, "local");
  EXPECT_TRUE(all[0].allowed);
  EXPECT_EQ(all[1].caller, "operator");
  EXPECT_EQ(all[1].method, "Operation.GetStatus");
  EXPECT_EQ(all[1].fingerprint.size(), 64U);
  EXPECT_EQ(all[2].caller, "sae-b");
  EXPECT_FALSE(all[2].allowed);
  EXPECT_NE(all[2].reason.find("no operator"), std::string::npos);
  EXPECT_EQ(all[3].method, "Operation.Readmit");
  EXPECT_EQ(all[3].about.at(0).second, "sae-c");
  EXPECT_EQ(counter("agent.audit_written"), 4U);
  agent_.reset();
}

TEST_F(Operation, AQuarantineEndsByAnOperatorsWordOnly) {
  const auto admin = client(*agent_, "n/operator");
  EXPECT_EQ(client(*agent_, "n/sae-b")->readmit("sae-b").error().code, Exit::refused);
  EXPECT_EQ(admin->readmit("nobody").error().code, Exit::not_found);
  const Result<std::string> ended = admin->readmit("sae-b");
  ASSERT_TRUE(ended.ok()) << describe(ended.error());
  EXPECT_EQ(ended.value(), "it was cloned");
  EXPECT_EQ(admin->readmit("sae-b").error().code, Exit::refused);
  EXPECT_EQ(admin->readmit(std::string(1000, 'a')).error().code, Exit::usage);
}

TEST_F(Operation, NobodyThere) {
  agent_.reset();
  const Result<Status> status = local_client()->status();
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.error().code, Exit::temporary);
  EXPECT_EQ(status.error().where, path("sae-a.sock"));
}

}  // namespace
}  // namespace ssn::agent::test
