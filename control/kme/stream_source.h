// SPDX-License-Identifier: BSD-3-Clause
// What the device model of a key-manager NIC asks of the emulated QKD network behind it: the bytes of one end
// of a key stream, as fast as the link has them. Implemented by the link model; tests have their own.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "ssn/hw/result.h"
#include "ssn/key_device.h"

namespace ssn::kme {

using Ksid = std::array<std::uint8_t, SSN_KSID_BYTES>;

/// One end of one key stream. Used by one thread.
class StreamSource {
 public:
  StreamSource() = default;
  StreamSource(const StreamSource&) = delete;
  StreamSource& operator=(const StreamSource&) = delete;
  /// Ends this end of the stream; bytes that were not asked for are gone for it.
  virtual ~StreamSource() = default;

  /// Writes the next bytes of the stream and returns how many: fewer than asked, or 0, when the link has no
  /// more at present. Never blocks.
  virtual std::size_t next(std::span<std::uint8_t> out) noexcept = 0;
  /// Bytes that next() could give at once.
  virtual std::uint64_t level() noexcept = 0;
  /// False once the stream can never give anything again (the key manager dropped it).
  virtual bool alive() noexcept = 0;
};

/// Opens ends of key streams. Thread-safe.
class StreamProvider {
 public:
  virtual ~StreamProvider() = default;

  struct Request {
    std::string local;  ///< SAE ID of the node that asks
    std::string peer;   ///< SAE ID of the other end; empty for random bytes
    Ksid ksid{};
    ssn_key_role role = SSN_KEY_SENDER;
  };
  /// not_found: no such link; refused: this end of this KSID was opened before.
  virtual Result<std::unique_ptr<StreamSource>> open(const Request& request) = 0;
};

}  // namespace ssn::kme
