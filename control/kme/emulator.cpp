// SPDX-License-Identifier: BSD-3-Clause
#include "emulator.h"

#include <fmt/core.h>

#include <charconv>
#include <chrono>
#include <ctime>

#include "control_socket.h"
#include "device/device_model.h"
#include "https_server.h"
#include "json.h"
#include "key_delivery.h"
#include "live_identity.h"
#include "network.h"
#include "peer_link.h"
#include "status_report.h"

namespace ssn::kme {
namespace {

Microseconds monotonic_now() {
  return static_cast<Microseconds>(std::chrono::duration_cast<std::chrono::microseconds>(
                                       std::chrono::steady_clock::now().time_since_epoch())
                                       .count());
}

Result<const kernels::Implementation*> choose_kernels() {
  const kernels::Implementation* chosen = nullptr;
  if (const kernels::Status status = kernels::select(chosen); status != kernels::Status::ok) {
    return Error{Exit::kernels_refused, "cannot choose kernels", std::string(kernels::describe(status)),
                 "SSN_KERNELS", "unset SSN_KERNELS; `ssn version` lists what this machine supports"};
  }
  return chosen;
}

// What one site runs, where this process serves it.
struct Site {
  std::shared_ptr<pki::LiveIdentity> live;
  std::unique_ptr<KeyDelivery> delivery;
  std::unique_ptr<PeerService> peer_service;
  HttpsServer server;
  HttpsServer peer_server;
  DeviceModel nic;
  bool has_nic = false;
};

void tell(const std::string& line) { fmt::print(stderr, "ssn-kme: {}\n", line); }

Error usage(std::string why, std::string fix) {
  return {Exit::usage, "cannot do that", std::move(why), "ssn-kme", std::move(fix)};
}

class Running final : public Emulator {
 public:
  explicit Running(std::unique_ptr<Network> network) : network_(std::move(network)) {}
  ~Running() override {
    watch_.reset();    // nobody looks at the sites any more
    control_.reset();  // nobody asks any more
    sites_.clear();    // ends streams and connections, which use the network and the peers
    peers_.reset();
  }

  Outcome start();
  std::string ready_document() const override;
  std::vector<std::string> ready_lines() const override;

 private:
  const Configuration& configuration() const { return network_->configuration(); }
  Outcome start_site(std::size_t i);
  Outcome start_servers(std::size_t i, Site& site);
  void watch();
  Outcome start_nic(std::size_t i);
  bool has_peers(std::size_t site) const;
  Result<std::string> control(bool json, const std::vector<std::string>& words);
  Outcome change_link(std::size_t link, const std::vector<std::string>& words);
  Outcome change_nic(const std::vector<std::string>& words);
  StatusReport report();

