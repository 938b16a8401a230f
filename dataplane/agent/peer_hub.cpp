// SPDX-License-Identifier: BSD-3-Clause
#include "peer_hub.h"

#include <fmt/core.h>

#include <algorithm>

namespace ssn::agent {
namespace {

constexpr std::chrono::hours idle{1};
constexpr const char* const ended_with_agent = "the agent ends";

Error wrong_peers(std::string why, std::string where, std::string fix) {
  return {Exit::usage, "cannot use the list of peers", std::move(why), std::move(where), std::move(fix)};
}

}  // namespace

PeerHub::PeerHub(std::string name, Call call, PeerTimes times)
    : name_(std::move(name)),
      call_(std::move(call)),
      times_(times),
      jitter_(static_cast<std::minstd_rand::result_type>(Clock::now().time_since_epoch().count())),
      thread_([this] { run(); }) {}

PeerHub::~PeerHub() { stop(); }

void PeerHub::stop() {
  std::vector<std::shared_ptr<PeerLink>> links;
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    for (const auto& [name, peer] : peers_) {
      std::vector<std::shared_ptr<PeerLink>> of_peer = take_links(name);
      links.insert(links.end(), of_peer.begin(), of_peer.end());
    }
  }
  wake_.notify_all();
  if (thread_.joinable()) {
    thread_.join();
  }
  for (const std::shared_ptr<PeerLink>& link : links) {
    link->close(ended_with_agent);
  }
  std::vector<std::shared_ptr<void>> retired;
  const std::lock_guard lock(mutex_);
  retired.swap(retired_);
}

// Takes the connection and the young links of a peer away; the caller closes them.
std::vector<std::shared_ptr<PeerLink>> PeerHub::take_links(const std::string& peer) {
  std::vector<std::shared_ptr<PeerLink>> links;
  if (const auto found = peers_.find(peer); found != peers_.end() && found->second->current != nullptr) {
    links.push_back(std::move(found->second->current));
    found->second->state.connected = false;
  }
  for (const Young& young : young_) {
    if (young.peer == peer) {
      links.push_back(young.link);
    }
  }
  std::erase_if(young_, [&](const Young& young) { return young.peer == peer; });
  return links;
}

Outcome PeerHub::set_peers(const std::vector<PeerAddress>& peers) {
  std::map<std::string, std::string> wanted;
  for (const PeerAddress& peer : peers) {
    if (peer.name.empty() || peer.name == name_) {
      return wrong_peers("a peer has no name, or that of this node", peer.name,
                         "give it the other node's name");
    }
    if (!wanted.emplace(peer.name, peer.address).second) {
      return wrong_peers("a peer stands there twice", peer.name, "remove one");
    }
    if (name_ < peer.name && peer.address.empty()) {
      return wrong_peers("the peer's agent has no address, and this node is the one that calls", peer.name,
                         "give the address that the peer's agent listens on");
    }
  }
  if (wanted.size() > peers_max) {
    return wrong_peers(fmt::format("there are more than {}", peers_max), "", "remove some");
  }
  std::vector<std::shared_ptr<PeerLink>> gone;
  {
    const std::lock_guard lock(mutex_);
    for (auto at = peers_.begin(); at != peers_.end();) {
      if (wanted.contains(at->first)) {
        ++at;
        continue;
      }
      const std::vector<std::shared_ptr<PeerLink>> links = take_links(at->first);
      gone.insert(gone.end(), links.begin(), links.end());
      at = peers_.erase(at);
    }
    for (const auto& [name, address] : wanted) {
      std::shared_ptr<Peer>& peer = peers_[name];
      if (peer == nullptr) {
        peer = std::make_shared<Peer>(name, name_ < name);
        peer->state.name = name;
        peer->state.trouble = peer->we_call ? "not called yet" : "it did not call yet";
      }
      peer->address = address;
    }
  }
  for (const std::shared_ptr<PeerLink>& link : gone) {
    link->close("the node is no peer any more");
  }
  wake();
  return done;
}

void PeerHub::close_unproven() {
  std::vector<std::shared_ptr<PeerLink>> links;
  {
    const std::lock_guard lock(mutex_);
    for (const auto& [name, peer] : peers_) {
      if (peer->current != nullptr) links.push_back(peer->current);
    }
    for (const Young& young : young_) links.push_back(young.link);
  }
  for (const std::shared_ptr<PeerLink>& link : links) {
    if (!link->still_proven()) {
      link->close("the certificate of the peer is not to be believed any more");
    }
  }
}

std::vector<PeerState> PeerHub::peers() const {
  std::vector<PeerState> states;
  const std::lock_guard lock(mutex_);
  for (const auto& [name, peer] : peers_) {
    states.push_back(peer->state);
  }
  return states;
}

