// SPDX-License-Identifier: BSD-3-Clause
// The messages between the drivers of two nodes: docs/key-id-messages.md. Bytes in, values out, and back.
#pragma once

#include <array>
#include <optional>
#include <span>
#include <variant>
#include <vector>

#include "ssn/key_device.h"
#include "types.h"

namespace ssn::hw::etsi014 {

using Ksid = std::array<std::uint8_t, SSN_KSID_BYTES>;
using Bytes = std::vector<std::uint8_t>;

struct Announcement {
  struct Key {
    KeyId id;
    std::uint32_t bytes = 0;
    bool operator==(const Key&) const = default;
  };
  std::vector<Key> keys;
  bool operator==(const Announcement&) const = default;
};

struct Answer {
  bool done = false;  ///< false: heard, the answer follows
  std::uint64_t offset = 0;
  std::vector<bool> got;  ///< one per key
  bool operator==(const Answer&) const = default;
};

struct End {
  enum class Reason : std::uint8_t { closed = 1, other_instance = 2, disagreement = 3 };
  Reason reason = Reason::closed;
  bool operator==(const End&) const = default;
};

struct PeerMessage {
  Ksid ksid{};
  std::uint64_t instance = 0;
  std::uint64_t sequence = 0;
  std::variant<Announcement, Answer, End> content;
  bool operator==(const PeerMessage&) const = default;
};

/// The message must keep the limits of the format (asserted).
Bytes encode(const PeerMessage& message);
/// Nothing where it is not a message of this version, byte for byte.
std::optional<PeerMessage> decode(std::span<const std::uint8_t> bytes);

}  // namespace ssn::hw::etsi014
