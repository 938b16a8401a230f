// SPDX-License-Identifier: BSD-3-Clause
#include "plan.h"

#include <algorithm>
#include <bit>

#include "job_carrier.h"

namespace ssn::sim {

using protocol::WireStream;
using test::TestRandom;

namespace {

struct Shape {
  kernels::Scheme scheme;
  unsigned k, n, data_blocks;
};
constexpr Shape shapes[] = {
    {kernels::Scheme::systematic, 2, 3, 1}, {kernels::Scheme::systematic, 3, 5, 1},
    {kernels::Scheme::systematic, 2, 2, 1}, {kernels::Scheme::systematic, 4, 6, 1},
    {kernels::Scheme::classic, 2, 4, 1},    {kernels::Scheme::classic, 3, 5, 1},
    {kernels::Scheme::ramp, 3, 5, 2},       {kernels::Scheme::ramp, 4, 6, 2},
    {kernels::Scheme::rs, 2, 4, 2},         {kernels::Scheme::rs, 4, 6, 4},
};
constexpr std::uint32_t cell_sizes[] = {64, 128, 192, 320, 640, 1344};

std::uint64_t between(TestRandom& random, std::uint64_t low, std::uint64_t high) {
  return low + random.next() % (high - low + 1);
}

StreamPlan make_stream(TestRandom& random, std::uint64_t id, std::size_t a, std::size_t b) {
  StreamPlan plan;
  plan.a = a;
  plan.b = b;
  const Shape& shape = shapes[random.below(std::size(shapes))];
  WireStream& wire = plan.wire;
  wire.id = id;
  wire.scheme = shape.scheme;
  wire.k = shape.k;
  wire.n = shape.n;
  wire.data_blocks = shape.data_blocks;
  wire.cell_bytes = cell_sizes[random.below(std::size(cell_sizes))];
  // A frame lies in at most four blocks: it fits many times into the rings and the window.
  const std::uint64_t longest = std::min<std::uint64_t>(1514, 3 * (wire.block_bytes() - 16));
  wire.frame_max = static_cast<std::uint32_t>(between(random, 32, longest));
  wire.latency_ns = random.coin() ? 0 : between(random, 1, 500) * microsecond;
  wire.reorder_ns = between(random, 0, 40) * 100 * microsecond;
  wire.window = 64;
  plan.random = random.coin() ? RandomSource::stream : RandomSource::generator;
  const unsigned room = wire.frame_max;
  plan.frame_low = random.coin() ? 1 : 1 + static_cast<unsigned>(random.below(room));
  plan.frame_high = plan.frame_low + static_cast<unsigned>(random.below(room + 1 - plan.frame_low));
  return plan;
}

// What hosts must live with: devices that keep the rules of the interface, and those that forget deadlines or
// whole jobs. One that computes wrongly, or touches what is not its own, is the conformance suite's to find.
OffloadPlan make_offload(TestRandom& random) {
  OffloadPlan plan;
  const std::size_t what = random.below(8);
  if (what == 0) return plan;
  plan.driver = what == 1 ? "cpu" : "fault";
  plan.depth = random.coin() ? 64 : static_cast<std::uint32_t>(between(random, 1, 8));
  plan.deadline_ns = random.below(3) == 0 ? 0 : between(random, 1, 10) * 100 * microsecond;
  if (what == 1) return plan;
  static constexpr const char* faults[] = {"none",    "slow",  "slow", "partial", "refuse",
                                           "timeout", "delay", "lose", "lose"};
  const std::string fault = faults[random.below(std::size(faults))];
  // Nobody misses a job without a deadline.
  if (fault == "lose") plan.deadline_ns = std::max<std::uint64_t>(plan.deadline_ns, 100 * microsecond);
  plan.settings = {{"fault", fault},
                   {"seed", std::to_string(random.next())},
                   {"one_in", std::to_string(between(random, 1, 12))},
                   {"delay_us", std::to_string(between(random, 1, 30) * 100)}};
  return plan;
}

LinkFaults make_faults(TestRandom& random) {
  LinkFaults faults;
  const auto some = [&random](unsigned most) {
    return random.coin() ? 0 : static_cast<unsigned>(random.below(most + 1));
  };
  faults.loss = some(300);
  faults.duplicate = some(200);
  faults.corrupt = some(100);
  faults.forge = some(150);
  faults.replay = some(50);
  faults.delay_ns = between(random, 1, 20) * 10 * microsecond;
  faults.jitter_ns = between(random, 1, 200) * 10 * microsecond;
  return faults;
}

// A device that keeps a job for long makes its block late, at the sender or at the receiver, there twice
// where a share was forged; what is waited for must be more.
std::uint64_t longest_delay(const Plan& plan) {
  std::uint64_t longest = 0;
  for (const NodePlan& node : plan.nodes) {
    for (const auto& [name, value] : node.offload.settings) {
      if (value == "lose")
        longest = std::max(longest, 2 * node.offload.deadline_ns + JobCarrier::patience_ns);
      if (name == "delay_us") longest = std::max<std::uint64_t>(longest, std::stoull(value) * microsecond);
    }
  }
  return longest;
}

// Half of a ring holds twelve blocks and more: that far apart packets may arrive.
void size_rings(Plan& plan, TestRandom& random) {
  std::uint64_t block = 0;
  unsigned n = 0;
  for (const StreamPlan& stream : plan.streams) {
    block = std::max<std::uint64_t>(block, std::uint64_t{stream.wire.n} * stream.wire.cell_bytes);
    n = std::max(n, stream.wire.n);
  }
  plan.d_ring = std::bit_ceil(std::max<std::uint64_t>(block * between(random, 24, 32), 16384));
  plan.a_ring = 16384;
  plan.extent = std::bit_ceil(std::max<std::uint64_t>(block * 4, 4096)) << random.below(4);
}

}  // namespace

std::string OffloadPlan::text() const {
  if (driver.empty()) return "no queue";
  std::string out = driver;
  for (const auto& [name, value] : settings) out += " " + name + "=" + value;
  return out + " depth=" + std::to_string(depth) + " deadline=" + std::to_string(deadline_ns / 1000) + "us";
}

std::string Plan::text() const {
  std::string out = "seed " + std::to_string(seed) + (wait ? ", wait" : ", refuse") + ", D ring " +
                    std::to_string(d_ring) + ", extent " + std::to_string(extent) + ", loss " +
                    std::to_string(faults.loss) + " duplicate " + std::to_string(faults.duplicate) +
                    " corrupt " + std::to_string(faults.corrupt) + " forge " + std::to_string(faults.forge) +
                    " replay " + std::to_string(faults.replay) + " per mille\n";
  for (const NodePlan& node : nodes) out += "  node " + node.name + ": " + node.offload.text() + "\n";
  for (const StreamPlan& each : streams) {
    const WireStream& wire = each.wire;
    out += "  stream " + std::to_string(wire.id) + " " + nodes[each.a].name + " - " + nodes[each.b].name +
           ": " + std::string(kernels::name(wire.scheme)) + " (" + std::to_string(wire.k) + "," +
           std::to_string(wire.n) + ") L=" + std::to_string(wire.data_blocks) + " cell " +
           std::to_string(wire.cell_bytes) + " frames " + std::to_string(each.frame_low) + "-" +
           std::to_string(each.frame_high) + " latency " + std::to_string(wire.latency_ns / 1000) +
           "us reorder " + std::to_string(wire.reorder_ns / 1000) + "us random " +
           (each.random == RandomSource::stream ? "stream" : "generator") + "\n";
  }
  return out;
}

Plan make_plan(std::uint64_t seed) {
  TestRandom random(seed ^ 0x5eed0f91a2);
  Plan plan;
  plan.seed = seed;
  const std::size_t nodes = random.below(4) == 0 ? 3 : 2;
  static constexpr const char* names[] = {"alice", "bob", "carol"};
  for (std::size_t i = 0; i < nodes; ++i) plan.nodes.push_back({names[i], make_offload(random)});
  std::uint64_t id = 1 + random.below(1000);
  for (std::size_t a = 0; a + 1 < nodes; ++a) {
    plan.streams.push_back(make_stream(random, id++, a, a + 1));
    if (random.below(4) == 0) plan.streams.push_back(make_stream(random, id++, a, a + 1));
  }
  for (StreamPlan& stream : plan.streams) stream.wire.reorder_ns += millisecond + 3 * longest_delay(plan);
  plan.wait = random.coin();
  size_rings(plan, random);
  plan.faults = make_faults(random);
  const auto some = [&random](unsigned most) {
    return random.coin() ? 0 : static_cast<unsigned>(random.below(most + 1));
  };
  plan.crash = some(20);
  plan.partition = some(15);
  plan.shortage = some(25);
  plan.desynchronise = some(10);
  plan.device_restart = some(10);
  plan.cells = between(random, 256, 768);
  return plan;
}

}  // namespace ssn::sim
