// SPDX-License-Identifier: BSD-3-Clause
#include "control_plan.h"

#include <algorithm>

namespace ssn::sim {

using test::one_ms;
using Kind = ControlTrouble::Kind;

namespace {

constexpr std::uint64_t troubled_ns = 4000 * one_ms;

struct Shape {
  controller::Scheme scheme;
  unsigned k, n, blocks;
};
// Two shares more than are needed, so that one holder may rot while another one is away.
constexpr Shape shapes[] = {
    {controller::Scheme::shamir, 2, 4, 1},
    {controller::Scheme::shamir, 3, 5, 1},
    {controller::Scheme::shamir_classic, 2, 4, 1},
    {controller::Scheme::ramp, 3, 5, 2},
};

test::SsaWorldOptions world_options(const Shape& shape, test::TestRandom& random) {
  test::SsaWorldOptions options;
  options.layout.k = shape.k;
  options.layout.n = shape.n;
  options.layout.secret_blocks = shape.blocks;
  options.layout.cell_bytes = random.coin() ? 64 : 128;
  options.holders = static_cast<std::uint16_t>(shape.n + 2);
  options.link.loss_percent = random.coin() ? 0 : random.between(1, 4);
  options.link.double_percent = random.between(0, 3);
  options.link.mix_percent = random.between(0, 20);
  options.owner_link = options.link;
  options.channel.sender.packets = 1024;
  options.holder.peers = 4;
  options.holder.cells = 256;
  options.holder.seals = 2;
  options.store.store.reserve_bytes = 0;
  options.store.store.memory_bytes = std::size_t{4} << 20;
  options.store.store.cached_shares = 4;
  options.store.requests = 16384;
  options.guests = true;
  options.pool_cells = 16000;
  options.pad_ring_bytes = std::size_t{1} << 15;  // there are many connections, each for little
  options.ssa.sessions = 16;
  options.ssa.window = 64;
  options.ssa.cell_ns = 2000 * one_ms;
  options.ssa.away_ns = 400 * one_ms;
  options.ssa.stall_ns = 200 * one_ms;
  options.ssa.lag_ns = 1000 * one_ms;
  options.ssa.seal_ns = 1000 * one_ms;
  options.ssa.finish_ns = 4000 * one_ms;
  options.ssa.read_ns = 1500 * one_ms;
  return options;
}

controller::Policy policy_for(const Shape& shape, std::uint32_t cell_bytes) {
  controller::Policy policy;
  policy.scheme = shape.scheme;
  policy.k = shape.k;
  policy.n = shape.n;
  policy.secret_blocks = shape.blocks;
  policy.cell_bytes = cell_bytes;
  policy.quorum = shape.n;
  policy.minimum = shape.n - 1;
  policy.pad_shares = controller::PadShares::no;
  policy.lease_ms = 1500;
  policy.report_ms = 100;
  policy.repair_after_ms = 300;
  return policy;
}

ControlTrouble trouble(const ControlPlan& plan, test::TestRandom& random) {
  constexpr Kind kinds[] = {Kind::kill_controller,
                            Kind::kill_controller,
                            Kind::kill_in_commit,
                            Kind::kill_in_commit,
                            Kind::kill_in_commit,
                            Kind::kill,
                            Kind::kill,
                            Kind::cut,
                            Kind::cut_control,
                            Kind::disk_full,
                            Kind::disk_fails,
                            Kind::stall,
                            Kind::rot,
                            Kind::clock_jumps,
                            Kind::ssa_restart,
                            Kind::read,
                            Kind::read,
                            Kind::reshare,
                            Kind::reshare,
                            Kind::reshare,
                            Kind::reshare,
                            Kind::reshare,
                            Kind::cancel,
                            Kind::lie,
                            Kind::part};
  ControlTrouble out;
  out.kind = kinds[random.below(std::size(kinds))];
  out.at_ns = random.below(troubled_ns);
  out.lasts_ns = one_ms + random.below(random.coin() ? 100 * one_ms : 1500 * one_ms);
  if (out.kind == Kind::lie) out.lasts_ns += 2000 * one_ms;  // as long as a job takes
  out.holder = out.kind == Kind::rot ? plan.rotten : random.below(plan.world.holders);
  out.chance = random.next();
  return out;
}

}  // namespace

const char* name(Kind kind) {
  constexpr const char* names[] = {"controller killed",
                                   "controller killed in a commit",
                                   "kill",
                                   "cut",
                                   "control cut",
                                   "disk full",
                                   "disk fails",
                                   "stall",
                                   "rot",
                                   "clock jumps",
                                   "SSA restarts",
                                   "read",
                                   "re-sharing begins",
                                   "re-sharing cancelled",
                                   "lies",
                                   "partition"};
  return names[static_cast<std::size_t>(kind)];
}

ControlPlan make_control_plan(std::uint64_t seed) {
  test::TestRandom random(seed * 6007 + 29);
  ControlPlan plan;
  plan.seed = seed;
  const Shape& shape = shapes[random.below(std::size(shapes))];
  plan.world = world_options(shape, random);
  plan.policy = policy_for(shape, plan.world.layout.cell_bytes);
  plan.resharer.job_bytes = std::size_t{192} << 10;
  plan.resharer.peers = 16;
  plan.loss.lost_percent = static_cast<unsigned>(random.below(3)) * 8;
  plan.loss.late_percent = static_cast<unsigned>(random.below(2)) * 5;
  plan.rotten = random.below(plan.world.holders);
  for (std::size_t i = random.between(2, 4); i > 0; --i) {
    ControlObject object;
    object.at_ns = random.below(troubled_ns / 2);
    object.blocks = static_cast<std::uint32_t>(random.between(1, 100));
    if (random.below(4) == 0) object.vanish_ns = one_ms + random.below(150 * one_ms);
    if (random.below(4) == 0) object.remove_ns = object.at_ns + random.below(troubled_ns / 2);
    plan.objects.push_back(object);
  }
  for (std::size_t i = random.between(0, 12); i > 0; --i) plan.troubles.push_back(trouble(plan, random));
  const auto earlier = [](const auto& one, const auto& other) { return one.at_ns < other.at_ns; };
  std::sort(plan.troubles.begin(), plan.troubles.end(), earlier);
  std::sort(plan.objects.begin(), plan.objects.end(), earlier);
  return plan;
}

std::string ControlPlan::text() const {
  const auto us = [](std::uint64_t ns) { return std::to_string(ns / 1000) + " us"; };
  std::string out = "seed " + std::to_string(seed) + ": " + std::string(controller::name(policy.scheme)) +
                    " (" + std::to_string(policy.k) + ", " + std::to_string(policy.n) + "), cells of " +
                    std::to_string(policy.cell_bytes) + ", " + std::to_string(world.link.loss_percent) +
                    " % of packets and " + std::to_string(loss.lost_percent) + " % of calls lost, holder " +
                    std::to_string(rotten) + " may rot\n";
  for (const ControlObject& each : objects) {
    out += "  " + us(each.at_ns) + ": " + std::to_string(each.blocks) + " blocks" +
           (each.vanish_ns != 0 ? ", its owner vanishes after " + us(each.vanish_ns) : "") +
           (each.remove_ns != 0 ? ", removed at " + us(each.remove_ns) : "") + "\n";
  }
  for (const ControlTrouble& each : troubles) {
    out += "  " + us(each.at_ns) + ": " + name(each.kind) + ", holder " + std::to_string(each.holder) + ", " +
           us(each.lasts_ns) + "\n";
  }
  return out;
}

}  // namespace ssn::sim
