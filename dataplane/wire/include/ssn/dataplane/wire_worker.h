// SPDX-License-Identifier: BSD-3-Clause
// What the nodes of wire mode work on: the state of one worker, its streams, and its connections.
//
//   WireWorker            one for each worker
//     WireStreamWorker    one for each stream: frames that wait, and the session they leave through
//     WireSession         one for each connection: splitters and collectors of the streams to that peer
//
// Everything belongs to its worker once its graph runs; control threads make it, and post what changes.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "ssn/dataplane/connection.h"
#include "ssn/dataplane/counter_mirror.h"
#include "ssn/dataplane/packet.h"
#include "ssn/hw/offload_device.h"
#include "ssn/hw/secret_buffer.h"
#include "ssn/kernels/kernels.h"
#include "ssn/protocol/block_collector.h"
#include "ssn/protocol/block_splitter.h"
#include "ssn/protocol/frame_packer.h"
#include "ssn/protocol/frame_unpacker.h"

namespace ssn::dataplane {

/// A stream as the configuration has it. Immutable, for all workers.
struct WirePlan {
  std::string name;  ///< its number, for names of nodes and counters
  protocol::WireStream stream;
  std::unique_ptr<protocol::StreamCode> code;
  std::string port;
  std::string peer;
  std::vector<std::uint16_t> ethertypes;  ///< the filter; empty: every frame
  std::string pass_to;                    ///< port for what the filter does not pick; empty: it is dropped
  std::vector<std::uint32_t> links;       ///< of the host: share i leaves over links[i - 1]
  bool random_stream = false;             ///< random blocks come from the key device
};

/// Who has the queue of a worker.
enum class QueueState : std::uint8_t {
  none,         ///< there is no device
  open,         ///< the worker
  handed_over,  ///< a control thread, which is to close it
  closing,      ///< it is closed, and the worker is about to be told
  closed,       ///< nobody: the CPU does everything
};

/// An offload queue of one worker. Jobs of all its streams pass through it.
struct OffloadWorker {
  /// So many jobs that it forgot, or half of its depth, and the device is given up.
  static constexpr std::uint32_t lost_limit = 16;

  hw::OffloadQueue queue;  ///< the worker's; where it is not open, the CPU does everything
  /// Jobs that the queue had no room for, in order. Never grows beyond what was reserved.
  std::vector<ssn_offload_job*> backlog;
  std::size_t backlog_begin = 0;
  std::uint32_t in_flight = 0;
  std::uint64_t jobs = 0;
  std::uint64_t turned_away = 0;  ///< times that the queue was full
  std::uint64_t given_up = 0;     ///< times that the device did not answer in time, and was left alone
  std::uint64_t asked_ns = 0;     ///< when all that was completed had been fetched last
  std::uint64_t watch_at = 0;
  std::uint64_t deadline_ns = 0;
  std::uint32_t lost_max = lost_limit;
  const std::function<void()>* call_control = nullptr;
  std::atomic<QueueState> state{QueueState::none};
  // While it is handed over, a control thread's.
  hw::OffloadQueue handed;
  protocol::OverdueJobs owed;  ///< why it was

  bool is_idle() const noexcept { return in_flight == 0 && backlog.empty(); }
};

/// What job.context points to: where the job goes when it is completed. Edges of both offload nodes.
struct JobTarget {
  std::uint16_t edge = 0;
};

struct WireWorker;
struct WireSession;
struct WireStreamWorker;
class MemoryRegistry;

/// One stream over one connection.
struct StreamSession {
  StreamSession(WireSession& session_of, WireStreamWorker& stream_of,
                const protocol::BlockSplitter::Parts& send, const protocol::BlockCollector::Parts& receive,
                hw::SecretBuffer receive_blocks, std::unique_ptr<protocol::BlockPool> receive_pool,
                hw::SecretBuffer generated_blocks);

  WireSession* session;
  WireStreamWorker* stream;
  hw::SecretBuffer generated;     // random blocks, where they are not a key device's
  hw::SecretBuffer block_memory;  // of received blocks
  std::unique_ptr<protocol::BlockPool> pool;
  protocol::BlockSplitter splitter;
  protocol::BlockCollector collector;
  protocol::FrameUnpacker unpacker;
};

/// One connection at one worker.
struct WireSession {
  /// Allocates everything; control threads. Errors: no memory to lock, or the offload device refuses.
  static Result<std::unique_ptr<WireSession>> make(Connection& connection, WireWorker& worker,
                                                   hw::OffloadDevice* device, MemoryRegistry& memory,
                                                   const kernels::Implementation& implementation,
                                                   std::uint64_t deadline_ns);
  WireSession(Connection& connection_of, WireWorker& worker_of, std::uint64_t period_ns)
      : connection(&connection_of), worker(&worker_of), progress(period_ns) {}

