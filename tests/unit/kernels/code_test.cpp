// SPDX-License-Identifier: BSD-3-Clause
// Codes: limits, entries, recovery (MDS) and secrecy.
#include "ssn/kernels/code.h"

#include <gtest/gtest.h>
#include <isa-l/erasure_code.h>

#include <algorithm>
#include <memory>
#include <set>
#include <vector>

#include "implementations.h"
#include "reference.h"
#include "ssn/kernels/transform.h"

namespace {

using ssn::kernels::Code;
using ssn::kernels::Scheme;
using ssn::kernels::Status;
using ssn::kernels::Transform;
using ssn::test::Bytes;
using ssn::test::CodeSpec;
using ssn::test::random_for_this_test;
using ssn::test::TestRandom;
namespace reference = ssn::test::reference;
using reference::Matrix;

constexpr std::uint8_t byte(unsigned value) { return static_cast<std::uint8_t>(value); }

Code make(const CodeSpec& spec) {
  Code code;
  EXPECT_EQ(Code::make(spec.scheme, spec.k, spec.n, spec.data_blocks, code), Status::ok) << to_string(spec);
  return code;
}

Matrix generator(const Code& code) {
  Matrix matrix(code.n(), code.k());
  for (unsigned share = 1; share <= code.n(); ++share) code.generator_row(share, &matrix.at(share - 1, 0));
  return matrix;
}

/// The share rows and, where the data is not a share itself, the data's unit rows.
Matrix with_data_rows(const Code& code) {
  const Matrix shares = generator(code);
  const unsigned extra = code.scheme() == Scheme::rs ? 0 : code.data_blocks();
  Matrix matrix(shares.rows + extra, shares.columns);
  std::copy(shares.entries.begin(), shares.entries.end(), matrix.entries.begin());
  for (unsigned l = 0; l < extra; ++l) matrix.at(shares.rows + l, code.random_blocks() + l) = 1;
  return matrix;
}

std::vector<unsigned> rows_of(const Bytes& subset) {
  std::vector<unsigned> rows;
  for (const std::uint8_t index : subset) rows.push_back(index - 1U);
  return rows;
}

/// Every valid code with n up to `max_n`.
std::vector<CodeSpec> small_codes(unsigned max_n) {
  std::vector<CodeSpec> specs;
  for (unsigned n = 1; n <= max_n; ++n) {
    for (unsigned k = 1; k <= n; ++k) {
      specs.push_back({Scheme::rs, k, n, k});
      if (k < 2) continue;
      specs.push_back({Scheme::systematic, k, n, 1});
      specs.push_back({Scheme::classic, k, n, 1});
      for (unsigned blocks = 1; blocks < k; ++blocks) specs.push_back({Scheme::ramp, k, n, blocks});
    }
  }
  return specs;
}

const std::vector<CodeSpec> large_codes{
    {Scheme::systematic, 2, 255, 1}, {Scheme::systematic, 128, 255, 1}, {Scheme::systematic, 255, 255, 1},
    {Scheme::classic, 2, 255, 1},    {Scheme::classic, 100, 255, 1},    {Scheme::ramp, 60, 250, 6},
    {Scheme::ramp, 128, 128, 127},   {Scheme::ramp, 20, 255, 1},        {Scheme::rs, 100, 255, 100},
    {Scheme::rs, 255, 255, 255},     {Scheme::rs, 1, 255, 1},
};

// ---- Limits ---------------------------------------------------------------------------------------------

TEST(CodeLimits, EachIsRefusedWithItsReason) {
  struct Case {
    Scheme scheme;
    unsigned k, n, blocks;
    Status expected;
  };
  const std::vector<Case> cases{
      {Scheme::systematic, 0, 3, 1, Status::threshold_too_small},
      {Scheme::systematic, 1, 3, 1, Status::threshold_too_small},
      {Scheme::systematic, 4, 3, 1, Status::threshold_exceeds_shares},
      {Scheme::systematic, 2, 256, 1, Status::too_many_shares},
      {Scheme::systematic, 2, 3, 0, Status::data_blocks_not_one},
      {Scheme::systematic, 2, 3, 2, Status::data_blocks_not_one},
      {Scheme::classic, 0, 3, 1, Status::threshold_too_small},
      {Scheme::classic, 1, 3, 1, Status::threshold_too_small},
      {Scheme::classic, 4, 3, 1, Status::threshold_exceeds_shares},
      {Scheme::classic, 2, 256, 1, Status::too_many_shares},
      {Scheme::classic, 2, 3, 2, Status::data_blocks_not_one},
      {Scheme::ramp, 1, 3, 1, Status::threshold_too_small},
      {Scheme::ramp, 4, 3, 1, Status::threshold_exceeds_shares},
      {Scheme::ramp, 4, 256, 1, Status::too_many_shares},
      {Scheme::ramp, 4, 8, 0, Status::data_blocks_out_of_range},
      {Scheme::ramp, 4, 8, 4, Status::data_blocks_out_of_range},
      {Scheme::ramp, 4, 255, 2, Status::too_many_points},
      {Scheme::ramp, 128, 200, 57, Status::too_many_points},
      {Scheme::rs, 0, 3, 0, Status::threshold_too_small},
      {Scheme::rs, 4, 3, 4, Status::threshold_exceeds_shares},
      {Scheme::rs, 10, 256, 10, Status::too_many_shares},
      {Scheme::rs, 3, 5, 1, Status::data_blocks_not_one},
      {Scheme::rs, 3, 5, 4, Status::data_blocks_not_one},
  };
  for (const Case& c : cases) {
    Code code = make({Scheme::systematic, 2, 3, 1});
    EXPECT_EQ(Code::make(c.scheme, c.k, c.n, c.blocks, code), c.expected)
        << to_string(CodeSpec{c.scheme, c.k, c.n, c.blocks}) << ", " << c.blocks << " data blocks";
    EXPECT_EQ(code.n(), 3U) << "a failed make() must leave the code alone";
    EXPECT_EQ(code.k(), 2U);
  }
}

TEST(CodeLimits, HugeNumbersAreRefused) {
  for (const Scheme scheme : {Scheme::systematic, Scheme::classic, Scheme::ramp, Scheme::rs}) {
    Code code;
    for (const unsigned huge : {256U, 257U, 258U, 65538U, ~0U}) {
      EXPECT_NE(Code::make(scheme, huge, 3, 1, code), Status::ok);
      EXPECT_NE(Code::make(scheme, 2, huge, 1, code), Status::ok);
      EXPECT_NE(Code::make(scheme, huge, huge, 1, code), Status::ok);
      EXPECT_NE(Code::make(scheme, 2, 3, huge, code), Status::ok);
    }
  }
}

TEST(CodeLimits, TheEdgesAreAllowed) {
  for (const CodeSpec& spec : large_codes) make(spec);
  make({Scheme::ramp, 2, 255, 1});
  make({Scheme::ramp, 129, 129, 127});
  for (const CodeSpec& spec : small_codes(3)) make(spec);
}

TEST(CodeLimits, EveryStatusIsDescribed) {
  std::set<std::string_view> seen;
  for (unsigned value = 0; value <= static_cast<unsigned>(Status::self_test_failed); ++value) {
    const std::string_view text = describe(static_cast<Status>(value));
    EXPECT_GE(text.size(), value == 0 ? 1U : 10U) << value;
    EXPECT_FALSE(text.ends_with('.')) << text;
    EXPECT_TRUE(seen.insert(text).second) << "twice: " << text;
  }
  EXPECT_FALSE(describe(static_cast<Status>(200)).empty());
}

TEST(CodeLimits, SchemeNamesGoThereAndBack) {
  for (const Scheme scheme : {Scheme::systematic, Scheme::classic, Scheme::ramp, Scheme::rs}) {
    Scheme parsed = scheme == Scheme::rs ? Scheme::classic : Scheme::rs;
    EXPECT_TRUE(ssn::kernels::parse_scheme(ssn::kernels::name(scheme), parsed));
    EXPECT_EQ(parsed, scheme);
  }
  Scheme parsed = Scheme::ramp;
  for (const char* text : {"", "Ramp", "rs ", "shamir", "systemati", "systematics"}) {
    EXPECT_FALSE(ssn::kernels::parse_scheme(text, parsed)) << text;
    EXPECT_EQ(parsed, Scheme::ramp);
  }
}

// ---- Entries --------------------------------------------------------------------------------------------

TEST(CodeEntries, AreThoseOfTheDefinitions) {
  std::vector<CodeSpec> specs = small_codes(9);
  specs.insert(specs.end(), {{Scheme::systematic, 20, 255, 1},
                             {Scheme::classic, 12, 255, 1},
                             {Scheme::ramp, 12, 250, 6},
                             {Scheme::rs, 20, 255, 20}});
  for (const CodeSpec& spec : specs) {
    const Code code = make(spec);
    ASSERT_EQ(code.random_blocks(), reference::random_blocks(spec));
    ASSERT_EQ(generator(code).entries, reference::generator(spec).entries) << to_string(spec);
  }
}

TEST(CodeEntries, SystematicRowKIsOnesAndRowsDoNotDependOnN) {
  for (const unsigned k : {2U, 3U, 17U, 128U, 255U}) {
    const Matrix largest = generator(make({Scheme::systematic, k, 255, 1}));
    for (unsigned c = 0; c < k; ++c) ASSERT_EQ(largest.at(k - 1, c), 1);
    const Matrix smallest = generator(make({Scheme::systematic, k, k, 1}));
    for (unsigned r = 0; r < k; ++r) {
      for (unsigned c = 0; c < k; ++c) ASSERT_EQ(smallest.at(r, c), largest.at(r, c)) << k;
    }
  }
}

TEST(CodeEntries, RsParityIsIsalCauchy) {
  for (const auto& [k, n] : {std::pair{1U, 4U}, {2U, 3U}, {3U, 5U}, {6U, 9U}, {10U, 14U}, {100U, 255U}}) {
    Bytes isal(std::size_t{n} * k);
    gf_gen_cauchy1_matrix(isal.data(), static_cast<int>(n), static_cast<int>(k));
    EXPECT_EQ(generator(make({Scheme::rs, k, n, k})).entries, isal) << k << ',' << n;
  }
}

// Shares 1..k and the data at 0 fix a polynomial of degree < k; all other shares must lie on it.
TEST(CodeEntries, ClassicSharesLieOnAPolynomialThroughTheData) {
  for (const CodeSpec& spec : small_codes(9)) {
    if (spec.scheme != Scheme::classic) continue;
    const Matrix rows = generator(make(spec));
    TestRandom random = random_for_this_test();
    Bytes columns = random.bytes(spec.k);
    // Coefficients of f from the columns: f(1..k-1) are the random bytes, f(0) is the data.
    Matrix vandermonde(spec.k, spec.k);
    for (unsigned c = 0; c < spec.k; ++c) {
      const std::uint8_t x = c + 1 < spec.k ? byte(c + 1) : byte(0);
      std::uint8_t power = 1;
      for (unsigned e = 0; e < spec.k; ++e, power = reference::multiply(power, x))
        vandermonde.at(c, e) = power;
    }
    Matrix values(spec.k, 1);
    values.entries = columns;
    const Matrix f = reference::product(reference::inverse(vandermonde), values);
    EXPECT_EQ(f.at(0, 0), columns.back());
    const Matrix shares = reference::product(rows, values);
    for (unsigned s = 1; s <= spec.n; ++s) {
      std::uint8_t value = 0;
      for (unsigned e = spec.k; e > 0; --e)
        value = byte(reference::multiply(value, byte(s)) ^ unsigned{f.at(e - 1, 0)});
      EXPECT_EQ(shares.at(s - 1, 0), value) << to_string(spec) << " share " << s;
    }
  }
}

TEST(CodeEntries, PointsAreDistinctAndOffTheData) {
  std::vector<CodeSpec> specs = small_codes(9);
  specs.insert(specs.end(), large_codes.begin(), large_codes.end());
  for (const CodeSpec& spec : specs) {
    const Code code = make(spec);
    std::set<unsigned> points;
    for (unsigned share = 1; share <= spec.n; ++share) {
      EXPECT_TRUE(points.insert(code.point(share)).second) << to_string(spec) << " share " << share;
      EXPECT_NE(code.multiplier(share), 0);
    }
    if (spec.scheme == Scheme::ramp) {
      for (unsigned l = 0; l < spec.data_blocks; ++l) EXPECT_EQ(points.count(255 - l), 0U) << to_string(spec);
    }
    if (spec.scheme == Scheme::classic) {
      EXPECT_EQ(points.count(0), 0U);
    }
    if (spec.scheme == Scheme::systematic) {
      EXPECT_EQ(points.count(spec.k - 1), 0U);
    }
  }
}

// ---- Recovery: any k rows, those of the data included, are independent ------------------------------------

TEST(CodeIsMds, EverySubsetOfSmallCodes) {
  for (const CodeSpec& spec : small_codes(9)) {
    const Matrix rows = with_data_rows(make(spec));
    ssn::test::for_each_subset(spec.k, rows.rows, [&](const Bytes& subset) {
      ASSERT_EQ(reference::rank(reference::select_rows(rows, rows_of(subset))), spec.k) << to_string(spec);
    });
  }
}

TEST(CodeIsMds, RandomSubsetsOfLargeCodes) {
  TestRandom random = random_for_this_test();
  for (const CodeSpec& spec : large_codes) {
    const Matrix rows = with_data_rows(make(spec));
    const unsigned tries = spec.k > 60 ? 2 : 50;
    for (unsigned i = 0; i < tries; ++i) {
      std::vector<unsigned> all(rows.rows);
      for (unsigned r = 0; r < rows.rows; ++r) all[r] = r;
      for (unsigned r = 0; r < spec.k; ++r) std::swap(all[r], all[r + random.below(rows.rows - r)]);
      all.resize(spec.k);
      ASSERT_EQ(reference::rank(reference::select_rows(rows, all)), spec.k) << to_string(spec);
    }
  }
}

// ---- Secrecy ----------------------------------------------------------------------------------------------

// Independent of the data: t share rows, restricted to the random columns, have full rank, so that for every
// data the t shares are uniform.
Matrix random_part(const Code& code) {
  const Matrix rows = generator(code);
  Matrix part(rows.rows, code.random_blocks());
  for (unsigned r = 0; r < part.rows; ++r) {
    for (unsigned c = 0; c < part.columns; ++c) part.at(r, c) = rows.at(r, c);
  }
  return part;
}

TEST(CodeSecrecy, ByRankForEverySubsetOfSmallCodes) {
  for (const CodeSpec& spec : small_codes(9)) {
    const Code code = make(spec);
    const unsigned t = code.random_blocks();
    ASSERT_EQ(t, spec.scheme == Scheme::rs ? 0 : spec.k - spec.data_blocks);
    if (t == 0) continue;
    const Matrix part = random_part(code);
    ssn::test::for_each_subset(t, spec.n, [&](const Bytes& subset) {
      ASSERT_EQ(reference::rank(reference::select_rows(part, rows_of(subset))), t) << to_string(spec);
    });
  }
}

TEST(CodeSecrecy, ByRankForRandomSubsetsOfLargeCodes) {
  TestRandom random = random_for_this_test();
  for (const CodeSpec& spec : large_codes) {
    const Code code = make(spec);
    const unsigned t = code.random_blocks();
    if (t == 0) continue;
    const Matrix part = random_part(code);
    for (unsigned i = 0; i < (t > 60 ? 2U : 50U); ++i) {
      const Bytes subset = random.share_indices(t, spec.n);
      ASSERT_EQ(reference::rank(reference::select_rows(part, rows_of(subset))), t) << to_string(spec);
    }
  }
}

/// Splits, with the library, one content under every value of the random bytes: 256^t columns.
class Counting {
 public:
  explicit Counting(const CodeSpec& spec)
      : code_(make(spec)), columns_(code_.random_blocks() == 1 ? 256 : 65536) {
    EXPECT_LE(code_.random_blocks(), 2U);
    EXPECT_EQ(ssn::kernels::select(implementation_), Status::ok);
    EXPECT_EQ(transform_->make_split(code_), Status::ok);
    for (unsigned r = 0; r < code_.random_blocks(); ++r) {
      random_.emplace_back(columns_);
      for (std::size_t i = 0; i < columns_; ++i) random_[r][i] = byte(static_cast<unsigned>(i >> (8 * r)));
    }
    data_.assign(code_.data_blocks(), Bytes(columns_));
    shares_.assign(code_.n(), Bytes(columns_));
    seen_.assign(columns_, 0);
  }

