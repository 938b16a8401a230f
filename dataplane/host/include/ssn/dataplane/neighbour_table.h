// SPDX-License-Identifier: BSD-3-Clause
// Which Ethernet address the next hops of our links have (RFC 826, RFC 4861 7.3).
//
// The next hops are known when the table is made: they follow from the configuration. Nothing that arrives
// adds an entry, so no flood can fill the table or push an entry out.
//
// Threads: all workers read and write one table, without locks. An address and its state are one atomic word,
// so that a reader never sees the address of one moment with the state of another. Of several workers that
// want to ask for a neighbour at one moment, one is told to. Times are nanoseconds of one monotonic clock,
// and may differ a little between workers.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "ssn/dataplane/address.h"

namespace ssn::dataplane {

enum class NeighbourState : std::uint8_t {
  incomplete,  ///< never heard of
  reachable,   ///< confirmed a short while ago
  stale,       ///< the address is used, and asked for when it is
  failed,      ///< asked several times in vain; asked again from time to time
  fixed,       ///< from the configuration
};

/// "reachable", ... ; stable, for status.
std::string_view name(NeighbourState state) noexcept;

struct NeighbourTimes {
  std::uint64_t reachable_ns = 30'000'000'000;  ///< how long a confirmation holds
  std::uint64_t retransmit_ns = 1'000'000'000;  ///< between two solicitations of one neighbour
  std::uint32_t attempts = 3;                   ///< unanswered solicitations that make it failed
};

/// An address behind a port.
struct NeighbourKey {
  std::uint16_t port = 0;
  IpAddress address;
  bool operator==(const NeighbourKey&) const = default;
};

/// Finds numbers by key: open addressing, filled once. Any thread may read it then.
class NeighbourIndex {
 public:
  static constexpr std::uint32_t none = 0xFFFFFFFF;

  explicit NeighbourIndex(std::size_t most);
  /// The value that the key has now; `value` if it was new.
  std::uint32_t insert(const NeighbourKey& key, std::uint32_t value) noexcept;
  std::uint32_t find(const NeighbourKey& key) const noexcept;  ///< or none

 private:
  struct Place {
    NeighbourKey key;
    std::uint32_t value = none;
  };
  std::size_t place_of(const NeighbourKey& key) const noexcept;
  std::vector<Place> places_;
};

class NeighbourTable {
 public:
  static constexpr std::uint32_t none = NeighbourIndex::none;

  enum class Ask : std::uint8_t {
    no,
    everybody,  ///< send a solicitation to broadcast, or the solicited-node group
    itself,     ///< send it to the address that is known
  };
  struct Answer {
    NeighbourState state = NeighbourState::incomplete;
    bool usable = false;  ///< `mac` may be sent to
    Ask ask = Ask::no;    ///< the caller should send a solicitation, and no other worker will now
    EthernetAddress mac;
  };

  /// Keys are distinct.
  NeighbourTable(const std::vector<NeighbourKey>& keys, const NeighbourTimes& times);

  std::uint32_t size() const noexcept { return static_cast<std::uint32_t>(keys_.size()); }
  const NeighbourKey& key(std::uint32_t index) const noexcept { return keys_[index]; }
  std::uint32_t find(const NeighbourKey& key) const noexcept { return index_.find(key); }  ///< or none

  /// Before the table is shared: an address that is never asked for nor changed.
  void fix(std::uint32_t index, const EthernetAddress& mac) noexcept;
  /// Before the table is shared: what another table, which may be in use, knows of the same neighbours.
  void inherit(const NeighbourTable& other) noexcept;

  /// To send to a neighbour now. Any thread.
  Answer resolve(std::uint32_t index, std::uint64_t now) noexcept;
  /// A message said that a neighbour has this address; the flags are those of a neighbour advertisement
  /// (RFC 4861, 7.2.5). Any thread. Whether another address is in use now.
  bool learn(std::uint32_t index, const EthernetAddress& mac, bool solicited, bool overrides,
             std::uint64_t now) noexcept;
  /// Changes nothing. Any thread.
  Answer look(std::uint32_t index) const noexcept;

 private:
  struct alignas(64) Entry {
    std::atomic<std::uint64_t> word{0};        // address and state
    std::atomic<std::uint64_t> confirmed{0};   // when it became reachable
    std::atomic<std::uint64_t> asked{0};       // when it was solicited last; 0: never
    std::atomic<std::uint32_t> unanswered{0};  // solicitations since something was heard
  };

  Answer ask_for(Entry& entry, std::uint64_t word, std::uint64_t now) noexcept;

  NeighbourTimes times_;
  std::vector<NeighbourKey> keys_;
  NeighbourIndex index_;
  std::unique_ptr<Entry[]> entries_;
};

}  // namespace ssn::dataplane
