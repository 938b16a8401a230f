// SPDX-License-Identifier: BSD-3-Clause
// A node's side of SSN-C against a controller that the test plays.
#include "ssn/dataplane/controller_link.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <thread>

namespace ssn::dataplane {
namespace {

using controller::ObjectKey;
using controller::Verdict;
using std::chrono::seconds;
using testing::ElementsAre;
using testing::HasSubstr;

const Error away{Exit::temporary, "cannot ask the controller", "nobody answers", "here", "start it"};

// What the controller was told and what it says; shared with the client, which the link owns.
struct Played {
  std::mutex mutex;
  std::condition_variable changed;
  bool answers = true;
  std::vector<controller::Registration> registrations;
  std::vector<controller::Report> reports;
  std::vector<std::vector<ObjectKey>> compared;
  controller::ReportAnswer next;  // of every report
  std::vector<controller::Holding> holdings;
  std::size_t page = 1000;
  std::size_t asked = 0;         // for pages of them
  std::size_t lose_damaged = 0;  // reports of damaged shares that are not answered
  std::chrono::milliseconds holdings_take{0};
  Verdict verdict = Verdict::keep;

  template <typename Condition>
  bool wait(Condition condition) {
    std::unique_lock lock(mutex);
    return changed.wait_for(lock, seconds(20), condition);
  }
};

class Client final : public client::ControllerClient {
 public:
  explicit Client(Played& played) : played_(played) {}

  Result<controller::RegisterAnswer> register_node(const controller::Registration& registration) override {
    return said<controller::RegisterAnswer>([&]() -> Result<controller::RegisterAnswer> {
      played_.registrations.push_back(registration);
      return controller::RegisterAnswer{{}, 50, 3000};
    });
  }
  Result<controller::ReportAnswer> report(const controller::Report& report) override {
    return said<controller::ReportAnswer>([&]() -> Result<controller::ReportAnswer> {
      if (!report.damaged.empty() && played_.lose_damaged != 0) {
        --played_.lose_damaged;
        return away;
      }
      played_.reports.push_back(report);
      return played_.next;
    });
  }
  Result<std::vector<Verdict>> compare(const std::vector<ObjectKey>& found) override {
    return said<std::vector<Verdict>>([&]() -> Result<std::vector<Verdict>> {
      played_.compared.push_back(found);
      return std::vector<Verdict>(found.size(), played_.verdict);
    });
  }

