// SPDX-License-Identifier: BSD-3-Clause
#include "ssn/dataplane/controller_link.h"

#include <fmt/core.h>
#include <sys/random.h>

#include <algorithm>
#include <cerrno>
#include <utility>

namespace ssn::dataplane {
namespace {

using controller::ObjectKey;
using controller::ShareDamage;
using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr milliseconds patience{3000};  // of a call
constexpr milliseconds back_off_least{100};
constexpr milliseconds back_off_most{5000};
constexpr milliseconds interval_least{50};
constexpr milliseconds interval_most{60'000};
constexpr std::size_t removals_max = 4096;  // that go on, or wait for their confirmation

// Which of these are not there as they should be, or are after all. Both ascend.
Result<std::vector<controller::DamagedShare>> find_damaged(
    const std::vector<controller::Holding>& holdings,
    const std::function<Result<std::vector<HeldShare>>(const ObjectKey&)>& found) {
  std::vector<controller::DamagedShare> damaged;
  std::vector<HeldShare> here;
  std::size_t at = 0;
  bool ended = false;
  // The one before the first.
  ObjectKey after;
  if (!holdings.empty() && holdings[0].key.object != 0) after = {holdings[0].key.object - 1, UINT32_MAX};
  for (const controller::Holding& holding : holdings) {
    if (!holding.sealed && !holding.lost) continue;
    if (holding.cells == 0) {  // of an empty object there is nothing to have
      if (holding.lost) damaged.push_back({holding.key, ShareDamage::mended});
      if (damaged.size() == controller::report_keys_max) break;
      continue;
    }
    while (!ended && (at == here.size() || here[at].key < holding.key)) {
      if (at != here.size()) {
        ++at;
        continue;
      }
      Result<std::vector<HeldShare>> page = found(after);
      if (!page.ok()) return page.error();
      here = std::move(page.value());
      at = 0;
      ended = here.empty();
      if (!ended) after = here.back().key;
    }
    ShareDamage damage = ShareDamage::missing;
    bool whole = false;
    if (!ended && here[at].key == holding.key && here[at].share == holding.share) {
      const HeldShare& held = here[at];
      const bool short_of =
          held.damage == ShareDamage::unknown && !held.unread && held.cells != holding.cells;
      damage = short_of ? ShareDamage::incomplete : held.damage;
      whole = damage == ShareDamage::unknown && !held.unread;
    }
    if (holding.lost && whole) damaged.push_back({holding.key, ShareDamage::mended});
    if (holding.sealed && damage != ShareDamage::unknown) damaged.push_back({holding.key, damage});
    if (damaged.size() == controller::report_keys_max) break;
  }
  return damaged;
}

}  // namespace

ControllerLink::ControllerLink(Setup setup, std::unique_ptr<client::ControllerClient> client)
    : setup_(std::move(setup)), client_(std::move(client)) {}

Result<std::unique_ptr<ControllerLink>> ControllerLink::make(Setup setup) {
  Result<std::unique_ptr<client::ControllerClient>> client =
      client::ControllerClient::make(setup.place, patience);
  if (!client.ok()) return client.error();
  return make(std::move(setup), std::move(client.value()));
}

Result<std::unique_ptr<ControllerLink>> ControllerLink::make(
    Setup setup, std::unique_ptr<client::ControllerClient> client) {
  controller::Bytes16& instance = setup.registration.instance;
  if (::getrandom(instance.data(), instance.size(), 0) != static_cast<ssize_t>(instance.size())) {
    return system_error(errno, "cannot draw the number of this start", "getrandom");
  }
  return std::unique_ptr<ControllerLink>(new ControllerLink(std::move(setup), std::move(client)));
}

ControllerLink::~ControllerLink() { stop(); }

void ControllerLink::start() {
  thread_ = std::thread([this] { run(); });
}

void ControllerLink::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    changed_.notify_all();
  }
  if (thread_.joinable()) thread_.join();
}

void ControllerLink::hurry() {
  const std::lock_guard lock(mutex_);
  hurried_ = true;
  changed_.notify_all();
}

void ControllerLink::suspect() {
  const std::lock_guard lock(mutex_);
  suspected_ = true;
}

