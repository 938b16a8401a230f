// SPDX-License-Identifier: BSD-3-Clause
// The choice, for machines that are made up here.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "ssn/hw/topology.h"

namespace ssn::hw {
namespace {

using Role = PlannedCpu::Role;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

Machine made_up(const std::string& description, const std::string& isolated = "") {
  Result<Machine> machine = read_machine_from("synthetic:" + description, isolated);
  EXPECT_TRUE(machine.ok()) << machine.error().why;
  return std::move(machine.value());
}

Plan planned(const Machine& machine, const PlanWish& wish = {}) {
  Result<Plan> plan = make_plan(machine, wish);
  EXPECT_TRUE(plan.ok()) << plan.error().why;
  if (!plan.ok()) return {};
  EXPECT_EQ(plan.value().cpus.size(), machine.cpus.size());
  for (const PlannedCpu& cpu : plan.value().cpus) {
    EXPECT_FALSE(cpu.why.empty()) << "CPU " << cpu.id << " is not explained";
  }
  return std::move(plan.value());
}

const PlannedCpu& cpu(const Plan& plan, unsigned id) {
  return *std::find_if(plan.cpus.begin(), plan.cpus.end(), [&](const PlannedCpu& c) { return c.id == id; });
}

TEST(Plan, UsesOneNodeAndOneCpuOfACore) {
  // CPUs 0-7: cores 0-3 with two threads each on node 0; 8-15 likewise on node 1.
  const Plan plan = planned(made_up("pack:2 [numa] core:4 pu:2"));
  EXPECT_EQ(plan.node, 0);
  EXPECT_THAT(plan.workers, ElementsAre(2, 4, 6));
  EXPECT_THAT(plan.control, ElementsAre(0));
  EXPECT_THAT(cpu(plan, 3).why, HasSubstr("shares a core with CPU 2"));
  EXPECT_THAT(cpu(plan, 9).why, HasSubstr("on memory node 1"));
}

TEST(Plan, PrefersIsolatedCpus) {
  const Plan plan = planned(made_up("pack:2 [numa] core:4 pu:2", "2-5"));
  EXPECT_THAT(plan.workers, ElementsAre(2, 4));
  EXPECT_THAT(plan.control, ElementsAre(0));
  EXPECT_THAT(cpu(plan, 6).why, HasSubstr("not isolated"));
  EXPECT_THAT(plan.warnings, IsEmpty());
}

TEST(Plan, FollowsTheDevices) {
  Machine machine = made_up("pack:2 [numa] core:4 pu:1");
  machine.devices = {{"ens1f0", "0000:81:00.0", Device::Kind::network, 1, "NIC"},
                     {"nvme0", "0000:01:00.0", Device::Kind::storage, 0, "disk"},
                     {"kmnic", "0000:02:00.0", Device::Kind::crypto, 0, "keys"}};
  const Plan plan = planned(machine);
  EXPECT_EQ(plan.node, 1);
  EXPECT_EQ(plan.node_why, "ens1f0 is on it");
  EXPECT_THAT(plan.workers, ElementsAre(5, 6, 7));
  EXPECT_TRUE(plan.devices[0].used);
  EXPECT_FALSE(plan.devices[1].used);

  const Plan named = planned(machine, {.devices = {"0000:02:00.0"}});
  EXPECT_EQ(named.node, 0);
  EXPECT_TRUE(named.devices[2].used);
  EXPECT_FALSE(named.devices[0].used);

  const Plan apart = planned(machine, {.devices = {"ens1f0", "kmnic"}});
  EXPECT_THAT(apart.warnings, testing::Contains(HasSubstr("on node 1, the workers on node 0")));
}

TEST(Plan, DoesWhatWasAskedOrSaysWhyNot) {
  const Machine machine = made_up("pack:2 [numa] core:4 pu:1");
  const Plan two = planned(machine, {.workers = 2, .node = 1});
  EXPECT_THAT(two.workers, ElementsAre(5, 6));
  EXPECT_THAT(cpu(two, 7).why, HasSubstr("more workers were not asked for"));
  EXPECT_THAT(planned(machine, {.workers = 4}).workers, ElementsAre(0, 1, 2, 3));

  EXPECT_EQ(make_plan(machine, {.workers = 5}).error().code, Exit::refused);
  EXPECT_EQ(make_plan(machine, {.node = 2}).error().code, Exit::not_found);
  const Result<Plan> device = make_plan(machine, {.devices = {"eth7"}});
  EXPECT_EQ(device.error().code, Exit::not_found);
  EXPECT_THAT(device.error().why, HasSubstr("eth7"));
}

TEST(Plan, KeepsFewWorkersUnderOneCache) {
  // Two last caches of 3 and 4 cores on one node.
  Machine machine = made_up("pack:1 [numa] core:7 pu:1");
  for (Cpu& c : machine.cpus) c.cache = c.id < 3 ? 0 : 1;
  EXPECT_THAT(planned(machine, {.workers = 4}).workers, ElementsAre(3, 4, 5, 6));
}

TEST(Plan, AvoidsForbiddenAndSlowCpus) {
  Machine machine = made_up("pack:1 [numa] core:6 pu:1");
  machine.cpus[1].allowed = false;
  for (Cpu& c : machine.cpus) c.performance = c.id < 4 ? 1 : 0;
  const Plan plan = planned(machine);
  EXPECT_THAT(plan.workers, ElementsAre(2, 3));
  EXPECT_THAT(cpu(plan, 1).why, HasSubstr("cgroup"));
  EXPECT_THAT(cpu(plan, 5).why, HasSubstr("slower kind"));
}

TEST(Plan, WorksOnSmallMachines) {
  const Plan two = planned(made_up("core:2 pu:1"));
  EXPECT_THAT(two.workers, ElementsAre(1));
  EXPECT_THAT(two.control, ElementsAre(0));
  const Plan one = planned(made_up("core:1 pu:1"));
  EXPECT_THAT(one.workers, ElementsAre(0));
  EXPECT_THAT(one.control, ElementsAre(0));
  EXPECT_THAT(one.warnings, testing::Contains(HasSubstr("one CPU does everything")));
  const Plan siblings = planned(made_up("core:1 pu:2"));
  EXPECT_THAT(siblings.workers, ElementsAre(0));
  EXPECT_THAT(siblings.control, ElementsAre(1));
  EXPECT_THAT(cpu(siblings, 1).why, HasSubstr("shares a core with a worker"));
}

TEST(Plan, RefusesMachinesThatCannotWork) {
  EXPECT_FALSE(make_plan({}, {}).ok());
  Machine machine = made_up("pack:2 [numa] core:2 pu:1");
  for (Cpu& c : machine.cpus) c.allowed = c.node == 1;
  EXPECT_EQ(planned(machine).node, 1);
  EXPECT_EQ(make_plan(machine, {.node = 0}).error().code, Exit::refused);
  machine.devices = {{"ens1f0", "0000:01:00.0", Device::Kind::network, 0, "NIC"}};
  const Plan far = planned(machine);
  EXPECT_EQ(far.node, 1);
  EXPECT_THAT(far.node_why, HasSubstr("no core that may be used"));
}

}  // namespace
}  // namespace ssn::hw
