// SPDX-License-Identifier: BSD-3-Clause
#include "ssn/kernels/code.h"

#include <cassert>

#include "gf256.h"

namespace ssn::kernels {
namespace {

struct SchemeName {
  Scheme scheme;
  std::string_view name;
};

constexpr std::array<SchemeName, 4> scheme_names{{
    {Scheme::systematic, "systematic"},
    {Scheme::classic, "classic"},
    {Scheme::ramp, "ramp"},
    {Scheme::rs, "rs"},
}};

Status check_parameters(Scheme scheme, unsigned k, unsigned n, unsigned data_blocks) noexcept {
  if (k < (scheme == Scheme::rs ? 1U : 2U)) {
    return Status::threshold_too_small;
  }
  if (k > n) {
    return Status::threshold_exceeds_shares;
  }
  if (n > max_shares) {
    return Status::too_many_shares;
  }
  if (scheme == Scheme::ramp) {
    if (data_blocks < 1 || data_blocks >= k) {
      return Status::data_blocks_out_of_range;
    }
    return n + data_blocks > 256 ? Status::too_many_points : Status::ok;
  }
  const unsigned expected = scheme == Scheme::rs ? k : 1;
  return data_blocks == expected ? Status::ok : Status::data_blocks_not_one;
}

constexpr std::uint8_t byte(unsigned value) { return static_cast<std::uint8_t>(value); }

// Product of (point ^ j) over j < count, leaving out the factor that is zero.
std::uint8_t product_of_differences(unsigned point, unsigned count) noexcept {
  std::uint8_t product = 1;
  for (unsigned j = 0; j < count; ++j) {
    if (j != point) {
      product = gf_mul(product, byte(point ^ j));
    }
  }
  return product;
}

}  // namespace

std::string_view name(Scheme scheme) noexcept {
  for (const SchemeName& entry : scheme_names) {
    if (entry.scheme == scheme) {
      return entry.name;
    }
  }
  return "unknown";
}

bool parse_scheme(std::string_view text, Scheme& scheme) noexcept {
  for (const SchemeName& entry : scheme_names) {
    if (entry.name == text) {
      scheme = entry.scheme;
      return true;
    }
  }
  return false;
}

Status Code::make(Scheme scheme, unsigned k, unsigned n, unsigned data_blocks, Code& code) noexcept {
  if (const Status status = check_parameters(scheme, k, n, data_blocks); status != Status::ok) {
    return status;
  }
  Code made;
  made.scheme_ = scheme;
  made.k_ = byte(k);
  made.n_ = byte(n);
  made.data_blocks_ = byte(data_blocks);
  made.random_blocks_ = byte(k - data_blocks);
  switch (scheme) {
    case Scheme::systematic:
      made.place_systematic();
      break;
    case Scheme::classic:
      made.data_ = {0, 1};
      for (unsigned share = 1; share <= n; ++share) {
        made.shares_[share - 1] = {byte(share), 1};
      }
      break;
    case Scheme::ramp:
      for (unsigned share = 1; share <= n; ++share) {
        made.shares_[share - 1] = {byte(share - 1), 1};
      }
      break;
    case Scheme::rs:
      made.place_rs();
      break;
  }
  code = made;
  return Status::ok;
}

// With P(x) = product of (x ^ l) over l < k and D_j the same at x = j without its zero factor, interpolation
// gives f(i) = P(i) * sum of f(j) / ((i ^ j) * D_j). Multipliers 1 / ((k ^ j) * D_j) at j and 1 / P(i) at i
// make the coefficients (k ^ j) / (i ^ j).
void Code::place_systematic() noexcept {
  const unsigned k = k_;
  const auto low = [k](unsigned j) {
    return Position{byte(j), gf_inv(gf_mul(byte(k ^ j), product_of_differences(j, k)))};
  };
  for (unsigned share = 1; share < k; ++share) {
    shares_[share - 1] = low(share - 1);
  }
  data_ = low(k - 1);
  for (unsigned share = k; share <= n_; ++share) {
    shares_[share - 1] = {byte(share), gf_inv(product_of_differences(share, k))};
  }
}

// As above, with multipliers 1 / D_j at j: the coefficients are 1 / (i ^ j).
void Code::place_rs() noexcept {
  for (unsigned share = 1; share <= n_; ++share) {
    shares_[share - 1] = {byte(share - 1), gf_inv(product_of_differences(share - 1, k_))};
  }
}

std::uint8_t Code::point(unsigned share) const noexcept {
  assert(share >= 1 && share <= n_);
  return shares_[share - 1].point;
}

std::uint8_t Code::multiplier(unsigned share) const noexcept {
  assert(share >= 1 && share <= n_);
  return shares_[share - 1].multiplier;
}

Code::Position Code::data_position(unsigned block) const noexcept {
  assert(block < data_blocks_);
  switch (scheme_) {
    case Scheme::ramp:
      return {byte(255 - block), 1};
    case Scheme::rs:
      return shares_[block];
    default:
      return data_;
  }
}

Code::Position Code::column_position(unsigned column) const noexcept {
  return column < random_blocks_ ? shares_[column] : data_position(column - random_blocks_);
}

// Lagrange: with values y_s = m_s * f(x_s), the target's value is the sum of
// y_s * (m_q / m_s) * product over l != s of (x_q ^ x_l) / (x_s ^ x_l).
void Code::interpolate(const Position* sources, Position target, std::uint8_t* out) const noexcept {
  for (unsigned s = 0; s < k_; ++s) {
    std::uint8_t numerator = target.multiplier;
    std::uint8_t denominator = sources[s].multiplier;
    for (unsigned l = 0; l < k_; ++l) {
      if (l == s) {
        continue;
      }
      assert(sources[s].point != sources[l].point);
      numerator = gf_mul(numerator, target.point ^ sources[l].point);
      denominator = gf_mul(denominator, sources[s].point ^ sources[l].point);
    }
    out[s] = gf_div(numerator, denominator);
  }
}

void Code::share_from_shares(const std::uint8_t* sources, unsigned share, std::uint8_t* out) const noexcept {
  std::array<Position, max_shares> positions;
  for (unsigned i = 0; i < k_; ++i) {
    assert(sources[i] >= 1 && sources[i] <= n_);
    positions[i] = shares_[sources[i] - 1U];
  }
  assert(share >= 1 && share <= n_);
  interpolate(positions.data(), shares_[share - 1], out);
}

void Code::data_from_shares(const std::uint8_t* sources, unsigned block, std::uint8_t* out) const noexcept {
  std::array<Position, max_shares> positions;
  for (unsigned i = 0; i < k_; ++i) {
    assert(sources[i] >= 1 && sources[i] <= n_);
    positions[i] = shares_[sources[i] - 1U];
  }
  interpolate(positions.data(), data_position(block), out);
}

void Code::generator_row(unsigned share, std::uint8_t* out) const noexcept {
  assert(share >= 1 && share <= n_);
  std::array<Position, max_shares> positions;
  for (unsigned column = 0; column < k_; ++column) {
    positions[column] = column_position(column);
  }
  interpolate(positions.data(), shares_[share - 1], out);
}

}  // namespace ssn::kernels
