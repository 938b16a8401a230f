// SPDX-License-Identifier: BSD-3-Clause
#include "secure_buffer.h"

#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SSN_LEAK_CHECKER 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__)
#define SSN_LEAK_CHECKER 1
#endif

namespace ssn::cli {

SecureBuffer::SecureBuffer(SecureBuffer&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)),
      size_(std::exchange(other.size_, 0)),
      mapped_(std::exchange(other.mapped_, 0)),
      locked_(std::exchange(other.locked_, false)) {}

SecureBuffer& SecureBuffer::operator=(SecureBuffer&& other) noexcept {
  if (this != &other) {
    release();
    data_ = std::exchange(other.data_, nullptr);
    size_ = std::exchange(other.size_, 0);
    mapped_ = std::exchange(other.mapped_, 0);
    locked_ = std::exchange(other.locked_, false);
  }
  return *this;
}

Result<SecureBuffer> SecureBuffer::make(std::size_t bytes) {
  SecureBuffer buffer;
  if (bytes == 0) {
    return buffer;
  }
  const std::size_t page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  const std::size_t mapped = (bytes + page - 1) / page * page;
  void* const memory = ::mmap(nullptr, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) {
    return system_error(errno, "cannot get memory for a block", "mmap()");
  }
  buffer.data_ = static_cast<std::uint8_t*>(memory);
  buffer.size_ = bytes;
  buffer.mapped_ = mapped;
  // Both are best effort: an old kernel or a low limit must not stop a restore.
  (void)::madvise(memory, mapped, MADV_DONTDUMP);
  buffer.locked_ = ::mlock(memory, mapped) == 0;
  return buffer;
}

void SecureBuffer::erase() noexcept {
  if (data_ != nullptr) {
    ::explicit_bzero(data_, size_);
  }
}

void SecureBuffer::release() noexcept {
  if (data_ == nullptr) {
    return;
  }
  erase();
  ::munmap(data_, mapped_);  // also unlocks
  data_ = nullptr;
  size_ = mapped_ = 0;
  locked_ = false;
}

void disable_core_dumps() noexcept {
  const rlimit none{0, 0};
  (void)::setrlimit(RLIMIT_CORE, &none);
#if !defined(SSN_LEAK_CHECKER)  // the leak checker of a sanitizer build is a debugger itself
  (void)::prctl(PR_SET_DUMPABLE, 0);
#endif
}

}  // namespace ssn::cli
