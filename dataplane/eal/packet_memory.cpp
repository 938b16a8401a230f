// SPDX-License-Identifier: BSD-3-Clause
// The pool of packets as memory that a device may touch. It stays EAL's: ports that share memory with others
// (vhost-user, memif) know only that.
#include <fmt/core.h>
#include <rte_errno.h>
#include <rte_memory.h>
#include <rte_mempool.h>
#include <sys/mman.h>

#include <algorithm>
#include <cassert>
#include <cerrno>

#include "ssn/dataplane/eal.h"
#include "ssn/dataplane/packet.h"
#include "ssn/offload_device.h"

namespace ssn::dataplane {
namespace {

struct Piece {
  std::uintptr_t begin = 0;
  std::uintptr_t end = 0;
  std::uint64_t page_bytes = 0;
};

std::uint64_t page_bytes_at(const void* address) noexcept {
  const rte_memseg_list* const list = ::rte_mem_virt2memseg_list(address);
  return list != nullptr ? list->page_sz : 4096;
}

// A callback of DPDK: one more piece of the pool, in whole pages.
void collect(rte_mempool*, void* pieces, rte_mempool_memhdr* memory, unsigned) {
  const auto begin = reinterpret_cast<std::uintptr_t>(memory->addr);
  const std::uint64_t page = page_bytes_at(memory->addr);
  static_cast<std::vector<Piece>*>(pieces)->push_back(
      {begin / page * page, (begin + memory->len + page - 1) / page * page, page});
}

std::vector<Piece> pieces_of(rte_mempool& pool) {
  std::vector<Piece> pieces;
  ::rte_mempool_mem_iter(&pool, collect, &pieces);
  std::sort(pieces.begin(), pieces.end(), [](const Piece& a, const Piece& b) { return a.begin < b.begin; });
  std::vector<Piece> joined;
  for (const Piece& each : pieces) {
    if (!joined.empty() && each.begin <= joined.back().end && each.page_bytes == joined.back().page_bytes) {
      joined.back().end = std::max(joined.back().end, each.end);
    } else {
      joined.push_back(each);
    }
  }
  return joined;
}

// The file behind a piece and where in it that begins, if all of it lies there in one run.
void find_file(const Piece& piece, ssn_memory& memory) {
  const auto segment_at = [](std::uintptr_t address) {
    void* const at = reinterpret_cast<void*>(address);
    return ::rte_mem_virt2memseg(at, ::rte_mem_virt2memseg_list(at));
  };
  int fd = -1;
  std::size_t first = 0;
  for (std::uintptr_t at = piece.begin; at < piece.end; at += piece.page_bytes) {
    const rte_memseg* const segment = segment_at(at);
    std::size_t offset = 0;
    if (segment == nullptr || ::rte_memseg_get_fd_offset(segment, &offset) != 0) return;
    const int own = ::rte_memseg_get_fd(segment);
    if (at == piece.begin) {
      fd = own;
      first = offset;
    }
    if (own < 0 || own != fd || offset != first + (at - piece.begin)) return;
  }
  memory.fd = fd;
  memory.fd_offset = first;
}

struct Marks {
  const std::vector<ssn_memory>& pieces;
  const std::vector<std::uint32_t>& handles;
};

// A callback of DPDK: one packet of the pool.
void mark(rte_mempool*, void* marks, void* object, unsigned) {
  const Marks& given = *static_cast<const Marks*>(marks);
  Packet& packet = *static_cast<Packet*>(object);
  const auto at = reinterpret_cast<std::uintptr_t>(packet.buf_addr);
  std::uint32_t handle = SSN_OFFLOAD_UNREGISTERED;
  for (std::size_t i = 0; i < given.handles.size(); ++i) {
    const auto begin = reinterpret_cast<std::uintptr_t>(given.pieces[i].base);
    if (at >= begin && at + packet.buf_len <= begin + given.pieces[i].bytes) handle = given.handles[i];
  }
  cell_of(packet).memory = handle;
}

}  // namespace

Result<std::vector<ssn_memory>> Eal::packet_memory() const {
  std::vector<ssn_memory> all;
  for (const Piece& piece : pieces_of(*packets_)) {
    ssn_memory memory{};
    memory.base = reinterpret_cast<void*>(piece.begin);
    memory.bytes = piece.end - piece.begin;
    memory.page_bytes = piece.page_bytes;
    memory.fd = -1;
    memory.numa_node = -1;
    if (::mlock(memory.base, memory.bytes) != 0) {
      Error error =
          system_error(errno, fmt::format("cannot lock {} bytes of packets", memory.bytes), "mlock()");
      error.fix = "raise the limit of locked memory (ulimit -l, LimitMEMLOCK=), or use huge pages";
      return error;
    }
    find_file(piece, memory);
    all.push_back(memory);
  }
  return all;
}

void Eal::mark_packets(const std::vector<ssn_memory>& pieces, const std::vector<std::uint32_t>& handles) {
  assert(handles.empty() || handles.size() == pieces.size());
  Marks marks{pieces, handles};
  ::rte_mempool_obj_iter(packets_, mark, &marks);
}

}  // namespace ssn::dataplane
