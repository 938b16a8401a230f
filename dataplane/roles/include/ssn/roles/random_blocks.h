// SPDX-License-Identifier: BSD-3-Clause
// Where the random blocks of a split come from.
#pragma once

#include <cstdint>
#include <span>

#include "ssn/kernels/kernels.h"
#include "ssn/protocol/pad_stream.h"

namespace ssn::roles {

/// One worker's. Bytes that were given once are never given again.
class RandomBlocks {
 public:
  virtual ~RandomBlocks() = default;
  /// Fills all of `to`, or nothing: false, there is not enough now. `to` is memory for secrets.
  virtual bool fill(std::span<std::uint8_t> to) noexcept = 0;
  /// Whether what is split with it is secret only as long as a cipher is.
  virtual bool computational() const noexcept = 0;
};

/// drbg: AES-256 in counter mode, seeded by its owner, seeded anew from itself before it runs out.
class GeneratedBlocks final : public RandomBlocks {
 public:
  /// Both outlive it.
  GeneratedBlocks(const kernels::Implementation& implementation, kernels::RandomGenerator& generator)
      : implementation_(&implementation), generator_(&generator) {}
  bool fill(std::span<std::uint8_t> to) noexcept override;
  bool computational() const noexcept override { return true; }

 private:
  const kernels::Implementation* implementation_;
  kernels::RandomGenerator* generator_;
};

/// qrng: a random stream of the key device, whose bytes are erased and accounted for like pads.
class StreamBlocks final : public RandomBlocks {
 public:
  /// `stream` is of a stream of SSN_KEY_RANDOM and outlives it.
  explicit StreamBlocks(protocol::PadSender& stream) : stream_(&stream) {}
  bool fill(std::span<std::uint8_t> to) noexcept override;
  bool computational() const noexcept override { return false; }

 private:
  protocol::PadSender* stream_;
};

}  // namespace ssn::roles
