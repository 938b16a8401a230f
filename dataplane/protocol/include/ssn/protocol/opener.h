// SPDX-License-Identifier: BSD-3-Clause
// Opening: packet in, payload out. The order of checks is DESIGN's and docs/wire-format.md's: number fresh,
// tag right, number marked, range not yet opened, pad taken off. Whatever fails before the tag is right
// changes nothing but a counter, and nothing is ever answered to it.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "ssn/hw/secret_buffer.h"
#include "ssn/kernels/kernels.h"
#include "ssn/protocol/cell.h"
#include "ssn/protocol/gcm_channel.h"
#include "ssn/protocol/one_time_check.h"
#include "ssn/protocol/packet_history.h"
#include "ssn/protocol/pad_stream.h"
#include "ssn/protocol/payloads.h"
#include "ssn/protocol/tag_stream.h"

namespace ssn::protocol {

/// The receiving direction of one connection under one key index. Everything outlives it.
struct ReceiveKeys {
  std::uint16_t key_index = 0;
  PadReceiver* pads = nullptr;
  TagReceiver* tags = nullptr;       ///< null, as `history`: everything is under AES-256-GCM (SessionKeys)
  PacketHistory* history = nullptr;  ///< at least as many packets as the window of `tags`
  GcmReceiver* gcm = nullptr;        ///< null: AES-256-GCM is not permitted
  bool ended = false;
  EpochAlarm alarm = EpochAlarm::none;  ///< why it ended; to be reported and quarantined by the caller
};

/// One connection's receiving side.
struct ReceiveConnection {
  /// Key indices that can be in use at a time: the present one, one to come, and two that run out.
  static constexpr std::size_t max_keys = 4;

  std::uint32_t id = 0;
  std::array<ReceiveKeys*, max_keys> keys{};

  ReceiveKeys* find(std::uint16_t key_index) const noexcept {
    for (ReceiveKeys* const each : keys) {
      if (each != nullptr && each->key_index == key_index) return each;
    }
    return nullptr;
  }
};

/// The connections of one worker. Their receiver chose their ids: the low bits are the place in the table.
class ConnectionTable {
 public:
  /// `places`: a power of two.
  explicit ConnectionTable(std::uint32_t places);

  /// False where the id is 0 or its place is taken: choose another id.
  bool add(ReceiveConnection& connection) noexcept;
  void remove(std::uint32_t id) noexcept;
  ReceiveConnection* find(std::uint32_t id) const noexcept {
    ReceiveConnection* const found = places_[id & (places_.size() - 1)];
    return found != nullptr && found->id == id ? found : nullptr;
  }

 private:
  std::vector<ReceiveConnection*> places_;
};

/// One per worker. Nothing allocates after construction.
class Opener {
 public:
  /// `memory`: OneTimeCheck::memory_bytes, locked.
  Opener(const kernels::Implementation& implementation, PacketCounters& counters,
         const ConnectionTable& connections, hw::SecretBuffer& memory)
      : implementation_(&implementation),
        counters_(&counters),
        connections_(&connections),
        check_(implementation, memory) {}

  /// Opens packets: `data` and `length` are everything after UDP. Each gets open_result, header and the
  /// length of its payload; `data` moves to the payload. Cells of different connections may be mixed: those
  /// of one key index are opened in their order.
  void open(std::span<Cell* const> cells) noexcept;

 private:
  ReceiveKeys* begin(Cell& cell) noexcept;
  void open_all(ReceiveKeys& keys, std::span<Cell* const> cells) noexcept;
  std::size_t open_run(ReceiveKeys& keys, std::span<Cell* const> run) noexcept;
  void open_single(ReceiveKeys& keys, Cell& cell) noexcept;
  void open_one(ReceiveKeys& keys, Cell& cell) noexcept;
  void open_computational(ReceiveKeys& keys, Cell& cell) noexcept;
  void open_cell(ReceiveKeys& keys, Cell& cell, const kernels::TagKey& key,
                 const std::uint8_t* mask) noexcept;
  bool open_payload(Cell& cell, const kernels::TagKey& key, const std::uint8_t* mask,
                    std::uint8_t* pad) noexcept;
  void open_order(ReceiveKeys& keys, Cell& cell, const std::uint8_t* mask) noexcept;
  void open_clear(ReceiveKeys& keys, Cell& cell, const std::uint8_t* mask) noexcept;
  /// The range is not there to be used. Whatever is said of it, the packet is authentic.
  void settle(ReceiveKeys& keys, Cell& cell, const std::uint8_t* mask, Found found) noexcept;
  bool same_as_before(const ReceiveKeys& keys, const Cell& cell) noexcept;
  void judge_number(ReceiveKeys& keys, Cell& cell) noexcept;
  bool verify(const kernels::TagKey& key, const std::uint8_t* header, const std::uint8_t* mask,
              const Cell& cell, const std::uint8_t* tag) noexcept;
  void accept(ReceiveKeys& keys, const Cell& cell, const std::uint8_t* mask,
              std::uint32_t range_length) noexcept;
  void succeed(Cell& cell, OpenResult result) noexcept;
  void drop(Cell& cell, DropReason reason) noexcept;
  void end_epoch(ReceiveKeys& keys, Cell& cell, EpochAlarm alarm) noexcept;

  const kernels::Implementation* implementation_;
  PacketCounters* counters_;
  const ConnectionTable* connections_;
  OneTimeCheck check_;
};

/// The answer to a cell whose open_result is pad_gone; goes out as a packet of type pad_gone with its
/// placement.
PadGone answer_to(const Cell& cell) noexcept;

}  // namespace ssn::protocol
