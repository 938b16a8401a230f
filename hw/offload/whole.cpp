// SPDX-License-Identifier: BSD-3-Clause
#include "whole.h"

#include <array>
#include <cstring>

#include "declassify.h"
#include "implementation.h"
#include "ssn/kernels/erase.h"

namespace ssn::hw::offload {
namespace {

constexpr unsigned buffers_max = kernels::max_shares;

using Tag = std::uint8_t[kernels::tag_bytes];

// Collects what is wrong with a job on the way through its lists; the one branch is at their end.
class Faults {
 public:
  void none_is_null(const void* address) noexcept {
    top_bit_ |= reinterpret_cast<std::uintptr_t>(address) - 1;  // no object lies in the upper half
  }
  void at_most(std::uint64_t value, std::uint64_t most) noexcept { top_bit_ |= most - value; }
  void is_zero(std::uint32_t value) noexcept { any_bit_ |= value; }
  bool any() const noexcept { return (top_bit_ >> 63 | any_bit_) != 0; }

 private:
  std::uint64_t top_bit_ = 0;
  std::uint32_t any_bit_ = 0;
};

inline std::uint8_t* list_buffer(const ssn_offload_buffer& buffer, Faults& faults) noexcept {
  faults.none_is_null(buffer.data);
  faults.is_zero(buffer.segment_count);
  return buffer.data;
}

// The addresses of buffers in the kernel's order.
inline void list_buffers(const ssn_offload_buffer* buffers, unsigned count, const std::uint8_t* order,
                         std::uint8_t** list, Faults& faults) noexcept {
  if (order == nullptr) {
    for (unsigned i = 0; i < count; ++i) {
      list[i] = list_buffer(buffers[i], faults);
    }
  } else {
    for (unsigned i = 0; i < count; ++i) {
      list[i] = list_buffer(buffers[order[i]], faults);
    }
  }
}

inline void list_tag(const ssn_offload_tagging& from, const std::uint8_t* data, std::uint8_t* tag,
                     kernels::TagTask& task, Faults& faults) noexcept {
  // A job without a key is refused before its table is looked at.
  task.table = from.key != nullptr ? reinterpret_cast<const kernels::TagKey*>(from.key)->table() : nullptr;
  task.header = from.header;
  task.header_length = from.header_length;
  task.mask = from.mask;
  task.data = data;
  task.tag = tag;
  faults.none_is_null(from.key);
  faults.none_is_null(from.mask);
  faults.none_is_null(from.tag);
  faults.at_most(from.header_length, WholeExecutor::header_length_max);
  faults.is_zero(from.header == nullptr ? from.header_length : 0);
}

// SEAL or OPEN: one input, one pad, one output. With `computed` the tag is over the input and goes there.
struct Single {
  Single(const ssn_offload_job& job, std::uint8_t* computed) noexcept {
    if (job.input_count != 1 || job.output_count != 1 || job.pads == nullptr || job.tagging == nullptr) {
      faults.is_zero(1);
      return;
    }
    in = list_buffer(*job.inputs, faults);
    pad = list_buffer(*job.pads, faults);
    out = list_buffer(*job.outputs, faults);
    const bool opens = computed != nullptr;
    list_tag(*job.tagging, opens ? in : out, opens ? computed : job.tagging->tag, task, faults);
  }

  Faults faults;
  const std::uint8_t* in;  // these only where there is no fault
  const std::uint8_t* pad;
  std::uint8_t* out;
  kernels::TagTask task;
};

// All bytes are compared, and only the answer is made public.
inline bool equal(const std::uint8_t* a, const std::uint8_t* b) noexcept {
  std::uint64_t left[2];
  std::uint64_t right[2];
  std::memcpy(left, a, sizeof left);
  std::memcpy(right, b, sizeof right);
  std::uint64_t difference = (left[0] ^ right[0]) | (left[1] ^ right[1]);
  SSN_DECLASSIFY(&difference, sizeof difference);
  return difference == 0;
}

}  // namespace

// What one kernel call wants. Not cleared: only what is used is written, one list right behind the other. Not
// on the stack, where each would lie on a page of its own.
struct WholeExecutor::Lists {
  kernels::Combination call;
  std::uint64_t call_is_of = 0;  // the matrix and form that `call` was made for
  std::array<std::uint8_t*, 3 * buffers_max> buffers;
  std::array<kernels::TagTask, buffers_max> tasks;
  std::array<Tag, buffers_max> computed;

  std::uint8_t** inputs() noexcept { return buffers.data(); }

