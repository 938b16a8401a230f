// SPDX-License-Identifier: BSD-3-Clause
// Offload devices for C++: finds and loads a driver (include/ssn/offload_device.h), and owns what must be
// given back.
//
//   auto device = OffloadDevice::open({.driver = "cpu"});
//   auto matrix = device.value().prepare_matrix(coefficients, rows, columns);   // once a layout
//   auto queue = device.value().open_queue({.depth = 256, .clock = CLOCK_MONOTONIC, .numa_node = -1});
//   ssn_offload_job job{};                                                      // see the C header
//   job.matrix = matrix.value().get();
//   ...
//   std::uint32_t completed;
//   std::uint32_t accepted = queue.value().enqueue(jobs, count, now, completed);
//   if (completed < accepted) { ... dequeue() later ... }
//
// Threads: an OffloadDevice may be used by any thread; its calls, and the making and ending of what it made,
// wait for each other. A queue belongs to one thread at a time. enqueue, dequeue and cancel neither allocate
// nor lock nor make a system call.
//
// A driver stays loaded until the process ends. A device is closed when it and all that it made are gone, in
// whatever order. Matrices, tag keys and memory outlive the jobs that name them: the caller sees to that.
#pragma once

#include <array>
#include <cassert>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "ssn/hw/driver_error.h"
#include "ssn/hw/result.h"
#include "ssn/offload_device.h"

namespace ssn::hw {

class OpenOffloadDevice;  // the implementation's: a device that is open

/// Something that a device made and takes back: moves, never copies.
template <typename Handle>
class OffloadObject {
 public:
  OffloadObject() noexcept = default;
  OffloadObject(OffloadObject&& other) noexcept
      : device_(std::move(other.device_)), handle_(std::exchange(other.handle_, Handle{})) {}
  OffloadObject& operator=(OffloadObject&& other) noexcept {
    if (this != &other) {
      close();
      device_ = std::move(other.device_);
      handle_ = std::exchange(other.handle_, Handle{});
    }
    return *this;
  }
  OffloadObject(const OffloadObject&) = delete;
  OffloadObject& operator=(const OffloadObject&) = delete;
  ~OffloadObject() { close(); }

  /// Gives it back to the device. Does nothing when it is empty.
  void close() noexcept;
  bool is_open() const noexcept { return device_ != nullptr; }
  /// As jobs want it.
  Handle get() const noexcept { return handle_; }

 protected:
  friend class OffloadDevice;
  OffloadObject(std::shared_ptr<OpenOffloadDevice> device, Handle handle) noexcept
      : device_(std::move(device)), handle_(handle) {}

 private:
  std::shared_ptr<OpenOffloadDevice> device_;
  Handle handle_{};
};

using OffloadMatrix = OffloadObject<ssn_offload_matrix*>;
using OffloadTagKey = OffloadObject<ssn_offload_tag_key*>;
/// Registered memory: get() is what segments name.
using OffloadMemory = OffloadObject<std::uint32_t>;

/// Closing it forgets the jobs in flight: afterwards nothing touches their buffers.
class OffloadQueue : public OffloadObject<ssn_offload_queue*> {
 public:
  OffloadQueue() noexcept = default;

  // What follows needs an open queue. The rules are those of the C header.

  /// Returns how many the device took, from the front; `completed` of them are completed already.
  std::uint32_t enqueue(ssn_offload_job* const* jobs, std::uint32_t count, std::uint64_t now,
                        std::uint32_t& completed) noexcept {
    const std::uint32_t accepted = driver_->enqueue(get(), jobs, count, now, &completed);
    assert(completed <= accepted && accepted <= count && "the driver breaks the rules of enqueue");
    return accepted;
  }
  std::uint32_t dequeue(ssn_offload_job** jobs, std::uint32_t capacity, std::uint64_t now) noexcept {
    const std::uint32_t given = driver_->dequeue(get(), jobs, capacity, now);
    assert(given <= capacity && "the driver breaks the rules of dequeue");
    return given;
  }
  /// No job in flight names the key.
  void set_tag_key(OffloadTagKey& key, std::span<const std::uint8_t, 16> r) noexcept {
    driver_->tag_key_set(get(), key.get(), r.data());
  }
  void cancel() noexcept { driver_->cancel(get()); }

 private:
  friend class OffloadDevice;
  OffloadQueue(std::shared_ptr<OpenOffloadDevice> device, ssn_offload_queue* queue,
               const ssn_offload_driver* driver) noexcept
      : OffloadObject(std::move(device), queue), driver_(driver) {}

  const ssn_offload_driver* driver_ = nullptr;
};

/// An offload device that is open. Moves, never copies.
class OffloadDevice {
 public:
  using Settings = std::vector<std::pair<std::string, std::string>>;

  struct Options {
    /// A name, such as "cpu", for ssn-offload-NAME.so in a directory of SSN_DRIVER_PATH (separated by
    /// colons), in the build tree of this program, or where Shareline's drivers are installed; the first that
    /// is found. Or the path of a shared object: everything with a slash.
    std::string driver;
    Settings settings = {};
  };
  /// not_found: no such driver or device; refused: it must not be loaded; usage: wrong ABI or settings;
  /// temporary: the device cannot be reached at present.
  static Result<OffloadDevice> open(const Options& options);
  /// With a driver that is loaded already; `file` says where it is from.
  static Result<OffloadDevice> open(const ssn_offload_driver* driver, const std::string& file,
                                    const Settings& settings);

  OffloadDevice() noexcept = default;
  OffloadDevice(OffloadDevice&&) noexcept = default;
  OffloadDevice& operator=(OffloadDevice&&) noexcept = default;
  OffloadDevice(const OffloadDevice&) = delete;
  OffloadDevice& operator=(const OffloadDevice&) = delete;
  ~OffloadDevice() = default;

  // What follows needs an open device.

  /// Read once, when it was opened.
  const ssn_offload_device_info& info() const noexcept;
  /// Asks the device again: what it says must not change.
  ssn_offload_device_info describe() const;
  const ssn_offload_driver& driver() const noexcept;
  /// The file that the driver was loaded from.
  const std::string& driver_file() const noexcept;

  Result<OffloadMemory> register_memory(const ssn_memory& memory);
  /// `coefficients` is row-major: rows * columns of them.
  Result<OffloadMatrix> prepare_matrix(std::span<const std::uint8_t> coefficients, std::uint32_t rows,
                                       std::uint32_t columns);
  Result<OffloadTagKey> prepare_tag_key(std::span<const std::uint8_t, 16> r);
  Result<OffloadQueue> open_queue(const ssn_offload_queue_config& config);

 private:
  std::shared_ptr<OpenOffloadDevice> device_;
};

/// Names and paths of the offload drivers that open() would find by name.
struct OffloadDriverFile {
  std::string name;
  std::string path;
};
std::vector<OffloadDriverFile> list_offload_drivers();

/// "split", "recover", "dot", "seal", "open", "split+pad", "split+seal", "open+recover".
std::string_view name(ssn_offload_operation operation) noexcept;

}  // namespace ssn::hw
