// SPDX-License-Identifier: BSD-3-Clause
// A data plane in one process that is its own peer: EAL, ports, one worker, the IP host and wire mode as
// ssn-dataplane has them, and one connection whose sender and receiver have the same key streams. No agent,
// no ledger: what the ledger would have written ahead is granted at once.
#pragma once

#include <memory>
#include <string>

#include "engine.h"
#include "host_part.h"
#include "probe.h"
#include "ssn/dataplane/connection.h"
#include "ssn/dataplane/wire.h"
#include "ssn/hw/key_device.h"
#include "ssn/protocol/wire_stream.h"
#include "traffic.h"

namespace ssn::bench {

struct WorldOptions {
  std::string scheme = "systematic";
  unsigned k = 3;
  unsigned n = 5;
  std::uint32_t cell = 1344;
  std::string random = "stream";
  std::string offload = "cpu";  ///< or "none": the kernels are called by the protocol
  unsigned core = 1;
  unsigned main_core = 0;
  std::uint64_t pad_ring_bytes = std::uint64_t{8} << 20;
  std::string folder;  ///< for files of DPDK

  unsigned data_blocks() const noexcept { return scheme == "rs" ? k : 1; }
  /// Frames that fill a block and leave nothing: one for each data block.
  std::uint32_t frame_bytes() const noexcept;
};

class World {
 public:
  /// Everything but the traffic, which its ports get here. `keys`: an open device that calls itself
  /// peer_name.
  static Result<std::unique_ptr<World>> make(const WorldOptions& options, hw::KeyDevice& keys,
                                             Traffic& traffic, std::shared_ptr<Probe> probe);
  World(const World&) = delete;
  World& operator=(const World&) = delete;
  ~World();

  static constexpr const char* peer_name = "bench-b";

  dataplane::Worker& worker() noexcept { return engine_.worker(); }
  hw::OffloadDevice& offload() noexcept { return offload_; }
  const kernels::Implementation& kernels() const noexcept { return *kernels_; }
  protocol::WireStream stream() const;
  bool huge_pages() const noexcept { return engine_.huge_pages(); }
  std::uint64_t counter(std::string_view name) const { return engine_.counters().value(name); }
  std::vector<dataplane::Counters::Value> drops() const { return engine_.counters().read("drop."); }

 private:
  explicit World(WorldOptions options) : options_(std::move(options)) {}
  Outcome configure();
  Outcome make_wire();
  Outcome build(std::shared_ptr<Probe> probe);
  Outcome connect(hw::KeyDevice& keys);

  WorldOptions options_;
  dataplane::Configuration configuration_;
  const kernels::Implementation* kernels_ = nullptr;
  hw::OffloadDevice offload_;
  Engine engine_;
  std::unique_ptr<dataplane::HostPart> host_;
  std::unique_ptr<dataplane::WireMode> wire_;
  std::unique_ptr<dataplane::Connection> connection_;
};

}  // namespace ssn::bench