  std::unique_ptr<Network> network_;
  std::vector<std::unique_ptr<Site>> sites_;  // null: served by another process
  std::unique_ptr<PeerLinks> peers_;
  std::unique_ptr<ControlServer> control_;
  std::unique_ptr<pki::IdentityWatch> watch_;
};

bool Running::has_peers(std::size_t site) const {
  for (const LinkSettingsInFile& link : configuration().links) {
    if (!configuration().local(link) && (link.sites[0] == site || link.sites[1] == site)) {
      return true;
    }
  }
  return false;
}

Outcome Running::start_site(std::size_t i) {
  const SiteSettings& settings = configuration().sites[i];
  auto site = std::make_unique<Site>();
  Result<std::shared_ptr<pki::LiveIdentity>> live = pki::LiveIdentity::open(
      {settings.certificate, settings.key, configuration().ca, configuration().crl},
      has_peers(i) ? pki::CertificateUse::node : pki::CertificateUse::server, tell, ::time(nullptr));
  if (!live.ok()) {
    return live.error();
  }
  site->live = std::move(live.value());
  if (Outcome started = start_servers(i, *site); !started.ok()) {
    return started;
  }
  sites_[i] = std::move(site);
  return settings.kmnic_socket.empty() ? Outcome(done) : start_nic(i);
}

Outcome Running::start_servers(std::size_t i, Site& site) {
  const SiteSettings& settings = configuration().sites[i];
  const Limits& limits = configuration().limits;
  HttpsServer::Options options{settings.listen,
                               settings.port,
                               site.live,
                               configuration().tls_1_3_only,
                               limits.connections,
                               limits.max_body_bytes,
                               limits.idle_s,
                               limits.request_s,
                               &network_->implementation()};
  site.delivery = std::make_unique<KeyDelivery>(*network_, i);
  Result<HttpsServer> server = HttpsServer::start(
      options, [delivery = site.delivery.get()](const HttpRequest& r) { return delivery->handle(r); });
  if (!server.ok()) {
    return server.error();
  }
  site.server = std::move(server.value());
  if (!has_peers(i)) {
    return done;
  }
  options.port = settings.peer_port;
  options.tls_1_3_only = true;
  options.max_body_bytes = std::uint64_t{16} << 20;
  site.peer_service = std::make_unique<PeerService>(*network_, i);
  Result<HttpsServer> peer_server = HttpsServer::start(
      options, [service = site.peer_service.get()](const HttpRequest& r) { return service->handle(r); });
  if (!peer_server.ok()) {
    return peer_server.error();
  }
  site.peer_server = std::move(peer_server.value());
  return done;
}

void Running::watch() {
  std::vector<std::shared_ptr<pki::LiveIdentity>> all;
  for (const std::unique_ptr<Site>& site : sites_) {
    if (site != nullptr) all.push_back(site->live);
  }
  watch_ = std::make_unique<pki::IdentityWatch>(std::move(all), [this] {
    for (const std::unique_ptr<Site>& site : sites_) {
      if (site == nullptr) continue;
      site->server.close_unproven();
      site->peer_server.close_unproven();
    }
  });
}

Outcome Running::start_nic(std::size_t i) {
  DeviceModel::Options options;
  options.socket_path = configuration().sites[i].kmnic_socket;
  options.provider = std::make_shared<SiteStreams>(*network_, i);
  Result<DeviceModel> nic = DeviceModel::start(std::move(options));
  if (!nic.ok()) {
    return nic.error();
  }
  sites_[i]->nic = std::move(nic.value());
  sites_[i]->has_nic = true;
  return done;
}

Outcome Running::start() {
  sites_.resize(configuration().sites.size());
  for (std::size_t i = 0; i < sites_.size(); ++i) {
    if (!configuration().sites[i].served) {
      continue;
    }
    if (Outcome started = start_site(i); !started.ok()) {
      return started;
    }
  }
  PeerLinks::Identities identities;
  for (const std::unique_ptr<Site>& site : sites_) {
    identities.push_back(site == nullptr ? nullptr : site->live);
  }
  Result<std::unique_ptr<PeerLinks>> peers = PeerLinks::start(*network_, identities);
  if (!peers.ok()) {
    return peers.error();
  }
  peers_ = std::move(peers.value());
  watch();
  if (configuration().control_socket.empty()) {
    return done;
  }
  Result<std::unique_ptr<ControlServer>> server = ControlServer::start(
      configuration().control_socket,
      [this](bool json, const std::vector<std::string>& words) { return control(json, words); });
  if (!server.ok()) {
    return server.error();
  }
  control_ = std::move(server.value());
  return done;
}

std::string Running::ready_document() const {
  cli::JsonWriter json;
  json.begin_object().member("schema", "ssn-kme.ready/1").member("emulator", true);
  json.member("name", configuration().name).member("control", configuration().control_socket);
  json.key("sites").begin_array();
  for (std::size_t i = 0; i < sites_.size(); ++i) {
    if (sites_[i] == nullptr) {
      continue;
    }
    const SiteSettings& settings = configuration().sites[i];
    json.begin_object()
        .member("id", settings.id)
        .member("address", settings.listen)
        .member("port", sites_[i]->server.port())
        .member("peer_port", sites_[i]->peer_server.port())
        .member("kmnic", settings.kmnic_socket)
        .key("sae")
        .begin_array();
    for (const std::string& sae : settings.sae) {
      json.value(sae);
    }
    json.end_array().end_object();
  }
  json.end_array().end_object();
  return json.text();
}

std::vector<std::string> Running::ready_lines() const {
  std::vector<std::string> lines;
  for (std::size_t i = 0; i < sites_.size(); ++i) {
    if (sites_[i] == nullptr) {
      continue;
    }
    const SiteSettings& settings = configuration().sites[i];
    lines.push_back(fmt::format(
        "site {}: ETSI GS QKD 014 at https://{}:{}/api/v1/keys/{}{}", settings.id,
        settings.listen.find(':') == std::string::npos ? settings.listen : "[" + settings.listen + "]",
        sites_[i]->server.port(), settings.kmnic_socket.empty() ? "" : ", KM-NIC model at ",
        settings.kmnic_socket));
  }
  if (!configuration().control_socket.empty()) {
    lines.push_back("control socket: " + configuration().control_socket);
  }
  return lines;
}

StatusReport Running::report() {
  StatusReport report;
  report.name = configuration().name;
  report.links = network_->report_links();
  report.sites = network_->report_sites();
  for (std::size_t i = 0; i < sites_.size(); ++i) {
    const Site* const site = sites_[i].get();
    report.ports.push_back(site == nullptr ? 0 : site->server.port());
    report.deliveries.push_back(site == nullptr ? nullptr : site->delivery.get());
    NicReport nic;
    if (site != nullptr && site->has_nic) {
      const DeviceModel::Statistics known = site->nic.statistics();
      nic = {true,
             configuration().sites[i].kmnic_socket,
             known.connections,
             known.streams,
             known.delivered_bytes,
             known.redelivered_blocks,
             known.faults};
    }
    report.nics.push_back(nic);
  }
  return report;
}

// outage LINK begin MICROSECONDS | outage LINK end | rate LINK BITS_PER_SECOND | drain LINK
Outcome Running::change_link(std::size_t link, const std::vector<std::string>& words) {
  std::uint64_t number = 0;
  const std::string& last = words.back();
  const bool numeric =
      std::from_chars(last.data(), last.data() + last.size(), number).ptr == last.data() + last.size();
  if (words[0] == "drain" && words.size() == 2) {
    network_->drain(link);
  } else if (words[0] == "rate" && words.size() == 3 && numeric && number <= LinkModel::bits_per_second_max) {
    network_->set_rate(link, number);
  } else if (words[0] == "outage" && words.size() == 3 && words[2] == "end") {
    network_->end_outage(link);
  } else if (words[0] == "outage" && words.size() == 4 && words[2] == "begin" && numeric) {
    network_->begin_outage(link, number);
  } else {
    return usage("the request is not understood", "use `ssn kme` of the same version");
  }
  return done;
}

// inject SITE FAULT COUNT MILLISECONDS | heal SITE
Outcome Running::change_nic(const std::vector<std::string>& words) {
  for (std::size_t i = 0; i < sites_.size(); ++i) {
    if (configuration().sites[i].id != words[1]) {
      continue;
    }
    if (sites_[i] == nullptr || !sites_[i]->has_nic) {
      return Error{Exit::not_found, "cannot reach the KM-NIC",
                   "this process runs no device model for the site", words[1],
                   "give the [[site]] a kmnic socket in the configuration"};
    }
    if (words[0] == "heal" && words.size() == 2) {
      sites_[i]->nic.heal();
      return done;
    }
    const std::optional<FaultKind> kind = words.size() == 5 ? fault_kind(words[2]) : std::nullopt;
    if (!kind) {
      return usage("there is no such fault", "`man ssn-kme` lists them");
    }
    Fault fault;
    fault.kind = *kind;
    fault.count = static_cast<std::uint32_t>(std::strtoul(words[3].c_str(), nullptr, 10));
    fault.duration = std::chrono::milliseconds(std::strtoul(words[4].c_str(), nullptr, 10));
    sites_[i]->nic.inject(fault);
    return done;
  }
  return Error{Exit::not_found, "cannot do that", "there is no site " + words[1], "ssn-kme",
               "`ssn kme status` lists them"};
}

Result<std::string> Running::control(bool json, const std::vector<std::string>& words) {
  if (words.size() == 1 && words[0] == "status") {
    const StatusReport now = report();
    return json ? status_document(now) : status_text(now);
  }
  if (words.size() < 2) {
    return usage("the request is not understood", "use `ssn kme` of the same version");
  }
  Outcome outcome = done;
  if (words[0] == "inject" || words[0] == "heal") {
    outcome = change_nic(words);
  } else if (const std::optional<std::size_t> link = network_->find_link(words[1])) {
    outcome = change_link(*link, words);
  } else {
    outcome = Error{Exit::not_found, "cannot do that", "there is no link " + words[1], "ssn-kme",
                    "`ssn kme status` lists them"};
  }
  if (!outcome.ok()) {
    return outcome.error();
  }
  cli::JsonWriter document;
  document.begin_object()
      .member("schema", "ssn.kme." + words[0] + "/1")
      .member("ok", true)
      .key("error")
      .null();
  document.end_object();
  return json ? document.text() : std::string();
}

}  // namespace

Result<std::unique_ptr<Emulator>> Emulator::start(const std::string& configuration_path,
                                                  const std::vector<std::string>& only) {
  Result<const kernels::Implementation*> implementation = choose_kernels();
  if (!implementation.ok()) {
    return implementation.error();
  }
  Result<Configuration> configuration = read_configuration(configuration_path, only);
  if (!configuration.ok()) {
    return configuration.error();
  }
  Result<std::unique_ptr<Network>> network =
      Network::make(std::move(configuration.value()), *implementation.value(), monotonic_now);
  if (!network.ok()) {
    return network.error();
  }
  auto running = std::make_unique<Running>(std::move(network.value()));
  if (Outcome started = running->start(); !started.ok()) {
    return started.error();
  }
  return std::unique_ptr<Emulator>(std::move(running));
}

}  // namespace ssn::kme
