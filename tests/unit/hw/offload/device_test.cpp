// SPDX-License-Identifier: BSD-3-Clause
// The wrapper: finding, opening and owning.
#include "ssn/hw/offload_device.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <time.h>

#include <cstring>
#include <optional>

namespace ssn::hw {
namespace {

using testing::HasSubstr;

std::string example(const std::string& variant = "") {
  return std::string(SSN_EXAMPLE_DRIVERS) + "/ssn-offload-example" + variant + ".so";
}

void expect_error(const OffloadDevice::Options& options, Exit code, const std::string& why) {
  const Result<OffloadDevice> device = OffloadDevice::open(options);
  ASSERT_FALSE(device.ok());
  EXPECT_EQ(device.error().code, code);
  EXPECT_THAT(device.error().why, HasSubstr(why));
  EXPECT_FALSE(device.error().what.empty());
  EXPECT_FALSE(device.error().fix.empty());
}

OffloadDevice open_device(const OffloadDevice::Options& options) {
  Result<OffloadDevice> device = OffloadDevice::open(options);
  EXPECT_TRUE(device.ok()) << (device.ok() ? "" : device.error().why);
  return device.ok() ? std::move(device.value()) : OffloadDevice();
}

TEST(OffloadDevice, SaysWhatIsWrongWithADriver) {
  expect_error({.driver = "no-such-driver"}, Exit::not_found, "ssn-offload-no-such-driver.so");
  expect_error({.driver = "/no/such/driver.so"}, Exit::not_found, "/no/such/driver.so");
  expect_error({.driver = "strange name"}, Exit::usage, "letters");
  expect_error({.driver = example("-abi")}, Exit::usage, "version 1001");
  expect_error({.driver = example("-completeness")}, Exit::usage, "leaves out functions");
  expect_error({.driver = example("-device")}, Exit::failed, "returned no device");
  expect_error({.driver = example("-description")}, Exit::failed, "power of two");
  expect_error({.driver = example(), .settings = {{"color", "red"}}}, Exit::usage, "no such setting");
  const Result<OffloadDevice> none = OffloadDevice::open(nullptr, "somewhere", {});
  ASSERT_FALSE(none.ok());
  EXPECT_THAT(none.error().why, HasSubstr("returned nothing"));
}

TEST(OffloadDevice, FindsOurDriversByName) {
  std::vector<std::string> names;
  for (const OffloadDriverFile& file : list_offload_drivers()) {
    names.push_back(file.name);
    EXPECT_THAT(file.path, HasSubstr("/ssn-offload-" + file.name + ".so"));
  }
  EXPECT_THAT(names, testing::IsSupersetOf({"cpu", "async-example", "fault"}));
  EXPECT_TRUE(std::is_sorted(names.begin(), names.end()));
}

TEST(OffloadDevice, DescribesItself) {
  const OffloadDevice device = open_device({.driver = "cpu", .settings = {{"kernels", "scalar"}}});
  EXPECT_STREQ(device.driver().name, "cpu");
  EXPECT_THAT(device.info().identity, HasSubstr("scalar"));
  EXPECT_EQ(device.info().protection, SSN_PROTECTION_INFORMATION_THEORETIC);
  EXPECT_THAT(device.driver_file(), HasSubstr("ssn-offload-cpu.so"));
  expect_error({.driver = "cpu", .settings = {{"kernels", "abacus"}}}, Exit::usage, "implementation");
}

TEST(OffloadDevice, IsClosedWhenAllIsGoneInAnyOrder) {
  const std::vector<std::uint8_t> one{1};
  const std::array<std::uint8_t, 16> r{9};
  for (const char* const driver : {"cpu", "async-example", "fault"}) {
    std::optional<OffloadDevice> device(open_device({.driver = driver}));
    Result<OffloadMatrix> matrix = device->prepare_matrix(one, 1, 1);
    Result<OffloadTagKey> key = device->prepare_tag_key(r);
    Result<OffloadQueue> queue = device->open_queue({4, CLOCK_MONOTONIC, -1});
    ASSERT_TRUE(matrix.ok() && key.ok() && queue.ok());
    device.reset();
    OffloadMatrix moved = std::move(matrix.value());
    EXPECT_TRUE(moved.is_open());
    EXPECT_FALSE(matrix.value().is_open());
    key.value().close();
    key.value().close();
    moved = OffloadMatrix();
    EXPECT_FALSE(moved.is_open());
    queue.value().close();
  }
}

TEST(OffloadDevice, RefusesWhatItCannotMake) {
  OffloadDevice device = open_device({.driver = example()});
  const std::vector<std::uint8_t> ones(100, 1);
  EXPECT_EQ(device.prepare_matrix(ones, 10, 10).error().code, Exit::usage);
  EXPECT_EQ(device.prepare_matrix(std::span(ones).first(5), 2, 2).error().code, Exit::usage);
  EXPECT_EQ(device.open_queue({0, -1, -1}).error().code, Exit::usage);
  std::vector<OffloadQueue> queues;
  for (std::uint32_t i = 0; i < device.info().queues_max; ++i) {
    Result<OffloadQueue> queue = device.open_queue({1, -1, -1});
    ASSERT_TRUE(queue.ok());
    queues.push_back(std::move(queue.value()));
  }
  EXPECT_EQ(device.open_queue({1, -1, -1}).error().code, Exit::temporary);
  queues.pop_back();
  EXPECT_TRUE(device.open_queue({1, -1, -1}).ok());
}

}  // namespace
}  // namespace ssn::hw
