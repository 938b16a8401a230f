// SPDX-License-Identifier: BSD-3-Clause
// The controller through its client: who may call what, whole; an object's life; limits of requests.
#include "server.h"

#include <gtest/gtest.h>
#include <atomic>
#include <thread>

#include <chrono>

#include "controller_client.h"
#include "rights.h"
#include "support.h"
#include "test_network.h"

namespace ssn::controller::test {
namespace {

using client::ControllerClient;

// Nobody is asked.
class NoNodes final : public ReshareNodes {
 public:
  void ask(NodeQuestion) override {}
  std::vector<NodeReply> replies() override { return {}; }
};

class ServerTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    folder_ = new Folder;
    for (const char* const network : {"n", "other"}) {
      const auto made =
          kme::make_test_network({folder_->path(network), {"a", "b", "c", "d", "e", "f"}, 0, 2});
      ASSERT_OK(made);
    }
  }
  static void TearDownTestSuite() { delete folder_; }

  void SetUp() override {
    database_ = make_memory_database();
    Policy policy;
    policy.owner_rate = {1 << 20, 2 << 20, 1 << 16};
    auto opened = Catalogue::open(
        *database_, policy,
        [this](std::uint8_t* out, std::size_t bytes) { std::fill_n(out, bytes, ++random_); }, now());
    ASSERT_OK(opened);
    catalogue_ = std::move(opened.value());
    auto manager = ReshareManager::open(*catalogue_, nodes_, now());
    ASSERT_OK(manager);
    manager_ = std::move(manager.value());
    auto started = start(settings());
    ASSERT_OK(started);
    server_ = std::move(started.value());
  }
  static Now now() {
    const auto time = std::chrono::steady_clock::now().time_since_epoch();
    const auto ms =
        static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::milliseconds>(time).count());
    return {1'700'000'000'000 + ms, ms};
  }
  static std::string path(const std::string& name) { return folder_->path(name); }
  static ServerSettings settings(const std::string& who = "controller", const std::string& network = "n") {
    return {who, "127.0.0.1:0", path(network + "/" + who + ".crt"), path(network + "/" + who + ".key"),
            path(network + "/ca.crt")};
  }
  Result<std::unique_ptr<Server>> start(const ServerSettings& with) {
    const auto live = open_identity(with);
    return live.ok() ? Server::start(with, live.value(), *catalogue_, manager_.get(), now)
                     : Result<std::unique_ptr<Server>>(live.error());
  }
  std::unique_ptr<ControllerClient> client(const std::string& who, const std::string& network = "n",
                                           const std::string& name = "controller") {
    auto made = ControllerClient::make({server_->listening(), name, path(network + "/" + who + ".crt"),
                                        path(network + "/" + who + ".key"), path(network + "/ca.crt")});
    EXPECT_OK(made);
    return made.ok() ? std::move(made.value()) : nullptr;
  }

  inline static Folder* folder_ = nullptr;
  std::uint8_t random_ = 0;
  std::unique_ptr<Database> database_;
  std::unique_ptr<Catalogue> catalogue_;
  NoNodes nodes_;
  std::unique_ptr<ReshareManager> manager_;
  std::unique_ptr<Server> server_;
};

template <typename Result>
bool in(const Result& result) {
  return result.ok() || result.error().code != Exit::refused ||
         result.error().what.find("cannot answer") == std::string::npos;
}

bool lets_in_more(ControllerClient& client, Call call) {
  switch (call) {
    case Call::start_reshare:
      return in(client.start_reshare({}, false));
    case Call::cancel_reshare:
      return in(client.cancel_reshare(1));
    case Call::list_reshares:
      return in(client.reshares(0, 1, false));
    case Call::replace:
      return in(client.replace_node("x", "y"));
    case Call::cancel_replacement:
      return in(client.cancel_replacement("x"));
    case Call::list_replacements:
      return in(client.replacements());
    case Call::get_configuration:
      return in(client.configuration(0));
    case Call::list_versions:
      return in(client.configurations());
    case Call::apply_configuration:
      return in(client.configure({}));
    case Call::list_accounts:
      return in(client.accounts({}, 0, 1));
    case Call::list_usage: {
      std::string next;
      return in(client.usage("", "", 1, next));
    }
    case Call::list_domains:
      return in(client.domains());
    default:
      return false;
  }
}

