// SPDX-License-Identifier: BSD-3-Clause
#include "ssn/hw/key_device.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <mutex>

#include "driver_file.h"

namespace ssn::hw {
namespace {

constexpr std::size_t max_settings = 256;

Error usage_error(std::string what, std::string why, std::string where, std::string fix) {
  return {Exit::usage, std::move(what), std::move(why), std::move(where), std::move(fix)};
}

// What every driver must have filled in before it is called.
Outcome check_driver(const ssn_key_driver* driver, const std::string& path) {
  const std::string what = "cannot use the key driver " + path;
  if (driver == nullptr) {
    return usage_error(what, SSN_KEY_DRIVER_ENTRY "() returned nothing", path, "ask its maker");
  }
  if (driver->abi != SSN_KEY_DEVICE_ABI) {
    return usage_error(what,
                       "it was built for version " + std::to_string(driver->abi) +
                           " of the interface, and this program for version " +
                           std::to_string(SSN_KEY_DEVICE_ABI),
                       path, "build it against the headers of this release (include/ssn/key_device.h)");
  }
  const bool complete = driver->name != nullptr && driver->description != nullptr &&
                        driver->open != nullptr && driver->close != nullptr && driver->describe != nullptr &&
                        driver->stream_open != nullptr && driver->stream_close != nullptr &&
                        driver->poll != nullptr && driver->release != nullptr &&
                        driver->read_statistics != nullptr;
  if (!complete) {
    return usage_error(what, "it leaves out functions that every driver must have", path, "ask its maker");
  }
  return done;
}

Outcome check_name(const std::string& name, const char* which) {
  if (name.empty() || name.size() > SSN_PEER_NAME_MAX || name.find('\0') != std::string::npos) {
    return usage_error(std::string("cannot use this name of ") + which,
                       "an SAE ID has 1 to " + std::to_string(SSN_PEER_NAME_MAX) + " characters", which,
                       "give such a name");
  }
  return done;
}

}  // namespace

class OpenKeyDevice {
 public:
  OpenKeyDevice(const ssn_key_driver* driver, std::string file, KeyDevice::SendToPeer send)
      : driver_(driver), file_(std::move(file)), send_(std::move(send)) {}
  OpenKeyDevice(const OpenKeyDevice&) = delete;
  OpenKeyDevice& operator=(const OpenKeyDevice&) = delete;
  ~OpenKeyDevice() {
    if (device_ != nullptr) {
      driver_->close(device_);
    }
  }

  Outcome open(const KeyDevice::Options& options) {
    std::vector<ssn_setting> settings;
    for (const auto& [name, value] : options.settings) {
      settings.push_back({name.c_str(), value.c_str()});
    }
    ssn_key_device_config config{};
    config.abi = SSN_KEY_DEVICE_ABI;
    config.local_name = options.local_name.c_str();
    config.settings = settings.data();
    config.setting_count = settings.size();
    config.send_to_peer = send_ ? &OpenKeyDevice::send : nullptr;
    config.send_context = this;
    ssn_error error{};
    const ssn_status status = driver_->open(&config, &device_, &error);
    if (status != SSN_OK) {
      device_ = nullptr;
      return driver_error(status, error);
    }
    if (device_ == nullptr) {
      return misbehaved("open() succeeded and returned no device");
    }
    return done;
  }

  ssn_key_device_info describe() {
    ssn_key_device_info info{};
    const std::lock_guard guard(lock_);
    driver_->describe(device_, &info);
    info.identity[sizeof info.identity - 1] = '\0';
    return info;
  }

  // Checks what the driver made of it: everything else relies on the common head of the stream.
  Result<ssn_key_stream*> open_stream(const ssn_key_stream_request& request) {
    const std::lock_guard guard(lock_);
    ssn_key_stream* stream = nullptr;
    ssn_error error{};
    const ssn_status status = driver_->stream_open(device_, &request, &stream, &error);
    if (status != SSN_OK) {
      return driver_error(status, error);
    }
    if (stream == nullptr) {
      return misbehaved("stream_open() succeeded and returned no stream");
    }
    const bool sound = stream->driver == driver_ && stream->ring == request.memory.base &&
                       stream->ring_bytes == request.memory.bytes && stream->role == request.role &&
                       stream->next == 0 && stream->released == 0 && stream->end <= stream->ring_bytes;
    if (!sound) {
      driver_->stream_close(stream);
      return misbehaved("the stream that stream_open() returned is not the one that was asked for");
    }
    return stream;
  }

  void close_stream(ssn_key_stream* stream) noexcept {
    const std::lock_guard guard(lock_);
    driver_->stream_close(stream);
  }

  ssn_status peer_message(const char* peer, std::span<const std::uint8_t> message) noexcept {
    return driver_->peer_message == nullptr
               ? SSN_UNSUPPORTED
               : driver_->peer_message(device_, peer, message.data(), message.size());
  }

  const ssn_key_driver* driver() const noexcept { return driver_; }
  const std::string& file() const noexcept { return file_; }

 private:
  static ssn_status send(void* context, const char* peer, const std::uint8_t* message, std::size_t length) {
    const auto* const self = static_cast<const OpenKeyDevice*>(context);
    return self->send_(peer, {message, length});
  }

  Error misbehaved(std::string why) const {
    return {Exit::failed, std::string("cannot use the key driver ") + driver_->name, std::move(why), file_,
            "this is a mistake in the driver; ask its maker"};
  }

