// SPDX-License-Identifier: BSD-3-Clause
#include "server.h"

#include <fmt/core.h>
#include <grpcpp/grpcpp.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <ctime>

#include "call_audit.h"
#include "controller.grpc.pb.h"
#include "credentials.h"
#include "desk.h"
#include "event_stream.h"
#include "messages_audit.h"

namespace ssn::controller {
namespace {

constexpr const char* what_start = "cannot start the controller";
constexpr int threads_max = 24;
constexpr std::size_t memory_max = std::size_t{64} << 20;
constexpr int streams_per_connection = 32;
constexpr std::chrono::milliseconds ending{500};

class ObjectsService final : public v1::Objects::Service {
 public:
  explicit ObjectsService(const Desk& desk) : desk_(desk) {}

 private:
  using Context = grpc::ServerContext;

  grpc::Status BeginWrite(Context* context, const v1::BeginWriteRequest* request,
                          v1::WriteTicket* out) override {
    const Result<pki::Caller> caller = desk_.admit(*context, Call::begin_write);
    return caller.ok()
               ? answer(desk_.catalogue.begin_write(desk_.clock(), caller.value().name, read(*request)), *out)
               : pki::to_status(caller.error());
  }
  grpc::Status Commit(Context* context, const v1::CommitRequest* request, v1::CommitAnswer* out) override {
    const Result<pki::Caller> caller = desk_.admit(*context, Call::commit);
    return caller.ok() ? answer(desk_.catalogue.commit(desk_.clock(), caller.value().name,
                                                       read(request->key()), request->degraded()),
                                *out)
                       : pki::to_status(caller.error());
  }
  grpc::Status Abort(Context* context, const v1::AbortRequest* request, v1::AbortAnswer*) override {
    const Result<pki::Caller> caller = desk_.admit(*context, Call::abort);
    if (!caller.ok()) {
      return pki::to_status(caller.error());
    }
    const Outcome aborted = desk_.catalogue.abort(desk_.clock(), caller.value().name, read(request->key()));
    return aborted.ok() ? grpc::Status::OK : pki::to_status(aborted.error());
  }
  grpc::Status List(Context* context, const v1::ListRequest* request, v1::ObjectList* out) override {
    const Result<std::string> owner = desk_.owner_of(*context, Call::list, request->owner());
    if (!owner.ok()) {
      return pki::to_status(owner.error());
    }
    const Result<ObjectPage> page = desk_.catalogue.list(desk_.clock(), owner.value(), request->prefix(),
                                                         request->after(), limit_of(request->limit()));
    if (!page.ok()) {
      return pki::to_status(page.error());
    }
    for (const ObjectSummary& object : page.value().objects) {
      write(object, *out->add_objects());
    }
    out->set_next(page.value().next);
    return grpc::Status::OK;
  }
  grpc::Status Stat(Context* context, const v1::StatRequest* request, v1::Object* out) override {
    const Result<std::string> owner = desk_.owner_of(*context, Call::stat, request->owner());
    return owner.ok() ? answer(desk_.catalogue.stat(desk_.clock(), owner.value(), request->name()), *out)
                      : pki::to_status(owner.error());
  }
  grpc::Status Remove(Context* context, const v1::RemoveRequest* request, v1::RemoveAnswer* out) override {
    const Result<pki::Caller> caller = desk_.admit(*context, Call::remove);
    if (!caller.ok()) {
      return pki::to_status(caller.error());
    }
    const Result<std::uint64_t> removed =
        desk_.catalogue.remove(desk_.clock(), caller.value().name, request->name(), request->object());
    if (!removed.ok()) {
      return pki::to_status(removed.error());
    }
    out->set_object(removed.value());
    return grpc::Status::OK;
  }
  grpc::Status OpenRead(Context* context, const v1::OpenReadRequest* request, v1::ReadTicket* out) override {
    const Result<pki::Caller> caller = desk_.admit(*context, Call::open_read);
    return caller.ok()
               ? answer(desk_.catalogue.open_read(desk_.clock(), caller.value().name, request->name()), *out)
               : pki::to_status(caller.error());
  }

