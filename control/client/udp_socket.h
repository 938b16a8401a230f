// SPDX-License-Identifier: BSD-3-Clause
// A UDP socket that talks to one peer, in bursts: one system call for many packets, and one way through the
// kernel for as many of one length as it takes together (UDP_SEGMENT) or gives together (UDP_GRO), where it
// can.
#pragma once

#include <sys/uio.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "ssn/dataplane/ip_address.h"
#include "ssn/hw/file_descriptor.h"
#include "ssn/hw/result.h"

namespace ssn::client {

/// Never blocks. One thread.
class UdpSocket {
 public:
  static constexpr std::size_t max_burst = 64;

  /// Bound to the address from which `peer` is reached, and to any port. Talks to `peer`.
  static Result<UdpSocket> make(const dataplane::IpEndpoint& peer);
  /// From now on talks to another peer, which is reached from the same address.
  Outcome connect(const dataplane::IpEndpoint& peer);

  const dataplane::IpEndpoint& local() const noexcept { return local_; }
  int fd() const noexcept { return fd_.get(); }

  /// Sends whole packets, at most max_burst. How many were taken, the first ones; fewer: ask poll(). What the
  /// network refuses for now counts as sent, and is lost; a packet longer than the path takes is an error.
  Result<std::size_t> send(std::span<const iovec> packets) noexcept;
  /// Whether packets of one length are given to the kernel together. It turns itself off where the kernel or
  /// the device refuses.
  void set_segmentation(bool wanted) noexcept { segmentation_ = wanted; }
  bool segmentation() const noexcept { return segmentation_; }
  /// Receives packets into `room`, at most max_burst, and sets each iov_len to the length of what came. A
  /// packet that is longer than its room has length 0. How many; 0: ask poll(). Costs least where packets are
  /// as long as their room.
  Result<std::size_t> receive(std::span<iovec> room) noexcept;
  /// Packets are here already for which there was no room; poll() does not know of them.
  bool has_more() const noexcept { return rest_.at != rest_.end; }

 private:
  struct Burst;
  struct Arrival {
    bool any = false;
    std::size_t bytes = 0;
    std::size_t segment = 0;  // of each packet but the last; 0: it is one packet
  };
  // What came together and has not been given out yet.
  struct Rest {
    std::unique_ptr<std::uint8_t[]> bytes;
    std::size_t at = 0, end = 0, segment = 0;
  };
  UdpSocket() = default;
  void receive_together() noexcept;
  Result<Arrival> take(std::span<const iovec> room) noexcept;
  std::size_t give_out(std::span<iovec> room, const Arrival& came) noexcept;
  std::size_t give_rest(std::span<iovec> room) noexcept;
  Result<std::size_t> receive_single(std::span<iovec> room) noexcept;

  hw::FileDescriptor fd_;
  dataplane::IpEndpoint local_;
  bool segmentation_ = true;
  bool together_ = false;  // packets may come together
  bool ending_ = false;    // those that are on their way are the last ones
  unsigned single_ = 0;    // that came so one after another
  Rest rest_;
};

}  // namespace ssn::client
