// SPDX-License-Identifier: BSD-3-Clause
// What a competent user would write with ISA-L 2.30 and OpenSSL: textbook Shamir shares by ec_encode_data
// over all n rows, tables made once; then one XOR per share, which leaves the ciphertext over the pad as ours
// does. Random blocks come from OpenSSL's AES-256-CTR before that, tags from its AES-256-GMAC after.
//
// The XOR is our own vector loop, not ISA-L's xor_gen, which is a quarter slower at 1408 and 8192 bytes
// (measured on Zen 4: 19 against 15 ns, 125 against 93 ns), stores past the cache (non-temporal) on AVX2, and
// crashes there on buffers that are not aligned to 32 bytes.
#include <cstring>
#include <memory>
#include <numeric>
#include <utility>
#include <vector>

#include "contender.h"
#include "libraries.h"

namespace ssn::bench {
namespace {

struct Passes {
  Encoder encoder;
  CtrStream stream;
  std::vector<Gmac> gmac;
  XorFunction xor_of;

  Passes(const Matrix& matrix, Level level, const Fixture& fixture)
      : encoder(matrix, level), stream(fixture.seed().data()), xor_of(xor_function(level)) {
    for (unsigned share = 0; share < fixture.n(); ++share) gmac.emplace_back(fixture.key(share));
  }
};

/// Systematic Cauchy for erasure codes, textbook Shamir (for ramp with several data coefficients) otherwise.
Matrix generator_for(const Fixture& fixture) {
  if (fixture.what().parameters.scheme != kernels::Scheme::rs) {
    return textbook_generator(fixture.n(), fixture.random_blocks(), fixture.data_blocks());
  }
  return cauchy_generator(fixture.k(), fixture.n());
}

/// Rows that make what is wanted from the source shares.
Matrix recovery_rows(const Matrix& generator, const std::vector<std::uint8_t>& sources,
                     const Matrix& wanted) {
  std::vector<unsigned> rows;
  for (unsigned i = 0; i < generator.columns; ++i) rows.push_back(sources[i] - 1U);
  return product(wanted, inverse(rows_of(generator, rows)));
}

std::unique_ptr<Contender> make_split(Fixture& fixture, Level level) {
  const Operation& operation = *fixture.what().operation;
  Form form{generator_for(fixture), TagForm::gmac, 0, 0};
  Matrix rows = form.generator;
  if (operation.codes == erasure) {  // the data are shares already
    form.first_share = fixture.k();
    std::vector<unsigned> parity(fixture.n() - fixture.k());
    std::iota(parity.begin(), parity.end(), fixture.k());
    rows = rows_of(rows, parity);
  }
  auto passes = std::make_shared<Passes>(rows, level, fixture);
  const auto step = [passes, operation, first = form.first_share, &sets = fixture.sets(), n = fixture.n(),
                     random_blocks = fixture.random_blocks(), length = fixture.bytes()](std::size_t index) {
    Set& set = sets[index];
    bool good = true;
    if (operation.has(generated)) {
      for (unsigned i = 0; i < random_blocks; ++i) good &= passes->stream.fill(set.random[i], length);
    }
    passes->encoder.encode(set.columns.data(), set.shares.data() + first, length);
    if (operation.has(with_pads)) {
      for (unsigned share = 0; share < n; ++share)
        passes->xor_of(set.pads[share], set.pads[share], set.shares[share], length);
    }
    if (operation.has(with_tags)) {
      for (unsigned share = 0; share < n; ++share) {
        good &= passes->gmac[share].tag(set.tagged[share], set.pads[share], length, set.tags[share]);
      }
    }
    return good;
  };
  const auto restart = [passes, seed = fixture.seed()] { passes->stream.restart(seed.data()); };
  return make_contender(std::move(form), fixture.sets().size(), step, restart);
}

/// Data blocks that are among the source shares already, as (source, block); only erasure codes have them.
std::vector<std::pair<unsigned, unsigned>> present_blocks(const Fixture& fixture) {
  std::vector<std::pair<unsigned, unsigned>> present;
  if (fixture.what().parameters.scheme != kernels::Scheme::rs) return present;
  for (unsigned i = 0; i < fixture.k(); ++i) {
    if (fixture.sources()[i] <= fixture.k()) present.emplace_back(i, fixture.sources()[i] - 1U);
  }
  return present;
}

/// What a recovery multiplies and where the results go, and what it only copies.
struct Recovery {
  Matrix rows;
  std::vector<unsigned> outputs;
  std::vector<std::pair<unsigned, unsigned>> copies;
};

Recovery plan_recovery(const Fixture& fixture, const Matrix& generator) {
  if (fixture.what().operation->kind == Kind::repair) {
    const Matrix wanted = rows_of(generator, {fixture.repaired_share() - 1});
    return {recovery_rows(generator, fixture.sources(), wanted), {0}, {}};
  }
  Recovery recovery{{}, {}, present_blocks(fixture)};
  for (unsigned block = 0; block < fixture.data_blocks(); ++block) {
    bool present = false;
    for (const auto& copy : recovery.copies) present |= copy.second == block;
    if (!present) recovery.outputs.push_back(block);
  }
  Matrix wanted(static_cast<unsigned>(recovery.outputs.size()), fixture.k());
  for (unsigned i = 0; i < wanted.rows; ++i) wanted.at(i, fixture.random_blocks() + recovery.outputs[i]) = 1;
  recovery.rows = recovery_rows(generator, fixture.sources(), wanted);
  return recovery;
}

struct Lists {
  std::vector<std::uint8_t*> in;
  std::vector<std::uint8_t*> out;
};

/// Check the tags, take the pads off into buffers of their own, multiply with the inverted matrix.
std::unique_ptr<Contender> make_recover(Fixture& fixture, Level level) {
  const Operation& operation = *fixture.what().operation;
  Form form{generator_for(fixture), TagForm::gmac, 0, 0};
  const Recovery recovery = plan_recovery(fixture, form.generator);
  std::vector<Lists> lists;
  for (const Set& set : fixture.sets()) {
    Lists& list = lists.emplace_back();
    for (unsigned i = 0; i < fixture.k(); ++i) {
      list.in.push_back(operation.has(with_pads) ? set.scratch[i] : set.shares[fixture.sources()[i] - 1U]);
    }
    for (const unsigned output : recovery.outputs) list.out.push_back(set.out[output]);
  }
  auto passes = std::make_shared<Passes>(recovery.rows, level, fixture);
  const auto step = [passes, lists, operation, copies = recovery.copies, &sets = fixture.sets(),
                     sources = fixture.sources(), length = fixture.bytes()](std::size_t index) {
    Set& set = sets[index];
    bool good = true;
    for (std::size_t i = 0; i < sources.size(); ++i) {
      const unsigned share = sources[i] - 1U;
      if (operation.has(with_tags)) {
        good &= passes->gmac[share].check(set.tagged[share], set.shares[share], length, set.tags[share]);
      }
      if (operation.has(with_pads))
        passes->xor_of(lists[index].in[i], set.shares[share], set.pads[share], length);
    }
    passes->encoder.encode(lists[index].in.data(), lists[index].out.data(), length);
    for (const auto& [from, block] : copies) std::memcpy(set.out[block], lists[index].in[from], length);
    return good;
  };
  return make_contender(std::move(form), fixture.sets().size(), step);
}

/// Recompute the surplus shares from the first k and compare.
std::unique_ptr<Contender> make_check(Fixture& fixture, Level level) {
  Form form{generator_for(fixture), TagForm::gmac, 0, 0};
  std::vector<unsigned> surplus(fixture.n() - fixture.k());
  std::iota(surplus.begin(), surplus.end(), fixture.k());
  const Matrix wanted = rows_of(form.generator, surplus);
  auto passes =
      std::make_shared<Passes>(recovery_rows(form.generator, fixture.sources(), wanted), level, fixture);
  const auto step = [passes, &sets = fixture.sets(), k = fixture.k(), count = surplus.size(),
                     length = fixture.bytes()](std::size_t index) {
    Set& set = sets[index];
    passes->encoder.encode(set.shares.data(), set.scratch.data(), length);
    bool good = true;
    for (std::size_t i = 0; i < count; ++i)
      good &= std::memcmp(set.scratch[i], set.shares[k + i], length) == 0;
    return good;
  };
  return make_contender(std::move(form), fixture.sets().size(), step);
}

std::unique_ptr<Contender> make_one_buffer(Fixture& fixture, Level level) {
  Form form{generator_for(fixture), TagForm::gmac, 0, 0};
  auto passes = std::make_shared<Passes>(form.generator, level, fixture);
  std::vector<Set>& sets = fixture.sets();
  const std::size_t length = fixture.bytes();
  const Kind kind = fixture.what().operation->kind;
  if (kind == Kind::pad) {
    return make_contender(std::move(form), sets.size(), [passes, &sets, length](std::size_t i) {
      passes->xor_of(sets[i].pads[0], sets[i].pads[0], sets[i].data[0], length);
      return true;
    });
  }
  if (kind == Kind::tag) {
    return make_contender(std::move(form), sets.size(), [passes, &sets, length](std::size_t i) {
      return passes->gmac[0].tag(sets[i].tagged[0], sets[i].data[0], length, sets[i].tags[0]);
    });
  }
  return make_contender(
      std::move(form), sets.size(),
      [passes, &sets, length](std::size_t i) { return passes->stream.fill(sets[i].random[0], length); },
      [passes, seed = fixture.seed()] { passes->stream.restart(seed.data()); });
}

}  // namespace

std::unique_ptr<Contender> make_baseline(Fixture& fixture, Level level) {
  switch (fixture.what().operation->kind) {
    case Kind::split:
      return make_split(fixture, level);
    case Kind::recover:
    case Kind::repair:
      return make_recover(fixture, level);
    case Kind::check:
      return make_check(fixture, level);
    case Kind::pad:
    case Kind::tag:
    case Kind::random:
      break;
  }
  return make_one_buffer(fixture, level);
}

}  // namespace ssn::bench
