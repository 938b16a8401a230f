// SPDX-License-Identifier: BSD-3-Clause
#include "ssn/dataplane/storage.h"

#include <fmt/core.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <ctime>
#include <optional>
#include <thread>

#include "../nodes/storage_nodes.h"
#include "alarm_watch.h"
#include "errands.h"
#include "key_settings.h"
#include "membership_guard.h"
#include "owner_sessions.h"
#include "removal_orders.h"
#include "reshare_control.h"
#include "reshare_setup.h"
#include "ssn/dataplane/controller_link.h"
#include "ssn/roles/ssa.h"
#include "storage_counters.h"
#include "storage_member.h"
#include "store_setup.h"

namespace ssn::dataplane {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr milliseconds worker_patience{5000};

std::uint64_t clock_ms() {
  return static_cast<std::uint64_t>(
      std::chrono::duration_cast<milliseconds>(steady_clock::now().time_since_epoch()).count());
}

// Reading an event makes it silent until the store answers again.
void silence(void* event) {
  std::uint64_t count = 0;
  [[maybe_unused]] const ssize_t got = ::read(*static_cast<int*>(event), &count, sizeof count);
}

Result<hw::SecretBuffer> locked(std::size_t bytes) {
  return hw::SecretBuffer::make(bytes, hw::SecretBuffer::Locking::required);
}

// Of a pool's packets, what the shares of all peers may take at one worker: half of its part. The others are
// in ports, on their way out, or wanted by what arrives.
roles::HolderOptions holder_options(std::uint32_t of_worker, std::size_t peers) {
  const std::uint32_t packets = of_worker / 2;
  roles::HolderOptions options;
  // One may wait for the store when the next one comes.
  options.peers = static_cast<std::uint32_t>(2 * std::max<std::size_t>(peers, 1));
  while (options.cells > 64 && roles::Holder::packets(options) > packets) {
    options.cells /= 2;
    options.sent_cells = std::max<std::uint32_t>(64, options.sent_cells / 2);
  }
  return options;
}

HolderRole::Setup holder_setup(const StorageMode::Setup& from, std::uint32_t cell_room) {
  const Configuration& configuration = *from.configuration;
  const std::uint32_t of_worker = packets_of(*from.packets) / from.workers;
  HolderRole::Setup setup;
  std::size_t served = 0;
  for (const PeerConfiguration& peer : configuration.peers) {
    roles::PeerIdentity identity;
    identity.node = roles::node_number(peer.name);
    identity.ssa = peer.role == PeerConfiguration::Role::ssa;
    identity.shareholder = !identity.ssa;
    setup.identities.push_back(identity);
    served += identity.ssa || !configuration.reshares() ? 1 : 0;
  }
  setup.options = holder_options(of_worker, served);
  if (configuration.reshares()) setup.resharing = resharing_of(configuration, of_worker, cell_room);
  setup.implementation = from.implementation;
  setup.call_control = from.call_control ? &from.call_control : nullptr;
  return setup;
}

// For as many keep orders as the credit of all SSAs is good for, where these are as long as ours.
Result<OrderMemory> order_memory(const HolderRole::Setup& setup, std::uint32_t cell_bytes) {
  const auto ssas =
      static_cast<std::size_t>(std::count_if(setup.identities.begin(), setup.identities.end(),
                                             [](const roles::PeerIdentity& peer) { return peer.ssa; }));
  if (ssas == 0) return OrderMemory();
  const std::size_t orders = std::max(1U, setup.options.cells / roles::usual_keep_cells);
  return OrderMemory::make(ssas * orders,
                           std::min(roles::usual_keep_cells * cell_bytes, protocol::max_order_bytes));
}

}  // namespace

StorageMode::StorageMode(Setup setup)
    : setup_(std::move(setup)),
      alarms_(std::make_unique<AlarmWatch>(setup_.configuration->name)),
      errands_(std::make_unique<Errands>()),
      removals_(std::make_unique<RemovalOrders>()) {}

StorageMode::~StorageMode() {
  controller_.reset();
  owners_.reset();
  reshare_.reset();
  guard_.reset();
  channels_.clear();
  members_.clear();
  store_.reset();
}

