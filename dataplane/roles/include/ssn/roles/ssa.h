// SPDX-License-Identifier: BSD-3-Clause
// Role ssa, one worker's part of it: takes the blocks of data owners, splits them, gives each holder its
// share, and recovers blocks from the shares of the k best holders. docs/ssa.md says what it promises.
//
// Sans-IO. It owns no connection: whoever does (the pipeline, the simulator, a test) feeds Channels with
// packets and time, hands over what they deliver, and takes their departures. The Ssa calls allowance, send,
// post, abandon, take_settled, stored, refuse and set_credit of the Channels that it was given, nothing else.
//
//   opened -> Channel::arrived -> delivered_from_owner / delivered_from_holder -> step -> Channel departures
//
// Sessions are made by make_write and make_read, which allocate and may run on any thread, then given to the
// worker with open_..., taken back with close, and destroyed on any thread. Everything else belongs to one
// thread and allocates nothing. Time is an argument, in ns on any clock that only grows.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "ssn/hw/result.h"
#include "ssn/kernels/kernels.h"
#include "ssn/protocol/cell.h"
#include "ssn/roles/object_layout.h"
#include "ssn/roles/random_blocks.h"
#include "ssn/roles/rate_meter.h"

namespace ssn::protocol {
class Channel;
class PacketPool;
}  // namespace ssn::protocol

