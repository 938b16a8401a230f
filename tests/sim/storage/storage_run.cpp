// SPDX-License-Identifier: BSD-3-Clause
#include "storage_run.h"

#include <algorithm>

namespace ssn::sim {

using roles::SsaTrouble;
using test::Bytes;
using test::HolderNode;
using test::one_ms;
using test::one_s;
using test::TestOwner;
using Kind = StorageTrouble::Kind;

namespace {

/// For whatever a role has to bring to an end by itself.
constexpr std::uint64_t patience_ns = 30 * one_s;

struct Object {
  roles::ObjectKey key;
  Bytes content;
  std::uint32_t blocks = 0;
  std::uint64_t at_ns = 0;
  enum class State : std::uint8_t { waiting, writing, acknowledged, failed } state = State::waiting;
  TestOwner* owner = nullptr;
  roles::SsaSession session = 0;
  bool finished = false;
  roles::WriteResult written;
};

struct Reading {
  Object* object = nullptr;
  TestOwner* owner = nullptr;
  roles::SsaSession session = 0;
};

class Run {
 public:
  Run(const StoragePlan& plan, const std::function<void(const std::string&)>& trace);
  StorageReport run();

 private:
  void trouble();
  void begin(const StorageTrouble& what);
  void later(std::uint64_t after_ns, const std::function<void()>& what) { world_.at(after_ns, what); }
  void kill(std::size_t holder, std::uint64_t lasts_ns);
  void restart(std::size_t holder);
  void restart_ssa();
  void rot(std::size_t holder, bool all);
  void read_one();
  void step();
  void step_write(Object& object);
  bool step_read(Reading& reading);
  void heal();
  void damage();
  void read_back();
  void check(const Object& object, const TestOwner& reader, bool must);
  std::size_t damage_of(const Object& object) const;
  void clean_up();
  bool pass(std::uint64_t limit_ns, const std::function<bool()>& done);
  bool over() const;

  void mark(const std::string& what, std::uint64_t count = 1) { report_.marks[what] += count; }
  void say(const std::string& what) const {
    if (trace_) trace_(std::to_string((world_.now_ns - one_s) / 1000) + " us: " + what);
  }
  void violated(const std::string& what) {
    say("VIOLATION " + what);
    report_.violations.push_back(what);
  }

