// SPDX-License-Identifier: BSD-3-Clause
// Shareholders that do what re-sharing orders, on paper: what each has of which generation, cell by cell, as
// attempts. They lose orders and answers, fail rounds, restart and lie as a seed has it. A controller that
// may be killed at any moment orders them.
#pragma once

#include <deque>
#include <map>
#include <optional>
#include <set>

#include "reshare_manager.h"
#include "support.h"

namespace ssn::controller::test {

struct PaperShare {
  std::uint32_t index = 0;
  std::vector<std::int64_t> attempts;  // of each cell; -1: not there
  bool sealed = false;
  bool wrong = false;
};

struct PaperJob {
  ReshareOrder order;
  ReshareStatus status;
};

struct PaperNode {
  bool alive = true;
  std::map<ObjectKey, PaperShare> store;
  std::map<std::uint64_t, PaperJob> jobs;
  std::set<std::uint64_t> cancelled;
  std::vector<ObjectKey> erased;  // to be confirmed
};

// What goes wrong, in thousandths.
struct Weather {
  unsigned lost = 0;      // a question or its answer
  unsigned fails = 0;     // a round, each tick
  unsigned restarts = 0;  // a node, each tick
  unsigned wrong = 0;     // a taker's share, each tick
  unsigned computational = 0;
  unsigned busy = 100;  // an order
};

class PaperNetwork final : public ReshareNodes {
 public:
  explicit PaperNetwork(std::uint64_t seed) : random_(seed) {}

  void ask(NodeQuestion question) override {
    if (on_ask) on_ask(question);
    questions_.push_back(std::move(question));
  }
  std::vector<NodeReply> replies() override {
    std::vector<NodeReply> all;
    all.swap(replies_);
    return all;
  }
  // What was under way to or from a controller that is dead.
  void forget() {
    if (random_() % 2 == 0) questions_.clear();
    replies_.clear();
  }

  void give(const Object& object) {
    for (std::uint32_t i = 0; i < object.layout.n; ++i) {
      PaperShare& share = nodes[object.layout.holders[i].node].store[object.key()];
      share = {i + 1, std::vector<std::int64_t>(object.cells, 0), true, false};
      seen[{object.layout.holders[i].node, object.key()}].insert(i + 1);
    }
  }

  void restart(const std::string& node) {
    nodes[node].jobs.clear();
    nodes[node].cancelled.clear();
    for (auto& [name, other] : nodes) {
      for (auto& [id, job] : other.jobs) {
        if (job.status.state == ReshareState::running && takes_part(job.order, node)) {
          job.status.state = ReshareState::failed;
          job.status.trouble = ReshareTrouble::peer_lost;
          job.status.node = node;
        }
      }
    }
  }

  void tick() {
    std::deque<NodeQuestion> questions;
    questions.swap(questions_);
    for (const NodeQuestion& question : questions) {
      if (chance(300)) {
        questions_.push_back(question);  // later
        continue;
      }
      answer(question);
    }
    for (auto& [name, node] : nodes) {
      if (node.alive && chance(weather.restarts)) restart(name);
    }
    std::set<std::pair<std::uint64_t, std::uint32_t>> rounds;
    for (auto& [name, node] : nodes) {
      for (auto& [id, job] : node.jobs) {
        if (node.alive && job.status.state == ReshareState::running) rounds.insert({id, job.order.round});
      }
    }
    for (const auto& [id, round] : rounds) run(id, round);
  }

  std::map<std::string, PaperNode> nodes;
  std::map<std::pair<std::string, ObjectKey>, std::set<std::uint32_t>> seen;  // share indices, ever
  std::function<void(const NodeQuestion&)> on_ask;
  std::function<void(const NodeQuestion&)> on_order;
  Weather weather;
  unsigned room = 1000;  // cells that a node has memory for, in a job
  unsigned orders = 0;

 private:
  bool chance(unsigned thousandths) { return random_() % 1000 < thousandths; }

