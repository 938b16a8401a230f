// SPDX-License-Identifier: BSD-3-Clause
// The key file: one AES-256 key for each generation of an object, in slots that are overwritten in place.
// Records of a generation are worthless once its slot is; docs/store.md says what flash may still hold.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <vector>

#include "ssn/hw/secret_buffer.h"
#include "ssn/store/storage_file.h"

namespace ssn::store {

inline constexpr std::size_t generation_key_bytes = 32;

struct GenerationId {
  std::uint64_t object = 0;
  std::uint32_t generation = 0;
  friend auto operator<=>(const GenerationId&, const GenerationId&) = default;
};

/// One thread at a time. Keys are in locked memory only while they are looked at.
class GenerationKeys {
 public:
  using StoreId = std::array<std::uint8_t, 16>;
  enum class State : std::uint8_t {
    none,
    live,
    erased,  ///< the key is gone, its records perhaps not yet: forget() says that they are
  };

  /// An empty file becomes a key file with a random id. `most`: how many generations it will hold.
  static Result<GenerationKeys> open(std::unique_ptr<StorageFile> file, std::uint32_t most);

  const StoreId& id() const noexcept { return id_; }
  State state(const GenerationId& generation) const noexcept;
  std::size_t live() const noexcept { return live_; }
  /// Slots that neither hold a key nor are free: a torn write of a key that nothing was stored under, or rot.
  std::size_t damaged() const noexcept { return damaged_; }
  /// All of one state, ascending.
  std::vector<GenerationId> all(State state) const;

  /// Draws a key; durable on return. Exit::refused: there are as many as there may be.
  Outcome create(const GenerationId& generation);
  /// `key` holds generation_key_bytes. Exit::not_found: there is none. Exit::integrity: rot.
  Outcome read(const GenerationId& generation, hw::SecretBuffer& key);
  /// Overwrites the key; durable on return. No error where there is none.
  Outcome erase(const GenerationId& generation);
  /// An erased generation's slot becomes free; durable with the next change.
  Outcome forget(const GenerationId& generation);

 private:
  struct Slot {
    std::uint32_t number = 0;
    State state = State::none;
  };
  GenerationKeys() = default;
  Outcome format();
  Outcome load();
  Outcome load_slots(std::uint32_t first, std::uint32_t count);
  Outcome grow();
  Outcome write_slot(std::uint32_t number, const GenerationId& generation, State state,
                     const std::uint8_t* key);

  std::unique_ptr<StorageFile> file_;
  StoreId id_{};
  std::uint32_t most_ = 0;
  std::uint32_t slots_ = 0;
  std::map<GenerationId, Slot> known_;
  std::set<std::uint32_t> free_;
  std::size_t live_ = 0;
  std::size_t damaged_ = 0;
  hw::SecretBuffer scratch_;
};

}  // namespace ssn::store
