// SPDX-License-Identifier: BSD-3-Clause
// Asks the controller: as an owner, a node or an operator, whichever the certificate says. Plain structures,
// no gRPC type: whoever includes this is spared its headers. What the calls promise: docs/controller.md.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "audit_file.h"
#include "domain_types.h"
#include "reshare.h"
#include "ssn/hw/result.h"
#include "types.h"

namespace ssn::client {

struct ControllerPlace {
  std::string address;      ///< "192.0.2.10:7100"
  std::string name;         ///< of the controller, as in its certificate: nobody else is asked
  std::string certificate;  ///< PEM files of the one who asks
  std::string key;
  std::string ca;
  std::string crl = {};  ///< what the authorities in `ca` revoked; empty: nobody is looked up
};

/// Thread-safe. Every call may be repeated after an error, and is not repeated by itself.
class ControllerClient {
 public:
  /// Prepares only; the first call connects. `patience` is for each call.
  static Result<std::unique_ptr<ControllerClient>> make(
      const ControllerPlace& place, std::chrono::milliseconds patience = std::chrono::seconds(10));
  virtual ~ControllerClient() = default;

  // Owners.
  virtual Result<controller::WriteTicket> begin_write(const controller::WriteRequest& request) = 0;
  virtual Result<controller::CommitAnswer> commit(const controller::ObjectKey& key, bool degraded) = 0;
  virtual Outcome abort(const controller::ObjectKey& key) = 0;
  /// A page of objects whose names begin with `prefix`, behind `after`. `owner`: for operators.
  virtual Result<controller::ObjectPage> list(const std::string& prefix, const std::string& after,
                                              std::uint32_t limit, const std::string& owner) = 0;
  virtual Result<controller::Object> stat(const std::string& name, const std::string& owner) = 0;
  /// `id`: only if it is this object; 0: whichever it is. Gives its id.
  virtual Result<std::uint64_t> remove(const std::string& name, std::uint64_t id) = 0;
  virtual Result<controller::ReadTicket> open_read(const std::string& name) = 0;
  /// Of an object; with an empty name: of a write that nobody makes. `owner`: for operators.
  virtual Result<controller::Explanation> explain(const std::string& name, const std::string& owner,
                                                  const controller::WriteRequest& write) = 0;

  // Nodes.
  virtual Result<controller::RegisterAnswer> register_node(const controller::Registration& registration) = 0;
  virtual Result<controller::ReportAnswer> report(const controller::Report& report) = 0;
  virtual Result<controller::Object> object(const controller::ObjectKey& key) = 0;
  virtual Result<controller::SealedAnswer> sealed(const controller::SealedReport& report) = 0;
  virtual Result<controller::HoldingPage> holdings(std::uint64_t after, std::uint32_t limit) = 0;
  virtual Result<std::vector<controller::Verdict>> compare(
      const std::vector<controller::ObjectKey>& found) = 0;

  // Operators.
  virtual Result<controller::Status> status() = 0;
  virtual Result<std::vector<controller::Node>> nodes() = 0;
  virtual Result<controller::Node> set_node(const std::string& node, controller::ServiceState service) = 0;
  /// Forgets it: it is down, and holds nothing.
  virtual Outcome remove_node(const std::string& node, controller::StoreDestroyed destroyed) = 0;
  virtual Result<std::vector<controller::Association>> associations(const std::string& node) = 0;
  virtual Result<std::vector<controller::Event>> events(std::uint64_t after, std::uint32_t limit) = 0;
  /// Those behind `after`, then those that come; without `after`: only those. Ends when `take` says no, with
  /// an error when the controller ends it. `take` is also given empty lists, every few seconds,
  /// and how many before these are not kept any more.
  virtual Outcome watch_events(
      std::optional<std::uint64_t> after, bool only_alarms,
      const std::function<bool(const std::vector<controller::Event>&, std::uint64_t lost)>& take) = 0;
  /// A page behind `after`.
  virtual Result<controller::AlarmPage> alarms(const controller::AlarmFilter& filter,
                                               const std::string& after, std::uint32_t limit) = 0;

  /// The audit log: a page behind `after`, which may be short and yet have a next one.
  virtual Result<audit::DecisionPage> decisions(const audit::DecisionFilter& filter, std::uint64_t after,
                                                std::uint32_t limit) = 0;

  // The network's configuration.
  /// 0: the version in force.
  virtual Result<controller::ConfigurationVersion> configuration(std::uint64_t version) = 0;
  /// The newest first, without texts.
  virtual Result<std::vector<controller::ConfigurationVersion>> configurations() = 0;
  virtual Result<controller::ConfigurationChange> configure(
      const controller::ConfigurationRequest& request) = 0;

  /// Other domains, and what their controllers say.
  virtual Result<controller::DomainPage> domains() = 0;

  // Accounting. Owners their own.
  /// A page behind `after`; it may be short and yet have a next one.
  virtual Result<controller::AccountPage> accounts(const controller::AccountFilter& filter,
                                                   std::uint64_t after, std::uint32_t limit) = 0;
  /// A page of owners behind `after`; `next`: for the page behind it, empty: that was all.
  virtual Result<std::vector<controller::Usage>> usage(const std::string& owner, const std::string& after,
                                                       std::uint32_t limit, std::string& next) = 0;

  // Re-sharing. Owners their own objects.
  virtual Result<controller::ReshareView> start_reshare(const controller::ReshareRequest& request,
                                                        bool dry_run) = 0;
  virtual Result<controller::ReshareView> cancel_reshare(std::uint64_t job) = 0;
  virtual Result<controller::ReshareViewPage> reshares(std::uint64_t after, std::uint32_t limit,
                                                       bool running) = 0;
  virtual Result<controller::Replacement> replace_node(const std::string& from, const std::string& to) = 0;
  /// A page of objects behind `after`.
  virtual Result<controller::ReplacementPlan> plan_replacement(const std::string& from, const std::string& to,
                                                               std::uint64_t after, std::uint32_t limit) = 0;
  virtual Outcome cancel_replacement(const std::string& from) = 0;
  virtual Result<std::vector<controller::Replacement>> replacements() = 0;
  /// What begins by itself. refused: only operators are told.
  virtual Result<controller::Upkeep> upkeep() = 0;
};

}  // namespace ssn::client
