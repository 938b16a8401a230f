// SPDX-License-Identifier: BSD-3-Clause
// check and locate: all error patterns within the radius for small codes, random ones for large, and what
// must hold beyond the radius.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <memory>
#include <vector>

#include "implementations.h"
#include "reference.h"

namespace {

namespace kernels = ssn::kernels;
namespace reference = ssn::test::reference;
using kernels::LocateResult;
using kernels::Scheme;
using kernels::Status;
using ssn::test::Bytes;
using ssn::test::CodeSpec;
using ssn::test::random_for_this_test;
using ssn::test::TestRandom;

class Locate : public ssn::test::PerImplementation {
 protected:
  /// Random shares `given` of one codeword per column.
  void make_shares(const CodeSpec& spec, const Bytes& given, std::size_t length) {
    spec_ = spec;
    given_ = given;
    length_ = length;
    ASSERT_EQ(kernels::Code::make(spec.scheme, spec.k, spec.n, spec.data_blocks, code_), Status::ok);
    if (to_string(spec) != generator_of_) {
      generator_ = reference::generator(spec);
      generator_of_ = to_string(spec);
    }
    std::vector<Bytes> columns(spec.k);
    for (Bytes& column : columns) column = random_.bytes(length);
    std::vector<unsigned> rows;
    for (const std::uint8_t share : given) rows.push_back(share - 1U);
    shares_ = reference::combine(reference::select_rows(generator_, rows), columns);
  }
  void make_all_shares(const CodeSpec& spec, std::size_t length) {
    Bytes all(spec.n);
    for (unsigned i = 0; i < spec.n; ++i) all[i] = static_cast<std::uint8_t>(i + 1);
    make_shares(spec, all, length);
  }

  std::size_t radius() const { return (given_.size() - spec_.k) / 2; }

  LocateResult locate() {
    std::vector<const std::uint8_t*> at;
    for (const Bytes& share : shares_) at.push_back(share.data());
    LocateResult result;
    EXPECT_EQ(kernels::locate(implementation(), code_, given_, at.data(), length_, result), Status::ok);
    return result;
  }

  void expect_located(const Bytes& wrong_places) {
    const LocateResult result = locate();
    std::array<bool, kernels::max_shares> expected{};
    for (const std::uint8_t place : wrong_places) expected[place] = true;
    ASSERT_TRUE(result.located) << to_string(spec_) << " with " << given_.size() << " shares, "
                                << wrong_places.size() << " wrong";
    ASSERT_EQ(result.wrong, expected) << to_string(spec_);
  }

  /// Whether the shares at the places not marked wrong agree, and are more than k.
  bool rest_agrees(const LocateResult& result) {
    Bytes rest;
    std::vector<const std::uint8_t*> at;
    for (std::size_t i = 0; i < given_.size(); ++i) {
      if (result.wrong[i]) continue;
      rest.push_back(given_[i]);
      at.push_back(shares_[i].data());
    }
    const auto transform = std::make_unique<kernels::Transform>();
    if (transform->make_syndromes(code_, rest) != Status::ok) return false;
    std::size_t first_bad = 0;
    EXPECT_EQ(kernels::check(implementation(), *transform, at.data(), length_, first_bad), Status::ok);
    return first_bad == length_;
  }

  TestRandom random_ = random_for_this_test();
  CodeSpec spec_{};
  Bytes given_;
  std::size_t length_ = 0;
  std::vector<Bytes> shares_;