  grpc::Status Explain(Context* context, const v1::ExplainRequest* request, v1::Explanation* out) override {
    const Result<pki::Caller> caller = desk_.admit(*context, Call::explain);
    if (!caller.ok()) {
      return pki::to_status(caller.error());
    }
    const Result<std::string> owner = Desk::owner_for(caller.value(), Call::explain, request->owner());
    if (!owner.ok()) {
      return pki::to_status(owner.error());
    }
    Result<Explanation> explained =
        request->name().empty()
            ? desk_.catalogue.explain_write(desk_.clock(), read(request->write()), owner.value())
            : desk_.catalogue.explain(desk_.clock(), owner.value(), request->name());
    if (explained.ok() && !caller.value().roles.has(pki::Role::operators)) {
      for (NodeChoice& choice : explained.value().choices) {
        choice.free_bytes = 0;
        choice.path = {};
        choice.weight = 0;
      }
    }
    return answer(explained, *out);
  }

  const Desk& desk_;
};

class NodesService final : public v1::Nodes::Service {
 public:
  explicit NodesService(const Desk& desk) : desk_(desk) {}

 private:
  using Context = grpc::ServerContext;

  grpc::Status Register(Context* context, const v1::RegisterRequest* request,
                        v1::RegisterAnswer* out) override {
    const Result<pki::Caller> caller = desk_.admit(*context, Call::register_node);
    return caller.ok() ? answer(desk_.catalogue.register_node(desk_.clock(), caller.value().name,
                                                              caller.value().roles, read(*request)),
                                *out)
                       : pki::to_status(caller.error());
  }
  grpc::Status Report(Context* context, const v1::ReportRequest* request, v1::ReportAnswer* out) override {
    const Result<pki::Caller> caller = desk_.admit(*context, Call::report);
    return caller.ok()
               ? answer(desk_.catalogue.report(desk_.clock(), caller.value().name, read(*request)), *out)
               : pki::to_status(caller.error());
  }
  grpc::Status GetObject(Context* context, const v1::ObjectKey* request, v1::Object* out) override {
    const Result<pki::Caller> caller = desk_.admit(*context, Call::get_object);
    return caller.ok()
               ? answer(desk_.catalogue.object_for(desk_.clock(), caller.value().name, read(*request)), *out)
               : pki::to_status(caller.error());
  }
  grpc::Status Sealed(Context* context, const v1::SealedRequest* request, v1::SealedAnswer* out) override {
    const Result<pki::Caller> caller = desk_.admit(*context, Call::sealed);
    return caller.ok()
               ? answer(desk_.catalogue.sealed(desk_.clock(), caller.value().name, read(*request)), *out)
               : pki::to_status(caller.error());
  }
  grpc::Status GetHoldings(Context* context, const v1::HoldingsRequest* request, v1::Holdings* out) override {
    const Result<pki::Caller> caller = desk_.admit(*context, Call::get_holdings);
    if (!caller.ok()) {
      return pki::to_status(caller.error());
    }
    const Result<HoldingPage> page =
        desk_.catalogue.holdings(caller.value().name, request->after(), limit_of(request->limit(), page_max));
    if (!page.ok()) {
      return pki::to_status(page.error());
    }
    for (const Holding& holding : page.value().holdings) {
      write(holding, *out->add_holdings());
    }
    out->set_next(page.value().next);
    return grpc::Status::OK;
  }
  grpc::Status CompareHoldings(Context* context, const v1::CompareRequest* request,
                               v1::CompareAnswer* out) override {
    const Result<pki::Caller> caller = desk_.admit(*context, Call::compare_holdings);
    if (!caller.ok()) {
      return pki::to_status(caller.error());
    }
    std::vector<ObjectKey> found;
    for (const v1::ObjectKey& key : request->found()) {
      found.push_back(read(key));
    }
    const Result<std::vector<Verdict>> verdicts =
        desk_.catalogue.compare(desk_.clock(), caller.value().name, found);
    if (!verdicts.ok()) {
      return pki::to_status(verdicts.error());
    }
    for (const Verdict verdict : verdicts.value()) {
      out->add_verdicts(static_cast<v1::HoldingVerdict>(verdict));
    }
    return grpc::Status::OK;
  }

  const Desk& desk_;
};

class AdministrationService final : public v1::Administration::Service {
 public:
  explicit AdministrationService(const Desk& desk) : desk_(desk) {}

 private:
  using Context = grpc::ServerContext;

