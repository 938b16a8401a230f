// SPDX-License-Identifier: BSD-3-Clause
// `ssn put`, `ssn get` and `ssn verify`: a data owner's data to the storage network and back.
#include <fmt/core.h>

#include <csignal>

#include "interrupt.h"
#include "object_client.h"
#include "object_command.h"
#include "progress.h"
#include "transfer_file.h"

namespace ssn::cli {
namespace {

using client::ObjectClient;
using controller::Object;
using controller::Scheme;

// What the three have in common: how long to wait, progress, and what a signal does.
class TransferCommand : public ObjectCommand {
 public:
  using ObjectCommand::ObjectCommand;

 protected:
  void declare_more(OptionTable& table) final {
    declare_options(table);
    table.number("--patience", patience_, 1, 3600, OptionTable::Need::optional,
                 "Seconds to wait for an SSA that does not answer (default 30)");
  }
  virtual void declare_options(OptionTable& table) = 0;
  virtual Result<Exit> transfer(ObjectClient& client, client::Watch& watch, const OutputOptions& output) = 0;

  Result<Exit> work(const client::ControllerPlace& place, const OutputOptions& output) final {
    const Result<std::unique_ptr<ObjectClient>> client =
        ObjectClient::make(place, {.patience = std::chrono::seconds(patience_)});
    if (!client.ok()) {
      return client.error();
    }
    const SignalsTold signals;
    Progress progress(name(), output.quiet);
    client::Watch watch;
    watch.stop_fd = signals.fd();
    watch.progress = [&](std::uint64_t bytes, std::uint64_t total) {
      progress.set_total(total);
      progress.update(bytes);
    };
    watch.limited = [&](std::uint64_t bytes_per_second, const std::string& whose) {
      rate_limit_ = bytes_per_second;
      rate_of_ = whose;
      progress.set_note(limit_text());
    };
    finish_progress_ = [&] { progress.finish(); };
    Result<Exit> result = transfer(*client.value(), watch, output);
    progress.finish();
    if (!result.ok() && signals.signal_number() != 0 && result.error().why == client::interrupted) {
      print_interruption();
      return static_cast<Exit>(128 + signals.signal_number());  // as the shell says it of one that was killed
    }
    return result;
  }
  virtual void print_interruption() const = 0;
  /// Before anything is printed.
  void finish_progress() const { finish_progress_(); }

  std::string speed(std::uint64_t bytes, std::chrono::nanoseconds took) const {
    const double seconds = std::chrono::duration<double>(took).count();
    const std::string limit = limit_text();
    return fmt::format(
        "{:.2f} s, {}/s{}", seconds,
        format_bytes(static_cast<std::uint64_t>(seconds > 0 ? static_cast<double>(bytes) / seconds : 0.0)),
        limit.empty() ? "" : " (" + limit + ")");
  }
  void begin_json(JsonWriter& json, const Object& object, std::chrono::nanoseconds took) const {
    const double seconds = std::chrono::duration<double>(took).count();
    begin_document(json, schema(), nullptr);
    json.member("name", object.name).member("id", id_text(object.id)).member("size", object.size);
    json.member("scheme", controller::name(object.layout.scheme));
    json.member("k", object.layout.k).member("n", object.layout.n);
    json.member("protection", controller::name(object.protection)).member("seconds", seconds);
    json.member("bytes_per_second", seconds > 0 ? static_cast<double>(object.size) / seconds : 0.0);
    json.member("rate_limit", rate_limit_).member("rate_of", rate_of_);
  }

 private:
  // "limit 10.0 MB/s of owner alice"; empty: there is none.
  std::string limit_text() const {
    return rate_limit_ == 0
               ? std::string()
               : fmt::format("limit {}/s of {}", format_bytes(rate_limit_), shown_name(rate_of_));
  }

  std::uint64_t rate_limit_ = 0;  // bytes a second; 0: none
  std::string rate_of_;
  unsigned patience_ = 30;
  std::function<void()> finish_progress_;
};

class PutCommand final : public TransferCommand {
 public:
  PutCommand() : TransferCommand("put") {}
  const char* summary() const noexcept override { return "Store a file in the storage network"; }
  const char* examples() const noexcept override {
    return "  ssn put cat.raw photos/cat.raw --config owner.toml\n"
           "  tar c docs | ssn put - backup/docs.tar       from a pipe\n"
           "  ssn put --k 3 --n 5 cat.raw photos/cat.raw   another layout than the policy's\n";
  }

