// SPDX-License-Identifier: BSD-3-Clause
#include "reshare_setup.h"

#include <fmt/core.h>

#include <algorithm>

#include "ssn/protocol/payloads.h"
#include "ssn/store/share_store.h"

namespace ssn::dataplane {
namespace {

using Role = PeerConfiguration::Role;

// More of them in one burst come again.
constexpr std::size_t mask_orders = 32;
constexpr std::size_t least_job_bytes = std::size_t{64} << 10;

}  // namespace

Outcome check_node_numbers(const Configuration& configuration) {
  std::vector<std::pair<std::uint64_t, std::string>> all{
      {roles::node_number(configuration.name), configuration.name}};
  for (const PeerConfiguration& peer : configuration.peers)
    all.emplace_back(roles::node_number(peer.name), peer.name);
  std::sort(all.begin(), all.end());
  for (std::size_t i = 1; i < all.size(); ++i) {
    if (all[i].first != all[i - 1].first) continue;
    return Error{Exit::usage, "cannot tell nodes apart",
                 fmt::format("{} and {} have the same number", all[i - 1].second, all[i].second),
                 configuration.file, "give one of them another name"};
  }
  return done;
}

// Of a worker's packets a quarter is for what jobs give, so half of them stays for everything else.
HolderRole::Resharing resharing_of(const Configuration& configuration, std::uint32_t of_worker,
                                   std::uint32_t cell_room) {
  const ShareholderConfiguration& from = configuration.shareholder;
  HolderRole::Resharing to;
  to.options.node = roles::node_number(configuration.name);
  to.options.jobs = from.reshare_jobs;
  const std::size_t fits = std::size_t{of_worker} / 4 / from.reshare_jobs * cell_room;
  to.options.job_bytes =
      std::max(least_job_bytes, std::min<std::size_t>(from.reshare_memory, fits)) / 4096 * 4096;
  to.random_stream = from.random == RandomSource::stream;
  to.floor.minimum_t = from.minimum_t;
  to.floor.nodes.push_back({to.options.node, 0});
  for (const PeerConfiguration& peer : configuration.peers) {
    if (peer.role == Role::shareholder) to.floor.nodes.push_back({roles::node_number(peer.name), 0});
  }
  to.options.peers = static_cast<std::uint32_t>(to.floor.nodes.size());
  return to;
}

std::uint64_t lesser_rate(std::uint64_t ordered, std::uint64_t most) noexcept {
  return ordered == 0 ? most : most == 0 ? ordered : std::min(ordered, most);
}

Result<OrderMemory> mask_memory(std::uint32_t cell_room) {
  const auto longest = static_cast<std::uint32_t>(store::stripe_cells) * cell_room;
  return OrderMemory::make(mask_orders, std::min(longest, protocol::max_order_bytes));
}

}  // namespace ssn::dataplane
