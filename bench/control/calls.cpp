// SPDX-License-Identifier: BSD-3-Clause
#include "calls.h"

#include <fmt/core.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <random>
#include <thread>

#include "controller_client.h"
#include "filler.h"

namespace ssn::bench {
namespace {

using namespace ssn::controller;
using client::ControllerClient;
using Clock = std::chrono::steady_clock;

constexpr std::uint32_t page = 1000;
constexpr Bytes16 instance = {1};

Error wrong(const char* what, const std::string& where) {
  return {Exit::integrity, "cannot measure the controller", what, where, "report this as a bug"};
}

Result<std::unique_ptr<ControllerClient>> connect(const Question& question, const std::string& who) {
  const std::string base = question.folder + "/" + who;
  return ControllerClient::make(
      {question.address, "controller", base + ".crt", base + ".key", question.folder + "/ca.crt"},
      std::chrono::seconds(60));
}

// One of those that ask at the same time.
struct Asker {
  std::unique_ptr<ControllerClient> owner;
  std::unique_ptr<ControllerClient> ssa;
  std::unique_ptr<ControllerClient> operators;
  std::mt19937_64 random;
  std::uint64_t objects = 0;
  std::uint64_t number = 0;  // of what it writes
  std::uint64_t next = 0;    // whose route it asks for
  std::uint64_t step = 1;
  std::string after;  // where its listing is
  std::vector<double> us;
  std::vector<double> more_us;  // of the second part

  std::string any_name() { return object_name(random() % objects); }
};

class Timer {
 public:
  explicit Timer(std::vector<double>& into) : into_(into) {}
  ~Timer() { into_.push_back(std::chrono::duration<double, std::micro>(Clock::now() - begun_).count()); }
  Timer(const Timer&) = delete;
  Timer& operator=(const Timer&) = delete;

 private:
  std::vector<double>& into_;
  const Clock::time_point begun_ = Clock::now();
};

Outcome ask_nothing(Asker& asker) {
  const Timer timer(asker.us);
  const auto status = asker.operators->status();
  return status.ok() ? Outcome(done) : status.error();
}

// A session for reading: the owner is told where, the SSA what.
Outcome open_read(Asker& asker) {
  const std::string name = asker.any_name();
  const Timer timer(asker.us);
  const auto ticket = asker.owner->open_read(name);
  if (!ticket.ok()) return ticket.error();
  const auto object = asker.ssa->object(ticket.value().object.key());
  if (!object.ok()) return object.error();
  return object.value().name == name ? Outcome(done) : wrong("this is another object", name);
}

Result<Object> begin(Asker& asker) {
  WriteRequest request;
  for (std::uint8_t& byte : request.token) byte = static_cast<std::uint8_t>(asker.random());
  request.name = fmt::format("new/{:016x}-{}", asker.random(), ++asker.number);
  request.size = object_bytes;
  const Timer timer(asker.us);
  const auto ticket = asker.owner->begin_write(request);
  if (!ticket.ok()) return ticket.error();
  return asker.ssa->object(ticket.value().object.key());
}

// A session for writing, and what ends it.
Outcome write(Asker& asker) {
  const auto begun = begin(asker);
  if (!begun.ok()) return begun.error();
  const Object& object = begun.value();
  SealedReport seal;
  seal.key = object.key();
  seal.size = object_bytes;
  seal.cells = object.cells == 0 ? (object_bytes + object.cell_bytes - 1) / object.cell_bytes : object.cells;
  seal.attempts = {{0, seal.cells, 0}};
  seal.protection = Protection::computational;
  for (std::uint32_t i = 1; i <= object.layout.n; ++i) {
    seal.shares.push_back({i, object.layout.holders[i - 1].node, true, ""});
  }
  const Timer timer(asker.more_us);
  if (const auto sealed = asker.ssa->sealed(seal); !sealed.ok()) return sealed.error();
  const auto committed = asker.owner->commit(seal.key, false);
  if (!committed.ok()) return committed.error();
  return committed.value().object.state == ObjectState::committed ? Outcome(done)
                                                                  : wrong("it is not committed", object.name);
}

Outcome stat(Asker& asker) {
  const std::string name = asker.any_name();
  const Timer timer(asker.us);
  const auto object = asker.owner->stat(name, "");
  if (!object.ok()) return object.error();
  return object.value().name == name ? Outcome(done) : wrong("this is another object", name);
}

// The next page; from the beginning again after the last.
Outcome list(Asker& asker) {
  const Timer timer(asker.us);
  const auto found = asker.owner->list("photos/", asker.after, page, "");
  if (!found.ok()) return found.error();
  const std::size_t expected = std::min<std::uint64_t>(page, asker.objects);
  if (found.value().objects.size() != expected) return wrong("the page is not full", asker.after);
  asker.after = found.value().next;
  if (!asker.after.empty() && asker.after == object_name(asker.objects - 1)) asker.after.clear();
  return done;
}

// The route of one object after the other.
Outcome explain(Asker& asker) {
  const std::string name = object_name(asker.next);
  asker.next = (asker.next + asker.step) % asker.objects;
  const Timer timer(asker.us);
  const auto explained = asker.owner->explain(name, "", {});
  if (!explained.ok()) return explained.error();
  return explained.value().choices.empty() ? wrong("nothing is explained", name) : Outcome(done);
}

Outcome explain_write(Asker& asker) {
  WriteRequest request;
  request.size = object_bytes;
  const Timer timer(asker.us);
  const auto explained = asker.owner->explain("", "", request);
  if (!explained.ok()) return explained.error();
  return explained.value().refused.empty() ? Outcome(done)
                                           : wrong("it is refused", explained.value().refused);
}

double part_of(std::vector<double>& values, double part) {
  if (values.empty()) return 0;
  const auto at = static_cast<std::size_t>(part * static_cast<double>(values.size() - 1));
  std::nth_element(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(at), values.end());
  return values[at];
}

Timed timed(std::string name, std::vector<double> us, double seconds) {
  Timed it{std::move(name), us.size(), seconds, 0, 0};
  it.p50_us = part_of(us, 0.5);
  it.p99_us = part_of(us, 0.99);
  return it;
}

struct Case {
  const char* name;
  const char* more;  // what the second part is; null: it has none
  Outcome (*ask)(Asker&);
  bool beside_writers = false;  // half of those that ask write meanwhile
};

constexpr Case cases[] = {
    {"empty call", nullptr, ask_nothing},
    {"open read", nullptr, open_read},
    {"open write", "commit", write},
    {"stat", nullptr, stat},
    {"list", nullptr, list},
    {"explain", nullptr, explain},
    {"explain write", nullptr, explain_write},
    {"open read beside writes", nullptr, open_read, true},
};

class Askers {
 public:
  static Result<std::unique_ptr<Askers>> make(const Question& question) {
    std::unique_ptr<Askers> askers(new Askers(question));
    for (unsigned i = 0; i < question.clients; ++i) {
      Asker asker;
      for (auto [into, who] : {std::pair(&asker.owner, "owner"), std::pair(&asker.ssa, ssa_name),
                               std::pair(&asker.operators, "operator")}) {
        auto made = connect(question, who);
        if (!made.ok()) return made.error();
        *into = std::move(made.value());
      }
      asker.random.seed(std::random_device{}());
      asker.objects = question.objects;
      asker.next = i % question.objects;
      asker.step = question.clients;
      askers->all_.push_back(std::move(asker));
    }
    return askers;
  }

