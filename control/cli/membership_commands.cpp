// SPDX-License-Identifier: BSD-3-Clause
// `ssn membership SUBCOMMAND`: who belongs to a network and below what nobody goes, as operators sign it.
#include <fmt/core.h>
#include <unistd.h>

#include <cerrno>
#include <ctime>

#include "command.h"
#include "files.h"
#include "live_membership.h"
#include "shown_text.h"
#include "signatures.h"
#include "text_table.h"

namespace ssn::cli {
namespace {

using membership::Document;
using membership::Files;
using membership::Pinned;
using enum OptionTable::Need;

constexpr const char* signatures_end = ".p7s";

class MembershipCommand : public Command {
 public:
  MembershipCommand(const char* name, const char* summary, const char* examples)
      : name_(name),
        summary_(summary),
        examples_(examples),
        schema_(fmt::format("ssn.membership.{}/1", name)) {}
  const char* name() const noexcept final { return name_; }
  const char* group() const noexcept final { return "membership"; }
  const char* summary() const noexcept final { return summary_; }
  const char* examples() const noexcept final { return examples_; }

  Exit run(const OutputOptions& output) final {
    const Result<Exit> result = act(output);
    if (result.ok()) return result.value();
    print_error(result.error());
    if (output.json) print_error_document(schema_, result.error());
    return result.error().code;
  }

 protected:
  virtual Result<Exit> act(const OutputOptions& output) = 0;
  const std::string& schema() const { return schema_; }

 private:
  const char* name_;
  const char* summary_;
  const char* examples_;
  std::string schema_;
};

Result<Document> read_document(const std::string& file, const char* what) {
  const Result<std::string> text = pki::read_file(file, membership::document_max, false, what);
  return text.ok() ? membership::parse(text.value(), file) : text.error();
}

// What is said of a document everywhere.
void add_members(JsonWriter& json, const Document& document) {
  json.member("network", document.network).member("serial", document.serial);
  json.member("from", membership::time_text(document.from));
  json.member("until", membership::time_text(document.until)).member("digest", document.digest);
  const membership::Floor& floor = document.floor;
  json.key("floor").begin_object().member("minimum_t", std::uint64_t{floor.minimum_t});
  json.member("minimum_domains", std::uint64_t{floor.minimum_domains});
  json.member("protection", controller::name(floor.protection)).key("schemes").begin_array();
  for (const controller::Scheme scheme : floor.schemes) json.value(controller::name(scheme));
  json.end_array().member("resharing", membership::names_of(floor.resharing)).end_object();
  json.key("nodes").begin_array();
  for (const membership::Node& node : document.nodes) {
    json.begin_object().member("name", node.name).member("role", pki::name(node.role));
    json.member("domain", node.domain).member("key", node.key).end_object();
  }
  json.end_array();
}

void add_names(JsonWriter& json, const char* key, const std::vector<std::string>& names) {
  json.key(key).begin_array();
  for (const std::string& name : names) json.value(name);
  json.end_array();
}

std::string summary_of(const Document& document) {
  return fmt::format("network    {}\nserial     {}\nholds      {} to {}\ndigest     {}\n", document.network,
                     document.serial, membership::time_text(document.from),
                     membership::time_text(document.until), document.digest);
}

class SignCommand final : public MembershipCommand {
 public:
  SignCommand()
      : MembershipCommand(
            "sign", "Sign a membership, beside those who did already",
            "  ssn membership sign membership.toml --certificate dave.crt --key dave.key\n"
            "  ssn membership sign membership.toml --certificate erin.crt --key erin.key   adds one\n") {}

 private:
  void declare(OptionTable& table) override {
    table.argument("FILE", file_, "The membership, in TOML");
    table.text("--certificate", certificate_, "FILE", required,
               "Who signs: a certificate for signing documents");
    table.text("--key", key_, "FILE", required, "The private key of the certificate");
    table.text("--signatures", signatures_, "FILE", optional, "Where signatures are (default: FILE.p7s)");
  }

