// SPDX-License-Identifier: BSD-3-Clause
// The keys of one direction between this node and a peer, as the commands that seal and open files use them:
// a key device, a D and an A stream, their marks in the ledger, and the protocol's cursors over them.
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>

#include "node_configuration.h"
#include "ssn/hw/key_device.h"
#include "ssn/hw/secret_buffer.h"
#include "ssn/ledger/file_ledger.h"
#include "ssn/protocol/opener.h"
#include "ssn/protocol/sealer.h"

namespace ssn::cli {

/// Names the two streams; equal at both ends.
struct StreamNames {
  std::string peer;
  hw::Ksid pads{};
  hw::Ksid tag_keys{};
};

/// What became of the keys of both streams.
struct KeyAccounts {
  protocol::KeyAccount pads;
  protocol::KeyAccount tag_keys;
};

/// What both directions have in common. Not moved: the protocol's objects point into it. One thread.
class KeyChannel {
 public:
  KeyChannel(const KeyChannel&) = delete;
  KeyChannel& operator=(const KeyChannel&) = delete;

  /// What the device claims.
  const ssn_key_device_info& info() const noexcept { return info_; }

  /// Takes in what was delivered and brings the ledger up to date; call once a burst. `progressed`: something
  /// went on since the last call; otherwise waits a little. key_material when nothing went on for `patience`,
  /// and at once when the streams have ended.
  Outcome refill(bool progressed, std::chrono::milliseconds patience);

 protected:
  using Clock = std::chrono::steady_clock;

  explicit KeyChannel(StreamNames names) : names_(std::move(names)) {}
  ~KeyChannel() = default;

  Outcome open_streams(const NodeConfiguration& node, ssn_key_role role);
  Outcome open_ledger(const NodeConfiguration& node, ssn_key_role role);
  void attach();
  Outcome end_epoch();
  /// `all`: gives everything back that is done with. False: a stream has ended.
  virtual bool poll(bool all) noexcept = 0;
  Error shortage(const char* why, const char* fix) const;

  StreamNames names_;
  hw::KeyDevice device_;
  ssn_key_device_info info_{};
  hw::KeyStream pad_stream_;
  hw::KeyStream tag_stream_;
  protocol::StreamMarks pad_marks_;
  protocol::StreamMarks tag_marks_;
  hw::SecretBuffer tag_memory_;
  hw::SecretBuffer check_memory_;
  std::optional<ledger::FileLedger> ledger_;
  protocol::PacketCounters counters_;
  Clock::time_point last_progress_ = Clock::now();
};

class SendChannel final : public KeyChannel {
 public:
  static Result<std::unique_ptr<SendChannel>> open(const NodeConfiguration& node, const StreamNames& names,
                                                   std::uint32_t connection_id,
                                                   const kernels::Implementation& implementation);
  /// Seals as many of `cells` as keys allow now.
  std::size_t seal(std::span<protocol::Cell* const> cells);
  /// Erases what is left, writes it into the ledger, and says where all keys went.
  Result<KeyAccounts> close();

 private:
  using KeyChannel::KeyChannel;
  bool poll(bool all) noexcept override;

  std::optional<protocol::PadSender> pads_;
  std::optional<protocol::TagSender> tags_;
  std::optional<protocol::Sealer> sealer_;
  protocol::SendKeys keys_;
};

class ReceiveChannel final : public KeyChannel {
 public:
  static Result<std::unique_ptr<ReceiveChannel>> open(const NodeConfiguration& node, const StreamNames& names,
                                                      std::uint32_t connection_id,
                                                      const kernels::Implementation& implementation);
  void open_packets(std::span<protocol::Cell* const> cells);
  Result<KeyAccounts> close();

 private:
  using KeyChannel::KeyChannel;
  bool poll(bool all) noexcept override;

  static constexpr std::uint32_t window_packets = 1024;

  std::optional<protocol::PadReceiver> pads_;
  std::optional<protocol::TagReceiver> tags_;
  hw::SecretBuffer history_memory_;
  std::optional<protocol::PacketHistory> history_;
  std::optional<protocol::Opener> opener_;
  protocol::ReceiveKeys keys_;
  protocol::ReceiveConnection connection_;
  protocol::ConnectionTable table_{1};
};

}  // namespace ssn::cli