// Makes one call in the simplest way; says whether the caller may.
bool lets_in(ControllerClient& client, Call call) {
  Registration registration;
  switch (call) {
    case Call::begin_write:
      return in(client.begin_write({}));
    case Call::commit:
      return in(client.commit({}, false));
    case Call::abort:
      return in(client.abort({}));
    case Call::list:
      return in(client.list("", "", 1, ""));
    case Call::stat:
      return in(client.stat("x", ""));
    case Call::remove:
      return in(client.remove("x", 0));
    case Call::open_read:
      return in(client.open_read("x"));
    case Call::explain:
      return in(client.explain("x", "", {}));
    case Call::register_node:
      return in(client.register_node(registration));
    case Call::report:
      return in(client.report({}));
    case Call::get_object:
      return in(client.object({}));
    case Call::sealed:
      return in(client.sealed({}));
    case Call::get_holdings:
      return in(client.holdings(0, 1));
    case Call::compare_holdings:
      return in(client.compare({}));
    case Call::get_status:
      return in(client.status());
    case Call::list_nodes:
      return in(client.nodes());
    case Call::set_node:
      return in(client.set_node("x", ServiceState::standby));
    case Call::remove_node:
      return in(client.remove_node("x", StoreDestroyed::no));
    case Call::list_associations:
      return in(client.associations("x"));
    case Call::list_events:
      return in(client.events(0, 1));
    case Call::watch_events:
      return in(client.watch_events(0, false, [](const auto&, std::uint64_t) { return false; }));
    case Call::list_alarms:
      return in(client.alarms({}, "", 1));
    case Call::list_decisions:
      return in(client.decisions({}, 0, 1));
    default:
      return lets_in_more(client, call);
  }
}

// As docs/controller.md has it: a letter for each role that may. o owner, s ssa, h shareholder, p operator.
const std::map<Call, std::string> table = {
    {Call::begin_write, "o"},
    {Call::commit, "o"},
    {Call::abort, "o"},
    {Call::list, "op"},
    {Call::stat, "op"},
    {Call::remove, "o"},
    {Call::open_read, "o"},
    {Call::explain, "op"},
    {Call::register_node, "sh"},
    {Call::report, "sh"},
    {Call::get_object, "sh"},
    {Call::sealed, "s"},
    {Call::get_holdings, "h"},
    {Call::compare_holdings, "h"},
    {Call::get_status, "p"},
    {Call::list_nodes, "p"},
    {Call::set_node, "p"},
    {Call::remove_node, "p"},
    {Call::list_associations, "p"},
    {Call::list_events, "p"},
    {Call::watch_events, "p"},
    {Call::list_alarms, "p"},
    {Call::list_decisions, "p"},
    {Call::start_reshare, "op"},
    {Call::cancel_reshare, "op"},
    {Call::list_reshares, "op"},
    {Call::replace, "p"},
    {Call::cancel_replacement, "p"},
    {Call::list_replacements, "p"},
    {Call::get_configuration, "p"},
    {Call::list_versions, "p"},
    {Call::apply_configuration, "p"},
    {Call::list_accounts, "op"},
    {Call::list_usage, "op"},
    {Call::list_domains, "p"},
};

TEST(Rights, AreThoseOfTheTable) {
  const std::pair<pki::Role, char> letters[] = {{pki::Role::owner, 'o'},
                                                {pki::Role::ssa, 's'},
                                                {pki::Role::shareholder, 'h'},
                                                {pki::Role::controller, 'c'},
                                                {pki::Role::operators, 'p'}};
  ASSERT_EQ(table.size(), calls_count);
  for (const auto& [call, roles] : table) {
    EXPECT_FALSE(may({}, call)) << name(call);
    for (const auto& [role, letter] : letters) {
      EXPECT_EQ(may({role}, call), roles.find(letter) != std::string::npos) << name(call) << " " << letter;
    }
    EXPECT_EQ(may({pki::Role::owner, pki::Role::ssa}, call), roles.find_first_of("os") != std::string::npos);
  }
  EXPECT_FALSE(may({pki::Role::owner, pki::Role::operators}, static_cast<Call>(calls_count)));
}

TEST_F(ServerTest, EveryCallWithEveryCertificate) {
  // Who it is, and the letters of its roles.
  const std::pair<const char*, const char*> callers[] = {
      {"owner", "o"}, {"operator", "p"}, {"sae-a", "sh"}, {"kme-a", ""}, {"controller", "c"}};
  for (const auto& [who, letters] : callers) {
    const auto caller = client(who);
    for (const auto& [call, roles] : table) {
      EXPECT_EQ(lets_in(*caller, call), roles.find_first_of(letters) != std::string::npos)
          << who << " " << name(call);
    }
  }
}

