// SPDX-License-Identifier: BSD-3-Clause
// `ssn accounting`: what owners have, and what was done for them (Y.3808, 10.2: policy based control,
// charging).
#include <fmt/core.h>

#include <charconv>
#include <chrono>
#include <map>
#include <tuple>

#include "alarm_text.h"
#include "object_command.h"
#include "progress.h"
#include "shown_text.h"
#include "text_table.h"

namespace ssn::cli {
namespace {

using controller::Account;
using controller::Usage;

constexpr const char* what = "cannot list the accounting";
constexpr std::uint32_t page = 1000;

struct Sum {
  std::uint64_t count = 0;
  std::uint64_t bytes = 0;
  std::uint64_t pad_bytes = 0;
};
// By owner, class and operation.
using Sums = std::map<std::tuple<std::string, std::string, std::string>, Sum>;

class AccountingCommand final : public CatalogueCommand {
 public:
  AccountingCommand() : CatalogueCommand("accounting") {}
  const char* summary() const noexcept override { return "What owners have, and what was done for them"; }
  const char* examples() const noexcept override {
    return "  ssn accounting --since 30d --config operator.toml   totals of each owner, class and operation\n"
           "  ssn accounting --owner alice --records              each operation\n"
           "  ssn accounting --config owner.toml                  an owner: its own\n"
           "  ssn accounting --export --after 1200 >> bill.jsonl  what came since record 1200, for a bill\n";
  }

 private:
  void declare_more(OptionTable& table) override {
    using enum OptionTable::Need;
    table.text("--owner", filter_.owner, "NAME", optional, "Only of this owner");
    table.text("--since", since_, "TIME", optional,
               "Only later than this: 90s, 15m, 2h, 7d ago, or a moment in UTC (default: all that are kept)");
    table.flag("--records", records_, "Show each record, not only totals");
    table.flag("--export", export_, "Only the records, each as a line of JSON (schema ssn.account/1)");
    table.text("--after", after_, "NUMBER", optional, "Only records behind this one");
  }
  Result<Exit> ask(client::ControllerClient& client, const OutputOptions& output) override;
  Outcome read_records(client::ControllerClient& client, JsonWriter& json, const OutputOptions& output);
  Outcome read_usage(client::ControllerClient& client);
  Outcome read_options(const OutputOptions& output);
  void take(const Account& account, JsonWriter& json, const OutputOptions& output);
  void write_rest(JsonWriter& json) const;
  void print_rest() const;

