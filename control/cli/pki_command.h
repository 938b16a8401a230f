// SPDX-License-Identifier: BSD-3-Clause
// What the commands of `ssn pki` have in common.
#pragma once

#include <fmt/core.h>

#include <memory>
#include <string>

#include "authority.h"
#include "command.h"

namespace ssn::cli {

/// Options, and what all say alike.
class PkiCommand : public Command {
 public:
  PkiCommand(const char* name, const char* summary, const char* examples)
      : name_(name), summary_(summary), examples_(examples), schema_(fmt::format("ssn.pki.{}/1", name)) {}
  const char* name() const noexcept final { return name_; }
  const char* group() const noexcept final { return "pki"; }
  const char* summary() const noexcept final { return summary_; }
  const char* examples() const noexcept final { return examples_; }

  void declare(OptionTable& table) final {
    declare_more(table);
    if (needs_authority()) {
      table.text("--authority", authority_, "FOLDER", OptionTable::Need::optional,
                 "Where the authority lies (default: pki)");
    }
  }

  Exit run(const OutputOptions& output) final {
    const Result<Exit> result = act(output);
    if (result.ok()) return result.value();
    print_error(result.error());
    if (output.json) print_error_document(schema_, result.error());
    return result.error().code;
  }

 protected:
  virtual void declare_more(OptionTable&) {}
  virtual bool needs_authority() const { return true; }
  virtual Result<Exit> act(const OutputOptions& output) = 0;

  const std::string& authority() const { return authority_; }
  const std::string& schema() const { return schema_; }

 private:
  const char* name_;
  const char* summary_;
  const char* examples_;
  std::string schema_;
  std::string authority_ = "pki";
};

/// One that works on an authority that is there.
class AuthorityCommand : public PkiCommand {
 public:
  using PkiCommand::PkiCommand;

 protected:
  virtual Result<Exit> work(pki::Authority& by, const OutputOptions& output) = 0;

 private:
  Result<Exit> act(const OutputOptions& output) final {
    Result<pki::Authority> by = pki::Authority::open(authority());
    return by.ok() ? work(by.value(), output) : by.error();
  }
};

/// `fill` adds the members of the document.
template <typename Fill>
void print_document(const std::string& schema, const Error* error, const Fill& fill) {
  JsonWriter json;
  begin_document(json, schema, error);
  fill(json);
  json.end_object();
  print_text(json.text());
}

std::unique_ptr<Command> make_pki_list_command();
std::unique_ptr<Command> make_pki_show_command();

}  // namespace ssn::cli
