// SPDX-License-Identifier: BSD-3-Clause
#include "storage_counters.h"

#include <fmt/core.h>

#include <algorithm>
#include <set>
#include <utility>

#include "ssn/dataplane/ip_address.h"

namespace ssn::dataplane {
namespace {

using Numbers = std::vector<agent::Counter>;

template <typename Block>
using Named = std::pair<const char*, std::uint64_t Block::*>;

constexpr Named<protocol::PacketCounters> packet_names[] = {
    {"sealed", &protocol::PacketCounters::sealed},
    {"sealed_bytes", &protocol::PacketCounters::sealed_bytes},
    {"sealed_computational", &protocol::PacketCounters::sealed_computational},
    {"retransmitted", &protocol::PacketCounters::retransmitted},
    {"opened", &protocol::PacketCounters::opened},
    {"opened_bytes", &protocol::PacketCounters::opened_bytes},
    {"opened_computational", &protocol::PacketCounters::opened_computational},
    {"repeated", &protocol::PacketCounters::repeated},
    {"pads_gone", &protocol::PacketCounters::pads_gone},
    {"short_of_keys", &protocol::PacketCounters::short_of_keys},
    {"epochs_ended", &protocol::PacketCounters::epochs_ended},
};

constexpr Named<StorageWorker> worker_names[] = {
    {"handed_off", &StorageWorker::handed_off},
    {"not_ready", &StorageWorker::not_joined},
    {"strays", &StorageWorker::strays},
};

constexpr Named<PeerNumbers> peer_names[] = {
    {"sent", &PeerNumbers::sent},           {"sent_again", &PeerNumbers::sent_again},
    {"received", &PeerNumbers::received},   {"stored", &PeerNumbers::stored},
    {"lost", &PeerNumbers::lost},           {"expired", &PeerNumbers::expired},
    {"suspected", &PeerNumbers::suspected},
};
constexpr Named<PeerNumbers> peer_gauges[] = {
    {"connected", &PeerNumbers::connected},
    {"round_trip_us", &PeerNumbers::round_trip_us},
};

using Holder = roles::HolderCounters;
constexpr Named<Holder> holder_names[] = {
    {"cells", &Holder::cells},
    {"stored", &Holder::stored},
    {"not_stored", &Holder::not_stored},
    {"untold", &Holder::untold},
    {"over_credit", &Holder::over_credit},
    {"orders_kept", &Holder::orders_kept},
    {"reads", &Holder::reads},
    {"cells_read", &Holder::cells_read},
    {"cells_not_read", &Holder::cells_not_read},
    {"replies_expired", &Holder::replies_expired},
    {"seals", &Holder::seals},
    {"sealed", &Holder::sealed},
    {"removals", &Holder::removals},
    {"removed", &Holder::removed},
    {"answers_lost", &Holder::answers_lost},
    {"not_ours", &Holder::not_ours},
    {"puts", &Holder::puts},
    {"put_cells", &Holder::put_cells},
};

using Resharer = roles::ResharerCounters;
constexpr Named<Resharer> reshare_names[] = {
    {"contributions", &Resharer::contributions},
    {"cells_stored", &Resharer::cells_stored},
    {"masks_made", &Resharer::masks_made},
    {"masks_taken", &Resharer::masks_taken},
    {"challenges", &Resharer::challenges},
    {"unexpected", &Resharer::unexpected},
    {"repeated", &Resharer::repeated},
    {"not_ours", &Resharer::not_ours},
    {"strangers", &Resharer::strangers},
    {"jobs_done", &Resharer::jobs_done},
    {"jobs_failed", &Resharer::jobs_failed},
    {"jobs_cancelled", &Resharer::jobs_cancelled},
    {"checks_passed", &Resharer::checks_passed},
    {"checks_failed", &Resharer::checks_failed},
    {"checks_unverified", &Resharer::checks_unverified},
};

using Ssa = roles::SsaCounters;
constexpr Named<Ssa> ssa_names[] = {
    {"blocks_in", &Ssa::blocks_in},
    {"blocks_again", &Ssa::blocks_again},
    {"blocks_refused", &Ssa::blocks_refused},
    {"blocks_stored", &Ssa::blocks_stored},
    {"blocks_paced", &Ssa::blocks_paced},
    {"cells_split", &Ssa::cells_split},
    {"cells_split_again", &Ssa::cells_split_again},
    {"shares_sent", &Ssa::shares_sent},
    {"shares_kept", &Ssa::shares_kept},
    {"shares_stored", &Ssa::shares_stored},
    {"shares_lost", &Ssa::shares_lost},
    {"short_of_packets", &Ssa::short_of_packets},
    {"short_of_random", &Ssa::short_of_random},
    {"holders_failed", &Ssa::holders_failed},
    {"writes_ended", &Ssa::writes_ended},
    {"writes_failed", &Ssa::writes_failed},
    {"blocks_asked", &Ssa::blocks_asked},
    {"blocks_out", &Ssa::blocks_out},
    {"blocks_not_given", &Ssa::blocks_not_given},
    {"shares_asked", &Ssa::shares_asked},
    {"shares_in", &Ssa::shares_in},
    {"shares_unwanted", &Ssa::shares_unwanted},
    {"holders_late", &Ssa::holders_late},
    {"cells_checked", &Ssa::cells_checked},
    {"cells_unchecked", &Ssa::cells_unchecked},
    {"cells_corrected", &Ssa::cells_corrected},
    {"cells_contradict", &Ssa::cells_contradict},
    {"events_lost", &Ssa::events_lost},
};

template <typename Block, std::size_t count>
void mirror(GraphBuilder& graph, CounterMirror& to, const std::string& prefix, const Block& block,
            const Named<Block> (&names)[count], CounterKind kind = CounterKind::counter) {
  for (const auto& [name, member] : names) to.add(block.*member, graph.counter(prefix + name, kind));
}

// By AnswerCode and by HolderAction.
constexpr const char* answer_names[] = {nullptr,     "done",      "not_found", "incomplete", "quarantined",
                                        "read_only", "disk_full", "io_error",  "busy",       "refused"};
static_assert(std::size(answer_names) == protocol::last_answer_code + 1);
constexpr const char* action_names[] = {"write", "read", "seal", "remove"};
static_assert(std::size(action_names) == roles::holder_actions);

void mirror_holder(GraphBuilder& graph, CounterMirror& to, const Holder& counters) {
  mirror(graph, to, "holder.", counters, holder_names);
  for (std::size_t i = 1; i < std::size(answer_names); ++i) {
    to.add(counters.answers[i], graph.counter(std::string("holder.answers.") + answer_names[i]));
  }
  for (std::size_t i = 0; i < std::size(action_names); ++i) {
    to.add(counters.refused[i], graph.counter(std::string("holder.refused.") + action_names[i]));
  }
}

// By ReshareAnswer.
constexpr const char* order_names[] = {"taken",       "again",     "superseded", "busy",
                                       "no_part",     "malformed", "too_large",  "unlisted",
                                       "below_floor", "forbidden", "unpinned"};
static_assert(std::size(order_names) == roles::reshare_answers);

void mirror_resharer(GraphBuilder& graph, CounterMirror& to, const Resharer& counters) {
  mirror(graph, to, "reshare.", counters, reshare_names);
  for (std::size_t i = 0; i < std::size(order_names); ++i) {
    to.add(counters.answers[i], graph.counter(std::string("reshare.orders.") + order_names[i]));
  }
}

}  // namespace

void mirror_counters(GraphBuilder& graph, StorageMember& member, const Configuration& configuration) {
  StorageWorker& worker = *member.storage;
  CounterMirror& to = worker.mirror;
  to.clear();
  mirror(graph, to, "storage.", worker.packets, packet_names);
  mirror(graph, to, "storage.", worker, worker_names);
  to.add(worker.source.empty, graph.counter("storage.no_packets"));
  to.add(worker.source.no_memory, graph.counter("storage.no_order_memory"));
  for (std::size_t i = 0; i < configuration.peers.size(); ++i) {
    const std::string prefix = "peer." + configuration.peers[i].name + ".";
    mirror(graph, to, prefix, worker.peers[i], peer_names);
    mirror(graph, to, prefix, worker.peers[i], peer_gauges, CounterKind::gauge);
  }
  if (member.holder != nullptr) {
    mirror_holder(graph, to, member.holder->holder().counters());
    if (roles::Resharer* const resharer = member.holder->resharer(); resharer != nullptr) {
      mirror_resharer(graph, to, resharer->counters());
    }
  }
  if (member.ssa != nullptr) mirror(graph, to, "ssa.", member.ssa->counters(), ssa_names);
}

void add_controller_status(const ControllerLink& link, const ControllerConfiguration& configuration,
                           agent::Status& status) {
  const ControllerLink::State state = link.state();
  agent::Properties properties{{"address", configuration.address}};
  if (!state.trouble.empty()) properties.emplace_back("trouble", state.trouble);
  if (state.unknown != 0) {
    properties.emplace_back("generations that it does not know", fmt::format("{}", state.unknown));
  }
  status.items.push_back({"controller", configuration.name, state.registered,
                          state.registered ? "registered" : "does not answer", std::move(properties)});
}

void add_controller_counters(const ControllerLink::State& state, Numbers& out) {
  out.push_back({"controller.reports", state.reports});
  out.push_back({"controller.failures", state.failures});
  out.push_back({"controller.removed", state.removed});
  out.push_back({"controller.compared", state.compared});
  out.push_back({"controller.damaged", state.damaged, agent::Counter::Kind::gauge});
  out.push_back({"controller.registered", state.registered ? 1U : 0U, agent::Counter::Kind::gauge});
}

void add_store_status(store::StoreThread& store, const ShareholderConfiguration& configuration,
                      agent::Status& status) {
  const store::StoreStatus now = store.status();
  const bool good = !now.full && !now.read_only;
  agent::Properties properties{{"generations", fmt::format("{}", now.generations)},
                               {"stored", fmt::format("{} bytes", now.stored_bytes)},
                               {"free", fmt::format("{} bytes", now.free_bytes)},
                               {"put aside", fmt::format("{} records", now.quarantined)}};
  if (!configuration.directory.empty()) properties.emplace_back("directory", configuration.directory);
  if (!good) properties.emplace_back("trouble", now.why.what + ": " + now.why.why);
  status.items.push_back({"store", std::string(name(configuration.store)), good,
                          now.read_only ? "read-only"
                          : now.full    ? "full"
                                        : "open",
                          std::move(properties)});
}

void add_store_counters(store::StoreThread& store, Numbers& out) {
  const store::StoreStatus now = store.status();
  const auto gauge = [&](const char* name, std::uint64_t value) {
    out.push_back({name, value, agent::Counter::Kind::gauge});
  };
  gauge("store.bytes", now.stored_bytes);
  gauge("store.free_bytes", now.free_bytes);
  gauge("store.generations", now.generations);
  gauge("store.pending_cells", now.pending_cells);
  gauge("store.read_only", now.read_only ? 1 : 0);
  gauge("store.full", now.full ? 1 : 0);
  out.push_back({"store.cells_put", now.counters.cells_put});
  out.push_back({"store.cells_stored", now.counters.cells_stored});
  out.push_back({"store.cells_read", now.counters.cells_read});
  out.push_back({"store.batches", now.counters.batches});
  out.push_back({"store.bytes_written", now.counters.bytes_written});
  out.push_back({"store.quarantined", now.counters.quarantined});
}

void add_owner_counters(const OwnerSessions::Numbers& numbers, Numbers& out) {
  out.push_back({"sessions.open", numbers.open, agent::Counter::Kind::gauge});
  out.push_back({"sessions.opened", numbers.opened});
  out.push_back({"sessions.refused", numbers.refused});
  out.push_back({"sessions.idle", numbers.idle});
  out.push_back({"sessions.ended", numbers.ended});
  out.push_back({"sessions.writes_sealed", numbers.writes_sealed});
  out.push_back({"sessions.writes_degraded", numbers.writes_degraded});
  out.push_back({"sessions.writes_failed", numbers.writes_failed});
}

void fill_report(const store::StoreStatus& status, std::uint64_t capacity, controller::Report& report) {
  report.used_bytes = status.stored_bytes;
  report.capacity_bytes = capacity != 0 ? capacity : status.stored_bytes + status.free_bytes;
  report.objects = status.generations;
  if (status.read_only || status.full) {
    report.read_only = (status.why.what + ": " + status.why.why).substr(0, controller::text_max);
  }
}

Result<std::vector<HeldShare>> holdings_behind(store::StoreThread& store,
                                               const controller::ObjectKey& after) {
  store::GenerationId from{after.object, static_cast<std::uint32_t>(after.generation)};
  if (after.object != 0 || after.generation != 0) {
    if (from == store::GenerationId{UINT64_MAX, UINT32_MAX}) return std::vector<HeldShare>();
    from = from.generation == UINT32_MAX ? store::GenerationId{from.object + 1, 0}
                                         : store::GenerationId{from.object, from.generation + 1};
  }
  Result<std::vector<store::ShareSummary>> listed = store.list(from, controller::page_max);
  if (!listed.ok()) return listed.error();
  std::vector<HeldShare> held;
  for (const store::ShareSummary& each : listed.value()) {
    // What could not be read this time may be good; what is not there was removed meanwhile.
    if (each.state == store::StoreResult::not_found) continue;
    const bool quarantined = each.state == store::StoreResult::quarantined;
    const bool incomplete = each.state == store::StoreResult::incomplete;
    const bool sealed = each.state == store::StoreResult::done;
    held.push_back({{each.id.object, each.id.generation},
                    each.id.share,
                    each.cells,
                    quarantined  ? controller::ShareDamage::damaged
                    : incomplete ? controller::ShareDamage::incomplete
                                 : controller::ShareDamage::unknown,
                    !sealed && !quarantined && !incomplete});
  }
  return held;
}

std::vector<std::string> data_addresses(const Configuration& configuration) {
  std::set<std::string> all;
  for (const PeerConfiguration& peer : configuration.peers) {
    for (const LinkConfiguration& link : peer.links)
      all.insert(format(IpEndpoint{link.local, link.udp_port}));
  }
  if (configuration.ssa.present) {
    all.insert(format(IpEndpoint{configuration.ssa.address, configuration.ssa.udp_port}));
  }
  std::vector<std::string> addresses(all.begin(), all.end());
  if (addresses.size() > controller::addresses_max) addresses.resize(controller::addresses_max);
  return addresses;
}

roles::SsaOptions ssa_options(const Configuration& configuration, std::uint32_t of_worker) {
  roles::SsaOptions options;
  // Half of a worker's packets for blocks and their shares, a quarter for shares that are read; the others
  // are in ports, on their way out, or wanted by what arrives.
  const auto holders = static_cast<std::uint32_t>(configuration.peers.size());
  options.blocks = std::clamp(of_worker / 2 / (holders + 1), 1024U, options.blocks);
  options.all_batches = static_cast<std::uint16_t>(
      std::clamp<std::uint32_t>(of_worker / 4 / (64 * holders), options.read_batches, options.all_batches));
  options.holders = static_cast<std::uint16_t>(configuration.peers.size());
  options.owners = static_cast<std::uint16_t>(configuration.ssa.owners);
  options.sessions = options.owners;
  options.pad_shares = configuration.ssa.pad_shares;
  options.stall_ns = static_cast<std::uint64_t>(configuration.ssa.patience.count());
  // Whoever stops an owner is to fail for that, by himself, before time decides about all that wait.
  options.cell_ns = std::max(options.cell_ns, 2 * options.stall_ns);
  options.lag_ns = std::max(options.lag_ns, 2 * options.stall_ns);
  return options;
}

std::uint32_t packets_of(const rte_mempool& pool) noexcept { return pool.size; }

}  // namespace ssn::dataplane
