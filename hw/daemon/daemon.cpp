// SPDX-License-Identifier: BSD-3-Clause
#include "ssn/hw/daemon.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <exception>
#include <optional>

#include "ssn/hw/secret_buffer.h"

namespace ssn::hw {
namespace {

int show(std::string_view text) {
  fmt::print("{}", text);
  return std::fflush(stdout) == 0 ? 0 : 1;
}

// 0, or the number of the error.
int write_whole(const std::string& path, const std::string& document) {
  const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (fd < 0) return errno;
  int error = 0;
  for (std::size_t at = 0; at < document.size() && error == 0;) {
    const ssize_t written = ::write(fd, document.data() + at, document.size() - at);
    if (written >= 0) {
      at += static_cast<std::size_t>(written);
    } else if (errno != EINTR) {
      error = errno;
    }
  }
  if (::close(fd) != 0 && error == 0) error = errno;
  return error;
}

}  // namespace

void Daemon::log(std::string_view text) const {
  fmt::print(stderr, "{}: {}\n", name_, text);
  std::fflush(stderr);
}

int Daemon::fail(const Error& error) const {
  fmt::print(stderr, "{}: error: {}: {}\n", name_, error.what, error.why);
  if (!error.where.empty()) fmt::print(stderr, "  where: {}\n", error.where);
  fmt::print(stderr, "  fix:   {}\n", error.fix);
  return static_cast<int>(error.code);
}

sigset_t Daemon::block_signals() {
  sigset_t signals;
  sigemptyset(&signals);
  for (const int number : {SIGINT, SIGTERM, SIGHUP}) sigaddset(&signals, number);
  ::sigprocmask(SIG_BLOCK, &signals, nullptr);
  ::signal(SIGPIPE, SIG_IGN);
  return signals;
}

Error Daemon::bad_usage(std::string why) const {
  return {Exit::usage, "cannot understand the command line", std::move(why), std::string(name_),
          fmt::format("see `{} --help`", name_)};
}

bool Daemon::takes_value(std::string_view option) const {
  return option == "--config" || option == "--ready-file" ||
         std::any_of(values_.begin(), values_.end(),
                     [&](const Values& each) { return each.option == option; });
}

Outcome Daemon::take(Arguments& arguments, std::string_view option, std::string value) const {
  if (value.empty()) return bad_usage(fmt::format("{} needs a value", option));
  for (const Values& each : values_) {
    if (each.option != option) continue;
    each.values->push_back(std::move(value));
    return done;
  }
  (option == "--config" ? arguments.config : arguments.ready_file) = std::move(value);
  return done;
}

Result<Daemon::Arguments> Daemon::parse(int argc, char** argv) const {
  Arguments arguments;
  for (int i = 1; i < argc; ++i) {
    std::string_view option = argv[i];
    const auto flag =
        std::find_if(flags_.begin(), flags_.end(), [&](const Flag& each) { return each.option == option; });
    if (option == "--check" || flag != flags_.end()) {
      (flag != flags_.end() ? *flag->given : arguments.check) = true;
      continue;
    }
    std::optional<std::string> value;
    if (const std::size_t equals = option.find('='); equals != std::string_view::npos) {
      value = std::string(option.substr(equals + 1));
      option = option.substr(0, equals);
    }
    if (!takes_value(option)) return bad_usage(fmt::format("unknown argument {}", argv[i]));
    if (!value && i + 1 < argc) value = argv[++i];
    if (Outcome taken = take(arguments, option, value.value_or("")); !taken.ok()) return taken.error();
  }
  if (arguments.config.empty()) return bad_usage("--config is missing");
  return arguments;
}

int Daemon::main(int argc, char** argv, const Body& body) {
  disable_core_dumps();
  for (int i = 1; i < argc; ++i) {
    const std::string_view argument = argv[i];
    if (argument == "--help" || argument == "-h") return show(help_);
    if (argument == "--version") return show(fmt::format("{} {}\n", name_, version_));
  }
  try {
    const Result<Arguments> arguments = parse(argc, argv);
    return arguments.ok() ? body(arguments.value()) : fail(arguments.error());
  } catch (const std::exception& unexpected) {
    return fail(
        {Exit::failed, "cannot go on", unexpected.what(), "", "free memory; else report it as a bug"});
  }
}

Result<ReadyFile> ReadyFile::write(const std::string& path, const std::string& document) {
  if (path.empty()) return ReadyFile({});
  const std::string temporary = path + ".tmp";
  int error = write_whole(temporary, document);
  if (error == 0 && ::rename(temporary.c_str(), path.c_str()) != 0) error = errno;
  if (error == 0) return ReadyFile(path);
  ::unlink(temporary.c_str());
  return system_error(error, "cannot write the ready file", path);
}

ReadyFile::~ReadyFile() {
  if (!path_.empty()) ::unlink(path_.c_str());
}

}  // namespace ssn::hw
