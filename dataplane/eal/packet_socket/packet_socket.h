// SPDX-License-Identifier: BSD-3-Clause
// Ports on an interface of the kernel: packet sockets that send and receive runs of UDP datagrams as one
// frame. "packet_socket,iface=NAME[,segmentation=on|off]"
#pragma once

#include "ssn/dataplane/eal.h"
#include "ssn/dataplane/port.h"

namespace ssn::dataplane {

/// Opens the sockets. `id`: what received packets are marked with.
Outcome open_packet_socket(const PortConfiguration& configuration, unsigned workers, std::uint16_t id,
                           rte_mempool& pool, Port& port);

}  // namespace ssn::dataplane
