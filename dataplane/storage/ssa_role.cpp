// SPDX-License-Identifier: BSD-3-Clause
#include "ssa_role.h"

#include <algorithm>
#include <utility>

namespace ssn::dataplane {

using protocol::Cell;

namespace {
constexpr std::uint32_t holder_credit = 4096;
}

SsaRole::SsaRole(const Setup& setup, StorageWorker& worker, std::unique_ptr<WorkerRandom> random)
    : worker_(worker),
      random_(std::move(random)),
      ssa_(setup.options, *setup.implementation, worker.source, *random_),
      call_control_(setup.call_control) {}

Result<std::unique_ptr<SsaRole>> SsaRole::make(const Setup& setup, StorageWorker& worker) {
  Result<std::unique_ptr<WorkerRandom>> random =
      WorkerRandom::make(setup.random_stream, *setup.implementation);
  if (!random.ok()) return random.error();
  return std::unique_ptr<SsaRole>(new SsaRole(setup, worker, std::move(random.value())));
}

bool SsaRole::join(StorageChannel& channel, std::uint64_t now_ns) noexcept {
  // Owners are told by the role itself how much they may send.
  if (channel.connection == nullptr) return ssa_.add_owner(channel.number, *channel.channel, now_ns);
  // Shares come as they were asked for, which the role bounds.
  channel.channel->set_credit(holder_credit, now_ns);
  if (!ssa_.add_holder(channel.number, *channel.channel, now_ns)) return false;
  random_->choose(worker_.channels, &channel);
  return true;
}

// It is out of the worker's channels already.
void SsaRole::leave(StorageChannel& channel, std::uint64_t now_ns) noexcept {
  if (channel.connection != nullptr) {
    ssa_.remove_holder(channel.number, now_ns);
    random_->choose(worker_.channels, nullptr);
  } else {
    ssa_.remove_owner(channel.number, now_ns);
  }
}

void SsaRole::delivered(StorageChannel& channel, std::span<Cell* const> cells,
                        std::uint64_t now_ns) noexcept {
  if (channel.connection != nullptr) {
    ssa_.delivered_from_holder(channel.number, cells, now_ns);
  } else {
    ssa_.delivered_from_owner(channel.number, cells, now_ns);
  }
}

bool SsaRole::step(std::uint64_t now_ns) noexcept {
  ssa_.step(now_ns);
  roles::SsaEvent events[16];
  bool any = false;
  while (const std::size_t count = ssa_.take_events(events)) {
    for (std::size_t i = 0; i < count; ++i) static_cast<void>(events_.push(events[i]));
    any = true;
  }
  // Rare: a write ended, a holder failed. At most one system call.
  if (any && call_control_ != nullptr) (*call_control_)();
  return any;
}

void SsaRole::open(OwnerSession& session, std::uint64_t now_ns) noexcept {
  StorageChannel& channel = session.channel;
  session.opened = false;
  channel.heard_ns.store(now_ns, std::memory_order_relaxed);
  if (!worker_.attach(channel)) {
    channel.is_over.store(true, std::memory_order_release);
    return;
  }
  worker_.host->guests[channel.number] = session.guest;
  channel.joined = join(channel, now_ns);
  if (channel.joined) {
    session.session =
        session.writes ? ssa_.open_write(session.write, now_ns) : ssa_.open_read(session.read, now_ns);
  }
  session.opened = session.session != 0;
  if (!session.opened) close(session, now_ns);
}

void SsaRole::finish(OwnerSession& session, std::uint64_t now_ns) noexcept {
  if (session.session != 0) ssa_.finish_write(session.session, session.blocks, now_ns);
}

void SsaRole::report(OwnerSession& session) noexcept {
  const roles::WriteResult* const result = session.session != 0 ? ssa_.result(session.session) : nullptr;
  if (result == nullptr) return;
  // Room was reserved: nothing is allocated here.
  if (result->attempts.size() > session.result.attempts.capacity() ||
      result->holders.size() > session.result.holders.capacity()) {
    return;
  }
  session.result = *result;
}

void SsaRole::close(OwnerSession& session, std::uint64_t now_ns) noexcept {
  if (session.session != 0) {
    if (session.writes) {
      session.write = ssa_.close_write(session.session, now_ns);
    } else {
      session.read = ssa_.close_read(session.session, now_ns);
    }
    session.session = 0;
  }
  worker_.detach(session.channel, now_ns);
  worker_.host->guests[session.channel.number] = HostGuest{};
  session.channel.is_over.store(true, std::memory_order_release);  // not to be touched any more
}

}  // namespace ssn::dataplane
