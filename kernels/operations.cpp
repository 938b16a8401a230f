// SPDX-License-Identifier: BSD-3-Clause
// Checks what callers give and turns it into calls of one implementation.
#include <algorithm>
#include <array>
#include <cassert>
#include <cstring>

#include "declassify.h"
#include "equal.h"
#include "implementation.h"
#include "ssn/kernels/erase.h"

namespace ssn::kernels {
namespace {

using Tag = std::uint8_t[tag_bytes];

template <class Pointer>
bool all_given(Pointer const* buffers, unsigned count) {
  for (unsigned i = 0; i < count; ++i) {
    if (buffers[i] == nullptr) {
      return false;
    }
  }
  return true;
}

Status check_tagging(const Implementation& implementation, const Tagging& tagging) {
  if (tagging.key == nullptr || tagging.mask == nullptr) {
    return Status::missing_buffer;
  }
  if (tagging.header == nullptr && tagging.header_length != 0) {
    return Status::missing_buffer;
  }
  assert(tagging.key->owner() == &implementation &&
         "a tag key belongs to the implementation that expanded it");
  static_cast<void>(implementation);
  return Status::ok;
}

Status check_tagging(const Implementation& implementation, const Tagging* tagging, unsigned count) {
  for (unsigned i = 0; i < count; ++i) {
    if (const Status status = check_tagging(implementation, tagging[i]); status != Status::ok) {
      return status;
    }
  }
  return Status::ok;
}

Status check_split(const Implementation& implementation, const SplitJob& job) {
  if (job.transform == nullptr || job.code == nullptr || job.data == nullptr || job.shares == nullptr) {
    return Status::missing_buffer;
  }
  assert(job.transform->columns() == job.code->k() && "the transform was made for another code");
  const unsigned rows = job.transform->rows();
  if (job.length == 0) {
    return Status::length_is_zero;
  }
  if (!all_given(job.data, job.code->data_blocks()) || !all_given(job.shares, rows) ||
      (job.random != nullptr && !all_given(job.random, job.code->random_blocks())) ||
      (job.pads != nullptr && !all_given(job.pads, rows)) ||
      (job.tagging != nullptr && job.tags == nullptr)) {
    return Status::missing_buffer;
  }
  if (job.random == nullptr && job.code->random_blocks() > 0 && job.generator == nullptr) {
    return Status::no_random_source;
  }
  return job.tagging == nullptr ? Status::ok : check_tagging(implementation, job.tagging, rows);
}

Status check_recover(const Implementation& implementation, const RecoverJob& job) {
  if (job.transform == nullptr || job.shares == nullptr || job.data == nullptr) {
    return Status::missing_buffer;
  }
  if (job.length == 0) {
    return Status::length_is_zero;
  }
  const unsigned columns = job.transform->columns();
  if (!all_given(job.shares, columns) || !all_given(job.data, job.transform->rows()) ||
      (job.pads != nullptr && !all_given(job.pads, columns)) ||
      (job.tagging != nullptr && job.tags == nullptr)) {
    return Status::missing_buffer;
  }
  return job.tagging == nullptr ? Status::ok : check_tagging(implementation, job.tagging, columns);
}

TagTask task_of(const Tagging& tagging, const std::uint8_t* data, std::uint8_t* tag) {
  return {tagging.key->table(), tagging.header, tagging.header_length, tagging.mask, data, tag};
}

// The buffers of one call in the kernel's order: the caller's own lists where that is their order. Lists here
// are not cleared, only what is used is written.
class Work {
 public:
  // Every field by itself: clearing the whole at once costs a tenth of a packet's time.
  Work(const Transform& transform, std::size_t length) noexcept : transform_(transform) {
    c_.input_pad = nullptr;
    c_.column_count = transform.columns();
    c_.copies = transform.copies();
    c_.copy_pad = nullptr;
    c_.row_count = transform.dense_rows();
    c_.output_pad = nullptr;
    c_.coefficients = transform.coefficients();
    c_.first_row_is_ones = transform.first_dense_row_is_ones();
    c_.isal_tables = transform.isal_tables();
    c_.generated = 0;
    c_.tag_before_count = 0;
    c_.tag_after_count = 0;
    c_.length = length;
  }

  void generate(unsigned columns, const std::uint8_t* round_keys, std::uint64_t counter) {
    assert(transform_.in_order());
    c_.generated = columns;
    c_.round_keys = round_keys;
    c_.counter = counter;
  }

