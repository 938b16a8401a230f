// SPDX-License-Identifier: BSD-3-Clause
#include "device_model.h"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cerrno>
#include <cstring>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "connection.h"
#include "faults.h"

namespace ssn::kme {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::microseconds;

constexpr std::array<std::pair<FaultKind, std::string_view>, fault_kinds> fault_names = {{
    {FaultKind::corrupt_block, "corrupt_block"},
    {FaultKind::corrupt_descriptor, "corrupt_descriptor"},
    {FaultKind::wrong_sequence, "wrong_sequence"},
    {FaultKind::wrong_ksid, "wrong_ksid"},
    {FaultKind::wrong_offset, "wrong_offset"},
    {FaultKind::wrong_length, "wrong_length"},
    {FaultKind::drop_block, "drop_block"},
    {FaultKind::repeat_block, "repeat_block"},
    {FaultKind::starve, "starve"},
    {FaultKind::stall, "stall"},
    {FaultKind::end_streams, "end_streams"},
    {FaultKind::refuse_open, "refuse_open"},
    {FaultKind::ignore_close, "ignore_close"},
    {FaultKind::reset, "reset"},
    {FaultKind::fatal, "fatal"},
    {FaultKind::vanish, "vanish"},
}};

// Hosts whose rings are well filled are left alone for as long as that lasts, within these.
constexpr microseconds shortest_rest{100};
constexpr microseconds longest_rest{1000};

// Sockets and commands are looked at this often while there is work.
constexpr unsigned rounds_between_looks = 64;
constexpr std::size_t faults_queued_max = 1024;

// From spinning over yielding to sleeping, the longer there is nothing to do.
class Idle {
 public:
  void worked() noexcept { quiet_ = 0; }
  /// How long to sleep now; zero: not yet.
  microseconds quiet() noexcept {
    ++quiet_;
    if (quiet_ <= spins) {
      return microseconds{0};
    }
    if (quiet_ <= spins + yields) {
      ::sched_yield();
      return microseconds{0};
    }
    const unsigned doublings = std::min((quiet_ - spins - yields) / 4, 5U);
    return microseconds{50} * (1U << doublings);  // at most 1.6 ms
  }

 private:
  static constexpr unsigned spins = 200;
  static constexpr unsigned yields = 50;
  unsigned quiet_ = 0;
};

Error start_error(const std::string& path, std::string why, std::string fix) {
  return {Exit::usage, "cannot start the device model", std::move(why), path, std::move(fix)};
}

// Binds the socket; one that nobody listens on any more is replaced.
Result<int> listen_at(const std::string& path, unsigned mode) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof address.sun_path) {
    return start_error(path, "the path of its socket is empty or too long",
                       "choose a path of at most 107 characters");
  }
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  const auto* const plain = reinterpret_cast<const sockaddr*>(&address);
  const int probe = ::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  const int connected = probe < 0 ? -1 : ::connect(probe, plain, sizeof address);
  const int reason = errno;
  if (probe >= 0) {
    ::close(probe);
  }
  if (connected == 0) {
    return start_error(path, "another device model serves this socket", "stop it, or choose another path");
  }
  if (reason == ECONNREFUSED) {
    (void)::unlink(path.c_str());
  }
  const int fd = ::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  // Nobody can connect before listen(), so the permissions are in time.
  if (fd < 0 || ::bind(fd, plain, sizeof address) != 0 || ::chmod(path.c_str(), mode) != 0 ||
      ::listen(fd, 16) != 0) {
    Error error = system_error(errno, "cannot start the device model", path);
    if (fd >= 0) {
      ::close(fd);
    }
    return error;
  }
  return fd;
}

}  // namespace

std::string_view name(FaultKind kind) noexcept { return fault_names[static_cast<std::size_t>(kind)].second; }

std::optional<FaultKind> fault_kind(std::string_view name) noexcept {
  for (const auto& [kind, known] : fault_names) {
    if (known == name) {
      return kind;
    }
  }
  return std::nullopt;
}

class DeviceModel::Engine {
 public:
  explicit Engine(Options options) : options_(std::move(options)) {}
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;
  ~Engine();

  Outcome start();
  void inject(const Fault& fault);
  void heal();
  Statistics statistics() const noexcept;

 private:
  void run();
  bool take_faults(Clock::time_point now);
  void strike(const Fault& fault, Clock::time_point now);
  // Waits at most `timeout` (negative: for ever) and serves sockets. False: nothing came.
  bool serve_sockets(microseconds timeout);
  microseconds rest(Idle& idle, bool worked, bool streams, microseconds patience) const noexcept;
  void accept_connections();
  void publish() noexcept;
  void wake() noexcept {
    const std::uint64_t one = 1;
    (void)!::write(wake_, &one, sizeof one);
  }

