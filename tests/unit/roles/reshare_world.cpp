// SPDX-License-Identifier: BSD-3-Clause
#include "reshare_world.h"

#include <algorithm>
#include <cstring>

#include "../../../dataplane/roles/reshare_math.h"

namespace ssn::test {

using namespace protocol;
using roles::ReshareGeneration;
using roles::ReshareLayout;
using roles::ReshareOrder;
using roles::ReshareState;
using roles::ReshareStatus;
using store::ShareId;
using store::stripe_cells;

namespace {

roles::ReshareFloor with_nodes(roles::ReshareFloor floor, unsigned nodes) {
  for (unsigned i = 0; i < nodes; ++i) floor.nodes.push_back({10ULL * (i + 1), 0});
  return floor;
}

std::uint16_t attempt_at(const ReshareGeneration& at, std::uint32_t cell) {
  std::uint16_t attempt = 0;
  for (const store::AttemptRun& run : at.runs) {
    if (run.first <= cell) attempt = run.attempt;
  }
  return attempt;
}

}  // namespace

ReshareNode::ReshareNode(const ReshareWorldOptions& given, std::uint64_t name, std::uint64_t seed,
                         const roles::ReshareRule& floor)
    : options(given),
      id(name),
      rule(floor),
      medium(seed),
      store(medium, given.base.store, seed + 1),
      pool(given.base.pool_cells),
      generated(chosen_implementation(), generator),
      random(generated),
      memory(locked_memory(roles::Resharer::memory_bytes(given.resharer))) {
  TestRandom seeds(seed + 2);
  std::array<std::uint8_t, kernels::RandomGenerator::seed_bytes> bytes;
  seeds.fill(bytes.data(), bytes.size());
  generator.seed(bytes);
}

void ReshareNode::start() {
  divider = std::make_unique<roles::StoreDivider>(store, roles::Holder::requests(options.base.holder));
  holder = std::make_unique<roles::Holder>(options.base.holder, divider->first(), pool, access);
  roles::ResharerOptions its = options.resharer;
  its.node = id;
  resharer = std::make_unique<roles::Resharer>(its, chosen_implementation(), divider->second(), pool, random,
                                               rule, memory);
  alive = true;
}

ReshareWorld::ReshareWorld(const ReshareWorldOptions& given, std::uint64_t chosen)
    : options(given), seed(chosen), random(chosen), rule(with_nodes(given.floor, given.nodes)) {
  for (unsigned i = 0; i < options.nodes; ++i) {
    nodes.push_back(std::make_unique<ReshareNode>(options, 10ULL * (i + 1), seed * 1000 + i * 10, rule));
    if (!nodes[i]->store.open().ok()) wrong_ = "a store does not open";
    nodes[i]->start();
    for (unsigned j = 0; j < i; ++j) connect(j, i);
  }
}

ReshareWorld::~ReshareWorld() {
  for (unsigned i = 0; i < nodes.size(); ++i) kill(i);
  lines.clear();
}

ReshareNode* ReshareWorld::by_id(std::uint64_t id) {
  for (const auto& each : nodes) {
    if (each->id == id) return each.get();
  }
  return nullptr;
}

ReshareLine* ReshareWorld::line(unsigned a, unsigned b) {
  for (const auto& each : lines) {
    if (&each->low == nodes[std::min(a, b)].get() && &each->high == nodes[std::max(a, b)].get()) {
      return each.get();
    }
  }
  return nullptr;
}

void ReshareWorld::connect(unsigned a, unsigned b) {
  ReshareNode& low = *nodes[std::min(a, b)];
  ReshareNode& high = *nodes[std::max(a, b)];
  if (!low.alive || !high.alive || line(a, b) != nullptr) return;
  ++names;
  lines.push_back(std::make_unique<ReshareLine>(options, names, low, high, seed * 7777 + names * 2, now_ns));
  ReshareLine& made = *lines.back();
  made.low_here = low.resharer->add_peer(made.tie.ssa_channel, high.id, now_ns, made.at_low);
  made.high_here = high.resharer->add_peer(made.tie.holder_channel, low.id, now_ns, made.at_high);
  if (!made.low_here || !made.high_here) wrong_ = "a resharer has no place";
}

void ReshareWorld::leave(ReshareLine& its, bool low) {
  bool& here = low ? its.low_here : its.high_here;
  if (!here) return;
  here = false;
  ReshareNode& node = low ? its.low : its.high;
  node.resharer->remove_peer(low ? its.at_low : its.at_high, now_ns);
}

void ReshareWorld::disconnect(unsigned a, unsigned b) {
  ReshareLine* const found = line(a, b);
  if (found == nullptr) return;
  leave(*found, true);
  leave(*found, false);
  std::erase_if(lines, [&](const auto& each) { return each.get() == found; });
}

void ReshareWorld::kill(unsigned at) {
  ReshareNode& node = *nodes[at];
  if (!node.alive) return;
  node.medium.fail_in(0, CrashMedium::Failure::power_off);
  for (const auto& each : lines) {
    if (&each->low == &node) leave(*each, true);
    if (&each->high == &node) leave(*each, false);
  }
  std::array<ReshareStatus, 64> jobs;
  const std::size_t count = node.resharer->list(jobs);
  for (std::size_t i = 0; i < count; ++i) node.resharer->cancel(jobs[i].job);
  node.store.drain();
  node.holder->step(now_ns);
  node.resharer->step(now_ns);
  if (!node.resharer->idle() || !node.holder->idle()) wrong_ = "the store kept a request";
  if (!node.resharer->is_erased()) wrong_ = "masks, dealings or sums were left behind";
  node.resharer.reset();
  node.holder.reset();
  node.divider.reset();
  node.alive = false;
  node.medium.crash();
}

void ReshareWorld::restart(unsigned at) {
  if (nodes[at]->alive) kill(at);
  for (unsigned i = 0; i < nodes.size(); ++i) disconnect(std::min(at, i), std::max(at, i));
  if (!nodes[at]->store.open().ok()) wrong_ = "a store does not open after a crash";
  nodes[at]->start();
  for (unsigned i = 0; i < nodes.size(); ++i) {
    if (i != at) connect(at, i);
  }
}

ReshareLayout ReshareWorld::layout(unsigned k, const std::vector<unsigned>& at, kernels::Scheme scheme,
                                   unsigned blocks) const {
  ReshareLayout out;
  out.scheme = scheme;
  out.k = static_cast<std::uint8_t>(k);
  out.n = static_cast<std::uint8_t>(at.size());
  out.secret_blocks = static_cast<std::uint8_t>(blocks);
  for (const unsigned each : at) out.nodes.push_back(nodes[each]->id);
  return out;
}

SharedObject ReshareWorld::put(std::uint64_t object, const ReshareLayout& layout, std::uint32_t cells,
                               std::vector<store::AttemptRun> runs) {
  SharedObject out{object, cells, options.cell_bytes, {1, layout, std::move(runs)}, {}};
  kernels::Code code;
  auto split = std::make_unique<kernels::Transform>();
  if (!roles::make_code(layout, code) || split->make_split(code) != kernels::Status::ok) {
    wrong_ = "no code";
    return out;
  }
  const std::size_t bytes = options.cell_bytes;
  out.data = random.bytes(cells * code.data_blocks() * bytes);
  for (std::uint32_t cell = 0; cell < cells; ++cell) {
    const Bytes drawn = random.bytes(code.random_blocks() * bytes);
    Bytes shares(layout.n * bytes);
    std::vector<const std::uint8_t*> data, blocks;
    std::vector<std::uint8_t*> to;
    for (unsigned i = 0; i < code.data_blocks(); ++i) {
      data.push_back(out.data.data() + (std::size_t{cell} * code.data_blocks() + i) * bytes);
    }
    for (unsigned i = 0; i < code.random_blocks(); ++i) blocks.push_back(drawn.data() + i * bytes);
    for (unsigned i = 0; i < layout.n; ++i) to.push_back(shares.data() + i * bytes);
    kernels::SplitJob job;
    job.transform = split.get();
    job.code = &code;
    job.data = data.data();
    job.random = blocks.data();
    job.shares = to.data();
    job.length = bytes;
    if (kernels::split(chosen_implementation(), job) != kernels::Status::ok) wrong_ = "no split";
    for (unsigned share = 1; share <= layout.n; ++share) {
      ReshareNode* const at = by_id(layout.nodes[share - 1]);
      if (at == nullptr) continue;
      const unsigned row = roles::row_of(layout, share, cell);
      const ShareId id{object, 1, static_cast<std::uint8_t>(share)};
      (void)at->store.store().put(id, attempt_at(out.at, cell), cell, {to[row - 1], bytes}, 0, now_ns);
    }
  }
  for (unsigned share = 1; share <= layout.n; ++share) {
    ReshareNode* const at = by_id(layout.nodes[share - 1]);
    if (at == nullptr) continue;
    std::vector<store::PutCompletion> completions;
    const ShareId id{object, 1, static_cast<std::uint8_t>(share)};
    if (at->store.store().seal(id, cells, out.at.runs, now_ns, completions).result !=
        store::StoreResult::done) {
      wrong_ = "a share cannot be sealed";
    }
  }
  return out;
}

Bytes ReshareWorld::share(const SharedObject& object, const ReshareGeneration& at, unsigned share) {
  ReshareNode* const node = by_id(at.layout.nodes[share - 1]);
  if (node == nullptr || (!node->alive && !node->store.open().ok())) return {};
  StripeReader reader(object.cell_bytes);
  Bytes out;
  const ShareId id{object.object, at.generation, static_cast<std::uint8_t>(share)};
  for (std::uint32_t cell = 0; cell < object.cells; ++cell) {
    const std::uint32_t place = cell % stripe_cells;
    const store::CellRead read = reader.read(node->store.store(), id, attempt_at(at, cell),
                                             cell / stripe_cells, std::uint64_t{1} << place);
    if (read.result != store::StoreResult::done) return {};
    const store::Buffer bytes = reader.cell(place);
    out.insert(out.end(), bytes.begin(), bytes.end());
  }
  return out;
}

Bytes ReshareWorld::recover(const SharedObject& object, const ReshareGeneration& at, bool alive_only) {
  kernels::Code code;
  if (!roles::make_code(at.layout, code)) return {};
  std::vector<Bytes> shares(at.layout.n);
  std::vector<std::uint8_t> have;
  for (unsigned i = 1; i <= at.layout.n; ++i) {
    const ReshareNode* const node = by_id(at.layout.nodes[i - 1]);
    if (alive_only && (node == nullptr || !node->alive)) continue;
    shares[i - 1] = share(object, at, i);
    if (!shares[i - 1].empty()) have.push_back(static_cast<std::uint8_t>(i));
  }
  if (have.size() < code.k()) return {};
  const std::size_t bytes = object.cell_bytes;
  Bytes out(std::size_t{object.cells} * code.data_blocks() * bytes);
  auto transform = std::make_unique<kernels::Transform>();
  for (std::uint32_t cell = 0; cell < object.cells; ++cell) {
    Bytes rows;
    std::vector<const std::uint8_t*> in;
    for (const std::uint8_t each : have) {
      rows.push_back(static_cast<std::uint8_t>(roles::row_of(at.layout, each, cell)));
      in.push_back(shares[each - 1].data() + cell * bytes);
    }
    std::size_t bad = bytes;
    if (have.size() > code.k() &&
        (transform->make_syndromes(code, rows) != kernels::Status::ok ||
         kernels::check(chosen_implementation(), *transform, in.data(), bytes, bad) != kernels::Status::ok)) {
      return {};
    }
    if (bad != bytes ||
        transform->make_recover(code, std::span(rows).first(code.k())) != kernels::Status::ok) {
      return {};
    }
    std::vector<std::uint8_t*> to;
    for (unsigned i = 0; i < code.data_blocks(); ++i) {
      to.push_back(out.data() + (std::size_t{cell} * code.data_blocks() + i) * bytes);
    }
    if (kernels::dot(chosen_implementation(), *transform, in.data(), to.data(), bytes) !=
        kernels::Status::ok) {
      return {};
    }
  }
  return out;
}

void ReshareWorld::remove(std::uint64_t object, std::uint32_t generation, unsigned at) {
  (void)nodes[at]->store.remove({object, generation});
}

void ReshareWorld::replace_share(const SharedObject& object, unsigned share, const Bytes& bytes) {
  ReshareNode& node = *by_id(object.at.layout.nodes[share - 1]);
  std::vector<store::PutCompletion> completions;
  (void)node.store.store().remove({object.object, object.at.generation}, completions);
  if (!node.store.open().ok()) wrong_ = "a store does not open";  // forgets that it was removed
  const ShareId id{object.object, object.at.generation, static_cast<std::uint8_t>(share)};
  for (std::uint32_t cell = 0; cell < object.cells; ++cell) {
    const std::span<const std::uint8_t> its(bytes.data() + std::size_t{cell} * object.cell_bytes,
                                            object.cell_bytes);
    (void)node.store.store().put(id, attempt_at(object.at, cell), cell, its, 0, now_ns);
  }
  const auto sealed = node.store.store().seal(id, object.cells, object.at.runs, now_ns, completions);
  if (sealed.result != store::StoreResult::done) wrong_ = "a changed share cannot be sealed";
}

std::vector<std::uint64_t> ReshareWorld::with_part(const ReshareOrder& order) const {
  std::vector<std::uint64_t> out;
  const auto add = [&](const ReshareLayout& layout, const std::vector<std::uint8_t>& shares) {
    for (const std::uint8_t share : shares) {
      const std::uint64_t id = layout.nodes[share - 1U];
      if (std::find(out.begin(), out.end(), id) == out.end()) out.push_back(id);
    }
  };
  if (!order.from.empty()) add(order.source.layout, order.from);
  if (!order.to.empty()) add(order.target.layout, order.to);
  return out;
}

std::vector<roles::ReshareAnswer> ReshareWorld::order(const ReshareOrder& order) {
  std::vector<roles::ReshareAnswer> out;
  for (const std::uint64_t id : with_part(order)) {
    ReshareNode* const node = by_id(id);
    if (node != nullptr && node->alive) out.push_back(node->resharer->order(order, now_ns));
  }
  return out;
}

ReshareStatus ReshareWorld::status(unsigned at, std::uint64_t job) {
  ReshareStatus out;
  if (nodes[at]->alive) (void)nodes[at]->resharer->status(job, out);
  return out;
}

bool ReshareWorld::done(const ReshareOrder& order) {
  for (const std::uint64_t id : with_part(order)) {
    ReshareStatus status;
    const ReshareNode* const node = by_id(id);
    if (!node->alive || !node->resharer->status(order.job, status)) return false;
    if (status.round != order.round || status.state != ReshareState::done) return false;
  }
  return true;
}

bool ReshareWorld::failed(const ReshareOrder& order) {
  for (const std::uint64_t id : with_part(order)) {
    ReshareStatus status;
    const ReshareNode* const node = by_id(id);
    if (!node->alive || !node->resharer->status(order.job, status)) return true;
    if (status.round == order.round && status.state == ReshareState::failed) return true;
  }
  return false;
}

std::string ReshareWorld::describe(std::uint64_t job) {
  std::string out = wrong();
  for (unsigned i = 0; i < nodes.size(); ++i) {
    const ReshareStatus its = status(i, job);
    out += "\nnode " + std::to_string(nodes[i]->id) + ": state " +
           std::to_string(static_cast<int>(its.state)) + ", trouble " +
           std::to_string(static_cast<int>(its.trouble)) + " about " + std::to_string(its.node) + ", round " +
           std::to_string(its.round) + ", through " + std::to_string(its.through) + ", given " +
           std::to_string(its.cells_given) + ", taken " + std::to_string(its.cells_taken);
    if (nodes[i]->alive) {
      const roles::ResharerCounters& counters = nodes[i]->resharer->counters();
      out += ", unexpected " + std::to_string(counters.unexpected) + ", repeated " +
             std::to_string(counters.repeated) + ", packets out " + std::to_string(nodes[i]->pool.out());
    }
  }
  for (const auto& each : lines) {
    for (const Channel* const channel : {&each->tie.ssa_channel, &each->tie.holder_channel}) {
      const SenderCounters& sent = channel->sender().counters();
      const ChannelCounters& its = channel->counters();
      if (sent.sent < 20) continue;
      out += "\nline " + std::to_string(each->low.id) + "-" + std::to_string(each->high.id) + ": sent " +
             std::to_string(sent.sent) + ", received " + std::to_string(sent.received) + ", stored " +
             std::to_string(sent.stored) + ", expired " + std::to_string(sent.expired) + ", again " +
             std::to_string(sent.sent_again) + ", gone " + std::to_string(its.gone) + ", refused " +
             std::to_string(its.refused) + ", delivered " + std::to_string(its.delivered);
    }
  }
  return out;
}

bool ReshareWorld::carry_out(const ReshareOrder& its, std::uint64_t limit_ns) {
  for (const roles::ReshareAnswer answer : order(its)) {
    if (answer == roles::ReshareAnswer::taken || answer == roles::ReshareAnswer::again) continue;
    wrong_ = "an order was answered " + std::to_string(static_cast<int>(answer));
    return false;
  }
  return run(limit_ns, [&] { return done(its) || failed(its); }) && done(its);
}

void ReshareWorld::deliver(ReshareLine& its, bool low) {
  ReshareNode& node = low ? its.low : its.high;
  ReshareNode& from = low ? its.high : its.low;
  ChannelEnd& end = low ? its.tie.at_ssa : its.tie.at_holder;
  end.deliver(now_ns, [&](std::span<Cell* const> cells) {
    for (Cell* const cell : cells) {
      if (from.lies) from.lies(*cell);
      if (watch) watch(node, *cell);
    }
    node.resharer->delivered(low ? its.at_low : its.at_high, cells, now_ns);
  });
}

void ReshareWorld::work() {
  for (const auto& each : lines) {
    each->tie.poll();
    if (each->low_here) deliver(*each, true);
    if (each->high_here) deliver(*each, false);
  }
  for (const auto& each : nodes) {
    if (!each->alive) continue;
    each->store.work(now_ns);
    each->holder->step(now_ns);
    each->resharer->step(now_ns);
  }
  for (const auto& each : lines) {
    if (each->low_here) {
      each->tie.ssa_channel.step(now_ns);
      each->tie.at_ssa.transmit(each->there, 0, now_ns);
    }
    if (each->high_here) {
      each->tie.holder_channel.step(now_ns);
      each->tie.at_holder.transmit(each->back, 0, now_ns);
    }
  }
}

bool ReshareWorld::advance(std::uint64_t end_ns) {
  std::uint64_t next = UINT64_MAX;
  for (const auto& each : lines) {
    next = std::min({next, each->there.next(), each->back.next()});
    if (each->low_here) next = std::min(next, each->tie.ssa_channel.next_due());
    if (each->high_here) next = std::min(next, each->tie.holder_channel.next_due());
  }
  for (const auto& each : nodes) {
    if (each->alive) {
      next = std::min({next, each->resharer->next_due(), each->holder->next_due(), each->store.next_due()});
    }
  }
  now_ns = std::max(next, now_ns + 20 * one_us);
  if (now_ns >= end_ns || !wrong().empty()) {
    now_ns = std::min(now_ns, end_ns);
    return false;
  }
  Bytes packet;
  unsigned to = 0;
  for (const auto& each : lines) {
    while (each->there.receive(now_ns, packet, to)) {
      if (each->high_here) each->tie.at_holder.receive(packet, true);
    }
    while (each->back.receive(now_ns, packet, to)) {
      if (each->low_here) each->tie.at_ssa.receive(packet, true);
    }
  }
  return true;
}

std::uint64_t ReshareWorld::bytes_on_wire() const {
  std::uint64_t out = 0;
  for (const auto& each : lines) out += each->there.bytes + each->back.bytes;
  return out;
}

std::string ReshareWorld::wrong() const {
  if (!wrong_.empty()) return wrong_;
  for (const auto& each : nodes) {
    if (!each->pool.wrong().empty()) return each->pool.wrong();
  }
  return {};
}

}  // namespace ssn::test
