// SPDX-License-Identifier: BSD-3-Clause
// Where the random blocks of a split come from.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "io.h"
#include "share_file.h"
#include "ssn/hw/result.h"
#include "ssn/hw/secret_buffer.h"
#include "ssn/kernels/kernels.h"

namespace ssn::cli {

class RandomSource {
 public:
  virtual ~RandomSource() = default;
  virtual RandomOrigin origin() const noexcept = 0;
  /// Puts a source of `blocks` fresh blocks of `length` bytes into `job`. They serve this one split only.
  virtual Outcome prepare(kernels::SplitJob& job, unsigned blocks, std::size_t length) = 0;
};

/// AES-256-CTR seeded from the kernel; takes a new seed before one is used up. The secrecy of what is split
/// with it is computational.
class DrbgSource final : public RandomSource {
 public:
  static Result<std::unique_ptr<RandomSource>> make();

  RandomOrigin origin() const noexcept override { return RandomOrigin::drbg; }
  Outcome prepare(kernels::SplitJob& job, unsigned blocks, std::size_t length) override;

  // For tests of reseeding.
  kernels::RandomGenerator& generator() noexcept { return generator_; }
  unsigned seeds() const noexcept { return seeds_; }

 private:
  Outcome reseed();

  kernels::RandomGenerator generator_;
  unsigned seeds_ = 0;
};

/// The bytes of a hardware generator, each used once. Stops when the device ends or repeats one byte
/// (repetition count test after NIST SP 800-90B, 4.4.1).
class DeviceSource final : public RandomSource {
 public:
  /// Refuses regular files: their bytes could serve twice. `largest` is the most that prepare() will be asked
  /// for.
  static Result<std::unique_ptr<RandomSource>> make(const std::string& path, std::size_t largest);

  RandomOrigin origin() const noexcept override { return RandomOrigin::device; }
  Outcome prepare(kernels::SplitJob& job, unsigned blocks, std::size_t length) override;

 private:
  Outcome check_health(std::span<const std::uint8_t> bytes);

  std::string path_;
  FileDescriptor device_;
  hw::SecretBuffer buffer_;
  std::vector<const std::uint8_t*> blocks_;
  int last_byte_ = -1;
  unsigned repetitions_ = 0;
};

}  // namespace ssn::cli
