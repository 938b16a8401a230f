// SPDX-License-Identifier: BSD-3-Clause
#include "ssn/hw/secret_buffer.h"

#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "locked_memory.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SSN_LEAK_CHECKER 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__)
#define SSN_LEAK_CHECKER 1
#endif

namespace ssn::hw {
namespace {

// What fills the last page behind the buffer. Not secret: it finds mistakes, not attackers.
constexpr std::uint8_t canary = 0xdb;

std::size_t page_bytes() noexcept { return static_cast<std::size_t>(::sysconf(_SC_PAGESIZE)); }

}  // namespace

SecretBuffer::SecretBuffer(SecretBuffer&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)),
      size_(std::exchange(other.size_, 0)),
      accessible_(std::exchange(other.accessible_, 0)),
      locked_(std::exchange(other.locked_, false)) {}

SecretBuffer& SecretBuffer::operator=(SecretBuffer&& other) noexcept {
  if (this != &other) {
    release();
    data_ = std::exchange(other.data_, nullptr);
    size_ = std::exchange(other.size_, 0);
    accessible_ = std::exchange(other.accessible_, 0);
    locked_ = std::exchange(other.locked_, false);
  }
  return *this;
}

Result<SecretBuffer> SecretBuffer::make(std::size_t bytes, Locking locking) {
  SecretBuffer buffer;
  if (bytes == 0) {
    return buffer;
  }
  const std::size_t page = page_bytes();
  assert(bytes <= SIZE_MAX - 3 * page);
  const std::size_t accessible = (bytes + page - 1) / page * page;
  void* const region = ::mmap(nullptr, accessible + 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (region == MAP_FAILED) {
    return system_error(errno, "cannot get memory for secrets", "mmap()");
  }
  std::uint8_t* const data = static_cast<std::uint8_t*>(region) + page;
  if (::mprotect(data, accessible, PROT_READ | PROT_WRITE) != 0) {
    const int reason = errno;
    ::munmap(region, accessible + 2 * page);
    return system_error(reason, "cannot get memory for secrets", "mprotect()");
  }
  buffer.data_ = data;
  buffer.size_ = bytes;
  buffer.accessible_ = accessible;
  std::memset(data + bytes, canary, accessible - bytes);
  (void)::madvise(data, accessible, MADV_DONTDUMP);
  (void)::madvise(data, accessible, MADV_WIPEONFORK);
  buffer.locked_ = ::mlock(data, accessible) == 0;
  if (!buffer.locked_ && locking == Locking::required) {
    return locking_error(errno, accessible);
  }
  return buffer;
}

ssn_memory SecretBuffer::describe() const noexcept {
  ssn_memory memory{};
  memory.base = data_;
  memory.bytes = accessible_;
  memory.page_bytes = page_bytes();
  memory.fd = -1;
  memory.numa_node = -1;
  return memory;
}

void SecretBuffer::erase() noexcept {
  if (data_ != nullptr) {
    ::explicit_bzero(data_, size_);
  }
}

void SecretBuffer::release() noexcept {
  if (data_ == nullptr) {
    return;
  }
  erase();
  const auto all = [this](std::uint8_t wanted) {
    return std::all_of(data_ + size_, data_ + accessible_, [=](std::uint8_t byte) { return byte == wanted; });
  };
  const bool intact = all(canary) || all(0);  // a child process gets zeros
  if (!intact) {
    std::fputs("ssn: memory for secrets was written behind its end; stopping\n", stderr);
    std::abort();
  }
  const std::size_t page = page_bytes();
  ::munmap(data_ - page, accessible_ + 2 * page);  // also unlocks
  data_ = nullptr;
  size_ = accessible_ = 0;
  locked_ = false;
}

void disable_core_dumps() noexcept {
  const rlimit none{0, 0};
  (void)::setrlimit(RLIMIT_CORE, &none);
#if !defined(SSN_LEAK_CHECKER)  // the leak checker of a sanitizer build is a debugger itself
  (void)::prctl(PR_SET_DUMPABLE, 0);
#endif
}

}  // namespace ssn::hw
