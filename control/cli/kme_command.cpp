// SPDX-License-Identifier: BSD-3-Clause
// `ssn kme SUBCOMMAND`: test networks of emulated key managers, and what a running ssn-kme is told.
#include <fmt/core.h>

#include <cstdlib>
#include <sstream>

#include "command.h"
#include "control_socket.h"
#include "quantity.h"
#include "test_network.h"

namespace ssn::cli {
namespace {

constexpr const char* group_name = "kme";

Error wrong_value(const char* option, const std::string& value, const char* fix) {
  return {Exit::usage, "cannot understand the command line", fmt::format("{} is no {}", value, option),
          "ssn kme", fix};
}

// "10 s", "500 ms"; in nanoseconds.
Result<std::uint64_t> parse_duration(const std::string& text) {
  const std::optional<std::uint64_t> value = hw::parse_quantity(text, hw::duration_units());
  return value ? Result<std::uint64_t>(*value) : wrong_value("duration", text, "write it like 10s or 500ms");
}

Exit fail(const char* schema, const Error& error, const OutputOptions& output) {
  print_error(error);
  if (output.json) {
    print_error_document(schema, error);
  }
  return error.code;
}

// A command that asks a running ssn-kme.
class AskingCommand : public Command {
 public:
  AskingCommand(const char* name, const char* summary, const char* examples)
      : name_(name), summary_(summary), examples_(examples), schema_(fmt::format("ssn.kme.{}/1", name)) {}

  const char* name() const noexcept final { return name_; }
  const char* group() const noexcept final { return group_name; }
  const char* summary() const noexcept final { return summary_; }
  const char* examples() const noexcept final { return examples_; }

  void declare(OptionTable& table) final {
    declare_more(table);
    table.text("--socket", socket_, "PATH", OptionTable::Need::optional,
               "Control socket of ssn-kme, as it printed at start (default: the environment variable "
               "SSN_KME_SOCKET)");
  }

  Exit run(const OutputOptions& output) final {
    const char* const from_environment = std::getenv("SSN_KME_SOCKET");
    if (socket_.empty() && from_environment != nullptr) {
      socket_ = from_environment;
    }
    if (socket_.empty()) {
      return fail(schema_.c_str(),
                  {Exit::usage, "cannot reach ssn-kme", "neither --socket nor SSN_KME_SOCKET is given", "",
                   "give --socket the control socket that ssn-kme printed at start"},
                  output);
    }
    const Result<std::vector<std::string>> words = request();
    if (!words.ok()) {
      return fail(schema_.c_str(), words.error(), output);
    }
    const Result<std::string> answer = kme::ask_control(socket_, output.json, words.value());
    if (!answer.ok()) {
      return fail(schema_.c_str(), answer.error(), output);
    }
    print_text(answer.value());
    return Exit::ok;
  }

 protected:
  virtual void declare_more(OptionTable&) {}
  virtual Result<std::vector<std::string>> request() const = 0;

 private:
  const char* name_;
  const char* summary_;
  const char* examples_;
  std::string schema_;
  std::string socket_;
};

class StatusCommand final : public AskingCommand {
 public:
  StatusCommand()
      : AskingCommand("status", "Show stock, rates and deliveries of a running ssn-kme",
                      "  ssn kme status --socket testnet/control.sock\n"
                      "  ssn kme status --json\n") {}

 private:
  Result<std::vector<std::string>> request() const override { return std::vector<std::string>{"status"}; }
};

class OutageCommand final : public AskingCommand {
 public:
  OutageCommand()
      : AskingCommand("outage", "Stop the making of key on a link, or let it go on",
                      "  ssn kme outage a-b            until it is ended\n"
                      "  ssn kme outage a-b --for 30s\n"
                      "  ssn kme outage a-b --end\n") {}

 private:
  void declare_more(OptionTable& table) override {
    table.argument("LINK", link_, "Name of the link");
    table.text("--for", duration_, "TIME", OptionTable::Need::optional, "How long, such as 30s or 5min");
    table.flag("--end", end_, "End the outage that a command began");
  }
  Result<std::vector<std::string>> request() const override {
    if (end_) {
      return std::vector<std::string>{"outage", link_, "end"};
    }
    const Result<std::uint64_t> duration = parse_duration(duration_);
    if (!duration.ok()) {
      return duration.error();
    }
    return std::vector<std::string>{"outage", link_, "begin", std::to_string(duration.value() / 1000)};
  }

  std::string link_;
  std::string duration_ = "0s";
  bool end_ = false;
};

class RateCommand final : public AskingCommand {
 public:
  RateCommand()
      : AskingCommand("rate", "Change how much key a link makes",
                      "  ssn kme rate a-b 10Mbit/s\n"
                      "  ssn kme rate a-b 0bit/s      unlimited\n") {}

 private:
  void declare_more(OptionTable& table) override {
    table.argument("LINK", link_, "Name of the link");
    table.argument("RATE", rate_, "Such as 400kbit/s or 10Gbit/s; 0bit/s: unlimited");
  }
  Result<std::vector<std::string>> request() const override {
    const std::optional<std::uint64_t> rate = hw::parse_quantity(rate_, hw::bit_rate_units());
    if (!rate) {
      return wrong_value("rate", rate_, "write it like 10Mbit/s");
    }
    return std::vector<std::string>{"rate", link_, std::to_string(*rate)};
  }

