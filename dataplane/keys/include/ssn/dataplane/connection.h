// SPDX-License-Identifier: BSD-3-Clause
// A connection: everything that one worker needs of one peer in one epoch. Four key streams (pads and tag
// keys, out and in) with their ends of the protocol, in memory that is locked and erased.
//
// Who touches what:
//   - the key service makes it, follows its marks with the ledger, attaches it to its worker
//     (connection_sink.h), and destroys it when the worker has let go of it;
//   - from attach to let_go() the worker owns send keys, receive keys and streams, and nobody else touches
//     them. It adds receiving() to its ConnectionTable, seals with sending(), and calls service() once a
//     burst, which also tells the key service what it has to know through atomic numbers;
//   - what was agreed on (peer(), epoch(), ...) never changes and is read by anybody.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "ssn/dataplane/published.h"
#include "ssn/dataplane/random_stream.h"
#include "ssn/dataplane/stream_report.h"
#include "ssn/hw/key_device.h"
#include "ssn/hw/secret_buffer.h"
#include "ssn/kernels/kernels.h"
#include "ssn/protocol/catch_up.h"
#include "ssn/protocol/ledger_state.h"
#include "ssn/protocol/opener.h"
#include "ssn/protocol/sealer.h"
#include "ssn/protocol/stream_marks.h"

namespace ssn::dataplane {

/// The order of a connection's streams: that of protocol::Agreement::streams.
enum ConnectionStream : std::uint8_t { pads_out = 0, tag_keys_out = 1, pads_in = 2, tag_keys_in = 3 };
inline constexpr std::size_t connection_streams = 4;

// Connection ids, chosen by the receiver: the place in every worker's table, the worker, and a part that a
// process draws at its start, so that packets of the process before find nobody.
//   bits 0..8 place (from 0)   bits 9..14 worker   bits 15..31 drawn, never 0
inline constexpr std::uint32_t connection_places = 512;
constexpr std::uint32_t make_connection_id(std::uint32_t place, std::uint32_t worker,
                                           std::uint32_t drawn) noexcept {
  return (drawn % 0x1ffff + 1) << 15 | (worker & 63) << 9 | (place & (connection_places - 1));
}
/// Which worker of the receiver has the connection of a packet.
constexpr std::uint32_t worker_of(std::uint32_t connection_id) noexcept { return connection_id >> 9 & 63; }

/// Sizes and limits. Rings are powers of two; a device may narrow them.
struct ConnectionLimits {
  std::uint64_t pad_ring_bytes = std::uint64_t{8} << 20;
  /// 0: the least that holds the window, twice: 32 bytes a packet and twice that.
  std::uint64_t tag_ring_bytes = 0;
  std::uint32_t window = 16384;  ///< packets that may overtake each other; a power of two, 64 to 2^19
  hw::RingMemory::Pages pages = hw::RingMemory::Pages::huge_if_available;

  std::uint64_t tag_ring() const noexcept {
    return tag_ring_bytes != 0 ? tag_ring_bytes : std::uint64_t{window} * 64;
  }
};

/// What both ends agreed on for one worker.
struct ConnectionTerms {
  std::string peer;
  std::uint16_t peer_index = 0;  ///< in the key service's configuration
  std::uint16_t worker = 0;
  std::uint64_t epoch = 0;
  std::uint16_t key_index = 0;
  std::uint32_t local_id = 0;  ///< that the peer writes into its packets; this node chose it
  std::uint32_t peer_id = 0;   ///< that this node writes into its packets
  std::uint32_t longest_range = 0;
  std::uint32_t peer_window = 0;
  std::array<protocol::Ksid, connection_streams> ksids{};
  protocol::ShortagePolicy shortage = protocol::ShortagePolicy::refuse;
  bool permit_computational = false;  ///< packets of the peer under AES-256-GCM are opened
};

/// Why a connection can no longer be used; noticed by its worker.
enum class ConnectionFailure : std::uint8_t {
  none,
  send_stream,     ///< the key device ended a stream that this node seals with
  receive_stream,  ///< or opens with
  random_stream,
  alarm,  ///< see alarm()
};

/// All numbers that a worker publishes.
struct ConnectionSnapshot {
  std::array<StreamReport, connection_streams> streams{};
  StreamReport random{};            ///< zeros where there is none
  std::uint64_t sent_next = 0;      ///< packet number
  std::uint64_t received_next = 0;  ///< highest packet number accepted, plus one
  std::uint64_t skips = 0;          ///< how often it went ahead to where the peer is
};

class Connection {
 public:
  /// Opens the four streams at `device` and makes everything over them. Control path: blocks, allocates,
  /// locks memory. `random` may be null. Errors are the device's, or no memory can be locked.
  static Result<std::unique_ptr<Connection>> open(hw::KeyDevice& device, ConnectionTerms terms,
                                                  const ConnectionLimits& limits,
                                                  const kernels::Implementation& implementation,
                                                  std::shared_ptr<RandomStream> random = nullptr);
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;
  /// Erases. Only after let_go(), or when no worker ever had it.
  ~Connection();

