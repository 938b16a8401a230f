// SPDX-License-Identifier: BSD-3-Clause
// `ssn pki list` and `show`: what an authority has issued, and what of it ends soon.
#include <fmt/core.h>

#include <algorithm>
#include <ctime>
#include <optional>

#include "pki_command.h"
#include "shown_text.h"
#include "text_table.h"

namespace ssn::cli {
namespace {

using pki::Authority;
using pki::IssuedRecord;
using pki::Subject;

constexpr std::int64_t day = 86400;
// Whoever runs `list` now and then hears of it in time.
constexpr std::int64_t warning_days = 30;

std::string_view name_of(IssuedRecord::State state) noexcept {
  switch (state) {
    case IssuedRecord::State::valid:
      return "valid";
    case IssuedRecord::State::expired:
      return "expired";
    case IssuedRecord::State::revoked:
      return "revoked";
  }
  return "";
}

bool ends_soon(const IssuedRecord& record, std::int64_t now) {
  return record.state == IssuedRecord::State::valid && record.until - now < warning_days * day;
}

// Of an authority: what its certificates cannot do without.
struct Ends {
  std::int64_t now = 0;
  std::int64_t authority = 0;
  pki::Validity list;
  bool authority_soon() const { return authority - now < warning_days * day; }
  // A list is made for any time, long or short: in its last third. One that is missing has ended.
  bool list_soon() const { return 3 * (list.until - now) < list.until - list.from; }
};

class ListCommand final : public AuthorityCommand {
 public:
  ListCommand()
      : AuthorityCommand("list", "List the certificates that were issued",
                         "  ssn pki list\n"
                         "  ssn pki list --check     exit code 3 where something ends soon\n") {}

 private:
  void declare_more(OptionTable& table) override {
    table.flag("--check", check_,
               "Fail (3) where the newest certificate of a name, the authority or ca.crl ends soon");
  }

  Result<Exit> work(Authority& by, const OutputOptions& output) override {
    const Result<std::vector<IssuedRecord>> records = by.list();
    if (!records.ok()) return records.error();
    const Ends ends{std::time(nullptr), by.until(), by.list_validity()};
    const std::optional<Error> error = check_ ? find(records.value(), ends) : std::nullopt;
    if (output.json) {
      print_json(records.value(), ends, error ? &*error : nullptr);
    } else {
      print_table(records.value(), ends.now);
      print_note(output,
                 fmt::format("{} certificates; the authority ends {} UTC, ca.crl {}", records.value().size(),
                             shown_time(ends.authority),
                             ends.list.until == 0 ? "is missing" : shown_time(ends.list.until) + " UTC"));
    }
    if (!error) return Exit::ok;
    print_error(*error);
    return error->code;
  }

  std::optional<Error> find(const std::vector<IssuedRecord>& records, const Ends& ends) const {
    std::vector<std::string> soon;
    std::vector<std::string> fixes;
    for (std::size_t i = 0; i < records.size(); ++i) {
      if (needs_renewal(records, i, ends.now)) soon.push_back(records[i].name);
    }
    if (!soon.empty()) fixes = {"ssn pki renew NAME for each, or revoke what nobody uses any more"};
    if (ends.authority_soon()) {
      soon.emplace_back("ca.crt");
      fixes.emplace_back("make another authority, or have ca.csr signed again, and give it to every node");
    }
    if (ends.list_soon()) {
      soon.emplace_back("ca.crl");
      fixes.emplace_back("ssn pki crl, and take ca.crl to every node");
    }
    if (soon.empty()) return std::nullopt;
    return Error{Exit::degraded, "some certificates or lists end soon, or have ended", join_list(soon),
                 authority(), join_list(fixes, "; ")};
  }

  // One that ends soon, or has ended, and was not renewed.
  static bool needs_renewal(const std::vector<IssuedRecord>& records, std::size_t i, std::int64_t now) {
    const IssuedRecord& record = records[i];
    if (record.state == IssuedRecord::State::revoked) return false;
    return record.until - now < warning_days * day &&
           std::none_of(
               records.begin(), records.end(),
               [&](const IssuedRecord& other) {
                 return other.name == record.name && other.until > record.until &&
                        other.state != IssuedRecord::State::revoked;
               });
  }

