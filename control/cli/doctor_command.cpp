// SPDX-License-Identifier: BSD-3-Clause
#include <fmt/core.h>

#include <algorithm>

#include "command.h"
#include "ssn/hw/preflight.h"

namespace ssn::cli {
namespace {

using hw::Level;

class DoctorCommand final : public Command {
 public:
  const char* name() const noexcept override { return "doctor"; }
  const char* summary() const noexcept override {
    return "Check whether this machine is ready, and say what mends it";
  }
  const char* examples() const noexcept override {
    return "  ssn doctor                           every check, and the command that mends each finding\n"
           "  ssn doctor --config site.toml        also ports, certificates and the ledger's folder\n"
           "  ssn doctor --quiet                   warnings and errors only\n";
  }
  void declare(OptionTable& table) override {
    table.text("--config", config_, "FILE", OptionTable::Need::optional,
               "What the machine is to run: memory, cores, ports, certificates, ledger");
  }
  Exit run(const OutputOptions& output) override;

 private:
  void print(const std::vector<hw::Finding>& findings, bool quiet) const;
  void print_json(const std::vector<hw::Finding>& findings, const Error* error) const;

  std::string config_;
};

std::size_t count(const std::vector<hw::Finding>& findings, Level level) {
  return static_cast<std::size_t>(std::count_if(
      findings.begin(), findings.end(), [&](const hw::Finding& finding) { return finding.level == level; }));
}

std::string plural(std::size_t number, const char* word) {
  return fmt::format("{} {}{}", number, word, number == 1 ? "" : "s");
}

void DoctorCommand::print(const std::vector<hw::Finding>& findings, bool quiet) const {
  std::string text;
  for (const hw::Finding& finding : findings) {
    if (quiet && finding.level < Level::warning) {
      continue;
    }
    text += fmt::format("{:<8} {:<29} {}\n", hw::name(finding.level), finding.id, finding.what);
    if (!finding.why.empty()) {
      text += fmt::format("  why    {}\n", finding.why);
    }
    if (!finding.fix.empty()) {
      text += fmt::format("  fix    {}\n", finding.fix);
    }
  }
  print_text(text);
}

void DoctorCommand::print_json(const std::vector<hw::Finding>& findings, const Error* error) const {
  JsonWriter json;
  begin_document(json, "ssn.doctor/1", error);
  json.member("level", hw::name(hw::worst(findings))).key("count").begin_object();
  for (const Level level : {Level::ok, Level::note, Level::warning, Level::error}) {
    json.member(hw::name(level), static_cast<std::uint64_t>(count(findings, level)));
  }
  json.end_object().key("findings").begin_array();
  for (const hw::Finding& finding : findings) {
    json.begin_object().member("id", finding.id).member("level", hw::name(finding.level));
    json.member("what", finding.what).member("why", finding.why).member("fix", finding.fix).end_object();
  }
  json.end_array().end_object();
  print_text(json.text());
}

Exit DoctorCommand::run(const OutputOptions& output) {
  const Result<hw::PreflightWish> wish =
      config_.empty() ? Result<hw::PreflightWish>(hw::PreflightWish{}) : hw::read_preflight_wish(config_);
  if (!wish.ok()) {
    print_error(wish.error());
    if (output.json) {
      print_error_document("ssn.doctor/1", wish.error());
    }
    return wish.error().code;
  }
  const std::vector<hw::Finding> findings = hw::run_preflight(*hw::make_system_view(), wish.value());
  const Level level = hw::worst(findings);
  Error error;
  error.code = level == Level::error ? Exit::failed : Exit::degraded;
  error.what = level == Level::error ? "this machine is not ready" : "this machine could do better";
  error.why = fmt::format("{} and {} were found", plural(count(findings, Level::error), "error"),
                          plural(count(findings, Level::warning), "warning"));
  error.fix = "run the commands that the findings name; docs/operating.md says more about each";
  const bool bad = level >= Level::warning;
  if (output.json) {
    print_json(findings, bad ? &error : nullptr);
  } else {
    print(findings, output.quiet);
  }
  if (!bad) {
    print_note(output, "this machine is ready");
    return Exit::ok;
  }
  print_error(error);
  return error.code;
}

}  // namespace

std::unique_ptr<Command> make_doctor_command() { return std::make_unique<DoctorCommand>(); }

}  // namespace ssn::cli
