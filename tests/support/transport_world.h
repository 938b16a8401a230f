// SPDX-License-Identifier: BSD-3-Clause
// Connections with a Channel at both ends over links that lose, double, mix and delay packets by a seed, in
// virtual time. Every packet is sealed and opened for real, and every cell is followed. What is promised is
// checked at every step; the first thing that is wrong is kept.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <queue>
#include <string>
#include <vector>

#include "packet_ends.h"
#include "ssn/protocol/channel.h"
#include "ssn/protocol/session_keys.h"
#include "test_packet_pool.h"

namespace ssn::test {

inline constexpr std::uint64_t one_us = 1000;
inline constexpr std::uint64_t one_ms = 1'000'000;
inline constexpr std::uint64_t one_s = 1'000'000'000;

struct LinkOptions {
  unsigned loss_percent = 0;
  unsigned double_percent = 0;
  unsigned mix_percent = 0;  ///< of packets that come later by up to mix_ns
  std::uint64_t mix_ns = 200 * one_us;
  std::uint64_t delay_ns = 50 * one_us;
  std::uint64_t bytes_per_second = 1'250'000'000;
  std::uint64_t queue_bytes = 256 * 1024;
  bool cut = false;
};

/// One direction. Several connections may share it.
class Link {
 public:
  Link(LinkOptions given, std::uint64_t seed) : options(given), random_(seed) {}

  void send(Bytes packet, unsigned to, std::uint64_t now_ns);
  std::uint64_t next() const { return flying_.empty() ? UINT64_MAX : flying_.top().at_ns; }
  /// The next packet that has arrived by now; false for none.
  bool receive(std::uint64_t now_ns, Bytes& packet, unsigned& to);

  LinkOptions options;
  std::uint64_t sent = 0;
  std::uint64_t lost = 0;
  std::uint64_t bytes = 0;

 private:
  struct Flying {
    std::uint64_t at_ns;
    std::uint64_t order;
    unsigned to;
    Bytes packet;
    bool operator<(const Flying& other) const {
      return at_ns != other.at_ns ? at_ns > other.at_ns : order > other.order;
    }
  };

  TestRandom random_;
  std::priority_queue<Flying> flying_;
  std::uint64_t free_ns_ = 0;  // when the line is free
  std::uint64_t order_ = 0;
};

struct TransportOptions {
  protocol::SenderOptions sender;
  protocol::ReceiverOptions receiver;
  EndsOptions ends;
  std::uint32_t payload = 1344;
  bool until_stored = false;
  std::uint64_t store_ns = 2 * one_ms;               ///< the receiver's owner stores in batches that often
  std::uint32_t credit = 100000;                     ///< cells that the receiver's owner has room for
  std::uint64_t pad_bytes = std::uint64_t{1} << 40;  ///< that the key managers have at first
  bool cipher_only = false;                          ///< no pads but for keys: everything under AES-256-GCM
  bool session = false;                              ///< the same with SessionKeys, and no key device
  std::uint64_t port_ns = 0;                         ///< how long a port reads what it was given
  std::size_t pool_cells = 30000;                    ///< of each end
  std::uint32_t departures = 512;
};

/// One direction's user at its sending end, and the owner of what arrives at the other.
struct Traffic {
  std::uint64_t wanted = 0;                ///< packets to send
  std::uint64_t begun = 0;                 ///< sealed
  std::uint64_t deadline_ns = UINT64_MAX;  ///< after it was sealed
  std::uint64_t arrived = 0;               ///< different cells that were opened
  std::uint64_t twice = 0;                 ///< cells that were opened once more
  std::uint64_t received = 0;              ///< told to the sender's user
  std::uint64_t stored = 0;
  std::map<protocol::ExpireReason, std::uint64_t> expired;
  std::uint64_t finished() const {
    std::uint64_t out = 0;
    for (const auto& [reason, count] : expired) out += count;
    return out;
  }
};

/// One end: a Channel over what `out` seals with and `in` opens with.
class TransportEnd {
 public:
  struct Message {
    protocol::PacketType type;
    protocol::Placement placement;
    Bytes payload;
  };