Result<std::unique_ptr<StorageMode>> StorageMode::make(Setup setup) {
  std::unique_ptr<StorageMode> mode(new StorageMode(std::move(setup)));
  const Configuration& configuration = *mode->setup_.configuration;
  std::uint32_t room = static_cast<std::uint32_t>(protocol::max_payload + protocol::overhead_bytes);
  for (const PeerConfiguration& peer : configuration.peers) {
    room = std::min(room, mode->setup_.longest_payload(mode->setup_.host_link(peer.name, 0)));
  }
  mode->cell_room_ = (room - static_cast<std::uint32_t>(protocol::overhead_bytes)) / 64 * 64;
  if (configuration.shareholder.present) {
    if (Outcome outcome = mode->start_store(); !outcome.ok()) return outcome.error();
  }
  for (unsigned i = 0; i < mode->setup_.workers; ++i) {
    if (Outcome outcome = mode->make_worker(i); !outcome.ok()) return outcome.error();
  }
  if (Outcome outcome = mode->make_guard(); !outcome.ok()) return outcome.error();
  if (Outcome outcome = mode->make_controller_link(); !outcome.ok()) return outcome.error();
  if (configuration.ssa.present) {
    OwnerSessions::Setup owners;
    owners.configuration = mode->setup_.configuration;
    for (const std::unique_ptr<StorageMember>& member : mode->members_)
      owners.members.push_back(member.get());
    owners.controller = mode->controller_.get();
    owners.guard = mode->guard_.get();
    owners.options = ssa_options(configuration, packets_of(*mode->setup_.packets) / mode->setup_.workers);
    owners.cell_room = mode->cell_room_;
    owners.port = mode->setup_.port_id(configuration.ssa.port);
    owners.make_guest = mode->setup_.make_guest;
    owners.report = mode->setup_.report;
    mode->owners_ = std::make_unique<OwnerSessions>(std::move(owners));
  }
  if (configuration.reshares()) {
    if (Outcome outcome = mode->make_reshare_control(); !outcome.ok()) return outcome.error();
  }
  return mode;
}

Outcome StorageMode::make_guard() {
  if (setup_.membership == nullptr) return done;
  MembershipGuard::Setup setup;
  setup.live = setup_.membership;
  setup.configuration = setup_.configuration;
  setup.report = setup_.report;
  setup.alarm = [this](const std::string& text) { alarms_->refused(text, clock_ms()); };
  setup.now = [] { return static_cast<std::int64_t>(::time(nullptr)); };
  Result<std::unique_ptr<MembershipGuard>> guard = MembershipGuard::make(std::move(setup));
  if (!guard.ok()) return guard.error();
  guard_ = std::move(guard.value());
  return done;
}

Outcome StorageMode::make_reshare_control() {
  ReshareControl::Setup setup;
  setup.configuration = setup_.configuration;
  for (const std::unique_ptr<StorageMember>& member : members_) setup.members.push_back(member.get());
  setup.errands = errands_.get();
  setup.guard = guard_.get();
  setup.remove = [this](std::uint64_t object, std::uint32_t generation, const OrderTerm& term) {
    return order_removal(object, generation, term);
  };
  setup.report = setup_.report;
  Result<std::unique_ptr<ReshareControl>> control = ReshareControl::make(std::move(setup));
  if (!control.ok()) return control.error();
  reshare_ = std::move(control.value());
  return done;
}

Outcome StorageMode::start_store() {
  const Configuration& configuration = *setup_.configuration;
  if (Outcome outcome = check_node_numbers(configuration); !outcome.ok()) return outcome;
  Result<std::unique_ptr<store::StoreThread>> store =
      dataplane::start_store(configuration.shareholder, setup_.workers,
                             HolderRole::requests(holder_setup(setup_, cell_room_)), setup_.report);
  if (!store.ok()) return store.error();
  store_ = std::move(store.value());
  return done;
}