std::shared_ptr<PeerHub::Peer> PeerHub::find(const std::string& name) const {
  const std::lock_guard lock(mutex_);
  const auto found = peers_.find(name);
  return found == peers_.end() ? nullptr : found->second;
}

bool PeerHub::send(const std::string& name, dataplane::PeerMessageKind kind,
                   std::span<const std::uint8_t> bytes) {
  const std::shared_ptr<Peer> peer = find(name);
  if (peer == nullptr) {
    return false;
  }
  std::shared_ptr<PeerLink> link;
  {
    const std::lock_guard lock(mutex_);
    link = peer->current;
  }
  const bool sent = link != nullptr && bytes.size() <= dataplane::peer_message_max && link->send(kind, bytes);
  const std::lock_guard lock(mutex_);
  ++(sent ? peer->state.sent : peer->state.not_sent);
  return sent;
}

void PeerHub::listen(dataplane::PeerReceiver* receiver) {
  {
    const std::unique_lock lock(receiver_mutex_);
    receiver_ = receiver;
    ++receiver_epoch_;
  }
  wake();
}

void PeerHub::announce(Peer& peer) {
  std::uint64_t generation = 0;
  {
    const std::lock_guard lock(mutex_);
    if (peer.current == nullptr) {
      return;
    }
    generation = peer.generation;
  }
  announce(peer, generation);
}

void PeerHub::announce(Peer& peer, std::uint64_t generation) {
  if (receiver_ == nullptr || (peer.announced == generation && peer.announced_to == receiver_epoch_)) {
    return;
  }
  peer.announced = generation;
  peer.announced_to = receiver_epoch_;
  receiver_->on_connected(peer.name);
}

void PeerHub::announce_all() {
  std::vector<std::shared_ptr<Peer>> all;
  {
    const std::lock_guard lock(mutex_);
    for (const auto& [name, peer] : peers_) {
      all.push_back(peer);
    }
  }
  for (const std::shared_ptr<Peer>& peer : all) {
    const std::shared_lock receiver(receiver_mutex_);
    const std::lock_guard delivery(peer->delivery);
    announce(*peer);
  }
}

void PeerHub::deliver(const std::string& name, const PeerLink* link, dataplane::PeerMessageKind kind,
                      std::span<const std::uint8_t> bytes) {
  const std::shared_ptr<Peer> peer = find(name);
  if (peer == nullptr) {
    return;
  }
  const std::shared_lock receiver(receiver_mutex_);
  const std::lock_guard delivery(peer->delivery);
  // The message belongs to this generation, and is announced as such, also when a newer one comes meanwhile.
  std::uint64_t generation = 0;
  {
    const std::lock_guard lock(mutex_);
    if (peer->current.get() != link) {  // an older connection
      return;
    }
    generation = peer->generation;
    ++peer->state.received;
  }
  announce(*peer, generation);
  if (receiver_ != nullptr) {
    receiver_->on_message(name, kind, bytes);
  }
}

void PeerHub::enter(const std::string& peer, const std::shared_ptr<PeerLink>& link, bool ours) {
  young_.push_back({peer, link, Clock::now() + times_.hello, ours, ++links_});
}

std::optional<PeerHub::Young> PeerHub::take_young(const PeerLink* link) {
  const auto found =
      std::find_if(young_.begin(), young_.end(), [&](const Young& y) { return y.link.get() == link; });
  if (found == young_.end()) {
    return std::nullopt;
  }
  Young young = std::move(*found);
  young_.erase(found);
  return young;
}

Outcome PeerHub::called(const std::string& name, const std::shared_ptr<PeerLink>& link) {
  const char* const what = "cannot be connected";
  const std::lock_guard lock(mutex_);
  const auto found = peers_.find(name);
  if (found == peers_.end()) {
    return Error{Exit::refused, what, "the caller is no peer of this node", name,
                 "add a [[peer]] with this name, if it should be one"};
  }
  if (found->second->we_call) {
    return Error{Exit::refused, what, fmt::format("of the two it is {} that calls", name_), name,
                 "see that both nodes are configured under the names in their certificates"};
  }
  const auto young =
      std::count_if(young_.begin(), young_.end(), [&](const Young& y) { return y.peer == name; });
  if (stopping_ || young_.size() >= young_max || static_cast<std::size_t>(young) >= young_per_peer_max) {
    return Error{Exit::temporary, what, stopping_ ? ended_with_agent : "too many connections are being made",
                 name, "try again later"};
  }
  enter(name, link, false);
  wake_now_ = true;
  wake_.notify_all();
  return done;
}

