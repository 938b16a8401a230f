// SPDX-License-Identifier: BSD-3-Clause
// The driver `fault`: another driver with a fault. To see that a host survives devices that are slow, busy,
// late or wrong, and that the conformance suite finds every rule that is broken.
#include <algorithm>
#include <array>
#include <cassert>
#include <cstdio>
#include <cstring>
#include <exception>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "driver_file.h"
#include "driver_main.h"
#include "driver_support.h"
#include "ssn/hw/driver_error.h"
#include "ssn/offload_check.h"

namespace ssn::hw::offload {
namespace {

enum class Fault {
  // Within the rules: hosts must live with these.
  none,     // jobs stay in flight until the next dequeue, nothing more
  slow,     // a result comes delay_us later, or at the job's deadline as late, held until the delay is over
  partial,  // takes fewer jobs of a burst than there is room for
  // Against the rules: the conformance suite must find these.
  refuse,       // a good job ends with SSN_UNAVAILABLE
  reorder,      // jobs come back in another order than promised
  corrupt,      // one bit of an output is wrong
  corrupt_tag,  // one bit of a written tag is wrong
  forge,        // a wrong tag is accepted
  unerased,     // a wrong tag is named, and the outputs are not erased
  misname,      // another tag than the wrong one is named
  delay,        // a result comes delay_us later, whatever its deadline
  lose,         // a job never comes back
  timeout,      // a job that is not late ends as late
  twice,        // a job comes back twice
  overrun,      // a byte behind an output is written
  linger,       // an output is written to after the job came back
  touch_input,  // an input is written to
  lenient,      // bad jobs are said to be done
  overfill,     // the queue takes more jobs than its depth
};

struct FaultName {
  const char* name;
  Fault fault;
};

constexpr FaultName faults[] = {
    {"none", Fault::none},
    {"slow", Fault::slow},
    {"partial", Fault::partial},
    {"refuse", Fault::refuse},
    {"reorder", Fault::reorder},
    {"corrupt", Fault::corrupt},
    {"corrupt-tag", Fault::corrupt_tag},
    {"forge", Fault::forge},
    {"unerased", Fault::unerased},
    {"misname", Fault::misname},
    {"delay", Fault::delay},
    {"lose", Fault::lose},
    {"timeout", Fault::timeout},
    {"twice", Fault::twice},
    {"overrun", Fault::overrun},
    {"linger", Fault::linger},
    {"touch-input", Fault::touch_input},
    {"lenient", Fault::lenient},
    {"overfill", Fault::overfill},
};

constexpr std::uint32_t depth_max = 4096;

struct Device {
  const ssn_offload_driver* driver = nullptr;
  ssn_offload_device* inner = nullptr;
  ssn_offload_device_info info{};
  Fault fault = Fault::none;
  std::uint64_t seed = 0;
  std::uint64_t one_in = 8;
  std::uint64_t delay_ns = 0;
};

// A job that this driver took: given to the driver below already, or ended without it.
struct Taken {
  ssn_offload_job* job = nullptr;
  bool back = false;      // the driver below is done with it
  bool held = false;      // the driver below has given it back as held
  bool reported = false;  // given to the host once, as held
  bool faulty = false;    // this one gets the fault
  bool cancelled = false;
  ssn_status status = SSN_AGAIN;
  ssn_status reported_as = SSN_AGAIN;
  std::array<std::uint64_t, 4> mismatch{};
  std::uint64_t ready_at = 0;
};

class Queue {
 public:
  Queue(Device& device, ssn_offload_queue* inner, std::uint32_t depth)
      : device_(device), inner_(inner), depth_(depth), random_(device.seed) {
    taken_.reserve(std::size_t{depth} * 2);
    given_.reserve(lingering_max);
  }
  ~Queue() { device_.driver->queue_close(inner_); }
  Queue(const Queue&) = delete;
  Queue& operator=(const Queue&) = delete;

  std::uint32_t enqueue(ssn_offload_job* const* jobs, std::uint32_t count, std::uint64_t now,
                        std::uint32_t& completed) noexcept;
  std::uint32_t dequeue(ssn_offload_job** jobs, std::uint32_t capacity, std::uint64_t now) noexcept;
  void cancel() noexcept;
  void set_tag_key(ssn_offload_tag_key* key, const std::uint8_t* r) noexcept {
    device_.driver->tag_key_set(inner_, key, r);
  }

