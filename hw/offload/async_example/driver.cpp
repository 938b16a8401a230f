// SPDX-License-Identifier: BSD-3-Clause
// The driver `async-example`: the C interface, and what the control path keeps. Start here to write your own:
// copy this folder, rename, replace engine and thread by your device.
#include <stdio.h>
#include <string.h>

#include <array>
#include <atomic>
#include <charconv>
#include <exception>
#include <memory>
#include <new>
#include <string_view>

#include "queue.h"

namespace async_example {
namespace kernels = ssn::kernels;
namespace {

constexpr std::uint32_t memories_max = 64;
constexpr std::uint32_t matrices_max = 256;
constexpr std::uint32_t tag_keys_max = 256;
constexpr std::uint32_t queues_max = 4;
constexpr std::uint32_t queue_depth_max = 1024;

// Registered memory. Read by queues while the control path adds more.
struct Region {
  std::atomic<std::uintptr_t> begin{0};
  std::atomic<std::uint64_t> bytes{0};
};

struct Device {
  const kernels::Implementation* implementation = nullptr;
  ssn_offload_device_info info{};
  Queue::Options queue_options;
  std::array<Region, memories_max> regions;
  std::uint32_t matrices = 0;
  std::uint32_t tag_keys = 0;
  std::uint32_t queues = 0;
};

struct OpenQueue {
  OpenQueue(Device& owner, const Queue::Options& options)
      : device(owner), queue(*owner.implementation, options) {}
  Device& device;
  Queue queue;
};

Device& of(ssn_offload_device* device) { return *reinterpret_cast<Device*>(device); }
OpenQueue& of(ssn_offload_queue* queue) { return *reinterpret_cast<OpenQueue*>(queue); }

ssn_status fail(ssn_error* error, ssn_status status, const char* what, const char* why, const char* where,
                const char* fix) noexcept {
  (void)snprintf(error->what, sizeof error->what, "%s", what);
  (void)snprintf(error->why, sizeof error->why, "%s", why);
  (void)snprintf(error->where, sizeof error->where, "%s", where);
  (void)snprintf(error->fix, sizeof error->fix, "%s", fix);
  return status;
}

void describe_limits(ssn_offload_device_info& info) noexcept {
  info.operations = SSN_OFFLOAD_ALL;
  info.completion = SSN_OFFLOAD_ASYNCHRONOUS;
  info.ordered = false;
  info.in_place = true;  // everything is copied in before anything is copied out
  info.memory_registration = true;
  info.rows_max = rows_max;
  info.columns_max = columns_max;
  info.length_min = 1;
  info.length_max = length_max;
  info.length_multiple = 1;
  info.alignment = 1;
  info.segments_max = 16;
  info.header_length_max = 256;
  info.queues_max = queues_max;
  info.queue_depth_max = queue_depth_max;
  info.memories_max = memories_max;
  info.matrices_max = matrices_max;
  info.tag_keys_max = tag_keys_max;
  info.close_ns_max = 2000000000;
  info.protection = SSN_PROTECTION_EMULATED;
  info.numa_node = -1;
  (void)snprintf(info.identity, sizeof info.identity, "Shareline example of an offload device, emulated");
}

// ---- Opening --------------------------------------------------------------------------------------------

constexpr const char* cannot_open = "cannot open the example of an offload device";

bool read_number(const char* text, std::uint64_t least, std::uint64_t most, std::uint64_t& number) {
  const std::string_view digits = text;
  const auto [end, status] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
  return status == std::errc() && end == digits.data() + digits.size() && number >= least && number <= most;
}

ssn_status apply(const ssn_setting& setting, Device& device, ssn_error* error) {
  const std::string_view name = setting.name;
  std::uint64_t number = 0;
  if (name == "seed") {
    if (!read_number(setting.value, 0, UINT64_MAX, device.queue_options.seed)) {
      return fail(error, SSN_INVALID, cannot_open, "the seed is no number", "seed", "give a 64-bit number");
    }
  } else if (name == "delay_us") {
    if (!read_number(setting.value, 0, 1000000, number)) {
      return fail(error, SSN_INVALID, cannot_open, "the delay is not from 0 to 1000000 microseconds",
                  "delay_us", "give such a number");
    }
    device.queue_options.delay_us = static_cast<std::uint32_t>(number);
  } else if (name == "alignment") {
    if (!read_number(setting.value, 1, 4096, number) || (number & (number - 1)) != 0) {
      return fail(error, SSN_INVALID, cannot_open, "the alignment is not a power of two up to 4096",
                  "alignment", "give such a number");
    }
    device.info.alignment = static_cast<std::uint32_t>(number);
  } else {
    return fail(error, SSN_INVALID, cannot_open, "the driver has no such setting", setting.name,
                "its settings are seed, delay_us and alignment");
  }
  return SSN_OK;
}

ssn_status open_device(const ssn_offload_device_config* config, ssn_offload_device** device,
                       ssn_error* error) {
  if (config->abi != SSN_OFFLOAD_DEVICE_ABI) {
    return fail(error, SSN_INVALID, cannot_open, "the program was built for another version of the interface",
                "", "install program and driver of one version");
  }
  std::unique_ptr<Device> made(new (std::nothrow) Device);
  if (made == nullptr) {
    return fail(error, SSN_EXHAUSTED, cannot_open, "there is no memory", "", "free memory and try again");
  }
  describe_limits(made->info);
  for (std::size_t i = 0; i < config->setting_count; ++i) {
    if (const ssn_status status = apply(config->settings[i], *made, error); status != SSN_OK) {
      return status;
    }
  }
  if (const kernels::Status status = kernels::select(made->implementation); status != kernels::Status::ok) {
    return fail(error, SSN_FAILED, cannot_open, kernels::describe(status).data(), "SSN_KERNELS",
                "unset it, or choose what `ssn version` lists as supported");
  }
  *device = reinterpret_cast<ssn_offload_device*>(made.release());
  return SSN_OK;
}

void close_device(ssn_offload_device* device) { delete &of(device); }

void describe(const ssn_offload_device* device, ssn_offload_device_info* info) {
  *info = reinterpret_cast<const Device*>(device)->info;
}

// ---- What jobs name -------------------------------------------------------------------------------------

// A real driver maps the descriptor for its device here, or looks up the bus addresses.
ssn_status register_memory(ssn_offload_device* device, const ssn_memory* memory, std::uint32_t* handle,
                           ssn_error* error) {
  constexpr const char* what = "cannot register memory with the example of an offload device";
  if (memory->base == nullptr || memory->bytes == 0) {
    return fail(error, SSN_INVALID, what, "it has no address or no length", "", "describe the mapped memory");
  }
  for (std::uint32_t i = 0; i < memories_max; ++i) {
    Region& region = of(device).regions[i];
    if (region.bytes.load(std::memory_order_relaxed) == 0) {
      region.begin.store(reinterpret_cast<std::uintptr_t>(memory->base), std::memory_order_relaxed);
      region.bytes.store(memory->bytes, std::memory_order_release);
      *handle = i;
      return SSN_OK;
    }
  }
  return fail(error, SSN_EXHAUSTED, what, "64 memories are registered already", "",
              "register fewer and larger ones");
}

void unregister_memory(ssn_offload_device* device, std::uint32_t handle) {
  of(device).regions[handle].bytes.store(0, std::memory_order_release);
}

ssn_status prepare_matrix(ssn_offload_device* device, const std::uint8_t* coefficients, std::uint32_t rows,
                          std::uint32_t columns, ssn_offload_matrix** matrix, ssn_error* error) {
  constexpr const char* what = "cannot prepare a matrix for the example of an offload device";
  if (coefficients == nullptr || rows < 1 || rows > rows_max || columns < 1 || columns > columns_max) {
    return fail(error, SSN_INVALID, what, "it does not have 1 to 16 rows and 1 to 16 columns", "",
                "do larger ones on the CPU");
  }
  if (of(device).matrices == matrices_max) {
    return fail(error, SSN_EXHAUSTED, what, "256 matrices are prepared already", "", "release unused ones");
  }
  std::unique_ptr<kernels::Transform> made(new (std::nothrow) kernels::Transform);
  if (made == nullptr) {
    return fail(error, SSN_EXHAUSTED, what, "there is no memory", "", "free memory and try again");
  }
  if (const kernels::Status status =
          made->make_matrix({coefficients, std::size_t{rows} * columns}, rows, columns);
      status != kernels::Status::ok) {
    return fail(error, SSN_INVALID, what, kernels::describe(status).data(), "", "give another matrix");
  }
  ++of(device).matrices;
  *matrix = reinterpret_cast<ssn_offload_matrix*>(made.release());
  return SSN_OK;
}

void release_matrix(ssn_offload_device* device, ssn_offload_matrix* matrix) {
  delete reinterpret_cast<kernels::Transform*>(matrix);
  --of(device).matrices;
}

ssn_status prepare_tag_key(ssn_offload_device* device, const std::uint8_t* r, ssn_offload_tag_key** key,
                           ssn_error* error) {
  constexpr const char* what = "cannot prepare a tag key for the example of an offload device";
  if (of(device).tag_keys == tag_keys_max) {
    return fail(error, SSN_EXHAUSTED, what, "256 tag keys are prepared already", "", "release unused ones");
  }
  std::unique_ptr<TagKey> made(new (std::nothrow) TagKey);
  if (made == nullptr || made->pages.data() == nullptr) {
    return fail(error, SSN_EXHAUSTED, what, "no memory can be had or locked for it", "mlock()",
                "raise the limit of locked memory (ulimit -l)");
  }
  made->expanded = new (made->pages.data()) kernels::TagKey;  // its pages are erased, which ends it
  made->expanded->expand(*of(device).implementation, std::span<const std::uint8_t, 16>(r, 16));
  ++of(device).tag_keys;
  *key = reinterpret_cast<ssn_offload_tag_key*>(made.release());
  return SSN_OK;
}

void release_tag_key(ssn_offload_device* device, ssn_offload_tag_key* key) {
  delete reinterpret_cast<TagKey*>(key);
  --of(device).tag_keys;
}

// ---- Queues ---------------------------------------------------------------------------------------------

ssn_status open_queue(ssn_offload_device* device, const ssn_offload_queue_config* config,
                      ssn_offload_queue** queue, ssn_error* error) {
  constexpr const char* what = "cannot open a queue of the example of an offload device";
  if (config->depth < 1 || config->depth > queue_depth_max) {
    return fail(error, SSN_INVALID, what, "the depth is not from 1 to 1024", "depth", "choose such a depth");
  }
  if (of(device).queues == queues_max) {
    return fail(error, SSN_EXHAUSTED, what, "4 queues are open already", "", "use fewer workers");
  }
  Queue::Options options = of(device).queue_options;
  options.depth = config->depth;
  options.seed += of(device).queues;
  try {
    auto made = std::make_unique<OpenQueue>(of(device), options);
    if (!made->queue.ready()) {
      return fail(error, SSN_EXHAUSTED, what, "no memory can be had or locked for it", "mlock()",
                  "raise the limit of locked memory (ulimit -l)");
    }
    made->queue.start();
    *queue = reinterpret_cast<ssn_offload_queue*>(made.release());
  } catch (const std::exception& exception) {
    return fail(error, SSN_EXHAUSTED, what, exception.what(), "", "free memory or threads and try again");
  }
  ++of(device).queues;
  return SSN_OK;
}

void close_queue(ssn_offload_queue* queue) {
  Device& device = of(queue).device;
  delete &of(queue);
  --device.queues;
}

bool registered(const Device& device, const ssn_offload_segment& segment) noexcept {
  if (segment.length == 0) {
    return true;  // no header
  }
  if (segment.memory >= memories_max) {
    return false;
  }
  const Region& region = device.regions[segment.memory];
  const std::uint64_t bytes = region.bytes.load(std::memory_order_acquire);
  const std::uintptr_t begin = region.begin.load(std::memory_order_relaxed);
  const auto at = reinterpret_cast<std::uintptr_t>(segment.data);
  return at >= begin && at - begin <= bytes && segment.length <= bytes - (at - begin);
}

bool registered(const Device& device, const ssn_offload_buffer* buffers, std::uint32_t count,
                std::uint32_t length) noexcept {
  for (std::uint32_t i = 0; i < count; ++i) {
    for (std::uint32_t j = 0; j < ssn_offload_pieces(&buffers[i]); ++j) {
      if (!registered(device, ssn_offload_piece(&buffers[i], length, j))) {
        return false;
      }
    }
  }
  return true;
}

// What the device may touch: everything that a job names lies in registered memory.
bool registered(const Device& device, const ssn_offload_job& job) noexcept {
  if (!registered(device, job.inputs, job.input_count, job.length) ||
      !registered(device, job.outputs, job.output_count, job.length)) {
    return false;
  }
  const bool padded = ssn_offload_is_in(job.operation, SSN_OFFLOAD_PADS_INPUTS | SSN_OFFLOAD_PADS_OUTPUTS);
  const bool tagged = ssn_offload_is_in(job.operation, SSN_OFFLOAD_CHECKS_TAGS | SSN_OFFLOAD_WRITES_TAGS);
  const std::uint32_t count =
      ssn_offload_is_in(job.operation, SSN_OFFLOAD_PADS_INPUTS) ? job.input_count : job.output_count;
  if (padded && !registered(device, job.pads, count, job.length)) {
    return false;
  }
  for (std::uint32_t i = 0; tagged && i < count; ++i) {
    const ssn_offload_tagging& one = job.tagging[i];
    if (!registered(device, {one.header, one.header_length, one.header_memory}) ||
        !registered(device, {one.mask, SSN_OFFLOAD_TAG_BYTES, one.mask_memory}) ||
        !registered(device, {one.tag, SSN_OFFLOAD_TAG_BYTES, one.tag_memory})) {
      return false;
    }
  }
  return true;
}

ssn_status check(const Device& device, const ssn_offload_job& job, std::uint64_t now) noexcept {
  std::uint32_t rows = 0;
  std::uint32_t columns = 0;
  if (job.matrix != nullptr && !ssn_offload_is_in(job.operation, SSN_OFFLOAD_WITHOUT_MATRIX)) {
    const auto& matrix = *reinterpret_cast<const kernels::Transform*>(job.matrix);
    rows = matrix.rows();
    columns = matrix.columns();
  }
  const ssn_status status = ssn_offload_check_job(&device.info, &job, rows, columns);
  if (status != SSN_OK) {
    return status;
  }
  if (!registered(device, job)) {
    return SSN_INVALID;
  }
  return job.deadline != 0 && job.deadline <= now ? SSN_TIMEOUT : SSN_AGAIN;
}

std::uint32_t enqueue(ssn_offload_queue* queue, ssn_offload_job* const* jobs, std::uint32_t count,
                      std::uint64_t now, std::uint32_t* completed) {
  OpenQueue& used = of(queue);
  *completed = 0;
  std::uint32_t accepted = 0;
  for (; accepted < count && !used.queue.full(); ++accepted) {
    ssn_offload_job& job = *jobs[accepted];
    job.held = false;
    job.status = check(used.device, job, now);
    if (job.status == SSN_AGAIN) {
      used.queue.submit(job);
    } else {
      ++*completed;
    }
  }
  return accepted;
}

std::uint32_t dequeue(ssn_offload_queue* queue, ssn_offload_job** jobs, std::uint32_t capacity,
                      std::uint64_t now) {
  return of(queue).queue.dequeue(jobs, capacity, now);
}

// The engine looks at keys of jobs only.
void set_tag_key(ssn_offload_queue* queue, ssn_offload_tag_key* key, const std::uint8_t* r) {
  reinterpret_cast<TagKey*>(key)->expanded->expand(*of(queue).device.implementation,
                                                   std::span<const std::uint8_t, 16>(r, 16));
}

void cancel(ssn_offload_queue* queue) { of(queue).queue.cancel(); }

const ssn_offload_driver driver = {
    SSN_OFFLOAD_DEVICE_ABI,
    "async-example",
    "a thread that completes out of order: the example to copy",
    open_device,
    close_device,
    describe,
    register_memory,
    unregister_memory,
    prepare_matrix,
    release_matrix,
    prepare_tag_key,
    release_tag_key,
    open_queue,
    close_queue,
    enqueue,
    dequeue,
    set_tag_key,
    cancel,
};

}  // namespace
}  // namespace async_example

extern "C" __attribute__((visibility("default"))) const ssn_offload_driver* ssn_get_offload_driver() {
  return &async_example::driver;
}