Outcome StorageMode::make_worker(unsigned index) {
  auto member = std::make_unique<StorageMember>();
  StorageWorker& worker = *member->storage;
  worker.index = static_cast<std::uint16_t>(index);
  worker.count = static_cast<std::uint16_t>(setup_.workers);
  worker.source.open(*setup_.packets);
  for (hw::SecretBuffer* const memory : {&worker.seal_memory, &worker.open_memory}) {
    Result<hw::SecretBuffer> made = locked(protocol::OneTimeCheck::memory_bytes);
    if (!made.ok()) return made.error();
    *memory = std::move(made.value());
  }
  worker.sealer.emplace(*setup_.implementation, worker.packets, worker.seal_memory);
  worker.opener.emplace(*setup_.implementation, worker.packets, worker.table, worker.open_memory);
  worker.peers.resize(setup_.configuration->peers.size());
  worker.finished.resize(setup_.configuration->peers.size());
  Outcome outcome = store_ != nullptr ? make_holder_role(*member) : make_ssa_role(*member);
  members_.push_back(std::move(member));
  return outcome;
}

Outcome StorageMode::make_holder_role(StorageMember& member) {
  HolderRole::Setup setup = holder_setup(setup_, cell_room_);
  setup.port = &store_->port(member.storage->index);
  Result<OrderMemory> orders = order_memory(setup, cell_room_);
  if (!orders.ok()) return orders.error();
  member.storage->source.orders = std::move(orders.value());
  if (setup.resharing) {
    Result<OrderMemory> masks = mask_memory(cell_room_);
    if (!masks.ok()) return masks.error();
    member.storage->source.masks = std::move(masks.value());
  }
  member.storage->store_event = setup.port->descriptor();
  Result<std::unique_ptr<HolderRole>> role = HolderRole::make(std::move(setup), *member.storage);
  if (!role.ok()) return role.error();
  member.holder = role.value().get();
  member.storage->role = std::move(role.value());
  return done;
}

Outcome StorageMode::make_ssa_role(StorageMember& member) {
  SsaRole::Setup setup;
  setup.options = ssa_options(*setup_.configuration, packets_of(*setup_.packets) / setup_.workers);
  setup.implementation = setup_.implementation;
  setup.random_stream = setup_.configuration->ssa.random == RandomSource::stream;
  setup.call_control = setup_.call_control ? &setup_.call_control : nullptr;
  Result<std::unique_ptr<SsaRole>> role = SsaRole::make(setup, *member.storage);
  if (!role.ok()) return role.error();
  member.ssa = role.value().get();
  member.storage->role = std::move(role.value());
  return done;
}

Outcome StorageMode::build(GraphBuilder& graph) {
  StorageMember& member = *members_[graph.worker().index()];
  member.thread = &graph.worker();
  member.storage->thread = member.thread;
  member.storage->host = setup_.host_worker(graph);
  const auto state = std::make_shared<StorageNode>(StorageNode{member.storage});
  const NodeHandle receive = graph.add(storage_receive_type, "storage", state);
  const NodeHandle step = graph.add(storage_step_type, "storage", state);
  if (Outcome outcome = setup_.connect_udp(graph, receive); !outcome.ok()) return outcome;
  graph.connect(receive, storage_receive_handoff, graph.handoff("storage"));
  if (graph.worker_count() > 1) graph.connect(graph.handoff_source("storage"), 0, receive);
  graph.connect(step, storage_step_link, setup_.link_output(graph));
  if (member.storage->store_event >= 0) {
    graph.wake_on(member.storage->store_event, silence, nullptr, &member.storage->store_event);
  }
  mirror_counters(graph, member, *setup_.configuration);
  return done;
}

// ---- Connections.
namespace {

void run_attach(void* argument) {
  auto& channel = *static_cast<StorageChannel*>(argument);
  [[maybe_unused]] const bool attached = channel.worker->attach(channel);
  assert(attached && "the connection before was let go");
}

struct Detachment {
  static void run(void* argument) {
    auto& channel = *static_cast<StorageChannel*>(argument);
    Connection* const connection = channel.connection;
    channel.worker->detach(channel, channel.worker->thread->now_ns());
    channel.is_over.store(true, std::memory_order_release);  // not to be touched any more
    connection->let_go();
  }
};

// The walk that follows serves all connections.
void run_refresh(void*) {}

}  // namespace

