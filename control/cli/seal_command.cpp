// SPDX-License-Identifier: BSD-3-Clause
#include "command.h"
#include "seal_output.h"

namespace ssn::cli {
namespace {

constexpr const char* schema = "ssn.seal/1";

class SealCommand final : public Command {
 public:
  const char* name() const noexcept override { return "seal"; }
  const char* summary() const noexcept override {
    return "Seal a file for another node under one-time pads and tags";
  }
  const char* examples() const noexcept override {
    return "  ssn seal --config sae-a.toml --to sae-b report.pdf    report.pdf.sealed beside the file\n"
           "  ssn seal --config sae-a.toml --to sae-b -o s report.pdf\n"
           "  ssn seal --config sae-a.toml --to sae-b --wait 600 big.img   wait for a slow QKD link\n";
  }
  void declare(OptionTable& table) override;
  Exit run(const OutputOptions& output) override;

 private:
  std::string config_;
  std::string peer_;
  std::string input_;
  std::string target_;
  std::uint64_t cell_bytes_ = default_cell_bytes;
  unsigned wait_seconds_ = 10;
  bool force_ = false;
};

void SealCommand::declare(OptionTable& table) {
  using Need = OptionTable::Need;
  table.argument("FILE", input_, "What to seal; a regular file");
  table.text("--config", config_, "FILE", Need::required,
             "Configuration of this node: name, ledger, key devices");
  table.text("--to", peer_, "SAE", Need::required, "SAE ID of the node that is to open it");
  table.text("-o,--output", target_, "FILE", Need::optional, "Where to put it (default: FILE.sealed)");
  table.number("--wait", wait_seconds_, 0, 86400, Need::optional,
               "Seconds to wait for keys that are not there yet before giving up (default 10)");
  table.size("--cell-size", cell_bytes_, protocol::pad_alignment, protocol::max_payload,
             "Bytes under one tag, a multiple of 64 (default 1344)");
  table.flag("--force", force_, "Replace an existing file");
}

Exit SealCommand::run(const OutputOptions& output) {
  if (cell_bytes_ % protocol::pad_alignment != 0) {
    return seal_failure(output, schema,
                        {Exit::usage, "cannot use this cell size", "it is no multiple of 64 bytes",
                         "--cell-size", "choose such a size, 1344 for instance"});
  }
  const Result<NodeConfiguration> node = NodeConfiguration::load(config_);
  if (!node.ok()) {
    return seal_failure(output, schema, node.error());
  }
  if (peer_ == node.value().name || peer_.empty() || peer_.size() > SSN_PEER_NAME_MAX) {
    return seal_failure(output, schema,
                        {Exit::usage, "cannot seal for " + peer_, "that is not another node's SAE ID", "--to",
                         "name the node that is to open the file"});
  }
  const Result<const kernels::Implementation*> implementation = choose_kernels();
  if (!implementation.ok()) {
    return seal_failure(output, schema, implementation.error());
  }
  SealOptions options;
  options.input = input_;
  options.output = target_.empty() ? input_ + ".sealed" : target_;
  options.peer = peer_;
  options.cell_bytes = static_cast<std::uint32_t>(cell_bytes_);
  options.patience = std::chrono::seconds(wait_seconds_);
  options.force = force_;
  Progress progress("seal", output.quiet);
  const Result<SealReport> report = seal_file(node.value(), options, *implementation.value(), progress);
  progress.finish();
  if (!report.ok()) {
    return seal_failure(output, schema, report.error());
  }
  print_seal_report(output, schema, "sealed", options.output, report.value(), *implementation.value());
  return Exit::ok;
}

}  // namespace

std::unique_ptr<Command> make_seal_command() { return std::make_unique<SealCommand>(); }

}  // namespace ssn::cli
