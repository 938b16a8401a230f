// SPDX-License-Identifier: BSD-3-Clause
// One connection under one key index, both ways: TransportSender, TransportReceiver, sealing and the packets
// themselves put together, so that whoever has something to say to a peer only gives cells and takes cells.
// docs/transport.md says what is promised.
//
//   send(), post(), step() -> take_departures() -> the network -> Opener::open() -> arrived() -> the owner
//
// Whose a cell is. Cells come from the PacketPool. What send() accepted is the channel's, until it gives it
// back to the pool itself: the caller hears of that by its token, and never sees the cell again. What
// arrived() is given is the channel's too, but for those that it delivers. A departure is the port's; where
// `held` is true, the channel has the cell as well, and sends the same bytes again if it must.
//
// AES-256-GCM encrypts every transmission anew from the plaintext. Where the shortage policy permits it,
// send() therefore seals from the caller's cell into a second one from the pool. Was that sealed under pad,
// the first one goes back to the pool at once; under AES-256-GCM the first one is kept, in clear, until it is
// acknowledged, and each transmission is a cell of its own. So such a channel needs one more cell for each
// packet under way to its port, and no retransmission ever waits for a port.
//
// Time is an argument, in ns on any clock that only grows. One thread. Nothing allocates after construction.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "ssn/protocol/opener.h"
#include "ssn/protocol/packet_pool.h"
#include "ssn/protocol/sealer.h"
#include "ssn/protocol/transport_receiver.h"
#include "ssn/protocol/transport_sender.h"

namespace ssn::protocol {

/// A token that nothing is told of.
inline constexpr std::uint64_t no_token = UINT64_MAX;

/// Something to send: the cell's type is set to `type`; its placement, `data`, `length` and `headroom` are
/// the caller's. `source` may be null (then it is `data`) or lie elsewhere; it is read in send() only.
struct Parcel {
  Cell* cell = nullptr;
  std::uint64_t token = no_token;  ///< the caller's name for it
  std::uint64_t deadline_ns = UINT64_MAX;
  std::uint32_t cells = 1;    ///< that it takes of the receiver's credit
  bool until_stored = false;  ///< it is done with when it is durable at the peer, not when it arrived
  // Set when it was sent:
  PacketHandle handle{};               ///< see abandon()
  bool computational = false;          ///< under AES-256-GCM: the object's protection class is lowered
  PacketType type = PacketType::cell;  ///< cell or contribution
};

/// What became of a parcel or a post. Every accepted token comes once as received or as expired; one with
/// until_stored that was received comes once more: as stored, or as expired.
struct Settled {
  enum class How : std::uint8_t { received, stored, expired };
  std::uint64_t token = no_token;
  How how = How::received;
  ExpireReason reason = ExpireReason::deadline;  ///< where it expired
};

/// A packet for the network: cell->packet(), cell->packet_bytes().
struct Departure {
  Cell* cell = nullptr;
  /// The channel keeps it, too: the port gets one more reference, and the cell is not idle until the port
  /// gave that up. Otherwise the cell is the port's alone.
  bool held = false;
};

struct ChannelOptions {
  SenderOptions sender;            ///< key_index and computational are taken from the keys
  ReceiverOptions receiver;        ///< as well
  std::uint32_t departures = 512;  ///< that wait for the port at most; a power of two, at least 128
  std::uint64_t answer_deadline_ns = 1'000'000'000;  ///< how long "pad gone" is sent again
};

/// Plain numbers: one thread writes them. Those of the transport: sender(), receiver().
struct ChannelCounters {
  std::uint64_t delivered = 0;  ///< cells and messages that the owner got
  std::uint64_t refused = 0;    ///< of them, those that it had no room for
  std::uint64_t gone = 0;       ///< packets whose pad is not here: answered with PadGone
  std::uint64_t copied = 0;     ///< retransmissions of a copy, because a port still read the packet
  std::uint64_t postponed = 0;  ///< retransmissions that had to wait: no keys, cells or departures
  std::uint64_t no_cells = 0;   ///< the pool had none when one was needed
};

class Channel {
 public:
  /// Most cells of one call of send() and arrived().
  static constexpr std::size_t max_burst = Sealer::max_burst;

