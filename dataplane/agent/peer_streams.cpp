// SPDX-License-Identifier: BSD-3-Clause
// Rules of gRPC's reactors that shape this file: no lock is held when an operation is started (its callback
// may come on the same thread); nothing is started after the finish; the finish comes once, when no operation
// is under way. `pending_` counts operations that are under way, or about to be started by somebody.
#include "peer_streams.h"

#include <fmt/core.h>
#include <grpcpp/grpcpp.h>

#include <condition_variable>
#include <deque>
#include <mutex>
#include <optional>

#include "credentials.h"
#include "messages.h"
#include "peer_message.h"
#include "peering.grpc.pb.h"

namespace ssn::agent {
namespace {

using api::PeerMessage;

constexpr int peer_answer_max = static_cast<int>(dataplane::peer_message_max) + 1024;
constexpr std::size_t queued_messages_max = 512;
constexpr std::size_t queued_bytes_max = std::size_t{4} << 20;

class Census {
 public:
  void born() {
    const std::lock_guard lock(mutex_);
    ++alive_;
  }
  void gone() {
    const std::lock_guard lock(mutex_);
    --alive_;
    changed_.notify_all();
  }
  void wait_for_none() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return alive_ == 0; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::size_t alive_ = 0;
};

struct Shared {
  std::string name;  // this node's
  const std::shared_ptr<pki::LiveIdentity>& live;
  AgentCounters& counters;
  const AgentSettings& settings;
  PeerHub* hub = nullptr;
  Census census;

  // Whether it is, and still is, a peer's.
  bool admits(const CallerProof& proof) const {
    return settings.admits == nullptr || settings.admits(proof.caller().name, proof.certificate());
  }
};

// What streams of both sides have in common. Base is gRPC's reactor.
template <typename Base>
class Stream : public Base, public PeerLink, public std::enable_shared_from_this<Stream<Base>> {
 public:
  Stream(Shared& shared, std::string peer) : shared_(shared), peer_(std::move(peer)), reader_(peer_) {}

  bool send(dataplane::PeerMessageKind kind, std::span<const std::uint8_t> bytes) final {
    PeerMessage message;
    write_payload(kind, bytes, message);
    return enqueue(std::move(message));
  }

  void close(const std::string& why) final {
    {
      const std::lock_guard lock(mutex_);
      if (closing_) {
        return;
      }
      closing_ = true;
      why_ = why;
      ++pending_;
    }
    cancel();
    settle_one();
  }

  void OnReadDone(bool ok) final {
    if (!ok) {
      close(end_reason());
    } else if (const Outcome taken = take(); !taken.ok()) {
      shared_.counters.peer_streams_bad.fetch_add(1, std::memory_order_relaxed);
      close(taken.error().why);
    }
    bool again = false;
    {
      const std::lock_guard lock(mutex_);
      again = !closing_;
    }
    if (again) {  // its place in pending_ goes on
      this->StartRead(&in_);
    } else {
      settle_one();
    }
  }

  void OnWriteDone(bool ok) final {
    if (!ok) {
      close(end_reason());
    }
    bool again = false;
    {
      const std::lock_guard lock(mutex_);
      again = !closing_ && next_message();
      writing_ = again;
    }
    if (again) {
      this->StartWrite(&out_);
    } else {
      settle_one();
    }
  }

 protected:
  // Keeps itself alive until the last callback.
  void begin() {
    self_ = this->shared_from_this();
    shared_.census.born();
    shared_.counters.peer_streams.fetch_add(1, std::memory_order_relaxed);
    {
      const std::lock_guard lock(mutex_);
      ++pending_;
    }
    PeerMessage hello;
    write_hello(shared_.name, hello);
    enqueue(std::move(hello));
    this->StartRead(&in_);
  }

  // From the last callback. Nothing of this object may be used behind it.
  void end(const std::string& why) {
    shared_.hub->ended(peer_, this, why);
    Census& census = shared_.census;
    self_.reset();
    census.gone();
  }

