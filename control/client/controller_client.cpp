// SPDX-License-Identifier: BSD-3-Clause
#include "controller_client.h"

#include <fmt/core.h>
#include <grpcpp/grpcpp.h>

#include <ctime>

#include "call_error.h"
#include "caller.h"
#include "configuration.grpc.pb.h"
#include "controller.grpc.pb.h"
#include "credentials.h"
#include "exchange.grpc.pb.h"
#include "messages.h"
#include "messages_audit.h"
#include "messages_configuration.h"
#include "messages_domains.h"
#include "resharing.grpc.pb.h"

namespace ssn::client {
namespace {

using namespace controller;
namespace v1 = ssn::controller::v1;
using std::chrono::milliseconds;

constexpr const char* what = "cannot ask the controller";

class Client final : public ControllerClient {
 public:
  Client(std::shared_ptr<pki::LiveIdentity> live, const ControllerPlace& place, milliseconds patience)
      : channel_(std::move(live), place.address, place.name),
        callee_{what, "ssn-controller", "an owner, a node or an operator", place.address},
        name_(place.name),
        patience_(patience) {}

  Result<WriteTicket> begin_write(const WriteRequest& request) override {
    v1::BeginWriteRequest message;
    controller::write(request, message);
    return ask<WriteTicket>(&v1::Objects::Stub::BeginWrite, message, v1::WriteTicket());
  }
  Result<CommitAnswer> commit(const ObjectKey& key, bool degraded) override {
    v1::CommitRequest message;
    controller::write(key, *message.mutable_key());
    message.set_degraded(degraded);
    return ask<CommitAnswer>(&v1::Objects::Stub::Commit, message, v1::CommitAnswer());
  }
  Outcome abort(const ObjectKey& key) override {
    v1::AbortRequest message;
    v1::AbortAnswer answer;
    controller::write(key, *message.mutable_key());
    return call(&v1::Objects::Stub::Abort, message, answer);
  }
  Result<ObjectPage> list(const std::string& prefix, const std::string& after, std::uint32_t limit,
                          const std::string& owner) override {
    v1::ListRequest message;
    v1::ObjectList answer;
    message.set_prefix(prefix);
    message.set_after(after);
    message.set_limit(limit);
    message.set_owner(owner);
    if (Outcome called = call(&v1::Objects::Stub::List, message, answer); !called.ok()) {
      return called.error();
    }
    return ObjectPage{all<ObjectSummary>(answer.objects()), answer.next()};
  }
  Result<Object> stat(const std::string& name, const std::string& owner) override {
    v1::StatRequest message;
    message.set_name(name);
    message.set_owner(owner);
    return ask<Object>(&v1::Objects::Stub::Stat, message, v1::Object());
  }
  Result<std::uint64_t> remove(const std::string& name, std::uint64_t id) override {
    v1::RemoveRequest message;
    v1::RemoveAnswer answer;
    message.set_name(name);
    message.set_object(id);
    const Outcome called = call(&v1::Objects::Stub::Remove, message, answer);
    return called.ok() ? Result<std::uint64_t>(answer.object()) : called.error();
  }
  Result<ReadTicket> open_read(const std::string& name) override {
    v1::OpenReadRequest message;
    message.set_name(name);
    return ask<ReadTicket>(&v1::Objects::Stub::OpenRead, message, v1::ReadTicket());
  }

  Result<Explanation> explain(const std::string& name, const std::string& owner,
                              const WriteRequest& write) override {
    v1::ExplainRequest message;
    message.set_name(name);
    message.set_owner(owner);
    controller::write(write, *message.mutable_write());
    return ask<Explanation>(&v1::Objects::Stub::Explain, message, v1::Explanation());
  }

