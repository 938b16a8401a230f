// SPDX-License-Identifier: BSD-3-Clause
// ssn-dataplane: reads its configuration, looks at the machine, starts, waits for signals, ends.
#include <fmt/core.h>
#include <signal.h>

#include <chrono>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

#include "process/process.h"
#include "ssn/hw/daemon.h"

namespace ssn::dataplane {
namespace {

constexpr const char* help =
    "The data plane of Shareline: moves packets between its ports, over shares and one-time pads where it "
    "is\n"
    "told to. Runs in the foreground until SIGINT or SIGTERM; SIGHUP makes it read its configuration again.\n"
    "\n"
    "Examples:\n"
    "  ssn-dataplane --config sae-a.toml --check   is it sound, and has the machine what it needs?\n"
    "  ssn-dataplane --config sae-a.toml\n"
    "\n"
    "Usage: ssn-dataplane --config FILE [--ready-file FILE] [--poll] [--check]\n"
    "\n"
    "Options:\n"
    "  --config FILE       The configuration (man ssn-dataplane)\n"
    "  --ready-file FILE   Write what runs where, as JSON, once packets flow; removed at the end\n"
    "  --poll              Workers never rest, whatever [workers] idle says\n"
    "  --check             Check configuration and machine, start nothing\n"
    "  --version           Print the version\n"
    "  -h, --help          Print this\n"
    "\n"
    "Manual: man 8 ssn-dataplane\n";

constexpr std::chrono::milliseconds tick{500};

// What the command line says.
struct Orders {
  const hw::Daemon& daemon;
  std::string config;
  std::string ready_file;
  bool poll = false;
};

Result<Configuration> read_configuration(const Orders& orders) {
  Result<Configuration> configuration = Configuration::load(orders.config);
  if (configuration.ok() && orders.poll) {
    configuration.value().workers.idle = WorkersConfiguration::Idle::poll;
  }
  return configuration;
}

Result<EalPlan> plan_for(const Configuration& configuration) {
  Result<MachineState> machine = machine_state();
  if (!machine.ok()) {
    return machine.error();
  }
  return make_eal_plan(configuration, machine.value());
}

int check(const Orders& orders) {
  const Result<Configuration> configuration = read_configuration(orders);
  if (!configuration.ok()) {
    return orders.daemon.fail(configuration.error());
  }
  const Result<EalPlan> plan = plan_for(configuration.value());
  if (!plan.ok()) {
    return orders.daemon.fail(plan.error());
  }
  std::string shown;
  for (const std::string& argument : plan.value().arguments) {
    shown += " " + argument;
  }
  fmt::print("{} is sound\n", orders.config);
  fmt::print("DPDK would be started with:{}\n", shown.substr(plan.value().arguments.front().size() + 1));
  for (const std::string& fallback : plan.value().fallbacks) {
    fmt::print("would fall back to {}\n", fallback);
  }
  return std::fflush(stdout) == 0 ? 0 : 1;
}

void read_again(const Orders& orders, Process& process) {
  Result<Configuration> next = read_configuration(orders);
  const Outcome outcome = next.ok() ? process.swap(std::move(next.value())) : Outcome(next.error());
  if (!outcome.ok()) {
    orders.daemon.fail(outcome.error());
    orders.daemon.log("goes on with the configuration that it has");
  }
}

int run(const Orders& orders) {
  const sigset_t signals = hw::Daemon::block_signals();
  Result<Configuration> configuration = read_configuration(orders);
  if (!configuration.ok()) {
    return orders.daemon.fail(configuration.error());
  }
  const Result<EalPlan> plan = plan_for(configuration.value());
  if (!plan.ok()) {
    return orders.daemon.fail(plan.error());
  }
  Result<std::unique_ptr<ControlLoop>> loop = ControlLoop::make(signals);
  if (!loop.ok()) {
    return orders.daemon.fail(loop.error());
  }
  Result<std::unique_ptr<Process>> process =
      Process::start(std::move(configuration.value()), plan.value(), *loop.value(),
                     [&](std::string_view line) { orders.daemon.log(line); });
  if (!process.ok()) {
    return orders.daemon.fail(process.error());
  }
  for (const std::string& line : process.value()->ready_lines()) {
    orders.daemon.log(line);
  }
  {
    const auto ready = hw::ReadyFile::write(orders.ready_file, process.value()->ready_document());
    if (!ready.ok()) {
      return orders.daemon.fail(ready.error());
    }
    orders.daemon.log("ready");
    const auto on_signal = [&](int number) {
      if (number == SIGHUP) {
        read_again(orders, *process.value());
        return true;
      }
      orders.daemon.log(fmt::format("ending after signal {}", number));
      return false;
    };
    loop.value()->run(on_signal, tick, [&] { process.value()->tend(); });
  }
  process.value().reset();
  orders.daemon.log("ended");
  return 0;
}

}  // namespace
}  // namespace ssn::dataplane

int main(int argc, char** argv) {
  using namespace ssn::dataplane;
  ssn::hw::Daemon daemon("ssn-dataplane", SSN_VERSION, help);
  bool poll = false;
  daemon.add_flag("--poll", poll);
  return daemon.main(argc, argv, [&](const ssn::hw::Daemon::Arguments& arguments) {
    // Paths in it are taken from its folder; a later swap names them in full, and must find them unchanged.
    std::error_code ignored;
    const std::string config =
        std::filesystem::absolute(arguments.config, ignored).lexically_normal().string();
    const Orders orders{daemon, config, arguments.ready_file, poll};
    return arguments.check ? check(orders) : run(orders);
  });
}