  controller::AccountFilter filter_;
  std::string since_;
  std::string after_;
  std::uint64_t first_after_ = 0;
  bool records_ = false;
  bool export_ = false;
  Sums sums_;
  std::vector<Usage> usage_;
};

// Members of an object that is begun.
void write_account(JsonWriter& json, const Account& account) {
  json.member("number", account.number).member("time_ms", account.time_ms);
  json.member("owner", account.owner).member("object", id_text(account.object)).member("name", account.name);
  json.member("operation", controller::name(account.operation)).member("bytes", account.bytes);
  json.member("pad_bytes", account.pad_bytes).member("class", account.class_name);
  json.member("protection", controller::name(account.protection));
}

void AccountingCommand::take(const Account& account, JsonWriter& json, const OutputOptions& output) {
  if (export_) {
    JsonWriter line(JsonWriter::Shape::one_line);
    line.begin_object().member("schema", "ssn.account/1");
    write_account(line, account);
    line.end_object();
    return print_text(line.text());
  }
  const std::string operation(controller::name(account.operation));
  Sum& sum = sums_[{account.owner, account.class_name, operation}];
  ++sum.count;
  sum.bytes += account.bytes;
  sum.pad_bytes += account.pad_bytes;
  if (!records_) {
    return;
  }
  if (output.json) {
    json.begin_object();
    write_account(json, account);
    json.end_object();
  } else {
    print_text(fmt::format("{}  {}  {}  {}  {} bytes  {} of pads  {}\n",
                           shown_time(static_cast<std::int64_t>(account.time_ms / 1000)),
                           shown_name(account.owner), operation,
                           account.class_name.empty() ? "-" : shown_name(account.class_name), account.bytes,
                           account.pad_bytes, shown_name(account.name)));
  }
}

Outcome AccountingCommand::read_records(client::ControllerClient& client, JsonWriter& json,
                                        const OutputOptions& output) {
  std::uint64_t after = first_after_;
  do {
    const Result<controller::AccountPage> next = client.accounts(filter_, after, page);
    if (!next.ok()) {
      return next.error();
    }
    for (const Account& account : next.value().accounts) {
      take(account, json, output);
    }
    if (next.value().next != 0 && next.value().next <= after) {
      return Error{Exit::integrity, what, "the controller repeats itself", "", "report this as a bug"};
    }
    after = next.value().next;
  } while (after != 0);
  return done;
}

Outcome AccountingCommand::read_usage(client::ControllerClient& client) {
  std::string after;
  do {
    std::string next;
    Result<std::vector<Usage>> some = client.usage(filter_.owner, after, page, next);
    if (!some.ok()) {
      return some.error();
    }
    if (!next.empty() && next <= after) {
      return Error{Exit::integrity, what, "the controller repeats itself", "", "report this as a bug"};
    }
    usage_.insert(usage_.end(), some.value().begin(), some.value().end());
    after = next;
  } while (!after.empty());
  return done;
}

void AccountingCommand::write_rest(JsonWriter& json) const {
  json.key("totals").begin_array();
  for (const auto& [key, sum] : sums_) {
    json.begin_object().member("owner", std::get<0>(key)).member("class", std::get<1>(key));
    json.member("operation", std::get<2>(key)).member("count", sum.count).member("bytes", sum.bytes);
    json.member("pad_bytes", sum.pad_bytes).end_object();
  }
  json.end_array().key("owners").begin_array();
  for (const Usage& usage : usage_) {
    json.begin_object().member("owner", usage.owner).member("objects", usage.objects);
    json.member("objects_max", usage.objects_max).member("writes", usage.writes);
    json.member("writes_max", usage.writes_max).member("bytes", usage.bytes);
    json.member("writing_bytes", usage.writing_bytes).member("bytes_max", usage.bytes_max);
    json.member("write_rate", usage.rate.write_bytes_per_second);
    json.member("read_rate", usage.rate.read_bytes_per_second);
    json.key("slowed_at").begin_array();
    for (const std::string& node : usage.slowed_at) {
      json.value(node);
    }
    json.end_array().end_object();
  }
  json.end_array();
}

std::string slowed_at(const Usage& usage) {
  std::string nodes;
  for (const std::string& node : usage.slowed_at) {
    nodes.append(nodes.empty() ? "" : ",").append(shown_name(node));
  }
  return nodes.empty() ? "-" : nodes;
}

void AccountingCommand::print_rest() const {
  TextTable totals({"OWNER", "CLASS", "OPERATION", "COUNT>", "BYTES>", "PADS>"});
  for (const auto& [key, sum] : sums_) {
    const auto& [owner, of_class, operation] = key;
    totals.add({shown_name(owner), of_class.empty() ? "-" : shown_name(of_class), operation,
                fmt::format("{}", sum.count), fmt::format("{}", sum.bytes),
                fmt::format("{}", sum.pad_bytes)});
  }
  if (!totals.empty()) {
    print_text(fmt::format("{}{}\n", records_ ? "\n" : "", totals.text()));
  }
  const auto most = [](std::uint64_t limit) {
    return limit == 0 ? std::string("-") : fmt::format("{}", limit);
  };
  const auto rate = [](std::uint64_t limit) {
    return limit == 0 ? std::string("-") : format_bytes(limit) + "/s";
  };
  TextTable usage({"OWNER", "OBJECTS>", "OF>", "BYTES>", "BEING WRITTEN>", "OF>", "OPEN WRITES>", "OF>",
                   "WRITE RATE>", "READ RATE>", "SLOWED AT"});
  for (const Usage& each : usage_) {
    usage.add({shown_name(each.owner), fmt::format("{}", each.objects), fmt::format("{}", each.objects_max),
               fmt::format("{}", each.bytes), fmt::format("{}", each.writing_bytes), most(each.bytes_max),
               fmt::format("{}", each.writes), fmt::format("{}", each.writes_max),
               rate(each.rate.write_bytes_per_second), rate(each.rate.read_bytes_per_second),
               slowed_at(each)});
  }
  if (!usage.empty()) {
    print_text(usage.text());
  }
}

Outcome AccountingCommand::read_options(const OutputOptions& output) {
  const auto now_ms = static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::milliseconds>(
                                                     std::chrono::system_clock::now().time_since_epoch())
                                                     .count());
  const std::optional<std::uint64_t> since_ms = moment_of(since_, now_ms);
  if (!since_.empty() && !since_ms) {
    return Error{Exit::usage, what, "this is no time", since_, "write it like 15m or '2026-11-23 15:00'"};
  }
  filter_.since_ms = since_ms.value_or(0);
  const char* const end = after_.data() + after_.size();
  const auto [read_to, trouble] = std::from_chars(after_.data(), end, first_after_);
  if (!after_.empty() && (trouble != std::errc() || read_to != end)) {
    return Error{Exit::usage, what, "this is no number of a record", after_,
                 "take `number` of the last record that you have"};
  }
  if (export_ && (output.json || records_)) {
    return Error{Exit::usage, what, "--export prints lines of JSON and nothing else",
                 output.json ? "--json" : "--records", "leave that out"};
  }
  return done;
}

Result<Exit> AccountingCommand::ask(client::ControllerClient& client, const OutputOptions& output) {
  if (Outcome good = read_options(output); !good.ok()) {
    return good.error();
  }
  JsonWriter json;
  begin_document(json, schema(), nullptr);
  json.key("records").begin_array();
  if (Outcome read = read_records(client, json, output); !read.ok()) {
    return read.error();
  }
  if (export_) {
    return Exit::ok;
  }
  if (Outcome read = read_usage(client); !read.ok()) {
    return read.error();
  }
  json.end_array();
  if (output.json) {
    write_rest(json);
    json.end_object();
    print_text(json.text());
  } else {
    print_rest();
  }
  return Exit::ok;
}

}  // namespace

std::unique_ptr<Command> make_accounting_command() { return std::make_unique<AccountingCommand>(); }

}  // namespace ssn::cli
