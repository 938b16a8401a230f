// SPDX-License-Identifier: BSD-3-Clause
// `ssn dataplane counters`, `trace` and `top`: answers that go on.
#include <fmt/core.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <optional>

#include "dataplane_place.h"
#include "quantity.h"
#include "rate_table.h"
#include "text_table.h"

namespace ssn::cli {
namespace {

using std::chrono::milliseconds;

constexpr const char* interval_help = "Time between two, such as 500ms or 10s; 100ms to 1h";

// "1s" and the like.
Result<milliseconds> parse_interval(const std::string& text) {
  const std::optional<std::uint64_t> ns = hw::parse_quantity(text, hw::duration_units());
  if (!ns || *ns < 100'000'000 || *ns > 3'600'000'000'000) {
    return Error{Exit::usage, "cannot understand the command line", fmt::format("{} is no interval", text),
                 "ssn dataplane", "write it like 500ms or 10s; 100ms to 1h"};
  }
  return milliseconds(*ns / 1'000'000);
}

std::string_view name_of(agent::Counter::Kind kind) {
  return kind == agent::Counter::Kind::gauge ? "gauge" : "counter";
}

class CountersCommand final : public DataplaneCommand {
 public:
  CountersCommand()
      : DataplaneCommand("counters", "Show the counters of a data plane",
                         "  ssn dataplane counters --config sae-a.toml\n"
                         "  ssn dataplane counters --prefix drop. --watch 1s    then those that change\n") {}

 private:
  void declare_more(OptionTable& table) override {
    using enum OptionTable::Need;
    table.text("--prefix", prefix_, "TEXT", optional, "Only those whose name begins so");
    table.text("--watch", watch_, "TIME", optional,
               "Go on, and show those that changed. Time between two, such as 1s");
    table.number("--count", count_, 1, 1'000'000, optional,
                 "With --watch: end after so many (default: never)");
  }

  Result<Exit> ask(client::AgentClient& client, const OutputOptions& output) override {
    const Result<milliseconds> interval = parse_interval(watch_.empty() ? "1s" : watch_);
    if (!interval.ok()) {
      return interval.error();
    }
    const std::uint32_t snapshots = watch_.empty() ? 1 : count_;
    const Outcome watched =
        client.watch_counters(prefix_, interval.value(), snapshots, [&](const client::CounterUpdate& update) {
          show(update, output.json);
          return std::fflush(stdout) == 0;
        });
    return watched.ok() ? Result<Exit>(Exit::ok) : watched.error();
  }

  void show(const client::CounterUpdate& update, bool as_json) const {
    if (!as_json) {
      TextTable table({"COUNTER", "VALUE>"});
      for (const agent::Counter& counter : update.counters) {
        table.add({counter.name, std::to_string(counter.value)});
      }
      print_text(fmt::format("{}{}", update.complete ? "" : "\n", table.text()));
      return;
    }
    JsonWriter json;
    begin_document(json, schema(), nullptr);
    json.member("time_ns", update.time_ns).member("complete", update.complete).key("counters").begin_array();
    for (const agent::Counter& counter : update.counters) {
      json.begin_object().member("name", counter.name).member("value", counter.value);
      json.member("kind", name_of(counter.kind)).end_object();
    }
    json.end_array().end_object();
    print_text(json.text());
  }

  std::string prefix_;
  std::string watch_;
  unsigned count_ = 0;
};

class TraceCommand final : public DataplaneCommand {
 public:
  TraceCommand()
      : DataplaneCommand("trace", "Show the way of some packets through a data plane",
                         "  ssn dataplane trace --config sae-a.toml               the next 10 packets\n"
                         "  ssn dataplane trace --count 3 --port client ...       that come from there\n"
                         "  ssn dataplane trace --node drop-bad_tag ...           that end there\n") {}

 private:
  void declare_more(OptionTable& table) override {
    using enum OptionTable::Need;
    table.number("--count", request_.packets, 1, agent::trace_packets_max, optional,
                 "How many packets (default: 10)");
    table.text("--node", request_.node, "NAME", optional, "Only packets that cross this node of the graph");
    table.text("--port", request_.port, "NAME", optional, "Only packets that came in on this port");
  }

  Result<Exit> ask(client::AgentClient& client, const OutputOptions& output) override;
  void show(const agent::TraceHop& hop);
  void print_json(const std::vector<agent::TraceHop>& hops, std::uint64_t lost) const;