  static std::set<std::string> givers(const ReshareOrder& order) {
    std::set<std::string> names;
    for (const std::uint32_t share : order.from) names.insert(order.source.layout.holders[share - 1].node);
    return names;
  }
  static std::set<std::string> takers(const ReshareOrder& order) {
    std::set<std::string> names;
    for (const std::uint32_t share : order.to) names.insert(order.target.layout.holders[share - 1].node);
    return names;
  }
  static bool takes_part(const ReshareOrder& order, const std::string& node) {
    return givers(order).contains(node) || takers(order).contains(node);
  }

  void answer(const NodeQuestion& question) {
    NodeReply reply{question.call, question.node, question.job,           question.order.round,
                    true,          question.term, ReshareAnswer::unknown, {}};
    PaperNode& node = nodes[question.node];
    const bool lost = chance(weather.lost);
    if (node.alive && !(lost && random_() % 2 == 0)) {
      if (question.call == NodeCall::order) {
        reply.answer = order(question, node);
      } else if (question.call == NodeCall::cancel) {
        node.cancelled.insert(question.job);
        if (const auto found = node.jobs.find(question.job); found != node.jobs.end()) {
          found->second.status.state = ReshareState::cancelled;
        }
      } else {
        for (const auto& [id, job] : node.jobs) reply.jobs.push_back(job.status);
      }
    }
    reply.reached = node.alive && !lost;
    replies_.push_back(std::move(reply));
  }

  ReshareAnswer order(const NodeQuestion& question, PaperNode& node) {
    ++orders;
    if (on_order) on_order(question);
    const ReshareOrder& order = question.order;
    EXPECT_TRUE(takes_part(order, question.node)) << question.node;
    EXPECT_LT(order.first, order.end);
    const auto known = node.jobs.find(order.job);
    if (node.cancelled.contains(order.job)) return ReshareAnswer::superseded;
    if (known != node.jobs.end() && known->second.order.round >= order.round) {
      return known->second.order.round == order.round ? ReshareAnswer::again : ReshareAnswer::superseded;
    }
    if (chance(weather.busy)) return ReshareAnswer::busy;
    if (order.window * order.unit_cells > room) return ReshareAnswer::too_large;
    PaperJob& job = node.jobs[order.job];
    const bool computational = job.status.computational;
    job = {order,
           {order.job, order.round, ReshareState::running, ReshareTrouble::none, CheckVerdict::none, "",
            order.first, computational || chance(weather.computational)}};
    return ReshareAnswer::taken;
  }

  // All nodes of a round: only when all have the order anything moves.
  void run(std::uint64_t id, std::uint32_t round) {
    std::vector<std::string> names;
    const ReshareOrder* order = nullptr;
    for (auto& [name, node] : nodes) {
      const auto found = node.jobs.find(id);
      if (found != node.jobs.end() && found->second.order.round == round) order = &found->second.order;
    }
    const ReshareOrder its = *order;
    std::set<std::string> all = givers(its);
    all.merge(takers(its));
    for (const std::string& name : all) {
      const auto found = nodes[name].jobs.find(id);
      const bool here = nodes[name].alive && found != nodes[name].jobs.end() &&
                        found->second.order.round == round &&
                        found->second.status.state <= ReshareState::done;
      if (!here) return;
    }
    if (chance(weather.fails)) {
      auto at = all.begin();
      std::advance(at, static_cast<long>(random_() % all.size()));
      ReshareStatus& status = nodes[*at].jobs[id].status;
      status.state = ReshareState::failed;
      status.trouble = ReshareTrouble::stalled;
      status.node = *all.begin();
      return;
    }
    if (its.operation == ReshareOperation::seal) {
      seal(its);
    } else if (its.operation == ReshareOperation::check) {
      check(its, all);
    } else {
      transfer(its, all);
    }
  }

