// SPDX-License-Identifier: BSD-3-Clause
// Stands for the silicon: copies what a job names into memory of its own, computes there, and copies the
// results out. Its memory is locked, kept out of core dumps and erased after every job.
#pragma once

#include <cstddef>
#include <cstdint>

#include "ssn/kernels/kernels.h"
#include "ssn/offload_check.h"

namespace async_example {

constexpr std::uint32_t rows_max = 16;
constexpr std::uint32_t columns_max = 16;
constexpr std::uint32_t length_max = 16384;

/// Pages for secrets. Null data() where they cannot be had or locked.
class LockedPages {
 public:
  explicit LockedPages(std::size_t bytes) noexcept;
  LockedPages(const LockedPages&) = delete;
  LockedPages& operator=(const LockedPages&) = delete;
  /// Erases them.
  ~LockedPages();
  std::uint8_t* data() const noexcept { return data_; }

 private:
  std::uint8_t* data_ = nullptr;
  std::size_t bytes_;
};

/// What tag_key_prepare makes.
struct TagKey {
  LockedPages pages{sizeof(ssn::kernels::TagKey)};
  ssn::kernels::TagKey* expanded = nullptr;
};

/// What happened to one job.
struct Result {
  ssn_status status;
  std::uint64_t tag_mismatch[4];
};

/// One thread.
class Engine {
 public:
  explicit Engine(const ssn::kernels::Implementation& implementation) noexcept
      : implementation_(implementation) {}
  /// Whether its memory could be had.
  bool ready() const noexcept { return pages_.data() != nullptr; }

  /// The job was checked. Reads and writes what it names.
  Result run(const ssn_offload_job& job) noexcept;

 private:
  void check_tags(const ssn_offload_job& job, Result& result) noexcept;
  void add_pads(const ssn_offload_job& job, std::uint8_t* const* buffers, std::uint32_t count) noexcept;
  void write_tags(const ssn_offload_job& job) noexcept;
  std::uint8_t* input(std::uint32_t i) noexcept { return pages_.data() + std::size_t{i} * length_max; }
  std::uint8_t* output(std::uint32_t i) noexcept { return input(columns_max + i); }
  std::uint8_t* pad() noexcept { return input(columns_max + rows_max); }

  const ssn::kernels::Implementation& implementation_;
  LockedPages pages_{std::size_t{columns_max + rows_max + 1} * length_max};
};

}  // namespace async_example
