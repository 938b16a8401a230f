// SPDX-License-Identifier: BSD-3-Clause
// split, recover, repair, dot and check of every implementation, swept over lengths, offsets, subsets and
// shapes, in guarded buffers, against the reference.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <memory>
#include <vector>

#include "implementations.h"
#include "scenario.h"

namespace {

using ssn::kernels::Scheme;
using ssn::test::Bytes;
using ssn::test::CodeSpec;
using ssn::test::Options;
using ssn::test::prepare;
using ssn::test::PreparedCode;
using ssn::test::random_for_this_test;
using ssn::test::Scenario;
using ssn::test::TestRandom;
namespace reference = ssn::test::reference;

constexpr std::size_t largest_packet = 65537;
const std::vector<std::size_t> packet_sizes{1344, 1408, 1472, 8192, 8896, 9000, 65535, 65536, largest_packet};

const std::vector<CodeSpec> usual_codes{
    {Scheme::systematic, 2, 3, 1},  {Scheme::systematic, 3, 5, 1}, {Scheme::systematic, 4, 6, 1},
    {Scheme::systematic, 6, 9, 1},  {Scheme::classic, 3, 5, 1},    {Scheme::ramp, 4, 8, 2},
    {Scheme::rs, 3, 5, 3},          {Scheme::rs, 6, 9, 6},         {Scheme::rs, 10, 14, 10},
    {Scheme::systematic, 3, 12, 1}, {Scheme::ramp, 5, 16, 2},  // more rows than one pass of any
                                                               // implementation
};

const PreparedCode& prepared(const CodeSpec& spec) {
  static std::map<std::string, std::unique_ptr<PreparedCode>> cache;
  std::unique_ptr<PreparedCode>& entry = cache[to_string(spec)];
  if (entry == nullptr) entry = prepare(spec);
  return *entry;
}

/// Random switches and placements. Half of the buffers touch the page behind them, the rest lie anywhere.
Options any_options(std::size_t length, TestRandom& random) {
  const auto placement = [&random] {
    return ssn::test::Placement{random.coin(), static_cast<unsigned>(random.coin() ? 0 : random.below(64))};
  };
  Options options;
  options.length = length;
  options.header_length = random.below(50);
  options.keep = random.coin();
  options.pads = random.coin();
  options.in_place = random.coin();
  options.generated = random.coin();
  options.tags = random.below(4) == 0;
  options.inputs = placement();
  options.pad_placement = placement();
  options.outputs = placement();
  return options;
}

std::string split(Scenario& scenario, const PreparedCode& code, Options options, TestRandom& random) {
  options.keep = options.keep && code.can_keep;
  return scenario.split(code, options, random);
}

class Combine : public ssn::test::PerImplementation {
 protected:
  TestRandom random_ = random_for_this_test();
};

TEST_P(Combine, SplitsAllLengths) {
  Scenario scenario(implementation(), 320);
  for (const CodeSpec& spec : usual_codes) {
    for (std::size_t length = 1; length <= 320; ++length) {
      for (unsigned i = 0; i < 3; ++i) {
        ASSERT_EQ(split(scenario, prepared(spec), any_options(length, random_), random_), "");
      }
    }
  }
}

TEST_P(Combine, RecoversAllLengths) {
  Scenario scenario(implementation(), 320);
  for (const CodeSpec& spec : usual_codes) {
    for (std::size_t length = 1; length <= 320; ++length) {
      for (unsigned i = 0; i < 3; ++i) {
        const Bytes shares = random_.share_indices(spec.k, spec.n);
        const bool wrong_tags = random_.coin();
        ASSERT_EQ(scenario.recover(prepared(spec), shares, any_options(length, random_), random_, wrong_tags),
                  "");
      }
    }
  }
}

TEST_P(Combine, PacketSizes) {
  Scenario scenario(implementation(), largest_packet);
  for (const CodeSpec& spec : usual_codes) {
    for (const std::size_t length : packet_sizes) {
      Options options = any_options(length, random_);
      options.tags = options.tags && length <= 9000;  // the reference's GHASH goes bit by bit
      ASSERT_EQ(split(scenario, prepared(spec), options, random_), "");
      const Bytes shares = random_.share_indices(spec.k, spec.n);
      ASSERT_EQ(scenario.recover(prepared(spec), shares, options, random_), "");
    }
  }
}

// Every combination of the switches at one packet size, both kinds of random source and at both page ends.
TEST_P(Combine, AllSwitches) {
  Scenario scenario(implementation(), 1408);
  for (const CodeSpec& spec : usual_codes) {
    for (unsigned bits = 0; bits < 64; ++bits) {
      Options options;
      options.length = 1408 - random_.below(70);
      options.header_length = random_.below(50);
      options.keep = (bits & 1U) != 0;
      options.pads = (bits & 2U) != 0;
      options.in_place = (bits & 4U) != 0;
      options.generated = (bits & 8U) != 0;
      options.tags = (bits & 16U) != 0;
      options.inputs.at_end = options.pad_placement.at_end = options.outputs.at_end = (bits & 32U) != 0;
      ASSERT_EQ(split(scenario, prepared(spec), options, random_), "");
      const Bytes shares = random_.share_indices(spec.k, spec.n);
      const bool wrong_tags = options.in_place;
      ASSERT_EQ(scenario.recover(prepared(spec), shares, options, random_, wrong_tags), "");
    }
  }
}

// Tags go by groups of blocks with the header before the first and the lengths after the last: lengths around
// every likely group, headers from none to longer than any table.
TEST_P(Combine, TaggedLengths) {
  Scenario scenario(implementation(), 4200);
  for (const CodeSpec& spec : usual_codes) {
    for (unsigned i = 0; i < 150; ++i) {
      const std::size_t near = 512 * random_.below(9) + random_.below(40);
      const std::size_t length = std::max<std::size_t>(near, 20) - 19;
      Options options = any_options(random_.coin() ? length : 1 + random_.below(4200), random_);
      options.header_length = random_.below(random_.coin() ? 140 : 20);
      options.tags = true;
      options.pads = i % 4 != 0;
      ASSERT_EQ(split(scenario, prepared(spec), options, random_), "");
      const Bytes shares = random_.share_indices(spec.k, spec.n);
      ASSERT_EQ(scenario.recover(prepared(spec), shares, options, random_, i % 8 == 7), "");
    }
  }
}

TEST_P(Combine, AllOffsets) {
  Scenario scenario(implementation(), 300);
  for (const CodeSpec& spec :
       {CodeSpec{Scheme::systematic, 3, 5, 1}, {Scheme::ramp, 4, 6, 2}, {Scheme::rs, 2, 4, 2}}) {
    for (const std::size_t length : {std::size_t{63}, std::size_t{64}, std::size_t{65}, std::size_t{300}}) {
      for (unsigned offset = 0; offset < 64; ++offset) {
        for (unsigned moved = 1; moved < 8; ++moved) {  // inputs, pads, outputs: each alone, two, and all
          Options options;
          options.length = length;
          options.pads = true;
          options.generated = offset % 2 == 1 && moved % 2 == 0;
          options.inputs.offset = (moved & 1U) != 0 ? offset : 0;
          options.pad_placement.offset = (moved & 2U) != 0 ? offset : 0;
          options.outputs.offset = (moved & 4U) != 0 ? offset : 0;
          ASSERT_EQ(scenario.split(prepared(spec), options, random_), "");
          const Bytes shares = random_.share_indices(spec.k, spec.n);
          ASSERT_EQ(scenario.recover(prepared(spec), shares, options, random_), "");
        }
      }
    }
  }
}

TEST_P(Combine, EverySubsetOfSmallCodes) {
  Scenario scenario(implementation(), 100);
  for (unsigned n = 2; n <= 9; ++n) {
    for (unsigned k = 2; k <= n; ++k) {
      std::vector<CodeSpec> specs{
          {Scheme::systematic, k, n, 1}, {Scheme::classic, k, n, 1}, {Scheme::rs, k, n, k}};
      for (unsigned blocks = 1; blocks < k; blocks += 2) specs.push_back({Scheme::ramp, k, n, blocks});
      for (const CodeSpec& spec : specs) {
        const PreparedCode& code = prepared(spec);
        ASSERT_EQ(split(scenario, code, any_options(1 + random_.below(100), random_), random_), "");
        ssn::test::for_each_subset(k, n, [&](const Bytes& subset) {
          Bytes shares = subset;
          for (std::size_t i = 0; i < k; ++i) std::swap(shares[i], shares[i + random_.below(k - i)]);
          Options options = any_options(1 + random_.below(100), random_);
          ASSERT_EQ(scenario.recover(code, shares, options, random_), "");
          ASSERT_EQ(scenario.repair_in_place(code, shares, random_.between(1, n),
                                             static_cast<unsigned>(random_.below(k)), options, random_),
                    "");
        });
      }
    }
  }
}

TEST_P(Combine, EveryTargetAndReplacedInputOfRepairs) {
  Scenario scenario(implementation(), 200);
  for (const CodeSpec& spec : usual_codes) {
    for (unsigned target = 1; target <= spec.n; ++target) {
      for (unsigned replaced = 0; replaced < spec.k; ++replaced) {
        const Bytes shares = random_.share_indices(spec.k, spec.n);
        const Options options = any_options(1 + random_.below(200), random_);
        ASSERT_EQ(scenario.repair_in_place(prepared(spec), shares, target, replaced, options, random_), "");
      }
    }
  }
}

/// Rows with zeros and ones mixed in, copies of inputs, repeated copies, zero rows.
reference::Matrix any_matrix(unsigned dense, unsigned others, unsigned columns, TestRandom& random) {
  reference::Matrix matrix(dense + others, columns);
  for (unsigned r = 0; r < matrix.rows; ++r) {
    const unsigned kind = r < dense ? random.between(0, 3) : random.between(4, 5);
    for (unsigned c = 0; c < columns; ++c) {
      matrix.at(r, c) = kind <= 1   ? random.nonzero_byte()
                        : kind == 2 ? static_cast<std::uint8_t>(random.below(3))
                                    : 1;
      if (kind >= 4) matrix.at(r, c) = 0;
    }
    if (kind == 5) matrix.at(r, static_cast<unsigned>(random.below(columns))) = 1;
  }
  for (unsigned r = 0; r + 1 < matrix.rows; ++r) {  // in any order
    const unsigned other = r + static_cast<unsigned>(random.below(matrix.rows - r));
    for (unsigned c = 0; c < columns; ++c) std::swap(matrix.at(r, c), matrix.at(other, c));
  }
  return matrix;
}

TEST_P(Combine, AnyMatrix) {
  Scenario scenario(implementation(), 700);
  for (unsigned dense = 0; dense <= 20; ++dense) {
    for (unsigned columns = 1; columns <= 20; ++columns) {
      for (unsigned i = 0; i < 3; ++i) {
        const unsigned others = static_cast<unsigned>(random_.below(3)) + (dense == 0 ? 1 : 0);
        const reference::Matrix matrix = any_matrix(dense, others, columns, random_);
        Options options = any_options(1 + random_.below(700), random_);
        options.pads = false;
        ASSERT_EQ(scenario.dot(matrix, options, random_), "");
      }
    }
  }
}

TEST_P(Combine, LargestMatrices) {
  Scenario scenario(implementation(), 333);
  for (const auto& [rows, columns] :
       {std::pair{255U, 1U}, {1U, 255U}, {255U, 255U}, {64U, 128U}, {17U, 200U}}) {
    reference::Matrix matrix(rows, columns);
    random_.fill(matrix.entries.data(), matrix.entries.size());
    Options options = any_options(1 + random_.below(333), random_);
    options.pads = false;
    ASSERT_EQ(scenario.dot(matrix, options, random_), "");
  }
}

TEST_P(Combine, LargeCodes) {
  Scenario scenario(implementation(), 500);
  for (const CodeSpec& spec : {CodeSpec{Scheme::systematic, 128, 255, 1},
                               {Scheme::systematic, 255, 255, 1},
                               {Scheme::classic, 40, 255, 1},
                               {Scheme::ramp, 60, 200, 30},
                               {Scheme::rs, 200, 255, 200}}) {
    for (unsigned i = 0; i < 3; ++i) {
      Options options = any_options(1 + random_.below(500), random_);
      options.pads = i != 0;
      options.generated = i == 1;
      options.tags = i == 2;
      ASSERT_EQ(split(scenario, prepared(spec), options, random_), "");
      ASSERT_EQ(
          scenario.recover(prepared(spec), random_.share_indices(spec.k, spec.n), options, random_, i == 0),
          "");
    }
  }
}

TEST_P(Combine, ChecksSurplusShares) {
  Scenario scenario(implementation(), 5000);
  for (const CodeSpec& spec : usual_codes) {
    for (std::size_t length = 1; length <= 320; ++length) {
      const Bytes shares = random_.share_indices(random_.between(spec.k + 1, spec.n), spec.n);
      ASSERT_EQ(scenario.check(prepared(spec), shares, any_options(length, random_), random_), "");
    }
    for (unsigned i = 0; i < 12; ++i) {
      const Bytes shares = random_.share_indices(random_.between(spec.k + 1, spec.n), spec.n);
      const std::size_t length = 1408 + random_.below(5000 - 1408);
      ASSERT_EQ(scenario.check(prepared(spec), shares, any_options(length, random_), random_), "");
    }
  }
  const CodeSpec large{Scheme::systematic, 3, 255, 1};  // so many syndromes that few columns fit a tile
  ASSERT_EQ(
      scenario.check(prepared(large), random_.share_indices(255, 255), any_options(700, random_), random_),
      "");
}

TEST_P(Combine, Pads) {
  Scenario scenario(implementation(), largest_packet);
  for (std::size_t length = 1; length <= 320; ++length) {
    ASSERT_EQ(scenario.pad(any_options(length, random_), random_), "");
  }
  for (const std::size_t length : packet_sizes) {
    ASSERT_EQ(scenario.pad(any_options(length, random_), random_), "");
  }
  for (unsigned offset = 0; offset < 64; ++offset) {
    for (unsigned moved = 1; moved < 8; ++moved) {
      Options options;
      options.length = 200;
      options.inputs.offset = (moved & 1U) != 0 ? offset : 0;
      options.pad_placement.offset = (moved & 2U) != 0 ? offset : 0;
      options.outputs.offset = (moved & 4U) != 0 ? offset : 0;
      ASSERT_EQ(scenario.pad(options, random_), "");
    }
  }
}

SSN_FOR_EVERY_IMPLEMENTATION(Combine);

}  // namespace
