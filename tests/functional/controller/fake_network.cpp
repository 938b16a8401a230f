// SPDX-License-Identifier: BSD-3-Clause
// Owner, SSA (sae-a) and holders (sae-b to sae-g) of a controller, without data: what they say to it.
// Commands on standard input, a line each, an answer to each:
//
//   fake-network ADDRESS FOLDER     FOLDER: of `ssn kme init --sites a,b,c,d,e,f,g`
//     put NAME SHARES DEGRADED      a write of which so many shares are sealed: "put ID"
//     report                        all of them: "report ORDERS"
//     obey                          they also erase what they are ordered to: "obey"
//     churn SEED                    puts and removals until something fails. "+ NAME ID" or "- NAME" before
//     each, "." after
//                                   it; at last "end"
//   An error is "error CODE WHY".
#include <fmt/core.h>

#include <cstdio>
#include <iostream>
#include <map>
#include <memory>
#include <random>
#include <sstream>

#include "controller_client.h"

namespace {

using namespace ssn;
using namespace ssn::controller;

constexpr std::uint64_t object_bytes = 100'000;

void say(const std::string& line) {
  fmt::print("{}\n", line);
  std::fflush(stdout);
}

class FakeNetwork {
 public:
  Outcome start(const std::string& address, const std::string& folder) {
    for (const char* const who : {"owner", "sae-a", "sae-b", "sae-c", "sae-d", "sae-e", "sae-f", "sae-g"}) {
      const std::string base = fmt::format("{}/{}", folder, who);
      auto made = client::ControllerClient::make(
          {address, "controller", base + ".crt", base + ".key", folder + "/ca.crt"},
          std::chrono::seconds(60));
      if (!made.ok()) {
        return made.error();
      }
      clients_[who] = std::move(made.value());
    }
    owner_ = std::move(clients_["owner"]);
    clients_.erase("owner");
    for (const auto& [node, client] : clients_) {
      Registration registration;
      registration.instance = instance;
      registration.roles = {node == "sae-a" ? pki::Role::ssa : pki::Role::shareholder};
      registration.agent = "127.0.0.1:1";
      registration.labels[Label::site] = node;
      if (const auto registered = client->register_node(registration); !registered.ok()) {
        return registered.error();
      }
    }
    const Result<std::size_t> reported = report(false);
    return reported.ok() ? Outcome(done) : reported.error();
  }

  // Gives the number of orders that are open.
  Result<std::size_t> report(bool obey) {
    std::size_t orders = 0;
    for (const auto& [node, client] : clients_) {
      Report report;
      report.instance = instance;
      report.capacity_bytes = std::uint64_t{1} << 40;
      Result<ReportAnswer> answer = client->report(report);
      if (answer.ok() && obey && !answer.value().remove.empty()) {
        report.removed = answer.value().remove;
        answer = client->report(report);
      }
      if (!answer.ok()) {
        return answer.error();
      }
      orders += answer.value().remove.size();
    }
    return orders;
  }

  Result<std::uint64_t> put(const std::string& name, std::uint32_t shares, bool degraded, bool journal) {
    WriteRequest request;
    for (std::uint8_t& byte : request.token) {
      byte = static_cast<std::uint8_t>(random_());
    }
    request.name = name;
    request.size = object_bytes;
    const auto ticket = owner_->begin_write(request);
    if (!ticket.ok()) {
      return ticket.error();
    }
    const Object& object = ticket.value().object;
    SealedReport report;
    report.key = object.key();
    report.size = object_bytes;
    report.cells = (object_bytes + object.cell_bytes - 1) / object.cell_bytes;
    report.attempts = {{0, report.cells, 0}};
    report.protection = Protection::computational;
    for (std::uint32_t i = 1; i <= object.layout.n; ++i) {
      report.shares.push_back(
          {i, object.layout.holders[i - 1].node, i <= shares, i <= shares ? "" : "disk full"});
    }
    if (const auto sealed = clients_["sae-a"]->sealed(report); !sealed.ok()) {
      return sealed.error();
    }
    if (journal) {
      say(fmt::format("+ {} {:016x}", name, object.id));
    }
    const auto committed = owner_->commit(object.key(), degraded);
    return committed.ok() ? Result<std::uint64_t>(object.id) : committed.error();
  }

  void churn(std::uint64_t seed) {
    random_.seed(seed);
    for (bool good = true; good;) {
      const std::string name(1, static_cast<char>('a' + random_() % 8));
      if (random_() % 3 != 0) {
        good = put(name, 5, false, true).ok();
      } else if (random_() % 4 == 0) {
        good = report(true).ok();
        continue;
      } else {
        say("- " + name);
        const auto removed = owner_->remove(name, 0);
        good = removed.ok() || removed.error().code == Exit::not_found;
        // Not found may also be said by gRPC, of a controller that is gone.
        good = good && owner_->list("", "", 1, "").ok();
      }
      if (good) {
        say(".");
      }
    }
    say("end");
  }

 private:
  static constexpr Bytes16 instance = {7};
  std::unique_ptr<client::ControllerClient> owner_;
  std::map<std::string, std::unique_ptr<client::ControllerClient>> clients_;
  std::mt19937_64 random_{std::random_device{}()};
};

template <typename T>
void tell(const char* command, const Result<T>& result) {
  if (result.ok()) {
    say(fmt::format("{} {:x}", command, result.value()));
  } else {
    say(fmt::format("error {} {}", static_cast<int>(result.error().code), result.error().why));
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    fmt::print(stderr, "usage: fake-network ADDRESS FOLDER\n");
    return 2;
  }
  FakeNetwork network;
  if (const Outcome started = network.start(argv[1], argv[2]); !started.ok()) {
    say(fmt::format("error {} {}", static_cast<int>(started.error().code), started.error().why));
    return 1;
  }
  say("ready");
  for (std::string line; std::getline(std::cin, line);) {
    std::istringstream in(line);
    std::string command;
    std::string name;
    std::uint64_t number = 0;
    in >> command;
    if (command == "put") {
      bool degraded = false;
      in >> name >> number >> degraded;
      tell("put", network.put(name, static_cast<std::uint32_t>(number), degraded, false));
    } else if (command == "report" || command == "obey") {
      tell(command.c_str(), network.report(command == "obey"));
    } else if (command == "churn") {
      in >> number;
      network.churn(number);
    } else {
      say("error 2 no such command");
    }
  }
  return 0;
}
