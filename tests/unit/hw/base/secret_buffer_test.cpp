// SPDX-License-Identifier: BSD-3-Clause
#include "ssn/hw/secret_buffer.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <string>
#include <type_traits>

namespace ssn::hw {
namespace {

static_assert(!std::is_copy_constructible_v<SecretBuffer> && !std::is_copy_assignable_v<SecretBuffer>);

constexpr std::size_t page = 4096;

// AddressSanitizer answers mlock() itself and locks nothing.
#if defined(__SANITIZE_ADDRESS__)
constexpr bool locking_works = false;
#elif defined(__has_feature)
constexpr bool locking_works = !__has_feature(address_sanitizer);
#else
constexpr bool locking_works = true;
#endif

// The VmFlags of the mapping that holds `address`, such as "rd wr mr mw me lo ac dd wf".
std::string flags_of(const void* address) {
  std::ifstream maps("/proc/self/smaps");
  std::string line;
  bool inside = false;
  const auto wanted = reinterpret_cast<unsigned long>(address);
  while (std::getline(maps, line)) {
    unsigned long begin = 0;
    unsigned long end = 0;
    if (std::sscanf(line.c_str(), "%lx-%lx ", &begin, &end) == 2) {
      inside = begin <= wanted && wanted < end;
    } else if (inside && line.rfind("VmFlags:", 0) == 0) {
      return line;
    }
  }
  return "";
}

TEST(SecretBuffer, IsZeroedLockedAndKeptOutOfDumps) {
  Result<SecretBuffer> made = SecretBuffer::make(10000, SecretBuffer::Locking::required);
  ASSERT_TRUE(made.ok()) << made.error().why;
  SecretBuffer& buffer = made.value();
  EXPECT_EQ(buffer.size(), 10000U);
  EXPECT_TRUE(std::all_of(buffer.data(), buffer.data() + buffer.size(), [](auto b) { return b == 0; }));
  const std::string flags = flags_of(buffer.data());
  for (const std::string flag : {" lo", " dd", " wf"}) {
    if (flag == " lo" && !locking_works) {
      continue;
    }
    EXPECT_NE(flags.find(flag), std::string::npos) << flag << " is not in " << flags;
  }
}

TEST(SecretBuffer, MayBeEmpty) {
  Result<SecretBuffer> made = SecretBuffer::make(0);
  ASSERT_TRUE(made.ok());
  EXPECT_EQ(made.value().size(), 0U);
}

TEST(SecretBuffer, MovingLeavesNothingBehind) {
  SecretBuffer first = std::move(SecretBuffer::make(100).value());
  std::uint8_t* const where = first.data();
  SecretBuffer second = std::move(first);
  EXPECT_EQ(second.data(), where);
  EXPECT_EQ(first.data(), nullptr);  // NOLINT: what moving leaves is part of the promise
  EXPECT_EQ(first.size(), 0U);
}

TEST(SecretBufferDeathTest, GuardPagesStopStrayAccess) {
  SecretBuffer buffer = std::move(SecretBuffer::make(page).value());
  volatile std::uint8_t* const data = buffer.data();
  EXPECT_DEATH(data[page] = 1, "");
  EXPECT_DEATH(data[-1] = 1, "");
}

TEST(SecretBufferDeathTest, AWriteBehindTheEndIsFound) {
  EXPECT_DEATH(
      {
        SecretBuffer buffer = std::move(SecretBuffer::make(100).value());
        buffer.data()[100] = 1;
      },
      "written behind its end");
}

TEST(SecretBuffer, AChildDoesNotInheritIt) {
  SecretBuffer buffer = std::move(SecretBuffer::make(64).value());
  std::memset(buffer.data(), 0x5a, 64);
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    const bool wiped = std::all_of(buffer.data(), buffer.data() + 64, [](auto b) { return b == 0; });
    ::_exit(wiped ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << "status " << status;
}

// Root may lock whatever it likes, so the limit is tried as somebody else.
TEST(SecretBuffer, SaysWhenItMustBeLockedAndCannot) {
  if (!locking_works) {
    GTEST_SKIP() << "AddressSanitizer does not lock memory";
  }
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    const rlimit none{0, 0};
    if (::setrlimit(RLIMIT_MEMLOCK, &none) != 0 || (::getuid() == 0 && ::setuid(65534) != 0)) {
      ::_exit(77);
    }
    Result<SecretBuffer> required = SecretBuffer::make(100, SecretBuffer::Locking::required);
    Result<SecretBuffer> optional = SecretBuffer::make(100);
    const bool right = !required.ok() && required.error().code == Exit::refused &&
                       required.error().fix.find("ulimit -l") != std::string::npos && optional.ok() &&
                       !optional.value().locked();
    ::_exit(right ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFEXITED(status));
  if (WEXITSTATUS(status) == 77) {
    GTEST_SKIP() << "cannot become another user here";
  }
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

}  // namespace
}  // namespace ssn::hw
