// SPDX-License-Identifier: BSD-3-Clause
// The byte kernels of the data plane: split, recover, dot, check, pad, tag and random, alone and fused.
//
// All operations work on columns of bytes: byte i of every output depends on byte i of every input only.
// Buffers are plain pointers of any alignment and of one common length >= 1. Nothing allocates, locks, logs
// or calls the system. No branch and no memory index depends on the contents of data, random blocks, pads,
// shares or keys; results that are public by nature (a tag matched, shares disagree) are returned.
//
// Aliasing: an output may be exactly the same buffer as its own pad (the ciphertext then replaces the used
// pad, which is also the fastest way). When there is only one output it may be exactly the same buffer as
// any one input or input pad. All other overlap is undefined.
//
// Threads: implementations, transforms and tag keys are immutable and may be shared. A RandomGenerator
// belongs to one thread at a time.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "ssn/kernels/code.h"
#include "ssn/kernels/status.h"
#include "ssn/kernels/transform.h"

namespace ssn::kernels {

// ---- Implementations ----------------------------------------------------------------------------------

/// One set of kernels: "scalar", "isal", "avx2" or "avx512_gfni". All give identical bytes.
class Implementation;

std::string_view name(const Implementation& implementation) noexcept;
std::string_view description(const Implementation& implementation) noexcept;
/// Whether this CPU, and the operating system's saving of its registers, allow it.
bool supported(const Implementation& implementation) noexcept;

/// Every implementation in this build, best first.
std::span<const Implementation* const> implementations() noexcept;

/// Finds an implementation by name for a caller that wants a particular one. Unknown names and names that
/// this machine cannot run are errors; there is no silent fallback. Runs the self-test of what it found.
Status find(std::string_view name, const Implementation*& found) noexcept;

/// What this process should use: the one that the environment variable SSN_KERNELS names, or the best
/// supported one where it is unset or empty. Runs the self-test and fails rather than compute wrongly.
/// Call once at start and pass the result on.
Status select(const Implementation*& chosen) noexcept;

/// Runs every operation on known answers; self_test_failed when a result differs. About a millisecond.
Status self_test(const Implementation& implementation) noexcept;

// ---- Random blocks --------------------------------------------------------------------------------------

/// AES-256 in counter mode (NIST SP 800-38A, 6.5): block i of the stream is the encryption of the 128-bit
/// big-endian number i. Equal to OpenSSL's AES-256-CTR over zeros with an all-zero IV. Makes the secrecy of
/// what is split with it computational. Seed it with 32 bytes from the operating system, once.
class RandomGenerator {
 public:
  static constexpr std::size_t seed_bytes = 32;
  /// 2^36 blocks, 1 TiB: far below the birthday bound of a 128-bit block. Afterwards random_exhausted.
  static constexpr std::uint64_t max_blocks = std::uint64_t{1} << 36;

  RandomGenerator() noexcept = default;
  RandomGenerator(const RandomGenerator&) = delete;
  RandomGenerator& operator=(const RandomGenerator&) = delete;
  /// Erases the key.
  ~RandomGenerator() noexcept;

  /// Starts a stream. `seed` is copied into a key schedule; the caller erases its own copy.
  void seed(std::span<const std::uint8_t, seed_bytes> seed) noexcept;

  /// Blocks of 16 bytes that are left; 0 before seed().
  std::uint64_t blocks_left() const noexcept { return max_blocks - next_block_; }

  // For operations: takes `blocks` off the stream, random_exhausted when there are not as many.
  Status take(std::uint64_t blocks, std::uint64_t& first) noexcept;
  const std::uint8_t* round_keys() const noexcept { return round_keys_.data(); }

 private:
  alignas(64) std::array<std::uint8_t, 15 * 16> round_keys_{};
  std::uint64_t next_block_ = max_blocks;
};

/// Fills `length` bytes and advances the stream by ceil(length / 16) blocks.
Status random(const Implementation& implementation, RandomGenerator& generator, std::uint8_t* out,
              std::size_t length) noexcept;

// ---- Tags -----------------------------------------------------------------------------------------------

inline constexpr std::size_t tag_bytes = 16;

/// A 16-byte hash key r with the powers that one implementation needs. Made by expand(), to be used with the
/// same implementation only (asserted). Secret; erased on destruction.
class TagKey {
 public:
  TagKey() noexcept = default;
  TagKey(const TagKey&) = delete;
  TagKey& operator=(const TagKey&) = delete;
  ~TagKey() noexcept;

  void expand(const Implementation& implementation, std::span<const std::uint8_t, 16> r) noexcept;
  /// expand() again before it is used (asserted): tags under a key of zeros would be the masks themselves.
  void erase() noexcept;

  // For implementations.
  static constexpr std::size_t table_bytes = 3328;
  const std::uint8_t* table() const noexcept { return table_.data(); }
  const Implementation* owner() const noexcept { return owner_; }

