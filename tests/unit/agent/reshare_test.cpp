// SPDX-License-Identifier: BSD-3-Clause
// Who may order re-sharing, what of the messages reaches the process, and what comes back.
#include <grpcpp/grpcpp.h>

#include <fstream>
#include <iterator>

#include "operation.grpc.pb.h"
#include "support.h"

namespace ssn::agent::test {
namespace {

namespace api = ssn::dataplane::v1;
namespace catalogue = ssn::controller::v1;
using roles::ReshareAnswer;
using std::chrono::milliseconds;

class Host final : public ReshareHost {
 public:
  Result<OrderReply> order_reshare(std::uint64_t term, const roles::ReshareOrder& given) override {
    order = given;
    ++orders;
    return OrderReply{{term < 5, 5}, roles::check_order(given)};
  }
  Result<CancelReply> cancel_reshare(std::uint64_t, std::uint64_t job) override {
    return CancelReply{{false, 5}, job == 77};
  }
  Result<std::vector<ReshareReport>> reshares() override {
    const std::lock_guard lock(mutex);
    return reports;
  }
  Result<TermState> erase(std::uint64_t term, std::uint64_t, std::uint32_t) override {
    ++erased;
    return TermState{term < 5, 5};
  }

  roles::ReshareOrder order;
  unsigned orders = 0, erased = 0;
  std::mutex mutex;
  std::vector<ReshareReport> reports;
};

class Resharing : public Certificates {
 protected:
  void SetUp() override {
    AgentSettings these = settings();
    these.reshares = true;
    these.controller = "controller";
    begin(these);
  }

  void begin(const AgentSettings& these) {
    agent_.reset();
    agent_ = start(these);
    ASSERT_NE(agent_, nullptr);
    agent_->serve_resharing(host_);
  }

  static std::string file(const std::string& name) {
    std::ifstream stream(path(name));
    return {std::istreambuf_iterator<char>(stream), std::istreambuf_iterator<char>()};
  }
  std::unique_ptr<api::Resharing::Stub> stub(const std::string& certificate) {
    grpc::SslCredentialsOptions options{file("n/ca.crt"), file(certificate + ".key"),
                                        file(certificate + ".crt")};
    grpc::ChannelArguments arguments;
    arguments.SetSslTargetNameOverride("sae-a");
    return api::Resharing::NewStub(
        grpc::CreateCustomChannel(agent_->listening(), grpc::SslCredentials(options), arguments));
  }
  api::ReshareAnswer order(const std::string& certificate, const api::ReshareOrder& request) {
    grpc::ClientContext context;
    api::ReshareAnswer answer;
    status_ = stub(certificate)->OrderReshare(&context, request, &answer);
    return answer;
  }

