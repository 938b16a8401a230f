// SPDX-License-Identifier: BSD-3-Clause
#include "arena.h"

#include <sys/mman.h>

#include <cerrno>
#include <cstring>
#include <stdexcept>
#include <string>

namespace ssn::bench {

Arena::~Arena() {
  if (base_ != nullptr) munmap(base_, capacity_);
}

void Arena::reset(std::size_t bytes) {
  constexpr std::size_t huge_page = std::size_t{2} << 20;
  used_ = 0;
  colour_ = 0;
  if (bytes <= capacity_) return;
  if (base_ != nullptr) munmap(base_, capacity_);
  base_ = nullptr;
  capacity_ = 0;
  const std::size_t rounded = (bytes + huge_page - 1) / huge_page * huge_page;
  void* const memory = mmap(nullptr, rounded, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) {
    throw std::runtime_error("cannot map " + std::to_string(rounded >> 20) +
                             " MiB for the benchmark's buffers: " + std::strerror(errno) +
                             "; free memory or choose smaller sizes with --benchmark_filter");
  }
  // Advice only: with small pages the measurement is still valid, with more TLB misses for everyone.
  madvise(memory, rounded, MADV_HUGEPAGE);
  base_ = static_cast<std::uint8_t*>(memory);
  capacity_ = rounded;
}

std::uint8_t* Arena::buffer(std::size_t length) {
  // 39 is coprime to the 64 lines of a page and near 64 divided by the golden ratio: any number of
  // consecutive colours is spread almost evenly.
  const std::size_t offset = colour_ * 39 % (page / line) * line;
  ++colour_;
  std::size_t start = used_ / page * page + offset;
  if (start < used_) start += page;
  if (start + length > capacity_)
    throw std::logic_error("the benchmark's arena was reset with too few bytes");
  used_ = start + length;
  return base_ + start;
}

}  // namespace ssn::bench
