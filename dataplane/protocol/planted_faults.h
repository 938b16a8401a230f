// SPDX-License-Identifier: BSD-3-Clause
// Broken promises on purpose, for the tests that must notice them. In what is shipped `planted` is the
// constant false and nothing of this is left; tests compile the library a second time with
// SSN_PLANTED_FAULTS.
#pragma once

#include <cstddef>
#include <cstdint>

#include "ssn/protocol/wire.h"

namespace ssn::protocol {

enum class PlantedFault : std::uint8_t {
  none,
  lost_erase,           ///< a used range is not erased
  skipped_write_ahead,  ///< offsets are used before the ledger has them on disk
  reuse_after_crash,    ///< after a restart the streams of the last epoch go on
  retake_discarded,     ///< the range of an abandoned message or keep order serves the next message
  reopen_range,         ///< the receiver's window forgets what was opened
  reuse_mask,           ///< a packet that was given up leaves its number to the next
  ignore_rollback,      ///< a node behind what its peer saw is let in
  uncovered_header,     ///< the tag leaves the last bytes of the header open
  unchecked_tag,        ///< a packet is opened whatever its tag says
  unmarked_number,      ///< an accepted packet number stays fresh
  unchecked_repeat,     ///< a second message under a pad range passes for a retransmission
  // Wire mode.
  first_share_stays,    ///< of two packets for a share the first one stays, unverified
  window_of_anybody,    ///< packets that nobody verified move the window
  clock_of_anybody,     ///< they make a block that can be given up
  pads_of_anybody,      ///< pads are discarded for what they say
  reuse_for_retry,      ///< a block whose job failed is split again with the numbers and pads of that job
  unverified_discard,   ///< the pads that a forged share names are discarded
  unchecked_share,      ///< a block is recovered whatever its tags say
  forged_late_block,    ///< where the device is late, one forged share takes the others with it
  full_ring,            ///< a receiver waits for ever for pads behind a ring that nobody empties
  share_kept,           ///< a share that is not needed any more never comes back
  frames_out_of_order,  ///< two frames of a burst change places
  frame_of_lost_block,  ///< a frame goes on behind a block that was lost
  lost_jobs_awaited,    ///< a job that the device forgot is waited for
  reuse_of_lost,        ///< its block is split again with its numbers, pads and packets
  // The transport.
  gone_is_received,  ///< a packet whose pad is gone is acknowledged like any other
  stored_early,      ///< what arrived is acknowledged as stored
  claim_let_go,      ///< numbers that a ping let go count as received
  credit_ignored,    ///< cells are sent whether the receiver has room or not
  lost_forgotten,    ///< a lost packet is neither sent again nor given back
  holes_stay,        ///< the receiver is never told what will not come
  no_probe,          ///< a sender without an answer asks for none
  no_deadline,       ///< no packet is given up for its age
  no_rest,           ///< what is lost again and again is sent again at once
  // Channels.
  read_packet_changed,  ///< a retransmission is written over a packet that a port still reads
  queued_given_back,    ///< a packet that has yet to depart goes back to the pool with its result
  refused_forgotten,    ///< what the owner had no room for is acknowledged
  settled_kept,         ///< a packet that arrived never goes back to the pool
  silent_cipher,        ///< pings show no losses of packets under AES-256-GCM
  // Stores and roles.
  skipped_sync,       ///< a batch is durable when it was written
  stored_on_arrival,  ///< a holder tells as stored what the store has not yet
  mixed_attempts,     ///< a later attempt of a cell leaves the bytes of the earlier one
  unchecked_record,   ///< the tag of a record is not looked at
  unchecked_shares,   ///< shares are recovered from whether they agree or not
};

#ifdef SSN_PLANTED_FAULTS
PlantedFault planted_fault() noexcept;
void plant(PlantedFault fault) noexcept;
inline bool planted(PlantedFault fault) noexcept { return planted_fault() == fault; }
#else
constexpr bool planted(PlantedFault) noexcept { return false; }
#endif

/// How much of the header a tag covers: all of it, unless the opposite is planted.
inline std::size_t covered_header() noexcept {
  return planted(PlantedFault::uncovered_header) ? header_bytes - 8 : header_bytes;
}

}  // namespace ssn::protocol
