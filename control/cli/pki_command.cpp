// SPDX-License-Identifier: BSD-3-Clause
// `ssn pki SUBCOMMAND`: certificates of nodes, owners and operators, from an authority in a folder.
#include <arpa/inet.h>
#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <optional>

#include "authority.h"
#include "certificate.h"
#include "files.h"
#include "pki_command.h"
#include "shown_text.h"

namespace ssn::cli {
namespace {

using pki::Authority;
using pki::IssuedCertificate;
using pki::Subject;
using enum OptionTable::Need;

// One who signs memberships, and is nobody on a connection: no role there has this name.
constexpr const char* signer_role = "signer";

Error wrong_role(const std::string& role) {
  std::vector<std::string> all;
  for (std::size_t i = 0; i < pki::roles_count; ++i) all.emplace_back(pki::name(static_cast<pki::Role>(i)));
  all.emplace_back(signer_role);
  return {Exit::usage, "cannot understand the command line", fmt::format("'{}' is no role", role), "--role",
          "give one or more of: " + join_list(all)};
}

bool is_label(std::string_view label) {
  return label == "*" || (!label.empty() && label.size() <= 63 && label.front() != '-' &&
                          label.back() != '-' && std::all_of(label.begin(), label.end(), [](char c) {
                            return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                                   (c >= '0' && c <= '9') || c == '-' || c == '_';
                          }));
}

bool is_host_name(std::string_view name) {
  if (name.size() > 253) return false;
  for (std::size_t dot = name.find('.'); dot != std::string_view::npos; dot = name.find('.')) {
    if (!is_label(name.substr(0, dot))) return false;
    name.remove_prefix(dot + 1);
  }
  return is_label(name);
}

// Its alternative name in a certificate.
Result<std::string> alternate_of(const std::string& host) {
  in6_addr address{};
  if (::inet_pton(AF_INET, host.c_str(), &address) == 1 ||
      ::inet_pton(AF_INET6, host.c_str(), &address) == 1) {
    return "IP:" + host;
  }
  // What consists of numbers was meant to be an address.
  if (host.find_first_not_of("0123456789.") != std::string::npos && is_host_name(host)) return "DNS:" + host;
  return Error{Exit::usage, "cannot understand the command line",
               fmt::format("'{}' is no IPv4 or IPv6 address, and no name of a host", host), "--address",
               "give addresses or names, with commas between"};
}

// Nodes are asked by others, which look for their name; owners and operators only ask.
Result<Subject> subject_for(const std::string& name, const std::string& roles, const std::string& addresses) {
  if (Outcome checked = pki::check_name(name); !checked.ok()) return checked.error();
  Subject subject;
  subject.name = name;
  subject.roles = split_list(roles);
  if (subject.roles == std::vector<std::string>{signer_role}) {
    subject.use = Subject::Use::signer;
    if (addresses.empty()) return subject;
    return Error{Exit::usage, "cannot understand the command line", "nobody connects to a signer",
                 "--address", "leave it out"};
  }
  for (const std::string& role : subject.roles) {
    std::size_t known = 0;
    while (known < pki::roles_count && pki::name(static_cast<pki::Role>(known)) != role) ++known;
    if (known == pki::roles_count) return wrong_role(role);
    const auto is = static_cast<pki::Role>(known);
    if (is != pki::Role::owner && is != pki::Role::operators) subject.use = Subject::Use::node;
  }
  if (subject.roles.empty()) return wrong_role("");
  if (subject.use == Subject::Use::node) subject.alternates.push_back("DNS:" + name);
  for (const std::string& address : split_list(addresses)) {
    Result<std::string> alternate = alternate_of(address);
    if (!alternate.ok()) return alternate.error();
    subject.alternates.push_back(std::move(alternate.value()));
  }
  return subject;
}

// Files that were written, and what else there is to say.
void say(const OutputOptions& output, const std::string& schema, const std::vector<std::string>& files,
         const std::string& serial, const std::string& note) {
  if (output.json) {
    print_document(schema, nullptr, [&](JsonWriter& json) {
      if (!serial.empty()) json.member("serial", serial);
      json.key("files").begin_array();
      for (const std::string& file : files) json.value(file);
      json.end_array();
    });
    return;
  }
  for (const std::string& file : files) print_text(file + "\n");
  print_note(output, note);
}

class InitCommand final : public PkiCommand {
 public:
  InitCommand()
      : PkiCommand("init", "Make a certificate authority in a folder",
                   "  ssn pki init                          in ./pki, signed by itself\n"
                   "  ssn pki init --request                to be signed by your own authority: pki/ca.csr\n"
                   "  ssn pki init --chain signed.pem       what came back\n") {}

