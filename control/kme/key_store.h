// SPDX-License-Identifier: BSD-3-Clause
// The keys that wait at one key manager for their slave SAE: who may have which, once. Holds no key bytes:
// they are made when they are delivered. Pure: time comes in.
#pragma once

#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "key_material.h"
#include "link_model.h"

namespace ssn::kme {

struct WaitingKey {
  std::size_t link = 0;
  std::uint64_t run = 0;  ///< of the link: keys of an earlier one cannot be made any more
  std::uint64_t bits = 0;
  std::string master;
  std::string slave;
  Microseconds ready = 0;    ///< known here from then on
  Microseconds expires = 0;  ///< and until then
};

class KeyStore {
 public:
  using Entry = std::pair<KeyId, WaitingKey>;
  explicit KeyStore(std::uint64_t keys_max) : keys_max_(keys_max) {}

  /// All or nothing: false when there is no room, or an ID is there already.
  bool add(const std::vector<Entry>& entries, Microseconds now);

  enum class Answer {
    ok,
    not_found,    ///< at least one is unknown, not yet or no longer here, or of another master
    not_allowed,  ///< at least one is for another slave SAE
  };
  /// All or nothing; what is taken is gone. `out` is in the order of `ids`.
  Answer take(std::span<const KeyId> ids, std::string_view master, std::string_view slave, Microseconds now,
              std::vector<Entry>& out);

  /// Forgets keys of a link's earlier runs.
  void drop_runs_before(std::size_t link, std::uint64_t run);
  std::size_t size() const noexcept { return keys_.size(); }
  std::uint64_t expired() const noexcept { return expired_; }

 private:
  struct Hash {
    // IDs are random; those that a caller makes up are only ever looked up.
    std::size_t operator()(const KeyId& id) const noexcept {
      std::size_t value = 0;
      std::memcpy(&value, id.data(), sizeof value);
      return value;
    }
  };
  void sweep(Microseconds now);

  std::uint64_t keys_max_;
  std::unordered_map<KeyId, WaitingKey, Hash> keys_;
  Microseconds swept_ = 0;
  std::uint64_t expired_ = 0;
};

}  // namespace ssn::kme
