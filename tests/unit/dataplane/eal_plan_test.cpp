// SPDX-License-Identifier: BSD-3-Clause
// What EAL would be started with, on machines that are made up; nothing is started.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "ssn/dataplane/eal.h"

namespace ssn::dataplane {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

constexpr std::uint64_t mebibyte = std::uint64_t{1} << 20;

MachineState machine() {
  MachineState state;
  state.allowed_cpus = {0, 1, 2, 3};
  state.worker_cpus = {1, 2, 3};
  state.control_cpus = {0};
  state.huge_pages = {{2 * mebibyte, 512}, {1024 * mebibyte, 0}};
  state.memory_available = 4096 * mebibyte;
  state.runtime_folder = "/var/run/dpdk";
  state.capabilities = ~std::uint64_t{0};
  state.interfaces = {"lo", "va", "vb"};
  state.kernel_major = 6;
  state.kernel_minor = 2;
  state.pci_driver = [](const std::string& address) -> std::optional<std::string> {
    if (address == "0000:3b:00.0") return "vfio-pci";
    if (address == "0000:3b:00.1") return "ice";
    if (address == "0000:3b:00.2") return "";
    return std::nullopt;
  };
  return state;
}

Configuration configuration(const std::string& port = "device = \"net_af_packet0,iface=va\"",
                            const std::string& process = "") {
  Result<Configuration> read = Configuration::parse(
      "[node]\nname = \"a\"\n" + process + "\n[[port]]\nname = \"client\"\n" + port + "\n",
      "/etc/ssn/a.toml");
  EXPECT_TRUE(read.ok()) << read.error().why;
  return read.ok() ? read.value() : Configuration{};
}

EalPlan good(const Configuration& wanted, const MachineState& on = machine()) {
  Result<EalPlan> plan = make_eal_plan(wanted, on);
  EXPECT_TRUE(plan.ok()) << plan.error().why;
  return plan.ok() ? plan.value() : EalPlan{};
}

Error refused(const Configuration& wanted, const MachineState& on = machine()) {
  const Result<EalPlan> plan = make_eal_plan(wanted, on);
  EXPECT_FALSE(plan.ok());
  if (plan.ok()) return {};
  EXPECT_EQ(plan.error().code, Exit::refused);
  EXPECT_FALSE(plan.error().fix.empty());
  EXPECT_FALSE(plan.error().where.empty());
  return plan.error();
}

TEST(EalPlan, UsesHugePagesWhereThereAreEnough) {
  const EalPlan plan = good(configuration());
  EXPECT_TRUE(plan.huge_pages);
  EXPECT_THAT(plan.fallbacks, IsEmpty());
  EXPECT_THAT(plan.arguments,
              ElementsAre("ssn-dataplane", "--lcores", "0@0,1@1,2@2,3@3", "--main-lcore", "0",
                          "--proc-type=primary", "--file-prefix=ssn-a", "-m", "256", "--in-memory",
                          "--single-file-segments", "--no-pci", "--iova-mode=va"));
  EXPECT_EQ(plan.runtime_folder, "/var/run/dpdk/ssn-a");
}

// --no-huge and --in-memory exclude each other; shared memory for vhost needs neither.
TEST(EalPlan, FallsBackToNormalPagesAndSaysSo) {
  MachineState poor = machine();
  poor.huge_pages[0].free_pages = 127;
  const EalPlan plan = good(configuration(), poor);
  EXPECT_FALSE(plan.huge_pages);
  EXPECT_THAT(plan.arguments, Contains("--no-huge"));
  EXPECT_THAT(plan.arguments, Not(Contains("--in-memory")));
  ASSERT_EQ(plan.fallbacks.size(), 1U);
  EXPECT_THAT(plan.fallbacks[0], HasSubstr("vm.nr_hugepages=128"));
  EXPECT_THAT(refused(configuration("device = \"net_null0\"", "[eal]\nhuge_pages = \"require\""), poor).fix,
              HasSubstr("vm.nr_hugepages=128"));
  const EalPlan off = good(configuration("device = \"net_null0\"", "[eal]\nhuge_pages = \"off\""));
  EXPECT_FALSE(off.huge_pages);
  EXPECT_THAT(off.fallbacks, IsEmpty());
  poor.memory_available = 255 * mebibyte;
  EXPECT_THAT(refused(configuration(), poor).why, HasSubstr("255 MiB of memory"));
}

TEST(EalPlan, ChoosesCpus) {
  const EalPlan chosen = good(configuration("device = \"net_null0\"", "[workers]\ncores = \"3,1\""));
  EXPECT_THAT(chosen.worker_cpus, ElementsAre(1U, 3U));
  EXPECT_EQ(chosen.main_cpu, 0U);
  const EalPlan named =
      good(configuration("device = \"net_null0\"", "[eal]\nmain_core = 3\n[workers]\ncores = \"3\""));
  EXPECT_EQ(named.main_cpu, 3U);
  EXPECT_THAT(named.arguments, Contains("0@3,1@3"));
  MachineState single = machine();
  single.allowed_cpus = single.worker_cpus = single.control_cpus = {0};
  const EalPlan alone = good(configuration(), single);
  EXPECT_EQ(alone.main_cpu, 0U);
  EXPECT_THAT(alone.fallbacks, Contains(HasSubstr("control shares CPU 0")));
  EXPECT_THAT(refused(configuration("device = \"net_null0\"", "[workers]\ncores = \"4\"")).why,
              HasSubstr("CPU 4 is not among"));
  EXPECT_THAT(refused(configuration("device = \"net_null0\"", "[eal]\nmain_core = 9")).why,
              HasSubstr("CPU 9 is not among"));
}

TEST(EalPlan, LooksAtInterfacesOfPacketSockets) {
  const auto with = [](const std::string& arguments) {
    return configuration("device = \"packet_socket" + arguments + "\"\nqueues = 2");
  };
  const EalPlan plan = good(with(",iface=va"));
  EXPECT_THAT(plan.fallbacks, testing::IsEmpty());
  EXPECT_THAT(plan.arguments, testing::Not(Contains(HasSubstr("packet_socket")))) << "DPDK does not know it";
  EXPECT_THAT(refused(with("")).fix, HasSubstr("packet_socket,iface=NAME"));
  EXPECT_THAT(refused(with(",iface=vx")).why, HasSubstr("lo, va, vb"));
  EXPECT_THAT(refused(with(",iface=va,framesz=4096")).why, HasSubstr("framesz=4096"));
  EXPECT_THAT(refused(with(",iface=va,segmentation=yes")).why, HasSubstr("segmentation=yes"));
  MachineState bare = machine();
  bare.capabilities = ~(std::uint64_t{1} << 13);
  EXPECT_THAT(refused(with(",iface=va"), bare).why, HasSubstr("CAP_NET_RAW"));
  // An older kernel has no runs of datagrams: it goes on, and says so.
  MachineState old = machine();
  old.kernel_minor = 1;
  EXPECT_THAT(good(with(",iface=va"), old).fallbacks, Contains(HasSubstr("Linux 6.1")));
  EXPECT_THAT(good(with(",iface=va,segmentation=on"), old).fallbacks, testing::IsEmpty());
  old.kernel_major = 5;
  old.kernel_minor = 15;
  EXPECT_THAT(good(with(",iface=va"), old).fallbacks, Contains(HasSubstr("Linux 5.15")));
}

TEST(EalPlan, LooksAtDevices) {
  EXPECT_THAT(refused(configuration("device = \"net_af_packet0,iface=vx\"")).why, HasSubstr("lo, va, vb"));
  EXPECT_THAT(refused(configuration("device = \"net_af_packet0\"")).fix, HasSubstr("iface=NAME"));
  MachineState bare = machine();
  bare.capabilities = ~(std::uint64_t{1} << 13);
  EXPECT_THAT(refused(configuration(), bare).why, HasSubstr("CAP_NET_RAW"));
  bare.capabilities = ~(std::uint64_t{1} << 12);
  EXPECT_THAT(refused(configuration(), bare).why, HasSubstr("CAP_NET_ADMIN"));
  EXPECT_THAT(refused(configuration("device = \"net_tap0\""), bare).why, HasSubstr("CAP_NET_ADMIN"));
  EXPECT_TRUE(make_eal_plan(configuration("device = \"net_null0\""), bare).ok());
  EXPECT_THAT(refused(configuration("device = \"0000:3b:00.1\"")).fix,
              HasSubstr("dpdk-devbind.py --bind=vfio-pci 0000:3b:00.1"));
  EXPECT_THAT(refused(configuration("device = \"0000:3b:00.2\"")).why, HasSubstr("no driver is bound"));
  EXPECT_THAT(refused(configuration("device = \"0000:3b:00.3\"")).why, HasSubstr("there is no PCI device"));
  const EalPlan pci = good(configuration("device = \"3B:00.0,arg=1\""));
  EXPECT_THAT(pci.arguments, Contains("0000:3b:00.0,arg=1"));
  EXPECT_THAT(pci.arguments, Not(Contains("--no-pci")));
}

TEST(EalPlan, SizesPackets) {
  EXPECT_EQ(good(configuration("device = \"net_null0\"")).packet_bytes % 64, 0U);
  EXPECT_GE(good(configuration("device = \"net_null0\"\nmtu = 9000")).packet_bytes, 128U + 9018U);
  // A frame of the ring must fit, whatever the MTU is.
  EXPECT_GE(good(configuration()).packet_bytes, 128U + 2048U);
  const EalPlan plan = good(configuration());
  EXPECT_LE(std::uint64_t{plan.packets} * (plan.packet_bytes + 384), 192 * mebibyte);
  const Error small =
      refused(configuration("device = \"net_null0\"\nmtu = 9000", "[eal]\nmemory = \"48 MiB\""));
  EXPECT_THAT(small.why, HasSubstr("ports and workers need"));
  const std::size_t at = small.fix.find('"');
  const std::string enough = small.fix.substr(at, small.fix.find('"', at + 1) - at + 1);
  EXPECT_TRUE(make_eal_plan(configuration("device = \"net_null0\"\nmtu = 9000", "[eal]\nmemory = " + enough),
                            machine())
                  .ok());
}

TEST(DeviceArguments, FollowFromMtuAndQueues) {
  const auto of = [](const std::string& device, const std::string& more = "") {
    return device_arguments(configuration("device = \"" + device + "\"\n" + more).ports[0]).arguments;
  };
  EXPECT_EQ(of("net_af_packet0,iface=va"), "iface=va,qdisc_bypass=1,framesz=2048,blocksz=4096");
  EXPECT_EQ(of("net_af_packet0,iface=va", "mtu = 9000"),
            "iface=va,qdisc_bypass=1,framesz=10240,blocksz=20480");
  EXPECT_EQ(of("net_af_packet0,iface=va,framesz=4096,blocksz=8192,qdisc_bypass=0", "queues = 2"),
            "iface=va,framesz=4096,blocksz=8192,qdisc_bypass=0,qpairs=2");
  EXPECT_EQ(of("net_vhost0,iface=/run/x.sock", "queues = 3"), "iface=/run/x.sock,queues=3");
  EXPECT_EQ(of("net_null0"), "");
  EXPECT_EQ(device_arguments(configuration("device = \"net_af_packet12,iface=va\"").ports[0]).driver,
            "net_af_packet");
  EXPECT_EQ(device_arguments(configuration().ports[0]).value("iface"), "va");
  EXPECT_EQ(device_arguments(configuration().ports[0]).value("ifac"), "");
}

TEST(MachineStateTest, IsReadFromThisMachine) {
  const Result<MachineState> state = machine_state();
  ASSERT_TRUE(state.ok()) << state.error().why;
  EXPECT_FALSE(state.value().allowed_cpus.empty());
  EXPECT_FALSE(state.value().worker_cpus.empty());
  EXPECT_GT(state.value().memory_available, 0U);
  EXPECT_THAT(state.value().interfaces, Contains("lo"));
  EXPECT_FALSE(state.value().pci_driver("ffff:ff:1f.7"));
}

}  // namespace
}  // namespace ssn::dataplane
