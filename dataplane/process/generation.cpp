// SPDX-License-Identifier: BSD-3-Clause
#include "generation.h"

#include <fmt/core.h>

#include <algorithm>
#include <chrono>
#include <ctime>
#include <set>
#include <thread>

#include "audit_log.h"
#include "parts.h"
#include "validity.h"

namespace ssn::dataplane {
namespace {

constexpr std::chrono::milliseconds let_go_patience{3000};
constexpr std::chrono::milliseconds readmit_patience{5000};

}  // namespace

Generation::~Generation() = default;

Result<std::unique_ptr<Generation>> Generation::make(Setup setup, const Generation* before) {
  std::unique_ptr<Generation> made(new Generation(std::move(setup)));
  if (Outcome outcome = made->make_host(before); !outcome.ok()) return outcome.error();
  if (Outcome outcome = made->make_wire(); !outcome.ok()) return outcome.error();
  if (Outcome outcome = made->make_storage(); !outcome.ok()) return outcome.error();
  return made;
}

Outcome Generation::make_host(const Generation* before) {
  std::vector<const Port*> ports;
  for (const std::unique_ptr<Port>& each : setup_.ports->all()) ports.push_back(each.get());
  Result<std::unique_ptr<HostPart>> host =
      HostPart::make(*setup_.configuration, ports, before != nullptr ? before->host_.get() : nullptr);
  if (!host.ok()) return host.error();
  host_ = std::move(host.value());
  return done;
}

Outcome Generation::make_wire() {
  const Configuration& configuration = *setup_.configuration;
  if (configuration.streams.empty()) return done;
  WireMode::Setup setup;
  setup.configuration = setup_.configuration.get();
  setup.workers = setup_.workers;
  setup.implementation = setup_.implementation;
  setup.device = setup_.offload;
  setup.report = setup_.report;
  setup.call_control = setup_.call_control;
  setup.host_link = [this](const std::string& peer, std::size_t link) { return host_link(peer, link); };
  setup.pool = [this](const std::string& port) { return setup_.ports->find(port)->pool; };
  setup.link_output = [this](GraphBuilder& graph) { return host_->link_output(graph); };
  setup.connect_udp = [this](GraphBuilder& graph, NodeHandle receive) { return listen(graph, receive); };
  Result<std::unique_ptr<WireMode>> wire = WireMode::make(std::move(setup));
  if (!wire.ok()) return wire.error();
  wire_ = std::move(wire.value());
  return done;
}

Outcome Generation::make_storage() {
  const Configuration& configuration = *setup_.configuration;
  if (!configuration.is_storage()) return done;
  StorageMode::Setup setup;
  setup.configuration = setup_.configuration.get();
  setup.workers = setup_.workers;
  setup.implementation = setup_.implementation;
  setup.agent = setup_.agent != nullptr ? setup_.agent->listening() : "";
  setup.version = SSN_VERSION;
  setup.membership = setup_.membership;
  setup.report = setup_.report;
  setup.call_control = setup_.call_control;
  setup.epochs = [this] { return epochs(); };
  setup.keys = [this] {
    const std::shared_ptr<KeyService> keys = keys_now();
    return keys == nullptr ? KeyReport() : keys->report();
  };
  setup.audit_trouble = [log = setup_.audit] { return log == nullptr ? "" : log->trouble(); };
  setup.certificate_trouble = [this] { return certificate_trouble(); };
  setup.host_link = [this](const std::string& peer, std::size_t link) { return host_link(peer, link); };
  setup.longest_payload = [this](std::uint32_t link) { return host_->host().link(link).max_payload; };
  setup.make_guest = [this](const GuestSpec& spec) { return host_->host().make_guest(spec); };
  setup.port_id = [this](const std::string& port) { return setup_.ports->find(port)->id; };
  setup.packets = setup_.ports->find(configuration.peers.front().links.front().port)->pool;
  setup.link_output = [this](GraphBuilder& graph) { return host_->link_output(graph); };
  setup.connect_udp = [this](GraphBuilder& graph, NodeHandle receive) { return listen(graph, receive); };
  setup.host_worker = [this](GraphBuilder& graph) { return host_->worker(graph); };
  Result<std::unique_ptr<StorageMode>> storage = StorageMode::make(std::move(setup));
  if (!storage.ok()) return storage.error();
  storage_ = std::move(storage.value());
  return done;
}

// Of the agent, and of what it draws keys with.
std::string Generation::certificate_trouble() const {
  const std::string of_agent = setup_.agent != nullptr ? setup_.agent->certificate_trouble() : "";
  if (!of_agent.empty()) return "of the agent: " + of_agent;
  for (const hw::KeyDeviceConfiguration& device : setup_.configuration->key_devices) {
    std::string certificate;
    std::string crl;
    for (const auto& [name, value] : device.settings) {
      if (name == "certificate") certificate = value;
      if (name == "crl") crl = value;
    }
    if (certificate.empty()) continue;
    const std::string trouble = pki::trouble_of(certificate, crl, ::time(nullptr));
    if (!trouble.empty()) return fmt::format("to the key manager ({}): {}", device.driver, trouble);
  }
  return "";
}

Result<std::string> Generation::readmit(const std::string& peer) const {
  const char* const what = "cannot end the quarantine";
  const std::shared_ptr<KeyService> keys = keys_now();
  if (keys == nullptr) {
    return Error{Exit::temporary, what, "this node has no keys with anybody now", peer, "try again soon"};
  }
  const auto reason_now = [&]() -> Result<std::string> {
    const KeyReport report = keys->report();
    if (report.ledger_failed) {
      return Error{Exit::failed, what, "the ledger cannot be written", setup_.configuration->ledger,
                   "give the node a good disk and start it again"};
    }
    if (peer.empty()) return std::string(report.self_quarantine ? "it was rolled back or cloned" : "");
    for (const PeerKeyReport& each : report.peers) {
      if (each.name != peer) continue;
      return std::string(each.quarantine == protocol::Quarantine::none          ? ""
                         : each.quarantine == protocol::Quarantine::rolled_back ? "it was rolled back"
                                                                                : "it was cloned");
    }
    return Error{Exit::not_found, what, "no such peer is configured", peer,
                 "name one of the [[peer]] tables"};
  };
  const Result<std::string> reason = reason_now();
  if (!reason.ok()) return reason;
  if (reason.value().empty()) {
    return Error{Exit::refused, what, "it is in no quarantine", peer.empty() ? "this node" : peer,
                 "nothing: see ssn dataplane status"};
  }
  if (peer.empty()) {
    keys->readmit_self();
  } else if (Outcome told = keys->readmit(peer); !told.ok()) {
    return told.error();
  }
  const auto until = std::chrono::steady_clock::now() + readmit_patience;
  while (std::chrono::steady_clock::now() < until) {
    // A report is made after the ledger was written.
    const Result<std::string> now = reason_now();
    if (!now.ok() || now.value().empty()) return now.ok() ? reason : now;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return Error{Exit::temporary, what, "the node did not do it in time", peer, "try again; look at its log"};
}

std::uint32_t Generation::host_link(const std::string& peer, std::size_t link) const {
  std::size_t index = 0;
  while (setup_.configuration->peers[index].name != peer) ++index;
  return host_->link(index, link);
}

// All links' UDP ports, and that of owners, lead to wire mode or to the role.
Outcome Generation::listen(GraphBuilder& graph, NodeHandle receive) {
  std::set<std::uint16_t> udp_ports;
  for (const PeerConfiguration& peer : setup_.configuration->peers) {
    for (const LinkConfiguration& link : peer.links) udp_ports.insert(link.udp_port);
  }
  if (setup_.configuration->ssa.present) udp_ports.insert(setup_.configuration->ssa.udp_port);
  for (const std::uint16_t udp_port : udp_ports) {
    if (Outcome outcome = host_->listen(graph, udp_port, receive); !outcome.ok()) return outcome;
  }
  return done;
}

std::vector<GraphPart> Generation::parts() {
  std::vector<GraphPart> parts;
  parts.push_back([this](GraphBuilder& graph) { return host_->build(graph); });
  if (wire_ != nullptr) {
    parts.push_back([this](GraphBuilder& graph) { return wire_->build(graph); });
  }
  if (storage_ != nullptr) {
    parts.push_back([this](GraphBuilder& graph) { return storage_->build(graph); });
  }
  parts.push_back(bridges_part(*setup_.configuration));
  return parts;
}

Outcome Generation::make_keys() {
  KeyServiceConfiguration keys =
      key_service_configuration(*setup_.configuration, static_cast<std::uint16_t>(setup_.workers));
  keys.observer = setup_.observer;
  ConnectionSink& sink = wire_ != nullptr ? static_cast<ConnectionSink&>(*wire_) : *storage_;
  Result<std::unique_ptr<KeyService>> service =
      KeyService::open(std::move(keys), *setup_.agent->peer_channel(), sink);
  if (!service.ok()) return service.error();
  const std::lock_guard lock(mutex_);
  keys_ = std::move(service.value());
  return done;
}

Outcome Generation::start_keys() {
  if (wire_ == nullptr && storage_ == nullptr) return done;
  if (setup_.agent == nullptr || setup_.agent->peer_channel() == nullptr) {
    return Error{Exit::usage, "cannot serve what the configuration asks for",
                 "peers agree on keys through their agents, and [agent] has no 'listen'",
                 setup_.configuration->file, "add [agent] with listen, certificate, key and ca"};
  }
  if (wire_ != nullptr) {
    if (Outcome outcome = wire_->start_device(); !outcome.ok()) return outcome;
  }
  if (Outcome outcome = make_keys(); !outcome.ok()) return outcome;
  keys_->start();
  if (storage_ != nullptr) storage_->start();
  return done;
}

std::vector<std::pair<std::string, std::uint64_t>> Generation::epochs() const {
  std::vector<std::pair<std::string, std::uint64_t>> all;
  const std::shared_ptr<KeyService> keys = keys_now();
  if (keys == nullptr) return all;
  for (const PeerKeyReport& peer : keys->report().peers) {
    if (peer.epoch != 0) all.emplace_back(peer.name, peer.epoch);
  }
  return all;
}

agent::SessionHost* Generation::session_host() const noexcept {
  return storage_ != nullptr ? storage_->session_host() : nullptr;
}

agent::ReshareHost* Generation::reshare_host() const noexcept {
  return storage_ != nullptr ? storage_->reshare_host() : nullptr;
}

void Generation::refuse_callers() {
  if (storage_ != nullptr) storage_->refuse_callers();
}

std::shared_ptr<KeyService> Generation::keys_now() const {
  const std::lock_guard lock(mutex_);
  return keys_;
}

Outcome Generation::stop_keys() {
  const std::shared_ptr<KeyService> keys = keys_now();
  if (keys == nullptr) return done;
  if (wire_ != nullptr) {
    if (Outcome outcome = wire_->stop_device(); !outcome.ok()) return outcome;
  } else if (Outcome outcome = storage_->stop(); !outcome.ok()) {
    return outcome;
  }
  if (Outcome outcome = keys->stop(let_go_patience); !outcome.ok()) return outcome;
  {
    const std::lock_guard lock(mutex_);
    keys_.reset();
  }
  if (storage_ != nullptr) return storage_->drain();
  wire_->reap();
  return done;
}

void Generation::tend() {
  if (wire_ != nullptr) wire_->tend();
  if (storage_ != nullptr) storage_->tend();
}

}  // namespace ssn::dataplane
