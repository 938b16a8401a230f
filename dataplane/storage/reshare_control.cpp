// SPDX-License-Identifier: BSD-3-Clause
#include "reshare_control.h"

#include <fmt/core.h>

#include <algorithm>

#include "reshare_setup.h"

namespace ssn::dataplane {
namespace {

using agent::CancelReply;
using agent::OrderReply;
using agent::ReshareReport;
using agent::TermState;
using roles::ReshareState;
using std::chrono::milliseconds;

// Of what has other things to do than to wait.
constexpr milliseconds short_patience{200};

Error late(const char* what) {
  return {Exit::temporary, what, "a worker does not answer, or has no room", "", "ask again"};
}

class OrderErrand final : public Errand {
 public:
  OrderErrand(const StorageMember& member, const roles::ReshareOrder& order, OrderTerm term)
      : Errand(*member.thread, term), role_(*member.holder), order_(order) {}
  roles::ReshareAnswer answer = roles::ReshareAnswer::malformed;

 private:
  void run() override { answer = role_.order(order_, worker().now_ns()); }
  HolderRole& role_;
  const roles::ReshareOrder order_;
};

class CancelErrand final : public Errand {
 public:
  CancelErrand(const StorageMember& member, std::uint64_t job, OrderTerm term)
      : Errand(*member.thread, term), role_(*member.holder), job_(job) {}
  bool known = false;

 private:
  void run() override { known = role_.cancel(job_); }
  HolderRole& role_;
  const std::uint64_t job_;
};

class ListErrand final : public Errand {
 public:
  explicit ListErrand(const StorageMember& member)
      : Errand(*member.thread), role_(*member.holder), jobs(role_.jobs_limit()) {}

 private:
  void run() override { count = role_.resharer()->list(jobs); }
  HolderRole& role_;