  agent::TraceRequest request_{10, "", ""};
  std::uint64_t packet_ = 0;
  std::uint64_t begin_ns_ = 0;
  bool any_ = false;
};

void TraceCommand::show(const agent::TraceHop& hop) {
  if (!any_ || hop.packet != packet_) {
    print_text(fmt::format("{}packet {}, worker {}, {} bytes\n", any_ ? "\n" : "", hop.packet, hop.worker,
                           hop.bytes));
    any_ = true;
    packet_ = hop.packet;
    begin_ns_ = hop.time_ns;
  }
  const std::uint64_t since = hop.time_ns - std::min(hop.time_ns, begin_ns_);
  print_text(fmt::format("  {:>8.1f} us  {} {}{}{}\n", static_cast<double>(since) / 1000, hop.node,
                         hop.next.empty() ? "(end)" : fmt::format("-> {}", hop.next),
                         hop.detail.empty() ? "" : "  ", hop.detail));
}

void TraceCommand::print_json(const std::vector<agent::TraceHop>& hops, std::uint64_t lost) const {
  JsonWriter json;
  begin_document(json, schema(), nullptr);
  json.member("lost", lost).key("hops").begin_array();
  for (const agent::TraceHop& hop : hops) {
    json.begin_object().member("packet", hop.packet).member("worker", std::uint64_t{hop.worker});
    json.member("time_ns", hop.time_ns).member("node", hop.node).key("next");
    if (hop.next.empty()) {
      json.null();
    } else {
      json.value(hop.next);
    }
    json.member("bytes", std::uint64_t{hop.bytes}).member("detail", hop.detail).end_object();
  }
  json.end_array().end_object();
  print_text(json.text());
}

Result<Exit> TraceCommand::ask(client::AgentClient& client, const OutputOptions& output) {
  std::vector<agent::TraceHop> all;
  std::uint64_t lost = 0;
  const Outcome traced = client.trace(
      request_,
      [&] { print_note(output, fmt::format("waiting for {} packets; Ctrl-C ends it", request_.packets)); },
      [&](const std::vector<agent::TraceHop>& hops, std::uint64_t so_far) {
        lost = so_far;
        if (output.json) {
          all.insert(all.end(), hops.begin(), hops.end());
          return true;
        }
        for (const agent::TraceHop& hop : hops) {
          show(hop);
        }
        return std::fflush(stdout) == 0;
      });
  if (!traced.ok()) {
    return traced.error();
  }
  if (output.json) {
    print_json(all, lost);
  }
  if (lost != 0) {
    print_warning(fmt::format("{} hops are missing: they came faster than they could be shown", lost));
  }
  return Exit::ok;
}

class TopCommand final : public DataplaneCommand {
 public:
  TopCommand()
      : DataplaneCommand("top", "Show what a data plane does each second: streams, links, nodes, keys, drops",
                         "  ssn dataplane top --config sae-a.toml\n"
                         "  ssn dataplane top --count 1 --json ...      rates over one interval\n") {}

 private:
  void declare_more(OptionTable& table) override {
    using enum OptionTable::Need;
    table.text("--interval", interval_, "TIME", optional, interval_help);
    table.number("--count", count_, 1, 1'000'000, optional,
                 "End after so many (default: never on a terminal, otherwise 1)");
    table.text("--prefix", prefix_, "TEXT", optional, "Only counters whose name begins so");
  }

  Result<Exit> ask(client::AgentClient& client, const OutputOptions& output) override;
  void show(const RateTable& table, const OutputOptions& output) const;

  std::string interval_ = "1s";
  std::string prefix_;
  unsigned count_ = 0;
};

// The lines that fit the terminal, from its top.
std::string screen_of(const std::string& text, std::size_t lines) {
  std::size_t end = 0;
  for (std::size_t line = 0; line < lines && end < text.size(); ++line) {
    end = std::min(text.find('\n', end), text.size() - 1) + 1;
  }
  return "\x1b[H\x1b[2J" + text.substr(0, end);
}

void TopCommand::show(const RateTable& table, const OutputOptions& output) const {
  if (output.json) {
    JsonWriter json;
    begin_document(json, schema(), nullptr);
    json.member("seconds", table.seconds()).key("counters").begin_array();
    for (const RateTable::Row& row : table.rows()) {
      json.begin_object()
          .member("name", row.name)
          .member("value", row.value)
          .member("per_second", row.per_second);
      json.member("kind", name_of(row.kind)).end_object();
    }
    json.end_array().end_object();
    print_text(json.text());
    return;
  }
  const std::string head =
      fmt::format("a second, over the last {:.1f} s; =: as it is now. Ctrl-C ends it\n\n", table.seconds());
  if (::isatty(STDOUT_FILENO) != 1) {
    print_text(head + table.text(100));
    return;
  }
  winsize size{};
  const bool known = ::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col >= 40 && size.ws_row >= 5;
  const std::string text = head + table.text(known ? size.ws_col : 80);
  print_text(screen_of(text, known ? size.ws_row - 1U : 23));
}

Result<Exit> TopCommand::ask(client::AgentClient& client, const OutputOptions& output) {
  const Result<milliseconds> interval = parse_interval(interval_);
  if (!interval.ok()) {
    return interval.error();
  }
  const bool endless = ::isatty(STDOUT_FILENO) == 1 && !output.json;
  const unsigned rounds = count_ != 0 ? count_ : endless ? 0 : 1;
  RateTable table;
  const Outcome watched = client.watch_counters(prefix_, interval.value(), rounds == 0 ? 0 : rounds + 1,
                                                [&](const client::CounterUpdate& update) {
                                                  table.update(update);
                                                  if (table.has_rates()) {
                                                    show(table, output);
                                                  }
                                                  return std::fflush(stdout) == 0;
                                                });
  return watched.ok() ? Result<Exit>(Exit::ok) : watched.error();
}

}  // namespace

std::unique_ptr<Command> make_dataplane_counters_command() { return std::make_unique<CountersCommand>(); }
std::unique_ptr<Command> make_dataplane_trace_command() { return std::make_unique<TraceCommand>(); }
std::unique_ptr<Command> make_dataplane_top_command() { return std::make_unique<TopCommand>(); }

}  // namespace ssn::cli
