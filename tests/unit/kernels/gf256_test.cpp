// SPDX-License-Identifier: BSD-3-Clause
// The field: exhaustively against products computed bit by bit, and against ISA-L.
#include "gf256.h"

#include <gtest/gtest.h>
#include <isa-l/erasure_code.h>

#include <memory>
#include <vector>

#include "implementations.h"
#include "reference.h"

namespace {

namespace kernels = ssn::kernels;
namespace reference = ssn::test::reference;
using kernels::Status;
using ssn::test::Bytes;

constexpr std::uint8_t byte(unsigned value) { return static_cast<std::uint8_t>(value); }

// Usable in constant expressions, as promised.
static_assert(kernels::gf_mul(2, 0x80) == 0x1D);
static_assert(kernels::gf_inv(1) == 1);
static_assert(kernels::gf_div(7, 7) == 1);
static_assert(kernels::gf_pow(2, 8) == 0x1D);

TEST(Field, ProductsOfAllPairs) {
  for (unsigned a = 0; a < 256; ++a) {
    for (unsigned b = 0; b < 256; ++b) {
      const std::uint8_t expected = reference::multiply(byte(a), byte(b));
      ASSERT_EQ(kernels::gf_mul(byte(a), byte(b)), expected) << a << " * " << b;
      ASSERT_EQ(::gf_mul(byte(a), byte(b)), expected) << "ISA-L, " << a << " * " << b;
    }
  }
}

TEST(Field, InversesAndQuotientsOfAll) {
  for (unsigned a = 1; a < 256; ++a) {
    const std::uint8_t inverse = kernels::gf_inv(byte(a));
    ASSERT_EQ(reference::multiply(byte(a), inverse), 1) << a;
    ASSERT_EQ(inverse, ::gf_inv(byte(a))) << "ISA-L, " << a;
    ASSERT_EQ(inverse, reference::inverse(byte(a))) << a;
    for (unsigned b = 0; b < 256; ++b) {
      ASSERT_EQ(reference::multiply(kernels::gf_div(byte(b), byte(a)), byte(a)), b) << b << " / " << a;
    }
  }
}

TEST(Field, PowersOfAll) {
  for (unsigned a = 0; a < 256; ++a) {
    std::uint8_t power = 1;
    for (unsigned e = 0; e <= 600; ++e) {  // more than two periods of 255
      ASSERT_EQ(kernels::gf_pow(byte(a), e), power) << a << " to the power " << e;
      power = reference::multiply(power, byte(a));
    }
  }
}

class Multiplication : public ssn::test::PerImplementation {};

// Every coefficient times every byte, at each place of a row of vectors: the length is no multiple of any.
TEST_P(Multiplication, AllCoefficientsTimesAllBytes) {
  const auto transform = std::make_unique<kernels::Transform>();
  Bytes in(256 + 37);
  for (std::size_t i = 0; i < in.size(); ++i) in[i] = byte(static_cast<unsigned>(i % 256));
  Bytes out(in.size());
  const std::uint8_t* in_at = in.data();
  std::uint8_t* out_at = out.data();
  for (unsigned c = 0; c < 256; ++c) {
    const std::uint8_t coefficient = byte(c);
    ASSERT_EQ(transform->make_matrix({&coefficient, 1}, 1, 1), Status::ok);
    ASSERT_EQ(kernels::dot(implementation(), *transform, &in_at, &out_at, in.size()), Status::ok);
    for (std::size_t i = 0; i < in.size(); ++i) {
      ASSERT_EQ(out[i], reference::multiply(coefficient, in[i])) << c << " * " << unsigned{in[i]};
    }
  }
}

// The same with a second column, so that products are added rather than stored.
TEST_P(Multiplication, AllCoefficientsInASum) {
  const auto transform = std::make_unique<kernels::Transform>();
  Bytes first(256);
  Bytes second(256);
  for (unsigned i = 0; i < 256; ++i) {
    first[i] = byte(i);
    second[i] = byte(255 - i);
  }
  const std::vector<const std::uint8_t*> in{first.data(), second.data()};
  Bytes out(256);
  std::uint8_t* out_at = out.data();
  for (unsigned c = 0; c < 256; ++c) {
    const Bytes row{byte(c), byte(c ^ 0x5BU)};
    ASSERT_EQ(transform->make_matrix(row, 1, 2), Status::ok);
    ASSERT_EQ(kernels::dot(implementation(), *transform, in.data(), &out_at, out.size()), Status::ok);
    for (unsigned i = 0; i < 256; ++i) {
      ASSERT_EQ(out[i], reference::multiply(row[0], first[i]) ^ reference::multiply(row[1], second[i])) << c;
    }
  }
}

SSN_FOR_EVERY_IMPLEMENTATION(Multiplication);

}  // namespace
