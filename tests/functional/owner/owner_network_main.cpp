// SPDX-License-Identifier: BSD-3-Clause
// A storage network for `ssn put`, `get` and `verify`, without shareholders. Commands on standard input, a
// line each, "ok" and maybe numbers as the answer:
//
//   owner-network FOLDER         makes certificates and owner.toml there, says "ready"
//     FAULT N                    deaf, holders_fail, opens_fail, sealing_answers, read_answer, block_answer:
//                                see tests/support/memory_ssa.h
//     relay LOST REPEATED OVERTAKEN DAMAGED
//                                of 1000 packets, for sessions to come
//     state                      "ok OBJECTS WRITES SESSIONS": visible, open, open
//     stop, start                the controller
#include <fmt/core.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <sstream>
#include <thread>

#include "owner_network.h"
#include "ssn/hw/secret_buffer.h"

namespace {

using namespace ssn;

void say(const std::string& line) {
  fmt::print("{}\n", line);
  std::fflush(stdout);
}

bool set_fault(test::SsaFaults& faults, const std::string& name, unsigned value) {
  if (name == "deaf") {
    faults.deaf = value != 0;
  } else if (name == "holders_fail") {
    faults.holders_fail = value;
  } else if (name == "opens_fail") {
    faults.opens_fail = value;
  } else if (name == "sealing_answers") {
    faults.sealing_answers = value;
  } else if (name == "read_answer") {
    faults.read_answer = static_cast<int>(value);
  } else if (name == "block_answer") {
    faults.block_answer = static_cast<int>(value);
  } else {
    return false;
  }
  return true;
}

void serve(test::OwnerNetwork& network, const std::string& line) {
  std::istringstream in(line);
  std::string command;
  unsigned number = 0;
  in >> command;
  if (command == "relay") {
    test::RelayOptions relay;
    in >> relay.lost >> relay.repeated >> relay.overtaken >> relay.damaged;
    network.ssa().options.relay = relay;
    say("ok");
  } else if (command == "state") {
    const auto status = network.catalogue().status();
    say(status.ok() ? fmt::format("ok {} {} {}", status.value().objects, status.value().writes,
                                  network.ssa().open_sessions())
                    : "error " + status.error().why);
  } else if (command == "stop") {
    network.stop_controller();
    say("ok");
  } else if (command == "start") {
    network.start_controller();
    say("ok");
  } else {
    in >> number;
    say(set_fault(network.ssa().faults, command, number) ? "ok" : "error no such command");
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    fmt::print(stderr, "usage: owner-network FOLDER\n");
    return 2;
  }
  const std::string folder = argv[1];
  test::SsaOptions options;
  options.seed = test::test_seed();
  test::OwnerNetwork network(folder, options);
  std::ofstream(folder + "/owner.toml") << fmt::format(
      "[controller]\naddress = \"{}\"\n[owner]\ncertificate = \"owner.crt\"\nkey = \"owner.key\"\n"
      "ca = \"ca.crt\"\n",
      network.place().address);
  std::atomic<bool> end{false};
  std::thread reporter([&] {
    for (unsigned tenth = 0; !end; ++tenth) {
      if (tenth % 10 == 0) network.report();
      std::this_thread::sleep_for(std::chrono::milliseconds(100));
    }
  });
  say("ready");
  for (std::string line; std::getline(std::cin, line);) serve(network, line);
  end = true;
  reporter.join();
  return 0;
}
