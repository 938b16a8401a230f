// SPDX-License-Identifier: BSD-3-Clause
#include "execute.h"

#include <algorithm>
#include <array>
#include <cassert>
#include <cstring>

#include "ssn/offload_check.h"

namespace ssn::hw::offload {
namespace {

constexpr unsigned buffers_max = kernels::max_shares;

bool pads_inputs(const ssn_offload_job& job) noexcept {
  return ssn_offload_is_in(job.operation, SSN_OFFLOAD_PADS_INPUTS);
}

bool pads_outputs(const ssn_offload_job& job) noexcept {
  return ssn_offload_is_in(job.operation, SSN_OFFLOAD_PADS_OUTPUTS);
}

kernels::Tagging tagging_of(const ssn_offload_tagging& from) noexcept {
  kernels::Tagging to;
  to.key = reinterpret_cast<const kernels::TagKey*>(from.key);
  to.header = from.header;
  to.header_length = from.header_length;
  to.mask = from.mask;
  return to;
}

void clear_mismatches(ssn_offload_job& job) noexcept {
  std::fill(std::begin(job.tag_mismatch), std::end(job.tag_mismatch), 0);
}

void mark_mismatch(ssn_offload_job& job, std::uint32_t input) noexcept {
  job.tag_mismatch[input / 64] |= std::uint64_t{1} << input % 64;
}

// Walks the pieces of one buffer.
class Cursor {
 public:
  Cursor(const ssn_offload_buffer& buffer, std::uint32_t length) noexcept
      : buffer_(&buffer), length_(length), piece_(ssn_offload_piece(&buffer, length, 0)) {}
  Cursor() noexcept = default;
  std::uint8_t* at() const noexcept { return piece_.data; }
  std::uint32_t left() const noexcept { return piece_.length; }
  void advance(std::uint32_t bytes) noexcept {
    assert(bytes <= left());
    piece_.data += bytes;
    piece_.length -= bytes;
    if (piece_.length == 0 && ++number_ < ssn_offload_pieces(buffer_)) {
      piece_ = ssn_offload_piece(buffer_, length_, number_);
    }
  }

