// SPDX-License-Identifier: BSD-3-Clause
// The control channels between nodes in one process, on demand with bad weather: a connection between two
// nodes can be cut, and messages be lost or late.
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "ssn/dataplane/peer_channel.h"
#include "test_random.h"

namespace ssn::dataplane_test {

using dataplane::PeerMessageKind;

/// In percent of the messages. Late ones are overtaken by those behind them.
struct Weather {
  unsigned lost = 0;
  unsigned late = 0;
};

class ChannelNetwork {
 public:
  explicit ChannelNetwork(std::uint64_t seed);
  ChannelNetwork(const ChannelNetwork&) = delete;
  ChannelNetwork& operator=(const ChannelNetwork&) = delete;
  ~ChannelNetwork();

  /// The end of a node. Lives as long as the network.
  dataplane::PeerChannel& end(const std::string& node);
  void connect(const std::string& a, const std::string& b);
  void disconnect(const std::string& a, const std::string& b);
  void set_weather(Weather weather);
  /// Messages of one kind that were delivered.
  std::uint64_t delivered(PeerMessageKind kind) const;
  /// The last delivered message of a kind from `from`, to be sent again by a test.
  test::Bytes last(const std::string& from, PeerMessageKind kind);
  /// As if `from` had sent it.
  void inject(const std::string& from, const std::string& to, PeerMessageKind kind, test::Bytes bytes);

 private:
  class End;
  struct Message {
    std::string from, to;
    bool connected = false;  // news of a connection, not a message
    PeerMessageKind kind = PeerMessageKind::association;
    test::Bytes bytes;
  };
  using Pair = std::pair<std::string, std::string>;

  static Pair pair_of(const std::string& a, const std::string& b) { return a < b ? Pair{a, b} : Pair{b, a}; }
  bool send(const std::string& from, const std::string& to, PeerMessageKind kind,
            std::span<const std::uint8_t> bytes);
  void listening(const std::string& node);
  void run();

  mutable std::mutex lock_;
  std::condition_variable arrived_;
  std::map<std::string, std::unique_ptr<End>> ends_;
  std::set<Pair> connections_;
  std::deque<Message> queue_;
  std::vector<Message> late_;
  std::map<std::pair<std::string, PeerMessageKind>, test::Bytes> last_;
  std::map<PeerMessageKind, std::uint64_t> delivered_;
  Weather weather_;
  test::TestRandom random_;
  bool stopping_ = false;
  std::thread thread_;
};

}  // namespace ssn::dataplane_test