 private:
  void declare_more(OptionTable& table) override {
    table.text("--name", name_, "TEXT", optional, "Its common name (default: Shareline CA)");
    table.number("--days", days_, 1, Authority::days_max, optional,
                 "How long it lasts (default: 3650; not with --request)");
    table.flag("--request", request_, "Let another authority sign it: write ca.csr");
    table.text("--chain", chain_, "FILE", optional,
               "Complete it: its signed certificate, and those above it up to the root, in PEM");
  }

  Result<Exit> act(const OutputOptions& output) override {
    if (request_ && !chain_.empty()) {
      return Error{Exit::usage, "cannot understand the command line",
                   "--request and --chain exclude each other", "ssn pki init",
                   "first --request, then --chain with what was signed"};
    }
    if (!chain_.empty()) {
      const Result<std::string> text = pki::read_file(chain_, pki::file_max, false, "cannot read the chain");
      if (!text.ok()) return text.error();
      if (Outcome done = Authority::complete(authority(), text.value()); !done.ok()) return done.error();
    } else if (request_) {
      if (Outcome done = Authority::make_request(authority(), name_); !done.ok()) return done.error();
      say(output, schema(), {authority() + "/ca.csr", authority() + "/ca.key"}, "",
          "let ca.csr be signed as an authority, then: ssn pki init --chain FILE");
      return Exit::ok;
    } else if (Outcome done = Authority::make(authority(), name_, days_); !done.ok()) {
      return done.error();
    }
    say(output, schema(), {authority() + "/ca.crt", authority() + "/ca.key", authority() + "/ca.crl"}, "",
        "ca.crt goes to every node; ca.key stays here, best on a machine without a network");
    return Exit::ok;
  }

  std::string name_ = "Shareline CA";
  unsigned days_ = 3650;
  bool request_ = false;
  std::string chain_;
};

// 0: nobody said.
std::optional<unsigned> given(unsigned days) {
  return days == 0 ? std::nullopt : std::optional<unsigned>(days);
}

void warn_of_end(const IssuedCertificate& issued, unsigned given_days) {
  if (given_days == 0 && issued.days < Authority::days_default) {
    print_warning(fmt::format("it lasts {} days only: then the authority ends", issued.days));
  }
}

// Where a certificate and its key are written.
struct Target {
  std::string folder = ".";
  std::string name;
  std::string path(const char* end) const { return folder + "/" + name + end; }
};

// That they can be written. To be asked first: nothing takes back what an authority has issued, and its key
// is only there.
Outcome check_new(const Target& target, std::initializer_list<const char*> ends, const char* what) {
  for (const char* const end : ends) {
    if (Outcome checked = pki::check_new(target.path(end), what); !checked.ok()) return checked;
  }
  return done;
}

constexpr const char* cannot_write = "cannot write the certificate";

Result<std::vector<std::string>> write_issued(const Target& target, const IssuedCertificate& issued,
                                              bool replaces) {
  std::vector<std::string> files;
  const auto put = [&](const std::string& path, std::string_view text, mode_t mode) {
    files.push_back(path);
    return replaces ? pki::replace_file(path, text, mode, cannot_write)
                    : pki::create_file(path, text, mode, cannot_write);
  };
  Outcome written = done;
  // The key first: a certificate without one would be of no use.
  if (!issued.key.view().empty()) written = put(target.path(".key"), issued.key.view(), 0600);
  if (written.ok()) written = put(target.path(".crt"), issued.certificate, 0644);
  if (written.ok()) return files;
  written.error().fix += fmt::format("; it is issued, and nobody has it: ssn pki revoke {}", issued.serial);
  return written.error();
}

class IssueCommand final : public PkiCommand {
 public:
  IssueCommand()
      : PkiCommand("issue", "Issue a certificate to a node, an owner or an operator",
                   "  ssn pki issue sae-h1 --role shareholder --out /etc/shareline\n"
                   "  ssn pki issue alice --role owner\n"
                   "  ssn pki issue sae-s --role ssa --csr sae-s.csr     its key never leaves it\n") {}

