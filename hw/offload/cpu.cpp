// SPDX-License-Identifier: BSD-3-Clause
// The driver `cpu`: every job is done by the kernels within enqueue. What a data plane uses where there is no
// device, and what other devices are measured against.
#include <cstdio>
#include <cstring>
#include <memory>
#include <new>
#include <string>
#include <type_traits>

#include "driver_main.h"
#include "driver_support.h"
#include "execute.h"
#include "ssn/hw/secret_buffer.h"
#include "ssn/offload_check.h"

namespace ssn::hw::offload {
namespace {

struct Device {
  const kernels::Implementation* implementation = nullptr;
  ssn_offload_device_info info{};
  std::uint32_t queues = 0;
  std::uint32_t memories = 0;
  std::uint32_t matrices = 0;
  std::uint64_t matrices_made = 0;
  std::uint32_t tag_keys = 0;
};

struct Queue {
  explicit Queue(Device& owner)
      : device(owner), info(owner.info), whole(*owner.implementation), executor(*owner.implementation) {}
  Device& device;
  ssn_offload_device_info info;
  WholeExecutor whole;
  Executor executor;
};

// A tag key in a locked page of its own, together with what frees that page.
struct LockedTagKey {
  kernels::TagKey key;
  SecretBuffer page;
};
static_assert(std::is_standard_layout_v<LockedTagKey>, "a pointer to `key` is one to the whole");

Device& of(ssn_offload_device* device) noexcept { return *reinterpret_cast<Device*>(device); }
Queue& of(ssn_offload_queue* queue) noexcept { return *reinterpret_cast<Queue*>(queue); }

ssn_offload_device_info describe_cpu(const kernels::Implementation& implementation) noexcept {
  ssn_offload_device_info info{};
  info.operations = SSN_OFFLOAD_ALL;
  info.completion = SSN_OFFLOAD_INLINE;
  info.ordered = true;
  info.in_place = true;
  info.memory_registration = false;
  info.rows_max = SSN_OFFLOAD_ROWS_MAX;
  info.columns_max = SSN_OFFLOAD_COLUMNS_MAX;
  info.length_min = 1;
  info.length_max = Executor::length_max;
  info.length_multiple = 1;
  info.alignment = 1;
  info.segments_max = 64;
  info.header_length_max = WholeExecutor::header_length_max;
  info.queues_max = 1024;
  info.queue_depth_max = 65536;
  info.memories_max = 65536;
  info.matrices_max = 4096;
  info.tag_keys_max = 4096;
  info.close_ns_max = 1000000;
  info.protection = SSN_PROTECTION_INFORMATION_THEORETIC;
  info.numa_node = -1;
  const std::string_view name = kernels::name(implementation);
  (void)std::snprintf(info.identity, sizeof info.identity, "Shareline kernels %.*s",
                      static_cast<int>(name.size()), name.data());
  return info;
}

ssn_status exhausted(ssn_error* error, const char* what) noexcept {
  return fail(error, SSN_EXHAUSTED, what, "the limit of the cpu driver is reached, or memory is short", "",
              "release what is not used any more");
}

ssn_status choose(const ssn_offload_device_config& config, const kernels::Implementation*& chosen,
                  ssn_error* error) {
  constexpr const char* what = "cannot open the cpu offload device";
  kernels::Status status = kernels::Status::ok;
  for (std::size_t i = 0; i < config.setting_count; ++i) {
    const ssn_setting& setting = config.settings[i];
    if (std::string_view(setting.name) != "kernels") {
      return fail(error, SSN_INVALID, what, "the driver has no such setting", setting.name,
                  "its only setting is `kernels`; remove the other");
    }
    status = kernels::find(setting.value, chosen);
  }
  if (chosen == nullptr && status == kernels::Status::ok) {
    status = kernels::select(chosen);
  }
  if (status != kernels::Status::ok) {
    return fail(error, SSN_INVALID, what, kernels::describe(status), "kernels",
                "choose one that `ssn version` lists as supported, or leave the setting and SSN_KERNELS out");
  }
  return SSN_OK;
}

ssn_status open_device(const ssn_offload_device_config* config, ssn_offload_device** device,
                       ssn_error* error) {
  if (const ssn_status status = check_abi(*config, "cannot open the cpu offload device", error);
      status != SSN_OK) {
    return status;
  }
  const kernels::Implementation* chosen = nullptr;
  if (const ssn_status status = choose(*config, chosen, error); status != SSN_OK) {
    return status;
  }
  auto* const made = new (std::nothrow) Device;
  if (made == nullptr) {
    return exhausted(error, "cannot open the cpu offload device");
  }
  made->implementation = chosen;
  made->info = describe_cpu(*chosen);
  *device = reinterpret_cast<ssn_offload_device*>(made);
  return SSN_OK;
}

void close_device(ssn_offload_device* device) { delete &of(device); }

void describe(const ssn_offload_device* device, ssn_offload_device_info* info) {
  *info = reinterpret_cast<const Device*>(device)->info;
}

// Memory needs no preparation; that the handle is counted keeps hosts honest.
ssn_status register_memory(ssn_offload_device* device, const ssn_memory* memory, std::uint32_t* handle,
                           ssn_error* error) {
  constexpr const char* what = "cannot register memory with the cpu offload device";
  if (memory->base == nullptr || memory->bytes == 0) {
    return fail(error, SSN_INVALID, what, "it has no address or no length", "", "describe the mapped memory");
  }
  if (of(device).memories == of(device).info.memories_max) {
    return exhausted(error, what);
  }
  *handle = of(device).memories++;
  return SSN_OK;
}

void unregister_memory(ssn_offload_device* device, std::uint32_t) { --of(device).memories; }

ssn_status prepare_matrix(ssn_offload_device* device, const std::uint8_t* coefficients, std::uint32_t rows,
                          std::uint32_t columns, ssn_offload_matrix** matrix, ssn_error* error) {
  constexpr const char* what = "cannot prepare a matrix for the cpu offload device";
  if (coefficients == nullptr || rows < 1 || rows > SSN_OFFLOAD_ROWS_MAX || columns < 1 ||
      columns > SSN_OFFLOAD_COLUMNS_MAX) {
    return fail(error, SSN_INVALID, what, "it has no rows, no columns, or more than 255 of them", "",
                "give a matrix of 1 to 255 rows and columns");
  }
  if (of(device).matrices == of(device).info.matrices_max) {
    return exhausted(error, what);
  }
  auto* const made = new (std::nothrow) PreparedMatrix;
  if (made == nullptr) {
    return exhausted(error, what);
  }
  if (const kernels::Status status = made->prepare(coefficients, rows, columns, ++of(device).matrices_made);
      status != kernels::Status::ok) {
    delete made;
    return fail(error, SSN_INVALID, what, kernels::describe(status), "", "give another matrix");
  }
  ++of(device).matrices;
  *matrix = reinterpret_cast<ssn_offload_matrix*>(made);
  return SSN_OK;
}

void release_matrix(ssn_offload_device* device, ssn_offload_matrix* matrix) {
  delete reinterpret_cast<PreparedMatrix*>(matrix);
  --of(device).matrices;
}

ssn_status prepare_tag_key(ssn_offload_device* device, const std::uint8_t* r, ssn_offload_tag_key** key,
                           ssn_error* error) {
  constexpr const char* what = "cannot prepare a tag key for the cpu offload device";
  if (of(device).tag_keys == of(device).info.tag_keys_max) {
    return exhausted(error, what);
  }
  Result<SecretBuffer> page = SecretBuffer::make(sizeof(LockedTagKey), SecretBuffer::Locking::required);
  if (!page.ok()) {
    const Error& reason = page.error();
    return fail(error, SSN_EXHAUSTED, what, reason.why, reason.where, reason.fix);
  }
  auto* const made = new (page.value().data()) LockedTagKey;
  made->page = std::move(page.value());
  made->key.expand(*of(device).implementation, std::span<const std::uint8_t, 16>(r, 16));
  ++of(device).tag_keys;
  *key = reinterpret_cast<ssn_offload_tag_key*>(&made->key);
  return SSN_OK;
}

void release_tag_key(ssn_offload_device* device, ssn_offload_tag_key* key) {
  auto* const held = reinterpret_cast<LockedTagKey*>(key);
  const SecretBuffer page = std::move(held->page);  // freed when everything in it is gone
  held->~LockedTagKey();
  --of(device).tag_keys;
}

ssn_status open_queue(ssn_offload_device* device, const ssn_offload_queue_config* config,
                      ssn_offload_queue** queue, ssn_error* error) {
  constexpr const char* what = "cannot open a queue of the cpu offload device";
  if (config->depth < 1 || config->depth > of(device).info.queue_depth_max) {
    return fail(error, SSN_INVALID, what, "the depth is 0 or more than 65536", "depth",
                "choose a depth from 1 to 65536");
  }
  if (of(device).queues == of(device).info.queues_max) {
    return exhausted(error, what);
  }
  try {
    *queue = reinterpret_cast<ssn_offload_queue*>(new Queue(of(device)));
  } catch (const std::bad_alloc&) {
    return exhausted(error, what);
  }
  ++of(device).queues;
  return SSN_OK;
}

void close_queue(ssn_offload_queue* queue) {
  --of(queue).device.queues;
  delete &of(queue);
}

// What is not of the usual form: cut into segments, late, or against a rule.
ssn_status run_checked(Queue& queue, ssn_offload_job& job, bool late) noexcept {
  std::uint32_t rows = 0;
  std::uint32_t columns = 0;
  if (job.matrix != nullptr && !ssn_offload_is_in(job.operation, SSN_OFFLOAD_WITHOUT_MATRIX)) {
    rows = PreparedMatrix::of(job.matrix)->rows;
    columns = PreparedMatrix::of(job.matrix)->columns;
  }
  if (const ssn_status status = ssn_offload_check_job(&queue.info, &job, rows, columns); status != SSN_OK) {
    return status;
  }
  return late ? SSN_TIMEOUT : queue.executor.run(job);
}

// Fetches what the next jobs will want while this one is computed: of one its beginning, of one its lists, of
// one its first bytes. A cut buffer's list of segments is as good as its bytes. Always inline: gcc 12 takes a
// function that only fetches for one without effect, and drops calls of it.
[[gnu::always_inline]] inline void look_ahead(ssn_offload_job* const* jobs, std::uint32_t left) noexcept {
  if (left > 3) {
    __builtin_prefetch(jobs[3]);
  }
  if (left > 2) {
    const ssn_offload_job& job = *jobs[2];
    __builtin_prefetch(job.inputs);
    __builtin_prefetch(job.outputs);
    __builtin_prefetch(job.pads);
    __builtin_prefetch(job.tagging);
  }
  if (left > 1 && jobs[1]->inputs != nullptr) {
    const ssn_offload_job& job = *jobs[1];
    for (std::uint32_t i = 0; i < job.input_count && i < 8; ++i) {
      __builtin_prefetch(job.inputs[i].data);
      __builtin_prefetch(job.inputs[i].data + 64);
    }
  }
}

std::uint32_t enqueue(ssn_offload_queue* queue, ssn_offload_job* const* jobs, std::uint32_t count,
                      std::uint64_t now, std::uint32_t* completed) {
  Queue& used = of(queue);
  for (std::uint32_t i = 0; i < count; ++i) {
    ssn_offload_job& job = *jobs[i];
    look_ahead(jobs + i, count - i);
    const bool late = job.deadline != 0 && job.deadline <= now;
    ssn_status status = late ? SSN_AGAIN : used.whole.run(job);
    if (status == SSN_AGAIN) {
      status = run_checked(used, job, late);
    }
    job.held = false;
    job.status = status;
  }
  *completed = count;
  return count;
}

std::uint32_t dequeue(ssn_offload_queue*, ssn_offload_job**, std::uint32_t, std::uint64_t) { return 0; }

void set_tag_key(ssn_offload_queue* queue, ssn_offload_tag_key* key, const std::uint8_t* r) {
  reinterpret_cast<kernels::TagKey*>(key)->expand(*of(queue).device.implementation,
                                                  std::span<const std::uint8_t, 16>(r, 16));
}

void cancel(ssn_offload_queue*) {}

}  // namespace

SSN_EXPORT_OFFLOAD_DRIVER("cpu", "the kernels of this CPU, within the call")

}  // namespace ssn::hw::offload
