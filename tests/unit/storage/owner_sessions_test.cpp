// SPDX-License-Identifier: BSD-3-Clause
// Sessions of data owners: who gets one, how many there are, and how they end. The workers and their roles
// are real; the controller is the test's; nobody sends a packet.
#include "owner_sessions.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <thread>

#include "../dataplane/eal_fixture.h"
#include "host_fixture.h"
#include "played_controller.h"
#include "test_guard.h"

namespace ssn::dataplane {
namespace {

using agent::Session;
using agent::SessionRequest;
using agent::WriteState;
using agent::WriteStatus;
using controller::ObjectKey;
using controller::ObjectState;
using std::chrono::milliseconds;
using std::chrono::seconds;
using std::chrono::steady_clock;
using testing::HasSubstr;

constexpr unsigned owners = 2;  // sessions of each worker

// One worker on a thread of its own, which steps its role; no packets come.
class SessionWorker {
 public:
  SessionWorker(unsigned index, unsigned count, const Host& host, const roles::SsaOptions& options,
                Counters& counters) {
    const kernels::Implementation* implementation = nullptr;
    EXPECT_EQ(kernels::select(implementation), kernels::Status::ok);
    StorageWorker& storage = *member.storage;
    storage.index = static_cast<std::uint16_t>(index);
    storage.count = static_cast<std::uint16_t>(count);
    storage.source.open(test_eal()->packets());
    storage.seal_memory = locked();
    storage.open_memory = locked();
    storage.sealer.emplace(*implementation, storage.packets, storage.seal_memory);
    storage.opener.emplace(*implementation, storage.packets, storage.table, storage.open_memory);
    storage.host = std::make_shared<HostWorker>(host, storage.index);
    auto role = SsaRole::make({options, implementation, false, nullptr}, storage);
    EXPECT_TRUE(role.ok());
    member.ssa = role.value().get();
    storage.role = std::move(role.value());
    worker_ = std::move(Worker::make(index, 0, Worker::Idle::event, counters).value());
    member.thread = worker_.get();
    graph_ = {[](void* argument) { static_cast<SessionWorker*>(argument)->walk(); }, this, {}, false};
    worker_->set_graph(&graph_);
  }
  ~SessionWorker() { stop(); }

  void start() {
    thread_ = std::thread([this] { worker_->run(); });
    run([this](StorageWorker&) { walks_wanted_ = walks_ + 1; });
    bool walked = false;  // before that it does not know what time it is
    while (!walked) run([&](StorageWorker&) { walked = walks_ >= walks_wanted_; });
  }
  void stop() {
    worker_->stop();
    if (thread_.joinable()) thread_.join();
  }
  /// On the worker, while nothing else happens there.
  void run(const std::function<void(StorageWorker&)>& what) {
    std::pair<SessionWorker*, const std::function<void(StorageWorker&)>*> argument{this, &what};
    Ticket ticket = 0;
    const Command command{[](void* given) {
                            auto& [self, function] = *static_cast<decltype(argument)*>(given);
                            (*function)(*self->member.storage);
                          },
                          &argument};
    while (!worker_->post(command, &ticket)) std::this_thread::yield();
    ASSERT_TRUE(worker_->wait(ticket, seconds(20)));
  }
  std::size_t channels() {
    std::size_t count = 0;
    run([&](StorageWorker& storage) { count = storage.channels.size(); });
    return count;
  }

  StorageMember member;

 private:
  static hw::SecretBuffer locked() {
    return std::move(
        hw::SecretBuffer::make(protocol::OneTimeCheck::memory_bytes, hw::SecretBuffer::Locking::required)
            .value());
  }
  void walk() {
    ++walks_;
    static_cast<void>(member.ssa->step(worker_->now_ns()));
    worker_->wake_at(member.ssa->next_due());
  }

  WorkerGraph graph_;
  std::uint64_t walks_ = 0;
  std::uint64_t walks_wanted_ = 0;
  std::unique_ptr<Worker> worker_;
  std::thread thread_;
};

class OwnerSessionsTest : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_NE(test_eal(), nullptr);
    configuration_.ssa.present = true;
    configuration_.ssa.owners = owners;
    configuration_.ssa.address = ssn::test::address("10.0.1.1");
    configuration_.ssa.udp_port = 4405;
    for (const char* const name : {"holder-1", "holder-2", "holder-3", "holder-4"}) {
      configuration_.peers.emplace_back().name = name;
    }
    options_.sessions = 8;
    options_.window = 64;
    options_.away_ns = 20'000'000;  // no shareholder is ever there
  }