  Result<RegisterAnswer> register_node(const Registration& registration) override {
    v1::RegisterRequest message;
    controller::write(registration, message);
    return ask<RegisterAnswer>(&v1::Nodes::Stub::Register, message, v1::RegisterAnswer());
  }
  Result<ReportAnswer> report(const Report& report) override {
    v1::ReportRequest message;
    controller::write(report, message);
    return ask<ReportAnswer>(&v1::Nodes::Stub::Report, message, v1::ReportAnswer());
  }
  Result<Object> object(const ObjectKey& key) override {
    v1::ObjectKey message;
    controller::write(key, message);
    return ask<Object>(&v1::Nodes::Stub::GetObject, message, v1::Object());
  }
  Result<SealedAnswer> sealed(const SealedReport& report) override {
    v1::SealedRequest message;
    controller::write(report, message);
    return ask<SealedAnswer>(&v1::Nodes::Stub::Sealed, message, v1::SealedAnswer());
  }
  Result<HoldingPage> holdings(std::uint64_t after, std::uint32_t limit) override {
    v1::HoldingsRequest message;
    v1::Holdings answer;
    message.set_after(after);
    message.set_limit(limit);
    if (Outcome called = call(&v1::Nodes::Stub::GetHoldings, message, answer); !called.ok()) {
      return called.error();
    }
    return HoldingPage{all<Holding>(answer.holdings()), answer.next()};
  }
  Result<std::vector<Verdict>> compare(const std::vector<ObjectKey>& found) override {
    v1::CompareRequest message;
    v1::CompareAnswer answer;
    for (const ObjectKey& key : found) {
      controller::write(key, *message.add_found());
    }
    if (Outcome called = call(&v1::Nodes::Stub::CompareHoldings, message, answer); !called.ok()) {
      return called.error();
    }
    if (answer.verdicts_size() != message.found_size()) {
      return Error{Exit::integrity, what, "it did not answer for each object", callee_.where,
                   "use programs of the same version"};
    }
    std::vector<Verdict> verdicts;
    for (const int verdict : answer.verdicts()) {
      verdicts.push_back(verdict == v1::HOLDING_VERDICT_REMOVE ? Verdict::remove
                         : verdict == v1::HOLDING_VERDICT_KEEP ? Verdict::keep
                                                               : Verdict::unknown);
    }
    return verdicts;
  }

  Result<Status> status() override {
    return ask<Status>(&v1::Administration::Stub::GetStatus, v1::ControllerStatusRequest(),
                       v1::ControllerStatus());
  }
  Result<std::vector<Node>> nodes() override {
    v1::NodeList answer;
    const Outcome called = call(&v1::Administration::Stub::ListNodes, v1::ListNodesRequest(), answer);
    return called.ok() ? Result<std::vector<Node>>(all<Node>(answer.nodes())) : called.error();
  }
  Result<Node> set_node(const std::string& node, ServiceState service) override {
    v1::SetNodeRequest message;
    message.set_name(node);
    message.set_service(static_cast<v1::ServiceState>(service));
    return ask<Node>(&v1::Administration::Stub::SetNode, message, v1::Node());
  }
  Outcome remove_node(const std::string& node, controller::StoreDestroyed destroyed) override {
    v1::RemoveNodeRequest message;
    message.set_name(node);
    message.set_destroyed(destroyed == controller::StoreDestroyed::yes);
    v1::RemoveNodeAnswer answer;
    return call(&v1::Administration::Stub::RemoveNode, message, answer);
  }
  Result<std::vector<Association>> associations(const std::string& node) override {
    v1::ListAssociationsRequest message;
    v1::AssociationList answer;
    message.set_node(node);
    const Outcome called = call(&v1::Administration::Stub::ListAssociations, message, answer);
    return called.ok() ? Result<std::vector<Association>>(all<Association>(answer.associations()))
                       : called.error();
  }
  Result<std::vector<Event>> events(std::uint64_t after, std::uint32_t limit) override {
    v1::ListEventsRequest message;
    v1::EventList answer;
    message.set_after(after);
    message.set_limit(limit);
    const Outcome called = call(&v1::Administration::Stub::ListEvents, message, answer);
    return called.ok() ? Result<std::vector<Event>>(all<Event>(answer.events())) : called.error();
  }