  /// Everything outlives it. The owner of the keys polls their streams; `receive` may be ended by an opener.
  Channel(const ChannelOptions& options, SendKeys& send, ReceiveKeys& receive, Sealer& sealer,
          PacketPool& pool, std::uint64_t now_ns);
  Channel(const Channel&) = delete;
  Channel& operator=(const Channel&) = delete;
  /// Gives every cell that is still its own back to the pool.
  ~Channel();

  /// How many parcels of `payload_bytes`, each taking `cells` of the credit, may be sent now, as far as
  /// transport, keys and departures go. Where keys are short and the policy is to refuse, one is allowed, so
  /// that send() says so.
  Allowance allowance(std::uint32_t payload_bytes, std::uint32_t cells, std::uint64_t now_ns) noexcept;

  /// Seals and sends cells of one length, at most max_burst. Returns how many; these are the first ones, and
  /// their cells are the channel's. The rest stay the caller's, and cell->seal_result says why: `waiting`
  /// where allowance() would have said 0, else what the sealer said.
  std::size_t send(std::span<Parcel> parcels, std::uint64_t now_ns) noexcept;

  /// Sends one order: parcel.cell has keep_order_bytes of room and a placement, parcel.cells says how many
  /// cells it stands for. On success the pad is in `share`; see Sealer::seal_order(). Never under
  /// AES-256-GCM.
  bool send_order(Parcel& parcel, const KeepOrder& order, std::span<std::uint8_t> share,
                  std::uint64_t now_ns) noexcept;
  /// The same with mask_order_bytes; the pad is in `mask`.
  bool send_order(Parcel& parcel, const MaskOrder& order, std::span<std::uint8_t> mask,
                  std::uint64_t now_ns) noexcept;

  /// Sends a message: read, delete_order, seal_order, answer, challenge. The payload is copied, and sent
  /// again until it was received or the deadline passed. It may arrive more than once. False: not now, no
  /// room or no keys; nothing was kept of it.
  bool post(PacketType type, const Placement& placement, std::span<const std::uint8_t> payload,
            std::uint64_t token, std::uint64_t deadline_ns, std::uint64_t now_ns,
            PacketHandle* handle = nullptr) noexcept;

  /// Its sender does not want it any more: it comes back as expired (abandoned), unless it arrived meanwhile.
  void abandon(PacketHandle handle) noexcept;

  /// What Opener::open() left of packets of this connection and key index, in their order; at most max_burst.
  /// Those for the owner are put into `delivered` (room for as many as were opened), and are the owner's:
  /// open results opened, kept, masked, contributed, and message of the types read, delete_order, seal_order,
  /// answer and challenge. Of the others nothing is left to do. Returns how many were delivered.
  std::size_t arrived(std::span<Cell* const> opened, std::uint64_t now_ns,
                      std::span<Cell*> delivered) noexcept;
  /// The owner has no room for a cell of the latest arrived(), and nothing else was called since. It is not
  /// acknowledged, so that its sender does not forget it: a message or a packet under AES-256-GCM comes
  /// again; one under pad cannot be opened twice, so its sender is told that the pad is gone. The cell goes
  /// back to the pool.
  void refuse(Cell& cell, std::uint64_t now_ns) noexcept;

  /// The contents of a delivered packet are durable: its header, and its Cell::range_length. False where
  /// there is no room to remember it: tell again later.
  bool stored(const PacketHeader& header, std::uint32_t range_length, std::uint64_t now_ns) noexcept;
  /// Cells that the owner has room for beyond those that were delivered.
  void set_credit(std::uint32_t cells, std::uint64_t now_ns) noexcept;

  /// Timers, retransmissions, acknowledgements, pings: once a round of the worker, behind arrived(), and when
  /// next_due() has come.
  void step(std::uint64_t now_ns) noexcept;
  /// When step() or allowance() will have something new to do; UINT64_MAX for never, 0 for now. Keys and
  /// ports have no timers: look again when they changed.
  std::uint64_t next_due() const noexcept;

  /// Packets for the network, in their order.
  std::size_t take_departures(std::span<Departure> out) noexcept;
  bool departing() const noexcept { return head_ != tail_; }
  /// Results; also gives the cells behind them back to the pool, so take them once a round, behind
  /// take_departures().
  std::size_t take_settled(std::span<Settled> out) noexcept;