  // Before the clock runs each has asked once: connections stand.
  Result<std::vector<Timed>> measure(const Case& its) {
    for (Asker& asker : all_) {
      if (Outcome asked = its.ask(asker); !asked.ok()) return asked.error();
      asker.us.clear();
      asker.more_us.clear();
    }
    const std::size_t writers = its.beside_writers ? std::max<std::size_t>(all_.size() / 2, 1) : 0;
    std::vector<Outcome> outcomes(all_.size(), done);
    std::vector<std::thread> threads;
    const Clock::time_point begun = Clock::now();
    const auto end =
        begun + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(question_.seconds));
    for (std::size_t i = 0; i < all_.size(); ++i) {
      threads.emplace_back([&, i] {
        const auto ask = i < writers ? write : its.ask;
        while (Clock::now() < end && outcomes[i].ok()) outcomes[i] = ask(all_[i]);
      });
    }
    for (std::thread& thread : threads) thread.join();
    const double seconds = std::chrono::duration<double>(Clock::now() - begun).count();
    for (const Outcome& outcome : outcomes) {
      if (!outcome.ok()) return outcome.error();
    }
    std::vector<double> us;
    std::vector<double> more_us;
    for (std::size_t i = writers; i < all_.size(); ++i) {
      us.insert(us.end(), all_[i].us.begin(), all_[i].us.end());
      more_us.insert(more_us.end(), all_[i].more_us.begin(), all_[i].more_us.end());
    }
    std::vector<Timed> all = {timed(its.name, std::move(us), seconds)};
    if (its.more != nullptr) all.push_back(timed(its.more, std::move(more_us), seconds));
    return all;
  }

 private:
  explicit Askers(const Question& question) : question_(question) {}

  const Question question_;
  std::vector<Asker> all_;
};

// All are up, for as long as the controller's `report` says.
Outcome start_nodes(const Question& question) {
  for (unsigned i = 0; i <= question.holders; ++i) {
    const std::string node = i == 0 ? ssa_name : holder_name(i);
    const auto made = connect(question, node);
    if (!made.ok()) return made.error();
    Registration registration;
    registration.instance = instance;
    registration.roles = {i == 0 ? pki::Role::ssa : pki::Role::shareholder};
    registration.agent = "127.0.0.1:1";
    registration.labels[Label::site] = node;
    if (const auto known = made.value()->register_node(registration); !known.ok()) return known.error();
    Report report;
    report.instance = instance;
    report.capacity_bytes = std::uint64_t{1} << 50;
    if (const auto taken = made.value()->report(report); !taken.ok()) return taken.error();
  }
  return done;
}

}  // namespace

std::vector<std::string> case_names() {
  std::vector<std::string> names;
  for (const Case& each : cases) names.emplace_back(each.name);
  return names;
}

Result<std::vector<Timed>> ask_all(const Question& question) {
  if (Outcome started = start_nodes(question); !started.ok()) return started.error();
  auto askers = Askers::make(question);
  if (!askers.ok()) return askers.error();
  std::vector<Timed> all;
  for (const Case& each : cases) {
    const bool wanted = question.only.empty() || std::find(question.only.begin(), question.only.end(),
                                                           each.name) != question.only.end();
    if (!wanted || (each.beside_writers && question.clients < 2)) continue;
    auto measured = askers.value()->measure(each);
    if (!measured.ok()) return measured.error();
    std::move(measured.value().begin(), measured.value().end(), std::back_inserter(all));
  }
  return all;
}

}  // namespace ssn::bench
