// SPDX-License-Identifier: BSD-3-Clause
#include "fixture.h"

#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <stdexcept>
#include <string>

namespace ssn::bench {
namespace {

/// A fixed sequence (xorshift64*): the same bytes in every run and for every contender.
class Sequence {
 public:
  explicit Sequence(std::uint64_t start) : state_(start * 2 + 1) {}
  void fill(std::uint8_t* out, std::size_t length) {
    for (std::size_t done = 0; done < length; done += 8) {
      state_ ^= state_ >> 12;
      state_ ^= state_ << 25;
      state_ ^= state_ >> 27;
      const std::uint64_t value = state_ * 0x2545F4914F6CDD1DU;
      std::memcpy(out + done, &value, std::min<std::size_t>(8, length - done));
    }
  }

 private:
  std::uint64_t state_;
};

/// Several times the last-level cache, within reason where the system claims a huge one.
std::size_t cold_bytes() {
  const long cache = sysconf(_SC_LEVEL3_CACHE_SIZE);
  const std::size_t known = cache > 0 ? static_cast<std::size_t>(cache) : std::size_t{64} << 20;
  return std::min(4 * known, std::size_t{1} << 30);
}

constexpr std::size_t max_sets = 1 << 16;

unsigned buffers_in_set(const kernels::Code& code) {
  return code.data_blocks() + code.random_blocks() + 3 * code.n() +
         std::max(code.data_blocks(), code.n() - code.k());
}

}  // namespace

Fixture::Fixture(const Case& what, bool cold, Arena& arena) : what_(what) {
  const CodeParameters& p = what.parameters;
  const kernels::Status status = kernels::Code::make(p.scheme, p.k, p.n, p.data_blocks, code_);
  if (status != kernels::Status::ok) {
    throw std::runtime_error("the code of " + what.name() + " is refused: " + std::string(describe(status)));
  }
  const unsigned count = what.operation->kind == Kind::check ? n() : k();
  const unsigned first = what.operation->has(first_shares) ? 1 : n() - count + 1;
  for (unsigned i = 0; i < count; ++i) sources_.push_back(static_cast<std::uint8_t>(first + i));
  repaired_share_ = 1;

  const std::size_t per_set = buffers_in_set(code_) * Arena::worst_case(what.bytes);
  const std::size_t touched = buffers_in_set(code_) * what.bytes;
  const std::size_t sets = cold ? std::clamp<std::size_t>(cold_bytes() / touched, 2, max_sets) : 1;
  arena.reset(sets * per_set);
  sets_.resize(sets);
  for (Set& set : sets_) lay_out(set, arena);
  make_keys();
}

void Fixture::lay_out(Set& set, Arena& arena) const {
  arena.restart_colours();
  const auto add = [&](std::vector<std::uint8_t*>& list, unsigned count) {
    for (unsigned i = 0; i < count; ++i) list.push_back(arena.buffer(bytes()));
  };
  add(set.data, data_blocks());
  add(set.random, random_blocks());
  add(set.pads, n());
  add(set.shares, n());
  add(set.out, std::max(data_blocks(), n() - k()));
  add(set.scratch, n());
  set.columns = set.random;
  set.columns.insert(set.columns.end(), set.data.begin(), set.data.end());
  set.tagged.resize(n());
  set.tags = std::make_unique<std::uint8_t[][tag_bytes]>(n());
}

void Fixture::make_keys() {
  Sequence sequence(1);
  sequence.fill(seed_.data(), seed_.size());
  keys_.resize(n());
  hash_keys_.resize(n());
  constexpr std::array<std::uint8_t, 16> zero{};
  for (unsigned share = 0; share < n(); ++share) {
    sequence.fill(keys_[share].data(), key_bytes);
    aes_block(key(share), zero.data(), hash_keys_[share].data());
  }
  for (Set& set : sets_) {
    for (unsigned share = 0; share < n(); ++share) {
      Tagged& tagged = set.tagged[share];
      sequence.fill(tagged.header.data(), header_bytes);
      sequence.fill(tagged.iv.data(), iv_bytes);
      std::array<std::uint8_t, 16> counter{};  // J0 of NIST SP 800-38D, 7.1
      std::copy(tagged.iv.begin(), tagged.iv.end(), counter.begin());
      counter[15] = 1;
      aes_block(key(share), counter.data(), tagged.mask.data());
    }
  }
}

void Fixture::fill(const Matrix& generator, TagForm form) {
  fill_first(generator, form);
  Set& first = sets_.front();
  const auto copy = [&](const std::vector<std::uint8_t*>& from, const std::vector<std::uint8_t*>& to) {
    for (std::size_t i = 0; i < from.size(); ++i) std::copy_n(from[i], bytes(), to[i]);
  };
  for (std::size_t i = 1; i < sets_.size(); ++i) {
    Set& set = sets_[i];
    copy(first.columns, set.columns);
    copy(first.pads, set.pads);
    copy(first.shares, set.shares);
    copy(first.out, set.out);  // touches the pages, as does the next
    copy(first.scratch, set.scratch);
    // The same ciphertext under the same header and mask has the same tag.
    set.tagged = first.tagged;
    std::copy_n(&first.tags[0][0], n() * tag_bytes, &set.tags[0][0]);
  }
}

void Fixture::fill_first(const Matrix& generator, TagForm form) {
  Sequence sequence(2);
  Set& set = sets_.front();
  for (std::uint8_t* buffer : set.columns) sequence.fill(buffer, bytes());
  for (std::uint8_t* buffer : set.pads) sequence.fill(buffer, bytes());
  for (std::uint8_t* buffer : set.shares) sequence.fill(buffer, bytes());
  for (std::uint8_t* buffer : set.out) sequence.fill(buffer, bytes());
  for (std::uint8_t* buffer : set.scratch) sequence.fill(buffer, bytes());
  const Operation& operation = *what_.operation;
  if (operation.kind == Kind::split || operation.codes == no_code) return;
  for (const unsigned share : sources_) {
    const unsigned i = share - 1;
    combine(&generator.entries[std::size_t{i} * generator.columns], set.columns, bytes(), set.shares[i]);
    if (operation.has(with_pads)) {
      for (std::size_t b = 0; b < bytes(); ++b) {
        set.shares[i][b] = static_cast<std::uint8_t>(set.shares[i][b] ^ set.pads[i][b]);
      }
    }
    if (!operation.has(with_tags)) continue;
    const std::array<std::uint8_t, 16> value =
        tag(form, hash_key(i), set.tagged[i].mask.data(), set.tagged[i].header.data(), header_bytes,
            set.shares[i], bytes());
    std::copy(value.begin(), value.end(), &set.tags[i][0]);
  }
}

}  // namespace ssn::bench