  void open(unsigned workers = 1, bool running = true) {
    HostSpec spec = ssn::test::host_spec();
    spec.limits.guests = owners;
    auto host = Host::make(spec);
    ASSERT_TRUE(host.ok());
    host_ = std::move(host.value());
    auto link = ControllerLink::make({}, std::make_unique<PlayedController>(played_));
    ASSERT_TRUE(link.ok());
    link_ = std::move(link.value());
    OwnerSessions::Setup setup;
    for (unsigned i = 0; i < workers; ++i) {
      workers_.push_back(std::make_unique<SessionWorker>(i, workers, *host_, options_, counters_));
      setup.members.push_back(&workers_.back()->member);
      if (running) workers_.back()->start();
    }
    setup.configuration = &configuration_;
    setup.controller = link_.get();
    setup.guard = guard_;
    setup.options = options_;
    setup.cell_room = 1344;
    setup.port = 1;
    setup.make_guest = [this](const GuestSpec& guest) { return host_->make_guest(guest); };
    setup.report = [](std::string_view) {};
    sessions_ = std::make_unique<OwnerSessions>(std::move(setup));
  }

  void TearDown() override {
    if (sessions_ != nullptr) {
      EXPECT_TRUE(sessions_->stop().ok());
      EXPECT_EQ(sessions_->numbers().open, 0U);
    }
    for (const auto& worker : workers_) {
      EXPECT_EQ(worker->channels(), 0U) << "a worker keeps what is over";
      worker->stop();
    }
    sessions_.reset();
  }

  // An object of `owner` that the controller knows, (2, 3) at the first three peers.
  SessionRequest object(std::uint64_t id, ObjectState state, const std::string& owner = "alice") {
    controller::Object& made = played_.objects[{id, 1}] = {};
    made.id = id;
    made.generation = 1;
    made.owner = owner;
    made.state = state;
    made.cell_bytes = 128;
    made.layout.k = made.layout.minimum = 2;
    made.layout.n = made.layout.quorum = 3;
    for (const char* const node : {"holder-1", "holder-2", "holder-3"}) {
      controller::Holder& holder = made.layout.holders.emplace_back();
      holder.node = node;
      holder.state = controller::ShareState::sealed;
    }
    if (state == ObjectState::committed) {
      made.size = 1000;
      made.cells = 8;
      made.attempts = {{0, 8, 0}};
    }
    return {{id, 1}, owner, "10.0.1.77:40000", 77};
  }

  // tend() until the condition holds, as the node's thread would.
  template <typename Condition>
  bool tend(Condition condition) {
    const auto end = steady_clock::now() + seconds(20);
    for (sessions_->tend(); !condition(); sessions_->tend()) {
      if (steady_clock::now() > end) return false;
      std::this_thread::sleep_for(milliseconds(1));
    }
    return true;
  }
  std::uint64_t open_now() const { return sessions_->numbers().open; }

  PlayedObjects played_;
  MembershipGuard* guard_ = nullptr;  // null: no membership is pinned
  Configuration configuration_;
  roles::SsaOptions options_;
  Counters counters_{2};
  std::unique_ptr<Host> host_;
  std::unique_ptr<ControllerLink> link_;
  std::vector<std::unique_ptr<SessionWorker>> workers_;
  std::unique_ptr<OwnerSessions> sessions_;
};

