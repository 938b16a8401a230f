// SPDX-License-Identifier: BSD-3-Clause
#include "shareholder.h"

#include <algorithm>

#include "ssa_desk.h"

namespace ssn::sim {

using controller::DamagedShare;
using controller::Holding;
using controller::ObjectKey;
using controller::ShareDamage;
using store::ShareSummary;
using store::StoreResult;
using test::one_ms;

namespace {

constexpr std::uint64_t report_ns = 100 * one_ms;
constexpr std::uint64_t compare_ns = 1000 * one_ms;

// What is wrong with a share that should be here; unknown: nothing, or nobody could tell.
ShareDamage damage_of(const Holding& holding, const std::vector<ShareSummary>& here, bool& whole) {
  whole = holding.cells == 0;
  if (whole) return ShareDamage::unknown;
  const auto found = std::find_if(here.begin(), here.end(), [&](const ShareSummary& each) {
    return each.id.object == holding.key.object && each.id.generation == holding.key.generation &&
           each.id.share == holding.share;
  });
  if (found == here.end()) return ShareDamage::missing;
  if (found->state == StoreResult::quarantined) return ShareDamage::damaged;
  if (found->state == StoreResult::incomplete) return ShareDamage::incomplete;
  whole = found->state == StoreResult::done && found->cells == holding.cells;
  return found->state == StoreResult::done && !whole ? ShareDamage::incomplete : ShareDamage::unknown;
}

// As the agent reads the controller's messages.
roles::ReshareGeneration generation_of(const controller::ReshareGeneration& from) {
  roles::ReshareGeneration to;
  to.generation = static_cast<std::uint32_t>(from.generation);
  to.layout.scheme = scheme_of(from.layout.scheme);
  to.layout.k = static_cast<std::uint8_t>(from.layout.k);
  to.layout.n = static_cast<std::uint8_t>(from.layout.n);
  to.layout.secret_blocks = static_cast<std::uint8_t>(from.layout.secret_blocks);
  for (const controller::Holder& holder : from.layout.holders) {
    to.layout.nodes.push_back(holder.node.empty() ? 0 : roles::node_number(holder.node));
  }
  for (const controller::AttemptRun& run : from.attempts) {
    to.runs.push_back({static_cast<std::uint32_t>(run.first_cell), static_cast<std::uint16_t>(run.attempt)});
  }
  return to;
}

roles::ReshareOrder order_of(const controller::ReshareOrder& from) {
  roles::ReshareOrder to;
  to.job = from.job;
  to.round = static_cast<std::uint16_t>(from.round);
  to.operation = static_cast<roles::ReshareOperation>(from.operation);
  to.object = from.object;
  to.cells = static_cast<std::uint32_t>(from.cells);
  to.cell_bytes = from.cell_bytes;
  to.source = generation_of(from.source);
  to.target = generation_of(from.target);
  for (const std::uint32_t share : from.from) to.from.push_back(static_cast<std::uint8_t>(share));
  for (const std::uint32_t share : from.to) to.to.push_back(static_cast<std::uint8_t>(share));
  to.checker = from.checker.empty() ? 0 : roles::node_number(from.checker);
  to.first = static_cast<std::uint32_t>(from.first);
  to.end = static_cast<std::uint32_t>(from.end);
  to.unit_cells = static_cast<std::uint8_t>(from.unit_cells);
  to.window = static_cast<std::uint8_t>(from.window);
  to.bytes_per_second = from.bytes_per_second;
  to.stall_ns = std::uint64_t{from.stall_ms} * one_ms;
  return to;
}

controller::ReshareStatus status_of(const roles::ReshareStatus& from, std::size_t holders) {
  controller::ReshareStatus to;
  to.job = from.job;
  to.round = from.round;
  to.state = static_cast<controller::ReshareState>(from.state);
  to.trouble = static_cast<controller::ReshareTrouble>(from.trouble);
  to.verdict = static_cast<controller::CheckVerdict>(from.verdict);
  to.through = from.through;
  to.computational = from.computational;
  for (std::size_t i = 0; i < holders; ++i) {
    const std::string name = Shareholder::name_of(i);
    if (roles::node_number(name) == from.node) to.node = name;
  }
  return to;
}

}  // namespace

// What it is ordered, unless this promise is the one to be broken.
roles::ReshareAnswer Shareholder::carry_out(const controller::ReshareOrder& order) {
  if (fault_ == ControlFault::commits_early) {
    claimed_[order.job] = order.round;
    return roles::ReshareAnswer::taken;
  }
  const bool checks = order.operation == controller::ReshareOperation::check;
  if (fault_ == ControlFault::erases_early && checks && order.source.generation != order.target.generation) {
    order_removal(*life_, {order.object, order.source.generation});
  }
  return peers_.at(at_)->order(order_of(order), world_.now_ns);
}

bool Shareholder::answer(const controller::NodeQuestion& question, controller::NodeReply& reply) {
  roles::Resharer* const resharer = peers_.at(at_);
  if (life_ == nullptr || resharer == nullptr) return false;
  if (question.call == controller::NodeCall::list) {
    std::array<roles::ReshareStatus, 128> jobs;
    const std::size_t count = resharer->list(jobs);
    for (std::size_t i = 0; i < count; ++i) {
      reply.jobs.push_back(status_of(jobs[i], world_.holders.size()));
      controller::CheckVerdict& verdict = reply.jobs.back().verdict;
      const bool skips = fault_ == ControlFault::skips_check && verdict == controller::CheckVerdict::failed;
      if (skips) verdict = controller::CheckVerdict::passed;
    }
    for (const auto& [job, round] : claimed_) {
      using State = controller::ReshareState;
      using Verdict = controller::CheckVerdict;
      reply.jobs.push_back({job, round, State::done, {}, Verdict::passed, {}, 0, false});
    }
    return true;
  }
  const bool old = question.term < term_ && fault_ != ControlFault::takes_old_terms;
  reply.term = term_ = std::max(term_, question.term);
  if (old) {
    reply.answer = controller::ReshareAnswer::old_term;
  } else if (question.call == controller::NodeCall::cancel) {
    (void)resharer->cancel(question.job);
  } else {
    const roles::ReshareAnswer said = carry_out(question.order);
    reply.answer = static_cast<controller::ReshareAnswer>(static_cast<int>(said) + 1);
  }
  return true;
}

Shareholder::Shareholder(test::SsaWorld& world, ControlNet& net, ControllerProcess& controller,
                         HolderPeers& peers, std::size_t at, ControlFault fault)
    : world_(world),
      net_(net),
      controller_(controller),
      peers_(peers),
      at_(at),
      fault_(fault),
      name_(name_of(at)),
      random_(world.seed * 131 + at) {
  started();
}

void Shareholder::started() {
  life_ = std::make_shared<Life>();
  random_.fill(life_->instance.data(), life_->instance.size());
  life_->next_ns = world_.now_ns + random_.below(report_ns);
}

// Asks the controller; what it says is taken by the start that asked, if an answer comes.
template <typename T, typename Ask, typename Take>
void Shareholder::call(Ask ask, Take take) {
  const auto answer = std::make_shared<Result<T>>(Error{});
  life_->busy = true;
  net_.call(
      name_,
      [this, ask, answer] {
        return controller_.serve(
            [&](controller::Catalogue& catalogue, controller::Now now) { *answer = ask(catalogue, now); });
      },
      [asker = std::weak_ptr(life_), answer, take](bool reached) {
        const auto life = asker.lock();
        if (life == nullptr) return;
        life->busy = false;
        if (!reached || !answer->ok()) {
          life->registered = false;  // a restarted controller knows this start no more
          return;
        }
        take(*life, answer->value());
      });
}

void Shareholder::register_node() {
  controller::Registration registration;
  registration.instance = life_->instance;
  registration.roles = {pki::Role::shareholder};
  registration.agent = "192.0.2.1:7000";
  registration.data_addresses = {"192.0.2.1:4711"};
  call<controller::RegisterAnswer>(
      [this, registration](controller::Catalogue& catalogue, controller::Now now) {
        return catalogue.register_node(now, name_, {pki::Role::shareholder}, registration);
      },
      [](Life& life, const controller::RegisterAnswer&) { life.registered = true; });
}

void Shareholder::order_removal(Life& life, const ObjectKey& key) {
  const bool known =
      life.erased.contains(key) || std::any_of(life.ordered.begin(), life.ordered.end(),
                                               [&](const auto& each) { return each.second == key; });
  roles::Holder* const holder = world_.holders[at_]->holder.get();
  if (known || holder == nullptr) return;
  const store::GenerationId generation{key.object, static_cast<std::uint32_t>(key.generation)};
  if (holder->remove(generation, ++tokens_)) life.ordered[tokens_] = key;
}

void Shareholder::take_outcomes() {
  std::array<roles::LocalOutcome, 16> outcomes;
  while (const std::size_t count = world_.holders[at_]->holder->take_outcomes(outcomes)) {
    for (std::size_t i = 0; i < count; ++i) {
      const auto found = life_->ordered.find(outcomes[i].token);
      if (found == life_->ordered.end()) continue;
      const StoreResult result = outcomes[i].result;
      if (result == StoreResult::done || result == StoreResult::not_found) {
        life_->erased.insert(found->second);
        ++erased_count_;
      }
      life_->ordered.erase(found);
    }
  }
}

void Shareholder::report() {
  const auto status = world_.holders[at_]->store.store().status();
  controller::Report report;
  report.instance = life_->instance;
  report.capacity_bytes = std::uint64_t{1} << 40;
  report.used_bytes = status.stored_bytes;
  report.objects = status.generations;
  if (status.read_only || status.full) report.read_only = status.why.what + ": " + status.why.why;
  report.removed.assign(life_->erased.begin(), life_->erased.end());
  report.damaged = life_->damaged;
  call<controller::ReportAnswer>(
      [this, report](controller::Catalogue& catalogue, controller::Now now) {
        return catalogue.report(now, name_, report);
      },
      [this, report](Life& life, const controller::ReportAnswer& answer) {
        for (const ObjectKey& key : report.removed) life.erased.erase(key);
        if (life.damaged == report.damaged) life.damaged.clear();
        for (const ObjectKey& key : answer.remove) order_removal(life, key);
      });
}

std::vector<ShareSummary> Shareholder::look() {
  store::ShareStore& store = world_.holders[at_]->store.store();
  const auto all = store.list({}, 1000);
  if (!all.ok()) return {};
  for (const ShareSummary& each : all.value()) {
    for (std::uint32_t stripe = 0; stripe != UINT32_MAX;) stripe = store.check(each.id, stripe).next;
  }
  auto again = store.list({}, 1000);
  return again.ok() ? std::move(again.value()) : std::vector<ShareSummary>();
}

// Orders that were given while it was away; then what should be here.
void Shareholder::compare() {
  std::vector<ObjectKey> found;
  for (const ShareSummary& each : look()) {
    const ObjectKey key{each.id.object, each.id.generation};
    if (found.empty() || found.back() != key) found.push_back(key);
  }
  call<std::vector<controller::Verdict>>(
      [this, found](controller::Catalogue& catalogue, controller::Now now) {
        return catalogue.compare(now, name_, found);
      },
      [this, found](Life& life, const std::vector<controller::Verdict>& verdicts) {
        for (std::size_t i = 0; i < std::min(found.size(), verdicts.size()); ++i) {
          if (verdicts[i] == controller::Verdict::remove) order_removal(life, found[i]);
        }
        life.compares = true;
      });
}

void Shareholder::check_holdings() {
  call<controller::HoldingPage>(
      [this](controller::Catalogue& catalogue, controller::Now) {
        return catalogue.holdings(name_, 0, controller::page_max);
      },
      [this](Life& life, const controller::HoldingPage& page) {
        life.compares = false;
        life.compare_ns = world_.now_ns + compare_ns;
        const std::vector<ShareSummary> here = look();
        for (const Holding& each : page.holdings) {
          bool whole = false;
          const ShareDamage damage = damage_of(each, here, whole);
          if (each.lost && whole) life.damaged.push_back({each.key, ShareDamage::mended});
          if (each.sealed && damage != ShareDamage::unknown) life.damaged.push_back({each.key, damage});
        }
      });
}

void Shareholder::step() {
  if (life_ == nullptr || !world_.holders[at_]->alive) return;
  take_outcomes();
  if (life_->busy || world_.now_ns < life_->next_ns) return;
  if (!life_->registered) {
    life_->next_ns = world_.now_ns + report_ns;
    register_node();
  } else if (life_->compares) {
    check_holdings();
  } else if (world_.now_ns >= life_->compare_ns && life_->damaged.empty()) {
    life_->compare_ns = world_.now_ns + compare_ns;
    compare();
  } else {
    life_->next_ns = world_.now_ns + report_ns;
    report();
  }
}

}  // namespace ssn::sim
