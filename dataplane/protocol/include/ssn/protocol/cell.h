// SPDX-License-Identifier: BSD-3-Clause
// One packet on its way through the data plane, whatever holds its bytes: in the pipeline a Cell lies in the
// private area of an mbuf, a constant distance away, in the simulator in an arena. Protocol code works on
// bursts of Cell pointers and leaves its results in the cells.
#pragma once

#include <cstddef>
#include <cstdint>

#include "ssn/protocol/packet_counters.h"
#include "ssn/protocol/wire.h"

namespace ssn::protocol {

enum class SealResult : std::uint8_t {
  none,           ///< not yet tried
  sealed,         ///< ready to be sent
  computational,  ///< the same, but under AES-256-GCM: the object's protection class is lowered
  waiting,        ///< not now: keys, the ledger or the ring will have caught up later. Try again
  refused,        ///< too few keys, and the policy is to say so
  ended,          ///< the keys were given up: a new association is needed
  invalid,        ///< the caller broke a rule: length, headroom, type
};

enum class OpenResult : std::uint8_t {
  none,
  opened,           ///< a cell: `target` holds its `length` bytes in clear
  kept,             ///< a keep order: `target` holds the pad that is the share now
  masked,           ///< a mask order: `target` holds the mask
  contributed,      ///< a contribution: as opened
  acknowledgement,  ///< authentic; read it with read_acknowledgement()
  gone_answer,      ///< authentic; read it with read_pad_gone()
  message,          ///< authentic: a request, answer or ping, by header.type; read it with requests.h
  repeated,         ///< opened before: acknowledge again. Nothing was decrypted
  pad_gone,         ///< authentic, but its pad is gone: answer with PadGone
  dropped,          ///< `reason` says why
  alarm,            ///< the keys of this key index were given up: see ReceiveKeys::alarm
};

/// Two cache lines. Whoever made it owns the memory that it points to.
struct alignas(64) Cell {
  /// Payload in the packet's buffer. Behind it `tailroom`, in front of it `headroom` bytes are free: sealing
  /// writes overhead_bytes there, opening moves `data` behind them.
  std::uint8_t* data = nullptr;
  /// What to seal; may be `data`. Must stay until the acknowledgement where AES-256-GCM is permitted, because
  /// such a packet is encrypted anew for every transmission; then it may not be `data`.
  const std::uint8_t* source = nullptr;
  /// Where to put what is opened; null: over the ciphertext. For orders memory for secrets, never null.
  std::uint8_t* target = nullptr;
  std::uint32_t length = 0;  ///< of the payload; of the whole packet before it is opened
  std::uint32_t target_room = 0;
  std::uint16_t headroom = 0;
  std::uint16_t tailroom = 0;

  SealResult seal_result = SealResult::none;
  OpenResult open_result = OpenResult::none;
  DropReason reason = DropReason::none;
  bool computational = false;  ///< sealed or opened under AES-256-GCM
  /// Of the pad range: `length` for a cell, what is kept or masks for an order.
  std::uint32_t range_length = 0;
  /// The offload device's handle of the registered memory that `data` lies in; UINT32_MAX: not registered.
  std::uint32_t memory = UINT32_MAX;

  PacketHeader header;

  bool verified = false;      ///< while a BlockCollector holds it: its tag was checked, and right
  std::uint64_t arrived = 0;  ///< while a BlockCollector holds it: ns

  std::uint8_t* packet() const noexcept { return data - overhead_bytes; }
  std::uint32_t packet_bytes() const noexcept { return length + static_cast<std::uint32_t>(overhead_bytes); }
};

static_assert(sizeof(Cell) == 128);

}  // namespace ssn::protocol
