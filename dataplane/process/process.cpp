// SPDX-License-Identifier: BSD-3-Clause
#include "process.h"

#include <fmt/core.h>
#include <sched.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <ctime>

#include "agent_source.h"
#include "audit_log.h"
#include "files.h"
#include "issuer.h"
#include "json_text.h"
#include "live_membership.h"
#include "parts.h"
#include "ssn/dataplane/membership_check.h"
#include "ssn/dataplane/telemetry.h"
#include "ssn/hw/topology.h"

namespace ssn::dataplane {
namespace {

// Threads that are made from now on run there too: the agent's.
Outcome bind_to(unsigned cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(cpu, &set);
  return ::sched_setaffinity(0, sizeof set, &set) == 0
             ? Outcome(done)
             : Outcome(system_error(errno, "cannot run on the control CPU", fmt::format("CPU {}", cpu)));
}

// A peer's key is the one that is listed for it, whatever an authority says.
std::function<bool(const std::string&, const std::string&)> admission(
    std::shared_ptr<membership::LiveMembership> live) {
  if (live == nullptr) return nullptr;
  return [live = std::move(live)](const std::string& peer, const std::string& pem) {
    const std::shared_ptr<const membership::Pinned> pinned = live->pinned();
    const membership::Node* const listed = pinned->document.node(peer);
    const pki::CertificatePointer certificate = pki::certificate_from(pem);
    return listed != nullptr && certificate != nullptr && membership::key_of(*certificate) == listed->key;
  };
}

agent::AgentSettings agent_settings(const Configuration& configuration) {
  const AgentConfiguration& from = configuration.agent;
  agent::AgentSettings settings;
  settings.name = configuration.name;
  settings.listen = from.listen;
  settings.socket = from.socket;
  settings.certificate = from.certificate;
  settings.key = from.key;
  settings.ca = from.ca;
  settings.crl = from.crl;
  settings.operators = from.operators;
  settings.owners = configuration.ssa.present;
  settings.reshares = configuration.reshares();
  if (!configuration.controller.address.empty()) settings.controller = configuration.controller.name;
  for (const PeerConfiguration& peer : configuration.peers) {
    settings.peers.push_back({peer.name, peer.agent});
  }
  return settings;
}

int run_worker(void* worker) {
  static_cast<Worker*>(worker)->run();
  return 0;
}

}  // namespace

Process::Process(const EalPlan& plan, ControlLoop& loop, Log log)
    : plan_(plan), loop_(loop), log_(std::move(log)) {}

Result<std::unique_ptr<Process>> Process::start(Configuration configuration, const EalPlan& plan,
                                                ControlLoop& loop, Log log) {
  std::unique_ptr<Process> process(new Process(plan, loop, std::move(log)));
  const auto shared = std::make_shared<const Configuration>(std::move(configuration));
  for (const std::string& fallback : plan.fallbacks) {
    process->log_("falls back to " + fallback);
  }
  if (Outcome outcome = bind_to(plan.main_cpu); !outcome.ok()) {
    return outcome.error();
  }
  if (Outcome outcome = process->pin_membership(*shared); !outcome.ok()) {
    return outcome.error();
  }
  if (Outcome outcome = process->start_agent(*shared); !outcome.ok()) {
    return outcome.error();
  }
  Result<std::unique_ptr<Eal>> eal =
      Eal::start(plan, [log = process->log_](std::string_view line) { log(fmt::format("DPDK: {}", line)); });
  if (!eal.ok()) {
    return eal.error();
  }
  process->eal_ = std::move(eal.value());
  const auto workers = static_cast<unsigned>(plan.worker_cpus.size());
  Result<std::unique_ptr<Ports>> ports = Ports::open(*shared, workers, process->eal_->packets());
  if (!ports.ok()) {
    return ports.error();
  }
  process->ports_ = std::move(ports.value());
  process->look_at_ports();
  if (Outcome outcome = process->start_offload(*shared); !outcome.ok()) {
    return outcome.error();
  }
  if (Outcome outcome = process->start_workers(*shared); !outcome.ok()) {
    return outcome.error();
  }
  if (Outcome outcome = process->install(shared); !outcome.ok()) {
    return outcome.error();
  }
  process->source_ = make_agent_source(*process);
  if (process->agent_ != nullptr) {
    process->agent_->serve(*process->source_);
    if (agent::SessionHost* const host = process->running_->session_host(); host != nullptr) {
      process->agent_->serve_owners(*host);
    }
    if (agent::ReshareHost* const host = process->running_->reshare_host(); host != nullptr) {
      process->agent_->serve_resharing(*host);
    }
  }
  if (Outcome outcome = agent::register_telemetry(); !outcome.ok()) {
    return outcome.error();
  }
  agent::serve_telemetry(*process->source_);
  return process;
}

Outcome Process::pin_membership(const Configuration& configuration) {
  const MembershipConfiguration& from = configuration.membership;
  if (!from.present) {
    return done;
  }
  const membership::Files files{from.document, from.signatures, from.signers, from.threshold,
                                configuration.ledger + ".membership"};
  const auto tell = [log = log_](const std::string& line) { log("membership: " + line); };
  Result<std::shared_ptr<membership::LiveMembership>> live =
      membership::LiveMembership::open(files, tell, ::time(nullptr));
  if (!live.ok()) {
    return live.error();
  }
  const Result<std::string> certificate = pki::read_file(configuration.agent.certificate, pki::file_max,
                                                         false, "cannot read this node's certificate");
  if (!certificate.ok()) {
    return certificate.error();
  }
  membership_ = std::move(live.value());
  return check_membership(membership_->pinned()->document, configuration, certificate.value());
}

Outcome Process::start_agent(const Configuration& configuration) {
  const AgentConfiguration& settings = configuration.agent;
  if (settings.listen.empty() && settings.socket.empty()) {
    return done;
  }
  agent::AgentSettings of_agent = agent_settings(configuration);
  of_agent.admits = admission(membership_);
  if (!configuration.audit.file.path.empty()) {
    Result<std::unique_ptr<audit::AuditLog>> audit = audit::AuditLog::open(configuration.audit, {});
    if (!audit.ok()) {
      return audit.error();
    }
    audit_ = std::move(audit.value());
    of_agent.audit = audit_.get();
  }
  Result<std::unique_ptr<agent::Agent>> agent = agent::Agent::start(of_agent);
  if (!agent.ok()) {
    return agent.error();
  }
  agent_ = std::move(agent.value());
  return done;
}

// What the arithmetic is done with.
Outcome Process::start_offload(const Configuration& configuration) {
  if (const kernels::Status status = kernels::select(kernels_); status != kernels::Status::ok) {
    return Error{Exit::kernels_refused, "cannot choose the kernels", std::string(kernels::describe(status)),
                 "SSN_KERNELS", "unset SSN_KERNELS; `ssn version` lists what this machine can run"};
  }
  if (configuration.streams.empty()) {
    return done;
  }
  Result<hw::OffloadDevice> device = hw::OffloadDevice::open(
      {.driver = configuration.offload.driver, .settings = configuration.offload.settings});
  if (!device.ok()) {
    return device.error();
  }
  offload_ = std::make_unique<hw::OffloadDevice>(std::move(device.value()));
  return offload_->info().memory_registration ? register_packets() : Outcome(done);
}

Outcome Process::register_packets() {
  Result<std::vector<ssn_memory>> pieces = eal_->packet_memory();
  if (!pieces.ok()) {
    return pieces.error();
  }
  std::vector<std::uint32_t> handles;
  for (const ssn_memory& piece : pieces.value()) {
    Result<hw::OffloadMemory> memory = offload_->register_memory(piece);
    if (!memory.ok()) {
      return memory.error();
    }
    handles.push_back(memory.value().get());
    packet_memory_.push_back(std::move(memory.value()));
  }
  eal_->mark_packets(pieces.value(), handles);
  return done;
}

Outcome Process::start_workers(const Configuration& configuration) {
  counters_ = std::make_unique<Counters>(static_cast<unsigned>(plan_.worker_cpus.size()));
  register_port_counters();
  Pipeline::Setup setup;
  for (unsigned i = 0; i < plan_.worker_cpus.size(); ++i) {
    Result<std::unique_ptr<Worker>> worker =
        Worker::make(i, plan_.worker_cpus[i], configuration.workers.idle, *counters_);
    if (!worker.ok()) {
      return worker.error();
    }
    workers_.push_back(std::move(worker.value()));
    setup.workers.push_back(workers_.back().get());
  }
  for (; launched_ < workers_.size(); ++launched_) {
    Outcome outcome = eal_->launch(static_cast<unsigned>(launched_), run_worker, workers_[launched_].get());
    if (!outcome.ok()) {
      return outcome;
    }
  }
  setup.counters = counters_.get();
  for (const std::unique_ptr<Port>& port : ports_->all()) {
    setup.ports.push_back(port.get());
  }
  Result<std::unique_ptr<Pipeline>> pipeline = Pipeline::make(std::move(setup));
  if (!pipeline.ok()) {
    return pipeline.error();
  }
  pipeline_ = std::move(pipeline.value());
  return done;
}

// Workers count what they see; the device knows what never reached them.
void Process::register_port_counters() {
  for (std::size_t i = 0; i < ports_->all().size(); ++i) {
    const std::string name = "port." + ports_->all()[i]->name + ".";
    const auto add = [&](const char* what, std::uint64_t PortStatistics::* field) {
      counters_->add_source(name + what, CounterKind::counter, [this, i, field] {
        const std::lock_guard lock(mutex_);
        return port_states_[i].statistics.*field;
      });
    };
    add("device_missed", &PortStatistics::rx_missed);
    add("device_rx_errors", &PortStatistics::rx_errors);
    add("device_no_memory", &PortStatistics::rx_no_memory);
    add("device_tx_errors", &PortStatistics::tx_errors);
    add("device_rx_runs", &PortStatistics::rx_runs);
    add("device_tx_runs", &PortStatistics::tx_runs);
  }
}

Generation::Setup Process::generation_setup(std::shared_ptr<const Configuration> configuration) {
  Generation::Setup setup;
  setup.configuration = std::move(configuration);
  setup.ports = ports_.get();
  setup.workers = static_cast<unsigned>(workers_.size());
  setup.implementation = kernels_;
  setup.offload = offload_.get();
  setup.report = log_;
  setup.call_control = [this] { loop_.hurry(); };
  setup.agent = agent_.get();
  setup.audit = audit_.get();
  setup.membership = membership_;
  setup.observer = [log = log_](const KeyEvent& event) {
    log(fmt::format("keys: {}: {}{}{}", event.peer, name(event.kind), event.text.empty() ? "" : ": ",
                    event.text));
  };
  return setup;
}

// Everything that can fail is made before what runs is touched. The streams' keys are given up before their
// nodes go: packets that arrive in between belong to no connection. Host and bridges go on without a gap.
Outcome Process::install(std::shared_ptr<const Configuration> configuration) {
  Result<std::unique_ptr<Generation>> made =
      Generation::make(generation_setup(configuration), running_.get());
  if (!made.ok()) {
    return made.error();
  }
  const std::shared_ptr<Generation> next = std::move(made.value());
  if (running_ != nullptr) {
    if (Outcome outcome = running_->stop_keys(); !outcome.ok()) {
      return outcome;
    }
  }
  if (Outcome outcome = pipeline_->install(next->parts()); !outcome.ok()) {
    // What ran goes on, under new keys.
    if (running_ != nullptr) {
      static_cast<void>(running_->start_keys());
    }
    return outcome;
  }
  {
    const std::lock_guard lock(mutex_);
    configuration_ = std::move(configuration);
    running_ = next;
    ++generation_;
  }
  return next->start_keys();
}

Outcome Process::swap(Configuration next) {
  const auto shared = std::make_shared<const Configuration>(std::move(next));
  if (Outcome outcome = configuration_->check_swap(*shared); !outcome.ok()) {
    return outcome;
  }
  if (Outcome outcome = install(shared); !outcome.ok()) {
    return outcome;
  }
  log_(fmt::format("runs configuration {}, {}", generation_, shared->file));
  return agent_ != nullptr ? agent_->set_peers(agent_settings(*shared).peers) : Outcome(done);
}

void Process::tend() {
  look_at_ports();
  running_->tend();
}

void Process::look_at_ports() {
  std::vector<PortState> states;
  for (const std::unique_ptr<Port>& port : ports_->all()) {
    states.push_back({Ports::link_status(*port), Ports::statistics(*port)});
  }
  const std::lock_guard lock(mutex_);
  for (std::size_t i = 0; i < port_states_.size(); ++i) {
    if (states[i].link.up != port_states_[i].link.up) {
      log_(fmt::format("port {}: link {}", ports_->all()[i]->name, states[i].link.up ? "up" : "down"));
    }
  }
  port_states_ = std::move(states);
}

Process::Snapshot Process::snapshot() const {
  const std::lock_guard lock(mutex_);
  return {configuration_, generation_, port_states_, running_};
}

std::vector<std::string> Process::ready_lines() const {
  std::vector<std::string> lines;
  lines.push_back(fmt::format("memory: {} pages, {} packets of {} bytes",
                              plan_.huge_pages ? "huge" : "normal", plan_.packets, plan_.packet_bytes));
  lines.push_back(fmt::format("control on CPU {}, workers on {}", plan_.main_cpu,
                              hw::format_cpu_list(plan_.worker_cpus)));
  for (std::size_t i = 0; i < ports_->all().size(); ++i) {
    const Port& port = *ports_->all()[i];
    lines.push_back(fmt::format("port {}: {}, {}, MTU {}, {} receive and {} send queues, link {}", port.name,
                                port.device, format(port.mac), port.mtu, port.receive_queues,
                                port.send_queues, port_states_[i].link.up ? "up" : "down"));
  }
  if (agent_ != nullptr && !agent_->listening().empty()) {
    lines.push_back("agent listens on " + agent_->listening());
  }
  if (agent_ != nullptr && !configuration_->agent.socket.empty()) {
    lines.push_back("agent listens on " + configuration_->agent.socket);
  }
  return lines;
}

std::string Process::ready_document() const {
  std::string ports;
  for (const std::unique_ptr<Port>& port : ports_->all()) {
    ports += fmt::format(
        "{}\n    {{\"name\": {}, \"device\": {}, \"driver\": {}, \"interface\": {}, \"mac\": {}, \"mtu\": "
        "{}, "
        "\"receive_queues\": {}, \"send_queues\": {}}}",
        ports.empty() ? "" : ",", json_text(port->name), json_text(port->device), json_text(port->driver),
        json_text(port->interface), json_text(format(port->mac)), port->mtu, port->receive_queues,
        port->send_queues);
  }
  std::string fallbacks;
  for (const std::string& fallback : plan_.fallbacks) {
    fallbacks += (fallbacks.empty() ? "" : ", ") + json_text(fallback);
  }
  std::string cpus;
  for (const unsigned cpu : plan_.worker_cpus) {
    cpus += fmt::format("{}{}", cpus.empty() ? "" : ", ", cpu);
  }
  return fmt::format(
      "{{\n  \"name\": {},\n  \"process\": {},\n  \"agent\": {},\n  \"socket\": {},\n  \"file_prefix\": {},\n"
      "  \"huge_pages\": {},\n  \"control_cpu\": {},\n  \"worker_cpus\": [{}],\n  \"ports\": [{}\n  ],\n"
      "  \"fallbacks\": [{}]\n}}\n",
      json_text(configuration_->name), ::getpid(), json_text(agent_ != nullptr ? agent_->listening() : ""),
      json_text(configuration_->agent.socket), json_text(plan_.file_prefix), plan_.huge_pages, plan_.main_cpu,
      cpus, ports, fallbacks);
}

void Process::stop_workers() {
  if (running_ != nullptr) {
    if (const Outcome outcome = running_->stop_keys(); !outcome.ok()) {
      log_(fmt::format("{}: {}", outcome.error().what, outcome.error().why));
    }
  }
  if (pipeline_ != nullptr && launched_ == workers_.size()) {
    if (const Outcome outcome = pipeline_->clear(); !outcome.ok()) {
      // Nothing can be taken from a worker that never comes back, and nobody can wait for its thread.
      log_(fmt::format("{}: {}; ends at once", outcome.error().what, outcome.error().why));
      std::_Exit(static_cast<int>(outcome.error().code));
    }
  }
  for (std::size_t i = 0; i < launched_; ++i) {
    workers_[i]->stop();
  }
  for (std::size_t i = 0; i < launched_; ++i) {
    eal_->join(static_cast<unsigned>(i));
  }
  launched_ = 0;
}

Process::~Process() {
  loop_.close();  // calls of the agent that wait for this thread end now
  if (agent_ != nullptr) {
    agent_->stop_serving();
    if (running_ != nullptr) running_->refuse_callers();
    agent_->stop_serving_owners();
    agent_->stop_serving_resharing();
  }
  agent::stop_telemetry();
  stop_workers();
  pipeline_.reset();
  running_.reset();
  packet_memory_.clear();
  offload_.reset();
  workers_.clear();
  agent_.reset();
  source_.reset();
  ports_.reset();
  eal_.reset();
}

}  // namespace ssn::dataplane
