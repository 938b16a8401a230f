// SPDX-License-Identifier: BSD-3-Clause
// What surrounds an SSA, inside its ports: callbacks of DPDK at each port are a shareholder, or a data owner.
// They speak the real protocol: what leaves the SSA is opened (its tag checked, its pad taken off), told as
// received and stored, and answered under keys of their own. All of it happens within calls of a port by the
// worker that is measured, so that it counts as the port's, and never waits for another core.
//
// Ports are net_null: what they take is gone with the call, so that a packet belongs to its channel again at
// once, as with a fast NIC.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "ssn/dataplane/connection.h"
#include "ssn/dataplane/packet_source.h"
#include "ssn/dataplane/port.h"
#include "ssn/dataplane/worker.h"
#include "ssn/hw/secret_buffer.h"
#include "ssn/protocol/channel.h"
#include "ssn/protocol/session_keys.h"

namespace ssn::bench {

/// Packets of the SSA's pool. Cells of an end's own lie in no packet: giving them back does nothing.
class EndPool final : public protocol::PacketPool {
 public:
  void open(rte_mempool& pool, std::span<const protocol::Cell> own) noexcept {
    source_.open(pool);
    own_ = own;
  }
  std::size_t take(std::span<protocol::Cell*> cells) noexcept override { return source_.take(cells); }
  void give_back(std::span<protocol::Cell* const> cells) noexcept override;
  bool is_idle(const protocol::Cell&) const noexcept override { return true; }  // the SSA gets copies

 private:
  dataplane::PacketSource source_;
  std::span<const protocol::Cell> own_;
};

/// First in, first out, in memory that it has from the start: nothing here allocates while it is measured.
template <typename Item>
class Queue {
 public:
  explicit Queue(std::size_t capacity) : items_(capacity) {}
  std::size_t size() const noexcept { return tail_ - head_; }
  /// False: it is full.
  bool push(const Item& item) noexcept {
    if (size() == items_.size()) return false;
    items_[tail_++ % items_.size()] = item;
    return true;
  }
  const Item& operator[](std::size_t at) const noexcept { return items_[(head_ + at) % items_.size()]; }
  void pop(std::size_t count) noexcept { head_ += count; }

 private:
  std::vector<Item> items_;
  std::size_t head_ = 0, tail_ = 0;
};

/// The other end of a port and of one channel over it.
class PortEnd {
 public:
  struct Setup {
    const dataplane::Port* port = nullptr;
    const dataplane::Worker* worker = nullptr;
    const kernels::Implementation* implementation = nullptr;
    std::array<std::uint8_t, 4> address{}, ssa_address{};
    std::uint16_t udp_port = 0, ssa_udp_port = 0;
    std::uint32_t cell_bytes = 0;
  };

  explicit PortEnd(const Setup& setup) : setup_(setup) {}
  PortEnd(const PortEnd&) = delete;
  PortEnd& operator=(const PortEnd&) = delete;
  virtual ~PortEnd() = default;

  /// Hooks itself into the port, before workers walk.
  Outcome attach();

  // ---- Any thread.
  std::uint64_t dropped() const noexcept { return dropped_.load(std::memory_order_relaxed); }
  std::uint64_t wrong() const noexcept { return wrong_.load(std::memory_order_relaxed); }

 protected:
  static constexpr std::size_t burst = protocol::Channel::max_burst;

  /// `packet_bytes` of a cell's packet; before the worker walks, or between two walks.
  void make_channel(protocol::ChannelOptions options, protocol::SendKeys& send,
                    protocol::ReceiveConnection& receive, std::uint64_t now_ns);
  void drop_channel() noexcept;
  /// Each time that the port is asked for packets, and when it was given some.
  virtual void serve(std::uint64_t now_ns) noexcept = 0;
  virtual void delivered(std::span<protocol::Cell* const> cells, std::uint64_t now_ns) noexcept = 0;
  /// What there is to send.
  virtual void work(std::uint64_t now_ns) noexcept = 0;
  void count_wrong() noexcept { wrong_.fetch_add(1, std::memory_order_relaxed); }

  const Setup setup_;
  EndPool pool_;
  std::unique_ptr<protocol::Channel> channel_;

 private:
  friend struct EndCallbacks;
  static constexpr std::size_t frame_header = 42;  // Ethernet, IPv4, UDP

  void take(rte_mbuf* const* packets, std::uint16_t count) noexcept;
  std::uint16_t give(rte_mbuf** packets, std::uint16_t room) noexcept;
  bool is_arp(const std::uint8_t* frame) noexcept;
  rte_mbuf* fresh(std::size_t bytes) noexcept;
  void write_frame_header(std::uint8_t* to, std::size_t payload) const noexcept;
  void open(std::span<protocol::Cell* const> cells, std::uint64_t now_ns) noexcept;

