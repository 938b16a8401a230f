// SPDX-License-Identifier: BSD-3-Clause
// A port that is open: a device of DPDK that receives and sends Ethernet frames. No header of DPDK: nodes ask
// what they must know once, when the graph is built.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "ssn/dataplane/configuration.h"
#include "ssn/hw/result.h"

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
};

/// Opened and closed by the control thread; const members: any thread. Its queues belong to workers.
class Port {
 public:
  std::string name;
  std::string device;       ///< as configured
  std::string driver;       ///< DPDK's name: "net_af_packet"
  std::string interface{};  ///< of the kernel, where there is one
  std::uint32_t index = 0;  ///< in the configuration; PacketArea and traces use it
  std::uint16_t id = 0;     ///< DPDK's
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

  /// The longest frame: MTU, Ethernet header and one VLAN tag.
  std::uint32_t frame_max() const noexcept { return mtu + 18; }
};

}  // namespace ssn::dataplane
