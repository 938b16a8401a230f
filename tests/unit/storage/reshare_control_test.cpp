// SPDX-License-Identifier: BSD-3-Clause
// What the controller orders of a shareholder, on its way to workers: real ones, with their roles. Nobody is
// connected and no store answers, so what was taken stays.
#include "reshare_control.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>

#include <bit>
#include <filesystem>
#include <future>
#include <thread>

#include "reshare_setup.h"
#include "test_guard.h"

namespace ssn::dataplane::test {
namespace {

using agent::TermState;
using roles::ReshareAnswer;
using roles::ReshareState;
using std::chrono::milliseconds;
using std::chrono::seconds;
using std::chrono::steady_clock;
using testing::ElementsAre;
using testing::IsEmpty;

// A worker of a shareholder whose thread begins when the test says so: until then it answers nothing.
class ReshareWorker {
 public:
  ReshareWorker(unsigned index, const Configuration& configuration, Counters& counters) {
    const kernels::Implementation* implementation = nullptr;
    EXPECT_EQ(kernels::select(implementation), kernels::Status::ok);
    HolderRole::Setup setup;
    setup.options.cells = 64;
    setup.options.peers = 4;
    for (std::size_t i = 0; i < configuration.peers.size(); ++i) setup.identities.emplace_back();
    setup.resharing = resharing_of(configuration, 40'000, 1344);
    setup.implementation = implementation;
    auto port = store::StorePort::make(std::bit_ceil(HolderRole::requests(setup)));
    EXPECT_TRUE(port.ok());
    port_ = std::move(port.value());
    setup.port = port_.get();
    auto role = HolderRole::make(std::move(setup), *member.storage);
    EXPECT_TRUE(role.ok()) << role.error().why;
    member.holder = role.value().get();
    member.storage->role = std::move(role.value());
    worker_ = std::move(Worker::make(index, 0, Worker::Idle::event, counters).value());
    member.thread = worker_.get();
  }
  // Everything that was posted is run.
  ~ReshareWorker() {
    start();
    worker_->stop();
    thread_.join();
    for (const std::uint64_t job : jobs()) member.holder->cancel(job);
  }

  void start() {
    if (!thread_.joinable()) thread_ = std::thread([this] { worker_->run(); });
  }

  StorageMember member;

 private:
  std::vector<std::uint64_t> jobs() const {
    std::vector<roles::ReshareStatus> all(member.holder->jobs_limit());
    all.resize(member.holder->resharer()->list(all));
    std::vector<std::uint64_t> out;
    for (const roles::ReshareStatus& each : all) out.push_back(each.job);
    return out;
  }

  std::unique_ptr<store::StorePort> port_;
  std::unique_ptr<Worker> worker_;
  std::thread thread_;
};

class ReshareControlTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = testing::TempDir() + "reshare-control-XXXXXX";
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    folder_ = name;
    configuration_.name = "sae-a";
    configuration_.ledger = folder_ + "/node.ledger";
    configuration_.shareholder.present = true;
    configuration_.shareholder.random = RandomSource::drbg;
    configuration_.shareholder.reshare_jobs = 4;
    configuration_.shareholder.reshare_memory = std::uint64_t{1} << 20;
    for (const char* const peer : {"sae-b", "sae-c", "sae-d"}) {
      configuration_.peers.emplace_back().name = peer;
      configuration_.peers.back().role = PeerConfiguration::Role::shareholder;
    }
  }
  void TearDown() override {
    workers_.clear();
    control_.reset();
    std::filesystem::remove_all(folder_);
  }

