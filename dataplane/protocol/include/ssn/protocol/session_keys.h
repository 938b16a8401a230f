// SPDX-License-Identifier: BSD-3-Clause
// Both directions of a connection between a data owner and an SSA (SSN-U) without a key device: keys of
// AES-256-GCM that OpenWrite or OpenRead returned over mutual TLS. Everything under them is computational,
// acknowledgements included, and carries the flag. One at each end, with the two keys swapped.
//
// A key serves 2^24 packets and is then erased; a session whose keys are used up ends, and a new one is
// needed. Keys must be fresh for every session: the packet numbers, which are the nonces, begin at 0.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "ssn/hw/result.h"
#include "ssn/protocol/opener.h"
#include "ssn/protocol/sealer.h"

namespace ssn::protocol {

struct SessionKeysOptions {
  std::uint32_t send_connection_id = 0;     ///< that the peer chose; never 0
  std::uint32_t receive_connection_id = 0;  ///< that this end chose; never 0
  std::uint16_t key_index = 1;              ///< the same at both ends
  std::uint32_t window = 8192;              ///< packets; a power of two >= 128
  std::uint64_t first_number = 0;           ///< of the packets that are sent
};

/// One thread after make(). Locked memory: two pages for the keys, and what GcmReceiver needs.
class SessionKeys {
 public:
  /// Bytes of one AES-256 key, and what a direction is given at most: 64 keys, 2^30 packets.
  static constexpr std::size_t key_bytes = gcm_key_bytes;
  static constexpr std::size_t max_keys_bytes = 64 * key_bytes;

  /// Copies the keys, one or more for each direction; the caller erases its own. Fails where they are no
  /// multiple of key_bytes, are equal in both directions, cannot be locked, or OpenSSL has no memory.
  static Result<std::unique_ptr<SessionKeys>> make(const SessionKeysOptions& options,
                                                   std::span<const std::uint8_t> send_keys,
                                                   std::span<const std::uint8_t> receive_keys);
  SessionKeys(const SessionKeys&) = delete;
  SessionKeys& operator=(const SessionKeys&) = delete;
  ~SessionKeys();

  /// For a Channel.
  SendKeys& send() noexcept;
  ReceiveKeys& receive() noexcept;
  /// For a ConnectionTable.
  ReceiveConnection& connection() noexcept;
  /// Erases what is left of the keys; nothing is sealed or opened any more.
  void end() noexcept;

 private:
  struct Parts;
  explicit SessionKeys(std::unique_ptr<Parts> parts) noexcept;

  std::unique_ptr<Parts> parts_;
};

}  // namespace ssn::protocol
