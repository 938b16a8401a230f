// SPDX-License-Identifier: BSD-3-Clause
// Everything that a node has of one peer in one epoch: key streams, both directions, all streams of frames.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "packet_ends.h"
#include "ssn/protocol/association.h"
#include "ssn/protocol/catch_up.h"
#include "stream_ends.h"
#include "test_key_stream.h"

namespace ssn::sim {

/// A stream as one node sees it.
struct LocalStream {
  StreamContext context;  ///< but for the keys
  FrameBook* in = nullptr;
  FrameBook* out = nullptr;
};

/// How fast the key devices of both ends deliver, in one round.
struct KeySupply {
  bool send = true;
  bool receive = true;
  bool generous = false;
};

class Connection {
 public:
  static constexpr std::uint64_t window = 512;

  Connection(const protocol::Agreement& agreement, std::uint32_t own_id, const Plan& plan,
             const std::vector<LocalStream>& streams, TestRandom& random);
  /// Ends all streams; checks that accounts balance and nothing is left.
  ~Connection();

  /// Delivers keys. False: the key device failed, and the epoch must end.
  bool poll(const KeySupply& supply, TestRandom& random);
  /// The key device lost its place: this end gets other bytes from here on.
  void desynchronise();
  void fail_device();
  /// Feeds frames, walks the pipeline. Packets for the wire: stream, share, bytes.
  struct Packet {
    std::size_t stream = 0;
    Outgoing outgoing;
  };
  /// `turn`: whose it is to offer frames, calmly, if they all came; none: everybody's, in haste.
  std::vector<Packet> send_round(unsigned frames, std::optional<std::size_t> turn, std::uint64_t now);
  /// One packet of this connection, or what claims to be one: parsed, and of this key index.
  void arrive(std::span<const std::uint8_t> packet, std::uint64_t object, std::uint64_t now);
  void receive_round(std::uint64_t now);
  /// The peer says over the control channel how many masks it has taken.
  void hear(const Connection& peer) noexcept;
  /// After every step. `deep`: counts every bit.
  void check(bool deep) const;
  bool idle() const;
  /// What one end of a stream counts; for reports.
  std::string describe_sender(std::uint64_t stream) const;
  std::string describe_receiver(std::uint64_t stream) const;
  bool jobs_in_flight() const;
  void count_marks(Marks& marks) const;

  protocol::StreamMarks& marks(std::size_t at) { return marks_[at]; }
  const Ksid& ksid(std::size_t at) const { return ksid_[at]; }
  std::uint16_t key_index() const { return key_index_; }
  std::uint32_t own_id() const { return own_id_; }
  bool desynchronised() const { return desynchronised_; }

 private:
  void check_erased() const;

  Recorder& recorder_;
  Marks& coverage_;
  std::uint16_t key_index_;
  std::uint32_t own_id_;
  bool desynchronised_ = false;
  Ksid ksid_[4];
  Ksid random_ksid_;
  test::TestKeyStream d_out_, a_out_, d_in_, a_in_, random_stream_;
  protocol::StreamMarks marks_[5];
  hw::SecretBuffer memory_[3];
  protocol::PadSender pads_out_;
  protocol::TagSender tags_out_;
  protocol::PadReceiver pads_in_;
  protocol::TagReceiver tags_in_;
  protocol::PadSender random_;
  protocol::PacketHistory history_;
  protocol::SendKeys send_;
  protocol::ReceiveKeys receive_;
  protocol::ReceiveProgress progress_;
  protocol::CatchUp catch_up_;
  std::uint64_t peer_tag_keys_ = 0;
  protocol::PacketCounters sent_, received_;
  std::vector<std::uint64_t> ids_;
  std::vector<std::unique_ptr<SendingStream>> senders_;
  std::vector<std::unique_ptr<ReceivingStream>> receivers_;
  std::vector<std::vector<protocol::Cell*>> inbox_;
};

}  // namespace ssn::sim
