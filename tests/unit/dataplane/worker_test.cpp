// SPDX-License-Identifier: BSD-3-Clause
// Workers without packets: commands, rest, waking, swapping what is walked. Also run with the thread
// sanitizer.
#include "ssn/dataplane/worker.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <thread>

namespace ssn::dataplane {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr milliseconds patience = seconds(20);

/// A worker in a thread of its own, from start() on.
class WorkerTest : public testing::Test {
 protected:
  void make(Worker::Idle idle) {
    Result<std::unique_ptr<Worker>> made = Worker::make(0, 0, idle, counters_);
    ASSERT_TRUE(made.ok());
    worker_ = std::move(made.value());
  }
  void start() {
    thread_ = std::thread([this] { worker_->run(); });
  }
  void stop() {
    if (thread_.joinable()) {
      worker_->stop();
      thread_.join();
    }
  }
  void TearDown() override { stop(); }

  /// Posts, and waits until it ran.
  void run(std::function<void()> function) {
    Ticket ticket = 0;
    ASSERT_TRUE(
        worker_->post({[](void* f) { (*static_cast<std::function<void()>*>(f))(); }, &function}, &ticket));
    ASSERT_TRUE(worker_->wait(ticket, patience));
  }
  void set_graph(const WorkerGraph* graph) {
    run([this, graph] { worker_->set_graph(graph); });
  }
  template <typename Condition>
  static bool eventually(Condition condition) {
    const auto end = std::chrono::steady_clock::now() + patience;
    while (!condition() && std::chrono::steady_clock::now() < end) {
      std::this_thread::sleep_for(milliseconds(1));
    }
    return condition();
  }

