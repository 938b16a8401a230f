// SPDX-License-Identifier: BSD-3-Clause
#include "session_client.h"

#include <fmt/core.h>
#include <grpcpp/grpcpp.h>

#include <ctime>

#include "call_error.h"
#include "caller.h"
#include "credentials.h"
#include "session.grpc.pb.h"
#include "session_messages.h"

namespace ssn::client {
namespace {

namespace api = ssn::dataplane::v1;
using std::chrono::milliseconds;

constexpr const char* what = "cannot ask the SSA";
constexpr int answer_bytes_max = 1 << 20;

class Client final : public SessionClient {
 public:
  Client(const std::shared_ptr<pki::LiveIdentity>& live, const SessionPlace& place, milliseconds patience)
      : live_(live),
        stub_(api::Sessions::NewStub(pki::connect_to(live, place.address, place.name, answer_bytes_max))),
        callee_{what, "the SSA's ssn-dataplane", "a data owner", place.address},
        name_(place.name),
        patience_(patience) {}

  Result<agent::Session> open_write(const agent::SessionRequest& request) override {
    return open(&api::Sessions::Stub::OpenWrite, request);
  }
  Result<agent::Session> open_read(const agent::SessionRequest& request) override {
    return open(&api::Sessions::Stub::OpenRead, request);
  }
  Result<agent::WriteStatus> finish(std::uint64_t session, std::uint64_t size, std::uint64_t blocks,
                                    milliseconds wait) override {
    api::FinishWriteRequest request;
    api::WriteStatus answer;
    request.set_session(session);
    request.set_size(size);
    request.set_blocks(blocks);
    request.set_wait_ms(static_cast<std::uint32_t>(wait.count()));
    const Outcome called = call(&api::Sessions::Stub::FinishWrite, request, answer, patience_ + wait);
    return called.ok() ? Result<agent::WriteStatus>(agent::read(answer)) : called.error();
  }
  Outcome close(std::uint64_t session) override {
    api::CloseSessionRequest request;
    api::CloseSessionAnswer answer;
    request.set_session(session);
    return call(&api::Sessions::Stub::CloseSession, request, answer, patience_);
  }

 private:
  template <typename Method>
  Result<agent::Session> open(Method method, const agent::SessionRequest& request) {
    api::OpenSessionRequest message;
    api::Session answer;
    agent::write(request, message);
    const Outcome called = call(method, message, answer, patience_);
    Result<agent::Session> session = agent::read(answer);  // also erases keys of whom we do not trust
    return called.ok() ? std::move(session) : called.error();
  }

  // Name and certificate were judged when the connection began; but a node of that name which is no SSA would
  // have done there.
  Outcome check_server(const grpc::ClientContext& context) const {
    const auto auth = context.auth_context();
    const pki::Caller server =
        auth == nullptr ? pki::Caller{} : pki::caller_of(*auth, live_.get(), pki::Purpose::server);
    if (server.kind == pki::Caller::Kind::certified && server.name == name_ &&
        server.roles.has(pki::Role::ssa)) {
      return done;
    }
    return Error{Exit::refused, what, fmt::format("the certificate there is not that of an SSA {}", name_),
                 callee_.where, "see that the node which the controller names is an SSA"};
  }

  template <typename Method, typename Request, typename Answer>
  Outcome call(Method method, const Request& request, Answer& answer, milliseconds patience) const {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + patience);
    const grpc::Status status = (stub_.get()->*method)(&context, request, &answer);
    return status.ok() ? check_server(context) : Outcome(pki::from_status(status, callee_));
  }

  const std::shared_ptr<pki::LiveIdentity> live_;
  const std::unique_ptr<api::Sessions::Stub> stub_;
  const pki::Callee callee_;
  const std::string name_;
  const milliseconds patience_;
};

}  // namespace

Result<std::unique_ptr<SessionClient>> SessionClient::make(const SessionPlace& place, milliseconds patience) {
  pki::prepare_grpc(pki::GrpcLog::silent);
  if (pki::target_of(place.address).empty()) {
    return Error{Exit::usage, what, "this is no address with a port", place.address,
                 "see that the SSA says where its agent listens"};
  }
  if (place.name.empty()) {
    return Error{Exit::usage, what, "the name of the SSA is missing", place.address,
                 "say whose certificate it must show"};
  }
  const Result<std::shared_ptr<pki::LiveIdentity>> live =
      pki::LiveIdentity::open({place.certificate, place.key, place.ca, place.crl},
                              pki::CertificateUse::client, nullptr, ::time(nullptr));
  if (!live.ok()) {
    return live.error();
  }
  return std::unique_ptr<SessionClient>(std::make_unique<Client>(live.value(), place, patience));
}

}  // namespace ssn::client