  // What no node asks here.
  Result<controller::WriteTicket> begin_write(const controller::WriteRequest&) override { return away; }
  Result<controller::CommitAnswer> commit(const ObjectKey&, bool) override { return away; }
  Outcome abort(const ObjectKey&) override { return away; }
  Result<controller::ObjectPage> list(const std::string&, const std::string&, std::uint32_t,
                                      const std::string&) override {
    return away;
  }
  Result<controller::Object> stat(const std::string&, const std::string&) override { return away; }
  Result<std::uint64_t> remove(const std::string&, std::uint64_t) override { return away; }
  Result<controller::ReadTicket> open_read(const std::string&) override { return away; }
  Result<controller::Explanation> explain(const std::string&, const std::string&,
                                          const controller::WriteRequest&) override {
    return away;
  }
  Result<controller::Object> object(const ObjectKey&) override { return away; }
  Result<controller::SealedAnswer> sealed(const controller::SealedReport&) override { return away; }
  Result<controller::HoldingPage> holdings(std::uint64_t after, std::uint32_t) override {
    return said<controller::HoldingPage>([&]() -> Result<controller::HoldingPage> {
      ++played_.asked;
      std::this_thread::sleep_for(played_.holdings_take);
      controller::HoldingPage page;
      for (const controller::Holding& each : played_.holdings) {
        if (each.key.object > after && page.holdings.size() < played_.page) page.holdings.push_back(each);
      }
      if (page.holdings.size() == played_.page) page.next = page.holdings.back().key.object;
      return page;
    });
  }
  Result<controller::Status> status() override { return away; }
  Result<std::vector<controller::Node>> nodes() override { return away; }
  Result<controller::Node> set_node(const std::string&, controller::ServiceState) override { return away; }
  Outcome remove_node(const std::string&, controller::StoreDestroyed) override { return away; }
  Result<controller::ConfigurationVersion> configuration(std::uint64_t) override { return away; }
  Result<std::vector<controller::ConfigurationVersion>> configurations() override { return away; }
  Result<controller::ConfigurationChange> configure(const controller::ConfigurationRequest&) override {
    return away;
  }
  Result<controller::DomainPage> domains() override { return away; }
  Result<controller::AccountPage> accounts(const controller::AccountFilter&, std::uint64_t,
                                           std::uint32_t) override {
    return away;
  }
  Result<std::vector<controller::Usage>> usage(const std::string&, const std::string&, std::uint32_t,
                                               std::string&) override {
    return away;
  }
  Result<std::vector<controller::Association>> associations(const std::string&) override { return away; }
  Result<std::vector<controller::Event>> events(std::uint64_t, std::uint32_t) override { return away; }
  Outcome watch_events(
      std::optional<std::uint64_t>, bool,
      const std::function<bool(const std::vector<controller::Event>&, std::uint64_t)>&) override {
    return away;
  }
  Result<audit::DecisionPage> decisions(const audit::DecisionFilter&, std::uint64_t, std::uint32_t) override {
    return away;
  }
  Result<controller::AlarmPage> alarms(const controller::AlarmFilter&, const std::string&,
                                       std::uint32_t) override {
    return away;
  }
  Result<controller::ReshareView> start_reshare(const controller::ReshareRequest&, bool) override {
    return away;
  }
  Result<controller::ReshareView> cancel_reshare(std::uint64_t) override { return away; }
  Result<controller::ReshareViewPage> reshares(std::uint64_t, std::uint32_t, bool) override { return away; }
  Result<controller::Replacement> replace_node(const std::string&, const std::string&) override {
    return away;
  }
  Result<controller::ReplacementPlan> plan_replacement(const std::string&, const std::string&, std::uint64_t,
                                                       std::uint32_t) override {
    return away;
  }
  Outcome cancel_replacement(const std::string&) override { return away; }
  Result<std::vector<controller::Replacement>> replacements() override { return away; }
  Result<controller::Upkeep> upkeep() override { return away; }

 private:
  template <typename T, typename Say>
  Result<T> said(Say say) {
    const std::lock_guard lock(played_.mutex);
    played_.changed.notify_all();
    if (!played_.answers) return away;
    return say();
  }
  Played& played_;
};

class Link : public testing::Test {
 protected:
  void open(ControllerLink::Setup setup = {}) {
    setup.registration.roles = {pki::Role::shareholder};
    setup.registration.agent = "10.0.0.1:7000";
    if (!setup.fill) setup.fill = [](controller::Report& report) { report.used_bytes = 77; };
    if (!setup.ended) setup.ended = [](const ObjectKey&) {};
    setup.report = [this](std::string_view line) {
      const std::lock_guard lock(played_.mutex);
      log_.emplace_back(line);
      played_.changed.notify_all();
    };
    auto made = ControllerLink::make(std::move(setup), std::make_unique<Client>(played_));
    ASSERT_TRUE(made.ok());
    link_ = std::move(made.value());
    link_->start();
  }
  bool reported(std::size_t count) {
    return played_.wait([&] { return played_.reports.size() >= count; });
  }
  void answer(bool whether) {
    const std::lock_guard lock(played_.mutex);
    played_.answers = whether;
  }