  grpc::Status GetStatus(Context* context, const v1::ControllerStatusRequest*,
                         v1::ControllerStatus* out) override {
    const Result<pki::Caller> caller = desk_.admit(*context, Call::get_status);
    if (!caller.ok()) {
      return pki::to_status(caller.error());
    }
    Result<Status> status = desk_.catalogue.status();
    if (status.ok()) {
      status.value().name = desk_.settings.name;
      status.value().version = SSN_VERSION;
      status.value().uptime_ms = desk_.clock().monotonic_ms - desk_.started_ms;
      const pki::LiveIdentity::State certificate = desk_.live->state(::time(nullptr));
      status.value().certificate_until_ms = static_cast<std::uint64_t>(certificate.ends) * 1000;
      status.value().list_until_ms = static_cast<std::uint64_t>(certificate.lists_end) * 1000;
      status.value().certificate_trouble = certificate.healthy ? "" : certificate.condition;
      status.value().revoked = certificate.revoked;
    }
    return answer(status, *out);
  }
  grpc::Status ListNodes(Context* context, const v1::ListNodesRequest*, v1::NodeList* out) override {
    const Result<pki::Caller> caller = desk_.admit(*context, Call::list_nodes);
    return caller.ok() ? list(desk_.catalogue.nodes(desk_.clock()), [out] { return out->add_nodes(); })
                       : pki::to_status(caller.error());
  }
  grpc::Status SetNode(Context* context, const v1::SetNodeRequest* request, v1::Node* out) override {
    const Result<pki::Caller> caller = desk_.admit(*context, Call::set_node);
    if (!caller.ok()) {
      return pki::to_status(caller.error());
    }
    const bool known = v1::ServiceState_IsValid(request->service());
    const auto service = known ? static_cast<ServiceState>(request->service()) : ServiceState{0xFF};
    return answer(desk_.catalogue.set_node(desk_.clock(), request->name(), service, caller.value().name),
                  *out);
  }
  grpc::Status RemoveNode(Context* context, const v1::RemoveNodeRequest* request,
                          v1::RemoveNodeAnswer*) override {
    const Result<pki::Caller> caller = desk_.admit(*context, Call::remove_node);
    if (!caller.ok()) {
      return pki::to_status(caller.error());
    }
    const Outcome removed =
        desk_.catalogue.remove_node(desk_.clock(), request->name(), StoreDestroyed{request->destroyed()});
    return removed.ok() ? grpc::Status::OK : pki::to_status(removed.error());
  }
  grpc::Status ListAssociations(Context* context, const v1::ListAssociationsRequest* request,
                                v1::AssociationList* out) override {
    const Result<pki::Caller> caller = desk_.admit(*context, Call::list_associations);
    return caller.ok() ? list(desk_.catalogue.associations(request->node()),
                              [out] { return out->add_associations(); })
                       : pki::to_status(caller.error());
  }
  grpc::Status ListEvents(Context* context, const v1::ListEventsRequest* request,
                          v1::EventList* out) override {
    const Result<pki::Caller> caller = desk_.admit(*context, Call::list_events);
    return caller.ok() ? list(desk_.catalogue.events(request->after(), limit_of(request->limit())),
                              [out] { return out->add_events(); })
                       : pki::to_status(caller.error());
  }

  grpc::Status ListAlarms(Context* context, const v1::ListAlarmsRequest* request,
                          v1::AlarmList* out) override {
    const Result<pki::Caller> caller = desk_.admit(*context, Call::list_alarms);
    return caller.ok() ? answer(desk_.catalogue.alarms(desk_.clock(), read(*request), request->after(),
                                                       limit_of(request->limit())),
                                *out)
                       : pki::to_status(caller.error());
  }
  grpc::Status WatchEvents(Context* context, const v1::WatchEventsRequest* request,
                           grpc::ServerWriter<v1::EventList>* writer) override {
    return watch_events(desk_, watchers_, *context, *request, *writer);
  }

  grpc::Status ListDecisions(Context* context, const v1::ListDecisionsRequest* request,
                             v1::DecisionList* out) override {
    const Result<pki::Caller> caller = desk_.admit(*context, Call::list_decisions);
    if (!caller.ok()) return pki::to_status(caller.error());
    if (desk_.audit == nullptr) {
      return pki::to_status({Exit::not_found, "cannot list decisions", "this controller keeps no audit log",
                             desk_.settings.name, "give it [audit] file: docs/audit.md"});
    }
    const Result<audit::DecisionPage> page =
        desk_.audit->read(read(*request), request->after(), limit_of(request->limit()));
    if (!page.ok()) return pki::to_status(page.error());
    write(page.value(), *out);
    return grpc::Status::OK;
  }

  template <typename T, typename Add>
  static grpc::Status list(const Result<std::vector<T>>& all, const Add& add) {
    if (!all.ok()) {
      return pki::to_status(all.error());
    }
    for (const T& one : all.value()) {
      write(one, *add());
    }
    return grpc::Status::OK;
  }

