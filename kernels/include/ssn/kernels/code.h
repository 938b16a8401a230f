// SPDX-License-Identifier: BSD-3-Clause
// The four sharing schemes, all of them as generalised Reed-Solomon codes over GF(2^8).
//
// Every share and every data block is a position of one codeword: position p holds m_p * f(x_p) for a
// polynomial f of degree < k, a point x_p and a non-zero multiplier m_p. Points are distinct, so any k
// positions determine all others; that one fact gives recovery (data from k shares), secrecy (t shares
// and the data blocks together are at most k positions, hence independent), repair and error location.
//
// Split chooses the codeword: the first k - L positions of the share list hold random bytes (for
// Scheme::rs the first k hold the data itself), the data positions hold the data, and the remaining
// shares follow by interpolation.
//
//   scheme      share s = 1..n at point        data block l at   multipliers        random blocks t
//   systematic  s - 1 (s < k), s (s >= k)      k - 1             see below          k - 1
//   classic     s                              0                 1                  k - 1
//   ramp        s - 1                          255 - l           1                  k - L
//   rs          s - 1                          (shares 1..k)     see below          0
//
// systematic: the multipliers make share s >= k the combination with coefficients (k^j)/(s^j), j = 0..k-1,
// of the k-1 random blocks and the data, so that share k is the XOR of all and rows do not depend on n.
// classic: Shamir's scheme (Shamir, "How to share a secret", CACM 22(11), 1979) at x = 1..n over polynomial
// 0x11D; shares combine with libgfshare's gfcombine and the other way round.
// ramp: packed secret sharing (Blakley and Meadows, CRYPTO '84; Yamamoto 1985), strong by construction.
// rs: the multipliers give parity coefficients 1/(i^j), those of ISA-L's gf_gen_cauchy1_matrix. No secrecy.
#pragma once

#include <array>
#include <cstdint>

#include "ssn/kernels/status.h"

namespace ssn::kernels {

/// Values are stable: they stand in share files and on the wire.
enum class Scheme : std::uint8_t { systematic = 1, classic = 2, ramp = 3, rs = 4 };

/// The limit on n, and so on every list of shares. Share indices run from 1 to n.
inline constexpr unsigned max_shares = 255;

/// "systematic", "classic", "ramp" or "rs".
std::string_view name(Scheme scheme) noexcept;

/// Reads what name() prints. False when `text` names no scheme; `scheme` is then unchanged.
bool parse_scheme(std::string_view text, Scheme& scheme) noexcept;

/// An immutable value of about half a KiB. Every method is thread-safe.
class Code {
 public:
  /// Makes the code of `scheme` with threshold `k`, `n` shares and `data_blocks` data blocks per share
  /// length: L for ramp, k for rs, 1 otherwise. Limits:
  ///   systematic, classic: 2 <= k <= n <= 255, data_blocks = 1
  ///   ramp:                2 <= k <= n, 1 <= data_blocks < k, n + data_blocks <= 256
  ///   rs:                  1 <= k <= n <= 255, data_blocks = k
  /// On failure `code` is unchanged.
  static Status make(Scheme scheme, unsigned k, unsigned n, unsigned data_blocks, Code& code) noexcept;

  Scheme scheme() const noexcept { return scheme_; }
  /// How many shares recover the data.
  unsigned k() const noexcept { return k_; }
  unsigned n() const noexcept { return n_; }
  /// How many share lengths of data one split takes (L).
  unsigned data_blocks() const noexcept { return data_blocks_; }
  /// How many random blocks one split takes; also how many shares together reveal nothing (t).
  unsigned random_blocks() const noexcept { return random_blocks_; }

  /// Coefficients that compute one position from k others: target = sum over i of out[i] * source i.
  /// `share` is 1..n; the sources are shares, all distinct. `out` has room for k coefficients.
  /// Preconditions are asserted: exactly k distinct sources in range.
  void share_from_shares(const std::uint8_t* sources, unsigned share, std::uint8_t* out) const noexcept;
  void data_from_shares(const std::uint8_t* sources, unsigned block, std::uint8_t* out) const noexcept;
  /// Row of the generator matrix: share = sum of out[c] * column c; columns are the random blocks, then
  /// the data blocks.
  void generator_row(unsigned share, std::uint8_t* out) const noexcept;

  /// Point and multiplier of share 1..n, as in the table above.
  std::uint8_t point(unsigned share) const noexcept;
  std::uint8_t multiplier(unsigned share) const noexcept;

 private:
  struct Position {
    std::uint8_t point = 0;
    std::uint8_t multiplier = 1;
  };

  Position data_position(unsigned block) const noexcept;
  Position column_position(unsigned column) const noexcept;
  void place_systematic() noexcept;
  void place_rs() noexcept;
  void interpolate(const Position* sources, Position target, std::uint8_t* out) const noexcept;

  Scheme scheme_ = Scheme::systematic;
  std::uint8_t k_ = 0;
  std::uint8_t n_ = 0;
  std::uint8_t data_blocks_ = 0;
  std::uint8_t random_blocks_ = 0;
  Position data_{};  // systematic and classic: where the secret lies
  std::array<Position, max_shares> shares_{};
};

}  // namespace ssn::kernels