namespace ssn::roles {

/// Cells that a keep order stands for at most; shareholders have memory for as many.
inline constexpr std::uint32_t usual_keep_cells = 16;

struct SsaOptions {
  std::uint16_t holders = 256;   ///< numbers of holders are below this
  std::uint16_t owners = 256;    ///< owner sessions at a time; their numbers are below this
  std::uint16_t sessions = 256;  ///< writes and reads at a time, at most 1024
  std::uint32_t window = 512;  ///< of a write: cells of a share that are not durable everywhere; power of two
  std::uint32_t blocks = 16384;  ///< of owners in all windows; each write gets its part of it
  /// With rotating rows: holders whose turn it is keep pad as their share. Only where all that DESIGN 5 asks
  /// for is known to hold.
  bool pad_shares = false;
  std::uint32_t keep_cells = usual_keep_cells;  ///< of a keep order at most; at most 64
  std::uint16_t read_batches = 16;              ///< of a read: batches of at most 64 cells on their way
  std::uint16_t all_batches = 128;              ///< of all reads; each read gets its part of it, one at least
  unsigned surplus = 1;  ///< shares beyond k that a read asks for, to check the others; 0: none
  std::uint64_t cell_ns = 10'000'000'000;  ///< a share is tried to be sent for so long
  std::uint64_t away_ns = 3'000'000'000;   ///< a holder without connection is waited for so long
  std::uint64_t stall_ns = 1'000'000'000;  ///< a holder may stop an owner for so long in a write, all in all
  std::uint64_t lag_ns = 10'000'000'000;   ///< a share that a quorum has is waited for so long elsewhere
  std::uint64_t seal_ns = 10'000'000'000;  ///< a holder has so long to seal
  std::uint64_t finish_ns = 30'000'000'000;  ///< blocks that finish_write() counted have so long to arrive
  std::uint64_t read_ns = 5'000'000'000;     ///< a block that was asked for is given by then, or answered
  std::uint64_t least_late_ns = 2'000'000;   ///< a holder is never late before that
  std::uint64_t most_late_ns = 200'000'000;  ///< and always after that
  unsigned splits_again = 64;  ///< in a write; then the holder that caused it has failed; at most 127
};

/// Why something went wrong; "holder_away", ...
enum class SsaTrouble : std::uint8_t {
  none,
  away,        ///< no connection, for too long
  slow,        ///< it held up the owner for too long
  expired,     ///< a share did not arrive in time
  unreliable,  ///< it lost shares on the way too often
  read_only,   ///< the holder's answers
  disk_full,
  io_error,
  refused,
  incomplete,  ///< it had said that it had stored what it does not have now
  quarantined,
  lies,             ///< its shares contradict those of the others
  too_few_holders,  ///< fewer than the minimum are left
  blocks_missing,   ///< finish_write() counted blocks that never arrived
  owner_gone,       ///< its session was removed
  protocol,         ///< the owner sent what no owner may send
};
std::string_view name(SsaTrouble trouble) noexcept;
/// A sentence: what it means and what to do.
std::string_view describe(SsaTrouble trouble) noexcept;

/// What one holder has of a written object.
struct HolderResult {
  std::uint8_t share = 0;
  std::uint16_t holder = 0;
  bool sealed = false;
  SsaTrouble trouble = SsaTrouble::none;  ///< why not sealed
};

/// The end of a write.
struct WriteResult {
  bool ended = false;
  SsaTrouble why = SsaTrouble::none;  ///< none: at least the minimum of holders sealed
  std::uint32_t cells = 0;            ///< of each share
  unsigned sealed = 0;
  unsigned quorum = 0;
  unsigned minimum = 0;
  Protection protection = Protection::unknown;
  std::vector<AttemptRun> attempts;
  std::vector<HolderResult> holders;  ///< by share
};

struct WriteOrder {
  ObjectKey key;
  ObjectLayout layout;
  std::uint16_t owner = 0;  ///< number of its session: add_owner()
  SessionMeters meters{};   ///< what its blocks are charged to; they outlive it
};

struct ReadOrder {
  ObjectKey key;
  ObjectLayout layout;
  std::uint16_t owner = 0;
  std::uint32_t cells = 0;           ///< of each share, as sealed
  std::vector<AttemptRun> attempts;  ///< as sealed
  std::vector<std::uint8_t> shares;  ///< that are sealed
  SessionMeters meters{};
};

class SsaWrite;
class SsaRead;
struct SsaWriteDeleter {
  void operator()(SsaWrite* write) const noexcept;
};
struct SsaReadDeleter {
  void operator()(SsaRead* read) const noexcept;
};
using SsaWritePointer = std::unique_ptr<SsaWrite, SsaWriteDeleter>;
using SsaReadPointer = std::unique_ptr<SsaRead, SsaReadDeleter>;

/// usage: what of the order is wrong. Any thread.
Result<SsaWritePointer> make_write(const WriteOrder& order, const SsaOptions& options);
Result<SsaReadPointer> make_read(const ReadOrder& order, const SsaOptions& options);

/// Names an open session; 0 is none.
using SsaSession = std::uint32_t;

/// Fixed size: events are made while packets flow.
struct SsaEvent {
  enum class Kind : std::uint8_t {
    write_ended,    ///< see Ssa::result()
    holder_failed,  ///< for this object: `trouble` says why
    holder_lies,    ///< its share of `cell` contradicts the others; it is not asked any more in this session
    split_again,    ///< from `cell` on, as `attempt`, because of the holder
    contradiction,  ///< shares of `cell` contradict each other and it cannot be told which ones are wrong
    session_dropped,  ///< its owner's session was removed
  };
  Kind kind = Kind::write_ended;
  SsaTrouble trouble = SsaTrouble::none;
  std::uint8_t share = 0;
  std::uint16_t holder = 0;
  std::uint16_t attempt = 0;
  std::uint32_t cell = 0;
  SsaSession session = 0;
  ObjectKey key;
};

/// Plain numbers: one thread writes them.
struct SsaCounters {
  std::uint64_t blocks_in = 0;       ///< of owners
  std::uint64_t blocks_again = 0;    ///< that were there already
  std::uint64_t blocks_refused = 0;  ///< no room, or not of a session of this owner
  std::uint64_t blocks_stored = 0;   ///< told to owners
  std::uint64_t blocks_paced = 0;    ///< of owners, in and out, that a limit of rate was charged for
  std::uint64_t cells_split = 0;
  std::uint64_t cells_split_again = 0;
  std::uint64_t shares_sent = 0;
  std::uint64_t shares_kept = 0;  ///< of them, pad that its holder has: only ordered
  std::uint64_t shares_stored = 0;
  std::uint64_t shares_lost = 0;  ///< expired, or their connection ended
  std::uint64_t short_of_packets = 0;
  std::uint64_t short_of_random = 0;
  std::uint64_t holders_failed = 0;
  std::uint64_t writes_ended = 0;
  std::uint64_t writes_failed = 0;
  std::uint64_t blocks_asked = 0;      ///< by owners
  std::uint64_t blocks_out = 0;        ///< given to them
  std::uint64_t blocks_not_given = 0;  ///< answered: cannot be had
  std::uint64_t shares_asked = 0;
  std::uint64_t shares_in = 0;
  std::uint64_t shares_unwanted = 0;  ///< that came too late, or were never asked for
  std::uint64_t holders_late = 0;
  std::uint64_t cells_checked = 0;    ///< recovered with a surplus share that agreed
  std::uint64_t cells_unchecked = 0;  ///< recovered from k shares, no other could be had
  std::uint64_t cells_corrected = 0;  ///< with shares that were wrong, and named
  std::uint64_t cells_contradict = 0;
  std::uint64_t events_lost = 0;
};

class Ssa {
 public:
  /// Everything outlives it.
  Ssa(const SsaOptions& options, const kernels::Implementation& implementation, protocol::PacketPool& pool,
      RandomBlocks& random);
  ~Ssa();
  Ssa(const Ssa&) = delete;
  Ssa& operator=(const Ssa&) = delete;