bool PeerHub::accept(const std::string& name, const std::shared_ptr<PeerLink>& link) {
  std::shared_ptr<PeerLink> older;
  std::shared_ptr<Peer> peer;
  {
    const std::lock_guard lock(mutex_);
    const std::optional<Young> young = take_young(link.get());
    const auto found = peers_.find(name);
    if (!young || stopping_ || found == peers_.end() || young->sequence < found->second->link_sequence) {
      return false;
    }
    peer = found->second;
    older = std::exchange(peer->current, link);
    peer->link_sequence = young->sequence;
    ++peer->generation;
    peer->connected_at = Clock::now();
    peer->calling = false;
    peer->state.connected = true;
    peer->state.trouble.clear();
    ++peer->state.connections;
  }
  if (older != nullptr) {
    older->close("a newer connection with the peer took its place");
  }
  const std::shared_lock receiver(receiver_mutex_);
  const std::lock_guard delivery(peer->delivery);
  announce(*peer);
  return true;
}

void PeerHub::ended(const std::string& name, const PeerLink* link, const std::string& why) {
  std::shared_ptr<PeerLink> gone;  // outlives the lock
  {
    const std::lock_guard lock(mutex_);
    const std::optional<Young> young = take_young(link);
    const auto found = peers_.find(name);
    if (found == peers_.end()) {
      return;
    }
    Peer& peer = *found->second;
    const bool was_current = peer.current.get() == link;
    if (was_current) {
      gone = std::move(peer.current);
      peer.state.connected = false;
    }
    if (was_current || (young && peer.current == nullptr)) {
      peer.state.trouble = why;
    }
    if (was_current || (young && young->ours)) {
      peer.calling = false;
      plan_call(peer, was_current && Clock::now() - peer.connected_at >= times_.lasting);
    }
  }
  wake();
}

void PeerHub::retire(std::shared_ptr<void> thing) {
  const std::lock_guard lock(mutex_);
  retired_.push_back(std::move(thing));
  wake_now_ = true;
  wake_.notify_all();
}

// With a random part, so that nodes that lost each other at once do not call at once.
void PeerHub::plan_call(Peer& peer, bool lasted) {
  peer.wait =
      lasted || peer.wait.count() == 0 ? times_.first_wait : std::min(2 * peer.wait, times_.longest_wait);
  const auto percent = 80 + static_cast<std::int64_t>(jitter_() % 41);
  peer.next_call = Clock::now() + peer.wait * percent / 100;
}

void PeerHub::wake() {
  const std::lock_guard lock(mutex_);
  wake_now_ = true;
  wake_.notify_all();
}

PeerHub::Clock::time_point PeerHub::next_event() const {
  Clock::time_point next = Clock::now() + idle;
  for (const auto& [name, peer] : peers_) {
    if (peer->we_call && !peer->calling && peer->current == nullptr) {
      next = std::min(next, peer->next_call);
    }
  }
  for (const Young& young : young_) {
    next = std::min(next, young.until);
  }
  return next;
}

void PeerHub::run() {
  std::unique_lock lock(mutex_);
  while (!stopping_) {
    wake_.wait_until(lock, next_event(), [this] { return wake_now_ || stopping_; });
    wake_now_ = false;
    if (stopping_) {
      return;
    }
    std::vector<std::shared_ptr<void>> retired;
    retired.swap(retired_);
    lock.unlock();
    retired.clear();
    end_late();
    call_due_peers();
    announce_all();
    lock.lock();
  }
}

void PeerHub::end_late() {
  std::vector<std::shared_ptr<PeerLink>> late;
  {
    const std::lock_guard lock(mutex_);
    const Clock::time_point now = Clock::now();
    for (Young& young : young_) {
      if (young.until <= now) {
        young.until = now + times_.hello;  // once is enough; it reports its end
        late.push_back(young.link);
      }
    }
  }
  for (const std::shared_ptr<PeerLink>& link : late) {
    link->close("the peer did not say hello in time");
  }
}

void PeerHub::call_due_peers() {
  std::vector<PeerAddress> due;
  {
    const std::lock_guard lock(mutex_);
    const Clock::time_point now = Clock::now();
    for (const auto& [name, peer] : peers_) {
      if (peer->we_call && !peer->calling && peer->current == nullptr && peer->next_call <= now) {
        peer->calling = true;
        due.push_back({name, peer->address});
      }
    }
  }
  for (const PeerAddress& address : due) {
    const std::shared_ptr<PeerLink> link = call_(address);
    {
      const std::lock_guard lock(mutex_);
      if (stopping_ || !peers_.contains(address.name)) {
        continue;  // never started, so it has nothing to end
      }
      enter(address.name, link, true);
    }
    link->start();
  }
}

}  // namespace ssn::agent
