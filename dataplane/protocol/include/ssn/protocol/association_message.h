// SPDX-License-Identifier: BSD-3-Clause
// What two nodes tell each other before they open streams. Carried by the mutual-TLS calls of the control
// side, which authenticate the sender and keep the order; the data port has no handshake. docs/pads.md has
// the messages byte by byte.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "ssn/hw/result.h"
#include "ssn/protocol/ledger_state.h"

namespace ssn::protocol {

inline constexpr std::uint8_t association_version = 1;
/// Longest message.
inline constexpr std::size_t association_message_max = 16 * 1024;
using Contribution = std::array<std::uint8_t, 32>;
using Digest = std::array<std::uint8_t, 32>;

/// "This is who I am, what I have used, and what I know of you." All of it is on the sender's disk.
struct Hello {
  std::string from;
  std::string to;
  InstanceId instance{};
  std::uint64_t incarnation = 0;
  std::uint64_t attempt = 0;    ///< of this instance to associate with the receiver; from 1
  Contribution contribution{};  ///< random, fresh for each attempt
  Digest answers{};             ///< of the hello that made the sender begin this attempt; zero: its own idea
  std::uint64_t epoch = 0;      ///< the highest that the sender entered with the receiver
  // What the sender remembers of the receiver.
  std::uint64_t receiver_epoch = 0;
  std::uint64_t receiver_incarnation = 0;
  InstanceId receiver_instance{};
  // What the sender can receive.
  std::uint32_t longest_range = 0;         ///< of its D streams
  std::uint32_t window = 0;                ///< packets
  std::vector<std::uint32_t> connections;  ///< its connection id for each of the workers that it offers
  std::vector<StreamRecord> streams;       ///< of `epoch`, with the sender's marks; `sender` is its own role
};

/// "I entered this epoch, and it is on my disk."
struct Confirm {
  std::uint64_t epoch = 0;
  Digest transcript{};  ///< of both hellos
  bool again = false;   ///< the sender has not seen the receiver's confirm
};

enum class Refusal : std::uint8_t {
  you_rolled_back = 1,
  you_are_cloned = 2,
  i_rolled_back = 3,
  i_am_cloned = 4,
  quarantined = 5,  ///< still, until an operator readmits
};

struct Refused {
  Refusal reason = Refusal::quarantined;
};

using AssociationMessage = std::variant<Hello, Confirm, Refused>;

std::vector<std::uint8_t> encode(const AssociationMessage& message);
/// Nothing in `bytes` is believed. Error integrity: malformed; refused: another version.
Result<AssociationMessage> parse_association_message(std::span<const std::uint8_t> bytes);

}  // namespace ssn::protocol
