// SPDX-License-Identifier: BSD-3-Clause
#include "dataplane_place.h"

#include <fmt/core.h>

#include <cstdlib>

#include "ssn/dataplane/configuration.h"

namespace ssn::cli {
namespace {

constexpr const char* what = "cannot ask the data plane";

Result<client::AgentPlace> place_in(const std::string& file) {
  const Result<dataplane::Configuration> configuration = dataplane::Configuration::load(file);
  if (!configuration.ok()) {
    return configuration.error();
  }
  client::AgentPlace place;
  place.socket = configuration.value().agent.socket;
  if (place.socket.empty()) {
    return Error{Exit::usage, what, "the configuration gives its agent no socket", file + ", [agent]",
                 "add socket = \"NAME.sock\" and restart it, or use --connect"};
  }
  return place;
}

}  // namespace

DataplaneCommand::DataplaneCommand(const char* name, const char* summary, const char* examples)
    : name_(name), summary_(summary), examples_(examples), schema_(fmt::format("ssn.dataplane.{}/1", name)) {}

void DataplaneCommand::declare(OptionTable& table) {
  using enum OptionTable::Need;
  declare_more(table);
  table.text("--socket", socket_, "PATH", optional,
             "Socket of the data plane's agent (default: the environment variable SSN_AGENT_SOCKET)");
  table.text("--config", configuration_, "FILE", optional,
             "Configuration of the data plane, which names its socket");
  table.text("--connect", remote_.address, "ADDRESS", optional,
             "Address and port of the agent, over TLS; needs the next four");
  table.text("--name", remote_.name, "NAME", optional, "Name of the node, as in its certificate");
  table.text("--certificate", remote_.certificate, "FILE", optional,
             "Your certificate, as an operator (PEM)");
  table.text("--key", remote_.key, "FILE", optional, "Its private key (PEM)");
  table.text("--ca", remote_.ca, "FILE", optional, "Who signed the node's certificate (PEM)");
  table.text("--crl", remote_.crl, "FILE", optional,
             "Certificates that are revoked (PEM), with --ca (default: nobody is looked up)");
}

Result<client::AgentPlace> DataplaneCommand::place() const {
  const bool more = !remote_.crl.empty() || !remote_.name.empty() || !remote_.certificate.empty() ||
                    !remote_.key.empty() || !remote_.ca.empty();
  const int ways =
      (socket_.empty() ? 0 : 1) + (configuration_.empty() ? 0 : 1) + (remote_.address.empty() ? 0 : 1);
  if (ways > 1 || (more && remote_.address.empty())) {
    return Error{Exit::usage, what,
                 ways > 1 ? "more than one of --socket, --config and --connect is given"
                          : "options for TLS are given without --connect",
                 "ssn dataplane", "give one way to reach it"};
  }
  if (!remote_.address.empty()) {
    if (remote_.name.empty() || remote_.certificate.empty() || remote_.key.empty() || remote_.ca.empty()) {
      return Error{Exit::usage, what, "--connect needs --name, --certificate, --key and --ca",
                   remote_.address, "give all four"};
    }
    return remote_;
  }
  if (!configuration_.empty()) {
    return place_in(configuration_);
  }
  client::AgentPlace place;
  const char* const from_environment = std::getenv("SSN_AGENT_SOCKET");
  place.socket = !socket_.empty() ? socket_ : from_environment != nullptr ? from_environment : "";
  if (!place.socket.empty()) {
    return place;
  }
  if (const std::string fallback = fallback_configuration(); !fallback.empty()) {
    return place_in(fallback);
  }
  return Error{Exit::usage, what, "none of --socket, --config, --connect and SSN_AGENT_SOCKET is given", "",
               "give --config the file that ssn-dataplane was started with"};
}

Exit DataplaneCommand::run(const OutputOptions& output) {
  const Result<client::AgentPlace> where = place();
  Result<Exit> asked = Exit::ok;
  if (where.ok()) {
    const Result<std::unique_ptr<client::AgentClient>> client = client::AgentClient::make(where.value());
    asked = client.ok() ? ask(*client.value(), output) : Result<Exit>(client.error());
  } else {
    asked = where.error();
  }
  if (asked.ok()) {
    return asked.value();
  }
  print_error(asked.error());
  if (output.json) {
    print_error_document(schema_, asked.error());
  }
  return asked.error().code;
}

std::vector<std::unique_ptr<Command>> make_dataplane_commands() {
  std::vector<std::unique_ptr<Command>> commands;
  commands.push_back(make_dataplane_status_command());
  commands.push_back(make_dataplane_counters_command());
  commands.push_back(make_dataplane_trace_command());
  commands.push_back(make_dataplane_top_command());
  commands.push_back(make_dataplane_graph_command());
  commands.push_back(make_dataplane_swap_command());
  commands.push_back(make_dataplane_readmit_command());
  return commands;
}

}  // namespace ssn::cli
