// SPDX-License-Identifier: BSD-3-Clause
#include "guarded.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace ssn::test {
namespace {

constexpr std::uint8_t margin_byte = 0x5A;
constexpr std::ptrdiff_t margin = 64;

void require(bool ok, const char* what) {
  if (ok) return;
  std::fprintf(stderr, "tests/support/guarded.cpp: %s failed: %s\n", what, std::strerror(errno));
  std::abort();
}

}  // namespace

BufferPool::BufferPool(std::size_t capacity) : page_(static_cast<std::size_t>(sysconf(_SC_PAGESIZE))) {
  accessible_ = (capacity + max_offset + page_ - 1) / page_ * page_;
}

BufferPool::~BufferPool() {
  for (const Mapping& mapping : mappings_) munmap(mapping.first - page_, accessible_ + 2 * page_);
}

std::uint8_t* BufferPool::take(std::size_t length, Placement placement) {
  require(length >= 1 && length + max_offset <= accessible_ && placement.offset <= max_offset,
          "taking a buffer (length and offset within the pool's limits)");
  if (used_ == mappings_.size()) {
    void* base = mmap(nullptr, accessible_ + 2 * page_, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    require(base != MAP_FAILED, "mmap");
    Mapping fresh;
    fresh.first = static_cast<std::uint8_t*>(base) + page_;
    require(mprotect(fresh.first, accessible_, PROT_READ | PROT_WRITE) == 0, "mprotect");
    mappings_.push_back(fresh);
  }
  Mapping& mapping = mappings_[used_++];
  mapping.begin = placement.at_end ? mapping.first + accessible_ - length : mapping.first + placement.offset;
  mapping.end = mapping.begin + length;
  std::memset(mapping.begin, 0xEE, length);
  fill_margin(mapping);
  return mapping.begin;
}

void BufferPool::fill_margin(const Mapping& mapping) const {
  const std::ptrdiff_t before = std::min(margin, mapping.begin - mapping.first);
  std::fill(mapping.begin - before, mapping.begin, margin_byte);
  const std::ptrdiff_t after = std::min(margin, mapping.first + accessible_ - mapping.end);
  std::fill(mapping.end, mapping.end + after, margin_byte);
}

bool BufferPool::margin_intact(const Mapping& mapping) const {
  const auto known = [](std::uint8_t byte) { return byte == margin_byte; };
  const std::ptrdiff_t before = std::min(margin, mapping.begin - mapping.first);
  const std::ptrdiff_t after = std::min(margin, mapping.first + accessible_ - mapping.end);
  return std::all_of(mapping.begin - before, mapping.begin, known) &&
         std::all_of(mapping.end, mapping.end + after, known);
}

bool BufferPool::intact() const {
  return std::all_of(mappings_.begin(), mappings_.begin() + static_cast<std::ptrdiff_t>(used_),
                     [this](const Mapping& mapping) { return margin_intact(mapping); });
}

}  // namespace ssn::test
