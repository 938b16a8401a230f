// SPDX-License-Identifier: BSD-3-Clause
// Whole operations with random contents, checked against the reference: what the unit tests sweep and what
// the fuzz targets drive. Every run returns an empty string or what went wrong.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "guarded.h"
#include "reference.h"
#include "ssn/kernels/kernels.h"
#include "test_random.h"

namespace ssn::test {

/// A code with its transforms and its generator matrix according to the reference.
struct PreparedCode {
  CodeSpec spec{};
  kernels::Code code;
  kernels::Transform split;
  kernels::Transform keep;
  bool can_keep = false;           ///< false where every share is an input (rs with k = n)
  unsigned first_kept_output = 0;  ///< share index of the first output of `keep`
  reference::Matrix generator;
};

/// `spec` must be valid; aborts otherwise.
std::unique_ptr<PreparedCode> prepare(const CodeSpec& spec);

/// A hash key expanded for one implementation, with its own copy for the reference.
struct PreparedKey {
  reference::Block r{};
  kernels::TagKey key;
};

struct Options {
  std::size_t length = 1;
  std::size_t header_length = 0;
  bool keep = false;  ///< split: only the shares that are no random blocks
  bool pads = false;
  bool in_place = false;   ///< with pads: the ciphertext replaces the pad
  bool generated = false;  ///< split: random blocks from a generator
  bool tags = false;
  Placement inputs;
  Placement pad_placement;
  Placement outputs;
};

std::string to_string(const Options& options);

/// Runs operations in guarded buffers that it reuses. Not thread-safe.
class Scenario {
 public:
  Scenario(const kernels::Implementation& implementation, std::size_t max_length);

  /// Splits random data. The shares must be those of the reference, and inputs must be unharmed.
  std::string split(const PreparedCode& prepared, const Options& options, TestRandom& random);

  /// Recovers random data from `shares`, with all tags right. With `wrong_tags` some are broken: those must
  /// be named and the outputs erased.
  std::string recover(const PreparedCode& prepared, const Bytes& shares, const Options& options,
                      TestRandom& random, bool wrong_tags = false);

  /// One output that replaces one of its inputs (or their pads, where options.pads).
  std::string repair_in_place(const PreparedCode& prepared, const Bytes& shares, unsigned target,
                              unsigned replaced, const Options& options, TestRandom& random);

  std::string dot(const reference::Matrix& matrix, const Options& options, TestRandom& random);
  std::string check(const PreparedCode& prepared, const Bytes& shares, const Options& options,
                    TestRandom& random);
  std::string pad(const Options& options, TestRandom& random);
  std::string tag(const Options& options, TestRandom& random);
  std::string random(const Options& options, TestRandom& random);

 private:
  struct Tags;
  struct Column;
  const std::uint8_t* place(const Bytes& contents, Placement placement);
  std::vector<const std::uint8_t*> place_all(const std::vector<Bytes>& contents, Placement placement);
  std::vector<std::uint8_t*> outputs(std::size_t count, const Options& options,
                                     const std::vector<const std::uint8_t*>& pads);
  std::unique_ptr<Tags> make_tags(std::size_t count, const Options& options, TestRandom& random);
  std::string finish(const std::string& what, const Options& options) const;

  const kernels::Implementation& implementation_;
  BufferPool pool_;
  std::unique_ptr<kernels::Transform> transform_;
  // Inputs that must not change, with what they contained.
  std::vector<std::pair<const std::uint8_t*, Bytes>> unchanged_;
};

}  // namespace ssn::test