 private:
  void declare_options(OptionTable& table) override;
  Result<client::PutOptions> options() const;
  Result<Exit> transfer(ObjectClient& client, client::Watch& watch, const OutputOptions& output) override;
  void print(const client::PutReport& report, const OutputOptions& output) const;
  void print_json(const client::PutReport& report) const;
  void print_interruption() const override {
    print_warning("interrupted; the write was given up, and nothing of it is visible");
  }

  std::string input_;
  std::string object_;
  std::string scheme_;
  std::string class_;
  unsigned k_ = 0;
  unsigned n_ = 0;
  unsigned data_blocks_ = 0;
  std::uint64_t cell_bytes_ = 0;
  unsigned quorum_ = 0;
  unsigned minimum_ = 0;
  std::string protection_;
  std::string ssa_;
  std::string pad_shares_;
  bool create_ = false;
  bool strict_ = false;
};

void PutCommand::declare_options(OptionTable& table) {
  using enum OptionTable::Need;
  constexpr unsigned shares = controller::shares_max;
  table.argument("FILE", input_, "What to store; - is standard input");
  table.argument("NAME", object_, "The name that it gets; an object of that name is replaced");
  table.text("--class", class_, "NAME", optional,
             "Class of objects, of the network's configuration (default: the owner's)");
  table.choice("--scheme", scheme_, {"shamir", "shamir-classic", "ramp", "rs"},
               "How it is shared (default: the controller's policy); rs keeps NOTHING secret");
  table.number("-k,--k", k_, 1, shares, optional, "How many shares restore it (default: policy)");
  table.number("-n,--n", n_, 1, shares, optional, "How many shares to make (default: policy)");
  table.number("--data-blocks", data_blocks_, 1, shares, optional,
               "ramp: shares are 1/L of the data and k-L of them reveal nothing");
  table.size("--cell-size", cell_bytes_, 64, controller::cell_bytes_max,
             "Bytes of a packet's payload, a multiple of 64 (default: policy)");
  table.number("--quorum", quorum_, 1, shares, optional,
               "Shares that must be durable for exit code 0 (default: policy)");
  table.number("--minimum", minimum_, 1, shares, optional,
               "Shares without which nothing is stored (default: policy)");
  table.choice("--protection", protection_, {"none", "computational", "information-theoretic"},
               "Store it only if shares and data are protected so at least, on their whole way");
  table.text("--ssa", ssa_, "NODE", optional, "The agent that makes the shares (default: any)");
  table.choice("--pad-shares", pad_shares_, {"auto", "yes", "no"},
               "Let pads that holders have become shares, which saves traffic: where that is as secret, "
               "or fail, or never (default: policy)");
  table.flag("--create", create_, "Refuse if there is an object of that name");
  table.flag("--strict", strict_, "Store nothing if fewer than the quorum of shares is durable");
}

Result<client::PutOptions> PutCommand::options() const {
  client::PutOptions out;
  controller::WriteRequest& request = out.request;
  for (const Scheme scheme : {Scheme::shamir, Scheme::shamir_classic, Scheme::ramp, Scheme::rs}) {
    request.scheme = controller::name(scheme) == scheme_ ? scheme : request.scheme;
  }
  using controller::Protection;
  for (const Protection least :
       {Protection::none, Protection::computational, Protection::information_theoretic}) {
    request.minimum_protection = controller::name(least) == protection_ ? least : request.minimum_protection;
  }
  if (cell_bytes_ % 64 != 0) {
    return Error{Exit::usage, "cannot use this cell size", "it is no multiple of 64", "--cell-size",
                 "choose a multiple of 64"};
  }
  request.class_name = class_;
  request.k = k_;
  request.n = n_;
  request.secret_blocks = data_blocks_;
  request.cell_bytes = static_cast<std::uint32_t>(cell_bytes_);
  request.quorum = quorum_;
  request.minimum = minimum_;
  request.create_only = create_;
  using controller::PadShares;
  for (const PadShares pads : {PadShares::automatic, PadShares::yes, PadShares::no}) {
    request.pad_shares = controller::name(pads) == pad_shares_ ? pads : request.pad_shares;
  }
  request.ssa = ssa_;
  out.accept_degraded = !strict_;
  return out;
}

void PutCommand::print_json(const client::PutReport& report) const {
  JsonWriter json;
  begin_json(json, report.object, report.took);
  json.member("generation", report.object.generation).member("sealed", report.sealed);
  json.member("quorum", report.object.layout.quorum).member("degraded", report.degraded);
  json.member("pad_rows", report.object.layout.kept_rows);
  json.member("pad_rule", controller::name(report.object.layout.pad_rule));
  json.member("pad_reason", report.object.layout.pad_reason);
  json.member("replaced", report.replaced != 0 ? id_text(report.replaced) : "");
  json.key("troubles").begin_array();
  for (const client::HolderTrouble& trouble : report.troubles) {
    json.begin_object().member("share", trouble.share).member("node", trouble.node);
    json.member("trouble", trouble.trouble).end_object();
  }
  json.end_array().end_object();
  print_text(json.text());
}

void PutCommand::print(const client::PutReport& report, const OutputOptions& output) const {
  if (output.json) {
    print_json(report);
  }
  const Object& object = report.object;
  for (const client::HolderTrouble& trouble : report.troubles) {
    const std::string why = trouble.trouble.empty() ? "not ready yet" : shown_name(trouble.trouble);
    print_warning(fmt::format("share {} at {}: {}", trouble.share, shown_name(trouble.node), why));
  }
  if (report.degraded) {
    print_warning(fmt::format("degraded: {} of {} shares are durable, {} should be", report.sealed,
                              object.layout.n, object.layout.quorum));
  }
  print_note(
      output,
      fmt::format("stored {}: {}, {}, any {} of {} shares restore it, {} durable, protection {}",
                  shown_name(object.name), format_bytes(object.size), controller::name(object.layout.scheme),
                  object.layout.k, object.layout.n, report.sealed, controller::name(object.protection)));
  if (!object.layout.pad_reason.empty() && object.layout.pad_rule != controller::PadRule::not_wanted) {
    print_note(output, fmt::format("pad shares {}: {}", object.layout.kept_rows != 0 ? "on" : "off",
                                   shown_name(object.layout.pad_reason)));
  }
  print_note(output, "put " + format_bytes(object.size) + " in " + speed(object.size, report.took));
}

Result<Exit> PutCommand::transfer(ObjectClient& client, client::Watch& watch, const OutputOptions& output) {
  const Result<client::PutOptions> chosen = options();
  if (!chosen.ok()) {
    return chosen.error();
  }
  if (chosen.value().request.scheme == Scheme::rs) {
    print_warning("scheme rs keeps NOTHING secret: shares 1 to k are pieces of the data as it is");
  }
  const Result<std::unique_ptr<FileSource>> source = FileSource::open(input_);
  if (!source.ok()) {
    return source.error();
  }
  const Result<client::PutReport> report = client.put(*source.value(), object_, chosen.value(), watch);
  if (!report.ok()) {
    return report.error();
  }
  finish_progress();
  print(report.value(), output);
  return report.value().degraded ? Exit::degraded : Exit::ok;
}

class GetCommand final : public TransferCommand {
 public:
  GetCommand() : TransferCommand("get") {}
  const char* summary() const noexcept override { return "Restore a file from the storage network"; }
  const char* examples() const noexcept override {
    return "  ssn get photos/cat.raw --config owner.toml   into the file cat.raw here\n"
           "  ssn get photos/cat.raw /tmp/cat.raw\n"
           "  ssn get backup/docs.tar - | tar x             into a pipe\n";
  }