  TransportEnd(const TransportOptions& options, PacketEnds& out, PacketEnds& in, protocol::SessionKeys* keys,
               Link& link, unsigned to);

  void receive(const Bytes& packet);
  /// Everything that can be done now.
  void work(std::uint64_t now_ns);
  std::uint64_t next_due() const;
  void give_up(std::uint64_t token);

  TransportOptions options;
  Traffic traffic;  ///< that this end sends
  TransportEnd* other = nullptr;
  TestPacketPool pool;
  protocol::Channel channel;
  const protocol::TransportSender& sender = channel.sender();
  const protocol::TransportReceiver& receiver = channel.receiver();
  std::uint32_t credit = 0;
  bool stores = true;
  bool departs = true;                                              ///< its port takes packets
  unsigned refuse_percent = 0;                                      ///< of what is delivered
  std::vector<Message> messages;                                    ///< that arrived
  std::vector<Bytes> kept;                                          ///< shares of keep orders that arrived
  std::map<std::uint64_t, std::vector<protocol::Settled>> settled;  ///< of tokens from first_own_token on
  std::string wrong;                                                ///< the first broken promise

  /// Tokens that the test itself uses for what it gives to the channel.
  static constexpr std::uint64_t first_own_token = std::uint64_t{1} << 40;

 private:
  struct Arrived {
    protocol::PacketHeader header;
    std::uint32_t range_length;
    std::uint64_t token;
  };
  struct AtPort {
    std::uint64_t done_ns;
    protocol::Cell* cell;
    Bytes packet;  // as it departed
  };

  void fail(const std::string& what) {
    if (wrong.empty()) wrong = what;
  }
  void open(std::uint64_t now_ns);
  void take_in(protocol::Cell& cell, std::uint64_t now_ns);
  void opened(const protocol::Cell& cell, std::uint64_t now_ns);
  void store(std::uint64_t now_ns);
  void send_new(std::uint64_t now_ns);
  void transmit(std::uint64_t now_ns);
  void compare(const protocol::Cell& cell);
  void take_results();
  void settle(const protocol::Settled& each);

  PacketEnds& out_;
  PacketEnds& in_;
  Link& link_;
  unsigned to_;
  TestRandom random_{7};
  hw::SecretBuffer share_;
  std::vector<protocol::Cell*> inbox_;
  std::deque<AtPort> at_port_;
  std::map<std::uint64_t, protocol::PacketHandle> handles_;
  std::map<std::uint64_t, Bytes> first_;  // packets as they were first sent, by range or by what they say
  std::vector<bool> received_tokens_, stored_tokens_, expired_tokens_;
  std::vector<std::uint8_t> opened_tokens_;
  std::vector<Arrived> unstored_;
  std::uint64_t store_at_ = UINT64_MAX;

  std::vector<bool> durable_tokens_;  // of what arrived
};

class TransportWorld {
 public:
  TransportWorld(const TransportOptions& options, const LinkOptions& there, const LinkOptions& back,
                 std::uint64_t seed, unsigned connections = 1);

  /// Goes on until `done()`, or `limit_ns` of virtual time have passed; false then, or when something is
  /// wrong.
  template <typename Done>
  bool run(std::uint64_t limit_ns, Done done) {
    const std::uint64_t end = now_ns + limit_ns;
    for (work(); !done(); work()) {
      if (!advance(end)) return false;
    }
    return true;
  }
  /// Everything that was wanted has come to an end, both ways.
  bool finished() const;
  /// Nothing is waited for, and every cell is at home.
  bool quiet() const;
  std::string wrong() const;

  std::uint64_t now_ns = one_s;
  Link there, back;
  /// Two for each connection: the one that sends there, the one that sends back.
  std::vector<std::unique_ptr<PacketEnds>> keys;
  std::vector<std::unique_ptr<protocol::SessionKeys>> session_keys;  ///< where there are no others
  std::vector<std::unique_ptr<TransportEnd>> ends;

 private:
  void make_session(std::size_t at);
  void work();
  bool advance(std::uint64_t end_ns);
};

}  // namespace ssn::test
