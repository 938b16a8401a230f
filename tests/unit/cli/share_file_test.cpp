// SPDX-License-Identifier: BSD-3-Clause
#include "share_file.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <vector>

#include "test_random.h"

namespace ssn::cli {
namespace {

using Bytes = std::vector<std::uint8_t>;
using kernels::Scheme;

ShareHeader example() {
  ShareHeader header;
  header.scheme = Scheme::ramp;
  header.k = 4;
  header.n = 8;
  header.data_blocks = 2;
  header.share = 7;
  header.random = RandomOrigin::device;
  header.block_bytes = 4096;
  header.object_bytes = 123456789;
  for (std::size_t i = 0; i < header.object_id.size(); ++i) {
    header.object_id[i] = static_cast<std::uint8_t>(0xA0 + i);
  }
  return header;
}

Bytes encoded(const ShareHeader& header) {
  Bytes bytes(share_header_bytes);
  encode_header(header, std::span<std::uint8_t, share_header_bytes>(bytes));
  return bytes;
}

void seal(Bytes& bytes) {
  const std::uint64_t checksum = crc64(std::span(bytes).first(bytes.size() - 8));
  for (std::size_t i = 0; i < 8; ++i) {
    bytes[bytes.size() - 8 + i] = static_cast<std::uint8_t>(checksum >> (8 * i));
  }
}

// CRC-64/XZ bit by bit, from its definition.
std::uint64_t slow_crc64(std::span<const std::uint8_t> bytes) {
  std::uint64_t value = ~std::uint64_t{0};
  for (const std::uint8_t byte : bytes) {
    value ^= byte;
    for (int bit = 0; bit < 8; ++bit) {
      value = (value & 1) != 0 ? (value >> 1) ^ 0xC96C5795D7870F42 : value >> 1;
    }
  }
  return ~value;
}

TEST(Crc64, HasThePublishedCheckValue) {
  const auto* const text = reinterpret_cast<const std::uint8_t*>("123456789");
  EXPECT_EQ(crc64({text, 9}), 0x995DC9BBDF1939FAU);
}

TEST(Crc64, FollowsItsDefinitionInOneCallAndInPieces) {
  auto random = test::TestRandom::labelled("crc64");
  for (std::size_t length = 0; length <= 600; ++length) {
    const Bytes bytes = random.bytes(length);
    EXPECT_EQ(crc64(bytes), slow_crc64(bytes)) << length;
    const std::size_t cut = random.below(length + 1);
    EXPECT_EQ(crc64(std::span(bytes).subspan(cut), crc64(std::span(bytes).first(cut))), slow_crc64(bytes));
  }
}

TEST(ShareHeader, LiesByteForByteAsDocumented) {
  const Bytes bytes = encoded(example());
  const Bytes expected{0x89, 'S',  'S',  'N',  '\r', '\n', 0x1A, '\n',  // magic
                       1,    0,                                         // version
                       0,    2,                                         // header length 512
                       3,    4,    8,    2,    7,    2,    0,    0,     // scheme k n L share random, features
                       0,    16,   0,    0,                             // block size 4096
                       0x15, 0xCD, 0x5B, 7,    0,    0,    0,    0,     // 123456789
                       0xA0, 0xA1, 0xA2, 0xA3, 0xA4, 0xA5, 0xA6, 0xA7,  // object id
                       0xA8, 0xA9, 0xAA, 0xAB, 0xAC, 0xAD, 0xAE, 0xAF};
  ASSERT_EQ(expected.size(), 48U);
  EXPECT_TRUE(std::equal(expected.begin(), expected.end(), bytes.begin()));
  EXPECT_TRUE(std::all_of(bytes.begin() + 48, bytes.end() - 8, [](std::uint8_t b) { return b == 0; }));
}

TEST(ShareHeader, ReadsWhatItWrites) {
  const ShareHeader written = example();
  const Result<ShareHeader> read = parse_header(encoded(written));
  ASSERT_TRUE(read.ok());
  EXPECT_TRUE(read.value().same_object(written));
  EXPECT_EQ(read.value().share, 7U);
  EXPECT_EQ(read.value().random, RandomOrigin::device);
  EXPECT_EQ(read.value().header_bytes, share_header_bytes);
}

TEST(ShareHeader, RefusesEveryFlippedBit) {
  const Bytes good = encoded(example());
  for (std::size_t bit = 0; bit < good.size() * 8; ++bit) {
    Bytes bad = good;
    bad[bit / 8] = static_cast<std::uint8_t>(bad[bit / 8] ^ (1U << (bit % 8)));
    EXPECT_FALSE(parse_header(bad).ok()) << bit;
  }
}

TEST(ShareHeader, RefusesEveryTruncation) {
  const Bytes good = encoded(example());
  for (std::size_t length = 0; length < good.size(); ++length) {
    const Result<ShareHeader> read = parse_header(std::span(good).first(length));
    ASSERT_FALSE(read.ok()) << length;
    EXPECT_EQ(read.error().code, Exit::not_a_share) << length;
  }
}

// Any bytes with a right checksum: parsed or refused, and what is parsed is within the limits.
TEST(ShareHeader, BelievesNoImpossibleField) {
  auto random = test::TestRandom::labelled("header fields");
  unsigned accepted = 0;
  for (int round = 0; round < 20000; ++round) {
    Bytes bytes = encoded(example());
    for (int changes = 0; changes < 2; ++changes) {
      bytes[12 + random.below(20)] = random.byte();
    }
    bytes[19] = 0;  // optional features are skipped, and not written again
    seal(bytes);
    const Result<ShareHeader> read = parse_header(bytes);
    if (!read.ok()) {
      EXPECT_FALSE(read.error().why.empty());
      continue;
    }
    ++accepted;
    const ShareHeader& header = read.value();
    kernels::Code code;
    EXPECT_EQ(kernels::Code::make(header.scheme, header.k, header.n, header.data_blocks, code),
              kernels::Status::ok);
    EXPECT_GE(header.share, 1U);
    EXPECT_LE(header.share, header.n);
    EXPECT_LE(std::uint64_t{header.block_bytes} * header.n, blocks_of_all_shares_max);
    EXPECT_GE(share_file_bytes(header), header.header_bytes);
    EXPECT_EQ(encoded(header), bytes);
  }
  EXPECT_GT(accepted, 100U);
}

TEST(ShareHeader, NamesAnUnknownVersion) {
  Bytes bytes = encoded(example());
  bytes[8] = 2;
  seal(bytes);
  const Result<ShareHeader> read = parse_header(bytes);
  ASSERT_FALSE(read.ok());
  EXPECT_EQ(read.error().code, Exit::not_a_share);
  EXPECT_NE(read.error().why.find("version 2"), std::string::npos);
}

TEST(ShareHeader, ReservedBytesBelongToOptionalFeatures) {
  Bytes bytes = encoded(example());
  bytes[300] = 1;
  seal(bytes);
  EXPECT_FALSE(parse_header(bytes).ok());
  bytes[19] = 0x80;
  seal(bytes);
  EXPECT_TRUE(parse_header(bytes).ok());
  bytes[18] = 0x80;
  seal(bytes);
  EXPECT_FALSE(parse_header(bytes).ok());
}

TEST(Geometry, BlocksCoverTheObject) {
  for (const unsigned data_blocks : {1U, 2U, 3U}) {
    for (std::uint64_t bytes = 0; bytes <= 1000; ++bytes) {
      ShareHeader header = example();
      header.scheme = data_blocks == 1 ? Scheme::systematic : Scheme::ramp;
      header.data_blocks = data_blocks;
      header.block_bytes = 64;
      header.object_bytes = bytes;
      std::uint64_t data = 0;
      std::uint64_t file = share_header_bytes;
      for (std::uint64_t block = 0; block < block_count(header); ++block) {
        const std::size_t here = block_data_bytes(header, block);
        EXPECT_GT(here, 0U);
        EXPECT_GE(block_share_bytes(header, block) * data_blocks, here);
        EXPECT_LT((block_share_bytes(header, block) - 1) * data_blocks, here);
        data += here;
        file += block_share_bytes(header, block) + block_checksum_bytes;
      }
      EXPECT_EQ(data, bytes);
      EXPECT_EQ(file, share_file_bytes(header));
    }
  }
}

TEST(BlockChecksum, BindsObjectShareAndPlace) {
  const ObjectId id = example().object_id;
  ObjectId other = id;
  other[15] ^= 1;
  Bytes buffer(100 + block_checksum_bytes, 0x42);
  BlockChecksum(id, 3).seal(9, buffer);
  EXPECT_TRUE(BlockChecksum(id, 3).matches(9, buffer));
  EXPECT_FALSE(BlockChecksum(id, 3).matches(8, buffer));
  EXPECT_FALSE(BlockChecksum(id, 4).matches(9, buffer));
  EXPECT_FALSE(BlockChecksum(other, 3).matches(9, buffer));
  buffer[50] ^= 1;
  EXPECT_FALSE(BlockChecksum(id, 3).matches(9, buffer));
}

TEST(BlockChecksum, IsTheDocumentedCrc) {
  const ObjectId id = example().object_id;
  Bytes input(id.begin(), id.end());
  const Bytes rest{5, 0, 0, 0, 0x21, 0x43, 0, 0, 0, 0, 0, 0, 'a', 'b', 'c'};
  input.insert(input.end(), rest.begin(), rest.end());
  const Bytes share{'a', 'b', 'c'};
  EXPECT_EQ(BlockChecksum(id, 5).of(0x4321, share), slow_crc64(input));
}

TEST(BlockSize, DefaultIsWithinTheLimits) {
  for (unsigned n = 1; n <= kernels::max_shares; ++n) {
    EXPECT_GE(default_block_bytes(n), block_bytes_min);
    EXPECT_LE(std::uint64_t{default_block_bytes(n)} * n, std::uint64_t{64} << 20);
  }
}

}  // namespace
}  // namespace ssn::cli
