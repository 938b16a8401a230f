// SPDX-License-Identifier: BSD-3-Clause
#include "ssn/dataplane/eal.h"

#include <fmt/core.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_launch.h>
#include <rte_lcore.h>
#include <rte_mbuf.h>
#include <rte_mbuf_dyn.h>
#include <rte_mbuf_pool_ops.h>

#include <cassert>
#include <cerrno>
#include <cstdio>

#include "eal_log.h"
#include "runtime_folder.h"
#include "ssn/dataplane/packet.h"

namespace ssn::dataplane {
namespace {

constexpr unsigned pool_cache = 512;

std::string reasons(std::size_t mark, const char* otherwise) {
  std::string said = eal_log_since(mark);
  return said.empty() ? otherwise : said;
}

Outcome reserve_trace_flag() {
  rte_mbuf_dynflag flag{};
  std::snprintf(flag.name, sizeof flag.name, "ssn_trace");
  if (::rte_mbuf_dynflag_register_bitnum(&flag, trace_bit) != static_cast<int>(trace_bit)) {
    return Error{Exit::failed, "cannot mark packets", ::rte_strerror(rte_errno), "ssn_trace",
                 "report it as a bug"};
  }
  return done;
}

// As rte_pktmbuf_pool_create(), but for one thing: without huge pages that lets no object cross a page, which
// wastes half of the memory. Nothing but programs looks at those pages.
rte_mempool* make_pool(const EalPlan& plan) {
  const std::size_t object = sizeof(rte_mbuf) + private_bytes + plan.packet_bytes;
  rte_mempool* const pool = ::rte_mempool_create_empty(
      "ssn-packets", plan.packets, static_cast<unsigned>(object), pool_cache,
      sizeof(rte_pktmbuf_pool_private), SOCKET_ID_ANY, plan.huge_pages ? 0 : RTE_MEMPOOL_F_NO_IOVA_CONTIG);
  if (pool == nullptr) {
    return nullptr;
  }
  rte_pktmbuf_pool_private settings{};
  settings.mbuf_data_room_size = static_cast<std::uint16_t>(plan.packet_bytes);
  settings.mbuf_priv_size = static_cast<std::uint16_t>(private_bytes);
  if (::rte_mempool_set_ops_byname(pool, ::rte_mbuf_best_mempool_ops(), nullptr) != 0) {
    ::rte_mempool_free(pool);
    return nullptr;
  }
  ::rte_pktmbuf_pool_init(pool, &settings);
  const int populated = ::rte_mempool_populate_default(pool);
  if (populated < static_cast<int>(plan.packets)) {
    ::rte_mempool_free(pool);
    rte_errno = populated < 0 ? -populated : ENOMEM;
    return nullptr;
  }
  ::rte_mempool_obj_iter(pool, ::rte_pktmbuf_init, nullptr);
  return pool;
}

}  // namespace

class Eal::RuntimeFolder : public LockedFolder {
 public:
  explicit RuntimeFolder(LockedFolder folder) : LockedFolder(std::move(folder)) {}
};

Eal::Eal(std::unique_ptr<RuntimeFolder> folder) : folder_(std::move(folder)) {}

Result<std::unique_ptr<Eal>> Eal::start(const EalPlan& plan, Log log) {
  Result<LockedFolder> folder = LockedFolder::lock(plan.runtime_folder, plan.file_prefix);
  if (!folder.ok()) {
    return folder.error();
  }
  if (Outcome outcome = capture_eal_log(std::move(log)); !outcome.ok()) {
    return outcome.error();
  }
  std::unique_ptr<Eal> eal(new Eal(std::make_unique<RuntimeFolder>(std::move(folder.value()))));
  std::vector<std::string> arguments = plan.arguments;  // EAL may write to them
  std::vector<char*> pointers;
  std::string shown;
  for (std::string& argument : arguments) {
    pointers.push_back(argument.data());
    shown += (shown.empty() ? "" : " ") + argument;
  }
  pointers.push_back(nullptr);
  const std::size_t mark = eal_log_mark();
  if (::rte_eal_init(static_cast<int>(arguments.size()), pointers.data()) < 0) {
    return Error{Exit::failed, "cannot start DPDK", reasons(mark, ::rte_strerror(rte_errno)), shown,
                 "`ssn doctor` says what the machine lacks"};
  }
  eal->started_ = true;
  if (Outcome outcome = reserve_trace_flag(); !outcome.ok()) {
    return outcome.error();
  }
  eal->packets_ = make_pool(plan);
  if (eal->packets_ != nullptr) eal->mark_packets({}, {});
  if (eal->packets_ == nullptr) {
    return Error{Exit::failed, fmt::format("cannot make a pool of {} packets", plan.packets),
                 reasons(mark, ::rte_strerror(rte_errno)), "[eal] memory", "raise it"};
  }
  return eal;
}

Eal::~Eal() {
  if (started_) {
    ::rte_mempool_free(packets_);
    ::rte_eal_cleanup();
  }
  release_eal_log();
}

Outcome Eal::launch(unsigned index, int (*run)(void*), void* argument) {
  const int result = ::rte_eal_remote_launch(run, argument, index + 1);
  if (result != 0) {
    return Error{Exit::failed, fmt::format("cannot start worker {}", index), ::rte_strerror(-result),
                 fmt::format("lcore {}", index + 1), "report it as a bug"};
  }
  return done;
}

void Eal::join(unsigned index) { ::rte_eal_wait_lcore(index + 1); }

}  // namespace ssn::dataplane