 private:
  alignas(64) std::array<std::uint8_t, table_bytes> table_{};
  const Implementation* owner_ = nullptr;
};

/// What a tag covers besides the buffer itself, and its one-time mask.
///   tag = GHASH_r(header, zeros to 16 bytes, ciphertext, zeros to 16 bytes, 64-bit big-endian bit lengths
///         of both) XOR mask
/// GHASH is that of NIST SP 800-38D, 6.4; with mask = AES_K(J0) this is exactly the tag of AES-GCM. Of
/// Wegman-Carter type: a mask must never serve two messages.
struct Tagging {
  const TagKey* key = nullptr;
  const std::uint8_t* header = nullptr;
  std::size_t header_length = 0;
  const std::uint8_t* mask = nullptr;  ///< 16 bytes
};

/// Tags one buffer. Writes tag_bytes bytes to `tag`, which may be the mask itself.
Status tag(const Implementation& implementation, const Tagging& tagging, const std::uint8_t* data,
           std::size_t length, std::uint8_t* tag) noexcept;

/// Compares in constant time. ok or tag_mismatch.
Status verify(const Implementation& implementation, const Tagging& tagging, const std::uint8_t* data,
              std::size_t length, const std::uint8_t* expected) noexcept;

// ---- Pad ------------------------------------------------------------------------------------------------

/// out = in XOR pad. `out` may be `in` or `pad`.
Status pad(const Implementation& implementation, const std::uint8_t* in, const std::uint8_t* pad,
           std::uint8_t* out, std::size_t length) noexcept;

/// Seals one message in one pass over it: out = in XOR pad, a tag over `out`, and the pad is erased. `out`
/// may be `in`; the pad is neither. tagging.mask may be `tag`.
Status seal(const Implementation& implementation, const Tagging& tagging, const std::uint8_t* in,
            std::uint8_t* pad, std::uint8_t* out, std::size_t length, std::uint8_t* tag) noexcept;

/// Opens one message in one pass: checks the tag over `in`, writes out = in XOR pad, and erases the pad.
/// `out` may be `in`. tag_mismatch: the pad is as it was, and `out` is erased, or is `in` as it was where
/// they are the same.
Status open(const Implementation& implementation, const Tagging& tagging, const std::uint8_t* in,
            std::uint8_t* pad, std::uint8_t* out, std::size_t length, const std::uint8_t* expected) noexcept;

// ---- Split, recover, dot, check ---------------------------------------------------------------------------

/// Data in, shares out; with pads the shares leave encrypted, with tags also tagged.
struct SplitJob {
  /// Made by make_split (n shares) or make_split_keep (n - t of them).
  const Transform* transform = nullptr;
  const Code* code = nullptr;                   ///< the code that the transform was made from
  const std::uint8_t* const* data = nullptr;    ///< code.data_blocks() buffers
  const std::uint8_t* const* random = nullptr;  ///< code.random_blocks() buffers, or null: from `generator`
  RandomGenerator* generator = nullptr;       ///< block j of the split is the j-th piece of the stream, each
                                              ///< piece beginning at a fresh 16-byte block
  const std::uint8_t* const* pads = nullptr;  ///< one per output, or null: shares leave in clear
  std::uint8_t* const* shares = nullptr;      ///< transform.rows() outputs
  const Tagging* tagging = nullptr;           ///< one per output, or null: no tags
  std::uint8_t (*tags)[tag_bytes] = nullptr;  ///< one per output where tagging is given
  std::size_t length = 0;                     ///< of every buffer
};

Status split(const Implementation& implementation, const SplitJob& job) noexcept;

/// Shares in, data out; also repair. With pads the shares come encrypted, with tags they are checked.
struct RecoverJob {
  const Transform* transform = nullptr;         ///< made by make_recover or make_repair
  const std::uint8_t* const* shares = nullptr;  ///< transform.columns() inputs, in the order it was made for
  const std::uint8_t* const* pads = nullptr;    ///< one per share, or null
  std::uint8_t* const* data = nullptr;          ///< transform.rows() outputs
  const Tagging* tagging = nullptr;             ///< one per share, or null: tags are not checked
  const std::uint8_t (*tags)[tag_bytes] = nullptr;
  bool* tag_ok = nullptr;  ///< one per share: which tags matched; may be null
  std::size_t length = 0;
};

/// tag_mismatch when any tag is wrong: the outputs are then erased, so that nothing unauthenticated is used.
Status recover(const Implementation& implementation, const RecoverJob& job) noexcept;

/// out[r] = sum over c of M[r][c] * in[c], without pads or tags: any Transform.
Status dot(const Implementation& implementation, const Transform& transform, const std::uint8_t* const* in,
           std::uint8_t* const* out, std::size_t length) noexcept;

/// Do m > k shares agree? `transform` is made by make_syndromes for them. Sets `first_bad` to the offset of
/// the first column where they do not, or to `length`.
Status check(const Implementation& implementation, const Transform& transform,
             const std::uint8_t* const* shares, std::size_t length, std::size_t& first_bad) noexcept;

struct LocateResult {
  /// Whether at most (m - k) / 2 wrong shares explain every column. When false, more are wrong than can be
  /// told, and `wrong` is a hint at best.
  bool located = false;
  /// wrong[i]: the i-th given share is wrong in some column.
  std::array<bool, max_shares> wrong{};
};

/// Names the wrong ones among m > k shares, when they are at most (m - k) / 2: with s shares missing of n, e
/// wrong ones are found while 2e + s <= n - k. Columns that agree pass at the speed of check(); one that does
/// not is decoded, and the search goes on without the shares that were wrong there. Uses about 210 KiB of
/// stack.
Status locate(const Implementation& implementation, const Code& code,
              std::span<const std::uint8_t> share_indices, const std::uint8_t* const* shares,
              std::size_t length, LocateResult& result) noexcept;

}  // namespace ssn::kernels