TEST_F(OwnerSessionsTest, GivesKeysAndAWayThatNobodyElseHas) {
  open();
  const auto one = sessions_->open_write(object(1, ObjectState::writing));
  const auto other = sessions_->open_read(object(2, ObjectState::committed));
  ASSERT_TRUE(one.ok()) << one.error().why;
  ASSERT_TRUE(other.ok()) << other.error().why;
  const Session& written = one.value();
  const Session& read = other.value();
  EXPECT_NE(written.session, 0U);
  EXPECT_NE(written.session, read.session);
  EXPECT_NE(written.connection_id, read.connection_id);
  EXPECT_EQ(written.data_address, "10.0.1.1:4405");
  EXPECT_EQ(written.block_bytes, 128U);
  EXPECT_EQ(written.window_blocks, options_.window);
  EXPECT_EQ(written.idle_ms, 60'000U);
  EXPECT_EQ(read.size, 1000U);
  EXPECT_EQ(read.blocks, 8U);
  std::vector<std::vector<std::uint8_t>> keys;
  for (const hw::SecretBuffer* const key :
       {&written.key_to_ssa, &written.key_to_owner, &read.key_to_ssa, &read.key_to_owner}) {
    ASSERT_EQ(key->size(), 4 * protocol::SessionKeys::key_bytes);
    keys.emplace_back(key->data(), key->data() + key->size());
    for (std::size_t i = 0; i + 1 < keys.size(); ++i) EXPECT_NE(keys[i], keys.back());
  }
  workers_[0]->run([&](StorageWorker& worker) {
    for (const std::uint32_t id : {written.connection_id, read.connection_id}) {
      const StorageChannel* const channel = worker.find(id);
      ASSERT_NE(channel, nullptr);
      EXPECT_TRUE(channel->joined);
    }
  });
  EXPECT_EQ(sessions_->session_owner(written.session), "alice");
  EXPECT_EQ(sessions_->session_owner(written.session + 1), std::nullopt);
  EXPECT_THAT(sessions_->writes(), testing::ElementsAre(ObjectKey{1, 1}));
  EXPECT_EQ(sessions_->numbers().opened, 2U);
}

// What the controller says of rates is told to the owner and shown, and holds while the session is open.
TEST_F(OwnerSessionsTest, KeepsToTheRatesThatTheControllerSays) {
  open();
  const SessionRequest request = object(1, ObjectState::writing);
  played_.objects[{1, 1}].class_name = "bulk";
  played_.objects[{1, 1}].rules = {{1 << 20, 2 << 20, 0}, {1 << 19, 0, 0}, {}};
  const auto one = sessions_->open_write(request);
  ASSERT_TRUE(one.ok()) << one.error().why;
  EXPECT_EQ(one.value().bytes_per_second, 1U << 19);
  EXPECT_EQ(one.value().rate_of, "class bulk");
  const auto other = sessions_->open_read(object(2, ObjectState::committed));
  ASSERT_TRUE(other.ok()) << other.error().why;
  EXPECT_EQ(other.value().bytes_per_second, 0U)
      << "this answer says nothing of a rate: the latest word counts";
  EXPECT_EQ(sessions_->rates().size(), 2U);
  agent::Status status;
  sessions_->add_status(status);
  const auto shown = std::find_if(status.items.begin(), status.items.end(),
                                  [](const auto& item) { return item.kind == "rate"; });
  ASSERT_NE(shown, status.items.end());
  EXPECT_EQ(shown->name, "class bulk");
  sessions_->close_session(one.value().session);
  sessions_->close_session(other.value().session);
  EXPECT_TRUE(tend([&] { return sessions_->rates().size() == 0; })) << "nobody has a session any more";
}

// The SSA looks at its own configuration, whatever the controller placed here.
TEST_F(OwnerSessionsTest, WritesNothingWithoutWhatItsClassAsksFor) {
  open();
  const SessionRequest request = object(1, ObjectState::writing);
  controller::KeyDemand& keys = played_.objects[{1, 1}].rules.keys;
  const auto refused = [&](const char* why) {
    const auto answer = sessions_->open_write(request);
    ASSERT_FALSE(answer.ok()) << why;
    EXPECT_EQ(answer.error().code, Exit::refused);
    EXPECT_THAT(answer.error().why, HasSubstr(why));
  };
  keys = {controller::RandomDemand::stream, controller::ShortageDemand::pads};
  configuration_.ssa.random = RandomSource::drbg;
  refused("random blocks");
  configuration_.ssa.random = RandomSource::stream;
  configuration_.ssa.shortage = KeyShortage::aes_256_gcm;
  refused("pads only");
  configuration_.ssa.shortage = KeyShortage::refuse;
  keys.shortage = controller::ShortageDemand::wait;
  refused("wait");
  keys.shortage = static_cast<controller::ShortageDemand>(255);
  refused("not known here");
  keys = {static_cast<controller::RandomDemand>(255), controller::ShortageDemand::any};
  refused("random blocks");
  keys = {controller::RandomDemand::stream, controller::ShortageDemand::refuse};
  EXPECT_TRUE(sessions_->open_write(request).ok());
}

// Nothing is given where the controller does not say that all of it is so.
TEST_F(OwnerSessionsTest, RefusesWhatTheControllerDoesNotPermit) {
  open();
  const auto refused = [&](const SessionRequest& request, bool writes, Exit code, const char* why) {
    const auto answer = writes ? sessions_->open_write(request) : sessions_->open_read(request);
    ASSERT_FALSE(answer.ok()) << why;
    EXPECT_EQ(answer.error().code, code) << answer.error().why;
    EXPECT_THAT(answer.error().why, HasSubstr(why));
  };
  SessionRequest unknown = object(1, ObjectState::writing);
  played_.objects.clear();
  refused(unknown, true, Exit::not_found, "no such object");
  refused(unknown, false, Exit::not_found, "no such object");
  EXPECT_FALSE(sessions_->object_owner(unknown.key).ok());

  SessionRequest stolen = object(2, ObjectState::writing);
  stolen.owner = "mallory";
  refused(stolen, true, Exit::not_found, "no such object of this owner");
  EXPECT_EQ(sessions_->object_owner(stolen.key).value(), "alice");
  for (const ObjectState state : {ObjectState::committed, ObjectState::sealed, ObjectState::deleting}) {
    refused(object(3, state), true, Exit::refused, "not writing");
  }
  for (const ObjectState state : {ObjectState::writing, ObjectState::sealed, ObjectState::deleting}) {
    refused(object(4, state), false, Exit::refused, "not committed");
  }
  const SessionRequest large = object(5, ObjectState::writing);
  played_.objects[{5, 1}].cell_bytes = 1408;
  refused(large, true, Exit::refused, "do not fit");
  const SessionRequest strange = object(6, ObjectState::writing);
  played_.objects[{6, 1}].layout.holders[1].node = "holder-9";
  refused(strange, true, Exit::refused, "holder-9 is no peer");
  SessionRequest nowhere = object(7, ObjectState::writing);
  nowhere.data_address = "example.org:1";
  refused(nowhere, true, Exit::usage, "no address");
  played_.away = true;
  refused(object(8, ObjectState::writing), true, Exit::temporary, "nobody answers");
  played_.away = false;
  EXPECT_EQ(open_now(), 0U);
  EXPECT_EQ(workers_[0]->channels(), 0U);
  EXPECT_TRUE(sessions_->writes().empty());

  // What was refused before it began took no place, and may be tried again.
  played_.objects[{6, 1}].layout.holders[1].node = "holder-2";
  EXPECT_TRUE(sessions_->open_write(strange).ok());
  nowhere.data_address = "10.0.1.77:1";
  EXPECT_TRUE(sessions_->open_write(nowhere).ok());
}

// A controller that would have shareholders see data says so in a layout: nothing is split then. What is
// there already may be read.
TEST_F(OwnerSessionsTest, WritesNoLayoutWhoseSharesTellSomething) {
  using controller::Scheme;
  open();
  std::uint64_t id = 0;
  const auto refused = [&](unsigned minimum_t, Scheme scheme, std::uint32_t k, std::uint32_t blocks) {
    const SessionRequest request = object(++id, ObjectState::writing);
    controller::Layout& layout = played_.objects[{id, 1}].layout;
    layout.scheme = scheme;
    layout.k = layout.minimum = k;
    layout.secret_blocks = blocks;
    configuration_.ssa.minimum_t = minimum_t;
    const auto answer = sessions_->open_write(request);
    if (answer.ok()) {
      sessions_->close_session(answer.value().session);
      EXPECT_TRUE(tend([&] { return open_now() == 0; }));
      return false;
    }
    EXPECT_EQ(answer.error().code, Exit::refused);
    EXPECT_THAT(answer.error().why, HasSubstr("tell nothing"));
    EXPECT_THAT(answer.error().fix, HasSubstr("minimum_t"));
    return true;
  };
  ASSERT_EQ(SsaConfiguration().minimum_t, 1U);
  EXPECT_FALSE(refused(1, Scheme::shamir, 2, 1));
  EXPECT_TRUE(refused(2, Scheme::shamir, 2, 1));
  EXPECT_TRUE(refused(1, Scheme::rs, 2, 2));
  EXPECT_TRUE(refused(1, Scheme::rs, 2, 1)) << "it counts what the code hides, not k - L";
  EXPECT_FALSE(refused(0, Scheme::rs, 2, 2)) << "an operator wants it";
  EXPECT_TRUE(refused(1, Scheme::ramp, 2, 2));
  EXPECT_TRUE(refused(1, Scheme::shamir, 1, 1));
  EXPECT_TRUE(sessions_->writes().empty());
  configuration_.ssa.minimum_t = 1;
  const SessionRequest read = object(++id, ObjectState::committed);
  played_.objects[{id, 1}].layout.scheme = Scheme::rs;
  played_.objects[{id, 1}].layout.secret_blocks = 2;
  EXPECT_TRUE(sessions_->open_read(read).ok());
}

// A controller that turned hostile, and an SSA that has pinned what operators signed. Each of it is written
// where nothing is pinned.
TEST_F(OwnerSessionsTest, WritesNothingThatOperatorsDoNotPermit) {
  using controller::Scheme;
  std::string folder = testing::TempDir() + "sessions-XXXXXX";
  ASSERT_NE(::mkdtemp(folder.data()), nullptr);
  configuration_.ledger = folder + "/node.ledger";
  ssn::test::MembershipText text;
  text.minimum_domains = 2;
  text.schemes = R"("shamir")";
  text.nodes = {{"ssa", "ssa"},
                {"holder-1", "shareholder", "1"},
                {"holder-2", "shareholder", "2"},
                {"holder-3", "shareholder", "3"},
                {"holder-5", "shareholder", "3"}};
  configuration_.peers.emplace_back().name = "holder-5";
  TestGuard guarded(configuration_);
  guarded.publish(text);
  guarded.open();
  for (const bool pinned : {false, true}) {
    guard_ = pinned ? guarded.guard.get() : nullptr;
    open();
    std::uint64_t id = 0;
    const auto attack = [&](const char* what, auto change, const char* word) {
      const SessionRequest request = object(++id, ObjectState::writing);
      change(played_.objects[{id, 1}].layout);
      const std::size_t alarms = guarded.alarms.size();
      const auto answer = sessions_->open_write(request);
      EXPECT_EQ(answer.ok(), !pinned) << what;
      EXPECT_EQ(guarded.alarms.size(), alarms + (pinned ? 1 : 0)) << what;
      if (answer.ok()) {
        sessions_->close_session(answer.value().session);
        EXPECT_TRUE(tend([&] { return open_now() == 0; }));
      } else {
        EXPECT_EQ(answer.error().code, Exit::refused);
        EXPECT_THAT(answer.error().why, testing::StartsWith(word)) << what;
      }
    };
    attack("a stranger", [](auto& layout) { layout.holders[1].node = "holder-4"; }, "unlisted: ");
    attack("one domain", [](auto& layout) { layout.holders[0].node = "holder-5"; }, "domains: ");
    attack("another scheme", [](auto& layout) { layout.scheme = Scheme::shamir_classic; }, "scheme: ");
    configuration_.ssa.shortage = KeyShortage::aes_256_gcm;
    attack("a lower class", [](auto&) {}, "protection: ");
    configuration_.ssa.shortage = KeyShortage::refuse;
    EXPECT_TRUE(sessions_->open_write(object(++id, ObjectState::writing)).ok());
    EXPECT_TRUE(sessions_->open_read(object(++id, ObjectState::committed)).ok());
    TearDown();
    workers_.clear();
  }
  guard_ = nullptr;
  std::filesystem::remove_all(folder);
}

TEST_F(OwnerSessionsTest, OpensNoMoreThanItHasPlacesFor) {
  open(2);
  std::vector<std::uint64_t> ids;
  for (std::uint64_t i = 1; i <= 2 * owners; ++i) {
    const auto opened = sessions_->open_read(object(i, ObjectState::committed));
    ASSERT_TRUE(opened.ok()) << opened.error().why;
    ids.push_back(opened.value().session);
  }
  for (const auto& worker : workers_) EXPECT_EQ(worker->channels(), owners);  // each has its part
  const auto refused = sessions_->open_read(object(99, ObjectState::committed));
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, Exit::temporary);
  EXPECT_EQ(sessions_->numbers().refused, 1U);

  sessions_->close_session(ids[1]);
  sessions_->close_session(ids[1]);
  sessions_->close_session(12345);
  ASSERT_TRUE(tend([&] { return open_now() == 2 * owners - 1; }));
  EXPECT_EQ(sessions_->session_owner(ids[1]), "alice") << "it is remembered";
  EXPECT_TRUE(sessions_->open_read(object(99, ObjectState::committed)).ok());
  EXPECT_FALSE(sessions_->open_read(object(100, ObjectState::committed)).ok());
}

