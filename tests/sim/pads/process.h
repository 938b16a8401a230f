// SPDX-License-Identifier: BSD-3-Clause
// One life of one node: everything that a crash takes.
#pragma once

#include <deque>
#include <list>
#include <memory>
#include <optional>
#include <string>

#include "crash_disk.h"
#include "oracle.h"
#include "packet_ends.h"
#include "ssn/protocol/association.h"
#include "test_key_stream.h"

namespace ssn::sim {

using test::CrashDisk;
using test::TestRandom;

/// The streams of one epoch, at one node, and what was sealed with them.
class Epoch {
 public:
  static constexpr std::uint64_t window = 256;
  static constexpr std::size_t d_ring = 64 * 1024;
  static constexpr std::size_t a_ring = 16 * 1024;

  struct Sent {  // until it is acknowledged
    protocol::Cell cell;
    Bytes buffer;
    Bytes plain;
  };

  Epoch(Oracle& oracle, const std::vector<protocol::StreamRecord>& streams, std::uint16_t key_index,
        std::uint32_t connection_out, std::uint32_t connection_in);
  ~Epoch();

  void deliver(TestRandom& random);
  /// Each gives packets for the wire.
  std::vector<Bytes> seal(TestRandom& random);
  std::vector<Bytes> seal_keep(TestRandom& random, bool abort);
  std::vector<Bytes> retransmit(TestRandom& random);
  /// Takes pad and mask for a message, and gives the message up.
  void give_up(TestRandom& random);
  void acknowledged(std::uint64_t d_offset);
  /// Everything below this offset was acknowledged or given up.
  std::uint64_t outstanding_from() const;

  struct Opened {
    protocol::OpenResult result = protocol::OpenResult::none;
    std::uint64_t d_offset = 0;
  };
  Opened open(const Bytes& packet, std::uint64_t process);

  Oracle& oracle;
  Ksid ksid[4];
  test::TestKeyStream d_out, a_out, d_in, a_in;
  protocol::StreamMarks marks[4];
  hw::SecretBuffer memory[5];
  protocol::PadSender pads_out;
  protocol::TagSender tags_out;
  protocol::PadReceiver pads_in;
  protocol::TagReceiver tags_in;
  protocol::PacketHistory history;
  protocol::SendKeys send;
  protocol::ReceiveKeys receive;
  protocol::ReceiveConnection connection;
  protocol::ConnectionTable table{16};
  protocol::PacketCounters sent_counters, open_counters;
  protocol::Sealer sealer;
  protocol::Opener opener;
  std::list<Sent> outstanding;

 private:
  Bytes record(const protocol::Cell& cell);
};

struct Statistics {
  std::uint64_t runs = 0, crashes = 0, restores = 0, clones = 0, epochs = 0, alarms = 0;
  std::uint64_t sealed = 0, retransmitted = 0, kept = 0, given_up = 0, opened = 0, repeated = 0;
};

class Process {
 public:
  Process(Oracle& oracle, Statistics& statistics, CrashDisk& disk, const std::string& name,
          const std::string& peer, TestRandom random);
  ~Process();

  /// Takes the association's events in; opens and ends streams. True when something happened.
  bool handle_events();
  protocol::Contribution contribution();

  std::uint64_t number;  // of all processes of this run
  std::string name, peer;
  CrashDisk& disk;
  TestRandom random;
  protocol::Ledger ledger;
  protocol::InstanceId instance{};
  protocol::Association association;
  std::unique_ptr<Epoch> epoch;
  bool writing = false;  // a batch is on its way to the disk
  std::vector<protocol::AssociationEvent> alarms;
  bool just_established = false;

 private:
  void open_streams(const std::vector<protocol::StreamRecord>& streams, std::uint64_t epoch_number);
  Oracle& oracle_;
  Statistics& statistics_;
};

}  // namespace ssn::sim