 private:
  kernels::Code code_;
  reference::Matrix generator_;
  std::string generator_of_;
};

const std::vector<CodeSpec> small_codes{
    {Scheme::systematic, 2, 4, 1}, {Scheme::systematic, 2, 5, 1}, {Scheme::systematic, 3, 5, 1},
    {Scheme::systematic, 2, 8, 1}, {Scheme::classic, 2, 4, 1},    {Scheme::classic, 3, 7, 1},
    {Scheme::ramp, 4, 8, 2},       {Scheme::ramp, 2, 6, 1},       {Scheme::rs, 1, 3, 1},
    {Scheme::rs, 2, 6, 2},         {Scheme::rs, 4, 8, 4},
};

TEST_P(Locate, NothingWrong) {
  for (const CodeSpec& spec : small_codes) {
    make_all_shares(spec, 1000);
    expect_located({});
  }
}

// Every set of wrong shares within the radius, each share wrong in columns of its own and all in one column.
TEST_P(Locate, EveryPatternWithinTheRadiusOfSmallCodes) {
  for (const CodeSpec& spec : small_codes) {
    make_all_shares(spec, 67);
    const std::vector<Bytes> honest = shares_;
    for (unsigned errors = 1; errors <= radius(); ++errors) {
      ssn::test::for_each_subset(errors, spec.n, [&](const Bytes& subset) {
        for (const bool together : {false, true}) {
          shares_ = honest;
          Bytes places;
          for (const std::uint8_t share : subset) {
            places.push_back(static_cast<std::uint8_t>(share - 1U));
            Bytes& bytes = shares_[share - 1U];
            bytes[together ? 66 : random_.below(bytes.size())] ^= random_.nonzero_byte();
          }
          expect_located(places);
        }
      });
    }
  }
}

// Exhaustive over error values: every share, share 1 at point 0 included, wrong by every value.
TEST_P(Locate, EveryErrorValueOfEveryShare) {
  for (const CodeSpec& spec : {CodeSpec{Scheme::systematic, 2, 4, 1},
                               {Scheme::classic, 2, 4, 1},
                               {Scheme::ramp, 3, 5, 2},
                               {Scheme::rs, 2, 4, 2}}) {
    make_all_shares(spec, 3);
    for (unsigned place = 0; place < spec.n; ++place) {
      for (unsigned error = 1; error < 256; ++error) {
        shares_[place][1] ^= static_cast<std::uint8_t>(error);
        expect_located({static_cast<std::uint8_t>(place)});
        shares_[place][1] ^= static_cast<std::uint8_t>(error);
      }
    }
  }
}

TEST_P(Locate, AnySharesInAnyOrder) {
  for (unsigned i = 0; i < 300; ++i) {
    const CodeSpec& spec = small_codes[random_.below(small_codes.size())];
    make_shares(spec, random_.share_indices(random_.between(spec.k + 1, spec.n), spec.n),
                1 + random_.below(3000));
    Bytes places;
    for (std::uint8_t p = 0; p < given_.size() && places.size() < radius(); ++p) {
      if (random_.coin()) continue;
      places.push_back(p);
      const std::size_t bytes = 1 + random_.below(length_);
      for (std::size_t b = 0; b < bytes; ++b) shares_[p][random_.below(length_)] ^= 0x40;
      shares_[p][random_.below(length_)] = static_cast<std::uint8_t>(~shares_[p][0]);
    }
    // Flips may undo each other; make sure that each has one that stays.
    for (const std::uint8_t p : places) shares_[p][length_ - 1] ^= 0x80;
    const LocateResult result = locate();
    ASSERT_TRUE(result.located) << to_string(spec);
    ASSERT_TRUE(rest_agrees(result));
    for (std::size_t p = 0; p < given_.size(); ++p) {
      const bool touched = std::find(places.begin(), places.end(), p) != places.end();
      ASSERT_TRUE(touched || !result.wrong[p]) << "an honest share was blamed in " << to_string(spec);
    }
  }
}

TEST_P(Locate, LargeCodesAtTheRadius) {
  for (const CodeSpec& spec : {CodeSpec{Scheme::systematic, 3, 255, 1},
                               {Scheme::systematic, 100, 200, 1},
                               {Scheme::classic, 20, 255, 1},
                               {Scheme::ramp, 20, 240, 10},
                               {Scheme::rs, 10, 30, 10},
                               {Scheme::rs, 200, 255, 200}}) {
    make_all_shares(spec, 20);
    Bytes places = random_.share_indices(static_cast<unsigned>(radius()), spec.n);
    for (std::uint8_t& place : places) --place;
    if (std::find(places.begin(), places.end(), 0) == places.end()) places[0] = 0;  // point 0 of most schemes
    for (const std::uint8_t place : places) shares_[place][random_.below(20)] ^= random_.nonzero_byte();
    expect_located(places);
  }
}

// Whole shares of another object, as a mix-up would give.
TEST_P(Locate, ForeignShares) {
  for (const CodeSpec& spec : small_codes) {
    make_all_shares(spec, 500);
    if (radius() == 0) continue;
    Bytes places = random_.share_indices(static_cast<unsigned>(radius()), spec.n);
    for (std::uint8_t& place : places) {
      --place;
      shares_[place] = random_.bytes(500);
    }
    expect_located(places);
  }
}

TEST_P(Locate, WithoutASpareOneNothingIsBlamedForCertain) {
  for (const CodeSpec& spec :
       {CodeSpec{Scheme::systematic, 2, 3, 1}, {Scheme::ramp, 4, 5, 2}, {Scheme::rs, 3, 4, 3}}) {
    make_all_shares(spec, 100);
    shares_[random_.below(shares_.size())][random_.below(100)] ^= random_.nonzero_byte();
    EXPECT_FALSE(locate().located) << to_string(spec);
  }
}

// More wrong shares than the radius: it may say so, or explain every column another way, never half.
TEST_P(Locate, BeyondTheRadiusItIsConsistentOrSaysSo) {
  unsigned gave_up = 0;
  for (unsigned i = 0; i < 400; ++i) {
    const CodeSpec& spec = small_codes[random_.below(small_codes.size())];
    make_all_shares(spec, 1 + random_.below(100));
    const std::size_t errors = std::min<std::size_t>(radius() + 1 + random_.below(3), spec.n);
    Bytes places = random_.share_indices(static_cast<unsigned>(errors), spec.n);
    for (const std::uint8_t share : places) {
      const std::size_t bytes = random_.coin() ? 1 : length_;
      for (std::size_t b = 0; b < bytes; ++b)
        shares_[share - 1U][random_.below(length_)] ^= random_.nonzero_byte();
    }
    const LocateResult result = locate();
    gave_up += result.located ? 0 : 1;
    if (!result.located) continue;
    ASSERT_TRUE(rest_agrees(result)) << to_string(spec);
    ASSERT_LE(static_cast<std::size_t>(std::count(result.wrong.begin(), result.wrong.end(), true)), radius());
  }
  EXPECT_GT(gave_up, 100U);
}

// Too many shares that are wrong everywhere cannot be explained away over many columns.
TEST_P(Locate, BeyondTheRadiusOverManyColumnsItSaysSo) {
  for (const CodeSpec& spec : small_codes) {
    make_all_shares(spec, 2000);
    const Bytes shares = random_.share_indices(static_cast<unsigned>(radius() + 1), spec.n);
    for (const std::uint8_t share : shares) shares_[share - 1U] = random_.bytes(2000);
    // A majority that agrees by itself would be the honest one: k + 1 must be left to tell.
    EXPECT_FALSE(locate().located) << to_string(spec);
  }
}

TEST_P(Locate, RefusesWrongLists) {
  make_all_shares({Scheme::systematic, 3, 5, 1}, 10);
  std::vector<const std::uint8_t*> at;
  for (const Bytes& share : shares_) at.push_back(share.data());
  kernels::Code code;
  ASSERT_EQ(kernels::Code::make(Scheme::systematic, 3, 5, 1, code), Status::ok);
  LocateResult result;
  const auto locate_in = [&](const Bytes& indices, std::size_t length) {
    return kernels::locate(implementation(), code, indices, at.data(), length, result);
  };
  EXPECT_EQ(locate_in({1, 2, 3}, 10), Status::too_few_shares);
  EXPECT_EQ(locate_in({}, 10), Status::too_few_shares);
  EXPECT_EQ(locate_in({1, 2, 3, 3}, 10), Status::share_index_repeated);
  EXPECT_EQ(locate_in({1, 2, 3, 6}, 10), Status::share_index_out_of_range);
  EXPECT_EQ(locate_in({0, 2, 3, 4}, 10), Status::share_index_out_of_range);
  EXPECT_EQ(locate_in({1, 2, 3, 4}, 0), Status::length_is_zero);
  at[2] = nullptr;
  EXPECT_EQ(locate_in({1, 2, 3, 4}, 10), Status::missing_buffer);
  EXPECT_EQ(kernels::locate(implementation(), code, Bytes{1, 2, 3, 4}, nullptr, 10, result),
            Status::missing_buffer);
}

SSN_FOR_EVERY_IMPLEMENTATION(Locate);

}  // namespace
