// SPDX-License-Identifier: BSD-3-Clause
#include "ssn/store/generation_keys.h"

#include <openssl/crypto.h>
#include <openssl/sha.h>

#include <algorithm>
#include <cassert>
#include <cstring>
#include <string>

#include "big_endian.h"
#include "random_bytes.h"

namespace ssn::store {
namespace {

constexpr std::uint8_t magic[8] = {'S', 'S', 'N', 'K', 'E', 'Y', 'S', '1'};
constexpr std::uint32_t format_version = 1;
constexpr std::size_t header_bytes = 4096;
constexpr std::size_t checksum_bytes = 16;
// The header's fields and checksum lie in one sector.
constexpr std::size_t header_checked = 32;

// Slot: state 4, generation 4, object 8, key 32, zeros, checksum 16. Four lie in a sector.
constexpr std::size_t slot_bytes = 128;
constexpr std::size_t slot_checked = slot_bytes - checksum_bytes;
constexpr std::size_t slot_key = 16;
constexpr std::uint32_t state_live = 0x4C495645;    // LIVE
constexpr std::uint32_t state_erased = 0x474F4E45;  // GONE
constexpr std::uint32_t slots_at_once = 512;

std::uint64_t offset_of(std::uint32_t slot) { return header_bytes + std::uint64_t{slot} * slot_bytes; }

void checksum(const std::uint8_t* from, std::size_t bytes, std::uint8_t* to) {
  std::uint8_t digest[SHA256_DIGEST_LENGTH];
  SHA256(from, bytes, digest);
  std::memcpy(to, digest, checksum_bytes);
  OPENSSL_cleanse(digest, sizeof digest);
}
bool checked(const std::uint8_t* from, std::size_t bytes) {
  std::uint8_t expected[checksum_bytes];
  checksum(from, bytes, expected);
  return CRYPTO_memcmp(expected, from + bytes, checksum_bytes) == 0;
}
bool all_zero(Bytes bytes) {
  return std::all_of(bytes.begin(), bytes.end(), [](std::uint8_t byte) { return byte == 0; });
}

Error not_ours(std::string why) {
  return {Exit::integrity, "cannot use the key file", std::move(why), "key file",
          "name the key file that belongs to this database, or restore it"};
}

}  // namespace

Result<GenerationKeys> GenerationKeys::open(std::unique_ptr<StorageFile> file, std::uint32_t most) {
  GenerationKeys keys;
  keys.file_ = std::move(file);
  keys.most_ = most;
  Result<hw::SecretBuffer> scratch = hw::SecretBuffer::make(slots_at_once * slot_bytes);
  if (!scratch.ok()) return scratch.error();
  keys.scratch_ = std::move(scratch.value());
  Outcome ready = keys.load();
  if (!ready.ok()) return ready.error();
  return keys;
}

// Only over a file without a header: a crash at birth may have left it long and empty.
Outcome GenerationKeys::format() {
  if (file_->size() < header_bytes) {
    if (Outcome longer = file_->extend(header_bytes); !longer.ok()) return longer;
  }
  if (Outcome drawn = random_bytes(id_); !drawn.ok()) return drawn;
  std::uint8_t header[header_bytes] = {};
  std::memcpy(header, magic, sizeof magic);
  put_big<4>(header + 8, format_version);
  std::memcpy(header + 16, id_.data(), id_.size());
  checksum(header, header_checked, header + header_checked);
  if (Outcome written = file_->write(0, header); !written.ok()) return written;
  return file_->sync();
}

Outcome GenerationKeys::load() {
  std::uint8_t header[header_bytes] = {};
  if (file_->size() >= header_bytes) {
    if (Outcome read = file_->read(0, header); !read.ok()) return read;
  }
  if (all_zero(header)) {
    if (file_->size() > header_bytes) return not_ours("its header is empty, but it is longer than that");
    return format();
  }
  if (std::memcmp(header, magic, sizeof magic) != 0) return not_ours("it does not begin with SSNKEYS1");
  if (!checked(header, header_checked)) return not_ours("its header is damaged");
  if (get_big32(header + 8) != format_version) {
    return not_ours("it is of version " + std::to_string(get_big32(header + 8)) + ", this program knows 1");
  }
  std::memcpy(id_.data(), header + 16, id_.size());
  const std::uint64_t slots = (file_->size() - header_bytes) / slot_bytes;
  if (slots > most_) {
    return Error{Exit::refused, "cannot use the key file",
                 "it has room for " + std::to_string(slots) + " generations, " + std::to_string(most_) +
                     " are allowed",
                 "key file", "allow as many generations as before"};
  }
  slots_ = static_cast<std::uint32_t>(slots);
  for (std::uint32_t first = 0; first < slots_; first += slots_at_once) {
    if (Outcome read = load_slots(first, std::min(slots_at_once, slots_ - first)); !read.ok()) return read;
  }
  return done;
}

Outcome GenerationKeys::load_slots(std::uint32_t first, std::uint32_t count) {
  const std::span<std::uint8_t> bytes = scratch_.span().first(count * slot_bytes);
  if (Outcome read = file_->read(offset_of(first), bytes); !read.ok()) return read;
  for (std::uint32_t i = 0; i < count; ++i) {
    const std::uint8_t* const slot = bytes.data() + i * slot_bytes;
    const std::uint32_t mark = get_big32(slot);
    const GenerationId generation{get_big64(slot + 8), get_big32(slot + 4)};
    if (all_zero({slot, slot_bytes})) {
      free_.insert(first + i);
    } else if ((mark == state_live || mark == state_erased) && checked(slot, slot_checked) &&
               !known_.contains(generation)) {
      const State state = mark == state_live ? State::live : State::erased;
      known_[generation] = {first + i, state};
      live_ += state == State::live ? 1U : 0U;
    } else {
      ++damaged_;
    }
  }
  scratch_.erase();
  return done;
}

GenerationKeys::State GenerationKeys::state(const GenerationId& generation) const noexcept {
  const auto found = known_.find(generation);
  return found == known_.end() ? State::none : found->second.state;
}

std::vector<GenerationId> GenerationKeys::all(State state) const {
  std::vector<GenerationId> found;
  for (const auto& [generation, slot] : known_) {
    if (slot.state == state) found.push_back(generation);
  }
  return found;
}

Outcome GenerationKeys::grow() {
  const std::uint32_t more = std::min(slots_at_once, most_ - slots_);
  if (more == 0) {
    return Error{Exit::refused, "cannot keep another generation",
                 "the key file holds " + std::to_string(most_) + ", as many as are allowed", "key file",
                 "remove objects, or allow more generations"};
  }
  if (Outcome longer = file_->extend(offset_of(slots_ + more)); !longer.ok()) return longer;
  for (std::uint32_t i = 0; i < more; ++i) free_.insert(slots_ + i);
  slots_ += more;
  return done;
}

Outcome GenerationKeys::write_slot(std::uint32_t number, const GenerationId& generation, State state,
                                   const std::uint8_t* key) {
  std::uint8_t* const slot = scratch_.data();
  std::memset(slot, 0, slot_bytes);
  if (state != State::none) {
    put_big<4>(slot, state == State::live ? state_live : state_erased);
    put_big<4>(slot + 4, generation.generation);
    put_big<8>(slot + 8, generation.object);
    if (key != nullptr) std::memcpy(slot + slot_key, key, generation_key_bytes);
    checksum(slot, slot_checked, slot + slot_checked);
  }
  Outcome written = file_->write(offset_of(number), {slot, slot_bytes});
  OPENSSL_cleanse(slot, slot_bytes);
  return written;
}

Outcome GenerationKeys::create(const GenerationId& generation) {
  assert(state(generation) == State::none);
  if (free_.empty()) {
    if (Outcome grown = grow(); !grown.ok()) return grown;
  }
  const std::uint32_t number = *free_.begin();
  std::uint8_t key[generation_key_bytes];
  Outcome result = random_bytes(key);
  if (result.ok()) result = write_slot(number, generation, State::live, key);
  OPENSSL_cleanse(key, sizeof key);
  if (result.ok()) result = file_->sync();
  if (!result.ok()) return result;
  free_.erase(number);
  known_[generation] = {number, State::live};
  ++live_;
  return done;
}

Outcome GenerationKeys::read(const GenerationId& generation, hw::SecretBuffer& key) {
  assert(key.size() == generation_key_bytes);
  if (state(generation) != State::live) {
    return Error{Exit::not_found, "cannot read the share", "its generation has no key", "key file",
                 "repair the share from other holders"};
  }
  std::uint8_t* const slot = scratch_.data();
  Outcome read = file_->read(offset_of(known_[generation].number), {slot, slot_bytes});
  if (!read.ok()) return read;
  const bool right = get_big32(slot) == state_live && get_big32(slot + 4) == generation.generation &&
                     get_big64(slot + 8) == generation.object && checked(slot, slot_checked);
  if (right) std::memcpy(key.data(), slot + slot_key, generation_key_bytes);
  OPENSSL_cleanse(slot, slot_bytes);
  if (right) return done;
  return Error{Exit::integrity, "cannot read the share", "the key of its generation is damaged", "key file",
               "remove this generation here, and repair the share from other holders"};
}

Outcome GenerationKeys::erase(const GenerationId& generation) {
  const auto found = known_.find(generation);
  if (found == known_.end() || found->second.state != State::live) return done;
  if (Outcome written = write_slot(found->second.number, generation, State::erased, nullptr); !written.ok()) {
    return written;
  }
  if (Outcome synced = file_->sync(); !synced.ok()) return synced;
  found->second.state = State::erased;
  --live_;
  return done;
}

Outcome GenerationKeys::forget(const GenerationId& generation) {
  const auto found = known_.find(generation);
  if (found == known_.end()) return done;
  assert(found->second.state == State::erased);
  const std::uint32_t number = found->second.number;
  if (Outcome written = write_slot(number, generation, State::none, nullptr); !written.ok()) return written;
  known_.erase(found);
  free_.insert(number);
  return done;
}

}  // namespace ssn::store
