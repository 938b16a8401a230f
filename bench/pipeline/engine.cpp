// SPDX-License-Identifier: BSD-3-Clause
#include "engine.h"

#include <errno.h>
#include <fmt/core.h>

namespace ssn::bench {

using namespace dataplane;

namespace {

int run_worker(void* worker) {
  static_cast<Worker*>(worker)->run();
  return 0;
}

}  // namespace

Outcome Engine::open(const Configuration& configuration, const std::string& folder) {
  Result<MachineState> machine = machine_state();
  if (!machine.ok()) return machine.error();
  machine.value().runtime_folder = folder;
  Result<EalPlan> plan = make_eal_plan(configuration, machine.value());
  if (!plan.ok()) return plan.error();
  huge_pages_ = plan.value().huge_pages;
  Result<std::unique_ptr<Eal>> eal = Eal::start(plan.value(), [](std::string_view line) {
    fmt::print(stderr, "{}: DPDK: {}\n", ::program_invocation_short_name, line);
  });
  if (!eal.ok()) return eal.error();
  eal_ = std::move(eal.value());
  Result<std::unique_ptr<Ports>> ports = Ports::open(configuration, 1, eal_->packets());
  if (!ports.ok()) return ports.error();
  ports_ = std::move(ports.value());
  // Rings have none.
  for (const std::unique_ptr<Port>& port : ports_->all()) {
    port->mac = {2, 0, 0, 0, 1, static_cast<std::uint8_t>(port->index)};
  }
  return done;
}

Outcome Engine::run(const Configuration& configuration, unsigned core) {
  Result<std::unique_ptr<Worker>> worker = Worker::make(0, core, configuration.workers.idle, counters_);
  if (!worker.ok()) return worker.error();
  worker_ = std::move(worker.value());
  if (Outcome outcome = eal_->launch(0, run_worker, worker_.get()); !outcome.ok()) return outcome;
  runs_ = true;
  return done;
}

Outcome Engine::install(const std::vector<GraphPart>& parts) {
  Pipeline::Setup setup;
  setup.workers = {worker_.get()};
  setup.counters = &counters_;
  setup.ports = all_ports();
  Result<std::unique_ptr<Pipeline>> pipeline = Pipeline::make(std::move(setup));
  if (!pipeline.ok()) return pipeline.error();
  pipeline_ = std::move(pipeline.value());
  return pipeline_->install(parts);
}

void Engine::clear() {
  if (pipeline_ != nullptr && runs_) static_cast<void>(pipeline_->clear());
}

void Engine::stop() {
  clear();
  if (runs_) {
    worker_->stop();
    eal_->join(0);
  }
  runs_ = false;
  pipeline_.reset();
}

std::vector<const Port*> Engine::all_ports() const {
  std::vector<const Port*> all;
  for (const std::unique_ptr<Port>& each : ports_->all()) all.push_back(each.get());
  return all;
}

}  // namespace ssn::bench
