// SPDX-License-Identifier: BSD-3-Clause
#include "key_material.h"

#include <gtest/gtest.h>
#include <openssl/evp.h>
#include <openssl/sha.h>
#include <sys/stat.h>

#include <fstream>
#include <numeric>
#include <random>
#include <set>

#include "key_container.h"

namespace ssn::kme {
namespace {

const kernels::Implementation& implementation() {
  static const kernels::Implementation* const chosen = [] {
    const kernels::Implementation* found = nullptr;
    EXPECT_EQ(kernels::select(found), kernels::Status::ok);
    return found;
  }();
  return *chosen;
}

std::string base64(const std::vector<std::uint8_t>& bytes) {
  std::string text(base64_length(bytes.size()), '\0');
  base64_encode(bytes.data(), bytes.size(), text.data());
  return text;
}

TEST(Base64, IsThatOfOpenSsl) {
  std::vector<std::uint8_t> bytes(777);
  std::iota(bytes.begin(), bytes.end(), std::uint8_t{0});
  for (std::size_t length = 0; length <= bytes.size(); ++length) {
    const std::vector<std::uint8_t> part(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(length));
    std::string expected(base64_length(length) + 1, '\0');
    EVP_EncodeBlock(reinterpret_cast<unsigned char*>(expected.data()), part.data(), static_cast<int>(length));
    expected.pop_back();
    ASSERT_EQ(base64(part), expected);
  }
}

TEST(KeyIds, AreUuidsAndReadInEitherCase) {
  std::set<KeyId> seen;
  for (int i = 0; i < 1000; ++i) {
    const KeyId id = fresh_key_id();
    const std::string text = to_text(id);
    ASSERT_EQ(text.size(), 36u);
    EXPECT_EQ(text[14], '4');
    EXPECT_NE(std::string("89ab").find(text[19]), std::string::npos);
    std::string upper = text;
    std::transform(upper.begin(), upper.end(), upper.begin(),
                   [](char c) { return c >= 'a' ? char(c - 32) : c; });
    EXPECT_EQ(parse_key_id(text), id);
    EXPECT_EQ(parse_key_id(upper), id);
    EXPECT_TRUE(seen.insert(id).second);
  }
  for (const char* wrong :
       {"", "550e8400", "550e8400-e29b-41d4-a716-44665544000", "550e8400-e29b-41d4-a716-4466554400000",
        "550e8400xe29b-41d4-a716-446655440000", "550e8400-e29b-41d4-a716-44665544000g"}) {
    EXPECT_FALSE(parse_key_id(wrong)) << wrong;
  }
}

std::string seed_text(const LinkSecret& secret, const KeyId& id, std::uint64_t bits, const char* master,
                      const char* slave) {
  std::array<std::uint8_t, secret_bytes> seed{};
  secret.key_seed(seed, id, bits, master, slave);
  return {reinterpret_cast<const char*>(seed.data()), seed.size()};
}

TEST(LinkSecret, EverythingThatTellsKeysApartChangesThem) {
  LinkSecret root = std::move(LinkSecret::random().value());
  const Nonce n = fresh_nonce();
  const Nonce m = fresh_nonce();
  const KeyId id = fresh_key_id();
  std::set<std::string> seeds;
  std::size_t count = 0;
  const auto add = [&](const std::string& seed) {
    seeds.insert(seed);
    EXPECT_EQ(seeds.size(), ++count);
  };
  const LinkSecret session = std::move(root.session("a-b", n, m).value());
  add(seed_text(session, id, 256, "x", "y"));
  add(seed_text(session, id, 256, "y", "x"));
  add(seed_text(session, id, 256, "xy", ""));
  add(seed_text(session, id, 512, "x", "y"));
  add(seed_text(session, fresh_key_id(), 256, "x", "y"));
  add(seed_text(root.session("a-c", n, m).value(), id, 256, "x", "y"));
  add(seed_text(root.session("a-b", m, n).value(), id, 256, "x", "y"));
  add(seed_text(root.session("a-b", n, n).value(), id, 256, "x", "y"));
  EXPECT_EQ(seed_text(root.session("a-b", n, m).value(), id, 256, "x", "y"),
            *seeds.find(seed_text(session, id, 256, "x", "y")));
}

TEST(LinkSecret, ComesFromPrivateFilesOnly) {
  const std::string path = testing::TempDir() + "kme-link-secret";
  const auto write = [&](const std::string& text, mode_t mode) {
    ::unlink(path.c_str());
    std::ofstream(path) << text;
    ::chmod(path.c_str(), mode);
    return LinkSecret::from_file(path).ok();
  };
  const std::string hex(64, 'a');
  EXPECT_TRUE(write(hex + "\n", 0600));
  EXPECT_TRUE(write(hex, 0400));
  EXPECT_FALSE(write(hex + "\n", 0640));
  EXPECT_FALSE(write(hex + "\n", 0604));
  EXPECT_FALSE(write(hex.substr(1) + "\n", 0600));
  EXPECT_FALSE(write(hex + "b\n", 0600));
  EXPECT_FALSE(write(std::string(63, 'a') + "x\n", 0600));
  ::unlink(path.c_str());
  EXPECT_FALSE(LinkSecret::from_file(path).ok());
}

TEST(StreamBytes, AreTheSameInPiecesOfAnyLength) {
  auto secret = std::make_shared<const LinkSecret>(std::move(LinkSecret::random().value()));
  StreamBytes whole(implementation(), secret, Ksid{1}, "s", "r");
  StreamBytes pieces(implementation(), secret, Ksid{1}, "s", "r");
  StreamBytes other(implementation(), secret, Ksid{1}, "r", "s");
  std::vector<std::uint8_t> a(100'000), b(100'000), c(100'000);
  whole.generate(a);
  other.generate(c);
  const unsigned seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  for (std::size_t at = 0; at < b.size();) {
    const std::size_t length = std::min<std::size_t>(random() % 100, b.size() - at);
    pieces.generate({b.data() + at, length});
    at += length;
  }
  EXPECT_EQ(a, b);
  EXPECT_NE(a, c);
}

}  // namespace
}  // namespace ssn::kme
