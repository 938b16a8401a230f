// SPDX-License-Identifier: BSD-3-Clause
// ssn-dataplane: reads its configuration, looks at the machine, starts, waits for signals, ends.
#include <fcntl.h>
#include <fmt/core.h>
#include <signal.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <optional>
#include <string_view>

#include "process/process.h"
#include "ssn/hw/secret_buffer.h"

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

struct Arguments {
  std::string config;
  std::string ready_file;
  bool poll = false;
  bool check = false;
};

void log_line(std::string_view text) {
  fmt::print(stderr, "ssn-dataplane: {}\n", text);
  std::fflush(stderr);
}

int fail(const Error& error) {
  fmt::print(stderr, "ssn-dataplane: error: {}: {}\n", error.what, error.why);
  if (!error.where.empty()) {
    fmt::print(stderr, "  where: {}\n", error.where);
  }
  fmt::print(stderr, "  fix:   {}\n", error.fix);
  return static_cast<int>(error.code);
}

Error bad_usage(std::string why) {
  return {Exit::usage, "cannot understand the command line", std::move(why), "ssn-dataplane",
          "see `ssn-dataplane --help`"};
}

Result<Arguments> parse(int argc, char** argv) {
  Arguments arguments;
  for (int i = 1; i < argc; ++i) {
    std::string_view name = argv[i];
    if (name == "--check" || name == "--poll") {
      (name == "--check" ? arguments.check : arguments.poll) = true;
      continue;
    }
    std::optional<std::string> value;
    if (const std::size_t equals = name.find('='); equals != std::string_view::npos) {
      value = std::string(name.substr(equals + 1));
      name = name.substr(0, equals);
    }
    if (name != "--config" && name != "--ready-file") {
      return bad_usage(fmt::format("unknown argument {}", argv[i]));
    }
    if (!value && i + 1 < argc) {
      value = argv[++i];
    }
    if (!value || value->empty()) {
      return bad_usage(fmt::format("{} needs a value", name));
    }
    (name == "--config" ? arguments.config : arguments.ready_file) = *value;
  }
  if (arguments.config.empty()) {
    return bad_usage("--config is missing");
  }
  // Paths in it are taken from its folder; a later swap names them in full, and must find them unchanged.
  std::error_code ignored;
  arguments.config = std::filesystem::absolute(arguments.config, ignored).lexically_normal().string();
  return arguments;
}

// Appears complete or not at all: whoever waits for it reads it at once.
Outcome write_ready_file(const std::string& path, const std::string& document) {
  const std::string temporary = path + ".tmp";
  const int fd = ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  bool written =
      fd >= 0 && ::write(fd, document.data(), document.size()) == static_cast<ssize_t>(document.size());
  int error = errno;
  if (fd >= 0 && ::close(fd) != 0) {
    written = false;
    error = errno;
  }
  if (written && ::rename(temporary.c_str(), path.c_str()) != 0) {
    written = false;
    error = errno;
  }
  return written ? Outcome(done) : Outcome(system_error(error, "cannot write the ready file", path));
}

Result<Configuration> read_configuration(const Arguments& arguments) {
  Result<Configuration> configuration = Configuration::load(arguments.config);
  if (configuration.ok() && arguments.poll) {
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

int check(const Arguments& arguments) {
  const Result<Configuration> configuration = read_configuration(arguments);
  if (!configuration.ok()) {
    return fail(configuration.error());
  }
  const Result<EalPlan> plan = plan_for(configuration.value());
  if (!plan.ok()) {
    return fail(plan.error());
  }
  std::string shown;
  for (const std::string& argument : plan.value().arguments) {
    shown += " " + argument;
  }
  fmt::print("{} is sound\n", arguments.config);
  fmt::print("DPDK would be started with:{}\n", shown.substr(plan.value().arguments.front().size() + 1));
  for (const std::string& fallback : plan.value().fallbacks) {
    fmt::print("would fall back to {}\n", fallback);
  }
  return std::fflush(stdout) == 0 ? 0 : 1;
}

void read_again(const Arguments& arguments, Process& process) {
  Result<Configuration> next = read_configuration(arguments);
  const Outcome outcome = next.ok() ? process.swap(std::move(next.value())) : Outcome(next.error());
  if (!outcome.ok()) {
    fail(outcome.error());
    log_line("goes on with the configuration that it has");
  }
}

int run(const Arguments& arguments) {
  // Blocked before the first thread begins, so that all of them have it and the signal waits for us.
  sigset_t signals;
  sigemptyset(&signals);
  for (const int number : {SIGINT, SIGTERM, SIGHUP}) {
    sigaddset(&signals, number);
  }
  ::sigprocmask(SIG_BLOCK, &signals, nullptr);
  ::signal(SIGPIPE, SIG_IGN);
  Result<Configuration> configuration = read_configuration(arguments);
  if (!configuration.ok()) {
    return fail(configuration.error());
  }
  const Result<EalPlan> plan = plan_for(configuration.value());
  if (!plan.ok()) {
    return fail(plan.error());
  }
  Result<std::unique_ptr<ControlLoop>> loop = ControlLoop::make(signals);
  if (!loop.ok()) {
    return fail(loop.error());
  }
  Result<std::unique_ptr<Process>> process =
      Process::start(std::move(configuration.value()), plan.value(), *loop.value(), log_line);
  if (!process.ok()) {
    return fail(process.error());
  }
  for (const std::string& line : process.value()->ready_lines()) {
    log_line(line);
  }
  if (!arguments.ready_file.empty()) {
    const Outcome written = write_ready_file(arguments.ready_file, process.value()->ready_document());
    if (!written.ok()) {
      return fail(written.error());
    }
  }
  log_line("ready");
  const auto on_signal = [&](int number) {
    if (number == SIGHUP) {
      read_again(arguments, *process.value());
      return true;
    }
    log_line(fmt::format("ending after signal {}", number));
    return false;
  };
  loop.value()->run(on_signal, tick, [&] { process.value()->tend(); });
  if (!arguments.ready_file.empty()) {
    ::unlink(arguments.ready_file.c_str());
  }
  process.value().reset();
  log_line("ended");
  return 0;
}

}  // namespace
}  // namespace ssn::dataplane

int main(int argc, char** argv) {
  using namespace ssn::dataplane;
  ssn::hw::disable_core_dumps();
  for (int i = 1; i < argc; ++i) {
    const std::string_view argument = argv[i];
    if (argument == "--help" || argument == "-h") {
      std::fputs(help, stdout);
      return std::fflush(stdout) == 0 ? 0 : 1;
    }
    if (argument == "--version") {
      std::puts("ssn-dataplane " SSN_VERSION);
      return std::fflush(stdout) == 0 ? 0 : 1;
    }
  }
  try {
    const ssn::Result<Arguments> arguments = parse(argc, argv);
    if (!arguments.ok()) {
      return fail(arguments.error());
    }
    return arguments.value().check ? check(arguments.value()) : run(arguments.value());
  } catch (const std::exception& unexpected) {
    return fail(
        {ssn::Exit::failed, "cannot go on", unexpected.what(), "", "free memory; else report it as a bug"});
  }
}