  Result<Exit> act(const OutputOptions& output) override {
    constexpr const char* what = "cannot sign the membership";
    if (signatures_.empty()) signatures_ = file_ + signatures_end;
    const Result<std::string> text = pki::read_file(file_, membership::document_max, false, what);
    if (!text.ok()) return text.error();
    // What no data plane would read is not signed.
    const Result<Document> document = membership::parse(text.value(), file_);
    if (!document.ok()) return document.error();
    const Result<std::string> certificate = pki::read_file(certificate_, pki::file_max, false, what);
    if (!certificate.ok()) return certificate.error();
    Result<std::string> key = pki::read_file(key_, pki::file_max, true, what);
    if (!key.ok()) return key.error();
    const pki::SecretText secret(std::move(key.value()));
    Result<std::string> before = std::string();
    if (::access(signatures_.c_str(), F_OK) == 0 || errno != ENOENT) {
      before = pki::read_file(signatures_, membership::signatures_max, false, what);
    }
    if (!before.ok()) return before.error();
    const Result<std::string> made = membership::add_signature(
        text.value(), before.value(), certificate.value(), secret.view(), signatures_);
    if (!made.ok()) return made.error();
    const bool changed = made.value() != before.value();
    if (changed) {
      if (Outcome put = pki::replace_file(signatures_, made.value(), 0644, what); !put.ok())
        return put.error();
    }
    say(output, document.value(), pki::holder_of(certificate.value()).name, changed);
    return Exit::ok;
  }

  void say(const OutputOptions& output, const Document& document, const std::string& who,
           bool changed) const {
    if (output.json) {
      JsonWriter json;
      begin_document(json, schema(), nullptr);
      json.member("file", signatures_).member("signer", who).member("added", changed);
      json.member("serial", document.serial).member("digest", document.digest).end_object();
      print_text(json.text());
      return;
    }
    print_text(signatures_ + "\n");
    print_note(output, fmt::format("{} {} number {} of {}", who, changed ? "signed" : "had signed already",
                                   document.serial, document.network));
  }

  std::string file_, certificate_, key_, signatures_;
};

class VerifyCommand final : public MembershipCommand {
 public:
  VerifyCommand()
      : MembershipCommand("verify", "Check that enough of those who may have signed a membership",
                          "  ssn membership verify membership.toml --signers signers.crt --threshold 2\n") {}

 private:
  void declare(OptionTable& table) override {
    table.argument("FILE", files_.document, "The membership, in TOML");
    table.text("--signers", files_.signers, "FILE", required, "Certificates of those who may sign");
    table.number("--threshold", files_.threshold, 1, membership::signers_max, required,
                 "So many of them must have");
    table.text("--signatures", files_.signatures, "FILE", optional,
               "Where signatures are (default: FILE.p7s)");
  }

  Result<Exit> act(const OutputOptions& output) override {
    if (files_.signatures.empty()) files_.signatures = files_.document + signatures_end;
    const Result<Pinned> pinned = membership::load_pinned(files_);
    if (!pinned.ok()) return pinned.error();
    const Document& document = pinned.value().document;
    if (const membership::Verdict now = membership::holds(document, ::time(nullptr)); !now.ok()) {
      return Error{Exit::refused, "cannot use the membership", now.why, files_.document,
                   "have one signed that holds now: ssn membership sign"};
    }
    if (output.json) {
      JsonWriter json;
      begin_document(json, schema(), nullptr);
      add_names(json, "signers", pinned.value().signers);
      json.member("threshold", files_.threshold);
      add_members(json, document);
      json.end_object();
      print_text(json.text());
      return Exit::ok;
    }
    print_text(summary_of(document) + fmt::format("signed by  {}\n", join_list(pinned.value().signers)));
    return Exit::ok;
  }

  Files files_;
};

class ShowCommand final : public MembershipCommand {
 public:
  ShowCommand()
      : MembershipCommand("show", "Show what a membership says; who signed it is verify's to say",
                          "  ssn membership show membership.toml\n") {}

 private:
  void declare(OptionTable& table) override { table.argument("FILE", file_, "The membership, in TOML"); }

  Result<Exit> act(const OutputOptions& output) override {
    const Result<Document> read = read_document(file_, "cannot show the membership");
    if (!read.ok()) return read.error();
    const Document& document = read.value();
    if (output.json) {
      JsonWriter json;
      begin_document(json, schema(), nullptr);
      add_members(json, document);
      json.end_object();
      print_text(json.text());
      return Exit::ok;
    }
    const membership::Floor& floor = document.floor;
    std::vector<std::string> schemes;
    for (const controller::Scheme each : floor.schemes) schemes.emplace_back(controller::name(each));
    TextTable table({"NODE", "ROLE", "DOMAIN", "KEY"});
    for (const membership::Node& node : document.nodes) {
      table.add(
          {node.name, std::string(pki::name(node.role)), node.domain.empty() ? "-" : node.domain, node.key});
    }
    print_text(summary_of(document) +
               fmt::format("floor      t {}, domains {}, {}\nschemes    {}\nre-sharing {}\n\n{}",
                           floor.minimum_t, floor.minimum_domains, controller::name(floor.protection),
                           join_list(schemes), membership::names_of(floor.resharing), table.text()));
    return Exit::ok;
  }