  // Of jobs those with even numbers are worker 0's where there are two.
  void open(milliseconds patience = seconds(20), unsigned workers = 1) {
    for (unsigned i = 0; i < workers; ++i) {
      workers_.push_back(std::make_unique<ReshareWorker>(i, configuration_, counters_));
    }
    control_ = make_control(patience, nullptr);
  }
  std::unique_ptr<ReshareControl> make_control(milliseconds patience, MembershipGuard* guard) {
    ReshareControl::Setup setup;
    for (const auto& worker : workers_) setup.members.push_back(&worker->member);
    setup.configuration = &configuration_;
    setup.guard = guard;
    setup.errands = &errands_;
    setup.remove = [this](std::uint64_t, std::uint32_t, const OrderTerm& term) { return remove_(term); };
    setup.report = [](std::string_view) {};
    setup.patience = patience;
    auto control = ReshareControl::make(std::move(setup));
    EXPECT_TRUE(control.ok());
    return std::move(control.value());
  }
  void start() {
    for (const auto& worker : workers_) worker->start();
  }

  // Share 1 comes from sae-b to this node.
  static roles::ReshareOrder order(std::uint64_t job) {
    roles::ReshareOrder order;
    order.job = job;
    order.round = 1;
    order.operation = roles::ReshareOperation::exchange;
    order.object = 0xfeed;
    order.cells = order.end = 64;
    order.cell_bytes = 1344;
    order.source.generation = 1;
    order.source.runs = {{0, 0}};
    roles::ReshareLayout& layout = order.source.layout;
    layout.k = 2;
    layout.n = 3;
    for (const char* const name : {"sae-b", "sae-c", "sae-d"})
      layout.nodes.push_back(roles::node_number(name));
    order.target = order.source;
    order.target.layout.nodes[0] = roles::node_number("sae-a");
    order.from = order.to = {1};
    return order;
  }
  // What runs.
  std::vector<std::uint64_t> running() {
    start();
    auto reports = control_->reshares();
    while (!reports.ok()) reports = control_->reshares();
    std::vector<std::uint64_t> out;
    for (const agent::ReshareReport& report : reports.value()) {
      if (report.status.state == ReshareState::running) out.push_back(report.status.job);
    }
    return out;
  }

