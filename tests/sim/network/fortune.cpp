// SPDX-License-Identifier: BSD-3-Clause
// What goes wrong in a World, how it is healed, and what must be true then.
#include <algorithm>

#include "world.h"

namespace ssn::sim {

using namespace protocol;

namespace {

/// After healing, everybody must have found each other by then, and everything must have arrived.
constexpr std::uint64_t together_within = 2000 * millisecond;
constexpr std::uint64_t settled_for = 25 * millisecond;
constexpr std::uint64_t warm_for = 3 * millisecond;
constexpr unsigned warm_rounds = 4;
constexpr std::uint64_t feed_for = 10 * millisecond;
constexpr std::uint64_t complete_within = 500 * millisecond;
/// However little gets through, the bad times end.
constexpr std::uint64_t bad_at_most = 400 * millisecond;

}  // namespace

void World::misfortune() {
  const auto happens = [this](unsigned per_mille) {
    return per_mille != 0 && random_.below(1000) < per_mille;
  };
  const std::size_t stream = random_.below(plan_.streams.size());
  const StreamPlan& plan = plan_.streams[stream];
  const std::size_t node = random_.coin() ? plan.a : plan.b;
  const std::size_t other = node == plan.a ? plan.b : plan.a;
  if (happens(plan_.crash)) {
    // At any step: between this event and the next, or some events later.
    scheduler_.at(random_.below(400) * microsecond, [this, node] {
      if (phase_ != Phase::bad) return;
      crash(node);
      scheduler_.at(random_.below(3000) * microsecond, [this, node] { start(node); });
    });
  }
  if (happens(plan_.partition)) cut_off(stream);
  if (happens(plan_.shortage)) starve(stream);
  Connection* const known = connection(node, other);
  if (known == nullptr) return;
  if (happens(plan_.desynchronise)) {
    note("keys differ", node, other);
    report_.marks.hit("keys differ");
    known->desynchronise();
    // Sooner or later the device finds out, and starts again.
    const Ksid ksid = known->ksid(0);
    scheduler_.at((1 + random_.below(10)) * millisecond, [this, node, other, ksid] {
      Connection* const same = connection(node, other);
      if (same != nullptr && same->ksid(0) == ksid) same->fail_device();
    });
  } else if (happens(plan_.device_restart)) {
    note("key device restarts", node, other);
    report_.marks.hit("key device restarted");
    known->fail_device();
  }
}

void World::cut_off(std::size_t stream) {
  const StreamPlan& plan = plan_.streams[stream];
  note("partition", plan.a, plan.b);
  report_.marks.hit("network partitioned");
  if (random_.coin()) {
    // One link only, until the world is healed.
    network_.cut(plan.a, plan.b, static_cast<unsigned>(random_.below(plan.wire.n)));
    return;
  }
  network_.partition(plan.a, plan.b, true);
  scheduler_.at((1 + random_.below(8)) * millisecond,
                [this, plan] { network_.partition(plan.a, plan.b, false); });
}

// Keys stop at one end, or at both.
void World::starve(std::size_t stream) {
  const StreamPlan& plan = plan_.streams[stream];
  const bool senders = random_.coin();
  const bool receivers = !senders || random_.coin();
  note("shortage", plan.a, plan.b, senders ? 1 : 0);
  if (senders) report_.marks.hit("keys short");
  if (receivers) report_.marks.hit("receiver's keys late");
  for (const auto& pair : {std::pair(plan.a, plan.b), std::pair(plan.b, plan.a)}) {
    supply_[pair] = {!senders, !receivers, false};
  }
  scheduler_.at((1 + random_.below(8)) * millisecond, [this, plan] {
    for (const auto& pair : {std::pair(plan.a, plan.b), std::pair(plan.b, plan.a)}) {
      supply_[pair] = {true, true, phase_ != Phase::bad};
    }
  });
}

// ---- Healed ---------------------------------------------------------------------------------------------

void World::heal() {
  note("heal");
  phase_ = Phase::healing;
  phase_since_ = idle_since_ = scheduler_.now();
  feeding_ = false;
  network_.mend();
  LinkFaults calm;
  calm.delay_ns = 50 * microsecond;
  calm.jitter_ns = 150 * microsecond;
  network_.set_faults(calm);
  for (const StreamPlan& stream : plan_.streams) {
    for (const auto& pair : {std::pair(stream.a, stream.b), std::pair(stream.b, stream.a)}) {
      supply_[pair] = {true, true, true};
    }
  }
  for (std::size_t i = 0; i < nodes_.size(); ++i) start(i);
}

bool World::all_together() {
  return std::all_of(plan_.streams.begin(), plan_.streams.end(), [this](const StreamPlan& stream) {
    const Connection* const a = connection(stream.a, stream.b);
    const Connection* const b = connection(stream.b, stream.a);
    return a != nullptr && b != nullptr && a->ksid(0) == b->ksid(2) && a->ksid(2) == b->ksid(0) &&
           !a->desynchronised() && !b->desynchronised();
  });
}

bool World::all_idle() {
  return std::all_of(plan_.streams.begin(), plan_.streams.end(), [this](const StreamPlan& stream) {
    return connection(stream.a, stream.b)->idle() && connection(stream.b, stream.a)->idle();
  });
}

// Who lost more than a window finds the place again with the next packets, and loses those
// (docs/wire-mode.md): so every stream sends some frames in its turn before all must arrive.
void World::warm_up() {
  note("warm up");
  phase_ = Phase::warming;
  phase_since_ = scheduler_.now();
  feeding_ = true;
  warm_round_ = 0;
  cold_.clear();
  for (const auto& book : books_) cold_.push_back(book->next());
  warm_on();
}

// A turn; as many as it takes until everybody had one and sent something.
void World::warm_on() {
  for (const auto& book : books_) book->begin_complete();
  scheduler_.at(warm_for, [this] {
    ++warm_round_;
    bool warm = warm_round_ >= warm_rounds;
    for (std::size_t i = 0; i < books_.size(); ++i) warm = warm && books_[i]->next() > cold_[i];
    if (!warm) return warm_on();
    phase_ = Phase::settling;
    phase_since_ = idle_since_ = scheduler_.now();
    feeding_ = false;
  });
}

// From here on nothing may be lost: up to n - k links are cut, and attackers do what they like.
void World::begin_complete() {
  note("complete");
  phase_ = Phase::complete;
  phase_since_ = scheduler_.now();
  feeding_ = true;
  LinkFaults faults = network_.faults();
  if (random_.coin()) {
    report_.marks.hit("forged while healed");
    faults.forge = 1 + static_cast<unsigned>(random_.below(300));
    faults.duplicate = static_cast<unsigned>(random_.below(200));
    faults.replay = static_cast<unsigned>(random_.below(100));
  }
  network_.set_faults(faults);
  // Streams of one pair share its links.
  std::map<std::pair<std::size_t, std::size_t>, unsigned> spare;
  for (const StreamPlan& stream : plan_.streams) {
    const unsigned can_lose = stream.wire.n - stream.wire.k;
    const auto [found, fresh] = spare.try_emplace({stream.a, stream.b}, can_lose);
    if (!fresh) found->second = std::min(found->second, can_lose);
  }
  for (const auto& [pair, links] : spare) {
    for (unsigned i = 0; i < links; ++i) {
      if (random_.coin()) continue;
      report_.marks.hit("links cut while healed");
      network_.cut(pair.first, pair.second, static_cast<unsigned>(random_.below(6)));
    }
  }
  for (const auto& book : books_) book->begin_complete();
}

bool World::all_sent() {
  return std::all_of(books_.begin(), books_.end(), [](const auto& book) { return book->any_since(); });
}

bool World::all_came() {
  return std::all_of(books_.begin(), books_.end(), [](const auto& book) { return book->missing() == 0; });
}

// Says which direction of which stream, and what its ends count.
void World::explain_missing() {
  for (std::size_t i = 0; i < books_.size(); ++i) {
    const FrameBook& book = *books_[i];
    if (book.missing() == 0) continue;
    const StreamPlan& stream = plan_.streams[i / 2];
    const std::size_t from = i % 2 == 0 ? stream.a : stream.b;
    const std::size_t to = i % 2 == 0 ? stream.b : stream.a;
    const Connection* const sender = connection(from, to);
    const Connection* const receiver = connection(to, from);
    recorder_.violation("frames were lost in a healed world: " + std::to_string(book.missing()) +
                        " of stream " + std::to_string(stream.wire.id) + " from " + plan_.nodes[from].name +
                        ", frame " + std::to_string(book.first_missing()) + " of " +
                        std::to_string(book.next()) +
                        (sender == nullptr ? "" : "; " + sender->describe_sender(stream.wire.id)) +
                        (receiver == nullptr ? "" : "; " + receiver->describe_receiver(stream.wire.id)));
  }
  if (recorder_.clean()) {
    recorder_.violation(all_sent() ? "a healed world does not come to rest"
                                   : "a stream of a healed world has nothing to send with");
  }
}

void World::advance_phase() {
  const std::uint64_t now = scheduler_.now();
  switch (phase_) {
    case Phase::bad:
      if (report_.cells >= plan_.cells || now >= bad_at_most) heal();
      break;
    case Phase::warming:
      if (now - phase_since_ > together_within) {
        recorder_.violation("a stream has no keys to send with in a healed world");
      }
      break;
    case Phase::healing:
    case Phase::settling:
      if (!all_together() || !all_idle()) {
        idle_since_ = now;
        if (now - phase_since_ > together_within) {
          recorder_.violation(all_together() ? "senders do not come to rest in a healed world"
                                             : "nodes do not associate again in a healed world");
        }
      } else if (now - idle_since_ >= settled_for) {
        if (phase_ == Phase::healing) {
          warm_up();
        } else {
          begin_complete();
        }
      }
      break;
    case Phase::complete:
      if (feeding_ && now - phase_since_ >= feed_for && all_sent()) feeding_ = false;
      if (!feeding_ && all_came() && all_together() && all_idle()) {
        report_.healed_ns = now - phase_since_;
        phase_ = Phase::over;
      } else if (now - phase_since_ > complete_within) {
        explain_missing();
      }
      break;
    case Phase::over:
      break;
  }
}

}  // namespace ssn::sim
