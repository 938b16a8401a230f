// SPDX-License-Identifier: BSD-3-Clause
// Kernels, cores, memory, secrets: each bad state is found, and clear when it is mended.
#include "planted_system.h"

namespace ssn::hw {
namespace {

using testing::HasSubstr;

TEST_F(Preflight, FindsNothingOnAGoodMachine) {
  for (const Finding& finding : all()) {
    EXPECT_EQ(finding.level, Level::ok) << finding.id << ": " << finding.what;
  }
  EXPECT_EQ(worst(all()), Level::ok);
  EXPECT_GE(all().size(), 18U);
}

TEST_F(Preflight, SaysSomethingOfAnEmptySystem) {
  std::filesystem::remove_all(root_);
  for (const Finding& finding : all()) {
    EXPECT_FALSE(finding.what.empty());
    EXPECT_EQ(finding.level == Level::ok, finding.fix.empty()) << finding.id;
  }
}

TEST_F(Preflight, Kernels) {
  expect_ok("cpu.kernels");
  system_->chosen = {"", "a self-test failed", "", false};
  expect("cpu.kernels", Level::error, "ssn version");
  system_->chosen = {"avx2", "", "avx512_gfni", false};
  expect("cpu.kernels", Level::error, "reinstall");
  system_->chosen = {"scalar", "", "", false};
  expect("cpu.kernels", Level::warning, "AVX2");
  plant("/proc/cpuinfo", "flags : rdrand hypervisor\n");
  expect("cpu.kernels", Level::warning, "-cpu host");
  system_->chosen = {"scalar", "", "", true};
  expect("cpu.kernels", Level::note, "unset SSN_KERNELS");
}

TEST_F(Preflight, CoresAndIsolation) {
  expect_ok("cpu.cores");
  expect_ok("cpu.isolation");
  for (Cpu& cpu : system_->described.cpus) cpu.isolated = false;
  expect("cpu.isolation", Level::warning, "isolcpus=managed_irq,domain,1-3");
  system_->described.cpus.resize(1);
  expect("cpu.cores", Level::warning, "second core");
  wish_.plan.workers = 2;
  expect("cpu.cores", Level::error, "fewer");
}

TEST_F(Preflight, DevicesOfAnotherNode) {
  for (unsigned id = 4; id < 8; ++id) {
    Cpu cpu = system_->described.cpus[0];
    cpu.id = cpu.core = id;
    cpu.node = 1;
    system_->described.cpus.push_back(cpu);
  }
  system_->described.nodes.push_back({1, 1U << 30});
  system_->described.devices = {{"ens1f0", "0000:3b:00.0", Device::Kind::network, 0, ""},
                                {"keys", "0000:81:00.0", Device::Kind::crypto, 1, ""}};
  wish_.plan.devices = {"ens1f0"};
  EXPECT_TRUE(of("cpu.node").empty());
  wish_.plan.devices = {"ens1f0", "keys"};
  expect("cpu.node", Level::warning, "ssn topology");
}

TEST_F(Preflight, CpuLimit) {
  expect_ok("cpu.limit");
  plant("/sys/fs/cgroup/user/session/cpu.max", "max 100000\n");
  expect_ok("cpu.limit");
  plant("/sys/fs/cgroup/user/cpu.max", "150000 100000\n");
  expect("cpu.limit", Level::warning, "echo max > /sys/fs/cgroup/user/cpu.max");
  plant("/sys/fs/cgroup/user/cpu.max", "max 100000\n");
  plant("/proc/self/cgroup", "3:cpu,cpuacct:/box\n0::/\n");
  plant("/sys/fs/cgroup/cpu/box/cpu.cfs_period_us", "100000\n");
  plant("/sys/fs/cgroup/cpu/box/cpu.cfs_quota_us", "-1\n");
  expect_ok("cpu.limit");
  plant("/sys/fs/cgroup/cpu/box/cpu.cfs_quota_us", "50000\n");
  expect("cpu.limit", Level::warning, "echo -1 > /sys/fs/cgroup/cpu/box/cpu.cfs_quota_us");
}

TEST_F(Preflight, HugePagesOfTheNode) {
  expect_ok("memory.huge-pages");
  const std::string folder = "/sys/devices/system/node/node0/hugepages/hugepages-2048kB";
  plant(folder + "/nr_hugepages", "100\n");
  plant(folder + "/free_hugepages", "28\n");
  expect("memory.huge-pages", Level::warning, "echo 200 > " + folder + "/nr_hugepages");
  plant(folder + "/free_hugepages", "128\n");
  expect_ok("memory.huge-pages");
  remove("/sys/devices/system/node");
  remove("/sys/kernel/mm/hugepages");
  expect("memory.huge-pages", Level::note, "CONFIG_HUGETLBFS");
}

TEST_F(Preflight, LeftFiles) {
  plant("/dev/hugepages/rtemap_0", "");
  expect("memory.left-files", Level::warning, "rm /dev/hugepages/*map_*");
  remove("/dev/hugepages/rtemap_0");
  expect_ok("memory.left-files");
}

TEST_F(Preflight, LockedMemory) {
  expect_ok("memory.locked");  // by capability, though the limit is low
  plant("/proc/self/status", "CapEff:\t0000000000000000\n");
  expect("memory.locked", Level::error, "memlock 65536");
  system_->locked_limit = 64U << 20;
  expect_ok("memory.locked");
  wish_.locked_bytes = 65U << 20;
  expect("memory.locked", Level::error, "LimitMEMLOCK=68157440");
  system_->locked_limit = SystemView::unlimited;
  expect_ok("memory.locked");
}

TEST_F(Preflight, MemoryLimit) {
  expect_ok("memory.limit");
  plant("/sys/fs/cgroup/user/memory.max", "100000000\n");
  expect("memory.limit", Level::error, "> /sys/fs/cgroup/user/memory.max");
  plant("/sys/fs/cgroup/user/memory.max", "max\n");
  expect_ok("memory.limit");
  plant("/proc/meminfo", "MemAvailable: 800000 kB\n");
  expect("memory.limit", Level::error, "more memory");
  plant("/proc/meminfo", "MemAvailable:\n");
  expect_ok("memory.limit");
}

TEST_F(Preflight, Swap) {
  expect_ok("memory.swap");
  plant("/proc/swaps", "Filename Type Size Used Priority\n/dev/sda2 partition 1048572 0 -2\n");
  expect("memory.swap", Level::warning, "swapoff -a");
  EXPECT_THAT(one("memory.swap").what, HasSubstr("/dev/sda2"));
}

TEST_F(Preflight, NumaBalancingMattersOnSeveralNodes) {
  plant("/proc/sys/kernel/numa_balancing", "1\n");
  EXPECT_TRUE(of("memory.numa-balancing").empty());
  system_->described.nodes.push_back({1, 1U << 30});
  expect("memory.numa-balancing", Level::warning, "sysctl -w kernel.numa_balancing=0");
  plant("/proc/sys/kernel/numa_balancing", "0\n");
  expect_ok("memory.numa-balancing");
}

TEST_F(Preflight, TransparentHugePages) {
  plant("/sys/kernel/mm/transparent_hugepage/enabled", "[always] madvise never\n");
  expect("memory.transparent-huge-pages", Level::note,
         "echo madvise > /sys/kernel/mm/transparent_hugepage/enabled");
  plant("/sys/kernel/mm/transparent_hugepage/enabled", "always madvise [never]\n");
  expect_ok("memory.transparent-huge-pages");
}

TEST_F(Preflight, CoreDumps) {
  expect_ok("secrets.core-dumps");
  system_->core_limit = SystemView::unlimited;
  expect("secrets.core-dumps", Level::warning, "LimitCORE=0");
  system_->core_limit = 0;
  plant("/proc/sys/kernel/core_pattern", "|/usr/lib/systemd/systemd-coredump %P\n");
  expect("secrets.core-dumps", Level::note, "sysctl -w kernel.core_pattern=core");
  plant("/proc/sys/kernel/core_pattern", "|\n");
  EXPECT_EQ(one("secrets.core-dumps").level, Level::note);
}

TEST_F(Preflight, CrashDump) {
  plant("/sys/kernel/kexec_crash_loaded", "1\n");
  expect("secrets.crash-dump", Level::warning, "kdump-tools");
}

TEST_F(Preflight, Ptrace) {
  plant("/proc/sys/kernel/yama/ptrace_scope", "0\n");
  expect("secrets.ptrace", Level::warning, "sysctl -w kernel.yama.ptrace_scope=1");
  remove("/proc/sys/kernel/yama");
  expect("secrets.ptrace", Level::note, "CONFIG_SECURITY_YAMA");
}

TEST_F(Preflight, Entropy) {
  expect_ok("secrets.entropy");
  plant("/proc/cpuinfo", "flags : aes\n");
  expect("secrets.entropy", Level::note, "rdrand");
  plant("/proc/cpuinfo", "flags : aes hypervisor\n");
  expect("secrets.entropy", Level::warning, "virtio-rng");
  plant("/sys/class/misc/hw_random/rng_current", "none\n");
  expect("secrets.entropy", Level::warning, "virtio-rng");
  plant("/sys/class/misc/hw_random/rng_current", "virtio_rng.0\n");
  expect_ok("secrets.entropy");
  system_->random = false;
  expect("secrets.entropy", Level::error, "rng-tools");
}

TEST_F(Preflight, VirtualMachine) {
  expect_ok("secrets.virtual-machine");
  plant("/proc/cpuinfo", "flags : rdrand hypervisor\n");
  expect("secrets.virtual-machine", Level::note, "snapshots");
  plant("/proc/cpuinfo", "flags : rdrand\n");
  plant("/sys/hypervisor/type", "xen\n");
  expect("secrets.virtual-machine", Level::note, "snapshots");
}

}  // namespace
}  // namespace ssn::hw
