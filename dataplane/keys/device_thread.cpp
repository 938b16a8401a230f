// SPDX-License-Identifier: BSD-3-Clause
#include "device_thread.h"

#include <utility>

namespace ssn::dataplane {
namespace {

// How old what is known of a device may be: an etsi014 device learns its class from the key manager.
constexpr std::chrono::seconds info_interval{1};

void add(protocol::KeyAccount& sum, const protocol::KeyAccount& part) noexcept {
  sum.fetched += part.fetched;
  sum.used += part.used;
  sum.kept += part.kept;
  sum.discarded += part.discarded;
  sum.left += part.left;
}

// Settings and permissions do not mend themselves; key managers that are not there yet do.
bool is_final(const Error& error) noexcept {
  return error.code == Exit::usage || error.code == Exit::refused || error.code == Exit::kernels_refused;
}

}  // namespace

DeviceThread::DeviceThread(Options options)
    : options_(std::move(options)),
      back_off_(options_.back_off_least, options_.back_off_most, options_.seed) {
  report_.driver = options_.configuration.driver;
}

Outcome DeviceThread::try_first() {
  const Outcome opened = open_device();
  if (opened.ok() || is_final(opened.error())) return opened;
  next_try_ = back_off_.failed(Clock::now());
  return done;
}

void DeviceThread::start() {
  thread_ = std::thread([this] { run(); });
}

void DeviceThread::stop() {
  {
    const std::lock_guard guard(lock_);
    stopping_ = true;
  }
  wake_.notify_all();
  if (thread_.joinable()) thread_.join();
  const std::lock_guard guard(lock_);
  device_.reset();
  usable_.store(false, std::memory_order_relaxed);
  report_.open = false;
}

void DeviceThread::open(OpenTask task) {
  {
    const std::lock_guard guard(lock_);
    tasks_.emplace_back(std::move(task));
  }
  wake_.notify_all();
}

void DeviceThread::close(CloseTask task) {
  {
    const std::lock_guard guard(lock_);
    tasks_.emplace_back(std::move(task));
  }
  wake_.notify_all();
}

std::shared_ptr<hw::KeyDevice> DeviceThread::device() const {
  const std::lock_guard guard(lock_);
  return device_;
}

KeyDeviceReport DeviceThread::report() const {
  const std::lock_guard guard(lock_);
  return report_;
}

void DeviceThread::note_failure(const Error& error) {
  const std::lock_guard guard(lock_);
  ++report_.failures;
  report_.last_error = error;
}

Outcome DeviceThread::open_device() {
  Result<hw::KeyDevice> opened = hw::KeyDevice::open({.driver = options_.configuration.driver,
                                                      .local_name = options_.node,
                                                      .settings = options_.configuration.settings,
                                                      .send_to_peer = options_.send_to_peer});
  if (!opened.ok()) {
    note_failure(opened.error());
    return opened.error();
  }
  auto device = std::make_shared<hw::KeyDevice>(std::move(opened.value()));
  const ssn_key_device_info info = device->info();
  const std::lock_guard guard(lock_);
  report_.info = info;
  report_.open = true;
  device_ = std::move(device);
  next_info_ = Clock::now() + info_interval;
  usable_.store(true, std::memory_order_relaxed);
  return done;
}

void DeviceThread::read_info() {
  const std::shared_ptr<hw::KeyDevice> device = this->device();
  const ssn_key_device_info info = device->info();
  const std::lock_guard guard(lock_);
  report_.info = info;
  ++report_.info_reads;
  next_info_ = Clock::now() + info_interval;
}

void DeviceThread::run() {
  options_.tell(DeviceNews{options_.index, usable(), report().last_error});
  std::unique_lock guard(lock_);
  for (;;) {
    const Clock::time_point until = usable() ? next_info_ : next_try_;
    wake_.wait_until(guard, until, [this] { return stopping_ || !tasks_.empty(); });
    if (!tasks_.empty()) {
      std::variant<OpenTask, CloseTask> task = std::move(tasks_.front());
      tasks_.pop_front();
      guard.unlock();
      if (OpenTask* const open = std::get_if<OpenTask>(&task)) {
        options_.tell(OpenedConnections{open->peer, open->session, open_connections(*open)});
      } else {
        close_connections(std::get<CloseTask>(task));
      }
      guard.lock();
      continue;
    }
    if (stopping_) return;
    if (Clock::now() < until) continue;
    if (usable()) {
      guard.unlock();
      read_info();
      guard.lock();
      continue;
    }
    guard.unlock();
    const Outcome opened = open_device();
    if (opened.ok()) {
      back_off_.succeeded();
      options_.tell(DeviceNews{options_.index, true, {}});
    } else {
      next_try_ = back_off_.failed(Clock::now());
    }
    guard.lock();
  }
}

Result<Connections> DeviceThread::open_connections(OpenTask& task) {
  const std::shared_ptr<hw::KeyDevice> device = this->device();
  Connections connections;
  for (ConnectionTerms& terms : task.terms) {
    if (task.cancelled->load(std::memory_order_relaxed)) {
      return Error{Exit::temporary, "cannot open key streams with " + terms.peer,
                   "the epoch was over before they were open", "", "none is needed: a new one begins"};
    }
    if (!device) {
      return Error{Exit::temporary, "cannot open key streams with " + terms.peer,
                   "the key device is not open", options_.configuration.driver,
                   "see why in the status of the key devices"};
    }
    std::shared_ptr<RandomStream> random;
    if (task.random) {
      Result<std::shared_ptr<RandomStream>> opened = options_.random->get(terms.worker);
      if (!opened.ok()) {
        note_failure(opened.error());
        return opened.error();
      }
      random = std::move(opened.value());
    }
    Result<std::unique_ptr<Connection>> opened = Connection::open(
        *device, std::move(terms), options_.limits, *options_.implementation, std::move(random));
    if (!opened.ok()) {
      note_failure(opened.error());
      return opened.error();
    }
    connections.push_back(std::move(opened.value()));
  }
  read_info();  // a device that was away may have come back as another one
  const std::lock_guard guard(lock_);
  report_.streams += connections.size() * connection_streams;
  return connections;
}

void DeviceThread::close_connections(CloseTask& task) {
  ClosedConnections result{task.peer, {}};
  for (std::unique_ptr<Connection>& connection : task.connections) {
    const ConnectionSnapshot numbers = connection->close();
    for (std::size_t i = 0; i < connection_streams; ++i) {
      add(result.finished.accounts[i], numbers.streams[i].account);
    }
    result.finished.streams += connection_streams;
    connection.reset();
  }
  {
    const std::lock_guard guard(lock_);
    report_.streams -= result.finished.streams;
  }
  options_.tell(std::move(result));
}

}  // namespace ssn::dataplane