  void transfer(const ReshareOrder& order, const std::set<std::string>& all) {
    const ObjectKey source{order.object, order.source.generation};
    const ObjectKey target{order.object, order.target.generation};
    bool wrong = false;
    for (const std::uint32_t share : order.from) {
      PaperNode& node = nodes[order.source.layout.holders[share - 1].node];
      const auto found = node.store.find(source);
      if (found == node.store.end() || found->second.index != share) {
        ReshareStatus& status = node.jobs[order.job].status;
        status.state = ReshareState::failed;
        status.trouble = ReshareTrouble::not_there;
        return;
      }
      wrong = wrong || found->second.wrong;
    }
    std::uint64_t through = order.end;
    for (const std::uint32_t index : order.to) {
      const std::string& name = order.target.layout.holders[index - 1].node;
      PaperShare& share = nodes[name].store[target];
      share.index = index;
      share.attempts.resize(order.cells, -1);
      seen[{name, target}].insert(index);
      ReshareStatus& status = nodes[name].jobs[order.job].status;
      const std::uint64_t begin = std::max(status.through, order.first);
      const std::uint64_t end = std::min(order.end, begin + random_() % 40);
      for (std::uint64_t cell = begin; cell < end; ++cell) {
        share.attempts[cell] = order.source.generation == order.target.generation
                                   ? attempt_of(order.source.attempts, cell)
                                   : order.round;
      }
      share.wrong = share.wrong || wrong || chance(weather.wrong);
      status.through = end;
      if (status.through == order.end) status.state = ReshareState::done;
      through = std::min(through, status.through);
    }
    for (const std::string& name : all) {
      ReshareStatus& status = nodes[name].jobs[order.job].status;
      if (!takers(order).contains(name)) status.through = through;
      if (through == order.end && status.state == ReshareState::running) status.state = ReshareState::done;
    }
  }

  static std::int64_t attempt_of(const std::vector<AttemptRun>& runs, std::uint64_t cell) {
    for (const AttemptRun& run : runs) {
      if (cell >= run.first_cell && cell - run.first_cell < run.cells) return run.attempt;
    }
    return -2;
  }

 public:
  // Whether it has its share of this generation, whole and right.
  static bool is_whole(const PaperShare& share, const std::vector<AttemptRun>& runs) {
    for (std::uint64_t cell = 0; cell < share.attempts.size(); ++cell) {
      if (share.attempts[cell] != attempt_of(runs, cell)) return false;
    }
    return share.sealed && !share.wrong;
  }

 private:
  static bool has_whole(const PaperNode& node, const ObjectKey& key, const std::vector<AttemptRun>& runs) {
    const auto share = node.store.find(key);
    return share != node.store.end() && is_whole(share->second, runs);
  }

  void seal(const ReshareOrder& order) {
    for (const std::uint32_t index : order.to) {
      PaperNode& node = nodes[order.target.layout.holders[index - 1].node];
      const auto found = node.store.find({order.object, order.target.generation});
      ReshareStatus& status = node.jobs[order.job].status;
      if (status.state != ReshareState::running) continue;
      if (found == node.store.end()) {
        status.state = ReshareState::failed;
        status.trouble = ReshareTrouble::incomplete;
        continue;
      }
      PaperShare& share = found->second;
      share.sealed = true;
      for (std::uint64_t cell = 0; cell < share.attempts.size(); ++cell) {
        share.sealed = share.sealed && share.attempts[cell] == attempt_of(order.target.attempts, cell);
      }
      status.state =
          share.sealed && share.attempts.size() == order.cells ? ReshareState::done : ReshareState::failed;
      status.trouble = share.sealed ? ReshareTrouble::none : ReshareTrouble::incomplete;
    }
  }

  void check(const ReshareOrder& order, const std::set<std::string>& all) {
    bool right = true;
    for (const std::uint32_t share : order.from) {
      const std::string& name = order.source.layout.holders[share - 1].node;
      right = right && has_whole(nodes[name], {order.object, order.source.generation}, order.source.attempts);
    }
    for (const std::uint32_t share : order.to) {
      const std::string& name = order.target.layout.holders[share - 1].node;
      right = right && has_whole(nodes[name], {order.object, order.target.generation}, order.target.attempts);
    }
    EXPECT_TRUE(takers(order).contains(order.checker));
    const bool surplus =
        order.from.size() > order.source.layout.k &&
        (order.source.generation == order.target.generation || order.to.size() > order.target.layout.k);
    for (const std::string& name : all) nodes[name].jobs[order.job].status.state = ReshareState::done;
    nodes[order.checker].jobs[order.job].status.verdict = !right    ? CheckVerdict::failed
                                                          : surplus ? CheckVerdict::passed
                                                                    : CheckVerdict::unverified;
  }

