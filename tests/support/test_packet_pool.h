// SPDX-License-Identifier: BSD-3-Clause
// A PacketPool over buffers of its own that knows whose each cell is: given out, read by a port, or at home.
// What is given back twice, or given back by somebody who does not have it, is told; what a port still reads
// is not given out again; and what is at home is overwritten, so that whoever still reads it sees.
#pragma once

#include <deque>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "ssn/protocol/packet_pool.h"
#include "test_random.h"

namespace ssn::test {

class TestPacketPool final : public protocol::PacketPool {
 public:
  static constexpr std::size_t link_headroom = 64;  ///< in front of a packet: Ethernet, IP, UDP

  explicit TestPacketPool(std::size_t cells, std::size_t payload_room = 2048)
      : most_(cells), room_(payload_room) {}

  std::size_t take(std::span<protocol::Cell*> cells) noexcept override;
  void give_back(std::span<protocol::Cell* const> cells) noexcept override;
  bool is_idle(const protocol::Cell& cell) const noexcept override;

  /// One cell that holds a packet as it comes from the network; null: none left.
  protocol::Cell* receive(const Bytes& packet);
  /// A port begins to read: one more reference, or that of whoever gave it.
  void to_port(protocol::Cell& cell, bool held);
  void port_done(protocol::Cell& cell);

  /// Cells that are not at home.
  std::size_t out() const { return slots_.size() - free_.size(); }
  const std::string& wrong() const { return wrong_; }
  std::size_t limit() const { return most_; }
  void set_limit(std::size_t cells) { most_ = cells; }

 private:
  struct Slot {
    protocol::Cell cell;
    std::vector<std::uint8_t> buffer;
    bool owned = false;
    unsigned ports = 0;
  };
  Slot& slot_of(const protocol::Cell& cell) const { return *by_cell_.at(&cell); }
  void go_home(Slot& slot);
  void fail(const char* what) {
    if (wrong_.empty()) wrong_ = what;
  }

  std::size_t most_;
  std::size_t room_;
  std::deque<std::unique_ptr<Slot>> slots_;
  std::unordered_map<const protocol::Cell*, Slot*> by_cell_;
  std::vector<Slot*> free_;
  std::string wrong_;
};

}  // namespace ssn::test
