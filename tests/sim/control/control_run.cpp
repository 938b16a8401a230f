// SPDX-License-Identifier: BSD-3-Clause
#include "control_run.h"

#include <algorithm>

#include "shareholder.h"
#include "shares.h"
#include "ssa_desk.h"

namespace ssn::sim {

using controller::ObjectKey;
using test::Bytes;
using test::HolderNode;
using test::one_ms;
using test::one_s;
using Kind = ControlTrouble::Kind;
using State = OwnedObject::State;

namespace {

// Rounds that come to nothing are given up after a minute each, and a job after a dozen of them. What is
// known to be broken does not get better for waiting.
constexpr std::uint64_t most_patience_ns = 900 * one_s;
constexpr std::uint64_t faulty_patience_ns = 200 * one_s;
constexpr std::uint64_t look_ns = 40 * one_ms;  // at all disks, whatever happens

class Run {
 public:
  Run(const ControlPlan& plan, const std::function<void(const std::string&)>& trace);
  ~Run();
  Run(const Run&) = delete;
  Run& operator=(const Run&) = delete;
  StorageReport run();

 private:
  void trouble();
  void begin(const ControlTrouble& what);
  void later(std::uint64_t after_ns, const std::function<void()>& what) { world_.at(after_ns, what); }
  void kill(std::size_t holder);
  void restart(std::size_t holder);
  void restart_ssa();
  void rot(std::size_t holder, std::uint64_t chance);
  void read_one(std::uint64_t chance);
  void reshare(std::uint64_t chance);
  void cancel();
  void part(std::uint64_t others, bool begins);
  bool is_unverified(const std::string& name);
  bool judge_shares(const controller::Object& object, const Bytes& content);
  void judge_alarm(const std::vector<controller::ReshareJob>& jobs);
  bool ask_node(const controller::NodeQuestion& question, controller::NodeReply& reply);
  void judge_jobs();
  void violated_by_running(const std::string& what);
  void step();
  void step_object(std::size_t at);
  void check(const ObjectReading& reading, bool must);
  void look();
  void heal();
  bool is_settled();
  void judge_end();
  void judge_object(const OwnedObject& each);
  void expect_only_what_is_known();
  void clean_up();
  bool pass(std::uint64_t limit_ns, const std::function<bool()>& done);
  const OwnedObject* find(const std::string& name) const;

  void mark(const std::string& what, std::uint64_t count = 1) { report_.marks[what] += count; }
  void say(const std::string& what) const {
    if (trace_) trace_(std::to_string((world_.now_ns - one_s) / 1000) + " us: " + what);
  }
  void violated(const std::string& what) {
    say("VIOLATION " + what);
    report_.violations.push_back(what);
  }

