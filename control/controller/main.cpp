// SPDX-License-Identifier: BSD-3-Clause
// ssn-controller: starts, says where it listens, waits for a signal, stops.
#include <fmt/core.h>
#include <signal.h>
#include <sys/random.h>

#include <chrono>
#include <cstdlib>
#include <memory>
#include <set>

#include "agent_nodes.h"
#include "audit_log.h"
#include "configuration.h"
#include "exchange_link.h"
#include "live_identity.h"
#include "ssn/hw/daemon.h"

namespace ssn::controller {
namespace {

constexpr const char* help =
    "Decides where shares go and knows which objects exist; never holds data, shares or keys.\n"
    "\n"
    "Examples:\n"
    "  ssn-controller --config controller.toml            runs until a signal ends it\n"
    "  ssn-controller --config controller.toml --check    checks the configuration, starts nothing\n"
    "\n"
    "Usage: ssn-controller --config FILE [--ready-file FILE] [--check]\n"
    "\n"
    "Options:\n"
    "  --config FILE       The configuration (docs/controller.md, man ssn-controller)\n"
    "  --ready-file FILE   Write where it listens, as JSON, once it does\n"
    "  --check             Check the configuration, start nothing\n"
    "  --version           Print the version\n"
    "  -h, --help          Print this\n"
    "\n"
    "Manual: man 8 ssn-controller\n";

Now now() {
  const auto milliseconds = [](auto time) {
    return static_cast<std::uint64_t>(
        std::chrono::duration_cast<std::chrono::milliseconds>(time.time_since_epoch()).count());
  };
  return {milliseconds(std::chrono::system_clock::now()), milliseconds(std::chrono::steady_clock::now())};
}

void random_bytes(std::uint8_t* out, std::size_t bytes) {
  if (::getrandom(out, bytes, 0) != static_cast<ssize_t>(bytes)) {
    std::abort();  // without identifiers that nobody else has nothing can be promised
  }
}

// Ticks once a second, and drives re-sharing, until a signal comes. What cannot be done is tried again; said
// once while it lasts.
int wait_for_end(const hw::Daemon& daemon, Catalogue& catalogue, ReshareManager& reshares,
                 DomainBook& domains, const pki::LiveIdentity& live, const audit::AuditLog* audit,
                 const sigset_t& ending) {
  bool troubled = false;
  for (std::uint64_t next_ms = 0;;) {
    const timespec moment{0, reshares.is_busy() ? 20'000'000 : 100'000'000};
    const int number = ::sigtimedwait(&ending, nullptr, &moment);
    if (number > 0) {
      return number;
    }
    const Now time = now();
    Outcome outcome = reshares.step(time);
    if (time.monotonic_ms >= next_ms) {
      next_ms = time.monotonic_ms + 1000;
      const pki::LiveIdentity::State identity = live.state(static_cast<std::int64_t>(time.wall_ms / 1000));
      catalogue.tell_certificate(time, identity.healthy ? "" : identity.condition);
      catalogue.tell_audit(time, audit == nullptr ? "" : audit->trouble());
      step_domains(catalogue, domains, time);
      const Outcome ticked = catalogue.tick(time);
      outcome = outcome.ok() ? ticked : outcome;
    }
    if (!outcome.ok() && !troubled) {
      daemon.fail(outcome.error());
    }
    troubled = !outcome.ok();
  }
}

// What nodes and those who follow the log ask all the time.
std::vector<std::string> routine_calls() {
  return {"Nodes.Report", "Nodes.GetHoldings", "Nodes.CompareHoldings", "Administration.ListDecisions",
          "Exchange.Tell"};
}

DomainBook book_of(const ExchangeSettings& settings) {
  std::set<std::string> trusted;
  for (const ExchangeSettings::With& with : settings.with) trusted.insert(with.domain);
  return {settings.domain, std::move(trusted)};
}

// Null: nothing is said of other domains.
Result<std::unique_ptr<ExchangeLink>> start_exchange(const Configuration& configuration, Catalogue& catalogue,
                                                     DomainBook& book, audit::AuditLog* audit) {
  step_domains(catalogue, book, now());
  if (configuration.exchange.domain.empty()) return std::unique_ptr<ExchangeLink>();
  Bytes16 instance{};
  random_bytes(instance.data(), instance.size());
  return ExchangeLink::start(configuration.server, configuration.exchange, catalogue, book, instance, now,
                             audit);
}

std::string ready_text(const Server& server, const ExchangeLink* exchange) {
  return fmt::format("{{\"schema\": \"ssn.controller.ready/1\", \"listen\": \"{}\"{}}}\n", server.listening(),
                     exchange == nullptr ? "" : fmt::format(", \"exchange\": \"{}\"", exchange->listening()));
}

int run(const hw::Daemon& daemon, const hw::Daemon::Arguments& arguments) {
  const Result<Configuration> loaded = load_configuration(arguments.config);
  if (!loaded.ok()) {
    return daemon.fail(loaded.error());
  }
  if (arguments.check) {
    return 0;
  }
  const Configuration& configuration = loaded.value();
  const sigset_t ending = hw::Daemon::block_signals();
  Result<std::unique_ptr<audit::AuditLog>> audit{std::unique_ptr<audit::AuditLog>()};
  if (!configuration.audit.file.path.empty()) {
    audit = audit::AuditLog::open(configuration.audit, routine_calls());
  }
  if (!audit.ok()) {
    return daemon.fail(audit.error());
  }
  const Result<std::unique_ptr<Database>> database = open_sqlite_database(configuration.database);
  if (!database.ok()) {
    return daemon.fail(database.error());
  }
  const Result<std::unique_ptr<Catalogue>> catalogue =
      Catalogue::open(*database.value(), configuration.first, random_bytes, now());
  if (!catalogue.ok()) {
    return daemon.fail(catalogue.error());
  }
  const Result<std::shared_ptr<pki::LiveIdentity>> live = open_identity(configuration.server);
  if (!live.ok()) {
    return daemon.fail(live.error());
  }
  const std::unique_ptr<ReshareNodes> nodes = make_agent_nodes(live.value());
  const Result<std::unique_ptr<ReshareManager>> reshares =
      ReshareManager::open(*catalogue.value(), *nodes, now());
  if (!reshares.ok()) {
    return daemon.fail(reshares.error());
  }
  DomainBook domains = book_of(configuration.exchange);
  Result<std::unique_ptr<Server>> server =
      Server::start(configuration.server, live.value(), *catalogue.value(), reshares.value().get(), now,
                    audit.value().get(), &domains);
  if (!server.ok()) {
    return daemon.fail(server.error());
  }
  const Result<std::unique_ptr<ExchangeLink>> exchange =
      start_exchange(configuration, *catalogue.value(), domains, audit.value().get());
  if (!exchange.ok()) {
    return daemon.fail(exchange.error());
  }
  const auto ready =
      hw::ReadyFile::write(arguments.ready_file, ready_text(*server.value(), exchange.value().get()));
  if (!ready.ok()) {
    return daemon.fail(ready.error());
  }
  const Result<std::vector<ConfigurationVersion>> versions = catalogue.value()->configurations();
  daemon.log(fmt::format("ready; {} listens at {}, and follows version {} of the network's configuration",
                         configuration.server.name, server.value()->listening(),
                         versions.ok() && !versions.value().empty() ? versions.value().front().number : 0));
  const int number = wait_for_end(daemon, *catalogue.value(), *reshares.value(), domains, *live.value(),
                                  audit.value().get(), ending);
  daemon.log(fmt::format("ending after signal {}", number));
  server.value().reset();
  return 0;
}

}  // namespace
}  // namespace ssn::controller

int main(int argc, char** argv) {
  ssn::hw::Daemon daemon("ssn-controller", SSN_VERSION, ssn::controller::help);
  return daemon.main(argc, argv, [&](const ssn::hw::Daemon::Arguments& arguments) {
    return ssn::controller::run(daemon, arguments);
  });
}