  std::string folder_;
  Configuration configuration_;
  Counters counters_{2};
  Errands errands_;
  std::function<bool(const OrderTerm&)> remove_ = [](const OrderTerm&) { return true; };
  std::unique_ptr<ReshareControl> control_;
  std::vector<std::unique_ptr<ReshareWorker>> workers_;
};

TEST_F(ReshareControlTest, OrdersGoToTheWorkerOfTheJob) {
  open(seconds(20), 2);
  start();
  for (const std::uint64_t job : {7U, 8U}) {
    const auto reply = control_->order_reshare(5, order(job));
    ASSERT_TRUE(reply.ok()) << reply.error().why;
    EXPECT_EQ(reply.value().answer, ReshareAnswer::taken);
    EXPECT_FALSE(reply.value().term.is_old);
    EXPECT_EQ(reply.value().term.term, 5U);
  }
  EXPECT_THAT(running(), ElementsAre(7, 8));
  EXPECT_TRUE(control_->cancel_reshare(5, 7).value().known);
  EXPECT_FALSE(control_->cancel_reshare(5, 9).value().known);
  EXPECT_THAT(running(), ElementsAre(8));
}

TEST_F(ReshareControlTest, AnOlderTermOrdersNothing) {
  open();
  start();
  ASSERT_TRUE(control_->order_reshare(6, order(1)).ok());
  const auto reply = control_->order_reshare(5, order(2));
  ASSERT_TRUE(reply.ok());
  EXPECT_TRUE(reply.value().term.is_old);
  EXPECT_EQ(reply.value().term.term, 6U);
  EXPECT_TRUE(control_->cancel_reshare(5, 1).value().term.is_old);
  remove_ = [](const OrderTerm&) {
    ADD_FAILURE() << "it was removed";
    return true;
  };
  EXPECT_TRUE(control_->erase(5, 0xfeed, 1).value().is_old);
  EXPECT_THAT(running(), ElementsAre(1));
}

// The worker was busy when both controllers ordered: the one that lost its place is not obeyed afterwards.
TEST_F(ReshareControlTest, WhatComesLateUnderAnOlderTermIsNotDone) {
  open(milliseconds(20));
  EXPECT_EQ(control_->order_reshare(5, order(1)).error().code, Exit::temporary);
  EXPECT_EQ(control_->order_reshare(6, order(2)).error().code, Exit::temporary);
  EXPECT_THAT(running(), ElementsAre(2));
}

TEST_F(ReshareControlTest, NorIsWhatWasToBeCancelled) {
  open(milliseconds(20));
  start();
  while (!control_->order_reshare(5, order(1)).ok()) {
  }
  std::promise<void> end;
  std::future<void> ended = end.get_future();
  const Command command{[](void* argument) { static_cast<std::future<void>*>(argument)->wait(); }, &ended};
  ASSERT_TRUE(workers_[0]->member.thread->post(command));
  EXPECT_EQ(control_->cancel_reshare(5, 1).error().code, Exit::temporary);
  EXPECT_EQ(control_->order_reshare(6, order(2)).error().code, Exit::temporary);
  end.set_value();
  EXPECT_THAT(running(), ElementsAre(1, 2));
}

TEST_F(ReshareControlTest, WhoWaitedIsToldOfTheNewerTerm) {
  open();
  auto first = std::async(std::launch::async, [this] { return control_->order_reshare(5, order(1)); });
  while (TermFile::open(configuration_.ledger + ".term").value().highest() != 5) std::this_thread::yield();
  remove_ = [](const OrderTerm&) { return false; };
  EXPECT_FALSE(control_->erase(6, 0xfeed, 1).ok());
  start();
  const auto reply = first.get();
  ASSERT_TRUE(reply.ok()) << reply.error().why;
  EXPECT_TRUE(reply.value().term.is_old);
  EXPECT_EQ(reply.value().term.term, 6U);
  EXPECT_THAT(running(), IsEmpty());
}

TEST_F(ReshareControlTest, AnEraseThatComesLateUnderAnOlderTermIsTold) {
  open();
  start();
  remove_ = [this](const OrderTerm& term) {
    EXPECT_FALSE(term.is_old());
    EXPECT_TRUE(control_->cancel_reshare(6, 1).ok());
    EXPECT_TRUE(term.is_old());
    return false;
  };
  const auto erased = control_->erase(5, 0xfeed, 1);
  ASSERT_TRUE(erased.ok()) << erased.error().why;
  EXPECT_TRUE(erased.value().is_old);
  EXPECT_EQ(erased.value().term, 6U);
}

// A term that is not on disk would be forgotten with a restart, and the older controller obeyed again.
TEST_F(ReshareControlTest, NothingIsDoneUnderATermThatIsNotOnDisk) {
  open();
  start();
  remove_ = [](const OrderTerm&) {
    ADD_FAILURE() << "it was removed";
    return true;
  };
  const auto refuses = [&] {
    const auto ordered = control_->order_reshare(5, order(1));
    const auto cancelled = control_->cancel_reshare(5, 1);
    const auto erased = control_->erase(5, 0xfeed, 1);
    return !ordered.ok() && !cancelled.ok() && !erased.ok();
  };
  // As a full disk: no byte can be written.
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  const auto handler = ::signal(SIGXFSZ, SIG_IGN);
  const rlimit none{0, before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &none), 0);
  const bool refused = refuses();
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &before), 0);
  ::signal(SIGXFSZ, handler);
  EXPECT_TRUE(refused) << "with a full disk";
  EXPECT_THAT(running(), IsEmpty());

  std::filesystem::rename(folder_, folder_ + ".away");
  EXPECT_TRUE(refuses()) << "without a folder";
  std::filesystem::rename(folder_ + ".away", folder_);
  EXPECT_THAT(running(), IsEmpty());

  EXPECT_EQ(control_->order_reshare(5, order(1)).value().answer, ReshareAnswer::taken);
  EXPECT_THAT(running(), ElementsAre(1));
}

