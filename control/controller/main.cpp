// SPDX-License-Identifier: BSD-3-Clause
// ssn-controller: starts, says where it listens, waits for a signal, stops.
#include <fcntl.h>
#include <fmt/core.h>
#include <signal.h>
#include <sys/random.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <string_view>

#include "configuration.h"
#include "ssn/hw/secret_buffer.h"

namespace ssn::controller {
namespace {

constexpr const char* help =
    "Decides where shares go and knows which objects exist; never holds data, shares or keys.\n"
    "\n"
    "Examples:\n"
    "  ssn-controller --config controller.toml            runs until a signal ends it\n"
    "  ssn-controller --config controller.toml --check    checks the configuration, starts nothing\n"
    "\n"
    "Usage: ssn-controller --config FILE [--ready-file FILE] [--check]\n"
    "\n"
    "Options:\n"
    "  --config FILE       The configuration (docs/controller.md, man ssn-controller)\n"
    "  --ready-file FILE   Write where it listens, as JSON, once it does\n"
    "  --check             Check the configuration, start nothing\n"
    "  --version           Print the version\n"
    "  -h, --help          Print this\n"
    "\n"
    "Manual: man 8 ssn-controller\n";

struct Arguments {
  std::string config;
  std::string ready_file;
  bool check = false;
};

void log_line(std::string_view text) {
  fmt::print(stderr, "ssn-controller: {}\n", text);
  std::fflush(stderr);
}

int fail(const Error& error) {
  fmt::print(stderr, "ssn-controller: error: {}: {}\n", error.what, error.why);
  if (!error.where.empty()) {
    fmt::print(stderr, "  where: {}\n", error.where);
  }
  fmt::print(stderr, "  fix:   {}\n", error.fix);
  return static_cast<int>(error.code);
}

Error bad_usage(std::string why) {
  return {Exit::usage, "cannot understand the command line", std::move(why), "ssn-controller",
          "see `ssn-controller --help`"};
}

Result<Arguments> parse(int argc, char** argv) {
  Arguments arguments;
  for (int i = 1; i < argc; ++i) {
    std::string_view name = argv[i];
    if (name == "--check") {
      arguments.check = true;
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
  return arguments.config.empty() ? Result<Arguments>(bad_usage("--config is missing")) : arguments;
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

Now now() {
  const auto milliseconds = [](auto time) {
    return static_cast<std::uint64_t>(
        std::chrono::duration_cast<std::chrono::milliseconds>(time.time_since_epoch()).count());
  };
  return {milliseconds(std::chrono::system_clock::now()), milliseconds(std::chrono::steady_clock::now())};
}

void random_bytes(std::uint8_t* out, std::size_t bytes) {
  if (::getrandom(out, bytes, 0) != static_cast<ssize_t>(bytes)) {
    std::abort();  // without identifiers that nobody else has nothing can be promised
  }
}

// Ticks once a second until a signal comes. What a tick cannot do it tries again; said once while it lasts.
int wait_for_end(Catalogue& catalogue, const sigset_t& ending) {
  bool troubled = false;
  for (;;) {
    const timespec second{1, 0};
    const int number = ::sigtimedwait(&ending, nullptr, &second);
    if (number > 0) {
      return number;
    }
    const Outcome ticked = catalogue.tick(now());
    if (!ticked.ok() && !troubled) {
      fail(ticked.error());
    }
    troubled = !ticked.ok();
  }
}

int run(const Arguments& arguments, const Configuration& configuration) {
  // Blocked before the first thread begins, so that all of them have it and the signal waits for us.
  sigset_t ending;
  sigemptyset(&ending);
  for (const int number : {SIGINT, SIGTERM, SIGHUP}) {
    sigaddset(&ending, number);
  }
  ::sigprocmask(SIG_BLOCK, &ending, nullptr);
  ::signal(SIGPIPE, SIG_IGN);
  const Result<std::unique_ptr<Database>> database = open_sqlite_database(configuration.database);
  if (!database.ok()) {
    return fail(database.error());
  }
  const Result<std::unique_ptr<Catalogue>> catalogue =
      Catalogue::open(*database.value(), configuration.policy, random_bytes, now());
  if (!catalogue.ok()) {
    return fail(catalogue.error());
  }
  Result<std::unique_ptr<Server>> server = Server::start(configuration.server, *catalogue.value(), now);
  if (!server.ok()) {
    return fail(server.error());
  }
  if (!arguments.ready_file.empty()) {
    const Outcome written = write_ready_file(
        arguments.ready_file, fmt::format("{{\"schema\": \"ssn.controller.ready/1\", \"listen\": \"{}\"}}\n",
                                          server.value()->listening()));
    if (!written.ok()) {
      return fail(written.error());
    }
  }
  log_line(fmt::format("ready; {} listens at {}", configuration.server.name, server.value()->listening()));
  const int number = wait_for_end(*catalogue.value(), ending);
  log_line(fmt::format("ending after signal {}", number));
  server.value().reset();
  if (!arguments.ready_file.empty()) {
    ::unlink(arguments.ready_file.c_str());
  }
  return 0;
}

}  // namespace
}  // namespace ssn::controller

int main(int argc, char** argv) {
  using namespace ssn::controller;
  ssn::hw::disable_core_dumps();
  for (int i = 1; i < argc; ++i) {
    const std::string_view argument = argv[i];
    if (argument == "--help" || argument == "-h") {
      std::fputs(help, stdout);
      return std::fflush(stdout) == 0 ? 0 : 1;
    }
    if (argument == "--version") {
      std::puts("ssn-controller " SSN_VERSION);
      return std::fflush(stdout) == 0 ? 0 : 1;
    }
  }
  try {
    const ssn::Result<Arguments> arguments = parse(argc, argv);
    if (!arguments.ok()) {
      return fail(arguments.error());
    }
    const ssn::Result<Configuration> configuration = load_configuration(arguments.value().config);
    if (!configuration.ok()) {
      return fail(configuration.error());
    }
    return arguments.value().check ? 0 : run(arguments.value(), configuration.value());
  } catch (const std::exception& unexpected) {
    return fail(
        {ssn::Exit::failed, "cannot go on", unexpected.what(), "", "free memory; else report it as a bug"});
  }
}
