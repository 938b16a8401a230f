// SPDX-License-Identifier: BSD-3-Clause
// offload_bench: what the interface of offload devices costs, with the driver `cpu` against calls of the
// kernels. Run by scripts/bench offload.
#include <benchmark/benchmark.h>

#include <array>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "../kernels/arena.h"
#include "../kernels/clock.h"
#include "ssn/hw/offload_device.h"
#include "ssn/kernels/kernels.h"
#include "ssn/offload_check.h"

namespace ssn::bench {
namespace {

constexpr unsigned burst = 32;
constexpr unsigned k = 3;
constexpr unsigned n = 5;
constexpr std::size_t header_bytes = 48;
constexpr std::size_t tag_bytes = kernels::tag_bytes;

struct Case {
  const char* name;
  ssn_offload_operation operation;
};

constexpr Case cases[] = {
    {"split", SSN_OFFLOAD_SPLIT},
    {"recover", SSN_OFFLOAD_RECOVER},
    {"seal", SSN_OFFLOAD_SEAL},
    {"open", SSN_OFFLOAD_OPEN},
    {"split_pad", SSN_OFFLOAD_SPLIT_PAD},
    {"split_seal", SSN_OFFLOAD_SPLIT_SEAL},
    {"open_recover", SSN_OFFLOAD_OPEN_RECOVER},
};
constexpr std::size_t sizes[] = {1344, 1408};

bool is_in(const Case& what, std::uint32_t set) { return ssn_offload_is_in(what.operation, set); }

// One job's buffers, and its arguments for the kernels and for the device, made once.
struct Job {
  std::vector<std::uint8_t*> pointers;
  std::span<std::uint8_t*> inputs, outputs, pads;
  std::vector<kernels::Tagging> kernel_tagging;
  std::unique_ptr<std::uint8_t[][tag_bytes]> kernel_tags;
  kernels::SplitJob split;
  kernels::RecoverJob recover;

  std::vector<ssn_offload_buffer> buffers;
  std::span<ssn_offload_buffer> input_list, output_list, pad_list;
  std::vector<ssn_offload_tagging> tagging;
  alignas(64) ssn_offload_job job{};
};

// The kernels with everything made ready beforehand, the kernels with their lists made from the buffers of
// each job as a host must that has packets, and the driver.
enum class Contender { kernel, lists, cpu };
constexpr const char* contender_names[] = {"kernel", "lists", "cpu"};

class Bench {
 public:
  Bench(const Case& what, std::size_t bytes);
  // Empty, or why it cannot be timed.
  const std::string& error() const { return error_; }
  bool run(Contender contender) {
    return contender == Contender::cpu ? run_device() : run_kernels(contender == Contender::lists);
  }
  std::size_t user_bytes() const { return burst * bytes_; }

 private:
  bool open();
  void lay_out(Job& job, std::uint64_t& random);
  void lay_out_kernels(Job& job);
  void lay_out_device(Job& job);
  bool run_kernels(bool make_lists);
  void make_lists(Job& job);
  bool run_device();
  void verify();
  std::vector<std::uint8_t> results() const;

