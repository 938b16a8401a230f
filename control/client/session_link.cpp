// SPDX-License-Identifier: BSD-3-Clause
#include "session_link.h"

#include <fmt/core.h>

#include <algorithm>
#include <bit>
#include <cassert>
#include <cerrno>
#include <chrono>
#include <ctime>

namespace ssn::client {

using protocol::Cell;
using protocol::Channel;
using protocol::Departure;

namespace {

constexpr const char* what = "cannot exchange packets with the SSA";
constexpr std::uint32_t departures = 512;
constexpr std::uint32_t ip_and_udp_bytes = 28;

// Packets in clear until they are acknowledged, the same under way to the socket, and what comes.
std::uint32_t cells_for(std::uint32_t window) {
  return window + departures + 3 * static_cast<std::uint32_t>(SessionLink::max_burst);
}

protocol::ChannelOptions channel_options(const agent::Session& session, const LinkOptions& options) {
  protocol::ChannelOptions out;
  const auto packet = static_cast<std::uint32_t>(session.block_bytes + protocol::overhead_bytes);
  out.sender.packets = std::bit_ceil(std::clamp(2 * options.window, 256U, 1U << 20));
  out.sender.packet_bytes = packet;
  out.sender.most_window_bytes = std::uint64_t{options.window} * (packet + ip_and_udp_bytes);
  out.sender.initial_credit = options.window;
  // The SSA lies beyond a real network, and both ends share their cores with others.
  out.sender.granularity_ns = 1'000'000;
  out.sender.peer_delay_ns = 1'000'000;
  out.departures = departures;
  return out;
}

}  // namespace

std::uint64_t clock_ns() noexcept {
  return static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::nanoseconds>(
                                        std::chrono::steady_clock::now().time_since_epoch())
                                        .count());
}

SessionLink::SessionLink(UdpSocket socket, std::unique_ptr<PacketArena> arena,
                         std::unique_ptr<protocol::SessionKeys> keys, hw::SecretBuffer sealer_memory,
                         hw::SecretBuffer opener_memory, const kernels::Implementation& implementation)
    : socket_(std::move(socket)),
      arena_(std::move(arena)),
      keys_(std::move(keys)),
      sealer_memory_(std::move(sealer_memory)),
      opener_memory_(std::move(opener_memory)),
      sealer_(implementation, sealed_, sealer_memory_),
      opener_(implementation, opened_, table_, opener_memory_) {}

Result<std::unique_ptr<SessionLink>> SessionLink::make(const agent::Session& session, UdpSocket socket,
                                                       const LinkOptions& options, std::uint64_t now_ns) {
  using hw::SecretBuffer;
  const kernels::Implementation* implementation = nullptr;
  if (kernels::select(implementation) != kernels::Status::ok) {
    return Error{Exit::kernels_refused, what, "no implementation of the kernels can be used here",
                 "SSN_KERNELS", "see `ssn version`"};
  }
  const auto payload =
      std::max(session.block_bytes, static_cast<std::uint32_t>(protocol::max_acknowledgement_bytes));
  Result<std::unique_ptr<PacketArena>> arena = PacketArena::make(cells_for(options.window), payload);
  constexpr std::size_t bytes = protocol::OneTimeCheck::memory_bytes;
  Result<SecretBuffer> sealer = SecretBuffer::make(bytes, SecretBuffer::Locking::required);
  Result<SecretBuffer> opener = SecretBuffer::make(bytes, SecretBuffer::Locking::required);
  if (!arena.ok() || !sealer.ok() || !opener.ok()) {
    return !arena.ok() ? arena.error() : !sealer.ok() ? sealer.error() : opener.error();
  }
  const auto bytes_of = [](const SecretBuffer& key) { return std::span(key.data(), key.size()); };
  Result<std::unique_ptr<protocol::SessionKeys>> keys =
      protocol::SessionKeys::make({.send_connection_id = session.connection_id,
                                   .receive_connection_id = options.connection_id,
                                   .key_index = session.key_index},
                                  bytes_of(session.key_to_ssa), bytes_of(session.key_to_owner));
  if (!keys.ok()) {
    return keys.error();
  }
  std::unique_ptr<SessionLink> link(new SessionLink(std::move(socket), std::move(arena.value()),
                                                    std::move(keys.value()), std::move(sealer.value()),
                                                    std::move(opener.value()), *implementation));
  const bool added = link->table_.add(link->keys_->connection());
  assert(added);
  static_cast<void>(added);
  link->channel_ = std::make_unique<Channel>(channel_options(session, options), link->keys_->send(),
                                             link->keys_->receive(), link->sealer_, *link->arena_, now_ns);
  link->channel_->set_credit(options.window, now_ns);
  return link;
}

