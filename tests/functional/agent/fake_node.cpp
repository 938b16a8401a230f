// SPDX-License-Identifier: BSD-3-Clause
// A node that consists of an agent only: fake_node FOLDER NAME [PEER ADDRESS]... with the certificates of a
// network that `ssn kme init` made. Prints where it listens, then whom it is connected with and why not,
// until its standard input ends.
#include <fmt/core.h>
#include <poll.h>
#include <unistd.h>

#include <cstdio>
#include <map>
#include <set>

#include "fake_agent_source.h"
#include "ssn/dataplane/agent.h"

namespace {

int fail(const ssn::Error& error) {
  fmt::print(stderr, "{}: {} ({})\n", error.what, error.why, error.where);
  return static_cast<int>(error.code);
}

// Until the other end of standard input is closed.
bool sleep_a_little() {
  pollfd input{STDIN_FILENO, POLLIN, 0};
  return ::poll(&input, 1, 20) == 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3 || argc % 2 == 0) {
    fmt::print(stderr, "usage: fake_node FOLDER NAME [PEER ADDRESS]...\n");
    return 2;
  }
  const std::string folder = std::string(argv[1]) + "/";
  ssn::agent::AgentSettings settings;
  settings.name = argv[2];
  settings.listen = "127.0.0.1:0";
  settings.socket = folder + settings.name + ".agent.sock";
  settings.certificate = folder + settings.name + ".crt";
  settings.key = folder + settings.name + ".key";
  settings.ca = folder + "ca.crt";
  if (::access((folder + "ca.crl").c_str(), F_OK) == 0) {
    settings.crl = folder + "ca.crl";
  }
  settings.operators = {"operator"};
  settings.operators.emplace_back("second");
  for (int i = 3; i < argc; i += 2) {
    settings.peers.push_back({argv[i], argv[i + 1]});
  }
  ssn::test::FakeAgentSource source;
  const auto agent = ssn::agent::Agent::start(settings);
  if (!agent.ok()) {
    return fail(agent.error());
  }
  agent.value()->serve(source);
  fmt::print("listening {}\n", agent.value()->listening());
  std::fflush(stdout);
  std::set<std::string> connected;
  std::map<std::string, std::string> troubles;
  do {
    for (const ssn::agent::PeerState& peer : agent.value()->peers()) {
      if (peer.connected && connected.insert(peer.name).second) {
        fmt::print("connected {}\n", peer.name);
        std::fflush(stdout);
      } else if (!peer.connected && connected.erase(peer.name) != 0) {
        fmt::print("lost {}\n", peer.name);
        std::fflush(stdout);
      }
      if (std::string& trouble = troubles[peer.name]; trouble != peer.trouble) {
        trouble = peer.trouble;
        fmt::print("trouble {} {}\n", peer.name, trouble);
        std::fflush(stdout);
      }
    }
  } while (sleep_a_little());
  agent.value()->stop_serving();
  return 0;
}
