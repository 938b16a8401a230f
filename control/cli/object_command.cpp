// SPDX-License-Identifier: BSD-3-Clause
#include "object_command.h"

#include <fmt/core.h>

#include <algorithm>
#include <cstdlib>

#include "call_error.h"
#include "shown_text.h"
#include "ssn/hw/config.h"

namespace ssn::cli {
namespace {

constexpr const char* what = "cannot ask the controller";

Result<client::ControllerPlace> place_in(const std::string& path) {
  Result<hw::Config> file = hw::Config::load(path);
  if (!file.ok()) {
    return file.error();
  }
  client::ControllerPlace place;
  const hw::ConfigTable controller = file.value().root().table("controller");
  place.address = controller.text("address");
  place.name = controller.text("name", {}, "controller");
  const hw::ConfigTable owner = file.value().root().table("owner");
  place.certificate = owner.path("certificate");
  place.key = owner.path("key");
  place.ca = owner.path("ca");
  place.crl = owner.path("crl", "");
  if (Outcome finished = file.value().finish(); !finished.ok()) {
    return finished.error();
  }
  return place;
}

}  // namespace

ObjectCommand::ObjectCommand(const char* name, const char* group)
    : name_(name),
      group_(group),
      schema_(*group == '\0' ? fmt::format("ssn.{}/1", name) : fmt::format("ssn.{}.{}/1", group, name)) {}

void ObjectCommand::declare(OptionTable& table) {
  using enum OptionTable::Need;
  declare_more(table);
  table.text("--config", configuration_, "FILE", optional,
             "Who you are and where the controller is (default: the environment variable SSN_OWNER_CONFIG)");
  table.text("--connect", remote_.address, "ADDRESS", optional,
             "Address and port of the controller, instead of --config; needs the next four");
  table.text("--controller", remote_.name, "NAME", optional, "Name of the controller, as in its certificate");
  table.text("--certificate", remote_.certificate, "FILE", optional, "Your certificate (PEM)");
  table.text("--key", remote_.key, "FILE", optional, "Its private key (PEM)");
  table.text("--ca", remote_.ca, "FILE", optional, "Who signed the controller's certificate (PEM)");
  table.text("--crl", remote_.crl, "FILE", optional,
             "Certificates that are revoked (PEM), with --ca (default: nobody is looked up)");
}

Result<client::ControllerPlace> ObjectCommand::place() const {
  const bool parts[] = {!remote_.address.empty(), !remote_.name.empty(), !remote_.certificate.empty(),
                        !remote_.key.empty(), !remote_.ca.empty()};
  bool any = false;
  bool all = true;
  for (const bool part : parts) {
    any = any || part;
    all = all && part;
  }
  if (any && (!all || !configuration_.empty())) {
    return Error{Exit::usage, what,
                 all ? "--config and --connect exclude each other"
                     : "--connect, --controller, --certificate, --key and --ca belong together",
                 remote_.address, all ? "give one of them" : "give all five, or --config"};
  }
  if (!any && !remote_.crl.empty()) {
    return Error{Exit::usage, what, "--crl is given without --connect", remote_.crl,
                 "with --config, say crl = \"FILE\" in [owner]"};
  }
  if (any) {
    return remote_;
  }
  const char* const from_environment = std::getenv("SSN_OWNER_CONFIG");
  const std::string file = !configuration_.empty()       ? configuration_
                           : from_environment != nullptr ? from_environment
                                                         : "";
  if (file.empty()) {
    return Error{Exit::usage, what, "none of --config, --connect and SSN_OWNER_CONFIG is given", "",
                 "give --config a file with [controller] and [owner]: man ssn-ls"};
  }
  return place_in(file);
}

Exit ObjectCommand::run(const OutputOptions& output) {
  const Result<client::ControllerPlace> where = place();
  const Result<Exit> asked = where.ok() ? work(where.value(), output) : Result<Exit>(where.error());
  if (asked.ok()) {
    return asked.value();
  }
  print_error(asked.error());
  if (output.json) {
    print_error_document(schema_, asked.error());
  }
  return asked.error().code;
}

Result<Exit> CatalogueCommand::work(const client::ControllerPlace& place, const OutputOptions& output) {
  const Result<std::unique_ptr<client::ControllerClient>> client = client::ControllerClient::make(place);
  return client.ok() ? ask(*client.value(), output) : Result<Exit>(client.error());
}

std::string id_text(std::uint64_t id) { return fmt::format("{:016x}", id); }

std::string_view health_of(std::uint32_t up, std::uint32_t k, std::uint32_t n) {
  return up < k ? "unreadable" : up < n ? "degraded" : "good";
}

std::uint32_t shares_up(const controller::Object& object) {
  const std::vector<controller::Holder>& holders = object.layout.holders;
  return static_cast<std::uint32_t>(
      std::count_if(holders.begin(), holders.end(), [](const controller::Holder& holder) {
        return holder.up && holder.state == controller::ShareState::sealed;
      }));
}

std::string shown_name(const std::string& name) {
  std::string clean = pki::clean_text(name, 4096);
  for (char& c : clean) {
    c = c == '\n' ? '?' : c;
  }
  return clean;
}

std::string shown_names(const std::vector<std::string>& names) {
  std::vector<std::string> shown;
  std::transform(names.begin(), names.end(), std::back_inserter(shown), shown_name);
  return join_list(shown);
}

}  // namespace ssn::cli
