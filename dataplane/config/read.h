// SPDX-License-Identifier: BSD-3-Clause
// The parts of reading a configuration. Each notes its errors in the Config that its tables belong to.
#pragma once

#include "ssn/dataplane/configuration.h"
#include "ssn/hw/config.h"

namespace ssn::dataplane {

// read_process.cpp
void read_process(const hw::ConfigTable& root, Configuration& configuration);

// read_ports.cpp
void read_ports(const hw::ConfigTable& root, Configuration& configuration);
void read_bridges(const hw::ConfigTable& root, Configuration& configuration);

// read_streams.cpp; the ports are there.
void read_peers(const hw::ConfigTable& root, Configuration& configuration);
void read_streams(const hw::ConfigTable& root, Configuration& configuration);

/// "host:port" or "[IPv6]:port".
bool good_endpoint(std::string_view text) noexcept;
/// The names of all ports as "client, link1", for messages.
std::string port_names(const Configuration& configuration);

}  // namespace ssn::dataplane
