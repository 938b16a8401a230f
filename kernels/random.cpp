// SPDX-License-Identifier: BSD-3-Clause
#include "scalar_aes.h"
#include "ssn/kernels/erase.h"
#include "ssn/kernels/kernels.h"

namespace ssn::kernels {

static_assert(aes_key_schedule_bytes == 15 * 16);

RandomGenerator::~RandomGenerator() noexcept { erase(round_keys_.data(), round_keys_.size()); }

void RandomGenerator::seed(std::span<const std::uint8_t, seed_bytes> seed) noexcept {
  aes_expand_key(seed.data(), round_keys_.data());
  next_block_ = 0;
}

Status RandomGenerator::take(std::uint64_t blocks, std::uint64_t& first) noexcept {
  if (blocks > blocks_left()) {
    return Status::random_exhausted;
  }
  first = next_block_;
  next_block_ += blocks;
  return Status::ok;
}

}  // namespace ssn::kernels