ControllerLink::State ControllerLink::state() const {
  const std::lock_guard lock(mutex_);
  return state_;
}

void ControllerLink::erased(const ObjectKey& key) {
  const std::lock_guard lock(mutex_);
  ordered_.erase(key);
  if (erased_.size() < removals_max && erased_.insert(key).second) ++state_.removed;
  hurried_ = true;
  changed_.notify_all();
}

void ControllerLink::not_erased(const ObjectKey& key) {
  const std::lock_guard lock(mutex_);
  ordered_.erase(key);
}

// False: it is to end.
bool ControllerLink::wait(milliseconds time) {
  std::unique_lock lock(mutex_);
  changed_.wait_for(lock, time, [this] { return stopping_ || hurried_; });
  hurried_ = false;
  return !stopping_;
}

void ControllerLink::failed(const Error& error) {
  back_off_ = std::clamp(back_off_ * 2, back_off_least, back_off_most);
  bool first = false;
  {
    const std::lock_guard lock(mutex_);
    ++state_.failures;
    first = state_.trouble.empty();
    state_.trouble = error.why;
    // A restarted controller knows this start no more; registering again costs nothing.
    state_.registered = false;
  }
  if (first) setup_.report(fmt::format("controller: {}: {}", error.what, error.why));
}

void ControllerLink::succeeded() {
  back_off_ = milliseconds(0);
  bool again = false;
  {
    const std::lock_guard lock(mutex_);
    again = !state_.trouble.empty();
    state_.trouble.clear();
  }
  if (again) setup_.report("controller: answers again");
}

bool ControllerLink::register_node() {
  const Result<controller::RegisterAnswer> answer = client_->register_node(setup_.registration);
  if (!answer.ok()) {
    failed(answer.error());
    return false;
  }
  interval_ = std::clamp(milliseconds(answer.value().report_ms), interval_least, interval_most);
  succeeded();
  told_.clear();  // it may be another one, or have lost what it knew
  {
    const std::lock_guard lock(mutex_);
    state_.registered = true;
  }
  setup_.report("controller: registered");
  return true;
}

// Orders are repeated until they are confirmed; one that goes on is not given twice.
void ControllerLink::order_removal(const ObjectKey& key) {
  {
    const std::lock_guard lock(mutex_);
    if (erased_.contains(key) || ordered_.size() >= removals_max || !ordered_.insert(key).second) return;
  }
  if (setup_.remove && setup_.remove(key)) return;
  const std::lock_guard lock(mutex_);
  ordered_.erase(key);
}

// Those that changed since the controller heard of them.
void ControllerLink::add_associations(controller::Report& report) {
  if (!setup_.associations) return;
  for (controller::AssociationReport& each : setup_.associations()) {
    const auto told = told_.find(each.peer);
    if (told != told_.end() && told->second == each) continue;
    if (report.associations.size() < controller::associations_max) {
      report.associations.push_back(std::move(each));
    }
  }
}

bool ControllerLink::report_once() {
  controller::Report report;
  report.instance = setup_.registration.instance;
  setup_.fill(report);
  add_associations(report);
  report.damaged = std::exchange(damaged_, {});
  {
    const std::lock_guard lock(mutex_);
    const std::size_t most = controller::report_keys_max;
    for (const ObjectKey& key : erased_) {
      if (report.removed.size() < most) report.removed.push_back(key);
    }
  }
  const Result<controller::ReportAnswer> answer = client_->report(report);
  if (!answer.ok()) {
    failed(answer.error());
    return false;
  }
  succeeded();
  reported_ = steady_clock::now();
  for (controller::AssociationReport& each : report.associations) told_[each.peer] = std::move(each);
  {
    const std::lock_guard lock(mutex_);
    ++state_.reports;
    for (const ObjectKey& key : report.removed) erased_.erase(key);
  }
  if (answer.value().report_ms != 0) {
    interval_ = std::clamp(milliseconds(answer.value().report_ms), interval_least, interval_most);
  }
  for (const ObjectKey& key : answer.value().remove) order_removal(key);
  for (const ObjectKey& key : answer.value().ended) setup_.ended(key);
  if (setup_.rates) setup_.rates(report, answer.value());
  return true;
}

