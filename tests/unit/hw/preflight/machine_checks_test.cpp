// SPDX-License-Identifier: BSD-3-Clause
// Capabilities, ports, clocks, the ledger's folder: each bad state is found, and clear when it is mended.
#include <sys/socket.h>
#include <sys/un.h>

#include <cerrno>
#include <cstring>

#include "planted_system.h"

namespace ssn::hw {
namespace {

using testing::HasSubstr;

TEST_F(Preflight, Capabilities) {
  expect_ok("machine.capabilities");
  plant("/proc/self/status", "CapEff:\t0000000000000000\n");
  expect("machine.capabilities", Level::warning, "AmbientCapabilities");
  EXPECT_THAT(one("machine.capabilities").what, HasSubstr("CAP_NET_RAW"));
  plant("/proc/self/status", "CapEff:\t0000000000003000\n");  // the two of the network
  expect("machine.capabilities", Level::note, "CAP_SYS_NICE");
}

TEST_F(Preflight, Ports) {
  expect_ok("ports.device");
  EXPECT_THAT(one("ports.device").what, HasSubstr("ens1f0"));
  remove("/sys/class/net/ens1f0");
  plant("/sys/class/net/lo/type", "772\n");
  expect("ports.device", Level::warning, "network device");
  plant("/sys/bus/pci/drivers/vfio-pci/0000:81:00.0/x", "");
  expect_ok("ports.device");
}

TEST_F(Preflight, PortsThatAreWanted) {
  wish_.plan.devices = {"0000:3b:00.0"};
  expect_ok("ports.device");
  remove("/pci/driver");
  plant("/pci/vendor", "x");
  expect("ports.device", Level::warning, "driverctl set-override 0000:3b:00.0 vfio-pci");
  plant_link("/pci/driver", "../../bus/pci/drivers/ixgbe");
  expect("ports.device", Level::note, "driverctl set-override 0000:3b:00.0 vfio-pci");
  wish_.plan.devices = {"ens9"};
  expect("ports.device", Level::error, "ls /sys/class/net");
  plant("/sys/class/net/ens9/type", "1\n");
  expect_ok("ports.device");
}

TEST_F(Preflight, Iommu) {
  expect_ok("ports.iommu");
  remove("/dev/vfio/vfio");
  expect("ports.iommu", Level::note, "modprobe vfio-pci");
  remove("/sys/kernel/iommu_groups");
  expect("ports.iommu", Level::note, "intel_iommu=on");
}

TEST_F(Preflight, ClockSource) {
  const std::string folder = "/sys/devices/system/clocksource/clocksource0/";
  plant(folder + "current_clocksource", "hpet\n");
  expect("clock.source", Level::warning, "echo tsc > " + folder + "current_clocksource");
  plant(folder + "available_clocksource", "hpet acpi_pm\n");
  expect("clock.source", Level::warning, "dmesg");
  plant(folder + "current_clocksource", "kvm-clock\n");
  expect_ok("clock.source");
}

TEST_F(Preflight, ClockSynchronised) {
  expect_ok("clock.synchronised");
  system_->synchronised = false;
  expect("clock.synchronised", Level::warning, "apt-get install chrony");
  plant("/run/systemd/timesync/x", "");
  expect("clock.synchronised", Level::warning, "timedatectl");
  plant("/run/chrony/chronyd.pid", "1\n");
  expect("clock.synchronised", Level::warning, "chronyc");
  system_->synchronised.reset();
  expect("clock.synchronised", Level::note, "chronyc tracking");
}

TEST_F(Preflight, LedgerFolder) {
  EXPECT_TRUE(of("ledger.folder").empty());
  wish_.ledger = "/var/lib/ssn/site.ledger";
  expect("ledger.folder", Level::error, "install -d -m 700 /var/lib/ssn");
  plant(wish_.ledger, "");
  expect_ok("ledger.folder");
  expect_ok("ledger.file-system");
  expect_ok("ledger.space");
  EXPECT_EQ(system_->asked_folder, "/var/lib/ssn");
  wish_.ledger = "/var/lib/ssn";
  expect_ok("ledger.folder");

  std::filesystem::permissions(root_ + "/var/lib/ssn", std::filesystem::perms::others_write,
                               std::filesystem::perm_options::add);
  expect("ledger.folder", Level::error, "chmod go-w /var/lib/ssn");
  std::filesystem::permissions(root_ + "/var/lib/ssn", std::filesystem::perms::others_write,
                               std::filesystem::perm_options::remove);

  system_->disk.write_error = EACCES;
  expect("ledger.folder", Level::error, "chown");
  system_->disk.write_error = ENOSPC;
  expect("ledger.folder", Level::error, "df -h");
  system_->disk = {"ext4", 1U << 30, 0, EINVAL, 0};
  EXPECT_THAT(one("ledger.folder").what, HasSubstr("fdatasync"));
  system_->disk = {"ext4", 1U << 30, 0, 0, ENOTSUP};
  EXPECT_THAT(one("ledger.folder").what, HasSubstr("flock"));
}

TEST_F(Preflight, LedgerFileSystem) {
  wish_.ledger = "/var/lib/ssn/site.ledger";
  plant(wish_.ledger, "");
  system_->disk.type = "tmpfs";
  expect("ledger.file-system", Level::error, "on a disk");
  system_->disk.type = "nfs";
  expect("ledger.file-system", Level::warning, "local");
  system_->disk.type = "btrfs";
  expect("ledger.file-system", Level::note, "snapshots");
  system_->disk = {"xfs", 1000, 0, 0, 0};
  expect_ok("ledger.file-system");
  expect("ledger.space", Level::error, "df -h /var/lib/ssn");
}

TEST_F(Preflight, KeyDeviceSockets) {
  EXPECT_TRUE(of("keys.socket").empty());
  wish_.sockets = {"/kme.sock"};
  expect("keys.socket", Level::error, "ls -l /kme.sock");
  plant("/kme.sock", "no socket");
  expect("keys.socket", Level::error, "ls -l /kme.sock");
  remove("/kme.sock");
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string path = root_ + "/kme.sock";
  ASSERT_LT(path.size(), sizeof(address.sun_path));
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  const int fd = ::socket(AF_UNIX, SOCK_STREAM, 0);
  ASSERT_EQ(::bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0)
      << std::strerror(errno);
  expect_ok("keys.socket");
  ::close(fd);
}

TEST(PreflightOfThisMachine, ReportsEachCheck) {
  const std::unique_ptr<SystemView> system = make_system_view();
  PreflightWish wish;
  wish.ledger = testing::TempDir();
  const std::vector<Finding> findings = run_preflight(*system, wish);
  for (const char* id : {"cpu.kernels", "cpu.cores", "memory.locked", "memory.swap", "secrets.core-dumps",
                         "secrets.entropy", "machine.capabilities", "clock.source"}) {
    EXPECT_TRUE(std::any_of(findings.begin(), findings.end(), [&](const Finding& f) { return f.id == id; }))
        << id;
  }
}

TEST(PreflightOfThisMachine, TriesTheLedgersFolderAndLeavesNothing) {
  std::string folder = testing::TempDir() + "ssn-ledger-XXXXXX";
  ASSERT_NE(::mkdtemp(folder.data()), nullptr);
  const std::unique_ptr<SystemView> system = make_system_view();
  const Result<SystemView::Storage> storage = system->storage(folder);
  ASSERT_TRUE(storage.ok());
  EXPECT_EQ(storage.value().write_error, 0);
  EXPECT_EQ(storage.value().sync_error, 0);
  EXPECT_EQ(storage.value().lock_error, 0);
  EXPECT_GT(storage.value().free_bytes, 0U);
  EXPECT_FALSE(storage.value().type.empty());
  EXPECT_TRUE(std::filesystem::is_empty(folder));
  EXPECT_FALSE(system->storage(folder + "/none").ok());
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace ssn::hw