TEST_F(ReshareControlTest, EverybodyWhoErasesIsAnswered) {
  open(seconds(5));
  std::future<Result<TermState>> second;
  unsigned calls = 0;
  std::promise<void> second_waits;
  remove_ = [&](const OrderTerm&) {
    if (++calls == 2) {
      second_waits.set_value();
      return true;
    }
    // The first one's answer is there before it looks, and somebody else asks the same before that.
    control_->removed(0xfeed, 1, "");
    second = std::async(std::launch::async, [&] { return control_->erase(5, 0xfeed, 1); });
    second_waits.get_future().wait();
    return true;
  };
  const auto first = control_->erase(5, 0xfeed, 1);
  EXPECT_TRUE(first.ok()) << first.error().why;
  // The second one's own comes afterwards.
  while (second.wait_for(milliseconds(1)) != std::future_status::ready) {
    control_->removed(0xfeed, 1, "the disk is broken");
  }
  const auto answer = second.get();
  ASSERT_FALSE(answer.ok()) << "that was the first one's";
  EXPECT_EQ(answer.error().why, "the disk is broken");
  EXPECT_EQ(calls, 2U);
}

TEST_F(ReshareControlTest, AWorkerThatDoesNotAnswerIsShownSoon) {
  open(seconds(20), 2);
  workers_[0]->start();
  ASSERT_EQ(control_->order_reshare(5, order(8)).value().answer, ReshareAnswer::taken);
  const auto begin = steady_clock::now();
  agent::Status status;
  control_->add_status(status);
  EXPECT_LT(steady_clock::now() - begin, seconds(10));
  ASSERT_EQ(status.items.size(), 2U);
  EXPECT_EQ(status.items[0].name, "8");
  EXPECT_TRUE(status.items[0].healthy);
  EXPECT_EQ(status.items[0].condition, "exchange");
  EXPECT_EQ(status.items[1].name, "worker 1");
  EXPECT_FALSE(status.items[1].healthy);
  EXPECT_EQ(status.items[1].condition, "does not answer");
}

// ---- A controller that turned hostile, and a shareholder that has pinned what operators signed. Every
// attack is carried out where none is pinned: so it is the membership that stands against it.
class HostileControllerTest : public ReshareControlTest {
 protected:
  static constexpr milliseconds patience = seconds(20);

  void SetUp() override {
    ReshareControlTest::SetUp();
    for (const char* const peer : {"sae-e", "sae-f", "sae-g"}) {
      configuration_.peers.emplace_back().name = peer;
      configuration_.peers.back().role = PeerConfiguration::Role::shareholder;
    }
    // sae-e is a peer that operators took out; sae-b, sae-c and sae-g lie in one domain.
    text_.minimum_t = 2;
    text_.minimum_domains = 2;
    text_.schemes = R"("shamir")";
    text_.resharing = R"("exchange", "repair", "redistribute")";
    text_.nodes = {{"sae-a", "shareholder", "1"}, {"sae-b", "shareholder", "2"},
                   {"sae-c", "shareholder", "2"}, {"sae-d", "shareholder", "3"},
                   {"sae-f", "shareholder", "4"}, {"sae-g", "shareholder", "2"},
                   {"sae-s", "ssa", "5"}};
    guarded_.publish(text_);
    guarded_.open();
    open();
    start();
    configuration_.shareholder.random = RandomSource::stream;  // as the guard sees it
    bound_ = make_control(patience, guarded_.guard.get());
  }
  void TearDown() override {
    bound_.reset();
    ReshareControlTest::TearDown();
  }

