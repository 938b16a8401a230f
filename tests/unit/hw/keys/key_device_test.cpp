// SPDX-License-Identifier: BSD-3-Clause
// The loader, the wrapper and an out-of-tree driver.
#include "ssn/hw/key_device.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

namespace ssn::hw {
namespace {

using testing::HasSubstr;

constexpr std::size_t ring_bytes = 16384;
const Ksid ksid{1, 2, 3};

std::string example(const std::string& variant = "") {
  return std::string(SSN_EXAMPLE_DRIVERS) + "/ssn-key-example" + variant + ".so";
}

KeyDevice::Options options(std::string driver) { return {.driver = std::move(driver), .local_name = "here"}; }

KeyDevice open_example(KeyDevice::Options with) {
  Result<KeyDevice> device = KeyDevice::open(with);
  EXPECT_TRUE(device.ok()) << (device.ok() ? "" : device.error().why);
  return device.ok() ? std::move(device.value()) : KeyDevice();
}

void expect_error(const KeyDevice::Options& with, Exit code, const std::string& why) {
  const Result<KeyDevice> device = KeyDevice::open(with);
  ASSERT_FALSE(device.ok());
  EXPECT_EQ(device.error().code, code);
  EXPECT_THAT(device.error().why, HasSubstr(why));
  EXPECT_FALSE(device.error().what.empty());
  EXPECT_FALSE(device.error().fix.empty());
}

TEST(KeyDriverLoader, SaysWhatIsWrongWithADriver) {
  expect_error(options("no-such-driver"), Exit::not_found, "ssn-key-no-such-driver.so");
  expect_error(options("/no/such/driver.so"), Exit::not_found, "/no/such/driver.so");
  expect_error(options("strange name"), Exit::usage, "letters");
  expect_error(options(""), Exit::usage, "letters");
  expect_error(options("/proc/self/exe"), Exit::failed, "cannot dynamically load");
  expect_error(options("/"), Exit::refused, "regular file");
  expect_error(options(example("-abi")), Exit::usage, "version 1001");
  expect_error(options(example("-completeness")), Exit::usage, "leaves out functions");
  expect_error(options(example("-device")), Exit::failed, "returned no device");
  expect_error(options(SSN_NO_DRIVER), Exit::usage, SSN_KEY_DRIVER_ENTRY);
  KeyDevice::Options unknown = options(example());
  unknown.settings = {{"color", "red"}};
  expect_error(unknown, Exit::usage, "no such setting");
  KeyDevice::Options nameless = options(example());
  nameless.local_name = "";
  expect_error(nameless, Exit::usage, "SAE ID");
}

class Folder {
 public:
  Folder() { EXPECT_NE(::mkdtemp(path_.data()), nullptr); }
  ~Folder() { std::filesystem::remove_all(path_); }
  const std::string& path() const { return path_; }