  Host host_;
  std::unique_ptr<Agent> agent_;
  grpc::Status status_;
};

api::ReshareOrder repair() {
  api::ReshareOrder order;
  order.set_term(5);
  order.set_job(77);
  order.set_round(2);
  order.set_operation(api::RESHARE_OPERATION_REPAIR);
  order.set_object(0xfeed);
  order.set_cells(100);
  order.set_cell_bytes(1344);
  order.set_first(16);
  order.set_end(100);
  for (api::ReshareGeneration* const each : {order.mutable_source(), order.mutable_target()}) {
    each->set_generation(9);
    api::ReshareLayout& layout = *each->mutable_layout();
    layout.set_scheme(catalogue::SCHEME_SHAMIR);
    layout.set_k(2);
    layout.set_n(3);
    layout.set_secret_blocks(1);
    layout.set_row_rule(catalogue::ROW_RULE_ROTATING);
    layout.set_cells_per_turn(64);
    for (const char* const name : {"sae-a", "sae-b", "sae-c"}) layout.add_nodes(name);
    for (const auto& [first, cells, attempt] : {std::array{0U, 60U, 0U}, std::array{60U, 40U, 3U}}) {
      catalogue::AttemptRun& run = *each->add_attempts();
      run.set_first_cell(first);
      run.set_cells(cells);
      run.set_attempt(attempt);
    }
  }
  order.add_from(1);
  order.add_from(2);
  order.add_to(3);
  order.set_window(8);
  order.set_bytes_per_second(1'000'000);
  order.set_stall_ms(1500);
  return order;
}

TEST_F(Resharing, AnOrderArrivesAsItWasMeant) {
  EXPECT_EQ(order("n/controller", repair()).code(), api::RESHARE_ANSWER_CODE_TAKEN);
  ASSERT_TRUE(status_.ok()) << status_.error_message();
  const roles::ReshareOrder& got = host_.order;
  EXPECT_EQ(std::tie(got.job, got.object, got.cells, got.cell_bytes),
            std::make_tuple(77U, 0xfeedU, 100U, 1344U));
  EXPECT_EQ(got.round, 2);
  EXPECT_EQ(got.operation, roles::ReshareOperation::repair);
  EXPECT_EQ(std::tie(got.first, got.end), std::make_tuple(16U, 100U));
  EXPECT_EQ(got.from, (std::vector<std::uint8_t>{1, 2}));
  EXPECT_EQ(got.to, (std::vector<std::uint8_t>{3}));
  EXPECT_EQ(got.unit_cells, 16);
  EXPECT_EQ(got.window, 8);
  EXPECT_EQ(got.bytes_per_second, 1'000'000U);
  EXPECT_EQ(got.stall_ns, 1'500'000'000U);
  for (const roles::ReshareGeneration* const each : {&got.source, &got.target}) {
    EXPECT_EQ(each->generation, 9U);
    EXPECT_EQ(each->runs, (std::vector<store::AttemptRun>{{0, 0}, {60, 3}}));
    EXPECT_EQ(each->layout.scheme, kernels::Scheme::systematic);
    EXPECT_EQ(each->layout.row_rule, roles::RowRule::rotating);
    EXPECT_EQ(each->layout.cells_per_turn, 64U);
    EXPECT_EQ(each->layout.nodes[1], roles::node_number("sae-b"));
    EXPECT_NE(each->layout.nodes[0], each->layout.nodes[2]);
  }
}

TEST_F(Resharing, WhatDoesNotFitIsMalformed) {
  const std::vector<void (*)(api::ReshareOrder&)> mistakes = {
      [](auto& o) { o.set_round(65536); },
      [](auto& o) { o.set_cells(std::uint64_t{1} << 32); },
      [](auto& o) { o.set_operation(api::RESHARE_OPERATION_UNKNOWN); },
      [](auto& o) { o.set_operation(static_cast<api::ReshareOperation>(99)); },
      [](auto& o) { o.mutable_source()->set_generation(std::uint64_t{1} << 32); },
      [](auto& o) { o.mutable_source()->mutable_layout()->set_scheme(catalogue::SCHEME_POLICY); },
      [](auto& o) { o.mutable_source()->mutable_layout()->set_k(256 + 2); },
      [](auto& o) { o.mutable_source()->mutable_layout()->set_nodes(0, "sae-b"); },
      [](auto& o) { o.mutable_source()->mutable_layout()->set_nodes(0, std::string(200, 'x')); },
      [](auto& o) {
        for (unsigned i = 0; i < 300; ++i) o.mutable_source()->mutable_layout()->add_nodes(std::to_string(i));
      },
      [](auto& o) { o.mutable_source()->mutable_attempts(1)->set_first_cell(61); },
      [](auto& o) { o.mutable_source()->mutable_attempts(1)->set_cells(39); },
      [](auto& o) { o.mutable_source()->mutable_attempts(1)->set_cells(~std::uint64_t{0}); },
      [](auto& o) { o.mutable_source()->mutable_attempts(1)->set_attempt(65536); },
      [](auto& o) { o.set_from(1, 258); },
      [](auto& o) { o.set_unit_cells(272); },
      [](auto& o) { o.set_window(260); },
  };
  for (std::size_t i = 0; i < mistakes.size(); ++i) {
    api::ReshareOrder request = repair();
    mistakes[i](request);
    EXPECT_EQ(order("n/operator", request).code(), api::RESHARE_ANSWER_CODE_MALFORMED) << i;
    EXPECT_EQ(host_.order.job, 0U) << i;
  }
}

TEST_F(Resharing, AnOldTermIsTold) {
  api::ReshareOrder request = repair();
  request.set_term(4);
  const api::ReshareAnswer answer = order("n/controller", request);
  EXPECT_EQ(answer.code(), api::RESHARE_ANSWER_CODE_OLD_TERM);
  EXPECT_EQ(answer.term(), 5U);
  grpc::ClientContext context;
  api::EraseRequest erase;
  erase.set_term(4);
  erase.set_generation(1);
  api::EraseAnswer erased;
  EXPECT_TRUE(stub("n/controller")->Erase(&context, erase, &erased).ok());
  EXPECT_FALSE(erased.erased());
  EXPECT_EQ(erased.term(), 5U);
}

TEST_F(Resharing, OthersAreRefused) {
  for (const char* const stranger : {"n/sae-b", "n/owner"}) {
    order(stranger, repair());
    EXPECT_EQ(status_.error_code(), grpc::StatusCode::PERMISSION_DENIED) << stranger;
  }
  order("other/controller", repair());
  EXPECT_EQ(status_.error_code(), grpc::StatusCode::UNAVAILABLE);
  // The name of the controller alone does not do: its certificate must say what it is.
  AgentSettings wrong = settings();
  wrong.reshares = true;
  wrong.controller = "sae-b";
  begin(wrong);
  for (const char* const stranger : {"n/sae-b", "n/controller"}) {
    order(stranger, repair());
    EXPECT_EQ(status_.error_code(), grpc::StatusCode::PERMISSION_DENIED) << stranger;
  }
  // Nor does any node do it.
  wrong.reshares = false;
  begin(wrong);
  order("n/operator", repair());
  EXPECT_EQ(status_.error_code(), grpc::StatusCode::PERMISSION_DENIED);
  EXPECT_EQ(host_.orders, 0U);
}

TEST_F(Resharing, TheControllerMayNothingElse) {
  EXPECT_EQ(client(*agent_, "n/controller")->status().error().code, Exit::refused);
}

TEST_F(Resharing, CancelsAndErases) {
  const auto stub = this->stub("n/controller");
  for (const std::uint64_t job : {77U, 78U}) {
    grpc::ClientContext context;
    api::CancelReshareRequest request;
    request.set_term(5);
    request.set_job(job);
    api::CancelReshareAnswer answer;
    EXPECT_TRUE(stub->CancelReshare(&context, request, &answer).ok());
    EXPECT_EQ(answer.known(), job == 77U);
  }
  for (const std::uint64_t generation : {std::uint64_t{0}, std::uint64_t{1} << 32, std::uint64_t{9}}) {
    grpc::ClientContext context;
    api::EraseRequest request;
    request.set_term(5);
    request.set_generation(generation);
    api::EraseAnswer answer;
    EXPECT_EQ(stub->Erase(&context, request, &answer).ok(), generation == 9);
    EXPECT_EQ(answer.erased(), generation == 9);
  }
  EXPECT_EQ(host_.erased, 1U);
}

TEST_F(Resharing, ListsAllThenWhatChanged) {
  ReshareReport one;
  one.status.job = 1;
  one.status.state = roles::ReshareState::running;
  ReshareReport two = one;
  two.status.job = 2;
  two.status.state = roles::ReshareState::failed;
  two.status.trouble = roles::ReshareTrouble::peer_lost;
  two.node = "sae-b";
  host_.reports = {one, two};
  grpc::ClientContext context;
  api::ListResharesRequest request;
  request.set_interval_ms(100);
  const auto stub = this->stub("n/controller");
  const auto reader = stub->ListReshares(&context, request);
  api::ReshareList list;
  ASSERT_TRUE(reader->Read(&list));
  EXPECT_TRUE(list.complete());
  ASSERT_EQ(list.jobs_size(), 2);
  EXPECT_EQ(list.jobs(0).state(), api::RESHARE_STATE_RUNNING);
  EXPECT_EQ(list.jobs(1).trouble(), api::RESHARE_TROUBLE_PEER_LOST);
  EXPECT_EQ(list.jobs(1).node(), "sae-b");
  {
    const std::lock_guard lock(host_.mutex);
    host_.reports[0].status.through = 64;
  }
  do {
    ASSERT_TRUE(reader->Read(&list));
    EXPECT_FALSE(list.complete());
  } while (list.jobs_size() == 0);
  ASSERT_EQ(list.jobs_size(), 1);
  EXPECT_EQ(list.jobs(0).through(), 64U);
  agent_->stop_serving_resharing();  // ends it
  while (reader->Read(&list)) {
  }
  EXPECT_EQ(reader->Finish().error_code(), grpc::StatusCode::UNAVAILABLE);
}

}  // namespace
}  // namespace ssn::agent::test
