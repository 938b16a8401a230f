// SPDX-License-Identifier: BSD-3-Clause
// After a stream is closed nothing of its keys is left in the process: not in a ring, a heap, a stack or a
// buffer of OpenSSL, neither raw nor as base64. Positive controls find them before.
#include <fcntl.h>
#include <unistd.h>

#include <cinttypes>
#include <cstring>
#include <unordered_map>

#include "fixture.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SSN_SANITIZED 1
#endif
#endif

namespace ssn::test {
namespace {

constexpr std::size_t pattern_bytes = 16;
constexpr std::uint8_t mask = 0x5a;  // what is looked for never lies in memory as it is
constexpr char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

class Scanner {
 public:
  void add_key(const Bytes& masked) {
    const std::size_t size = masked.size();
    for (const std::size_t at : {std::size_t{0}, size / 2 / 3 * 3, (size - 18) / 3 * 3}) {
      Pattern raw, base64;
      std::memcpy(raw.data(), masked.data() + at, raw.size());
      for (std::size_t i = 0; i < 4; ++i) {
        unsigned group = 0;
        for (std::size_t j = 0; j < 3; ++j) group = group << 8 | (masked[at + 3 * i + j] ^ mask);
        for (std::size_t j = 0; j < 4; ++j) {
          base64[4 * i + j] = static_cast<std::uint8_t>(alphabet[group >> (18 - 6 * j) & 63U] ^ mask);
        }
      }
      add(raw, raw_);
      add(base64, base64_);
    }
  }

  struct Found {
    std::size_t raw = 0, base64 = 0;
    std::uint64_t bytes = 0;  // looked at
    std::string where;
  };
  Found scan() {
    Found found;
    std::FILE* const maps = std::fopen("/proc/self/maps", "r");
    const int memory = ::open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
    char line[1024];
    while (std::fgets(line, sizeof line, maps) != nullptr) {
      std::uint64_t from = 0, to = 0;
      char rights[5] = "";
      if (std::sscanf(line, "%" SCNx64 "-%" SCNx64 " %4s", &from, &to, rights) == 3 && rights[1] == 'w') {
        const std::size_t before = found.raw + found.base64;
        scan_region(memory, from, to, found);
        if (found.raw + found.base64 != before) found.where += line;
      }
    }
    ::close(memory);
    std::fclose(maps);
    return found;
  }

 private:
  using Pattern = std::array<std::uint8_t, pattern_bytes>;
  using Set = std::unordered_multimap<std::uint32_t, Pattern>;

  static std::uint32_t start_of(const std::uint8_t* at) {
    std::uint32_t start = 0;
    std::memcpy(&start, at, sizeof start);
    return start;
  }
  void add(const Pattern& pattern, Set& set) {
    set.emplace(start_of(pattern.data()), pattern);
    const std::uint32_t start = start_of(pattern.data());
    filter_[start & 0xffffffU] = true;
  }
  static std::size_t matches(const Set& set, const std::uint8_t* at) {
    std::size_t count = 0;
    const auto [first, last] = set.equal_range(start_of(at));
    for (auto entry = first; entry != last; ++entry) {
      count += std::memcmp(entry->second.data(), at, pattern_bytes) == 0 ? 1 : 0;
    }
    return count;
  }
  void scan_region(int memory, std::uint64_t from, std::uint64_t to, Found& found) {
    for (std::uint64_t at = from; at < to; at += window_.size() - pattern_bytes) {
      const std::size_t wanted = static_cast<std::size_t>(std::min<std::uint64_t>(window_.size(), to - at));
      const ssize_t got = ::pread(memory, window_.data(), wanted, static_cast<off_t>(at));
      if (got < static_cast<ssize_t>(pattern_bytes)) return;
      const auto own = reinterpret_cast<std::uint64_t>(window_.data());
      for (std::uint8_t& byte : window_) byte ^= mask;
      found.bytes += static_cast<std::uint64_t>(got);
      for (std::size_t i = 0; i + pattern_bytes <= static_cast<std::size_t>(got); ++i) {
        const bool is_own = at + i + pattern_bytes > own && at + i < own + window_.size();
        if (filter_[start_of(window_.data() + i) & 0xffffffU] && !is_own) {
          found.raw += matches(raw_, window_.data() + i);
          found.base64 += matches(base64_, window_.data() + i);
        }
      }
    }
  }

