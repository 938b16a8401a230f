// SPDX-License-Identifier: BSD-3-Clause
#include "ssn/hw/offload_device.h"

#include <bit>
#include <cstring>
#include <mutex>

#include "driver_file.h"

namespace ssn::hw {
namespace {

constexpr const char* driver_prefix = "ssn-offload-";
constexpr const char* driver_folder = "hw/offload";

Error usage_error(std::string what, std::string why, std::string where, std::string fix) {
  return {Exit::usage, std::move(what), std::move(why), std::move(where), std::move(fix)};
}

bool complete(const ssn_offload_driver& driver) {
  return driver.name != nullptr && driver.description != nullptr && driver.open != nullptr &&
         driver.close != nullptr && driver.describe != nullptr && driver.memory_register != nullptr &&
         driver.memory_unregister != nullptr && driver.matrix_prepare != nullptr &&
         driver.matrix_release != nullptr && driver.tag_key_prepare != nullptr &&
         driver.tag_key_release != nullptr && driver.tag_key_set != nullptr && driver.queue_open != nullptr &&
         driver.queue_close != nullptr && driver.enqueue != nullptr && driver.dequeue != nullptr &&
         driver.cancel != nullptr;
}

// What every driver must have filled in before it is called.
Outcome check_driver(const ssn_offload_driver* driver, const std::string& file) {
  const std::string what = "cannot use the offload driver " + file;
  if (driver == nullptr) {
    return usage_error(what, SSN_OFFLOAD_DRIVER_ENTRY "() returned nothing", file, "ask its maker");
  }
  if (driver->abi != SSN_OFFLOAD_DEVICE_ABI) {
    return usage_error(what,
                       "it was built for version " + std::to_string(driver->abi) +
                           " of the interface, and this program for version " +
                           std::to_string(SSN_OFFLOAD_DEVICE_ABI),
                       file, "build it against the headers of this release (include/ssn/offload_device.h)");
  }
  if (!complete(*driver)) {
    return usage_error(what, "it leaves out functions that every driver must have", file, "ask its maker");
  }
  return done;
}

// Everything else relies on these. Null, or what is wrong.
const char* fault_of(const ssn_offload_device_info& info) {
  if (info.operations == 0 || info.operations >= 1U << SSN_OFFLOAD_OPERATIONS) {
    return "it has no operation, or unknown ones";
  }
  if (info.rows_max < 1 || info.rows_max > SSN_OFFLOAD_ROWS_MAX || info.columns_max < 1 ||
      info.columns_max > SSN_OFFLOAD_COLUMNS_MAX) {
    return "rows_max or columns_max is not from 1 to 255";
  }
  if (info.length_multiple < 1 || info.length_min < 1 || info.length_max < info.length_min ||
      info.length_max / info.length_multiple * info.length_multiple < info.length_min) {
    return "no length lies within length_min, length_max and length_multiple";
  }
  if (!std::has_single_bit(info.alignment)) {
    return "alignment is not a power of two";
  }
  if (info.segments_max < 1 || info.queues_max < 1 || info.queue_depth_max < 1) {
    return "segments_max, queues_max or queue_depth_max is 0";
  }
  if (info.memory_registration && info.memories_max < 1) {
    return "memory must be registered, but memories_max is 0";
  }
  if (info.completion != SSN_OFFLOAD_INLINE && info.completion != SSN_OFFLOAD_ASYNCHRONOUS) {
    return "completion is neither inline nor asynchronous";
  }
  if (info.protection < SSN_PROTECTION_EMULATED || info.protection > SSN_PROTECTION_INFORMATION_THEORETIC) {
    return "protection is not a class that there is";
  }
  return nullptr;
}

}  // namespace

class OpenOffloadDevice : public std::enable_shared_from_this<OpenOffloadDevice> {
 public:
  OpenOffloadDevice(const ssn_offload_driver* driver, std::string file)
      : driver_(driver), file_(std::move(file)) {}
  OpenOffloadDevice(const OpenOffloadDevice&) = delete;
  OpenOffloadDevice& operator=(const OpenOffloadDevice&) = delete;
  ~OpenOffloadDevice() {
    if (device_ != nullptr) {
      driver_->close(device_);
    }
  }

