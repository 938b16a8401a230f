// SPDX-License-Identifier: BSD-3-Clause
// Between the structures of session_host.h and the messages of control/api/session.proto, both ways. Keys are
// erased from messages once they are read; while gRPC carries them they lie in its memory, which is not
// locked.
#pragma once

#include "ssn/dataplane/session_host.h"

namespace ssn::dataplane::v1 {
class OpenSessionRequest;
class Session;
class WriteStatus;
}  // namespace ssn::dataplane::v1

namespace ssn::agent {

namespace api = ssn::dataplane::v1;

/// Of one direction; at most.
inline constexpr std::size_t session_key_bytes_max = 64 << 10;
/// Longest payload of a packet that an object may ask for.
inline constexpr std::uint32_t block_bytes_max = 16320;

void write(const SessionRequest& request, api::OpenSessionRequest& message);
/// usage: a field is out of its limits. Without the owner, whom the message does not name.
Result<SessionRequest> read(const api::OpenSessionRequest& message);

void write(const Session& session, api::Session& message);
/// Takes the keys out of the message. integrity: a field is out of its limits; temporary: no memory for keys.
Result<Session> read(api::Session& message);

void write(const WriteStatus& status, api::WriteStatus& message);
/// What is not known counts as failed.
WriteStatus read(const api::WriteStatus& message);

}  // namespace ssn::agent
