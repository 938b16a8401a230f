// SPDX-License-Identifier: BSD-3-Clause
// Keys and contents of the records that docs/store.md describes. Everything read is checked.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "record_cipher.h"
#include "ssn/store/share_store.h"

namespace ssn::store {

inline constexpr std::uint32_t directory_stripes = 64;
inline constexpr std::uint32_t max_cells = UINT32_MAX - stripe_cells;

enum class RecordType : std::uint8_t {
  directory = 'D',
  head = 'H',
  place = 'P',
  quarantine = 'Q',
  stripe = 'S',
  store = 'V',
};

/// A key of the database, at most 18 bytes.
class RecordKey {
 public:
  static RecordKey directory(const ShareId& share, std::uint32_t block);
  static RecordKey head(const ShareId& share);
  static RecordKey stripe(const ShareId& share, std::uint32_t stripe);
  static RecordKey quarantine(std::uint64_t number);
  static RecordKey single(RecordType type);
  /// The first key of a generation's records of a type, and of the next generation's.
  static RecordKey first_of(RecordType type, const GenerationId& generation);
  static RecordKey behind(RecordType type, const GenerationId& generation);
  /// The first key behind all of a type.
  static RecordKey behind(RecordType type);

  operator Bytes() const noexcept { return {bytes_.data(), size_}; }  // NOLINT: implicit on purpose
  std::size_t size() const noexcept { return size_; }

 private:
  RecordKey& add(std::uint64_t value, std::size_t bytes);
  RecordKey& add(const ShareId& share);
  std::array<std::uint8_t, 24> bytes_{};
  std::size_t size_ = 0;
};
/// False: no head's key.
bool read_head_key(Bytes key, ShareId& share);

struct Head {
  std::uint32_t cell_bytes = 0;
  bool sealed = false;
  std::array<std::uint8_t, 16> seal{};
  std::uint32_t cells = 0;
  std::vector<AttemptRun> runs;

  std::size_t bytes() const noexcept;
  void write(std::uint8_t* to) const;
  static bool read(Bytes from, Head& head);
  /// Of a sealed share's cell; cells behind the last have none.
  std::uint16_t attempt_of(std::uint32_t cell) const noexcept;
};

struct DirectoryEntry {
  std::uint64_t version = 0;  ///< 0: no stripe
  std::uint64_t present = 0;
  std::uint16_t least_attempt = 0;
  std::uint16_t most_attempt = 0;
  bool quarantined = false;  ///< cells that are not present may have been put aside
};

struct Directory {
  static constexpr std::size_t bytes = 16 + 24 * directory_stripes;
  std::array<std::uint8_t, 16> seal{};
  std::array<DirectoryEntry, directory_stripes> entries{};

  void write(std::uint8_t* to) const;
  static bool read(Bytes from, Directory& directory);
};

struct StripeHeader {
  static constexpr std::size_t bytes = 16 + 2 * stripe_cells;
  std::uint32_t cell_bytes = 0;
  std::uint64_t present = 0;
  std::array<std::uint16_t, stripe_cells> attempts{};

  void write(std::uint8_t* to) const;
  static bool read(Bytes from, StripeHeader& header);
};

bool valid_cell_bytes(std::uint32_t bytes) noexcept;
/// Ascending from 0, different neighbours, within `cells`; at least one.

/// What is in front of a record's ciphertext.
struct Envelope {
  static constexpr std::size_t head_bytes = 8;
  static constexpr std::size_t front = head_bytes + nonce_bytes;
  static constexpr std::size_t overhead = front + tag_bytes;
  using Associated = std::array<std::uint8_t, 12 + 24 + head_bytes>;

  /// False: too short, or no record of that type.
  static bool look(Bytes record, RecordType type) noexcept;
  static std::uint64_t version(Bytes record) noexcept;
  static Bytes associated(const RecordKey& key, Bytes record, Associated& memory) noexcept;
};

/// Seals the pieces into a record under a fresh nonce. The error is the kernel's or OpenSSL's.
Outcome seal_record(RecordCipher& cipher, RecordType type, const RecordKey& key,
                    std::span<const Bytes> pieces, Buffer& record, std::uint64_t& version);
/// False: not what was sealed under this key. The pieces are as long as what was sealed.
bool open_record(RecordCipher& cipher, RecordType type, const RecordKey& key, Bytes record,
                 std::span<const std::span<std::uint8_t>> pieces);

}  // namespace ssn::store