  Outcome open(const OffloadDevice::Settings& given) {
    std::vector<ssn_setting> settings;
    for (const auto& [name, value] : given) {
      settings.push_back({name.c_str(), value.c_str()});
    }
    ssn_offload_device_config config{};
    config.abi = SSN_OFFLOAD_DEVICE_ABI;
    config.settings = settings.data();
    config.setting_count = settings.size();
    ssn_error error{};
    if (const ssn_status status = driver_->open(&config, &device_, &error); status != SSN_OK) {
      device_ = nullptr;
      return driver_error(status, error);
    }
    if (device_ == nullptr) {
      return misbehaved("open() succeeded and returned no device");
    }
    info_ = describe();
    if (const char* const fault = fault_of(info_); fault != nullptr) {
      return misbehaved(fault);
    }
    return done;
  }

  // Runs one call of the control path that makes something.
  template <typename Handle, typename Call>
  Result<Handle> make(Call call) {
    Handle handle{};
    ssn_error error{};
    const std::lock_guard guard(lock_);
    const ssn_status status = call(*driver_, device_, &handle, &error);
    if (status != SSN_OK) {
      return driver_error(status, error);
    }
    return handle;
  }

  void release(ssn_offload_matrix* matrix) {
    const std::lock_guard guard(lock_);
    driver_->matrix_release(device_, matrix);
  }
  void release(ssn_offload_tag_key* key) {
    const std::lock_guard guard(lock_);
    driver_->tag_key_release(device_, key);
  }
  void release(std::uint32_t memory) {
    const std::lock_guard guard(lock_);
    driver_->memory_unregister(device_, memory);
  }
  void release(ssn_offload_queue* queue) {
    const std::lock_guard guard(lock_);
    driver_->queue_close(queue);
  }

  ssn_offload_device_info describe() const {
    ssn_offload_device_info info{};
    const std::lock_guard guard(lock_);
    driver_->describe(device_, &info);
    info.identity[sizeof info.identity - 1] = '\0';
    return info;
  }

  Error misbehaved(std::string why) const {
    return {Exit::failed, "cannot use the offload driver " + file_, std::move(why), file_,
            "report this to its maker; `ssn offload test` checks a driver"};
  }

  const ssn_offload_driver& driver() const { return *driver_; }
  const std::string& file() const { return file_; }
  const ssn_offload_device_info& info() const { return info_; }