  const Desk& desk_;
  std::atomic<unsigned> watchers_{0};
};

void tell(const std::string& line) { fmt::print(stderr, "ssn-controller: {}\n", line); }

class Running final : public Server {
 public:
  Running(const ServerSettings& settings, std::shared_ptr<pki::LiveIdentity> live, Catalogue& catalogue,
          ReshareManager* reshares, const std::function<Now()>& clock, audit::AuditLog* audit,
          DomainBook* domains)
      : desk_{settings, catalogue, reshares, clock, clock().monotonic_ms, std::move(live), audit, domains},
        reshares_(make_reshare_service(desk_)),
        configuration_(make_configuration_service(desk_)),
        accounting_(make_accounting_service(desk_)),
        domains_(make_domain_service(desk_)) {}
  ~Running() override {
    if (server_ != nullptr) {
      server_->Shutdown(std::chrono::system_clock::now() + ending);
      server_->Wait();
    }
  }

  Outcome start();
  const std::string& listening() const override { return listening_; }

 private:
  const Desk desk_;
  ObjectsService objects_{desk_};
  NodesService nodes_{desk_};
  AdministrationService administration_{desk_};
  const std::unique_ptr<grpc::Service> reshares_;
  const std::unique_ptr<grpc::Service> configuration_;
  const std::unique_ptr<grpc::Service> accounting_;
  const std::unique_ptr<grpc::Service> domains_;
  std::shared_ptr<grpc::ServerCredentials> credentials_;  // which the server asks while it lives
  std::unique_ptr<grpc::Server> server_;
  std::string listening_;
  std::unique_ptr<pki::IdentityWatch> watch_;
};

Outcome Running::start() {
  const ServerSettings& settings = desk_.settings;
  if (pki::target_of(settings.listen).empty()) {
    return Error{Exit::usage, what_start, "this is no address with a port", settings.listen,
                 "write it like 127.0.0.1:7100 or [::1]:7100"};
  }
  grpc::ServerBuilder builder;
  builder.RegisterService(&objects_);
  builder.RegisterService(&nodes_);
  builder.RegisterService(&administration_);
  builder.RegisterService(reshares_.get());
  builder.RegisterService(configuration_.get());
  builder.RegisterService(accounting_.get());
  builder.RegisterService(domains_.get());
  pki::set_limits(builder,
                  {"ssn-controller", threads_max, memory_max, request_bytes_max, streams_per_connection});
  audit::note_calls(builder, desk_.audit);
  int port = 0;
  credentials_ = pki::server_credentials(desk_.live);
  builder.AddListeningPort(settings.listen, credentials_, &port);
  server_ = builder.BuildAndStart();
  if (server_ == nullptr || port == 0) {
    return Error{Exit::temporary, what_start, "it cannot listen there", settings.listen,
                 "see that the address belongs to this machine and no other process has the port"};
  }
  listening_ = fmt::format("{}:{}", settings.listen.substr(0, settings.listen.rfind(':')), port);
  watch_ = std::make_unique<pki::IdentityWatch>(std::vector{desk_.live});
  return done;
}

}  // namespace

Result<std::shared_ptr<pki::LiveIdentity>> open_identity(const ServerSettings& settings) {
  Result<std::shared_ptr<pki::LiveIdentity>> live =
      pki::LiveIdentity::open({settings.certificate, settings.key, settings.ca, settings.crl},
                              pki::CertificateUse::node, tell, ::time(nullptr));
  if (!live.ok()) {
    return live.error();
  }
  const std::shared_ptr<const pki::Identity> identity = live.value()->identity();
  if (identity->name != settings.name || !identity->roles.has(pki::Role::controller)) {
    return Error{Exit::refused, what_start,
                 identity->name != settings.name
                     ? fmt::format("its certificate is that of {}, not of {}", identity->name, settings.name)
                     : "its certificate has not the OU controller",
                 settings.certificate, "give it a certificate with its name and that OU"};
  }
  return live;
}

Result<std::unique_ptr<Server>> Server::start(const ServerSettings& settings,
                                              std::shared_ptr<pki::LiveIdentity> live, Catalogue& catalogue,
                                              ReshareManager* reshares, std::function<Now()> clock,
                                              audit::AuditLog* audit, DomainBook* domains) {
  pki::prepare_grpc(pki::GrpcLog::limited, "ssn-controller");
  auto server =
      std::make_unique<Running>(settings, std::move(live), catalogue, reshares, clock, audit, domains);
  if (Outcome started = server->start(); !started.ok()) {
    return started.error();
  }
  return std::unique_ptr<Server>(std::move(server));
}

}  // namespace ssn::controller
