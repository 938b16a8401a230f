// SPDX-License-Identifier: BSD-3-Clause
// A disk that fails on order: loaded before the C library (LD_PRELOAD) it lets reads, writes or syncs of
// files under a folder end with EIO, as a failing disk would.
//
//   FAILING_DISK_FOLDER  the folder
//   FAILING_DISK_ORDERS  a file of 4096 bytes; bytes 0, 1, 2 are not 0 while reads, writes, syncs fail. From
//                        byte 8 on three numbers of 32 bits count what failed
// pread() is to be pread(): with this it is pread64() in assembler.
#undef _FILE_OFFSET_BITS

#include <dlfcn.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <climits>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace {

enum Operation : std::size_t { reads, writes, syncs };

constexpr std::size_t orders_bytes = 4096;
constexpr std::size_t counts_at = 8;

volatile std::uint8_t* orders = nullptr;
std::atomic<std::uint32_t>* counts = nullptr;
char folder[PATH_MAX];
std::size_t folder_length = 0;

__attribute__((constructor)) void begin() {
  const char* const where = std::getenv("FAILING_DISK_FOLDER");
  const char* const path = std::getenv("FAILING_DISK_ORDERS");
  if (where == nullptr || path == nullptr || ::realpath(where, folder) == nullptr) return;
  const int fd = ::open(path, O_RDWR | O_CLOEXEC);
  if (fd < 0) return;
  void* const at = ::mmap(nullptr, orders_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  ::close(fd);
  if (at == MAP_FAILED) return;
  folder_length = std::strlen(folder);
  counts = reinterpret_cast<std::atomic<std::uint32_t>*>(static_cast<std::uint8_t*>(at) + counts_at);
  orders = static_cast<std::uint8_t*>(at);
}

// Whether it is a file of the folder, and an order is given.
bool fails(int fd, Operation operation) {
  if (orders == nullptr || orders[operation] == 0) return false;
  char link[64];
  char path[PATH_MAX];
  std::snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  const ssize_t length = ::readlink(link, path, sizeof path);
  if (length < 0 || static_cast<std::size_t>(length) < folder_length ||
      std::memcmp(path, folder, folder_length) != 0) {
    return false;
  }
  ++counts[operation];
  errno = EIO;
  return true;
}

template <typename Function>
Function* real(const char* name) {
  return reinterpret_cast<Function*>(::dlsym(RTLD_NEXT, name));
}

}  // namespace

extern "C" {

ssize_t read(int fd, void* to, size_t length) {
  static auto* const next = real<ssize_t(int, void*, size_t)>("read");
  return fails(fd, reads) ? -1 : next(fd, to, length);
}

ssize_t pread(int fd, void* to, size_t length, off_t at) {
  static auto* const next = real<ssize_t(int, void*, size_t, off_t)>("pread");
  return fails(fd, reads) ? -1 : next(fd, to, length, at);
}

ssize_t pread64(int fd, void* to, size_t length, off64_t at) {
  static auto* const next = real<ssize_t(int, void*, size_t, off64_t)>("pread64");
  return fails(fd, reads) ? -1 : next(fd, to, length, at);
}

ssize_t write(int fd, const void* from, size_t length) {
  static auto* const next = real<ssize_t(int, const void*, size_t)>("write");
  return fails(fd, writes) ? -1 : next(fd, from, length);
}

ssize_t pwrite(int fd, const void* from, size_t length, off_t at) {
  static auto* const next = real<ssize_t(int, const void*, size_t, off_t)>("pwrite");
  return fails(fd, writes) ? -1 : next(fd, from, length, at);
}

ssize_t pwrite64(int fd, const void* from, size_t length, off64_t at) {
  static auto* const next = real<ssize_t(int, const void*, size_t, off64_t)>("pwrite64");
  return fails(fd, writes) ? -1 : next(fd, from, length, at);
}

int fsync(int fd) {
  static auto* const next = real<int(int)>("fsync");
  return fails(fd, syncs) ? -1 : next(fd);
}

int fdatasync(int fd) {
  static auto* const next = real<int(int)>("fdatasync");
  return fails(fd, syncs) ? -1 : next(fd);
}

int sync_file_range(int fd, off64_t at, off64_t length, unsigned int flags) {
  static auto* const next = real<int(int, off64_t, off64_t, unsigned int)>("sync_file_range");
  return fails(fd, syncs) ? -1 : next(fd, at, length, flags);
}

}  // extern "C"
