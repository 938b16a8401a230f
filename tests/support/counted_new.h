// SPDX-License-Identifier: BSD-3-Clause
// Counts what operator new gives, in every form: it replaces the library's. Include in one file of a program.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <new>

namespace ssn::test {

/// Whether an allocation of this moment counts; null: none does.
inline bool (*counts_allocation)() = nullptr;
inline std::uint64_t allocations = 0;

inline void* counted_new(std::size_t bytes, std::size_t alignment = alignof(std::max_align_t)) {
  if (counts_allocation != nullptr && counts_allocation()) ++allocations;
  void* const memory = std::aligned_alloc(alignment, (bytes + alignment - 1) / alignment * alignment);
  if (memory == nullptr) std::abort();
  return memory;
}
inline void* counted_new(std::size_t bytes, std::align_val_t align) {
  return counted_new(bytes, static_cast<std::size_t>(align));
}

}  // namespace ssn::test

// NOLINTBEGIN: these replace the library's.
void* operator new(std::size_t bytes) { return ssn::test::counted_new(bytes); }
void* operator new[](std::size_t bytes) { return ssn::test::counted_new(bytes); }
void* operator new(std::size_t bytes, std::align_val_t align) { return ssn::test::counted_new(bytes, align); }
void* operator new[](std::size_t bytes, std::align_val_t align) {
  return ssn::test::counted_new(bytes, align);
}
void* operator new(std::size_t bytes, const std::nothrow_t&) noexcept {
  return ssn::test::counted_new(bytes);
}
void* operator new[](std::size_t bytes, const std::nothrow_t&) noexcept {
  return ssn::test::counted_new(bytes);
}
void* operator new(std::size_t bytes, std::align_val_t align, const std::nothrow_t&) noexcept {
  return ssn::test::counted_new(bytes, align);
}
void* operator new[](std::size_t bytes, std::align_val_t align, const std::nothrow_t&) noexcept {
  return ssn::test::counted_new(bytes, align);
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete[](void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
void operator delete[](void* memory, std::size_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::align_val_t) noexcept { std::free(memory); }
void operator delete[](void* memory, std::align_val_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t, std::align_val_t) noexcept { std::free(memory); }
void operator delete[](void* memory, std::size_t, std::align_val_t) noexcept { std::free(memory); }
// NOLINTEND
