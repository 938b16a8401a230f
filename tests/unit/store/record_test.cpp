// SPDX-License-Identifier: BSD-3-Clause
// Records: encryption against the vectors that C2SP published, every bit of a record, the key file.
#include "record.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstring>
#include <fstream>
#include <numeric>

#include "backends.h"

namespace ssn::store {
namespace {

using test::CrashMedium;
using test::TestRandom;

hw::SecretBuffer key_of(std::uint8_t byte) {
  hw::SecretBuffer key = std::move(hw::SecretBuffer::make(32).value());
  std::memset(key.data(), byte, 32);
  return key;
}
RecordCipher cipher_of(std::uint8_t byte) { return std::move(RecordCipher::make(key_of(byte)).value()); }

std::string hex(Bytes bytes) {
  std::string out;
  for (const std::uint8_t byte : bytes) {
    out += "0123456789abcdef"[byte >> 4];
    out += "0123456789abcdef"[byte & 15];
  }
  return out;
}
Bytes bytes_of(std::string_view text) {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

// c2sp.org/XAES-256-GCM, "Test vectors": one key for each value of the doubled block's carry.
TEST(RecordCipher, IsXaes256Gcm) {
  const Bytes nonce = bytes_of("ABCDEFGHIJKLMNOPQRSTUVWX");
  const Bytes plaintext = bytes_of("XAES-256-GCM");
  Buffer out(plaintext.size() + tag_bytes);
  ASSERT_TRUE(cipher_of(1).seal(nonce.data(), {}, {&plaintext, 1}, out.data()));
  EXPECT_EQ(hex(out), "ce546ef63c9cc60765923609b33a9a1974e96e52daf2fcf7075e2271");
  ASSERT_TRUE(
      cipher_of(3).seal(nonce.data(), bytes_of("c2sp.org/XAES-256-GCM"), {&plaintext, 1}, out.data()));
  EXPECT_EQ(hex(out), "986ec1832593df5443a179437fd083bf3fdb41abd740a21f71eb769d");
}

TEST(RecordCipher, OpensInOtherPiecesThanItSealed) {
  TestRandom random = TestRandom::labelled("RecordCipher.Pieces");
  const Buffer clear = random.bytes(1000);
  const std::array<Bytes, 3> pieces = {Bytes(clear).first(17), Bytes(clear).subspan(17, 500),
                                       Bytes(clear).subspan(517)};
  const Buffer nonce = random.bytes(nonce_bytes);
  Buffer sealed(clear.size() + tag_bytes);
  RecordCipher cipher = cipher_of(9);
  ASSERT_TRUE(cipher.seal(nonce.data(), bytes_of("a"), pieces, sealed.data()));
  Buffer opened(clear.size(), 1);
  const std::array<std::span<std::uint8_t>, 2> targets = {std::span(opened).first(333),
                                                          std::span(opened).subspan(333)};
  EXPECT_TRUE(cipher.open(nonce.data(), bytes_of("a"), sealed, targets));
  EXPECT_EQ(opened, clear);
  EXPECT_FALSE(cipher.open(nonce.data(), bytes_of("b"), sealed, targets));
  EXPECT_EQ(opened, Buffer(clear.size()));  // nothing of what failed is left
  EXPECT_FALSE(cipher_of(8).open(nonce.data(), bytes_of("a"), sealed, targets));
}

TEST(Record, NoticesEveryBitAndEveryLength) {
  RecordCipher cipher = cipher_of(5);
  const RecordKey key = RecordKey::stripe({1, 2, 3}, 4);
  const Buffer clear(40, 7);
  const Bytes piece(clear);
  Buffer record;
  std::uint64_t version = 0;
  ASSERT_TRUE(seal_record(cipher, RecordType::stripe, key, {&piece, 1}, record, version).ok());
  EXPECT_NE(version, 0U);
  EXPECT_EQ(Envelope::version(record), version);
  Buffer out(40);
  const std::span<std::uint8_t> target(out);
  const auto opens = [&](const RecordKey& name, Bytes bytes, RecordType type = RecordType::stripe) {
    return open_record(cipher, type, name, bytes, {&target, 1});
  };
  ASSERT_TRUE(opens(key, record));
  EXPECT_EQ(out, clear);
  for (std::size_t bit = 0; bit < record.size() * 8; ++bit) {
    Buffer flipped = record;
    flipped[bit / 8] = static_cast<std::uint8_t>(flipped[bit / 8] ^ 1U << (bit % 8));
    EXPECT_FALSE(opens(key, flipped)) << bit;
  }
  for (std::size_t length = 0; length < record.size(); ++length) {
    EXPECT_FALSE(opens(key, Bytes(record).first(length)));
  }
  EXPECT_FALSE(opens(RecordKey::stripe({1, 2, 3}, 5), record));
  EXPECT_FALSE(opens(RecordKey::stripe({1, 2, 4}, 4), record));
  EXPECT_FALSE(opens(RecordKey::directory({1, 2, 3}, 4), record, RecordType::directory));
}

TEST(Record, DrawsAnotherNonceForEachWriting) {
  RecordCipher cipher = cipher_of(5);
  const Buffer clear(16);
  const Bytes piece(clear);
  std::set<Buffer> nonces;
  for (int i = 0; i < 1000; ++i) {
    Buffer record;
    std::uint64_t version = 0;
    ASSERT_TRUE(
        seal_record(cipher, RecordType::head, RecordKey::head({1, 1, 1}), {&piece, 1}, record, version).ok());
    nonces.insert(Buffer(record.begin() + Envelope::head_bytes, record.begin() + Envelope::front));
  }
  EXPECT_EQ(nonces.size(), 1000U);
}

TEST(Record, KeysSortByShareAndStripe) {
  const GenerationId generation{5, 6};
  const ShareId last{5, 6, 255};
  const auto less = [](const RecordKey& a, const RecordKey& b) { return key_less(a, b); };
  EXPECT_TRUE(
      less(RecordKey::stripe({5, 5, 255}, UINT32_MAX), RecordKey::first_of(RecordType::stripe, generation)));
  EXPECT_TRUE(less(RecordKey::first_of(RecordType::stripe, generation), RecordKey::stripe({5, 6, 1}, 0)));
  EXPECT_TRUE(less(RecordKey::stripe(last, UINT32_MAX), RecordKey::behind(RecordType::stripe, generation)));
  EXPECT_TRUE(less(RecordKey::behind(RecordType::stripe, generation), RecordKey::stripe({5, 7, 1}, 0)));
  EXPECT_TRUE(less(RecordKey::head({UINT64_MAX, UINT32_MAX, 255}), RecordKey::behind(RecordType::head)));
  ShareId read;
  EXPECT_TRUE(read_head_key(RecordKey::head(last), read));
  EXPECT_EQ(read, last);
}

TEST(Record, HeadsComeBackAndOddOnesDoNot) {
  Head head;
  head.cell_bytes = 1344;
  head.sealed = true;
  head.cells = 1000;
  head.seal.fill(3);
  head.runs = {{0, 0}, {100, 2}, {999, 1}};
  Buffer bytes(head.bytes());
  head.write(bytes.data());
  Head read;
  ASSERT_TRUE(Head::read(bytes, read));
  EXPECT_EQ(read.runs, head.runs);
  EXPECT_EQ(read.attempt_of(99), 0);
  EXPECT_EQ(read.attempt_of(100), 2);
  EXPECT_EQ(read.attempt_of(999), 1);
  for (std::size_t length = 0; length < bytes.size(); ++length)
    EXPECT_FALSE(Head::read(Bytes(bytes).first(length), read));
  const auto refused = [&](std::size_t at, std::uint8_t value) {
    Buffer odd = bytes;
    odd[at] = value;
    return !Head::read(odd, read);
  };
  EXPECT_TRUE(refused(3, 1));            // cell length
  EXPECT_TRUE(refused(4, 3));            // state
  EXPECT_TRUE(refused(4, 1));            // open, with cells
  EXPECT_TRUE(refused(5, 1));            // zeros
  EXPECT_TRUE(refused(32 + 3, 1));       // a first run behind 0
  EXPECT_TRUE(refused(32 + 6 + 3, 0));   // runs that do not ascend
  EXPECT_TRUE(refused(32 + 12 + 0, 1));  // a run behind the last cell
}

class KeyFile : public testing::Test {
 protected:
  Result<GenerationKeys> open(std::uint32_t most = 1000) {
    return GenerationKeys::open(medium_.open_file(), most);
  }
  static Buffer key(GenerationKeys& keys, const GenerationId& generation) {
    hw::SecretBuffer out = key_of(0);
    const Outcome read = keys.read(generation, out);
    return read.ok() ? Buffer(out.data(), out.data() + 32) : Buffer();
  }
  CrashMedium medium_{test::test_seed()};
};

TEST_F(KeyFile, KeepsKeysAndErasesThem) {
  Buffer first;
  GenerationKeys::StoreId id{};
  {
    GenerationKeys keys = std::move(open().value());
    id = keys.id();
    ASSERT_TRUE(keys.create({1, 1}).ok());
    ASSERT_TRUE(keys.create({1, 2}).ok());
    first = key(keys, {1, 1});
    EXPECT_NE(first, key(keys, {1, 2}));
    EXPECT_NE(first, Buffer(32));
  }
  GenerationKeys keys = std::move(open().value());
  EXPECT_EQ(keys.id(), id);
  EXPECT_EQ(key(keys, {1, 1}), first);
  EXPECT_EQ(keys.live(), 2U);
  const auto somewhere = [&] {
    return std::search(medium_.file().begin(), medium_.file().end(), first.begin(), first.end()) !=
           medium_.file().end();
  };
  EXPECT_TRUE(somewhere());
  ASSERT_TRUE(keys.erase({1, 1}).ok());
  EXPECT_FALSE(somewhere());
  EXPECT_EQ(keys.state({1, 1}), GenerationKeys::State::erased);
  EXPECT_EQ(key(keys, {1, 1}), Buffer());
  GenerationKeys again = std::move(open().value());
  EXPECT_EQ(again.all(GenerationKeys::State::erased), (std::vector<GenerationId>{{1, 1}}));
  ASSERT_TRUE(again.forget({1, 1}).ok());
  ASSERT_TRUE(again.create({2, 1}).ok());
  GenerationKeys last = std::move(open().value());
  EXPECT_EQ(last.state({1, 1}), GenerationKeys::State::none);
  EXPECT_EQ(last.all(GenerationKeys::State::live), (std::vector<GenerationId>{{1, 2}, {2, 1}}));
}

TEST_F(KeyFile, HasALimit) {
  GenerationKeys keys = std::move(open(10).value());
  for (std::uint32_t i = 1; i <= 10; ++i) ASSERT_TRUE(keys.create({1, i}).ok());
  const Outcome more = keys.create({1, 11});
  ASSERT_FALSE(more.ok());
  EXPECT_EQ(more.error().code, Exit::refused);
  EXPECT_FALSE(open(9).ok());
}

// Each step fails in turn, by an error or by a loss of power: a key that was told to be durable is, one that
// was told to be erased is gone.
TEST_F(KeyFile, IsTrueAtEveryStep) {
  for (const auto failure : {CrashMedium::Failure::io_error, CrashMedium::Failure::power_off}) {
    bool reached_end = false;
    for (std::uint64_t step = 0; !reached_end; ++step) {
      CrashMedium medium(test::test_seed() + step);
      medium.fail_in(step, failure);
      std::set<GenerationId> created;
      std::set<GenerationId> erased;
      {
        Result<GenerationKeys> keys = GenerationKeys::open(medium.open_file(), 1000);
        for (std::uint32_t i = 1; keys.ok() && i <= 4; ++i) {
          if (keys.value().create({7, i}).ok()) created.insert({7, i});
          if (i % 2 == 0 && created.contains({7, i}) && keys.value().erase({7, i}).ok())
            erased.insert({7, i});
        }
      }
      reached_end = !medium.failed();
      medium.crash();
      Result<GenerationKeys> keys = GenerationKeys::open(medium.open_file(), 1000);
      ASSERT_TRUE(keys.ok()) << step << keys.error().why;
      for (const GenerationId& generation : created) {
        const bool maybe_erased = generation.generation % 2 == 0;
        const auto state = keys.value().state(generation);
        EXPECT_TRUE(state == GenerationKeys::State::live || maybe_erased) << step;
        EXPECT_TRUE(!erased.contains(generation) || state != GenerationKeys::State::live) << step;
      }
    }
  }
}

TEST_F(KeyFile, NoticesEveryFlippedByte) {
  {
    GenerationKeys keys = std::move(open().value());
    ASSERT_TRUE(keys.create({1, 1}).ok());
  }
  for (std::size_t at = 0; at < 4096 + 128; ++at) {
    if (at == 48) at = 4096;  // zeros of the header
    CrashMedium medium(1);
    medium.file() = medium_.file();
    medium.file()[at] ^= 0x10;
    medium.crash();
    Result<GenerationKeys> keys = GenerationKeys::open(medium.open_file(), 1000);
    EXPECT_TRUE(!keys.ok() || keys.value().state({1, 1}) == GenerationKeys::State::none) << at;
    if (keys.ok()) {
      EXPECT_EQ(keys.value().damaged(), 1U) << at;
      ASSERT_TRUE(keys.value().create({1, 1}).ok());  // not into the damaged slot
    }
  }
}

TEST(StorageFile, IsForOneProcessAndItsOwner) {
  test::TestDirectory directory;
  const std::string path = directory.path() + "/keys";
  {
    Result<std::unique_ptr<StorageFile>> file = open_storage_file(path);
    ASSERT_TRUE(file.ok());
    struct stat status{};
    ASSERT_EQ(::stat(path.c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 0777U, 0600U);
    const Result<std::unique_ptr<StorageFile>> second = open_storage_file(path);
    ASSERT_FALSE(second.ok());
    EXPECT_EQ(second.error().code, Exit::temporary);
    ASSERT_TRUE(file.value()->extend(8192).ok());
    const Buffer bytes(512, 9);
    ASSERT_TRUE(file.value()->write(4096, bytes).ok());
    ASSERT_TRUE(file.value()->sync().ok());
    Buffer read(512);
    ASSERT_TRUE(file.value()->read(4096, read).ok());
    EXPECT_EQ(read, bytes);
    EXPECT_FALSE(file.value()->read(8191, read).ok());
  }
  ASSERT_EQ(::chmod(path.c_str(), 0644), 0);
  EXPECT_FALSE(open_storage_file(path).ok());
  EXPECT_FALSE(open_storage_file(directory.path() + "/none/keys").ok());
}

TEST(StorageFile, SaysWhenThereIsNoSpace) {
  test::SmallFileSystem small(1);
  if (!small.ok()) GTEST_SKIP() << "only root can make a small file system";
  Result<std::unique_ptr<StorageFile>> file = open_storage_file(small.path() + "/keys");
  ASSERT_TRUE(file.ok());
  const Outcome longer = file.value()->extend(std::uint64_t{8} << 20);
  ASSERT_FALSE(longer.ok());
  EXPECT_EQ(fault_of(longer.error()), Fault::full);
  EXPECT_TRUE(file.value()->extend(8192).ok());
}

}  // namespace
}  // namespace ssn::store
