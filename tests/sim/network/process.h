// SPDX-License-Identifier: BSD-3-Clause
// One life of one node: everything that a crash takes.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "connection.h"
#include "crash_disk.h"
#include "ssn/protocol/association.h"

namespace ssn::sim {

using test::CrashDisk;

/// What outlives processes.
struct WorldParts {
  const Plan* plan = nullptr;
  Recorder* recorder = nullptr;
  Marks* marks = nullptr;
  /// By stream, then direction: 0 from its `a` to its `b`.
  std::vector<std::unique_ptr<FrameBook>>* books = nullptr;
};

class Process {
 public:
  struct Peer {
    std::size_t node = 0;
    std::unique_ptr<protocol::Association> association;
    std::vector<std::size_t> streams;  ///< of the plan
    std::unique_ptr<Connection> connection;
  };

  Process(const WorldParts& parts, std::size_t node, std::uint64_t number, CrashDisk& disk,
          TestRandom random);
  ~Process();

  protocol::Contribution contribution();
  /// Takes events of associations in; opens and ends connections.
  void handle_events();
  /// Null: no peer of this node.
  Peer* peer(std::size_t node);
  static std::uint32_t connection_id(std::size_t receiver, std::size_t sender) {
    return static_cast<std::uint32_t>(0x100 + receiver * 0x10 + sender);
  }
  /// A packet from the network.
  void arrive(std::span<const std::uint8_t> packet, std::uint64_t now);
  bool associating() const;

  const std::size_t node;
  const std::uint64_t number;  ///< of all processes of the run
  TestRandom random;
  CrashDisk& disk;
  protocol::Ledger ledger;
  bool writing = false;
  std::vector<Peer> peers;

 private:
  void make_peers();
  void open(Peer& peer);
  hw::OffloadDevice* device() noexcept { return device_ ? &*device_ : nullptr; }

  WorldParts parts_;
  std::optional<hw::OffloadDevice> device_;  // none: no queue
  std::map<std::size_t, std::unique_ptr<protocol::StreamCode>> codes_;
};

}  // namespace ssn::sim