  const ControlPlan plan_;
  const std::uint64_t patience_ns_;
  std::function<void(const std::string&)> trace_;
  test::SsaWorld world_;
  test::TestRandom random_;
  StorageReport report_;
  HolderPeers peers_;
  ControlNet net_;
  ControllerProcess controller_;
  SsaDesk ssa_;
  Shares shares_;
  std::vector<std::unique_ptr<Shareholder>> holders_;
  std::vector<std::unique_ptr<OwnedObject>> objects_;
  std::vector<std::unique_ptr<ObjectReading>> readings_;
  std::map<std::string, std::uint64_t> terms_;  // the newest that each node was asked with
  std::set<std::uint64_t> told_;                // jobs that operators know of
  std::vector<State> shown_;                    // of objects, as it was told last
  std::uint64_t start_ns_ = 0;
  std::uint64_t look_at_ns_ = 0;
};

Run::Run(const ControlPlan& plan, const std::function<void(const std::string&)>& trace)
    : plan_(plan),
      patience_ns_(plan.fault == ControlFault::none ? most_patience_ns : faulty_patience_ns),
      trace_(trace),
      world_(plan.world, plan.seed),
      random_(plan.seed + 99),
      peers_(world_, plan.resharer),
      net_(world_, plan.loss, plan.seed + 5),
      controller_(
          world_, net_, plan.policy, plan.fault,
          [this](const auto& question, auto& reply) { return ask_node(question, reply); },
          [this](const std::string& what) { say(what); }),
      ssa_(world_, net_, controller_),
      shares_(world_) {
  report_.seed = plan.seed;
  for (std::size_t i = 0; i < world_.holders.size(); ++i) {
    holders_.push_back(std::make_unique<Shareholder>(world_, net_, controller_, peers_, i, plan.fault));
  }
  shown_.resize(plan.objects.size(), State::waiting);
  // Nobody is placed anywhere before nodes have reported.
  (void)pass(600 * one_ms, [] { return false; });
  start_ns_ = world_.now_ns;
  const Desks desks{world_, net_, controller_, ssa_};
  for (const ControlObject& each : plan.objects) {
    Bytes content = random_.bytes(std::size_t{each.blocks} * plan.policy.cell_bytes);
    std::string name("o");
    name.append(std::to_string(objects_.size()));
    objects_.push_back(std::make_unique<OwnedObject>(desks, name, std::move(content), each.blocks));
  }
}

Run::~Run() = default;

bool Run::pass(std::uint64_t limit_ns, const std::function<bool()>& done) {
  const std::uint64_t end = world_.now_ns + limit_ns;
  while (!done()) {
    if (world_.now_ns >= end || !world_.wrong().empty() || !report_.violations.empty()) return false;
    const std::uint64_t slice = std::min<std::uint64_t>(end - world_.now_ns, 2 * one_ms);
    (void)world_.run(slice, [] { return false; });
    step();
  }
  return true;
}

void Run::step() {
  controller_.step();
  ssa_.step();
  for (const auto& each : holders_) each->step();
  for (std::size_t i = 0; i < objects_.size(); ++i) step_object(i);
  std::erase_if(readings_, [this](const auto& reading) {
    if (!reading->step()) return false;
    check(*reading, false);
    return true;
  });
  if (world_.now_ns >= look_at_ns_) look();
}

void Run::step_object(std::size_t at) {
  OwnedObject& object = *objects_[at];
  const ControlObject& plan = plan_.objects[at];
  const State before = shown_[at];  // answers change it, too
  const std::uint64_t now = world_.now_ns - start_ns_;
  if (object.state() == State::waiting && now >= plan.at_ns) object.begin();
  if (before == State::acknowledged && object.state() == before && plan.remove_ns != 0 &&
      now >= plan.remove_ns)
    object.remove();
  if (plan.vanish_ns != 0 && !object.is_over() && now >= plan.at_ns + plan.vanish_ns) object.vanish();
  object.step();
  if (object.state() == before) return;
  shown_[at] = object.state();
  constexpr const char* names[] = {"waiting",      "beginning", "opening", "writing", "sealing", "committing",
                                   "acknowledged", "removing",  "removed", "failed",  "unknown"};
  const std::string now_is = names[static_cast<std::size_t>(object.state())];
  say(object.name() + ": " + now_is + (object.why().empty() ? "" : ": " + object.why()));
  mark(object.vanished() ? "owners that vanished" : now_is);
  if (object.state() != State::acknowledged) return;
  if (object.written().sealed < plan_.policy.n) mark("written without some holder");
  look();  // from the first moment on
}

const OwnedObject* Run::find(const std::string& name) const {
  for (const auto& each : objects_) {
    if (each->name() == name) return each.get();
  }
  return nullptr;
}

// Every object that an owner was promised is on the disks, as the catalogue says it is.
void Run::look() {
  look_at_ns_ = world_.now_ns + look_ns;
  mark("looks at all disks");
  if (std::string two = shares_.watch(); !two.empty()) violated(two);
  if (!controller_.alive()) return;
  for (const auto& each : objects_) {
    if (each->state() != State::acknowledged) continue;
    const auto known = controller_.catalogue()->stat(controller_.now(), "alice", each->name());
    if (!known.ok()) {
      if (known.error().code == Exit::temporary) continue;  // the database ended just now
      violated(each->name() + " was acknowledged and is forgotten: " + known.error().why);
      continue;
    }
    (void)judge_shares(known.value(), each->content());
  }
}

void Run::kill(std::size_t holder) {
  holders_[holder]->stopped();
  world_.kill(holder);
}

void Run::restart(std::size_t holder) {
  if (world_.holders[holder]->alive) kill(holder);
  world_.holders[holder]->medium.fail_never();
  world_.restart(holder);
  holders_[holder]->started();
  shares_.hide(holder, false);
  say("holder " + std::to_string(holder) + " starts");
}

void Run::restart_ssa() {
  for (const auto& each : objects_) each->ssa_restarted();
  for (const auto& each : readings_) each->ssa_restarted();
  for (const auto& owner : world_.owners) {
    if (owner->ssa_channel != nullptr) world_.remove_owner(*owner);
  }
  for (std::size_t i = 0; i < world_.holders.size(); ++i) world_.disconnect(i);
  world_.ssa = std::make_unique<roles::Ssa>(plan_.world.ssa, test::chosen_implementation(), world_.pool,
                                            world_.generated);
  ssa_.started();
  for (std::size_t i = 0; i < world_.holders.size(); ++i) {
    if (world_.holders[i]->alive) world_.connect(i);
  }
}

void Run::rot(std::size_t holder, std::uint64_t chance) {
  test::CrashMedium& medium = world_.holders[holder]->medium;
  std::vector<store::Buffer> keys;
  for (const auto& [key, value] : medium.items()) {
    if (key[0] == 'S' || key[0] == 'D' || key[0] == 'H') keys.push_back(key);
  }
  if (keys.empty()) return;
  const store::Buffer key = keys[chance % keys.size()];
  if (chance % 4 == 0) {
    medium.lose(key);
  } else {
    store::Buffer value = *medium.items().at(key);
    value[value.size() / 2] ^= 0x40;
    medium.replace(key, value);
  }
  mark("records rotten");
}

void Run::read_one(std::uint64_t chance) {
  std::vector<const OwnedObject*> there;
  for (const auto& each : objects_) {
    if (each->state() == State::acknowledged) there.push_back(each.get());
  }
  if (there.empty()) return;
  readings_.push_back(std::make_unique<ObjectReading>(Desks{world_, net_, controller_, ssa_},
                                                      there[chance % there.size()]->name()));
}

bool Run::ask_node(const controller::NodeQuestion& question, controller::NodeReply& reply) {
  if (!holders_[holder_number(question.node)]->answer(question, reply)) return false;
  if (question.call == controller::NodeCall::list) return true;
  std::uint64_t& newest = terms_[question.node];
  if (question.term < newest && reply.answer != controller::ReshareAnswer::old_term) {
    violated(question.node + " did what a controller said that has been replaced");
  }
  newest = std::max(newest, question.term);
  return true;
}

void Run::reshare(std::uint64_t chance) {
  using controller::ReshareOperation;
  constexpr ReshareOperation operations[] = {ReshareOperation::exchange, ReshareOperation::repair,
                                             ReshareOperation::refresh, ReshareOperation::redistribute};
  controller::ReshareRequest request;
  request.operation = operations[chance % 4];
  request.owner = "alice";
  std::vector<const OwnedObject*> there;
  for (const auto& each : objects_) {
    if (each->state() == State::acknowledged) there.push_back(each.get());
  }
  if (there.empty()) return;
  request.name = there[chance / 4 % there.size()]->name();
  request.reason = "an operator";
  if (chance % 4 < 2) request.share = static_cast<std::uint32_t>(1 + chance / 16 % plan_.policy.k);
  (void)controller_.manage([&](controller::ReshareManager& manager, controller::Now now) {
    const auto job = manager.start(now, request);
    mark(job.ok() ? "jobs of operators" : "jobs refused");
    if (job.ok()) told_.insert(job.value().id);
    say(job.ok() ? "job begins: " + std::string(controller::name(request.operation)) + " of " + request.name
                 : "no job: " + job.error().why);
  });
}

void Run::cancel() {
  (void)controller_.manage([&](controller::ReshareManager& manager, controller::Now now) {
    const auto jobs = controller_.catalogue()->running_reshares();
    if (jobs.ok() && !jobs.value().empty()) (void)manager.cancel(now, jobs.value()[0].id, "an operator");
  });
}

// Bit i: holder i is away from the SSA, the controller, and those whose bit is not set.
void Run::part(std::uint64_t others, bool begins) {
  peers_.part(begins ? others : 0);
  for (std::size_t i = 0; i < world_.holders.size(); ++i) {
    if ((others >> i & 1) == 0) continue;
    world_.cut(i, begins);
    net_.cut(Shareholder::name_of(i), begins);
  }
}

// Without a share too many nobody could check what a liar gave: that was told, and is not a broken promise.
bool Run::is_unverified(const std::string& name) {
  const auto page = controller_.catalogue()->reshares(0, controller::page_max);
  return peers_.lies() != 0 && page.ok() &&
         std::any_of(page.value().jobs.begin(), page.value().jobs.end(),
                     [&](const controller::ReshareJob& job) { return job.unverified && job.name == name; });
}

// What its shares are; true: as they must be.
bool Run::judge_shares(const controller::Object& object, const Bytes& content) {
  const std::string bad = shares_.judge(object, content);
  if (bad.empty()) return true;
  if (is_unverified(object.name)) {
    mark("wrong shares that nobody could check");
  } else {
    violated(bad);
  }
  return false;
}

void Run::violated_by_running(const std::string& what) {
  if (!controller_.alive()) return violated(what + ": no controller: " + controller_.wrong());
  const auto status = controller_.catalogue()->status();
  std::string left;
  if (status.ok() && status.value().writes != 0) left += ", writes are left";
  if (status.ok() && status.value().removals != 0) left += ", removals are left";
  if (status.ok() && status.value().jobs != 0) left += ", jobs are left";
  const auto jobs = controller_.catalogue()->running_reshares();
  for (std::size_t i = 0; jobs.ok() && i < jobs.value().size(); ++i) {
    const controller::ReshareJob& job = jobs.value()[i];
    say(std::string(controller::name(job.operation)) + " of " + job.name + ", step " +
        std::string(controller::name(job.step)) + ", round " + std::to_string(job.round) + ": " +
        job.trouble);
  }
  violated(what + left);
}

// Of what the masked check found operators are told, until shares of that object are made anew.
void Run::judge_alarm(const std::vector<controller::ReshareJob>& jobs) {
  const auto renewed = [&](std::uint64_t object) {
    return std::any_of(jobs.begin(), jobs.end(), [&](const controller::ReshareJob& job) {
      return job.object == object && job.step == controller::ReshareStep::done &&
             job.operation != controller::ReshareOperation::exchange;
    });
  };
  for (const controller::ReshareJob& job : jobs) {
    if (job.trouble.find("masked check") == std::string::npos || renewed(job.object)) continue;
    mark("lies found");
    const auto known = controller_.catalogue()->stat(controller_.now(), job.owner, job.name);
    if (!known.ok() || known.value().id != job.object) continue;
    const auto raised = controller_.catalogue()->alarms(controller_.now(), {}, "", controller::page_max);
    if (!raised.ok() || std::none_of(raised.value().alarms.begin(), raised.value().alarms.end(),
                                     [](const auto& each) { return each.key.type == "reshare_undone"; })) {
      violated("no alarm says that the masked check of " + job.name + " failed");
    }
  }
}

// How they ended, for the marks.
void Run::judge_jobs() {
  const auto page = controller_.catalogue()->reshares(0, controller::page_max);
  if (!page.ok()) return violated("jobs: " + page.error().why);
  for (const controller::ReshareJob& job : page.value().jobs) {
    const std::string operation(controller::name(job.operation));
    const bool done = job.step == controller::ReshareStep::done;
    if (!job.is_over()) violated("a job is neither finished nor undone: " + operation);
    mark(done ? operation + " done" : operation + " undone");
    if (job.round > 3) mark("jobs of many rounds");
    if (!done) say(operation + " of " + job.name + " was undone: " + job.trouble);
    told_.erase(job.id);
  }
  judge_alarm(page.value().jobs);
  if (!told_.empty()) violated("a job that an operator was told of is forgotten");
}

void Run::begin(const ControlTrouble& what) {
  const std::size_t at = what.holder;
  HolderNode& node = *world_.holders[at];
  const std::string its = Shareholder::name_of(at);
  say(std::string(name(what.kind)) + ", holder " + std::to_string(at));
  mark(name(what.kind));
  const auto start_again = [this, at] {
    if (!world_.holders[at]->alive) restart(at);
  };
  switch (what.kind) {
    case Kind::kill_controller:
      controller_.kill();
      return later(what.lasts_ns, [this] { controller_.start(); });
    case Kind::kill_in_commit:
      if (controller_.alive())
        controller_.kill_in(static_cast<unsigned>(what.chance % 6), what.chance % 7 < 3);
      return later(what.lasts_ns + 500 * one_ms, [this] { controller_.start(); });
    case Kind::kill:
      kill(at);
      return later(what.lasts_ns, start_again);
    case Kind::cut:
      world_.cut(at, true);
      peers_.cut(at, true);
      return later(what.lasts_ns, [this, at] {
        world_.cut(at, false);
        peers_.cut(at, false);
      });
    case Kind::cut_control:
      net_.cut(its, true);
      return later(what.lasts_ns, [this, its] { net_.cut(its, false); });
    case Kind::disk_full:
      node.medium.set_capacity(node.medium.used() + what.chance % 20000);
      return later(what.lasts_ns, [&node] { node.medium.set_capacity(UINT64_MAX); });
    case Kind::disk_fails:
      shares_.hide(at, true);
      node.medium.fail_in(what.chance % 20, test::CrashMedium::Failure::io_error);
      return later(what.lasts_ns, [this, at] { restart(at); });
    case Kind::stall:
      node.store.stall(true);
      return later(what.lasts_ns, [&node] { node.store.stall(false); });
    case Kind::rot:
      return rot(at, what.chance);
    case Kind::clock_jumps:
      told_.clear();  // by more than jobs that are over are remembered
      return controller_.jump(static_cast<std::int64_t>(what.chance % 200'000'000) - 100'000'000);
    case Kind::ssa_restart:
      return restart_ssa();
    case Kind::read:
      return read_one(what.chance);
    case Kind::reshare:
      return reshare(what.chance);
    case Kind::cancel:
      return cancel();
    case Kind::lie:
      peers_.lie(at, static_cast<HolderPeers::Lie>(1 + what.chance / 256 % 3));
      reshare(what.chance);
      return later(what.lasts_ns, [this, at] { peers_.lie(at, HolderPeers::Lie::none); });
    case Kind::part:
      part(what.chance, true);
      return later(what.lasts_ns, [this, others = what.chance] { part(others, false); });
  }
}

void Run::trouble() {
  for (const ControlTrouble& each : plan_.troubles) {
    const std::uint64_t at_ns = start_ns_ + each.at_ns;
    (void)pass(at_ns - std::min(at_ns, world_.now_ns), [] { return false; });
    begin(each);
    look();
  }
  (void)pass(2100 * one_ms, [] { return false; });  // the longest trouble
}

bool Run::is_settled() {
  if (!controller_.alive() || !readings_.empty()) return false;
  for (const auto& each : objects_) {
    if (!each->is_over() || each->state() == State::waiting) return false;
  }
  const auto status = controller_.catalogue()->status();
  return status.ok() && status.value().writes == 0 && status.value().removals == 0 &&
         status.value().jobs == 0;
}

// Everything that broke works again; what was begun comes to its end by itself.
void Run::heal() {
  net_.heal();
  peers_.part(0);
  for (std::size_t i = 0; i < world_.holders.size(); ++i) {
    HolderNode& node = *world_.holders[i];
    world_.cut(i, false);
    peers_.cut(i, false);
    node.store.stall(false);
    node.medium.set_capacity(UINT64_MAX);
    restart(i);
  }
  controller_.kill();  // and with it the death in a commit that never came
  controller_.start();
  if (!pass(patience_ns_, [this] { return is_settled(); }) && report_.violations.empty()) {
    violated_by_running("a write, a read, a removal or a job does not come to an end");
  }
  (void)pass(3 * one_s, [] { return false; });  // all have compared what they have
  if (!pass(patience_ns_, [this] { return is_settled(); }) && report_.violations.empty()) {
    violated_by_running("a repair does not come to an end");
  }
}

void Run::check(const ObjectReading& reading, bool must) {
  const OwnedObject& object = *find(reading.name());
  const test::TestOwner* const reader = reading.reader();
  if (reader == nullptr) {
    if (must) violated(object.name() + ": cannot be read");
    return;
  }
  const std::size_t cell = plan_.policy.cell_bytes;
  std::size_t wrong = 0;
  for (std::uint32_t block = 0; block < object.blocks(); ++block) {
    const auto at = static_cast<std::ptrdiff_t>(block * cell);
    const auto end = at + static_cast<std::ptrdiff_t>(cell);
    if (!reader->has(block)) continue;
    const Bytes& right = object.content();
    const bool same = std::equal(right.begin() + at, right.begin() + end, reader->content.begin() + at);
    wrong += same ? 0U : 1U;
  }
  if (wrong != 0 && !(controller_.alive() && is_unverified(object.name()))) {
    violated(object.name() + ": " + std::to_string(wrong) + " wrong blocks were given");
  }
  if (must && reader->got_count != object.blocks()) {
    violated(object.name() + ": " + std::to_string(object.blocks() - reader->got_count) +
             " blocks of an acknowledged object are refused");
  }
  mark("reads");
  mark("blocks read", reader->got_count);
  mark("blocks refused", reader->refused_count);
  report_.digest = report_.digest * 1000003 + reader->got_count * 31 + reader->refused_count;
}

// What owners know of their objects is so.
void Run::judge_object(const OwnedObject& each) {
  const auto known = controller_.catalogue()->stat(controller_.now(), "alice", each.name());
  if (!known.ok() && known.error().code != Exit::not_found) {
    return violated(each.name() + ": " + known.error().why);
  }
  const State state = each.state();
  if (known.ok() && (state == State::failed || state == State::removed)) {
    return violated(each.name() + " is there, though its owner knows that it is not");
  }
  if (!known.ok() && state == State::acknowledged) {
    return violated(each.name() + " was acknowledged and is forgotten");
  }
  if (!known.ok()) return;
  if (!judge_shares(known.value(), each.content())) return;
  ObjectReading reading({world_, net_, controller_, ssa_}, each.name());
  if (!pass(patience_ns_, [&] { return reading.step(); }) && report_.violations.empty()) {
    violated("a read does not come to an end");
  }
  check(reading, true);
  mark("objects read back");
}

// No holder keeps what the catalogue does not say that it has.
void Run::expect_only_what_is_known() {
  for (std::size_t i = 0; i < holders_.size(); ++i) {
    const auto page = controller_.catalogue()->holdings(holders_[i]->name(), 0, controller::page_max);
    if (!page.ok()) return violated("holdings: " + page.error().why);
    std::set<ObjectKey> expected;
    for (const controller::Holding& each : page.value().holdings) expected.insert(each.key);
    for (const ObjectKey& key : shares_.at(i)) {
      if (expected.contains(key)) continue;
      violated("holder " + std::to_string(i) + " keeps generation " + std::to_string(key.generation) +
               " of object " + std::to_string(key.object) + ", which is over");
    }
    mark("generations erased", holders_[i]->erased());
  }
}

void Run::judge_end() {
  for (const auto& each : objects_) {
    if (report_.violations.empty()) judge_object(*each);
  }
  if (report_.violations.empty()) judge_jobs();
  if (report_.violations.empty()) expect_only_what_is_known();
}

void Run::clean_up() {
  mark("calls lost", net_.lost());
  mark("lies told", peers_.lies());
  mark("starts of controllers", controller_.starts());
  if (!controller_.wrong().empty()) violated(controller_.wrong());
  readings_.clear();
  objects_.clear();
  for (const auto& owner : world_.owners) {
    if (owner->ssa_channel != nullptr) world_.remove_owner(*owner);
  }
  for (std::size_t i = 0; i < world_.holders.size(); ++i) {
    holders_[i]->stopped();
    world_.disconnect(i);
    world_.kill(i);
  }
  peers_.disconnect();  // what came last may wait there
  for (const auto& holder : world_.holders) {
    if (holder->pool.out() != 0) violated("packets of a holder are lost");
  }
  if (!world_.wrong().empty()) violated(world_.wrong());
  if (world_.pool.out() != 0 && report_.violations.empty()) violated("packets of the SSA are lost");
  report_.virtual_ns = world_.now_ns;
  report_.digest ^= world_.now_ns;
}

StorageReport Run::run() {
  trouble();
  heal();
  if (report_.violations.empty() && world_.wrong().empty()) judge_end();
  clean_up();
  return report_;
}

}  // namespace

StorageReport run_control_seed(std::uint64_t seed, const std::function<void(const std::string&)>& trace) {
  return Run(make_control_plan(seed), trace).run();
}

StorageReport run_control_fault(std::uint64_t seed, ControlFault fault,
                                const std::function<void(const std::string&)>& trace) {
  ControlPlan plan = make_control_plan(seed);
  plan.fault = fault;
  if (fault == ControlFault::endless_leases) plan.policy.lease_ms = 20 * 3600 * 1000;
  return Run(plan, trace).run();
}

}  // namespace ssn::sim
