// SPDX-License-Identifier: BSD-3-Clause
// A port that is open: a device that receives and sends Ethernet frames. No header of DPDK: nodes ask what
// they must know once, when the graph is built.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "ssn/dataplane/configuration.h"
#include "ssn/hw/result.h"

struct rte_mbuf;
struct rte_mempool;

namespace ssn::dataplane {

using MacAddress = std::array<std::uint8_t, 6>;
std::string format(const MacAddress& address);

/// What the device does by itself and was told to do.
struct PortOffloads {
  bool receive_ipv4_checksum = false;  ///< ol_flags say whether the IPv4 header's checksum is right
  bool receive_udp_checksum = false;   ///< and that of UDP
  bool send_ipv4_checksum = false;     ///< fills it in where ol_flags ask for it
  bool send_udp_checksum = false;
};

struct LinkStatus {
  bool up = false;
  std::uint64_t bits_per_second = 0;  ///< 0: unknown
};

struct PortStatistics {
  std::uint64_t rx_packets = 0, rx_bytes = 0, rx_missed = 0, rx_errors = 0, rx_no_memory = 0;
  std::uint64_t tx_packets = 0, tx_bytes = 0, tx_errors = 0;
  std::uint64_t rx_runs = 0, tx_runs = 0;  ///< frames that carried several datagrams
};

/// What moves the frames: a device of DPDK, or one of ours. One virtual call a burst. Closed when it is
/// destroyed; no worker uses it any more then.
class PortDevice {
 public:
  PortDevice() = default;
  PortDevice(const PortDevice&) = delete;
  PortDevice& operator=(const PortDevice&) = delete;
  virtual ~PortDevice() = default;

  // ---- The worker of the queue.
  /// Puts up to `count` frames into `packets`, which the caller owns then, and says how many. A frame that is
  /// longer than one packet may be a chain of several.
  virtual std::uint16_t receive(std::uint16_t queue, rte_mbuf** packets, std::uint16_t count) noexcept = 0;
  /// Only where Port::offloads promise checksums: how many from the front can be sent as they are.
  virtual std::uint16_t prepare(std::uint16_t queue, rte_mbuf** packets, std::uint16_t count) noexcept = 0;
  /// Sends frames in their order; says how many from the front it took, which are its own from then on.
  virtual std::uint16_t transmit(std::uint16_t queue, rte_mbuf** packets, std::uint16_t count) noexcept = 0;
  /// Before and after the worker sleeps, where Port::has_interrupts.
  virtual void arm(std::uint16_t queue) noexcept = 0;
  virtual void disarm(std::uint16_t queue) noexcept = 0;

  // ---- Any thread.
  virtual LinkStatus link_status() const = 0;
  virtual PortStatistics statistics() const = 0;
};

/// Opened and closed by the control thread; const members: any thread. Its queues belong to workers.
class Port {
 public:
  std::string name;
  std::string device;       ///< as configured
  std::string driver;       ///< as in DPDK: "net_af_packet"
  std::string interface{};  ///< of the kernel, where there is one
  std::uint32_t index = 0;  ///< in the configuration; PacketArea and traces use it
  std::uint16_t id = 0;     ///< of packets that it received: DPDK's, where the device is DPDK's
  MacAddress mac{};
  std::uint32_t mtu = 0;
  std::uint16_t receive_queues = 0;
  std::uint16_t send_queues = 0;
  int numa_node = -1;
  PortOffloads offloads;
  /// Of each receive queue: becomes readable when there are packets; -1: there is none, look again.
  std::vector<int> wake_fds;
  /// Where wake_fds are interrupts of the device, which must be armed before sleeping.
  bool has_interrupts = false;
  rte_mempool* pool = nullptr;  ///< packets are received into it
  std::unique_ptr<PortDevice> io;

  /// The longest frame: MTU, Ethernet header and one VLAN tag.
  std::uint32_t frame_max() const noexcept { return mtu + 18; }
};

}  // namespace ssn::dataplane
