// SPDX-License-Identifier: BSD-3-Clause
// AES-256-GCM against OpenSSL's.
#include "ssn/kernels/gcm.h"

#include <gtest/gtest.h>

#include <array>
#include <vector>

#include "guarded.h"
#include "implementations.h"
#include "openssl.h"

namespace {

namespace kernels = ssn::kernels;
namespace openssl = ssn::test::openssl;
using kernels::Status;
using ssn::test::Bytes;
using ssn::test::random_for_this_test;

class Gcm : public ssn::test::PerImplementation {
 protected:
  void SetUp() override {
    PerImplementation::SetUp();
    if (IsSkipped()) return;
    if (!kernels::has_gcm(implementation())) GTEST_SKIP() << "it has no instructions for AES";
    set_key(random_.bytes(32));
  }

  void set_key(const Bytes& key) {
    key_bytes_ = key;
    ASSERT_EQ(key_.expand(implementation(), std::span<const std::uint8_t, 32>(key.data(), 32)), Status::ok);
  }
  kernels::GcmPacket packet(const Bytes& nonce, const Bytes& header) const {
    return {&key_, nonce.data(), header.data(), header.size()};
  }

  // Sealed as OpenSSL seals it, opened again, and refused with any of its parts changed.
  void expect_equals_openssl(std::size_t header_length, std::size_t length, std::size_t offset) {
    const Bytes nonce = random_.bytes(kernels::gcm_nonce_bytes);
    const Bytes header = random_.bytes(header_length);
    const Bytes text = random_.bytes(length);
    const openssl::Sealed expected = openssl::gcm(key_bytes_, nonce, header, text);
    pool_.reset();
    std::uint8_t* const in = pool_.take(length, {random_.coin(), static_cast<unsigned>(offset)});
    std::uint8_t* const out = random_.coin() ? in : pool_.take(length, {random_.coin(), 0});
    std::copy(text.begin(), text.end(), in);
    std::array<std::uint8_t, kernels::tag_bytes> tag{};
    ASSERT_EQ(kernels::gcm_seal(implementation(), packet(nonce, header), in, out, length, tag.data()),
              Status::ok);
    ASSERT_EQ(Bytes(out, out + length), expected.ciphertext) << header_length << ", " << length;
    ASSERT_EQ(tag, expected.tag) << header_length << ", " << length;
    expect_refused(nonce, header, expected, length);
    ASSERT_EQ(kernels::gcm_verify(implementation(), packet(nonce, header), out, length, tag.data()),
              Status::ok);
    ASSERT_EQ(Bytes(out, out + length), expected.ciphertext) << "checking wrote";
    ASSERT_EQ(kernels::gcm_open(implementation(), packet(nonce, header), out, in, length, tag.data()),
              Status::ok);
    ASSERT_EQ(Bytes(in, in + length), text) << header_length << ", " << length;
    ASSERT_TRUE(pool_.intact()) << "wrote beside a buffer";
  }

  void expect_refused(Bytes nonce, Bytes header, openssl::Sealed sealed, std::size_t length) {
    const auto flip = [this](auto& bytes) {
      bytes[random_.below(bytes.size())] ^= static_cast<std::uint8_t>(1U << random_.below(8));
    };
    const unsigned which = static_cast<unsigned>(random_.below(header.empty() ? 3 : 4));
    if (which == 0) flip(nonce);
    if (which == 1) flip(sealed.tag);
    if (which == 2) flip(sealed.ciphertext);
    if (which == 3) flip(header);
    Bytes out(length, 0xEE);
    ASSERT_EQ(kernels::gcm_open(implementation(), packet(nonce, header), sealed.ciphertext.data(), out.data(),
                                length, sealed.tag.data()),
              Status::tag_mismatch)
        << which;
    ASSERT_EQ(out, Bytes(length, 0xEE)) << "something not authentic was written";
    Bytes same = sealed.ciphertext;
    ASSERT_EQ(kernels::gcm_open(implementation(), packet(nonce, header), same.data(), same.data(), length,
                                sealed.tag.data()),
              Status::tag_mismatch)
        << which;
    ASSERT_EQ(same, sealed.ciphertext) << "something not authentic was left";
  }

