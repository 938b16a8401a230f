// SPDX-License-Identifier: BSD-3-Clause
// Receives from one packet socket: frames come into a staging buffer, in which a run of datagrams is one
// frame, and leave it as packets. Used by one worker; statistics by any thread.
#pragma once

#include <sys/socket.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>

#include "frame_header.h"
#include "ssn/dataplane/packet.h"
#include "statistics.h"
#include "udp_split.h"

namespace ssn::dataplane {

class ReceiveQueue {
 public:
  /// Frames that one system call brings.
  static constexpr unsigned frames_max = 16;

  struct Setup {
    int fd = -1;  ///< stays the caller's
    rte_mempool* pool = nullptr;
    std::uint16_t port = 0;  ///< what packets are marked with
    bool completes_checksums =
        false;  ///< those that the kernel left open; otherwise the packet's flags say so
  };
  explicit ReceiveQueue(const Setup& setup);
  ~ReceiveQueue();
  ReceiveQueue(const ReceiveQueue&) = delete;
  ReceiveQueue& operator=(const ReceiveQueue&) = delete;

  std::uint16_t receive(Packet** packets, std::uint16_t count) noexcept;
  const ReceiveStatistics& statistics() const noexcept { return statistics_; }

 private:
  struct Slot;

  bool fill() noexcept;
  bool take(Slot& slot, std::uint32_t length, int flags) noexcept;
  void begin_next() noexcept;
  std::uint16_t put_split(Packet** packets, std::uint16_t count) noexcept;
  std::uint16_t put_whole(Packet** packets) noexcept;

  const Setup setup_;
  const std::uint32_t packet_room_;
  std::unique_ptr<Slot[]> slots_;
  std::array<mmsghdr, frames_max> messages_{};
  unsigned staged_ = 0;  // frames in slots
  unsigned next_ = 0;    // the frame that is begun, or will be
  bool begun_ = false;
  bool splits_ = false;         // the frame that is begun
  std::uint32_t datagram_ = 0;  // of `split_`, that is next
  UdpSplit split_;
  ReceiveStatistics statistics_;
};

}  // namespace ssn::dataplane