  std::mt19937_64 random_;
  std::deque<NodeQuestion> questions_;
  std::vector<NodeReply> replies_;
};

// A catalogue with its manager, shareholders, and what must be true at every moment.
class ReshareWorld {
 public:
  ReshareWorld(Database& below, std::uint64_t seed, Policy policy = {})
      : database(below), policy_(policy), network(seed), world(database, seed, policy), random_(seed + 1) {
    for (int i = 1; i <= 7; ++i) network.nodes[numbered("h", i)];
    network.on_order = [this](const NodeQuestion& question) { check_order(question); };
    world.start_nodes();
    open();
  }

  Object put(const std::string& name, std::uint64_t size = 200'000) {
    WriteRequest request = world.request(name);
    request.size = size;
    const auto ticket = world->begin_write(world.now, "alice", request);
    EXPECT_OK(ticket);
    SealedReport seal = World::seal(ticket.value().object, ticket.value().object.layout.n);
    seal.size = size;
    seal.cells =
        cells_for(size, ticket.value().object.cell_bytes, ticket.value().object.layout.secret_blocks);
    seal.attempts.clear();
    if (seal.cells != 0) {
      seal.attempts = {{0, seal.cells / 2, 0}, {seal.cells / 2, seal.cells - seal.cells / 2, 3}};
    }
    seal.protection = Protection::information_theoretic;
    EXPECT_OK(world->sealed(world.now, "s", seal));
    EXPECT_OK(world->commit(world.now, "alice", ticket.value().object.key(), false));
    const auto object = world->stat(world.now, "alice", name);
    EXPECT_OK(object);
    network.give(object.value());
    for (const Holder& holder : object.value().layout.holders) {
      PaperShare& share = network.nodes[holder.node].store[object.value().key()];
      for (std::uint64_t cell = seal.cells / 2; cell < seal.cells; ++cell) share.attempts[cell] = 3;
    }
    names.insert(name);
    return object.value();
  }

  // Its holder says so. missing: nothing of it is left.
  void lose(const Object& object, std::uint32_t share, ShareDamage damage = ShareDamage::missing) {
    const std::string& node = object.layout.holders[share - 1].node;
    if (damage == ShareDamage::missing) network.nodes[node].store.erase(object.key());
    damaged[node].push_back({object.key(), damage});
  }

  // The controller dies and another process takes over what is in the database.
  void kill() {
    manager.reset();
    if (on_kill) on_kill();
    world.restart();
    network.forget();
    open();
    ++kills;
  }

  void open() {
    auto opened = ReshareManager::open(*world, network, world.now);
    if (!opened.ok()) {  // the database failed just then: once more
      world.restart();
      opened = ReshareManager::open(*world, network, world.now);
    }
    ASSERT_OK(opened);
    manager = std::move(opened.value());
  }

  void tick() {
    world.pass(tick_ms);
    if (world.now.monotonic_ms % 1000 == 0) report();
    network.tick();
    if (world.now.monotonic_ms % 1000 == 0) {
      const Outcome ticked = world->tick(world.now);
      EXPECT_TRUE(ticked.ok() || ticked.error().code == Exit::temporary) << describe(ticked.error());
    }
    const Outcome stepped = manager->step(world.now);
    EXPECT_TRUE(stepped.ok() || stepped.error().code == Exit::temporary) << describe(stepped.error());
    check();
  }

  // Heartbeats, which carry removals.
  void report() {
    for (auto& [name, node] : network.nodes) {
      if (!node.alive) continue;
      Report report = World::report_of(name);
      report.removed = node.erased;
      if (const auto told = damaged.find(name); told != damaged.end()) report.damaged = told->second;
      if (name == failed_store) report.alarms = {{{"store_failed", name, ""}, "the disk failed"}};
      const auto answer = world.report(name, report);
      if (!answer.ok()) continue;  // a database that fails: again next time
      node.erased.clear();
      damaged.erase(name);
      for (const ObjectKey& key : answer.value().remove) {
        node.store.erase(key);
        node.erased.push_back(key);
      }
    }
    static_cast<void>(world.report("s"));
  }

