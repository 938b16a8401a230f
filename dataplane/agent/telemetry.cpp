// SPDX-License-Identifier: BSD-3-Clause
#include "ssn/dataplane/telemetry.h"

#include <rte_telemetry.h>

#include <algorithm>
#include <charconv>
#include <string_view>

#include "source_gate.h"

namespace ssn::agent {
namespace {

constexpr std::size_t page = 100;  // an answer is 16 KiB at most
constexpr std::size_t name_most = RTE_TEL_MAX_STRING_LEN - 1;
constexpr std::size_t items_most = 200;

SourceGate& gate() {
  static SourceGate the_gate;
  return the_gate;
}

// As the library puts text into JSON as it is.
std::string plain(const std::string& text) {
  std::string out = text.substr(0, name_most);
  std::replace_if(
      out.begin(), out.end(), [](char c) { return c < 0x20 || c == 0x7F || c == '"' || c == '\\'; }, '?');
  return out;
}

bool add(rte_tel_data* answer, const char* name, const std::string& value) {
  return rte_tel_data_add_dict_string(answer, name, plain(value).c_str()) == 0;
}

int answer_status(const char*, const char*, rte_tel_data* answer) {
  const SourceGate::Pass source = gate().enter();
  if (!source) {
    return -1;
  }
  const Status status = source->status();
  rte_tel_data_start_dict(answer);
  bool good = add(answer, "node", status.node) && add(answer, "version", status.version) &&
              add(answer, "role", status.role) && add(answer, "configuration", status.configuration) &&
              rte_tel_data_add_dict_u64(answer, "generation", status.generation) == 0 &&
              rte_tel_data_add_dict_u64(answer, "process_id", status.process_id) == 0;
  std::size_t items = 0;
  for (const StatusItem& item : status.items) {
    if (++items <= items_most) {
      good = good && add(answer, telemetry_name(item.kind + "." + item.name).c_str(),
                         (item.healthy ? "" : "! ") + item.condition);
    }
  }
  return good ? 0 : -1;
}

// "PREFIX,FROM"; both may be missing.
bool take_apart(const char* parameters, std::string& prefix, std::size_t& from) {
  const std::string_view text = parameters == nullptr ? "" : parameters;
  const std::size_t comma = text.rfind(',');
  prefix = text.substr(0, comma);
  std::replace(prefix.begin(), prefix.end(), '/', '.');
  if (comma == std::string_view::npos) {
    return true;
  }
  const auto [last, problem] = std::from_chars(text.data() + comma + 1, text.data() + text.size(), from);
  return problem == std::errc() && last == text.data() + text.size();
}

int answer_counters(const char*, const char* parameters, rte_tel_data* answer) {
  std::string prefix;
  std::size_t from = 0;
  const SourceGate::Pass source = gate().enter();
  if (!source || !take_apart(parameters, prefix, from)) {
    return -1;
  }
  std::vector<Counter> all;
  source->counters(prefix, all);
  rte_tel_data_start_dict(answer);
  bool good = true;
  const std::size_t end = std::min(all.size(), std::min(from, all.size()) + page);
  for (std::size_t i = from; i < end; ++i) {
    good = good && rte_tel_data_add_dict_u64(answer, telemetry_name(all[i].name).c_str(), all[i].value) == 0;
  }
  if (end < all.size()) {
    good = good && rte_tel_data_add_dict_u64(answer, "next", end) == 0;
  }
  return good ? 0 : -1;
}

}  // namespace

std::string telemetry_name(const std::string& name) {
  std::string out = name.substr(0, name_most - 1);
  for (char& c : out) {
    const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    c = c == '.' ? '/' : letter ? c : '_';
  }
  return out;
}

Outcome register_telemetry() {
  static const bool taken =
      rte_telemetry_register_cmd("/ssn/status", answer_status, "What runs in ssn-dataplane. No parameters") ==
          0 &&
      rte_telemetry_register_cmd(
          "/ssn/counters", answer_counters,
          "Counters of ssn-dataplane. Parameters: prefix of names, number to begin at") == 0;
  if (taken) {
    return done;
  }
  return Error{Exit::failed, "cannot serve DPDK telemetry", "its commands were not taken",
               "/ssn/status, /ssn/counters", "report it as a bug"};
}

void serve_telemetry(AgentSource& source) { gate().open(source); }
void stop_telemetry() { gate().close(); }

}  // namespace ssn::agent