// Without its session nobody can tell which attempt of a cell is which.
TEST_F(OwnerSessionsTest, AWriteHasOneSessionEver) {
  open();
  const SessionRequest request = object(1, ObjectState::writing);
  const auto opened = sessions_->open_write(request);
  ASSERT_TRUE(opened.ok());
  for (int i = 0; i < 2; ++i) {
    const auto again = sessions_->open_write(request);
    ASSERT_FALSE(again.ok());
    EXPECT_EQ(again.error().code, Exit::refused);
    sessions_->close_session(opened.value().session);
    ASSERT_TRUE(tend([&] { return open_now() == 0; }));
  }
  const auto status = sessions_->finish_write(opened.value().session, 0, 0, milliseconds(0));
  ASSERT_TRUE(status.ok());
  EXPECT_EQ(status.value().state, WriteState::failed);
  EXPECT_EQ(status.value().why, "the session is over");
}

// An owner that is not heard of any more has no session some time later, and no keys are left of it.
TEST_F(OwnerSessionsTest, AnOwnerThatVanishedLosesItsSession) {
  configuration_.ssa.idle = seconds(1);  // a worker that slept may be a quarter of that behind
  open();
  const auto began = steady_clock::now();
  const auto gone = sessions_->open_write(object(1, ObjectState::writing));
  const auto there = sessions_->open_read(object(2, ObjectState::committed));
  ASSERT_TRUE(gone.ok() && there.ok());
  const auto is_heard = [&] {
    workers_[0]->run([&](StorageWorker& worker) {
      StorageChannel* const channel = worker.find(there.value().connection_id);
      if (channel != nullptr) channel->heard_ns.store(monotonic_ns(), std::memory_order_relaxed);
    });
  };
  ASSERT_TRUE(tend([&] {
    is_heard();
    return open_now() == 1;
  }));
  EXPECT_GE(steady_clock::now() - began, milliseconds(600));
  EXPECT_EQ(sessions_->numbers().idle, 1U);
  workers_[0]->run([&](StorageWorker& worker) {
    EXPECT_EQ(worker.find(gone.value().connection_id), nullptr);
    EXPECT_NE(worker.find(there.value().connection_id), nullptr) << "the other one is heard of";
  });
  EXPECT_TRUE(sessions_->writes().empty());
  const auto status = sessions_->finish_write(gone.value().session, 0, 0, milliseconds(0));
  ASSERT_TRUE(status.ok());
  EXPECT_EQ(status.value().state, WriteState::failed);
}

