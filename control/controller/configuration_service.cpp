// SPDX-License-Identifier: BSD-3-Clause
// Services Configuration and Accounting of control/api/configuration.proto.
#include "configuration.grpc.pb.h"
#include "desk.h"
#include "messages_configuration.h"

namespace ssn::controller {
namespace {

using Context = grpc::ServerContext;

class ConfigurationService final : public v1::Configuration::Service {
 public:
  explicit ConfigurationService(const Desk& desk) : desk_(desk) {}

 private:
  grpc::Status Get(Context* context, const v1::GetConfigurationRequest* request,
                   v1::ConfigurationVersion* out) override {
    const Result<pki::Caller> caller = desk_.admit(*context, Call::get_configuration);
    return caller.ok() ? answer(desk_.catalogue.configuration(request->version()), *out)
                       : pki::to_status(caller.error());
  }
  grpc::Status ListVersions(Context* context, const v1::ListVersionsRequest*,
                            v1::ConfigurationVersionList* out) override {
    const Result<pki::Caller> caller = desk_.admit(*context, Call::list_versions);
    if (!caller.ok()) return pki::to_status(caller.error());
    const Result<std::vector<ConfigurationVersion>> all = desk_.catalogue.configurations();
    if (!all.ok()) return pki::to_status(all.error());
    for (const ConfigurationVersion& version : all.value()) write(version, *out->add_versions());
    return grpc::Status::OK;
  }
  grpc::Status Apply(Context* context, const v1::ApplyConfigurationRequest* request,
                     v1::ConfigurationChange* out) override {
    const Result<pki::Caller> caller = desk_.admit(*context, Call::apply_configuration);
    return caller.ok()
               ? answer(desk_.catalogue.configure(desk_.clock(), read(*request), caller.value().name), *out)
               : pki::to_status(caller.error());
  }

  const Desk& desk_;
};

// Owners see their own, operators those of whom they name, or all.
class AccountingService final : public v1::Accounting::Service {
 public:
  explicit AccountingService(const Desk& desk) : desk_(desk) {}

 private:
  Result<std::string> whose(const Context& context, Call call, const std::string& wanted) const {
    const Result<pki::Caller> caller = desk_.admit(context, call);
    if (!caller.ok()) return caller.error();
    if (caller.value().roles.has(pki::Role::operators)) return wanted;
    return Desk::owner_for(caller.value(), call, wanted);
  }

  grpc::Status ListRecords(Context* context, const v1::ListAccountsRequest* request,
                           v1::AccountList* out) override {
    const Result<std::string> owner = whose(*context, Call::list_accounts, request->owner());
    if (!owner.ok()) return pki::to_status(owner.error());
    return answer(desk_.catalogue.accounts(desk_.clock(), {owner.value(), request->since_ms()},
                                           request->after(), limit_of(request->limit())),
                  *out);
  }
  grpc::Status ListUsage(Context* context, const v1::ListUsageRequest* request, v1::UsageList* out) override {
    const Result<std::string> owner = whose(*context, Call::list_usage, request->owner());
    if (!owner.ok()) return pki::to_status(owner.error());
    const std::size_t limit = limit_of(request->limit());
    const Result<std::vector<Usage>> all =
        desk_.catalogue.usage(desk_.clock(), owner.value(), request->after(), limit);
    if (!all.ok()) return pki::to_status(all.error());
    for (const Usage& usage : all.value()) write(usage, *out->add_owners());
    if (all.value().size() == limit && owner.value().empty()) out->set_next(all.value().back().owner);
    return grpc::Status::OK;
  }

  const Desk& desk_;
};

}  // namespace

std::unique_ptr<grpc::Service> make_configuration_service(const Desk& desk) {
  return std::make_unique<ConfigurationService>(desk);
}

std::unique_ptr<grpc::Service> make_accounting_service(const Desk& desk) {
  return std::make_unique<AccountingService>(desk);
}

}  // namespace ssn::controller
