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

// Lists the addresses of buffers in one piece. False when there is another, or one that is not as it should
// be.
template <class List>
bool list_pieces(const ssn_offload_buffer* buffers, std::uint32_t count, std::uint32_t length,
                 List& list) noexcept {
  if (buffers == nullptr) {
    return false;
  }
  for (std::uint32_t i = 0; i < count; ++i) {
    const ssn_offload_segment* const segment = buffers[i].segments;
    if (buffers[i].segment_count != 1 || segment == nullptr || segment->length != length ||
        segment->data == nullptr) {
      return false;
    }
    list[i] = segment->data;
  }
  return true;
}

bool is_tagging(const ssn_offload_tagging& tagging) noexcept {
  return tagging.key != nullptr && tagging.mask.data != nullptr &&
         tagging.mask.length == kernels::tag_bytes && tagging.tag.data != nullptr &&
         tagging.tag.length == kernels::tag_bytes && tagging.header.length <= Executor::header_length_max &&
         (tagging.header.data == nullptr) == (tagging.header.length == 0);
}

bool pads_inputs(const ssn_offload_job& job) noexcept {
  return ssn_offload_is_in(job.operation, SSN_OFFLOAD_PADS_INPUTS);
}

bool pads_outputs(const ssn_offload_job& job) noexcept {
  return ssn_offload_is_in(job.operation, SSN_OFFLOAD_PADS_OUTPUTS);
}

kernels::Tagging tagging_of(const ssn_offload_tagging& from) noexcept {
  kernels::Tagging to;
  to.key = reinterpret_cast<const kernels::TagKey*>(from.key);
  to.header = from.header.data;
  to.header_length = from.header.length;
  to.mask = from.mask.data;
  return to;
}

void clear_mismatches(ssn_offload_job& job) noexcept {
  std::fill(std::begin(job.tag_mismatch), std::end(job.tag_mismatch), 0);
}

void mark_mismatch(ssn_offload_job& job, std::uint32_t input) noexcept {
  job.tag_mismatch[input / 64] |= std::uint64_t{1} << input % 64;
}

// Walks the segments of one buffer.
class Cursor {
 public:
  explicit Cursor(const ssn_offload_buffer& buffer) noexcept : segment_(buffer.segments) {}
  Cursor() noexcept = default;
  std::uint8_t* at() const noexcept { return segment_->data + offset_; }
  std::uint32_t left() const noexcept { return segment_->length - offset_; }
  void advance(std::uint32_t bytes) noexcept {
    assert(bytes <= left());
    offset_ += bytes;
    if (offset_ == segment_->length) {
      ++segment_;  // looked at only while bytes are left
      offset_ = 0;
    }
  }

 private:
  const ssn_offload_segment* segment_ = nullptr;
  std::uint32_t offset_ = 0;
};

using CursorList = std::array<Cursor, buffers_max>;

void begin(const ssn_offload_buffer* buffers, std::uint32_t count, CursorList& cursors) noexcept {
  for (std::uint32_t i = 0; i < count; ++i) {
    cursors[i] = Cursor(buffers[i]);
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
    for (std::uint32_t j = 0; j < job.outputs[i].segment_count; ++j) {
      std::memset(job.outputs[i].segments[j].data, 0, job.outputs[i].segments[j].length);
    }
  }
}

// The job was checked, so that the kernels have nothing to refuse.
ssn_status finish(kernels::Status status) noexcept {
  assert(status == kernels::Status::ok);
  return status == kernels::Status::ok ? SSN_OK : SSN_FAILED;
}

}  // namespace

// What one kernel call wants. Not cleared: only what is used is written.
struct Executor::Lists {
  std::array<const std::uint8_t*, buffers_max> inputs;
  std::array<const std::uint8_t*, buffers_max> pads;
  std::array<std::uint8_t*, buffers_max> outputs;
  std::array<std::uint8_t[kernels::tag_bytes], buffers_max> tags;

  // False when one is not as it should be.
  bool list_tagging(const ssn_offload_tagging* from, std::uint32_t count) noexcept {
    if (from == nullptr) {
      return false;
    }
    auto* const list = reinterpret_cast<kernels::Tagging*>(tagging_bytes_.data());
    for (std::uint32_t i = 0; i < count; ++i) {
      if (!is_tagging(from[i])) {
        return false;
      }
      std::construct_at(list + i, tagging_of(from[i]));
    }
    return true;
  }
  const kernels::Tagging* tagging() const noexcept {
    return reinterpret_cast<const kernels::Tagging*>(tagging_bytes_.data());
  }

