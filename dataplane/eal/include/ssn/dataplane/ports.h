// SPDX-License-Identifier: BSD-3-Clause
// All ports of the process, opened and closed together. No header of DPDK. Control thread, but for what says
// otherwise.
#pragma once

#include <memory>
#include <string_view>
#include <vector>

#include "ssn/dataplane/port.h"

namespace ssn::dataplane {

class Ports {
 public:
  /// Port::id of ports that DPDK does not number: this and their index.
  static constexpr std::uint16_t own_ids = 64;

  /// Opens the devices, makes their queues and starts them. `pool`: what they receive goes there.
  static Result<std::unique_ptr<Ports>> open(const Configuration& configuration, unsigned workers,
                                             rte_mempool& pool);
  /// Stops and closes them. No worker uses them any more.
  ~Ports();
  Ports(const Ports&) = delete;
  Ports& operator=(const Ports&) = delete;

  /// In the order of the configuration; addresses do not change.
  const std::vector<std::unique_ptr<Port>>& all() const noexcept { return ports_; }
  const Port* find(std::string_view name) const noexcept;

  /// Any thread.
  static LinkStatus link_status(const Port& port);
  static PortStatistics statistics(const Port& port);

 private:
  Ports() = default;
  Outcome open_one(const PortConfiguration& configuration, unsigned workers, rte_mempool& pool);

  std::vector<std::unique_ptr<Port>> ports_;
};

}  // namespace ssn::dataplane
