// SPDX-License-Identifier: BSD-3-Clause
#include "holder_role.h"

#include <utility>

namespace ssn::dataplane {

HolderRole::HolderRole(Setup setup, StorageWorker& worker)
    : identities_(std::move(setup.identities)),
      access_(*setup.port),
      holder_(setup.options, access_, worker.source, rule_) {}

bool HolderRole::join(StorageChannel& channel, std::uint64_t now_ns) noexcept {
  return holder_.add_peer(*channel.channel, identities_[channel.number], now_ns, channel.peer);
}

void HolderRole::leave(StorageChannel& channel, std::uint64_t) noexcept { holder_.remove_peer(channel.peer); }

void HolderRole::delivered(StorageChannel& channel, std::span<protocol::Cell* const> cells,
                           std::uint64_t now_ns) noexcept {
  holder_.delivered(channel.peer, cells, now_ns);
}

bool HolderRole::step(std::uint64_t now_ns) noexcept {
  const std::uint64_t before = access_.collected;
  holder_.step(now_ns);
  roles::LocalOutcome outcomes[16];
  while (const std::size_t count = holder_.take_outcomes(outcomes)) {
    // Orders are repeated until they are confirmed: one that finds no room here comes again.
    for (std::size_t i = 0; i < count; ++i) {
      static_cast<void>(removals_.push({outcomes[i].token, outcomes[i].result}));
    }
  }
  return access_.collected != before;
}

}  // namespace ssn::dataplane
