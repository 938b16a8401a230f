// SPDX-License-Identifier: BSD-3-Clause
// Looks through all memory of this process, and through memory files that it holds open, for bytes that
// should be gone.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <cinttypes>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>
#include <unordered_set>

// Instrumented code keeps vectors on stacks of its own, and its kernels are not optimised.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SSN_INSTRUMENTED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SSN_INSTRUMENTED 1
#endif
#endif
#if defined(SSN_INSTRUMENTED)
#define SKIP_WHERE_INSTRUMENTED() GTEST_SKIP() << "a sanitizer's code leaves copies on its stacks"
#else
#define SKIP_WHERE_INSTRUMENTED() (void)0
#endif

namespace ssn::test {

// Pads to look for, kept in a form that is not found itself.
class Wanted {
 public:
  void add(const std::uint8_t* bytes, std::size_t length) {
    for (std::size_t i = 0; i + 8 <= length; i += 8) {
      std::uint64_t word = 0;
      std::memcpy(&word, bytes + i, 8);
      masked_.insert(word ^ mask);
    }
  }
  /// Occurrences of two wanted words in succession.
  std::uint64_t count_in(const std::uint8_t* bytes, std::size_t length) const {
    std::uint64_t count = 0;
    bool before = false;
    for (std::size_t i = 0; i + 8 <= length; i += 8) {
      std::uint64_t word = 0;
      std::memcpy(&word, bytes + i, 8);
      const bool found = masked_.contains(word ^ mask);
      count += found && before ? 1 : 0;
      before = found;
    }
    return count;
  }

 private:
  static constexpr std::uint64_t mask = 0x5a3c96f00f69c3a5;
  std::unordered_set<std::uint64_t> masked_;
};

// Reads the whole of this process through /proc, but for the buffer that it reads into.
class Scanner {
 public:
  std::uint64_t count(const Wanted& wanted) {
    std::uint64_t found = count_in_memory(wanted) + count_in_files(wanted);
    ::explicit_bzero(buffer_.data(), buffer_.size());
    return found;
  }
  std::uint64_t bytes() const { return bytes_; }
  /// Where something was found the last time, for the message of a failure.
  const std::string& where() const { return where_; }

 private:
  // A sanitizer's shadow is larger than any memory.
  static constexpr std::uint64_t most = std::uint64_t{4} << 30;

  std::uint64_t count_in_memory(const Wanted& wanted) {
    const int memory = ::open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
    EXPECT_GE(memory, 0);
    std::ifstream maps("/proc/self/maps");
    std::uint64_t found = 0;
    bytes_ = 0;
    where_.clear();
    for (std::string line; std::getline(maps, line);) {
      std::uint64_t begin = 0;
      std::uint64_t end = 0;
      char access = 0;
      if (std::sscanf(line.c_str(), "%" SCNx64 "-%" SCNx64 " %c", &begin, &end, &access) != 3 ||
          access != 'r' || end - begin > most) {
        continue;
      }
      for (std::uint64_t at = begin; at < end; at += buffer_.size()) {
        const std::size_t length =
            static_cast<std::size_t>(std::min<std::uint64_t>(buffer_.size(), end - at));
        const auto own = reinterpret_cast<std::uintptr_t>(buffer_.data());
        if (at < own + buffer_.size() && own < at + length) {
          continue;
        }
        const ssize_t got = ::pread(memory, buffer_.data(), length, static_cast<off_t>(at));
        if (got > 0) {
          const std::uint64_t here = wanted.count_in(buffer_.data(), static_cast<std::size_t>(got));
          where_ += here != 0 ? std::to_string(here) + " in " + line + "\n" : "";
          found += here;
          bytes_ += static_cast<std::uint64_t>(got);
        }
      }
    }
    ::close(memory);
    return found;
  }

  std::uint64_t count_in_files(const Wanted& wanted) {
    std::uint64_t found = 0;
    for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
      std::error_code ignored;
      const std::string target = std::filesystem::read_symlink(entry.path(), ignored);
      const int fd = std::atoi(entry.path().filename().c_str());
      if (target.find("memfd:") == std::string::npos) {
        continue;
      }
      off_t at = 0;
      for (ssize_t got = 0; (got = ::pread(fd, buffer_.data(), buffer_.size(), at)) > 0; at += got) {
        found += wanted.count_in(buffer_.data(), static_cast<std::size_t>(got));
      }
    }
    return found;
  }

  alignas(4096) std::array<std::uint8_t, 64 << 10> buffer_{};
  std::uint64_t bytes_ = 0;
  std::string where_;
};

}  // namespace ssn::test