  /// Whether each t shares take each of their 256^t values exactly once. Then their distribution is uniform,
  /// whatever the content.
  bool every_t_shares_are_uniform(const Bytes& content) {
    for (unsigned l = 0; l < code_.data_blocks(); ++l)
      std::fill(data_[l].begin(), data_[l].end(), content[l]);
    split();
    bool uniform = true;
    ssn::test::for_each_subset(code_.random_blocks(), code_.n(), [&](const Bytes& subset) {
      ++stamp_;
      std::size_t distinct = 0;
      for (std::size_t i = 0; i < columns_; ++i) {
        std::size_t value = shares_[subset[0] - 1U][i];
        if (subset.size() == 2) value |= std::size_t{shares_[subset[1] - 1U][i]} << 8;
        distinct += seen_[value] != stamp_ ? 1 : 0;
        seen_[value] = stamp_;
      }
      uniform = uniform && distinct == columns_;
    });
    return uniform;
  }

 private:
  void split() {
    std::vector<const std::uint8_t*> data, random;
    std::vector<std::uint8_t*> shares;
    for (const Bytes& block : data_) data.push_back(block.data());
    for (const Bytes& block : random_) random.push_back(block.data());
    for (Bytes& block : shares_) shares.push_back(block.data());
    ssn::kernels::SplitJob job;
    job.transform = transform_.get();
    job.code = &code_;
    job.data = data.data();
    job.random = random.data();
    job.shares = shares.data();
    job.length = columns_;
    ASSERT_EQ(ssn::kernels::split(*implementation_, job), Status::ok);
  }