  const Options options_;
  int listener_ = -1;
  int wake_ = -1;
  std::thread thread_;
  std::atomic<bool> stop_{false};

  std::mutex lock_;  // for what follows
  std::vector<Fault> queued_;
  bool heal_ = false;
  std::atomic<bool> asked_{false};

  // The thread's own.
  std::vector<std::unique_ptr<Connection>> connections_;
  FaultPlan faults_;
  ModelStream::Counters counters_;
  std::uint64_t struck_ = 0;  // faults that happen at once
  std::uint32_t generation_ = 0;
  std::vector<pollfd> events_;

  struct Published {
    std::atomic<std::uint64_t> connections{0}, streams{0}, delivered{0}, redelivered{0}, faults{0},
        rejected{0};
  };
  Published published_;
};

Outcome DeviceModel::Engine::start() {
  if (options_.provider == nullptr || options_.streams_max < 1 || options_.streams_max > 1024 ||
      options_.connections_max < 1 || !std::has_single_bit(options_.ring_bytes_max) ||
      options_.ring_bytes_max < 4096) {
    return start_error(options_.socket_path, "an option of the device model is out of range",
                       "1 to 1024 streams, at least one connection, rings of a power of two from 4096");
  }
  const Result<int> listener = listen_at(options_.socket_path, options_.socket_mode);
  if (!listener.ok()) {
    return listener.error();
  }
  listener_ = listener.value();
  wake_ = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (wake_ < 0) {
    return system_error(errno, "cannot start the device model", "eventfd()");
  }
  thread_ = std::thread([this] { run(); });
  return done;
}

DeviceModel::Engine::~Engine() {
  if (thread_.joinable()) {
    stop_.store(true);
    wake();
    thread_.join();
  }
  connections_.clear();
  if (wake_ >= 0) {
    ::close(wake_);
  }
  if (listener_ >= 0) {
    ::close(listener_);
    (void)::unlink(options_.socket_path.c_str());
  }
}

void DeviceModel::Engine::inject(const Fault& fault) {
  const std::lock_guard guard(lock_);
  if (queued_.size() < faults_queued_max) {
    queued_.push_back(fault);
  }
  asked_.store(true, std::memory_order_release);
  wake();
}

void DeviceModel::Engine::heal() {
  const std::lock_guard guard(lock_);
  queued_.clear();
  heal_ = true;
  asked_.store(true, std::memory_order_release);
  wake();
}

DeviceModel::Statistics DeviceModel::Engine::statistics() const noexcept {
  Statistics result;
  result.connections = published_.connections.load(std::memory_order_relaxed);
  result.streams = published_.streams.load(std::memory_order_relaxed);
  result.delivered_bytes = published_.delivered.load(std::memory_order_relaxed);
  result.redelivered_blocks = published_.redelivered.load(std::memory_order_relaxed);
  result.faults = published_.faults.load(std::memory_order_relaxed);
  result.rejected = published_.rejected.load(std::memory_order_relaxed);
  return result;
}

void DeviceModel::Engine::publish() noexcept {
  std::uint64_t streams = 0;
  for (const auto& connection : connections_) {
    streams += connection->open_streams();
  }
  published_.connections.store(connections_.size(), std::memory_order_relaxed);
  published_.streams.store(streams, std::memory_order_relaxed);
  published_.delivered.store(counters_.delivered_bytes, std::memory_order_relaxed);
  published_.redelivered.store(counters_.redelivered_blocks, std::memory_order_relaxed);
  published_.faults.store(faults_.hit() + struck_, std::memory_order_relaxed);
  published_.rejected.store(counters_.rejected, std::memory_order_relaxed);
}

bool DeviceModel::Engine::take_faults(Clock::time_point now) {
  if (!asked_.load(std::memory_order_acquire)) {
    return false;
  }
  std::vector<Fault> queued;
  {
    const std::lock_guard guard(lock_);
    queued.swap(queued_);
    if (std::exchange(heal_, false)) {
      struck_ += faults_.hit();
      faults_.clear();
    }
    asked_.store(false, std::memory_order_release);
  }
  for (const Fault& fault : queued) {
    strike(fault, now);
  }
  return true;
}

void DeviceModel::Engine::strike(const Fault& fault, Clock::time_point now) {
  switch (fault.kind) {
    case FaultKind::end_streams:
      for (const auto& connection : connections_) {
        connection->end_streams(kmnic::end_manager);
      }
      break;
    case FaultKind::reset:
      for (const auto& connection : connections_) {
        connection->reset();
      }
      break;
    case FaultKind::fatal:
      for (const auto& connection : connections_) {
        connection->fail();
      }
      break;
    case FaultKind::vanish:
      connections_.clear();
      break;
    case FaultKind::starve:
    case FaultKind::stall:
      faults_.add(Fault{fault.kind, 0, fault.duration}, now);
      break;
    default:
      faults_.add(fault, now);
      return;  // counted when it hits
  }
  ++struck_;
}

