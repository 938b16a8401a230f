// SPDX-License-Identifier: BSD-3-Clause
#include "agent_nodes.h"

#include <fmt/core.h>
#include <grpcpp/grpcpp.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <thread>

#include "caller.h"
#include "credentials.h"
#include "operation.grpc.pb.h"
#include "question_queue.h"

namespace ssn::controller {
namespace {

namespace api = ssn::dataplane::v1;

constexpr std::size_t threads_count = 8;
constexpr std::size_t jobs_max = 1024;  // in one node's list
constexpr std::chrono::milliseconds patience{3000};

// The numbers of reshare.h are those of the protocol.
static_assert(static_cast<int>(ReshareOperation::check) == api::RESHARE_OPERATION_CHECK);
static_assert(static_cast<int>(ReshareAnswer::old_term) == api::RESHARE_ANSWER_CODE_OLD_TERM);
static_assert(static_cast<int>(ReshareState::cancelled) == api::RESHARE_STATE_CANCELLED);
static_assert(static_cast<int>(ReshareTrouble::no_keys) == api::RESHARE_TROUBLE_NO_KEYS);
static_assert(static_cast<int>(CheckVerdict::unverified) == api::CHECK_VERDICT_UNVERIFIED);

// One that this version does not know is its first.
template <typename Enum>
Enum known(int number, Enum last) {
  return number >= 0 && number <= static_cast<int>(last) ? static_cast<Enum>(number) : Enum{};
}

void write(const ReshareGeneration& from, api::ReshareGeneration& to) {
  to.set_generation(from.generation);
  api::ReshareLayout& layout = *to.mutable_layout();
  layout.set_scheme(static_cast<v1::Scheme>(from.layout.scheme));
  layout.set_k(from.layout.k);
  layout.set_n(from.layout.n);
  layout.set_secret_blocks(from.layout.secret_blocks);
  layout.set_row_rule(static_cast<v1::RowRule>(from.layout.row_rule));
  layout.set_cells_per_turn(from.layout.cells_per_turn);
  for (const Holder& holder : from.layout.holders) layout.add_nodes(holder.node);
  for (const AttemptRun& run : from.attempts) {
    v1::AttemptRun& message = *to.add_attempts();
    message.set_first_cell(run.first_cell);
    message.set_cells(run.cells);
    message.set_attempt(run.attempt);
  }
}

api::ReshareOrder message_of(const ReshareOrder& from, std::uint64_t term) {
  api::ReshareOrder to;
  to.set_term(term);
  to.set_job(from.job);
  to.set_round(from.round);
  to.set_operation(static_cast<api::ReshareOperation>(from.operation));
  to.set_object(from.object);
  to.set_cells(from.cells);
  to.set_cell_bytes(from.cell_bytes);
  write(from.source, *to.mutable_source());
  write(from.target, *to.mutable_target());
  for (const std::uint32_t share : from.from) to.add_from(share);
  for (const std::uint32_t share : from.to) to.add_to(share);
  to.set_checker(from.checker);
  to.set_first(from.first);
  to.set_end(from.end);
  to.set_unit_cells(from.unit_cells);
  to.set_window(from.window);
  to.set_bytes_per_second(from.bytes_per_second);
  to.set_stall_ms(from.stall_ms);
  return to;
}

ReshareStatus read(const api::ReshareStatus& from) {
  return {from.job(),
          from.round(),
          known(from.state(), ReshareState::cancelled),
          known(from.trouble(), ReshareTrouble::no_keys),
          known(from.verdict(), CheckVerdict::unverified),
          from.node(),
          from.through(),
          from.computational()};
}

class AgentNodes final : public ReshareNodes {
 public:
  explicit AgentNodes(std::shared_ptr<pki::LiveIdentity> live) : live_(std::move(live)) {
    for (std::size_t i = 0; i < threads_count; ++i) threads_.emplace_back([this] { work(); });
  }
  ~AgentNodes() override {
    {
      const std::lock_guard lock(mutex_);
      ending_ = true;
      changed_.notify_all();
    }
    for (std::thread& thread : threads_) thread.join();
  }

  void ask(NodeQuestion question) override {
    const std::lock_guard lock(mutex_);
    NodeReply unreached = reply_to(question);
    if (question.agent.empty() || !queue_.add(std::move(question))) {
      replies_.push_back(std::move(unreached));
      return;
    }
    changed_.notify_one();
  }

