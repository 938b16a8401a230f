// SPDX-License-Identifier: BSD-3-Clause
#include "record.h"

#include <algorithm>
#include <cassert>
#include <cstring>

#include "big_endian.h"
#include "random_bytes.h"

namespace ssn::store {
namespace {

constexpr std::uint8_t record_version = 1;
constexpr char label[] = "ssn-record-1";
constexpr std::uint8_t state_open = 1;
constexpr std::uint8_t state_sealed = 2;
constexpr std::size_t head_fixed = 32;
constexpr std::size_t run_bytes = 6;

bool all_zero(const std::uint8_t* from, std::size_t bytes) {
  return std::all_of(from, from + bytes, [](std::uint8_t byte) { return byte == 0; });
}

}  // namespace

RecordKey& RecordKey::add(std::uint64_t value, std::size_t bytes) {
  assert(size_ + bytes <= bytes_.size());
  for (std::size_t i = 0; i < bytes; ++i) {
    bytes_[size_++] = static_cast<std::uint8_t>(value >> (8 * (bytes - 1 - i)));
  }
  return *this;
}
RecordKey& RecordKey::add(const ShareId& share) {
  return add(share.object, 8).add(share.generation, 4).add(share.share, 1);
}
RecordKey RecordKey::single(RecordType type) { return RecordKey().add(static_cast<std::uint8_t>(type), 1); }
RecordKey RecordKey::directory(const ShareId& share, std::uint32_t block) {
  return single(RecordType::directory).add(share).add(block, 4);
}
RecordKey RecordKey::head(const ShareId& share) { return single(RecordType::head).add(share); }
RecordKey RecordKey::stripe(const ShareId& share, std::uint32_t stripe) {
  return single(RecordType::stripe).add(share).add(stripe, 4);
}
RecordKey RecordKey::quarantine(std::uint64_t number) {
  return single(RecordType::quarantine).add(number, 8);
}
RecordKey RecordKey::first_of(RecordType type, const GenerationId& generation) {
  return single(type).add(generation.object, 8).add(generation.generation, 4);
}
// Longer than any key of the generation, and behind all of them: share indices end at 255.
RecordKey RecordKey::behind(RecordType type, const GenerationId& generation) {
  return first_of(type, generation).add(UINT64_MAX, 8).add(UINT8_MAX, 1);
}
RecordKey RecordKey::behind(RecordType type) {
  return RecordKey().add(static_cast<std::uint64_t>(type) + 1, 1);
}

bool read_head_key(Bytes key, ShareId& share) {
  if (key.size() != 14 || key[0] != static_cast<std::uint8_t>(RecordType::head)) return false;
  share = {get_big64(key.data() + 1), get_big32(key.data() + 9), key[13]};
  return share.generation != 0 && share.share != 0;
}

bool valid_cell_bytes(std::uint32_t bytes) noexcept {
  return bytes != 0 && bytes <= max_cell_bytes && bytes % cell_granule == 0;
}

bool valid_runs(std::span<const AttemptRun> runs, std::uint32_t cells) noexcept {
  if (runs.empty() || runs.size() > max_attempt_runs || runs[0].first != 0) return false;
  for (std::size_t i = 1; i < runs.size(); ++i) {
    if (runs[i].first <= runs[i - 1].first || runs[i].attempt == runs[i - 1].attempt) return false;
  }
  return runs.back().first < cells;
}

std::size_t Head::bytes() const noexcept { return head_fixed + runs.size() * run_bytes; }

void Head::write(std::uint8_t* to) const {
  std::memset(to, 0, head_fixed);
  put_big<4>(to, cell_bytes);
  to[4] = sealed ? state_sealed : state_open;
  std::memcpy(to + 8, seal.data(), seal.size());
  put_big<4>(to + 24, cells);
  put_big<4>(to + 28, runs.size());
  for (std::size_t i = 0; i < runs.size(); ++i) {
    put_big<4>(to + head_fixed + i * run_bytes, runs[i].first);
    put_big<2>(to + head_fixed + i * run_bytes + 4, runs[i].attempt);
  }
}

bool Head::read(Bytes from, Head& head) {
  if (from.size() < head_fixed) return false;
  const std::uint8_t* const at = from.data();
  const std::uint32_t runs = get_big32(at + 28);
  if (runs > max_attempt_runs || from.size() != head_fixed + runs * run_bytes) return false;
  head.cell_bytes = get_big32(at);
  head.sealed = at[4] == state_sealed;
  std::memcpy(head.seal.data(), at + 8, head.seal.size());
  head.cells = get_big32(at + 24);
  head.runs.resize(runs);
  for (std::size_t i = 0; i < runs; ++i) {
    const std::uint8_t* const run = at + head_fixed + i * run_bytes;
    head.runs[i] = {get_big32(run), get_big16(run + 4)};
  }
  if (!valid_cell_bytes(head.cell_bytes) || !all_zero(at + 5, 3)) return false;
  if (head.sealed) return head.cells <= max_cells && valid_runs(head.runs, head.cells);
  return at[4] == state_open && head.cells == 0 && runs == 0 && all_zero(at + 8, 16);
}

std::uint16_t Head::attempt_of(std::uint32_t cell) const noexcept {
  const auto behind = std::upper_bound(runs.begin(), runs.end(), cell,
                                       [](std::uint32_t c, const AttemptRun& run) { return c < run.first; });
  assert(behind != runs.begin());
  return std::prev(behind)->attempt;
}

void Directory::write(std::uint8_t* to) const {
  std::memset(to, 0, bytes);
  std::memcpy(to, seal.data(), seal.size());
  for (std::size_t i = 0; i < entries.size(); ++i) {
    const DirectoryEntry& entry = entries[i];
    std::uint8_t* const at = to + 16 + 24 * i;
    put_big<8>(at, entry.version);
    put_big<8>(at + 8, entry.present);
    put_big<2>(at + 16, entry.least_attempt);
    put_big<2>(at + 18, entry.most_attempt);
    at[20] = entry.quarantined ? 1 : 0;
  }
}

bool Directory::read(Bytes from, Directory& directory) {
  if (from.size() != bytes) return false;
  std::memcpy(directory.seal.data(), from.data(), directory.seal.size());
  for (std::size_t i = 0; i < directory_stripes; ++i) {
    const std::uint8_t* const at = from.data() + 16 + 24 * i;
    DirectoryEntry& entry = directory.entries[i];
    entry = {get_big64(at), get_big64(at + 8), get_big16(at + 16), get_big16(at + 18), at[20] == 1};
    const bool stripe = entry.version != 0;
    if (at[20] > 1 || !all_zero(at + 21, 3) || entry.least_attempt > entry.most_attempt ||
        stripe != (entry.present != 0)) {
      return false;
    }
  }
  return true;
}

void StripeHeader::write(std::uint8_t* to) const {
  std::memset(to, 0, bytes);
  put_big<4>(to, cell_bytes);
  put_big<8>(to + 8, present);
  for (std::size_t i = 0; i < stripe_cells; ++i) put_big<2>(to + 16 + 2 * i, attempts[i]);
}

bool StripeHeader::read(Bytes from, StripeHeader& header) {
  if (from.size() != bytes) return false;
  header.cell_bytes = get_big32(from.data());
  header.present = get_big64(from.data() + 8);
  for (std::size_t i = 0; i < stripe_cells; ++i) {
    header.attempts[i] = get_big16(from.data() + 16 + 2 * i);
    if ((header.present >> i & 1U) == 0 && header.attempts[i] != 0) return false;
  }
  return valid_cell_bytes(header.cell_bytes) && header.present != 0 && all_zero(from.data() + 4, 4);
}

bool Envelope::look(Bytes record, RecordType type) noexcept {
  return record.size() > overhead && record[0] == record_version &&
         record[1] == static_cast<std::uint8_t>(type) && all_zero(record.data() + 2, head_bytes - 2);
}

std::uint64_t Envelope::version(Bytes record) noexcept { return get_big64(record.data() + head_bytes); }

Bytes Envelope::associated(const RecordKey& key, Bytes record, Associated& memory) noexcept {
  const Bytes name = key;
  std::memcpy(memory.data(), label, sizeof label - 1);
  std::memcpy(memory.data() + 12, name.data(), name.size());
  std::memcpy(memory.data() + 12 + name.size(), record.data(), head_bytes);
  return {memory.data(), 12 + name.size() + head_bytes};
}

Outcome seal_record(RecordCipher& cipher, RecordType type, const RecordKey& key,
                    std::span<const Bytes> pieces, Buffer& record, std::uint64_t& version) {
  std::size_t length = 0;
  for (const Bytes piece : pieces) length += piece.size();
  record.resize(Envelope::overhead + length);
  std::memset(record.data(), 0, Envelope::head_bytes);
  record[0] = record_version;
  record[1] = static_cast<std::uint8_t>(type);
  std::uint8_t* const nonce = record.data() + Envelope::head_bytes;
  do {  // version 0 means none
    if (Outcome drawn = random_bytes({nonce, nonce_bytes}); !drawn.ok()) return drawn;
    version = get_big64(nonce);
  } while (version == 0);
  Envelope::Associated memory;
  if (!cipher.seal(nonce, Envelope::associated(key, record, memory), pieces,
                   record.data() + Envelope::front)) {
    return Error{Exit::failed, "cannot encrypt a record", "OpenSSL refuses", "libcrypto",
                 "check the OpenSSL installation"};
  }
  return done;
}

bool open_record(RecordCipher& cipher, RecordType type, const RecordKey& key, Bytes record,
                 std::span<const std::span<std::uint8_t>> pieces) {
  std::size_t length = 0;
  for (const std::span<std::uint8_t> piece : pieces) length += piece.size();
  if (!Envelope::look(record, type) || record.size() != Envelope::overhead + length) return false;
  Envelope::Associated memory;
  return cipher.open(record.data() + Envelope::head_bytes, Envelope::associated(key, record, memory),
                     record.subspan(Envelope::front), pieces);
}

}  // namespace ssn::store
