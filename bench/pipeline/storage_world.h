// SPDX-License-Identifier: BSD-3-Clause
// An SSA in one process, with everything that it has in ssn-dataplane but for agent, controller and ledger:
// EAL, a port for owners and one for each shareholder, one worker with the IP host and the nodes of the
// storage network, the role, one connection to each shareholder. What surrounds it is in its ports
// (storage_ends.h); what a ledger would have written ahead is granted at once.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "../../dataplane/storage/ssa_role.h"
#include "engine.h"
#include "host_part.h"
#include "probe.h"
#include "ssn/hw/key_device.h"
#include "ssn/protocol/wire_stream.h"
#include "storage_ends.h"

namespace ssn::bench {

struct StorageOptions {
  unsigned k = 3;
  unsigned n = 5;
  std::uint32_t cell = 1344;
  unsigned core = 1;
  unsigned main_core = 0;
  std::uint64_t pad_ring_bytes = std::uint64_t{8} << 20;
  std::uint64_t random_ring_bytes = std::uint64_t{4} << 20;
  std::uint32_t blocks = 2048;  ///< that are read; a multiple of 64
  unsigned surplus = 1;         ///< shares beyond k that a read asks for
  std::string folder;           ///< for files of DPDK
};

class StorageWorld {
 public:
  static Result<std::unique_ptr<StorageWorld>> make(const StorageOptions& options);
  StorageWorld(const StorageWorld&) = delete;
  StorageWorld& operator=(const StorageWorld&) = delete;
  ~StorageWorld();

  /// The last part of the pipeline is put in here, and workers walk it all.
  Outcome build(const std::shared_ptr<Probe>& probe);

  // ---- Control thread.
  /// Ends the session there is, and opens another one.
  Outcome open_session(bool writes);
  void close_session();

  dataplane::Worker& worker() noexcept { return engine_.worker(); }
  const kernels::Implementation& kernels() const noexcept { return *kernels_; }
  const roles::SsaCounters& counters() const noexcept { return role_->counters(); }
  OwnerEnd& owner() noexcept { return *owner_; }
  /// On the worker, before each walk: what the key device would do on its own.
  void fill_rings() noexcept {
    for (const auto& each : holders_) each->serve(engine_.worker().now_ns());
  }
  HolderEnd& holder(unsigned share) noexcept { return *holders_[share - 1]; }
  bool huge_pages() const noexcept { return engine_.huge_pages(); }
  protocol::WireStream stream() const;
  std::vector<dataplane::Counters::Value> drops() const { return engine_.counters().read("drop."); }
  /// Packets that an end could not open, blocks that came out wrong or not at all.
  std::uint64_t wrong() const;
  /// Where they were, and what the role counted of it.
  std::string trouble() const;

 private:
  explicit StorageWorld(StorageOptions options) : options_(std::move(options)) {}
  Outcome configure();
  Outcome make_storage();
  Outcome make_ends();
  Outcome connect(unsigned holder);
  Outcome build_storage(dataplane::GraphBuilder& graph);
  Outcome make_session(bool writes, std::unique_ptr<protocol::SessionKeys>& owners);
  roles::ObjectLayout layout() const;

  StorageOptions options_;
  dataplane::Configuration configuration_;
  const kernels::Implementation* kernels_ = nullptr;
  hw::KeyDevice keys_;
  Engine engine_;
  std::unique_ptr<dataplane::HostPart> host_;
  std::shared_ptr<dataplane::StorageWorker> storage_;
  roles::SsaOptions ssa_options_;
  dataplane::SsaRole* role_ = nullptr;  // in storage_
  std::shared_ptr<dataplane::RandomStream> random_;
  std::vector<std::unique_ptr<dataplane::Connection>> connections_;
  std::vector<std::unique_ptr<dataplane::StorageChannel>> channels_;
  std::unique_ptr<dataplane::OwnerSession> session_;
  unsigned sessions_ = 0;
  std::unique_ptr<OwnerEnd> owner_;
  std::vector<std::unique_ptr<HolderEnd>> holders_;
};

}  // namespace ssn::bench
