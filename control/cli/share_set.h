// SPDX-License-Identifier: BSD-3-Clause
// The share files that were given to a command: opened, told apart, and the object chosen that they restore.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "io.h"
#include "progress.h"
#include "share_file.h"
#include "splitter.h"
#include "ssn/hw/result.h"

namespace ssn::cli {

/// More are refused: twice the most that one object can have.
inline constexpr std::size_t share_arguments_max = 2 * kernels::max_shares;

enum class ShareState {
  good,
  duplicate,    ///< same share of the same object as an earlier argument, same bytes
  damaged,      ///< a checksum does not match somewhere
  truncated,    ///< ends early
  wrong,        ///< checksums match, yet its bytes contradict the other shares
  foreign,      ///< of another object
  not_a_share,  ///< no share file, or of an unknown version
  unreadable,   ///< missing, or reading failed
};

std::string_view name(ShareState state) noexcept;

/// One argument and what became of it.
struct ShareInput {
  std::string path;
  std::optional<ShareHeader> header;  ///< when the file has one that can be used
  ShareState state = ShareState::good;
  std::string detail;             ///< a sentence for a person; empty when good
  std::optional<Error> error;     ///< why it has no header, or why reading stopped
  std::uint64_t good_blocks = 0;  ///< read so far
  std::uint64_t bad_blocks = 0;
  std::uint64_t first_bad_block = 0;
  bool complete = true;  ///< as far as the file's length tells
  FileDescriptor file;   ///< positioned at the first block; closed once it is of no more use

  /// Whether it may still contribute blocks.
  bool usable() const noexcept { return file.is_open(); }
  /// gfshare files have neither header nor checksums.
  bool has_checksums() const noexcept { return header && header->header_bytes != 0; }
  void set_aside(ShareState why, std::string sentence);
};

/// Opens one share file and reads its header. Never fails: what is wrong stands in the result.
ShareInput open_share(const std::string& path);

/// Opens files that gfsplit made: the index is the number at the end of the name. `k` 0 means all of them.
std::vector<ShareInput> open_gfshare(std::span<const std::string> paths, unsigned k);

/// Reads block `block` (the next one) with its checksum into `buffer`, which has exactly its size. False when
/// the input does not have it or it is damaged; the input's finding then says why.
bool read_share_block(ShareInput& input, std::uint64_t block, std::span<std::uint8_t> buffer);

/// After the last block: notes bytes that do not belong there. They do no harm, but somebody put them there.
void check_end(ShareInput& input);

/// Reads all blocks of one share and compares their checksums: the finding is in the input.
Outcome check_share(ShareInput& input, Progress& progress);

/// Which object the shares restore: the only one of which at least k different shares are given. The others
/// become foreign. Errors: mixed_objects, unrecoverable, or the code of what made too many files unusable.
Result<ShareHeader> choose_object(std::span<ShareInput> shares);

/// "object 6f3a... " or, without an id, "an object of N bytes".
std::string object_label(const ShareHeader& header);

}  // namespace ssn::cli
