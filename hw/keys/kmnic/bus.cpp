// SPDX-License-Identifier: BSD-3-Clause
#include "bus.h"

#include <sys/mman.h>

#include <cerrno>

#include "layout.h"

namespace ssn::kmnic {

Bus::~Bus() {
  if (base_ != nullptr) {
    ::munmap(base_, registers_.bytes());
  }
}

Outcome Bus::map_registers(int fd, std::uint64_t bytes) {
  constexpr std::uint64_t most = std::uint64_t{1} << 30;
  if (bytes < function::bytes + stream::bytes || bytes > most || bytes % function::bytes != 0) {
    return Error{Exit::failed, "cannot use the registers of the key device",
                 "their size, " + std::to_string(bytes) + " bytes, is not one of docs/kmnic.md", where_,
                 "check that this is a key-manager NIC"};
  }
  void* const base = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (base == MAP_FAILED) {
    return system_error(errno, "cannot map the registers of the key device", where_);
  }
  (void)::madvise(base, bytes, MADV_DONTFORK);
  base_ = base;
  registers_ = Registers(base, bytes);
  return done;
}

}  // namespace ssn::kmnic