  Outcome watch_events(std::optional<std::uint64_t> after, bool only_alarms,
                       const std::function<bool(const std::vector<Event>&, std::uint64_t)>& take) override {
    if (const Result<Status> reached = status(); !reached.ok()) {
      return reached.error();  // a stream has no deadline, so first something that has
    }
    grpc::ClientContext context;
    v1::WatchEventsRequest message;
    message.set_after(after.value_or(0));
    message.set_only_new(!after);
    message.set_only_alarms(only_alarms);
    const std::unique_ptr<v1::Administration::Stub> stub = v1::Administration::NewStub(channel_.get());
    const auto reader = stub->WatchEvents(&context, message);
    v1::EventList list;
    while (reader->Read(&list)) {
      if (Outcome proven = check_server(context); !proven.ok()) {
        context.TryCancel();
        return proven;
      }
      if (!take(all<Event>(list.events()), list.lost())) {
        context.TryCancel();
        static_cast<void>(reader->Finish());
        return done;
      }
    }
    const grpc::Status ended = reader->Finish();
    return ended.ok() ? Error{Exit::temporary, what, "it ended the stream", callee_.where, "ask again"}
                      : pki::from_status(ended, callee_);
  }
  Result<AlarmPage> alarms(const AlarmFilter& filter, const std::string& after,
                           std::uint32_t limit) override {
    v1::ListAlarmsRequest message;
    controller::write(filter, message);
    message.set_after(after);
    message.set_limit(limit);
    return ask<AlarmPage>(&v1::Administration::Stub::ListAlarms, message, v1::AlarmList());
  }

  Result<audit::DecisionPage> decisions(const audit::DecisionFilter& filter, std::uint64_t after,
                                        std::uint32_t limit) override {
    v1::ListDecisionsRequest message;
    controller::write(filter, message);
    message.set_after(after);
    message.set_limit(limit);
    return ask<audit::DecisionPage>(&v1::Administration::Stub::ListDecisions, message, v1::DecisionList());
  }

  Result<ConfigurationVersion> configuration(std::uint64_t version) override {
    v1::GetConfigurationRequest message;
    message.set_version(version);
    return ask<ConfigurationVersion>(&v1::Configuration::Stub::Get, message, v1::ConfigurationVersion());
  }
  Result<std::vector<ConfigurationVersion>> configurations() override {
    v1::ConfigurationVersionList answer;
    const Outcome called = call(&v1::Configuration::Stub::ListVersions, v1::ListVersionsRequest(), answer);
    return called.ok()
               ? Result<std::vector<ConfigurationVersion>>(all<ConfigurationVersion>(answer.versions()))
               : called.error();
  }
  Result<ConfigurationChange> configure(const ConfigurationRequest& request) override {
    v1::ApplyConfigurationRequest message;
    controller::write(request, message);
    return ask<ConfigurationChange>(&v1::Configuration::Stub::Apply, message, v1::ConfigurationChange());
  }

  Result<AccountPage> accounts(const AccountFilter& filter, std::uint64_t after,
                               std::uint32_t limit) override {
    v1::ListAccountsRequest message;
    message.set_owner(filter.owner);
    message.set_since_ms(filter.since_ms);
    message.set_after(after);
    message.set_limit(limit);
    return ask<AccountPage>(&v1::Accounting::Stub::ListRecords, message, v1::AccountList());
  }
  Result<std::vector<Usage>> usage(const std::string& owner, const std::string& after, std::uint32_t limit,
                                   std::string& next) override {
    v1::ListUsageRequest message;
    v1::UsageList answer;
    message.set_owner(owner);
    message.set_after(after);
    message.set_limit(limit);
    const Outcome called = call(&v1::Accounting::Stub::ListUsage, message, answer);
    next = answer.next();
    return called.ok() ? Result<std::vector<Usage>>(all<Usage>(answer.owners())) : called.error();
  }

