// SPDX-License-Identifier: BSD-3-Clause
// ssn-kme: emulated key managers. Starts, says where, waits for a signal, stops.
#include <fmt/core.h>
#include <signal.h>

#include <memory>
#include <string>
#include <vector>

#include "emulator.h"
#include "ssn/hw/daemon.h"

namespace ssn::kme {
namespace {

constexpr const char* help =
    "Emulated QKD key managers: ETSI GS QKD 014 servers, KM-NIC device models and the links between them.\n"
    "An EMULATOR: its keys come from a cipher, and nothing made with them is protected.\n"
    "\n"
    "Examples:\n"
    "  ssn kme init --out testnet --sites a,b     makes certificates and a configuration\n"
    "  ssn-kme --config testnet/kme.toml          serves all its sites until a signal ends it\n"
    "  ssn-kme --config testnet/kme.toml --site kme-a   only one site; others run elsewhere\n"
    "  ssn kme status --socket testnet/control.sock     stock and rates\n"
    "\n"
    "Usage: ssn-kme --config FILE [--site ID]... [--ready-file FILE] [--check]\n"
    "\n"
    "Options:\n"
    "  --config FILE       The configuration (docs/kme.md, man ssn-kme)\n"
    "  --site ID           Serve only this site, and others that are named so\n"
    "  --ready-file FILE   Write where everything listens, as JSON, once it does\n"
    "  --check             Check the configuration, start nothing\n"
    "  --version           Print the version\n"
    "  -h, --help          Print this\n"
    "\n"
    "Manual: man 8 ssn-kme\n";

int run(const hw::Daemon& daemon, const hw::Daemon::Arguments& arguments,
        const std::vector<std::string>& sites) {
  if (arguments.check) {
    const auto configuration = read_configuration(arguments.config, sites);
    return configuration.ok() ? 0 : daemon.fail(configuration.error());
  }
  const sigset_t ending = hw::Daemon::block_signals();
  Result<std::unique_ptr<Emulator>> emulator = Emulator::start(arguments.config, sites);
  if (!emulator.ok()) {
    return daemon.fail(emulator.error());
  }
  daemon.log("EMULATED key managers: keys come from a cipher, nothing made with them is protected");
  for (const std::string& line : emulator.value()->ready_lines()) {
    daemon.log(line);
  }
  {
    const auto ready = hw::ReadyFile::write(arguments.ready_file, emulator.value()->ready_document());
    if (!ready.ok()) {
      return daemon.fail(ready.error());
    }
    daemon.log("ready");
    int number = 0;
    while (sigwait(&ending, &number) != 0) {
    }
    daemon.log(fmt::format("ending after signal {}", number));
    emulator.value().reset();
  }
  daemon.log("ended; all secrets are erased");
  return 0;
}

}  // namespace
}  // namespace ssn::kme

int main(int argc, char** argv) {
  ssn::hw::Daemon daemon("ssn-kme", SSN_VERSION, ssn::kme::help);
  std::vector<std::string> sites;
  daemon.add_values("--site", sites);
  return daemon.main(argc, argv, [&](const ssn::hw::Daemon::Arguments& arguments) {
    return ssn::kme::run(daemon, arguments, sites);
  });
}