  Case what_;
  std::size_t bytes_;
  unsigned rows_ = 1;
  unsigned columns_ = 1;
  std::string error_;
  Arena arena_;
  const kernels::Implementation* implementation_ = nullptr;
  kernels::Code code_;
  kernels::Transform transform_;
  kernels::TagKey key_;
  hw::OffloadDevice device_;
  hw::OffloadMatrix matrix_;
  hw::OffloadTagKey device_key_;
  hw::OffloadQueue queue_;
  std::vector<Job> jobs_{burst};
  std::array<ssn_offload_job*, burst> list_{};
};

std::uint8_t* filled(std::uint8_t* data, std::size_t bytes, std::uint64_t& random) {
  for (std::size_t i = 0; i < bytes; ++i) {
    random = random * 6364136223846793005U + 1442695040888963407U;
    data[i] = static_cast<std::uint8_t>(random >> 56);
  }
  return data;
}

Bench::Bench(const Case& what, std::size_t bytes) : what_(what), bytes_(bytes) {
  if (!is_in(what, SSN_OFFLOAD_WITHOUT_MATRIX)) {
    const bool splits = what.operation == SSN_OFFLOAD_SPLIT || what.operation == SSN_OFFLOAD_SPLIT_PAD ||
                        what.operation == SSN_OFFLOAD_SPLIT_SEAL;
    rows_ = splits ? n : 1;
    columns_ = k;
  }
  if (!open()) {
    return;
  }
  const std::size_t buffers = 2 * (rows_ + columns_) + (rows_ + columns_) * 3;
  arena_.reset(burst * buffers * Arena::worst_case(bytes));
  std::uint64_t random = bytes;
  for (unsigned i = 0; i < burst; ++i) {
    lay_out(jobs_[i], random);
    lay_out_kernels(jobs_[i]);
    lay_out_device(jobs_[i]);
    list_[i] = &jobs_[i].job;
  }
  verify();
}

bool Bench::open() {
  const std::array<std::uint8_t, 16> r{7, 7, 7};
  std::vector<std::uint8_t> coefficients(std::size_t{rows_} * columns_, 1);
  const std::array<std::uint8_t, k> shares{3, 4, 5};
  if (kernels::select(implementation_) != kernels::Status::ok ||
      kernels::Code::make(kernels::Scheme::systematic, k, n, 1, code_) != kernels::Status::ok) {
    error_ = "the kernels refuse to run";
    return false;
  }
  if (rows_ == n) {
    for (unsigned row = 0; row < n; ++row) {
      code_.generator_row(row + 1, coefficients.data() + std::size_t{row} * k);
    }
    (void)transform_.make_split(code_);
  } else if (columns_ == k) {
    code_.data_from_shares(shares.data(), 0, coefficients.data());
    (void)transform_.make_recover(code_, shares);
  }
  key_.expand(*implementation_, r);
  Result<hw::OffloadDevice> device = hw::OffloadDevice::open({.driver = "cpu"});
  if (!device.ok()) {
    error_ = device.error().what + ": " + device.error().why;
    return false;
  }
  device_ = std::move(device.value());
  Result<hw::OffloadMatrix> matrix = device_.prepare_matrix(coefficients, rows_, columns_);
  Result<hw::OffloadTagKey> key = device_.prepare_tag_key(r);
  Result<hw::OffloadQueue> queue = device_.open_queue({burst, -1, -1});
  if (!matrix.ok() || !key.ok() || !queue.ok()) {
    error_ = "the driver gives no matrix, key or queue";
    return false;
  }
  matrix_ = std::move(matrix.value());
  device_key_ = std::move(key.value());
  queue_ = std::move(queue.value());
  return true;
}

void Bench::lay_out(Job& job, std::uint64_t& random) {
  const unsigned pads = is_in(what_, SSN_OFFLOAD_PADS_INPUTS)    ? columns_
                        : is_in(what_, SSN_OFFLOAD_PADS_OUTPUTS) ? rows_
                                                                 : 0;
  arena_.restart_colours();
  job.pointers.resize(columns_ + rows_ + pads);
  job.inputs = std::span(job.pointers).first(columns_);
  job.outputs = std::span(job.pointers).subspan(columns_, rows_);
  job.pads = std::span(job.pointers).last(pads);
  for (std::uint8_t*& input : job.inputs) {
    input = filled(arena_.buffer(bytes_), bytes_, random);
  }
  for (std::uint8_t*& pad : job.pads) {
    pad = filled(arena_.buffer(bytes_), bytes_, random);
  }
  for (std::uint8_t*& output : job.outputs) {
    output = arena_.buffer(bytes_);
  }
  job.kernel_tags = std::make_unique<std::uint8_t[][tag_bytes]>(rows_ + columns_);
  for (unsigned i = 0; i < pads; ++i) {
    kernels::Tagging tagging;
    tagging.key = &key_;
    tagging.header = filled(arena_.buffer(header_bytes), header_bytes, random);
    tagging.header_length = header_bytes;
    tagging.mask = filled(arena_.buffer(tag_bytes), tag_bytes, random);
    job.kernel_tagging.push_back(tagging);
    if (is_in(what_, SSN_OFFLOAD_CHECKS_TAGS)) {
      (void)kernels::tag(*implementation_, tagging, job.inputs[i], bytes_, job.kernel_tags[i]);
    }
  }
}

void Bench::lay_out_kernels(Job& job) {
  const bool padded = is_in(what_, SSN_OFFLOAD_PADS_OUTPUTS | SSN_OFFLOAD_PADS_INPUTS);
  const bool tagged = is_in(what_, SSN_OFFLOAD_WRITES_TAGS | SSN_OFFLOAD_CHECKS_TAGS);
  job.split.transform = &transform_;
  job.split.code = &code_;
  job.split.random = job.inputs.data();
  job.split.data = job.inputs.data() + (columns_ - 1);
  job.split.shares = job.outputs.data();
  job.split.pads = padded ? job.pads.data() : nullptr;
  job.split.tagging = tagged ? job.kernel_tagging.data() : nullptr;
  job.split.tags = tagged ? job.kernel_tags.get() : nullptr;
  job.split.length = bytes_;
  job.recover.transform = &transform_;
  job.recover.shares = job.inputs.data();
  job.recover.data = job.outputs.data();
  job.recover.pads = padded ? job.pads.data() : nullptr;
  job.recover.tagging = tagged ? job.kernel_tagging.data() : nullptr;
  job.recover.tags = tagged ? job.kernel_tags.get() : nullptr;
  job.recover.length = bytes_;
}

void Bench::lay_out_device(Job& job) {
  for (std::uint8_t* const data : job.pointers) {
    job.buffers.push_back(ssn_offload_whole(data, SSN_OFFLOAD_UNREGISTERED));
  }
  job.input_list = std::span(job.buffers).first(columns_);
  job.output_list = std::span(job.buffers).subspan(columns_, rows_);
  job.pad_list = std::span(job.buffers).last(job.pads.size());
  for (std::size_t i = 0; i < job.pads.size(); ++i) {
    const kernels::Tagging& from = job.kernel_tagging[i];
    ssn_offload_tagging to{};
    to.key = device_key_.get();
    to.header = const_cast<std::uint8_t*>(from.header);
    to.header_length = header_bytes;
    to.mask = const_cast<std::uint8_t*>(from.mask);
    to.tag = job.kernel_tags[i];
    to.header_memory = to.mask_memory = to.tag_memory = SSN_OFFLOAD_UNREGISTERED;
    job.tagging.push_back(to);
  }
  ssn_offload_job& device = job.job;
  device.operation = static_cast<std::uint16_t>(what_.operation);
  device.length = static_cast<std::uint32_t>(bytes_);
  device.matrix = matrix_.get();
  device.input_count = static_cast<std::uint16_t>(columns_);
  device.output_count = static_cast<std::uint16_t>(rows_);
  device.inputs = job.input_list.data();
  device.outputs = job.output_list.data();
  device.pads = job.pad_list.data();
  device.tagging = job.tagging.data();
}

// What the kernels want, from what describes a job; nothing is checked.
void Bench::make_lists(Job& job) {
  for (unsigned i = 0; i < columns_; ++i) {
    job.inputs[i] = job.input_list[i].data;
  }
  for (unsigned i = 0; i < rows_; ++i) {
    job.outputs[i] = job.output_list[i].data;
  }
  for (std::size_t i = 0; i < job.pads.size(); ++i) {
    job.pads[i] = job.pad_list[i].data;
  }
  for (std::size_t i = 0; i < job.tagging.size(); ++i) {
    kernels::Tagging& tagging = job.kernel_tagging[i];
    tagging.key = &key_;
    tagging.header = job.tagging[i].header;
    tagging.header_length = job.tagging[i].header_length;
    tagging.mask = job.tagging[i].mask;
  }
  benchmark::ClobberMemory();
}

bool Bench::run_kernels(bool make_lists) {
  bool good = true;
  for (Job& job : jobs_) {
    if (make_lists) {
      this->make_lists(job);
    }
    kernels::Status status = kernels::Status::ok;
    switch (what_.operation) {
      case SSN_OFFLOAD_SEAL:
        status = kernels::pad(*implementation_, job.inputs[0], job.pads[0], job.outputs[0], bytes_);
        good &= status == kernels::Status::ok;
        status =
            kernels::tag(*implementation_, job.kernel_tagging[0], job.outputs[0], bytes_, job.kernel_tags[0]);
        break;
      case SSN_OFFLOAD_OPEN:
        status = kernels::verify(*implementation_, job.kernel_tagging[0], job.inputs[0], bytes_,
                                 job.kernel_tags[0]);
        good &= status == kernels::Status::ok;
        status = kernels::pad(*implementation_, job.inputs[0], job.pads[0], job.outputs[0], bytes_);
        break;
      case SSN_OFFLOAD_RECOVER:
      case SSN_OFFLOAD_OPEN_RECOVER:
        status = kernels::recover(*implementation_, job.recover);
        break;
      default:
        status = kernels::split(*implementation_, job.split);
    }
    good &= status == kernels::Status::ok;
  }
  return good;
}

bool Bench::run_device() {
  std::uint32_t completed = 0;
  if (queue_.enqueue(list_.data(), burst, 0, completed) != burst || completed != burst) {
    return false;
  }
  bool good = true;
  for (const ssn_offload_job* const job : list_) {
    good &= job->status == SSN_OK;
  }
  return good;
}

std::vector<std::uint8_t> Bench::results() const {
  std::vector<std::uint8_t> all;
  for (const Job& job : jobs_) {
    for (const std::uint8_t* const output : job.outputs) {
      all.insert(all.end(), output, output + bytes_);
    }
    for (std::size_t i = 0; i < job.pads.size(); ++i) {
      all.insert(all.end(), job.kernel_tags[i], job.kernel_tags[i] + tag_bytes);
    }
  }
  return all;
}

// Both must give the same bytes before either is timed.
void Bench::verify() {
  if (!run_kernels(true)) {
    error_ = "the kernels fail";
    return;
  }
  const std::vector<std::uint8_t> wanted = results();
  for (const Job& job : jobs_) {
    for (std::uint8_t* const output : job.outputs) {
      std::memset(output, 0, bytes_);
    }
    for (std::size_t i = 0; is_in(what_, SSN_OFFLOAD_WRITES_TAGS) && i < job.pads.size(); ++i) {
      std::memset(job.kernel_tags[i], 0, tag_bytes);
    }
  }
  if (!run_device()) {
    error_ = "the driver fails";
  } else if (results() != wanted) {
    error_ = "the driver gives other bytes than the kernels";
  }
}

void measure(benchmark::State& state, const Case& what, std::size_t bytes, Contender contender) {
  static std::unique_ptr<Bench> bench;
  static std::string made_for;
  const std::string wanted = what.name + std::to_string(bytes);
  if (made_for != wanted) {
    bench = std::make_unique<Bench>(what, bytes);
    made_for = wanted;
  }
  if (!bench->error().empty()) {
    state.SkipWithError(bench->error().c_str());
    return;
  }
  bool good = true;
  const Timing timing = time_in_slices(state, [&](std::size_t times) {
    for (std::size_t i = 0; i < times; ++i) {
      good &= bench->run(contender);
      benchmark::ClobberMemory();
    }
  });
  if (!good) {
    state.SkipWithError("an operation failed while it was timed");
  }
  if (timing.nanoseconds > 0) {
    state.counters["bytes_per_second"] =
        benchmark::Counter(static_cast<double>(bench->user_bytes()) / timing.nanoseconds * 1e9,
                           benchmark::Counter::kDefaults, benchmark::Counter::kIs1024);
    state.counters["ns_per_job"] = timing.nanoseconds / burst;
    state.counters["clean"] = timing.clean;
    state.counters["GHz"] = timing.gigahertz;
  }
}

// In turns: which contender comes first changes from round to round.
void register_all(unsigned rotate) {
  for (const Case& what : cases) {
    for (const std::size_t bytes : sizes) {
      for (unsigned i = 0; i < std::size(contender_names); ++i) {
        const unsigned contender = (i + rotate) % std::size(contender_names);
        const std::string name =
            std::string(what.name) + "/bytes:" + std::to_string(bytes) + "/" + contender_names[contender];
        benchmark::RegisterBenchmark(name.c_str(), [what, bytes, contender](auto& state) {
          measure(state, what, bytes, static_cast<Contender>(contender));
        });
      }
    }
  }
}

// Takes --rotate=N off the command line.
unsigned take_rotation(int& count, char** arguments) {
  constexpr std::string_view rotate = "--rotate=";
  unsigned number = 0;
  int kept = 1;
  for (int i = 1; i < count; ++i) {
    const std::string_view argument = arguments[i];
    if (argument.starts_with(rotate)) {
      std::from_chars(argument.data() + rotate.size(), argument.data() + argument.size(), number);
    } else {
      arguments[kept++] = arguments[i];
    }
  }
  count = kept;
  return number;
}

}  // namespace
}  // namespace ssn::bench

int main(int count, char** arguments) {
  const unsigned rotation = ssn::bench::take_rotation(count, arguments);
  benchmark::Initialize(&count, arguments);
  if (benchmark::ReportUnrecognizedArguments(count, arguments)) {
    std::fputs("offload_bench: its own option is --rotate=N (order of contenders)\n", stderr);
    return 2;
  }
  ssn::bench::register_all(rotation);
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
  return 0;
}
