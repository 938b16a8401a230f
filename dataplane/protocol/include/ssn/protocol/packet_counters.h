// SPDX-License-Identifier: BSD-3-Clause
// What happened to packets. Every packet that goes no further has one reason, and every reason is counted.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace ssn::protocol {

enum class DropReason : std::uint8_t {
  none,
  too_short,
  too_long,
  unknown_version,
  unknown_type,
  reserved_bits,
  bad_field,           ///< a number or an offset that no sender of ours writes
  bad_length,          ///< a payload that its type cannot have
  unknown_connection,  ///< or one that belongs to another worker
  unknown_key_index,
  epoch_ended,          ///< its keys were given up
  not_permitted,        ///< AES-256-GCM where the policy forbids it, or pads where there are none
  number_too_old,       ///< behind the replay window
  number_replayed,      ///< the same packet once more
  mask_not_delivered,   ///< the key device is behind the network
  bad_tag,              ///< forged or damaged
  pad_not_delivered,    ///< authentic, but the key device is behind the network
  pad_range_forgotten,  ///< authentic, but so late that nothing is known of its range any more
  bad_order,            ///< authentic, but its contents contradict each other
  no_room,              ///< the caller gave no room for what it would yield
  // Wire mode: block_collector.h. Nothing is known of the authenticity of the first two.
  late_share,      ///< not needed any more: its block was recovered from other shares
  block_given_up,  ///< too few shares of its block came in time
  too_far_ahead,   ///< its block is beyond the window
  unknown_stream,  ///< no stream of this node's
};
inline constexpr std::size_t drop_reason_count = 24;

/// "bad_tag", ... ; stable, for metrics.
std::string_view name(DropReason reason) noexcept;

/// Why the keys of a key index were given up. Each one is an alarm: it happens only if a node was cloned or
/// rolled back, or is not what it seems.
enum class EpochAlarm : std::uint8_t {
  none,
  number_reused,  ///< two authentic packets with one number
  range_reused,   ///< two authentic packets with other bytes under one pad range
  range_overlap,  ///< authentic, and only a part of its range was used before
  keys_differ,    ///< a keep or mask order is authentic, but its pad is not the same at both ends
};

std::string_view name(EpochAlarm alarm) noexcept;

/// Of one worker. Plain numbers: one thread writes them.
struct PacketCounters {
  std::array<std::uint64_t, drop_reason_count> dropped{};
  std::uint64_t sealed = 0;         ///< new packets, AES-256-GCM ones included
  std::uint64_t retransmitted = 0;  ///< sealed again under a new packet number
  std::uint64_t sealed_bytes = 0;   ///< payload of both
  std::uint64_t opened = 0;         ///< authentic packets with news in them
  std::uint64_t opened_bytes = 0;
  std::uint64_t repeated = 0;   ///< authentic packets whose range was opened before: acknowledged again
  std::uint64_t pads_gone = 0;  ///< authentic, but the pad was discarded here: answered with PadGone
  std::uint64_t sealed_computational = 0;  ///< of `sealed`, under AES-256-GCM: the lower protection class
  std::uint64_t opened_computational = 0;
  std::uint64_t short_of_keys = 0;  ///< cells that could not be sealed when asked
  std::uint64_t epochs_ended = 0;   ///< alarms

  void drop(DropReason reason) noexcept { ++dropped[static_cast<std::size_t>(reason)]; }
  std::uint64_t dropped_for(DropReason reason) const noexcept {
    return dropped[static_cast<std::size_t>(reason)];
  }
};

}  // namespace ssn::protocol