 private:
  void declare_options(OptionTable& table) override {
    table.argument("NAME", object_, "The object");
    table.optional_argument(
        "FILE", file_, "Where to put it; - is standard output (default: here, as the last part of NAME)");
    table.flag("--force", force_, "Replace an existing file");
  }
  Result<Exit> transfer(ObjectClient& client, client::Watch& watch, const OutputOptions& output) override;
  Result<client::GetReport> get_file(ObjectClient& client, client::Watch& watch, const std::string& file);
  void print_interruption() const override {
    print_warning(file_ == "-" ? "interrupted; what was written to standard output is not complete"
                               : "interrupted; no file was written");
  }

  std::string object_;
  std::string file_;
  bool force_ = false;
};

// The file has its name once all of it is on the disk.
Result<client::GetReport> GetCommand::get_file(ObjectClient& client, client::Watch& watch,
                                               const std::string& file) {
  FileSink sink(force_);
  if (Outcome added = sink.add(file); !added.ok()) {
    return added.error();
  }
  Result<client::GetReport> report =
      client.get(object_, sink, watch, [&](const Object& object) { return sink.reserve(object.size); });
  const Outcome kept = report.ok() ? sink.commit() : Outcome(done);
  return kept.ok() ? std::move(report) : kept.error();
}

Result<Exit> GetCommand::transfer(ObjectClient& client, client::Watch& watch, const OutputOptions& output) {
  const std::string file = file_.empty() ? file_name(object_) : file_;
  if (file.empty() || file == "." || file == ".." || (file_.empty() && file == "-")) {
    return Error{Exit::usage, "cannot name the file", "the last part of the object's name is no file name",
                 object_, "give the file behind the object"};
  }
  if (output.json && file == "-") {
    return Error{Exit::usage, "cannot write the object and a JSON document to standard output",
                 "they would be mixed", "--json", "give a file, or leave --json out"};
  }
  OutputSink standard_output;
  const Result<client::GetReport> report =
      file == "-" ? client.get(object_, standard_output, watch, {}) : get_file(client, watch, file);
  if (!report.ok()) {
    return report.error();
  }
  finish_progress();
  const Object& object = report.value().object;
  if (output.json) {
    JsonWriter json;
    begin_json(json, object, report.value().took);
    json.member("file", file).end_object();
    print_text(json.text());
  }
  print_note(output, fmt::format("restored {} into {}", shown_name(object.name),
                                 file == "-" ? "standard output" : shown_name(file)));
  print_note(output, "got " + format_bytes(object.size) + " in " + speed(object.size, report.value().took));
  return Exit::ok;
}

class VerifyCommand final : public TransferCommand {
 public:
  VerifyCommand() : TransferCommand("verify") {}
  const char* summary() const noexcept override { return "Read a stored object whole, and keep nothing"; }
  const char* examples() const noexcept override {
    return "  ssn verify photos/cat.raw --config owner.toml\n"
           "  ssn verify photos/cat.raw --with cat.raw      is it still the same as the file?\n";
  }