  const ssn_key_driver* driver_;
  std::string file_;
  KeyDevice::SendToPeer send_;
  ssn_key_device* device_ = nullptr;
  std::mutex lock_;  // serialises calls on the device, as the interface asks
};

Result<KeyDevice> KeyDevice::open(const Options& options) {
  if (const Outcome checked = check_name(options.local_name, "this node"); !checked.ok()) {
    return checked.error();
  }
  if (options.settings.size() > max_settings) {
    return usage_error("cannot open the key device " + options.driver, "it has more than 256 settings",
                       "settings", "remove some");
  }
  const Result<LoadedDriver> loaded =
      load_driver({"ssn-key-", options.driver, SSN_KEY_DRIVER_ENTRY, "hw/keys"});
  if (!loaded.ok()) {
    return loaded.error();
  }
  const auto entry = std::bit_cast<ssn_key_driver_entry>(loaded.value().symbol);
  const ssn_key_driver* const driver = entry();
  if (const Outcome checked = check_driver(driver, loaded.value().path); !checked.ok()) {
    return checked.error();
  }
  KeyDevice device;
  device.device_ = std::make_shared<OpenKeyDevice>(driver, loaded.value().path, options.send_to_peer);
  if (const Outcome opened = device.device_->open(options); !opened.ok()) {
    return opened.error();
  }
  return device;
}

ssn_key_device_info KeyDevice::info() const { return device_->describe(); }
std::string KeyDevice::driver_name() const { return device_->driver()->name; }
const std::string& KeyDevice::driver_file() const { return device_->file(); }

ssn_status KeyDevice::peer_message(const std::string& peer, std::span<const std::uint8_t> message) noexcept {
  if (peer.size() > SSN_PEER_NAME_MAX || message.size() > SSN_KEY_PEER_MESSAGE_MAX) {
    return SSN_INVALID;
  }
  return device_->peer_message(peer.c_str(), message);
}

Result<KeyStream> KeyDevice::open_stream(ssn_key_role role, const Ksid& ksid, const std::string& peer,
                                         std::size_t ring_bytes, const StreamOptions& options) {
  const bool random = role == SSN_KEY_RANDOM;
  if (!random) {
    if (const Outcome checked = check_name(peer, "the peer"); !checked.ok()) {
      return checked.error();
    }
  }
  const ssn_key_device_info limits = info();
  if (random && !limits.delivers_random) {
    return usage_error("cannot open a random stream", "this key device delivers no random bytes",
                       device_->file(), "choose another source of random blocks");
  }
  if (ring_bytes < limits.ring_bytes_min || ring_bytes > limits.ring_bytes_max) {
    return usage_error("cannot open a key stream with a ring of " + std::to_string(ring_bytes) + " bytes",
                       "this key device takes rings of " + std::to_string(limits.ring_bytes_min) + " to " +
                           std::to_string(limits.ring_bytes_max) + " bytes",
                       device_->file(), "choose a power of two in between");
  }
  Result<RingMemory> ring = RingMemory::make(ring_bytes, options.pages, limits.numa_node);
  if (!ring.ok()) {
    return ring.error();
  }
  ssn_key_stream_request request{};
  request.role = role;
  std::copy(ksid.begin(), ksid.end(), request.ksid);
  request.peer = random ? nullptr : peer.c_str();
  request.memory = ring.value().describe();
  request.bytes_per_second = options.bytes_per_second;
  const Result<ssn_key_stream*> opened = device_->open_stream(request);
  if (!opened.ok()) {
    return opened.error();
  }
  KeyStream stream;
  stream.device_ = device_;
  stream.stream_ = opened.value();
  stream.ring_ = std::move(ring.value());
  stream.ksid_ = random ? Ksid{} : ksid;
  return stream;
}

KeyStream::KeyStream(KeyStream&& other) noexcept
    : device_(std::move(other.device_)),
      stream_(std::exchange(other.stream_, nullptr)),
      ring_(std::move(other.ring_)),
      ksid_(std::exchange(other.ksid_, Ksid{})) {}

KeyStream& KeyStream::operator=(KeyStream&& other) noexcept {
  if (this != &other) {
    close();
    device_ = std::move(other.device_);
    stream_ = std::exchange(other.stream_, nullptr);
    ring_ = std::move(other.ring_);
    ksid_ = std::exchange(other.ksid_, Ksid{});
  }
  return *this;
}

ssn_memory KeyStream::memory() const noexcept {
  ssn_memory memory = ring_.describe();
  memory.bytes *= 2;
  memory.fd = -1;
  return memory;
}

void KeyStream::close() noexcept {
  if (stream_ != nullptr) {
    device_->close_stream(std::exchange(stream_, nullptr));
  }
  ring_ = RingMemory();  // erases
  device_.reset();
}

void KeyStream::erase_and_release(std::uint64_t offset) noexcept {
  assert(offset >= stream_->released && offset <= stream_->end);
  const std::uint64_t length = offset - stream_->released;
  if (length != 0) {
    ::explicit_bzero(stream_->ring + (stream_->released & (stream_->ring_bytes - 1)), length);
    release(offset);
  }
}

ssn_key_stream_statistics KeyStream::statistics() const noexcept {
  ssn_key_stream_statistics statistics{};
  stream_->driver->read_statistics(stream_, &statistics);
  return statistics;
}

}  // namespace ssn::hw