  // Every object can be read now: k of its holders have their shares of what the catalogue says it is.
  void check() {
    for (const std::string& name : names) {
      const auto object = world->stat(world.now, "alice", name);
      ASSERT_OK(object);
      const Layout& layout = object.value().layout;
      unsigned whole = 0;
      for (std::uint32_t i = 0; i < layout.n; ++i) {
        const PaperNode& node = network.nodes[layout.holders[i].node];
        const auto share = node.store.find(object.value().key());
        whole += node.alive && share != node.store.end() && share->second.index == i + 1 &&
                         PaperNetwork::is_whole(share->second, object.value().attempts)
                     ? 1
                     : 0;
      }
      ASSERT_GE(whole, layout.k) << name << " cannot be read at " << world.now.monotonic_ms;
    }
    for (const auto& [what, indices] : network.seen) {
      ASSERT_EQ(indices.size(), 1U) << what.first << " had two shares of one generation";
    }
  }

  // A round is durable before its order goes out, and says the same whenever it does.
  void check_order(const NodeQuestion& question) {
    const auto job = world->reshare(question.job);
    ASSERT_OK(job);
    ASSERT_LE(question.order.round, job.value().round);
    const ReshareOrder& order = question.order;
    std::string text = fmt::format("{} {} {}", static_cast<int>(order.operation), order.first, order.checker);
    for (const std::uint32_t share : order.from) text += fmt::format(" {}", share);
    for (const Holder& holder : order.target.layout.holders) text += " " + holder.node;
    const auto known = said_.emplace(std::pair(order.job, order.round), text);
    ASSERT_EQ(known.first->second, text) << "two orders of one round";
  }

  // Until the job is over.
  ReshareJob finish(std::uint64_t id, unsigned ticks = 60'000) {
    for (unsigned i = 0; i < ticks; ++i) {
      tick();
      if (testing::Test::HasFatalFailure()) return {};
      const auto job = world->reshare(id);
      EXPECT_OK(job);
      if (job.ok() && job.value().is_over()) return job.value();
      if (random_() % 1000 < kill_chance) kill();
    }
    ADD_FAILURE() << "the job does not end";
    return {};
  }

  // Nothing is left of anything: nodes that are alive have what the catalogue says, and only that.
  void expect_clean() {
    for (int i = 0; i < 40; ++i) tick();
    std::map<std::string, std::set<ObjectKey>> expected;
    for (const std::string& name : names) {
      const auto object = world->stat(world.now, "alice", name);
      ASSERT_OK(object);
      for (const Holder& holder : object.value().layout.holders) {
        expected[holder.node].insert(object.value().key());
      }
    }
    for (const auto& [name, node] : network.nodes) {
      if (!node.alive) continue;
      for (const auto& [key, share] : node.store) {
        EXPECT_TRUE(expected[name].contains(key)) << name << " keeps generation " << key.generation;
      }
      const auto page = world->holdings(name, 0, 1000);
      ASSERT_OK(page);
      EXPECT_EQ(page.value().holdings.size(), expected[name].size()) << name;
    }
    const auto running = world->running_reshares();
    ASSERT_OK(running);
    EXPECT_TRUE(running.value().empty());
  }

  FaultyDatabase database;

 private:
  const Policy policy_;

 public:
  PaperNetwork network;
  World world;
  std::unique_ptr<ReshareManager> manager;
  std::set<std::string> names;
  std::uint64_t tick_ms = 100;
  unsigned kill_chance = 0;  // in thousandths, each tick
  std::function<void()> on_kill;
  unsigned kills = 0;
  std::string failed_store;                                  // of the node that says so
  std::map<std::string, std::vector<DamagedShare>> damaged;  // what each says in its next report

 private:
  std::mt19937_64 random_;
  std::map<std::pair<std::uint64_t, std::uint32_t>, std::string> said_;
};

}  // namespace ssn::controller::test
