// SPDX-License-Identifier: BSD-3-Clause
// Tags against the reference, against OpenSSL's AES-GCM and against published vectors.
#include <gtest/gtest.h>

#include <array>
#include <fstream>
#include <map>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "guarded.h"
#include "implementations.h"
#include "openssl.h"
#include "scenario.h"

namespace {

namespace kernels = ssn::kernels;
namespace openssl = ssn::test::openssl;
namespace reference = ssn::test::reference;
using kernels::Status;
using reference::Block;
using ssn::test::Bytes;
using ssn::test::Options;
using ssn::test::random_for_this_test;
using ssn::test::TestRandom;

using Lengths = std::vector<std::size_t>;

/// r = AES_K(0) and the mask AES_K(J0) of NIST SP 800-38D, 7.1.
struct GcmKey {
  GcmKey(const Bytes& key, const Bytes& iv) : r(openssl::aes_block(key, Block{})) {
    Block j0{};
    if (iv.size() == 12) {
      std::copy(iv.begin(), iv.end(), j0.begin());
      j0[15] = 1;
    } else {
      j0 = reference::ghash(r, {}, iv);
    }
    mask = openssl::aes_block(key, j0);
  }
  Block r;
  Block mask;
};

class Tags : public ssn::test::PerImplementation {
 protected:
  Block our_tag(const GcmKey& gcm, const Bytes& header, const Bytes& data) {
    key_.expand(implementation(), gcm.r);
    const kernels::Tagging tagging{&key_, header.data(), header.size(), gcm.mask.data()};
    Block tag{};
    EXPECT_EQ(kernels::tag(implementation(), tagging, data.data(), data.size(), tag.data()), Status::ok);
    EXPECT_EQ(kernels::verify(implementation(), tagging, data.data(), data.size(), tag.data()), Status::ok);
    return tag;
  }

  void expect_equals_openssl(std::size_t header_length, std::size_t length) {
    const Bytes key = random_.bytes(random_.coin() ? 32 : 16);
    const Bytes iv = random_.bytes(random_.coin() ? 12 : 1 + random_.below(60));
    const Bytes header = random_.bytes(header_length);
    const openssl::Sealed sealed = openssl::gcm(key, iv, header, random_.bytes(length));
    ASSERT_EQ(our_tag(GcmKey(key, iv), header, sealed.ciphertext), sealed.tag)
        << "header of " << header_length << ", data of " << length << " bytes";
  }

  void expand_random_key() {
    const Bytes r = random_.bytes(16);
    key_.expand(implementation(), std::span<const std::uint8_t, 16>(r.data(), 16));
  }

