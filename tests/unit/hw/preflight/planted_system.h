// SPDX-License-Identifier: BSD-3-Clause
// A machine with everything as it should be, to plant bad states in.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <string>

#include "ssn/hw/preflight.h"

namespace ssn::hw {

/// Files come from a folder; what would be a system call is a member to be set.
class PlantedSystem final : public SystemView {
 public:
  explicit PlantedSystem(const std::string& root) : files_(make_system_view(root)) {}

  std::optional<std::string> read(const std::string& path) const override { return files_->read(path); }
  std::vector<std::string> list(const std::string& folder) const override { return files_->list(folder); }
  std::optional<std::string> link(const std::string& path) const override { return files_->link(path); }
  std::optional<FileStatus> status(const std::string& path) const override { return files_->status(path); }
  std::uint64_t locked_memory_limit() const override { return locked_limit; }
  std::uint64_t core_file_limit() const override { return core_limit; }
  std::uint32_t user() const override { return 1000; }
  bool random_ready() const override { return random; }
  std::optional<bool> clock_synchronised() const override { return synchronised; }
  std::int64_t now() const override { return time; }
  Kernels kernels() const override { return chosen; }
  Result<Machine> machine() const override { return described; }
  Result<Storage> storage(const std::string& folder) const override {
    asked_folder = folder;
    return disk;
  }

  std::uint64_t locked_limit = 8U << 20;
  std::uint64_t core_limit = 0;
  bool random = true;
  std::optional<bool> synchronised = true;
  std::int64_t time = 1800000000;
  Kernels chosen{"avx2", "", "", false};
  Machine described;
  Storage disk{"ext4", std::uint64_t{1} << 40, 0, 0, 0};
  mutable std::string asked_folder;

 private:
  std::unique_ptr<SystemView> files_;
};

class Preflight : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = testing::TempDir() + "ssn-machine-XXXXXX";
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    root_ = pattern;
    system_ = std::make_unique<PlantedSystem>(root_);
    for (unsigned id = 0; id < 4; ++id) {
      Cpu cpu;
      cpu.id = id;
      cpu.core = id;
      cpu.node = 0;
      cpu.isolated = id >= 2;
      system_->described.cpus.push_back(cpu);
    }
    system_->described.origin = "this machine";
    system_->described.nodes = {{0, std::uint64_t{16} << 30}};
    plant_good();
  }
  void TearDown() override { std::filesystem::remove_all(root_); }

  void plant(const std::string& path, const std::string& text) const {
    std::filesystem::create_directories(std::filesystem::path(root_ + path).parent_path());
    std::ofstream(root_ + path, std::ios::binary) << text;
  }
  void remove(const std::string& path) const { std::filesystem::remove_all(root_ + path); }
  void plant_link(const std::string& path, const std::string& target) const {
    std::filesystem::create_directories(std::filesystem::path(root_ + path).parent_path());
    std::filesystem::create_symlink(target, root_ + path);
  }

  void plant_good() const {
    plant("/proc/cpuinfo", "processor : 0\nflags : fpu aes rdrand constant_tsc\n");
    plant("/proc/meminfo", "MemTotal: 16000000 kB\nMemAvailable: 15000000 kB\n");
    plant("/proc/swaps", "Filename Type Size Used Priority\n");
    plant("/proc/self/status", "Name: x\nCapEff:\t000001ffffffffff\n");
    plant("/proc/self/cgroup", "0::/user/session\n");
    plant("/proc/sys/kernel/core_pattern", "core\n");
    plant("/proc/sys/kernel/yama/ptrace_scope", "1\n");
    plant("/proc/sys/kernel/numa_balancing", "0\n");
    plant("/sys/kernel/kexec_crash_loaded", "0\n");
    plant("/sys/kernel/mm/transparent_hugepage/enabled", "always [madvise] never\n");
    plant("/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages", "512\n");
    plant("/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages", "512\n");
    plant("/sys/kernel/iommu_groups/0/type", "DMA\n");
    plant("/dev/vfio/vfio", "");
    plant("/sys/devices/system/clocksource/clocksource0/current_clocksource", "tsc\n");
    plant("/sys/devices/system/clocksource/clocksource0/available_clocksource", "tsc hpet acpi_pm\n");
    plant_link("/sys/class/net/ens1f0/device", "../../../0000:3b:00.0");
    plant_link("/sys/bus/pci/devices/0000:3b:00.0", root_ + "/pci");
    plant_link("/pci/driver", "../../bus/pci/drivers/vfio-pci");
  }

  std::vector<Finding> all() const { return run_preflight(*system_, wish_); }
  std::vector<Finding> of(const std::string& id) const {
    std::vector<Finding> found = all();
    std::erase_if(found, [&](const Finding& finding) { return finding.id != id; });
    return found;
  }
  /// The only finding of that name.
  Finding one(const std::string& id) const {
    const std::vector<Finding> found = of(id);
    EXPECT_EQ(found.size(), 1U) << id;
    return found.empty() ? Finding{} : found.front();
  }
  /// Sees a bad state: its level, and a fix that contains `fix`.
  void expect(const std::string& id, Level level, const std::string& fix) const {
    const Finding finding = one(id);
    EXPECT_EQ(finding.level, level) << finding.what;
    EXPECT_THAT(finding.fix, testing::HasSubstr(fix));
    EXPECT_FALSE(finding.why.empty());
  }
  void expect_ok(const std::string& id) const {
    const Finding finding = one(id);
    EXPECT_EQ(finding.level, Level::ok) << finding.what;
    EXPECT_TRUE(finding.fix.empty());
  }

  std::string root_;
  std::unique_ptr<PlantedSystem> system_;
  PreflightWish wish_;
};

}  // namespace ssn::hw
