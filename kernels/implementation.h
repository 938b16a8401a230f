// SPDX-License-Identifier: BSD-3-Clause
// What an implementation provides. A new one is one file that defines a `const Implementation`, and one line
// in meson.build, from which the list in registry.cpp is made.
#pragma once

#include <cstddef>
#include <cstdint>

#include "ssn/kernels/kernels.h"

namespace ssn::kernels {

/// A tag to compute over `data`, with what Tagging holds, taken apart.
struct TagTask {
  const std::uint8_t* table;
  const std::uint8_t* header;
  std::size_t header_length;
  const std::uint8_t* mask;
  const std::uint8_t* data;
  std::uint8_t* tag;
};

/// NIST SP 800-38D, 7.1, for nonces of 96 bits: block 1 of the keystream is the mask of the tag, the text
/// begins with block 2.
inline constexpr std::uint32_t gcm_mask_block = 1;
inline constexpr std::uint32_t gcm_text_block = 2;

/// The fused kernel: everything that split, recover and dot do to a run of byte columns. It holds plain
/// pointers only, so that implementations need no inline function of another header: see "Instruction sets"
/// in README.md.
struct Combination {
  const std::uint8_t* const* input;  ///< column_count buffers; those of generated columns are not looked at
  const std::uint8_t* const* input_pad;  ///< as many, to take off the inputs first, or null
  unsigned column_count;

  /// The first `copies` columns are repeated by an output each.
  unsigned copies;
  std::uint8_t* const* copy;
  const std::uint8_t* const* copy_pad;  ///< to put on them, or null

  /// Outputs that need arithmetic.
  unsigned row_count;
  std::uint8_t* const* output;
  const std::uint8_t* const* output_pad;  ///< to put on them; null exactly where copy_pad is
  const std::uint8_t* coefficients;       ///< row_count * column_count, row-major
  bool first_row_is_ones;
  const std::uint8_t* isal_tables;  ///< or null

  /// The first `generated` columns are keystream; column j begins at block counter + j * ceil(length / 16).
  unsigned generated;
  const std::uint8_t* round_keys;
  std::uint64_t counter;

  /// Tags over inputs as they came in. Computed before outputs of the same bytes are stored, which may
  /// replace them.
  const TagTask* tag_before;
  unsigned tag_before_count;
  /// Tags over outputs as they go out.
  const TagTask* tag_after;
  unsigned tag_after_count;

  std::size_t length;
};

/// Arguments are checked by operations.cpp before they come here.
class Implementation {
 public:
  const char* name;
  const char* description;
  bool (*supported)() noexcept;
  void (*combine)(const Combination& combination) noexcept;
  void (*pad)(const std::uint8_t* in, const std::uint8_t* pad, std::uint8_t* out,
              std::size_t length) noexcept;
  /// Keystream from block `counter` on.
  void (*random)(const std::uint8_t* round_keys, std::uint64_t counter, std::uint8_t* out,
                 std::size_t length) noexcept;
  /// Fills TagKey::table_bytes bytes from the 16 bytes r.
  void (*expand_tag_key)(const std::uint8_t* r, std::uint8_t* table) noexcept;
  void (*tag)(const TagTask& task, std::size_t length) noexcept;
  /// In one pass: out = in XOR pad, zeros over the pad, and the task's tag over `out`, which is task.data.
  /// Null, as the next: pad, erase and tag one after another.
  void (*seal)(const TagTask& task, const std::uint8_t* in, std::uint8_t* pad, std::uint8_t* out,
               std::size_t length) noexcept;
  /// In one pass: out = in XOR pad, zeros over the pad, and the task's tag over `in`, which is task.data and
  /// not `out`.
  void (*open)(const TagTask& task, const std::uint8_t* in, std::uint8_t* pad, std::uint8_t* out,
               std::size_t length) noexcept;
  /// In one pass: the task's tag over `data` as it was, and data = data XOR pad. The pad stays.
  void (*open_in_place)(const TagTask& task, const std::uint8_t* pad, std::uint8_t* data,
                        std::size_t length) noexcept;
  /// Counter mode of AES-256-GCM: out = in XOR keystream, whose blocks are the 12 bytes of the nonce and
  /// `counter` and up, big-endian. Null: not to be had.
  void (*cipher)(const std::uint8_t* round_keys, const std::uint8_t* nonce, std::uint32_t counter,
                 const std::uint8_t* in, std::uint8_t* out, std::size_t length) noexcept;
  /// In one pass: AES-256-GCM, with the task's tag over `out`, or over `in`. The task's mask and data are not
  /// looked at. Null where `cipher` is.
  void (*gcm_seal)(const TagTask& task, const std::uint8_t* round_keys, const std::uint8_t* nonce,
                   const std::uint8_t* in, std::uint8_t* out, std::size_t length) noexcept;
  void (*gcm_open)(const TagTask& task, const std::uint8_t* round_keys, const std::uint8_t* nonce,
                   const std::uint8_t* in, std::uint8_t* out, std::size_t length) noexcept;
};

}  // namespace ssn::kernels
