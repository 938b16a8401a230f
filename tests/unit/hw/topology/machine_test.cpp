// SPDX-License-Identifier: BSD-3-Clause
// Descriptions: of this machine, from hwloc's files, and of what is none.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "ssn/hw/topology.h"

namespace ssn::hw {
namespace {

TEST(Machine, ThisOne) {
  const Result<Machine> machine = read_machine();
  ASSERT_TRUE(machine.ok()) << machine.error().why;
  EXPECT_GE(machine.value().cpus.size(), static_cast<std::size_t>(::sysconf(_SC_NPROCESSORS_ONLN)));
  EXPECT_GE(machine.value().nodes.size(), 1U);
  EXPECT_GT(machine.value().nodes[0].bytes, 0U);
  EXPECT_TRUE(make_plan(machine.value(), {}).ok());
}

TEST(Machine, TakesIsolationFromTheKernel) {
  std::string root = testing::TempDir() + "ssn-root-XXXXXX";
  ASSERT_NE(::mkdtemp(root.data()), nullptr);
  std::filesystem::create_directories(root + "/sys/devices/system/cpu");
  std::ofstream(root + "/sys/devices/system/cpu/isolated") << "0\n";
  const Result<Machine> machine = read_machine(root);
  ASSERT_TRUE(machine.ok());
  for (const Cpu& cpu : machine.value().cpus) EXPECT_EQ(cpu.isolated, cpu.id == 0);
  std::filesystem::remove_all(root);
}

TEST(Machine, TwoSocketsWithNics) {
  const Result<Machine> machine = read_machine_from(TOPOLOGY_DATA "/two_sockets.xml", "");
  ASSERT_TRUE(machine.ok()) << machine.error().why;
  EXPECT_EQ(machine.value().cpus.size(), 8U);
  EXPECT_EQ(machine.value().nodes.size(), 2U);
  ASSERT_EQ(machine.value().devices.size(), 2U);
  const Device& nic = machine.value().devices[1];
  EXPECT_EQ(nic.name, "ens1f0");
  EXPECT_EQ(nic.pci, "0000:81:00.0");
  EXPECT_EQ(nic.kind, Device::Kind::network);
  EXPECT_EQ(nic.node, 1);
  EXPECT_EQ(machine.value().devices[0].kind, Device::Kind::crypto);
  EXPECT_EQ(machine.value().devices[0].node, 0);
  const Result<Plan> plan = make_plan(machine.value(), {});
  ASSERT_TRUE(plan.ok());
  EXPECT_EQ(plan.value().node, 1);
  EXPECT_THAT(plan.value().workers, testing::ElementsAre(6));
  EXPECT_THAT(plan.value().control, testing::ElementsAre(4));
}

TEST(Machine, RefusesWhatDescribesNone) {
  EXPECT_EQ(read_machine_from("/nonexistent/machine.xml", "").error().code, Exit::not_found);
  EXPECT_FALSE(read_machine_from("synthetic:nonsense", "").ok());
  EXPECT_FALSE(read_machine_from("synthetic:core:2 pu:1", "x").ok());
  const std::string path = testing::TempDir() + "ssn-not-xml-" + std::to_string(::getpid());
  std::ofstream(path) << "this is no topology\n";
  EXPECT_FALSE(read_machine_from(path, "").ok());
  std::filesystem::remove(path);
}

}  // namespace
}  // namespace ssn::hw