TEST_F(OwnerSessionsTest, TheControllerEndsAWrite) {
  open();
  const auto write = sessions_->open_write(object(1, ObjectState::writing));
  const auto read = sessions_->open_read(object(2, ObjectState::committed));
  ASSERT_TRUE(write.ok() && read.ok());
  sessions_->ended({2, 1});  // reads are nothing of that
  sessions_->ended({1, 2});
  sessions_->tend();
  EXPECT_EQ(open_now(), 2U);
  sessions_->ended({1, 1});
  ASSERT_TRUE(tend([&] { return open_now() == 1; }));
  EXPECT_EQ(sessions_->numbers().ended, 1U);
  EXPECT_EQ(sessions_->numbers().idle, 0U);
  EXPECT_EQ(sessions_->finish_write(write.value().session, 0, 0, milliseconds(0)).value().state,
            WriteState::failed);
}

TEST_F(OwnerSessionsTest, AnswersFinishWriteTheSameEachTime) {
  open();
  const auto write = sessions_->open_write(object(1, ObjectState::writing));
  const auto read = sessions_->open_read(object(2, ObjectState::committed));
  ASSERT_TRUE(write.ok() && read.ok());
  const std::uint64_t session = write.value().session;
  const auto finish = [&](std::uint64_t id, std::uint64_t size, std::uint64_t blocks) {
    return sessions_->finish_write(id, size, blocks, seconds(4));
  };
  EXPECT_EQ(finish(session + 1, 0, 0).error().code, Exit::not_found);
  EXPECT_EQ(finish(read.value().session, 1000, 8).error().code, Exit::not_found);
  EXPECT_EQ(finish(session, 1000, 7).error().code, Exit::refused) << "it takes 8 blocks";
  const auto first = finish(session, 0, 0);
  ASSERT_TRUE(first.ok()) << first.error().why;
  EXPECT_EQ(first.value().state, WriteState::failed) << "no shareholder is there";
  EXPECT_THAT(first.value().why, HasSubstr("fewer holders than the minimum"));
  EXPECT_EQ(first.value().sealed, 0U);
  ASSERT_EQ(first.value().holders.size(), 3U);
  EXPECT_EQ(first.value().holders[1].node, "holder-2");
  EXPECT_EQ(first.value().holders[1].state, agent::HolderStatus::State::failed);
  const auto again = finish(session, 0, 0);
  ASSERT_TRUE(again.ok());
  EXPECT_EQ(again.value().why, first.value().why);
  EXPECT_EQ(finish(session, 128, 1).error().code, Exit::refused) << "it was 0 before";
  EXPECT_EQ(sessions_->numbers().writes_failed, 1U);
  EXPECT_EQ(played_.told_sealed, 0U);
}