  Set raw_, base64_;
  std::vector<bool> filter_ = std::vector<bool>(std::size_t{1} << 24);
  std::vector<std::uint8_t> window_ = std::vector<std::uint8_t>(std::size_t{1} << 20);
};

// The keys that the key manager gave to both ends last, masked; from hexadecimal text.
std::vector<Bytes> delivered_keys(KmeProcess& kme) {
  std::vector<Bytes> keys;
  const std::string text = kme.command("{\"do\": \"secrets\"}");
  for (std::size_t at = text.find('"'); at != std::string::npos; at = text.find('"', at + 1)) {
    const std::size_t end = text.find('"', at + 1);
    Bytes key;
    for (std::size_t i = at + 1; i + 1 < end; i += 2) {
      key.push_back(static_cast<std::uint8_t>(std::stoul(text.substr(i, 2), nullptr, 16) ^ mask));
    }
    keys.push_back(std::move(key));
    at = end;
  }
  return keys;
}

class MemoryScan : public TwoSites {
 protected:
  void run(const Config& changes) {
#if defined(SSN_SANITIZED)
    GTEST_SKIP() << "a sanitizer keeps freed memory, and maps more than can be read";
#endif
    open(changes);
    open_stream();
    EXPECT_GE(compare(*sender, *receiver, 300000), 300000U);
    // The rings fill up behind what was compared; then all is quiet.
    ASSERT_TRUE(wait_for([&] {
      (void)sender->poll();
      (void)receiver->poll();
      return (*sender)->end - (*sender)->released > 700000 && (*sender)->end == (*receiver)->end;
    }));
    Scanner scanner;
    const std::vector<Bytes> keys = delivered_keys(kme);
    ASSERT_GE(keys.size(), 32U);
    for (const Bytes& key : keys) scanner.add_key(key);
    const Scanner::Found control = scanner.scan();
    EXPECT_GE(control.raw, keys.size()) << "the rings are full of them: the scanner must find them";
    sender->close();
    receiver->close();
    // The rings still belong to this test.
    sender->ring().erase();
    receiver->ring().erase();
    const Scanner::Found open_device = scanner.scan();
    EXPECT_EQ(open_device.raw + open_device.base64, 0U)
        << open_device.raw << " raw, " << open_device.base64 << " base64 in\n"
        << open_device.where;
    EXPECT_GT(open_device.bytes, std::uint64_t{4} << 20);
    a->close();
    b->close();
    const Scanner::Found closed = scanner.scan();
    EXPECT_EQ(closed.raw + closed.base64, 0U) << closed.where;
    // The other control: one text of one key, forgotten in a heap.
    std::string forgotten;
    for (std::size_t i = 0; i < 18; i += 3) {
      const Bytes& key = keys.front();
      const unsigned group =
          static_cast<unsigned>((key[i] ^ mask) << 16 | (key[i + 1] ^ mask) << 8 | (key[i + 2] ^ mask));
      for (unsigned j = 0; j < 4; ++j) forgotten += alphabet[group >> (18 - 6 * j) & 63U];
    }
    EXPECT_GE(scanner.scan().base64, 1U);
    ::explicit_bzero(forgotten.data(), forgotten.size());
  }
};

TEST_F(MemoryScan, NothingIsLeft) { run({}); }
TEST_F(MemoryScan, NothingIsLeftOfEscapedAndChunkedOnes) {
  kme.fault("sae-a", "enc_keys", "escaped", 100000);
  kme.fault("sae-b", "dec_keys", "chunked", 100000);
  run({});
}

}  // namespace
}  // namespace ssn::test
