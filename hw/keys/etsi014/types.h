// SPDX-License-Identifier: BSD-3-Clause
// What the parts of the driver have in common: limits, time, key IDs, what a key manager says.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "ssn/hw/secret_buffer.h"

namespace ssn::hw::etsi014 {

/// Milliseconds of a steady clock.
using Time = std::int64_t;
inline constexpr Time never = INT64_MAX;

inline constexpr std::size_t max_keys_per_batch = 256;
inline constexpr std::size_t max_key_bytes = std::size_t{8} << 20;
inline constexpr std::size_t max_key_id_length = 128;

/// A key_ID. The standard wants a UUID in a string; some key managers count.
struct KeyId {
  std::string text;
  bool number = false;
  bool operator==(const KeyId&) const = default;
};

/// Characters 0x21 to 0x7e without " and \; of a number, up to 19 digits without leading zeros. Such an ID
/// needs no escaping in JSON.
bool acceptable(const KeyId& id) noexcept;

/// Answer to Get status. Sizes are in bits. A member that is missing or makes no sense is 0.
struct KmeStatus {
  std::string source_kme, target_kme, master_sae, slave_sae;
  std::uint64_t key_size = 0;
  std::uint64_t stored_key_count = 0;
  bool has_stored_key_count = false;
  std::uint64_t max_key_count = 0;
  std::uint64_t max_key_per_request = 0;
  std::uint64_t max_key_size = 0;
  std::uint64_t min_key_size = 0;
  std::uint64_t max_sae_id_count = 0;
  bool emulator = false;  ///< status_extension says so
};

/// One key of a key container; the base64 text stays where it was received.
struct DeliveredKey {
  KeyId id;
  std::size_t begin = 0;   ///< of the text in the received body
  std::size_t length = 0;  ///< of the text
  std::size_t bytes = 0;   ///< of the key
};

struct KeyContainer {
  std::vector<DeliveredKey> keys;
  std::size_t unusable = 0;  ///< entries without a usable ID or key, or beyond the limit
  bool emulator = false;     ///< key_container_extension says so
};

/// A received answer in memory for secrets. What was written is erased before the buffer is used again.
struct Body {
  SecretBuffer memory;
  std::size_t begin = 0;    ///< of the HTTP body
  std::size_t length = 0;   ///< of the HTTP body
  std::size_t written = 0;  ///< bytes of memory that hold anything

  std::uint8_t* data() noexcept { return memory.data() + begin; }
  const std::uint8_t* data() const noexcept { return memory.data() + begin; }
  void erase() noexcept;
};

/// Room that a JSON reader needs behind the text.
inline constexpr std::size_t body_slack = 256;

}  // namespace ssn::hw::etsi014
