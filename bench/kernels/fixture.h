// SPDX-License-Identifier: BSD-3-Clause
// The buffers, keys and pointer lists that all contenders of a case share.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "arena.h"
#include "operations.h"
#include "reference.h"
#include "ssn/kernels/code.h"

namespace ssn::bench {

inline constexpr std::size_t tag_bytes = 16;
inline constexpr std::size_t header_bytes = 48;  // the largest wire header
inline constexpr std::size_t key_bytes = 32;
inline constexpr std::size_t iv_bytes = 12;

struct Tagged {
  alignas(16) std::array<std::uint8_t, header_bytes> header;
  alignas(16) std::array<std::uint8_t, iv_bytes> iv;
  alignas(16) std::array<std::uint8_t, tag_bytes> mask;  // what AES-GCM makes of key and iv
};

/// One working set. Hot cases have one, cold ones cycle through many. A split reads data and random and
/// writes the encrypted shares over the pads; a recovery reads shares and pads and writes out.
struct Set {
  std::vector<std::uint8_t*> data;
  std::vector<std::uint8_t*> random;
  std::vector<std::uint8_t*> pads;
  std::vector<std::uint8_t*> shares;
  std::vector<std::uint8_t*> out;
  std::vector<std::uint8_t*> scratch;  // for contenders that work in several passes
  std::vector<std::uint8_t*> columns;  // random, then data
  std::vector<Tagged> tagged;          // per share
  std::unique_ptr<std::uint8_t[][tag_bytes]> tags;
};

class Fixture {
 public:
  /// Lays out the buffers of one set, or of as many as exceed the last-level cache several times.
  Fixture(const Case& what, bool cold, Arena& arena);

  const Case& what() const noexcept { return what_; }
  const kernels::Code& code() const noexcept { return code_; }
  unsigned k() const noexcept { return code_.k(); }
  unsigned n() const noexcept { return code_.n(); }
  unsigned random_blocks() const noexcept { return code_.random_blocks(); }
  unsigned data_blocks() const noexcept { return code_.data_blocks(); }
  std::size_t bytes() const noexcept { return what_.bytes; }
  std::vector<Set>& sets() noexcept { return sets_; }

  /// Share indices (1..n) that a recovery, repair or check starts from.
  const std::vector<std::uint8_t>& sources() const noexcept { return sources_; }
  /// What a repair makes: a share that is not among the sources.
  unsigned repaired_share() const noexcept { return repaired_share_; }

  const std::uint8_t* key(unsigned share) const noexcept { return keys_[share].data(); }
  const std::uint8_t* hash_key(unsigned share) const noexcept { return hash_keys_[share].data(); }
  const std::array<std::uint8_t, key_bytes>& seed() const noexcept { return seed_; }

  /// Fills every buffer of every set from a fixed sequence; where the operation starts from shares, they are
  /// those that `generator` makes, encrypted with the pads and tagged with `tag` as the operation wants.
  void fill(const Matrix& generator, TagForm form);

 private:
  void lay_out(Set& set, Arena& arena) const;
  void make_keys();
  void fill_first(const Matrix& generator, TagForm form);

  Case what_;
  kernels::Code code_;
  std::vector<Set> sets_;
  std::vector<std::uint8_t> sources_;
  unsigned repaired_share_ = 0;
  std::vector<std::array<std::uint8_t, key_bytes>> keys_;
  std::vector<std::array<std::uint8_t, tag_bytes>> hash_keys_;
  std::array<std::uint8_t, key_bytes> seed_{};
};

}  // namespace ssn::bench
