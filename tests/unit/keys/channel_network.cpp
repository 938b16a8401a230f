// SPDX-License-Identifier: BSD-3-Clause
#include "channel_network.h"

#include <algorithm>
#include <utility>

namespace ssn::dataplane_test {
namespace {

constexpr std::size_t queue_max = 4096;

}  // namespace

class ChannelNetwork::End final : public dataplane::PeerChannel {
 public:
  End(ChannelNetwork& network, std::string node) : network_(&network), node_(std::move(node)) {}

  bool send(const std::string& peer, PeerMessageKind kind, std::span<const std::uint8_t> bytes) override {
    return network_->send(node_, peer, kind, bytes);
  }
  void listen(dataplane::PeerReceiver* receiver) override {
    {
      const std::lock_guard guard(calling_);
      receiver_ = receiver;
    }
    if (receiver != nullptr) network_->listening(node_);
  }
  void deliver(const Message& message) {
    const std::lock_guard guard(calling_);
    if (receiver_ == nullptr) return;
    if (message.connected) {
      receiver_->on_connected(message.from);
    } else {
      receiver_->on_message(message.from, message.kind, message.bytes);
    }
  }

 private:
  ChannelNetwork* network_;
  std::string node_;
  std::mutex calling_;
  dataplane::PeerReceiver* receiver_ = nullptr;
};

ChannelNetwork::ChannelNetwork(std::uint64_t seed) : random_(seed), thread_([this] { run(); }) {}

ChannelNetwork::~ChannelNetwork() {
  {
    const std::lock_guard guard(lock_);
    stopping_ = true;
  }
  arrived_.notify_all();
  thread_.join();
}

dataplane::PeerChannel& ChannelNetwork::end(const std::string& node) {
  const std::lock_guard guard(lock_);
  std::unique_ptr<End>& end = ends_[node];
  if (!end) end = std::make_unique<End>(*this, node);
  return *end;
}

void ChannelNetwork::connect(const std::string& a, const std::string& b) {
  {
    const std::lock_guard guard(lock_);
    connections_.insert(pair_of(a, b));
    queue_.push_back({.from = a, .to = b, .connected = true, .bytes = {}});
    queue_.push_back({.from = b, .to = a, .connected = true, .bytes = {}});
  }
  arrived_.notify_all();
}

void ChannelNetwork::disconnect(const std::string& a, const std::string& b) {
  const std::lock_guard guard(lock_);
  connections_.erase(pair_of(a, b));
  const auto between = [&](const Message& message) {
    return pair_of(message.from, message.to) == pair_of(a, b);
  };
  std::erase_if(queue_, between);
  std::erase_if(late_, between);
}

void ChannelNetwork::listening(const std::string& node) {
  {
    const std::lock_guard guard(lock_);
    for (const auto& [a, b] : connections_) {
      if (a == node) queue_.push_back({.from = b, .to = a, .connected = true, .bytes = {}});
      if (b == node) queue_.push_back({.from = a, .to = b, .connected = true, .bytes = {}});
    }
  }
  arrived_.notify_all();
}

void ChannelNetwork::set_weather(Weather weather) {
  const std::lock_guard guard(lock_);
  weather_ = weather;
}

std::uint64_t ChannelNetwork::delivered(PeerMessageKind kind) const {
  const std::lock_guard guard(lock_);
  const auto found = delivered_.find(kind);
  return found == delivered_.end() ? 0 : found->second;
}

test::Bytes ChannelNetwork::last(const std::string& from, PeerMessageKind kind) {
  const std::lock_guard guard(lock_);
  return last_[{from, kind}];
}

void ChannelNetwork::inject(const std::string& from, const std::string& to, PeerMessageKind kind,
                            test::Bytes bytes) {
  {
    const std::lock_guard guard(lock_);
    queue_.push_back({.from = from, .to = to, .kind = kind, .bytes = std::move(bytes)});
  }
  arrived_.notify_all();
}

bool ChannelNetwork::send(const std::string& from, const std::string& to, PeerMessageKind kind,
                          std::span<const std::uint8_t> bytes) {
  {
    const std::lock_guard guard(lock_);
    if (!connections_.contains(pair_of(from, to)) || queue_.size() >= queue_max) return false;
    if (random_.below(100) < weather_.lost) return true;
    Message message{.from = from, .to = to, .kind = kind, .bytes = {bytes.begin(), bytes.end()}};
    if (random_.below(100) < weather_.late) {
      late_.push_back(std::move(message));
    } else {
      queue_.push_back(std::move(message));
      // What was late comes behind.
      std::move(late_.begin(), late_.end(), std::back_inserter(queue_));
      late_.clear();
    }
  }
  arrived_.notify_all();
  return true;
}

void ChannelNetwork::run() {
  std::unique_lock guard(lock_);
  for (;;) {
    arrived_.wait(guard, [this] { return stopping_ || !queue_.empty(); });
    if (stopping_) return;
    const Message message = std::move(queue_.front());
    queue_.pop_front();
    if (!message.connected) {
      ++delivered_[message.kind];
      last_[{message.from, message.kind}] = message.bytes;
    }
    const auto found = ends_.find(message.to);
    End* const end = found == ends_.end() ? nullptr : found->second.get();
    guard.unlock();
    if (end != nullptr) end->deliver(message);
    guard.lock();
  }
}

}  // namespace ssn::dataplane_test
