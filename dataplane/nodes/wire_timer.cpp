// SPDX-License-Identifier: BSD-3-Clause
#include <algorithm>

#include "wire_nodes.h"

namespace ssn::dataplane {
namespace {

// Blocks that wait for keys or packets are looked at so often.
constexpr std::uint64_t try_again_ns = 100'000;
constexpr std::uint64_t publish_ns = 5'000'000;

void serve_keys(WireWorker& worker, std::uint64_t now) noexcept {
  for (WireSession* const session : worker.sessions) {
    session->connection->service(now);
    protocol::ReceiveKeys* const keys = session->connection->receiving().keys[0];
    if (keys != nullptr && !keys->ended) session->progress.advance(*keys->pads, now);
  }
}

// Idle workers are left alone: numbers that did not change need not be shown again.
void publish(WireWorker& state, Worker& worker, std::uint64_t now) noexcept {
  if (!state.dirty) return;
  if (now - state.published_ns < publish_ns) {
    worker.wake_at(state.published_ns + publish_ns);
    return;
  }
  state.mirror.publish();
  state.published_ns = now;
  state.dirty = false;
}

std::uint16_t tick(WireTimer& state, JobBurst& burst) {
  WireWorker& worker = *state.worker;
  Worker& thread = burst.worker();
  const std::uint64_t now = thread.now_ns();
  serve_keys(worker, now);
  worker.watch_device();
  worker.end_drained();
  for (std::size_t i = 0; i < worker.streams.size(); ++i) {
    WireStreamWorker& stream = *worker.streams[i];
    if (stream.session == nullptr) continue;
    std::uint64_t send_at = stream.packer.deadline();
    if (stream.waits) send_at = std::min(send_at, now);
    const std::uint64_t receive_at = stream.starved ? now : stream.session->collector.deadline();
    if (send_at <= now) burst.nudge(state.split[i]);
    if (receive_at <= now) burst.nudge(state.recover[i]);
    const bool tries_again = stream.waits || receive_at <= now;
    thread.wake_at(tries_again ? now + try_again_ns : std::min(send_at, receive_at));
  }
  publish(worker, thread, now);
  return 0;
}

}  // namespace

const NodeType wire_timer_type = job_source_type<tick>("wire_timer", {});

}  // namespace ssn::dataplane
