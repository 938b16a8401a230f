// SPDX-License-Identifier: BSD-3-Clause
// What each pipeline here stands on, as in ssn-dataplane: EAL, ports, one worker on a core of its own, its
// graph. One thread makes, builds and stops it.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "ssn/dataplane/configuration.h"
#include "ssn/dataplane/eal.h"
#include "ssn/dataplane/pipeline.h"
#include "ssn/dataplane/ports.h"

namespace ssn::bench {

class Engine {
 public:
  Engine() = default;
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;
  ~Engine() { stop(); }

  /// EAL and ports; files of DPDK are made in `folder`. The configuration outlives it.
  Outcome open(const dataplane::Configuration& configuration, const std::string& folder);
  /// The worker runs from now on, without a graph.
  Outcome run(const dataplane::Configuration& configuration, unsigned core);
  Outcome install(const std::vector<dataplane::GraphPart>& parts);
  /// Where the worker runs: it walks nothing from now on, and still takes commands.
  void clear();
  /// The worker has ended when it returns, and its graph is gone.
  void stop();

  bool runs() const noexcept { return runs_; }
  bool huge_pages() const noexcept { return huge_pages_; }
  dataplane::Eal& eal() noexcept { return *eal_; }
  dataplane::Ports& ports() noexcept { return *ports_; }
  std::vector<const dataplane::Port*> all_ports() const;
  dataplane::Counters& counters() noexcept { return counters_; }
  const dataplane::Counters& counters() const noexcept { return counters_; }
  dataplane::Worker& worker() noexcept { return *worker_; }

 private:
  bool huge_pages_ = false;
  bool runs_ = false;
  std::unique_ptr<dataplane::Eal> eal_;
  std::unique_ptr<dataplane::Ports> ports_;
  dataplane::Counters counters_{1};
  std::unique_ptr<dataplane::Worker> worker_;
  std::unique_ptr<dataplane::Pipeline> pipeline_;
};

}  // namespace ssn::bench
