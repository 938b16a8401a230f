// SPDX-License-Identifier: BSD-3-Clause
#include "agent_nodes.h"

#include <fmt/core.h>
#include <grpcpp/grpcpp.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <thread>

#include "caller.h"
#include "credentials.h"
#include "operation.grpc.pb.h"

namespace ssn::controller {
namespace {

namespace api = ssn::dataplane::v1;

constexpr std::size_t threads_count = 8;
constexpr std::size_t waiting_max = 4096;  // questions to one node
constexpr std::size_t jobs_max = 1024;     // in one node's list
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
  explicit AgentNodes(pki::Identity identity) : identity_(std::move(identity)) {
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
    Node& node = nodes_[question.node];
    if (question.agent.empty() || node.waiting.size() >= waiting_max) {
      replies_.push_back(reply_to(question));  // not reached
      return;
    }
    node.waiting.push_back(std::move(question));
    changed_.notify_one();
  }

  std::vector<NodeReply> replies() override {
    const std::lock_guard lock(mutex_);
    std::vector<NodeReply> all;
    all.swap(replies_);
    return all;
  }

 private:
  struct Node {
    std::deque<NodeQuestion> waiting;
    bool busy = false;
    std::string agent;
    std::shared_ptr<api::Resharing::Stub> stub;
  };

  static NodeReply reply_to(const NodeQuestion& question) {
    NodeReply reply;
    reply.call = question.call;
    reply.node = question.node;
    reply.job = question.job;
    reply.round = question.order.round;
    return reply;
  }

  // Over TLS the name was compared when it began; but an alternative name would have done there.
  static bool is_node(const grpc::ClientContext& context, const std::string& name) {
    const auto auth = context.auth_context();
    const pki::Caller server = auth == nullptr ? pki::Caller{} : pki::caller_of(*auth);
    return server.kind == pki::Caller::Kind::certified && server.name == name;
  }

  static bool list(api::Resharing::Stub& stub, grpc::ClientContext& context, NodeReply& reply) {
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

  static NodeReply call(api::Resharing::Stub& stub, const NodeQuestion& question) {
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

  void work() {
    std::unique_lock lock(mutex_);
    while (!ending_) {
      const auto next = std::find_if(nodes_.begin(), nodes_.end(), [](const auto& each) {
        return !each.second.busy && !each.second.waiting.empty();
      });
      if (next == nodes_.end()) {
        changed_.wait(lock);
        continue;
      }
      Node& node = next->second;  // stays where it is: nodes are never taken out
      const NodeQuestion question = std::move(node.waiting.front());
      node.waiting.pop_front();
      if (node.stub == nullptr || node.agent != question.agent) {
        node.agent = question.agent;
        node.stub = pki::target_of(node.agent).empty()
                        ? nullptr
                        : std::shared_ptr<api::Resharing::Stub>(
                              api::Resharing::NewStub(pki::connect_to(identity_, node.agent, question.node)));
      }
      const std::shared_ptr<api::Resharing::Stub> stub = node.stub;
      node.busy = true;
      lock.unlock();
      NodeReply reply = stub == nullptr ? reply_to(question) : call(*stub, question);
      lock.lock();
      node.busy = false;
      replies_.push_back(std::move(reply));
      changed_.notify_one();
    }
  }

  const pki::Identity identity_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<std::string, Node> nodes_;
  std::vector<NodeReply> replies_;
  std::vector<std::thread> threads_;
  bool ending_ = false;
};

}  // namespace

Result<std::unique_ptr<ReshareNodes>> make_agent_nodes(const ServerSettings& settings) {
  pki::prepare_grpc(pki::GrpcLog::limited, "ssn-controller");
  Result<pki::Identity> identity =
      pki::load_identity({settings.certificate, settings.key, settings.ca}, pki::CertificateUse::client);
  if (!identity.ok()) return identity.error();
  return std::unique_ptr<ReshareNodes>(std::make_unique<AgentNodes>(std::move(identity.value())));
}

}  // namespace ssn::controller
