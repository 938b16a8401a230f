// SPDX-License-Identifier: BSD-3-Clause
#include "ssn/roles/holder.h"

#include <algorithm>

#include "holder_peer.h"

namespace ssn::roles {

using store::StoreRequest;
using store::StoreResult;

namespace {

/// Of requests of the holder's own, where peers have their place.
constexpr std::uint32_t local_place = UINT32_MAX;
/// Of requests that came back, before the next thing is done.
constexpr std::size_t most_turns = 16;

}  // namespace

class Holder::Implementation {
 public:
  Implementation(const HolderOptions& options, StoreAccess& store, protocol::PacketPool& pool,
                 const AccessRule& rule)
      : context_{options, store, pool, rule, {}}, removals_(options.removals) {
    peers_.reserve(options.peers);
    for (std::uint32_t place = 0; place < options.peers; ++place) {
      peers_.push_back(std::make_unique<HolderPeer>(context_, place));
    }
    for (std::size_t i = 0; i < removals_.size(); ++i) {
      removals_[i].request.kind = StoreRequest::Kind::remove;
      removals_[i].request.context = std::uint64_t{local_place} << 32 | i;
    }
  }

  HolderPeer* find(PeerId peer) const noexcept {
    if (peer.place >= peers_.size() || !peers_[peer.place]->is_here(peer.life)) return nullptr;
    return peers_[peer.place].get();
  }
  bool add(protocol::Channel& channel, const PeerIdentity& identity, std::uint64_t now_ns, PeerId& peer);
  void collect(std::uint64_t now_ns) noexcept;
  void came_back(StoreRequest& request, std::uint64_t now_ns) noexcept;
  void step(std::uint64_t now_ns) noexcept;
  void submit_removals() noexcept;
  bool remove(const store::GenerationId& generation, std::uint64_t token) noexcept;
  std::size_t take_outcomes(std::span<LocalOutcome> out) noexcept;
  bool idle() const noexcept;
  bool audit() const noexcept {
    return std::all_of(peers_.begin(), peers_.end(), [](const auto& peer) { return peer->audit(); });
  }

  HolderContext context_;
  std::vector<std::unique_ptr<HolderPeer>> peers_;
  std::uint64_t due_ns_ = UINT64_MAX;

