// SPDX-License-Identifier: BSD-3-Clause
#include "ssn/roles/random_blocks.h"

#include <algorithm>
#include <array>
#include <cassert>
#include <cstring>

namespace ssn::roles {
namespace {

// A generator is seeded anew, from its own output, before its stream ends.
constexpr std::uint64_t reserve_blocks = 1024;

}  // namespace

bool GeneratedBlocks::fill(std::span<std::uint8_t> to) noexcept {
  if (to.empty()) return true;
  if (generator_->blocks_left() < to.size() / 16 + reserve_blocks) {
    std::array<std::uint8_t, kernels::RandomGenerator::seed_bytes> seed;
    if (kernels::random(*implementation_, *generator_, seed.data(), seed.size()) != kernels::Status::ok) {
      return false;
    }
    generator_->seed(seed);
    ::explicit_bzero(seed.data(), seed.size());
  }
  return kernels::random(*implementation_, *generator_, to.data(), to.size()) == kernels::Status::ok;
}

bool StreamBlocks::fill(std::span<std::uint8_t> to) noexcept {
  const std::uint64_t piece = std::min<std::uint64_t>(stream_->longest(), to.size());
  if (to.empty()) return true;
  const std::uint64_t pieces = (to.size() + piece - 1) / piece;
  const std::uint64_t whole =
      (piece + protocol::pad_granule - 1) / protocol::pad_granule * protocol::pad_granule;
  if (stream_->can_take(whole * pieces) != protocol::Take::ok) return false;
  for (std::size_t at = 0; at < to.size();) {
    protocol::PadRange range;
    const auto bytes = static_cast<std::uint32_t>(std::min<std::uint64_t>(piece, to.size() - at));
    const protocol::Take taken = stream_->reserve(bytes, range);
    assert(taken == protocol::Take::ok && "can_take() said so");
    if (taken != protocol::Take::ok) return false;
    std::memcpy(to.data() + at, range.pad, bytes);
    stream_->use(range);
    at += bytes;
  }
  return true;
}

}  // namespace ssn::roles