  std::string why() const {
    const std::lock_guard lock(mutex_);
    return why_;
  }
  const std::string& peer() const noexcept { return peer_; }
  const Shared& shared() const noexcept { return shared_; }

  virtual void cancel() = 0;
  virtual void finish() = 0;
  virtual bool proven() = 0;  // the other side is the peer
  virtual std::string end_reason() = 0;

 private:
  bool enqueue(PeerMessage&& message) {
    {
      const std::lock_guard lock(mutex_);
      const std::size_t bytes = message.ByteSizeLong();
      if (closing_ || queue_.size() >= queued_messages_max || queued_bytes_ + bytes > queued_bytes_max) {
        return false;
      }
      queued_bytes_ += bytes;
      queue_.push_back(std::move(message));
      if (writing_) {
        return true;
      }
      writing_ = next_message();
      ++pending_;
    }
    this->StartWrite(&out_);
    return true;
  }

  // With the lock held and no write under way, which own out_.
  bool next_message() {
    if (queue_.empty()) {
      return false;
    }
    out_ = std::move(queue_.front());
    queue_.pop_front();
    queued_bytes_ -= out_.ByteSizeLong();
    return true;
  }

  Outcome take() {
    if (!proven()) {
      return Error{Exit::refused, "", "the certificate is not that of the peer", peer_, ""};
    }
    const Result<std::variant<Hello, PeerPayload>> taken = reader_.take(in_);
    if (!taken.ok()) {
      return taken.error();
    }
    if (const PeerPayload* const payload = std::get_if<PeerPayload>(&taken.value())) {
      shared_.hub->deliver(peer_, this, payload->kind, payload->bytes);
    } else if (!shared_.hub->accept(peer_, this->shared_from_this())) {
      return Error{Exit::temporary, "", "a newer connection with the peer took its place", peer_, ""};
    }
    return done;
  }

  void settle_one() {
    {
      const std::lock_guard lock(mutex_);
      --pending_;
      if (!closing_ || pending_ != 0 || finished_) {
        return;
      }
      finished_ = true;
    }
    finish();
  }

  Shared& shared_;
  const std::string peer_;
  PeerReader reader_;  // of reading callbacks, one at a time
  PeerMessage in_;
  std::shared_ptr<Stream> self_;

  mutable std::mutex mutex_;
  PeerMessage out_;
  std::deque<PeerMessage> queue_;
  std::size_t queued_bytes_ = 0;
  bool writing_ = false;
  bool closing_ = false;
  bool finished_ = false;
  unsigned pending_ = 0;
  std::string why_;
};

class CalledStream final : public Stream<grpc::ServerBidiReactor<PeerMessage, PeerMessage>> {
 public:
  CalledStream(Shared& shared, CallerProof proof, grpc::CallbackServerContext& context)
      : Stream(shared, proof.caller().name), proof_(std::move(proof)), context_(context) {}

  bool still_proven() override { return proof_.holds() && shared().admits(proof_); }

  void start() override { begin(); }
  void OnCancel() override { close("the connection was lost"); }
  void OnDone() override { end(why()); }

 private:
  void cancel() override { context_.TryCancel(); }
  void finish() override { Finish(grpc::Status(grpc::StatusCode::ABORTED, clean_text(why(), 512))); }
  bool proven() override { return true; }  // before it was made
  std::string end_reason() override { return "the connection was lost, or the peer ended it"; }

  const CallerProof proof_;
  grpc::CallbackServerContext& context_;
};

class CallingStream final : public Stream<grpc::ClientBidiReactor<PeerMessage, PeerMessage>> {
 public:
  CallingStream(Shared& shared, const PeerAddress& peer, std::shared_ptr<grpc::Channel> channel)
      : Stream(shared, peer.name),
        live_(shared.live),
        hub_(*shared.hub),
        channel_(std::move(channel)),
        stub_(api::Peering::NewStub(channel_)) {}
  ~CallingStream() override { hub_.retire(std::move(channel_)); }  // may wait for threads of its own
  CallingStream(const CallingStream&) = delete;
  CallingStream& operator=(const CallingStream&) = delete;