Result<std::unique_ptr<StorageChannel>> StorageMode::make_channel(Connection& connection) {
  const ConnectionTerms& terms = connection.terms();
  auto made = std::make_unique<StorageChannel>();
  StorageWorker& worker = *members_[connection.worker()]->storage;
  made->worker = &worker;
  made->id = terms.local_id;
  made->number = terms.peer_index;
  made->link = setup_.host_link(connection.peer(), 0);
  made->connection = &connection;
  protocol::ChannelOptions options;
  options.sender.packet_bytes = cell_room_ + static_cast<std::uint32_t>(protocol::overhead_bytes);
  options.sender.packets = std::bit_floor(std::clamp<std::uint32_t>(terms.peer_window, 1024, 16384));
  // The peer's ring is not told; the longest range is a part of the smaller of both.
  options.sender.peer_pad_ring_bytes = connection.memory(pads_out).bytes;
  made->channel =
      std::make_unique<protocol::Channel>(options, connection.send_keys(), *connection.receiving().keys[0],
                                          *worker.sealer, worker.source, channel_begins_ns());
  return made;
}

bool StorageMode::attach(Connection& connection) {
  reap();
  Result<std::unique_ptr<StorageChannel>> made = make_channel(connection);
  const std::lock_guard lock(mutex_);
  if (!made.ok()) {
    trouble_ = made.error().what + ": " + made.error().why;
    return false;
  }
  if (!members_[connection.worker()]->thread->post({run_attach, made.value().get()})) return false;
  trouble_.clear();
  connection.worker_data = made.value().get();
  channels_.push_back(std::move(made.value()));
  return true;
}

bool StorageMode::detach(Connection& connection) {
  return members_[connection.worker()]->thread->post({Detachment::run, connection.worker_data});
}

bool StorageMode::refresh(Connection& connection) {
  return members_[connection.worker()]->thread->post({run_refresh, nullptr});
}

void StorageMode::released(Connection&) { reap(); }

void StorageMode::reap() {
  const std::lock_guard lock(mutex_);
  std::erase_if(channels_, [](const std::unique_ptr<StorageChannel>& each) {
    return each->is_over.load(std::memory_order_acquire);
  });
}

// By peer; where several workers speak with it, as the one does that fares worst.
std::map<std::string, ChannelState> StorageMode::channel_states() {
  std::map<std::string, ChannelState> states;
  const std::lock_guard lock(mutex_);
  for (const std::unique_ptr<StorageChannel>& each : channels_) {
    if (each->connection == nullptr || each->is_over.load(std::memory_order_acquire)) continue;
    ChannelState& state = states[setup_.configuration->peers[each->number].name];
    state.round_trip_us = std::max(state.round_trip_us, each->round_trip_us.load(std::memory_order_relaxed));
    state.answers = state.answers && each->answers.load(std::memory_order_relaxed);
  }
  return states;
}

