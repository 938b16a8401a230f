// SPDX-License-Identifier: BSD-3-Clause
#include <algorithm>
#include <bit>

#include "ssn/dataplane/wire_worker.h"
#include "wire_limits.h"

namespace ssn::dataplane {

StreamSession::StreamSession(WireSession& session_of, WireStreamWorker& stream_of,
                             const protocol::BlockSplitter::Parts& send,
                             const protocol::BlockCollector::Parts& receive, hw::SecretBuffer receive_blocks,
                             std::unique_ptr<protocol::BlockPool> receive_pool,
                             hw::SecretBuffer generated_blocks)
    : session(&session_of),
      stream(&stream_of),
      generated(std::move(generated_blocks)),
      block_memory(std::move(receive_blocks)),
      pool(std::move(receive_pool)),
      splitter([&] {
        protocol::BlockSplitter::Parts parts = send;
        if (generated.size() != 0) parts.generated = &generated;
        return parts;
      }()),
      collector([&] {
        protocol::BlockCollector::Parts parts = receive;
        parts.pool = pool.get();
        return parts;
      }()),
      unpacker(stream_of.plan->stream, *pool, stream_of.received) {}

StreamSession* WireSession::find(std::uint64_t stream_id) noexcept {
  for (const std::unique_ptr<StreamSession>& each : streams) {
    if (each->stream->plan->stream.id == stream_id) return each.get();
  }
  return nullptr;
}

namespace {

// Registers memory that jobs of the session name.
Outcome enroll(WireSession& session, MemoryRegistry& registry, const ssn_memory& memory,
               std::uint32_t& handle) {
  Result<SharedMemory> added = registry.add(memory);
  if (!added.ok()) return added.error();
  handle = handle_of(added.value());
  if (added.value() != nullptr) session.registered.push_back(std::move(added.value()));
  return done;
}

// Where a splitter's random blocks come from.
Outcome add_random(WireSession& session, WireStreamWorker& stream, MemoryRegistry& registry,
                   protocol::BlockSplitter::Parts& send, hw::SecretBuffer& generated) {
  const WirePlan& plan = *stream.plan;
  if (plan.code->code().random_blocks() == 0) return done;
  if (plan.random_stream) {
    RandomStream& random = *session.connection->random();
    send.random = &random.source();
    return enroll(session, registry, random.memory(), send.offload.random);
  }
  send.generator = stream.worker->generator;
  Result<hw::SecretBuffer> made = hw::SecretBuffer::make(
      protocol::BlockSplitter::generated_bytes(plan.stream, send.jobs), hw::SecretBuffer::Locking::required);
  if (!made.ok()) return made.error();
  generated = std::move(made.value());
  send.generated = &generated;
  return enroll(session, registry, generated.describe(), send.offload.random);
}

Outcome add_stream(WireSession& session, WireStreamWorker& stream, protocol::OffloadUse offload,
                   MemoryRegistry& registry, const kernels::Implementation& implementation) {
  Connection& connection = *session.connection;
  const WirePlan& plan = *stream.plan;
  WireWorker& worker = *stream.worker;
  protocol::BlockSplitter::Parts send;
  send.code = plan.code.get();
  send.implementation = &implementation;
  send.keys = &connection.send_keys();
  send.pool = &stream.pool;
  send.packets = &worker.packets;
  send.counters = &stream.sent;
  send.offload = offload;
  send.offload.context = &stream.split_target;
  send.offload.blocks = handle_of(stream.registered);
  send.tag_keys = session.send_keys.is_open() ? &session.send_keys : nullptr;
  send.jobs = jobs_of(plan.stream);
  hw::SecretBuffer generated;
  if (Outcome outcome = add_random(session, stream, registry, send, generated); !outcome.ok()) return outcome;
  protocol::BlockCollector::Parts receive;
  receive.code = plan.code.get();
  receive.implementation = &implementation;
  receive.keys = connection.receiving().keys[0];
  receive.progress = &session.progress;
  receive.packets = &worker.packets;
  receive.counters = &stream.received;
  receive.offload = offload;
  receive.offload.context = &stream.recover_target;
  receive.tag_keys = session.receive_keys.is_open() ? &session.receive_keys : nullptr;
  receive.jobs = jobs_of(plan.stream);
  const struct {
    ConnectionStream stream;
    std::uint32_t& handle;
  } rings[] = {{pads_out, send.offload.pads},
               {tag_keys_out, send.offload.masks},
               {pads_in, receive.offload.pads},
               {tag_keys_in, receive.offload.masks}};
  for (const auto& [which, handle] : rings) {
    if (Outcome outcome = enroll(session, registry, connection.memory(which), handle); !outcome.ok()) {
      return outcome;
    }
  }
  const std::uint32_t blocks = plan.stream.window + receive.jobs;
  Result<hw::SecretBuffer> memory = hw::SecretBuffer::make(
      protocol::BlockPool::memory_bytes(plan.stream.block_bytes(), blocks), locking_of(registry));
  if (!memory.ok()) return memory.error();
  if (Outcome outcome = enroll(session, registry, memory.value().describe(), receive.offload.blocks);
      !outcome.ok()) {
    return outcome;
  }
  auto pool = std::make_unique<protocol::BlockPool>(memory.value().span(), plan.stream.block_bytes(), blocks);
  session.streams.push_back(std::make_unique<StreamSession>(
      session, stream, send, receive, std::move(memory.value()), std::move(pool), std::move(generated)));
  return done;
}

}  // namespace

Result<std::unique_ptr<WireSession>> WireSession::make(Connection& connection, WireWorker& worker,
                                                       hw::OffloadDevice* device, MemoryRegistry& memory,
                                                       const kernels::Implementation& implementation,
                                                       std::uint64_t deadline_ns) {
  std::uint64_t period_ns = 0;
  for (const std::unique_ptr<WireStreamWorker>& stream : worker.streams) {
    period_ns = std::max(period_ns, stream->plan->stream.reorder_ns);
  }
  auto session = std::make_unique<WireSession>(connection, worker, std::max<std::uint64_t>(2 * period_ns, 1));
  protocol::OffloadUse offload;
  if (device != nullptr) {
    offload.queue = &worker.offload.queue;
    offload.deadline_ns = deadline_ns;
    for (protocol::OffloadTagKeys* const keys : {&session->send_keys, &session->receive_keys}) {
      Result<protocol::OffloadTagKeys> made = protocol::OffloadTagKeys::make(*device);
      if (!made.ok()) return made.error();
      *keys = std::move(made.value());
    }
  }
  for (const std::unique_ptr<WireStreamWorker>& stream : worker.streams) {
    if (stream->plan->peer != connection.peer()) continue;
    if (Outcome outcome = add_stream(*session, *stream, offload, memory, implementation); !outcome.ok()) {
      return outcome.error();
    }
  }
  return session;
}

}  // namespace ssn::dataplane