  static std::uint64_t number(const char* name) { return roles::node_number(name); }
  static roles::ReshareLayout layout(std::uint8_t k, std::initializer_list<const char*> nodes) {
    roles::ReshareLayout made;
    made.k = k;
    made.n = static_cast<std::uint8_t>(nodes.size());
    for (const char* const node : nodes) made.nodes.push_back(*node == '\0' ? 0 : number(node));
    return made;
  }
  // k = 3: share 1 moves from sae-b to this node.
  roles::ReshareOrder exchange() {
    roles::ReshareOrder made = order(++job_);
    made.object = job_;
    made.source.layout = layout(3, {"sae-b", "sae-c", "sae-d", "sae-f"});
    made.target.layout = layout(3, {"sae-a", "sae-c", "sae-d", "sae-f"});
    return made;
  }
  // This node gives share 1 of the object's k = 3.
  roles::ReshareOrder redistribute(const roles::ReshareLayout& target) {
    roles::ReshareOrder made = exchange();
    made.operation = roles::ReshareOperation::redistribute;
    made.source.layout.nodes[0] = number("sae-a");
    made.target.layout = target;
    made.target.generation = 2;
    made.from = {1, 2, 3};
    made.to.clear();
    for (std::uint8_t i = 1; i <= target.n; ++i) made.to.push_back(i);
    return made;
  }
  // sae-a, with k - 1 others, helps to make a share anew elsewhere.
  roles::ReshareOrder repair(std::uint64_t object, std::uint8_t share, const char* taker) {
    roles::ReshareOrder made = exchange();
    made.operation = roles::ReshareOperation::repair;
    made.object = object;
    made.source.layout = layout(3, {"sae-a", "sae-c", "sae-d", "", ""});
    made.target.layout = made.source.layout;
    made.target.layout.nodes[share - 1U] = number(taker);
    made.from = {1, 2, 3};
    made.to = {share};
    return made;
  }

  ReshareAnswer bound(const roles::ReshareOrder& order) {
    const auto reply = bound_->order_reshare(5, order);
    EXPECT_TRUE(reply.ok()) << reply.error().why;
    return reply.ok() ? reply.value().answer : ReshareAnswer::busy;
  }
  // What is refused here is taken where nothing is pinned.
  void attack(const char* what, const roles::ReshareOrder& order, ReshareAnswer answer, const char* counter) {
    const std::string name = std::string("refused_").append(counter);
    const std::uint64_t before = guarded_.counter(name);
    const std::size_t alarms = guarded_.alarms.size();
    EXPECT_EQ(bound(order), answer) << what;
    EXPECT_EQ(guarded_.counter(name), before + 1) << what;
    EXPECT_EQ(guarded_.alarms.size(), alarms + 1) << what;
    EXPECT_THAT(running(), IsEmpty()) << what;
    const auto free = control_->order_reshare(5, order);
    ASSERT_TRUE(free.ok()) << what;
    EXPECT_EQ(free.value().answer, ReshareAnswer::taken) << what << ": no attack at all";
    EXPECT_TRUE(control_->cancel_reshare(5, order.job).value().known);
  }

  ssn::test::MembershipText text_;
  TestGuard guarded_{configuration_};
  std::unique_ptr<ReshareControl> bound_;
  std::uint64_t job_ = 100;
};

TEST_F(HostileControllerTest, WhatOperatorsPermitIsDone) {
  EXPECT_EQ(bound(exchange()), ReshareAnswer::taken);
  EXPECT_EQ(bound(redistribute(layout(3, {"sae-a", "sae-c", "sae-d", "sae-f"}))), ReshareAnswer::taken);
  EXPECT_EQ(running().size(), 2U);
  EXPECT_THAT(guarded_.alarms, IsEmpty());
}

TEST_F(HostileControllerTest, NoShareGoesToOrComesFromOneThatIsNotListed) {
  roles::ReshareOrder away = exchange();
  away.source.layout.nodes[0] = number("sae-a");
  away.target.layout.nodes[0] = number("sae-e");
  attack("to a stranger", away, ReshareAnswer::unlisted, "unlisted");
  roles::ReshareOrder from = exchange();
  from.source.layout.nodes[0] = number("sae-e");
  attack("from a stranger", from, ReshareAnswer::unlisted, "unlisted");
  roles::ReshareOrder beside = exchange();
  beside.source.layout.nodes[3] = beside.target.layout.nodes[3] = number("sae-e");
  attack("beside a stranger", beside, ReshareAnswer::unlisted, "unlisted");
}

