// SPDX-License-Identifier: BSD-3-Clause
// What the host sends: datagrams over links, and what it says by itself.
#pragma once

#include <algorithm>
#include <array>
#include <cassert>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

#include "ssn/dataplane/host.h"

namespace ssn::dataplane {

/// The reasons of encapsulate().
inline constexpr HostDrop output_drops[] = {HostDrop::neighbour_unresolved, HostDrop::neighbour_failed,
                                            HostDrop::payload_too_long};

struct Encapsulated {
  HostDrop reason = HostDrop::none;                   ///< or why the datagram cannot be sent now
  NeighbourTable::Ask ask = NeighbourTable::Ask::no;  ///< send write_solicitation() as well, in either case
  std::uint8_t header_bytes = 0;                      ///< written in front of the payload
  std::uint8_t l2_bytes = 0;
  std::uint8_t l3_bytes = 0;
  bool ip_checksum_by_port = false;   ///< the port is to be told to fill these in
  bool udp_checksum_by_port = false;  ///< the field holds the sum of the pseudo-header, as ports want it
  std::uint16_t port = 0;
};

/// Writes Ethernet, IP and UDP headers in front of `payload`, which has max_link_header bytes of room before
/// it. The source port is 49152 + the worker's index (modulo 16384), so that a receiver's RSS keeps the
/// packets of one sending worker together; to a guest it is the port that he sends to. Don't-fragment is set;
/// nothing is ever fragmented.
Encapsulated encapsulate(HostWorker& worker, std::uint32_t link, std::uint8_t* payload, std::uint32_t bytes,
                         std::uint64_t now) noexcept;

/// The same for datagrams of one burst that leave over one link: what they have in common is looked up and
/// written once. Short-lived: the next hop may be another one later.
class Encapsulator {
 public:
  Encapsulator(HostWorker& worker, std::uint32_t link, std::uint64_t now) noexcept;

  /// What they have in common: everything, or why none of them can be sent now. `header_bytes` and those
  /// behind it are set where `reason` is none.
  const Encapsulated& common() const noexcept { return common_; }
  /// What write() may write to in front of a payload.
  std::uint32_t room() const noexcept { return std::max<std::uint32_t>(usual_bytes, common_.header_bytes); }
  bool fits(std::uint32_t bytes) const noexcept { return bytes <= link_->max_payload; }
  /// Writes the headers in front of a payload that fits, as encapsulate() does. common().reason is none.
  void write(std::uint8_t* payload, std::uint32_t bytes) noexcept {
    assert(common_.reason == HostDrop::none && fits(bytes));
    if (bytes != bytes_) [[unlikely]] {
      set_length(bytes);
    }
    // The upper 64 bytes of the room, whatever the headers' length is: four stores on a cache line.
    std::memcpy(payload - usual_bytes, template_.data() + max_link_header - usual_bytes, usual_bytes);
    if (common_.header_bytes > usual_bytes || sums_payload_) [[unlikely]] {
      finish(payload, bytes);
    }
  }

 private:
  static constexpr std::uint32_t usual_bytes = 64;
  static constexpr std::uint32_t no_length = 0xFFFFFFFF;
  static_assert(max_link_header >= usual_bytes);

  void prepare(const EthernetAddress& to, std::uint32_t source_port) noexcept;
  void set_length(std::uint32_t bytes) noexcept;
  void finish(std::uint8_t* payload, std::uint32_t bytes) noexcept;
  std::uint8_t* header() noexcept { return template_.data() + max_link_header - common_.header_bytes; }

  const HostLink* link_;
  Encapsulated common_;
  bool sums_payload_ = false;        // the UDP checksum is ours to make
  std::uint32_t bytes_ = no_length;  // of the payload that the template is for
  // Ends where the payload begins, whatever its length.
  std::array<std::uint8_t, max_link_header> template_{};
};

/// An ARP request or a neighbour solicitation for an entry of the neighbour table. Returns the frame's
/// length, at most max_host_frame; `out` has that much room. Counts it.
std::uint32_t write_solicitation(HostWorker& worker, std::uint32_t neighbour, NeighbourTable::Ask ask,
                                 std::span<std::uint8_t> out) noexcept;

/// Says to all of a port's network that we have an address: an ARP announcement (RFC 5227, 3) or an
/// unsolicited neighbour advertisement (RFC 4861, 7.2.6).
std::uint32_t write_announcement(HostWorker& worker, const HostPort& port, const IpAddress& address,
                                 std::span<std::uint8_t> out) noexcept;

/// What the host says without being asked: announces each address `announcements` times at start, and keeps
/// the next hops known. One worker of a host has one.
class HostTimer {
 public:
  explicit HostTimer(HostWorker& worker, unsigned announcements = 3) noexcept;

  struct Due {
    std::uint16_t port = 0;
    std::uint32_t length = 0;  ///< 0: nothing is due
  };
  /// The next frame to send, if any is due now; ask until there is none. When nothing is due this costs one
  /// comparison.
  Due next(std::uint64_t now, std::span<std::uint8_t> out) noexcept;
  /// When to ask again.
  std::uint64_t wake_at() const noexcept { return wake_at_; }

 private:
  bool next_announcement(std::uint64_t now, std::span<std::uint8_t> out, Due& due) noexcept;
  bool next_solicitation(std::uint64_t now, std::span<std::uint8_t> out, Due& due) noexcept;

  HostWorker* worker_;
  unsigned announcements_left_;
  std::size_t port_cursor_ = 0;
  std::size_t address_cursor_ = 0;
  std::uint32_t neighbour_cursor_ = 0;
  std::uint64_t announce_at_ = 0;
  std::uint64_t scan_at_ = 0;
  std::uint64_t wake_at_ = 0;
};

}  // namespace ssn::dataplane
