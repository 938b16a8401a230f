// SPDX-License-Identifier: BSD-3-Clause
// Sends by one packet socket: a burst in one system call, runs of datagrams of a flow as one frame. Used by
// one worker; statistics by any thread.
#pragma once

#include <sys/socket.h>

#include <array>
#include <cstdint>

#include "frame_header.h"
#include "ssn/dataplane/packet.h"
#include "statistics.h"
#include "udp_run.h"

namespace ssn::dataplane {

class SendQueue {
 public:
  static constexpr std::uint16_t packets_max = 64;  ///< that one system call sends
  static constexpr unsigned parts_max = 256;        ///< pieces of memory that they lie in, headers included

  /// `fd` stays the caller's. `segments`: the kernel knows runs.
  SendQueue(int fd, bool segments) noexcept : fd_(fd), segments_(segments) {}
  SendQueue(const SendQueue&) = delete;
  SendQueue& operator=(const SendQueue&) = delete;

  /// As PortDevice::transmit. Packets are only read; others may hold them, too.
  std::uint16_t transmit(Packet** packets, std::uint16_t count) noexcept;
  const SendStatistics& statistics() const noexcept { return statistics_; }

 private:
  struct Header {
    FrameHeader note;
    std::uint8_t bytes[udp_headers_max];
  };
  struct Entry {
    std::uint16_t end;    // behind its last packet
    std::uint32_t bytes;  // of all of them
  };

  std::uint16_t build(Packet* const* packets, std::uint16_t count) noexcept;
  bool add_alone(const Packet& packet) noexcept;
  std::uint16_t add_run(Packet* const* packets, std::uint16_t count, const UdpFrame& first) noexcept;
  std::uint16_t send() noexcept;
  void close_entry(unsigned first_part, std::uint16_t end, std::uint32_t bytes) noexcept;
  std::uint16_t start_of(unsigned entry) const noexcept {
    return entry == 0 ? std::uint16_t{0} : entries_[entry - 1].end;
  }

  const int fd_;
  bool segments_;
  unsigned count_ = 0;  // of entries
  unsigned parts_ = 0;
  std::array<mmsghdr, packets_max> messages_{};
  std::array<Entry, packets_max> entries_{};
  std::array<Header, packets_max> headers_{};
  std::array<iovec, parts_max> iovecs_{};
  SendStatistics statistics_;
};

}  // namespace ssn::dataplane