 private:
  void declare_options(OptionTable& table) override {
    table.argument("NAME", object_, "The object");
    table.text("--with", file_, "FILE", OptionTable::Need::optional, "Compare it with this file");
  }
  Result<Exit> transfer(ObjectClient& client, client::Watch& watch, const OutputOptions& output) override;
  void print(const Object& object, std::uint32_t up, std::chrono::nanoseconds took,
             const OutputOptions& output) const;
  void print_interruption() const override { print_warning("interrupted; not all of it was read"); }

  std::string object_;
  std::string file_;
};

void VerifyCommand::print(const Object& object, std::uint32_t up, std::chrono::nanoseconds took,
                          const OutputOptions& output) const {
  const std::string_view health = health_of(up, object.layout.k, object.layout.n);
  if (output.json) {
    JsonWriter json;
    begin_json(json, object, took);
    json.member("health", health).member("shares_up", up).member("compared", !file_.empty()).end_object();
    print_text(json.text());
  } else if (!output.quiet) {
    print_text(fmt::format("{}: {}, whole{}; {} of {} shares are on nodes that are up\n",
                           shown_name(object.name), format_bytes(object.size),
                           file_.empty() ? "" : " and the same as " + shown_name(file_), up,
                           object.layout.n));
  }
  print_note(output, "read " + format_bytes(object.size) + " in " + speed(object.size, took));
}

Result<Exit> VerifyCommand::transfer(ObjectClient& client, client::Watch& watch,
                                     const OutputOptions& output) {
  Result<std::unique_ptr<CompareSink>> sink =
      file_.empty() ? Result<std::unique_ptr<CompareSink>>(std::make_unique<CompareSink>())
                    : CompareSink::open(file_);
  if (!sink.ok()) {
    return sink.error();
  }
  const Result<client::GetReport> report = client.get(object_, *sink.value(), watch, {});
  if (!report.ok()) {
    return report.error();
  }
  if (Outcome same = sink.value()->finish(); !same.ok()) {
    return same.error();
  }
  finish_progress();
  const std::uint32_t up = shares_up(report.value().object);
  print(report.value().object, up, report.value().took, output);
  return up < report.value().object.layout.n ? Exit::degraded : Exit::ok;
}

}  // namespace

std::vector<std::unique_ptr<Command>> make_transfer_commands() {
  std::vector<std::unique_ptr<Command>> commands;
  commands.push_back(std::make_unique<PutCommand>());
  commands.push_back(std::make_unique<GetCommand>());
  commands.push_back(std::make_unique<VerifyCommand>());
  return commands;
}

}  // namespace ssn::cli
