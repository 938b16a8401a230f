// SPDX-License-Identifier: BSD-3-Clause
// Which shares are wrong? A wrong share is an error position of a generalised Reed-Solomon word. Syndromes
// depend on the errors only, not on data or random bytes, so they may be declassified and decoded with
// ordinary code.
#include <algorithm>
#include <cassert>

#include "declassify.h"
#include "gf256.h"
#include "implementation.h"

namespace ssn::kernels {
namespace {

using Polynomial = std::array<std::uint8_t, max_shares + 1>;

// Massey, "Shift-register synthesis and BCH decoding", IEEE Trans. IT 15(1), 1969. Returns the length of the
// shortest register that makes the sequence, with its connection polynomial.
unsigned berlekamp_massey(const std::uint8_t* sequence, unsigned count, Polynomial& connection) {
  Polynomial previous{};
  connection = {};
  connection[0] = previous[0] = 1;
  unsigned length = 0;
  unsigned shift = 1;
  std::uint8_t previous_discrepancy = 1;
  for (unsigned i = 0; i < count; ++i) {
    std::uint8_t discrepancy = sequence[i];
    for (unsigned j = 1; j <= length; ++j) {
      discrepancy ^= gf_mul(connection[j], sequence[i - j]);
    }
    if (discrepancy == 0) {
      ++shift;
      continue;
    }
    const Polynomial before = connection;
    const std::uint8_t factor = gf_div(discrepancy, previous_discrepancy);
    for (unsigned j = 0; j + shift < connection.size(); ++j) {
      connection[j + shift] ^= gf_mul(factor, previous[j]);
    }
    if (2 * length <= i) {
      length = i + 1 - length;
      previous = before;
      previous_discrepancy = discrepancy;
      shift = 1;
    } else {
      ++shift;
    }
  }
  return length;
}

// The product of (x ^ x_e) over the wrong shares e is the connection polynomial read backwards, which is zero
// at point 0 too where the register is longer than the polynomial's degree.
std::uint8_t locator_at(const Polynomial& connection, unsigned length, std::uint8_t point) {
  std::uint8_t value = 0;
  for (unsigned j = 0; j <= length; ++j) {
    value = gf_mul(value, point) ^ connection[j];
  }
  return value;
}

class Locator {
 public:
  Locator(const Implementation& implementation, const Code& code, std::span<const std::uint8_t> indices)
      : implementation_(implementation), code_(code), indices_(indices) {
    make_parity();
  }

  // Marks the wrong shares of one column. False when there are more than can be told.
  bool decode(const std::uint8_t* const* shares, std::size_t column, LocateResult& result) const {
    const unsigned count = parity_.rows();
    std::array<std::uint8_t, max_shares> syndromes{};
    std::array<const std::uint8_t*, max_shares> in;
    std::array<std::uint8_t*, max_shares> out;
    for (std::size_t i = 0; i < indices_.size(); ++i) {
      in[i] = shares[i] + column;
    }
    for (unsigned i = 0; i < count; ++i) {
      out[i] = &syndromes[i];
    }
    const Status status = dot(implementation_, parity_, in.data(), out.data(), 1);
    assert(status == Status::ok);
    static_cast<void>(status);
    SSN_DECLASSIFY(syndromes.data(), syndromes.size());
    Polynomial connection;
    const unsigned errors = berlekamp_massey(syndromes.data(), count, connection);
    if (2 * errors > count) {
      return false;
    }
    unsigned roots = 0;
    for (std::size_t i = 0; i < indices_.size(); ++i) {
      if (locator_at(connection, errors, code_.point(indices_[i])) == 0) {
        result.wrong[i] = true;
        ++roots;
      }
    }
    return roots == errors;
  }