  // Everything but the length and what the lists hold: the same for all jobs of a burst, as a rule.
  void make_call(const PreparedMatrix& matrix, Form form) noexcept {
    const kernels::Transform& transform = matrix.transform;
    std::uint8_t** const outputs = inputs() + matrix.columns;
    std::uint8_t** const pads = outputs + matrix.rows;
    call = {};
    call.input = inputs();
    call.column_count = matrix.columns;
    call.copies = transform.copies();
    call.copy = outputs;
    call.row_count = transform.dense_rows();
    call.output = outputs + call.copies;
    call.coefficients = transform.coefficients();
    call.first_row_is_ones = transform.first_dense_row_is_ones();
    call.isal_tables = transform.isal_tables();
    if (form == Form::opens_inputs) {
      call.input_pad = pads;
      call.tag_before = tasks.data();
      call.tag_before_count = matrix.columns;
    } else if (form != Form::clear) {
      call.copy_pad = pads;
      call.output_pad = pads + call.copies;
    }
    if (form == Form::tags_outputs) {
      call.tag_after = tasks.data();
      call.tag_after_count = matrix.rows;
    }
  }
};

WholeExecutor::WholeExecutor(const kernels::Implementation& implementation)
    : implementation_(implementation), lists_(new Lists) {}

WholeExecutor::~WholeExecutor() = default;

ssn_status WholeExecutor::run(ssn_offload_job& job) noexcept {
  if (job.length - 1 >= length_max || job.inputs == nullptr || job.outputs == nullptr) {
    return SSN_AGAIN;
  }
  switch (job.operation) {
    case SSN_OFFLOAD_SPLIT:
    case SSN_OFFLOAD_RECOVER:
    case SSN_OFFLOAD_DOT:
      return multiply<Form::clear>(job);
    case SSN_OFFLOAD_SEAL:
      return seal(job);
    case SSN_OFFLOAD_OPEN:
      return open(job);
    case SSN_OFFLOAD_SPLIT_PAD:
      return multiply<Form::pads_outputs>(job);
    case SSN_OFFLOAD_SPLIT_SEAL:
      return multiply<Form::tags_outputs>(job);
    case SSN_OFFLOAD_OPEN_RECOVER:
      return multiply<Form::opens_inputs>(job);
    default:
      return SSN_AGAIN;
  }
}

template <WholeExecutor::Form form>
ssn_status WholeExecutor::multiply(ssn_offload_job& job) noexcept {
  constexpr bool padded = form != Form::clear;
  constexpr bool opens = form == Form::opens_inputs;
  constexpr bool tagged = opens || form == Form::tags_outputs;
  if (job.matrix == nullptr || (padded && job.pads == nullptr) || (tagged && job.tagging == nullptr)) {
    return SSN_AGAIN;
  }
  const PreparedMatrix& matrix = *PreparedMatrix::of(job.matrix);
  const unsigned columns = matrix.columns;
  const unsigned rows = matrix.rows;
  if (job.input_count != columns || job.output_count != rows) {
    return SSN_AGAIN;
  }
  Lists& lists = *lists_;
  if (const std::uint64_t wanted = matrix.number * 4 + static_cast<unsigned>(form);
      lists.call_is_of != wanted) {
    lists.make_call(matrix, form);
    lists.call_is_of = wanted;
  }
  lists.call.length = job.length;
  Faults faults;
  std::uint8_t** const inputs = lists.inputs();
  std::uint8_t** const outputs = inputs + columns;
  const std::uint8_t* const pad_order = opens ? matrix.column_order : matrix.row_order;
  const unsigned pads = opens ? columns : rows;
  list_buffers(job.inputs, columns, matrix.column_order, inputs, faults);
  list_buffers(job.outputs, rows, matrix.row_order, outputs, faults);
  if constexpr (padded) {
    list_buffers(job.pads, pads, pad_order, outputs + rows, faults);
  }
  if constexpr (tagged) {
    for (unsigned i = 0; i < pads; ++i) {
      const ssn_offload_tagging& from = job.tagging[pad_order == nullptr ? i : pad_order[i]];
      list_tag(from, opens ? inputs[i] : outputs[i], opens ? lists.computed[i] : from.tag, lists.tasks[i],
               faults);
    }
  }
  if (faults.any()) {
    return SSN_AGAIN;
  }
  implementation_.combine(lists.call);
  return opens ? check_tags(job, matrix) : SSN_OK;
}

ssn_status WholeExecutor::check_tags(ssn_offload_job& job, const PreparedMatrix& matrix) noexcept {
  std::uint64_t mismatch[4] = {};
  bool all_match = true;
  for (unsigned i = 0; i < matrix.columns; ++i) {
    const unsigned at = matrix.column_order == nullptr ? i : matrix.column_order[i];
    if (!equal(lists_->computed[i], job.tagging[at].tag)) {
      mismatch[at / 64] |= std::uint64_t{1} << at % 64;
      all_match = false;
    }
    kernels::erase_block(lists_->computed[i]);
  }
  if (all_match) {
    return SSN_OK;
  }
  std::memcpy(job.tag_mismatch, mismatch, sizeof mismatch);
  for (unsigned i = 0; i < matrix.rows; ++i) {
    kernels::erase(job.outputs[i].data, job.length);
  }
  return SSN_INTEGRITY;
}

// One buffer alone: two passes over what is in the nearest cache are faster than the fused kernel.
ssn_status WholeExecutor::seal(ssn_offload_job& job) noexcept {
  const Single single(job, nullptr);
  if (single.faults.any()) {
    return SSN_AGAIN;
  }
  implementation_.pad(single.in, single.pad, single.out, job.length);
  implementation_.tag(single.task, job.length);
  return SSN_OK;
}

ssn_status WholeExecutor::open(ssn_offload_job& job) noexcept {
  Tag computed;
  const Single single(job, computed);
  if (single.faults.any()) {
    return SSN_AGAIN;
  }
  implementation_.tag(single.task, job.length);
  const bool matches = equal(computed, job.tagging->tag);
  kernels::erase_block(computed);
  if (!matches) {
    const std::uint64_t mismatch[4] = {1};
    std::memcpy(job.tag_mismatch, mismatch, sizeof mismatch);
    kernels::erase(single.out, job.length);
    return SSN_INTEGRITY;
  }
  implementation_.pad(single.in, single.pad, single.out, job.length);
  return SSN_OK;
}

}  // namespace ssn::hw::offload
