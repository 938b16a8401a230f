// SPDX-License-Identifier: BSD-3-Clause
#include "session_service.h"

#include <fmt/core.h>
#include <grpcpp/grpcpp.h>

#include <map>
#include <mutex>

#include "call_error.h"
#include "session.grpc.pb.h"
#include "session_messages.h"

namespace ssn::agent {
namespace {

using pki::to_status;
using std::chrono::milliseconds;

constexpr const char* what = "cannot serve the data owner";

Error refused(std::string why, std::string fix) {
  return {Exit::refused, what, std::move(why), "", std::move(fix)};
}

// The same for what does not exist and for what is somebody else's: nobody learns of it by asking.
Error no_object(const SessionObject& key) {
  return {Exit::not_found, what, "there is no such object", fmt::format("{:016x}", key.object),
          "ask the controller which objects there are"};
}

Error no_session() {
  return {Exit::not_found, what, "there is no such session: it ended, or never was", "",
          "open another one; a write begins anew"};
}

// Calls at once: few of them in all, and fewer of each owner.
class Places {
 public:
  class Place {
   public:
    Place() = default;
    Place(Places& places, const std::string& owner) : places_(&places), owner_(owner) {}
    Place(Place&& other) noexcept
        : places_(std::exchange(other.places_, nullptr)), owner_(std::move(other.owner_)) {}
    Place& operator=(Place&&) = delete;
    ~Place() {
      if (places_ != nullptr) {
        places_->leave(owner_);
      }
    }
    explicit operator bool() const noexcept { return places_ != nullptr; }

   private:
    Places* places_ = nullptr;
    std::string owner_;
  };

  Place enter(const std::string& owner) {
    const std::lock_guard lock(mutex_);
    if (all_ == session_calls_max) {
      return {};
    }
    unsigned& own = by_owner_[owner];
    if (own == session_calls_of_one_max) {
      return {};
    }
    ++own;
    ++all_;
    return {*this, owner};
  }

 private:
  void leave(const std::string& owner) {
    const std::lock_guard lock(mutex_);
    --all_;
    const auto own = by_owner_.find(owner);
    if (--own->second == 0) {
      by_owner_.erase(own);
    }
  }

  std::mutex mutex_;
  unsigned all_ = 0;
  std::map<std::string, unsigned> by_owner_;
};

class Server final : public SessionServer, private api::Sessions::Service {
 public:
  Server(HostGate& gate, bool serves, const std::shared_ptr<pki::LiveIdentity>& live, AgentCounters& counters,
         const audit::AuditLog* audit)
      : gate_(gate), serves_(serves), live_(live), counters_(counters), audit_(audit) {}

  grpc::Service& service() override { return *this; }

 private:
  using Context = grpc::ServerContext;

  // What a call holds on to while it runs.
  struct Admission {
    std::string owner;
    Places::Place place;
    HostGate::Pass host;
  };

  // Everything begins here: nobody gets further who may not.
  Result<Admission> admit(const Context& context) {
    counters_.session_calls.fetch_add(1, std::memory_order_relaxed);
    const Caller caller = caller_of(*context.auth_context(), live_.get());
    const bool owner =
        caller.kind == Caller::Kind::certified && !caller.name.empty() && caller.roles.has(pki::Role::owner);
    if (!owner || !serves_) {
      counters_.refused.fetch_add(1, std::memory_order_relaxed);
      return owner
                 ? refused("this data plane is no SSA", "ask the SSA that the controller names")
                 : refused(caller.name.empty() ? caller.why : fmt::format("{} is no data owner", caller.name),
                           "use a certificate whose OU is owner");
    }
    Places::Place place = places_.enter(caller.name);
    if (!place) {
      counters_.busy.fetch_add(1, std::memory_order_relaxed);
      return Error{Exit::temporary, what, "too many calls run already", "", "try again soon"};
    }
    HostGate::Pass host = gate_.enter();
    if (!host) {
      return Error{Exit::temporary, what, "the data plane is starting or ending", "", "try again soon"};
    }
    return Admission{caller.name, std::move(place), std::move(host)};
  }

