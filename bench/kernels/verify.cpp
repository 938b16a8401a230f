// SPDX-License-Identifier: BSD-3-Clause
// Nothing is timed that was not seen to be right: every contender runs once against the reference first.
#include <algorithm>
#include <string>

#include "contender.h"

namespace ssn::bench {
namespace {

using Buffer = std::vector<std::uint8_t>;

std::string differs(const std::string& what, const std::uint8_t* got, const Buffer& want) {
  const auto [at, wanted] = std::mismatch(got, got + want.size(), want.begin());
  if (wanted == want.end()) return {};
  return what + " is wrong from byte " + std::to_string(at - got) + " on";
}

Buffer xor_of(Buffer left, const std::uint8_t* right) {
  for (std::size_t i = 0; i < left.size(); ++i) left[i] = static_cast<std::uint8_t>(left[i] ^ right[i]);
  return left;
}

Buffer combined(const Matrix& matrix, unsigned row, const std::vector<std::uint8_t*>& columns,
                std::size_t length) {
  Buffer out(length);
  combine(&matrix.entries[std::size_t{row} * matrix.columns], columns, length, out.data());
  return out;
}

std::vector<Buffer> copies(const std::vector<std::uint8_t*>& buffers, std::size_t length) {
  std::vector<Buffer> list;
  for (const std::uint8_t* buffer : buffers) list.emplace_back(buffer, buffer + length);
  return list;
}

std::string verify_tag(const Contender& contender, const Fixture& fixture, const Set& set, unsigned share,
                       const std::uint8_t* message) {
  const Tagged& tagged = set.tagged[share];
  const auto want = tag(contender.form().tag_form, fixture.hash_key(share), tagged.mask.data(),
                        tagged.header.data(), header_bytes, message, fixture.bytes());
  return differs("the tag of share " + std::to_string(share + 1), set.tags[share],
                 Buffer(want.begin(), want.end()));
}

/// The random blocks, one after the other, that a split draws at the start of its stream.
Buffer drawn(const Fixture& fixture, std::size_t tile) {
  const std::size_t length = fixture.bytes();
  const Buffer stream = keystream(fixture.seed().data(), 0, length * fixture.random_blocks());
  if (tile == 0) return stream;
  Buffer blocks(stream.size());
  auto from = stream.begin();
  for (std::size_t at = 0; at < length; at += tile) {
    const auto now = static_cast<std::ptrdiff_t>(std::min(tile, length - at));
    for (unsigned i = 0; i < fixture.random_blocks(); ++i, from += now) {
      std::copy_n(from, now, blocks.data() + i * length + at);
    }
  }
  return blocks;
}

std::string verify_split(Contender& contender, Fixture& fixture) {
  Set& set = fixture.sets().front();
  const Operation& operation = *fixture.what().operation;
  const std::size_t length = fixture.bytes();
  const std::vector<Buffer> pads = copies(set.pads, length);
  std::vector<std::uint8_t*> columns = set.columns;
  Buffer stream;
  if (operation.has(generated)) {
    stream = drawn(fixture, contender.form().stream_tile);
    for (unsigned i = 0; i < fixture.random_blocks(); ++i) columns[i] = stream.data() + i * length;
  }
  if (!contender.run(1)) return "the split failed";
  for (unsigned share = contender.form().first_share; share < fixture.n(); ++share) {
    Buffer want = combined(contender.form().generator, share, columns, length);
    if (operation.has(with_pads)) want = xor_of(std::move(want), pads[share].data());
    const std::uint8_t* const got = operation.has(with_pads) ? set.pads[share] : set.shares[share];
    if (auto error = differs("share " + std::to_string(share + 1), got, want); !error.empty()) return error;
    if (!operation.has(with_tags)) continue;
    if (auto error = verify_tag(contender, fixture, set, share, got); !error.empty()) return error;
  }
  if (!operation.has(with_tags) || !operation.has(keep)) return {};
  for (unsigned share = 0; share < contender.form().first_share; ++share) {  // tags over the kept bytes
    if (auto error = verify_tag(contender, fixture, set, share, set.random[share]); !error.empty())
      return error;
  }
  return {};
}

/// Runs with one bit of a source share turned; that must be noticed.
std::string verify_notices(Contender& contender, Fixture& fixture) {
  Set& set = fixture.sets().front();
  std::uint8_t& byte = set.shares[fixture.sources().back() - 1U][fixture.bytes() / 2];
  byte ^= 0x10;
  contender.rewind();
  const bool accepted = contender.run(1);
  byte ^= 0x10;
  return accepted ? "a damaged share was accepted" : "";
}

std::string verify_recover(Contender& contender, Fixture& fixture) {
  Set& set = fixture.sets().front();
  if (!contender.run(1)) return "the recovery failed or refused good shares";
  for (unsigned block = 0; block < fixture.data_blocks(); ++block) {
    const std::uint8_t* const data = set.data[block];
    const std::string name = "data block " + std::to_string(block);
    if (auto error = differs(name, set.out[block], Buffer(data, data + fixture.bytes())); !error.empty())
      return error;
  }
  return fixture.what().operation->has(with_tags) ? verify_notices(contender, fixture) : "";
}

std::string verify_check(Contender& contender, Fixture& fixture) {
  if (!contender.run(1)) return "shares that agree were refused";
  return verify_notices(contender, fixture);
}

std::string verify_repair(Contender& contender, Fixture& fixture) {
  const Set& set = fixture.sets().front();
  if (!contender.run(1)) return "the repair failed";
  const unsigned share = fixture.repaired_share();
  return differs("the repaired share", set.out[0],
                 combined(contender.form().generator, share - 1, set.columns, fixture.bytes()));
}

std::string verify_one_buffer(Contender& contender, Fixture& fixture) {
  Set& set = fixture.sets().front();
  const std::size_t length = fixture.bytes();
  const Buffer data(set.data[0], set.data[0] + length);
  const Buffer padded = xor_of(data, set.pads[0]);
  if (!contender.run(1)) return "the operation failed";
  if (fixture.what().operation->kind == Kind::pad) return differs("the ciphertext", set.pads[0], padded);
  if (fixture.what().operation->kind == Kind::tag) return verify_tag(contender, fixture, set, 0, set.data[0]);
  return differs("the random block", set.random[0], keystream(fixture.seed().data(), 0, length));
}

}  // namespace

std::string verify(Contender& contender, Fixture& fixture) {
  fixture.fill(contender.form().generator, contender.form().tag_form);
  contender.rewind();
  std::string error;
  switch (fixture.what().operation->kind) {
    case Kind::split:
      error = verify_split(contender, fixture);
      break;
    case Kind::recover:
      error = verify_recover(contender, fixture);
      break;
    case Kind::check:
      error = verify_check(contender, fixture);
      break;
    case Kind::repair:
      error = verify_repair(contender, fixture);
      break;
    case Kind::pad:
    case Kind::tag:
    case Kind::random:
      error = verify_one_buffer(contender, fixture);
      break;
  }
  fixture.fill(contender.form().generator, contender.form().tag_form);
  contender.rewind();
  return error;
}

}  // namespace ssn::bench
