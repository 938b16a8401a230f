// SPDX-License-Identifier: BSD-3-Clause
// Numbers and states of the storage network under their public names, and what the controller is told.
#pragma once

#include "owner_sessions.h"
#include "ssn/dataplane/agent_source.h"
#include "ssn/dataplane/graph_builder.h"
#include "storage_member.h"

struct rte_mempool;

namespace ssn::dataplane {

void mirror_counters(GraphBuilder& graph, StorageMember& member, const Configuration& configuration);

void add_controller_status(const ControllerLink& link, const ControllerConfiguration& configuration,
                           agent::Status& status);
void add_controller_counters(const ControllerLink::State& state, std::vector<agent::Counter>& out);
void add_store_status(store::StoreThread& store, const ShareholderConfiguration& configuration,
                      agent::Status& status);
void add_store_counters(store::StoreThread& store, std::vector<agent::Counter>& out);
void add_owner_counters(const OwnerSessions::Numbers& numbers, std::vector<agent::Counter>& out);

/// `capacity`: that is to be told; 0: what the disk has.
void fill_report(const store::StoreStatus& status, std::uint64_t capacity, controller::Report& report);
/// A page of what lies in the store; empty behind its end.
Result<std::vector<HeldShare>> holdings_behind(store::StoreThread& store, const controller::ObjectKey& after);
/// "10.7.0.1:4404", one for each address that links begin at.
std::vector<std::string> data_addresses(const Configuration& configuration);
/// `of_worker`: packets that a worker may have.
roles::SsaOptions ssa_options(const Configuration& configuration, std::uint32_t of_worker);
std::uint32_t packets_of(const rte_mempool& pool) noexcept;

}  // namespace ssn::dataplane
