// SPDX-License-Identifier: BSD-3-Clause
#include "inbox.h"

#include <algorithm>
#include <utility>

namespace ssn::dataplane {

void Inbox::put(Letter letter) {
  {
    const std::lock_guard guard(lock_);
    letters_.push_back(std::move(letter));
  }
  arrived_.notify_one();
}

void Inbox::put_connected(std::size_t peer) {
  {
    const std::lock_guard guard(lock_);
    std::erase_if(letters_, [&](const Letter& letter) {
      const PeerMessage* const message = std::get_if<PeerMessage>(&letter);
      const PeerConnected* const connected = std::get_if<PeerConnected>(&letter);
      return (message != nullptr && message->peer == peer) ||
             (connected != nullptr && connected->peer == peer);
    });
    waiting_[peer] = 0;
    letters_.push_back(PeerConnected{peer});
  }
  arrived_.notify_one();
}

bool Inbox::put_message(PeerMessage message) {
  {
    const std::lock_guard guard(lock_);
    if (waiting_[message.peer] >= messages_max) {
      ++dropped_[message.peer];
      return false;
    }
    ++waiting_[message.peer];
    letters_.push_back(std::move(message));
  }
  arrived_.notify_one();
  return true;
}

std::vector<Letter> Inbox::take(std::chrono::steady_clock::time_point until) {
  std::unique_lock guard(lock_);
  // Not wait_until(time_point::max()): it overflows in some libraries.
  until = std::min(until, std::chrono::steady_clock::now() + std::chrono::hours(1));
  arrived_.wait_until(guard, until, [this] { return woken_ || !letters_.empty(); });
  woken_ = false;
  std::fill(waiting_.begin(), waiting_.end(), 0);
  return std::exchange(letters_, {});
}

std::uint64_t Inbox::take_dropped(std::size_t peer) {
  const std::lock_guard guard(lock_);
  return std::exchange(dropped_[peer], 0);
}

void Inbox::wake() {
  {
    const std::lock_guard guard(lock_);
    woken_ = true;
  }
  arrived_.notify_one();
}

}  // namespace ssn::dataplane
