// SPDX-License-Identifier: BSD-3-Clause
// Two nodes with a key device each, at one key manager, and the channel between them that loses, repeats and
// reorders messages on demand.
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "driver.h"
#include "kme_process.h"
#include "ssn/hw/ring_memory.h"
#include "test_random.h"

namespace ssn::test {

using Config = std::map<std::string, std::string>;

/// What a channel does, in percent of its messages.
struct Weather {
  unsigned lost = 0, repeated = 0, late = 0, busy = 0;
};

class Node {
 public:
  Node(std::string name, const Config& settings);
  ~Node();

  ssn_status open();
  void close();
  bool is_open() const { return device_ != nullptr; }
  const ssn_error& error() const { return error_; }
  const std::string& name() const { return name_; }
  ssn_key_device* device() { return device_; }
  ssn_key_device_info info();
  void connect(Node* other, Weather weather, std::uint64_t seed);
  void set_weather(Weather weather);
  std::uint64_t messages() const { return messages_; }

 private:
  static ssn_status send(void* context, const char* peer, const std::uint8_t* message, std::size_t length);
  ssn_status deliver(const Bytes& bytes);

  const std::string name_;
  Config settings_;
  ssn_key_device* device_ = nullptr;
  ssn_error error_{};
  std::mutex mutex_;
  Node* other_ = nullptr;
  Weather weather_;
  TestRandom random_{0};
  std::vector<Bytes> late_;
  std::atomic<std::uint64_t> messages_ = 0;
};

/// One end of a stream with its ring.
class End {
 public:
  End(Node& node, ssn_key_role role, std::uint8_t ksid, const std::string& peer, std::size_t ring_bytes);
  ~End() { close(); }
  End(const End&) = delete;
  End& operator=(const End&) = delete;

  void close();
  bool is_open() const { return stream_ != nullptr; }
  ssn_key_stream* operator->() { return stream_; }
  ssn_key_stream* get() { return stream_; }
  ssn_status poll() { return ssn_key_stream_poll(stream_); }
  void erase_and_release(std::uint64_t offset);
  ssn_key_stream_statistics statistics() const;
  hw::RingMemory& ring() { return ring_; }

 private:
  hw::RingMemory ring_;
  ssn_key_stream* stream_ = nullptr;
};

/// Polls `condition` until it holds; false after `seconds`.
bool wait_for(const std::function<bool()>& condition, int seconds = 30);

/// Takes `bytes` at both ends and compares them. Gives what was equal; less where an end failed, a byte
/// differed, or time ran out.
std::uint64_t compare(End& sender, End& receiver, std::uint64_t bytes, int seconds = 30);

}  // namespace ssn::test