SessionLink::~SessionLink() {
  for (; leaving_begin_ != leaving_end_; ++leaving_begin_) {
    arena_->give_back({&leaving_[leaving_begin_].cell, 1});
  }
  arena_->give_back({room_.data(), room_count_});
}

// Cells to receive into, as far as there are any.
void SessionLink::refill() { room_count_ += arena_->take(std::span(room_).subspan(room_count_)); }

Result<std::size_t> SessionLink::receive(std::span<Cell*> cells) {
  refill();
  std::array<iovec, max_burst> room;
  const auto whole = static_cast<std::size_t>(arena_->payload_bytes()) + protocol::overhead_bytes;
  for (std::size_t i = 0; i < room_count_; ++i) {
    room[i] = {room_[i]->packet(), whole};
  }
  const Result<std::size_t> came = socket_.receive({room.data(), room_count_});
  if (!came.ok()) {
    return came;
  }
  for (std::size_t i = 0; i < came.value(); ++i) {
    cells[i] = room_[i];
    cells[i]->data = cells[i]->packet();
    cells[i]->length = static_cast<std::uint32_t>(room[i].iov_len);
  }
  std::copy(room_.begin() + static_cast<std::ptrdiff_t>(came.value()),
            room_.begin() + static_cast<std::ptrdiff_t>(room_count_), room_.begin());
  room_count_ -= came.value();
  return came;
}

Result<std::size_t> SessionLink::turn(std::uint64_t now_ns, std::span<Cell*> delivered) {
  std::array<Cell*, max_burst> cells;
  const Result<std::size_t> came = receive(cells);
  if (!came.ok()) {
    return came;
  }
  std::size_t count = 0;
  if (came.value() != 0) {
    const std::span<Cell*> burst(cells.data(), came.value());
    opener_.open(burst);
    std::array<Cell*, max_burst> ours;
    std::size_t kept = 0;
    for (Cell* const cell : burst) {  // what is not of this session never gets to the channel
      if (cell->open_result == protocol::OpenResult::dropped) {
        arena_->give_back({&cell, 1});
      } else {
        ours[kept++] = cell;
      }
    }
    count = channel_->arrived({ours.data(), kept}, now_ns, delivered);
  }
  channel_->step(now_ns);
  if (channel_->suspect()) {
    // A device on the way may pass on what the kernel put together as it is, and nobody beyond can read it.
    socket_.set_segmentation(false);
  }
  if (Outcome flushed = flush(); !flushed.ok()) {
    return flushed.error();
  }
  return count;
}

Outcome SessionLink::flush() {
  for (;;) {
    if (leaving_begin_ == leaving_end_) {
      leaving_begin_ = 0;
      leaving_end_ = channel_->take_departures(leaving_);
      if (leaving_end_ == 0) {
        return done;
      }
      for (std::size_t i = 0; i < leaving_end_; ++i) {
        if (leaving_[i].held) {
          arena_->share(*leaving_[i].cell);
        }
      }
    }
    std::array<iovec, max_burst> packets;
    const std::size_t count = leaving_end_ - leaving_begin_;
    for (std::size_t i = 0; i < count; ++i) {
      const Cell& cell = *leaving_[leaving_begin_ + i].cell;
      packets[i] = {cell.packet(), cell.packet_bytes()};
    }
    const Result<std::size_t> sent = socket_.send({packets.data(), count});
    if (!sent.ok()) {
      return sent.error();
    }
    for (std::size_t i = 0; i < sent.value(); ++i) {
      arena_->give_back({&leaving_[leaving_begin_++].cell, 1});
    }
    if (leaving_begin_ != leaving_end_) {
      return done;  // the socket is full
    }
  }
}

Outcome SessionLink::wait(std::span<pollfd> others, std::uint64_t now_ns, std::uint64_t until_ns) {
  std::array<pollfd, 4> all;
  assert(others.size() < all.size());
  const bool blocked = leaving_begin_ != leaving_end_;
  all[0] = {socket_.fd(), static_cast<short>(blocked ? POLLIN | POLLOUT : POLLIN), 0};
  std::copy(others.begin(), others.end(), all.begin() + 1);
  const std::uint64_t due = std::min(until_ns, blocked ? until_ns : channel_->next_due());
  const std::uint64_t sleep =
      due > now_ns && !socket_.has_more() ? std::min<std::uint64_t>(due - now_ns, 1'000'000'000) : 0;
  const timespec patience{static_cast<time_t>(sleep / 1'000'000'000),
                          static_cast<long>(sleep % 1'000'000'000)};
  if (::ppoll(all.data(), others.size() + 1, &patience, nullptr) < 0 && errno != EINTR) {
    return system_error(errno, what, "poll");
  }
  for (std::size_t i = 0; i < others.size(); ++i) {
    others[i].revents = all[i + 1].revents;
  }
  return done;
}

}  // namespace ssn::client