  /// A connection to a holder is there. False: the number is out of range or in use.
  bool add_holder(std::uint16_t holder, protocol::Channel& channel, std::uint64_t now) noexcept;
  /// The connection ended. The Channel is not touched any more: what it still carries counts as lost.
  void remove_holder(std::uint16_t holder, std::uint64_t now) noexcept;
  bool add_owner(std::uint16_t owner, protocol::Channel& channel, std::uint64_t now) noexcept;
  /// Its writes end, its reads are over; close() them.
  void remove_owner(std::uint16_t owner, std::uint64_t now) noexcept;

  /// 0: too many sessions, no such owner, or this owner has one for this object; `write` is then untouched.
  SsaSession open_write(SsaWritePointer& write, std::uint64_t now) noexcept;
  SsaSession open_read(SsaReadPointer& read, std::uint64_t now) noexcept;
  /// The object has so many blocks. What is missing of the last cell's blocks is zeros. Repeated: nothing.
  void finish_write(SsaSession session, std::uint64_t blocks, std::uint64_t now) noexcept;
  /// Null: no such write. Until close().
  const WriteResult* result(SsaSession session) const noexcept;
  /// Ends a session, whatever it is doing, and gives it back for destruction elsewhere; null: no such one.
  SsaWritePointer close_write(SsaSession session, std::uint64_t now) noexcept;
  SsaReadPointer close_read(SsaSession session, std::uint64_t now) noexcept;

  /// What Channel::arrived() delivered. The cells are the Ssa's now.
  void delivered_from_owner(std::uint16_t owner, std::span<protocol::Cell* const> cells,
                            std::uint64_t now) noexcept;
  void delivered_from_holder(std::uint16_t holder, std::span<protocol::Cell* const> cells,
                             std::uint64_t now) noexcept;
  /// Everything that can be done now: once a burst, and when next_due() has come. The Channels' step() comes
  /// before it.
  void step(std::uint64_t now) noexcept;
  /// UINT64_MAX: when something arrives.
  std::uint64_t next_due() const noexcept;

  std::size_t take_events(std::span<SsaEvent> events) noexcept;
  const SsaCounters& counters() const noexcept;

 private:
  class Implementation;
  std::unique_ptr<Implementation> implementation_;
};

}  // namespace ssn::roles