  void print_json(const std::vector<IssuedRecord>& records, const Ends& ends, const Error* error) const {
    const auto end = [](JsonWriter& json, std::int64_t until, bool soon) {
      json.begin_object().key("until");
      if (until == 0) {
        json.null();
      } else {
        json.value(shown_time(until));
      }
      json.member("ends_soon", soon).end_object();
    };
    print_document(schema(), error, [&](JsonWriter& json) {
      json.key("authority");
      end(json, ends.authority, ends.authority_soon());
      json.key("list");
      end(json, ends.list.until, ends.list_soon());
      json.key("certificates").begin_array();
      for (const IssuedRecord& record : records) add(json, record, ends.now);
      json.end_array();
    });
  }

  static void add(JsonWriter& json, const IssuedRecord& record, std::int64_t now) {
    json.begin_object().member("serial", record.serial).member("name", record.name);
    json.member("state", name_of(record.state)).member("until", shown_time(record.until));
    json.member("ends_soon", ends_soon(record, now)).key("revoked");
    if (record.state == IssuedRecord::State::revoked) {
      json.begin_object()
          .member("at", shown_time(record.revoked_at))
          .member("reason", record.reason)
          .end_object();
    } else {
      json.null();
    }
    json.end_object();
  }

  static void print_table(const std::vector<IssuedRecord>& records, std::int64_t now) {
    TextTable table({"SERIAL", "STATE", "UNTIL (UTC)", "NAME", ""});
    for (const IssuedRecord& record : records) {
      std::string remark = record.reason;
      if (ends_soon(record, now)) remark = fmt::format("ends in {} days", (record.until - now) / day);
      table.add(
          {record.serial, std::string(name_of(record.state)), shown_time(record.until), record.name, remark});
    }
    if (!table.empty()) print_text(table.text());
  }

  bool check_ = false;
};

class ShowCommand final : public AuthorityCommand {
 public:
  ShowCommand()
      : AuthorityCommand("show", "Show what a certificate says, and whether it is revoked",
                         "  ssn pki show sae-h1              the newest of sae-h1\n"
                         "  ssn pki show 5A01B2C3D4E5F607    by serial number\n") {}

 private:
  void declare_more(OptionTable& table) override {
    table.argument("NAME", what_, "Common name, or serial number");
  }

  Result<Exit> work(Authority& by, const OutputOptions& output) override {
    const Result<std::vector<IssuedRecord>> records = by.list();
    if (!records.ok()) return records.error();
    const auto found =
        std::find_if(records.value().rbegin(), records.value().rend(),
                     [&](const IssuedRecord& each) { return each.name == what_ || each.serial == what_; });
    if (found == records.value().rend()) {
      return Error{Exit::not_found, "cannot show the certificate",
                   fmt::format("none was issued to '{}', and none has that serial number", what_),
                   authority(), "see `ssn pki list`"};
    }
    const Result<std::string> pem = by.certificate(found->serial);
    if (!pem.ok()) return pem.error();
    const pki::CertificatePointer certificate = pki::certificate_from(pem.value());
    if (certificate == nullptr) {
      return Error{Exit::integrity, "cannot show the certificate", "what was kept of it cannot be read",
                   authority(), "take issued/ from a backup"};
    }
    print(output, *found, pki::subject_of(*certificate));
    return Exit::ok;
  }

  void print(const OutputOptions& output, const IssuedRecord& record, const Subject& subject) const {
    const char* const use = subject.use == Subject::Use::node     ? "node"
                            : subject.use == Subject::Use::signer ? "signer"
                                                                  : "client";
    if (output.json) {
      print_document(schema(), nullptr, [&](JsonWriter& json) {
        json.member("serial", record.serial).member("name", record.name).member("use", use);
        json.member("state", name_of(record.state)).member("until", shown_time(record.until));
        json.member("reason", record.reason).key("roles").begin_array();
        for (const std::string& role : subject.roles) json.value(role);
        json.end_array().key("addresses").begin_array();
        for (const std::string& each : subject.alternates) json.value(each);
        json.end_array();
      });
      return;
    }
    print_text(fmt::format(
        "name       {}\nroles      {}\nuse        {}\naddresses  {}\nserial     {}\n"
        "until      {} UTC\nstate      {}{}\n",
        record.name, join_list(subject.roles), use,
        subject.alternates.empty() ? "none" : join_list(subject.alternates), record.serial,
        shown_time(record.until), name_of(record.state), record.reason.empty() ? "" : ", " + record.reason));
  }

  std::string what_;
};

}  // namespace

std::unique_ptr<Command> make_pki_list_command() { return std::make_unique<ListCommand>(); }
std::unique_ptr<Command> make_pki_show_command() { return std::make_unique<ShowCommand>(); }

}  // namespace ssn::cli