// A worker whose inbox is full was never asked: nothing of the session is left, and it may be tried again.
TEST_F(OwnerSessionsTest, AWorkerThatTakesNoCommandGetsNoSession) {
  open(1, false);
  Worker& worker = *workers_[0]->member.thread;
  while (worker.post({[](void*) {}, nullptr})) {
  }
  const SessionRequest request = object(1, ObjectState::writing);
  const auto busy = sessions_->open_write(request);
  ASSERT_FALSE(busy.ok());
  EXPECT_EQ(busy.error().code, Exit::temporary);
  EXPECT_THAT(busy.error().why, HasSubstr("busy"));
  workers_[0]->start();
  ASSERT_TRUE(tend([&] { return open_now() == 0; }));
  EXPECT_EQ(sessions_->numbers().opened, 0U);
  EXPECT_TRUE(sessions_->open_write(request).ok());
}

TEST_F(OwnerSessionsTest, RemembersSomeOfThoseThatAreOver) {
  open();
  std::vector<std::uint64_t> ids;
  for (std::uint64_t i = 0; i < 1024 + 3; ++i) {
    const auto opened = sessions_->open_read(object(1, ObjectState::committed));
    ASSERT_TRUE(opened.ok()) << opened.error().why;
    ids.push_back(opened.value().session);
    sessions_->close_session(ids.back());
    ASSERT_TRUE(tend([&] { return open_now() == 0; }));
    played_.objects.clear();
  }
  for (std::size_t i = 0; i < 3; ++i) EXPECT_EQ(sessions_->session_owner(ids[i]), std::nullopt);
  EXPECT_EQ(sessions_->session_owner(ids[3]), "alice");
  EXPECT_EQ(sessions_->session_owner(ids.back()), "alice");
}

TEST_F(OwnerSessionsTest, EndsWithAllOfItsSessions) {
  open();
  const auto write = sessions_->open_write(object(1, ObjectState::writing));
  ASSERT_TRUE(write.ok());
  sessions_->refuse();
  const auto late = sessions_->open_read(object(2, ObjectState::committed));
  ASSERT_FALSE(late.ok());
  EXPECT_EQ(late.error().code, Exit::temporary);
  EXPECT_TRUE(sessions_->stop().ok());
  EXPECT_EQ(open_now(), 0U);
}

}  // namespace
}  // namespace ssn::dataplane
