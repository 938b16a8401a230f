// SPDX-License-Identifier: BSD-3-Clause
// Rings between workers: for each label one to every worker. They outlive graphs, so that nothing is lost
// while graphs change.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "ssn/dataplane/pipeline.h"
#include "ssn/dataplane/worker.h"
#include "ssn/hw/result.h"

struct rte_ring;

namespace ssn::dataplane {

/// The rings of one label. Any worker writes to any of them; each worker reads its own.
class HandoffRings {
 public:
  static constexpr unsigned ring_packets = 4096;

  HandoffRings(std::vector<rte_ring*> rings, const std::vector<Worker*>& workers)
      : rings_(std::move(rings)), workers_(workers) {}
  HandoffRings(const HandoffRings&) = delete;
  HandoffRings& operator=(const HandoffRings&) = delete;
  /// Frees the rings and what is in them.
  ~HandoffRings();

  std::size_t size() const noexcept { return rings_.size(); }
  rte_ring* ring_of(unsigned worker) const noexcept { return rings_[worker]; }
  Worker& worker(unsigned index) const noexcept { return *workers_[index]; }

 private:
  std::vector<rte_ring*> rings_;
  const std::vector<Worker*>& workers_;
};

class Pipeline::Handoffs {
 public:
  explicit Handoffs(const std::vector<Worker*>& workers) : workers_(workers) {}
  /// Made when a label is asked for first.
  Result<HandoffRings*> rings(std::string_view label);

 private:
  const std::vector<Worker*>& workers_;
  std::map<std::string, std::unique_ptr<HandoffRings>, std::less<>> rings_;
};

}  // namespace ssn::dataplane
