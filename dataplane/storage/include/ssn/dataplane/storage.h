// SPDX-License-Identifier: BSD-3-Clause
// The storage network in a data plane: role ssa or shareholder. Makes the state of every worker, adds the
// nodes to every worker's graph, makes channels of the connections that the key service opened, and speaks to
// the controller.
//
//   auto storage = StorageMode::make(setup);
//   parts.push_back([&](GraphBuilder& graph) { return storage.value()->build(graph); });
//   auto keys = KeyService::open(..., *storage.value());
//   storage.value()->start();
//
// Threads: made, built, started and stopped by the control thread. attach(), detach() and refresh() are the
// key service's. Outlives the graphs it was built into.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "ssn/dataplane/agent_source.h"
#include "ssn/dataplane/configuration.h"
#include "ssn/dataplane/connection_sink.h"
#include "ssn/dataplane/graph_builder.h"
#include "ssn/dataplane/host.h"
#include "ssn/dataplane/key_report.h"
#include "ssn/dataplane/reshare_host.h"
#include "ssn/dataplane/session_host.h"
#include "ssn/hw/result.h"
#include "ssn/kernels/kernels.h"

struct rte_mempool;

namespace ssn::controller {
struct ObjectKey;
}
namespace ssn::membership {
class LiveMembership;
}
namespace ssn::store {
class StoreThread;
}

namespace ssn::dataplane {

class AlarmWatch;
struct ChannelState;
class ControllerLink;
class Errands;
class MembershipGuard;
class OwnerSessions;
class RemovalOrders;
class ReshareControl;
struct OrderTerm;
struct StorageChannel;
struct StorageMember;

class StorageMode final : public ConnectionSink {
 public:
  /// Everything outlives the object.
  struct Setup {
    const Configuration* configuration = nullptr;
    unsigned workers = 1;
    const kernels::Implementation* implementation = nullptr;
    std::string agent;    ///< where it listens: "192.0.2.1:7000"
    std::string version;  ///< of the program
    /// What operators signed; null: nothing is pinned.
    std::shared_ptr<membership::LiveMembership> membership;
    std::function<void(std::string_view)> report;  ///< events, for a log; any thread
    /// Peers and the epochs of their keys; any thread.
    std::function<std::vector<std::pair<std::string, std::uint64_t>>()> epochs;
    /// What the keys say of themselves; any thread.
    std::function<KeyReport()> keys;
    /// What is wrong with the audit log, and with certificates or will be soon; empty: nothing. Any thread.
    std::function<std::string()> audit_trouble;
    std::function<std::string()> certificate_trouble;
    /// Any thread: tend() is wanted soon. Makes no more than one system call.
    std::function<void()> call_control;
    /// Index of link `link` to a peer among the host's links, and the longest payload that it takes.
    std::function<std::uint32_t(const std::string& peer, std::size_t link)> host_link;
    std::function<std::uint32_t(std::uint32_t link)> longest_payload;
    std::function<Result<HostGuest>(const GuestSpec&)> make_guest;
    /// The EAL's number of a port.
    std::function<std::uint16_t(const std::string& port)> port_id;
    rte_mempool* packets = nullptr;
    /// In a worker's graph: where packets for links go (link_of() is the host's index of the link), the node
    /// behind whose edge packets to our UDP ports come, and the host for guests.
    std::function<NodeHandle(GraphBuilder&)> link_output;
    std::function<Outcome(GraphBuilder&, NodeHandle receive)> connect_udp;
    std::function<std::shared_ptr<HostWorker>(GraphBuilder&)> host_worker;
  };

  static Result<std::unique_ptr<StorageMode>> make(Setup setup);
  ~StorageMode();

  /// Adds the nodes to one worker's graph.
  Outcome build(GraphBuilder& graph);
  /// Workers walk the graph: begins to speak to the controller.
  void start();
  /// Any thread: owners get no more sessions, and nobody waits for one, or for what is erased.
  void refuse_callers();
  /// While workers still run, before connections are closed: ends sessions of owners, and the controller
  /// hears no more.
  Outcome stop();
  /// After connections were closed, while workers still run: waits for what is in the store.
  Outcome drain();
  /// Now and then, and after Setup::call_control: takes what workers left.
  void tend();

  bool attach(Connection& connection) override;
  bool detach(Connection& connection) override;
  bool refresh(Connection& connection) override;
  void released(Connection& connection) override;

  /// For the agent; null at a shareholder.
  agent::SessionHost* session_host() const noexcept;
  /// For the agent; null where no shares are made anew.
  agent::ReshareHost* reshare_host() const noexcept;
  /// Any thread.
  void add_status(agent::Status& status) const;
  void add_counters(std::vector<agent::Counter>& out) const;

 private:
  explicit StorageMode(Setup setup);
  Outcome make_worker(unsigned index);
  Outcome make_holder_role(StorageMember& member);
  Outcome make_ssa_role(StorageMember& member);
  Outcome start_store();
  Outcome make_controller_link();
  Outcome make_reshare_control();
  Outcome make_guard();
  Result<std::unique_ptr<StorageChannel>> make_channel(Connection& connection);
  void reap();
  std::map<std::string, ChannelState> channel_states();
  void take_removals();
  void end_removal(const controller::ObjectKey& key, const std::string& trouble);
  void take_events();
  bool order_removal(std::uint64_t object, std::uint64_t generation, const OrderTerm& term);

  Setup setup_;
  std::uint32_t cell_room_ = 0;  // bytes of the longest cell that fits all links
  std::unique_ptr<store::StoreThread> store_;
  const std::unique_ptr<AlarmWatch> alarms_;
  std::unique_ptr<MembershipGuard> guard_;  // null: no membership is pinned
  std::vector<std::unique_ptr<StorageMember>> members_;
  std::unique_ptr<ControllerLink> controller_;
  std::unique_ptr<OwnerSessions> owners_;
  const std::unique_ptr<Errands> errands_;
  const std::unique_ptr<RemovalOrders> removals_;
  std::unique_ptr<ReshareControl> reshare_;
  mutable std::mutex mutex_;  // of what follows; never taken by a worker
  std::vector<std::unique_ptr<StorageChannel>> channels_;
  std::string trouble_;
};

}  // namespace ssn::dataplane
