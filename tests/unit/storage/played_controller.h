// SPDX-License-Identifier: BSD-3-Clause
// A controller that the test plays: what every call answers where the test says nothing else, and one that
// knows some objects.
#pragma once

#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "controller_client.h"

namespace ssn::dataplane {

inline const Error nobody{Exit::temporary, "cannot ask the controller", "nobody answers", "here", "start it"};

/// Answers nothing.
class SilentController : public client::ControllerClient {
 public:
  Result<controller::WriteTicket> begin_write(const controller::WriteRequest&) override { return nobody; }
  Result<controller::CommitAnswer> commit(const controller::ObjectKey&, bool) override { return nobody; }
  Outcome abort(const controller::ObjectKey&) override { return nobody; }
  Result<controller::ObjectPage> list(const std::string&, const std::string&, std::uint32_t,
                                      const std::string&) override {
    return nobody;
  }
  Result<controller::Object> stat(const std::string&, const std::string&) override { return nobody; }
  Result<std::uint64_t> remove(const std::string&, std::uint64_t) override { return nobody; }
  Result<controller::ReadTicket> open_read(const std::string&) override { return nobody; }
  Result<controller::Explanation> explain(const std::string&, const std::string&,
                                          const controller::WriteRequest&) override {
    return nobody;
  }
  Result<controller::RegisterAnswer> register_node(const controller::Registration&) override {
    return nobody;
  }
  Result<controller::ReportAnswer> report(const controller::Report&) override { return nobody; }
  Result<controller::Object> object(const controller::ObjectKey&) override { return nobody; }
  Result<controller::SealedAnswer> sealed(const controller::SealedReport&) override { return nobody; }
  Result<controller::HoldingPage> holdings(std::uint64_t, std::uint32_t) override { return nobody; }
  Result<std::vector<controller::Verdict>> compare(const std::vector<controller::ObjectKey>&) override {
    return nobody;
  }
  Result<controller::Status> status() override { return nobody; }
  Result<std::vector<controller::Node>> nodes() override { return nobody; }
  Result<controller::Node> set_node(const std::string&, controller::ServiceState) override { return nobody; }
  Outcome remove_node(const std::string&, controller::StoreDestroyed) override { return nobody; }
  Result<controller::ConfigurationVersion> configuration(std::uint64_t) override { return nobody; }
  Result<std::vector<controller::ConfigurationVersion>> configurations() override { return nobody; }
  Result<controller::ConfigurationChange> configure(const controller::ConfigurationRequest&) override {
    return nobody;
  }
  Result<controller::DomainPage> domains() override { return nobody; }
  Result<controller::AccountPage> accounts(const controller::AccountFilter&, std::uint64_t,
                                           std::uint32_t) override {
    return nobody;
  }
  Result<std::vector<controller::Usage>> usage(const std::string&, const std::string&, std::uint32_t,
                                               std::string&) override {
    return nobody;
  }
  Result<std::vector<controller::Association>> associations(const std::string&) override { return nobody; }
  Result<std::vector<controller::Event>> events(std::uint64_t, std::uint32_t) override { return nobody; }
  Outcome watch_events(
      std::optional<std::uint64_t>, bool,
      const std::function<bool(const std::vector<controller::Event>&, std::uint64_t)>&) override {
    return nobody;
  }
  Result<audit::DecisionPage> decisions(const audit::DecisionFilter&, std::uint64_t, std::uint32_t) override {
    return nobody;
  }
  Result<controller::AlarmPage> alarms(const controller::AlarmFilter&, const std::string&,
                                       std::uint32_t) override {
    return nobody;
  }
  Result<controller::ReshareView> start_reshare(const controller::ReshareRequest&, bool) override {
    return nobody;
  }
  Result<controller::ReshareView> cancel_reshare(std::uint64_t) override { return nobody; }
  Result<controller::ReshareViewPage> reshares(std::uint64_t, std::uint32_t, bool) override { return nobody; }
  Result<controller::Replacement> replace_node(const std::string&, const std::string&) override {
    return nobody;
  }
  Result<controller::ReplacementPlan> plan_replacement(const std::string&, const std::string&, std::uint64_t,
                                                       std::uint32_t) override {
    return nobody;
  }
  Outcome cancel_replacement(const std::string&) override { return nobody; }
  Result<std::vector<controller::Replacement>> replacements() override { return nobody; }
  Result<controller::Upkeep> upkeep() override { return nobody; }
};

/// What a PlayedController knows. One thread at a time.
struct PlayedObjects {
  std::map<controller::ObjectKey, controller::Object> objects;
  unsigned told_sealed = 0;
  bool away = false;
};

class PlayedController final : public SilentController {
 public:
  explicit PlayedController(PlayedObjects& played) : played_(played) {}

  Result<controller::Object> object(const controller::ObjectKey& key) override {
    if (played_.away) return nobody;
    const auto found = played_.objects.find(key);
    if (found != played_.objects.end()) return found->second;
    return Error{Exit::not_found, "cannot get the object", "there is no such object", "object", "look it up"};
  }
  Result<controller::SealedAnswer> sealed(const controller::SealedReport&) override {
    ++played_.told_sealed;
    return controller::SealedAnswer{};
  }

 private:
  PlayedObjects& played_;
};

}  // namespace ssn::dataplane
