// SPDX-License-Identifier: BSD-3-Clause
// `ssn offload list` and `ssn offload test`.
#include <fmt/core.h>

#include <charconv>
#include <optional>
#include <random>

#include "command.h"
#include "conformance/conformance.h"
#include "json.h"
#include "ssn/offload_check.h"

namespace ssn::cli {
namespace {

namespace offload = hw::offload;

constexpr std::size_t settings_max = 64;

std::string operations(const ssn_offload_device_info& info) {
  std::string all;
  for (unsigned i = 0; i < SSN_OFFLOAD_OPERATIONS; ++i) {
    if (ssn_offload_is_in(i, info.operations)) {
      all += all.empty() ? "" : " ";
      all += hw::name(static_cast<ssn_offload_operation>(i));
    }
  }
  return all;
}

void write_device(JsonWriter& json, const ssn_offload_device_info& info) {
  json.member("identity", info.identity).member("operations", operations(info));
  json.member("asynchronous", info.completion == SSN_OFFLOAD_ASYNCHRONOUS).member("ordered", info.ordered);
  json.member("in_place", info.in_place).member("memory_registration", info.memory_registration);
  json.member("rows_max", info.rows_max).member("columns_max", info.columns_max);
  json.member("length_max", info.length_max).member("alignment", info.alignment);
  json.member("segments_max", info.segments_max).member("queue_depth_max", info.queue_depth_max);
  json.member("numa_node", std::to_string(info.numa_node));
}

// ---- list -----------------------------------------------------------------------------------------------

class OffloadListCommand final : public Command {
 public:
  const char* name() const noexcept override { return "list"; }
  const char* group() const noexcept override { return "offload"; }
  const char* summary() const noexcept override { return "Show the drivers of offload devices"; }
  const char* examples() const noexcept override {
    return "  ssn offload list                                   those that are found by name\n"
           "  SSN_DRIVER_PATH=/opt/vendor/lib ssn offload list   with those of a vendor\n";
  }
  void declare(OptionTable&) override {}
  Exit run(const OutputOptions& output) override;
};

struct Listed {
  hw::OffloadDriverFile file;
  Result<hw::OffloadDevice> device;
};

void print_list(const std::vector<Listed>& drivers) {
  std::string text;
  for (const Listed& driver : drivers) {
    text += fmt::format("{:<16} {}\n", driver.file.name, driver.file.path);
    if (driver.device.ok()) {
      const ssn_offload_device_info& info = driver.device.value().info();
      text += fmt::format("  {}\n  device      {}\n  operations  {}\n",
                          driver.device.value().driver().description, info.identity, operations(info));
      text += fmt::format("  limits      {} x {}, {} bytes, {} segments, {} in flight{}{}\n", info.rows_max,
                          info.columns_max, info.length_max, info.segments_max, info.queue_depth_max,
                          info.completion == SSN_OFFLOAD_INLINE ? ", inline" : ", asynchronous",
                          info.ordered ? ", in order" : ", in any order");
    } else {
      text += fmt::format("  not usable: {}\n", driver.device.error().why);
    }
  }
  print_text(text.empty() ? "no drivers were found\n" : text);
}

Exit OffloadListCommand::run(const OutputOptions& output) {
  std::vector<Listed> drivers;
  for (hw::OffloadDriverFile& file : hw::list_offload_drivers()) {
    Result<hw::OffloadDevice> device = hw::OffloadDevice::open({.driver = file.path});
    drivers.push_back({std::move(file), std::move(device)});
  }
  if (!output.json) {
    if (!output.quiet) {
      print_list(drivers);
    }
    return Exit::ok;
  }
  JsonWriter json;
  begin_document(json, "ssn.offload-list/1", nullptr);
  json.key("drivers").begin_array();
  for (const Listed& driver : drivers) {
    json.begin_object().member("name", driver.file.name).member("file", driver.file.path);
    json.member("usable", driver.device.ok());
    if (driver.device.ok()) {
      json.member("description", driver.device.value().driver().description);
      write_device(json, driver.device.value().info());
    } else {
      json.member("why", driver.device.error().why);
    }
    json.end_object();
  }
  json.end_array().end_object();
  print_text(json.text());
  return Exit::ok;
}

// ---- test -----------------------------------------------------------------------------------------------

class OffloadTestCommand final : public Command {
 public:
  const char* name() const noexcept override { return "test"; }
  const char* group() const noexcept override { return "offload"; }
  const char* summary() const noexcept override {
    return "Check whether a driver of an offload device does what it must";
  }
  const char* examples() const noexcept override {
    return "  ssn offload test ./my-driver.so        all checks, pass, FAIL or skip each\n"
           "  ssn offload test cpu --seed 7          a driver by name; the same jobs as last time\n"
           "  ssn offload test fault fault=corrupt   settings of the driver follow its name\n";
  }
  void declare(OptionTable& table) override;
  Exit run(const OutputOptions& output) override;

 private:
  Result<offload::ConformanceOptions> options() const;
  Result<hw::OffloadDevice::Options> driver() const;
  void print_json(std::uint64_t seed, const offload::ConformanceReport& report, const Error* error) const;

