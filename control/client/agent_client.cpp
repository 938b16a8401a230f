// SPDX-License-Identifier: BSD-3-Clause
#include "agent_client.h"

#include <fmt/core.h>
#include <grpcpp/grpcpp.h>

#include <ctime>

#include "access.h"
#include "credentials.h"
#include "messages.h"
#include "operation.grpc.pb.h"

namespace ssn::client {
namespace {

namespace api = ssn::dataplane::v1;
using std::chrono::milliseconds;

// Workers are waited for.
constexpr milliseconds swap_patience{60'000};

class Client final : public AgentClient {
 public:
  Client(const std::shared_ptr<grpc::Channel>& channel, std::shared_ptr<pki::LiveIdentity> live,
         std::string where, std::string name, milliseconds patience)
      : live_(std::move(live)),
        stub_(api::Operation::NewStub(channel)),
        where_(std::move(where)),
        name_(std::move(name)),
        patience_(patience) {}

  Result<agent::Status> status() override {
    grpc::ClientContext context;
    api::Status answer;
    limit(context, patience_);
    const Outcome asked = judge(context, stub_->GetStatus(&context, api::StatusRequest(), &answer));
    return asked.ok() ? Result<agent::Status>(agent::read(answer)) : asked.error();
  }

  Outcome watch_counters(const std::string& prefix, milliseconds interval, std::uint32_t snapshots,
                         const std::function<bool(const CounterUpdate&)>& take) override {
    if (Outcome reached = reach(); !reached.ok()) {
      return reached;
    }
    grpc::ClientContext context;
    api::CountersRequest request;
    request.set_prefix(prefix);
    request.set_interval_ms(static_cast<std::uint32_t>(interval.count()));
    request.set_snapshots(snapshots);
    const auto reader = stub_->WatchCounters(&context, request);
    api::CounterSnapshot snapshot;
    bool wanted = true;
    while (wanted && reader->Read(&snapshot)) {
      if (Outcome proven = check_server(context); !proven.ok()) {
        context.TryCancel();
        return proven;
      }
      wanted = take({snapshot.time_ns(), snapshot.complete(), agent::read(snapshot)});
    }
    return finish(context, *reader, wanted);
  }

  Outcome trace(
      const agent::TraceRequest& wish, const std::function<void()>& started,
      const std::function<bool(const std::vector<agent::TraceHop>&, std::uint64_t)>& take) override {
    if (Outcome reached = reach(); !reached.ok()) {
      return reached;
    }
    grpc::ClientContext context;
    api::TraceRequest request;
    request.set_packets(wish.packets);
    request.set_node(wish.node);
    request.set_port(wish.port);
    const auto reader = stub_->Trace(&context, request);
    api::TraceHops hops;
    bool wanted = true;
    for (bool first = true; wanted && reader->Read(&hops); first = false) {
      if (Outcome proven = check_server(context); !proven.ok()) {
        context.TryCancel();
        return proven;
      }
      if (first) {  // empty: the trace runs
        started();
      } else {
        wanted = take(agent::read(hops), hops.lost());
      }
    }
    return finish(context, *reader, wanted);
  }

  Result<std::vector<agent::Graph>> graphs() override {
    grpc::ClientContext context;
    api::Graphs answer;
    limit(context, patience_);
    const Outcome asked = judge(context, stub_->GetGraph(&context, api::GraphRequest(), &answer));
    return asked.ok() ? Result<std::vector<agent::Graph>>(agent::read(answer)) : asked.error();
  }

  Result<agent::SwapResult> swap(agent::SwapMode mode, const std::string& toml,
                                 const std::string& file) override {
    grpc::ClientContext context;
    api::SwapRequest request;
    request.set_mode(mode == agent::SwapMode::check     ? api::SWAP_MODE_CHECK
                     : mode == agent::SwapMode::dry_run ? api::SWAP_MODE_DRY_RUN
                                                        : api::SWAP_MODE_APPLY);
    request.set_toml(toml);
    request.set_file(agent::clean_text(file, 1024));
    if (toml.size() > agent::swap_text_max) {
      return Error{Exit::usage, "cannot change the configuration",
                   fmt::format("the text is longer than {} MiB", agent::swap_text_max >> 20), file,
                   "give a configuration file"};
    }
    api::SwapResult answer;
    limit(context, swap_patience);
    const Outcome asked = judge(context, stub_->Swap(&context, request, &answer));
    return asked.ok() ? Result<agent::SwapResult>(agent::read(answer)) : asked.error();
  }

  Result<std::string> readmit(const std::string& peer) override {
    grpc::ClientContext context;
    api::ReadmitRequest request;
    api::ReadmitAnswer answer;
    request.set_peer(agent::clean_text(peer, 1024));
    limit(context, patience_);
    const Outcome asked = judge(context, stub_->Readmit(&context, request, &answer));
    return asked.ok() ? Result<std::string>(agent::clean_text(answer.quarantine(), 1024)) : asked.error();
  }

 private:
  static void limit(grpc::ClientContext& context, milliseconds patience) {
    context.set_deadline(std::chrono::system_clock::now() + patience);
  }

  // A stream has no deadline, so first something that has.
  Outcome reach() {
    const Result<agent::Status> answered = status();
    return answered.ok() ? Outcome(done) : answered.error();
  }

  // Over TLS name and certificate were judged when it began; who is revoked since is noticed here.
  Outcome check_server(const grpc::ClientContext& context) const {
    if (name_.empty()) {
      return done;
    }
    const auto auth = context.auth_context();
    const agent::Caller server =
        auth == nullptr ? agent::Caller{} : agent::caller_of(*auth, live_.get(), pki::Purpose::server);
    if (server.kind == agent::Caller::Kind::certified && server.name == name_) {
      return done;
    }
    return Error{Exit::refused, "cannot ask the data plane",
                 fmt::format("the certificate there is not that of {}", name_), where_,
                 "see that the address and the name belong to one node"};
  }

  Outcome judge(const grpc::ClientContext& context, const grpc::Status& status) const {
    return status.ok() ? check_server(context)
                       : Outcome(pki::from_status(status, agent::data_plane_at(where_)));
  }

  template <typename Reader>
  Outcome finish(grpc::ClientContext& context, Reader& reader, bool wanted) {
    if (!wanted) {
      context.TryCancel();
    }
    const grpc::Status status = reader.Finish();
    return wanted ? judge(context, status) : Outcome(done);
  }

  const std::shared_ptr<pki::LiveIdentity> live_;  // null: the local socket
  std::unique_ptr<api::Operation::Stub> stub_;
  const std::string where_;
  const std::string name_;  // empty: the local socket
  const milliseconds patience_;
};

}  // namespace

Result<std::unique_ptr<AgentClient>> AgentClient::make(const AgentPlace& place, milliseconds patience) {
  const char* const what = "cannot ask the data plane";
  pki::prepare_grpc(pki::GrpcLog::silent);
  if (!place.socket.empty()) {
    return std::unique_ptr<AgentClient>(
        std::make_unique<Client>(pki::connect_to_socket(place.socket), nullptr, place.socket, "", patience));
  }
  if (pki::target_of(place.address).empty()) {
    return Error{Exit::usage, what, "this is no address with a port", place.address,
                 "write it like 127.0.0.1:7000 or [::1]:7000"};
  }
  if (place.name.empty()) {
    return Error{Exit::usage, what, "the name of the node is missing", place.address,
                 "say whose certificate the node must show"};
  }
  const Result<std::shared_ptr<pki::LiveIdentity>> live =
      pki::LiveIdentity::open({place.certificate, place.key, place.ca, place.crl},
                              pki::CertificateUse::client, nullptr, ::time(nullptr));
  if (!live.ok()) {
    return live.error();
  }
  return std::unique_ptr<AgentClient>(
      std::make_unique<Client>(pki::connect_to(live.value(), place.address, place.name), live.value(),
                               place.address, place.name, patience));
}

}  // namespace ssn::client