  Counters counters_{1};
  std::unique_ptr<Worker> worker_;
  std::thread thread_;
};

TEST_F(WorkerTest, RunsCommandsInOrderAndEachOnce) {
  make(Worker::Idle::event);
  start();
  struct State {
    std::uint64_t ran = 0;
    bool in_order = true;
  } state;  // touched by the worker only, until the last ticket is done
  struct Job {
    State* state;
    std::uint64_t number;
  };
  std::vector<Job> jobs;
  for (std::uint64_t i = 0; i < 20000; ++i) jobs.push_back({&state, i});
  Ticket last = 0;
  for (Job& job : jobs) {
    const Command command{[](void* argument) {
                            Job& my = *static_cast<Job*>(argument);
                            my.state->in_order = my.state->in_order && my.state->ran == my.number;
                            ++my.state->ran;
                          },
                          &job};
    while (!worker_->post(command, &last)) std::this_thread::yield();
  }
  ASSERT_TRUE(worker_->wait(last, patience));
  EXPECT_EQ(state.ran, jobs.size());
  EXPECT_TRUE(state.in_order);
}

TEST_F(WorkerTest, SeveralThreadsPostAtOnce) {
  make(Worker::Idle::yield);
  start();
  static std::uint64_t ran;  // the worker's
  ran = 0;
  std::vector<std::thread> posters;
  std::atomic<std::uint64_t> refused{0};
  std::array<Ticket, 4> last{};
  for (Ticket& ticket : last) {
    posters.emplace_back([&] {
      for (int i = 0; i < 5000; ++i) {
        while (!worker_->post({[](void*) { ++ran; }, nullptr}, &ticket)) {
          ++refused;
          std::this_thread::yield();
        }
      }
    });
  }
  for (std::thread& poster : posters) poster.join();
  for (const Ticket ticket : last) ASSERT_TRUE(worker_->wait(ticket, patience));
  EXPECT_EQ(ran, 20000U);
}

TEST_F(WorkerTest, TheInboxIsBoundedAndSaysSo) {
  make(Worker::Idle::event);  // not started: nobody takes anything out
  static unsigned ran;
  ran = 0;
  const Command command{[](void*) { ++ran; }, nullptr};
  for (std::size_t i = 0; i < Worker::inbox_size; ++i) ASSERT_TRUE(worker_->post(command));
  EXPECT_FALSE(worker_->post(command));
  worker_->stop();
  worker_->run();  // what was posted before is run
  EXPECT_EQ(ran, Worker::inbox_size);
}

struct Walks {
  std::atomic<std::uint64_t> count{0};
  static void walk(void* argument) { ++static_cast<Walks*>(argument)->count; }
};

TEST_F(WorkerTest, SleepsWhereThereIsNothingToDoAndWakesForCommands) {
  make(Worker::Idle::event);
  Walks walks;
  const WorkerGraph graph{Walks::walk, &walks, {}, false};
  start();
  set_graph(&graph);
  ASSERT_TRUE(eventually([&] { return counters_.value("worker.sleeps") >= 2; }));
  // Not woken it sleeps a quarter of a second at a time: 20 commands would take seconds.
  const auto begin = std::chrono::steady_clock::now();
  for (int i = 0; i < 20; ++i) run([] {});
  EXPECT_LT(std::chrono::steady_clock::now() - begin, milliseconds(250 * 20 / 2));
  set_graph(nullptr);
}

TEST_F(WorkerTest, NeverSleepsWhereItIsToPollOrYield) {
  for (const Worker::Idle idle : {Worker::Idle::poll, Worker::Idle::yield}) {
    make(idle);
    Walks walks;
    const WorkerGraph graph{Walks::walk, &walks, {}, false};
    start();
    set_graph(&graph);
    ASSERT_TRUE(eventually([&] { return walks.count > 20000; }));
    set_graph(nullptr);
    stop();
    EXPECT_EQ(counters_.value("worker.sleeps"), 0U);
  }
}

TEST_F(WorkerTest, WakesForADescriptor) {
  make(Worker::Idle::event);
  struct Source {
    int fd = ::eventfd(0, EFD_NONBLOCK);
    Worker* worker = nullptr;
    std::atomic<std::uint64_t> got{0};
    std::atomic<int> armed{0};
    static void walk(void* argument) {
      Source& me = *static_cast<Source*>(argument);
      std::uint64_t value = 0;
      if (::read(me.fd, &value, sizeof value) == sizeof value) {
        me.got += value;
        me.worker->note_work();
      }
    }
  } source;
  source.worker = worker_.get();
  const WorkerGraph graph{Source::walk,
                          &source,
                          {{source.fd, [](void* s) { ++static_cast<Source*>(s)->armed; },
                            [](void* s) { --static_cast<Source*>(s)->armed; }, &source}},
                          false};
  start();
  set_graph(&graph);
  const auto begin = std::chrono::steady_clock::now();
  for (std::uint64_t i = 1; i <= 5; ++i) {
    const std::uint64_t sleeps = counters_.value("worker.sleeps");
    ASSERT_TRUE(eventually([&] { return counters_.value("worker.sleeps") > sleeps; }));
    const std::uint64_t one = 1;
    ASSERT_EQ(::write(source.fd, &one, sizeof one), 8);
    ASSERT_TRUE(eventually([&] { return source.got == i; }));
  }
  EXPECT_LT(std::chrono::steady_clock::now() - begin, milliseconds(250 * 5 * 3));
  set_graph(nullptr);
  stop();
  EXPECT_EQ(source.armed, 0);
  ::close(source.fd);
}

TEST_F(WorkerTest, NapsWhereASourceHasNoDescriptor) {
  make(Worker::Idle::event);
  Walks walks;
  const WorkerGraph graph{Walks::walk, &walks, {}, true};
  start();
  set_graph(&graph);
  const std::uint64_t before = counters_.value("worker.sleeps");
  // 100 long sleeps would take 25 s.
  ASSERT_TRUE(eventually([&] { return counters_.value("worker.sleeps") > before + 100; }));
  set_graph(nullptr);
}

TEST_F(WorkerTest, DoesNotOversleepWhatANodeWaitsFor) {
  make(Worker::Idle::event);
  struct Timer {
    Worker* worker = nullptr;
    std::uint64_t due = 0;
    std::atomic<std::uint64_t> late{0};
    std::atomic<unsigned> rang{0};
    static void walk(void* argument) {
      Timer& me = *static_cast<Timer*>(argument);
      const std::uint64_t now = me.worker->now_ns();
      if (me.due == 0) me.due = now + 5'000'000;
      if (now >= me.due) {
        me.late += now - me.due;
        ++me.rang;
        me.due = now + 5'000'000;
      }
      me.worker->wake_at(me.due);
    }
  } timer;
  timer.worker = worker_.get();
  const WorkerGraph graph{Timer::walk, &timer, {}, false};
  const auto begin = std::chrono::steady_clock::now();
  start();
  set_graph(&graph);
  ASSERT_TRUE(eventually([&] { return timer.rang >= 40; }));
  EXPECT_LT(std::chrono::steady_clock::now() - begin, seconds(5));  // 10 s in long sleeps
  EXPECT_GT(counters_.value("worker.sleeps"), 0U);
  set_graph(nullptr);
}

using Rest = IdlePolicy::Rest;

TEST(IdlePolicy, SpinsYieldsAndSleepsWhereNobodyElseWantsTheCore) {
  constexpr std::uint64_t now = 1'000'000'000;
  IdlePolicy event(Worker::Idle::event);
  event.yielded(IdlePolicy::long_yield_ns - 1, now);
  EXPECT_EQ(event.rest(0, false, now), Rest::spin);
  EXPECT_EQ(event.rest(IdlePolicy::spins - 1, false, now), Rest::spin);
  EXPECT_EQ(event.rest(IdlePolicy::spins, false, now), Rest::yield);
  EXPECT_EQ(event.rest(IdlePolicy::spins + IdlePolicy::yields, false, now), Rest::sleep);
  EXPECT_EQ(event.rest(IdlePolicy::spins + IdlePolicy::yields, true, now), Rest::yield);
}

TEST(IdlePolicy, NapsOnceAndSleepsForAWhileWhereAYieldTookLong) {
  constexpr std::uint64_t now = 1'000'000'000;
  IdlePolicy event(Worker::Idle::event);
  event.yielded(IdlePolicy::long_yield_ns, now);
  EXPECT_EQ(event.rest(IdlePolicy::crowded_spins - 1, false, now), Rest::spin);
  EXPECT_EQ(event.rest(IdlePolicy::crowded_spins, false, now), Rest::nap);
  EXPECT_EQ(event.rest(IdlePolicy::crowded_spins + 1, false, now), Rest::sleep);
  EXPECT_EQ(event.rest(1000, true, now), Rest::nap) << "something is under way";
  EXPECT_EQ(event.rest(IdlePolicy::crowded_spins, false, now + IdlePolicy::crowded_ns), Rest::spin);
}

TEST(IdlePolicy, NeverNapsWhereItIsToPollOrYield) {
  constexpr std::uint64_t now = 1'000'000'000;
  for (const Worker::Idle idle : {Worker::Idle::poll, Worker::Idle::yield}) {
    IdlePolicy policy(idle);
    policy.yielded(10 * IdlePolicy::long_yield_ns, now);
    for (unsigned walks = 0; walks < 1000; ++walks) {
      const Rest rest = policy.rest(walks, false, now);
      ASSERT_TRUE(rest == Rest::spin || (rest == Rest::yield && idle == Worker::Idle::yield)) << walks;
    }
  }
}

TEST(IdlePolicy, NapsEndWithWhatIsDue) {
  constexpr std::uint64_t now = 1'000'000'000;
  EXPECT_EQ(IdlePolicy::nap_ns(false, now, UINT64_MAX), IdlePolicy::usual_nap_ns);
  EXPECT_EQ(IdlePolicy::nap_ns(false, now, now + 120'000), 120'000U);
  EXPECT_EQ(IdlePolicy::nap_ns(false, now, now + 1), IdlePolicy::least_nap_ns);
  EXPECT_EQ(IdlePolicy::nap_ns(false, now, 0), IdlePolicy::least_nap_ns);
  EXPECT_EQ(IdlePolicy::nap_ns(true, now, UINT64_MAX), IdlePolicy::least_nap_ns);
}

// Two threads that never rest, on the worker's core.
TEST_F(WorkerTest, NapsWhereOthersWantItsCore) {
  cpu_set_t before;
  ASSERT_EQ(::sched_getaffinity(0, sizeof before, &before), 0);
  cpu_set_t one;
  CPU_ZERO(&one);
  for (int cpu = 0; cpu < CPU_SETSIZE && CPU_COUNT(&one) == 0; ++cpu) {
    if (CPU_ISSET(cpu, &before)) CPU_SET(cpu, &one);
  }
  make(Worker::Idle::event);
  // So that it does not just sleep.
  const WorkerGraph graph{
      [](void* worker) { static_cast<Worker*>(worker)->keep_awake(); }, worker_.get(), {}, false};
  ASSERT_EQ(::sched_setaffinity(0, sizeof one, &one), 0);  // and of threads made from here on
  std::atomic<bool> done{false};
  std::vector<std::thread> others;
  for (int i = 0; i < 2; ++i) {
    others.emplace_back([&] {
      while (!done) {
      }
    });
  }
  start();
  ASSERT_EQ(::sched_setaffinity(0, sizeof before, &before), 0);
  set_graph(&graph);
  EXPECT_TRUE(eventually([&] { return counters_.value("worker.naps") >= 20; }));
  run([] {});  // commands are run as ever
  done = true;
  for (std::thread& each : others) each.join();
  set_graph(nullptr);
}

// The promise of quiescence: when the command is done that set the new graph, the old one is never walked
// again.
TEST_F(WorkerTest, LeavesTheOldGraphBeforeASwapIsDone) {
  make(Worker::Idle::yield);
  struct Guarded {
    std::uint64_t value = 1;  // plain: a walk after the swap would be a data race, and read 0
    std::atomic<bool> bad{false};
    static void walk(void* argument) {
      Guarded& me = *static_cast<Guarded*>(argument);
      if (me.value != 1) me.bad = true;
    }
  };
  start();
  auto current = std::make_unique<Guarded>();
  auto current_graph = std::make_unique<WorkerGraph>(WorkerGraph{Guarded::walk, current.get(), {}, false});
  set_graph(current_graph.get());
  for (int i = 0; i < 300; ++i) {
    auto next = std::make_unique<Guarded>();
    auto next_graph = std::make_unique<WorkerGraph>(WorkerGraph{Guarded::walk, next.get(), {}, false});
    set_graph(next_graph.get());
    current->value = 0;
    EXPECT_FALSE(current->bad);
    current = std::move(next);
    current_graph = std::move(next_graph);
  }
  set_graph(nullptr);
  EXPECT_FALSE(current->bad);
}

TEST(WorkerClock, FollowsTheMonotonicClock) {
  WorkerClock clock;
  std::uint64_t last = 0;
  const auto end = std::chrono::steady_clock::now() + milliseconds(250);
  while (std::chrono::steady_clock::now() < end) {
    const std::uint64_t before = monotonic_ns();
    const std::uint64_t read = clock.read();
    const std::uint64_t after = monotonic_ns();
    ASSERT_GE(read, last);
    ASSERT_GT(read + 1'000'000, before);
    ASSERT_LT(read, after + 1'000'000);
    last = read;
  }
}

TEST(Counters, KeepTheirNamesAndSumOverWorkers) {
  Counters counters(3);
  Counter& first = counters.get(0, "drop.bad_tag");
  EXPECT_EQ(&counters.get(0, "drop.bad_tag"), &first);
  EXPECT_NE(&counters.get(2, "drop.bad_tag"), &first);
  first.add(5);
  counters.get(2, "drop.bad_tag").add(2);
  counters.get(1, "drop.full").add(1);
  counters.get(1, "dropped").add(9);
  counters.add_source("drop.other", CounterKind::gauge, [] { return std::uint64_t{77}; });
  EXPECT_EQ(counters.value("drop.bad_tag"), 7U);
  EXPECT_EQ(counters.value("no such"), 0U);
  const std::vector<Counters::Value> values = counters.read("drop.");
  ASSERT_EQ(values.size(), 3U);
  EXPECT_EQ(values[0].name, "drop.bad_tag");
  EXPECT_EQ(values[0].value, 7U);
  EXPECT_EQ(values[2].name, "drop.other");
  EXPECT_EQ(values[2].kind, CounterKind::gauge);
}

TEST(Counters, AreBounded) {
  Counters counters(1);
  for (std::size_t i = 0; i < Counters::names_max + 10; ++i) counters.get(0, std::to_string(i));
  EXPECT_LE(counters.read().size(), Counters::names_max + 1);
  EXPECT_EQ(&counters.get(0, "more"), &counters.get(0, "and more"));
}

}  // namespace
}  // namespace ssn::dataplane
