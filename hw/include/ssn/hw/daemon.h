// SPDX-License-Identifier: BSD-3-Clause
// What every program that runs until a signal ends it does alike: its command line, its messages, the file
// that says that it is ready, and the signals. ssn-dataplane, ssn-controller and ssn-kme are such programs.
#pragma once

#include <signal.h>

#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "ssn/hw/result.h"

namespace ssn::hw {

/// One per process, used by its first thread. Names and texts outlive it.
class Daemon {
 public:
  struct Arguments {
    std::string config;
    std::string ready_file;  ///< empty: none was asked for
    bool check = false;      ///< check the configuration, start nothing
  };
  /// The program's own part: what the process exits with.
  using Body = std::function<int(const Arguments&)>;

  /// `help` is all that --help prints.
  Daemon(std::string_view name, std::string_view version, std::string_view help)
      : name_(name), version_(version), help_(help) {}

  /// Options beside --config FILE, --ready-file FILE, --check, --version and --help. Set by main().
  void add_flag(std::string_view option, bool& given) { flags_.push_back({option, &given}); }
  void add_values(std::string_view option, std::vector<std::string>& values) {
    values_.push_back({option, &values});
  }

  /// Reads the command line and runs `body`, whose exceptions are failures like others. No core dumps from
  /// here on. Returns the exit code: docs/exit-codes.md.
  int main(int argc, char** argv, const Body& body);

  /// One line on standard error, with the program's name in front.
  void log(std::string_view text) const;
  /// Says on standard error what failed, why, where and what to do; returns the exit code.
  int fail(const Error& error) const;

  /// SIGINT, SIGTERM and SIGHUP, blocked. To be called before the first thread begins, so that all have them
  /// blocked and the signals wait for whoever waits for them. SIGPIPE is ignored from here on.
  static sigset_t block_signals();

 private:
  struct Flag {
    std::string_view option;
    bool* given = nullptr;
  };
  struct Values {
    std::string_view option;
    std::vector<std::string>* values = nullptr;
  };

  Result<Arguments> parse(int argc, char** argv) const;
  Outcome take(Arguments& arguments, std::string_view option, std::string value) const;
  bool takes_value(std::string_view option) const;
  Error bad_usage(std::string why) const;

  std::string_view name_;
  std::string_view version_;
  std::string_view help_;
  std::vector<Flag> flags_;
  std::vector<Values> values_;
};

/// The file of --ready-file: appears complete or not at all, so that whoever waits for it reads it at once,
/// and goes with this object. An empty path stands for no file.
class ReadyFile {
 public:
  static Result<ReadyFile> write(const std::string& path, const std::string& document);
  ~ReadyFile();
  ReadyFile(ReadyFile&& other) noexcept : path_(std::exchange(other.path_, {})) {}
  ReadyFile& operator=(ReadyFile&&) = delete;

 private:
  explicit ReadyFile(std::string path) : path_(std::move(path)) {}

  std::string path_;
};

}  // namespace ssn::hw
