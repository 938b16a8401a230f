// SPDX-License-Identifier: BSD-3-Clause
// Every implementation against ISA-L's own ec_encode_data, called directly with ISA-L's own matrices and
// tables.
#include <gtest/gtest.h>
#include <isa-l/erasure_code.h>

#include <memory>
#include <vector>

#include "guarded.h"
#include "implementations.h"

namespace {

namespace kernels = ssn::kernels;
using kernels::Status;
using ssn::test::Bytes;
using ssn::test::random_for_this_test;
using ssn::test::TestRandom;

/// What ISA-L says: matrix times in.
std::vector<Bytes> isal_dot(const Bytes& matrix, unsigned rows, unsigned columns,
                            const std::vector<Bytes>& in) {
  Bytes coefficients = matrix;
  Bytes tables(std::size_t{32} * rows * columns);
  ec_init_tables(static_cast<int>(columns), static_cast<int>(rows), coefficients.data(), tables.data());
  std::vector<Bytes> sources = in;
  std::vector<Bytes> out(rows, Bytes(in[0].size()));
  std::vector<unsigned char*> source_at, out_at;
  for (Bytes& source : sources) source_at.push_back(source.data());
  for (Bytes& row : out) out_at.push_back(row.data());
  ec_encode_data(static_cast<int>(in[0].size()), static_cast<int>(columns), static_cast<int>(rows),
                 tables.data(), source_at.data(), out_at.data());
  return out;
}

class AgainstIsal : public ssn::test::PerImplementation {
 protected:
  std::vector<Bytes> ours(const kernels::Transform& transform, const std::vector<Bytes>& in) {
    const std::size_t length = in[0].size();
    pool_.reset();
    std::vector<const std::uint8_t*> in_at;
    std::vector<std::uint8_t*> out_at;
    for (const Bytes& source : in) {
      std::uint8_t* at = pool_.take(length, {true, 0});
      std::copy(source.begin(), source.end(), at);
      in_at.push_back(at);
    }
    for (unsigned r = 0; r < transform.rows(); ++r) out_at.push_back(pool_.take(length, {true, 0}));
    EXPECT_EQ(kernels::dot(implementation(), transform, in_at.data(), out_at.data(), length), Status::ok);
    EXPECT_TRUE(pool_.intact());
    std::vector<Bytes> out;
    for (const std::uint8_t* at : out_at) out.emplace_back(at, at + length);
    return out;
  }

  ssn::test::BufferPool pool_{65537};
  std::unique_ptr<kernels::Transform> transform_ = std::make_unique<kernels::Transform>();
  TestRandom random_ = random_for_this_test();
};

TEST_P(AgainstIsal, RandomMatricesAtAllLengths) {
  std::vector<std::size_t> lengths{1344, 1408, 1472, 8192, 8896, 9000, 65535, 65536, 65537};
  for (std::size_t length = 1; length <= 320; ++length) lengths.push_back(length);
  for (const std::size_t length : lengths) {
    for (unsigned i = 0; i < 4; ++i) {
      const unsigned rows = random_.between(1, 12);
      const unsigned columns = random_.between(1, 12);
      const Bytes matrix = random_.bytes(std::size_t{rows} * columns);
      std::vector<Bytes> in(columns);
      for (Bytes& source : in) source = random_.bytes(length);
      ASSERT_EQ(transform_->make_matrix(matrix, rows, columns), Status::ok);
      ASSERT_EQ(ours(*transform_, in), isal_dot(matrix, rows, columns, in))
          << rows << 'x' << columns << ", length " << length;
    }
  }
}

TEST_P(AgainstIsal, CauchyEncodeAndDecode) {
  for (const auto& [k, n] : {std::pair{3U, 5U}, {6U, 9U}, {10U, 14U}}) {
    kernels::Code code;
    ASSERT_EQ(kernels::Code::make(kernels::Scheme::rs, k, n, k, code), Status::ok);
    ASSERT_EQ(transform_->make_split(code), Status::ok);
    Bytes matrix(std::size_t{n} * k);
    gf_gen_cauchy1_matrix(matrix.data(), static_cast<int>(n), static_cast<int>(k));
    std::vector<Bytes> data(k);
    for (Bytes& block : data) block = random_.bytes(1408);
    const std::vector<Bytes> shares = ours(*transform_, data);
    ASSERT_EQ(shares, isal_dot(matrix, n, k, data));

    const Bytes subset = random_.share_indices(k, n);
    Bytes chosen, inverse(std::size_t{k} * k);
    std::vector<Bytes> given;
    for (const std::uint8_t share : subset) {
      const auto row = matrix.begin() + std::ptrdiff_t{share - 1} * static_cast<std::ptrdiff_t>(k);
      chosen.insert(chosen.end(), row, row + static_cast<std::ptrdiff_t>(k));
      given.push_back(shares[share - 1U]);
    }
    ASSERT_EQ(gf_invert_matrix(chosen.data(), inverse.data(), static_cast<int>(k)), 0);
    ASSERT_EQ(transform_->make_recover(code, subset), Status::ok);
    ASSERT_EQ(ours(*transform_, given), isal_dot(inverse, k, k, given));
    ASSERT_EQ(ours(*transform_, given), data);
  }
}

SSN_FOR_EVERY_IMPLEMENTATION(AgainstIsal);

}  // namespace
