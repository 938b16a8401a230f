// SPDX-License-Identifier: BSD-3-Clause
#include "host_memory.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <cstring>
#include <utility>

#include "layout.h"

namespace ssn::kme {

HostMapping::HostMapping(HostMapping&& other) noexcept
    : base_(std::exchange(other.base_, nullptr)),
      bytes_(std::exchange(other.bytes_, 0)),
      address_(std::exchange(other.address_, 0)) {}

HostMapping& HostMapping::operator=(HostMapping&& other) noexcept {
  std::swap(base_, other.base_);
  std::swap(bytes_, other.bytes_);
  std::swap(address_, other.address_);
  return *this;
}

HostMapping::~HostMapping() {
  if (base_ != nullptr) {
    ::munmap(base_, bytes_);
  }
}

int HostMapping::make(int fd, std::uint64_t fd_offset, std::uint64_t bytes, std::uint64_t page_bytes,
                      std::uint64_t address, HostMapping& mapping) noexcept {
  constexpr std::uint64_t most = std::uint64_t{1} << 47;
  const bool sane = std::has_single_bit(page_bytes) && page_bytes >= 4096 && bytes != 0 && bytes <= most &&
                    fd_offset <= most && address <= UINT64_MAX - bytes &&
                    (bytes | fd_offset | address) % page_bytes == 0;
  if (!sane) {
    return EINVAL;
  }
  struct stat status{};
  const int seals = ::fcntl(fd, F_GET_SEALS);
  if (seals < 0 || (seals & F_SEAL_SHRINK) == 0 || ::fstat(fd, &status) != 0 ||
      static_cast<std::uint64_t>(status.st_size) < fd_offset + bytes) {
    return EPERM;
  }
  void* const base =
      ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, static_cast<off_t>(fd_offset));
  if (base == MAP_FAILED) {
    return errno;
  }
  (void)::madvise(base, bytes, MADV_DONTDUMP);
  (void)::madvise(base, bytes, MADV_DONTFORK);
  mapping.base_ = static_cast<std::uint8_t*>(base);
  mapping.bytes_ = bytes;
  mapping.address_ = address;
  return 0;
}

std::uint8_t* HostMapping::at(std::uint64_t address, std::uint64_t length) const noexcept {
  const bool inside =
      address >= address_ && address - address_ < bytes_ && length <= bytes_ - (address - address_);
  return inside ? base_ + (address - address_) : nullptr;
}

int HostMemory::add(int fd, std::uint64_t fd_offset, std::uint64_t bytes, std::uint64_t page_bytes,
                    std::uint64_t address) {
  if (pieces_.size() == pieces_max_ || bytes > bytes_max_ - bytes_) {
    return ENOSPC;
  }
  for (const HostMapping& piece : pieces_) {
    const bool apart = address >= piece.address() + piece.bytes() ||
                       (address <= piece.address() && piece.address() - address >= bytes);
    if (!apart) {
      return EEXIST;
    }
  }
  HostMapping mapping;
  const int reason = HostMapping::make(fd, fd_offset, bytes, page_bytes, address, mapping);
  if (reason == 0) {
    bytes_ += bytes;
    pieces_.push_back(std::move(mapping));
  }
  return reason;
}

const HostMapping* HostMemory::find(std::uint64_t address) const noexcept {
  const auto found = std::find_if(pieces_.begin(), pieces_.end(),
                                  [&](const HostMapping& piece) { return piece.address() == address; });
  return found == pieces_.end() ? nullptr : &*found;
}

void HostMemory::remove(std::uint64_t address) noexcept {
  const auto found = std::find_if(pieces_.begin(), pieces_.end(),
                                  [&](const HostMapping& piece) { return piece.address() == address; });
  if (found != pieces_.end()) {
    bytes_ -= found->bytes();
    pieces_.erase(found);
  }
}

std::uint8_t* HostMemory::at(std::uint64_t address, std::uint64_t length) const noexcept {
  for (const HostMapping& piece : pieces_) {
    if (std::uint8_t* const pointer = piece.at(address, length); pointer != nullptr) {
      return pointer;
    }
  }
  return nullptr;
}

bool HostBuffer::resolve(const HostMemory& memory, std::uint64_t list, std::uint64_t bytes,
                         std::uint64_t page_bytes) {
  pages_.clear();
  page_bytes_ = page_bytes;
  std::uint64_t left = (bytes + page_bytes - 1) / page_bytes;
  while (left != 0) {
    const std::uint8_t* const page = memory.at(list, kmnic::list_page_bytes);
    if (page == nullptr || list % kmnic::list_page_bytes != 0) {
      return false;
    }
    std::array<std::uint64_t, kmnic::list_page_entries + 1> copy{};
    std::memcpy(copy.data(), page, kmnic::list_page_bytes);
    const std::uint64_t here = std::min<std::uint64_t>(left, kmnic::list_page_entries);
    for (std::uint64_t i = 0; i < here; ++i) {
      std::uint8_t* const target = memory.at(copy[i], page_bytes);
      if (target == nullptr || copy[i] % page_bytes != 0) {
        return false;
      }
      pages_.push_back(target);
    }
    left -= here;
    list = copy[kmnic::list_page_entries];
  }
  return true;
}

void HostBuffer::write(std::uint64_t at, const std::uint8_t* from, std::size_t length) const noexcept {
  while (length != 0) {
    const std::size_t here = std::min<std::size_t>(length, page_bytes_ - at % page_bytes_);
    std::memcpy(pointer(at), from, here);
    at += here;
    from += here;
    length -= here;
  }
}

bool HostBuffer::uses(const HostMapping& mapping) const noexcept {
  return std::any_of(pages_.begin(), pages_.end(),
                     [&](const std::uint8_t* page) { return mapping.holds(page); });
}

}  // namespace ssn::kme
