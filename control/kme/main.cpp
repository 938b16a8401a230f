// SPDX-License-Identifier: BSD-3-Clause
// ssn-kme: emulated key managers. Starts, says where, waits for a signal, stops.
#include <fcntl.h>
#include <fmt/core.h>
#include <signal.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <string_view>

#include "emulator.h"
#include "ssn/hw/secret_buffer.h"

namespace ssn::kme {
namespace {

constexpr const char* help =
    "Emulated QKD key managers: ETSI GS QKD 014 servers, KM-NIC device models and the links between them.\n"
    "An EMULATOR: its keys come from a cipher, and nothing made with them is protected.\n"
    "\n"
    "Examples:\n"
    "  ssn kme init --out testnet --sites a,b     makes certificates and a configuration\n"
    "  ssn-kme --config testnet/kme.toml          serves all its sites until a signal ends it\n"
    "  ssn-kme --config testnet/kme.toml --site kme-a   only one site; others run elsewhere\n"
    "  ssn kme status --socket testnet/control.sock     stock and rates\n"
    "\n"
    "Usage: ssn-kme --config FILE [--site ID]... [--ready-file FILE] [--check]\n"
    "\n"
    "Options:\n"
    "  --config FILE       The configuration (docs/kme.md, man ssn-kme)\n"
    "  --site ID           Serve only this site, and others that are named so\n"
    "  --ready-file FILE   Write where everything listens, as JSON, once it does\n"
    "  --check             Check the configuration, start nothing\n"
    "  --version           Print the version\n"
    "  -h, --help          Print this\n"
    "\n"
    "Manual: man 8 ssn-kme\n";

struct Arguments {
  std::string config;
  std::string ready_file;
  std::vector<std::string> sites;
  bool check = false;
};

void log_line(std::string_view text) {
  fmt::print(stderr, "ssn-kme: {}\n", text);
  std::fflush(stderr);
}

int fail(const Error& error) {
  fmt::print(stderr, "ssn-kme: error: {}: {}\n", error.what, error.why);
  if (!error.where.empty()) {
    fmt::print(stderr, "  where: {}\n", error.where);
  }
  fmt::print(stderr, "  fix:   {}\n", error.fix);
  return static_cast<int>(error.code);
}

Error bad_usage(std::string why) {
  return {Exit::usage, "cannot understand the command line", std::move(why), "ssn-kme",
          "see `ssn-kme --help`"};
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
    if (name != "--config" && name != "--site" && name != "--ready-file") {
      return bad_usage(fmt::format("unknown argument {}", argv[i]));
    }
    if (!value && i + 1 < argc) {
      value = argv[++i];
    }
    if (!value || value->empty()) {
      return bad_usage(fmt::format("{} needs a value", name));
    }
    if (name == "--site") {
      arguments.sites.push_back(*value);
    } else {
      (name == "--config" ? arguments.config : arguments.ready_file) = *value;
    }
  }
  if (arguments.config.empty()) {
    return bad_usage("--config is missing");
  }
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

int run(const Arguments& arguments) {
  // Blocked before the first thread begins, so that all of them have it and the signal waits for us.
  sigset_t ending;
  sigemptyset(&ending);
  for (const int number : {SIGINT, SIGTERM, SIGHUP}) {
    sigaddset(&ending, number);
  }
  ::sigprocmask(SIG_BLOCK, &ending, nullptr);
  ::signal(SIGPIPE, SIG_IGN);
  Result<std::unique_ptr<Emulator>> emulator = Emulator::start(arguments.config, arguments.sites);
  if (!emulator.ok()) {
    return fail(emulator.error());
  }
  log_line("EMULATED key managers: keys come from a cipher, nothing made with them is protected");
  for (const std::string& line : emulator.value()->ready_lines()) {
    log_line(line);
  }
  if (!arguments.ready_file.empty()) {
    const Outcome written = write_ready_file(arguments.ready_file, emulator.value()->ready_document());
    if (!written.ok()) {
      return fail(written.error());
    }
  }
  log_line("ready");
  int number = 0;
  while (sigwait(&ending, &number) != 0) {
  }
  log_line(fmt::format("ending after signal {}", number));
  emulator.value().reset();
  if (!arguments.ready_file.empty()) {
    ::unlink(arguments.ready_file.c_str());
  }
  log_line("ended; all secrets are erased");
  return 0;
}

}  // namespace
}  // namespace ssn::kme

int main(int argc, char** argv) {
  using namespace ssn::kme;
  ssn::hw::disable_core_dumps();
  for (int i = 1; i < argc; ++i) {
    const std::string_view argument = argv[i];
    if (argument == "--help" || argument == "-h") {
      std::fputs(help, stdout);
      return std::fflush(stdout) == 0 ? 0 : 1;
    }
    if (argument == "--version") {
      std::puts("ssn-kme " SSN_VERSION);
      return std::fflush(stdout) == 0 ? 0 : 1;
    }
  }
  try {
    const ssn::Result<Arguments> arguments = parse(argc, argv);
    if (!arguments.ok()) {
      return fail(arguments.error());
    }
    if (arguments.value().check) {
      const auto configuration = read_configuration(arguments.value().config, arguments.value().sites);
      return configuration.ok() ? 0 : fail(configuration.error());
    }
    return run(arguments.value());
  } catch (const std::exception& unexpected) {
    return fail(
        {ssn::Exit::failed, "cannot go on", unexpected.what(), "", "free memory; else report it as a bug"});
  }
}