  // The object is the caller's own: as the controller says, not the caller.
  Result<SessionRequest> own_object(Admission& admitted, const api::OpenSessionRequest& message) {
    if (const Outcome logged = may_go_on(audit_); !logged.ok()) {
      return logged.error();
    }
    Result<SessionRequest> request = read(message);
    if (!request.ok()) {
      return request;
    }
    const SessionObject& key = request.value().key;
    const Result<std::string> owner = admitted.host->object_owner(key);
    if (!owner.ok() && owner.error().code != Exit::not_found) {
      return owner.error();
    }
    if (!owner.ok() || owner.value().empty() || owner.value() != admitted.owner) {
      counters_.refused.fetch_add(1, std::memory_order_relaxed);
      return no_object(key);
    }
    request.value().owner = admitted.owner;
    return request;
  }

  // So is the session.
  bool own_session(Admission& admitted, std::uint64_t session) {
    const std::optional<std::string> owner =
        session == 0 ? std::nullopt : admitted.host->session_owner(session);
    if (owner && !owner->empty() && *owner == admitted.owner) {
      return true;
    }
    counters_.refused.fetch_add(1, std::memory_order_relaxed);
    return false;
  }

  using Open = Result<Session> (SessionHost::*)(const SessionRequest&);
  grpc::Status open(Context& context, const api::OpenSessionRequest& message, Open method,
                    api::Session& answer) {
    Result<Admission> admitted = admit(context);
    if (!admitted.ok()) {
      return to_status(admitted.error());
    }
    const Result<SessionRequest> request = own_object(admitted.value(), message);
    if (!request.ok()) {
      return to_status(request.error());
    }
    SessionHost& host = *admitted.value().host.get();
    const Result<Session> opened = (host.*method)(request.value());
    if (!opened.ok()) {
      return to_status(opened.error());
    }
    if (context.IsCancelled()) {  // nobody will hear of it
      host.close_session(opened.value().session);
      return grpc::Status::CANCELLED;
    }
    write(opened.value(), answer);
    return grpc::Status::OK;
  }

  grpc::Status OpenWrite(Context* context, const api::OpenSessionRequest* request,
                         api::Session* answer) override {
    return open(*context, *request, &SessionHost::open_write, *answer);
  }
  grpc::Status OpenRead(Context* context, const api::OpenSessionRequest* request,
                        api::Session* answer) override {
    return open(*context, *request, &SessionHost::open_read, *answer);
  }

  grpc::Status FinishWrite(Context* context, const api::FinishWriteRequest* request,
                           api::WriteStatus* answer) override {
    Result<Admission> admitted = admit(*context);
    if (!admitted.ok()) {
      return to_status(admitted.error());
    }
    const milliseconds wait(request->wait_ms());
    if (wait > finish_wait_max) {
      return to_status({Exit::usage, what, "it is to wait too long", "",
                        fmt::format("ask for up to {} ms", finish_wait_max.count())});
    }
    if (!own_session(admitted.value(), request->session())) {
      return to_status(no_session());
    }
    const Result<WriteStatus> status =
        admitted.value().host->finish_write(request->session(), request->size(), request->blocks(), wait);
    if (!status.ok()) {
      return to_status(status.error());
    }
    write(status.value(), *answer);
    return grpc::Status::OK;
  }

  // What is not there is closed.
  grpc::Status CloseSession(Context* context, const api::CloseSessionRequest* request,
                            api::CloseSessionAnswer*) override {
    Result<Admission> admitted = admit(*context);
    if (!admitted.ok()) {
      return to_status(admitted.error());
    }
    if (own_session(admitted.value(), request->session())) {
      admitted.value().host->close_session(request->session());
    }
    return grpc::Status::OK;
  }

  HostGate& gate_;
  const bool serves_;
  const std::shared_ptr<pki::LiveIdentity>& live_;
  AgentCounters& counters_;
  const audit::AuditLog* const audit_;
  Places places_;
};

}  // namespace

std::unique_ptr<SessionServer> SessionServer::make(HostGate& gate, bool serves,
                                                   const std::shared_ptr<pki::LiveIdentity>& live,
                                                   AgentCounters& counters, const audit::AuditLog* audit) {
  return std::make_unique<Server>(gate, serves, live, counters, audit);
}

}  // namespace ssn::agent