 private:
  // Row j, share s: v_s * x_s^j with v_s = 1 / (m_s * product over l != s of (x_s ^ x_l)). These rows are
  // orthogonal to every codeword (MacWilliams and Sloane, ch. 10 par. 8, theorem 4).
  void make_parity() {
    const std::size_t count = indices_.size();
    std::array<std::uint8_t, max_shares> factors;
    for (std::size_t s = 0; s < count; ++s) {
      std::uint8_t product = code_.multiplier(indices_[s]);
      for (std::size_t l = 0; l < count; ++l) {
        if (l != s) {
          product = gf_mul(product, code_.point(indices_[s]) ^ code_.point(indices_[l]));
        }
      }
      factors[s] = gf_inv(product);
    }
    std::array<std::uint8_t, std::size_t{max_shares} * max_shares> rows;
    const std::size_t row_count = count - code_.k();
    for (std::size_t j = 0; j < row_count; ++j) {
      for (std::size_t s = 0; s < count; ++s) {
        rows[j * count + s] = gf_mul(factors[s], gf_pow(code_.point(indices_[s]), static_cast<unsigned>(j)));
      }
    }
    const Status status = parity_.make_matrix({rows.data(), row_count * count},
                                              static_cast<unsigned>(row_count), static_cast<unsigned>(count));
    assert(status == Status::ok);
    static_cast<void>(status);
  }

  const Implementation& implementation_;
  const Code& code_;
  std::span<const std::uint8_t> indices_;
  Transform parity_;
};

// The shares not yet found wrong, with the transform that checks them.
struct Trusted {
  std::array<std::uint8_t, max_shares> indices;
  std::array<const std::uint8_t*, max_shares> shares;
  std::size_t count = 0;
  Transform syndromes;
};

Status choose_trusted(const Code& code, std::span<const std::uint8_t> indices,
                      const std::uint8_t* const* shares, const LocateResult& result, Trusted& trusted) {
  trusted.count = 0;
  for (std::size_t i = 0; i < indices.size(); ++i) {
    if (!result.wrong[i]) {
      trusted.indices[trusted.count] = indices[i];
      trusted.shares[trusted.count++] = shares[i];
    }
  }
  return trusted.syndromes.make_syndromes(code, {trusted.indices.data(), trusted.count});
}

}  // namespace

Status locate(const Implementation& implementation, const Code& code,
              std::span<const std::uint8_t> share_indices, const std::uint8_t* const* shares,
              std::size_t length, LocateResult& result) noexcept {
  result = {};
  if (shares == nullptr ||
      std::find(shares, shares + share_indices.size(), nullptr) != shares + share_indices.size()) {
    return Status::missing_buffer;
  }
  if (length == 0) {
    return Status::length_is_zero;
  }
  Trusted trusted;
  if (const Status status = choose_trusted(code, share_indices, shares, result, trusted);
      status != Status::ok) {
    return status;
  }
  const Locator locator(implementation, code, share_indices);
  const std::size_t radius = (share_indices.size() - code.k()) / 2;
  std::size_t done = 0;
  while (done < length) {
    std::array<const std::uint8_t*, max_shares> rest;
    std::transform(trusted.shares.begin(), trusted.shares.begin() + trusted.count, rest.begin(),
                   [done](const std::uint8_t* share) { return share + done; });
    std::size_t first_bad = 0;
    const Status status = check(implementation, trusted.syndromes, rest.data(), length - done, first_bad);
    assert(status == Status::ok);
    static_cast<void>(status);
    done += first_bad;
    if (done == length) {
      break;
    }
    // Each round leaves out at least one more share, or gives up: at most radius + 1 rounds.
    const std::size_t trusted_before = trusted.count;
    const auto found = [&result] { return std::count(result.wrong.begin(), result.wrong.end(), true); };
    if (!locator.decode(shares, done, result) || static_cast<std::size_t>(found()) > radius) {
      return Status::ok;
    }
    const Status chosen = choose_trusted(code, share_indices, shares, result, trusted);
    if (chosen != Status::ok || trusted.count == trusted_before) {
      return Status::ok;
    }
  }
  result.located = true;
  return Status::ok;
}

}  // namespace ssn::kernels
