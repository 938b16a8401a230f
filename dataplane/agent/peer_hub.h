// SPDX-License-Identifier: BSD-3-Clause
// Connections with peers, without gRPC: who calls whom and when again, which connection is the newest, and in
// what order the receiver hears of it.
//
// The node whose name is less calls. A connection counts once both hellos were exchanged over an
// authenticated stream; then it replaces the one before.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <random>
#include <shared_mutex>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "ssn/dataplane/agent.h"
#include "ssn/dataplane/peer_channel.h"

namespace ssn::agent {

/// One stream to a peer. Any thread.
class PeerLink {
 public:
  virtual ~PeerLink() = default;
  /// Once, after the hub knows it.
  virtual void start() = 0;
  /// Copies into a bounded queue. False: it is full, or the stream ends.
  virtual bool send(dataplane::PeerMessageKind kind, std::span<const std::uint8_t> bytes) = 0;
  /// Ends it soon; PeerHub::ended() follows. `why` is for people.
  virtual void close(const std::string& why) = 0;
  /// False: whoever is there would not be believed any more. Nobody who has not proven anything yet.
  virtual bool still_proven() { return true; }
};

struct PeerTimes {
  std::chrono::milliseconds first_wait{100};  ///< before it calls again
  std::chrono::milliseconds longest_wait{5000};
  std::chrono::milliseconds lasting{10'000};  ///< a connection that lasts so long resets the wait
  std::chrono::milliseconds hello{5000};      ///< until a stream must have become a connection
};

class PeerHub final : public dataplane::PeerChannel {
 public:
  /// Makes a call, which the hub starts; must not block. The link reports to the hub.
  using Call = std::function<std::shared_ptr<PeerLink>(const PeerAddress& peer)>;

  PeerHub(std::string name, Call call, PeerTimes times = {});
  PeerHub(const PeerHub&) = delete;
  PeerHub& operator=(const PeerHub&) = delete;
  /// Links must have ended.
  ~PeerHub();

  /// usage: a peer twice, one that is this node, or no address for a peer that this node calls.
  Outcome set_peers(const std::vector<PeerAddress>& peers);
  std::vector<PeerState> peers() const;
  /// Ends connections with those who were believed once and are not any more. To be called now and then.
  void close_unproven();
  /// Ends all connections and makes no more.
  void stop();

  // PeerChannel.
  bool send(const std::string& peer, dataplane::PeerMessageKind kind,
            std::span<const std::uint8_t> bytes) override;
  void listen(dataplane::PeerReceiver* receiver) override;

  // What links report. `peer` is proven.

  /// A peer calls: an Error to refuse it with, or it is watched until it is accepted; then start it.
  Outcome called(const std::string& peer, const std::shared_ptr<PeerLink>& link);
  /// The hello was good: from now on it is the connection. False: it came too late.
  bool accept(const std::string& peer, const std::shared_ptr<PeerLink>& link);
  void deliver(const std::string& peer, const PeerLink* link, dataplane::PeerMessageKind kind,
               std::span<const std::uint8_t> bytes);
  void ended(const std::string& peer, const PeerLink* link, const std::string& why);
  /// Something whose end may take time, or may not come from the thread that it lives in.
  void retire(std::shared_ptr<void> thing);

 private:
  using Clock = std::chrono::steady_clock;
  struct Peer {
    Peer(std::string its_name, bool called_by_us) : name(std::move(its_name)), we_call(called_by_us) {}

    const std::string name;
    const bool we_call;
    std::string address;
    std::shared_ptr<PeerLink> current;
    std::uint64_t generation = 0;     // of current
    std::uint64_t link_sequence = 0;  // order in which links began: an older one never replaces a newer one
    Clock::time_point connected_at;
    bool calling = false;
    Clock::time_point next_call;
    std::chrono::milliseconds wait{0};
    PeerState state;

    std::mutex delivery;  // one call to the receiver at a time; taken second
    std::uint64_t announced = 0;
    std::uint64_t announced_to = 0;
  };
  struct Young {  // not accepted yet
    std::string peer;
    std::shared_ptr<PeerLink> link;
    Clock::time_point until;
    bool ours = false;
    std::uint64_t sequence = 0;
  };

  static constexpr std::size_t young_max = 2 * peers_max;
  static constexpr std::size_t young_per_peer_max = 4;

  std::shared_ptr<Peer> find(const std::string& name) const;
  // With receiver_mutex_ and the peer's delivery held.
  void announce(Peer& peer);
  void announce(Peer& peer, std::uint64_t generation);
  void run();
  void call_due_peers();
  void announce_all();
  void end_late();
  void wake();
  Clock::time_point next_event() const;
  void plan_call(Peer& peer, bool lasted);
  void enter(const std::string& peer, const std::shared_ptr<PeerLink>& link, bool ours);
  std::optional<Young> take_young(const PeerLink* link);
  std::vector<std::shared_ptr<PeerLink>> take_links(const std::string& peer);

  const std::string name_;
  const Call call_;
  const PeerTimes times_;

  mutable std::mutex mutex_;  // taken last; nothing is called while it is held
  std::condition_variable wake_;
  bool wake_now_ = false;
  bool stopping_ = false;
  std::map<std::string, std::shared_ptr<Peer>> peers_;
  std::vector<Young> young_;
  std::vector<std::shared_ptr<void>> retired_;
  std::uint64_t links_ = 0;
  std::minstd_rand jitter_;

  std::shared_mutex receiver_mutex_;  // taken first
  dataplane::PeerReceiver* receiver_ = nullptr;
  std::uint64_t receiver_epoch_ = 0;

  std::thread thread_;
};

}  // namespace ssn::agent
