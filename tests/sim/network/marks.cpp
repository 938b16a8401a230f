// SPDX-License-Identifier: BSD-3-Clause
#include "marks.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>

namespace ssn::sim {
namespace {

// What happens in the world, then what the protocol says of it.
constexpr std::array names = {
    std::string_view("node crashed"),
    std::string_view("node crashed during association"),
    std::string_view("node crashed while jobs were in flight"),
    std::string_view("ledger torn"),
    std::string_view("epoch entered"),
    std::string_view("epoch ended while blocks were in flight"),
    std::string_view("epoch ended while jobs were in flight"),
    std::string_view("network partitioned"),
    std::string_view("control message lost"),
    std::string_view("keys short"),
    std::string_view("keys differ"),
    std::string_view("receiver's keys late"),
    std::string_view("key device restarted"),
    std::string_view("packet lost"),
    std::string_view("packet duplicated"),
    std::string_view("packet corrupted"),
    std::string_view("packet forged"),
    std::string_view("packet replayed"),
    std::string_view("packet to a dead node"),
    std::string_view("packet of another epoch"),
    std::string_view("links cut while healed"),
    std::string_view("forged while healed"),
    std::string_view("ledger behind"),
    std::string_view("sender short of keys"),
    std::string_view("sender given no room"),
    std::string_view("frame too long"),
    std::string_view("frames given up by the sender"),
    std::string_view("frame cut"),
    std::string_view("frames out"),
    std::string_view("block split"),
    std::string_view("block recovered"),
    std::string_view("block given up"),
    std::string_view("receiver found its place again"),
    std::string_view("share verified alone"),
    std::string_view("split failed and redone on the CPU"),
    std::string_view("split late"),
    std::string_view("recovery failed and redone on the CPU"),
    std::string_view("recovery late"),
    std::string_view("split lost by the device"),
    std::string_view("recovery lost by the device"),
    std::string_view("job lost by its device"),
    std::string_view("device given up"),
    std::string_view("job held after its time"),
    std::string_view("job not accepted at once"),
    std::string_view("job completed inline"),
    std::string_view("job completed later"),
    std::string_view("drop: bad_field"),
    std::string_view("drop: bad_length"),
    std::string_view("drop: number_too_old"),
    std::string_view("drop: number_replayed"),
    std::string_view("drop: mask_not_delivered"),
    std::string_view("drop: bad_tag"),
    std::string_view("drop: late_share"),
    std::string_view("drop: block_given_up"),
    std::string_view("drop: too_far_ahead"),
    std::string_view("drop: unknown_connection"),
    std::string_view("drop: unknown_key_index"),
    std::string_view("drop: unknown_stream"),
};

}  // namespace

std::span<const std::string_view> Marks::expected() noexcept { return names; }

void Marks::hit(std::string_view name, std::uint64_t count) {
  if (std::find(names.begin(), names.end(), name) == names.end()) {
    std::fprintf(stderr, "no such coverage mark: %.*s\n", static_cast<int>(name.size()), name.data());
    std::abort();
  }
  if (count == 0) return;
  const auto found = counts_.find(name);
  if (found != counts_.end()) {
    found->second += count;
  } else {
    counts_.emplace(name, count);
  }
}

void Marks::add(const Marks& other) {
  for (const auto& [name, count] : other.counts_) hit(name, count);
}

std::uint64_t Marks::of(std::string_view name) const {
  const auto found = counts_.find(name);
  return found == counts_.end() ? 0 : found->second;
}

}  // namespace ssn::sim
