// SPDX-License-Identifier: BSD-3-Clause
// Many threads at once, for the thread sanitizer: links that come, go and deliver, receivers that change,
// lists of peers that change; calls into a source that is taken away.
#include <gtest/gtest.h>

#include <random>

#include "peer_hub.h"
#include "source_gate.h"
#include "stream_watch.h"

namespace ssn::agent::test {
namespace {

using std::chrono::milliseconds;
using Kind = dataplane::PeerMessageKind;
using Clock = std::chrono::steady_clock;

constexpr milliseconds lasting{700};

class CountedLink final : public PeerLink {
 public:
  void start() override {}
  bool send(Kind, std::span<const std::uint8_t>) override { return !closed; }
  void close(const std::string&) override { closed = true; }
  std::atomic<bool> closed{false};
};

// Every message carries the number of its link. Of one peer there is one call at a time, an older link never
// speaks after a newer one was announced, and nothing comes once nobody listens.
class Checker final : public dataplane::PeerReceiver {
 public:
  void on_connected(const std::string&) override {
    const Guard guard(*this);
    ++connected_;
    fresh_ = true;
  }
  void on_message(const std::string&, Kind, std::span<const std::uint8_t> bytes) override {
    const Guard guard(*this);
    std::uint32_t number = 0;
    std::copy(bytes.begin(), bytes.end(), reinterpret_cast<std::uint8_t*>(&number));
    wrong_ += connected_ == 0 || number < newest_ || (number > newest_ && !fresh_) ? 1 : 0;
    fresh_ = false;
    newest_ = number;
    ++messages_;
  }
  void expect_good() const {
    EXPECT_EQ(wrong_, 0U);
    EXPECT_GT(messages_, 0U);
  }
  std::atomic<bool> listening{true};

 private:
  class Guard {
   public:
    explicit Guard(Checker& checker) : checker_(checker) {
      checker_.wrong_ += checker_.inside_.exchange(true) || !checker_.listening ? 1 : 0;
    }
    ~Guard() { checker_.inside_ = false; }
    Guard(const Guard&) = delete;
    Guard& operator=(const Guard&) = delete;

   private:
    Checker& checker_;
  };

