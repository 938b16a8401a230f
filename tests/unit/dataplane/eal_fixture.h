// SPDX-License-Identifier: BSD-3-Clause
// EAL, once for a test program, without huge pages; ports on devices that need nothing; workers that run.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "ssn/dataplane/eal.h"
#include "ssn/dataplane/packet.h"
#include "ssn/dataplane/pipeline.h"
#include "ssn/dataplane/ports.h"

namespace ssn::dataplane {

constexpr unsigned test_workers = 2;

inline Configuration test_configuration(const std::string& ports) {
  const std::string name = "unit-" + std::to_string(::getpid());
  Result<Configuration> read = Configuration::parse(
      "[node]\nname = \"" + name + "\"\n[eal]\nhuge_pages = \"off\"\nmemory = \"64 MiB\"\n" + ports,
      "test.toml");
  EXPECT_TRUE(read.ok()) << read.error().why;
  return read.ok() ? read.value() : Configuration{};
}

/// Null where it could not be started; the test has failed then.
inline Eal* test_eal() {
  static const std::unique_ptr<Eal> eal = [] {
    Result<MachineState> machine = machine_state();
    EXPECT_TRUE(machine.ok());
    machine.value().worker_cpus.assign(test_workers, machine.value().allowed_cpus.front());
    Result<EalPlan> plan = make_eal_plan(
        test_configuration("[[port]]\nname = \"x\"\ndevice = \"net_null0\"\n"), machine.value());
    EXPECT_TRUE(plan.ok()) << plan.error().why;
    Result<std::unique_ptr<Eal>> started = Eal::start(plan.value(), [](std::string_view) {});
    EXPECT_TRUE(started.ok()) << started.error().why;
    return started.ok() ? std::move(started.value()) : nullptr;
  }();
  return eal.get();
}

/// Two ports that lead back to themselves ("ring0", "ring1": what is sent is received), and running workers.
class PipelineTest : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_NE(test_eal(), nullptr);
    Result<std::unique_ptr<Ports>> opened = Ports::open(configuration_, workers(), test_eal()->packets());
    ASSERT_TRUE(opened.ok()) << opened.error().why;
    ports_ = std::move(opened.value());
    Pipeline::Setup setup;
    for (unsigned i = 0; i < workers(); ++i) {
      workers_.push_back(std::move(Worker::make(i, 0, Worker::Idle::event, counters_).value()));
      setup.workers.push_back(workers_.back().get());
      ASSERT_TRUE(test_eal()
                      ->launch(
                          i,
                          [](void* worker) {
                            static_cast<Worker*>(worker)->run();
                            return 0;
                          },
                          workers_.back().get())
                      .ok());
    }
    setup.counters = &counters_;
    for (const auto& port : ports_->all()) setup.ports.push_back(port.get());
    setup.patience = patience();
    pipeline_ = std::move(Pipeline::make(std::move(setup)).value());
  }

  void TearDown() override {
    if (pipeline_ != nullptr) {
      EXPECT_TRUE(pipeline_->clear().ok());
    }
    for (unsigned i = 0; i < workers_.size(); ++i) {
      workers_[i]->stop();
      test_eal()->join(i);
    }
    pipeline_.reset();
    ports_.reset();
    // Nothing was lost: all packets are where they came from.
    EXPECT_EQ(rte_mempool_in_use_count(&test_eal()->packets()), 0U);
  }

  virtual unsigned workers() const { return 1; }
  virtual std::chrono::milliseconds patience() const { return std::chrono::milliseconds(5000); }

  Packet* packet(std::uint16_t bytes) {
    Packet* const made = allocate(test_eal()->packets());
    EXPECT_NE(made, nullptr);
    set_length(*made, bytes);
    std::memset(data_of(*made), 0x5a, bytes);
    return made;
  }

  template <typename Condition>
  static bool eventually(Condition condition) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (!condition() && std::chrono::steady_clock::now() < end) ::usleep(1000);
    return condition();
  }

  std::uint64_t calls(const std::string& node) const {
    for (const NodeStatistics& each : pipeline_->totals()) {
      if (each.name == node) return each.packets;
    }
    return 0;
  }

  const Configuration configuration_ = test_configuration(
      "[[port]]\nname = \"ring0\"\ndevice = \"net_ring0\"\n"
      "[[port]]\nname = \"ring1\"\ndevice = \"net_ring1\"\n");
  Counters counters_{test_workers};
  std::unique_ptr<Ports> ports_;
  std::vector<std::unique_ptr<Worker>> workers_;
  std::unique_ptr<Pipeline> pipeline_;
};

}  // namespace ssn::dataplane
