// SPDX-License-Identifier: BSD-3-Clause
#include "ssn/dataplane/wire.h"

#include <fmt/core.h>
#include <sys/random.h>
#include <time.h>

#include <algorithm>
#include <cstring>
#include <new>

#include "../nodes/wire_nodes.h"
#include "wire_counters.h"
#include "wire_limits.h"
#include "wire_member.h"

namespace ssn::dataplane {
namespace {

kernels::Scheme scheme_of(StreamConfiguration::Scheme scheme) noexcept {
  switch (scheme) {
    case StreamConfiguration::Scheme::systematic:
      return kernels::Scheme::systematic;
    case StreamConfiguration::Scheme::classic:
      return kernels::Scheme::classic;
    case StreamConfiguration::Scheme::ramp:
      return kernels::Scheme::ramp;
    case StreamConfiguration::Scheme::rs:
      return kernels::Scheme::rs;
  }
  __builtin_unreachable();
}

protocol::WireStream wire_stream(const StreamConfiguration& from, std::uint32_t frame_max) {
  protocol::WireStream stream;
  stream.id = from.id;
  stream.scheme = scheme_of(from.scheme);
  stream.k = from.k;
  stream.n = from.n;
  stream.data_blocks = from.data_blocks;
  stream.cell_bytes = from.cell;
  stream.frame_max = frame_max;
  stream.latency_ns = static_cast<std::uint64_t>(from.latency.count());
  stream.reorder_ns = static_cast<std::uint64_t>(from.reorder.count());
  stream.window = window_of(stream.block_bytes());
  return stream;
}

// Seeds the generator of one worker from the kernel.
Outcome seed(WireWorker& worker) {
  using Generator = kernels::RandomGenerator;
  Result<hw::SecretBuffer> memory =
      hw::SecretBuffer::make(sizeof(Generator), hw::SecretBuffer::Locking::required);
  if (!memory.ok()) return memory.error();
  Result<hw::SecretBuffer> bytes =
      hw::SecretBuffer::make(Generator::seed_bytes, hw::SecretBuffer::Locking::required);
  if (!bytes.ok()) return bytes.error();
  if (getrandom(bytes.value().data(), Generator::seed_bytes, 0) != Generator::seed_bytes) {
    return Error{Exit::temporary, "cannot seed the generator of random blocks", std::strerror(errno),
                 "getrandom", "try again"};
  }
  worker.generator_memory = std::move(memory.value());
  worker.generator = new (worker.generator_memory.data()) Generator;
  worker.generator->seed(std::span<const std::uint8_t, Generator::seed_bytes>(bytes.value().span()));
  return done;
}

}  // namespace

// Commands to workers.
namespace {

void run_attach(void* argument) {
  auto& session = *static_cast<WireSession*>(argument);
  session.worker->attach(session);
}
void run_detach(void* argument) {
  auto& session = *static_cast<WireSession*>(argument);
  session.worker->detach(session);
}
// The walk that follows serves all connections.
void run_refresh(void*) {}

}  // namespace

WireMode::WireMode(Setup setup)
    : setup_(std::move(setup)), memory_(std::make_unique<MemoryRegistry>(setup_.device)) {}
WireMode::~WireMode() = default;

Result<std::unique_ptr<WireMode>> WireMode::make(Setup setup) {
  std::unique_ptr<WireMode> wire(new WireMode(std::move(setup)));
  if (Outcome outcome = wire->plan_streams(); !outcome.ok()) return outcome.error();
  for (unsigned i = 0; i < wire->setup_.workers; ++i) {
    if (Outcome outcome = wire->make_worker(i); !outcome.ok()) return outcome.error();
  }
  return wire;
}

Outcome WireMode::plan_streams() {
  const Configuration& configuration = *setup_.configuration;
  for (const StreamConfiguration& each : configuration.streams) {
    auto plan = std::make_unique<WirePlan>();
    const PortConfiguration* const port = configuration.port(each.port);
    plan->name = fmt::format("{}", each.id);
    plan->stream = wire_stream(each, port->mtu + 18);
    plan->port = each.port;
    plan->peer = each.peer;
    plan->ethertypes = each.ethertypes;
    plan->pass_to = each.others == StreamConfiguration::Others::pass ? each.pass_to : "";
    plan->random_stream = each.random == StreamConfiguration::Random::stream;
    for (const std::size_t link : each.links) plan->links.push_back(setup_.host_link(each.peer, link));
    Result<std::unique_ptr<protocol::StreamCode>> code =
        protocol::StreamCode::make(plan->stream, setup_.device);
    if (!code.ok()) return code.error();
    plan->code = std::move(code.value());
    plans_.push_back(std::move(plan));
  }
  return done;
}

Outcome WireMode::make_worker(unsigned index) {
  auto member = std::make_unique<WireMember>();
  WireWorker& worker = *member->wire;
  worker.index = static_cast<std::uint16_t>(index);
  worker.count = static_cast<std::uint16_t>(setup_.workers);
  if (Outcome outcome = seed(worker); !outcome.ok()) return outcome;
  std::uint32_t jobs = 0;
  for (const std::unique_ptr<WirePlan>& plan : plans_) {
    const std::uint32_t blocks = send_blocks_of(plan->stream);
    Result<hw::SecretBuffer> memory = hw::SecretBuffer::make(
        protocol::BlockPool::memory_bytes(plan->stream.block_bytes(), blocks), locking_of(*memory_));
    if (!memory.ok()) return memory.error();
    Result<SharedMemory> registered = memory_->add(memory.value().describe());
    if (!registered.ok()) return registered.error();
    worker.streams.push_back(std::make_unique<WireStreamWorker>(
        *plan, worker, static_cast<std::uint16_t>(worker.streams.size()), std::move(memory.value()), blocks));
    worker.streams.back()->registered = std::move(registered.value());
    jobs += 2 * jobs_of(plan->stream);
  }
  worker.offload.backlog.reserve(jobs);
  if (setup_.device != nullptr) {
    Result<hw::OffloadQueue> queue = open_queue(*member);
    if (!queue.ok()) return queue.error();
    worker.offload.queue = std::move(queue.value());
    worker.offload.state.store(QueueState::open, std::memory_order_relaxed);
    worker.offload.deadline_ns = deadline_ns();
    if (setup_.call_control) worker.offload.call_control = &setup_.call_control;
  }
  members_.push_back(std::move(member));
  return done;
}

// For all jobs of the worker, where the device takes as many.
Result<hw::OffloadQueue> WireMode::open_queue(WireMember& member) {
  OffloadWorker& offload = member.wire->offload;
  const auto jobs = static_cast<std::uint32_t>(offload.backlog.capacity());
  const std::uint32_t depth = std::min(std::max(jobs, 1U), setup_.device->info().queue_depth_max);
  offload.lost_max = std::clamp(depth / 2, 1U, OffloadWorker::lost_limit);
  return setup_.device->open_queue({.depth = depth, .clock = CLOCK_MONOTONIC, .numa_node = -1});
}

std::uint64_t WireMode::deadline_ns() const noexcept {
  return static_cast<std::uint64_t>(setup_.configuration->offload.deadline.count());
}

Outcome WireMode::add_stream_nodes(GraphBuilder& graph, WireMember& member, std::size_t at) {
  WireStreamWorker& stream = *member.wire->streams[at];
  const WirePlan& plan = *stream.plan;
  // The worker's state holds that of its streams.
  const auto state = std::shared_ptr<WireStreamWorker>(member.wire, &stream);
  stream.shares = setup_.pool(plan.port);
  stream.frames = stream.shares;
  const NodeHandle submit = graph.find(offload_submit_type, "wire");
  const NodeHandle complete = graph.find(offload_complete_type, "wire");
  const NodeHandle pack = graph.add(wire_pack_type, plan.name, state);
  const NodeHandle split = graph.add(wire_split_type, plan.name, state);
  const NodeHandle send = graph.add(wire_send_type, plan.name, state);
  const NodeHandle recover = graph.add(wire_recover_type, plan.name, state);
  const NodeHandle unpack = graph.add(wire_unpack_type, plan.name, state);
  if (const NodeHandle port = graph.receive(plan.port); port.index != NodeHandle::none) {
    graph.connect(port, 0, pack);
  }
  graph.connect(pack, wire_pack_split, split);
  if (!plan.pass_to.empty()) graph.connect(pack, wire_pack_others, graph.transmit(plan.pass_to));
  graph.connect(split, wire_split_submit, submit);
  graph.connect(split, wire_split_send, send);
  graph.connect(send, wire_send_link, setup_.link_output(graph));
  graph.connect(recover, wire_recover_submit, submit);
  graph.connect(recover, wire_recover_unpack, unpack);
  graph.connect(unpack, wire_unpack_port, graph.transmit(plan.port));
  stream.split_target.edge = graph.append_edge(submit, send);
  stream.recover_target.edge = graph.append_edge(submit, unpack);
  const std::uint16_t same[] = {graph.append_edge(complete, send), graph.append_edge(complete, unpack)};
  if (same[0] != stream.split_target.edge || same[1] != stream.recover_target.edge) {
    return Error{Exit::failed, "cannot build the graph of wire mode",
                 "both offload nodes must have the same edges", "stream " + plan.name, "report this"};
  }
  return done;
}

Outcome WireMode::build(GraphBuilder& graph) {
  WireMember& member = *members_[graph.worker().index()];
  member.thread = &graph.worker();
  WireWorker& worker = *member.wire;
  const auto offload = std::shared_ptr<OffloadWorker>(member.wire, &worker.offload);
  graph.add(offload_submit_type, "wire", offload);
  graph.add(offload_complete_type, "wire", offload);
  auto receive = std::make_shared<WireReceive>(WireReceive{member.wire, {}});
  auto timer = std::make_shared<WireTimer>(WireTimer{member.wire, {}, {}});
  const NodeHandle receive_node = graph.add(wire_receive_type_node, "wire", receive);
  const NodeHandle timer_node = graph.add(wire_timer_type, "wire", timer);
  if (Outcome outcome = setup_.connect_udp(graph, receive_node); !outcome.ok()) return outcome;
  graph.connect(receive_node, wire_receive_handoff, graph.handoff("wire"));
  if (graph.worker_count() > 1) graph.connect(graph.handoff_source("wire"), 0, receive_node);
  for (std::size_t i = 0; i < worker.streams.size(); ++i) {
    if (Outcome outcome = add_stream_nodes(graph, member, i); !outcome.ok()) return outcome;
    const std::string& name = worker.streams[i]->plan->name;
    receive->recover.push_back(graph.append_edge(receive_node, graph.find(wire_recover_type, name)));
    timer->split.push_back(graph.append_edge(timer_node, graph.find(wire_split_type, name)));
    timer->recover.push_back(graph.append_edge(timer_node, graph.find(wire_recover_type, name)));
  }
  mirror_counters(graph, worker);
  return done;
}

bool WireMode::attach(Connection& connection) {
  reap();
  WireMember& member = *members_[connection.worker()];
  const bool open = member.wire->offload.state.load(std::memory_order_acquire) == QueueState::open;
  Result<std::unique_ptr<WireSession>> made =
      WireSession::make(connection, *member.wire, open ? setup_.device : nullptr, *memory_,
                        *setup_.implementation, deadline_ns());
  const std::lock_guard lock(mutex_);
  if (!made.ok()) {
    trouble_ = made.error().what + ": " + made.error().why;
    return false;
  }
  WireSession& session = *made.value();
  if (!member.thread->post({run_attach, &session})) return false;
  trouble_.clear();
  connection.worker_data = &session;
  sessions_.push_back(std::move(made.value()));
  return true;
}

bool WireMode::detach(Connection& connection) {
  return members_[connection.worker()]->thread->post({run_detach, connection.worker_data});
}

void WireMode::released(Connection&) { reap(); }

bool WireMode::refresh(Connection& connection) {
  return members_[connection.worker()]->thread->post({run_refresh, nullptr});
}

void WireMode::reap() {
  const std::lock_guard lock(mutex_);
  std::erase_if(sessions_, [](const std::unique_ptr<WireSession>& each) {
    return each->is_over.load(std::memory_order_acquire);
  });
}

std::string WireMode::trouble() const {
  const std::lock_guard lock(mutex_);
  return trouble_;
}

}  // namespace ssn::dataplane
