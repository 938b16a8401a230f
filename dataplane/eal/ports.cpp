// SPDX-License-Identifier: BSD-3-Clause
#include "ssn/dataplane/ports.h"

#include <fmt/core.h>

#include <algorithm>

#include "ethdev.h"
#include "packet_socket/packet_socket.h"

namespace ssn::dataplane {
std::string format(const MacAddress& address) {
  return fmt::format("{:02x}:{:02x}:{:02x}:{:02x}:{:02x}:{:02x}", address[0], address[1], address[2],
                     address[3], address[4], address[5]);
}

Result<std::unique_ptr<Ports>> Ports::open(const Configuration& configuration, unsigned workers,
                                           rte_mempool& pool) {
  std::unique_ptr<Ports> ports(new Ports);
  for (const PortConfiguration& one : configuration.ports) {
    if (Outcome outcome = ports->open_one(one, workers, pool); !outcome.ok()) {
      return outcome.error();
    }
  }
  return ports;
}

Outcome Ports::open_one(const PortConfiguration& configuration, unsigned workers, rte_mempool& pool) {
  auto port = std::make_unique<Port>();
  port->name = configuration.name;
  port->device = configuration.device;
  port->index = static_cast<std::uint32_t>(ports_.size());
  const auto own_id = static_cast<std::uint16_t>(own_ids + port->index);
  Outcome outcome = device_arguments(configuration).driver == "packet_socket"
                        ? open_packet_socket(configuration, workers, own_id, pool, *port)
                        : open_ethdev(configuration, workers, pool, *port);
  // Also one that was opened halfway is closed with the others.
  if (port->io != nullptr) {
    ports_.push_back(std::move(port));
  }
  return outcome;
}

Ports::~Ports() {
  while (!ports_.empty()) ports_.pop_back();
}

const Port* Ports::find(std::string_view name) const noexcept {
  const auto found =
      std::find_if(ports_.begin(), ports_.end(), [&](const auto& port) { return port->name == name; });
  return found == ports_.end() ? nullptr : found->get();
}

LinkStatus Ports::link_status(const Port& port) { return port.io->link_status(); }

PortStatistics Ports::statistics(const Port& port) { return port.io->statistics(); }

}  // namespace ssn::dataplane