// A comparison takes a while where there are many: the node is alive meanwhile.
bool ControllerLink::report_if_due() { return steady_clock::now() < reported_ + interval_ || report_once(); }

bool ControllerLink::report_damaged(std::vector<controller::DamagedShare> damaged) {
  damaged_ = std::move(damaged);
  return report_once();
}

// What lies here that should not: orders that were given while this node was away. Nothing is ever removed
// because the controller does not know it.
bool ControllerLink::compare_found() {
  std::uint64_t unknown = 0;
  ObjectKey after;
  for (;;) {
    const Result<std::vector<HeldShare>> page = setup_.found(after);
    if (!page.ok()) {
      setup_.report(fmt::format("store: {}: {}", page.error().what, page.error().why));
      suspect();
      return true;
    }
    if (page.value().empty()) break;
    std::vector<ObjectKey> keys;
    for (const HeldShare& each : page.value()) {
      if (keys.empty() || keys.back() != each.key) keys.push_back(each.key);
    }
    const Result<std::vector<controller::Verdict>> verdicts = client_->compare(keys);
    if (!verdicts.ok()) {
      failed(verdicts.error());
      return false;
    }
    const std::size_t count = std::min(keys.size(), verdicts.value().size());
    for (std::size_t i = 0; i < count; ++i) {
      if (verdicts.value()[i] == controller::Verdict::remove) order_removal(keys[i]);
      if (verdicts.value()[i] == controller::Verdict::unknown) ++unknown;
    }
    after = keys.back();
    if (!report_if_due() || !wait(milliseconds(0))) return false;
  }
  if (unknown != 0) {
    setup_.report(
        fmt::format("controller: does not know {} generations that lie here; they are kept", unknown));
  }
  const std::lock_guard lock(mutex_);
  state_.unknown = unknown;
  return true;
}

// What should lie here and does not, or not whole. The store is asked after the controller, which counts on
// these shares: what is durable by then is found, however new it is.
bool ControllerLink::check_holdings() {
  std::uint64_t after = 0;
  std::uint64_t count = 0;
  do {
    const Result<controller::HoldingPage> page = client_->holdings(after, controller::page_max);
    if (!page.ok()) {
      failed(page.error());
      return false;
    }
    if (page.value().next != 0 && page.value().next <= after) {
      setup_.report("controller: repeats itself where it says what should lie here");
      return true;
    }
    Result<std::vector<controller::DamagedShare>> damaged = find_damaged(page.value().holdings, setup_.found);
    if (!damaged.ok()) {
      setup_.report(fmt::format("store: {}: {}", damaged.error().what, damaged.error().why));
      suspect();
      return true;
    }
    count += static_cast<std::uint64_t>(std::count_if(
        damaged.value().begin(), damaged.value().end(),
        [](const controller::DamagedShare& each) { return each.damage != ShareDamage::mended; }));
    const bool told = damaged.value().empty() ? report_if_due() : report_damaged(std::move(damaged.value()));
    if (!told || !wait(milliseconds(0))) return false;
    after = page.value().next;
  } while (after != 0);
  if (count != 0) {
    setup_.report(fmt::format("store: {} shares that should be here are missing or damaged", count));
  }
  const std::lock_guard lock(mutex_);
  state_.damaged = count;
  return true;
}

bool ControllerLink::is_comparison_due() {
  if (!setup_.found) return false;
  const std::lock_guard lock(mutex_);
  const steady_clock::time_point now = steady_clock::now();
  return !compared_ || now >= *compared_ + setup_.compare_every ||
         (suspected_ && now >= *compared_ + setup_.compare_least);
}

bool ControllerLink::compare() {
  {
    const std::lock_guard lock(mutex_);
    suspected_ = false;
  }
  if (!compare_found() || !check_holdings()) return false;
  compared_ = steady_clock::now();
  const std::lock_guard lock(mutex_);
  ++state_.compared;
  return true;
}

void ControllerLink::run() {
  do {
    const bool registered = state().registered;
    if ((registered || register_node()) && report_once() && is_comparison_due() && !compare()) {
      suspect();  // to the end, next time
    }
  } while (wait(back_off_ != milliseconds(0) ? back_off_ : interval_));
}

}  // namespace ssn::dataplane
