// SPDX-License-Identifier: BSD-3-Clause
#include "command.h"
#include "seal_output.h"

namespace ssn::cli {
namespace {

constexpr const char* schema = "ssn.open/1";

class OpenCommand final : public Command {
 public:
  const char* name() const noexcept override { return "open"; }
  const char* summary() const noexcept override {
    return "Open a file that another node sealed for this one";
  }
  const char* examples() const noexcept override {
    return "  ssn open --config sae-b.toml -o report.pdf report.pdf.sealed\n"
           "  ssn open --config sae-b.toml --json -o report.pdf report.pdf.sealed   with the account of its "
           "keys\n";
  }
  void declare(OptionTable& table) override;
  Exit run(const OutputOptions& output) override;

 private:
  std::string config_;
  std::string input_;
  std::string target_;
  unsigned wait_seconds_ = 10;
  bool force_ = false;
};

void OpenCommand::declare(OptionTable& table) {
  using Need = OptionTable::Need;
  table.argument("FILE", input_, "A sealed file; it can be opened once");
  table.text("--config", config_, "FILE", Need::required,
             "Configuration of this node: name, ledger, key devices");
  table.text("-o,--output", target_, "FILE", Need::required, "Where to put what was sealed");
  table.number("--wait", wait_seconds_, 0, 86400, Need::optional,
               "Seconds to wait for keys that are not there yet before giving up (default 10)");
  table.flag("--force", force_, "Replace an existing file");
}

Exit OpenCommand::run(const OutputOptions& output) {
  const Result<NodeConfiguration> node = NodeConfiguration::load(config_);
  if (!node.ok()) {
    return seal_failure(output, schema, node.error());
  }
  const Result<const kernels::Implementation*> implementation = choose_kernels();
  if (!implementation.ok()) {
    return seal_failure(output, schema, implementation.error());
  }
  OpenOptions options;
  options.input = input_;
  options.output = target_;
  options.patience = std::chrono::seconds(wait_seconds_);
  options.force = force_;
  Progress progress("open", output.quiet);
  const Result<SealReport> report = open_file(node.value(), options, *implementation.value(), progress);
  progress.finish();
  if (!report.ok()) {
    return seal_failure(output, schema, report.error());
  }
  print_seal_report(output, schema, "opened", options.output, report.value(), *implementation.value());
  return Exit::ok;
}

}  // namespace

std::unique_ptr<Command> make_open_command() { return std::make_unique<OpenCommand>(); }

}  // namespace ssn::cli
