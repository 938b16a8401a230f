// SPDX-License-Identifier: BSD-3-Clause
#include "ssn/hw/ring_memory.h"

#include <fcntl.h>
#include <linux/memfd.h>
#include <linux/mempolicy.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <bit>
#include <cassert>
#include <cerrno>
#include <cstring>

#include "locked_memory.h"

namespace ssn::hw {
namespace {

constexpr std::size_t huge_page_bytes = std::size_t{2} << 20;
constexpr int max_numa_node = 63;

std::size_t normal_page_bytes() noexcept { return static_cast<std::size_t>(::sysconf(_SC_PAGESIZE)); }

// Address space for both mappings, at an address that fits the pages.
std::uint8_t* reserve_twice(std::size_t bytes, std::size_t page_bytes) noexcept {
  void* const region =
      ::mmap(nullptr, 2 * bytes + page_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (region == MAP_FAILED) {
    return nullptr;
  }
  auto* const begin = static_cast<std::uint8_t*>(region);
  const std::size_t head = (page_bytes - std::bit_cast<std::uintptr_t>(begin) % page_bytes) % page_bytes;
  if (head != 0) {
    ::munmap(begin, head);
  }
  if (head != page_bytes) {
    ::munmap(begin + head + 2 * bytes, page_bytes - head);
  }
  return begin + head;
}

// Whether the file can be mapped: what can fail is tried where it can do no harm. Mapping over a reservation
// takes that away first; after a failure another thread's mapping can be in its place. Huge pages that this
// mapping set aside stay with the file.
Outcome try_mapping(int fd, std::size_t bytes) {
  void* const probe = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (probe == MAP_FAILED) {
    return system_error(errno, "cannot map ring memory", "mmap()");
  }
  ::munmap(probe, bytes);
  return done;
}

// Maps the file twice in succession. Null, with errno: nothing stays mapped.
std::uint8_t* map_twice(int fd, std::size_t bytes, std::size_t page_bytes) noexcept {
  std::uint8_t* const data = reserve_twice(bytes, page_bytes);
  if (data == nullptr) {
    return nullptr;
  }
  for (std::uint8_t* const half : {data, data + bytes}) {
    if (::mmap(half, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0) == MAP_FAILED) {
      // What is at `half` now may be somebody else's, and stays.
      const int reason = errno;
      ::munmap(half == data ? data + bytes : data, bytes);
      errno = reason;
      return nullptr;
    }
  }
  return data;
}

bool bind_to_node(std::uint8_t* data, std::size_t bytes, int node) noexcept {
  const unsigned long mask = 1UL << static_cast<unsigned>(node);
  return ::syscall(SYS_mbind, data, bytes, MPOL_BIND, &mask, sizeof mask * 8, 0) == 0;
}

}  // namespace

Error locking_error(int error_number, std::size_t bytes) {
  rlimit limit{};
  (void)::getrlimit(RLIMIT_MEMLOCK, &limit);
  return {Exit::refused, "cannot lock " + std::to_string(bytes) + " bytes of memory for keys",
          std::string(std::strerror(error_number)) + "; this process may lock " +
              (limit.rlim_cur == RLIM_INFINITY ? "any amount" : std::to_string(limit.rlim_cur) + " bytes"),
          "mlock()", "raise the limit of locked memory (ulimit -l, LimitMEMLOCK=) or give CAP_IPC_LOCK"};
}

RingMemory::RingMemory(RingMemory&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)),
      size_(std::exchange(other.size_, 0)),
      page_bytes_(std::exchange(other.page_bytes_, 0)),
      fd_(std::exchange(other.fd_, -1)),
      numa_node_(std::exchange(other.numa_node_, -1)),
      complete_(std::exchange(other.complete_, false)) {}

RingMemory& RingMemory::operator=(RingMemory&& other) noexcept {
  if (this != &other) {
    release();
    data_ = std::exchange(other.data_, nullptr);
    size_ = std::exchange(other.size_, 0);
    page_bytes_ = std::exchange(other.page_bytes_, 0);
    fd_ = std::exchange(other.fd_, -1);
    numa_node_ = std::exchange(other.numa_node_, -1);
    complete_ = std::exchange(other.complete_, false);
  }
  return *this;
}

Result<RingMemory> RingMemory::make(std::size_t bytes, Pages pages, int numa_node) {
  if (!std::has_single_bit(bytes) || bytes < normal_page_bytes() || bytes > max_bytes) {
    return Error{Exit::usage, "cannot make ring memory of " + std::to_string(bytes) + " bytes",
                 "its size must be a power of two, at least a page and at most 2^40", "",
                 "choose such a size"};
  }
  if (numa_node > max_numa_node) {
    return Error{Exit::usage, "cannot make ring memory on NUMA node " + std::to_string(numa_node),
                 "nodes are numbered from 0 to 63", "", "choose such a node, or -1 for any"};
  }
  if (pages == Pages::huge_if_available && bytes >= huge_page_bytes) {
    Result<RingMemory> huge = make_with(bytes, huge_page_bytes, numa_node);
    if (huge.ok()) {
      return huge;
    }
  }
  return make_with(bytes, normal_page_bytes(), numa_node);
}

Result<RingMemory> RingMemory::make_with(std::size_t bytes, std::size_t page_bytes, int numa_node) {
  RingMemory ring;
  const bool huge = page_bytes == huge_page_bytes;
  const unsigned huge_flags = huge ? MFD_HUGETLB | MFD_HUGE_2MB : 0U;
  ring.fd_ = ::memfd_create("ssn-key-ring", MFD_CLOEXEC | MFD_ALLOW_SEALING | huge_flags);
  if (ring.fd_ < 0) {
    return system_error(errno, "cannot make ring memory", "memfd_create()");
  }
  if (::ftruncate(ring.fd_, static_cast<off_t>(bytes)) != 0) {
    return system_error(errno, "cannot make ring memory", "ftruncate()");
  }
  if (::fcntl(ring.fd_, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0) {
    return system_error(errno, "cannot seal ring memory", "fcntl(F_ADD_SEALS)");
  }
  if (Outcome mappable = try_mapping(ring.fd_, bytes); !mappable.ok()) {
    return mappable.error();
  }
  ring.data_ = map_twice(ring.fd_, bytes, page_bytes);
  if (ring.data_ == nullptr) {
    return system_error(errno, "cannot map ring memory", "mmap()");
  }
  ring.size_ = bytes;
  ring.page_bytes_ = page_bytes;
  ring.numa_node_ = numa_node;
  (void)::madvise(ring.data_, 2 * bytes, MADV_DONTDUMP);
  (void)::madvise(ring.data_, 2 * bytes, MADV_DONTFORK);
  if (numa_node >= 0 && !bind_to_node(ring.data_, bytes, numa_node)) {
    return system_error(errno, "cannot place ring memory on NUMA node " + std::to_string(numa_node),
                        "mbind()");
  }
  // Locking one mapping keeps the pages; the other is only filled in, so that it does not count twice.
  if (::mlock(ring.data_, bytes) != 0) {
    return locking_error(errno, bytes);
  }
  for (std::size_t offset = 0; offset < bytes; offset += page_bytes) {
    (void)*static_cast<volatile std::uint8_t*>(ring.data_ + bytes + offset);
  }
  ring.complete_ = true;
  return ring;
}

ssn_memory RingMemory::describe() const noexcept {
  ssn_memory memory{};
  memory.base = data_;
  memory.bytes = size_;
  memory.page_bytes = page_bytes_;
  memory.fd = fd_;
  memory.numa_node = numa_node_;
  return memory;
}

void RingMemory::erase() noexcept {
  if (data_ != nullptr) {
    ::explicit_bzero(data_, size_);
  }
}

void RingMemory::release() noexcept {
  if (data_ != nullptr) {
    // One that was not made to its end held nothing, and has perhaps no pages to write to.
    if (complete_) {
      // A driver may have taken access away, but nobody else unmaps what is ours.
      const bool writable = ::mprotect(data_, 2 * size_, PROT_READ | PROT_WRITE) == 0;
      assert(writable);
      static_cast<void>(writable);
      erase();
    }
    ::munmap(data_, 2 * size_);
  }
  if (fd_ >= 0) {
    ::close(fd_);
  }
  data_ = nullptr;
  size_ = page_bytes_ = 0;
  fd_ = -1;
  complete_ = false;
}

}  // namespace ssn::hw
