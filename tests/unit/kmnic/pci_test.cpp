// SPDX-License-Identifier: BSD-3-Clause
// The driver on a BAR: a resource file in a folder like those of sysfs, and physical addresses. The device is
// this test, which finds host memory by those addresses.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cinttypes>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <map>

#include "descriptor.h"
#include "layout.h"
#include "registers.h"
#include "setup.h"

namespace ssn::kmnic_test {
namespace {

namespace layout = ssn::kmnic;

constexpr std::size_t bar_bytes = layout::function::bytes + layout::stream::bytes;
constexpr std::size_t ring_size = 64 << 10;

// Where this process has each page of ring memory, by physical address.
std::map<std::uint64_t, std::uint8_t*> physical_memory() {
  std::map<std::uint64_t, std::uint8_t*> found;
  const int pagemap = ::open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);) {
    std::uint64_t begin = 0;
    std::uint64_t end = 0;
    if (line.find("memfd:ssn-key-ring") == std::string::npos ||
        std::sscanf(line.c_str(), "%" SCNx64 "-%" SCNx64, &begin, &end) != 2) {
      continue;
    }
    for (std::uint64_t at = begin; at < end; at += 4096) {
      std::uint64_t entry = 0;
      if (::pread(pagemap, &entry, sizeof entry, static_cast<off_t>(at / 4096 * 8)) == sizeof entry) {
        found[(entry & ((std::uint64_t{1} << 55) - 1)) * 4096] = reinterpret_cast<std::uint8_t*>(at);
      }
    }
  }
  ::close(pagemap);
  return found;
}