TEST_F(ServerTest, StrangersAreNotHeardAndNoOtherServerIsBelieved) {
  EXPECT_TRUE(fails(client("operator", "other")->status(), Exit::refused));
  EXPECT_TRUE(fails(client("operator", "n", "sae-a")->status(), Exit::refused));
  // The certificate of another, or without the role, is no controller's.
  ServerSettings wrong = settings("sae-a");
  EXPECT_TRUE(fails(start(wrong), Exit::refused));
  wrong.name = "controller";
  EXPECT_TRUE(fails(start(wrong), Exit::refused));
  wrong = settings();
  wrong.listen = "nowhere";
  EXPECT_TRUE(fails(start(wrong), Exit::usage));
  wrong.listen = server_->listening();
  EXPECT_TRUE(fails(start(wrong), Exit::temporary));
}

// What owners and operators may do about re-sharing, with nobody who does it.
void reshare(ControllerClient& owner, ControllerClient& admin, const Object& object) {
  ReshareRequest wish;
  wish.operation = ReshareOperation::refresh;
  wish.name = object.name;
  const auto plan = owner.start_reshare(wish, true);
  ASSERT_OK(plan);
  EXPECT_EQ(plan.value().id, 0U);
  EXPECT_EQ(plan.value().takers.size(), 5U);
  EXPECT_TRUE(admin.reshares(0, 0, false).value().jobs.empty());
  const auto job = owner.start_reshare(wish, false);
  ASSERT_OK(job);
  EXPECT_EQ(owner.start_reshare(wish, false).value().id, job.value().id);  // again
  wish.operation = ReshareOperation::repair;
  EXPECT_TRUE(fails(owner.start_reshare(wish, false), Exit::temporary));
  wish.to = "sae-a";
  EXPECT_TRUE(fails(owner.start_reshare(wish, false), Exit::refused));  // operators decide that
  EXPECT_EQ(admin.reshares(0, 0, true).value().jobs.at(0).name, object.name);
  EXPECT_EQ(owner.reshares(0, 0, true).value().jobs.at(0).reason, "owner wants it");
  const auto planned = admin.plan_replacement(object.layout.holders[0].node, "", 0, 0);
  ASSERT_OK(planned);
  EXPECT_EQ(planned.value().troubles.at(0).object, object.id);  // a job is at it
  EXPECT_EQ(owner.cancel_reshare(job.value().id).value().step, ReshareStep::undo);
  EXPECT_TRUE(fails(owner.cancel_reshare(1), Exit::not_found));
  ASSERT_OK(admin.replace_node(object.layout.holders[0].node, ""));
  EXPECT_EQ(admin.replacements().value().at(0).reason, "operator wants it");
  EXPECT_OK(admin.cancel_replacement(object.layout.holders[0].node));
  EXPECT_TRUE(admin.replacements().value().empty());
}

