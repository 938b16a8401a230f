// SPDX-License-Identifier: BSD-3-Clause
// A packet in the pipeline: an mbuf of DPDK with a private area of ours behind it.
//
//   | mbuf 128 | Cell | PacketArea | headroom | frame ... | tailroom |
//
// All of them lie on cache lines, so that Cell and mbuf are a constant distance apart. The private area of a
// packet that a port received holds whatever its last use left there: a node that reads it must have made
// sure that a node before it wrote it. Only what Packet::ol_flags says is always true.
//
// l2_len, l3_len and l4_len of the mbuf are the lengths of its headers once a node has found them.
// Nothing here locks, allocates beyond the pool's cache, or makes a system call.
#pragma once

#include <rte_mbuf.h>

#include <cassert>
#include <cstddef>
#include <cstdint>

#include "ssn/protocol/cell.h"

namespace ssn::dataplane {

using Packet = rte_mbuf;

/// Ours, in the private area of each packet.
struct alignas(64) PacketArea {
  std::uint32_t trace;       ///< number of the traced packet; valid where is_traced()
  std::uint16_t worker;      ///< for a handoff node: whose packet it is
  std::uint16_t stream;      ///< index of the stream or link it belongs to, between nodes that agree on it
  std::uint64_t arrival_ns;  ///< worker's clock, where a node asked for it
  void* owner;               ///< between nodes that agree on it: connection, neighbour, ...
  std::uint64_t words[4];    ///< between nodes that agree on it
};
static_assert(sizeof(PacketArea) == 64);

inline constexpr std::size_t cell_offset = sizeof(rte_mbuf);
inline constexpr std::size_t area_offset = cell_offset + sizeof(protocol::Cell);
inline constexpr std::size_t private_bytes = sizeof(protocol::Cell) + sizeof(PacketArea);
static_assert(sizeof(rte_mbuf) % 64 == 0 && sizeof(protocol::Cell) % 64 == 0);
static_assert(RTE_PKTMBUF_HEADROOM >= protocol::overhead_bytes + 14 + 40 + 8,
              "room for the header and tag of a share, UDP, IPv6 and Ethernet");

/// The bit of ol_flags that marks a traced packet. Drivers clear it when they receive into an mbuf, pools
/// when they give one out. start_eal() reserves it.
inline constexpr unsigned trace_bit = 40;
inline constexpr std::uint64_t trace_flag = std::uint64_t{1} << trace_bit;

inline protocol::Cell& cell_of(Packet& packet) noexcept {
  return *reinterpret_cast<protocol::Cell*>(reinterpret_cast<std::uint8_t*>(&packet) + cell_offset);
}
inline Packet& packet_of(protocol::Cell& cell) noexcept {
  return *reinterpret_cast<Packet*>(reinterpret_cast<std::uint8_t*>(&cell) - cell_offset);
}
inline PacketArea& area_of(Packet& packet) noexcept {
  return *reinterpret_cast<PacketArea*>(reinterpret_cast<std::uint8_t*>(&packet) + area_offset);
}

inline std::uint8_t* data_of(Packet& packet) noexcept { return rte_pktmbuf_mtod(&packet, std::uint8_t*); }
/// Of the whole frame.
inline std::uint32_t length_of(const Packet& packet) noexcept { return packet.pkt_len; }
/// All of it lies where data_of() says. Ports of ours receive nothing else.
inline bool is_contiguous(const Packet& packet) noexcept { return packet.nb_segs == 1; }
inline std::uint16_t headroom_of(const Packet& packet) noexcept { return rte_pktmbuf_headroom(&packet); }
inline std::uint16_t tailroom_of(const Packet& packet) noexcept { return rte_pktmbuf_tailroom(&packet); }

/// Makes room for `bytes` more at the front and says where they are; there must be as much headroom.
inline std::uint8_t* prepend(Packet& packet, std::uint16_t bytes) noexcept {
  assert(bytes <= headroom_of(packet));
  packet.data_off = static_cast<std::uint16_t>(packet.data_off - bytes);
  packet.data_len = static_cast<std::uint16_t>(packet.data_len + bytes);
  packet.pkt_len += bytes;
  return data_of(packet);
}
/// Takes `bytes` off the front of a contiguous packet, which has as many.
inline void strip(Packet& packet, std::uint16_t bytes) noexcept {
  assert(bytes <= packet.data_len);
  packet.data_off = static_cast<std::uint16_t>(packet.data_off + bytes);
  packet.data_len = static_cast<std::uint16_t>(packet.data_len - bytes);
  packet.pkt_len -= bytes;
}
/// Gives a contiguous packet the length `bytes`, for which there must be room behind data_of().
inline void set_length(Packet& packet, std::uint16_t bytes) noexcept {
  assert(packet.nb_segs == 1 && bytes <= packet.buf_len - packet.data_off);
  packet.data_len = bytes;
  packet.pkt_len = bytes;
}

/// The host's number of the link that a payload is to leave over, from the node that says so to link_output.
/// In the mbuf's first cache line, which both write anyway.
inline void set_link(Packet& packet, std::uint32_t link) noexcept { packet.hash.usr = link; }
inline std::uint32_t link_of(const Packet& packet) noexcept { return packet.hash.usr; }

inline bool is_traced(const Packet& packet) noexcept { return (packet.ol_flags & trace_flag) != 0; }
/// `packet` was made out of `from`: it is traced when that is.
inline void inherit_trace(Packet& packet, Packet& from) noexcept {
  if (is_traced(from)) [[unlikely]] {
    packet.ol_flags |= trace_flag;
    area_of(packet).trace = area_of(from).trace;
  }
}

/// One packet, empty, with its headroom. Null when the pool is used up.
inline Packet* allocate(rte_mempool& pool) noexcept { return rte_pktmbuf_alloc(&pool); }
/// All `count` packets or none.
inline bool allocate(rte_mempool& pool, Packet** packets, std::uint16_t count) noexcept {
  return rte_pktmbuf_alloc_bulk(&pool, packets, count) == 0;
}
/// The same, touching only the first cache line of each: for a node that says itself what is in them. Where
/// the data is and how long is not set, nor is anything that no flag speaks of.
inline bool allocate_bare(rte_mempool& pool, Packet** packets, std::uint16_t count) noexcept {
  if (rte_mempool_get_bulk(&pool, reinterpret_cast<void**>(packets), count) != 0) return false;
  for (std::uint16_t i = 0; i < count; ++i) {
    // What lies in a pool is one segment with one owner.
    assert(rte_mbuf_refcnt_read(packets[i]) == 1 && packets[i]->nb_segs == 1);
    packets[i]->port = RTE_MBUF_PORT_INVALID;
    packets[i]->ol_flags &= RTE_MBUF_F_EXTERNAL;
  }
  return true;
}
/// All or none, with their Cells fetched as well: of packets that were used long ago each line would be
/// waited for alone.
inline bool allocate_fetched(rte_mempool& pool, Packet** packets, std::uint16_t count) noexcept {
  if (rte_mempool_get_bulk(&pool, reinterpret_cast<void**>(packets), count) != 0) return false;
  for (std::uint16_t i = 0; i < count; ++i) {
    const auto* const lines = reinterpret_cast<const std::uint8_t*>(packets[i]);
    for (std::size_t at = 0; at < area_offset; at += RTE_CACHE_LINE_SIZE) __builtin_prefetch(lines + at, 1);
  }
  for (std::uint16_t i = 0; i < count; ++i) {
    assert(rte_mbuf_refcnt_read(packets[i]) == 1 && packets[i]->nb_segs == 1);
    rte_pktmbuf_reset(packets[i]);
  }
  return true;
}
inline void release(Packet& packet) noexcept { rte_pktmbuf_free(&packet); }
inline void release(Packet** packets, std::uint16_t count) noexcept {
  if (count == 0) return;
  // What nearly all are goes back without a look at the second line of the mbuf: in one piece, ours alone.
  rte_mempool* const pool = packets[0]->pool;
  bool plain = true;
  for (std::uint16_t i = 0; i < count; ++i) {
    const Packet& packet = *packets[i];
    plain = plain && packet.pool == pool && rte_mbuf_refcnt_read(&packet) == 1 && packet.nb_segs == 1 &&
            RTE_MBUF_DIRECT(&packet);
  }
  if (plain) [[likely]] {
    rte_mempool_put_bulk(pool, reinterpret_cast<void**>(packets), count);
  } else {
    rte_pktmbuf_free_bulk(packets, count);
  }
}

/// A fresh packet as a cell whose payload begins on a cache line behind the whole headroom.
inline protocol::Cell* fresh_cell(Packet& packet) noexcept {
  protocol::Cell& cell = cell_of(packet);
  cell.data = static_cast<std::uint8_t*>(packet.buf_addr) + RTE_PKTMBUF_HEADROOM;
  cell.target = cell.data;
  cell.length = 0;
  cell.headroom = RTE_PKTMBUF_HEADROOM;
  cell.tailroom = static_cast<std::uint16_t>(packet.buf_len - RTE_PKTMBUF_HEADROOM);
  cell.target_room = cell.tailroom;
  return &cell;  // `memory` is the packet's for good: Eal::mark_packets()
}

/// Makes the packet hold `bytes` bytes from `data` on, which lies in its buffer.
inline void frame_packet(Packet& packet, const std::uint8_t* data, std::uint32_t bytes) noexcept {
  packet.data_off = static_cast<std::uint16_t>(data - static_cast<std::uint8_t*>(packet.buf_addr));
  packet.data_len = static_cast<std::uint16_t>(bytes);
  packet.pkt_len = bytes;
}

}  // namespace ssn::dataplane