 private:
  void declare_more(OptionTable& table) override {
    table.argument("NAME", target_.name, "Name of the node, owner or operator: the common name");
    table.text("--role", roles_, "ROLE,...", required,
               "What it is: owner, ssa, shareholder, controller, operator; or signer, alone");
    table.text("--address", addresses_, "HOST,...", optional,
               "Names and addresses for programs that look for where they connect to");
    table.text("--csr", request_, "FILE", optional, "For the key of this request (PKCS #10)");
    table.number("--days", days_, 1, Authority::days_max, optional,
                 "How long it lasts (default: 365, or as long as the authority)");
    table.text("--out", target_.folder, "FOLDER", optional, "For NAME.crt and NAME.key (default: here)");
  }

  Result<Exit> act(const OutputOptions& output) override {
    const Result<Subject> subject = subject_for(target_.name, roles_, addresses_);
    if (!subject.ok()) return subject.error();
    Outcome writable = request_.empty() ? check_new(target_, {".key", ".crt"}, cannot_write)
                                        : check_new(target_, {".crt"}, cannot_write);
    if (!writable.ok()) return writable.error();
    Result<Authority> by = Authority::open(authority());
    if (!by.ok()) return by.error();
    Result<IssuedCertificate> issued = IssuedCertificate();
    if (request_.empty()) {
      issued = by.value().issue(subject.value(), given(days_));
    } else {
      const Result<std::string> text =
          pki::read_file(request_, pki::file_max, false, "cannot read the request");
      if (!text.ok()) return text.error();
      issued = by.value().sign(text.value(), subject.value(), given(days_));
    }
    if (!issued.ok()) return issued.error();
    const Result<std::vector<std::string>> files = write_issued(target_, issued.value(), false);
    if (!files.ok()) return files.error();
    say(output, schema(), files.value(), issued.value().serial,
        fmt::format("serial number {}; its holder trusts {}/ca.crt", issued.value().serial, authority()));
    warn_of_end(issued.value(), days_);
    return Exit::ok;
  }

  Target target_;
  std::string roles_;
  std::string addresses_;
  std::string request_;
  unsigned days_ = 0;
};

class RequestCommand final : public PkiCommand {
 public:
  RequestCommand()
      : PkiCommand(
            "request", "Make a key here, and a request for its certificate",
            "  ssn pki request sae-s --role ssa     sae-s.key stays, sae-s.csr goes to the authority\n") {}

 private:
  bool needs_authority() const override { return false; }
  void declare_more(OptionTable& table) override {
    table.argument("NAME", target_.name, "Name of the node, owner or operator: the common name");
    table.text("--role", roles_, "ROLE,...", required,
               "What it is: owner, ssa, shareholder, controller, operator; or signer, alone");
    table.text("--address", addresses_, "HOST,...", optional,
               "Names and addresses for programs that look for where they connect to");
    table.text("--out", target_.folder, "FOLDER", optional, "For NAME.csr and NAME.key (default: here)");
  }

  Result<Exit> act(const OutputOptions& output) override {
    constexpr const char* what = "cannot write the request";
    const Result<Subject> subject = subject_for(target_.name, roles_, addresses_);
    if (!subject.ok()) return subject.error();
    if (Outcome writable = check_new(target_, {".key", ".csr"}, what); !writable.ok()) {
      return writable.error();
    }
    const Result<pki::KeyPointer> key = pki::make_key();
    if (!key.ok()) return key.error();
    const Result<pki::RequestPointer> request = pki::make_request(subject.value(), *key.value());
    if (!request.ok()) return request.error();
    const Result<std::string> text = pki::to_pem(*request.value());
    const Result<pki::SecretText> secret = pki::to_pem(*key.value());
    if (!text.ok() || !secret.ok()) return text.ok() ? secret.error() : text.error();
    if (Outcome put = pki::create_file(target_.path(".key"), secret.value().view(), 0600, what); !put.ok()) {
      return put.error();
    }
    if (Outcome put = pki::create_file(target_.path(".csr"), text.value(), 0644, what); !put.ok()) {
      return put.error();
    }
    say(output, schema(), {target_.path(".key"), target_.path(".csr")}, "",
        fmt::format("at the authority: ssn pki issue {} --role {} --csr {}.csr", target_.name, roles_,
                    target_.name));
    return Exit::ok;
  }

