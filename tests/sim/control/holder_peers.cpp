// SPDX-License-Identifier: BSD-3-Clause
#include "holder_peers.h"

#include <algorithm>

#include "shareholder.h"

namespace ssn::sim {
namespace {

roles::ReshareFloor floor_of(std::size_t holders) {
  roles::ReshareFloor floor;
  for (std::size_t i = 0; i < holders; ++i) {
    floor.nodes.push_back({roles::node_number(Shareholder::name_of(i)), 0});
  }
  return floor;
}

}  // namespace

HolderPeers::Node::Node(const roles::ResharerOptions& given)
    : options(given),
      random(test::chosen_implementation(), generator),
      memory(test::locked_memory(roles::Resharer::memory_bytes(given))) {
  test::TestRandom seeds(given.node);
  std::array<std::uint8_t, kernels::RandomGenerator::seed_bytes> bytes;
  seeds.fill(bytes.data(), bytes.size());
  generator.seed(bytes);
}

HolderPeers::Line::Line(test::SsaWorld& world, std::size_t lower, std::size_t higher, unsigned name)
    : low(lower),
      high(higher),
      tie(world.options, 10'000 + name, world.holders[lower]->pool, world.holders[higher]->pool,
          world.now_ns),
      there(world.options.link, world.seed * 7777 + name * 2),
      back(world.options.link, world.seed * 7777 + name * 2 + 1) {}

HolderPeers::HolderPeers(test::SsaWorld& world, const roles::ResharerOptions& options)
    : world_(world), rule_(floor_of(world.holders.size())) {
  world_.guests = this;
  for (std::size_t i = 0; i < world_.holders.size(); ++i) {
    roles::ResharerOptions its = options;
    its.node = roles::node_number(Shareholder::name_of(i));
    nodes_.push_back(std::make_unique<Node>(its));
  }
  for (std::size_t i = 0; i < world_.holders.size(); ++i) started(i);
}

void HolderPeers::connect(std::size_t a, std::size_t b) {
  const bool ascends = nodes_[a]->options.node < nodes_[b]->options.node;
  const std::size_t low = ascends ? a : b;
  const std::size_t high = ascends ? b : a;
  ++names_;
  lines_.push_back(std::make_unique<Line>(world_, low, high, names_));
  Line& line = *lines_.back();
  line.low_here = nodes_[low]->resharer->add_peer(line.tie.ssa_channel, nodes_[high]->options.node,
                                                  world_.now_ns, line.at_low);
  line.high_here = nodes_[high]->resharer->add_peer(line.tie.holder_channel, nodes_[low]->options.node,
                                                    world_.now_ns, line.at_high);
  if (!line.low_here || !line.high_here) wrong_ = "a resharer has no place";
}

// Nobody waits for what was sent, nor looks at what came: of a process that ends no packet is left.
void HolderPeers::leave(Line& line, bool low) {
  bool& here = low ? line.low_here : line.high_here;
  if (!here) return;
  here = false;
  (low ? line.tie.at_ssa : line.tie.at_holder).drop();
  nodes_[low ? line.low : line.high]->resharer->remove_peer(low ? line.at_low : line.at_high, world_.now_ns);
  protocol::Channel& channel = low ? line.tie.ssa_channel : line.tie.holder_channel;
  channel.end(world_.now_ns);
  std::array<protocol::Settled, 64> settled;
  while (channel.take_settled(settled) != 0) {
  }
}

void HolderPeers::cut_lines() {
  for (const auto& each : lines_) {
    const Node& low = *nodes_[each->low];
    const Node& high = *nodes_[each->high];
    const bool cut = low.cut || high.cut || low.other != high.other;
    each->there.options.cut = each->back.options.cut = cut;
  }
}

void HolderPeers::cut(std::size_t holder, bool cut) {
  nodes_[holder]->cut = cut;
  cut_lines();
}

void HolderPeers::part(std::uint64_t others) {
  for (std::size_t i = 0; i < nodes_.size(); ++i) nodes_[i]->other = (others >> i & 1) != 0;
  cut_lines();
}

// New connections with whoever is there; the others hear now that the old ones are gone.
void HolderPeers::started(std::size_t holder) {
  test::HolderNode& node = *world_.holders[holder];
  for (const auto& each : lines_) {
    if (each->low != holder && each->high != holder) continue;
    leave(*each, true);
    leave(*each, false);
  }
  std::erase_if(lines_, [&](const auto& each) { return each->low == holder || each->high == holder; });
  nodes_[holder]->resharer = std::make_unique<roles::Resharer>(
      nodes_[holder]->options, test::chosen_implementation(), node.divider->second(), node.pool,
      nodes_[holder]->random, rule_, nodes_[holder]->memory);
  for (std::size_t i = 0; i < nodes_.size(); ++i) {
    if (i != holder && nodes_[i]->resharer != nullptr) connect(i, holder);
  }
  cut_lines();
}

void HolderPeers::stopping(std::size_t holder) {
  for (const auto& each : lines_) {
    if (each->low == holder) leave(*each, true);
    if (each->high == holder) leave(*each, false);
  }
  roles::Resharer& resharer = *nodes_[holder]->resharer;
  std::array<roles::ReshareStatus, 64> jobs;
  const std::size_t count = resharer.list(jobs);
  for (std::size_t i = 0; i < count; ++i) (void)resharer.cancel(jobs[i].job);
}

void HolderPeers::stopped(std::size_t holder) {
  roles::Resharer& resharer = *nodes_[holder]->resharer;
  resharer.step(world_.now_ns);
  if (!resharer.idle()) wrong_ = "the store kept a request of a resharer";
  if (!resharer.is_erased()) wrong_ = "masks, dealings or sums were left behind";
  nodes_[holder]->resharer.reset();
}

// To one of its ends; what a liar gives is changed where it arrives, since it keeps to its own story.
void HolderPeers::deliver(Line& line, bool low) {
  Node& to = *nodes_[low ? line.low : line.high];
  const Node& from = *nodes_[low ? line.high : line.low];
  test::ChannelEnd& end = low ? line.tie.at_ssa : line.tie.at_holder;
  end.deliver(world_.now_ns, [&](std::span<protocol::Cell* const> cells) {
    for (protocol::Cell* const cell : cells) {
      const bool given = cell->open_result == protocol::OpenResult::contributed;
      const bool mask = cell->open_result == protocol::OpenResult::masked;
      const bool lies = (given && (from.lie == Lie::gives || to.lie == Lie::takes)) ||
                        (mask && (from.lie == Lie::masks || to.lie == Lie::masks));
      if (!lies) continue;
      std::uint8_t* const bytes = cell->target != nullptr ? cell->target : cell->data;
      bytes[lies_ % 64] ^= 0x20;
      ++lies_;
    }
    to.resharer->delivered(low ? line.at_low : line.at_high, cells, world_.now_ns);
  });
}

void HolderPeers::work() {
  const std::uint64_t now = world_.now_ns;
  for (const auto& each : lines_) {
    each->tie.poll();
    if (each->low_here) deliver(*each, true);
    if (each->high_here) deliver(*each, false);
  }
  for (const auto& each : nodes_) {
    if (each->resharer != nullptr) each->resharer->step(now);
  }
  for (const auto& each : lines_) {
    if (each->low_here) {
      each->tie.ssa_channel.step(now);
      each->tie.at_ssa.transmit(each->there, 0, now);
    }
    if (each->high_here) {
      each->tie.holder_channel.step(now);
      each->tie.at_holder.transmit(each->back, 0, now);
    }
  }
}

std::uint64_t HolderPeers::next_due() const {
  std::uint64_t next = UINT64_MAX;
  for (const auto& each : lines_) {
    next = std::min({next, each->there.next(), each->back.next()});
    if (each->low_here) next = std::min(next, each->tie.ssa_channel.next_due());
    if (each->high_here) next = std::min(next, each->tie.holder_channel.next_due());
  }
  for (const auto& each : nodes_) {
    if (each->resharer != nullptr) next = std::min(next, each->resharer->next_due());
  }
  return next;
}

void HolderPeers::receive() {
  test::Bytes packet;
  unsigned to = 0;
  for (const auto& each : lines_) {
    while (each->there.receive(world_.now_ns, packet, to)) {
      if (each->high_here) each->tie.at_holder.receive(packet, true);
    }
    while (each->back.receive(world_.now_ns, packet, to)) {
      if (each->low_here) each->tie.at_ssa.receive(packet, true);
    }
  }
}

}  // namespace ssn::sim