  Connection* connection;
  WireWorker* worker;
  protocol::ReceiveProgress progress;
  protocol::OffloadTagKeys send_keys;
  protocol::OffloadTagKeys receive_keys;
  std::vector<std::unique_ptr<StreamSession>> streams;  ///< by rising stream id
  /// What the device may touch of the connection and the streams. Ends before that memory does.
  std::vector<std::shared_ptr<hw::OffloadMemory>> registered;
  bool draining = false;
  /// The worker is done with it: control threads may destroy it.
  std::atomic<bool> is_over{false};

  StreamSession* find(std::uint64_t stream_id) noexcept;
};

/// One stream at one worker, whatever connection it uses.
struct WireStreamWorker {
  WireStreamWorker(const WirePlan& plan_of, WireWorker& worker_of, std::uint16_t at_of,
                   hw::SecretBuffer memory, std::uint32_t blocks);
  ~WireStreamWorker();

  const WirePlan* plan;
  WireWorker* worker;
  std::uint16_t at;                               ///< in worker->streams
  hw::SecretBuffer block_memory;                  // of blocks to be sent
  std::shared_ptr<hw::OffloadMemory> registered;  ///< it; null: not registered
  protocol::BlockPool pool;
  protocol::WireSendCounters sent;
  protocol::WireReceiveCounters received;
  protocol::FramePacker packer;
  StreamSession* session = nullptr;
  bool waits = false;    ///< blocks are packed and could not be split yet
  bool starved = false;  ///< blocks are recovered, and there was no packet for their frames
  JobTarget split_target;
  JobTarget recover_target;
  rte_mempool* shares = nullptr;  ///< packets are taken from these
  rte_mempool* frames = nullptr;
  std::array<protocol::Cell*, 64> spare{};  ///< fresh packets for frames
  std::size_t spare_count = 0;
  std::uint64_t no_packets = 0;  ///< times that a pool was empty

  /// Packets for shares or frames as the protocol wants them: headroom in front, nothing in them. Returns how
  /// many there were, at most cells.size().
  std::size_t fresh_shares(std::span<protocol::Cell*> cells) noexcept;
  void fill_spare() noexcept;
  /// There is a connection, and its peer is ready for what comes.
  bool can_send() const noexcept {
    return session != nullptr && !session->session->draining &&
           session->session->connection->sending_permitted();
  }
};

/// All of wire mode at one worker.
struct WireWorker {
  WireWorker() { sessions.reserve(connection_places); }

  std::uint16_t index = 0;
  std::uint16_t count = 1;  ///< of workers
  protocol::PacketCounters packets;
  OffloadWorker offload;
  hw::SecretBuffer generator_memory;
  kernels::RandomGenerator* generator = nullptr;  ///< in generator_memory
  std::vector<std::unique_ptr<WireStreamWorker>> streams;
  std::vector<WireSession*> sessions;
  std::array<WireSession*, connection_places> by_place{};
  CounterMirror mirror;
  bool dirty = false;  ///< numbers changed since the mirror was published
  std::uint64_t published_ns = 0;
  std::uint64_t handed_off = 0;

  /// Commands, between walks.
  void attach(WireSession& session) noexcept;
  void detach(WireSession& session) noexcept;
  /// In each walk: sessions that drain and have nothing in flight any more are over.
  void end_drained() noexcept;
  /// In each walk: what the device should have given back by now is done by the CPU, and a device that owes
  /// too much is given up.
  void watch_device() noexcept;
  /// Leaves the queue to a control thread. `owed`: why; nothing where the control thread asked for it.
  void hand_queue_over(const protocol::OverdueJobs& owed) noexcept;
  /// A command: the queue is closed.
  void device_closed(std::uint64_t now) noexcept;
  WireSession* find(std::uint32_t connection_id) const noexcept {
    WireSession* const found = by_place[connection_id & (connection_places - 1)];
    return found != nullptr && found->connection->terms().local_id == connection_id ? found : nullptr;
  }
  ~WireWorker();
};

}  // namespace ssn::dataplane