  // ---- Anybody, at any time.
  const ConnectionTerms& terms() const noexcept { return terms_; }
  const std::string& peer() const noexcept { return terms_.peer; }
  std::uint16_t worker() const noexcept { return terms_.worker; }
  std::uint64_t epoch() const noexcept { return terms_.epoch; }
  /// The weakest of the devices that its keys and its random bytes come from. Until that is known for sure,
  /// a second after the first keys, it may be less.
  enum ssn_protection protection() const noexcept { return protection_.load(std::memory_order_relaxed); }
  /// The newest numbers of the worker; nothing before its first.
  std::optional<ConnectionSnapshot> snapshot() const noexcept { return published_.read(); }
  std::uint64_t snapshots() const noexcept { return published_.count(); }

  // ---- The worker, from attach on until let_go(). Nothing here allocates, locks or makes a system call.
  /// To seal with; null until the peer has said that it can open what comes.
  protocol::SendKeys* sending() noexcept {
    return may_send_.load(std::memory_order_acquire) ? &send_ : nullptr;
  }
  /// The same at any time: to make what seals with them. Nothing is sealed before sending() gives them.
  protocol::SendKeys& send_keys() noexcept { return send_; }
  /// To be added to the worker's ConnectionTable, and removed before let_go().
  protocol::ReceiveConnection& receiving() noexcept { return receive_connection_; }
  /// The ring of a stream, for an offload device; until let_go().
  ssn_memory memory(ConnectionStream stream) const noexcept { return streams_[stream].memory(); }
  /// Random blocks; null where the configuration asks for none.
  RandomStream* random() noexcept { return random_.get(); }
  /// Once a burst, and at least every second: takes in keys, gives room back, notices failures, finds its
  /// place again where it was lost (catch_up.h). `now_ns`: any clock that only grows; numbers are published
  /// every snapshot_ns.
  void service(std::uint64_t now_ns) noexcept;
  static constexpr std::uint64_t snapshot_ns = 10'000'000;
  /// The worker's last call: it holds no pointer into this object any more, in no table, job or packet.
  void let_go() noexcept;
  /// For the worker's own use: whatever it keeps for this connection.
  void* worker_data = nullptr;

  // ---- The key service.
  void permit_sending() noexcept { may_send_.store(true, std::memory_order_release); }
  /// What the device claims by now.
  void weigh(enum ssn_protection device) noexcept {
    protection_.store(random_ ? std::min(device, random_->protection()) : device, std::memory_order_relaxed);
  }
  /// The peer's word, over the control channel, of how far it has sent.
  void peer_has_sent(std::uint64_t pads, std::uint64_t tag_keys) noexcept {
    peer_pads_.store(pads, std::memory_order_relaxed);
    peer_tag_keys_.store(tag_keys, std::memory_order_relaxed);
  }
  bool sending_permitted() const noexcept { return may_send_.load(std::memory_order_relaxed); }
  bool has_let_go() const noexcept { return let_go_.load(std::memory_order_acquire); }
  ConnectionFailure failure() const noexcept { return failure_.load(std::memory_order_acquire); }
  protocol::EpochAlarm alarm() const noexcept { return alarm_.load(std::memory_order_acquire); }
  protocol::StreamMarks& marks(std::size_t stream) noexcept { return marks_[stream]; }
  /// After let_go(): erases what is left of all streams, which ends them, and says where their bytes went.
  /// Not of the random stream, which other connections may share.
  ConnectionSnapshot close() noexcept;

 private:
  explicit Connection(ConnectionTerms terms) : terms_(std::move(terms)) {}
  Outcome open_streams(hw::KeyDevice& device, const ConnectionLimits& limits);
  Outcome make_ends(const ConnectionLimits& limits, const kernels::Implementation& implementation);
  Outcome make_computational();
  void fail(ConnectionFailure failure) noexcept;
  void publish() noexcept;
  ConnectionSnapshot numbers() const noexcept;

  const ConnectionTerms terms_;
  std::atomic<enum ssn_protection> protection_{SSN_PROTECTION_EMULATED};
  std::array<protocol::StreamMarks, connection_streams> marks_;
  std::array<hw::KeyStream, connection_streams> streams_;
  hw::SecretBuffer send_tag_memory_;
  hw::SecretBuffer receive_tag_memory_;
  hw::SecretBuffer history_memory_;
  std::shared_ptr<RandomStream> random_;
  // Above them what they point to.
  std::optional<protocol::PadSender> send_pads_;
  std::optional<protocol::TagSender> send_tags_;
  std::optional<protocol::PadReceiver> receive_pads_;
  std::optional<protocol::TagReceiver> receive_tags_;
  std::optional<protocol::PacketHistory> history_;
  std::unique_ptr<protocol::GcmSender> gcm_sender_;
  std::unique_ptr<protocol::GcmReceiver> gcm_receiver_;
  protocol::SendKeys send_;
  protocol::ReceiveKeys receive_;
  protocol::ReceiveConnection receive_connection_;
  std::uint64_t published_ns_ = 0;
  protocol::CatchUp catch_up_;

  std::atomic<std::uint64_t> peer_pads_{0};
  std::atomic<std::uint64_t> peer_tag_keys_{0};
  std::atomic<bool> may_send_{false};
  std::atomic<bool> let_go_{false};
  std::atomic<ConnectionFailure> failure_{ConnectionFailure::none};
  std::atomic<protocol::EpochAlarm> alarm_{protocol::EpochAlarm::none};
  Published<ConnectionSnapshot> published_;
};

}  // namespace ssn::dataplane