  Target target_;
  std::string roles_;
  std::string addresses_;
};

class RenewCommand final : public AuthorityCommand {
 public:
  RenewCommand()
      : AuthorityCommand(
            "renew", "Issue a certificate anew before it ends: same holder, same roles",
            "  ssn pki renew sae-h1 --out /etc/shareline     replaces sae-h1.crt, keeps the key\n"
            "  ssn pki renew sae-h1 --new-key\n") {}

 private:
  void declare_more(OptionTable& table) override {
    table.argument("NAME", target_.name, "Common name of the holder");
    table.flag("--new-key", new_key_, "Make another key, too");
    table.number("--days", days_, 1, Authority::days_max, optional,
                 "How long it lasts (default: 365, or as long as the authority)");
    table.text("--out", target_.folder, "FOLDER", optional,
               "Where NAME.crt is replaced, and with --new-key NAME.key (default: here)");
  }

  Result<Exit> work(Authority& by, const OutputOptions& output) override {
    if (Outcome writable = pki::check_folder_of(target_.path(".crt"), cannot_write); !writable.ok()) {
      return writable.error();
    }
    const Result<IssuedCertificate> issued = by.renew(target_.name, given(days_), new_key_);
    if (!issued.ok()) return issued.error();
    const Result<std::vector<std::string>> files = write_issued(target_, issued.value(), true);
    if (!files.ok()) return files.error();
    say(output, schema(), files.value(), issued.value().serial,
        "the certificate before it holds until it ends, or is revoked by its serial number");
    warn_of_end(issued.value(), days_);
    return Exit::ok;
  }

  Target target_;
  bool new_key_ = false;
  unsigned days_ = 0;
};

class RevokeCommand final : public AuthorityCommand {
 public:
  RevokeCommand()
      : AuthorityCommand("revoke", "Revoke certificates for good, and make the list of revoked ones anew",
                         "  ssn pki revoke sae-h1 --reason keyCompromise     all of sae-h1\n"
                         "  ssn pki revoke 5A01B2C3D4E5F607                  one, by its serial number\n") {}

 private:
  void declare_more(OptionTable& table) override {
    table.argument("NAME", what_, "Common name, or serial number");
    table.choice("--reason", reason_, pki::revocation_reasons(), "Why (default: unspecified)");
    table.number("--days", days_, 1, Authority::days_max, optional,
                 "How long the new list holds (default: 30)");
  }

  Result<Exit> work(Authority& by, const OutputOptions& output) override {
    const Result<std::size_t> revoked = by.revoke(what_, reason_, days_);
    if (!revoked.ok()) return revoked.error();
    if (output.json) {
      print_document(schema(), nullptr, [&](JsonWriter& json) {
        json.member("revoked", std::uint64_t{revoked.value()}).member("list", authority() + "/ca.crl");
      });
      return Exit::ok;
    }
    print_text(fmt::format("{} revoked\n{}/ca.crl\n", revoked.value(), authority()));
    print_note(output, "take ca.crl to every node");
    return Exit::ok;
  }

  std::string what_;
  std::string reason_ = "unspecified";
  unsigned days_ = Authority::list_days_default;
};

class CrlCommand final : public AuthorityCommand {
 public:
  CrlCommand()
      : AuthorityCommand("crl", "Make the list of revoked certificates anew, before it ends",
                         "  ssn pki crl --days 7\n") {}

 private:
  void declare_more(OptionTable& table) override {
    table.number("--days", days_, 1, Authority::days_max, optional, "How long it holds (default: 30)");
  }
  Result<Exit> work(Authority& by, const OutputOptions& output) override {
    if (Outcome made = by.renew_list(days_); !made.ok()) return made.error();
    say(output, schema(), {authority() + "/ca.crl"}, "", "take it to every node");
    return Exit::ok;
  }

  unsigned days_ = Authority::list_days_default;
};

}  // namespace

std::vector<std::unique_ptr<Command>> make_pki_commands() {
  std::vector<std::unique_ptr<Command>> commands;
  commands.push_back(std::make_unique<InitCommand>());
  commands.push_back(std::make_unique<IssueCommand>());
  commands.push_back(std::make_unique<RequestCommand>());
  commands.push_back(std::make_unique<RenewCommand>());
  commands.push_back(std::make_unique<RevokeCommand>());
  commands.push_back(std::make_unique<CrlCommand>());
  commands.push_back(make_pki_list_command());
  commands.push_back(make_pki_show_command());
  return commands;
}

}  // namespace ssn::cli