void DeviceModel::Engine::accept_connections() {
  for (;;) {
    const int fd = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0) {
      return;
    }
    if (connections_.size() == options_.connections_max) {
      ::close(fd);
      continue;
    }
    generation_ = generation_ % 0xfffffffe + 1;
    connections_.push_back(std::make_unique<Connection>(fd, options_, generation_));
  }
}

bool DeviceModel::Engine::serve_sockets(microseconds timeout) {
  events_.clear();
  events_.push_back({wake_, POLLIN, 0});
  events_.push_back({listener_, POLLIN, 0});
  for (const auto& connection : connections_) {
    events_.push_back({connection->socket(), POLLIN, 0});
  }
  const auto nanoseconds = std::chrono::duration_cast<std::chrono::nanoseconds>(timeout).count();
  const timespec limit{nanoseconds / 1'000'000'000, nanoseconds % 1'000'000'000};
  if (::ppoll(events_.data(), events_.size(), timeout.count() < 0 ? nullptr : &limit, nullptr) <= 0) {
    return false;
  }
  if (events_[0].revents != 0) {
    std::uint64_t count = 0;
    (void)!::read(wake_, &count, sizeof count);
  }
  std::size_t kept = 0;
  for (std::size_t i = 0; i < connections_.size(); ++i) {
    const bool stays = events_[i + 2].revents == 0 || connections_[i]->serve_messages(counters_);
    if (stays) {
      std::swap(connections_[kept++], connections_[i]);
    }
  }
  connections_.resize(kept);
  if (events_[1].revents != 0) {
    accept_connections();
  }
  return true;
}

void DeviceModel::Engine::run() {
  Idle idle;
  unsigned round = 0;
  while (!stop_.load(std::memory_order_acquire)) {
    const Clock::time_point now = Clock::now();
    bool worked = take_faults(now);
    if (faults_.lasts(FaultKind::stall, now)) {
      // A device that hangs: nothing is served, and only its end is waited for.
      pollfd wake{wake_, POLLIN, 0};
      const auto left = std::chrono::ceil<std::chrono::milliseconds>(faults_.until(FaultKind::stall) - now);
      if (::poll(&wake, 1, static_cast<int>(std::clamp<std::int64_t>(left.count(), 1, 1000))) > 0) {
        std::uint64_t count = 0;
        (void)!::read(wake_, &count, sizeof count);
      }
      publish();
      continue;
    }
    const bool look = round++ % rounds_between_looks == 0;
    bool streams = false;
    microseconds patience = longest_rest;
    for (const auto& connection : connections_) {
      worked |= connection->pump(look, now, faults_, counters_);
      streams |= connection->open_streams() != 0;
      patience = connection->patience(patience);
    }
    const microseconds sleep = rest(idle, worked, streams, patience);
    if (look || sleep.count() != 0) {
      round = sleep.count() != 0 ? 0 : round;  // look at the commands after a sleep
      const bool nothing_open = sleep.count() != 0 && !streams;
      publish();
      if (serve_sockets(nothing_open ? microseconds{-1} : sleep)) {
        idle.worked();
      }
    }
  }
  publish();
}

// How long to sleep now; zero: not at all.
microseconds DeviceModel::Engine::rest(Idle& idle, bool worked, bool streams,
                                       microseconds patience) const noexcept {
  if (options_.poll) return microseconds{0};
  microseconds quiet{0};
  if (worked) {
    idle.worked();
  } else {
    quiet = idle.quiet();
  }
  return streams && patience >= shortest_rest ? std::max(patience, quiet) : quiet;
}

// ---- The public face
// ----------------------------------------------------------------------------------------

DeviceModel::DeviceModel() noexcept = default;
DeviceModel::DeviceModel(DeviceModel&& other) noexcept = default;
DeviceModel& DeviceModel::operator=(DeviceModel&& other) noexcept = default;
DeviceModel::~DeviceModel() = default;

Result<DeviceModel> DeviceModel::start(Options options) {
  DeviceModel model;
  model.engine_ = std::make_unique<Engine>(std::move(options));
  if (Outcome started = model.engine_->start(); !started.ok()) {
    return started.error();
  }
  return model;
}

void DeviceModel::inject(const Fault& fault) {
  if (engine_ != nullptr) {
    engine_->inject(fault);
  }
}

void DeviceModel::heal() {
  if (engine_ != nullptr) {
    engine_->heal();
  }
}

void DeviceModel::stop() { engine_.reset(); }

DeviceModel::Statistics DeviceModel::statistics() const {
  return engine_ != nullptr ? engine_->statistics() : Statistics{};
}

}  // namespace ssn::kme
