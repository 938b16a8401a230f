// SPDX-License-Identifier: BSD-3-Clause
// A node in this process: a key service, and workers as threads that seal and open through the protocol.
// Packets go from node to node in memory.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "channel_network.h"
#include "ssn/dataplane/key_service.h"
#include "test_random.h"

namespace ssn::dataplane_test {

using dataplane::Connection;
using dataplane::KeyEvent;
using dataplane::KeyReport;
using dataplane::KeyService;
using dataplane::KeyServiceConfiguration;
using test::Bytes;

/// Waits for `condition`, for so long that only a hang is a failure.
bool eventually(const std::function<bool()>& condition, int seconds = 40);

/// Every pad byte that any node of a test seals with, by KSID: none of them twice, ever, and each KSID by one
/// connection of one process only.
class PadWitness {
 public:
  /// False, and a failure of the test, where a byte was used before or the KSID belongs to somebody else.
  bool use(const protocol::Ksid& ksid, const void* owner, std::uint64_t offset, std::uint64_t length);
  std::size_t ksids() const;

 private:
  struct Stream {
    const void* owner;
    std::uint64_t end;
  };
  mutable std::mutex lock_;
  std::map<protocol::Ksid, Stream> streams_;
};

/// Where packets find nodes.
class PacketNetwork {
 public:
  using Deliver = std::function<void(Bytes)>;
  void add(const std::string& node, Deliver deliver);
  void remove(const std::string& node);
  void send(const std::string& node, Bytes packet);
  /// Nothing arrives any more.
  void set_cut(bool on) { cut_ = on; }
  /// Everything that is sent to `node` also comes here.
  void tap(std::function<void(const std::string& node, const Bytes& packet)> tap);

 private:
  std::mutex lock_;
  std::map<std::string, Deliver> nodes_;
  std::function<void(const std::string&, const Bytes&)> tap_;
  std::atomic<bool> cut_{false};
};

struct World {
  explicit World(std::uint64_t seed) : channels(seed) {}
  ChannelNetwork channels;
  PacketNetwork packets;
  PadWitness witness;
};

class TestWorker;

class TestNode final : public dataplane::ConnectionSink {
 public:
  TestNode(World& world, KeyServiceConfiguration configuration);
  /// Over a ledger that a test made.
  TestNode(World& world, KeyServiceConfiguration configuration, ledger::FileLedger ledger);
  TestNode(const TestNode&) = delete;
  TestNode& operator=(const TestNode&) = delete;
  ~TestNode();

  KeyService& keys() { return *service_; }
  KeyReport report() { return service_->report(); }
  dataplane::PeerKeyReport peer(const std::string& name);
  /// Stops the service, then the workers. Idempotent.
  Outcome stop();
  /// As stop(), after the node was cut off from everything: as a crash looks to its peers.
  void crash();

  /// Whether workers seal what they can; at the start they do.
  void set_sealing(bool on) { sealing_ = on; }
  /// Whether workers do anything.
  void set_frozen(bool on) { frozen_ = on; }
  /// A worker takes no commands any more.
  void set_deaf(bool on) { deaf_ = on; }
  void set_random(bool on) { random_ = on; }
  std::uint64_t sealed() const { return sealed_; }
  std::uint64_t opened() const { return opened_; }
  std::uint64_t opened_from(const std::string& peer) const;
  std::uint64_t refused() const { return refused_; }
  std::uint64_t random_bytes() const { return random_bytes_; }
  std::uint64_t computational() const { return computational_; }
  std::uint64_t wrong() const { return wrong_; }
  std::uint64_t attached() const { return attached_; }
  std::uint64_t refreshed() const { return refreshed_; }
  std::uint64_t dropped(protocol::DropReason reason) const {
    return dropped_[static_cast<std::size_t>(reason)];
  }
  /// Of the connection that was attached last.
  dataplane::ConnectionTerms terms();
  /// Packets that came and were not opened: a node that gets no processor for a while is behind its rings.
  std::uint64_t dropped() const;
  bool saw(KeyEvent::Kind kind, const std::string& text = "");
  const std::string& name() const { return name_; }

  bool attach(Connection& connection) override;
  bool detach(Connection& connection) override;
  bool refresh(Connection& connection) override;

 private:
  friend class TestWorker;
  void start_workers();

  World* world_;
  std::string name_;
  std::size_t worker_count_;
  std::vector<std::unique_ptr<TestWorker>> workers_;
  std::unique_ptr<KeyService> service_;
  bool stopped_ = false;
  std::mutex event_lock_;
  std::vector<KeyEvent> events_;
  dataplane::ConnectionTerms terms_;

  std::atomic<bool> sealing_{true}, frozen_{false}, deaf_{false}, random_{false};
  std::atomic<std::uint64_t> sealed_{0}, opened_{0}, refused_{0}, wrong_{0}, attached_{0}, refreshed_{0},
      random_bytes_{0}, computational_{0};
  std::array<std::atomic<std::uint64_t>, protocol::drop_reason_count> dropped_{};
  mutable std::mutex from_lock_;
  std::map<std::string, std::uint64_t> opened_from_;
};

}  // namespace ssn::dataplane_test