  TestRandom random_ = random_for_this_test();
  kernels::TagKey key_;
};

TEST_P(Tags, EqualOpenSslGcm) {
  for (std::size_t header = 0; header <= 100; ++header) {
    for (unsigned i = 0; i < 4; ++i) expect_equals_openssl(header, 1 + random_.below(320));
  }
  for (std::size_t length = 1; length <= 320; ++length) {
    expect_equals_openssl(0, length);
    expect_equals_openssl(48, length);
    expect_equals_openssl(random_.below(101), length);
  }
  for (const std::size_t length : Lengths{1344, 1408, 1472, 8192, 8896, 9000, 65535, 65536, 65537, 1 << 20}) {
    expect_equals_openssl(random_.below(101), length);
  }
  for (const std::size_t header : Lengths{1408, 9000, 65537})
    expect_equals_openssl(header, 1 + random_.below(320));
}

TEST_P(Tags, InGuardedBuffersAtAllOffsets) {
  ssn::test::Scenario scenario(implementation(), 1408);
  for (unsigned offset = 0; offset < 64; ++offset) {
    Options options;
    options.inputs.offset = offset;
    options.outputs.offset = 63 - offset;
    for (const std::size_t length :
         Lengths{1, 15, 16, 17, 63, 64, 65, 127, 128, 129, 255, 256, 257, 320, 500}) {
      options.length = length;
      options.header_length = random_.below(70);
      ASSERT_EQ(scenario.tag(options, random_), "");
    }
  }
  Options options;
  options.inputs.at_end = options.outputs.at_end = true;
  for (std::size_t length = 1; length <= 600; ++length) {
    options.length = length;
    options.header_length = random_.below(101);
    ASSERT_EQ(scenario.tag(options, random_), "");
  }
}

// Hash keys with special patterns: zero, one (bit 0 of byte 0), x^127, all ones, each single bit.
TEST_P(Tags, SpecialHashKeys) {
  std::vector<Block> keys(2);
  keys[1].fill(0xFF);
  for (unsigned bit = 0; bit < 128; ++bit) {
    keys.emplace_back();
    keys.back()[bit / 8] = static_cast<std::uint8_t>(0x80U >> (bit % 8));
  }
  for (const Block& r : keys) {
    key_.expand(implementation(), r);
    const Bytes header = random_.bytes(20);
    const Bytes data = random_.bytes(1 + random_.below(700));
    const Bytes mask = random_.bytes(16);
    Block tag{};
    const kernels::Tagging tagging{&key_, header.data(), header.size(), mask.data()};
    ASSERT_EQ(kernels::tag(implementation(), tagging, data.data(), data.size(), tag.data()), Status::ok);
    const Block hash = reference::ghash(r, header, data);
    ASSERT_EQ(Bytes(tag.begin(), tag.end()), reference::exclusive_or(Bytes(hash.begin(), hash.end()), mask));
  }
}

TEST_P(Tags, VerifyRejectsEveryBitFlip) {
  const Bytes header = random_.bytes(48);
  Bytes data = random_.bytes(100);
  Bytes mask = random_.bytes(16);
  key_.expand(implementation(), std::span<const std::uint8_t, 16>(random_.bytes(16).data(), 16));
  Bytes changed_header = header;
  const kernels::Tagging tagging{&key_, changed_header.data(), header.size(), mask.data()};
  Block tag{};
  ASSERT_EQ(kernels::tag(implementation(), tagging, data.data(), data.size(), tag.data()), Status::ok);
  const auto verify = [&] {
    return kernels::verify(implementation(), tagging, data.data(), data.size(), tag.data());
  };
  const auto expect_all_flips_rejected = [&](std::uint8_t* bytes, std::size_t count, const char* what) {
    for (std::size_t bit = 0; bit < 8 * count; ++bit) {
      bytes[bit / 8] ^= static_cast<std::uint8_t>(1U << (bit % 8));
      EXPECT_EQ(verify(), Status::tag_mismatch) << what << " bit " << bit;
      bytes[bit / 8] ^= static_cast<std::uint8_t>(1U << (bit % 8));
    }
  };
  ASSERT_EQ(verify(), Status::ok);
  expect_all_flips_rejected(tag.data(), tag.size(), "tag");
  expect_all_flips_rejected(data.data(), data.size(), "data");
  expect_all_flips_rejected(changed_header.data(), changed_header.size(), "header");
  expect_all_flips_rejected(mask.data(), mask.size(), "mask");
  ASSERT_EQ(verify(), Status::ok);
}

// Zeros are padding: only the lengths tell them from data, and a byte of header from one of data.
TEST_P(Tags, LengthsAreCovered) {
  const GcmKey gcm(random_.bytes(32), random_.bytes(12));
  EXPECT_NE(our_tag(gcm, Bytes(3), Bytes(16)), our_tag(gcm, Bytes(4), Bytes(16)));
  EXPECT_NE(our_tag(gcm, {}, Bytes(15)), our_tag(gcm, {}, Bytes(16)));
  EXPECT_NE(our_tag(gcm, Bytes(16), Bytes(32)), our_tag(gcm, Bytes(32), Bytes(16)));
}

// ---- Published vectors ------------------------------------------------------------------------------------

Bytes from_hex(const std::string& text) {
  Bytes bytes;
  EXPECT_EQ(text.size() % 2, 0U);
  for (std::size_t i = 0; i + 1 < text.size(); i += 2) {
    bytes.push_back(static_cast<std::uint8_t>(std::stoul(text.substr(i, 2), nullptr, 16)));
  }
  return bytes;
}

using Vector = std::map<std::string, std::string>;

/// Groups of "name = value" lines; a case begins at "case".
std::vector<Vector> read_vectors(const std::string& path) {
  std::ifstream file(path);
  EXPECT_TRUE(file.is_open()) << "cannot read the vectors in " << path;
  std::vector<Vector> vectors;
  for (std::string line; std::getline(file, line);) {
    if (line.empty() || line[0] == '#') continue;
    std::istringstream words(line);
    std::string name, equals, value;
    words >> name >> equals >> value;
    if (equals != "=" || (name != "case" && vectors.empty())) {
      ADD_FAILURE() << path << ": this line is not \"name = value\" within a case: " << line;
      return {};
    }
    if (name == "case") vectors.emplace_back();
    vectors.back()[name] = value;
  }
  return vectors;
}

TEST_P(Tags, PublishedGcmVectors) {
  const std::vector<Vector> vectors = read_vectors(std::string(SSN_TEST_VECTORS) + "/gcm.txt");
  ASSERT_EQ(vectors.size(), 10U);
  for (Vector v : vectors) {
    const Bytes key = from_hex(v["K"]), iv = from_hex(v["IV"]), header = from_hex(v["A"]),
                plain = from_hex(v["P"]);
    const Bytes ciphertext = from_hex(v["C"]), expected = from_hex(v["T"]);
    const openssl::Sealed sealed = openssl::gcm(key, iv, header, plain);
    EXPECT_EQ(sealed.ciphertext, ciphertext) << "OpenSSL, case " << v["case"];
    EXPECT_EQ(Bytes(sealed.tag.begin(), sealed.tag.end()), expected) << "OpenSSL, case " << v["case"];
    const Block tag = our_tag(GcmKey(key, iv), header, ciphertext);
    EXPECT_EQ(Bytes(tag.begin(), tag.end()), expected) << "case " << v["case"];
  }
}

SSN_FOR_EVERY_IMPLEMENTATION(Tags);

// Sealing is pad, erase and tag; opening is verify and pad. In guarded memory, at every alignment that
// matters.
void expect_seals(const kernels::Implementation& implementation, const kernels::TagKey& key,
                  ssn::test::BufferPool& pool, TestRandom& random, std::size_t length,
                  std::size_t header_length) {
  const auto take = [&] {
    return pool.take(length, {random.coin(), static_cast<unsigned>(random.below(64))});
  };
  pool.reset();
  const Bytes header = random.bytes(header_length);
  const Bytes mask = random.bytes(16);
  const kernels::Tagging tagging{&key, header.data(), header.size(), mask.data()};
  const Bytes clear = random.bytes(length);
  const Bytes pad = random.bytes(length);
  std::uint8_t* const in = take();
  std::uint8_t* const pads = take();
  std::uint8_t* const out = take();
  std::copy(clear.begin(), clear.end(), in);
  std::copy(pad.begin(), pad.end(), pads);
  Bytes expected(length);
  for (std::size_t i = 0; i < length; ++i) expected[i] = clear[i] ^ pad[i];
  Block expected_tag{};
  ASSERT_EQ(kernels::tag(implementation, tagging, expected.data(), length, expected_tag.data()), Status::ok);
  const bool in_place = random.coin();
  std::uint8_t* const to = in_place ? in : out;
  Block tag{};
  ASSERT_EQ(kernels::seal(implementation, tagging, in, pads, to, length, tag.data()), Status::ok);
  EXPECT_EQ(Bytes(to, to + length), expected) << length;
  EXPECT_EQ(tag, expected_tag) << length;
  EXPECT_EQ(Bytes(pads, pads + length), Bytes(length)) << "the pad is not erased";

  std::copy(pad.begin(), pad.end(), pads);
  std::uint8_t* const back = in_place ? to : in;
  Block wrong = tag;
  wrong[random.below(16)] ^= static_cast<std::uint8_t>(1U << random.below(8));
  ASSERT_EQ(kernels::open(implementation, tagging, to, pads, back, length, wrong.data()),
            Status::tag_mismatch);
  EXPECT_EQ(Bytes(back, back + length), in_place ? expected : Bytes(length)) << "a wrong tag left something";
  EXPECT_EQ(Bytes(pads, pads + length), pad) << "a wrong tag changed the pad";
  ASSERT_EQ(kernels::open(implementation, tagging, to, pads, back, length, tag.data()), Status::ok);
  EXPECT_EQ(Bytes(back, back + length), clear) << length;
  EXPECT_EQ(Bytes(pads, pads + length), Bytes(length)) << "the pad is not erased";
  EXPECT_TRUE(pool.intact()) << "something was written outside of the buffers";
}

TEST_P(Tags, SealAndOpenAreTheirParts) {
  expand_random_key();
  ssn::test::BufferPool pool(65537);
  for (std::size_t length = 1; length <= 320; ++length) {
    expect_seals(implementation(), key_, pool, random_, length, 48);
    expect_seals(implementation(), key_, pool, random_, length, random_.below(200));
  }
  for (const std::size_t length : Lengths{1344, 1408, 4096, 8960, 16320, 65537}) {
    expect_seals(implementation(), key_, pool, random_, length, 48);
  }
}

TEST_P(Tags, SealAndOpenRefuseWhatIsMissing) {
  expand_random_key();
  Bytes bytes(64);
  const kernels::Tagging good{&key_, nullptr, 0, bytes.data()};
  const kernels::Tagging bad{&key_, nullptr, 0, nullptr};
  std::uint8_t* const p = bytes.data();
  EXPECT_EQ(kernels::seal(implementation(), good, nullptr, p, p, 1, p), Status::missing_buffer);
  EXPECT_EQ(kernels::seal(implementation(), good, p, nullptr, p, 1, p), Status::missing_buffer);
  EXPECT_EQ(kernels::seal(implementation(), good, p, p, p, 0, p), Status::length_is_zero);
  EXPECT_EQ(kernels::seal(implementation(), bad, p, p, p, 1, p), Status::missing_buffer);
  EXPECT_EQ(kernels::open(implementation(), good, p, p, nullptr, 1, p), Status::missing_buffer);
  EXPECT_EQ(kernels::open(implementation(), good, p, p, p, 1, nullptr), Status::missing_buffer);
  EXPECT_EQ(kernels::open(implementation(), good, p, p, p, 0, p), Status::length_is_zero);
  EXPECT_EQ(kernels::open(implementation(), bad, p, p, p, 1, p), Status::missing_buffer);
}

}  // namespace