TEST_F(ServerTest, AnObjectsLifeThroughTheNetwork) {
  std::map<std::string, std::unique_ptr<ControllerClient>> nodes;
  for (const char* const site : {"a", "b", "c", "d", "e", "f"}) {
    const std::string node = std::string("sae-") + site;
    nodes[node] = client(node);
    Registration registration;
    registration.instance[0] = 1;
    registration.roles = {pki::Role::shareholder};
    registration.roles.add(pki::Role::ssa);
    registration.agent = "127.0.0.1:1";
    registration.data_addresses = {"10.0.0.1:4711", "[fd00::1]:4711"};
    registration.labels[Label::site] = site;
    registration.key_paths = {{"sae-a", {"relay"}}};
    ASSERT_OK(nodes[node]->register_node(registration));
    Report report;
    report.instance = registration.instance;
    report.capacity_bytes = 1'000'000'000;
    report.associations = {{"sae-a", 3, {{{1, 2}, true, 5, 6}}}};
    ASSERT_OK(nodes[node]->report(report));
  }
  const auto owner = client("owner");
  const auto admin = client("operator");
  WriteRequest request;
  request.token[3] = 7;
  request.name = "caf\xc3\xa9";
  request.size = 10'000;
  request.minimum_protection = Protection::computational;
  const auto ticket = owner->begin_write(request);
  ASSERT_OK(ticket);
  const Object& object = ticket.value().object;
  EXPECT_EQ(object.layout.holders[4].data_addresses.size(), 2U);
  ASSERT_EQ(nodes.count(ticket.value().ssa.node), 1U);
  ControllerClient& ssa = *nodes[ticket.value().ssa.node];
  EXPECT_EQ(ssa.object(object.key()).value().owner, "owner");
  EXPECT_EQ(ssa.object(object.key()).value().rules.owner_rate, (RateLimit{1 << 20, 2 << 20, 1 << 16}));
  const auto sealed = ssa.sealed(World::seal(object, 5));
  ASSERT_OK(sealed);
  EXPECT_EQ(sealed.value().state, ObjectState::sealed);
  EXPECT_EQ(sealed.value().quorum, 4U);
  const auto committed = owner->commit(object.key(), false);
  ASSERT_OK(committed);
  EXPECT_FALSE(committed.value().degraded);
  EXPECT_EQ(owner->list("caf", "", 0, "").value().objects.at(0).shares_up, 5U);
  EXPECT_EQ(owner->open_read(request.name).value().object.attempts.at(0).cells, 8U);
  // Operators see it if they say whose; another owner's name is refused to owners.
  EXPECT_TRUE(fails(admin->stat(request.name, ""), Exit::not_found));
  EXPECT_EQ(admin->stat(request.name, "owner").value().id, object.id);
  EXPECT_TRUE(fails(owner->list("", "", 0, "alice"), Exit::refused));
  EXPECT_EQ(admin->nodes().value().size(), 6U);
  EXPECT_EQ(admin->associations("sae-b").value().at(0).report.streams.at(0).seen, 6U);
  EXPECT_EQ(object.layout.pad_rule, PadRule::unknown_path);
  EXPECT_FALSE(object.layout.pad_reason.empty());
  EXPECT_EQ(admin->nodes().value().at(1).claimed[Label::site], "b");
  EXPECT_EQ(admin->nodes().value().at(1).key_paths.at(0).crosses.at(0), "relay");
  EXPECT_EQ(admin->events(0, 0).value().size(), 7U);  // and that no pads are kept
  EXPECT_EQ(admin->status().value().objects, 1U);
  EXPECT_EQ(admin->status().value().name, "controller");
  ASSERT_NO_FATAL_FAILURE(reshare(*owner, *admin, object));
  ASSERT_OK(owner->remove(request.name, object.id));
  const std::string holder = object.layout.holders[0].node;
  EXPECT_EQ(nodes[holder]->compare({object.key(), {1, 1}}).value(),
            (std::vector{Verdict::remove, Verdict::unknown}));
  EXPECT_EQ(nodes[holder]->holdings(0, 10).value().holdings.at(0).share, 1U);
}

TEST_F(ServerTest, AlarmsAreListedAndEventsStreamed) {
  const auto node = client("sae-a");
  Registration registration;
  registration.instance[0] = 1;
  registration.roles = {pki::Role::shareholder};
  ASSERT_OK(node->register_node(registration));
  Report report;
  report.instance = registration.instance;
  report.alarms = {{{"store_full", "sae-a", ""}, "no space"}};
  report.key_stock = {"sae-b", 77};
  report.rates = {{false, "owner", true}, {true, "wide", false}};
  report.key_settings = {RandomSource::stream, KeyShortage::wait};
  const auto answer = node->report(report);
  ASSERT_OK(answer);
  ASSERT_EQ(answer.value().rates.size(), 2U);
  EXPECT_EQ(answer.value().rates[0], (RateLimit{1 << 20, 2 << 20, 1 << 16}));
  EXPECT_EQ(answer.value().rates[1], RateLimit());
  const auto admin = client("operator");
  const auto page = admin->alarms({}, "", 0);
  ASSERT_OK(page);
  ASSERT_EQ(page.value().alarms.size(), 1U);
  const Alarm& alarm = page.value().alarms[0];
  EXPECT_EQ(alarm.key, (alarms::AlarmKey{"store_full", "sae-a", ""}));
  EXPECT_EQ(alarm.severity, alarms::Severity::major);
  EXPECT_EQ(alarm.text, "no space");
  EXPECT_EQ(alarm.repair, alarms::find_type("store_full")->repair);
  EXPECT_EQ(alarm.sources, std::vector<std::string>{"sae-a"});
  EXPECT_EQ(page.value().last_event, admin->events(0, 0).value().back().number);
  EXPECT_EQ(admin->nodes().value().at(0).key_stock.bytes, 77U);
  EXPECT_EQ(admin->nodes().value().at(0).key_stock.peer, "sae-b");
  EXPECT_EQ(admin->status().value().alarms[static_cast<std::size_t>(alarms::Severity::major)], 1U);
  // All that are kept, then what comes; only alarms.
  std::vector<Event> seen;
  bool told = false;
  const Outcome watched = admin->watch_events(0, true, [&](const std::vector<Event>& events, std::uint64_t) {
    seen.insert(seen.end(), events.begin(), events.end());
    if (!told) {
      report.alarms.clear();
      EXPECT_OK(node->report(report));
    }
    told = true;
    return seen.size() < 2;
  });
  EXPECT_OK(watched);
  ASSERT_EQ(seen.size(), 2U);
  EXPECT_EQ(seen[0].change, AlarmChange::raised);
  EXPECT_EQ(seen[0].kind, "store_full");
  EXPECT_EQ(seen[1].change, AlarmChange::cleared);
  EXPECT_EQ(seen[1].severity, alarms::Severity::major);
  // From now on: the first list says only that it runs.
  EXPECT_OK(admin->watch_events(std::nullopt, false, [&](const std::vector<Event>& events, std::uint64_t) {
    EXPECT_TRUE(events.empty());
    return false;
  }));
}

