// SPDX-License-Identifier: BSD-3-Clause
#include "seal_output.h"

#include <fmt/core.h>

#include <algorithm>

namespace ssn::cli {
namespace {

// The weaker of what both ends claim.
ssn_protection protection_of(const SealReport& report) {
  return static_cast<ssn_protection>(
      std::min<unsigned>(report.preamble.protection, report.device.protection));
}

const char* name_of(ssn_protection protection) {
  switch (protection) {
    case SSN_PROTECTION_EMULATED:
      return "emulated";
    case SSN_PROTECTION_COMPUTATIONAL:
      return "computational";
    case SSN_PROTECTION_INFORMATION_THEORETIC:
      return "information-theoretic";
  }
  return "emulated";
}

const char* meaning_of(ssn_protection protection) {
  switch (protection) {
    case SSN_PROTECTION_EMULATED:
      return "the keys came from an emulator or a seed: NO protection is claimed";
    case SSN_PROTECTION_COMPUTATIONAL:
      return "safe while a cipher holds";
    case SSN_PROTECTION_INFORMATION_THEORETIC:
      return "one-time pads from a QKD network";
  }
  return "";
}

void write_account(JsonWriter& json, std::string_view name, const protocol::KeyAccount& account) {
  json.key(name).begin_object();
  json.member("fetched_bytes", account.fetched).member("used_bytes", account.used);
  json.member("kept_bytes", account.kept).member("discarded_bytes", account.discarded);
  json.member("left_bytes", account.left).member("balanced", account.balanced()).end_object();
}

void print_account(const OutputOptions& output, const char* name, const protocol::KeyAccount& account) {
  print_note(output,
             fmt::format("{}: {} bytes fetched = {} used + {} kept + {} discarded + {} left", name,
                         account.fetched, account.used, account.kept, account.discarded, account.left));
}

}  // namespace

Exit seal_failure(const OutputOptions& output, std::string_view schema, const Error& error) {
  print_error(error);
  if (output.json) {
    print_error_document(schema, error);
  }
  return error.code;
}

void print_seal_report(const OutputOptions& output, std::string_view schema, std::string_view verb,
                       const std::string& file, const SealReport& report,
                       const kernels::Implementation& implementation) {
  const ssn_protection protection = protection_of(report);
  if (output.json) {
    JsonWriter json;
    begin_document(json, schema, nullptr);
    json.member("file", file).member("bytes", report.preamble.file_bytes);
    json.member("sealed_bytes", report.preamble.sealed_bytes()).member("cells", report.preamble.cells());
    json.member("sender", report.preamble.sender).member("recipient", report.preamble.recipient);
    json.member("protection", name_of(protection)).member("key_device", report.device.identity);
    json.key("keys").begin_object();
    write_account(json, "pads", report.keys.pads);
    write_account(json, "tag_keys", report.keys.tag_keys);
    json.end_object().member("seconds", report.seconds);
    json.member("kernels", kernels::name(implementation)).end_object();
    print_text(json.text());
    return;
  }
  if (!output.quiet) {
    print_text(file + "\n");
  }
  print_note(output, fmt::format("{} {}", verb,
                                 describe_speed(report.preamble.file_bytes, report.seconds, implementation)));
  print_account(output, "pads", report.keys.pads);
  print_account(output, "tag keys", report.keys.tag_keys);
  const std::string class_line =
      fmt::format("protection {}: {}", name_of(protection), meaning_of(protection));
  if (protection == SSN_PROTECTION_EMULATED) {
    print_warning(class_line);
  } else {
    print_note(output, class_line);
  }
}

}  // namespace ssn::cli
