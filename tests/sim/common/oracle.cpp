// SPDX-License-Identifier: BSD-3-Clause
#include "oracle.h"

#include <algorithm>
#include <cstring>

#include "test_key_stream.h"

namespace ssn::sim {

std::uint64_t fingerprint(std::span<const std::uint8_t> data, std::uint64_t seed) {
  std::uint64_t state = seed * 0x9e3779b97f4a7c15U + data.size();
  for (std::size_t i = 0; i < data.size(); i += 8) {
    std::uint64_t word = 0;
    std::memcpy(&word, data.data() + i, std::min<std::size_t>(8, data.size() - i));
    state = test::TestRandom(state ^ word).next();
  }
  return state;
}

std::uint64_t Oracle::id(const Ksid& ksid) {
  std::uint64_t out = 0;
  std::memcpy(&out, ksid.data(), sizeof out);
  return out;
}

void Oracle::violation(const std::string& what) {
  if (violations_.size() < 20) violations_.push_back(what);
}

void Oracle::stream_opened(const Ksid& ksid, bool sender) {
  if (!streams_.insert({ksid, sender}).second) violation("a key stream was opened twice by one end");
}

void Oracle::pad_spent(const Ksid& ksid, std::uint64_t offset, std::uint64_t length, std::uint64_t message) {
  for (std::uint64_t at = offset / 64; at < (offset + length + 63) / 64; ++at) {
    const auto [found, fresh] = pads_.try_emplace({id(ksid), at}, message);
    if (!fresh && found->second != message) {
      violation("pad at offset " + std::to_string(at * 64) + " served two messages");
      return;
    }
  }
  used_up_to(ksid, offset + length);
}

void Oracle::mask_spent(const Ksid& ksid, std::uint64_t packet, std::uint64_t message) {
  const auto [found, fresh] = masks_.try_emplace({id(ksid), packet}, message);
  if (!fresh && found->second != message) {
    violation("the mask of packet " + std::to_string(packet) + " served two tags");
  }
}

void Oracle::used_up_to(const Ksid& ksid, std::uint64_t offset) {
  std::uint64_t& used = used_[ksid];
  used = std::max(used, offset);
}

void Oracle::expect(const Ksid& ksid, std::uint64_t offset, std::uint64_t plaintext) {
  expected_[{id(ksid), offset}] = plaintext;
}

void Oracle::opened(const Ksid& ksid, std::uint64_t offset, std::uint64_t plaintext, std::uint64_t process) {
  const auto expected = expected_.find({id(ksid), offset});
  if (expected == expected_.end() || expected->second != plaintext) {
    violation("a receiver got other bytes than were sealed");
  }
  if (!opened_.try_emplace({id(ksid), offset}, process).second) {
    violation("the pad at offset " + std::to_string(offset) + " was opened twice");
  }
}

void Oracle::must_be_erased(const std::uint8_t* memory, const Ksid& ksid, std::uint64_t offset,
                            std::uint64_t length, const char* what) {
  const Bytes keys = test::key_bytes(ksid, offset, length);
  if (std::equal(keys.begin(), keys.end(), memory)) {
    violation(std::string("not erased after use: ") + what);
  }
}

void Oracle::written_ahead(const protocol::LedgerState& disk, const std::string& peer, const Ksid& ksid) {
  const auto used = used_.find(ksid);
  if (used == used_.end()) return;
  const auto found = disk.peers.find(peer);
  if (found != disk.peers.end()) {
    for (const protocol::StreamRecord& stream : found->second.streams) {
      if (stream.ksid != ksid) continue;
      if (used->second > stream.sent) {
        violation("offset " + std::to_string(used->second) + " was used, and the disk says " +
                  std::to_string(stream.sent));
      }
      return;
    }
  }
  violation("a stream was used, and the disk says nothing of it");
}

}  // namespace ssn::sim