  std::string file_;
};

class DiffCommand final : public MembershipCommand {
 public:
  DiffCommand()
      : MembershipCommand("diff", "Show what a membership changes: before you sign it",
                          "  ssn membership diff old.toml new.toml\n") {}

 private:
  void declare(OptionTable& table) override {
    table.argument("OLD", old_, "The one that counts now");
    table.argument("NEW", new_, "The one that is to replace it");
  }

  Result<Exit> act(const OutputOptions& output) override {
    constexpr const char* what = "cannot compare memberships";
    const Result<Document> before = read_document(old_, what);
    if (!before.ok()) return before.error();
    const Result<Document> after = read_document(new_, what);
    if (!after.ok()) return after.error();
    const std::vector<std::string> lines = membership::differences(before.value(), after.value());
    if (output.json) {
      JsonWriter json;
      begin_document(json, schema(), nullptr);
      json.member("before", before.value().serial).member("after", after.value().serial);
      add_names(json, "changes", lines);
      json.end_object();
      print_text(json.text());
    } else {
      for (const std::string& line : lines) print_text(line + "\n");
      print_note(output,
                 fmt::format("number {} to number {}: {}", before.value().serial, after.value().serial,
                             lines.empty() ? "the same nodes and floor" : "see above"));
    }
    if (after.value().serial <= before.value().serial) {
      print_warning("its serial is not higher: data planes would not take it");
    }
    return Exit::ok;
  }

  std::string old_, new_;
};

class NodeCommand final : public MembershipCommand {
 public:
  NodeCommand()
      : MembershipCommand("node", "Write the entry of a node, from its certificate",
                          "  ssn membership node sae-h1.crt --domain site-1 >> membership.toml\n") {}

 private:
  void declare(OptionTable& table) override {
    table.argument("CERTIFICATE", certificate_, "The node's, in PEM");
    table.choice("--role", role_, {"ssa", "shareholder"}, "Which one, where the certificate has both");
    table.text("--domain", domain_, "NAME", optional, "Whose nodes fail, or fall, together");
  }

  Result<Exit> act(const OutputOptions& output) override {
    constexpr const char* what = "cannot write the entry of a node";
    const Result<std::string> text = pki::read_file(certificate_, pki::file_max, false, what);
    if (!text.ok()) return text.error();
    const pki::CertificatePointer certificate = pki::certificate_from(text.value());
    const pki::Holder holder = certificate == nullptr ? pki::Holder() : pki::holder_of(*certificate);
    const bool both = holder.roles.has(pki::Role::ssa) && holder.roles.has(pki::Role::shareholder);
    std::string role = role_;
    if (role.empty() && !both) role = holder.roles.has(pki::Role::ssa) ? "ssa" : "shareholder";
    if (role.empty() || !holder.roles.has(role == "ssa" ? pki::Role::ssa : pki::Role::shareholder)) {
      return Error{Exit::refused, what,
                   holder.name.empty() ? "it is no certificate with a name, in PEM"
                   : both              ? fmt::format("{} is ssa and shareholder", holder.name)
                                       : fmt::format("{} is not {}", holder.name, role),
                   certificate_,
                   both ? "say which with --role"
                        : "give the certificate of a node: ssn pki issue --role shareholder"};
    }
    const std::string key = membership::key_of(*certificate);
    if (output.json) {
      JsonWriter json;
      begin_document(json, schema(), nullptr);
      json.member("name", holder.name).member("role", role).member("domain", domain_).member("key", key);
      json.end_object();
      print_text(json.text());
      return Exit::ok;
    }
    print_text(fmt::format("\n[[node]]\nname = {}\nrole = \"{}\"\nkey = \"{}\"\n", json_string(holder.name),
                           role, key) +
               (domain_.empty() ? "" : fmt::format("domain = {}\n", json_string(domain_))));
    return Exit::ok;
  }

  std::string certificate_, domain_, role_;
};

}  // namespace

std::vector<std::unique_ptr<Command>> make_membership_commands() {
  std::vector<std::unique_ptr<Command>> commands;
  commands.push_back(std::make_unique<SignCommand>());
  commands.push_back(std::make_unique<VerifyCommand>());
  commands.push_back(std::make_unique<ShowCommand>());
  commands.push_back(std::make_unique<DiffCommand>());
  commands.push_back(std::make_unique<NodeCommand>());
  return commands;
}

}  // namespace ssn::cli