// Who watches is told how much it missed: of what it asked for, and of nothing else.
TEST_F(ServerTest, WhoWatchesIsToldWhatIsNotKeptAnyMore) {
  const auto node = client("sae-a");
  Registration registration;
  registration.instance = {1};
  registration.roles = {pki::Role::shareholder};
  ASSERT_OK(node->register_node(registration));
  Transaction gone(*database_);
  const auto kept = catalogue_->events(0, 1).value();
  ASSERT_EQ(kept.size(), 1U);
  const std::uint64_t first = kept[0].number;
  for (int i = 0; i < 5; ++i) {
    registration.instance[0] = static_cast<std::uint8_t>(2 + i);
    ASSERT_OK(node->register_node(registration));
  }
  for (std::uint64_t number = first + 1; number < first + 4; ++number) gone.erase(keys::event(number));
  ASSERT_OK(gone.commit());
  const auto lost_after = [&](std::uint64_t after) {
    std::uint64_t told = 0;
    EXPECT_OK(client("operator")->watch_events(after, false, [&](const auto&, std::uint64_t lost) {
      told = lost;
      return false;
    }));
    return told;
  };
  EXPECT_EQ(lost_after(first + 1), 2U);
  EXPECT_EQ(lost_after(first + 3), 0U);
  EXPECT_EQ(lost_after(0), 0U);  // from the oldest that is kept
}

TEST_F(ServerTest, SoManyWatchEventsAndEndWithTheServer) {
  std::atomic<unsigned> running{0};
  std::vector<std::thread> threads;
  std::vector<Exit> ends(8);
  for (std::size_t i = 0; i < ends.size(); ++i) {
    threads.emplace_back([&, i] {
      bool first = true;
      const Outcome watched =
          client("operator")
              ->watch_events(std::nullopt, false, [&](const std::vector<Event>&, std::uint64_t) {
                running += first ? 1U : 0U;
                first = false;
                return true;
              });
      ends[i] = watched.ok() ? Exit::ok : watched.error().code;
    });
  }
  while (running < ends.size()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  const auto take = [](const std::vector<Event>&, std::uint64_t) { return true; };
  EXPECT_TRUE(fails(client("operator")->watch_events(std::nullopt, false, take), Exit::temporary));
  EXPECT_OK(client("operator")->status());  // everything else is answered
  server_.reset();
  for (std::thread& thread : threads) thread.join();
  for (const Exit end : ends) EXPECT_EQ(end, Exit::temporary);
}

TEST_F(ServerTest, RequestsHaveLimits) {
  const auto owner = client("owner");
  WriteRequest request;
  request.token[0] = 1;
  request.name = std::string(1025, 'a');
  EXPECT_TRUE(fails(owner->begin_write(request), Exit::usage));
  request.name = std::string(2 << 20, 'a');
  EXPECT_TRUE(fails(owner->begin_write(request), Exit::temporary));
  request.name = "a";
  request.scheme = static_cast<Scheme>(77);
  EXPECT_TRUE(fails(owner->begin_write(request), Exit::usage));
  request.scheme = Scheme::policy;
  request.minimum_protection = static_cast<Protection>(77);
  EXPECT_TRUE(fails(owner->begin_write(request), Exit::usage));
  const auto node = client("sae-a");
  EXPECT_TRUE(fails(node->compare(std::vector<ObjectKey>(1001)), Exit::usage));
  Report report;
  report.writes.resize(4097);
  EXPECT_TRUE(fails(node->report(report), Exit::usage));
}

}  // namespace
}  // namespace ssn::controller::test
