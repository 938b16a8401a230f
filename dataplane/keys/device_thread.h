// SPDX-License-Identifier: BSD-3-Clause
// One key device and the thread that opens it, opens streams at it and closes them: all that may take long.
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <variant>
#include <vector>

#include "back_off.h"
#include "random_streams.h"
#include "session_message.h"
#include "ssn/dataplane/connection.h"
#include "ssn/dataplane/key_report.h"
#include "ssn/hw/key_device.h"
#include "ssn/hw/key_device_configuration.h"

namespace ssn::dataplane {

using Connections = std::vector<std::unique_ptr<Connection>>;

/// Opens the connections of one peer, all or none.
struct OpenTask {
  std::size_t peer = 0;
  SessionId session{};
  std::vector<ConnectionTerms> terms;
  bool random = false;
  std::shared_ptr<std::atomic<bool>> cancelled;  ///< nobody wants them any more
};

struct OpenedConnections {
  std::size_t peer = 0;
  SessionId session{};
  Result<Connections> connections;
};

/// Ends and erases them.
struct CloseTask {
  std::size_t peer = 0;
  Connections connections;
};

struct ClosedConnections {
  std::size_t peer = 0;
  FinishedStreams finished;
};

/// The device can be used, or cannot.
struct DeviceNews {
  std::size_t device = 0;
  bool open = false;
  Error error;  ///< where it is not open
};

using DeviceResult = std::variant<OpenedConnections, ClosedConnections, DeviceNews>;

class DeviceThread {
 public:
  struct Options {
    std::size_t index = 0;
    hw::KeyDeviceConfiguration configuration;
    std::string node;
    hw::KeyDevice::SendToPeer send_to_peer;
    ConnectionLimits limits;
    const kernels::Implementation* implementation = nullptr;
    RandomStreams* random = nullptr;
    std::chrono::milliseconds back_off_least{100};
    std::chrono::milliseconds back_off_most{10'000};
    std::uint32_t seed = 1;
    std::function<void(DeviceResult)> tell;  ///< on this thread; must not wait
  };

  explicit DeviceThread(Options options);
  DeviceThread(const DeviceThread&) = delete;
  DeviceThread& operator=(const DeviceThread&) = delete;
  ~DeviceThread() { stop(); }

  /// On the caller's thread, before start(). Errors are what waiting does not mend.
  Outcome try_first();
  void start();
  /// Does what was asked for until now, then ends. Idempotent.
  void stop();

  void open(OpenTask task);
  void close(CloseTask task);

  // ---- Any thread.
  bool usable() const noexcept { return usable_.load(std::memory_order_relaxed); }
  /// Null while it is not open.
  std::shared_ptr<hw::KeyDevice> device() const;
  KeyDeviceReport report() const;

 private:
  using Clock = std::chrono::steady_clock;

  void run();
  Outcome open_device();
  Result<Connections> open_connections(OpenTask& task);
  void close_connections(CloseTask& task);
  void read_info();
  void note_failure(const Error& error);

  Options options_;
  BackOff back_off_;
  Clock::time_point next_try_{};
  Clock::time_point next_info_{};  // under lock_
  std::thread thread_;
  std::atomic<bool> usable_{false};

  mutable std::mutex lock_;
  std::condition_variable wake_;
  std::deque<std::variant<OpenTask, CloseTask>> tasks_;
  std::shared_ptr<hw::KeyDevice> device_;
  KeyDeviceReport report_;
  bool stopping_ = false;
};

}  // namespace ssn::dataplane
