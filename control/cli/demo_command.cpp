// SPDX-License-Identifier: BSD-3-Clause
// `ssn demo up|status|down`: hands over to scripts/lib/demo.py, which makes network namespaces and starts the
// other programs in them.
#include <fmt/core.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <filesystem>

#include "command.h"

namespace ssn::cli {
namespace {

constexpr const char* python = "/usr/bin/python3";

Exit fail(const char* name, const Error& error, const OutputOptions& output) {
  print_error(error);
  if (output.json) {
    print_error_document(fmt::format("ssn.demo.{}/1", name), error);
  }
  return error.code;
}

// Installed beside this program, or in the clone whose build directory it lies in.
Result<std::string> find_script(const std::filesystem::path& program) {
  const std::filesystem::path folder = program.parent_path();
  for (const char* const place : {"../share/shareline/demo/demo.py", "../../../scripts/lib/demo.py"}) {
    const std::filesystem::path script = folder / place;
    std::error_code error;
    if (std::filesystem::exists(script, error)) {
      return script.lexically_normal().string();
    }
  }
  return Error{Exit::not_found, "cannot run the demonstration", "its script demo.py is not there",
               folder.string(),
               "install Shareline whole (meson install), or run scripts/lib/demo.py of a clone"};
}

class DemoCommand final : public Command {
 public:
  DemoCommand(const char* name, const char* summary, const char* examples)
      : name_(name), summary_(summary), examples_(examples) {}

  const char* name() const noexcept override { return name_; }
  const char* group() const noexcept override { return "demo"; }
  const char* summary() const noexcept override { return summary_; }
  const char* examples() const noexcept override { return examples_; }
  void declare(OptionTable& table) override {
    table.text("--folder", folder_, "DIRECTORY", OptionTable::Need::optional,
               "Where its files, logs and stores lie (default: /run/shareline-demo)");
  }
  Exit run(const OutputOptions& output) override;

 private:
  const char* name_;
  const char* summary_;
  const char* examples_;
  std::string folder_;
};

Exit DemoCommand::run(const OutputOptions& output) {
  std::error_code unknown;
  const std::filesystem::path program = std::filesystem::read_symlink("/proc/self/exe", unknown);
  if (unknown) {
    return fail(name_, system_error(unknown.value(), "cannot run the demonstration", "/proc/self/exe"),
                output);
  }
  Result<std::string> script = find_script(program);
  if (!script.ok()) {
    return fail(name_, script.error(), output);
  }
  std::vector<std::string> words{python, "-B", script.value(), name_, "--ssn", program.string()};
  if (!folder_.empty()) {
    words.insert(words.end(), {"--folder", folder_});
  }
  if (output.json) {
    words.emplace_back("--json");
  }
  if (output.quiet) {
    words.emplace_back("--quiet");
  }
  std::vector<char*> arguments;
  for (std::string& word : words) {
    arguments.push_back(word.data());
  }
  arguments.push_back(nullptr);
  ::execv(python, arguments.data());
  return fail(name_, system_error(errno, "cannot run the demonstration", python), output);
}

}  // namespace

std::vector<std::unique_ptr<Command>> make_demo_commands() {
  std::vector<std::unique_ptr<Command>> commands;
  commands.push_back(std::make_unique<DemoCommand>("up", "Start a storage network to play with",
                                                   "  sudo ssn demo up              controller, SSA, seven "
                                                   "shareholders, key managers; says how to use it\n"));
  commands.push_back(
      std::make_unique<DemoCommand>("status", "Show which of its processes run",
                                    "  sudo ssn demo status          exit code 3 where one does not\n"));
  commands.push_back(std::make_unique<DemoCommand>("down", "End it, and remove all that it stored",
                                                   "  sudo ssn demo down\n"));
  return commands;
}

}  // namespace ssn::cli