 private:
  alignas(kernels::Tagging) std::array<std::byte, buffers_max * sizeof(kernels::Tagging)> tagging_bytes_;
};

kernels::Status PreparedMatrix::prepare(const std::uint8_t* coefficients, unsigned rows,
                                        unsigned columns) noexcept {
  if (const kernels::Status status =
          kernels::Code::make(kernels::Scheme::rs, columns, columns, columns, code);
      status != kernels::Status::ok) {
    return status;
  }
  return transform.make_matrix({coefficients, std::size_t{rows} * columns}, rows, columns);
}

PreparedMatrix Executor::one_by_one() noexcept {
  PreparedMatrix matrix;
  const std::uint8_t one = 1;
  const kernels::Status status = matrix.prepare(&one, 1, 1);
  assert(status == kernels::Status::ok);
  static_cast<void>(status);
  return matrix;
}

bool Executor::run_common(ssn_offload_job& job, ssn_status& status) noexcept {
  Lists lists;
  const bool single = ssn_offload_is_in(job.operation, SSN_OFFLOAD_WITHOUT_MATRIX);
  if (job.operation >= SSN_OFFLOAD_OPERATIONS || (!single && job.matrix == nullptr) ||
      job.length - 1 >= length_max) {
    return false;
  }
  const kernels::Transform& transform = matrix_of(job).transform;
  const std::uint32_t columns = transform.columns();
  const std::uint32_t rows = transform.rows();
  if (job.input_count != columns || job.output_count != rows ||
      !list_pieces(job.inputs, columns, job.length, lists.inputs) ||
      !list_pieces(job.outputs, rows, job.length, lists.outputs)) {
    return false;
  }
  if (!pads_inputs(job) && !pads_outputs(job)) {
    status = multiply(job, lists);
    return true;
  }
  const std::uint32_t pads = pads_inputs(job) ? columns : rows;
  if (!list_pieces(job.pads, pads, job.length, lists.pads) ||
      (job.operation != SSN_OFFLOAD_SPLIT_PAD && !lists.list_tagging(job.tagging, pads))) {
    return false;
  }
  if (single) {
    status = pads_inputs(job) ? open_one(job, lists) : seal_one(job, lists);
  } else {
    status = pads_inputs(job) ? open(job, lists) : seal(job, lists);
  }
  return true;
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

ssn_status Executor::multiply(ssn_offload_job& job, const Lists& lists) noexcept {
  return finish(kernels::dot(implementation_, matrix_of(job).transform, lists.inputs.data(),
                             lists.outputs.data(), job.length));
}

// One buffer alone: two passes over what is in the nearest cache are faster than the fused kernel.
ssn_status Executor::seal_one(ssn_offload_job& job, const Lists& lists) noexcept {
  std::uint8_t* const out = lists.outputs[0];
  const kernels::Status status =
      kernels::pad(implementation_, lists.inputs[0], lists.pads[0], out, job.length);
  if (status != kernels::Status::ok) {
    return finish(status);
  }
  return finish(kernels::tag(implementation_, lists.tagging()[0], out, job.length, job.tagging[0].tag.data));
}

ssn_status Executor::open_one(ssn_offload_job& job, const Lists& lists) noexcept {
  const kernels::Status status = kernels::verify(implementation_, lists.tagging()[0], lists.inputs[0],
                                                 job.length, job.tagging[0].tag.data);
  if (status == kernels::Status::tag_mismatch) {
    clear_mismatches(job);
    mark_mismatch(job, 0);
    erase_outputs(job);
    return SSN_INTEGRITY;
  }
  return finish(status != kernels::Status::ok ? status
                                              : kernels::pad(implementation_, lists.inputs[0], lists.pads[0],
                                                             lists.outputs[0], job.length));
}

ssn_status Executor::seal(ssn_offload_job& job, Lists& lists) noexcept {
  const PreparedMatrix& matrix = matrix_of(job);
  const bool tagged = ssn_offload_is_in(job.operation, SSN_OFFLOAD_WRITES_TAGS);
  kernels::SplitJob split;
  split.transform = &matrix.transform;
  split.code = &matrix.code;
  split.data = lists.inputs.data();
  split.pads = lists.pads.data();
  split.shares = lists.outputs.data();
  split.length = job.length;
  if (tagged) {
    split.tagging = lists.tagging();
    split.tags = lists.tags.data();
  }
  const kernels::Status status = kernels::split(implementation_, split);
  for (std::uint32_t i = 0; tagged && i < job.output_count; ++i) {
    std::memcpy(job.tagging[i].tag.data, lists.tags[i], kernels::tag_bytes);
  }
  return finish(status);
}

ssn_status Executor::open(ssn_offload_job& job, Lists& lists) noexcept {
  kernels::RecoverJob recover;
  recover.transform = &matrix_of(job).transform;
  recover.shares = lists.inputs.data();
  recover.pads = lists.pads.data();
  recover.data = lists.outputs.data();
  recover.tagging = lists.tagging();
  recover.tags = lists.tags.data();
  recover.length = job.length;
  std::array<bool, buffers_max> matches;
  recover.tag_ok = matches.data();
  for (std::uint32_t i = 0; i < job.input_count; ++i) {
    std::memcpy(lists.tags[i], job.tagging[i].tag.data, kernels::tag_bytes);
  }
  const kernels::Status status = kernels::recover(implementation_, recover);
  if (status != kernels::Status::tag_mismatch) {
    return finish(status);
  }
  clear_mismatches(job);
  for (std::uint32_t i = 0; i < job.input_count; ++i) {
    if (!matches[i]) {
      mark_mismatch(job, i);
    }
  }
  return SSN_INTEGRITY;
}

kernels::Status Executor::multiply_pieces(const ssn_offload_job& job) noexcept {
  const PreparedMatrix& matrix = matrix_of(job);
  Lists lists;
  CursorList inputs;
  CursorList outputs;
  CursorList pads;
  const bool padded = pads_inputs(job) || pads_outputs(job);
  const std::uint32_t pad_count = !padded ? 0 : pads_inputs(job) ? job.input_count : job.output_count;
  begin(job.inputs, job.input_count, inputs);
  begin(job.outputs, job.output_count, outputs);
  begin(job.pads, pad_count, pads);
  kernels::Status status = kernels::Status::ok;
  for (std::uint32_t done = 0; done < job.length && status == kernels::Status::ok;) {
    std::uint32_t bytes = least_left(inputs, job.input_count, job.length - done);
    bytes = least_left(outputs, job.output_count, bytes);
    bytes = least_left(pads, pad_count, bytes);
    list_and_advance(inputs, job.input_count, bytes, lists.inputs);
    list_and_advance(outputs, job.output_count, bytes, lists.outputs);
    list_and_advance(pads, pad_count, bytes, lists.pads);
    if (pads_outputs(job)) {
      kernels::SplitJob split;
      split.transform = &matrix.transform;
      split.code = &matrix.code;
      split.data = lists.inputs.data();
      split.pads = lists.pads.data();
      split.shares = lists.outputs.data();
      split.length = bytes;
      status = kernels::split(implementation_, split);
    } else {
      kernels::RecoverJob recover;
      recover.transform = &matrix.transform;
      recover.shares = lists.inputs.data();
      recover.pads = padded ? lists.pads.data() : nullptr;
      recover.data = lists.outputs.data();
      recover.length = bytes;
      status = kernels::recover(implementation_, recover);
    }
    done += bytes;
  }
  return status;
}

const std::uint8_t* Executor::gather(const ssn_offload_buffer& buffer) noexcept {
  if (buffer.segment_count == 1) {
    return buffer.segments[0].data;
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
    status =
        kernels::tag(implementation_, tagging, gather(job.outputs[i]), job.length, job.tagging[i].tag.data);
  }
  return status;
}

bool Executor::check_tags(ssn_offload_job& job) noexcept {
  bool all_match = true;
  clear_mismatches(job);
  for (std::uint32_t i = 0; i < job.input_count; ++i) {
    const kernels::Tagging tagging = tagging_of(job.tagging[i]);
    if (kernels::verify(implementation_, tagging, gather(job.inputs[i]), job.length,
                        job.tagging[i].tag.data) != kernels::Status::ok) {
      mark_mismatch(job, i);
      all_match = false;
    }
  }
  return all_match;
}

}  // namespace ssn::hw::offload
