// SPDX-License-Identifier: BSD-3-Clause
// Knows every byte of pad and every mask that any message was ever made with, in all lives and copies of all
// nodes, and notices when one serves twice.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "ssn/protocol/ledger_state.h"
#include "ssn/protocol/wire.h"
#include "test_random.h"

namespace ssn::sim {

using protocol::Ksid;
using test::Bytes;

/// Of anything; not cryptographic, but nobody attacks the simulator.
std::uint64_t fingerprint(std::span<const std::uint8_t> data, std::uint64_t seed = 1);

class Oracle {
 public:
  /// One end of a key stream was opened by some process.
  void stream_opened(const Ksid& ksid, bool sender);
  /// The pad range was combined with a message.
  void pad_spent(const Ksid& ksid, std::uint64_t offset, std::uint64_t length, std::uint64_t message);
  void mask_spent(const Ksid& ksid, std::uint64_t packet, std::uint64_t message);
  /// What a receiver must get out of the range.
  void expect(const Ksid& ksid, std::uint64_t offset, std::uint64_t plaintext);
  /// A receiver, `process`, opened or kept the range.
  void opened(const Ksid& ksid, std::uint64_t offset, std::uint64_t plaintext, std::uint64_t process);
  /// Key bytes of the stream are still in memory after use.
  void must_be_erased(const std::uint8_t* memory, const Ksid& ksid, std::uint64_t offset,
                      std::uint64_t length, const char* what);
  /// After a crash of the sender of a stream: what was used lies below what its disk says.
  void written_ahead(const protocol::LedgerState& disk, const std::string& peer, const Ksid& ksid);
  void used_up_to(const Ksid& ksid, std::uint64_t offset);

  void violation(const std::string& what);
  const std::vector<std::string>& violations() const { return violations_; }

 private:
  struct Place {
    std::uint64_t stream;
    std::uint64_t at;
    bool operator==(const Place&) const = default;
  };
  struct Hash {
    std::size_t operator()(const Place& place) const {
      return static_cast<std::size_t>((place.stream ^ place.at * 0x9e3779b97f4a7c15U) * 0xff51afd7ed558ccdU);
    }
  };
  static std::uint64_t id(const Ksid& ksid);

  std::unordered_map<Place, std::uint64_t, Hash> pads_;
  std::unordered_map<Place, std::uint64_t, Hash> masks_;
  std::unordered_map<Place, std::uint64_t, Hash> expected_;
  std::unordered_map<Place, std::uint64_t, Hash> opened_;
  std::set<std::pair<Ksid, bool>> streams_;
  std::map<Ksid, std::uint64_t> used_;
  std::vector<std::string> violations_;
};

}  // namespace ssn::sim