 private:
  struct LocalRemoval {
    enum class State : std::uint8_t { free, ready, in_store, told };
    StoreRequest request;
    std::uint64_t token = 0;
    State state = State::free;
  };
  std::vector<LocalRemoval> removals_;
};

bool Holder::Implementation::add(protocol::Channel& channel, const PeerIdentity& identity,
                                 std::uint64_t now_ns, PeerId& peer) {
  for (std::uint32_t place = 0; place < peers_.size(); ++place) {
    assert(!peers_[place]->uses(channel));
    if (!peers_[place]->is_free()) continue;
    peers_[place]->begin(channel, identity, now_ns);
    peer = {place, peers_[place]->life()};
    return true;
  }
  return false;
}

void Holder::Implementation::came_back(StoreRequest& request, std::uint64_t now_ns) noexcept {
  const auto place = static_cast<std::uint32_t>(request.context >> 32);
  if (place != local_place) return peers_[place]->came_back(request, now_ns);
  LocalRemoval& removal = removals_[static_cast<std::uint32_t>(request.context)];
  removal.state = LocalRemoval::State::told;
  // What is not there is as gone as it should be.
  const bool gone = is_good(request.result) || request.result == StoreResult::not_found ||
                    request.result == StoreResult::removed;
  context_.counters.removed += gone ? 1 : 0;
  if (gone) request.result = StoreResult::done;
}

void Holder::Implementation::collect(std::uint64_t now_ns) noexcept {
  std::array<StoreRequest*, 64> back{};
  for (std::size_t turn = 0; turn < most_turns; ++turn) {
    const std::size_t count = context_.store.collect(back);
    for (std::size_t i = 0; i < count; ++i) came_back(*back[i], now_ns);
    if (count < back.size()) break;
  }
}

void Holder::Implementation::submit_removals() noexcept {
  for (LocalRemoval& removal : removals_) {
    if (removal.state != LocalRemoval::State::ready) continue;
    if (context_.store.submit(removal.request)) removal.state = LocalRemoval::State::in_store;
  }
}

void Holder::Implementation::step(std::uint64_t now_ns) noexcept {
  collect(now_ns);
  submit_removals();
  due_ns_ = UINT64_MAX;
  for (const std::unique_ptr<HolderPeer>& peer : peers_) due_ns_ = std::min(due_ns_, peer->step(now_ns));
}

bool Holder::Implementation::remove(const store::GenerationId& generation, std::uint64_t token) noexcept {
  for (LocalRemoval& removal : removals_) {
    if (removal.state != LocalRemoval::State::free) continue;
    removal.request.share = {generation.object, generation.generation, 0};
    removal.token = token;
    removal.state = LocalRemoval::State::ready;
    ++context_.counters.removals;
    return true;
  }
  return false;
}

std::size_t Holder::Implementation::take_outcomes(std::span<LocalOutcome> out) noexcept {
  std::size_t count = 0;
  for (LocalRemoval& removal : removals_) {
    if (count == out.size()) break;
    if (removal.state != LocalRemoval::State::told) continue;
    out[count++] = {removal.token, removal.request.result};
    removal.state = LocalRemoval::State::free;
  }
  return count;
}

bool Holder::Implementation::idle() const noexcept {
  const auto out = [](const LocalRemoval& removal) { return removal.state == LocalRemoval::State::in_store; };
  return std::none_of(removals_.begin(), removals_.end(), out) &&
         std::all_of(peers_.begin(), peers_.end(), [](const auto& peer) { return peer->in_store() == 0; });
}

std::size_t Holder::requests(const HolderOptions& options) noexcept {
  const std::size_t puts = options.cells / StoreRequest::most_cells + options.partial_puts + 1;
  return options.peers * (puts + options.stripe_reads + options.seals + options.removals) + options.removals;
}

std::size_t Holder::packets(const HolderOptions& options) noexcept {
  return std::size_t{options.peers} *
         (options.cells + options.stripe_reads * StoreRequest::most_cells + options.sent_cells);
}

Holder::Holder(const HolderOptions& options, StoreAccess& store, protocol::PacketPool& pool,
               const AccessRule& rule)
    : implementation_(std::make_unique<Implementation>(options, store, pool, rule)) {
  assert(options.peers != 0 && options.cells != 0 && options.cells % StoreRequest::most_cells == 0);
  assert(options.partial_puts != 0 && options.queued_reads != 0 && options.stripe_reads != 0);
  assert(options.seals != 0 && options.removals != 0 && options.queued_answers != 0);
  // So that what is taken from a peer always has a way into the store.
  assert(store.credit() >= requests(options));
}

Holder::~Holder() { assert(idle()); }

bool Holder::add_peer(protocol::Channel& channel, const PeerIdentity& identity, std::uint64_t now_ns,
                      PeerId& peer) {
  return implementation_->add(channel, identity, now_ns, peer);
}

void Holder::remove_peer(PeerId peer) noexcept {
  if (HolderPeer* const found = implementation_->find(peer)) found->end();
}

void Holder::delivered(PeerId peer, std::span<protocol::Cell* const> cells, std::uint64_t now_ns) noexcept {
  if (HolderPeer* const found = implementation_->find(peer)) return found->delivered(cells, now_ns);
  implementation_->context_.counters.strangers += cells.size();
  implementation_->context_.pool.give_back(cells);
}

void Holder::step(std::uint64_t now_ns) noexcept { implementation_->step(now_ns); }

std::uint64_t Holder::next_due() const noexcept { return implementation_->due_ns_; }

std::uint32_t Holder::credit(PeerId peer) const noexcept {
  const HolderPeer* const found = implementation_->find(peer);
  return found == nullptr ? 0 : found->credit();
}

bool Holder::remove(const store::GenerationId& generation, std::uint64_t token) noexcept {
  return implementation_->remove(generation, token);
}

std::size_t Holder::take_outcomes(std::span<LocalOutcome> out) noexcept {
  return implementation_->take_outcomes(out);
}

bool Holder::idle() const noexcept { return implementation_->idle(); }

const HolderCounters& Holder::counters() const noexcept { return implementation_->context_.counters; }

bool Holder::audit() const noexcept { return implementation_->audit(); }

}  // namespace ssn::roles