  /// Inputs from two lists, one after the other.
  void inputs(const std::uint8_t* const* first, unsigned first_count, const std::uint8_t* const* second) {
    std::array<const std::uint8_t*, Transform::max_columns> joined;
    std::uint8_t const** list = transform_.in_order() ? inputs_.data() : joined.data();
    for (unsigned i = 0; i < first_count; ++i) {
      list[i] = first == nullptr ? nullptr : first[i];
    }
    for (unsigned i = first_count; i < c_.column_count; ++i) {
      list[i] = second[i - first_count];
    }
    c_.input = list;
    if (!transform_.in_order()) {
      inputs(joined.data(), nullptr);
    }
  }

  void inputs(const std::uint8_t* const* buffers, const std::uint8_t* const* pads) {
    c_.input = buffers;
    c_.input_pad = pads;
    if (!transform_.in_order()) {
      reorder_columns(buffers, inputs_.data());
      c_.input = inputs_.data();
      if (pads != nullptr) {
        reorder_columns(pads, input_pads_.data());
        c_.input_pad = input_pads_.data();
      }
    }
  }

  void outputs(std::uint8_t* const* buffers, const std::uint8_t* const* pads) {
    if (!transform_.in_order()) {
      reorder_rows(buffers, outputs_.data());
      buffers = outputs_.data();
      if (pads != nullptr) {
        reorder_rows(pads, output_pads_.data());
        pads = output_pads_.data();
      }
    }
    c_.copy = buffers;
    c_.output = buffers + c_.copies;
    if (pads != nullptr) {
      c_.copy_pad = pads;
      c_.output_pad = pads + c_.copies;
    }
  }

  /// Tags of inputs and outputs, in the kernel's order as well.
  void tag_before(const Tagging* tagging, const std::uint8_t* const* buffers, Tag* tags) {
    for (unsigned i = 0; i < transform_.columns(); ++i) {
      const unsigned at = transform_.column_at(i);
      tasks_[i] = task_of(tagging[at], buffers[at], tags[at]);
    }
    c_.tag_before = tasks_.data();
    c_.tag_before_count = transform_.columns();
  }

  void tag_after(const Tagging* tagging, const std::uint8_t* const* buffers, Tag* tags) {
    for (unsigned i = 0; i < transform_.rows(); ++i) {
      const unsigned at = transform_.row_at(i);
      tasks_[i] = task_of(tagging[at], buffers[at], tags[at]);
    }
    c_.tag_after = tasks_.data();
    c_.tag_after_count = transform_.rows();
  }

  const Combination& combination() const { return c_; }

 private:
  template <class Pointer>
  void reorder_columns(Pointer const* from, Pointer* to) const {
    for (unsigned i = 0; i < transform_.columns(); ++i) {
      to[i] = from[transform_.column_at(i)];
    }
  }

  template <class Pointer>
  void reorder_rows(Pointer const* from, Pointer* to) const {
    for (unsigned i = 0; i < transform_.rows(); ++i) {
      to[i] = from[transform_.row_at(i)];
    }
  }