// A function of a PCI device: its folder, its registers, and answers to commands.
class PciFunction {
 public:
  PciFunction() {
    EXPECT_NE(::mkdtemp(folder_.data()), nullptr);
    bar_fd_ = ::memfd_create("bar", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    EXPECT_EQ(::ftruncate(bar_fd_, bar_bytes), 0);
    EXPECT_EQ(::fcntl(bar_fd_, F_ADD_SEALS, F_SEAL_SHRINK), 0);
    std::filesystem::create_symlink("/proc/self/fd/" + std::to_string(bar_fd_), resource());
    std::ofstream(config()) << std::string(64, '\0');
    bar_ = ::mmap(nullptr, bar_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, bar_fd_, 0);
    registers_ = layout::Registers(bar_, bar_bytes);
    registers_.write32(layout::function::magic, layout::magic);
    registers_.write32(layout::function::version, layout::version);
    registers_.write32(layout::function::generation, 3);
    registers_.write32(layout::function::numa_node, 0xffffffff);
    registers_.write32(layout::function::streams_max, 1);
    registers_.write64(layout::function::streams_offset, layout::function::bytes);
    registers_.write32(layout::function::stream_stride, layout::stream::bytes);
    registers_.write32(layout::function::block_bytes_max, 4096);
    registers_.write64(layout::function::ring_bytes_min, 4096);
    registers_.write64(layout::function::ring_bytes_max, 1 << 20);
    registers_.write32(layout::function::entries_max, 1024);
    registers_.write_bytes(layout::function::identity, reinterpret_cast<const std::uint8_t*>("KM-1\xff"), 5);
    registers_.write32(layout::function::status, layout::status_ready);
    answers_ = std::thread([this] { answer(); });
  }
  ~PciFunction() {
    stop_ = true;
    answers_.join();
    ::munmap(bar_, bar_bytes);
    ::close(bar_fd_);
    std::filesystem::remove_all(folder_);
  }

  std::string resource() const { return folder_ + "/resource0"; }
  std::string config() const { return folder_ + "/config"; }
  const layout::Registers& registers() const { return registers_; }
  layout::Registers page() const { return registers_.window(layout::function::bytes, layout::stream::bytes); }
  std::uint16_t pci_command() const {
    std::uint16_t value = 0;
    std::ifstream(config()).seekg(4).read(reinterpret_cast<char*>(&value), sizeof value);
    return value;
  }
  void answer_nothing() { mute_ = true; }
  std::uint32_t generation() const { return registers_.read32(layout::function::generation); }
  /// Whether it could reach memory when it was last told to forget where that is.
  bool was_master_at_reset() const { return master_at_reset_; }

 private:
  void answer() {
    std::uint64_t seen = 0;
    while (!stop_) {
      if (registers_.read32(layout::function::reset) == layout::reset_request && !mute_) {
        master_at_reset_ = (pci_command() & 4) != 0;
        registers_.write32(layout::function::reset, 0);
        registers_.write32(layout::function::generation, generation() + 1);
      }
      const std::uint64_t command = page().read64(layout::stream::command);
      if (command != seen && !mute_) {
        seen = command;
        page().write64(layout::stream::answer, command >> 32 << 32 | layout::answer_ok);
      }
      std::this_thread::sleep_for(std::chrono::microseconds(100));
    }
  }

  std::string folder_ = (std::filesystem::temp_directory_path() / "ssn-pci-XXXXXX").string();
  int bar_fd_ = -1;
  void* bar_ = nullptr;
  layout::Registers registers_;
  std::thread answers_;
  std::atomic<bool> stop_{false};
  std::atomic<bool> mute_{false};
  std::atomic<bool> master_at_reset_{false};
};

Result<hw::KeyDevice> open_bar(const std::string& path) {
  return hw::KeyDevice::open(
      {.driver = "kmnic", .local_name = "alice", .settings = {{"bar", path}, {"timeout_ms", "1000"}}});
}

// Writes block 0 as a device would, by the addresses in its registers. False where one of them is not known.
bool deliver_first_block(const PciFunction& function, const hw::Ksid& ksid) {
  const std::map<std::uint64_t, std::uint8_t*> memory = physical_memory();
  const auto at = [&](std::uint64_t address) -> std::uint8_t* {
    const auto page = memory.find(address & ~std::uint64_t{4095});
    return page == memory.end() ? nullptr : page->second + address % 4096;
  };
  const auto first_of_list = [&](std::size_t list) -> std::uint8_t* {
    const std::uint8_t* const page = at(function.page().read64(list));
    std::uint64_t address = 0;
    if (page != nullptr) {
      std::memcpy(&address, page, sizeof address);
    }
    return page == nullptr ? nullptr : at(address);
  };
  std::uint8_t* const ring = first_of_list(layout::stream::ring_pages);
  std::uint8_t* const slots = first_of_list(layout::stream::descriptor_pages);
  std::uint8_t* const status = at(function.page().read64(layout::stream::status_address));
  if (ring == nullptr || slots == nullptr || status == nullptr) {
    return false;
  }
  for (std::uint64_t i = 0; i < 4096; ++i) {
    ring[i] = key_byte(ksid, i);
  }
  layout::Descriptor descriptor{};
  descriptor.ksid = ksid;
  descriptor.length = 4096;
  descriptor.generation = function.generation();
  descriptor.key_check = layout::key_check(descriptor, ring);
  descriptor.check = layout::descriptor_check(descriptor);
  std::memcpy(slots, &descriptor, offsetof(layout::Descriptor, turn));
  __atomic_store_n(reinterpret_cast<std::uint32_t*>(slots + offsetof(layout::Descriptor, turn)), 1U,
                   __ATOMIC_RELEASE);
  return true;
}

TEST(KmnicPci, TakesKeysFromADeviceThatKnowsPhysicalAddressesOnly) {
  PciFunction function;
  Result<hw::KeyDevice> device = open_bar(function.resource());
  ASSERT_TRUE(device.ok()) << device.error().why;
  EXPECT_EQ(device.value().info().protection, SSN_PROTECTION_INFORMATION_THEORETIC) << "not an emulator";
  EXPECT_STREQ(device.value().info().identity, "KM-1?") << "only printable text";
  EXPECT_EQ(function.pci_command() & 6, 6) << "memory space and bus master";
  const hw::Ksid ksid{4, 5, 6};
  Result<hw::KeyStream> stream = device.value().open_stream(SSN_KEY_SENDER, ksid, "bob", ring_size,
                                                            {.pages = hw::RingMemory::Pages::normal});
  if (!stream.ok() && stream.error().code == Exit::refused) {
    GTEST_SKIP() << "physical addresses are hidden from this process: " << stream.error().why;
  }
  ASSERT_TRUE(stream.ok()) << stream.error().why;
  EXPECT_EQ(stream.value().poll(), SSN_AGAIN);
  ASSERT_TRUE(deliver_first_block(function, ksid));
  ASSERT_EQ(stream.value().poll(), SSN_OK);
  EXPECT_EQ(stream.value().end(), 4096U);
  for (std::uint64_t i = 0; i < 4096; ++i) {
    ASSERT_EQ(stream.value().at(i, 1)[0], key_byte(ksid, i));
  }
  EXPECT_EQ(function.page().read64(layout::stream::descriptor_credit), 1U);
  stream.value().erase_and_release(4096);
  (void)stream.value().poll();
  EXPECT_EQ(function.page().read64(layout::stream::key_credit), 4096U);
  function.registers().write32(layout::function::status, layout::all_ones);  // pulled out of its slot
  EXPECT_TRUE(eventually([&] { return stream.value().poll() == SSN_FAILED; }));
}

TEST(KmnicPci, KeepsADeviceThatDoesNotAnswerFromMemory) {
  PciFunction function;
  Result<hw::KeyDevice> device = open_bar(function.resource());
  ASSERT_TRUE(device.ok()) << device.error().why;
  Result<hw::KeyStream> stream = device.value().open_stream(SSN_KEY_SENDER, hw::Ksid{1}, "bob", ring_size,
                                                            {.pages = hw::RingMemory::Pages::normal});
  if (!stream.ok() && stream.error().code == Exit::refused) {
    GTEST_SKIP() << "physical addresses are hidden from this process: " << stream.error().why;
  }
  ASSERT_TRUE(stream.ok()) << stream.error().why;
  function.answer_nothing();
  stream.value().close();
  EXPECT_EQ(function.pci_command() & 4, 0) << "is still bus master";
}

TEST(KmnicPci, MakesADeviceForgetBeforeItReachesMemory) {
  PciFunction function;
  const std::string command("\x07\x00", 2);  // as a process that crashed left it
  std::fstream(function.config(), std::ios::in | std::ios::out).seekp(4).write(command.data(), 2);
  const std::uint32_t before = function.generation();
  Result<hw::KeyDevice> device = open_bar(function.resource());
  ASSERT_TRUE(device.ok()) << device.error().why;
  EXPECT_EQ(function.generation(), before + 1);
  EXPECT_FALSE(function.was_master_at_reset());
  EXPECT_EQ(function.pci_command() & 6, 6);

  const Result<hw::KeyDevice> second = open_bar(function.resource());
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(second.error().code, Exit::temporary);
  EXPECT_EQ(function.generation(), before + 1) << "the reset would have ended the first one's streams";
  device = hw::KeyDevice();
  EXPECT_TRUE(open_bar(function.resource()).ok());

  function.answer_nothing();
  const Result<hw::KeyDevice> mute = open_bar(function.resource());
  ASSERT_FALSE(mute.ok());
  EXPECT_EQ(function.pci_command() & 4, 0) << "is bus master, and may remember";
}

TEST(KmnicPci, ClosingAnOldStreamLeavesARevivedDeviceAlone) {
  PciFunction function;
  Result<hw::KeyDevice> device = open_bar(function.resource());
  ASSERT_TRUE(device.ok()) << device.error().why;
  const auto open_stream = [&](std::uint8_t name) {
    return device.value().open_stream(SSN_KEY_SENDER, hw::Ksid{name}, "bob", ring_size,
                                      {.pages = hw::RingMemory::Pages::normal});
  };
  Result<hw::KeyStream> old = open_stream(1);
  if (!old.ok() && old.error().code == Exit::refused) {
    GTEST_SKIP() << "physical addresses are hidden from this process: " << old.error().why;
  }
  ASSERT_TRUE(old.ok()) << old.error().why;
  function.registers().write32(layout::function::status, layout::all_ones);
  EXPECT_FALSE(open_stream(2).ok());
  function.registers().write32(layout::function::status, layout::status_ready);
  Result<hw::KeyStream> fresh = open_stream(3);
  ASSERT_TRUE(fresh.ok()) << fresh.error().why;
  old.value().close();
  EXPECT_EQ(function.pci_command() & 4, 4) << "the new stream gets nothing any more";
}

TEST(KmnicPci, RefusesWhatIsNoBar) {
  PciFunction function;
  const auto why = [](const std::string& path) {
    const Result<hw::KeyDevice> device = open_bar(path);
    return device.ok() ? std::string("opened") : device.error().why;
  };
  EXPECT_THAT(why(function.config()), testing::HasSubstr("neither a resource of a PCI function"));
  EXPECT_THAT(why("/no/such/resource0"), testing::HasSubstr("No such file"));
  function.registers().write32(layout::function::version, 2U << 16);
  EXPECT_THAT(why(function.resource()), testing::HasSubstr("version 2.0"));
  function.registers().write32(layout::function::version, layout::version + 5);  // a later minor is fine
  EXPECT_EQ(why(function.resource()), "opened");
  function.registers().write32(layout::function::streams_max, 2);  // more than the BAR has room for
  EXPECT_THAT(why(function.resource()), testing::HasSubstr("cannot be"));
  function.registers().write32(layout::function::magic, 0);
  EXPECT_THAT(why(function.resource()), testing::HasSubstr("magic"));
  function.registers().write32(layout::function::status, layout::status_fault);
  EXPECT_THAT(why(function.resource()), testing::HasSubstr("not ready"));
}

TEST(KmnicChecks, AreThoseOfTheStandard) {
  EXPECT_EQ(layout::crc32c("123456789", 9), 0xe3069283U);
  const std::uint8_t zeros[32] = {};  // RFC 3720, B.4
  EXPECT_EQ(layout::crc32c(zeros, sizeof zeros), 0x8a9136aaU);
  EXPECT_EQ(layout::crc32c("56789", 5, layout::crc32c("1234", 4)), 0xe3069283U);
}

}  // namespace
}  // namespace ssn::kmnic_test
