// SPDX-License-Identifier: BSD-3-Clause
// docs/kmnic.md in code: registers, descriptors and messages of a key-manager NIC. Shared by the driver and
// the device model, and nothing else is. All numbers are little-endian.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

#include "ssn/key_device.h"

static_assert(std::endian::native == std::endian::little, "the shared structures are little-endian");

namespace ssn::kmnic {

inline constexpr std::uint32_t magic = 0x434e4d4b;  // "KMNC"
inline constexpr std::uint32_t version_major = 1;
inline constexpr std::uint32_t version_minor = 0;
inline constexpr std::uint32_t version = version_major << 16 | version_minor;

/// What a register gives when no device answers any more.
inline constexpr std::uint32_t all_ones = 0xffffffff;

// ---- Registers of the function ----------------------------------------------------------------------------

namespace function {
inline constexpr std::size_t magic = 0x000;
inline constexpr std::size_t version = 0x004;
inline constexpr std::size_t capabilities = 0x008;
inline constexpr std::size_t status = 0x00c;
inline constexpr std::size_t generation = 0x010;
inline constexpr std::size_t fault_code = 0x014;
inline constexpr std::size_t numa_node = 0x018;
inline constexpr std::size_t streams_max = 0x01c;
inline constexpr std::size_t streams_offset = 0x020;
inline constexpr std::size_t stream_stride = 0x028;
inline constexpr std::size_t block_bytes_max = 0x02c;
inline constexpr std::size_t ring_bytes_min = 0x030;
inline constexpr std::size_t ring_bytes_max = 0x038;
inline constexpr std::size_t bar_bytes = 0x040;
inline constexpr std::size_t entries_max = 0x048;
inline constexpr std::size_t retain_bytes = 0x04c;
inline constexpr std::size_t identity = 0x080;
inline constexpr std::size_t identity_bytes = 128;
inline constexpr std::size_t host_version = 0x100;
inline constexpr std::size_t reset = 0x104;
inline constexpr std::size_t bytes = 0x1000;
}  // namespace function

enum Capability : std::uint32_t {
  capability_emulator = 1U << 0,  ///< not a QKD network behind it: no protection may be claimed
  capability_random = 1U << 1,    ///< streams of random bytes
};

enum FunctionStatus : std::uint32_t {
  status_ready = 1U << 0,
  status_resetting = 1U << 1,
  status_fault = 1U << 2,
};

inline constexpr std::uint32_t reset_request = 0x54455352;  // "RSET"

// ---- Registers of a stream --------------------------------------------------------------------------------

namespace stream {
inline constexpr std::size_t command = 0x000;  // low half: Command; high half: ticket
inline constexpr std::size_t answer = 0x008;   // low half: Answer; high half: ticket
// Parameters of an opening.
inline constexpr std::size_t ksid = 0x040;
inline constexpr std::size_t role = 0x050;
inline constexpr std::size_t block_bytes = 0x054;
inline constexpr std::size_t ring_bytes = 0x058;
inline constexpr std::size_t ring_page_bytes = 0x060;
inline constexpr std::size_t ring_pages = 0x068;
inline constexpr std::size_t entries = 0x070;
inline constexpr std::size_t generation = 0x074;
inline constexpr std::size_t descriptor_pages = 0x078;
inline constexpr std::size_t status_address = 0x080;
inline constexpr std::size_t rate = 0x088;
inline constexpr std::size_t local_length = 0x090;
inline constexpr std::size_t peer_length = 0x094;
inline constexpr std::size_t local_name = 0x100;
inline constexpr std::size_t peer_name = 0x200;
inline constexpr std::size_t name_bytes = 256;
// Doorbells.
inline constexpr std::size_t key_credit = 0x400;
inline constexpr std::size_t descriptor_credit = 0x408;
inline constexpr std::size_t redeliver = 0x440;  // low 48 bits: sequence; high 16 bits: attempt
inline constexpr std::size_t ping = 0x480;
inline constexpr std::size_t bytes = 0x1000;
}  // namespace stream

enum Command : std::uint32_t { command_none = 0, command_open = 1, command_close = 2 };

enum Answer : std::uint32_t {
  answer_ok = 0,
  answer_no_link = 1,      ///< no such peer
  answer_refused = 2,      ///< this KSID was used, or this node may not have it
  answer_exhausted = 3,    ///< too many streams, or no memory
  answer_bad_request = 4,  ///< a parameter is out of range
  answer_bad_address = 5,  ///< memory that the device may not reach
  answer_unsupported = 6,  ///< no such role, or a version that it does not speak
  answer_generation = 7,   ///< the device was reset in between
  answer_no_manager = 8,   ///< the key manager cannot be reached
};

// ---- Host memory ------------------------------------------------------------------------------------------

inline constexpr std::size_t list_page_bytes = 4096;
/// Addresses in a page of a page list; one more leads to the next page.
inline constexpr std::size_t list_page_entries = list_page_bytes / 8 - 1;
inline constexpr std::uint64_t block_multiple = 64;
inline constexpr std::uint32_t block_bytes_least = 4096;
inline constexpr std::uint32_t entries_least = 16;
inline constexpr std::uint64_t sequence_mask = (std::uint64_t{1} << 48) - 1;
inline constexpr unsigned attempt_shift = 48;

/// One delivered key block.
struct Descriptor {
  std::uint64_t sequence;
  std::uint64_t offset;
  std::array<std::uint8_t, SSN_KSID_BYTES> ksid;
  std::uint32_t length;
  std::uint32_t generation;
  std::uint32_t key_check;  ///< CRC-32C of the first covered_bytes of this structure, then of the key bytes
  std::uint16_t attempt;
  std::uint16_t flags;
  std::uint64_t reserved;
  std::uint32_t check;  ///< CRC-32C of everything before it
  std::uint32_t turn;   ///< written last: how often the ring has come around, from 1
};
static_assert(sizeof(Descriptor) == 64 && offsetof(Descriptor, key_check) == 40 &&
              offsetof(Descriptor, check) == 56 && offsetof(Descriptor, turn) == 60);
inline constexpr std::size_t covered_bytes = offsetof(Descriptor, key_check);

enum StreamState : std::uint32_t { state_opening = 0, state_open = 1, state_ended = 2 };

enum EndReason : std::uint32_t {
  end_none = 0,
  end_closed = 1,      ///< by the host
  end_manager = 2,     ///< by the key manager
  end_reset = 3,       ///< the device was reset
  end_fault = 4,       ///< the device failed
  end_not_held = 5,    ///< a redelivery was asked for that the device does not hold
  end_host_broke = 6,  ///< the host broke a rule
};

enum StreamHealth : std::uint32_t { stream_ok = 0, stream_starved = 1 };

/// What the device tells about a stream, in host memory so that the host need not read registers.
struct StatusBlock {
  std::uint32_t generation;
  std::uint32_t state;
  std::uint32_t end_reason;
  std::uint32_t health;
  std::uint64_t level;
  std::uint64_t bytes_per_second;
  std::uint32_t pong;
  std::uint32_t reserved1;
  std::uint64_t blocks;  ///< delivered so far
  std::uint64_t reserved2[2];
};
static_assert(sizeof(StatusBlock) == 64 && offsetof(StatusBlock, pong) == 32 &&
              offsetof(StatusBlock, blocks) == 40);

// ---- Emulated bus: messages on the UNIX socket (SOCK_SEQPACKET) -------------------------------------------

enum MessageKind : std::uint32_t {
  message_hello = 1,  ///< host: version; device: bar_bytes, with the descriptor of the registers' memory
  message_map = 2,    ///< host: memory at a bus address, with its descriptor; device: result
  message_unmap = 3,  ///< host: a bus address; device: result
  message_kick = 4,   ///< host: look at your registers; no answer
};

struct Message {
  std::uint32_t magic;
  std::uint32_t kind;
  std::uint32_t version;
  std::uint32_t result;     ///< of an answer: an errno value, 0 for success
  std::uint64_t address;    ///< bus address
  std::uint64_t bytes;      ///< of memory, or of the registers
  std::uint64_t fd_offset;  ///< where the memory begins in its file
  std::uint64_t page_bytes;
  std::uint64_t reserved[2];
};
static_assert(sizeof(Message) == 64);

}  // namespace ssn::kmnic