  hw::SecretBuffer seal_memory_, open_memory_;
  protocol::PacketCounters packets_;
  protocol::ConnectionTable table_{dataplane::connection_places};
  std::optional<protocol::Sealer> sealer_;
  std::optional<protocol::Opener> opener_;
  std::uint32_t connection_id_ = 0;
  std::array<protocol::Cell, burst> cells_;
  std::vector<std::uint8_t> opened_;  // what they hold
  std::size_t opened_room_ = 0;
  std::array<std::uint8_t, frame_header> header_{};
  std::array<std::uint8_t, frame_header> arp_{};
  bool answers_arp_ = false;
  std::atomic<std::uint64_t> dropped_{0}, wrong_{0};
};

/// A shareholder whose disk takes no time. The first cells of its share are kept, and given to who reads.
class HolderEnd final : public PortEnd {
 public:
  HolderEnd(const Setup& setup, std::uint32_t kept_cells)
      : PortEnd(setup), kept_(std::size_t{kept_cells} * setup.cell_bytes), has_(kept_cells) {}
  ~HolderEnd() override { drop_channel(); }

  /// Both ends of one association. The SSA's keys are fetched here, too: a device would do that, not the
  /// worker that is measured.
  void connect(std::unique_ptr<dataplane::Connection> ours, dataplane::Connection& ssas);

  /// Any thread: how many of the kept cells are there. When that is all, they stay as they are.
  std::uint32_t kept_cells() const noexcept { return kept_cells_.load(std::memory_order_acquire); }
  const std::uint8_t* cell(std::uint32_t number) const noexcept {
    return kept_.data() + std::size_t{number} * setup_.cell_bytes;
  }

  /// Fills the rings of both ends.
  void serve(std::uint64_t now_ns) noexcept override;

 private:
  void delivered(std::span<protocol::Cell* const> cells, std::uint64_t now_ns) noexcept override;
  void work(std::uint64_t now_ns) noexcept override;
  void keep(const protocol::Cell& cell) noexcept;
  void note_request(const protocol::Cell& cell) noexcept;

  std::unique_ptr<dataplane::Connection> connection_;
  dataplane::Connection* ssas_ = nullptr;
  std::vector<std::uint8_t> kept_;
  std::vector<bool> has_;
  std::atomic<std::uint32_t> kept_cells_{0};
  struct Stored {
    protocol::PacketHeader header;
    std::uint32_t range_length = 0;
  };
  Queue<Stored> untold_{8192};
  Queue<protocol::Placement> asked_{8192};
};

/// A data owner: writes blocks without end, or reads the first ones again and again.
class OwnerEnd final : public PortEnd {
 public:
  enum class Mode : int { idle, writes, reads };
  OwnerEnd(const Setup& setup, std::uint32_t window, std::uint32_t blocks)
      : PortEnd(setup), window_(window), blocks_(blocks), asked_(blocks) {}
  ~OwnerEnd() override { drop_channel(); }

  /// Between two walks of the worker. A new session: block numbers begin at 0.
  void connect(std::unique_ptr<protocol::SessionKeys> keys, std::uint64_t now_ns);
  void disconnect() noexcept;

  // ---- Any thread.
  void set_mode(Mode mode) noexcept { mode_.store(mode, std::memory_order_release); }
  /// Every byte of blocks is written and compared, not only their number.
  void check_all(bool on) noexcept { checks_.store(on, std::memory_order_release); }
  std::uint64_t finished() const noexcept { return finished_.load(std::memory_order_relaxed); }
  /// What block `number` holds.
  static void fill(std::uint8_t* to, std::size_t bytes, std::uint64_t number) noexcept;

 private:
  void serve(std::uint64_t) noexcept override {}
  void delivered(std::span<protocol::Cell* const> cells, std::uint64_t now_ns) noexcept override;
  void work(std::uint64_t now_ns) noexcept override;
  void write_blocks(std::uint64_t now_ns) noexcept;
  void ask(std::uint64_t now_ns) noexcept;
  void take_block(const protocol::Cell& cell) noexcept;

  const std::uint32_t window_, blocks_;
  std::unique_ptr<protocol::SessionKeys> keys_;
  std::atomic<Mode> mode_{Mode::idle};
  std::atomic<bool> checks_{true};
  std::atomic<std::uint64_t> finished_{0};  // blocks that were told as received, or came
  std::uint64_t next_ = 0;
  std::uint64_t under_way_ = 0;
  std::uint64_t request_ = 0;
  std::vector<std::uint8_t> expected_;
  std::vector<bool> asked_;
};

}  // namespace ssn::bench