 private:
  const ssn_offload_buffer* buffer_ = nullptr;
  std::uint32_t length_ = 0;
  std::uint32_t number_ = 0;
  ssn_offload_segment piece_{};
};

using CursorList = std::array<Cursor, buffers_max>;

void begin(const ssn_offload_buffer* buffers, std::uint32_t count, std::uint32_t length,
           CursorList& cursors) noexcept {
  for (std::uint32_t i = 0; i < count; ++i) {
    cursors[i] = Cursor(buffers[i], length);
  }
}

std::uint32_t least_left(const CursorList& cursors, std::uint32_t count, std::uint32_t least) noexcept {
  for (std::uint32_t i = 0; i < count; ++i) {
    least = std::min(least, cursors[i].left());
  }
  return least;
}

template <class List>
void list_and_advance(CursorList& cursors, std::uint32_t count, std::uint32_t bytes, List& list) noexcept {
  for (std::uint32_t i = 0; i < count; ++i) {
    list[i] = cursors[i].at();
    cursors[i].advance(bytes);
  }
}

void erase_outputs(const ssn_offload_job& job) noexcept {
  for (std::uint32_t i = 0; i < job.output_count; ++i) {
    for (std::uint32_t j = 0; j < ssn_offload_pieces(&job.outputs[i]); ++j) {
      const ssn_offload_segment piece = ssn_offload_piece(&job.outputs[i], job.length, j);
      std::memset(piece.data, 0, piece.length);
    }
  }
}

// The job was checked, so that the kernels have nothing to refuse.
ssn_status finish(kernels::Status status) noexcept {
  assert(status == kernels::Status::ok);
  return status == kernels::Status::ok ? SSN_OK : SSN_FAILED;
}

}  // namespace

Executor::Executor(const kernels::Implementation& implementation)
    : implementation_(implementation),
      identity_(std::make_unique<PreparedMatrix>()),
      gathered_(std::make_unique<std::uint8_t[]>(length_max)) {
  const std::uint8_t one = 1;
  const kernels::Status status = identity_->prepare(&one, 1, 1, 0);
  assert(status == kernels::Status::ok);
  static_cast<void>(status);
}

// Column by column nothing depends on where a buffer is cut, but tags do: ciphertext is gathered for them.
ssn_status Executor::run(ssn_offload_job& job) noexcept {
  if (pads_inputs(job) && !check_tags(job)) {
    erase_outputs(job);
    return SSN_INTEGRITY;
  }
  const kernels::Status status = multiply_pieces(job);
  if (status == kernels::Status::ok && ssn_offload_is_in(job.operation, SSN_OFFLOAD_WRITES_TAGS)) {
    return finish(write_tags(job));
  }
  return finish(status);
}

kernels::Status Executor::multiply_pieces(const ssn_offload_job& job) noexcept {
  const PreparedMatrix& matrix = matrix_of(job);
  std::array<const std::uint8_t*, buffers_max> input_list;
  std::array<const std::uint8_t*, buffers_max> pad_list;
  std::array<std::uint8_t*, buffers_max> output_list;
  CursorList inputs;
  CursorList outputs;
  CursorList pads;
  const bool padded = pads_inputs(job) || pads_outputs(job);
  const std::uint32_t pad_count = !padded ? 0 : pads_inputs(job) ? job.input_count : job.output_count;
  begin(job.inputs, job.input_count, job.length, inputs);
  begin(job.outputs, job.output_count, job.length, outputs);
  begin(job.pads, pad_count, job.length, pads);
  kernels::Status status = kernels::Status::ok;
  for (std::uint32_t done = 0; done < job.length && status == kernels::Status::ok;) {
    std::uint32_t bytes = least_left(inputs, job.input_count, job.length - done);
    bytes = least_left(outputs, job.output_count, bytes);
    bytes = least_left(pads, pad_count, bytes);
    list_and_advance(inputs, job.input_count, bytes, input_list);
    list_and_advance(outputs, job.output_count, bytes, output_list);
    list_and_advance(pads, pad_count, bytes, pad_list);
    if (pads_outputs(job)) {
      kernels::SplitJob split;
      split.transform = &matrix.transform;
      split.code = &matrix.code;
      split.data = input_list.data();
      split.pads = pad_list.data();
      split.shares = output_list.data();
      split.length = bytes;
      status = kernels::split(implementation_, split);
    } else {
      kernels::RecoverJob recover;
      recover.transform = &matrix.transform;
      recover.shares = input_list.data();
      recover.pads = padded ? pad_list.data() : nullptr;
      recover.data = output_list.data();
      recover.length = bytes;
      status = kernels::recover(implementation_, recover);
    }
    done += bytes;
  }
  return status;
}

const std::uint8_t* Executor::gather(const ssn_offload_buffer& buffer, std::uint32_t length) noexcept {
  if (ssn_offload_pieces(&buffer) == 1) {
    return ssn_offload_piece(&buffer, length, 0).data;
  }
  std::uint8_t* to = gathered_.get();
  for (std::uint32_t i = 0; i < buffer.segment_count; ++i) {
    std::memcpy(to, buffer.segments[i].data, buffer.segments[i].length);
    to += buffer.segments[i].length;
  }
  return gathered_.get();
}

kernels::Status Executor::write_tags(const ssn_offload_job& job) noexcept {
  kernels::Status status = kernels::Status::ok;
  for (std::uint32_t i = 0; i < job.output_count && status == kernels::Status::ok; ++i) {
    const kernels::Tagging tagging = tagging_of(job.tagging[i]);
    status = kernels::tag(implementation_, tagging, gather(job.outputs[i], job.length), job.length,
                          job.tagging[i].tag);
  }
  return status;
}

bool Executor::check_tags(ssn_offload_job& job) noexcept {
  bool all_match = true;
  clear_mismatches(job);
  for (std::uint32_t i = 0; i < job.input_count; ++i) {
    const kernels::Tagging tagging = tagging_of(job.tagging[i]);
    if (kernels::verify(implementation_, tagging, gather(job.inputs[i], job.length), job.length,
                        job.tagging[i].tag) != kernels::Status::ok) {
      mark_mismatch(job, i);
      all_match = false;
    }
  }
  return all_match;
}

}  // namespace ssn::hw::offload
