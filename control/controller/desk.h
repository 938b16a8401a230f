// SPDX-License-Identifier: BSD-3-Clause
// For the services of server.h only.
#pragma once

#include <fmt/core.h>
#include <grpcpp/grpcpp.h>

#include <algorithm>
#include <memory>

#include "audit_log.h"
#include "call_error.h"
#include "caller.h"
#include "messages.h"
#include "rights.h"
#include "server.h"

namespace ssn::controller {

// What the services share: who calls, and may it.
struct Desk {
  const ServerSettings settings;
  Catalogue& catalogue;
  ReshareManager* const reshares;  // null: it does not run here
  const std::function<Now()> clock;
  const std::uint64_t started_ms;
  const std::shared_ptr<pki::LiveIdentity> live;
  audit::AuditLog* const audit;  // null: nothing is logged
  DomainBook* const domains;     // null: as with none

  Result<pki::Caller> admit(const grpc::ServerContext& context, Call call) const {
    pki::Caller caller = pki::caller_of(*context.auth_context(), live.get());
    if (caller.kind == pki::Caller::Kind::certified && !caller.name.empty() && may(caller.roles, call)) {
      const Outcome logged = audit == nullptr || goes_on_unlogged(call) ? Outcome(done) : audit->may_go_on();
      return logged.ok() ? Result<pki::Caller>(caller) : logged.error();
    }
    return Error{Exit::refused, fmt::format("cannot answer {}", name(call)),
                 caller.name.empty() ? caller.why : fmt::format("{} has no role that may", caller.name),
                 caller.name, "use a certificate whose OU is such a role: docs/controller.md"};
  }

  // Owners get their own; operators say whose.
  Result<std::string> owner_of(const grpc::ServerContext& context, Call call,
                               const std::string& wanted) const {
    const Result<pki::Caller> caller = admit(context, call);
    return caller.ok() ? owner_for(caller.value(), call, wanted) : Result<std::string>(caller.error());
  }
  static Result<std::string> owner_for(const pki::Caller& caller, Call call, const std::string& wanted) {
    const std::string& self = caller.name;
    if (caller.roles.has(pki::Role::operators)) {
      return wanted.empty() ? self : wanted;
    }
    if (!wanted.empty() && wanted != self) {
      return Error{Exit::refused, fmt::format("cannot answer {}", name(call)),
                   fmt::format("{} is not {}", self, wanted), "owner", "leave the owner out"};
    }
    return self;
  }
};

inline constexpr std::size_t listed = 100;  // where the caller does not say how many

inline std::size_t limit_of(std::uint32_t wanted, std::size_t otherwise = listed) {
  return wanted == 0 ? otherwise : std::min<std::size_t>(wanted, page_max);
}

template <typename T, typename Message>
grpc::Status answer(const Result<T>& result, Message& message) {
  if (!result.ok()) {
    return pki::to_status(result.error());
  }
  write(result.value(), message);
  return grpc::Status::OK;
}

std::unique_ptr<grpc::Service> make_reshare_service(const Desk& desk);
std::unique_ptr<grpc::Service> make_configuration_service(const Desk& desk);
std::unique_ptr<grpc::Service> make_accounting_service(const Desk& desk);
std::unique_ptr<grpc::Service> make_domain_service(const Desk& desk);

}  // namespace ssn::controller
