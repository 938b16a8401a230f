// SPDX-License-Identifier: BSD-3-Clause
// Service Reshares of control/api/resharing.proto.
#include "desk.h"
#include "resharing.grpc.pb.h"

namespace ssn::controller {
namespace {

class ReshareService final : public v1::Reshares::Service {
 public:
  explicit ReshareService(const Desk& desk) : desk_(desk) {}

 private:
  using Context = grpc::ServerContext;

  // Jobs are driven here, or nowhere.
  Result<pki::Caller> admit(const Context& context, Call call) const {
    Result<pki::Caller> caller = desk_.admit(context, call);
    if (caller.ok() && desk_.reshares == nullptr) {
      return Error{Exit::temporary, fmt::format("cannot answer {}", name(call)),
                   "re-sharing does not run here", "", "ask the controller that runs"};
    }
    return caller;
  }

  static bool is_operator(const pki::Caller& caller) { return caller.roles.has(pki::Role::operators); }

  // Whose jobs it sees; empty: all.
  static std::string owner_of(const pki::Caller& caller) { return is_operator(caller) ? "" : caller.name; }

  Result<ReshareView> viewed(const Result<ReshareJob>& job) const {
    return job.ok() ? Result<ReshareView>(view_of(job.value(), desk_.reshares->through(job.value())))
                    : job.error();
  }

  grpc::Status Start(Context* context, const v1::StartReshareRequest* request, v1::Reshare* out) override {
    const Result<pki::Caller> caller = admit(*context, Call::start_reshare);
    if (!caller.ok()) return pki::to_status(caller.error());
    const Result<std::string> owner = Desk::owner_for(caller.value(), Call::start_reshare, request->owner());
    if (!owner.ok()) return pki::to_status(owner.error());
    ReshareRequest wish = read(*request);
    wish.owner = owner.value();
    wish.reason = fmt::format("{} wants it", caller.value().name);
    if (!is_operator(caller.value()) && !(wish.away.empty() && wish.to.empty())) {
      return pki::to_status({Exit::refused, "cannot re-share the object", "who has shares operators decide",
                             "to", "name no nodes"});
    }
    const Now now = desk_.clock();
    if (request->dry_run()) {
      const Result<ReshareJob> plan = desk_.catalogue.plan_reshare(now, wish);
      return answer(plan.ok() ? Result<ReshareView>(view_of(plan.value(), 0)) : plan.error(), *out);
    }
    return answer(viewed(desk_.reshares->start(now, wish)), *out);
  }

  grpc::Status Cancel(Context* context, const v1::CancelReshareRequest* request, v1::Reshare* out) override {
    const Result<pki::Caller> caller = admit(*context, Call::cancel_reshare);
    if (!caller.ok()) return pki::to_status(caller.error());
    // Another owner's: as if it were not there.
    const Result<ReshareJob> job = desk_.catalogue.reshare(request->job(), owner_of(caller.value()));
    if (!job.ok()) return pki::to_status(job.error());
    return answer(viewed(desk_.reshares->cancel(desk_.clock(), request->job(), caller.value().name)), *out);
  }

  grpc::Status List(Context* context, const v1::ListResharesRequest* request, v1::ReshareList* out) override {
    const Result<pki::Caller> caller = admit(*context, Call::list_reshares);
    if (!caller.ok()) return pki::to_status(caller.error());
    const Result<ReshareJobPage> page = desk_.catalogue.reshares(
        request->after(), limit_of(request->limit()), owner_of(caller.value()), request->running());
    if (!page.ok()) return pki::to_status(page.error());
    for (const ReshareJob& job : page.value().jobs) {
      write(view_of(job, desk_.reshares->through(job)), *out->add_jobs());
    }
    out->set_next(page.value().next);
    return grpc::Status::OK;
  }

  grpc::Status Replace(Context* context, const v1::ReplaceRequest* request, v1::ReplaceAnswer* out) override {
    const Result<pki::Caller> caller = admit(*context, Call::replace);
    if (!caller.ok()) return pki::to_status(caller.error());
    const Now now = desk_.clock();
    if (request->dry_run()) {
      return answer(desk_.catalogue.plan_replacement(now, request->from(), request->to(), request->after(),
                                                     limit_of(request->limit())),
                    *out);
    }
    const Result<Replacement> replacement = desk_.catalogue.replace_node(
        now, request->from(), request->to(), fmt::format("{} wants it", caller.value().name));
    if (!replacement.ok()) return pki::to_status(replacement.error());
    write(replacement.value(), *out->mutable_replacement());
    return grpc::Status::OK;
  }

  grpc::Status CancelReplacement(Context* context, const v1::CancelReplacementRequest* request,
                                 v1::CancelReplacementAnswer*) override {
    const Result<pki::Caller> caller = admit(*context, Call::cancel_replacement);
    if (!caller.ok()) return pki::to_status(caller.error());
    const Outcome cancelled = desk_.catalogue.cancel_replacement(desk_.clock(), request->from());
    return cancelled.ok() ? grpc::Status::OK : pki::to_status(cancelled.error());
  }

  grpc::Status ListReplacements(Context* context, const v1::ListReplacementsRequest*,
                                v1::ReplacementList* out) override {
    const Result<pki::Caller> caller = admit(*context, Call::list_replacements);
    if (!caller.ok()) return pki::to_status(caller.error());
    const Result<std::vector<Replacement>> all = desk_.catalogue.replacements();
    if (!all.ok()) return pki::to_status(all.error());
    for (const Replacement& replacement : all.value()) write(replacement, *out->add_replacements());
    const Result<Upkeep> upkeep = desk_.catalogue.upkeep(desk_.clock());
    if (!upkeep.ok()) return pki::to_status(upkeep.error());
    write(upkeep.value(), *out->mutable_upkeep());
    return grpc::Status::OK;
  }

  const Desk& desk_;
};

}  // namespace

std::unique_ptr<grpc::Service> make_reshare_service(const Desk& desk) {
  return std::make_unique<ReshareService>(desk);
}

}  // namespace ssn::controller