 public:
  std::vector<roles::ReshareStatus> jobs;
  std::size_t count = 0;
};

constexpr const char* operation_words[] = {"none",         "exchange", "repair", "refresh",
                                           "redistribute", "seal",     "check"};
static_assert(std::size(operation_words) == roles::reshare_operations);
constexpr const char* trouble_words[] = {"another round was ordered", "no progress",
                                         "the connection ended",      "its share is not there, or damaged",
                                         "the store takes nothing",   "the store has something else there",
                                         "cells are missing",         "what it has of the target was damaged",
                                         "no random blocks",          "too few keys, or no pads"};
static_assert(std::size(trouble_words) == static_cast<std::size_t>(roles::ReshareTrouble::no_keys) + 1);
constexpr const char* verdict_words[] = {"", ", passed", ", FAILED", ", unverified"};
static_assert(std::size(verdict_words) == static_cast<std::size_t>(roles::CheckVerdict::unverified) + 1);

const char* operation_of(const roles::ReshareStatus& status) {
  return operation_words[static_cast<std::size_t>(status.operation)];
}

}  // namespace

Result<std::unique_ptr<ReshareControl>> ReshareControl::make(Setup setup) {
  Result<TermFile> term = TermFile::open(setup.configuration->ledger + ".term");
  if (!term.ok()) return term.error();
  std::unique_ptr<ReshareControl> control(new ReshareControl(std::move(setup), std::move(term.value())));
  control->ended_.resize(control->setup_.members.size());
  return control;
}

// Before anything is done under a higher term it is on disk.
Result<TermState> ReshareControl::see(std::uint64_t term) {
  const std::lock_guard lock(term_mutex_);
  if (Outcome outcome = term_.see(term); !outcome.ok()) return outcome.error();
  highest_.store(term_.highest(), std::memory_order_release);
  return TermState{term < term_.highest(), term_.highest()};
}

Result<OrderReply> ReshareControl::order_reshare(std::uint64_t term, const roles::ReshareOrder& order) {
  const Result<TermState> seen = see(term);
  if (!seen.ok()) return seen.error();
  OrderReply reply{seen.value(), {}};
  if (reply.term.is_old) return reply;
  if (setup_.guard != nullptr) {
    const Result<roles::ReshareAnswer> permitted = setup_.guard->check_order(order);
    if (!permitted.ok()) return permitted.error();
    reply.answer = permitted.value();
    if (reply.answer != roles::ReshareAnswer::taken) return reply;
  }
  roles::ReshareOrder limited = order;
  limited.bytes_per_second =
      lesser_rate(order.bytes_per_second, setup_.configuration->shareholder.reshare_rate);
  const auto errand = std::make_shared<OrderErrand>(member_of(order.job), limited, order_term(term));
  const Errands::Ran ran = setup_.errands->run(errand, setup_.patience);
  if (ran == Errands::Ran::old) return OrderReply{old_term(), {}};
  if (ran != Errands::Ran::yes) return late("cannot order re-sharing");
  reply.answer = errand->answer;
  return reply;
}

Result<CancelReply> ReshareControl::cancel_reshare(std::uint64_t term, std::uint64_t job) {
  const Result<TermState> seen = see(term);
  if (!seen.ok()) return seen.error();
  CancelReply reply{seen.value(), false};
  if (reply.term.is_old) return reply;
  const auto errand = std::make_shared<CancelErrand>(member_of(job), job, order_term(term));
  const Errands::Ran ran = setup_.errands->run(errand, setup_.patience);
  if (ran == Errands::Ran::old) return CancelReply{old_term(), false};
  if (ran != Errands::Ran::yes) return late("cannot cancel re-sharing");
  reply.known = errand->known;
  return reply;
}

std::string ReshareControl::name_of(std::uint64_t node) const {
  if (node == 0) return "";
  for (const PeerConfiguration& peer : setup_.configuration->peers) {
    if (roles::node_number(peer.name) == node) return peer.name;
  }
  return fmt::format("{:016x}", node);
}

Result<std::vector<ReshareReport>> ReshareControl::list(const StorageMember& member, milliseconds patience) {
  const auto errand = std::make_shared<ListErrand>(member);
  if (setup_.errands->run(errand, patience) != Errands::Ran::yes) return late("cannot list re-sharing");
  std::vector<ReshareReport> reports;
  for (std::size_t i = 0; i < errand->count; ++i) {
    reports.push_back({errand->jobs[i], name_of(errand->jobs[i].node)});
  }
  return reports;
}

Result<std::vector<ReshareReport>> ReshareControl::reshares() {
  std::vector<ReshareReport> all;
  for (const StorageMember* const member : setup_.members) {
    Result<std::vector<ReshareReport>> some = list(*member, setup_.patience);
    if (!some.ok()) return some.error();
    all.insert(all.end(), some.value().begin(), some.value().end());
  }
  std::sort(all.begin(), all.end(),
            [](const ReshareReport& a, const ReshareReport& b) { return a.status.job < b.status.job; });
  return all;
}

// ---- Erasing. Several may wait for the same generation.
Result<TermState> ReshareControl::erase(std::uint64_t term, std::uint64_t object, std::uint32_t generation) {
  const char* const what = "cannot erase a generation";
  const Result<TermState> seen = see(term);
  if (!seen.ok() || seen.value().is_old) return seen;
  const Generation key{object, generation};
  std::unique_lock lock(mutex_);
  Waiting& mine = waiting_[key];  // it stays while somebody waits
  ++mine.callers;
  const std::uint64_t before = mine.answers;
  const auto over = [&] { return mine.answers != before; };
  lock.unlock();
  const bool ordered = setup_.remove(object, generation, order_term(term));
  lock.lock();
  if (ordered) changed_.wait_for(lock, setup_.patience, [&] { return over() || refusing_; });
  const bool answered = over();
  const std::string trouble = mine.trouble;
  if (--mine.callers == 0) waiting_.erase(key);
  if (!answered) {
    if (order_term(term).is_old()) return old_term();
    return Error{Exit::temporary, what, ordered ? "the store did not answer in time" : "too many go already",
                 "", "ask again: it may be gone then"};
  }
  if (!trouble.empty()) {
    return Error{Exit::temporary, what, trouble, fmt::format("{:016x}", object), "look at the node's store"};
  }
  return seen;
}

void ReshareControl::removed(std::uint64_t object, std::uint32_t generation, const std::string& trouble) {
  if (trouble.empty() && setup_.guard != nullptr) setup_.guard->forget(object, generation);
  const std::lock_guard lock(mutex_);
  const auto found = waiting_.find({object, generation});
  if (found == waiting_.end()) return;
  ++found->second.answers;
  found->second.trouble = trouble;
  changed_.notify_all();
}

void ReshareControl::refuse() {
  const std::lock_guard lock(mutex_);
  refusing_ = true;
  changed_.notify_all();
}

// ---- What is told.
void ReshareControl::report_ended(const ReshareReport& report) {
  const roles::ReshareStatus& status = report.status;
  const auto said = std::make_pair(status.round, status.state);
  if (status.state == ReshareState::running || status.state == ReshareState::none) return;
  const auto [entry, is_new] = logged_.try_emplace(status.job, said);
  if (!is_new && entry->second == said) return;
  entry->second = said;
  const std::string who =
      fmt::format("reshare: job {:x} round {}: {}", status.job, status.round, operation_of(status));
  if (status.state == ReshareState::failed) {
    setup_.report(fmt::format("{} failed at cell {}: {}{}{}", who, status.through,
                              trouble_words[static_cast<std::size_t>(status.trouble)],
                              report.node.empty() ? "" : ": ", report.node));
    return;
  }
  setup_.report(fmt::format(
      "{} {}{}: {} cells given, {} taken", who, status.state == ReshareState::done ? "done" : "cancelled",
      verdict_words[static_cast<std::size_t>(status.verdict)], status.cells_given, status.cells_taken));
}

void ReshareControl::tend() {
  for (std::size_t i = 0; i < setup_.members.size(); ++i) {
    const std::uint64_t now = setup_.members[i]->holder->ended();
    if (now == ended_[i]) continue;
    const Result<std::vector<ReshareReport>> reports = list(*setup_.members[i], short_patience);
    if (!reports.ok()) continue;
    ended_[i] = now;
    for (const ReshareReport& report : reports.value()) report_ended(report);
    // What workers have forgotten needs no memory here.
    std::erase_if(logged_, [&](const auto& each) {
      return each.first % setup_.members.size() == i &&
             std::none_of(reports.value().begin(), reports.value().end(),
                          [&](const ReshareReport& report) { return report.status.job == each.first; });
    });
  }
}

void ReshareControl::add_status(agent::Status& status) {
  for (const StorageMember* const member : setup_.members) {
    const Result<std::vector<ReshareReport>> reports = list(*member, short_patience);
    if (!reports.ok()) {
      status.items.push_back(
          {"reshare", fmt::format("worker {}", member->thread->index()), false, "does not answer", {}});
      continue;
    }
    for (const ReshareReport& report : reports.value()) {
      if (report.status.state != ReshareState::running) continue;
      status.items.push_back({"reshare",
                              fmt::format("{:x}", report.status.job),
                              true,
                              operation_of(report.status),
                              {{"round", fmt::format("{}", report.status.round)},
                               {"through", fmt::format("{} cells", report.status.through)},
                               {"given", fmt::format("{} cells", report.status.cells_given)},
                               {"taken", fmt::format("{} cells", report.status.cells_taken)}}});
    }
  }
}

}  // namespace ssn::dataplane
