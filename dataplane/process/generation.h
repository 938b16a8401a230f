// SPDX-License-Identifier: BSD-3-Clause
// What one configuration becomes, besides ports and workers: the IP host, wire mode or a role of the storage
// network, its keys. A swap makes the next one beside this one.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "host_part.h"
#include "ssn/dataplane/agent.h"
#include "ssn/dataplane/configuration.h"
#include "ssn/dataplane/graph_builder.h"
#include "ssn/dataplane/key_service.h"
#include "ssn/dataplane/ports.h"
#include "ssn/dataplane/storage.h"
#include "ssn/dataplane/wire.h"

namespace ssn::audit {
class AuditLog;
}
namespace ssn::membership {
class LiveMembership;
}

namespace ssn::dataplane {

class Generation {
 public:
  struct Setup {
    std::shared_ptr<const Configuration> configuration;
    const Ports* ports = nullptr;
    unsigned workers = 1;
    const kernels::Implementation* implementation = nullptr;
    hw::OffloadDevice* offload = nullptr;
    agent::Agent* agent = nullptr;                           ///< null: no peers
    const audit::AuditLog* audit = nullptr;                  ///< null: none is kept
    std::shared_ptr<membership::LiveMembership> membership;  ///< null: none is pinned
    std::function<void(const KeyEvent&)> observer;
    std::function<void(std::string_view)> report;  ///< other events; control thread
    std::function<void()> call_control;            ///< any thread: tend() is wanted soon
  };

  /// `before`: what runs now; its neighbours are known. May be null.
  static Result<std::unique_ptr<Generation>> make(Setup setup, const Generation* before);
  Generation(const Generation&) = delete;
  Generation& operator=(const Generation&) = delete;
  ~Generation();

  /// For Pipeline::build; valid as long as this.
  std::vector<GraphPart> parts();
  /// Once workers walk the graph: associates with peers.
  Outcome start_keys();
  /// While workers still run.
  Outcome stop_keys();
  /// For the agent; null where the node is no SSA.
  agent::SessionHost* session_host() const noexcept;
  /// For the agent; null where no shares are made anew.
  agent::ReshareHost* reshare_host() const noexcept;
  /// The process ends: nobody waits for what the agent asks any more.
  void refuse_callers();
  void tend();

  /// Any thread.
  void add_status(agent::Status& status) const;
  void add_counters(std::vector<agent::Counter>& out) const;
  /// An operator's word: agent_source.h.
  Result<std::string> readmit(const std::string& peer) const;

 private:
  explicit Generation(Setup setup) : setup_(std::move(setup)) {}
  Outcome make_host(const Generation* before);
  Outcome make_wire();
  Outcome make_storage();
  Outcome make_keys();
  std::uint32_t host_link(const std::string& peer, std::size_t link) const;
  std::vector<std::pair<std::string, std::uint64_t>> epochs() const;
  std::shared_ptr<KeyService> keys_now() const;
  std::string certificate_trouble() const;
  Outcome listen(GraphBuilder& graph, NodeHandle receive);

  Setup setup_;
  std::unique_ptr<HostPart> host_;
  std::unique_ptr<WireMode> wire_;
  std::unique_ptr<StorageMode> storage_;
  mutable std::mutex mutex_;  // of what follows
  std::shared_ptr<KeyService> keys_;
};

}  // namespace ssn::dataplane