// ---- The controller.
Outcome StorageMode::make_controller_link() {
  const Configuration& configuration = *setup_.configuration;
  const ControllerConfiguration& from = configuration.controller;
  if (from.address.empty()) return done;
  ControllerLink::Setup setup;
  setup.place = {from.address,
                 from.name,
                 configuration.agent.certificate,
                 configuration.agent.key,
                 configuration.agent.ca,
                 configuration.agent.crl};
  setup.registration.roles = {configuration.ssa.present ? pki::Role::ssa : pki::Role::shareholder};
  setup.registration.agent = setup_.agent;
  setup.registration.data_addresses = data_addresses(configuration);
  setup.registration.labels = {{from.site, from.operated_by, from.power, from.key_manager}};
  for (const PeerConfiguration& peer : configuration.peers) {
    if (peer.key_path) setup.registration.key_paths.push_back({peer.name, *peer.key_path});
  }
  setup.registration.version = setup_.version;
  setup.report = setup_.report;
  setup.fill = [this](controller::Report& report) {
    if (owners_ != nullptr) {
      report.writes = owners_->writes();
      report.rates = owners_->rates().ask();
    }
    std::optional<store::StoreStatus> status;
    if (store_ != nullptr) {
      status = store_->status();
      fill_report(*status, setup_.configuration->shareholder.capacity, report);
    }
    report.key_settings = key_settings(*setup_.configuration);
    const KeyReport keys = setup_.keys();
    report.key_stock = key_stock(keys);
    if (setup_.configuration->ssa.present) report.peers = peer_reports(keys, channel_states());
    alarms_->look_at_membership(guard_ != nullptr ? guard_->trouble() : "", clock_ms());
    alarms_->look_at_audit(setup_.audit_trouble(), clock_ms());
    alarms_->look_at_certificates(setup_.certificate_trouble(), clock_ms());
    report.alarms = alarms_->look(keys, status ? &*status : nullptr, clock_ms());
  };
  setup.associations = [this] {
    std::vector<controller::AssociationReport> reports;
    for (auto& [peer, epoch] : setup_.epochs()) reports.push_back({std::move(peer), epoch, {}});
    return reports;
  };
  setup.ended = [this](const controller::ObjectKey& key) {
    if (owners_ != nullptr) owners_->ended(key);
  };
  setup.rates = [this](const controller::Report& asked, const controller::ReportAnswer& answer) {
    if (owners_ != nullptr) owners_->rates().take(asked.rates, answer.rates);
  };
  if (store_ != nullptr) {
    setup.remove = [this](const controller::ObjectKey& key) {
      return order_removal(key.object, key.generation, {});
    };
    setup.found = [this](const controller::ObjectKey& after) { return holdings_behind(*store_, after); };
  }
  Result<std::unique_ptr<ControllerLink>> link = ControllerLink::make(std::move(setup));
  if (!link.ok()) return link.error();
  controller_ = std::move(link.value());
  return done;
}

namespace {

class RemoveErrand final : public Errand {
 public:
  RemoveErrand(const StorageMember& member, store::GenerationId generation, std::uint64_t token,
               OrderTerm term)
      : Errand(*member.thread, term), role_(*member.holder), generation_(generation), token_(token) {}
  bool taken = false;

 private:
  void run() override { taken = role_.holder().remove(generation_, token_); }
  HolderRole& role_;
  const store::GenerationId generation_;
  const std::uint64_t token_;
};

class IdleErrand final : public Errand {
 public:
  explicit IdleErrand(const StorageMember& member) : Errand(*member.thread), role_(*member.holder) {}
  bool is_idle = false;

 private:
  void run() override { is_idle = role_.idle(); }
  HolderRole& role_;
};

}  // namespace

// The store is the same behind all workers; the first one gives the order.
bool StorageMode::order_removal(std::uint64_t object, std::uint64_t generation, const OrderTerm& term) {
  if (generation == 0 || generation > UINT32_MAX) return false;
  const std::uint64_t token = removals_->begin({object, generation}, clock_ms());
  const store::GenerationId id{object, static_cast<std::uint32_t>(generation)};
  const auto errand = std::make_shared<RemoveErrand>(*members_[0], id, token, term);
  const Errands::Ran ran = errands_->run(errand, worker_patience);
  // What may still be carried out counts as ordered.
  if (ran == Errands::Ran::late || (ran == Errands::Ran::yes && errand->taken)) return true;
  static_cast<void>(removals_->end(token));
  return false;
}

// `trouble`: why it is there still; empty: it is gone.
void StorageMode::end_removal(const controller::ObjectKey& key, const std::string& trouble) {
  if (!trouble.empty()) {
    setup_.report(fmt::format("store: cannot remove object {:016x}: {}", key.object, trouble));
  }
  if (controller_ != nullptr) trouble.empty() ? controller_->erased(key) : controller_->not_erased(key);
  if (reshare_ != nullptr) {
    reshare_->removed(key.object, static_cast<std::uint32_t>(key.generation), trouble);
  }
}