  const Transform& transform_;
  Combination c_;
  std::array<const std::uint8_t*, Transform::max_columns> inputs_;
  std::array<const std::uint8_t*, Transform::max_columns> input_pads_;
  std::array<std::uint8_t*, Transform::max_rows> outputs_;
  std::array<const std::uint8_t*, Transform::max_rows> output_pads_;
  std::array<TagTask, max_shares> tasks_;
};

constexpr std::size_t check_scratch_bytes = std::size_t{32} * 1024;
constexpr std::size_t check_tile = 2048;

// All bytes are looked at, and only the answer is made public.
bool all_zero(const std::uint8_t* bytes, std::size_t length) {
  std::uint64_t any = 0;
  std::size_t i = 0;
  for (; i + sizeof any <= length; i += sizeof any) {
    std::uint64_t word = 0;
    std::memcpy(&word, bytes + i, sizeof word);
    any |= word;
  }
  for (; i < length; ++i) {
    any |= bytes[i];
  }
  SSN_DECLASSIFY(&any, sizeof any);
  return any == 0;
}

// The first column of a tile in which any syndrome is not zero, or `bytes`.
std::size_t first_nonzero(std::uint8_t* syndromes, unsigned rows, std::size_t stride, std::size_t bytes) {
  std::size_t first = bytes;
  for (unsigned row = 0; row < rows; ++row) {
    std::uint8_t* syndrome = syndromes + row * stride;
    if (!all_zero(syndrome, first)) {
      SSN_DECLASSIFY(syndrome, first);
      first = static_cast<std::size_t>(
          std::find_if(syndrome, syndrome + first, [](std::uint8_t value) { return value != 0; }) - syndrome);
    }
  }
  return first;
}

}  // namespace

std::string_view name(const Implementation& implementation) noexcept { return implementation.name; }

std::string_view description(const Implementation& implementation) noexcept {
  return implementation.description;
}

bool supported(const Implementation& implementation) noexcept { return implementation.supported(); }

Status random(const Implementation& implementation, RandomGenerator& generator, std::uint8_t* out,
              std::size_t length) noexcept {
  if (out == nullptr) {
    return Status::missing_buffer;
  }
  if (length == 0) {
    return Status::length_is_zero;
  }
  std::uint64_t first = 0;
  if (const Status status = generator.take((std::uint64_t{length} + 15) / 16, first); status != Status::ok) {
    return status;
  }
  implementation.random(generator.round_keys(), first, out, length);
  return Status::ok;
}

TagKey::~TagKey() noexcept { erase(); }

void TagKey::erase() noexcept {
  kernels::erase(table_.data(), table_.size());
  owner_ = nullptr;
}

void TagKey::expand(const Implementation& implementation, std::span<const std::uint8_t, 16> r) noexcept {
  implementation.expand_tag_key(r.data(), table_.data());
  owner_ = &implementation;
}

Status tag(const Implementation& implementation, const Tagging& tagging, const std::uint8_t* data,
           std::size_t length, std::uint8_t* tag) noexcept {
  if (data == nullptr || tag == nullptr) {
    return Status::missing_buffer;
  }
  if (length == 0) {
    return Status::length_is_zero;
  }
  if (const Status status = check_tagging(implementation, tagging); status != Status::ok) {
    return status;
  }
  implementation.tag(task_of(tagging, data, tag), length);
  return Status::ok;
}

Status verify(const Implementation& implementation, const Tagging& tagging, const std::uint8_t* data,
              std::size_t length, const std::uint8_t* expected) noexcept {
  if (expected == nullptr) {
    return Status::missing_buffer;
  }
  Tag computed;
  if (const Status status = tag(implementation, tagging, data, length, computed); status != Status::ok) {
    return status;
  }
  const bool matches = equal(computed, expected);
  erase_block(computed);
  return matches ? Status::ok : Status::tag_mismatch;
}

Status pad(const Implementation& implementation, const std::uint8_t* in, const std::uint8_t* pad,
           std::uint8_t* out, std::size_t length) noexcept {
  if (in == nullptr || pad == nullptr || out == nullptr) {
    return Status::missing_buffer;
  }
  if (length == 0) {
    return Status::length_is_zero;
  }
  implementation.pad(in, pad, out, length);
  return Status::ok;
}

Status seal(const Implementation& implementation, const Tagging& tagging, const std::uint8_t* in,
            std::uint8_t* pad, std::uint8_t* out, std::size_t length, std::uint8_t* tag) noexcept {
  if (in == nullptr || pad == nullptr || out == nullptr || tag == nullptr) {
    return Status::missing_buffer;
  }
  if (length == 0) {
    return Status::length_is_zero;
  }
  if (const Status status = check_tagging(implementation, tagging); status != Status::ok) {
    return status;
  }
  const TagTask task = task_of(tagging, out, tag);
  if (implementation.seal != nullptr) {
    implementation.seal(task, in, pad, out, length);
    return Status::ok;
  }
  implementation.pad(in, pad, out, length);
  erase(pad, length);
  implementation.tag(task, length);
  return Status::ok;
}

Status open(const Implementation& implementation, const Tagging& tagging, const std::uint8_t* in,
            std::uint8_t* pad, std::uint8_t* out, std::size_t length, const std::uint8_t* expected) noexcept {
  if (in == nullptr || pad == nullptr || out == nullptr || expected == nullptr) {
    return Status::missing_buffer;
  }
  if (length == 0) {
    return Status::length_is_zero;
  }
  if (const Status status = check_tagging(implementation, tagging); status != Status::ok) {
    return status;
  }
  Tag computed;
  const TagTask task = task_of(tagging, in, computed);
  const bool apart = in != out;
  if (implementation.open == nullptr) {
    implementation.tag(task, length);
    implementation.pad(in, pad, out, length);
  } else if (apart) {
    implementation.open(task, in, pad, out, length);
  } else {
    implementation.open_in_place(task, pad, out, length);
  }
  const bool erased = implementation.open != nullptr && apart;
  const bool matches = equal(computed, expected);
  erase_block(computed);
  if (matches) {
    if (!erased) {
      erase(pad, length);
    }
    return Status::ok;
  }
  if (erased) {
    implementation.pad(in, out, pad, length);
  }
  if (apart) {
    erase(out, length);
  } else {
    implementation.pad(out, pad, out, length);
  }
  return Status::tag_mismatch;
}

Status split(const Implementation& implementation, const SplitJob& job) noexcept {
  if (const Status status = check_split(implementation, job); status != Status::ok) {
    return status;
  }
  const unsigned random_blocks = job.code->random_blocks();
  Work work(*job.transform, job.length);
  if (job.random == nullptr && random_blocks > 0) {
    const std::uint64_t blocks = (std::uint64_t{job.length} + 15) / 16;
    std::uint64_t first = 0;
    if (const Status status = job.generator->take(blocks * random_blocks, first); status != Status::ok) {
      return status;
    }
    work.generate(random_blocks, job.generator->round_keys(), first);
  }
  work.inputs(job.random, random_blocks, job.data);
  work.outputs(job.shares, job.pads);
  if (job.tagging != nullptr) {
    work.tag_after(job.tagging, job.shares, job.tags);
  }
  implementation.combine(work.combination());
  return Status::ok;
}

Status recover(const Implementation& implementation, const RecoverJob& job) noexcept {
  if (const Status status = check_recover(implementation, job); status != Status::ok) {
    return status;
  }
  std::array<Tag, Transform::max_columns> computed;
  Work work(*job.transform, job.length);
  work.inputs(job.shares, job.pads);
  work.outputs(job.data, nullptr);
  if (job.tagging != nullptr) {
    work.tag_before(job.tagging, job.shares, computed.data());
  }
  implementation.combine(work.combination());
  if (job.tagging == nullptr) {
    return Status::ok;
  }
  bool all_match = true;
  for (unsigned share = 0; share < job.transform->columns(); ++share) {
    const bool matches = equal(computed[share], job.tags[share]);
    all_match = all_match && matches;
    if (job.tag_ok != nullptr) {
      job.tag_ok[share] = matches;
    }
  }
  erase(computed.data(), sizeof(Tag) * job.transform->columns());
  for (unsigned row = 0; !all_match && row < job.transform->rows(); ++row) {
    erase(job.data[row], job.length);
  }
  return all_match ? Status::ok : Status::tag_mismatch;
}

Status dot(const Implementation& implementation, const Transform& transform, const std::uint8_t* const* in,
           std::uint8_t* const* out, std::size_t length) noexcept {
  RecoverJob job;
  job.transform = &transform;
  job.shares = in;
  job.data = out;
  job.length = length;
  return recover(implementation, job);
}

Status check(const Implementation& implementation, const Transform& transform,
             const std::uint8_t* const* shares, std::size_t length, std::size_t& first_bad) noexcept {
  if (shares == nullptr || !all_given(shares, transform.columns())) {
    return Status::missing_buffer;
  }
  if (length == 0) {
    return Status::length_is_zero;
  }
  const unsigned rows = transform.rows();
  const std::size_t tile = std::min(check_tile, check_scratch_bytes / rows / 64 * 64);
  assert(tile >= 64);
  alignas(64) std::array<std::uint8_t, check_scratch_bytes> syndromes;
  std::array<const std::uint8_t*, Transform::max_columns> in;
  std::array<std::uint8_t*, Transform::max_rows> out;
  for (unsigned row = 0; row < rows; ++row) {
    out[row] = syndromes.data() + row * tile;
  }
  first_bad = length;
  for (std::size_t offset = 0; offset < length && first_bad == length; offset += tile) {
    const std::size_t bytes = std::min(tile, length - offset);
    std::transform(shares, shares + transform.columns(), in.begin(),
                   [offset](const std::uint8_t* share) { return share + offset; });
    Work work(transform, bytes);
    work.inputs(in.data(), nullptr);
    work.outputs(out.data(), nullptr);
    implementation.combine(work.combination());
    const std::size_t at = first_nonzero(syndromes.data(), rows, tile, bytes);
    first_bad = at < bytes ? offset + at : length;
  }
  return Status::ok;
}

}  // namespace ssn::kernels