  Result<ReshareView> start_reshare(const ReshareRequest& request, bool dry_run) override {
    v1::StartReshareRequest message;
    controller::write(request, message);
    message.set_dry_run(dry_run);
    return ask<ReshareView>(&v1::Reshares::Stub::Start, message, v1::Reshare());
  }
  Result<ReshareView> cancel_reshare(std::uint64_t job) override {
    v1::CancelReshareRequest message;
    message.set_job(job);
    return ask<ReshareView>(&v1::Reshares::Stub::Cancel, message, v1::Reshare());
  }
  Result<ReshareViewPage> reshares(std::uint64_t after, std::uint32_t limit, bool running) override {
    v1::ListResharesRequest message;
    v1::ReshareList answer;
    message.set_after(after);
    message.set_limit(limit);
    message.set_running(running);
    if (Outcome called = call(&v1::Reshares::Stub::List, message, answer); !called.ok()) {
      return called.error();
    }
    return ReshareViewPage{all<ReshareView>(answer.jobs()), answer.next()};
  }
  Result<Replacement> replace_node(const std::string& from, const std::string& to) override {
    v1::ReplaceRequest message;
    message.set_from(from);
    message.set_to(to);
    const Result<ReplacementPlan> answer =
        ask<ReplacementPlan>(&v1::Reshares::Stub::Replace, message, v1::ReplaceAnswer());
    return answer.ok() ? Result<Replacement>(answer.value().replacement) : answer.error();
  }
  Result<ReplacementPlan> plan_replacement(const std::string& from, const std::string& to,
                                           std::uint64_t after, std::uint32_t limit) override {
    v1::ReplaceRequest message;
    message.set_from(from);
    message.set_to(to);
    message.set_dry_run(true);
    message.set_after(after);
    message.set_limit(limit);
    return ask<ReplacementPlan>(&v1::Reshares::Stub::Replace, message, v1::ReplaceAnswer());
  }
  Outcome cancel_replacement(const std::string& from) override {
    v1::CancelReplacementRequest message;
    v1::CancelReplacementAnswer answer;
    message.set_from(from);
    return call(&v1::Reshares::Stub::CancelReplacement, message, answer);
  }
  Result<std::vector<Replacement>> replacements() override {
    v1::ReplacementList answer;
    const Outcome called = call(&v1::Reshares::Stub::ListReplacements, v1::ListReplacementsRequest(), answer);
    return called.ok() ? Result<std::vector<Replacement>>(all<Replacement>(answer.replacements()))
                       : called.error();
  }
  Result<controller::Upkeep> upkeep() override {
    v1::ReplacementList answer;
    const Outcome called = call(&v1::Reshares::Stub::ListReplacements, v1::ListReplacementsRequest(), answer);
    return called.ok() ? Result<controller::Upkeep>(controller::read(answer.upkeep())) : called.error();
  }
  Result<controller::DomainPage> domains() override {
    return ask<controller::DomainPage>(&v1::Domains::Stub::List, v1::ListDomainsRequest(), v1::DomainList());
  }

 private:
  template <typename T, typename Repeated>
  static std::vector<T> all(const Repeated& messages) {
    std::vector<T> read_all;
    for (const auto& message : messages) {
      read_all.push_back(controller::read(message));
    }
    return read_all;
  }

  // Name and certificate were judged when the connection began: who is revoked since is noticed here, and a
  // node of that name.
  Outcome check_server(const grpc::ClientContext& context) {
    const auto auth = context.auth_context();
    const pki::Caller server =
        auth == nullptr ? pki::Caller{} : pki::caller_of(*auth, &channel_.live(), pki::Purpose::server);
    if (server.kind == pki::Caller::Kind::certified && server.name == name_ &&
        server.roles.has(pki::Role::controller)) {
      return done;
    }
    return Error{Exit::refused, what,
                 fmt::format("the certificate there is not that of a controller {}", name_), callee_.where,
                 "see that address and name are those of the controller"};
  }

