// SPDX-License-Identifier: BSD-3-Clause
#include "offload_job.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "planted_faults.h"

namespace ssn::protocol {
namespace {

template <typename Pointer>
using List = std::array<Pointer, kernels::max_shares>;
using TagList = std::uint8_t[kernels::max_shares][kernels::tag_bytes];

}  // namespace

OffloadJob::OffloadJob(ssn_offload_operation operation, std::uint32_t inputs, std::uint32_t outputs,
                       std::uint32_t padded, void* context)
    : outputs_(inputs), pads_(inputs + outputs), lists_(inputs + outputs + padded), tagging_(padded) {
  job_.operation = static_cast<std::uint16_t>(operation);
  job_.input_count = static_cast<std::uint16_t>(inputs);
  job_.output_count = static_cast<std::uint16_t>(outputs);
  job_.inputs = lists_.data();
  job_.outputs = lists_.data() + outputs_;
  job_.pads = lists_.data() + pads_;
  job_.tagging = tagging_.data();
  job_.context = context;
  for (ssn_offload_tagging& each : tagging_)
    each.header_length = static_cast<std::uint32_t>(covered_header());
}

void split_on_cpu(const kernels::Implementation& implementation, const kernels::Code& code,
                  const kernels::Transform& transform, const OffloadJob& job,
                  const kernels::TagKey& key) noexcept {
  List<const std::uint8_t*> inputs;
  List<const std::uint8_t*> pads;
  List<std::uint8_t*> shares;
  List<kernels::Tagging> tagging;
  TagList tags;
  for (unsigned i = 0; i < code.k(); ++i) inputs[i] = job.input_at(i);
  for (unsigned i = 0; i < code.n(); ++i) {
    pads[i] = job.pad_at(i);
    shares[i] = job.output_at(i);
    tagging[i] = job.tagging_at(i, key);
  }
  kernels::SplitJob split;
  split.transform = &transform;
  split.code = &code;
  split.random = inputs.data();
  split.data = inputs.data() + code.random_blocks();
  split.pads = pads.data();
  split.shares = shares.data();
  split.tagging = tagging.data();
  split.tags = tags;
  split.length = job.length();
  const kernels::Status status = kernels::split(implementation, split);
  assert(status == kernels::Status::ok);
  static_cast<void>(status);
  for (unsigned i = 0; i < code.n(); ++i) std::memcpy(job.tag_at(i), tags[i], kernels::tag_bytes);
}

bool recover_on_cpu(const kernels::Implementation& implementation, const kernels::Transform& transform,
                    const OffloadJob& job, const kernels::TagKey& key, std::uint8_t* const* outputs,
                    TagMismatch& mismatch) noexcept {
  List<const std::uint8_t*> shares;
  List<const std::uint8_t*> pads;
  List<kernels::Tagging> tagging;
  TagList tags;
  List<bool> matches;
  for (unsigned i = 0; i < transform.columns(); ++i) {
    shares[i] = job.input_at(i);
    pads[i] = job.pad_at(i);
    tagging[i] = job.tagging_at(i, key);
    std::memcpy(tags[i], job.tag_at(i), kernels::tag_bytes);
  }
  kernels::RecoverJob recover;
  recover.transform = &transform;
  recover.shares = shares.data();
  recover.pads = pads.data();
  recover.data = outputs;
  recover.tagging = tagging.data();
  recover.tags = tags;
  recover.tag_ok = matches.data();
  recover.length = job.length();
  const kernels::Status status = kernels::recover(implementation, recover);
  assert(status == kernels::Status::ok || status == kernels::Status::tag_mismatch);
  if (status == kernels::Status::ok || planted(PlantedFault::unchecked_share)) return true;
  mismatch = {};
  for (unsigned i = 0; i < transform.columns(); ++i) {
    if (!matches[i]) mismatch[i / 64] |= std::uint64_t{1} << i % 64;
  }
  return false;
}

}  // namespace ssn::protocol
