// SPDX-License-Identifier: BSD-3-Clause
#include <fmt/core.h>

#include "combiner.h"
#include "command.h"

namespace ssn::cli {
namespace {

class CombineCommand final : public Command {
 public:
  const char* name() const noexcept override { return "combine"; }
  const char* summary() const noexcept override {
    return "Restore a file from its shares and name the bad ones";
  }
  const char* examples() const noexcept override {
    return "  ssn combine -o photo.raw photo.raw.*.ssn        any k good shares do; more than k check each "
           "other\n"
           "  ssn combine -o - docs.tar.1.ssn docs.tar.3.ssn | tar x\n"
           "  ssn combine --json -o photo.raw photo.raw.*.ssn   the findings for a program\n"
           "  ssn combine --format gfshare -o key.pem key.pem.001 key.pem.017 key.pem.200\n";
  }
  void declare(OptionTable& table) override;
  Exit run(const OutputOptions& output) override;

 private:
  Exit fail(const OutputOptions& output, const Error& error) const;
  void print_findings(const CombineReport& report) const;
  void print_json(const CombineReport& report, const kernels::Implementation& implementation) const;

  CombineOptions options_;
  std::string format_ = "ssn";
};

void CombineCommand::declare(OptionTable& table) {
  using Need = OptionTable::Need;
  table.arguments("SHARE", options_.shares, share_arguments_max, "Share files in any order");
  table.text("-o,--output", options_.output, "OUT", Need::required, "File to restore; - is standard output");
  table.choice("--format", format_, {"ssn", "gfshare"}, "ssn (default) or gfshare: files that gfsplit made");
  table.number("-k,--k", options_.k, 2, kernels::max_shares, Need::optional,
               "gfshare: how many shares are needed (default: as many as are given). With fewer than are "
               "given the rest checks them");
  table.flag("--force", options_.force, "Replace an existing OUT");
}

std::string describe_checks(const CombineReport& report, ShareFormat format) {
  if (report.blocks == 0) {
    return "it is empty";
  }
  if (report.checked_blocks == report.blocks) {
    return "all blocks were checked against surplus shares";
  }
  if (format == ShareFormat::gfshare) {
    return "NOTHING was checked: this format has no checksums, and there was no surplus share";
  }
  return fmt::format("blocks were checked by their checksums{}",
                     report.checked_blocks == 0 ? std::string()
                                                : fmt::format(", {} of {} also against surplus shares",
                                                              report.checked_blocks, report.blocks));
}

Exit CombineCommand::fail(const OutputOptions& output, const Error& error) const {
  print_error(error);
  if (output.json) {
    print_error_document("ssn.combine/1", error);
  }
  return error.code;
}

void CombineCommand::print_findings(const CombineReport& report) const {
  for (const ShareInput& input : report.shares) {
    if (input.state != ShareState::good) {
      print_warning(fmt::format("{}: {} ({})", input.path, input.detail, cli::name(input.state)));
    }
  }
}

void CombineCommand::print_json(const CombineReport& report,
                                const kernels::Implementation& implementation) const {
  JsonWriter json;
  begin_document(json, "ssn.combine/1", report.error ? &*report.error : nullptr);
  json.member("output", options_.output).member("format", format_).key("object");
  if (report.header) {
    json.begin_object();
    write_object(json, *report.header);
    json.end_object();
  } else {
    json.null();
  }
  json.key("shares").begin_array();
  for (const ShareInput& input : report.shares) {
    json.begin_object();
    json.member("file", input.path).member("state", cli::name(input.state)).member("detail", input.detail);
    json.key("share");
    if (input.header) {
      json.value(input.header->share);
    } else {
      json.null();
    }
    json.member("damaged_blocks", input.bad_blocks).end_object();
  }
  json.end_array().member("blocks", report.blocks).member("checked_blocks", report.checked_blocks);
  json.member("seconds", report.seconds);
  const double bytes = report.header ? static_cast<double>(report.header->object_bytes) : 0.0;
  json.member("bytes_per_second", !report.error && report.seconds > 0 ? bytes / report.seconds : 0.0);
  json.member("kernels", kernels::name(implementation)).end_object();
  print_text(json.text());
}

Exit CombineCommand::run(const OutputOptions& output) {
  options_.format = format_ == "gfshare" ? ShareFormat::gfshare : ShareFormat::ssn;
  if (output.json && options_.output == "-") {
    return fail({}, {Exit::usage, "cannot write both", "--json and -o - want standard output for themselves",
                     "--json, -o -", "restore into a file, or leave --json out"});
  }
  if (options_.k != 0 && options_.format != ShareFormat::gfshare) {
    return fail(output,
                {Exit::usage, "cannot choose k",
                 "share files of format ssn say themselves how many are needed", "--k", "leave --k out"});
  }
  const Result<const kernels::Implementation*> implementation = choose_kernels();
  if (!implementation.ok()) {
    return fail(output, implementation.error());
  }
  Progress progress("combine", output.quiet);
  const CombineReport report = combine(options_, *implementation.value(), progress);
  print_findings(report);
  if (report.error) {
    print_error(*report.error);
  }
  if (output.json) {
    print_json(report, *implementation.value());
  }
  if (report.error) {
    return report.error->code;
  }
  const std::string target = options_.output == "-" ? "standard output" : options_.output;
  const std::string checked = describe_checks(report, options_.format);
  print_note(output, fmt::format("restored {} from {} shares; {}", target, report.header->k, checked));
  print_note(output, "combined " + describe_speed(report.header->object_bytes, report.seconds,
                                                  *implementation.value()));
  return Exit::ok;
}

}  // namespace

std::unique_ptr<Command> make_combine_command() { return std::make_unique<CombineCommand>(); }

}  // namespace ssn::cli