  std::string link_;
  std::string rate_;
};

class DrainCommand final : public AskingCommand {
 public:
  DrainCommand()
      : AskingCommand("drain", "Throw away the key that a link has in stock",
                      "  ssn kme drain a-b      together with `ssn kme outage a-b`: a shortage at once\n") {}

 private:
  void declare_more(OptionTable& table) override { table.argument("LINK", link_, "Name of the link"); }
  Result<std::vector<std::string>> request() const override {
    return std::vector<std::string>{"drain", link_};
  }

  std::string link_;
};

class InjectCommand final : public AskingCommand {
 public:
  InjectCommand()
      : AskingCommand("inject", "Make the KM-NIC of a site fail in one of the documented ways",
                      "  ssn kme inject kme-a corrupt_block --count 3\n"
                      "  ssn kme inject kme-a stall --for 2s\n") {}

 private:
  void declare_more(OptionTable& table) override {
    table.argument("SITE", site_, "ID of the key manager");
    table.argument("FAULT", fault_, "Name of the fault; docs/kmnic.md and man ssn-kme list them");
    table.number("--count", count_, 1, 1'000'000, OptionTable::Need::optional,
                 "How many blocks or requests it hits");
    table.text("--for", duration_, "TIME", OptionTable::Need::optional, "How long starve and stall last");
  }
  Result<std::vector<std::string>> request() const override {
    const Result<std::uint64_t> duration = parse_duration(duration_);
    if (!duration.ok()) {
      return duration.error();
    }
    return std::vector<std::string>{"inject", site_, fault_, std::to_string(count_),
                                    std::to_string(duration.value() / 1'000'000)};
  }

  std::string site_;
  std::string fault_;
  std::string duration_ = "1s";
  unsigned count_ = 1;
};

class HealCommand final : public AskingCommand {
 public:
  HealCommand()
      : AskingCommand("heal", "Take injected faults of a site's KM-NIC back", "  ssn kme heal kme-a\n") {}

 private:
  void declare_more(OptionTable& table) override { table.argument("SITE", site_, "ID of the key manager"); }
  Result<std::vector<std::string>> request() const override {
    return std::vector<std::string>{"heal", site_};
  }

  std::string site_;
};

class InitCommand final : public Command {
 public:
  const char* name() const noexcept override { return "init"; }
  const char* group() const noexcept override { return group_name; }
  const char* summary() const noexcept override {
    return "Make a test network: CA, certificates and configuration";
  }
  const char* examples() const noexcept override {
    return "  ssn kme init --out testnet --sites a,b   then: ssn-kme --config testnet/kme.toml\n"
           "  ssn kme init --out testnet --sites a,b,c --port 0\n";
  }
  void declare(OptionTable& table) override {
    table.text("--out", wanted_.folder, "DIR", OptionTable::Need::required,
               "Folder to make; must not hold anything");
    table.text(
        "--sites", sites_, "NAMES", OptionTable::Need::required,
        "Two or more names with commas between them; a becomes the key manager kme-a with the SAE sae-a");
    table.number("--port", wanted_.port, 0, 65535, OptionTable::Need::optional,
                 "Of the first site, the next ones follow; 0: any that is free (default: 20140)");
  }
  Exit run(const OutputOptions& output) override;

 private:
  kme::TestNetwork wanted_{{}, {}, 20140, 3650};
  std::string sites_;
};

Exit InitCommand::run(const OutputOptions& output) {
  std::istringstream names(sites_);
  for (std::string name; std::getline(names, name, ',');) {
    wanted_.sites.push_back(name);
  }
  const Result<std::vector<std::string>> files = kme::make_test_network(wanted_);
  if (!files.ok()) {
    return fail("ssn.kme.init/1", files.error(), output);
  }
  const std::string& configuration = files.value().front();
  if (output.json) {
    JsonWriter json;
    begin_document(json, "ssn.kme.init/1", nullptr);
    json.member("configuration", configuration).key("files").begin_array();
    for (const std::string& file : files.value()) {
      json.value(file);
    }
    json.end_array().end_object();
    print_text(json.text());
  } else if (!output.quiet) {
    print_text(fmt::format("{} files in {}\nstart it: ssn-kme --config {}\n", files.value().size(),
                           wanted_.folder, configuration));
  }
  return Exit::ok;
}

}  // namespace

std::vector<std::unique_ptr<Command>> make_kme_commands() {
  std::vector<std::unique_ptr<Command>> commands;
  commands.push_back(std::make_unique<InitCommand>());
  commands.push_back(std::make_unique<StatusCommand>());
  commands.push_back(std::make_unique<OutageCommand>());
  commands.push_back(std::make_unique<RateCommand>());
  commands.push_back(std::make_unique<DrainCommand>());
  commands.push_back(std::make_unique<InjectCommand>());
  commands.push_back(std::make_unique<HealCommand>());
  return commands;
}

}  // namespace ssn::cli
