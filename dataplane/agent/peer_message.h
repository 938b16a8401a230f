// SPDX-License-Identifier: BSD-3-Clause
// Takes apart what peers send: control/api/peering.proto. Nothing is believed.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <variant>

#include "ssn/dataplane/peer_channel.h"
#include "ssn/hw/result.h"

namespace ssn::dataplane::v1 {
class PeerMessage;
}

namespace ssn::agent {

inline constexpr std::uint32_t peer_version = 1;

struct Hello {};
struct PeerPayload {
  dataplane::PeerMessageKind kind{};
  std::span<const std::uint8_t> bytes;  ///< of the message
};

/// Where a stream stands: the hello comes first, and once.
class PeerReader {
 public:
  /// `peer`: whose certificate it is.
  explicit PeerReader(std::string peer) : peer_(std::move(peer)) {}
  /// integrity: no peer of this version sends that; the stream must end.
  Result<std::variant<Hello, PeerPayload>> take(const dataplane::v1::PeerMessage& message);

 private:
  std::string peer_;
  bool greeted_ = false;
};

void write_hello(const std::string& node, dataplane::v1::PeerMessage& message);
void write_payload(dataplane::PeerMessageKind kind, std::span<const std::uint8_t> bytes,
                   dataplane::v1::PeerMessage& message);

}  // namespace ssn::agent