  Code code_;
  std::size_t columns_;
  const ssn::kernels::Implementation* implementation_ = nullptr;
  std::unique_ptr<Transform> transform_ = std::make_unique<Transform>();
  std::vector<Bytes> random_, data_, shares_;
  std::vector<std::uint32_t> seen_;
  std::uint32_t stamp_ = 0;
};

TEST(CodeSecrecy, ByCountingAllRandomBytesForEverySecret) {
  for (const Scheme scheme : {Scheme::systematic, Scheme::classic, Scheme::ramp}) {
    for (const auto& [k, n] : {std::pair{2U, 2U}, {2U, 3U}, {2U, 7U}, {3U, 3U}, {3U, 5U}}) {
      Counting counting({scheme, k, n, 1});
      for (unsigned secret = 0; secret < 256; ++secret) {
        ASSERT_TRUE(counting.every_t_shares_are_uniform({byte(secret)}))
            << to_string(CodeSpec{scheme, k, n, 1}) << " secret " << secret;
      }
    }
  }
}

// All 65536 secrets where one random byte hides two bytes of data; for (4,2,8) the unit vectors' multiples
// and random pairs: all others are sums of these, and the rank test covers them.
TEST(CodeSecrecy, ByCountingAllRandomBytesForRamps) {
  Counting one({Scheme::ramp, 3, 5, 2});
  for (unsigned secret = 0; secret < 65536; ++secret) {
    ASSERT_TRUE(one.every_t_shares_are_uniform({byte(secret & 255), byte(secret >> 8)})) << secret;
  }
  Counting two({Scheme::ramp, 4, 8, 2});
  TestRandom random = random_for_this_test();
  for (unsigned i = 0; i < 20; ++i) {
    const std::uint8_t value = random.nonzero_byte();
    ASSERT_TRUE(two.every_t_shares_are_uniform({value, 0}));
    ASSERT_TRUE(two.every_t_shares_are_uniform({0, value}));
    ASSERT_TRUE(two.every_t_shares_are_uniform({value, random.byte()}));
  }
}

// ---- Lists of shares --------------------------------------------------------------------------------------

TEST(ShareLists, WrongOnesAreRefused) {
  const Code code = make({Scheme::systematic, 3, 5, 1});
  const auto transform = std::make_unique<Transform>();
  const auto recover = [&](const Bytes& shares) { return transform->make_recover(code, shares); };
  EXPECT_EQ(recover({1, 2}), Status::too_few_shares);
  EXPECT_EQ(recover({}), Status::too_few_shares);
  EXPECT_EQ(recover({1, 2, 3, 4}), Status::too_many_shares_given);
  EXPECT_EQ(recover({1, 2, 0}), Status::share_index_out_of_range);
  EXPECT_EQ(recover({1, 6, 2}), Status::share_index_out_of_range);
  EXPECT_EQ(recover({4, 2, 4}), Status::share_index_repeated);
  EXPECT_EQ(recover({5, 1, 3}), Status::ok);
  EXPECT_EQ(transform->make_repair(code, Bytes{1, 2}, 3), Status::too_few_shares);
  EXPECT_EQ(transform->make_repair(code, Bytes{1, 2, 3, 4}, 5), Status::too_many_shares_given);
  EXPECT_EQ(transform->make_repair(code, Bytes{1, 2, 3}, 0), Status::share_index_out_of_range);
  EXPECT_EQ(transform->make_repair(code, Bytes{1, 2, 3}, 6), Status::share_index_out_of_range);
  EXPECT_EQ(transform->make_repair(code, Bytes{1, 2, 2}, 4), Status::share_index_repeated);
  EXPECT_EQ(transform->make_repair(code, Bytes{1, 2, 3}, 2), Status::ok);
  EXPECT_EQ(transform->make_syndromes(code, Bytes{1, 2, 3}), Status::too_few_shares);
  EXPECT_EQ(transform->make_syndromes(code, Bytes{1, 2, 3, 4, 5, 1}), Status::too_many_shares_given);
  EXPECT_EQ(transform->make_syndromes(code, Bytes{1, 2, 3, 9}), Status::share_index_out_of_range);
  EXPECT_EQ(transform->make_syndromes(code, Bytes{1, 2, 3, 2}), Status::share_index_repeated);
  EXPECT_EQ(transform->make_syndromes(code, Bytes{5, 1, 3, 4}), Status::ok);
}

TEST(ShareLists, KeepNeedsAnOutput) {
  const auto transform = std::make_unique<Transform>();
  EXPECT_EQ(transform->make_split_keep(make({Scheme::rs, 3, 3, 3})), Status::too_few_shares);
  EXPECT_EQ(transform->make_split_keep(make({Scheme::rs, 3, 4, 3})), Status::ok);
  EXPECT_EQ(transform->rows(), 1U);
  EXPECT_EQ(transform->make_split_keep(make({Scheme::systematic, 3, 3, 1})), Status::ok);
  EXPECT_EQ(transform->rows(), 1U);
}

// Generated random blocks are the first columns: a split must leave columns and rows as they are.
TEST(Codes, SplitsKeepTheOrderOfColumnsAndRows) {
  const auto transform = std::make_unique<Transform>();
  for (unsigned k = 2; k <= 9; ++k) {
    for (unsigned data_blocks = 1; data_blocks < k; ++data_blocks) {
      const unsigned n = std::min(255U, 256 - data_blocks);
      ASSERT_EQ(transform->make_split(make({Scheme::ramp, k, n, data_blocks})), Status::ok);
      EXPECT_TRUE(transform->in_order()) << "ramp k " << k << " L " << data_blocks << " n " << n;
    }
    for (const Scheme scheme : {Scheme::systematic, Scheme::classic}) {
      ASSERT_EQ(transform->make_split(make({scheme, k, 255, 1})), Status::ok);
      EXPECT_TRUE(transform->in_order()) << name(scheme) << " k " << k;
    }
  }
}

}  // namespace
