// SPDX-License-Identifier: BSD-3-Clause
// Which implementation a process gets. Run once with SSN_KERNELS unset and once for each name:
// tests/meson.build.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <set>
#include <string>

#include "implementations.h"

namespace {

namespace kernels = ssn::kernels;
using kernels::Implementation;
using kernels::Status;

std::string forced_name() {
  const char* value = std::getenv("SSN_KERNELS");
  return value == nullptr ? "" : value;
}

const Implementation* by_name(const std::string& name) {
  for (const Implementation* implementation : kernels::implementations()) {
    if (kernels::name(*implementation) == name) return implementation;
  }
  return nullptr;
}

const Implementation* best_supported() {
  for (const Implementation* implementation : kernels::implementations()) {
    if (kernels::supported(*implementation)) return implementation;
  }
  return nullptr;
}

/// Sets SSN_KERNELS and puts it back.
class Environment {
 public:
  explicit Environment(const char* value)
      : before_(forced_name()), was_set_(std::getenv("SSN_KERNELS") != nullptr) {
    if (value == nullptr) {
      unsetenv("SSN_KERNELS");
    } else {
      setenv("SSN_KERNELS", value, 1);
    }
  }
  ~Environment() {
    if (was_set_) {
      setenv("SSN_KERNELS", before_.c_str(), 1);
    } else {
      unsetenv("SSN_KERNELS");
    }
  }
  Environment(const Environment&) = delete;
  Environment& operator=(const Environment&) = delete;

 private:
  std::string before_;
  bool was_set_;
};

TEST(Selection, GivesWhatTheEnvironmentOfThisRunForces) {
  const std::string forced = forced_name();
  const Implementation* expected = forced.empty() ? best_supported() : by_name(forced);
  ASSERT_NE(expected, nullptr) << "SSN_KERNELS=" << forced << " is none of this build's implementations";
  const Implementation* chosen = nullptr;
  const Status status = kernels::select(chosen);
  if (!kernels::supported(*expected)) {
    EXPECT_EQ(status, Status::unsupported_implementation);
    EXPECT_EQ(chosen, nullptr);
    GTEST_SKIP() << forced << " cannot run on this machine and was refused, as it should be";
  }
  ASSERT_EQ(status, Status::ok);
  EXPECT_EQ(chosen, expected);
  std::printf("SSN_KERNELS=%s gives %s\n", forced.c_str(), std::string(kernels::name(*chosen)).c_str());
}

TEST(Selection, EmptyOrUnsetMeansTheBest) {
  for (const char* value : {static_cast<const char*>(nullptr), ""}) {
    const Environment environment(value);
    const Implementation* chosen = nullptr;
    ASSERT_EQ(kernels::select(chosen), Status::ok);
    EXPECT_EQ(chosen, best_supported());
  }
}

TEST(Selection, UnknownNamesAreErrors) {
  for (const char* value : {"sclar", "SCALAR", "scalar ", " ", "avx512", "best", "none", "isal,scalar"}) {
    const Environment environment(value);
    const Implementation* chosen = nullptr;
    EXPECT_EQ(kernels::select(chosen), Status::unknown_implementation) << value;
    EXPECT_EQ(kernels::find(value, chosen), Status::unknown_implementation) << value;
    EXPECT_EQ(chosen, nullptr);
  }
  const Implementation* found = nullptr;
  EXPECT_EQ(kernels::find("", found), Status::unknown_implementation);
}

TEST(Selection, EveryNameIsFoundOrRefusedAsUnsupported) {
  for (const Implementation* implementation : kernels::implementations()) {
    const std::string name(kernels::name(*implementation));
    const Environment environment(name.c_str());
    const bool supported = kernels::supported(*implementation);
    const Implementation* found = nullptr;
    EXPECT_EQ(kernels::find(name, found), supported ? Status::ok : Status::unsupported_implementation)
        << name;
    EXPECT_EQ(found, supported ? implementation : nullptr) << name;
    const Implementation* chosen = nullptr;
    EXPECT_EQ(kernels::select(chosen), supported ? Status::ok : Status::unsupported_implementation) << name;
    EXPECT_EQ(chosen, supported ? implementation : nullptr) << name;
  }
}

TEST(Selection, TheListIsWhatTheDocumentationSays) {
  std::set<std::string> names;
  for (const Implementation* implementation : kernels::implementations()) {
    EXPECT_TRUE(names.insert(std::string(kernels::name(*implementation))).second);
    EXPECT_FALSE(kernels::description(*implementation).empty());
  }
  EXPECT_EQ(names.count("scalar"), 1U);
  EXPECT_EQ(names.count("isal"), 1U);
#if defined(__x86_64__)
  EXPECT_EQ(names.count("avx2"), 1U);
  EXPECT_EQ(names.count("avx512_gfni"), 1U);
#endif
  EXPECT_EQ(kernels::name(*kernels::implementations().back()), "scalar") << "the list begins with the best";
  EXPECT_TRUE(kernels::supported(*by_name("scalar")));
}

}  // namespace
