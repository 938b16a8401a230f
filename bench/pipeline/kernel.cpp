// SPDX-License-Identifier: BSD-3-Clause
#include "kernel.h"

#include <rte_cycles.h>

#include <algorithm>
#include <cstring>

#include "caches.h"
#include "ssn/offload_check.h"
#include "ssn/protocol/wire.h"

namespace ssn::bench {
namespace {

constexpr std::size_t header_bytes = protocol::header_bytes;

std::uint8_t* filled(std::uint8_t* data, std::size_t bytes, std::uint64_t& random) {
  for (std::size_t i = 0; i < bytes; ++i) {
    random = random * 6364136223846793005U + 1442695040888963407U;
    data[i] = static_cast<std::uint8_t>(random >> 56);
  }
  return data;
}

std::vector<ssn_offload_buffer> whole(const std::vector<std::uint8_t*>& from) {
  std::vector<ssn_offload_buffer> buffers;
  for (std::uint8_t* const data : from) buffers.push_back(ssn_offload_whole(data, SSN_OFFLOAD_UNREGISTERED));
  return buffers;
}

}  // namespace

KernelBench::KernelBench(const protocol::WireStream& stream, unsigned first, bool cold,
                         hw::OffloadDevice& device, const kernels::Implementation& implementation)
    : stream_(stream), first_(first), cold_(cold), implementation_(implementation) {
  if (!open(device)) return;
  const std::size_t buffers = 3 * std::size_t{stream.n} + 3 * stream.data_blocks + stream.k;
  const std::size_t small = std::size_t{stream.n} * 2;
  arena_.reset(burst *
               (buffers * Arena::worst_case(stream.cell_bytes) + small * Arena::worst_case(header_bytes)));
  std::uint64_t random = stream.cell_bytes;
  for (unsigned i = 0; i < burst; ++i) {
    blocks_.push_back(std::make_unique<Block>());
    lay_out(*blocks_.back(), random);
    describe_for_kernel(*blocks_.back());
    describe_for_driver(*blocks_.back());
    split_jobs_[i] = &blocks_.back()->split_job;
    recover_jobs_[i] = &blocks_.back()->recover_job;
  }
  for (std::vector<std::uint64_t>& each : samples_) each.reserve(samples_max);
  verify();
}

bool KernelBench::open(hw::OffloadDevice& device) {
  const std::array<std::uint8_t, 16> r{7, 7, 7};
  key_.expand(implementation_, r);
  Result<std::unique_ptr<protocol::StreamCode>> code = protocol::StreamCode::make(stream_, &device);
  Result<hw::OffloadTagKey> key = device.prepare_tag_key(r);
  Result<hw::OffloadQueue> queue = device.open_queue({burst, -1, -1});
  if (!code.ok() || !key.ok() || !queue.ok()) {
    error_ = "the driver gives no matrix, key or queue";
    return false;
  }
  code_ = std::move(code.value());
  device_key_ = std::move(key.value());
  queue_ = std::move(queue.value());
  std::vector<std::uint8_t> shares;
  for (unsigned i = 0; i < stream_.k; ++i) shares.push_back(static_cast<std::uint8_t>(first_ + i));
  if (recover_.make_recover(code_->code(), shares) != kernels::Status::ok) {
    error_ = "the kernels cannot recover from these shares";
    return false;
  }
  return true;
}

void KernelBench::lay_out(Block& block, std::uint64_t& random) {
  const std::size_t bytes = stream_.cell_bytes;
  const auto make = [&](std::vector<std::uint8_t*>& list, std::size_t count, bool fill) {
    for (std::size_t i = 0; i < count; ++i) {
      list.push_back(arena_.buffer(bytes));
      if (fill) filled(list.back(), bytes, random);
    }
  };
  arena_.restart_colours();
  make(block.random, code_->code().random_blocks(), true);
  make(block.data, stream_.data_blocks, true);
  make(block.pads, stream_.n, true);
  make(block.out, stream_.n, false);
  make(block.again, stream_.data_blocks, false);
  block.tags = std::make_unique<std::uint8_t[][kernels::tag_bytes]>(stream_.n);
  for (unsigned i = 0; i < stream_.n; ++i) {
    kernels::Tagging tagging;
    tagging.key = &key_;
    tagging.header = filled(arena_.buffer(header_bytes), header_bytes, random);
    tagging.header_length = header_bytes;
    tagging.mask = filled(arena_.buffer(kernels::tag_bytes), kernels::tag_bytes, random);
    block.tagging.push_back(tagging);
  }
  for (unsigned i = 0; i < stream_.k; ++i) {
    block.shares.push_back(block.out[first_ - 1 + i]);
    block.share_pads.push_back(block.pads[first_ - 1 + i]);
    block.share_tagging.push_back(block.tagging[first_ - 1 + i]);
  }
}

void KernelBench::describe_for_kernel(Block& block) {
  block.split.transform = &code_->split();
  block.split.code = &code_->code();
  block.split.random = block.random.empty() ? nullptr : block.random.data();
  block.split.data = block.data.data();
  block.split.shares = block.out.data();
  block.split.pads = block.pads.data();
  block.split.tagging = block.tagging.data();
  block.split.tags = block.tags.get();
  block.split.length = stream_.cell_bytes;
  block.recover.transform = &recover_;
  block.recover.shares = block.shares.data();
  block.recover.data = block.again.data();
  block.recover.pads = block.share_pads.data();
  block.recover.tagging = block.share_tagging.data();
  block.recover.tags = block.tags.get() + (first_ - 1);
  block.recover.length = stream_.cell_bytes;
}

void KernelBench::describe_for_driver(Block& block) {
  std::vector<std::uint8_t*> inputs = block.random;
  inputs.insert(inputs.end(), block.data.begin(), block.data.end());
  block.split_in = whole(inputs);
  block.split_out = whole(block.out);
  block.split_pads = whole(block.pads);
  block.recover_in = whole(block.shares);
  block.recover_out = whole(block.again);
  block.recover_pads = whole(block.share_pads);
  for (unsigned i = 0; i < stream_.n; ++i) {
    ssn_offload_tagging to{};
    to.key = device_key_.get();
    to.header = const_cast<std::uint8_t*>(block.tagging[i].header);
    to.header_length = header_bytes;
    to.mask = const_cast<std::uint8_t*>(block.tagging[i].mask);
    to.tag = block.tags[i];
    to.header_memory = to.mask_memory = to.tag_memory = SSN_OFFLOAD_UNREGISTERED;
    block.split_tagging.push_back(to);
    if (i + 1 >= first_ && i + 1 < first_ + stream_.k) block.recover_tagging.push_back(to);
  }
  ssn_offload_job& split = block.split_job;
  split.operation = SSN_OFFLOAD_SPLIT_SEAL;
  split.length = stream_.cell_bytes;
  split.matrix = code_->split_matrix();
  split.input_count = static_cast<std::uint16_t>(block.split_in.size());
  split.output_count = static_cast<std::uint16_t>(stream_.n);
  split.inputs = block.split_in.data();
  split.outputs = block.split_out.data();
  split.pads = block.split_pads.data();
  split.tagging = block.split_tagging.data();
  ssn_offload_job& recover = block.recover_job;
  protocol::ShareSet set;
  for (unsigned i = 0; i < stream_.k; ++i) set.add(first_ + i);
  recover.operation = SSN_OFFLOAD_OPEN_RECOVER;
  recover.length = stream_.cell_bytes;
  recover.matrix = code_->recover_matrix(set);
  recover.input_count = static_cast<std::uint16_t>(stream_.k);
  recover.output_count = static_cast<std::uint16_t>(stream_.data_blocks);
  recover.inputs = block.recover_in.data();
  recover.outputs = block.recover_out.data();
  recover.pads = block.recover_pads.data();
  recover.tagging = block.recover_tagging.data();
}

bool KernelBench::run_kernel(bool splits) noexcept {
  bool good = true;
  for (const std::unique_ptr<Block>& block : blocks_) {
    good &= (splits ? kernels::split(implementation_, block->split)
                    : kernels::recover(implementation_, block->recover)) == kernels::Status::ok;
  }
  return good;
}

bool KernelBench::run_driver(bool splits) noexcept {
  std::uint32_t completed = 0;
  auto& jobs = splits ? split_jobs_ : recover_jobs_;
  if (queue_.enqueue(jobs.data(), burst, 0, completed) != burst || completed != burst) return false;
  return std::all_of(jobs.begin(), jobs.end(),
                     [](const ssn_offload_job* job) { return job->status == SSN_OK; });
}

// Both must give the same bytes before either is timed.
void KernelBench::verify() {
  if (!run_kernel(true) || !run_kernel(false)) {
    error_ = "the kernels fail";
    return;
  }
  std::vector<std::vector<std::uint8_t>> wanted;
  const auto each = [&](auto function) {
    for (const std::unique_ptr<Block>& block : blocks_) {
      for (std::uint8_t* const out : block->out) function(out, stream_.cell_bytes);
      for (unsigned i = 0; i < stream_.n; ++i) function(block->tags[i], kernels::tag_bytes);
    }
  };
  each([&](std::uint8_t* at, std::size_t bytes) {
    wanted.emplace_back(at, at + bytes);
    std::memset(at, 0, bytes);
  });
  bool same = run_driver(true);
  std::size_t i = 0;
  each([&](const std::uint8_t* at, std::size_t bytes) {
    same = same && std::equal(at, at + bytes, wanted[i++].begin());
  });
  same = same && run_driver(false);
  for (const std::unique_ptr<Block>& block : blocks_) {
    for (unsigned l = 0; l < stream_.data_blocks; ++l) {
      same = same && std::memcmp(block->again[l], block->data[l], stream_.cell_bytes) == 0;
    }
  }
  if (!same) error_ = "the driver gives other bytes than the kernels";
}

void KernelBench::cool(bool splits) noexcept {
  for (const std::unique_ptr<Block>& block : blocks_) {
    for (const std::uint8_t* const data : splits ? block->data : block->shares) {
      flush(data, stream_.cell_bytes);
    }
  }
  fence();
}

std::uint64_t KernelBench::run(Contender contender) noexcept {
  const bool splits = contender == split_kernel || contender == split_driver;
  const bool driver = contender == split_driver || contender == recover_driver;
  if (cold_) cool(splits);
  const std::uint64_t begin = rte_rdtsc_precise();
  if (!(driver ? run_driver(splits) : run_kernel(splits))) failed_ = true;
  return rte_rdtsc_precise() - begin;
}

void KernelBench::measure(unsigned times) noexcept {
  for (unsigned i = 0; i < times && samples_[0].size() < samples_max; ++i) {
    // In turns: which comes first changes.
    for (unsigned j = 0; j < contenders; ++j) {
      const unsigned contender = (i & 1) == 0 ? j : j ^ 1;
      samples_[contender].push_back(run(static_cast<Contender>(contender)));
    }
  }
}

double KernelBench::cycles(Contender contender) const {
  std::vector<std::uint64_t> sorted = samples_[contender];
  std::sort(sorted.begin(), sorted.end());
  sorted.resize((sorted.size() + 1) / 2);
  double sum = 0;
  for (const std::uint64_t each : sorted) sum += static_cast<double>(each);
  return sorted.empty() ? 0 : sum / static_cast<double>(sorted.size()) / burst;
}

double KernelBench::ratio(Contender kernel, Contender driver) const {
  std::vector<double> ratios;
  for (std::size_t i = 0; i < samples_[kernel].size(); ++i) {
    ratios.push_back(static_cast<double>(samples_[kernel][i]) / static_cast<double>(samples_[driver][i]));
  }
  if (ratios.empty()) return 0;
  const auto middle = ratios.begin() + static_cast<std::ptrdiff_t>(ratios.size() / 2);
  std::nth_element(ratios.begin(), middle, ratios.end());
  return *middle;
}

}  // namespace ssn::bench
