// SPDX-License-Identifier: BSD-3-Clause
#include "simulation.h"

#include <algorithm>

namespace ssn::sim {

using namespace protocol;

Simulation::Simulation(std::uint64_t seed, Statistics& statistics) : statistics_(statistics), random_(seed) {
  nodes_.push_back(
      std::make_unique<Node>(Node{"alice", "bob", CrashDisk(Ledger::initial_image("alice")), nullptr, {}}));
  nodes_.push_back(
      std::make_unique<Node>(Node{"bob", "alice", CrashDisk(Ledger::initial_image("bob")), nullptr, {}}));
}

void Simulation::at(std::uint64_t delay, std::function<void()> action) {
  events_.push({now_ + delay, ++order_, std::move(action)});
}

void Simulation::run_until(std::uint64_t time) {
  while (!events_.empty() && events_.top().time <= time) {
    const Event event = events_.top();
    events_.pop();
    now_ = event.time;
    event.action();
  }
  now_ = time;
}

Simulation::Node* Simulation::node_of(const Process& process) {
  for (const auto& node : nodes_) {
    if (node->process.get() == &process) return node.get();
  }
  return nullptr;
}

// The process that answers to a name; any of several where there are clones.
std::shared_ptr<Process> Simulation::reach(const std::string& name, bool any) {
  std::vector<std::shared_ptr<Process>> live;
  for (const auto& node : nodes_) {
    if (node->name == name && node->process) live.push_back(node->process);
  }
  if (live.empty()) return nullptr;
  return live[any ? random_.below(live.size()) : live.size() - 1];
}

void Simulation::start(Node& node) {
  if (node.process) return;
  node.process = std::make_shared<Process>(oracle_, statistics_, node.disk, node.name, node.peer,
                                           TestRandom(random_.next()));
  node.process->number = ++processes_;
  pump(node.process);
  tick(node.process);
}

void Simulation::crash(Node& node) {
  if (!node.process) return;
  ++statistics_.crashes;
  std::vector<Ksid> sending;
  if (node.process->epoch) sending.assign(node.process->epoch->ksid, node.process->epoch->ksid + 2);
  node.process.reset();
  node.disk.crash(random_);
  Result<Ledger> disk = Ledger::open(node.name, node.disk.image(), least_extent);
  if (!disk.ok()) {
    oracle_.violation("a crash broke the ledger: " + disk.error().why);
  } else {
    for (const Ksid& ksid : sending) oracle_.written_ahead(disk.value().state(), node.peer, ksid);
  }
}

// Ledger, association and messages, until nothing moves without time.
void Simulation::pump(const std::shared_ptr<Process>& process) {
  Node* const node = node_of(*process);
  if (node == nullptr) return;
  process->association.advance();
  process->handle_events();
  if (process->just_established) {
    process->just_established = false;
    check_established(*process);
  }
  for (const AssociationEvent alarm : process->alarms) {
    ++statistics_.alarms;
    if (!forked_) oracle_.violation("a false alarm: " + std::to_string(static_cast<int>(alarm)));
    at(200 + random_.below(300), [this] { operator_mends(); });
  }
  process->alarms.clear();
  while (auto message = process->association.next_message()) deliver_control(process, *message);
  process->ledger.collect();
  if (process->writing) return;
  if (const LedgerBatch* batch = process->ledger.next_batch()) {
    node->disk.write(batch->offset, batch->bytes);
    process->writing = true;
    at(1 + random_.below(4), [this, weak = std::weak_ptr(process)] {
      const auto live = weak.lock();
      if (!live) return;
      if (Node* const same = node_of(*live)) {
        same->disk.sync();
        live->writing = false;
        live->ledger.committed();
        if (random_.below(20) == 0) same->old_images.push_back(same->disk.image());
        if (same->old_images.size() > 3) same->old_images.erase(same->old_images.begin());
        pump(live);
      }
    });
  }
}

// Bob must not associate with an alice that others of his alices have overtaken.
void Simulation::check_established(Process& process) {
  if (process.name != "bob") return;
  const PeerRecord& alice = *process.ledger.peer("alice");
  for (const auto& [incarnation, instance] : met_) {
    if (incarnation >= alice.peer_incarnation && instance != alice.peer_instance) {
      oracle_.violation("an alice that was rolled back or cloned was let in");
    }
  }
  met_[alice.peer_incarnation] = alice.peer_instance;
}

void Simulation::deliver_control(const std::shared_ptr<Process>& from, const Bytes& message) {
  std::shared_ptr<Process> to = correspondents_[from->number].lock();
  if (!to || node_of(*to) == nullptr) to = reach(from->peer, true);
  if (!to || random_.below(30) == 0) return;  // the connection broke
  std::uint64_t& last = channels_[{from->number, to->number}];
  last = std::max(last + 1, now_ + 1 + random_.below(10));
  at(last - now_, [this, message, source = std::weak_ptr(from), target = std::weak_ptr(to)] {
    const auto sender = source.lock();
    const auto receiver = target.lock();
    // The connection of a process that ended is closed.
    if (!sender || !receiver || node_of(*sender) == nullptr || node_of(*receiver) == nullptr) return;
    correspondents_[receiver->number] = sender;
    if (!receiver->association.receive(message, receiver->contribution()).ok()) {
      oracle_.violation("a message of the association is malformed");
    }
    pump(receiver);
  });
}

void Simulation::transmit(Process& from, const Bytes& packet) {
  const std::size_t copies = random_.below(10) == 0 ? 2 : random_.below(8) == 0 ? 0 : 1;
  for (std::size_t i = 0; i < copies; ++i) {
    at(1 + random_.below(30),
       [this, name = from.peer, number = from.number, packet] { arrive(name, number, packet); });
  }
}

void Simulation::arrive(const std::string& name, std::uint64_t sender, const Bytes& packet) {
  const std::shared_ptr<Process> process = reach(name, true);
  if (!process || !process->epoch) return;
  const Epoch::Opened opened = process->epoch->open(packet, process->number);
  if (opened.result == OpenResult::opened || opened.result == OpenResult::kept) {
    ++statistics_.opened;
  }
  statistics_.repeated += opened.result == OpenResult::repeated ? 1 : 0;
  if (opened.result == OpenResult::alarm) {
    process->association.quarantine(Quarantine::cloned);
    pump(process);
    return;
  }
  if (opened.result != OpenResult::opened && opened.result != OpenResult::kept &&
      opened.result != OpenResult::repeated && opened.result != OpenResult::pad_gone) {
    return;
  }
  const Ksid ksid = process->epoch->ksid[2];
  if (random_.below(5) == 0) return;  // the acknowledgement is lost
  at(1 + random_.below(20), [this, sender, ksid, offset = opened.d_offset] {
    for (const auto& node : nodes_) {
      if (node->process && node->process->number == sender && node->process->epoch &&
          node->process->epoch->ksid[0] == ksid) {
        node->process->epoch->acknowledged(offset);
      }
    }
  });
}

void Simulation::traffic(Process& process) {
  Epoch& epoch = *process.epoch;
  epoch.deliver(random_);
  std::vector<Bytes> packets;
  const unsigned what = random_.between(0, 9);
  if (what < 5) {
    packets = epoch.seal(random_);
    statistics_.sealed += packets.size();
  } else if (what < 7) {
    packets = epoch.retransmit(random_);
    statistics_.retransmitted += packets.size();
  } else if (what == 7) {
    packets = epoch.seal_keep(random_, random_.coin());
    ++statistics_.kept;
  } else if (what == 8) {
    epoch.give_up(random_);
    ++statistics_.given_up;
  }
  for (const Bytes& packet : packets) transmit(process, packet);
  // The transport's word on what is outstanding lets the other end close holes.
  for (const auto& node : nodes_) {
    if (node->name == process.peer && node->process && node->process->epoch &&
        node->process->epoch->ksid[2] == epoch.ksid[0]) {
      node->process->epoch->pads_in.discard_below(epoch.outstanding_from());
    }
  }
}

void Simulation::tick(const std::shared_ptr<Process>& process) {
  at(3 + random_.below(5), [this, weak = std::weak_ptr(process)] {
    const auto live = weak.lock();
    if (!live || node_of(*live) == nullptr) return;
    if (live->association.state() == Association::State::closed) {
      (void)live->association.start(live->contribution());  // refused while in quarantine
    } else if (random_.below(10) == 0) {
      live->association.retry();
    } else if (!calm_ && random_.below(300) == 0) {
      live->association.end();  // a key device failed, say
    }
    pump(live);
    if (live->epoch) traffic(*live);
    pump(live);
    tick(live);
  });
}

void Simulation::fault() {
  Node& alice = *nodes_[0];
  Node& node = *nodes_[random_.below(2)];
  const std::size_t what = random_.below(16);
  if (what < 12) {
    crash(node);
    at(random_.below(40), [this, &node] { start(node); });
  } else if (what < 14 && !alice.old_images.empty()) {
    crash(alice);
    const Bytes& old = alice.old_images[random_.below(alice.old_images.size())];
    forked_ = forked_ || old != alice.disk.image();
    alice.disk.restore(old);
    ++statistics_.restores;
    at(random_.below(40), [this, &alice] { start(alice); });
  } else if (what >= 14 && nodes_.size() == 2) {
    forked_ = true;
    ++statistics_.clones;
    nodes_.push_back(
        std::make_unique<Node>(Node{"alice", "bob", CrashDisk(alice.disk.image()), nullptr, {}}));
    if (random_.coin()) {
      crash(alice);
      at(random_.below(10), [this] { start(*nodes_[0]); });
    }
    start(*nodes_.back());
  }
  if (!calm_)
    at(20 + random_.below(120), [this] {
      if (!calm_) fault();
    });
}

// Makes sure that there is one alice, and readmits everybody everywhere.
void Simulation::operator_mends() {
  if (!forked_) return;
  forked_ = false;
  met_.clear();
  while (nodes_.size() > 2) nodes_.pop_back();
  for (std::size_t i = 0; i < 2; ++i) {
    Node& node = *nodes_[i];
    crash(node);
    node.old_images.clear();
    Result<Ledger> ledger = Ledger::open(node.name, node.disk.image(), least_extent);
    if (!ledger.ok()) continue;
    ledger.value().readmit(node.peer);
    ledger.value().readmit_self();
    while (const LedgerBatch* batch = ledger.value().next_batch()) {
      node.disk.write(batch->offset, batch->bytes);
      node.disk.sync();
      ledger.value().committed();
    }
    start(node);
  }
}

const std::vector<std::string>& Simulation::run() {
  ++statistics_.runs;
  start(*nodes_[0]);
  start(*nodes_[1]);
  at(100, [this] { fault(); });
  run_until(2500);
  // Safety is not enough: without further faults they must find each other again.
  calm_ = true;
  forked_ = true;
  operator_mends();
  run_until(now_ + 1500);
  const bool together = nodes_[0]->process && nodes_[1]->process && nodes_[0]->process->epoch &&
                        nodes_[1]->process->epoch &&
                        nodes_[0]->process->epoch->ksid[0] == nodes_[1]->process->epoch->ksid[2];
  if (!together) oracle_.violation("the nodes do not associate again");
  for (const auto& node : nodes_) crash(*node);
  return oracle_.violations();
}

}  // namespace ssn::sim