  std::vector<NodeReply> replies() override {
    const std::lock_guard lock(mutex_);
    std::vector<NodeReply> all;
    all.swap(replies_);
    return all;
  }

 private:
  struct Connection {
    std::string agent;
    std::uint64_t generation = 0;                // of the identity that the stub was made with
    std::shared_ptr<api::Resharing::Stub> stub;  // null: it says no address
  };

  static NodeReply reply_to(const NodeQuestion& question) {
    NodeReply reply;
    reply.call = question.call;
    reply.node = question.node;
    reply.job = question.job;
    reply.round = question.order.round;
    return reply;
  }

  // It was when the connection began, and no file has changed since; but certificates and lists end.
  bool is_node(const grpc::ClientContext& context, const std::string& name) const {
    const auto auth = context.auth_context();
    const pki::Caller server =
        auth == nullptr ? pki::Caller{} : pki::caller_of(*auth, live_.get(), pki::Purpose::server);
    return server.kind == pki::Caller::Kind::certified && server.name == name;
  }

  bool list(api::Resharing::Stub& stub, grpc::ClientContext& context, NodeReply& reply) const {
    api::ListResharesRequest request;
    request.set_lists(1);
    const auto reader = stub.ListReshares(&context, request);
    api::ReshareList list;
    const bool got = reader->Read(&list) && list.complete() && is_node(context, reply.node);
    for (const api::ReshareStatus& status : list.jobs()) {
      if (reply.jobs.size() < jobs_max) reply.jobs.push_back(read(status));
    }
    context.TryCancel();
    static_cast<void>(reader->Finish());
    return got;
  }

  NodeReply call(api::Resharing::Stub& stub, const NodeQuestion& question) const {
    NodeReply reply = reply_to(question);
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + patience);
    if (question.call == NodeCall::list) {
      reply.reached = list(stub, context, reply);
    } else if (question.call == NodeCall::cancel) {
      api::CancelReshareRequest request;
      api::CancelReshareAnswer answer;
      request.set_term(question.term);
      request.set_job(question.job);
      reply.reached = stub.CancelReshare(&context, request, &answer).ok() && is_node(context, question.node);
      reply.term = answer.term();
    } else {
      api::ReshareAnswer answer;
      reply.reached = stub.OrderReshare(&context, message_of(question.order, question.term), &answer).ok() &&
                      is_node(context, question.node);
      reply.answer = known(answer.code(), ReshareAnswer::old_term);
      reply.term = answer.term();
    }
    return reply;
  }

  // Another connection after a change of certificates or lists: whoever was believed before is judged again
  // before anything is sent there. With the lock held.
  std::shared_ptr<api::Resharing::Stub> stub_for(const NodeQuestion& question) {
    Connection& connection = connections_[question.node];
    const std::uint64_t generation = live_->generation();
    if (connection.stub == nullptr || connection.agent != question.agent ||
        connection.generation != generation) {
      connection.agent = question.agent;
      connection.generation = generation;
      connection.stub = nullptr;
      if (!pki::target_of(question.agent).empty()) {
        connection.stub = api::Resharing::NewStub(pki::connect_to(live_, question.agent, question.node));
      }
    }
    return connection.stub;
  }

  void work() {
    std::unique_lock lock(mutex_);
    while (!ending_) {
      const std::optional<NodeQuestion> question = queue_.next();
      if (!question) {
        changed_.wait(lock);
        continue;
      }
      const std::shared_ptr<api::Resharing::Stub> stub = stub_for(*question);
      lock.unlock();
      NodeReply reply = stub == nullptr ? reply_to(*question) : call(*stub, *question);
      lock.lock();
      queue_.answered(question->node, reply.reached);
      replies_.push_back(std::move(reply));
      changed_.notify_one();
    }
  }

  const std::shared_ptr<pki::LiveIdentity> live_;
  std::mutex mutex_;
  std::condition_variable changed_;
  QuestionQueue queue_{threads_count};
  std::map<std::string, Connection> connections_;  // by node
  std::vector<NodeReply> replies_;
  std::vector<std::thread> threads_;
  bool ending_ = false;
};

}  // namespace

std::unique_ptr<ReshareNodes> make_agent_nodes(std::shared_ptr<pki::LiveIdentity> live) {
  pki::prepare_grpc(pki::GrpcLog::limited, "ssn-controller");
  return std::make_unique<AgentNodes>(std::move(live));
}

}  // namespace ssn::controller
