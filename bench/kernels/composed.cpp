// SPDX-License-Identifier: BSD-3-Clause
// The most that can be had from ISA-L and OpenSSL by composition, so that nobody need call the baseline a
// straw man: the systematic matrix of this library (only n - k + 1 rows are multiplied, the first k - 1
// shares are the random blocks themselves), tiles that stay in the first-level cache, ciphertext over the
// pad.
#include <algorithm>
#include <memory>
#include <numeric>
#include <utility>
#include <vector>

#include "contender.h"
#include "libraries.h"

namespace ssn::bench {
namespace {

struct Tools {
  Encoder encoder;
  CtrStream stream;
  std::vector<Gmac> gmac;

  XorFunction xor_of = xor_function(Level::best);

  Tools(const Matrix& matrix, const Fixture& fixture) : encoder(matrix), stream(fixture.seed().data()) {
    for (unsigned share = 0; share < fixture.n(); ++share) gmac.emplace_back(fixture.key(share));
  }
};

/// Bytes per tile, so that a tile of all streams is well inside 32 KiB; a packet is one tile where it fits.
std::size_t tile_of(std::size_t streams) { return std::max<std::size_t>(24576 / streams / 64 * 64, 512); }

using Pointers = std::vector<std::uint8_t*>;

void advance(Pointers& to, const Pointers& from, std::size_t offset) {
  for (std::size_t i = 0; i < to.size(); ++i) to[i] = from[i] + offset;
}

std::unique_ptr<Contender> make_split(Fixture& fixture) {
  const Operation& operation = *fixture.what().operation;
  const unsigned t = fixture.random_blocks();
  Form form{generator_of(fixture.code()), TagForm::gmac, operation.has(keep) ? t : 0, 0};
  std::vector<unsigned> dense(fixture.n() - t);
  std::iota(dense.begin(), dense.end(), t);
  auto tools = std::make_shared<Tools>(rows_of(form.generator, dense), fixture);
  // Streams at one time: columns, pads, and the scratch tiles that the products go to.
  const std::size_t tile = tile_of(fixture.k() + fixture.n() + dense.size());
  form.stream_tile = tile;
  const auto step = [tools, tile, operation, t, first = form.first_share, in = Pointers(fixture.k()),
                     out = Pointers(dense.size()), &sets = fixture.sets(), n = fixture.n(),
                     length = fixture.bytes()](std::size_t index) mutable {
    Set& set = sets[index];
    bool good = true;
    for (std::size_t at = 0; at < length; at += tile) {
      const std::size_t now = std::min(tile, length - at);
      if (operation.has(generated)) {
        for (unsigned i = 0; i < t; ++i) good &= tools->stream.fill(set.random[i] + at, now);
      }
      advance(in, set.columns, at);
      if (operation.has(with_pads)) {
        tools->encoder.encode(in.data(), set.scratch.data(), now);
        for (unsigned i = first; i < t; ++i)
          tools->xor_of(set.pads[i] + at, set.pads[i] + at, set.random[i] + at, now);
        for (unsigned i = t; i < n; ++i)
          tools->xor_of(set.pads[i] + at, set.pads[i] + at, set.scratch[i - t], now);
      } else {
        for (unsigned i = t; i < n; ++i) out[i - t] = set.shares[i] + at;
        tools->encoder.encode(in.data(), out.data(), now);
        for (unsigned i = first; i < t; ++i) std::copy_n(set.random[i] + at, now, set.shares[i] + at);
      }
    }
    if (operation.has(with_tags)) {
      for (unsigned i = 0; i < n; ++i) {
        const std::uint8_t* const message = i < first ? set.random[i] : set.pads[i];
        good &= tools->gmac[i].tag(set.tagged[i], message, length, set.tags[i]);
      }
    }
    return good;
  };
  const auto restart = [tools, seed = fixture.seed()] { tools->stream.restart(seed.data()); };
  return make_contender(std::move(form), fixture.sets().size(), step, restart);
}

/// The sum of the shares without their pads: all that a recovery from the first k shares is.
void sum_tile(XorFunction xor_of, const Set& set, const std::vector<std::uint8_t>& sources, bool padded,
              std::size_t at, std::size_t length) {
  std::uint8_t* const out = set.out[0] + at;
  for (std::size_t i = 0; i < sources.size(); ++i) {
    const unsigned share = sources[i] - 1U;
    if (i == 0) {
      std::copy_n(set.shares[share] + at, length, out);
    } else {
      xor_of(out, out, set.shares[share] + at, length);
    }
    if (padded) xor_of(out, out, set.pads[share] + at, length);
  }
}

std::unique_ptr<Contender> make_recover(Fixture& fixture) {
  const Operation& operation = *fixture.what().operation;
  const std::vector<std::uint8_t>& sources = fixture.sources();
  Form form{generator_of(fixture.code()), TagForm::gmac, 0, 0};
  Matrix rows(1, fixture.k());
  fixture.code().data_from_shares(sources.data(), 0, rows.entries.data());
  const bool ones =
      std::all_of(rows.entries.begin(), rows.entries.end(), [](auto entry) { return entry == 1; });
  auto tools = std::make_shared<Tools>(rows, fixture);
  const auto step = [tools, operation, ones, tile = tile_of(3 * sources.size() + 1), sources,
                     in = Pointers(sources.size()), &sets = fixture.sets(),
                     length = fixture.bytes()](std::size_t index) mutable {
    Set& set = sets[index];
    const bool padded = operation.has(with_pads);
    bool good = true;
    for (std::size_t i = 0; operation.has(with_tags) && i < sources.size(); ++i) {
      const unsigned share = sources[i] - 1U;
      good &= tools->gmac[share].check(set.tagged[share], set.shares[share], length, set.tags[share]);
    }
    for (std::size_t at = 0; at < length; at += tile) {
      const std::size_t now = std::min(tile, length - at);
      if (ones) {
        sum_tile(tools->xor_of, set, sources, padded, at, now);
        continue;
      }
      for (std::size_t i = 0; i < sources.size(); ++i) {
        const unsigned share = sources[i] - 1U;
        in[i] = padded ? set.scratch[i] : set.shares[share] + at;
        if (padded) tools->xor_of(in[i], set.shares[share] + at, set.pads[share] + at, now);
      }
      std::uint8_t* out = set.out[0] + at;
      tools->encoder.encode(in.data(), &out, now);
    }
    return good;
  };
  return make_contender(std::move(form), fixture.sets().size(), step);
}

}  // namespace

std::unique_ptr<Contender> make_composed(Fixture& fixture) {
  return fixture.what().operation->kind == Kind::split ? make_split(fixture) : make_recover(fixture);
}

}  // namespace ssn::bench
