// SPDX-License-Identifier: BSD-3-Clause
// Service Domains of control/api/exchange.proto: what operators are told of other domains.
#include "desk.h"
#include "exchange.grpc.pb.h"
#include "messages_domains.h"

namespace ssn::controller {
namespace {

using Context = grpc::ServerContext;

class DomainService final : public v1::Domains::Service {
 public:
  explicit DomainService(const Desk& desk) : desk_(desk) {}

 private:
  grpc::Status List(Context* context, const v1::ListDomainsRequest*, v1::DomainList* out) override {
    const Result<pki::Caller> caller = desk_.admit(*context, Call::list_domains);
    if (!caller.ok()) return pki::to_status(caller.error());
    if (desk_.domains == nullptr) return grpc::Status::OK;
    const Now now = desk_.clock();
    // What was just applied is seen at once.
    desk_.domains->follow(desk_.catalogue.agreements(), desk_.catalogue.node_names(), now.monotonic_ms);
    DomainPage page{desk_.domains->own(), desk_.domains->views(now.monotonic_ms)};
    for (DomainView& view : page.domains) {
      const Result<DomainStatement> ours = desk_.catalogue.statement_for(now, view.name);
      if (!ours.ok()) continue;  // nothing is agreed with it any more
      for (const LentNode& node : ours.value().nodes) view.lent.push_back(node.name);
    }
    write(page, *out);
    return grpc::Status::OK;
  }

  const Desk& desk_;
};

}  // namespace

std::unique_ptr<grpc::Service> make_domain_service(const Desk& desk) {
  return std::make_unique<DomainService>(desk);
}

}  // namespace ssn::controller
