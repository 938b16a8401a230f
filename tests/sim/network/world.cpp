// SPDX-License-Identifier: BSD-3-Clause
#include "world.h"

#include <algorithm>
#include <optional>
#include <string_view>

namespace ssn::sim {

using namespace protocol;

namespace {

constexpr std::uint64_t deep_check_every = 64;

}  // namespace

World::World(const Plan& plan, Options options)
    : plan_(plan),
      options_(std::move(options)),
      random_(plan.seed),
      network_(scheduler_, random_, report_.marks, plan.faults,
               [this](std::size_t node, const Bytes& packet) { arrive(node, packet); }) {
  report_.seed = plan.seed;
  for (std::size_t i = 0; i < 2 * plan.streams.size(); ++i) {
    books_.push_back(std::make_unique<FrameBook>(random_.next()));
  }
  parts_ = {&plan_, &recorder_, &report_.marks, &books_};
  for (const NodePlan& node : plan_.nodes) {
    nodes_.push_back(std::make_unique<Node>(Node{CrashDisk(Ledger::initial_image(node.name)), nullptr}));
  }
}

// One line of the trace; all of them make the digest, so that two runs of a seed can be compared.
void World::note(const char* what, std::uint64_t a, std::uint64_t b, std::uint64_t c) {
  std::uint64_t& digest = report_.digest;
  for (const char* at = what; *at != '\0'; ++at)
    digest = (digest ^ static_cast<unsigned char>(*at)) * 0x100000001b3;
  for (const std::uint64_t value : {scheduler_.now(), a, b, c}) digest = TestRandom(digest ^ value).next();
  if (!options_.trace) return;
  options_.trace(std::to_string(scheduler_.steps()) + " " + std::to_string(scheduler_.now() / 1000) + "us " +
                 what + " " + std::to_string(a) + " " + std::to_string(b) + " " + std::to_string(c));
}

// ---- Nodes ----------------------------------------------------------------------------------------------

void World::start(std::size_t node) {
  Node& at = *nodes_[node];
  if (at.process) return;
  at.process = std::make_shared<Process>(parts_, node, ++processes_, at.disk, TestRandom(random_.next()));
  note("start", node, at.process->number);
  pump(at.process);
  tick(at.process);
}

void World::crash(std::size_t node) {
  Node& at = *nodes_[node];
  if (!at.process) return;
  note("crash", node, at.process->number);
  report_.marks.hit("node crashed");
  if (at.process->associating()) report_.marks.hit("node crashed during association");
  std::vector<std::pair<std::string, Ksid>> sending;
  bool jobs = false;
  for (const Process::Peer& peer : at.process->peers) {
    if (peer.connection == nullptr) continue;
    jobs = jobs || peer.connection->jobs_in_flight();
    for (std::size_t i = 0; i < 2; ++i) {
      sending.emplace_back(plan_.nodes[peer.node].name, peer.connection->ksid(i));
    }
  }
  if (jobs) report_.marks.hit("node crashed while jobs were in flight");
  if (at.process->writing) report_.marks.hit("ledger torn");
  at.process.reset();
  at.disk.crash(random_);
  const Result<Ledger> disk = Ledger::open(plan_.nodes[node].name, at.disk.image(), plan_.extent);
  if (!disk.ok()) {
    recorder_.violation("a crash broke the ledger: " + disk.error().why);
    return;
  }
  for (const auto& [peer, ksid] : sending) {
    recorder_.oracle().written_ahead(disk.value().state(), peer, ksid);
  }
}

void World::write_ledger(const std::shared_ptr<Process>& process) {
  process->ledger.collect();
  if (process->writing) return;
  const LedgerBatch* const batch = process->ledger.next_batch();
  if (batch == nullptr) return;
  process->disk.write(batch->offset, batch->bytes);
  process->writing = true;
  const std::uint64_t delay = (phase_ == Phase::bad ? 1 + random_.below(20) : 1) * 50 * microsecond;
  scheduler_.at(delay, [this, weak = std::weak_ptr(process)] {
    const std::shared_ptr<Process> live = weak.lock();
    if (!live || !alive(*live)) return;
    live->disk.sync();
    live->writing = false;
    live->ledger.committed();
    note("ledger written", live->node);
    pump(live);
  });
}

// Ledger, associations and their messages, until nothing moves without time.
void World::pump(const std::shared_ptr<Process>& process) {
  for (Process::Peer& peer : process->peers) peer.association->advance();
  process->handle_events();
  for (Process::Peer& peer : process->peers) {
    while (auto message = peer.association->next_message()) send_control(process, peer, *message);
  }
  write_ledger(process);
}

void World::send_control(const std::shared_ptr<Process>& from, Process::Peer& peer, const Bytes& message) {
  const std::shared_ptr<Process> to = nodes_[peer.node]->process;
  const bool lost = phase_ == Phase::bad && random_.below(30) == 0;
  if (lost) report_.marks.hit("control message lost");
  if (!to || lost || network_.parted(from->node, peer.node)) return;
  std::uint64_t& last = channels_[{from->number, to->number}];
  last = std::max(last + 1, scheduler_.now() + (1 + random_.below(10)) * 50 * microsecond);
  scheduler_.at(last - scheduler_.now(),
                [this, message, source = std::weak_ptr(from), target = std::weak_ptr(to)] {
                  const std::shared_ptr<Process> sender = source.lock();
                  const std::shared_ptr<Process> receiver = target.lock();
                  // The connection of a process that ended is closed.
                  if (!sender || !receiver || !alive(*sender) || !alive(*receiver)) return;
                  note("control", sender->node, receiver->node, message.size());
                  Process::Peer* const known = receiver->peer(sender->node);
                  if (!known->association->receive(message, receiver->contribution()).ok()) {
                    recorder_.violation("a message of an association is malformed");
                  }
                  pump(receiver);
                });
}

void World::tick(const std::shared_ptr<Process>& process) {
  scheduler_.at((20 + random_.below(180)) * microsecond, [this, weak = std::weak_ptr(process)] {
    const std::shared_ptr<Process> live = weak.lock();
    if (!live || !alive(*live)) return;
    note("tick", live->node);
    for (Process::Peer& peer : live->peers) {
      if (peer.association->state() == Association::State::closed) {
        (void)peer.association->start(live->contribution());  // refused only in quarantine
      } else if (random_.below(40) == 0) {
        peer.association->retry();
      }
    }
    pump(live);
    traffic(*live);
    pump(live);
    if (phase_ == Phase::bad) misfortune();
    if (alive(*live)) tick(live);
  });
}

// ---- Traffic --------------------------------------------------------------------------------------------

void World::traffic(Process& process) {
  const std::uint64_t now = scheduler_.now();
  for (Process::Peer& peer : process.peers) {
    if (peer.connection == nullptr) continue;
    Connection& connection = *peer.connection;
    if (!connection.poll(supply_[{process.node, peer.node}], random_)) {
      note("keys ended", process.node, peer.node);
      peer.association->end();
      continue;
    }
    const Connection* const other = this->connection(peer.node, process.node);
    if (other != nullptr && !network_.parted(peer.node, process.node)) connection.hear(*other);
    connection.receive_round(now);
    const bool calm = phase_ != Phase::bad;
    const unsigned frames = feeding_ ? random_.between(0, calm ? 3 : 6) : 0;
    std::optional<std::size_t> turn;
    if (calm) turn = phase_ == Phase::warming ? warm_round_ : frames;
    std::vector<Connection::Packet> packets = connection.send_round(frames, turn, now);
    report_.cells += packets.size();
    if (!packets.empty()) note("sent", process.node, peer.node, packets.size());
    for (const Connection::Packet& each : packets) {
      network_.send({process.node, peer.node, each.outgoing.share - 1}, each.outgoing.packet);
    }
  }
}

void World::arrive(std::size_t node, const Bytes& packet) {
  note("packet", node, packet.size());
  const std::shared_ptr<Process> process = nodes_[node]->process;
  if (!process) {
    report_.marks.hit("packet to a dead node");
    return;
  }
  process->arrive(packet, scheduler_.now());
}

Connection* World::connection(std::size_t node, std::size_t other) {
  if (!nodes_[node]->process) return nullptr;
  Process::Peer* const peer = nodes_[node]->process->peer(other);
  return peer == nullptr ? nullptr : peer->connection.get();
}

// ---- Checks ---------------------------------------------------------------------------------------------

void World::check() {
  const bool deep = scheduler_.steps() % deep_check_every == 0;
  for (const auto& node : nodes_) {
    if (!node->process) continue;
    for (const Process::Peer& peer : node->process->peers) {
      if (peer.connection != nullptr) peer.connection->check(deep);
    }
  }
}

bool World::step() {
  if (!scheduler_.step()) return false;
  check();
  if (!recorder_.clean()) {
    report_.violation_step = scheduler_.steps();
    return false;
  }
  return options_.steps == 0 || scheduler_.steps() < options_.steps;
}

Report World::run() {
  for (std::size_t i = 0; i < nodes_.size(); ++i) start(i);
  while (phase_ != Phase::over && step()) advance_phase();
  for (std::size_t i = 0; i < nodes_.size(); ++i) {
    if (nodes_[i]->process) crash(i);
  }
  report_.steps = scheduler_.steps();
  report_.virtual_ns = scheduler_.now();
  for (const auto& book : books_) report_.frames += book->came_out();
  report_.violations = recorder_.violations();
  return std::move(report_);
}

}  // namespace ssn::sim
