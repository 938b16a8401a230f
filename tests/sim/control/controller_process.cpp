// SPDX-License-Identifier: BSD-3-Clause
#include "controller_process.h"

#include <algorithm>
#include <utility>

#include "keys.h"

namespace ssn::sim {

using controller::NodeQuestion;
using controller::NodeReply;
using test::one_ms;

namespace {

constexpr std::uint64_t step_ns = 20 * one_ms;
constexpr std::uint64_t tick_ns = 1000 * one_ms;
constexpr std::uint64_t wall_ms = 1'700'000'000'000;
// Which commit is lost, of those that change what objects there are: each is an answer to an owner.
constexpr unsigned lost_commit_most = 3;

}  // namespace

Error MortalDatabase::power_failure() {
  return {Exit::temporary, "cannot use the database", "power went", "simulation", "start again"};
}

Result<std::optional<std::string>> MortalDatabase::get(std::string_view key) {
  if (dead_) return power_failure();
  return below_.get(key);
}

Result<std::vector<controller::Row>> MortalDatabase::scan(std::string_view from, std::string_view to,
                                                          std::size_t limit) {
  if (dead_) return power_failure();
  if (!hidden_.empty() && from.starts_with(hidden_)) return std::vector<controller::Row>();
  return below_.scan(from, to, limit);
}

Outcome MortalDatabase::commit(const controller::Changes& changes) {
  if (dead_) return power_failure();
  const auto names = [](const auto& each) { return each.first.starts_with(controller::keys::all_names); };
  if (lost_in_ != 0 && std::any_of(changes.begin(), changes.end(), names) && --lost_in_ == 0) return done;
  if (!dropped_.empty()) {
    controller::Changes kept = changes;
    std::erase_if(kept, [this](const auto& each) { return each.first.starts_with(dropped_); });
    return below_.commit(kept);
  }
  if (countdown_ == 0 || --countdown_ != 0) return below_.commit(changes);
  dead_ = true;
  if (applied_) {
    if (Outcome written = below_.commit(changes); !written.ok()) return written;
  }
  return power_failure();
}

// Questions of one process: what comes back after its end finds nobody.
class ControllerProcess::Nodes final : public controller::ReshareNodes,
                                       public std::enable_shared_from_this<ControllerProcess::Nodes> {
 public:
  using Term = std::function<void(std::uint64_t)>;
  Nodes(ControlNet& net, const Answer& answer, Term term)
      : net_(net), answer_(answer), term_(std::move(term)) {}

  void ask(NodeQuestion question) override {
    term_(question.term);
    const auto reply = std::make_shared<NodeReply>();
    reply->call = question.call;
    reply->node = question.node;
    reply->job = question.job;
    reply->round = question.order.round;
    const std::string node = question.node;
    net_.call(
        node, [answer = answer_, asked = std::move(question), reply] { return answer(asked, *reply); },
        [asker = weak_from_this(), reply](bool reached) {
          const auto here = asker.lock();
          if (here == nullptr) return;
          NodeReply told = *reply;
          told.reached = reached;
          here->replies_.push_back(std::move(told));
        });
  }
  std::vector<NodeReply> replies() override { return std::exchange(replies_, {}); }

 private:
  ControlNet& net_;
  const Answer answer_;
  const Term term_;
  std::vector<NodeReply> replies_;
};

ControllerProcess::ControllerProcess(test::SsaWorld& world, ControlNet& net, controller::Policy policy,
                                     ControlFault fault, Answer answer, Say say)
    : world_(world),
      net_(net),
      policy_(std::move(policy)),
      fault_(fault),
      answer_(std::move(answer)),
      say_(std::move(say)),
      disk_(controller::make_memory_database()),
      random_(world.seed * 31 + 7) {
  if (fault == ControlFault::loses_commit) {
    lose_in_ = static_cast<unsigned>(test::TestRandom(world.seed * 53 + 1).between(1, lost_commit_most));
  }
  start();
}

ControllerProcess::~ControllerProcess() { kill(); }

controller::Now ControllerProcess::now() const {
  const std::uint64_t ms = world_.now_ns / one_ms;
  return {wall_ms + ms + static_cast<std::uint64_t>(wall_offset_ms_),
          (world_.now_ns - started_ns_) / one_ms + 5000 * std::uint64_t{starts_}};
}

// The fault that lies in what the controller keeps, if any.
void ControllerProcess::plant() {
  if (lose_in_ != 0) database_->lose_in(lose_in_ - 1);
  if (fault_ == ControlFault::forgets_removals) database_->drop(controller::keys::all_removals);
}

void ControllerProcess::start() {
  if (alive()) return;
  ++starts_;
  started_ns_ = world_.now_ns;
  database_ = std::make_unique<MortalDatabase>(*disk_);
  plant();
  nodes_ = std::make_shared<Nodes>(net_, answer_, [this](std::uint64_t term) {
    if (terms_.try_emplace(term, starts_).first->second != starts_)
      wrong_.assign("two controllers have one term");
  });
  auto opened = controller::Catalogue::open(
      *database_, policy_, [this](std::uint8_t* out, std::size_t bytes) { random_.fill(out, bytes); }, now());
  if (!opened.ok()) {
    wrong_ = "the catalogue does not open: " + opened.error().why;
    return;
  }
  catalogue_ = std::move(opened.value());
  if (fault_ == ControlFault::forgets_jobs) database_->hide(controller::keys::all_running);
  auto manager = controller::ReshareManager::open(*catalogue_, *nodes_, now());
  database_->hide({});
  if (!manager.ok()) {
    wrong_ = "no jobs of the database are taken over: " + manager.error().why;
    kill();
    return;
  }
  manager_ = std::move(manager.value());
  next_step_ns_ = next_tick_ns_ = world_.now_ns;
  say_("the controller starts");
}

void ControllerProcess::kill() {
  if (alive()) say_("the controller is killed");
  if (database_ != nullptr) lose_in_ = database_->lost_in();
  manager_.reset();
  nodes_.reset();
  catalogue_.reset();
  database_.reset();
}

void ControllerProcess::step() {
  if (!alive() || world_.now_ns < next_step_ns_) return;
  next_step_ns_ = world_.now_ns + step_ns;
  const auto report = [this](const char* what, const Outcome& outcome) {
    if (!outcome.ok() && outcome.error().code != Exit::temporary) {
      wrong_ = std::string(what) + ": " + outcome.error().what + ": " + outcome.error().why;
    }
  };
  (void)serve([&](controller::Catalogue& catalogue, controller::Now time) {
    report("the manager", manager_->step(time));
    if (world_.now_ns < next_tick_ns_) return;
    next_tick_ns_ = world_.now_ns + tick_ns;
    report("the catalogue", catalogue.tick(time));
  });
}

}  // namespace ssn::sim
