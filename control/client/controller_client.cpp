// SPDX-License-Identifier: BSD-3-Clause
#include "controller_client.h"

#include <fmt/core.h>
#include <grpcpp/grpcpp.h>

#include "call_error.h"
#include "caller.h"
#include "controller.grpc.pb.h"
#include "credentials.h"
#include "messages.h"

namespace ssn::client {
namespace {

using namespace controller;
namespace v1 = ssn::controller::v1;
using std::chrono::milliseconds;

constexpr const char* what = "cannot ask the controller";

class Client final : public ControllerClient {
 public:
  Client(const std::shared_ptr<grpc::Channel>& channel, const ControllerPlace& place, milliseconds patience)
      : objects_(v1::Objects::NewStub(channel)),
        nodes_(v1::Nodes::NewStub(channel)),
        administration_(v1::Administration::NewStub(channel)),
        reshares_(v1::Reshares::NewStub(channel)),
        callee_{what, "ssn-controller", "an owner, a node or an operator", place.address},
        name_(place.name),
        patience_(patience) {}

  Result<WriteTicket> begin_write(const WriteRequest& request) override {
    v1::BeginWriteRequest message;
    controller::write(request, message);
    return ask<WriteTicket>(*objects_, &v1::Objects::Stub::BeginWrite, message, v1::WriteTicket());
  }
  Result<CommitAnswer> commit(const ObjectKey& key, bool degraded) override {
    v1::CommitRequest message;
    controller::write(key, *message.mutable_key());
    message.set_degraded(degraded);
    return ask<CommitAnswer>(*objects_, &v1::Objects::Stub::Commit, message, v1::CommitAnswer());
  }
  Outcome abort(const ObjectKey& key) override {
    v1::AbortRequest message;
    v1::AbortAnswer answer;
    controller::write(key, *message.mutable_key());
    return call(*objects_, &v1::Objects::Stub::Abort, message, answer);
  }
  Result<ObjectPage> list(const std::string& prefix, const std::string& after, std::uint32_t limit,
                          const std::string& owner) override {
    v1::ListRequest message;
    v1::ObjectList answer;
    message.set_prefix(prefix);
    message.set_after(after);
    message.set_limit(limit);
    message.set_owner(owner);
    if (Outcome called = call(*objects_, &v1::Objects::Stub::List, message, answer); !called.ok()) {
      return called.error();
    }
    return ObjectPage{all<ObjectSummary>(answer.objects()), answer.next()};
  }
  Result<Object> stat(const std::string& name, const std::string& owner) override {
    v1::StatRequest message;
    message.set_name(name);
    message.set_owner(owner);
    return ask<Object>(*objects_, &v1::Objects::Stub::Stat, message, v1::Object());
  }
  Result<std::uint64_t> remove(const std::string& name, std::uint64_t id) override {
    v1::RemoveRequest message;
    v1::RemoveAnswer answer;
    message.set_name(name);
    message.set_object(id);
    const Outcome called = call(*objects_, &v1::Objects::Stub::Remove, message, answer);
    return called.ok() ? Result<std::uint64_t>(answer.object()) : called.error();
  }
  Result<ReadTicket> open_read(const std::string& name) override {
    v1::OpenReadRequest message;
    message.set_name(name);
    return ask<ReadTicket>(*objects_, &v1::Objects::Stub::OpenRead, message, v1::ReadTicket());
  }

  Result<Explanation> explain(const std::string& name, const std::string& owner,
                              const WriteRequest& write) override {
    v1::ExplainRequest message;
    message.set_name(name);
    message.set_owner(owner);
    controller::write(write, *message.mutable_write());
    return ask<Explanation>(*objects_, &v1::Objects::Stub::Explain, message, v1::Explanation());
  }