TEST_F(HostileControllerTest, NothingIsMadeBelowTheFloor) {
  attack("t = 1", redistribute(layout(2, {"sae-a", "sae-c", "sae-d"})), ReshareAnswer::below_floor,
         "threshold");
  attack("three shares in one domain", redistribute(layout(3, {"sae-a", "sae-b", "sae-c", "sae-g"})),
         ReshareAnswer::below_floor, "domains");
  roles::ReshareOrder classic = exchange();
  classic.source.layout.scheme = classic.target.layout.scheme = kernels::Scheme::classic;
  attack("another scheme", classic, ReshareAnswer::below_floor, "scheme");
  roles::ReshareOrder refresh = redistribute(layout(3, {"sae-a", "sae-c", "sae-d", "sae-f"}));
  refresh.operation = roles::ReshareOperation::refresh;
  attack("an operation", refresh, ReshareAnswer::forbidden, "operation");
}

// With a few repairs under different names one node would have enough shares.
TEST_F(HostileControllerTest, NobodyIsHelpedToASecondShare) {
  ASSERT_EQ(bound(repair(7, 4, "sae-f")), ReshareAnswer::taken);
  ASSERT_TRUE(bound_->cancel_reshare(5, job_).value().known);
  attack("a second share", repair(7, 5, "sae-f"), ReshareAnswer::below_floor, "repeated");
  // Nor to one beside that which it has had before it moved.
  ASSERT_EQ(bound(repair(7, 4, "sae-b")), ReshareAnswer::taken);
  ASSERT_TRUE(bound_->cancel_reshare(5, job_).value().known);
  attack("a third one in a domain", repair(7, 5, "sae-g"), ReshareAnswer::below_floor, "domains");
  // Not after a restart either.
  guarded_.open();
  bound_ = make_control(patience, guarded_.guard.get());
  attack("after a restart", repair(7, 5, "sae-f"), ReshareAnswer::below_floor, "repeated");
  // What was erased here is nothing that this node could help with.
  bound_->removed(7, 1, "");
  EXPECT_EQ(bound(repair(7, 5, "sae-f")), ReshareAnswer::taken);
}

// A false scheme could make a share's point of the secret's: resharing.h.
TEST_F(HostileControllerTest, NoTwoStoriesAreTold) {
  roles::ReshareOrder first = repair(8, 4, "sae-f");
  ASSERT_EQ(bound(first), ReshareAnswer::taken);
  ASSERT_TRUE(bound_->cancel_reshare(5, first.job).value().known);
  roles::ReshareOrder other = repair(8, 4, "sae-f");
  for (roles::ReshareGeneration* const each : {&other.source, &other.target}) {
    each->layout.row_rule = roles::RowRule::rotating;
    each->layout.cells_per_turn = 64;
  }
  attack("other rows", other, ReshareAnswer::unpinned, "contradicts");
}

TEST_F(HostileControllerTest, NothingIsDoneOnceItHasEnded) {
  EXPECT_EQ(guarded_.guard->trouble(), "the membership 1 does not list sae-e");
  text_.until = guarded_.now + 100;
  text_.serial = 2;
  guarded_.publish(text_);
  guarded_.guard->tend();
  EXPECT_EQ(guarded_.counter("serial"), 2U);
  EXPECT_EQ(guarded_.guard->trouble(), "ends in 0 hours");
  guarded_.now += 100;
  attack("after the end", exchange(), ReshareAnswer::forbidden, "ended");
}

// Random blocks from a generator, or a cipher where keys run out, are of a lower class.
TEST_F(HostileControllerTest, NothingIsMadeOfALowerClass) {
  ASSERT_EQ(configuration_.shareholder.random, RandomSource::stream);
  configuration_.shareholder.shortage = KeyShortage::aes_256_gcm;
  attack("under a cipher", exchange(), ReshareAnswer::below_floor, "protection");
}

TEST_F(HostileControllerTest, TheSecretsPointIsNoTarget) {
  roles::ReshareOrder secret = repair(9, 4, "sae-f");
  secret.to = {0};
  EXPECT_EQ(bound(secret), ReshareAnswer::malformed);
  EXPECT_EQ(control_->order_reshare(5, secret).value().answer, ReshareAnswer::malformed);
}

}  // namespace
}  // namespace ssn::dataplane::test
