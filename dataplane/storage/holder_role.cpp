// SPDX-License-Identifier: BSD-3-Clause
#include "holder_role.h"

#include <algorithm>
#include <utility>

namespace ssn::dataplane {

std::size_t HolderRole::requests(const Setup& setup) noexcept {
  return roles::Holder::requests(setup.options) +
         (setup.resharing ? roles::Resharer::requests(setup.resharing->options) : 0);
}

Result<std::unique_ptr<HolderRole>> HolderRole::make(Setup setup, StorageWorker& worker) {
  std::unique_ptr<HolderRole> role(new HolderRole(std::move(setup), worker));
  if (role->setup_.resharing) {
    if (Outcome outcome = role->make_resharer(); !outcome.ok()) return outcome.error();
  }
  return role;
}

HolderRole::HolderRole(Setup setup, StorageWorker& worker)
    : setup_(std::move(setup)), worker_(worker), identities_(setup_.identities), access_(*setup_.port) {
  if (setup_.resharing) divider_.emplace(access_, roles::Holder::requests(setup_.options));
  roles::StoreAccess& store = divider_ ? divider_->first() : access_;
  holder_.emplace(setup_.options, store, worker.source, rule_);
}

Outcome HolderRole::make_resharer() {
  Resharing& resharing = *setup_.resharing;
  Result<std::unique_ptr<WorkerRandom>> random =
      WorkerRandom::make(resharing.random_stream, *setup_.implementation);
  if (!random.ok()) return random.error();
  Result<hw::SecretBuffer> memory = hw::SecretBuffer::make(roles::Resharer::memory_bytes(resharing.options),
                                                           hw::SecretBuffer::Locking::required);
  if (!memory.ok()) return memory.error();
  random_ = std::move(random.value());
  reshare_memory_ = std::move(memory.value());
  floor_.emplace(resharing.floor);
  resharer_.emplace(resharing.options, *setup_.implementation, divider_->second(), worker_.source, *random_,
                    *floor_, reshare_memory_);
  return done;
}

bool HolderRole::join(StorageChannel& channel, std::uint64_t now_ns) noexcept {
  const roles::PeerIdentity& identity = identities_[channel.number];
  if (!is_resharers(channel)) return holder_->add_peer(*channel.channel, identity, now_ns, channel.peer);
  if (!resharer_->add_peer(*channel.channel, identity.node, now_ns, channel.peer)) return false;
  random_->choose(worker_.channels, &channel);
  return true;
}

// It is out of the worker's channels already.
void HolderRole::leave(StorageChannel& channel, std::uint64_t now_ns) noexcept {
  if (is_resharers(channel)) {
    resharer_->remove_peer(channel.peer, now_ns);
    note_ended();
  } else {
    holder_->remove_peer(channel.peer);
  }
  if (random_ != nullptr) random_->choose(worker_.channels, nullptr);
}

void HolderRole::delivered(StorageChannel& channel, std::span<protocol::Cell* const> cells,
                           std::uint64_t now_ns) noexcept {
  if (is_resharers(channel)) {
    resharer_->delivered(channel.peer, cells, now_ns);
  } else {
    holder_->delivered(channel.peer, cells, now_ns);
  }
}

bool HolderRole::step(std::uint64_t now_ns) noexcept {
  const std::uint64_t before = access_.collected;
  holder_->step(now_ns);
  roles::LocalOutcome outcomes[16];
  bool any = false;
  while (const std::size_t count = holder_->take_outcomes(outcomes)) {
    // Orders are repeated until they are confirmed: one that finds no room here comes again.
    for (std::size_t i = 0; i < count; ++i) {
      static_cast<void>(removals_.push({outcomes[i].token, outcomes[i].result}));
    }
    any = true;
  }
  if (resharer_) {
    resharer_->step(now_ns);
    note_ended();
  }
  if (any) call_control();
  return access_.collected != before;
}

std::uint64_t HolderRole::next_due() const noexcept {
  const std::uint64_t due = holder_->next_due();
  return resharer_ ? std::min(due, resharer_->next_due()) : due;
}

roles::ReshareAnswer HolderRole::order(const roles::ReshareOrder& order, std::uint64_t now_ns) {
  const roles::ReshareAnswer answer = resharer_->order(order, now_ns);
  worker_.dirty = true;
  note_ended();  // of the round before
  return answer;
}

bool HolderRole::cancel(std::uint64_t job) noexcept {
  const bool known = resharer_->cancel(job);
  worker_.dirty = true;
  note_ended();
  return known;
}

bool HolderRole::idle() const noexcept { return holder_->idle() && (!resharer_ || resharer_->idle()); }

// The end of a job is rare.
void HolderRole::note_ended() noexcept {
  const roles::ResharerCounters& counters = resharer_->counters();
  const std::uint64_t now = counters.jobs_done + counters.jobs_failed + counters.jobs_cancelled;
  if (now == ended_.load(std::memory_order_relaxed)) return;
  ended_.store(now, std::memory_order_release);
  worker_.dirty = true;
  call_control();
}

// At most one system call.
void HolderRole::call_control() const {
  if (setup_.call_control != nullptr) (*setup_.call_control)();
}

}  // namespace ssn::dataplane