  static std::unique_ptr<v1::Objects::Stub> new_stub(const v1::Objects::Stub*,
                                                     const std::shared_ptr<grpc::Channel>& channel) {
    return v1::Objects::NewStub(channel);
  }
  static std::unique_ptr<v1::Nodes::Stub> new_stub(const v1::Nodes::Stub*,
                                                   const std::shared_ptr<grpc::Channel>& channel) {
    return v1::Nodes::NewStub(channel);
  }
  static std::unique_ptr<v1::Administration::Stub> new_stub(const v1::Administration::Stub*,
                                                            const std::shared_ptr<grpc::Channel>& channel) {
    return v1::Administration::NewStub(channel);
  }
  static std::unique_ptr<v1::Reshares::Stub> new_stub(const v1::Reshares::Stub*,
                                                      const std::shared_ptr<grpc::Channel>& channel) {
    return v1::Reshares::NewStub(channel);
  }

  static std::unique_ptr<v1::Configuration::Stub> new_stub(const v1::Configuration::Stub*,
                                                           const std::shared_ptr<grpc::Channel>& channel) {
    return v1::Configuration::NewStub(channel);
  }
  static std::unique_ptr<v1::Accounting::Stub> new_stub(const v1::Accounting::Stub*,
                                                        const std::shared_ptr<grpc::Channel>& channel) {
    return v1::Accounting::NewStub(channel);
  }

  static std::unique_ptr<v1::Domains::Stub> new_stub(const v1::Domains::Stub*,
                                                     const std::shared_ptr<grpc::Channel>& channel) {
    return v1::Domains::NewStub(channel);
  }

  // On the channel of now: it is another one once our certificate was renewed.
  template <typename Stub, typename Request, typename Answer>
  Outcome call(grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&, Answer*),
               const Request& request, Answer& answer) {
    const std::unique_ptr<Stub> stub = new_stub(static_cast<const Stub*>(nullptr), channel_.get());
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + patience_);
    const grpc::Status status = (stub.get()->*method)(&context, request, &answer);
    return status.ok() ? check_server(context) : Outcome(pki::from_status(status, callee_));
  }
  template <typename T, typename Stub, typename Request, typename Answer>
  Result<T> ask(grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&, Answer*),
                const Request& request, Answer answer) {
    const Outcome called = call(method, request, answer);
    return called.ok() ? Result<T>(controller::read(answer)) : called.error();
  }

  pki::LiveChannel channel_;
  const pki::Callee callee_;
  const std::string name_;
  const milliseconds patience_;
};

}  // namespace

Result<std::unique_ptr<ControllerClient>> ControllerClient::make(const ControllerPlace& place,
                                                                 milliseconds patience) {
  pki::prepare_grpc(pki::GrpcLog::silent);
  if (pki::target_of(place.address).empty()) {
    return Error{Exit::usage, what, "this is no address with a port", place.address,
                 "write it like 127.0.0.1:7100 or [::1]:7100"};
  }
  if (place.name.empty()) {
    return Error{Exit::usage, what, "the name of the controller is missing", place.address,
                 "say whose certificate it must show"};
  }
  Result<std::shared_ptr<pki::LiveIdentity>> live =
      pki::LiveIdentity::open({place.certificate, place.key, place.ca, place.crl},
                              pki::CertificateUse::client, nullptr, ::time(nullptr));
  if (!live.ok()) {
    return live.error();
  }
  return std::unique_ptr<ControllerClient>(
      std::make_unique<Client>(std::move(live.value()), place, patience));
}

}  // namespace ssn::client
