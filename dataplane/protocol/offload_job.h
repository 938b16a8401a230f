// SPDX-License-Identifier: BSD-3-Clause
// The one place that knows how a job for an offload device is put together, and how the CPU does the same.
#pragma once

#include <array>
#include <cassert>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <type_traits>
#include <vector>

#include "ssn/hw/offload_device.h"
#include "ssn/kernels/kernels.h"
#include "ssn/protocol/wire.h"

namespace ssn::protocol {

/// A job with its lists, made once and filled again and again. One piece each buffer.
class OffloadJob {
 public:
  /// `padded`: how many pads and tags, of outputs or of inputs. `context`: job.context.
  OffloadJob(ssn_offload_operation operation, std::uint32_t inputs, std::uint32_t outputs,
             std::uint32_t padded, void* context);
  OffloadJob(const OffloadJob&) = delete;
  OffloadJob& operator=(const OffloadJob&) = delete;

  ssn_offload_job* job() noexcept { return &job_; }
  const ssn_offload_job& state() const noexcept { return job_; }

  /// Length of every buffer; before the buffers are set.
  void begin(std::uint32_t length) noexcept { job_.length = length; }
  void input(std::uint32_t at, const std::uint8_t* data, std::uint32_t memory) noexcept {
    lists_[at] = ssn_offload_whole(const_cast<std::uint8_t*>(data), memory);  // inputs are never written
  }
  void output(std::uint32_t at, std::uint8_t* data, std::uint32_t memory) noexcept {
    lists_[outputs_ + at] = ssn_offload_whole(data, memory);
  }
  void pad(std::uint32_t at, std::uint8_t* data, std::uint32_t memory) noexcept {
    lists_[pads_ + at] = ssn_offload_whole(data, memory);
  }
  /// The tag of a packet: behind its header.
  void tag(std::uint32_t at, std::uint8_t* packet, std::uint32_t packet_memory, const std::uint8_t* mask,
           std::uint32_t mask_memory) noexcept {
    ssn_offload_tagging& tagging = tagging_[at];
    tagging.header = packet;
    tagging.mask = const_cast<std::uint8_t*>(mask);  // not written: the tag is elsewhere
    tagging.tag = packet + header_bytes;
    tagging.header_memory = packet_memory;
    tagging.mask_memory = mask_memory;
    tagging.tag_memory = packet_memory;
  }
  /// What only the device needs. `deadline`: 0 for none.
  void for_device(const ssn_offload_matrix* matrix, const ssn_offload_tag_key* key,
                  std::uint64_t deadline) noexcept {
    job_.status = SSN_INVALID;  // until a queue accepts it
    job_.held = false;
    job_.matrix = matrix;
    job_.deadline = deadline;
    for (ssn_offload_tagging& each : tagging_) each.key = key;
  }

  std::uint32_t length() const noexcept { return job_.length; }
  const std::uint8_t* input_at(std::uint32_t at) const noexcept { return lists_[at].data; }
  std::uint8_t* output_at(std::uint32_t at) const noexcept { return lists_[outputs_ + at].data; }
  const std::uint8_t* pad_at(std::uint32_t at) const noexcept { return lists_[pads_ + at].data; }
  kernels::Tagging tagging_at(std::uint32_t at, const kernels::TagKey& key) const noexcept {
    return {&key, tagging_[at].header, tagging_[at].header_length, tagging_[at].mask};
  }
  std::uint8_t* tag_at(std::uint32_t at) const noexcept { return tagging_[at].tag; }

 private:
  alignas(64) ssn_offload_job job_{};
  std::uint32_t outputs_;  // where they begin in the list
  std::uint32_t pads_;
  std::vector<ssn_offload_buffer> lists_;  // inputs, outputs, pads
  std::vector<ssn_offload_tagging> tagging_;
};

/// The device has it, and broke its promise to complete it at its deadline. `before`: a time at which it was
/// asked.
inline bool is_lost(const ssn_offload_job& job, std::uint64_t before) noexcept {
  return job.status == SSN_AGAIN && job.deadline != 0 && job.deadline < before;
}
/// For a job of a queue that was closed: nobody will do it.
inline void give_back_undone(ssn_offload_job& job) noexcept {
  job.status = SSN_UNAVAILABLE;
  job.held = false;
}

/// The object that has the OffloadJob of `job` as its first member, `offload`.
template <typename Owner>
Owner& owner_of(ssn_offload_job& job) noexcept {
  static_assert(std::is_standard_layout_v<Owner> && std::is_standard_layout_v<OffloadJob> &&
                offsetof(Owner, offload) == 0);
  return *reinterpret_cast<Owner*>(&job);
}

/// What a completed job wants.
enum class JobEnd : std::uint8_t {
  done,
  forged,  ///< tag_mismatch says which
  again,   ///< on the CPU: the device could not, or not in time
};
inline JobEnd job_end(const ssn_offload_job& job) noexcept {
  return job.status == SSN_OK ? JobEnd::done : job.status == SSN_INTEGRITY ? JobEnd::forged : JobEnd::again;
}

/// Bit i: tag i is wrong.
using TagMismatch = std::array<std::uint64_t, 4>;

/// SPLIT_SEAL on this CPU.
void split_on_cpu(const kernels::Implementation& implementation, const kernels::Code& code,
                  const kernels::Transform& transform, const OffloadJob& job,
                  const kernels::TagKey& key) noexcept;
/// OPEN_RECOVER on this CPU, into `outputs`. False: tags do not match, those in `mismatch`. Does not touch
/// the job itself, which a device may still have.
bool recover_on_cpu(const kernels::Implementation& implementation, const kernels::Transform& transform,
                    const OffloadJob& job, const kernels::TagKey& key, std::uint8_t* const* outputs,
                    TagMismatch& mismatch) noexcept;

}  // namespace ssn::protocol
