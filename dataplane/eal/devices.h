// SPDX-License-Identifier: BSD-3-Clause
// What drivers of soft ports leave to whoever uses them.
#pragma once

#include <string>
#include <vector>

#include "ssn/dataplane/eal.h"
#include "ssn/dataplane/port.h"

namespace ssn::dataplane {

/// A vhost or memif port listens on a socket in the file system; one that a killed process left is in the
/// way. Removes it when nobody listens; refused: somebody does, or it is no socket.
Outcome remove_stale_socket(const PortConfiguration& port, const DeviceArguments& device);

/// Sets the MTU of an interface of the kernel; does nothing where it has that MTU.
Outcome set_interface_mtu(const PortConfiguration& port, const std::string& interface);
/// The Ethernet address of an interface of the kernel. False: errno says why.
bool interface_address(const std::string& interface, MacAddress& address);
/// Whether an interface of the kernel is up and has a carrier.
bool interface_is_running(const std::string& interface);

/// The packet sockets of this process, which af_packet ports do not tell. A worker that sleeps polls them.
struct PacketSocket {
  int fd = -1;
  int interface = 0;
};
using PacketSockets = std::vector<PacketSocket>;
PacketSockets packet_sockets();
/// Those of `interface` that were not there before, in the order in which they were made.
std::vector<int> new_packet_sockets(const PacketSockets& before, const std::string& interface);

}  // namespace ssn::dataplane