  Played played_;
  std::vector<std::string> log_;
  std::unique_ptr<ControllerLink> link_;
};

TEST_F(Link, RegistersThenReports) {
  open();
  ASSERT_TRUE(reported(3));
  link_->stop();
  ASSERT_EQ(played_.registrations.size(), 1U);
  EXPECT_EQ(played_.registrations[0].agent, "10.0.0.1:7000");
  EXPECT_NE(played_.registrations[0].instance, controller::Bytes16{});
  EXPECT_EQ(played_.reports[0].instance, played_.registrations[0].instance);
  EXPECT_EQ(played_.reports[0].used_bytes, 77U);
  EXPECT_TRUE(link_->state().registered);
  EXPECT_TRUE(link_->state().trouble.empty());
}

TEST_F(Link, AControllerThatWasAwayIsRegisteredWithAgain) {
  answer(false);
  open();
  ASSERT_TRUE(played_.wait([&] { return !log_.empty(); }));
  EXPECT_THAT(log_[0], HasSubstr("nobody answers"));
  EXPECT_FALSE(link_->state().registered);
  answer(true);
  ASSERT_TRUE(reported(2));
  answer(false);
  ASSERT_TRUE(played_.wait([&] { return log_.size() >= 4; })) << "it is said once that it went";
  EXPECT_FALSE(link_->state().registered);
  answer(true);
  ASSERT_TRUE(played_.wait([&] { return played_.registrations.size() == 2; }));
  EXPECT_EQ(played_.registrations[0].instance, played_.registrations[1].instance) << "the same start";
}

TEST_F(Link, OrdersAreGivenOnceAndConfirmedWhenTheyAreDone) {
  std::vector<ObjectKey> orders;
  ControllerLink::Setup setup;
  setup.remove = [&](const ObjectKey& key) {
    const std::lock_guard lock(played_.mutex);
    orders.push_back(key);
    return true;
  };
  played_.next.remove = {{5, 1}};
  open(std::move(setup));
  ASSERT_TRUE(reported(4));
  {
    const std::lock_guard lock(played_.mutex);
    EXPECT_THAT(orders, ElementsAre(ObjectKey{5, 1})) << "repeated orders are the same order";
    for (const controller::Report& each : played_.reports) EXPECT_TRUE(each.removed.empty());
    played_.next.remove.clear();
  }
  link_->erased({5, 1});
  const auto confirmed = [&] {
    return std::any_of(played_.reports.begin(), played_.reports.end(),
                       [](const auto& each) { return each.removed == std::vector<ObjectKey>{{5, 1}}; });
  };
  ASSERT_TRUE(played_.wait(confirmed));
  const std::size_t seen = played_.reports.size();
  ASSERT_TRUE(reported(seen + 3));
  link_->stop();
  EXPECT_EQ(std::count_if(played_.reports.begin(), played_.reports.end(),
                          [](const auto& each) { return !each.removed.empty(); }),
            1)
      << "what the controller has heard is not said again";
  EXPECT_EQ(link_->state().removed, 1U);
}

TEST_F(Link, AConfirmationThatGotLostIsRepeated) {
  open();
  ASSERT_TRUE(reported(1));
  answer(false);
  link_->erased({9, 2});
  ASSERT_TRUE(played_.wait([&] { return log_.size() >= 2; }));
  answer(true);
  ASSERT_TRUE(played_.wait([&] {
    return std::any_of(played_.reports.begin(), played_.reports.end(),
                       [](const auto& each) { return !each.removed.empty(); });
  }));
}

TEST_F(Link, AnOrderThatFailedIsGivenAgain) {
  std::size_t orders = 0;
  ControllerLink::Setup setup;
  setup.remove = [&](const ObjectKey&) {
    const std::lock_guard lock(played_.mutex);
    played_.changed.notify_all();
    return ++orders >= 3;  // no room, twice
  };
  played_.next.remove = {{5, 1}};
  open(std::move(setup));
  ASSERT_TRUE(played_.wait([&] { return orders == 3; }));
  link_->not_erased({5, 1});
  EXPECT_TRUE(played_.wait([&] { return orders == 4; }));
  link_->stop();  // it knows of `orders`
}

TEST_F(Link, WritesThatAreOverAreEnded) {
  std::vector<ObjectKey> ended;
  ControllerLink::Setup setup;
  setup.fill = [](controller::Report& report) { report.writes = {{3, 1}}; };
  setup.ended = [&](const ObjectKey& key) {
    const std::lock_guard lock(played_.mutex);
    ended.push_back(key);
    played_.changed.notify_all();
  };
  played_.next.ended = {{3, 1}};
  open(std::move(setup));
  ASSERT_TRUE(played_.wait([&] { return !ended.empty(); }));
  EXPECT_EQ(ended[0], (ObjectKey{3, 1}));
  link_->stop();
  EXPECT_THAT(played_.reports[0].writes, ElementsAre(ObjectKey{3, 1}));
}

TEST_F(Link, RatesAreAskedForAndTaken) {
  std::vector<controller::RateLimit> got;
  ControllerLink::Setup setup;
  setup.fill = [](controller::Report& report) { report.rates = {{false, "alice", true}}; };
  setup.rates = [&](const controller::Report& asked, const controller::ReportAnswer& answer) {
    const std::lock_guard lock(played_.mutex);
    EXPECT_EQ(asked.rates.size(), 1U);
    got = answer.rates;
    played_.changed.notify_all();
  };
  played_.next.rates = {{5, 6, 7}};
  open(std::move(setup));
  ASSERT_TRUE(played_.wait([&] { return !got.empty(); }));
  EXPECT_EQ(got[0], (controller::RateLimit{5, 6, 7}));
  link_->stop();
  EXPECT_EQ(played_.reports[0].rates[0], (controller::RateUse{false, "alice", true}));
}

// Pages of what lies in the store; what the catalogue does not know is kept.
TEST_F(Link, ComparesItsStoreOnce) {
  for (const Verdict verdict : {Verdict::keep, Verdict::unknown, Verdict::remove}) {
    std::vector<ObjectKey> orders;
    played_.compared.clear();
    played_.reports.clear();
    played_.verdict = verdict;
    ControllerLink::Setup setup;
    setup.found = [](const ObjectKey& after) -> Result<std::vector<HeldShare>> {
      if (after.object >= 6) return std::vector<HeldShare>();
      return std::vector<HeldShare>{{{after.object + 1, 1}, 1, 8}, {{after.object + 2, 1}, 1, 8}};
    };
    setup.remove = [&](const ObjectKey& key) {
      const std::lock_guard lock(played_.mutex);
      orders.push_back(key);
      return true;
    };
    open(std::move(setup));
    ASSERT_TRUE(reported(4));
    link_->stop();
    ASSERT_EQ(played_.compared.size(), 3U);
    EXPECT_EQ(played_.compared[2][1], (ObjectKey{6, 1}));
    EXPECT_EQ(orders.size(), verdict == Verdict::remove ? 6U : 0U);
    EXPECT_EQ(link_->state().unknown, verdict == Verdict::unknown ? 6U : 0U);
    link_.reset();
  }
}

// A store that the test plays, in pages of two.
struct Store {
  std::mutex mutex;
  std::vector<HeldShare> shares;
  bool broken = false;
  std::function<Result<std::vector<HeldShare>>(const ObjectKey&)> found() {
    return [this](const ObjectKey& after) -> Result<std::vector<HeldShare>> {
      const std::lock_guard lock(mutex);
      if (broken)
        return Error{Exit::failed, "cannot list the shares", "the disk fails", "store", "replace it"};
      std::vector<HeldShare> page;
      for (const HeldShare& each : shares) {
        if (after < each.key && page.size() < 2) page.push_back(each);
      }
      return page;
    };
  }
};

controller::Holding sealed(std::uint64_t object, bool counts = true) {
  return {{object, 1}, 3, controller::ObjectState::committed, 8, 64, counts};
}
HeldShare good(std::uint64_t object) { return {{object, 1}, 3, 8}; }

class Holdings : public Link {
 protected:
  void open_store(std::chrono::milliseconds every = std::chrono::hours(1),
                  std::chrono::milliseconds least = std::chrono::hours(1)) {
    ControllerLink::Setup setup;
    setup.found = store_.found();
    setup.compare_every = every;
    setup.compare_least = least;
    open(std::move(setup));
  }
  bool compared(std::uint64_t times) {
    return played_.wait([&] { return link_->state().compared >= times; });
  }
  // Of all reports, in their order.
  std::vector<controller::DamagedShare> told() {
    std::vector<controller::DamagedShare> all;
    for (const controller::Report& each : played_.reports) {
      all.insert(all.end(), each.damaged.begin(), each.damaged.end());
    }
    return all;
  }
  Store store_;
};

// Of what should be here: what is not, what is another share, or not whole. What does not count yet, or any
// more, is nobody's business.
TEST_F(Holdings, TellsWhatIsMissingAndWhatIsNotWhole) {
  using controller::DamagedShare;
  using controller::ShareDamage;
  for (const std::size_t page : {1U, 2U, 3U, 1000U}) {
    played_.reports.clear();
    played_.page = page;
    played_.holdings = {sealed(1), sealed(2), sealed(3, false), sealed(4), sealed(5),
                        sealed(6), sealed(7), sealed(8),        sealed(9), sealed(UINT64_MAX)};
    store_.shares = {good(1), good(4), good(5), good(6), good(7), good(8), good(20)};
    store_.shares[1].damage = ShareDamage::damaged;
    store_.shares[2].damage = ShareDamage::incomplete;
    store_.shares[3].share = 2;
    store_.shares[4].cells = 7;
    store_.shares[5].cells = 0;
    store_.shares[5].unread = true;
    open_store();
    ASSERT_TRUE(compared(1));
    link_->stop();
    EXPECT_THAT(
        told(),
        ElementsAre(DamagedShare{{2, 1}, ShareDamage::missing}, DamagedShare{{4, 1}, ShareDamage::damaged},
                    DamagedShare{{5, 1}, ShareDamage::incomplete}, DamagedShare{{6, 1}, ShareDamage::missing},
                    DamagedShare{{7, 1}, ShareDamage::incomplete}, DamagedShare{{9, 1}, ShareDamage::missing},
                    DamagedShare{{UINT64_MAX, 1}, ShareDamage::missing}))
        << "pages of " << page;
    EXPECT_EQ(link_->state().damaged, 7U);
    link_.reset();
  }
}

TEST_F(Holdings, TellsWhatIsThereAfterAll) {
  using controller::DamagedShare;
  using controller::ShareDamage;
  played_.holdings = {sealed(1, false), sealed(2, false), sealed(3, false), sealed(4)};
  for (std::size_t i = 0; i < 3; ++i) played_.holdings[i].lost = true;
  store_.shares = {good(1), good(2), good(4)};
  store_.shares[1].damage = ShareDamage::incomplete;
  open_store();
  ASSERT_TRUE(compared(1));
  link_->stop();
  EXPECT_THAT(told(), ElementsAre(DamagedShare{{1, 1}, ShareDamage::mended}));
  EXPECT_EQ(link_->state().damaged, 0U);
}

// Of an empty object a store has nothing, and so it has lost nothing.
TEST_F(Holdings, MissesNothingOfEmptyObjects) {
  using controller::DamagedShare;
  using controller::ShareDamage;
  played_.holdings = {sealed(1), sealed(2), sealed(3, false), sealed(4)};
  played_.holdings[1].cells = played_.holdings[2].cells = 0;
  played_.holdings[2].lost = true;  // as was said of such ones once
  store_.shares = {good(1)};
  open_store();
  ASSERT_TRUE(compared(1));
  link_->stop();
  EXPECT_THAT(told(), ElementsAre(DamagedShare{{3, 1}, ShareDamage::mended},
                                  DamagedShare{{4, 1}, ShareDamage::missing}));
}

// A store that does not answer has lost nothing.
TEST_F(Holdings, SaysNothingOfAStoreThatFails) {
  played_.holdings = {sealed(1), sealed(2)};
  store_.broken = true;
  open_store();
  ASSERT_TRUE(compared(1));
  link_->stop();
  EXPECT_TRUE(told().empty());
}

// What the controller did not hear is looked for anew: it may be there by then.
TEST_F(Holdings, ComparesAgainWhereTheReportWasLost) {
  played_.holdings = {sealed(1), sealed(2)};
  store_.shares = {good(1)};
  played_.lose_damaged = 1;
  open_store(std::chrono::hours(1), std::chrono::milliseconds(0));
  ASSERT_TRUE(compared(1));
  link_->stop();
  EXPECT_GE(played_.asked, 2U);
  ASSERT_FALSE(told().empty());
  EXPECT_EQ(told().back(), (controller::DamagedShare{{2, 1}, controller::ShareDamage::missing}));
}

TEST_F(Holdings, ComparesAgainAfterAWhile) {
  played_.holdings = {sealed(1)};
  store_.shares = {good(1)};
  open_store(std::chrono::milliseconds(1));
  ASSERT_TRUE(compared(2));
  {
    const std::lock_guard lock(store_.mutex);
    store_.shares.clear();
  }
  ASSERT_TRUE(played_.wait([&] { return !told().empty(); }));
  link_->stop();
}

// What the store finds damaged is told soon, but not on and on.
TEST_F(Holdings, ComparesSoonWhereSomethingIsSuspected) {
  played_.holdings = {sealed(1)};
  store_.shares = {good(1)};
  open_store(std::chrono::hours(1), std::chrono::milliseconds(0));
  ASSERT_TRUE(compared(1));
  ASSERT_TRUE(reported(3));
  EXPECT_EQ(link_->state().compared, 1U) << "nothing is suspected";
  {
    const std::lock_guard lock(store_.mutex);
    store_.shares[0].damage = controller::ShareDamage::damaged;
  }
  link_->suspect();
  ASSERT_TRUE(played_.wait([&] { return !told().empty(); }));
  link_->stop();
  link_.reset();
  played_.reports.clear();
  open_store();  // not again so soon
  ASSERT_TRUE(compared(1));
  link_->suspect();
  std::size_t before = 0;
  ASSERT_TRUE(played_.wait([&] {
    before = played_.reports.size();
    return true;
  }));
  ASSERT_TRUE(reported(before + 4));
  link_->stop();
  EXPECT_EQ(link_->state().compared, 1U);
}

// Where there are many pages the heartbeat goes on.
TEST_F(Holdings, ReportsWhileItCompares) {
  for (std::uint64_t object = 1; object <= 40; ++object) {
    played_.holdings.push_back(sealed(object));
    store_.shares.push_back(good(object));
  }
  played_.page = 1;
  played_.holdings_take = std::chrono::milliseconds(20);
  open_store();
  ASSERT_TRUE(compared(1));
  link_->stop();
  EXPECT_GE(played_.reports.size(), 5U) << "40 pages of 20 ms, a report each 50 ms";
}

TEST_F(Link, AssociationsAreToldWhenTheyChange) {
  std::uint64_t epoch = 4;
  ControllerLink::Setup setup;
  setup.associations = [&] {
    const std::lock_guard lock(played_.mutex);
    return std::vector<controller::AssociationReport>{{"holder-1", epoch, {}}, {"holder-2", 1, {}}};
  };
  open(std::move(setup));
  ASSERT_TRUE(reported(3));
  {
    const std::lock_guard lock(played_.mutex);
    EXPECT_EQ(played_.reports[0].associations.size(), 2U);
    EXPECT_TRUE(played_.reports[1].associations.empty());
    epoch = 5;
  }
  ASSERT_TRUE(played_.wait([&] {
    return std::any_of(played_.reports.begin() + 2, played_.reports.end(), [](const auto& each) {
      return each.associations.size() == 1 && each.associations[0].epoch == 5;
    });
  }));
  link_->stop();
}

TEST_F(Link, EndsAtOnceWhateverItWaitsFor) {
  answer(false);
  open();
  ASSERT_TRUE(played_.wait([&] { return !log_.empty(); }));
  const auto begin = std::chrono::steady_clock::now();
  link_->stop();
  EXPECT_LT(std::chrono::steady_clock::now() - begin, seconds(2));
}

}  // namespace
}  // namespace ssn::dataplane