  std::vector<std::string> driver_and_settings_;
  std::string seed_;
  std::string only_;
  unsigned patience_ = 5;
};

void OffloadTestCommand::declare(OptionTable& table) {
  table.arguments("DRIVER", driver_and_settings_, settings_max + 1,
                  "Name or file (with a slash) of the driver, then its settings as NAME=VALUE");
  table.text("--seed", seed_, "N", OptionTable::Need::optional,
             "Makes the same jobs as the run that printed this seed");
  table.text("--only", only_, "TEXT", OptionTable::Need::optional, "Only checks whose names contain TEXT");
  table.number("--patience", patience_, 1, 600, OptionTable::Need::optional,
               "Seconds until a job that does not come back counts as lost (5)");
}

Error usage(std::string why, std::string where, std::string fix) {
  return {Exit::usage, "cannot check the driver", std::move(why), std::move(where), std::move(fix)};
}

Result<offload::ConformanceOptions> OffloadTestCommand::options() const {
  offload::ConformanceOptions options;
  options.only = only_;
  options.patience_seconds = patience_;
  if (seed_.empty()) {
    options.seed = std::random_device()();
    return options;
  }
  const auto [end, status] = std::from_chars(seed_.data(), seed_.data() + seed_.size(), options.seed);
  if (status != std::errc() || end != seed_.data() + seed_.size()) {
    return usage(fmt::format("'{}' is not a number of 64 bits", seed_), "--seed", "give a decimal number");
  }
  return options;
}

Result<hw::OffloadDevice::Options> OffloadTestCommand::driver() const {
  hw::OffloadDevice::Options options;
  options.driver = driver_and_settings_[0];
  for (std::size_t i = 1; i < driver_and_settings_.size(); ++i) {
    const std::string& setting = driver_and_settings_[i];
    const std::size_t equals = setting.find('=');
    if (equals == std::string::npos || equals == 0) {
      return usage(fmt::format("'{}' is not a setting", setting), "", "write settings as NAME=VALUE");
    }
    options.settings.emplace_back(setting.substr(0, equals), setting.substr(equals + 1));
  }
  return options;
}

void OffloadTestCommand::print_json(std::uint64_t seed, const offload::ConformanceReport& report,
                                    const Error* error) const {
  JsonWriter json;
  begin_document(json, "ssn.offload-test/1", error);
  json.member("driver", report.driver).member("file", report.file).member("seed", std::to_string(seed));
  json.member("passed", report.count(offload::Verdict::passed));
  json.member("failed", report.count(offload::Verdict::failed));
  json.member("skipped", report.count(offload::Verdict::skipped));
  json.key("device").begin_object();
  write_device(json, report.info);
  json.end_object().key("checks").begin_array();
  for (const offload::CheckReport& check : report.checks) {
    json.begin_object().member("name", check.name).member("promise", check.promise);
    json.member("verdict", offload::name(check.verdict)).member("detail", check.detail);
    json.member("milliseconds", static_cast<std::uint64_t>(check.seconds * 1000)).end_object();
  }
  json.end_array().end_object();
  print_text(json.text());
}

void print_check(const offload::CheckReport& check) {
  std::string line = fmt::format("{}  {:<16} {}", offload::name(check.verdict), check.name, check.promise);
  if (check.verdict == offload::Verdict::passed && !check.detail.empty()) {
    line += fmt::format(" ({})", check.detail);
  } else if (!check.detail.empty()) {
    line += fmt::format("\n        {}", check.detail);
  }
  print_text(line + "\n");
}

Error failure(const offload::ConformanceReport& report) {
  std::string names;
  for (const offload::CheckReport& check : report.checks) {
    if (check.verdict == offload::Verdict::failed) {
      names += (names.empty() ? "" : ", ") + check.name;
    }
  }
  return {Exit::integrity, fmt::format("the driver {} breaks the rules of offload devices", report.driver),
          fmt::format("{} of {} checks failed: {}", report.count(offload::Verdict::failed),
                      report.checks.size(), names),
          report.file, "do not use it; its maker finds the rules in include/ssn/offload_device.h"};
}

Exit OffloadTestCommand::run(const OutputOptions& output) {
  Result<offload::ConformanceOptions> options = this->options();
  const Result<hw::OffloadDevice::Options> driver = this->driver();
  std::optional<Error> error;
  offload::ConformanceReport report;
  if (!options.ok() || !driver.ok()) {
    error = options.ok() ? driver.error() : options.error();
  } else {
    const bool text = !output.json && !output.quiet;
    if (text) {
      print_text(
          fmt::format("seed {} (repeat with --seed {})\n", options.value().seed, options.value().seed));
      options.value().on_check = print_check;
    }
    Result<offload::ConformanceReport> tested = offload::test_offload_driver(driver.value(), options.value());
    if (tested.ok()) {
      report = std::move(tested.value());
    } else {
      error = std::move(tested.error());
    }
    if (!error && report.count(offload::Verdict::failed) > 0) {
      error = failure(report);
    }
    if (text && !report.checks.empty()) {
      print_text(fmt::format("{} passed, {} failed, {} skipped\n", report.count(offload::Verdict::passed),
                             report.count(offload::Verdict::failed),
                             report.count(offload::Verdict::skipped)));
    }
  }
  if (output.json) {
    print_json(options.ok() ? options.value().seed : 0, report, error ? &*error : nullptr);
  }
  if (error) {
    print_error(*error);
    return error->code;
  }
  return Exit::ok;
}

}  // namespace

std::unique_ptr<Command> make_offload_list_command() { return std::make_unique<OffloadListCommand>(); }
std::unique_ptr<Command> make_offload_test_command() { return std::make_unique<OffloadTestCommand>(); }

}  // namespace ssn::cli
