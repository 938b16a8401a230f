// SPDX-License-Identifier: BSD-3-Clause
#include "test_node.h"

#include <gtest/gtest.h>

#include <cstring>
#include <utility>

#include "packet_ends.h"

namespace ssn::dataplane_test {

using dataplane::worker_of;
using protocol::Cell;
using protocol::overhead_bytes;

namespace {

constexpr std::size_t longest_payload = 1344;
constexpr std::size_t burst = 8;
constexpr std::size_t packets_max = 4096;
/// Packets are not overtaken by more than this, in bytes of pad.
constexpr std::uint64_t late_bytes = 64 * 1024;

// What the payload of a cell has to be, wherever it is opened.
std::uint64_t word_of(const protocol::Placement& placement, std::size_t at) {
  std::uint64_t x = placement.object * 0x9e3779b97f4a7c15U + placement.cell;
  x = (x ^ (x >> 30) ^ at) * 0xbf58476d1ce4e5b9U;
  return x ^ (x >> 31);
}

void fill(const protocol::Placement& placement, std::uint8_t* to, std::size_t length) {
  for (std::size_t at = 0; at < length; at += 8) {
    const std::uint64_t word = word_of(placement, at);
    std::memcpy(to + at, &word, std::min<std::size_t>(8, length - at));
  }
}

std::uint64_t now_ns() {
  return static_cast<std::uint64_t>(std::chrono::steady_clock::now().time_since_epoch().count());
}

}  // namespace

bool eventually(const std::function<bool()>& condition, int seconds) {
  using Clock = std::chrono::steady_clock;
  for (const Clock::time_point end = Clock::now() + std::chrono::seconds(seconds); Clock::now() < end;) {
    if (condition()) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return condition();
}

bool PadWitness::use(const protocol::Ksid& ksid, const void* owner, std::uint64_t offset,
                     std::uint64_t length) {
  const std::lock_guard guard(lock_);
  const auto [found, fresh] = streams_.try_emplace(ksid, Stream{owner, 0});
  Stream& stream = found->second;
  const bool good = stream.owner == owner && offset >= stream.end;
  EXPECT_TRUE(good) << "a pad byte was used twice";
  stream.end = offset + length;
  return good;
}

std::size_t PadWitness::ksids() const {
  const std::lock_guard guard(lock_);
  return streams_.size();
}

void PacketNetwork::add(const std::string& node, Deliver deliver) {
  const std::lock_guard guard(lock_);
  nodes_[node] = std::move(deliver);
}

void PacketNetwork::remove(const std::string& node) {
  const std::lock_guard guard(lock_);
  nodes_.erase(node);
}

void PacketNetwork::send(const std::string& node, Bytes packet) {
  const std::lock_guard guard(lock_);
  if (tap_) tap_(node, packet);
  if (cut_) return;
  const auto found = nodes_.find(node);
  if (found != nodes_.end()) found->second(std::move(packet));
}

void PacketNetwork::tap(std::function<void(const std::string&, const Bytes&)> tap) {
  const std::lock_guard guard(lock_);
  tap_ = std::move(tap);
}

/// One thread. What it owns of a connection nobody else touches.
class TestWorker {
 public:
  explicit TestWorker(TestNode& node)
      : node_(&node),
        sealer_memory_(test::locked_memory(protocol::OneTimeCheck::memory_bytes)),
        opener_memory_(test::locked_memory(protocol::OneTimeCheck::memory_bytes)),
        sealer_(test::chosen_implementation(), counters_, sealer_memory_),
        opener_(test::chosen_implementation(), counters_, table_, opener_memory_),
        thread_([this] { run(); }) {}
  ~TestWorker() {
    stopping_ = true;
    thread_.join();
  }

  enum class Order : std::uint8_t { attach, detach, refresh };
  bool post(Order order, Connection& connection) {
    const std::lock_guard guard(lock_);
    if (node_->deaf_ || orders_.size() >= 4) return false;  // so small that it is full now and then
    orders_.emplace_back(order, &connection);
    return true;
  }
  void receive(Bytes packet) {
    const std::lock_guard guard(lock_);
    if (packets_.size() < packets_max) {
      packets_.push_back(std::move(packet));
    } else {
      ++node_->dropped_[static_cast<std::size_t>(protocol::DropReason::no_room)];
    }
  }

 private:
  void run() {
    while (!stopping_) {
      if (!node_->frozen_) {
        obey();
        open_all();
        for (Connection* const connection : connections_) {
          connection->service(now_ns());
          if (node_->random_) take_random(*connection);
          if (node_->sealing_) seal_some(*connection);
        }
        tell_drops();
      }
      std::this_thread::sleep_for(std::chrono::microseconds(200));
    }
  }

  void obey() {
    std::deque<std::pair<Order, Connection*>> orders;
    {
      const std::lock_guard guard(lock_);
      orders.swap(orders_);
    }
    for (const auto& [order, connection] : orders) {
      if (order == Order::attach) {
        EXPECT_TRUE(table_.add(connection->receiving())) << "its place is taken";
        connections_.push_back(connection);
        ++node_->attached_;
      } else if (order == Order::refresh) {
        connection->service(now_ns());
        ++node_->refreshed_;
      } else {
        table_.remove(connection->receiving().id);
        std::erase(connections_, connection);
        connection->let_go();
      }
    }
  }

  void seal_some(Connection& connection) {
    protocol::SendKeys* const keys = connection.sending();
    if (keys == nullptr) return;
    std::array<Bytes, burst> packets;
    std::array<std::array<std::uint8_t, longest_payload>, burst> plain;
    std::array<Cell, burst> cells;
    std::array<Cell*, burst> pointers{};
    const std::size_t length = longest_payload - 64 * (counter_ % 8) - counter_ % 5;
    for (std::size_t i = 0; i < burst; ++i) {
      packets[i].resize(overhead_bytes + length);
      Cell& cell = cells[i];
      cell.data = packets[i].data() + overhead_bytes;
      cell.source = plain[i].data();
      cell.length = static_cast<std::uint32_t>(length);
      cell.headroom = overhead_bytes;
      cell.header.placement = {.object = connection.epoch(), .cell = static_cast<std::uint32_t>(++counter_)};
      fill(cell.header.placement, plain[i].data(), length);
      pointers[i] = &cell;
    }
    const std::size_t sealed = sealer_.seal(*keys, pointers);
    for (std::size_t i = 0; i < sealed; ++i) {
      if (cells[i].seal_result == protocol::SealResult::computational) {
        ++node_->computational_;
      } else {
        node_->world_->witness.use(connection.terms().ksids[dataplane::pads_out], &connection,
                                   cells[i].header.d_offset, length);
      }
      node_->world_->packets.send(connection.peer(), std::move(packets[i]));
    }
    node_->sealed_ += sealed;
    node_->refused_ += burst - sealed;
  }

  void open_all() {
    std::deque<Bytes> packets;
    {
      const std::lock_guard guard(lock_);
      packets.swap(packets_);
    }
    for (Bytes& packet : packets) {
      Cell cell;
      cell.data = packet.data();
      cell.length = static_cast<std::uint32_t>(packet.size());
      Cell* const pointer = &cell;
      opener_.open({&pointer, 1});
      if (cell.open_result != protocol::OpenResult::opened) continue;
      Bytes wanted(cell.length);
      fill(cell.header.placement, wanted.data(), wanted.size());
      node_->wrong_ += std::memcmp(wanted.data(), cell.target, cell.length) != 0 ? 1 : 0;
      ++node_->opened_;
      for (Connection* const connection : connections_) {
        if (connection->terms().local_id != cell.header.connection_id) continue;
        give_up_before(*connection, cell.header);
        const std::lock_guard guard(node_->from_lock_);
        ++node_->opened_from_[connection->peer()];
      }
    }
  }

  // Whatever is far behind does not come any more: its sender burnt it, or it was lost.
  static void give_up_before(Connection& connection, const protocol::PacketHeader& header) {
    protocol::ReceiveKeys* const keys = connection.receiving().find(header.key_index);
    if (keys != nullptr && header.d_offset > late_bytes) {
      static_cast<void>(keys->pads->discard_below(header.d_offset - late_bytes));
    }
  }

  // Random blocks, as a splitter takes them.
  void take_random(Connection& connection) {
    dataplane::RandomStream* const random = connection.random();
    if (random == nullptr) return;
    protocol::PadRange range;
    if (random->source().reserve(1344, range) != protocol::Take::ok) return;
    node_->random_bytes_ += range.length;
    random->source().use(range);
  }

  void tell_drops() {
    for (std::size_t i = 0; i < protocol::drop_reason_count; ++i) {
      node_->dropped_[i] += counters_.dropped[i];
      counters_.dropped[i] = 0;
    }
  }

  TestNode* node_;
  hw::SecretBuffer sealer_memory_, opener_memory_;
  protocol::PacketCounters counters_;
  protocol::ConnectionTable table_{dataplane::connection_places};
  protocol::Sealer sealer_;
  protocol::Opener opener_;
  std::vector<Connection*> connections_;
  std::uint64_t counter_ = 0;
  std::mutex lock_;
  std::deque<std::pair<Order, Connection*>> orders_;
  std::deque<Bytes> packets_;
  std::atomic<bool> stopping_{false};
  std::thread thread_;
};

namespace {

KeyServiceConfiguration observed(KeyServiceConfiguration configuration,
                                 std::function<void(const KeyEvent&)> observer) {
  configuration.observer = std::move(observer);
  return configuration;
}

}  // namespace

TestNode::TestNode(World& world, KeyServiceConfiguration configuration)
    : world_(&world), name_(configuration.node), worker_count_(configuration.workers) {
  Result<std::unique_ptr<KeyService>> opened =
      KeyService::open(observed(std::move(configuration),
                                [this](const KeyEvent& event) {
                                  const std::lock_guard guard(event_lock_);
                                  events_.push_back(event);
                                }),
                       world.channels.end(name_), *this);
  EXPECT_TRUE(opened.ok()) << opened.error().what << ": " << opened.error().why;
  service_ = std::move(opened.value());
  start_workers();
}

TestNode::TestNode(World& world, KeyServiceConfiguration configuration, ledger::FileLedger ledger)
    : world_(&world), name_(configuration.node), worker_count_(configuration.workers) {
  Result<std::unique_ptr<KeyService>> opened =
      KeyService::open(observed(std::move(configuration),
                                [this](const KeyEvent& event) {
                                  const std::lock_guard guard(event_lock_);
                                  events_.push_back(event);
                                }),
                       std::move(ledger), world.channels.end(name_), *this);
  EXPECT_TRUE(opened.ok()) << opened.error().what << ": " << opened.error().why;
  service_ = std::move(opened.value());
  start_workers();
}

void TestNode::start_workers() {
  for (std::size_t i = 0; i < worker_count_; ++i) workers_.push_back(std::make_unique<TestWorker>(*this));
  world_->packets.add(name_, [this](Bytes packet) {
    protocol::PacketHeader header;
    if (protocol::parse_header(packet.data(), packet.size(), header) != protocol::DropReason::none) return;
    const std::uint32_t worker = worker_of(header.connection_id);
    if (worker < workers_.size()) workers_[worker]->receive(std::move(packet));
  });
  service_->start();
}

TestNode::~TestNode() { static_cast<void>(stop()); }

Outcome TestNode::stop() {
  if (std::exchange(stopped_, true)) return done;  // another process of the node may run by now
  Outcome outcome = service_->stop(std::chrono::seconds(20));
  world_->packets.remove(name_);
  workers_.clear();
  return outcome;
}

void TestNode::crash() {
  world_->packets.remove(name_);
  static_cast<void>(stop());
}

dataplane::PeerKeyReport TestNode::peer(const std::string& name) {
  for (dataplane::PeerKeyReport& peer : report().peers) {
    if (peer.name == name) return peer;
  }
  ADD_FAILURE() << "no peer " << name;
  return {};
}

std::uint64_t TestNode::opened_from(const std::string& peer) const {
  const std::lock_guard guard(from_lock_);
  const auto found = opened_from_.find(peer);
  return found == opened_from_.end() ? 0 : found->second;
}

bool TestNode::saw(KeyEvent::Kind kind, const std::string& text) {
  const std::lock_guard guard(event_lock_);
  for (const KeyEvent& event : events_) {
    if (event.kind == kind && event.text.find(text) != std::string::npos) return true;
  }
  return false;
}

dataplane::ConnectionTerms TestNode::terms() {
  const std::lock_guard guard(event_lock_);
  return terms_;
}

std::uint64_t TestNode::dropped() const {
  std::uint64_t sum = 0;
  for (const std::atomic<std::uint64_t>& each : dropped_) sum += each;
  return sum;
}

bool TestNode::attach(Connection& connection) {
  {
    const std::lock_guard guard(event_lock_);
    terms_ = connection.terms();
  }
  return workers_[connection.worker()]->post(TestWorker::Order::attach, connection);
}
bool TestNode::detach(Connection& connection) {
  return workers_[connection.worker()]->post(TestWorker::Order::detach, connection);
}
bool TestNode::refresh(Connection& connection) {
  return workers_[connection.worker()]->post(TestWorker::Order::refresh, connection);
}

}  // namespace ssn::dataplane_test
