// SPDX-License-Identifier: BSD-3-Clause
#include "owner_network.h"

#include <fmt/core.h>

#include <chrono>
#include <cstdlib>
#include <utility>

#include "test_network.h"

namespace ssn::test {
namespace {

constexpr const char* ssa_node = "sae-a";
constexpr const char* holders[] = {"sae-b", "sae-c", "sae-d", "sae-e", "sae-f"};

template <typename T>
T must(Result<T> result) {
  if (!result.ok()) {
    const Error& error = result.error();
    fmt::print(stderr, "{}: {} ({})\n", error.what, error.why, error.where);
    std::abort();
  }
  return std::move(result.value());
}

controller::Bytes16 instance_of(const std::string& node) {
  controller::Bytes16 out{1};
  std::copy(node.begin(), node.end(), out.begin() + 1);
  return out;
}

}  // namespace

OwnerNetwork::OwnerNetwork(const std::string& folder, const SsaOptions& options,
                           const controller::Policy& chosen)
    : folder_(folder) {
  must(kme::make_test_network({folder, {"a", "b", "c", "d", "e", "f"}, 0, 2}));
  database_ = controller::make_memory_database();
  controller::Policy policy = chosen;
  policy.report_ms = 60'000;  // on a busy machine nobody is down, and no lease over, only because it is busy
  policy.lease_ms = 3'600'000;
  catalogue_ = must(controller::Catalogue::open(
      *database_, policy,
      [random = TestRandom(options.seed)](std::uint8_t* out, std::size_t bytes) mutable {
        random.fill(out, bytes);
      },
      now()));
  start_controller();
  as_ssa_ = must(client::ControllerClient::make(place(ssa_node)));
  ssa_ = std::make_unique<MemorySsa>(*as_ssa_, options);
  agent::AgentSettings settings;
  settings.name = ssa_node;
  settings.listen = "127.0.0.1:0";
  settings.certificate = folder_ + "/sae-a.crt";
  settings.key = folder_ + "/sae-a.key";
  settings.ca = folder_ + "/ca.crt";
  settings.owners = true;
  agent_ = must(agent::Agent::start(settings));
  agent_->serve_owners(*ssa_);
  start_nodes();
}

OwnerNetwork::~OwnerNetwork() {
  agent_.reset();
  ssa_.reset();
}

controller::Now OwnerNetwork::now() {
  const auto since = [](auto time) {
    return static_cast<std::uint64_t>(
        std::chrono::duration_cast<std::chrono::milliseconds>(time.time_since_epoch()).count());
  };
  return {since(std::chrono::system_clock::now()), since(std::chrono::steady_clock::now())};
}

client::ControllerPlace OwnerNetwork::place(const std::string& who) const {
  const std::string own = folder_ + "/" + who;
  return {listen_, "controller", own + ".crt", own + ".key", folder_ + "/ca.crt"};
}

void OwnerNetwork::start_controller() {
  const client::ControllerPlace own = place("controller");
  const controller::ServerSettings settings{"controller", listen_, own.certificate, own.key, own.ca};
  server_ = must(controller::Server::start(settings, must(controller::open_identity(settings)), *catalogue_,
                                           nullptr, now));
  listen_ = server_->listening();
}

void OwnerNetwork::start_nodes() {
  const auto start = [&](const std::string& node, pki::Role role, const std::string& agent) {
    controller::Registration registration;
    registration.instance = instance_of(node);
    registration.roles = {role};
    registration.agent = agent;
    registration.data_addresses = {"127.0.0.1:4405"};
    must(catalogue_->register_node(now(), node, {role}, registration));
  };
  start(ssa_node, pki::Role::ssa, agent_->listening());
  for (const char* const holder : holders) start(holder, pki::Role::shareholder, "127.0.0.1:1");
  report();
}

void OwnerNetwork::report() {
  const auto tell = [&](const std::string& node) {
    controller::Report report;
    report.instance = instance_of(node);
    report.capacity_bytes = std::uint64_t{1} << 40;
    must(catalogue_->report(now(), node, report));
  };
  tell(ssa_node);
  for (const char* const holder : holders) tell(holder);
}

}  // namespace ssn::test