void StorageMode::take_removals() {
  if (store_ == nullptr) return;
  RemovalDone removal;
  while (members_[0]->holder->take_removal(removal)) {
    const std::optional<controller::ObjectKey> key = removals_->end(removal.token);
    using store::StoreResult;
    const bool gone = removal.result == StoreResult::done || removal.result == StoreResult::again ||
                      removal.result == StoreResult::not_found || removal.result == StoreResult::removed;
    if (key) end_removal(*key, gone ? "" : std::string(store::name(removal.result)));
  }
  for (const controller::ObjectKey& key : removals_->give_up(clock_ms())) {
    end_removal(key, fmt::format("no answer for {} s", RemovalOrders::patience_ms / 1000));
  }
}

void StorageMode::take_events() {
  for (const std::unique_ptr<StorageMember>& member : members_) {
    roles::SsaEvent event;
    while (member->ssa != nullptr && member->ssa->take_event(event)) {
      if (event.holder < setup_.configuration->peers.size()) {
        alarms_->happened(event, setup_.configuration->peers[event.holder].name, clock_ms());
      }
      owners_->happened(member->storage->index, event);
    }
  }
  if (store_ == nullptr) return;
  for (const store::StoreEvent& event : store_->take_events()) {
    const bool hurt = alarms_->happened(event, clock_ms());
    setup_.report(fmt::format("store: object {:016x} share {}: {}: {}", event.share.object, event.share.share,
                              event.error.what, event.error.why));
    if (hurt && controller_ != nullptr) controller_->suspect();
  }
}

// ---- Life.
void StorageMode::start() {
  if (controller_ != nullptr) controller_->start();
}

void StorageMode::refuse_callers() {
  if (owners_ != nullptr) owners_->refuse();
  if (reshare_ != nullptr) reshare_->refuse();
}

Outcome StorageMode::stop() {
  if (controller_ != nullptr) controller_->stop();
  return owners_ != nullptr ? owners_->stop() : Outcome(done);
}

Outcome StorageMode::drain() {
  reap();
  const steady_clock::time_point end = steady_clock::now() + worker_patience;
  for (const std::unique_ptr<StorageMember>& member : members_) {
    bool idle = member->holder == nullptr;
    while (!idle) {
      const auto errand = std::make_shared<IdleErrand>(*member);
      const bool ran = errands_->run(errand, worker_patience) == Errands::Ran::yes;
      idle = ran && errand->is_idle;
      if (!idle && steady_clock::now() >= end) {
        return Error{Exit::temporary, "cannot end the role of the node",
                     ran ? "the store does not give back what it has" : "a worker does not answer", "store",
                     "look at its disk, and at `ssn dataplane status`"};
      }
      if (!idle) std::this_thread::sleep_for(milliseconds(1));
    }
  }
  return done;
}

void StorageMode::tend() {
  take_removals();
  take_events();
  if (guard_ != nullptr) guard_->tend();
  if (owners_ != nullptr) owners_->tend();
  if (reshare_ != nullptr) reshare_->tend();
  reap();
}

agent::SessionHost* StorageMode::session_host() const noexcept { return owners_.get(); }

agent::ReshareHost* StorageMode::reshare_host() const noexcept { return reshare_.get(); }

void StorageMode::add_status(agent::Status& status) const {
  if (controller_ != nullptr) add_controller_status(*controller_, setup_.configuration->controller, status);
  if (guard_ != nullptr) {
    guard_->add_status(status);
  } else {
    status.items.push_back({"membership", "none", true, "not pinned: the controller's word counts", {}});
  }
  if (store_ != nullptr) add_store_status(*store_, setup_.configuration->shareholder, status);
  if (owners_ != nullptr) owners_->add_status(status);
  if (reshare_ != nullptr) reshare_->add_status(status);
}

void StorageMode::add_counters(std::vector<agent::Counter>& out) const {
  if (controller_ != nullptr) add_controller_counters(controller_->state(), out);
  if (guard_ != nullptr) guard_->add_counters(out);
  if (store_ != nullptr) add_store_counters(*store_, out);
  if (owners_ != nullptr) add_owner_counters(owners_->numbers(), out);
}

}  // namespace ssn::dataplane