 private:
  static constexpr std::size_t lingering_max = 64;

  std::uint64_t random() noexcept;
  bool chosen() noexcept { return random() % device_.one_in == 0; }
  bool is(Fault fault) const noexcept { return device_.fault == fault; }
  bool offer(ssn_offload_job& job, std::uint64_t now) noexcept;
  void collect(std::uint64_t now) noexcept;
  void take_in(Taken& taken, std::uint64_t now) noexcept;
  void spoil(Taken& taken) noexcept;
  bool give(Taken& taken, std::uint64_t now) noexcept;
  void linger() noexcept;

  Device& device_;
  ssn_offload_queue* inner_;
  std::uint32_t depth_;
  std::uint64_t random_;
  std::vector<Taken> taken_;
  std::vector<ssn_offload_job*>
      given_;  // of faulty jobs: what Fault::linger writes to, Fault::twice gives again
};

Device& of(ssn_offload_device* device) noexcept { return *reinterpret_cast<Device*>(device); }
Queue& of(ssn_offload_queue* queue) noexcept { return *reinterpret_cast<Queue*>(queue); }

// SplitMix64 (Steele, Lea and Flood, OOPSLA 2014).
std::uint64_t Queue::random() noexcept {
  std::uint64_t z = (random_ += 0x9E3779B97F4A7C15U);
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9U;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBU;
  return z ^ (z >> 31);
}

// ---- Jobs on their way down -----------------------------------------------------------------------------

// True when the job was taken: it is then in taken_, or completed with job.status.
bool Queue::offer(ssn_offload_job& job, std::uint64_t now) noexcept {
  ssn_offload_job* const one = &job;
  std::uint32_t completed = 0;
  if (device_.driver->enqueue(inner_, &one, 1, now, &completed) == 0) {
    return false;
  }
  const bool bad = job.status == SSN_INVALID || job.status == SSN_UNSUPPORTED || job.status == SSN_TIMEOUT;
  if (bad) {
    if (is(Fault::lenient)) {
      job.status = SSN_OK;
    }
    return true;
  }
  Taken taken;
  taken.job = &job;
  taken.faulty = chosen();
  if (job.status != SSN_AGAIN) {
    take_in(taken, now);
  }
  job.status = SSN_AGAIN;
  taken_.push_back(taken);
  return true;
}

std::uint32_t Queue::enqueue(ssn_offload_job* const* jobs, std::uint32_t count, std::uint64_t now,
                             std::uint32_t& completed) noexcept {
  const std::size_t room = is(Fault::overfill) ? std::size_t{depth_} * 2 : depth_;
  std::uint32_t accepted = 0;
  completed = 0;
  if (is(Fault::partial) && count > 1) {
    count = 1 + static_cast<std::uint32_t>(random() % count);
  }
  while (accepted < count && taken_.size() < room) {
    ssn_offload_job& job = *jobs[accepted];
    job.held = false;
    if (!offer(job, now)) {
      break;
    }
    ++accepted;
    completed += job.status != SSN_AGAIN ? 1 : 0;
  }
  return accepted;
}

// ---- Jobs on their way up -------------------------------------------------------------------------------

// The driver below is done with it.
void Queue::take_in(Taken& taken, std::uint64_t now) noexcept {
  taken.back = true;
  taken.status = taken.job->status;
  std::copy(std::begin(taken.job->tag_mismatch), std::end(taken.job->tag_mismatch), taken.mismatch.begin());
  const bool later = is(Fault::slow) || is(Fault::delay);
  taken.ready_at = later && taken.faulty ? now + device_.delay_ns : now;
  if (taken.faulty) {
    spoil(taken);
  }
}

void flip(const ssn_offload_buffer& buffer, std::uint32_t length, std::uint64_t random) noexcept {
  const auto number = static_cast<std::uint32_t>(random % ssn_offload_pieces(&buffer));
  const ssn_offload_segment piece = ssn_offload_piece(&buffer, length, number);
  piece.data[(random >> 8) % piece.length] ^= static_cast<std::uint8_t>(1U << (random >> 60) % 8);
}

void Queue::spoil(Taken& taken) noexcept {
  const ssn_offload_job& job = *taken.job;
  switch (device_.fault) {
    case Fault::refuse:
      taken.status = SSN_UNAVAILABLE;
      break;
    case Fault::timeout:
      taken.status = SSN_TIMEOUT;
      break;
    case Fault::corrupt:
      flip(job.outputs[random() % job.output_count], job.length, random());
      break;
    case Fault::corrupt_tag:
      if (ssn_offload_is_in(job.operation, SSN_OFFLOAD_WRITES_TAGS)) {
        job.tagging[random() % job.output_count].tag[random() % SSN_OFFLOAD_TAG_BYTES] ^= 1;
      }
      break;
    case Fault::forge:
      taken.status = taken.status == SSN_INTEGRITY ? SSN_OK : taken.status;
      break;
    case Fault::unerased:
      if (taken.status == SSN_INTEGRITY) {
        flip(job.outputs[0], job.length, random());
      }
      break;
    case Fault::misname:
      std::rotate(taken.mismatch.begin(), taken.mismatch.begin() + 1, taken.mismatch.end());
      break;
    case Fault::overrun: {
      const ssn_offload_buffer& last = job.outputs[job.output_count - 1];
      const ssn_offload_segment end = ssn_offload_piece(&last, job.length, ssn_offload_pieces(&last) - 1);
      end.data[end.length] ^= 1;
      break;
    }
    case Fault::touch_input:
      flip(job.inputs[0], job.length, random());
      break;
    default:
      break;
  }
}

void Queue::collect(std::uint64_t now) noexcept {
  std::array<ssn_offload_job*, 64> jobs;
  std::uint32_t count = jobs.size();
  while (count == jobs.size()) {
    count = device_.driver->dequeue(inner_, jobs.data(), static_cast<std::uint32_t>(jobs.size()), now);
    for (std::uint32_t i = 0; i < count; ++i) {
      const auto found = std::find_if(taken_.begin(), taken_.end(),
                                      [&](const Taken& taken) { return taken.job == jobs[i]; });
      assert(found != taken_.end() && "the driver below gave back what it was not given");
      if (jobs[i]->held) {
        found->held = true;
        found->status = jobs[i]->status;
      } else {
        take_in(*found, now);
      }
    }
  }
}

// Whether the host gets it now. Sets what the host then sees.
bool Queue::give(Taken& taken, std::uint64_t now) noexcept {
  ssn_offload_job& job = *taken.job;
  if (is(Fault::lose) && taken.faulty) {
    return false;
  }
  if (taken.back && (taken.ready_at <= now || taken.cancelled)) {
    job.status = taken.reported ? taken.reported_as : taken.status;
    job.held = false;
    std::copy(taken.mismatch.begin(), taken.mismatch.end(), job.tag_mismatch);
    return true;
  }
  const bool late = is(Fault::slow) && taken.back && job.deadline != 0 && job.deadline <= now;
  if (taken.reported || !(taken.held || late)) {
    return false;
  }
  taken.reported = true;
  taken.reported_as = late ? SSN_TIMEOUT : taken.status;
  job.status = taken.reported_as;
  job.held = true;
  return true;
}

void Queue::linger() noexcept {
  for (ssn_offload_job* const job : given_) {
    flip(job->outputs[0], job->length, random());
  }
  given_.clear();
}

std::uint32_t Queue::dequeue(ssn_offload_job** jobs, std::uint32_t capacity, std::uint64_t now) noexcept {
  std::uint32_t given = 0;
  if (is(Fault::twice) && !given_.empty() && capacity > 0) {
    jobs[given++] = given_.back();
    given_.clear();
  } else if (is(Fault::linger)) {
    linger();
  }
  collect(now);
  if (is(Fault::reorder) && taken_.size() > 1 && chosen()) {
    std::swap(taken_.front(), taken_.back());
  }
  std::size_t kept = 0;
  for (std::size_t i = 0; i < taken_.size(); ++i) {
    Taken taken = taken_[i];
    if (given < capacity && give(taken, now)) {
      jobs[given++] = taken.job;
      const bool remembers = is(Fault::twice) || is(Fault::linger);
      if (remembers && taken.faulty && given_.size() < lingering_max) {
        given_.push_back(taken.job);
      }
      if (!taken.job->held) {
        continue;
      }
    }
    taken_[kept++] = taken;
  }
  taken_.resize(kept);
  return given;
}

void Queue::cancel() noexcept {
  device_.driver->cancel(inner_);
  for (Taken& taken : taken_) {
    taken.cancelled = true;
  }
}

// ---- The control path: the driver below's, but for opening and describing ---------------------------------

constexpr const char* cannot_open = "cannot open the faulty offload device";

Result<Fault> find_fault(std::string_view name) {
  std::string known;
  for (const FaultName& entry : faults) {
    if (name == entry.name) {
      return entry.fault;
    }
    known += (known.empty() ? "" : ", ") + std::string(entry.name);
  }
  return Error{Exit::usage, cannot_open, "there is no fault '" + std::string(name.substr(0, 32)) + "'",
               "setting fault", "choose one of " + known};
}

// Loads and opens the driver below with the settings that are meant for it.
Outcome open_inner(const DriverSettings& settings, const ssn_setting* all, std::size_t count,
                   Device& device) {
  const std::string name(settings.find("driver").value_or("cpu"));
  const Result<LoadedDriver> loaded =
      load_driver({"ssn-offload-", name, SSN_OFFLOAD_DRIVER_ENTRY, "hw/offload"});
  if (!loaded.ok()) {
    return loaded.error();
  }
  device.driver = reinterpret_cast<ssn_offload_driver_entry>(loaded.value().symbol)();
  if (device.driver == nullptr || device.driver->abi != SSN_OFFLOAD_DEVICE_ABI ||
      std::string_view(device.driver->name) == "fault") {
    return Error{Exit::usage, cannot_open, "the driver " + name + " is of another version, or is this one",
                 "setting driver", "name a driver that works"};
  }
  constexpr std::string_view prefix = "driver.";
  std::vector<ssn_setting> inner;
  for (std::size_t i = 0; i < count; ++i) {
    if (std::string_view(all[i].name).starts_with(prefix)) {
      inner.push_back({all[i].name + prefix.size(), all[i].value});
    }
  }
  const ssn_offload_device_config config{SSN_OFFLOAD_DEVICE_ABI, inner.data(), inner.size()};
  ssn_error error{};
  if (const ssn_status status = device.driver->open(&config, &device.inner, &error); status != SSN_OK) {
    return driver_error(status, error);
  }
  return done;
}

void describe_faulty(Device& device) {
  device.driver->describe(device.inner, &device.info);
  ssn_offload_device_info& info = device.info;
  info.completion = SSN_OFFLOAD_ASYNCHRONOUS;
  info.ordered = device.fault == Fault::reorder ||
                 (info.ordered && device.fault != Fault::slow && device.fault != Fault::delay);
  info.queue_depth_max = std::min(info.queue_depth_max, depth_max);
  info.protection = SSN_PROTECTION_EMULATED;
  const std::string identity = std::string("faulty, over ") + info.identity;
  (void)std::snprintf(info.identity, sizeof info.identity, "%s", identity.c_str());
}

// Settings of this driver, those of the driver below left out.
Outcome configure(const ssn_offload_device_config& config, Device& device) {
  std::vector<ssn_setting> own;
  for (std::size_t i = 0; i < config.setting_count; ++i) {
    if (config.settings[i].name == nullptr ||
        !std::string_view(config.settings[i].name).starts_with("driver.")) {
      own.push_back(config.settings[i]);
    }
  }
  const Result<DriverSettings> settings =
      DriverSettings::read(own.data(), own.size(), {"fault", "driver", "seed", "one_in", "delay_us"});
  if (!settings.ok()) {
    return settings.error();
  }
  const Result<Fault> fault = find_fault(settings.value().find("fault").value_or("none"));
  const Result<std::uint64_t> seed = settings.value().number("seed", 1, 0, UINT64_MAX);
  const Result<std::uint64_t> one_in = settings.value().number("one_in", 8, 1, 1000000);
  const Result<std::uint64_t> delay = settings.value().number("delay_us", 2000, 0, 60000000);
  if (!fault.ok()) {
    return fault.error();
  }
  for (const Result<std::uint64_t>* const number : {&seed, &one_in, &delay}) {
    if (!number->ok()) {
      return number->error();
    }
  }
  device.fault = fault.value();
  device.seed = seed.value();
  device.one_in = one_in.value();
  device.delay_ns = delay.value() * 1000;
  return open_inner(settings.value(), config.settings, config.setting_count, device);
}

ssn_status open_device(const ssn_offload_device_config* config, ssn_offload_device** device,
                       ssn_error* error) {
  if (config->abi != SSN_OFFLOAD_DEVICE_ABI) {
    return fail(error, SSN_INVALID, cannot_open, "the program was built for another version of the interface",
                "", "install program and driver of one version");
  }
  return guarded(error, [&] {
    auto made = std::make_unique<Device>();
    if (const Outcome configured = configure(*config, *made); !configured.ok()) {
      return report(configured.error(), error);
    }
    describe_faulty(*made);
    *device = reinterpret_cast<ssn_offload_device*>(made.release());
    return SSN_OK;
  });
}

void close_device(ssn_offload_device* device) {
  of(device).driver->close(of(device).inner);
  delete &of(device);
}

void describe(const ssn_offload_device* device, ssn_offload_device_info* info) {
  *info = reinterpret_cast<const Device*>(device)->info;
}

ssn_status register_memory(ssn_offload_device* device, const ssn_memory* memory, std::uint32_t* handle,
                           ssn_error* error) {
  return of(device).driver->memory_register(of(device).inner, memory, handle, error);
}

void unregister_memory(ssn_offload_device* device, std::uint32_t handle) {
  of(device).driver->memory_unregister(of(device).inner, handle);
}

ssn_status prepare_matrix(ssn_offload_device* device, const std::uint8_t* coefficients, std::uint32_t rows,
                          std::uint32_t columns, ssn_offload_matrix** matrix, ssn_error* error) {
  return of(device).driver->matrix_prepare(of(device).inner, coefficients, rows, columns, matrix, error);
}

void release_matrix(ssn_offload_device* device, ssn_offload_matrix* matrix) {
  of(device).driver->matrix_release(of(device).inner, matrix);
}

ssn_status prepare_tag_key(ssn_offload_device* device, const std::uint8_t* r, ssn_offload_tag_key** key,
                           ssn_error* error) {
  return of(device).driver->tag_key_prepare(of(device).inner, r, key, error);
}

void release_tag_key(ssn_offload_device* device, ssn_offload_tag_key* key) {
  of(device).driver->tag_key_release(of(device).inner, key);
}

void set_tag_key(ssn_offload_queue* queue, ssn_offload_tag_key* key, const std::uint8_t* r) {
  of(queue).set_tag_key(key, r);
}

ssn_status open_queue(ssn_offload_device* device, const ssn_offload_queue_config* config,
                      ssn_offload_queue** queue, ssn_error* error) {
  Device& owner = of(device);
  if (config->depth < 1 || config->depth > owner.info.queue_depth_max) {
    return fail(error, SSN_INVALID, "cannot open a queue of the faulty offload device",
                "the depth is 0 or more than the device has", "depth", "choose a smaller depth");
  }
  ssn_offload_device_info below{};
  owner.driver->describe(owner.inner, &below);
  ssn_offload_queue_config inner_config = *config;
  inner_config.depth = std::min(config->depth * 2, below.queue_depth_max);
  ssn_offload_queue* inner = nullptr;
  const ssn_status status = owner.driver->queue_open(owner.inner, &inner_config, &inner, error);
  if (status != SSN_OK) {
    return status;
  }
  const ssn_status made = guarded(error, [&] {
    *queue = reinterpret_cast<ssn_offload_queue*>(new Queue(owner, inner, config->depth));
    return SSN_OK;
  });
  if (made != SSN_OK) {
    owner.driver->queue_close(inner);
  }
  return made;
}

void close_queue(ssn_offload_queue* queue) { delete &of(queue); }

std::uint32_t enqueue(ssn_offload_queue* queue, ssn_offload_job* const* jobs, std::uint32_t count,
                      std::uint64_t now, std::uint32_t* completed) {
  return of(queue).enqueue(jobs, count, now, *completed);
}

std::uint32_t dequeue(ssn_offload_queue* queue, ssn_offload_job** jobs, std::uint32_t capacity,
                      std::uint64_t now) {
  return of(queue).dequeue(jobs, capacity, now);
}

void cancel(ssn_offload_queue* queue) { of(queue).cancel(); }

}  // namespace

SSN_EXPORT_OFFLOAD_DRIVER("fault", "another driver with a fault, for tests of hosts")

}  // namespace ssn::hw::offload