  std::atomic<bool> inside_{false};
  std::atomic<unsigned> wrong_{0};
  // On purpose without protection: the hub makes one call at a time, or the sanitizer finds out.
  unsigned connected_ = 0;
  unsigned messages_ = 0;
  std::uint32_t newest_ = 0;
  bool fresh_ = false;
};

TEST(Threads, TheHubKeepsItsOrder) {
  PeerHub hub("m", [](const PeerAddress&) { return std::make_shared<CountedLink>(); },
              {milliseconds(1), milliseconds(2), milliseconds(5), milliseconds(20)});
  ASSERT_TRUE(hub.set_peers({{"a", ""}, {"z", "127.0.0.1:1"}}).ok());
  Checker checker;
  hub.listen(&checker);
  std::mutex numbering;  // links get their numbers in the order in which the hub hears of them
  std::uint32_t last = 0;
  const auto end = Clock::now() + lasting;
  std::vector<std::thread> threads;
  for (int t = 0; t < 3; ++t) {
    threads.emplace_back([&] {
      while (Clock::now() < end) {
        const auto link = std::make_shared<CountedLink>();
        std::uint32_t number = 0;
        {
          const std::lock_guard lock(numbering);
          if (!hub.called("a", link).ok()) {
            continue;
          }
          number = ++last;
        }
        if (hub.accept("a", link)) {
          for (int i = 0; i < 20 && !link->closed; ++i) {
            hub.deliver("a", link.get(), Kind::session,
                        {reinterpret_cast<const std::uint8_t*>(&number), sizeof number});
          }
        }
        hub.ended("a", link.get(), "done");
      }
    });
  }
  threads.emplace_back([&] {
    const std::uint8_t byte[] = {1};
    while (Clock::now() < end) {
      hub.send("a", Kind::session, byte);
      EXPECT_EQ(hub.peers().size(), 2U);
      std::this_thread::yield();
    }
  });
  threads.emplace_back([&] {
    while (Clock::now() < end) {
      ASSERT_TRUE(hub.set_peers({{"z", "127.0.0.1:2"}, {"a", ""}}).ok());
      std::this_thread::sleep_for(milliseconds(1));
    }
  });
  for (std::thread& thread : threads) {
    thread.join();
  }
  hub.listen(nullptr);
  checker.listening = false;
  checker.expect_good();
  hub.stop();
}

TEST(Threads, NobodyIsCalledWhoStoppedListening) {
  PeerHub hub("m", [](const PeerAddress&) { return std::make_shared<CountedLink>(); });
  ASSERT_TRUE(hub.set_peers({{"a", ""}}).ok());
  const auto link = std::make_shared<CountedLink>();
  ASSERT_TRUE(hub.called("a", link).ok());
  ASSERT_TRUE(hub.accept("a", link));
  std::atomic<bool> stop{false};
  std::thread sender([&] {
    const std::uint32_t number = 1;
    while (!stop) {
      hub.deliver("a", link.get(), Kind::session,
                  {reinterpret_cast<const std::uint8_t*>(&number), sizeof number});
    }
  });
  for (int i = 0; i < 300; ++i) {
    Checker checker;
    hub.listen(&checker);
    std::this_thread::yield();
    hub.listen(nullptr);
    checker.listening = false;  // and then it is gone
  }
  stop = true;
  sender.join();
}

// Has no life outside of the gate.
class NoSource final : public AgentSource {
 public:
  ~NoSource() override { alive = false; }
  Status status() override {
    EXPECT_TRUE(alive);
    return {};
  }
  void counters(const std::string&, std::vector<Counter>&) override {}
  Result<std::unique_ptr<TraceSession>> start_trace(const TraceRequest&) override { return Error{}; }
  Result<std::vector<Graph>> graphs() override { return Error{}; }
  SwapResult swap(SwapMode, const std::string&, const std::string&) override { return {}; }
  Result<std::string> readmit(const std::string&) override { return Error{}; }

 private:
  bool alive = true;
};

TEST(Threads, TheGateClosesBehindTheLast) {
  SourceGate gate;
  std::atomic<bool> stop{false};
  std::atomic<unsigned> answered{0};
  std::vector<std::thread> callers;
  for (int t = 0; t < 3; ++t) {
    callers.emplace_back([&] {
      while (!stop) {
        if (const SourceGate::Pass source = gate.enter()) {
          static_cast<void>(source->status());
          ++answered;
        }
        gate.sleep_until(Clock::now());
      }
    });
  }
  for (int i = 0; i < 300 || answered == 0; ++i) {
    NoSource source;
    gate.open(source);
    std::this_thread::yield();
    gate.close();
  }
  stop = true;
  for (std::thread& caller : callers) {
    caller.join();
  }
}

TEST(Threads, StalledWritesAreEndedOnce) {
  std::atomic<std::uint64_t> stalled{0};
  StreamWatch watch(milliseconds(20), stalled);
  for (int i = 0; i < 200; ++i) {
    const StreamWatch::Write quick(watch, [] { ADD_FAILURE() << "it was quick"; });
  }
  std::atomic<unsigned> ended{0};
  {
    const StreamWatch::Write slow(watch, [&] { ++ended; });
    const auto limit = Clock::now() + std::chrono::seconds(30);
    while (ended == 0 && Clock::now() < limit) {
      std::this_thread::sleep_for(milliseconds(1));
    }
    std::this_thread::sleep_for(milliseconds(30));
  }
  EXPECT_EQ(ended, 1U);
  EXPECT_EQ(stalled, 1U);
}

}  // namespace
}  // namespace ssn::agent::test