  ssn::test::TestRandom random_ = random_for_this_test();
  Bytes key_bytes_;
  kernels::GcmKey key_;
  ssn::test::BufferPool pool_{10000};
};

TEST_P(Gcm, EqualsOpenSslAtAllLengths) {
  std::vector<std::size_t> lengths{1344, 1408, 1472, 1536, 1537, 8192, 8896, 9000};
  for (std::size_t length = 1; length <= 700; ++length) lengths.push_back(length);
  for (const std::size_t length : lengths) {
    if (length % 100 == 0) set_key(random_.bytes(32));
    expect_equals_openssl(random_.coin() ? 32 : random_.below(100), length, random_.below(64));
    if (HasFatalFailure()) return;
  }
}

TEST_P(Gcm, AKeyIsErased) {
  const Bytes text = random_.bytes(64);
  const Bytes nonce = random_.bytes(kernels::gcm_nonce_bytes);
  key_.erase();
  for (std::size_t i = 0; i < std::size_t{15} * 16; ++i) ASSERT_EQ(key_.round_keys()[i], 0) << i;
  for (std::size_t i = 0; i < kernels::TagKey::table_bytes; ++i) {
    ASSERT_EQ(key_.hash_key().table()[i], 0) << i;
  }
  set_key(key_bytes_);
  Bytes out(64);
  std::array<std::uint8_t, kernels::tag_bytes> tag{};
  ASSERT_EQ(kernels::gcm_seal(implementation(), packet(nonce, {}), text.data(), out.data(), 64, tag.data()),
            Status::ok);
  EXPECT_EQ(out, openssl::gcm(key_bytes_, nonce, {}, text).ciphertext);
}

TEST_P(Gcm, RefusesWhatCannotBe) {
  const Bytes nonce(kernels::gcm_nonce_bytes);
  Bytes text(16);
  std::array<std::uint8_t, kernels::tag_bytes> tag{};
  const kernels::GcmPacket good = packet(nonce, {});
  const auto seal = [&](const kernels::GcmPacket& with, const std::uint8_t* in, std::uint8_t* out,
                        std::size_t length, std::uint8_t* to) {
    return kernels::gcm_seal(implementation(), with, in, out, length, to);
  };
  EXPECT_EQ(seal(good, text.data(), text.data(), 0, tag.data()), Status::length_is_zero);
  const std::size_t longest = ((std::uint64_t{1} << 32) - 2) * 16;
  EXPECT_EQ(seal(good, text.data(), text.data(), longest + 1, tag.data()), Status::length_too_large);
  EXPECT_EQ(kernels::gcm_open(implementation(), good, text.data(), text.data(), longest + 1, tag.data()),
            Status::length_too_large);
  EXPECT_EQ(seal(good, nullptr, text.data(), 16, tag.data()), Status::missing_buffer);
  EXPECT_EQ(seal(good, text.data(), nullptr, 16, tag.data()), Status::missing_buffer);
  EXPECT_EQ(seal(good, text.data(), text.data(), 16, nullptr), Status::missing_buffer);
  EXPECT_EQ(seal({nullptr, nonce.data(), nullptr, 0}, text.data(), text.data(), 16, tag.data()),
            Status::missing_buffer);
  EXPECT_EQ(seal({&key_, nullptr, nullptr, 0}, text.data(), text.data(), 16, tag.data()),
            Status::missing_buffer);
  EXPECT_EQ(kernels::gcm_open(implementation(), good, text.data(), text.data(), 16, nullptr),
            Status::missing_buffer);
  EXPECT_EQ(kernels::gcm_open(implementation(), good, text.data(), nullptr, 16, tag.data()),
            Status::missing_buffer);
  EXPECT_EQ(text, Bytes(16));
}

SSN_FOR_EVERY_IMPLEMENTATION(Gcm);

TEST(GcmWithoutInstructions, IsRefused) {
  const kernels::Implementation* scalar = nullptr;
  ASSERT_EQ(kernels::find("scalar", scalar), Status::ok);
  ASSERT_FALSE(kernels::has_gcm(*scalar));
  kernels::GcmKey key;
  const std::array<std::uint8_t, 32> bytes{1};
  EXPECT_EQ(key.expand(*scalar, bytes), Status::unsupported_implementation);
  std::array<std::uint8_t, 16> text{};
  EXPECT_EQ(
      kernels::gcm_seal(*scalar, {&key, bytes.data(), nullptr, 0}, text.data(), text.data(), 16, text.data()),
      Status::unsupported_implementation);
}

}  // namespace