  /// The keys were given up: all tokens come back, as expired with ExpireReason::ended unless they have
  /// arrived; nothing is sent any more, and nothing delivered. step() finds it out by itself when an opener
  /// ended the receiving keys, or when there are no keys for acknowledgements and never will be.
  void end(std::uint64_t now_ns) noexcept;
  bool ended() const noexcept { return sender_.ended(); }
  /// The peer does not answer.
  bool suspect() const noexcept { return sender_.suspect(); }
  /// Why the receiving keys were given up.
  EpochAlarm alarm() const noexcept { return receive_->alarm; }

  const TransportSender& sender() const noexcept { return sender_; }
  const TransportReceiver& receiver() const noexcept { return receiver_; }
  const ChannelCounters& counters() const noexcept { return counters_; }

 private:
  /// Of a packet that arrived, until it is told to the receiver.
  struct Arrival {
    const Cell* cell = nullptr;  ///< what refuse() knows it by
    PacketHeader header;
    std::uint32_t range_length = 0;
    OpenResult result = OpenResult::none;
  };

  bool seals_aside() const noexcept { return send_->policy == ShortagePolicy::aes_256_gcm; }
  std::size_t departures_left() const noexcept { return queue_.size() - (tail_ - head_); }
  void depart(Cell* cell, bool held) noexcept;
  Departure* queued(const Cell* cell) noexcept;
  bool let_go(const Cell* cell) noexcept;
  void release(Cell* cell) noexcept;
  Cell* fresh() noexcept;
  Allowance allow(std::uint32_t payload_bytes, std::uint32_t cells, std::uint32_t range_bytes,
                  std::uint64_t now_ns) noexcept;
  bool can_be_sent(const Cell& cell) const noexcept;
  template <typename Order>
  bool send_any_order(Parcel& parcel, const Order& order, std::size_t order_bytes,
                      std::span<std::uint8_t> out, std::uint64_t now_ns) noexcept;
  std::size_t send_in_place(std::span<Parcel> parcels, std::uint64_t now_ns) noexcept;
  std::size_t send_aside(std::span<Parcel> parcels, std::uint64_t now_ns) noexcept;
  void remember(Parcel& parcel, Cell* cell, std::uint64_t now_ns) noexcept;
  bool post_any(PacketType type, const Placement& placement, std::span<const std::uint8_t> payload,
                Parcel& parcel, std::uint64_t now_ns) noexcept;
  void tell_gone(const Cell& cell, std::uint64_t now_ns) noexcept;
  bool was_refused(const Cell& cell) const noexcept;
  void consume(Cell& cell, std::uint64_t now_ns) noexcept;
  void acknowledge_arrivals() noexcept;
  Cell* cell_to_send_again(Cell& packet) noexcept;
  bool retransmit(std::span<const LostPacket> lost) noexcept;
  void send_again(std::uint64_t now_ns) noexcept;
  Cell* seal_message(PacketType type, std::span<const std::uint8_t> payload, std::uint8_t flags) noexcept;
  void send_pings(std::uint64_t now_ns) noexcept;
  void send_acknowledgements(std::uint64_t now_ns) noexcept;
  void retry(std::uint64_t now_ns) noexcept { retry_ns_ = now_ns + options_.sender.granularity_ns; }

  ChannelOptions options_;
  SendKeys* send_;
  ReceiveKeys* receive_;
  Sealer* sealer_;
  PacketPool* pool_;
  TransportSender sender_;
  TransportReceiver receiver_;
  ChannelCounters counters_;
  std::vector<Departure> queue_;  // a ring
  std::uint64_t head_ = 0;
  std::uint64_t tail_ = 0;
  Acknowledgement acknowledgement_;
  std::array<Acknowledgement, TransportReceiver::most_acknowledgements> made_;
  std::array<Arrival, max_burst> arrivals_;
  /// D offsets of packets that were refused, the latest ones: where they begin, plus 1.
  std::array<std::uint64_t, 256> refused_{};
  std::size_t next_refused_ = 0;
  std::size_t arrival_count_ = 0;
  std::uint64_t arrived_ns_ = 0;
  Ping ping_;  // the latest of the arrivals
  bool pinged_ = false;
  bool mute_ = false;                    // there are no keys for messages any more
  std::uint64_t retry_ns_ = UINT64_MAX;  // what waits for keys, cells or a port has no timer
};

}  // namespace ssn::protocol
