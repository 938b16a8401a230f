// SPDX-License-Identifier: BSD-3-Clause
#include "engine.h"

#include <string.h>
#include <sys/mman.h>

#include <array>
#include <cassert>

namespace async_example {
namespace kernels = ssn::kernels;
namespace {

void copy_in(const ssn_offload_buffer& from, std::uint8_t* to, std::uint32_t length) noexcept {
  for (std::uint32_t i = 0; i < ssn_offload_pieces(&from); ++i) {
    const ssn_offload_segment piece = ssn_offload_piece(&from, length, i);
    memcpy(to, piece.data, piece.length);
    to += piece.length;
  }
}

void copy_out(const std::uint8_t* from, const ssn_offload_buffer& to, std::uint32_t length) noexcept {
  for (std::uint32_t i = 0; i < ssn_offload_pieces(&to); ++i) {
    const ssn_offload_segment piece = ssn_offload_piece(&to, length, i);
    memcpy(piece.data, from, piece.length);
    from += piece.length;
  }
}

kernels::Tagging tagging_of(const ssn_offload_tagging& from) noexcept {
  kernels::Tagging tagging;
  tagging.key = reinterpret_cast<const TagKey*>(from.key)->expanded;
  tagging.header = from.header;
  tagging.header_length = from.header_length;
  tagging.mask = from.mask;
  return tagging;
}

}  // namespace

LockedPages::LockedPages(std::size_t bytes) noexcept : bytes_(bytes) {
  void* const pages = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (pages == MAP_FAILED) {
    return;
  }
  if (mlock(pages, bytes) != 0 || madvise(pages, bytes, MADV_DONTDUMP) != 0) {
    munmap(pages, bytes);
    return;
  }
  data_ = static_cast<std::uint8_t*>(pages);
}

LockedPages::~LockedPages() {
  if (data_ != nullptr) {
    explicit_bzero(data_, bytes_);
    munmap(data_, bytes_);
  }
}

Result Engine::run(const ssn_offload_job& job) noexcept {
  Result result{};
  std::array<std::uint8_t*, columns_max> in;
  std::array<std::uint8_t*, rows_max> out;
  for (std::uint32_t i = 0; i < job.input_count; ++i) {
    in[i] = input(i);
    copy_in(job.inputs[i], in[i], job.length);
  }
  for (std::uint32_t i = 0; i < job.output_count; ++i) {
    out[i] = output(i);
  }
  if (ssn_offload_is_in(job.operation, SSN_OFFLOAD_CHECKS_TAGS)) {
    check_tags(job, result);
    add_pads(job, in.data(), job.input_count);
  }
  kernels::Status status = kernels::Status::ok;
  if (ssn_offload_is_in(job.operation, SSN_OFFLOAD_WITHOUT_MATRIX)) {
    memcpy(out[0], in[0], job.length);
  } else {
    const auto& matrix = *reinterpret_cast<const kernels::Transform*>(job.matrix);
    status = kernels::dot(implementation_, matrix, in.data(), out.data(), job.length);
  }
  if (ssn_offload_is_in(job.operation, SSN_OFFLOAD_PADS_OUTPUTS)) {
    add_pads(job, out.data(), job.output_count);
  }
  if (ssn_offload_is_in(job.operation, SSN_OFFLOAD_WRITES_TAGS)) {
    write_tags(job);
  }
  for (std::uint32_t i = 0; i < job.output_count; ++i) {
    if (result.status == SSN_INTEGRITY) {
      memset(out[i], 0, job.length);  // nothing unauthenticated leaves
    }
    copy_out(out[i], job.outputs[i], job.length);
    explicit_bzero(out[i], job.length);
  }
  for (std::uint32_t i = 0; i < job.input_count; ++i) {
    explicit_bzero(in[i], job.length);
  }
  assert(status == kernels::Status::ok && "a job that was checked cannot be refused");
  return status == kernels::Status::ok ? result : Result{SSN_FAILED, {}};
}

void Engine::check_tags(const ssn_offload_job& job, Result& result) noexcept {
  for (std::uint32_t i = 0; i < job.input_count; ++i) {
    const kernels::Tagging tagging = tagging_of(job.tagging[i]);
    if (kernels::verify(implementation_, tagging, input(i), job.length, job.tagging[i].tag) !=
        kernels::Status::ok) {
      result.status = SSN_INTEGRITY;
      result.tag_mismatch[i / 64] |= std::uint64_t{1} << i % 64;
    }
  }
}

void Engine::add_pads(const ssn_offload_job& job, std::uint8_t* const* buffers,
                      std::uint32_t count) noexcept {
  for (std::uint32_t i = 0; i < count; ++i) {
    copy_in(job.pads[i], pad(), job.length);
    const kernels::Status status = kernels::pad(implementation_, buffers[i], pad(), buffers[i], job.length);
    assert(status == kernels::Status::ok);
    static_cast<void>(status);
  }
  explicit_bzero(pad(), job.length);
}

void Engine::write_tags(const ssn_offload_job& job) noexcept {
  for (std::uint32_t i = 0; i < job.output_count; ++i) {
    const kernels::Status status =
        kernels::tag(implementation_, tagging_of(job.tagging[i]), output(i), job.length, job.tagging[i].tag);
    assert(status == kernels::Status::ok);
    static_cast<void>(status);
  }
}

}  // namespace async_example