  const StoragePlan plan_;
  std::function<void(const std::string&)> trace_;
  test::SsaWorld world_;
  test::TestRandom random_;
  StorageReport report_;
  std::vector<Object> objects_;
  std::vector<Reading> readings_;
};

Run::Run(const StoragePlan& plan, const std::function<void(const std::string&)>& trace)
    : plan_(plan), trace_(trace), world_(plan.world, plan.seed), random_(plan.seed + 99) {
  report_.seed = plan.seed;
  const std::uint32_t cell = plan.world.layout.cell_bytes;
  for (const StorageObject& each : plan.objects) {
    Object object;
    object.key = {100 + objects_.size(), 1};
    object.blocks = each.blocks;
    object.content = random_.bytes(std::size_t{each.blocks} * cell);
    object.at_ns = world_.now_ns + each.at_ns;
    objects_.push_back(std::move(object));
  }
}

bool Run::pass(std::uint64_t limit_ns, const std::function<bool()>& done) {
  const std::uint64_t end = world_.now_ns + limit_ns;
  while (!done()) {
    if (world_.now_ns >= end || !world_.wrong().empty()) return false;
    const std::uint64_t slice = std::min<std::uint64_t>(end - world_.now_ns, 2 * one_ms);
    (void)world_.run(slice, [] { return false; });
    step();
  }
  return true;
}

void Run::step() {
  for (Object& object : objects_) {
    if (object.state == Object::State::waiting && object.at_ns <= world_.now_ns) {
      object.owner = &world_.add_owner();
      object.session = world_.open_write(*object.owner, object.key, object.content);
      object.state = Object::State::writing;
      say("object " + std::to_string(object.key.object) + ": write");
    }
    if (object.state == Object::State::writing) step_write(object);
  }
  std::erase_if(readings_, [this](Reading& reading) { return step_read(reading); });
}

void Run::step_write(Object& object) {
  const roles::WriteResult& result = *world_.ssa->result(object.session);
  if (result.ended) {
    object.written = result;
    const bool good = result.why == SsaTrouble::none;
    object.state = good ? Object::State::acknowledged : Object::State::failed;
    say("object " + std::to_string(object.key.object) + ": " + (good ? "acknowledged, sealed " : "failed: ") +
        (good ? std::to_string(result.sealed) : std::string(roles::name(result.why))) + ", attempts " +
        std::to_string(result.attempts.size()));
    mark(good ? "acknowledged" : "failed writes");
    if (good && result.sealed < plan_.world.layout.n) mark("written without some holder");
    if (result.attempts.size() > 1) mark("split again");
    if (good && result.sealed < result.minimum) violated("acknowledged with fewer holders than the minimum");
    for (const roles::HolderResult& each : object.written.holders) {
      const bool rots =
          std::find(plan_.rotten.begin(), plan_.rotten.end(), each.holder) != plan_.rotten.end();
      if (each.trouble == SsaTrouble::incomplete && !rots) {
        violated("holder " + std::to_string(each.holder) + " had told as stored what it does not have");
      }
    }
    (void)world_.ssa->close_write(object.session, world_.now_ns);
    world_.remove_owner(*object.owner);
    return;
  }
  const TestOwner& owner = *object.owner;
  const bool full = object.blocks % plan_.world.layout.secret_blocks == 0;
  if (!object.finished && (full ? owner.all_stored() : owner.received_count >= owner.blocks)) {
    object.finished = true;
    world_.ssa->finish_write(object.session, object.blocks, world_.now_ns);
  }
}

bool Run::step_read(Reading& reading) {
  if (!reading.owner->read_over()) return false;
  check(*reading.object, *reading.owner, false);
  mark("reads in trouble");
  (void)world_.ssa->close_read(reading.session, world_.now_ns);
  world_.remove_owner(*reading.owner);
  return true;
}

void Run::read_one() {
  std::vector<Object*> there;
  for (Object& object : objects_) {
    if (object.state == Object::State::acknowledged) there.push_back(&object);
  }
  // With a liar and too few others nothing can be checked: see docs/ssa.md.
  if (there.empty() || !plan_.liars.empty()) return;
  Object& object = *there[random_.below(there.size())];
  Reading reading{&object, &world_.add_owner(), 0};
  reading.session = world_.open_read(*reading.owner, object.key, object.written);
  reading.owner->read(object.key, object.blocks);
  readings_.push_back(reading);
  say("object " + std::to_string(object.key.object) + ": read");
}

void Run::restart(std::size_t holder) {
  if (world_.holders[holder]->alive) world_.kill(holder);
  world_.holders[holder]->medium.fail_never();
  world_.restart(holder);
  say("holder " + std::to_string(holder) + " starts");
}

void Run::kill(std::size_t holder, std::uint64_t lasts_ns) {
  world_.kill(holder);
  later(lasts_ns, [this, holder] {
    if (!world_.holders[holder]->alive) restart(holder);
  });
}

void Run::restart_ssa() {
  for (Object& object : objects_) {
    if (object.state != Object::State::writing) continue;
    object.state = Object::State::failed;
    mark("writes that an SSA left");
  }
  readings_.clear();
  for (const auto& owner : world_.owners) {
    if (owner->ssa_channel != nullptr) world_.remove_owner(*owner);
  }
  for (std::size_t i = 0; i < world_.holders.size(); ++i) world_.disconnect(i);
  world_.ssa = std::make_unique<roles::Ssa>(plan_.world.ssa, test::chosen_implementation(), world_.pool,
                                            world_.generated);
  for (std::size_t i = 0; i < world_.holders.size(); ++i) {
    if (world_.holders[i]->alive) world_.connect(i);
  }
}

// One record, or everything of every share.
void Run::rot(std::size_t holder, bool all) {
  test::CrashMedium& medium = world_.holders[holder]->medium;
  std::vector<store::Buffer> keys;
  for (const auto& [key, value] : medium.items()) {
    if (key[0] == 'S' || (!all && (key[0] == 'D' || key[0] == 'H'))) keys.push_back(key);
  }
  if (keys.empty()) return;
  if (!all) keys = {keys[random_.below(keys.size())]};
  for (const store::Buffer& key : keys) {
    store::Buffer value = *medium.items().at(key);
    // In the middle: where the shares' bytes are.
    value[value.size() / 2 + random_.below(value.size() / 4)] ^= random_.nonzero_byte();
    if (!all && random_.below(4) == 0) {
      medium.lose(key);
    } else {
      medium.replace(key, value);
    }
    mark("records rotten");
  }
}

void Run::begin(const StorageTrouble& what) {
  const std::size_t at = what.holder;
  HolderNode& node = *world_.holders[at];
  say(std::string(name(what.kind)) + ", holder " + std::to_string(at));
  mark(name(what.kind));
  switch (what.kind) {
    case Kind::kill:
      return kill(at, what.lasts_ns);
    case Kind::cut:
      world_.cut(at, true);
      return later(what.lasts_ns, [this, at] { world_.cut(at, false); });
    case Kind::disk_full:
      node.medium.set_capacity(node.medium.used() + random_.below(20000));
      return later(what.lasts_ns, [&node] { node.medium.set_capacity(UINT64_MAX); });
    case Kind::disk_fails:
      node.medium.fail_in(random_.below(20), test::CrashMedium::Failure::io_error);
      return later(what.lasts_ns, [this, at] { restart(at); });
    case Kind::stall:
      node.store.stall(true);
      return later(what.lasts_ns, [&node] { node.store.stall(false); });
    case Kind::slow:
      node.there.options.bytes_per_second = 300'000;
      return later(what.lasts_ns, [&node] { node.there.options.bytes_per_second = 1'250'000'000; });
    case Kind::rot:
      return rot(at, false);
    case Kind::ssa_restart:
      return restart_ssa();
    case Kind::read:
      return read_one();
  }
}

void Run::trouble() {
  const std::uint64_t start_ns = world_.now_ns;
  for (const StorageTrouble& each : plan_.troubles) {
    (void)pass(start_ns + each.at_ns - std::min(start_ns + each.at_ns, world_.now_ns), [] { return false; });
    begin(each);
  }
}

bool Run::over() const {
  const auto open = [](const Object& object) {
    return object.state == Object::State::waiting || object.state == Object::State::writing;
  };
  return readings_.empty() && std::none_of(objects_.begin(), objects_.end(), open);
}

// Everything that broke works again; what was begun comes to its end by itself.
void Run::heal() {
  if (!pass(patience_ns, [this] { return over(); })) {
    violated("a write or a read does not come to an end");
    for (const Object& each : objects_) {
      if (each.state != Object::State::writing) continue;
      say("object " + std::to_string(each.key.object) + ": " + std::to_string(each.owner->received_count) +
          " received, " + std::to_string(each.owner->stored_count) + " stored of " +
          std::to_string(each.blocks));
    }
  }
  (void)pass(700 * one_ms, [] { return false; });  // the longest trouble
  for (std::size_t i = 0; i < world_.holders.size(); ++i) {
    HolderNode& node = *world_.holders[i];
    world_.cut(i, false);
    node.store.stall(false);
    node.medium.set_capacity(UINT64_MAX);
    restart(i);
  }
}

void Run::damage() {
  for (const std::size_t each : plan_.rotten) {
    world_.kill(each);
    rot(each, plan_.beyond || random_.coin());
    world_.restart(each);
  }
  for (const std::size_t each : plan_.liars) world_.holders[each]->lies_percent = 30;
}

std::size_t Run::damage_of(const Object& object) const {
  const auto is_in = [](const std::vector<std::size_t>& some, std::size_t holder) {
    return std::find(some.begin(), some.end(), holder) != some.end();
  };
  std::size_t out = 0;
  for (const roles::HolderResult& each : object.written.holders) {
    if (!each.sealed || is_in(plan_.rotten, each.holder)) {
      ++out;
    } else if (is_in(plan_.liars, each.holder)) {
      out += 2;
    }
  }
  return out;
}

void Run::check(const Object& object, const TestOwner& reader, bool must) {
  const std::string which = "object " + std::to_string(object.key.object) + ": ";
  const std::size_t cell = plan_.world.layout.cell_bytes;
  std::size_t wrong = 0;
  for (std::uint32_t block = 0; block < object.blocks; ++block) {
    const auto at = static_cast<std::ptrdiff_t>(block * cell);
    const auto end = at + static_cast<std::ptrdiff_t>(cell);
    if (!reader.has(block)) continue;
    wrong +=
        std::equal(object.content.begin() + at, object.content.begin() + end, reader.content.begin() + at)
            ? 0U
            : 1U;
  }
  const bool liars_may = !plan_.liars.empty() && !must;
  if (wrong != 0 && !liars_may) violated(which + std::to_string(wrong) + " wrong blocks were given");
  if (must && reader.refused_count != 0) {
    violated(which + std::to_string(reader.refused_count) + " blocks of an acknowledged object are refused");
  }
  mark("blocks read", reader.got_count);
  mark("blocks refused", reader.refused_count);
  report_.digest = report_.digest * 1000003 + reader.got_count * 31 + reader.refused_count;
}

void Run::read_back() {
  for (Object& object : objects_) {
    if (object.state != Object::State::acknowledged) continue;
    const std::size_t damage = damage_of(object);
    const std::size_t spare = plan_.world.layout.n - plan_.world.layout.k;
    const bool must = damage <= spare;
    const TestOwner& reader = world_.get(object.key, object.blocks, object.written, patience_ns);
    say("object " + std::to_string(object.key.object) + ": damage " + std::to_string(damage) + ", got " +
        std::to_string(reader.got_count) + ", refused " + std::to_string(reader.refused_count));
    if (!reader.read_over()) violated("a read does not come to an end");
    check(object, reader, must);
    // All records of more holders than can be missed are wrong.
    if (plan_.beyond && reader.got_count != 0) violated("blocks were given that nobody can know");
    mark(must ? "objects that must be read back" : "objects beyond repair");
    if (must && damage == spare) mark("objects read back from k shares");
    if (!must && reader.refused_count != 0) mark("objects refused");
  }
}

void Run::clean_up() {
  const roles::SsaCounters& counters = world_.ssa->counters();
  mark("liars named", world_.count_events(roles::SsaEvent::Kind::holder_lies));
  mark("cells corrected", counters.cells_corrected);
  for (const auto& owner : world_.owners) {
    if (owner->ssa_channel != nullptr) world_.remove_owner(*owner);
  }
  for (std::size_t i = 0; i < world_.holders.size(); ++i) {
    if (world_.holders[i]->holder != nullptr && !world_.holders[i]->holder->audit()) {
      violated("the books of a holder do not balance");
    }
    world_.disconnect(i);
    world_.kill(i);
    if (world_.holders[i]->pool.out() != 0) violated("packets of a holder are lost");
  }
  if (!world_.wrong().empty()) violated(world_.wrong());
  if (world_.pool.out() != 0 && report_.violations.empty()) violated("packets of the SSA are lost");
  report_.virtual_ns = world_.now_ns;
  report_.digest ^= world_.now_ns;
}

StorageReport Run::run() {
  trouble();
  heal();
  damage();
  if (report_.violations.empty()) read_back();
  clean_up();
  return report_;
}

}  // namespace

StorageReport run_storage_seed(std::uint64_t seed, const std::function<void(const std::string&)>& trace) {
  return Run(make_storage_plan(seed), trace).run();
}

void StorageTotals::add(const StorageReport& report) {
  ++seeds;
  failed += report.violations.empty() ? 0U : 1U;
  for (const auto& [mark, count] : report.marks) marks[mark] += count;
}

namespace {

std::string text_of(const std::map<std::string, std::uint64_t>& marks) {
  std::string out;
  for (const auto& [mark, count] : marks) out += "  " + mark + ": " + std::to_string(count) + "\n";
  return out;
}

}  // namespace

std::string StorageTotals::text() const {
  return std::to_string(seeds) + " seeds, " + std::to_string(failed) + " failed\n" + text_of(marks);
}

std::string StorageReport::text() const {
  std::string out = "seed " + std::to_string(seed) + ": " + std::to_string((virtual_ns - one_s) / one_ms) +
                    " ms, digest " + std::to_string(digest) + "\n" + text_of(marks);
  for (const std::string& each : violations) out += "VIOLATION " + each + "\n";
  return out;
}

}  // namespace ssn::sim
