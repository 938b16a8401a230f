// SPDX-License-Identifier: BSD-3-Clause
// What the agent of an SSA asks of its process for data owners: control/api/session.proto. `ssn-dataplane`
// implements it; so do tests. Who may ask was settled by the agent before, with session_owner()
// and object_owner(). No type of gRPC, protocol buffers or DPDK.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "ssn/hw/result.h"
#include "ssn/hw/secret_buffer.h"

namespace ssn::agent {

struct SessionObject {
  std::uint64_t object = 0;
  std::uint64_t generation = 0;
  auto operator<=>(const SessionObject&) const = default;
};

struct SessionRequest {
  SessionObject key;
  std::string owner;         ///< the caller; the object is its own
  std::string data_address;  ///< "198.51.100.7:40312", "[2001:db8::7]:40312": numeric, with a port; checked
  std::uint32_t connection_id = 0;  ///< in packets to the owner; not 0
};

/// Of one open session. Fields as in session.proto.
struct Session {
  std::uint64_t session = 0;        ///< random, not 0, never used again
  std::string data_address;         ///< of this node's worker
  std::uint32_t connection_id = 0;  ///< in packets to this node; not 0
  std::uint16_t key_index = 0;
  hw::SecretBuffer key_to_ssa;    ///< fresh random bytes; protocol: session_keys.h says how many
  hw::SecretBuffer key_to_owner;  ///
  std::uint32_t block_bytes = 0;
  std::uint32_t secret_blocks = 1;
  std::uint32_t window_blocks = 0;
  std::uint32_t idle_ms = 0;
  std::uint64_t size = 0;              ///< of a read
  std::uint64_t blocks = 0;            ///< of a read
  std::uint64_t bytes_per_second = 0;  ///< that may move; 0: no limit
  std::string rate_of;                 ///< whose limit that is
};

enum class WriteState : std::uint8_t {
  sealing,   ///< ask again
  sealed,    ///< by the quorum, and the controller knows
  degraded,  ///< by the minimum, and the controller knows; no more will come
  failed,    ///< by fewer, or the write is over: `why`
};

struct HolderStatus {
  enum class State : std::uint8_t { writing, sealed, failed };
  std::uint32_t share = 0;
  std::string node;
  State state = State::writing;
  std::string trouble;
};

struct WriteStatus {
  WriteState state = WriteState::sealing;
  std::string why;
  std::uint32_t sealed = 0;
  std::uint32_t quorum = 0;
  std::uint32_t minimum = 0;
  std::vector<HolderStatus> holders;  ///< by share
};

/// Implementations take calls from several threads at once, up to session_calls_max, which may wait for the
/// controller (seconds, never longer than their own deadline), and take no lock that a worker holds.
class SessionHost {
 public:
  virtual ~SessionHost() = default;

  /// The owner's name as the controller says it (GetObject), whatever the object's state. not_found: the
  /// controller knows none, or it is not this node's; temporary: it does not answer.
  virtual Result<std::string> object_owner(const SessionObject& key) = 0;
  /// Of an open session, or of one that ended not long ago; nothing: there is none.
  virtual std::optional<std::string> session_owner(std::uint64_t session) = 0;

  /// The object's owner was found to be the caller. refused: its state does not permit that, or the write
  /// has, or had, a session; temporary: too many sessions, or too few holders can be reached.
  virtual Result<Session> open_write(const SessionRequest& request) = 0;
  virtual Result<Session> open_read(const SessionRequest& request) = 0;
  /// Returns after `wait` at the latest, or earlier when the state is another than sealing. Repeated with the
  /// same numbers it answers the same; with others: refused. `size` and `blocks` belong together (checked).
  virtual Result<WriteStatus> finish_write(std::uint64_t session, std::uint64_t size, std::uint64_t blocks,
                                           std::chrono::milliseconds wait) = 0;
  /// The owner is done with it, whatever its state. Nothing happens where it ended already.
  virtual void close_session(std::uint64_t session) = 0;
};

/// Calls of owners that run at once, of all owners; those beyond fail as temporary.
inline constexpr unsigned session_calls_max = 16;
/// And of one of them.
inline constexpr unsigned session_calls_of_one_max = 8;
inline constexpr std::chrono::milliseconds finish_wait_max{5000};

}  // namespace ssn::agent
