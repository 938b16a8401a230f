// SPDX-License-Identifier: BSD-3-Clause
// The share file format, version 1: docs/share-file-format.md describes every byte. Pure functions over
// bytes: no file is opened here, so that a fuzzer can call all of it.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "ssn/hw/result.h"
#include "ssn/kernels/code.h"

namespace ssn::cli {

inline constexpr std::size_t share_header_bytes = 512;       ///< that version 1 writes
inline constexpr std::size_t share_header_bytes_max = 4096;  ///< that version 1 accepts
/// Bytes from the start of the file that say how long the header is.
inline constexpr std::size_t share_prefix_bytes = 12;
inline constexpr std::size_t block_checksum_bytes = 8;
inline constexpr std::uint32_t block_bytes_min = 64;
inline constexpr std::uint32_t block_bytes_max = 16U << 20;
/// A reader needs one block of every share in memory: block_bytes * n stays below this.
inline constexpr std::uint64_t blocks_of_all_shares_max = std::uint64_t{256} << 20;
inline constexpr std::uint64_t object_bytes_max = std::uint64_t{1} << 60;

/// Where the random blocks came from. Values are stable.
enum class RandomOrigin : std::uint8_t {
  none = 0,    ///< scheme rs: no random blocks, no secrecy
  drbg = 1,    ///< AES-256-CTR seeded by the kernel: secrecy is computational
  device = 2,  ///< bytes of an external generator, used as they are
};

std::string_view name(RandomOrigin origin) noexcept;

using ObjectId = std::array<std::uint8_t, 16>;
std::string to_hex(const ObjectId& id);

struct ShareHeader {
  kernels::Scheme scheme = kernels::Scheme::systematic;
  unsigned k = 0;
  unsigned n = 0;
  unsigned data_blocks = 1;  ///< L
  unsigned share = 0;        ///< 1..n
  RandomOrigin random = RandomOrigin::none;
  std::uint32_t block_bytes = 0;  ///< share bytes of every block but the last
  std::uint64_t object_bytes = 0;
  ObjectId object_id{};
  std::size_t header_bytes = share_header_bytes;

  /// Whether two shares belong together: everything but the share index and header length is the same.
  bool same_object(const ShareHeader& other) const noexcept;
};

void encode_header(const ShareHeader& header, std::span<std::uint8_t, share_header_bytes> out) noexcept;

/// Reads the first share_prefix_bytes of a file: how many bytes parse_header() wants. Errors: not a share
/// file, a version that this program does not know, an impossible header length.
Result<std::size_t> parse_prefix(std::span<const std::uint8_t> prefix);

/// Reads a whole header and checks every field. Errors have code not_a_share (foreign, truncated or too new)
/// or integrity (it is a share file, but its header is damaged).
Result<ShareHeader> parse_header(std::span<const std::uint8_t> bytes);

// ---- Geometry: block b holds the object's bytes [b * L * block_bytes, ...).
// --------------------------------

std::uint64_t block_count(const ShareHeader& header) noexcept;
/// Object bytes in block `block` < block_count().
std::size_t block_data_bytes(const ShareHeader& header, std::uint64_t block) noexcept;
/// Share bytes in it, without the checksum: ceil(data bytes / L). The data is filled up with zeros.
std::size_t block_share_bytes(const ShareHeader& header, std::uint64_t block) noexcept;
/// Length of the whole share file.
std::uint64_t share_file_bytes(const ShareHeader& header) noexcept;

// ---- Checksums
// ---------------------------------------------------------------------------------------------

/// CRC-64/XZ (ECMA-182, reflected). `previous` continues an earlier call.
std::uint64_t crc64(std::span<const std::uint8_t> bytes, std::uint64_t previous = 0) noexcept;

/// Checksum of a block: over object id, share index, block number and the share bytes, so that a block that
/// was moved to another place or file does not pass. Finds accidental damage; anyone can compute it, so it
/// does not stop a forger.
class BlockChecksum {
 public:
  BlockChecksum(const ObjectId& object_id, unsigned share) noexcept;
  std::uint64_t of(std::uint64_t block, std::span<const std::uint8_t> share_bytes) const noexcept;
  /// Appends the checksum: `buffer` is the share bytes and room for block_checksum_bytes.
  void seal(std::uint64_t block, std::span<std::uint8_t> buffer) const noexcept;
  /// Whether share bytes and the checksum behind them fit.
  bool matches(std::uint64_t block, std::span<const std::uint8_t> buffer) const noexcept;

 private:
  std::uint64_t start_;
};

/// The block size that split chooses: large enough for full speed, small enough for bounded memory.
std::uint32_t default_block_bytes(unsigned n) noexcept;

}  // namespace ssn::cli