  void start() override {
    stub_->async()->Connect(&context_, this);
    AddHold();  // until finish(): others start operations
    StartCall();
    begin();
  }
  // One that has no connection yet has proven nothing that could be over.
  bool still_proven() override {
    const std::lock_guard lock(proving_);
    return !proof_ || (proof_->holds() && shared().admits(*proof_));
  }
  void OnDone(const grpc::Status& status) override {
    const bool tells = status.error_code() != grpc::StatusCode::CANCELLED && !status.error_message().empty();
    end(tells ? clean_text(status.error_message(), 512) : why());
  }

 private:
  void cancel() override { context_.TryCancel(); }
  void finish() override { RemoveHold(); }
  // Name and certificate were judged when TLS began. It is looked at once more, when it is known here: a call
  // stays on its connection, and still_proven() says what changed since.
  bool proven() override {
    const std::lock_guard lock(proving_);
    if (!proof_) {
      const std::shared_ptr<const grpc::AuthContext> auth = context_.auth_context();
      if (auth == nullptr) return false;
      proof_.emplace(*auth, live_.get(), pki::Purpose::server);
    }
    return proof_->caller().kind == Caller::Kind::certified && proof_->caller().name == peer() &&
           shared().admits(*proof_);
  }
  std::string end_reason() override { return "the connection was lost, or the peer ended it"; }

  const std::shared_ptr<pki::LiveIdentity> live_;
  PeerHub& hub_;
  grpc::ClientContext context_;
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<api::Peering::Stub> stub_;
  std::mutex proving_;
  std::optional<CallerProof> proof_;
};

class RefusedStream final : public grpc::ServerBidiReactor<PeerMessage, PeerMessage> {
 public:
  explicit RefusedStream(const grpc::Status& status) { Finish(status); }
  void OnDone() override { delete this; }
};

class Streams final : public PeerStreams, private api::Peering::CallbackService {
 public:
  Streams(const AgentSettings& settings, const std::shared_ptr<pki::LiveIdentity>& live,
          AgentCounters& counters)
      : shared_{settings.name, live, counters, settings, nullptr, {}} {}

  void connect(PeerHub& hub) override { shared_.hub = &hub; }
  grpc::Service& service() override { return *this; }
  void wait_for_end() override { shared_.census.wait_for_none(); }

  std::shared_ptr<PeerLink> call(const PeerAddress& peer) override {
    return std::make_shared<CallingStream>(
        shared_, peer, pki::connect_to(shared_.live, peer.address, peer.name, peer_answer_max));
  }

 private:
  grpc::ServerBidiReactor<PeerMessage, PeerMessage>* Connect(grpc::CallbackServerContext* context) override {
    shared_.counters.calls.fetch_add(1, std::memory_order_relaxed);
    CallerProof proof(*context->auth_context(), shared_.live.get());
    const Caller caller = proof.caller();
    Outcome admitted = Error{Exit::refused, "cannot be connected",
                             caller.why.empty() ? "only peers with a certificate may call that" : caller.why,
                             "", "use TLS, and a certificate that is valid"};
    if (caller.kind == Caller::Kind::certified && !shared_.admits(proof)) {
      admitted = Error{Exit::refused, "cannot be connected", "its key is not the one that is listed for it",
                       caller.name, "have it listed: docs/membership.md"};
    } else if (caller.kind == Caller::Kind::certified) {
      const auto stream = std::make_shared<CalledStream>(shared_, std::move(proof), *context);
      admitted = shared_.hub->called(caller.name, stream);
      if (admitted.ok()) {
        stream->start();
        return stream.get();
      }
    }
    shared_.counters.refused.fetch_add(1, std::memory_order_relaxed);
    return new RefusedStream(to_status(admitted.error()));
  }

  Shared shared_;
};

}  // namespace

std::unique_ptr<PeerStreams> PeerStreams::make(const AgentSettings& settings,
                                               const std::shared_ptr<pki::LiveIdentity>& live,
                                               AgentCounters& counters) {
  return std::make_unique<Streams>(settings, live, counters);
}

}  // namespace ssn::agent
