// SPDX-License-Identifier: BSD-3-Clause
// A device model that runs, drivers that are connected to it, and streams whose bytes are checked.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "device_model.h"
#include "key_source.h"
#include "ssn/hw/key_device.h"

namespace ssn::kmnic_test {

using Clock = std::chrono::steady_clock;
using kme::DeviceModel;
using kme::Fault;
using kme::FaultKind;
using std::chrono::milliseconds;

/// Waits for `condition`, for so long that only a hang is a failure.
template <typename Condition>
bool eventually(Condition condition) {
  for (const Clock::time_point end = Clock::now() + std::chrono::seconds(20); Clock::now() < end;) {
    if (condition()) {
      return true;
    }
    std::this_thread::sleep_for(std::chrono::microseconds(200));
  }
  return condition();
}

class KmnicTest : public testing::Test {
 protected:
  using Settings = std::vector<std::pair<std::string, std::string>>;
  static constexpr std::size_t ring_bytes = 256 << 10;

  KmnicTest() { EXPECT_NE(::mkdtemp(folder_.data()), nullptr); }
  ~KmnicTest() override {
    model_.stop();
    std::filesystem::remove_all(folder_);
  }

  std::string socket() const { return folder_ + "/kmnic.sock"; }

  void start_model(std::string only = "") {
    DeviceModel::Options options;
    options.socket_path = socket();
    options.provider = std::make_shared<TestProvider>(valve_);
    options.only_local_name = std::move(only);
    Result<DeviceModel> model = DeviceModel::start(std::move(options));
    ASSERT_TRUE(model.ok()) << model.error().why;
    model_ = std::move(model.value());
  }

  Result<hw::KeyDevice> try_device(const std::string& local = "alice", Settings settings = {}) const {
    settings.emplace_back("socket", socket());
    return hw::KeyDevice::open({.driver = "kmnic", .local_name = local, .settings = std::move(settings)});
  }
  hw::KeyDevice device(const std::string& local = "alice", Settings settings = {}) const {
    Result<hw::KeyDevice> device = try_device(local, std::move(settings));
    EXPECT_TRUE(device.ok()) << (device.ok() ? "" : device.error().what + ": " + device.error().why);
    return device.ok() ? std::move(device.value()) : hw::KeyDevice();
  }
  /// A fresh KSID each time.
  hw::Ksid fresh_ksid() {
    ++ksids_;
    return {static_cast<std::uint8_t>(ksids_), static_cast<std::uint8_t>(ksids_ >> 8), 0x55};
  }
  hw::KeyStream stream(hw::KeyDevice& device, ssn_key_role role = SSN_KEY_SENDER,
                       const std::string& peer = "bob") {
    return stream(device, role, peer, fresh_ksid());
  }
  hw::KeyStream stream(hw::KeyDevice& device, ssn_key_role role, const std::string& peer,
                       const hw::Ksid& ksid, std::size_t bytes = ring_bytes) {
    Result<hw::KeyStream> stream = device.open_stream(role, ksid, peer, bytes);
    EXPECT_TRUE(stream.ok()) << (stream.ok() ? "" : stream.error().what + ": " + stream.error().why);
    return stream.ok() ? std::move(stream.value()) : hw::KeyStream();
  }

  /// Of a device that was lost: until the driver has found out, its calls fail on the way.
  hw::KeyStream stream_again(hw::KeyDevice& device) {
    const Clock::time_point limit = Clock::now() + std::chrono::seconds(30);
    for (;;) {
      Result<hw::KeyStream> stream = device.open_stream(SSN_KEY_SENDER, fresh_ksid(), "bob", ring_bytes);
      if (stream.ok() || stream.error().code != Exit::temporary || Clock::now() > limit) {
        EXPECT_TRUE(stream.ok()) << (stream.ok() ? "" : stream.error().what + ": " + stream.error().why);
        return stream.ok() ? std::move(stream.value()) : hw::KeyStream();
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
  }

  /// Consumes until `end`, in ranges of `step`, and checks every byte. False when the stream fails before.
  static bool consume_until(hw::KeyStream& stream, std::uint64_t end, std::uint64_t step = 1344) {
    const Clock::time_point limit = Clock::now() + std::chrono::seconds(30);
    while (stream.released() < end) {
      const std::uint64_t from = stream.released();
      const std::uint64_t length = std::min(step, end - from);
      if (stream.end() < from + length) {
        if (stream.poll() == SSN_FAILED) {
          return false;
        }
        if (Clock::now() > limit) {
          ADD_FAILURE() << "nothing comes at " << stream.end();
          return false;
        }
        continue;
      }
      if (!right(stream, from, length)) {
        return false;
      }
      stream.erase_and_release(from + length);
    }
    return true;
  }
  /// Whether the range holds the keys that belong there.
  static bool right(const hw::KeyStream& stream, std::uint64_t from, std::uint64_t length) {
    const std::uint8_t* const bytes = stream.at(from, length);
    for (std::uint64_t i = 0; i < length; ++i) {
      if (bytes[i] != key_byte(stream.ksid(), from + i)) {
        ADD_FAILURE() << "wrong byte at offset " << from + i;
        return false;
      }
    }
    return true;
  }
  /// Polls until the stream has failed.
  static bool fails(hw::KeyStream& stream) {
    return eventually([&] { return stream.poll() == SSN_FAILED; }) &&
           stream.health() == SSN_KEY_HEALTH_FAILED;
  }

  std::shared_ptr<Valve> valve_ = std::make_shared<Valve>();
  DeviceModel model_;

 private:
  std::string folder_ = (std::filesystem::temp_directory_path() / "ssn-kmnic-XXXXXX").string();
  unsigned ksids_ = 0;
};

}  // namespace ssn::kmnic_test
