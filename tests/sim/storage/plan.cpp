// SPDX-License-Identifier: BSD-3-Clause
#include "plan.h"

#include <algorithm>

namespace ssn::sim {

using test::one_ms;
using Kind = StorageTrouble::Kind;

namespace {

constexpr std::uint64_t troubled_ns = 400 * one_ms;

struct Shape {
  kernels::Scheme scheme;
  unsigned k, n, blocks;
};
constexpr Shape shapes[] = {
    {kernels::Scheme::systematic, 2, 3, 1}, {kernels::Scheme::systematic, 3, 5, 1},
    {kernels::Scheme::systematic, 2, 4, 1}, {kernels::Scheme::systematic, 2, 5, 1},
    {kernels::Scheme::classic, 3, 5, 1},    {kernels::Scheme::ramp, 3, 5, 2},
    {kernels::Scheme::rs, 3, 5, 3},
};

test::SsaWorldOptions world_options(test::TestRandom& random) {
  test::SsaWorldOptions options;
  const Shape shape = shapes[random.below(std::size(shapes))];
  options.layout.scheme = shape.scheme;
  options.layout.k = shape.k;
  options.layout.n = shape.n;
  options.layout.secret_blocks = shape.blocks;
  options.layout.cell_bytes = random.coin() ? 64 : 128;
  options.link.loss_percent = random.coin() ? 0 : random.between(1, 6);
  options.link.double_percent = random.between(0, 3);
  options.link.mix_percent = random.between(0, 20);
  options.owner_link = options.link;
  options.channel.sender.packets = 1024;
  options.holder.peers = 4;
  options.holder.cells = 256;
  options.holder.seals = 2;
  options.store.store.reserve_bytes = 0;
  options.store.store.memory_bytes = std::size_t{4} << 20;
  options.store.store.cached_shares = 2;
  options.pool_cells = 8000;
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

std::vector<std::size_t> some_of(std::size_t count, std::size_t n, test::TestRandom& random) {
  std::vector<std::size_t> all(n);
  for (std::size_t i = 0; i < n; ++i) all[i] = i;
  for (std::size_t i = 0; i < count; ++i) std::swap(all[i], all[i + random.below(n - i)]);
  all.resize(count);
  return all;
}

StorageTrouble trouble(const StoragePlan& plan, test::TestRandom& random) {
  constexpr Kind kinds[] = {Kind::kill,  Kind::kill, Kind::kill, Kind::cut,         Kind::disk_full,
                            Kind::stall, Kind::slow, Kind::rot,  Kind::ssa_restart, Kind::disk_fails,
                            Kind::read,  Kind::read, Kind::read};
  StorageTrouble out;
  out.kind = kinds[random.below(std::size(kinds))];
  out.at_ns = random.below(troubled_ns);
  out.lasts_ns = one_ms + random.below(random.coin() ? 50 * one_ms : 600 * one_ms);
  out.holder = random.below(plan.world.layout.n);
  if (out.kind == Kind::rot) {
    if (plan.rotten.empty()) {
      out.kind = Kind::kill;
    } else {
      out.holder = plan.rotten[random.below(plan.rotten.size())];
    }
  }
  return out;
}

}  // namespace

const char* name(Kind kind) {
  constexpr const char* names[] = {"kill", "cut", "disk full",    "disk fails", "stall",
                                   "slow", "rot", "SSA restarts", "read"};
  return names[static_cast<std::size_t>(kind)];
}

StoragePlan make_storage_plan(std::uint64_t seed) {
  test::TestRandom random(seed * 7919 + 17);
  StoragePlan plan;
  plan.seed = seed;
  plan.world = world_options(random);
  plan.beyond = random.below(4) == 0;
  const std::size_t spare = plan.world.layout.n - plan.world.layout.k;
  const std::size_t liars = spare >= 2 && !plan.beyond && random.below(4) == 0 ? 1 : 0;
  const std::size_t rotten = plan.beyond ? spare + 1 : random.below(spare - 2 * liars + 1);
  const std::vector<std::size_t> bad = some_of(liars + rotten, plan.world.layout.n, random);
  plan.liars.assign(bad.begin(), bad.begin() + static_cast<std::ptrdiff_t>(liars));
  plan.rotten.assign(bad.begin() + static_cast<std::ptrdiff_t>(liars), bad.end());
  for (std::size_t i = random.between(2, 4); i > 0; --i) {
    plan.objects.push_back({random.below(troubled_ns / 2), random.between(1, 200)});
  }
  for (std::size_t i = random.between(0, 9); i > 0; --i) plan.troubles.push_back(trouble(plan, random));
  const auto earlier = [](const auto& one, const auto& other) { return one.at_ns < other.at_ns; };
  std::sort(plan.troubles.begin(), plan.troubles.end(), earlier);
  std::sort(plan.objects.begin(), plan.objects.end(), earlier);
  return plan;
}

std::string StoragePlan::text() const {
  const roles::ObjectLayout& layout = world.layout;
  std::string out = "seed " + std::to_string(seed) + ": " + std::string(kernels::name(layout.scheme)) + " (" +
                    std::to_string(layout.k) + ", " + std::to_string(layout.n) + "), cells of " +
                    std::to_string(layout.cell_bytes) + ", " + std::to_string(world.link.loss_percent) +
                    " % lost" + (beyond ? ", beyond what it can bear" : "") + "\n";
  for (const std::size_t each : rotten) out += "  holder " + std::to_string(each) + " rots\n";
  for (const std::size_t each : liars) out += "  holder " + std::to_string(each) + " lies\n";
  for (const StorageObject& each : objects) {
    out += "  " + std::to_string(each.at_ns / 1000) + " us: " + std::to_string(each.blocks) + " blocks\n";
  }
  for (const StorageTrouble& each : troubles) {
    out += "  " + std::to_string(each.at_ns / 1000) + " us: " + name(each.kind) + ", holder " +
           std::to_string(each.holder) + ", " + std::to_string(each.lasts_ns / 1000) + " us\n";
  }
  return out;
}

}  // namespace ssn::sim