  Result<RegisterAnswer> register_node(const Registration& registration) override {
    v1::RegisterRequest message;
    controller::write(registration, message);
    return ask<RegisterAnswer>(*nodes_, &v1::Nodes::Stub::Register, message, v1::RegisterAnswer());
  }
  Result<ReportAnswer> report(const Report& report) override {
    v1::ReportRequest message;
    controller::write(report, message);
    return ask<ReportAnswer>(*nodes_, &v1::Nodes::Stub::Report, message, v1::ReportAnswer());
  }
  Result<Object> object(const ObjectKey& key) override {
    v1::ObjectKey message;
    controller::write(key, message);
    return ask<Object>(*nodes_, &v1::Nodes::Stub::GetObject, message, v1::Object());
  }
  Result<SealedAnswer> sealed(const SealedReport& report) override {
    v1::SealedRequest message;
    controller::write(report, message);
    return ask<SealedAnswer>(*nodes_, &v1::Nodes::Stub::Sealed, message, v1::SealedAnswer());
  }
  Result<HoldingPage> holdings(std::uint64_t after, std::uint32_t limit) override {
    v1::HoldingsRequest message;
    v1::Holdings answer;
    message.set_after(after);
    message.set_limit(limit);
    if (Outcome called = call(*nodes_, &v1::Nodes::Stub::GetHoldings, message, answer); !called.ok()) {
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
    if (Outcome called = call(*nodes_, &v1::Nodes::Stub::CompareHoldings, message, answer); !called.ok()) {
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
    return ask<Status>(*administration_, &v1::Administration::Stub::GetStatus, v1::ControllerStatusRequest(),
                       v1::ControllerStatus());
  }
  Result<std::vector<Node>> nodes() override {
    v1::NodeList answer;
    const Outcome called =
        call(*administration_, &v1::Administration::Stub::ListNodes, v1::ListNodesRequest(), answer);
    return called.ok() ? Result<std::vector<Node>>(all<Node>(answer.nodes())) : called.error();
  }
  Result<Node> set_node(const std::string& node, bool out) override {
    v1::SetNodeRequest message;
    message.set_name(node);
    message.set_out(out);
    return ask<Node>(*administration_, &v1::Administration::Stub::SetNode, message, v1::Node());
  }
  Result<std::vector<Association>> associations(const std::string& node) override {
    v1::ListAssociationsRequest message;
    v1::AssociationList answer;
    message.set_node(node);
    const Outcome called =
        call(*administration_, &v1::Administration::Stub::ListAssociations, message, answer);
    return called.ok() ? Result<std::vector<Association>>(all<Association>(answer.associations()))
                       : called.error();
  }
  Result<std::vector<Event>> events(std::uint64_t after, std::uint32_t limit) override {
    v1::ListEventsRequest message;
    v1::EventList answer;
    message.set_after(after);
    message.set_limit(limit);
    const Outcome called = call(*administration_, &v1::Administration::Stub::ListEvents, message, answer);
    return called.ok() ? Result<std::vector<Event>>(all<Event>(answer.events())) : called.error();
  }

  Result<ReshareView> start_reshare(const ReshareRequest& request, bool dry_run) override {
    v1::StartReshareRequest message;
    controller::write(request, message);
    message.set_dry_run(dry_run);
    return ask<ReshareView>(*reshares_, &v1::Reshares::Stub::Start, message, v1::Reshare());
  }
  Result<ReshareView> cancel_reshare(std::uint64_t job) override {
    v1::CancelReshareRequest message;
    message.set_job(job);
    return ask<ReshareView>(*reshares_, &v1::Reshares::Stub::Cancel, message, v1::Reshare());
  }
  Result<ReshareViewPage> reshares(std::uint64_t after, std::uint32_t limit, bool running) override {
    v1::ListResharesRequest message;
    v1::ReshareList answer;
    message.set_after(after);
    message.set_limit(limit);
    message.set_running(running);
    if (Outcome called = call(*reshares_, &v1::Reshares::Stub::List, message, answer); !called.ok()) {
      return called.error();
    }
    return ReshareViewPage{all<ReshareView>(answer.jobs()), answer.next()};
  }
  Result<Replacement> replace_node(const std::string& from, const std::string& to) override {
    v1::ReplaceRequest message;
    message.set_from(from);
    message.set_to(to);
    const Result<ReplacementPlan> answer =
        ask<ReplacementPlan>(*reshares_, &v1::Reshares::Stub::Replace, message, v1::ReplaceAnswer());
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
    return ask<ReplacementPlan>(*reshares_, &v1::Reshares::Stub::Replace, message, v1::ReplaceAnswer());
  }
  Outcome cancel_replacement(const std::string& from) override {
    v1::CancelReplacementRequest message;
    v1::CancelReplacementAnswer answer;
    message.set_from(from);
    return call(*reshares_, &v1::Reshares::Stub::CancelReplacement, message, answer);
  }
  Result<std::vector<Replacement>> replacements() override {
    v1::ReplacementList answer;
    const Outcome called =
        call(*reshares_, &v1::Reshares::Stub::ListReplacements, v1::ListReplacementsRequest(), answer);
    return called.ok() ? Result<std::vector<Replacement>>(all<Replacement>(answer.replacements()))
                       : called.error();
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

  // Over TLS the name was compared when it began; but an alternative name would have done there, and so would
  // a node of that name.
  Outcome check_server(const grpc::ClientContext& context) const {
    const auto auth = context.auth_context();
    const pki::Caller server = auth == nullptr ? pki::Caller{} : pki::caller_of(*auth);
    if (server.kind == pki::Caller::Kind::certified && server.name == name_ &&
        server.roles.has(pki::Role::controller)) {
      return done;
    }
    return Error{Exit::refused, what,
                 fmt::format("the certificate there is not that of a controller {}", name_), callee_.where,
                 "see that address and name are those of the controller"};
  }

  template <typename Stub, typename Method, typename Request, typename Answer>
  Outcome call(Stub& stub, Method method, const Request& request, Answer& answer) const {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + patience_);
    const grpc::Status status = (stub.*method)(&context, request, &answer);
    return status.ok() ? check_server(context) : Outcome(pki::from_status(status, callee_));
  }
  template <typename T, typename Stub, typename Method, typename Request, typename Answer>
  Result<T> ask(Stub& stub, Method method, const Request& request, Answer answer) const {
    const Outcome called = call(stub, method, request, answer);
    return called.ok() ? Result<T>(controller::read(answer)) : called.error();
  }

  const std::unique_ptr<v1::Objects::Stub> objects_;
  const std::unique_ptr<v1::Nodes::Stub> nodes_;
  const std::unique_ptr<v1::Administration::Stub> administration_;
  const std::unique_ptr<v1::Reshares::Stub> reshares_;
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
  const Result<pki::Identity> identity =
      pki::load_identity({place.certificate, place.key, place.ca}, pki::CertificateUse::client);
  if (!identity.ok()) {
    return identity.error();
  }
  return std::unique_ptr<ControllerClient>(std::make_unique<Client>(
      pki::connect_to(identity.value(), place.address, place.name), place, patience));
}

}  // namespace ssn::client