 private:
  std::string path_ = (std::filesystem::temp_directory_path() / "ssn-drivers-XXXXXX").string();
};

TEST(KeyDriverLoader, FindsADriverByNameInTheDirectoriesOfTheVariable) {
  const Folder folder;
  std::filesystem::copy_file(example(), folder.path() + "/ssn-key-other_example.so");
  ::setenv("SSN_DRIVER_PATH", (":/no/such/place:" + folder.path() + ":").c_str(), 1);
  Result<KeyDevice> device = KeyDevice::open(options("other_example"));
  ::unsetenv("SSN_DRIVER_PATH");
  ASSERT_TRUE(device.ok()) << device.error().why;
  EXPECT_EQ(device.value().driver_name(), "example");
  EXPECT_EQ(device.value().driver_file(), folder.path() + "/ssn-key-other_example.so");
}

TEST(KeyDriverLoader, FindsOurDriversInTheBuildTree) {
  KeyDevice::Options with = options("memory");
  with.settings = {{"seed", "1"}};
  const Result<KeyDevice> device = KeyDevice::open(with);
  ASSERT_TRUE(device.ok()) << device.error().why;
  EXPECT_THAT(device.value().driver_file(), HasSubstr("/hw/keys/ssn-key-memory.so"));
}

TEST(KeyDriverLoader, RefusesADriverThatEverybodyMayWrite) {
  const Folder folder;
  const std::string path = folder.path() + "/driver.so";
  std::filesystem::copy_file(example(), path);
  ASSERT_EQ(::chmod(path.c_str(), 0757), 0);
  expect_error(options(path), Exit::refused, "everybody may write");
}

TEST(KeyDevice, DeliversThroughAnOutOfTreeDriver) {
  KeyDevice::Options with = options(example());
  with.settings = {{"start", "7"}};
  KeyDevice device = open_example(with);
  EXPECT_EQ(std::string(device.info().identity), "example 1.0");
  Result<KeyStream> opened = device.open_stream(SSN_KEY_SENDER, ksid, "there", ring_bytes);
  ASSERT_TRUE(opened.ok()) << opened.error().why;
  KeyStream stream = std::move(opened.value());
  EXPECT_EQ(stream.ksid(), ksid);
  std::uint64_t expected = 0;
  for (int round = 0; round < 100; ++round) {  // many times around the ring
    while (stream.available() < 1344) {
      ASSERT_EQ(stream.poll(), SSN_OK);
    }
    std::uint64_t offset = 0;
    const std::uint8_t* const pad = stream.take(1344, offset);
    ASSERT_NE(pad, nullptr);
    EXPECT_EQ(offset, expected);
    for (std::uint64_t i = 0; i < 1344; ++i) {
      ASSERT_EQ(pad[i], static_cast<std::uint8_t>(7 + offset + i));
    }
    expected += 1344;
    stream.erase_and_release(expected);
    EXPECT_EQ(stream.at(offset, 1), nullptr);
  }
  EXPECT_EQ(stream.released(), expected);
  EXPECT_EQ(stream.statistics().delivered, stream.end());
}

TEST(KeyDevice, TakesNothingThatWasNotDelivered) {
  KeyDevice device = open_example(options(example()));
  Result<KeyStream> opened = device.open_stream(SSN_KEY_SENDER, ksid, "there", ring_bytes);
  ASSERT_TRUE(opened.ok());
  KeyStream& stream = opened.value();
  std::uint64_t offset = 99;
  EXPECT_EQ(stream.take(1, offset), nullptr);
  EXPECT_EQ(offset, 99U);
  while (stream.poll() == SSN_OK) {
  }
  EXPECT_EQ(stream.end(), ring_bytes);
  EXPECT_EQ(stream.take(ring_bytes + 1, offset), nullptr);
  EXPECT_EQ(stream.at(ring_bytes - 1, 2), nullptr);
  EXPECT_EQ(stream.at(UINT64_MAX, 1), nullptr);
  EXPECT_NE(stream.at(ring_bytes - 1, 1), nullptr);
}

TEST(KeyDevice, ErasesWhatItGivesBack) {
  KeyDevice device = open_example(options(example()));
  Result<KeyStream> opened = device.open_stream(SSN_KEY_SENDER, ksid, "there", ring_bytes);
  ASSERT_TRUE(opened.ok());
  KeyStream& stream = opened.value();
  ASSERT_EQ(stream.poll(), SSN_OK);
  std::uint8_t* const first = stream.at(0, 1024);
  ASSERT_EQ(first[255], 255);
  stream.erase_and_release(1000);
  for (int i = 0; i < 1000; ++i) {
    ASSERT_EQ(first[i], 0) << i;
  }
  EXPECT_EQ(first[1000], static_cast<std::uint8_t>(1000));
}

TEST(KeyDevice, RefusesStreamsThatItsDriverCannotServe) {
  KeyDevice device = open_example(options(example()));
  const auto expect = [&](Result<KeyStream> stream, Exit code, const char* why) {
    ASSERT_FALSE(stream.ok());
    EXPECT_EQ(stream.error().code, code);
    EXPECT_THAT(stream.error().why, HasSubstr(why));
  };
  expect(device.open_stream(SSN_KEY_SENDER, ksid, "nobody", ring_bytes), Exit::not_found, "no such peer");
  expect(device.open_stream(SSN_KEY_SENDER, ksid, "", ring_bytes), Exit::usage, "SAE ID");
  expect(device.open_stream(SSN_KEY_SENDER, ksid, std::string(256, 'x'), ring_bytes), Exit::usage, "SAE ID");
  expect(device.open_stream(SSN_KEY_SENDER, ksid, "there", 2048), Exit::usage, "4096 to 1048576");
  expect(device.open_stream(SSN_KEY_SENDER, ksid, "there", 5000), Exit::usage, "power of two");
  expect(device.open_random(ring_bytes), Exit::usage, "no random");
  KeyDevice liar = open_example(options(example("-stream_head")));
  expect(liar.open_stream(SSN_KEY_SENDER, ksid, "there", ring_bytes), Exit::failed, "not the one");
}

TEST(KeyDevice, CarriesMessagesBothWays) {
  std::string heard;
  KeyDevice::Options with = options(example());
  with.send_to_peer = [&](const char* peer, std::span<const std::uint8_t> message) {
    heard = std::string(peer) + ":" + std::string(message.begin(), message.end());
    return SSN_OK;
  };
  KeyDevice device = open_example(with);
  const std::uint8_t text[] = {'h', 'i'};
  EXPECT_EQ(device.peer_message("there", text), SSN_OK);
  EXPECT_EQ(heard, "there:hi");
  EXPECT_EQ(device.peer_message(std::string(256, 'x'), text), SSN_INVALID);
  KeyDevice silent = open_example(options(example()));
  EXPECT_EQ(silent.peer_message("there", text), SSN_UNAVAILABLE);
}

TEST(KeyDevice, LivesAsLongAsItsStreams) {
  KeyStream stream;
  EXPECT_FALSE(stream.is_open());
  {
    KeyDevice device = open_example(options(example()));
    Result<KeyStream> opened = device.open_stream(SSN_KEY_RECEIVER, ksid, "there", ring_bytes);
    ASSERT_TRUE(opened.ok());
    stream = std::move(opened.value());
    EXPECT_FALSE(opened.value().is_open());
  }
  EXPECT_EQ(stream.poll(), SSN_OK);
  stream.close();
  stream.close();
  EXPECT_FALSE(stream.is_open());
}

}  // namespace
}  // namespace ssn::hw
