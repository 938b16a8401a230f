// SPDX-License-Identifier: BSD-3-Clause
#include "network.h"

#include <algorithm>
#include <cstring>

namespace ssn::test {

using hw::etsi014::driver;

Node::Node(std::string name, const Config& settings) : name_(std::move(name)), settings_(settings) {}

// The peer's thread sends to this object: it ends first.
Node::~Node() {
  close();
  Node* other = nullptr;
  {
    const std::lock_guard lock(mutex_);
    std::swap(other, other_);
  }
  if (other != nullptr) {
    other->close();
    const std::lock_guard lock(other->mutex_);
    other->other_ = nullptr;
  }
}

ssn_status Node::open() {
  std::vector<ssn_setting> settings;
  for (const auto& [name, value] : settings_) settings.push_back({name.c_str(), value.c_str()});
  ssn_key_device_config config{};
  config.abi = SSN_KEY_DEVICE_ABI;
  config.local_name = name_.c_str();
  config.settings = settings.data();
  config.setting_count = settings.size();
  config.send_to_peer = send;
  config.send_context = this;
  ssn_key_device* opened = nullptr;
  const ssn_status status = driver.open(&config, &opened, &error_);
  const std::lock_guard lock(mutex_);
  device_ = status == SSN_OK ? opened : nullptr;
  return status;
}

void Node::close() {
  ssn_key_device* device = nullptr;
  {
    const std::lock_guard lock(mutex_);
    std::swap(device, device_);
  }
  if (device != nullptr) driver.close(device);
}

ssn_key_device_info Node::info() {
  ssn_key_device_info info{};
  driver.describe(device_, &info);
  return info;
}

void Node::connect(Node* other, Weather weather, std::uint64_t seed) {
  const std::lock_guard lock(mutex_);
  other_ = other;
  weather_ = weather;
  random_ = TestRandom(seed);
}

void Node::set_weather(Weather weather) {
  const std::lock_guard lock(mutex_);
  weather_ = weather;
}

ssn_status Node::deliver(const Bytes& bytes) {
  const std::lock_guard lock(mutex_);
  if (device_ == nullptr) return SSN_AGAIN;
  return driver.peer_message(device_, other_->name_.c_str(), bytes.data(), bytes.size());
}

ssn_status Node::send(void* context, const char* peer, const std::uint8_t* message, std::size_t length) {
  Node& self = *static_cast<Node*>(context);
  Node* other = nullptr;
  std::vector<Bytes> now;
  {
    const std::lock_guard lock(self.mutex_);
    other = self.other_;
    if (other == nullptr || other->name_ != peer) return SSN_NOT_FOUND;
    const auto happens = [&](unsigned percent) { return self.random_.below(100) < percent; };
    if (happens(self.weather_.busy)) return SSN_AGAIN;
    ++self.messages_;
    const Bytes bytes(message, message + length);
    now.swap(self.late_);
    if (happens(self.weather_.late)) {
      self.late_.push_back(bytes);
    } else if (!happens(self.weather_.lost)) {
      now.insert(now.begin(), bytes);  // before what is late
    }
    if (happens(self.weather_.repeated)) now.push_back(bytes);
  }
  ssn_status status = SSN_OK;
  for (const Bytes& bytes : now) {
    if (other->deliver(bytes) == SSN_AGAIN) status = SSN_AGAIN;
  }
  return status;
}

End::End(Node& node, ssn_key_role role, std::uint8_t ksid, const std::string& peer, std::size_t ring_bytes) {
  Result<hw::RingMemory> ring = hw::RingMemory::make(ring_bytes, hw::RingMemory::Pages::normal);
  if (!ring.ok()) return;
  ring_ = std::move(ring.value());
  ssn_key_stream_request request{};
  request.role = role;
  std::memset(request.ksid, ksid, sizeof request.ksid);
  request.peer = peer.c_str();
  request.memory = ring_.describe();
  ssn_error error{};
  (void)driver.stream_open(node.device(), &request, &stream_, &error);
}

void End::close() {
  if (stream_ != nullptr) driver.stream_close(stream_);
  stream_ = nullptr;
}

void End::erase_and_release(std::uint64_t offset) {
  const std::uint64_t from = stream_->released;
  if (offset == from) return;
  std::memset(ssn_key_stream_at(stream_, from, offset - from), 0, offset - from);
  ssn_key_stream_release(stream_, offset);
}

ssn_key_stream_statistics End::statistics() const {
  ssn_key_stream_statistics statistics{};
  driver.read_statistics(stream_, &statistics);
  return statistics;
}

bool wait_for(const std::function<bool()>& condition, int seconds) {
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(seconds);
  while (!condition()) {
    if (std::chrono::steady_clock::now() > until) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return true;
}

std::uint64_t compare(End& sender, End& receiver, std::uint64_t bytes, int seconds) {
  std::uint64_t equal = 0;
  bool broken = false;
  wait_for(
      [&] {
        const bool sender_over = sender.poll() == SSN_FAILED;
        const bool receiver_over = receiver.poll() == SSN_FAILED;
        broken = sender->end > receiver->end;  // never ahead of its receiver
        const std::uint64_t end = std::min(sender->end, receiver->end);
        const std::uint64_t from = sender->released;
        if (end > from && !broken) {
          const std::uint64_t length = end - from;
          broken = std::memcmp(ssn_key_stream_at(sender.get(), from, length),
                               ssn_key_stream_at(receiver.get(), from, length), length) != 0;
          if (broken) return true;
          equal += length;
          sender.erase_and_release(end);
          receiver.erase_and_release(end);
        }
        return broken || equal >= bytes || (sender_over && receiver_over);
      },
      seconds);
  return broken ? 0 : equal;
}

}  // namespace ssn::test