 private:
  const ssn_offload_driver* driver_;
  std::string file_;
  ssn_offload_device* device_ = nullptr;
  ssn_offload_device_info info_{};
  mutable std::mutex lock_;
};

template <typename Handle>
void OffloadObject<Handle>::close() noexcept {
  if (device_ != nullptr) {
    device_->release(handle_);
    device_.reset();
    handle_ = Handle{};
  }
}
template class OffloadObject<ssn_offload_matrix*>;
template class OffloadObject<ssn_offload_tag_key*>;
template class OffloadObject<std::uint32_t>;
template class OffloadObject<ssn_offload_queue*>;

Result<OffloadDevice> OffloadDevice::open(const Options& options) {
  const Result<LoadedDriver> loaded =
      load_driver({driver_prefix, options.driver, SSN_OFFLOAD_DRIVER_ENTRY, driver_folder});
  if (!loaded.ok()) {
    return loaded.error();
  }
  const auto entry = reinterpret_cast<ssn_offload_driver_entry>(loaded.value().symbol);
  return open(entry(), loaded.value().path, options.settings);
}

Result<OffloadDevice> OffloadDevice::open(const ssn_offload_driver* driver, const std::string& file,
                                          const Settings& settings) {
  if (const Outcome checked = check_driver(driver, file); !checked.ok()) {
    return checked.error();
  }
  OffloadDevice opened;
  opened.device_ = std::make_shared<OpenOffloadDevice>(driver, file);
  if (const Outcome outcome = opened.device_->open(settings); !outcome.ok()) {
    return outcome.error();
  }
  return opened;
}

const ssn_offload_device_info& OffloadDevice::info() const noexcept { return device_->info(); }
ssn_offload_device_info OffloadDevice::describe() const { return device_->describe(); }
const ssn_offload_driver& OffloadDevice::driver() const noexcept { return device_->driver(); }
const std::string& OffloadDevice::driver_file() const noexcept { return device_->file(); }

Result<OffloadMemory> OffloadDevice::register_memory(const ssn_memory& memory) {
  const Result<std::uint32_t> made = device_->make<std::uint32_t>(
      [&](const ssn_offload_driver& driver, ssn_offload_device* device, std::uint32_t* handle,
          ssn_error* error) { return driver.memory_register(device, &memory, handle, error); });
  if (!made.ok()) {
    return made.error();
  }
  if (made.value() == SSN_OFFLOAD_UNREGISTERED) {
    return device_->misbehaved("memory_register() chose the handle that means unregistered");
  }
  return OffloadMemory(device_, made.value());
}

Result<OffloadMatrix> OffloadDevice::prepare_matrix(std::span<const std::uint8_t> coefficients,
                                                    std::uint32_t rows, std::uint32_t columns) {
  if (coefficients.size() != std::uint64_t{rows} * columns) {
    return usage_error("cannot prepare a matrix",
                       std::to_string(coefficients.size()) + " coefficients are not " + std::to_string(rows) +
                           " rows of " + std::to_string(columns),
                       "", "give rows * columns coefficients");
  }
  const Result<ssn_offload_matrix*> made =
      device_->make<ssn_offload_matrix*>([&](const ssn_offload_driver& driver, ssn_offload_device* device,
                                             ssn_offload_matrix** matrix, ssn_error* error) {
        return driver.matrix_prepare(device, coefficients.data(), rows, columns, matrix, error);
      });
  if (!made.ok()) {
    return made.error();
  }
  if (made.value() == nullptr) {
    return device_->misbehaved("matrix_prepare() succeeded and returned no matrix");
  }
  return OffloadMatrix(device_, made.value());
}

Result<OffloadTagKey> OffloadDevice::prepare_tag_key(std::span<const std::uint8_t, 16> r) {
  const Result<ssn_offload_tag_key*> made = device_->make<ssn_offload_tag_key*>(
      [&](const ssn_offload_driver& driver, ssn_offload_device* device, ssn_offload_tag_key** key,
          ssn_error* error) { return driver.tag_key_prepare(device, r.data(), key, error); });
  if (!made.ok()) {
    return made.error();
  }
  if (made.value() == nullptr) {
    return device_->misbehaved("tag_key_prepare() succeeded and returned no key");
  }
  return OffloadTagKey(device_, made.value());
}

Result<OffloadQueue> OffloadDevice::open_queue(const ssn_offload_queue_config& config) {
  const Result<ssn_offload_queue*> made = device_->make<ssn_offload_queue*>(
      [&](const ssn_offload_driver& driver, ssn_offload_device* device, ssn_offload_queue** queue,
          ssn_error* error) { return driver.queue_open(device, &config, queue, error); });
  if (!made.ok()) {
    return made.error();
  }
  if (made.value() == nullptr) {
    return device_->misbehaved("queue_open() succeeded and returned no queue");
  }
  return OffloadQueue(device_, made.value(), &device_->driver());
}

std::vector<OffloadDriverFile> list_offload_drivers() {
  std::vector<OffloadDriverFile> found;
  for (FoundDriver& driver : find_drivers(driver_prefix, driver_folder)) {
    found.push_back({std::move(driver.name), std::move(driver.path)});
  }
  return found;
}

std::string_view name(ssn_offload_operation operation) noexcept {
  constexpr std::string_view names[] = {"split", "recover",   "dot",        "seal",
                                        "open",  "split+pad", "split+seal", "open+recover"};
  return static_cast<unsigned>(operation) < std::size(names) ? names[operation] : "unknown";
}

}  // namespace ssn::hw
