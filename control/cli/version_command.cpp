// SPDX-License-Identifier: BSD-3-Clause
#include <fmt/core.h>
#include <isa-l.h>

#include <cstdlib>

#include "command.h"

namespace ssn::cli {
namespace {

constexpr const char* licence = "BSD-3-Clause";

#if defined(__clang__)
constexpr const char* compiler = "clang " __clang_version__;
#else
constexpr const char* compiler = "g++ " __VERSION__;
#endif

std::string isal_version() {
  return fmt::format("{}.{}.{}", ISAL_MAJOR_VERSION, ISAL_MINOR_VERSION, ISAL_PATCH_VERSION);
}

const char* reason() {
  const char* const forced = std::getenv("SSN_KERNELS");
  return forced != nullptr && *forced != '\0' ? "forced by SSN_KERNELS" : "best that this machine supports";
}

class VersionCommand final : public Command {
 public:
  const char* name() const noexcept override { return "version"; }
  const char* summary() const noexcept override { return "Show the version and the kernels in use"; }
  const char* examples() const noexcept override {
    return "  ssn version\n"
           "  ssn version --json\n"
           "  SSN_KERNELS=scalar ssn version   forces one implementation\n";
  }
  void declare(OptionTable&) override {}
  Exit run(const OutputOptions& output) override;

 private:
  void print(const kernels::Implementation* chosen) const;
  void print_json(const kernels::Implementation* chosen, const Error* error) const;
};

void VersionCommand::print(const kernels::Implementation* chosen) const {
  std::string text = fmt::format("ssn {}\n", SSN_VERSION);
  if (chosen != nullptr) {
    text += fmt::format("kernels   {} ({})\n", kernels::name(*chosen), reason());
  }
  for (const kernels::Implementation* const candidate : kernels::implementations()) {
    text += fmt::format("  {:<12} {:<13} {}\n", kernels::name(*candidate),
                        kernels::supported(*candidate) ? "supported" : "not supported",
                        kernels::description(*candidate));
  }
  text +=
      fmt::format("ISA-L     {} (headers)\ncompiler  {}\nlicence   {}\n", isal_version(), compiler, licence);
  print_text(text);
}

void VersionCommand::print_json(const kernels::Implementation* chosen, const Error* error) const {
  JsonWriter json;
  begin_document(json, "ssn.version/1", error);
  json.member("version", SSN_VERSION).key("kernels").begin_object().key("implementation");
  if (chosen != nullptr) {
    json.value(kernels::name(*chosen)).member("reason", reason());
  } else {
    json.null();
    json.key("reason").null();
  }
  json.key("implementations").begin_array();
  for (const kernels::Implementation* const candidate : kernels::implementations()) {
    json.begin_object();
    json.member("name", kernels::name(*candidate)).member("supported", kernels::supported(*candidate));
    json.member("description", kernels::description(*candidate)).end_object();
  }
  json.end_array().end_object();
  json.member("share_file_version", 1U).member("isal", isal_version());
  json.member("compiler", compiler).member("licence", licence).end_object();
  print_text(json.text());
}

Exit VersionCommand::run(const OutputOptions& output) {
  const Result<const kernels::Implementation*> chosen = choose_kernels();
  const kernels::Implementation* const implementation = chosen.ok() ? chosen.value() : nullptr;
  const Error* const error = chosen.ok() ? nullptr : &chosen.error();
  if (output.json) {
    print_json(implementation, error);
  } else {
    print(implementation);
  }
  if (error != nullptr) {
    print_error(*error);
    return error->code;
  }
  return Exit::ok;
}

}  // namespace

std::unique_ptr<Command> make_version_command() { return std::make_unique<VersionCommand>(); }

}  // namespace ssn::cli
